/** Which files the store takes, how it makes them, and what it sets on them. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  createGate,
  FORGOTTEN_AFTER_MS,
  GateError,
  generateSigningKey,
  memoryStore,
  recordHash,
} from "@stepgate/core";
import { AT_MS, counting, sampleRecord } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { checkSqlite, sqliteStore } from "@stepgate/store-sqlite";
import { expect, test } from "vitest";
import { RACE_POLICY } from "../../contract/src/gate-races.ts";
import { openDatabase } from "../src/database.ts";
import { rowChecksum } from "../src/row-checksum.ts";
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
    ["log.db-mark", "600"],
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
  later.exec("PRAGMA user_version = 6");
  later.close();
  expect(unavailable(path)).toMatch(/its schema is version 6, and this program knows version 5$/);
});

test("a log of the schema before counters is brought up to date, with everything that it holds", async () => {
  const { path, open } = newLog();
  const standing = one("s", 0, "written before counters");
  writeWithoutCounters(path, standing.records[0].line);
  const [store, second] = [open(), open()];
  expect(await store.read("s", 0)).toEqual([standing.records[0].line]);
  expect(await store.append(standing)).toBe("won");
  const counters = counting("c", "1", "1");
  expect(await store.append({ ...one("s", 1), counters })).toBe("won");
  expect(await second.append({ ...one("s", 2), counters })).toBe("limited");
  expect(schemaOf(path)).toEqual(schemaOf(await newlyMade()));
});

test("a log of the schema before counters stays as it was where it cannot be brought up to date", () => {
  const { path } = newLog();
  writeWithoutCounters(path, "{}");
  // A name that is taken: what comes after it must be undone with it.
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE elsewhere (n); CREATE INDEX counter_end ON elsewhere (n)");
  other.close();
  const before = schemaOf(path);
  expect(unavailable(path)).toMatch(/index counter_end already exists$/);
  expect(schemaOf(path)).toEqual(before);
});

test("a log of the schema before the tree is brought up to date, and its records take their leaf indexes", async () => {
  const { path, open } = newLog();
  writeWithoutCounters(path, "{}");
  const old = new DatabaseSync(path);
  old.exec(`
    ${COUNTERS_WITHOUT_CRC}
    INSERT INTO counter VALUES ('c', '1', ${AT_MS});
    PRAGMA user_version = 2;
  `);
  old.close();
  const store = open();
  expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
  const leaf = { sequence_id: "s", seq: 0, hash: "ab".repeat(32) };
  expect(await store.index({ size: 0, leaves: [leaf], nodes: [] })).toBe("won");
  expect(await store.leaf("s", 0)).toBe(0);
  expect(schemaOf(path)).toEqual(schemaOf(await newlyMade()));
});

test("a log that names its sequences in every row is brought up to date: all of it is copied, and its open ALLOWs find their records", async () => {
  const { path, open } = newLog();
  const { lines, hashes } = await receiptsOfGate();
  writeWithoutCounters(path, lines[0] ?? "");
  const old = new DatabaseSync(path);
  old.exec(NAMED_SEQUENCES);
  const record = old.prepare("INSERT INTO record VALUES (NULL, ?, ?, ?, ?, ?)");
  const opens = old.prepare("INSERT INTO open_allow VALUES (?, ?, 'gate', ?)");
  for (const [index, line] of lines.slice(1).entries()) {
    const [seq, nonce] = [index + 1, `nonce-${index}`];
    record.run("s", seq, nonce, line, rowChecksum("s", seq, nonce, line));
  }
  record.run("t", 0, null, "{}", rowChecksum("t", 0, null, "{}"));
  for (const [index, hash] of hashes.entries()) opens.run(hash, "s", index);
  old.close();
  const store = open();
  const listed = await Array.fromAsync(store.openAllows());
  expect(listed).toEqual(
    hashes.map((hash, expires_ms) => ({ sequence_id: "s", hash, gate_id: "gate", expires_ms })),
  );
  expect(await Array.fromAsync(store.lines())).toEqual([...lines, "{}"]);
  expect(await store.read("s", 1)).toEqual(lines.slice(1));
  const [last = 0, burnt] = [
    lines.length,
    sampleRecord("s", lines.length, "x", { nonce: "nonce-0" }),
  ];
  expect(await store.append({ sequence_id: "s", records: [burnt] })).toBe("replay");
  const outcome = sampleRecord("s", last, "outcome", { closes: hashes[1] ?? "" });
  expect(await store.append({ sequence_id: "s", records: [outcome] })).toBe("won");
  expect(await Array.fromAsync(store.openAllows())).toHaveLength(hashes.length - 1);
  expect(schemaOf(path)).toEqual(schemaOf(await newlyMade()));
  await store.close();
  expect(checkSqlite(path).filter(({ level }) => level === "fault")).toEqual([]);
});

test.for([
  [
    "an open ALLOW has no record",
    "INSERT INTO open_allow VALUES ('sha256:0', 's', 'gate', 1)",
    /an ALLOW that is open has no record$/,
  ],
  [
    "a sequence has no beginning",
    "INSERT INTO record (sequence_id, seq, line) VALUES ('t', 1, '{}')",
    /NOT NULL constraint failed: record\.sequence$/,
  ],
] as const)("an older log in which %s is refused, and left as it was", ([, damage, says]) => {
  const { path } = newLog();
  writeWithoutCounters(path, JSON.stringify({ v: "none" }));
  const old = new DatabaseSync(path);
  old.exec(damage);
  old.close();
  const before = schemaOf(path);
  expect(unavailable(path)).toMatch(says);
  expect(schemaOf(path)).toEqual(before);
});

test("the tree can be neither changed nor removed, not even by SQL, and what is no node is refused", async () => {
  const { path, open } = newLog();
  const store = open();
  await store.append(one("s", 0));
  const leaf = { sequence_id: "s", seq: 0, hash: "ab".repeat(32) };
  for (const wrong of [
    { size: -1, leaves: [leaf], nodes: [] },
    { size: 0, leaves: [{ ...leaf, hash: "AB".repeat(32) }], nodes: [] },
    { size: 0, leaves: [{ ...leaf, sequence_id: "\ud800" }], nodes: [] },
    { size: 0, leaves: [leaf], nodes: [{ level: 0, index: 0, hash: leaf.hash }] },
    { size: 0, leaves: [leaf], nodes: [{ level: 1, index: 0.5, hash: leaf.hash }] },
    { size: 0, leaves: [leaf], nodes: [{ level: 1, index: 0, hash: "" }] },
  ] as const)
    await expect(store.index(wrong)).rejects.toThrow(TypeError);
  expect(await store.index({ size: 0, leaves: [leaf], nodes: [] })).toBe("won");
  const shell = new DatabaseSync(path, { timeout: 1000 });
  expect(() => shell.exec("UPDATE node SET level = 9")).toThrow("nodes are never changed");
  expect(() => shell.exec("DELETE FROM node")).toThrow("nodes are never removed");
  shell.close();
});

test("windows that ended are forgotten a few at a time, and never those that may be asked for", async () => {
  const { path, open } = newLog();
  const store = open();
  const step = (at_ms: number) => ({ counter: `at ${at_ms}`, add: "1", max: "9", at_ms });
  const count = (n: number, at_ms: number) =>
    store.append({
      ...one(`s${n}`, 0),
      counters: [{ ...step(at_ms), until_ms: at_ms + 1 }],
    });
  await Promise.all(Array.from({ length: 100 }, (_, n) => count(n, AT_MS + n)));
  expect(countersIn(path)).toBe(100);
  // A day after the first fifty windows.
  const later = AT_MS + 51 + FORGOTTEN_AFTER_MS;
  await count(100, later);
  expect(countersIn(path)).toBe(93);
  for (let n = 101; n < 120; n++) await count(n, later);
  const kept = await store.counters(Array.from({ length: 100 }, (_, n) => `at ${AT_MS + n}`));
  expect([...kept.keys()]).toEqual(Array.from({ length: 50 }, (_, n) => `at ${AT_MS + 50 + n}`));
  expect(countersIn(path)).toBe(51);
});

test("an append that moves no counter, or is limited, forgets none", async () => {
  const { path, open } = newLog();
  const store = open();
  await store.append({ ...one("s", 0), counters: counting("c", "1", "1") });
  const at_ms = AT_MS + 10 * FORGOTTEN_AFTER_MS;
  const [late] = counting("d", "2", "1").map((step) => ({ ...step, at_ms, until_ms: at_ms }));
  if (late === undefined) throw new Error("no step");
  expect(await store.append({ ...one("s", 1), counters: [late] })).toBe("limited");
  expect(await store.append(one("s", 1))).toBe("won");
  expect(countersIn(path)).toBe(1);
  expect(await store.append({ ...one("s", 2), counters: [{ ...late, max: "2" }] })).toBe("won");
  expect(await store.counters(["c", "d"])).toEqual(new Map([["d", "2"]]));
});

test("the log is written ahead, every commit reaches the disk, and no lock is waited for inside SQLite", () => {
  const { database } = openDatabase(newLog().path);
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
  expect(() => shell.exec("UPDATE sequence SET name = 't'")).toThrow("sequences are never changed");
  expect(() => shell.exec("DELETE FROM sequence")).toThrow("sequences are never removed");
  shell.close();
});

/** What version 2 of the schema added. */
const COUNTERS_WITHOUT_CRC = `
  CREATE TABLE counter (name TEXT PRIMARY KEY, total TEXT NOT NULL, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX counter_end ON counter (until_ms);
`;

/** What versions 2 to 4 of the schema added: spelt out, for it is not to change with what is made today. */
const NAMED_SEQUENCES = `
    ${COUNTERS_WITHOUT_CRC}
  CREATE TABLE node (
    level INTEGER NOT NULL CHECK (level >= 0),
    place INTEGER NOT NULL CHECK (place >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, place)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER node_stays BEFORE DELETE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never removed'); END;
  CREATE TRIGGER node_stands BEFORE UPDATE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never changed'); END;
  ALTER TABLE record ADD COLUMN crc INTEGER;
  ALTER TABLE counter ADD COLUMN crc INTEGER;
  PRAGMA user_version = 4;
`;

/** The lines of one sequence of a gate, and the hashes of its ALLOWs. */
async function receiptsOfGate(): Promise<{ lines: readonly string[]; hashes: readonly string[] }> {
  const store = memoryStore();
  const gate = await createGate({
    policies: [compilePolicy(RACE_POLICY)],
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    store,
  });
  const hashes: string[] = [];
  for (const name of ["intake", "lookup", "lookup"]) {
    const call = { sequence_id: "s", function: name, action_type: "READ", args: {} };
    const { receipt } = await gate.decide(call);
    hashes.push(receipt === undefined ? "" : recordHash(receipt));
  }
  return { lines: await store.read("s", 0), hashes };
}

/** A log as version 1 of the schema made it: without counters. */
function writeWithoutCounters(path: string, line: string): void {
  const old = new DatabaseSync(path);
  old.exec(`
    CREATE TABLE record (
      position INTEGER PRIMARY KEY,
      sequence_id TEXT NOT NULL,
      seq INTEGER NOT NULL CHECK (seq >= 0),
      nonce TEXT,
      line TEXT NOT NULL,
      UNIQUE (sequence_id, seq)
    ) STRICT;
    CREATE UNIQUE INDEX burnt_nonce ON record (sequence_id, nonce) WHERE nonce IS NOT NULL;
    CREATE TRIGGER record_stays BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
    CREATE TRIGGER record_stands BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
    CREATE TABLE open_allow (
      hash TEXT PRIMARY KEY,
      sequence_id TEXT NOT NULL,
      gate_id TEXT NOT NULL,
      expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE document (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA application_id = ${0x53_74_65_70};
    PRAGMA user_version = 1;
  `);
  old.prepare("INSERT INTO record (sequence_id, seq, line) VALUES ('s', 0, ?)").run(line);
  old.close();
}

async function newlyMade(): Promise<string> {
  const { path, open } = newLog();
  await open().close();
  return path;
}

/** Tables, indexes and triggers by name, laid out alike, and the version that the file names. */
function schemaOf(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  const made = database
    .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    .all()
    .map(({ name, sql }) => [name, String(sql).replace(/\s+/g, " ")]);
  const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
  database.close();
  return { made, version };
}

function countersIn(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare("SELECT count(*) AS n FROM counter").get();
  database.close();
  return row?.["n"];
}

function unavailable(path: string): string {
  try {
    void sqliteStore(path).close();
  } catch (error) {
    if (GateError.isInstance(error) && error.code === "STORE_UNAVAILABLE") return error.message;
    throw error;
  }
  throw new Error("the file was taken");
}
