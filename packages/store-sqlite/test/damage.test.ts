/** Damage on the disk: refused where the log is opened, or an error where it is read, and never an answer that was not written. */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { sqliteStore } from "@stepgate/store-sqlite";
import { expect, test } from "vitest";
import { seededRandom } from "../../contract/src/seeded-random.ts";
import { breakBeforeCommits } from "../src/wal-damage.ts";
import { flipBytes } from "./flipped-bytes.ts";
import { newLog, one } from "./new-log.ts";

const SEED = 20_261_130;

test.for([
  ["", 60],
  ["-wal", 40],
  ["-mark", 10],
] as const)(
  "a bit that falls over in log.db%s is refused, or changes no answer",
  { timeout: 120_000 },
  async ([suffix, flips]) => {
    const { folder } = newLog();
    const report = await flipBytes({ flips, seed: SEED, folder, suffix });
    expect(report.violations).toEqual([]);
    expect(report.refused).toBeGreaterThan(0);
  },
);

test("a bit that fell over before the last commit of a write-ahead log is told from its end, wherever it is", async () => {
  const { path, open } = newLog();
  const store = open({ writer: "inline" });
  for (let seq = 0; seq < 12; seq++) await store.append(one("s", seq));
  const before = readFileSync(`${path}-wal`).length;
  await store.append(one("s", 12));
  const wal = readFileSync(`${path}-wal`);
  expect(wal.length).toBeGreaterThan(before);
  expect(breakBeforeCommits(wal)).toBeUndefined();
  const random = seededRandom(SEED);
  for (let flip = 0; flip < 400; flip++) {
    const copy = Buffer.from(wal);
    const at = flip < 32 ? flip : Math.floor(random() * before);
    copy.writeUInt8(copy.readUInt8(at) ^ (1 << (flip % 8)), at);
    expect([at, breakBeforeCommits(copy)]).not.toContain(undefined);
  }
});

test("an end of a write-ahead log that a loss of power tore is no damage, wherever it is torn", async () => {
  const { path, open } = newLog();
  const store = open({ writer: "inline" });
  for (let seq = 0; seq < 6; seq++) await store.append(one("s", seq));
  const before = readFileSync(`${path}-wal`).length;
  await store.append(one("s", 6));
  const wal = readFileSync(`${path}-wal`);
  for (let at = before; at < wal.length; at += 97) {
    expect(breakBeforeCommits(wal.subarray(0, at))).toBeUndefined();
    const torn = Buffer.from(wal);
    torn.fill(0, at, Math.min(at + 512, wal.length));
    expect(breakBeforeCommits(torn)).toBeUndefined();
  }
});

test("acknowledged records that are missing are told of, with how to go on, and nothing is changed", async () => {
  const { path, open } = newLog();
  const store = open({ writer: "inline" });
  await store.append(one("s", 0));
  await store.close();
  copyFileSync(path, `${path}.old`);
  const later = open({ writer: "inline" });
  await later.append(one("s", 1));
  await later.close();
  copyFileSync(`${path}.old`, path);
  const bytes = readFileSync(path);
  expect(() => sqliteStore(path)).toThrow(
    /lost acknowledged records: it had 2, and holds 1\. .* remove .*log\.db-mark$/,
  );
  expect(readFileSync(path)).toEqual(bytes);
  rmSync(`${path}-mark`);
  expect(await open().read("s", 0)).toHaveLength(1);
});

test("a write-ahead log with damage before acknowledged commits is left as it is", async () => {
  const { folder, path, open } = newLog();
  const store = open({ writer: "inline" });
  for (let seq = 0; seq < 8; seq++) await store.append(one("s", seq));
  const [log, wal] = [readFileSync(path), readFileSync(`${path}-wal`)];
  wal.writeUInt8(wal.readUInt8(20_000) ^ 1, 20_000);
  const copy = `${folder}/copy.db`;
  writeFileSync(copy, log);
  writeFileSync(`${copy}-wal`, wal);
  expect(() => sqliteStore(copy)).toThrow(/copy\.db-wal is damaged at frame \d+/);
  expect(existsSync(`${copy}-wal`)).toBe(true);
  expect(readFileSync(`${copy}-wal`)).toEqual(wal);
});
