/** Opening the file: whose it is, which schema it holds, and the settings that durability rests on. */
import { closeSync, openSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { isBusy } from "./patience.ts";

/** "Step" in ASCII, at offset 68 of the file: tells our files from other programs' (`PRAGMA application_id`). */
const APPLICATION_ID = 0x53_74_65_70;
const SCHEMA_VERSION = 3;
const OPENING_TIMEOUT_MS = 5000;

/** Totals are text, for they are decimals of any length; the index finds windows that ended. */
const COUNTERS = `
  CREATE TABLE counter (name TEXT PRIMARY KEY, total TEXT NOT NULL, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX counter_end ON counter (until_ms);
`;

/**
 * The nodes of the log's tree, 32 bytes each, every one of them full and so for ever the same. Those of level 0 are the
 * leaves: leaf indexes are given in the order of positions, so that the leaf of position p has index p - 1, and there are
 * as many as records with an index.
 */
const TREE = `
  CREATE TABLE node (
    level INTEGER NOT NULL CHECK (level >= 0),
    place INTEGER NOT NULL CHECK (place >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, place)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER node_stays BEFORE DELETE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never removed'); END;
  CREATE TRIGGER node_stands BEFORE UPDATE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never changed'); END;
`;

/** What each version added to the one before, from version 2 on: a log of an older one is brought up to date when it is opened. */
const ADDITIONS = [COUNTERS, TREE];

/**
 * Positions count commits: only the holder of the write lock gives one out, and no row is ever removed, so that they run
 * from 1 without a gap. ALLOWs without an
 * outcome stand in a table of their own, because an index over records would grow with the log or need records that
 * change; so a start reads as many rows as there are open ALLOWs, however long the log.
 */
const SCHEMA = `
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
  PRAGMA application_id = ${APPLICATION_ID};
`;

/** Opens or begins the log at `path`. The connection never blocks on a lock; callers wait with `patiently`. */
export function openDatabase(path: string): DatabaseSync {
  const file = filePath(path);
  makeFile(file);
  const database = open(file);
  try {
    mustBeOurs(database, file);
    setDurability(database, file);
    begin(database);
    database.exec("PRAGMA busy_timeout = 0");
    return database;
  } catch (cause) {
    database.close();
    throw cause instanceof GateError ? cause : cannotOpen(file, reasonOf(cause), cause);
  }
}

/** Absolute, so that neither `file:` addresses nor a later change of folder lead elsewhere. */
function filePath(path: string): string {
  if (typeof path !== "string" || path === "")
    throw new TypeError("sqliteStore needs the path of a file");
  if (path === ":memory:")
    throw new TypeError(
      "sqliteStore keeps a file; for a store in memory use memoryStore() of @stepgate/core",
    );
  if (/^file:/i.test(path))
    throw new TypeError("sqliteStore needs a plain path, not a file: address");
  return resolve(path);
}

/** A new file is for its owner only, for receipts say who did what; SQLite gives its side files the same mode. */
function makeFile(file: string): void {
  const folder = dirname(file);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw cannotOpen(file, `the folder ${folder} does not exist`);
  try {
    // Exclusive: closing a descriptor of a file that is open already would drop this process's locks on it (POSIX).
    closeSync(openSync(file, "wx", 0o600));
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST"))
      throw cannotOpen(file, reasonOf(cause), cause);
  }
}

function open(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { timeout: OPENING_TIMEOUT_MS });
  } catch (cause) {
    throw cannotOpen(file, reasonOf(cause), cause);
  }
}

/** Looks before anything is written: another program's database must come out of this unchanged. */
function mustBeOurs(database: DatabaseSync, file: string): void {
  const { application, version, tables } = look(database);
  if (application !== APPLICATION_ID && (application !== 0 || tables !== 0))
    throw cannotOpen(file, "it is another program's database");
  const known = Number(version) >= 1 && Number(version) <= SCHEMA_VERSION;
  if (application === APPLICATION_ID && !known) {
    throw cannotOpen(
      file,
      `its schema is version ${String(version)}, and this program knows version ${SCHEMA_VERSION}`,
    );
  }
}

/** All of one moment: between two looks another process may have made the tables. */
function look(database: DatabaseSync): Record<"application" | "version" | "tables", unknown> {
  database.exec("BEGIN");
  try {
    const application = pragma(database, "application_id");
    const version = pragma(database, "user_version");
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
    return { application, version, tables };
  } finally {
    database.exec("ROLLBACK");
  }
}

/** Set explicitly and read back: a build of SQLite or a file system may have it otherwise. */
function setDurability(database: DatabaseSync, file: string): void {
  if (writeAheadLog(database) !== "wal")
    throw cannotOpen(file, "no write-ahead log can be kept there (a network file system?)");
  // On macOS a plain fsync stops at the drive's cache; elsewhere these two change nothing.
  database.exec("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
  database.exec("PRAGMA synchronous = FULL");
  if (pragma(database, "synchronous") !== 2)
    throw cannotOpen(file, "synchronous = FULL did not take");
}

/** SQLite's own waiting does not cover this switch, which needs the whole file for a moment. */
function writeAheadLog(database: DatabaseSync): unknown {
  const deadline = performance.now() + OPENING_TIMEOUT_MS;
  for (;;) {
    try {
      return database.prepare("PRAGMA journal_mode = WAL").get()?.["journal_mode"];
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Several processes may open a file at once: the first to hold the lock makes the tables that are missing. */
function begin(database: DatabaseSync): void {
  if (missing(database) === undefined) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    database.exec(missing(database) ?? "");
    database.exec("COMMIT");
  } finally {
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

function missing(database: DatabaseSync): string | undefined {
  const isNew = pragma(database, "application_id") !== APPLICATION_ID;
  const version = isNew ? 1 : Number(pragma(database, "user_version"));
  if (version === SCHEMA_VERSION) return undefined;
  const additions = ADDITIONS.slice(version - 1);
  const steps = [
    ...(isNew ? [SCHEMA] : []),
    ...additions,
    `PRAGMA user_version = ${SCHEMA_VERSION}`,
  ];
  return steps.join("\n");
}

function pragma(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function cannotOpen(file: string, reason: string, cause?: unknown): GateError {
  return new GateError("STORE_UNAVAILABLE", `cannot open the store ${file}: ${reason}`, { cause });
}
