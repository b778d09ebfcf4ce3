/** Which files the store takes, how it makes them, and what it sets on them. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { expect, test } from "vitest";
import { openDatabase } from "../src/database.ts";
import { newLog, one } from "./new-log.ts";

test("a new file and those beside it are for their owner only", async () => {
  const { folder, open } = newLog();
  await open().append(one("s", 0));
  const modes = readdirSync(folder).map((name) => [
    name,
    (statSync(join(folder, name)).mode & 0o777).toString(8),
  ]);
  expect(modes).toEqual([
    ["log.db", "600"],
    ["log.db-shm", "600"],
    ["log.db-wal", "600"],
  ]);
});

test("the folder must exist, and is not made", () => {
  const { folder } = newLog();
  expect(unavailable(join(folder, "nowhere", "log.db"))).toMatch(
    /the folder .*nowhere does not exist$/,
  );
  expect(readdirSync(folder)).toEqual([]);
});

test("what is not the path of a file is refused at construction, with a hint", () => {
  expect(() => sqliteStore(":memory:")).toThrow(
    new TypeError(
      "sqliteStore keeps a file; for a store in memory use memoryStore() of @stepgate/core",
    ),
  );
  for (const path of ["", "file:log.db", "FILE:log.db?mode=memory", undefined, 1]) {
    expect(() => sqliteStore({ path: path as string })).toThrow(TypeError);
  }
  for (const busyTimeoutMs of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => sqliteStore({ path: newLog().path, busyTimeoutMs })).toThrow(TypeError);
  }
});

test("a folder in place of the file is refused", () => {
  expect(unavailable(newLog().folder)).toMatch(/cannot open the store .*: /);
});

test("another program's database is refused and left as it was", () => {
  const { folder, path } = newLog();
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE people (name TEXT)");
  other.close();
  const before = readFileSync(path);
  expect(unavailable(path)).toMatch(/another program's database$/);
  expect(readFileSync(path)).toEqual(before);
  expect(readdirSync(folder)).toEqual(["log.db"]);
});

test("an empty database that names another application is refused", () => {
  const { path } = newLog();
  const other = new DatabaseSync(path);
  other.exec("PRAGMA application_id = 1");
  other.close();
  expect(unavailable(path)).toMatch(/another program's database$/);
});

test("a file that is no database is refused and left as it was", () => {
  const { path } = newLog();
  writeFileSync(path, "these are my notes\n".repeat(100));
  expect(unavailable(path)).toMatch(/file is not a database$/);
  expect(readFileSync(path, "utf8")).toBe("these are my notes\n".repeat(100));
});

test("a log of a later schema is refused, with both versions", async () => {
  const { path, open } = newLog();
  await open().close();
  const later = new DatabaseSync(path);
  later.exec("PRAGMA user_version = 3");
  later.close();
  expect(unavailable(path)).toMatch(/its schema is version 3, and this program knows version 2$/);
});

test("the log is written ahead, every commit reaches the disk, and no lock is waited for inside SQLite", () => {
  const database = openDatabase(newLog().path);
  const settings = [
    "journal_mode",
    "synchronous",
    "fullfsync",
    "checkpoint_fullfsync",
    "busy_timeout",
  ];
  const values = settings.map(
    (name) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0],
  );
  database.close();
  expect(values).toEqual(["wal", 2, 1, 1, 0]);
});

test("records can be neither changed nor removed, not even by SQL", async () => {
  const { path, open } = newLog();
  await open().append(one("s", 0));
  const shell = new DatabaseSync(path, { timeout: 1000 });
  expect(() => shell.exec("UPDATE record SET line = '{}'")).toThrow("records are never changed");
  expect(() => shell.exec("DELETE FROM record")).toThrow("records are never removed");
  shell.close();
});

function unavailable(path: string): string {
  try {
    void sqliteStore(path).close();
  } catch (error) {
    if (GateError.isInstance(error) && error.code === "STORE_UNAVAILABLE") return error.message;
    throw error;
  }
  throw new Error("the file was taken");
}
