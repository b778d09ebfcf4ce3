/** The tables of a log, and how one of an earlier version is brought up to date. */
import type { DatabaseSync } from "node:sqlite";

/** "Step" in ASCII, at offset 68 of the file: tells our files from other programs' (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x53_74_65_70;
/** What this program writes; it reads every earlier one. */
export const SCHEMA_VERSION = 4;

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

/** `rowChecksum` of a row, so that one in which a bit fell over is never taken for what was written. Earlier rows have none. */
const CHECKSUMS = `
  ALTER TABLE record ADD COLUMN crc INTEGER;
  ALTER TABLE counter ADD COLUMN crc INTEGER;
`;

/** What each version added to the one before, from version 2 on: a log of an older one is brought up to date when it is opened. */
const ADDITIONS = [COUNTERS, TREE, CHECKSUMS];

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

/** Several processes may open a file at once: the first to hold the lock makes the tables that are missing. */
export function bringUpToDate(database: DatabaseSync): void {
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

/** The value of a setting of SQLite's. */
export function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}
