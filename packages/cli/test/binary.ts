/** Runs the real binary in a folder of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** What a process left behind. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder that goes when the test ends, with these files in it. */
export function temporaryFolder(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** `stepgate …` in a folder. */
export function stepgate(
  cwd: string,
  args: readonly string[],
  options: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Finished> {
  return run(process.execPath, [MAIN, ...args], cwd, options);
}

/** Any program in a folder. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  { stdin = "", env = {} }: { readonly stdin?: string; readonly env?: object } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { PATH: process.env["PATH"], ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    // One that reads nothing may be gone before it is written to.
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
  });
}

/** A policy of three steps with its tools; line and column of what tests point at are counted from here. */
export const REFUNDS = `schema: stepgate.policy/1
id: refunds
version: "1"
sequence: lookup, refund, settle
functions:
  lookup: [READ]
  refund: [WRITE_DB]
  settle: [WRITE_SUMMARY]
  report: { step: "*", actions: [EMIT_EVENT] }
tools:
  get_order: { function: lookup, action: READ }
  refund: { function: refund, action: WRITE_DB }
  settle: { function: settle, action: WRITE_SUMMARY }
`;
