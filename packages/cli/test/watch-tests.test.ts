/** `stepgate test --watch`: the real binary, real files, and the ways in which editors save them. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { REFUNDS, temporaryFolder } from "./binary.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const PASSING = `${REFUNDS}tests:
  - { name: t, calls: [{ tool: get_order, expect: ALLOW }] }
`;
const FAILING = PASSING.replace("expect: ALLOW", "expect: SEALED_SEQUENCE");
const WAITING = "watching for changes; Ctrl-C ends\n";

interface Watching {
  /** Resolves once this was said and the program waits again; what was said so far is forgotten. */
  says(text: string): Promise<void>;
  /** How often it waited so far. */
  runs(): number;
  stop(): Promise<number | null>;
}

function watching(cwd: string, ...args: readonly string[]): Watching {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(
    process.execPath,
    [MAIN, "test", "--watch", ...args],
    { cwd, stdio: ["ignore", "pipe", "pipe"] },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  let said = "";
  let heard = 0;
  let wake = (): void => {};
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      wake();
    });
  return {
    runs: () => said.split(WAITING).length - 1,
    says: (text) =>
      new Promise((resolve, reject) => {
        wake = () => {
          // Two pipes: what is said on one may come after what was said later on the other.
          const [at, end] = [said.indexOf(text, heard), said.indexOf(WAITING, heard)];
          if (at < 0 || end < 0) return;
          heard = Math.max(at + text.length, end + WAITING.length);
          resolve();
        };
        void ended.then((code) => reject(new Error(`ended with ${code}: ${said}`)));
        wake();
      }),
    async stop() {
      child.kill("SIGINT");
      return ended;
    },
  };
}

test("plays again whenever a file is saved, in place or by putting a new one there, and Ctrl-C is exit 0", async () => {
  const cwd = temporaryFolder({ "policy.yaml": PASSING });
  const watch = watching(cwd, "policy.yaml");
  await watch.says("1 passed, 0 failed");
  writeFileSync(join(cwd, "policy.yaml"), FAILING);
  await watch.says("0 passed, 1 failed");
  // As vim and others do: twice, since a watch on the file itself would be lost with the first.
  for (const [text, count] of [
    [PASSING, "1 passed, 0 failed"],
    [FAILING, "0 passed, 1 failed"],
  ] as const) {
    writeFileSync(join(cwd, "policy.yaml~"), text);
    renameSync(join(cwd, "policy.yaml~"), join(cwd, "policy.yaml"));
    await watch.says(count);
  }
  expect(await watch.stop()).toBe(0);
});

test("sees files of tests and policies come, change and go, in new folders too", async () => {
  const cwd = temporaryFolder({ "policy.yaml": PASSING });
  const watch = watching(cwd, ".");
  await watch.says("1 passed, 0 failed");
  mkdirSync(join(cwd, "more"));
  writeFileSync(
    join(cwd, "more", "a.policy-test.yaml"),
    "policy: ../policy.yaml\ntests: [{ name: a, calls: [{ tool: refund, expect: SEQUENCE_VIOLATION }] }]\n",
  );
  await watch.says("2 passed, 0 failed");
  rmSync(join(cwd, "more"), { recursive: true });
  await watch.says("1 passed, 0 failed");
  expect(await watch.stop()).toBe(0);
});

test("tells of a policy that is broken or gone, and goes on when it is back", async () => {
  const cwd = temporaryFolder({ "policy.yaml": PASSING });
  const watch = watching(cwd, "policy.yaml");
  await watch.says("1 passed, 0 failed");
  writeFileSync(join(cwd, "policy.yaml"), PASSING.replace("sequence:", "sequense:"));
  await watch.says("unknown key 'sequense'; did you mean 'sequence'?");
  rmSync(join(cwd, "policy.yaml"));
  await watch.says("policy.yaml: no such file or folder");
  writeFileSync(join(cwd, "policy.yaml"), PASSING);
  await watch.says("1 passed, 0 failed");
  expect(await watch.stop()).toBe(0);
});

test("watches the policy that a file of tests names, wherever it lies, and no neighbours", async () => {
  const cwd = temporaryFolder();
  for (const folder of ["tests", "policies"]) mkdirSync(join(cwd, folder));
  writeFileSync(join(cwd, "policies", "p.yaml"), REFUNDS);
  writeFileSync(
    join(cwd, "tests", "a.policy-test.yaml"),
    "policy: ../policies/p.yaml\ntests: [{ name: a, calls: [{ tool: get_order, expect: ALLOW }] }]\n",
  );
  const watch = watching(cwd, join("tests", "a.policy-test.yaml"));
  await watch.says("1 passed, 0 failed");
  writeFileSync(join(cwd, "policies", "other.yaml"), "x: 1\n");
  writeFileSync(join(cwd, "tests", "notes.yaml"), "x: 1\n");
  // Time enough for a run that there must not be.
  await delay(500);
  // Put there whole: half of it would be a run more.
  writeFileSync(join(cwd, "p"), REFUNDS.replace("get_order:", "get_orders:"));
  renameSync(join(cwd, "p"), join(cwd, "policies", "p.yaml"));
  await watch.says("did you mean 'get_orders'?");
  expect(watch.runs()).toBe(2);
  expect(await watch.stop()).toBe(0);
});

test("of what is not there at first nothing is watched: exit 2", async () => {
  await expect(watching(temporaryFolder(), "none.yaml").says(WAITING)).rejects.toThrow(
    "ended with 2: none.yaml: no such file or folder",
  );
});
