/** The command line: which commands there are, and what becomes of their errors. */
import { readFileSync } from "node:fs";
import { GateError } from "@stepgate/core";
import { Command, CommanderError } from "commander";
import { addApprove } from "./commands/approve.ts";
import { addArchive } from "./commands/archive.ts";
import { addCheck } from "./commands/check.ts";
import { addCheckpoint } from "./commands/checkpoint.ts";
import { addDecide } from "./commands/decide.ts";
import { addDiff } from "./commands/diff.ts";
import { addExplain } from "./commands/explain.ts";
import { addGraph } from "./commands/graph.ts";
import { addFmt } from "./commands/fmt.ts";
import { addInit } from "./commands/init.ts";
import { addKeys } from "./commands/keys.ts";
import { addProve } from "./commands/prove.ts";
import { addLearn } from "./commands/learn.ts";
import { addReceipts } from "./commands/receipts.ts";
import { addReplay } from "./commands/replay.ts";
import { addSeal } from "./commands/seal.ts";
import { addSimulate } from "./commands/simulate.ts";
import { addStore } from "./commands/store.ts";
import { addTest } from "./commands/test.ts";
import { addVerify } from "./commands/verify.ts";
import { createOutput, type ExitCode, type Output, type Terminal } from "./output.ts";

/**
 * Makes a task the action of a command, which gets the option `--json` with it. A task says things and ends with an exit
 * code; what it throws is printed, and ends with 2.
 */
export type Define = <A extends readonly unknown[]>(
  command: Command,
  task: (output: Output, ...args: A) => Promise<ExitCode>,
) => void;

/** Runs one command line, without the program's own name. Never throws. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exit: ExitCode = 0;
  const define: Define = <A extends readonly unknown[]>(
    command: Command,
    task: (output: Output, ...args: A) => Promise<ExitCode>,
  ) => {
    command.option("--json", "machine-readable: JSON on stdout and nothing else");
    command.action(async (...values: unknown[]) => {
      const output = createOutput(terminal, command.opts()["json"] === true);
      // Commander hands over what the command declares: its arguments in order, then its options.
      exit = await task(output, ...(values as unknown as A));
    });
  };
  try {
    await createProgram(terminal, define).parseAsync(args, { from: "user" });
    return exit;
  } catch (error) {
    return fail(error, createOutput(terminal, false));
  }
}

function createProgram(terminal: Terminal, define: Define): Command {
  const program = new Command("stepgate")
    .description(
      "Policy as code for AI agents, enforced. Exit codes: 0 fine, 1 findings, 2 usage or I/O.",
    )
    .version(version())
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  addInit(program, define, terminal.environment);
  addCheck(program, define);
  addFmt(program, define, terminal.stdin);
  addTest(program, define);
  addDiff(program, define);
  addGraph(program, define);
  addExplain(program, define);
  addSimulate(program, define);
  addLearn(program, define);
  addDecide(program, define, terminal.stdin);
  addReceipts(program, define);
  addVerify(program, define);
  addCheckpoint(program, define);
  addProve(program, define);
  addArchive(program, define);
  addApprove(program, define);
  addReplay(program, define);
  addSeal(program, define);
  addStore(program, define);
  addKeys(program, define);
  return program;
}

function version(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}

/** Our own errors say all there is to say; of any other the place is wanted too. */
function fail(error: unknown, output: Output): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (GateError.isInstance(error)) output.error(error.message);
  else output.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 2;
}
