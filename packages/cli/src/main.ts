#!/usr/bin/env node
/** The binary `stepgate`. The one file of this package that looks at the process's arguments and environment. */
import { errorCode } from "./reading.ts";
import { runProgram } from "./program.ts";

// Whoever reads our output may stop reading (`stepgate receipts | head`): that ends the program without a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => {
    if (errorCode(error) !== "EPIPE") throw error;
    process.exit(2);
  });
}

const { stdin, stdout, stderr, env } = process;
// Set, not exited with: what was written to a pipe must reach it first.
process.exitCode = await runProgram(process.argv.slice(2), {
  stdin,
  stdout,
  stderr,
  environment: env,
});
