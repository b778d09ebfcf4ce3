/** A terminal whose streams are kept: for what needs no process of its own. */
import { Writable } from "node:stream";
import type { Terminal } from "../src/output.ts";
import { runProgram } from "../src/program.ts";

/** A stream that keeps what is written to it. */
export type Kept = Writable & { isTTY: boolean; text: string };

/** A terminal, or a pipe unless `isTTY`. */
export function inProcess(
  world: {
    readonly isTTY?: boolean;
    readonly stdin?: Terminal["stdin"] | string;
    readonly environment?: Terminal["environment"];
  } = {},
): Terminal & { readonly stdout: Kept; readonly stderr: Kept } {
  const { isTTY = false, stdin = "", environment = {} } = world;
  const input = typeof stdin === "string" ? bytesOf(stdin) : stdin;
  return { stdin: input, stdout: kept(isTTY), stderr: kept(isTTY), environment };
}

/** Runs one command line, and tells what it said. */
export async function runInProcess(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(args, terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function kept(isTTY: boolean): Kept {
  const sink: Kept = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        sink.text += String(chunk);
        done();
      },
    }),
    { isTTY, text: "" },
  );
  return sink;
}
