/** The tables of a log. */
import type { DatabaseSync } from "node:sqlite";

/** "Step" in ASCII, at offset 68 of the file: tells our files from other programs' (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x53_74_65_70;
/** What this program writes; it reads every earlier one. */
export const SCHEMA_VERSION = 5;
/**
 * Of a file that begins; those from before version 5 keep SQLite's own 4096. A record takes some 1.4 KB: two of them leave
 * a third of 4096 bytes empty, and every page is written twice, to the write-ahead log and to the file.
 */
export const PAGE_BYTES = 8192;

/**
 * Positions count commits: only the holder of the write lock gives one out, and no row is ever removed, so that they run
 * from 1 without a gap. Sequences are numbered as they begin, so that those that run at the same time lie side by side in
 * the indexes; by their names every append would write pages of its own. `crc` is the `rowChecksum` of a row, so that one
 * in which a bit fell over is never taken for what was written; rows from before version 4 have none.
 *
 * ALLOWs without an outcome stand in a table of their own, because an index over records would grow with the log or need
 * records that change; so a start reads as many rows as there are open ALLOWs, however long the log.
 */
export const RECORDS = `
  CREATE TABLE sequence (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE record (
    position INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0),
    nonce TEXT,
    line TEXT NOT NULL,
    crc INTEGER,
    UNIQUE (sequence, seq)
  ) STRICT;
  CREATE UNIQUE INDEX burnt_nonce ON record (sequence, nonce) WHERE nonce IS NOT NULL;
  CREATE TABLE open_allow (
    position INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    gate_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TRIGGER sequence_stays BEFORE DELETE ON sequence BEGIN SELECT RAISE(ABORT, 'sequences are never removed'); END;
  CREATE TRIGGER sequence_stands BEFORE UPDATE ON sequence BEGIN SELECT RAISE(ABORT, 'sequences are never changed'); END;
  CREATE TRIGGER record_stays BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
  CREATE TRIGGER record_stands BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
`;

/** Policies and contexts by their digests, and what the store itself is to remember. */
export const TEXTS = `
  CREATE TABLE document (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
  CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Totals are text, for they are decimals of any length; the index finds windows that ended. */
export const COUNTERS = `
  CREATE TABLE counter (name TEXT PRIMARY KEY, total TEXT NOT NULL, until_ms INTEGER NOT NULL, crc INTEGER) STRICT, WITHOUT ROWID;
  CREATE INDEX counter_end ON counter (until_ms);
`;

/**
 * The nodes of the log's tree, 32 bytes each, every one of them full and so for ever the same. Those of level 0 are the
 * leaves: leaf indexes are given in the order of positions, so that the leaf of position p has index p - 1, and there are
 * as many as records with an index.
 */
export const TREE = `
  CREATE TABLE node (
    level INTEGER NOT NULL CHECK (level >= 0),
    place INTEGER NOT NULL CHECK (place >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, place)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER node_stays BEFORE DELETE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never removed'); END;
  CREATE TRIGGER node_stands BEFORE UPDATE ON node BEGIN SELECT RAISE(ABORT, 'nodes are never changed'); END;
`;

/** The value of a setting of SQLite's. */
export function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

/** Selects the rows `r` of `record`, each with its `sequence_id`, of a log of whatever version. */
export function rowsOfRecords(database: DatabaseSync): string {
  return isNumbered(database)
    ? "SELECT s.name AS sequence_id, r.* FROM record AS r LEFT JOIN sequence AS s ON s.id = r.sequence"
    : "SELECT * FROM record AS r";
}

/** False before version 5, where each row names its sequence. */
export function isNumbered(database: DatabaseSync): boolean {
  return Number(pragma(database, "user_version")) >= 5;
}
