/** Questions to git, without a shell: no name of a branch or a file is ever part of a command line that is parsed. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { GateError } from "@stepgate/core";

/** A repository's answers. */
export interface Git {
  /** What git prints. @throws GateError INVALID_INPUT with git's own words where it fails. */
  ask(...args: readonly string[]): Promise<string>;
  /** What git prints, or nothing where it ends with 1: git's way to say no. */
  find(...args: readonly string[]): Promise<string | undefined>;
}

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1_048_576;

/** Git in a folder. */
export function openGit(cwd: string): Git {
  const ask = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await run("git", args, { cwd, maxBuffer: MAX_OUTPUT });
    return stdout;
  };
  return {
    ask: (...args) =>
      ask(...args).catch((cause: unknown) => {
        throw gitFault(args, cause);
      }),
    find: (...args) =>
      ask(...args).catch((cause: unknown) => {
        if (isNo(cause)) return undefined;
        throw gitFault(args, cause);
      }),
  };
}

function isNo(cause: unknown): boolean {
  return typeof cause === "object" && cause !== null && "code" in cause && cause.code === 1;
}

function gitFault(args: readonly string[], cause: unknown): GateError {
  const said = typeof cause === "object" && cause !== null && "stderr" in cause ? cause.stderr : "";
  const reason = String(said).trim() || (cause instanceof Error ? cause.message : String(cause));
  return new GateError("INVALID_INPUT", `git ${args[0]}: ${reason}`, { cause });
}
