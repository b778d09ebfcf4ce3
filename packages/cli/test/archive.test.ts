/** `stepgate archive`: the log in files, whatever happens to the process that writes them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { openGate } from "../src/index.ts";
import { REFUNDS, temporaryFolder } from "./binary.ts";
import { runInProcess as run } from "./in-process.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** A folder with a policy, keys and a store, and an archive of it in `kept`. */
function newFolder() {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const at = (...names: readonly string[]): string => join(folder, ...names);
  const store = `sqlite:${at("stepgate.db")}`;
  const keys = at(".stepgate");
  const command = ["archive", at("kept"), "--store", store, "--keys", keys];

  async function record(...sequences: readonly string[]): Promise<void> {
    const gate = await openGate({ policy: at("policy.yaml"), store, keys });
    for (const sequence_id of sequences)
      await gate.enforce({ sequence_id, tool: "get_order" }, () => "done");
    await gate.close();
  }

  /** The records of the archive, which must verify with the checkpoint beside them. */
  async function verified(): Promise<number> {
    const names = readdirSync(at("kept")).filter((name) => name.endsWith(".jsonl"));
    const text = names.map((name) => readFileSync(at("kept", name), "utf8")).join("");
    writeFileSync(at("all.jsonl"), text);
    const trust = ["--keys", at(".stepgate", "keys.json")];
    const checkpoint = ["--checkpoint", at("kept", "checkpoint.txt")];
    const { code, stderr } = await run("verify", at("all.jsonl"), ...trust, ...checkpoint);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return text.split("\n").length - 1;
  }

  return {
    at,
    record,
    verified,
    archive: (...args: readonly string[]) => run(...command, ...args),
    spawn: (...args: readonly string[]) => spawn(process.execPath, [MAIN, ...command, ...args]),
    receipts: async () => (await run("receipts", "--store", store)).stdout,
  };
}

test("an archive is the log, in files that verify, and each call adds what is new", async () => {
  const { at, record, archive, verified, receipts } = newFolder();
  await record("a", "b");
  const first = await archive("--records", "4");
  expect(first).toEqual({
    code: 0,
    stdout: `${at("kept")}: 7 records added, 7 in all\n`,
    stderr: "",
  });
  await record("c");
  const second = await archive("--json");
  expect(JSON.parse(second.stdout)).toEqual({
    folder: at("kept"),
    added: 3,
    records: 10,
    note: readFileSync(at("kept", "checkpoint.txt"), "utf8"),
  });
  expect(readdirSync(at("kept"))).toEqual([
    "0000000000000000-0000000000000004.jsonl",
    "0000000000000004-0000000000000007.jsonl",
    "0000000000000007-0000000000000010.jsonl",
    "checkpoint.txt",
  ]);
  expect(await verified()).toBe(10);
  expect(readFileSync(at("all.jsonl"), "utf8")).toBe(await receipts());
});

test("its files are for their owner alone", async () => {
  const { at, record, archive } = newFolder();
  await record("a");
  await archive();
  const modes = readdirSync(at("kept")).map((name) => statSync(at("kept", name)).mode & 0o777);
  expect(new Set(modes)).toEqual(new Set([0o600]));
  expect(statSync(at("kept")).mode & 0o777).toBe(0o700);
});

test("a file that is missing is told, and nothing is written after the gap", async () => {
  const { at, record, archive } = newFolder();
  await record("a", "b");
  await archive("--records", "2");
  rmSync(at("kept", "0000000000000002-0000000000000004.jsonl"));
  await record("c");
  const before = readdirSync(at("kept"));
  expect(await archive()).toEqual({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining(
      "0000000000000004-0000000000000006.jsonl: the segment before it must end at 4, and ends at 2",
    ),
  });
  expect(readdirSync(at("kept"))).toEqual(before);
});

test("an archive of another log is not gone on with", async () => {
  const [one, other] = [newFolder(), newFolder()];
  await one.record("a");
  await one.archive();
  await other.record("a", "b");
  mkdirSync(other.at("kept"));
  for (const name of readdirSync(one.at("kept")))
    writeFileSync(other.at("kept", name), readFileSync(one.at("kept", name)));
  const { code, stderr } = await other.archive();
  expect([code, readdirSync(other.at("kept"))]).toEqual([2, readdirSync(one.at("kept"))]);
  expect(stderr).toContain("key");
});

test("an archive that is killed at any moment is gone on with, and nothing is missing", async () => {
  const { record, spawn: begin, archive, verified } = newFolder();
  await record("a");
  for (let round = 0; round < 5; round++) {
    await record(...Array.from({ length: 20 }, (_, n) => `s-${round}-${n}`));
    const child = begin("--records", "1");
    // By then the process has begun, and is somewhere in its work.
    setTimeout(() => child.kill("SIGKILL"), 250 + round * 60).unref();
    await once(child, "exit");
  }
  expect((await archive()).code).toBe(0);
  expect(await verified()).toBe(4 + 5 * 20 * 3);
});

test("--follow archives what comes, and ends with 0 where it is asked to", async () => {
  const { at, record, spawn: begin, verified } = newFolder();
  await record("a");
  const child = begin("--follow", "--every", "1s");
  onTestFinished(() => void child.kill("SIGKILL"));
  const archived = (records: number): boolean =>
    readdirSync(at("kept")).includes(
      `${"4".padStart(16, "0")}-${String(records).padStart(16, "0")}.jsonl`,
    );
  await once(child.stdout, "data");
  await record("b");
  for (let waited = 0; waited < 100 && !archived(7); waited++) await sleep(100);
  expect(archived(7)).toBe(true);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(await verified()).toBe(7);
});

test("options that say nothing are refused", async () => {
  const { record, archive } = newFolder();
  await record("a");
  expect((await archive("--records", "0")).stderr).toContain("--records 0: write a whole number");
  expect((await archive("--every", "soon")).stderr).toContain("--every soon");
});
