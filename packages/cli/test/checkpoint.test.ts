/** `stepgate checkpoint`, `prove` and `verify --checkpoint`: what the log once signed, held against what it is now. */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  exportKeySet,
  generateSigningKey,
  importKeySet,
  isConsistent,
  readCheckpoint,
  recordHash,
  verifyProof,
} from "@stepgate/core";
import { expect, test } from "vitest";
import { openGate } from "../src/index.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { runInProcess as run } from "./in-process.ts";

/** A folder with a policy, keys and a store. */
function newFolder() {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const at = (name: string): string => join(folder, name);
  const store = `sqlite:${at("stepgate.db")}`;
  const keys = at(".stepgate");

  /** Records three sequences' worth of calls: an opening, an ALLOW and its outcome each. */
  async function record(...sequences: readonly string[]): Promise<void> {
    const gate = await openGate({ policy: at("policy.yaml"), store, keys });
    for (const sequence_id of sequences)
      await gate.enforce({ sequence_id, tool: "get_order" }, () => "done");
    await gate.close();
  }

  async function write(name: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await run(...args, "--store", store);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    writeFileSync(at(name), stdout);
    return at(name);
  }

  return {
    folder,
    at,
    record,
    run: (...args: readonly string[]) => run(...args, "--store", store, "--keys", keys),
    exported: () => write("receipts.jsonl", "receipts"),
    checkpoint: (name: string) => write(name, "checkpoint", "--keys", keys),
    verify: (file: string, ...args: readonly string[]) =>
      run("verify", file, "--keys", at(".stepgate/keys.json"), ...args),
    trusted: () => importKeySet(JSON.parse(readFileSync(at(".stepgate/keys.json"), "utf8"))),
  };
}

test("a checkpoint is a note for anyone to keep, and the export goes on from it", async () => {
  const { folder, record, at, exported, trusted } = newFolder();
  await record("a", "b");
  const { code, stdout, stderr } = await stepgate(folder, ["checkpoint"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { origin, size } = readCheckpoint(stdout, trusted());
  expect(size).toBe(7);
  expect(origin).toMatch(/^stepgate\/[0-9a-f]{32}$/);
  writeFileSync(at("monday.txt"), stdout);
  await record("c");
  await exported();
  const verified = await stepgate(folder, [
    "verify",
    "receipts.jsonl",
    "--keys",
    ".stepgate/keys.json",
    "--checkpoint",
    "monday.txt",
  ]);
  expect({ code: verified.code, stderr: verified.stderr }).toEqual({ code: 0, stderr: "" });
  expect(verified.stdout).toContain(
    "OPEN       a: 3 records; sound so far; only a tail after the last checkpoint can be missing\n",
  );
  expect(verified.stdout).toContain(
    `HOLDS      checkpoint ${origin}, 7 records: the log goes on from it; 3 records came after it\n`,
  );
});

test("in JSON a checkpoint is its parts and its note, and a verification tells of each", async () => {
  const { record, run, verify, exported, checkpoint, trusted } = newFolder();
  await record("a");
  const first = await checkpoint("first.txt");
  await record("b");
  const { stdout } = await run("checkpoint", "--json");
  const { note, ...parts } = JSON.parse(stdout);
  expect(readCheckpoint(note, trusted())).toEqual({ ...parts, note });
  const second = await checkpoint("second.txt");
  expect(readFileSync(second, "utf8")).toBe(note);
  const report = await verify(
    await exported(),
    "--checkpoint",
    second,
    "--checkpoint",
    first,
    "--json",
  );
  expect(report.code).toBe(0);
  expect(JSON.parse(report.stdout).checkpoints).toEqual([
    { origin: parts.origin, size: 4, root: expect.any(String), result: "HOLDS" },
    { ...parts, result: "HOLDS" },
  ]);
});

test("a sequence that is gone, a tail that is cut off: exit 1, with the finding", async () => {
  const { record, verify, exported, checkpoint, at } = newFolder();
  await record("a", "b");
  const earlier = await checkpoint("earlier.txt");
  await record("c");
  const lines = readFileSync(await exported(), "utf8")
    .split("\n")
    .slice(0, -1);
  const bent = at("bent.jsonl");
  const gone = lines.filter((line) => !line.includes('"sequence_id":"a"'));
  writeFileSync(bent, `${gone.join("\n")}\n`);
  expect((await verify(bent)).code).toBe(0);
  const forked = await verify(bent, "--checkpoint", earlier);
  expect(forked.code).toBe(1);
  expect(forked.stderr).toMatch(
    /^.*bent\.jsonl:7:1: FORK: the first 7 lines are not the records of/,
  );
  expect(forked.stdout).toContain("7 records: the file says otherwise");
  writeFileSync(bent, `${lines.slice(0, 6).join("\n")}\n`);
  const cut = await verify(bent, "--checkpoint", earlier);
  expect(cut.code).toBe(1);
  expect(cut.stderr).toMatch(
    /bent\.jsonl:6:1: TRUNCATED: ends after 6 records, and the checkpoint has 7\n$/,
  );
});

test("a checkpoint that is none, or of a stranger, is exit 2 and named", async () => {
  const { record, verify, exported, checkpoint, at } = newFolder();
  await record("a");
  const note = readFileSync(await checkpoint("note.txt"), "utf8");
  const file = await exported();
  writeFileSync(at("strangers.json"), JSON.stringify(exportKeySet([generateSigningKey()])));
  for (const [content, fault] of [
    ["hello\n", "is no signed note"],
    [note.replace("\n4\n", "\n5\n"), "does not belong to this note"],
    [note.replaceAll("stepgate/", "stepgate/0"), "no trusted key signed it"],
  ] as const) {
    writeFileSync(at("bad.txt"), content);
    const { code, stdout, stderr } = await verify(file, "--checkpoint", at("bad.txt"));
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(`${at("bad.txt")}: `);
    expect(stderr).toContain(fault);
  }
  expect((await verify(file, "--checkpoint", at("none.txt"))).stderr).toContain("no such file");
});

test("under a key that was revoked, a checkpoint that was kept before covers its records", async () => {
  const { record, verify, exported, checkpoint, at } = newFolder();
  await record("a");
  const kept = await checkpoint("kept.txt");
  const file = await exported();
  const set = JSON.parse(readFileSync(at(".stepgate/keys.json"), "utf8"));
  set.keys[0].revoked_from = Date.parse("2030-01-01T00:00:00Z") / 1000;
  writeFileSync(at(".stepgate/keys.json"), JSON.stringify(set));
  const codeWith = async (option: string) => (await verify(file, "--checkpoint", option)).code;
  expect(await codeWith(kept)).toBe(1);
  expect(await codeWith(`${kept}@2029-12-31T23:59:59Z`)).toBe(0);
  expect(await codeWith(`${kept}@2030-01-01T00:00:00Z`)).toBe(1);
  const wrong = await verify(file, "--checkpoint", `${kept}@2029-13-31T23:59:59Z`);
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("is no time")]);
});

test("a proof is of its record alone, against a new checkpoint or a given one", async () => {
  const { record, run, exported, checkpoint, trusted } = newFolder();
  await record("a");
  const earlier = await checkpoint("earlier.txt");
  await record("b");
  const lines = readFileSync(await exported(), "utf8")
    .split("\n")
    .slice(0, -1);
  const hashOf = (id: string, seq: number): string => {
    const records = lines.map((line) => JSON.parse(line));
    return recordHash(records.find((one) => one.sequence_id === id && one.seq === seq));
  };
  const fresh = await run("prove", "--sequence", "b", "--seq", "1");
  expect({ code: fresh.code, stderr: fresh.stderr }).toEqual({ code: 0, stderr: "" });
  expect(verifyProof(hashOf("b", 1), fresh.stdout, trusted()).size).toBe(7);
  expect(() => verifyProof(hashOf("b", 2), fresh.stdout, trusted())).toThrow("is not of record");
  const given = ["--checkpoint", earlier] as const;
  const old = await run("prove", "--sequence", "a", "--seq", "0", ...given);
  expect(verifyProof(hashOf("a", 0), old.stdout, trusted()).size).toBe(4);
  expect(old.stdout.endsWith(readFileSync(earlier, "utf8"))).toBe(true);
  const json = JSON.parse(
    (await run("prove", "--sequence", "a", "--seq", "0", ...given, "--json")).stdout,
  );
  expect(json).toMatchObject({ sequence_id: "a", seq: 0, index: 1 });
  expect(json.checkpoint).toBe(readFileSync(earlier, "utf8"));
  const late = await run("prove", "--sequence", "b", "--seq", "1", ...given);
  expect([late.code, late.stdout]).toEqual([2, ""]);
  expect(late.stderr).toContain("came after the checkpoint of 4 records");
  expect((await run("prove", "--sequence", "x", "--seq", "0")).stderr).toContain(
    "there is no record",
  );
  for (const seq of ["-1", "01", "1.5", "one"])
    expect((await run("prove", "--sequence", "a", "--seq", seq)).code).toBe(2);
});

test("since an earlier checkpoint: a proof that the log goes on from it, or FORK and no checkpoint", async () => {
  const { record, run, checkpoint, at, trusted } = newFolder();
  await record("a");
  const read = (file: string) => readCheckpoint(readFileSync(file, "utf8"), trusted());
  const first = await checkpoint("first.txt");
  copyFileSync(at("stepgate.db"), at("backup.db"));
  await record("b");
  const second = await checkpoint("second.txt");
  const { code, stdout } = await run("checkpoint", "--since", first, "--json");
  const { proof, since } = JSON.parse(stdout);
  expect([code, since]).toEqual([0, first]);
  expect(isConsistent(read(first), read(second), proof)).toBe(true);
  expect((await run("checkpoint", "--since", second)).stdout).toBe(readFileSync(second, "utf8"));
  // An older copy of the store, to which other things happen: the store itself sees it, but for who hides it.
  copyFileSync(at("backup.db"), at("stepgate.db"));
  expect((await run("checkpoint", "--since", second)).code).toBe(2);
  rmSync(at("stepgate.db-mark"));
  const shorter = await run("checkpoint", "--since", second);
  expect([shorter.code, shorter.stdout]).toEqual([1, ""]);
  expect(shorter.stderr).toContain(
    `${second}: FORK: the checkpoint has 7 records, the store only 4`,
  );
  await record("c", "d");
  const forked = await run("checkpoint", "--since", second);
  expect([forked.code, forked.stdout]).toEqual([1, ""]);
  expect(forked.stderr).toContain(
    "the first 7 records of the store are not those of the checkpoint",
  );
  expect((await run("checkpoint", "--since", first)).code).toBe(0);
});

test("without a store, records or keys there is no checkpoint, and nothing is made", async () => {
  const { folder, record, run, at } = newFolder();
  expect(await stepgate(folder, ["checkpoint"])).toMatchObject({
    code: 2,
    stderr: "stepgate.db: there is no such store\n",
  });
  await record("a");
  const { code, stderr } = await stepgate(folder, ["checkpoint", "--keys", "elsewhere"]);
  expect(code).toBe(2);
  expect(stderr).toContain("elsewhere");
  expect(existsSync(at("elsewhere"))).toBe(false);
  expect((await run("prove", "--sequence", "a")).code).toBe(2);
});
