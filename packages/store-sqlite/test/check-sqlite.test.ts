/** What `stepgate store check` says of a file: each promise that it cannot keep, and what to do. */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { checkSqlite } from "@stepgate/store-sqlite";
import { expect, onTestFinished, test } from "vitest";
import { sampleRecord } from "@stepgate/contract";
import { newLog, one } from "./new-log.ts";

test("a sound log is sound in every respect, and is not changed by looking", async () => {
  const { path, open } = newLog();
  const store = open({ writer: "inline" });
  for (let seq = 0; seq < 20; seq++) await store.append(one("s", seq));
  const files = ["", "-wal", "-mark"].map((suffix) => readFileSync(`${path}${suffix}`));
  const findings = checkSqlite(path);
  expect(findings.filter(({ level, check }) => level !== "ok" && !isOfMachine(check))).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual([
    "permissions",
    "file system",
    "free space",
    "write-ahead log",
    "journal",
    "schema",
    "structure",
    "records",
    "high-water mark",
  ]);
  expect(messageOf(path, "records")).toBe("All 20 records are what was written.");
  expect(["", "-wal", "-mark"].map((suffix) => readFileSync(`${path}${suffix}`))).toEqual(files);
});

test("a file that others can open is a warning, with what to type", async () => {
  const { path, open } = newLog();
  await open().append(one("s", 0));
  chmodSync(path, 0o644);
  const [rights] = checkSqlite(path);
  expect(rights).toEqual({
    check: "permissions",
    level: "warning",
    message: "Others than its owner can open it (0644), and read who did what, or change it.",
    fix: `chmod 600 ${path}*`,
  });
});

test("what is not there, another program's database and what is no database are faults", () => {
  const { path } = newLog();
  expect(checkSqlite(path)).toMatchObject([{ check: "file", level: "fault" }]);
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, "these are my notes\n".repeat(100));
  expect(checkSqlite(path).at(-1)).toMatchObject({ level: "fault" });
  rmSync(path);
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE people (name TEXT)");
  other.close();
  expect(checkSqlite(path).at(-1)?.message).toMatch(/another program's database/);
  expect(() => checkSqlite("")).toThrow(TypeError);
});

test("a record that is not what was written is named, however long ago it was", async () => {
  const { path, open } = newLog();
  const store = open();
  await Promise.all(Array.from({ length: 600 }, (_, n) => store.append(one(`s${n}`, 0))));
  await store.close();
  const database = new DatabaseSync(path);
  database.exec(`
    DROP TRIGGER record_stands;
    UPDATE record SET line = replace(line, 'record', 'accord') WHERE position = 7;
  `);
  database.close();
  expect(checkSqlite(path).filter(({ level }) => level === "fault")).toEqual([
    {
      check: "records",
      level: "fault",
      message: "The record at position 7 is not what was written.",
      fix: "put back a copy of the log, and keep this one for what it may still tell",
    },
  ]);
});

test("a row or an index in which a letter was changed is a fault, wherever that is", async () => {
  const { path, open } = newLog();
  const store = open();
  const burning = sampleRecord("a-name", 0, "record", { nonce: "once" });
  await store.append({ sequence_id: "a-name", records: [burning] });
  await store.close();
  const bytes = readFileSync(path);
  let places = 0;
  for (let at = bytes.indexOf("a-name"); at !== -1; at = bytes.indexOf("a-name", at + 1)) {
    places++;
    const changed = Buffer.from(bytes);
    changed.write("b", at);
    writeFileSync(path, changed);
    expect(checkSqlite(path).some(({ level }) => level === "fault")).toBe(true);
  }
  // Its sequence, the index of sequences, and its line.
  expect(places).toBe(3);
});

test("a log in memory, which a restart would lose, is a fault", async (context) => {
  if (!existsSync("/dev/shm")) return context.skip("there is no /dev/shm");
  const folder = mkdtempSync("/dev/shm/stepgate-");
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { path, open } = newLog();
  await open().close();
  const file = join(folder, "log.db");
  writeFileSync(file, readFileSync(path));
  expect(statSync(file).size).toBeGreaterThan(0);
  expect(checkSqlite(file).find(({ check }) => check === "file system")).toMatchObject({
    level: "fault",
    message: expect.stringContaining("It lies in memory (tmpfs)"),
  });
});

/** What depends on where the tests run. */
function isOfMachine(check: string): boolean {
  return check === "file system" || check === "free space";
}

function messageOf(path: string, check: string): string | undefined {
  return checkSqlite(path).find((finding) => finding.check === check)?.message;
}
