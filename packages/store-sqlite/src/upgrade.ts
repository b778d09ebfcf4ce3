/** Makes the tables of a log that begins, and brings one of an earlier version up to date: whole, or not at all. */
import type { DatabaseSync } from "node:sqlite";
import { GateError, type Receipt, recordHash } from "@stepgate/core";
import {
  APPLICATION_ID,
  COUNTERS,
  pragma,
  RECORDS,
  SCHEMA_VERSION,
  TEXTS,
  TREE,
} from "./schema.ts";

/**
 * Several processes may open a file at once: the first to hold the lock makes what is missing. The records of a log from
 * before version 5 are copied, some 16 s a million, and the room that they took is used again.
 *
 * @throws an error of SQLite's, or GateError STORE_UNAVAILABLE; then the log is as it was.
 */
export function bringUpToDate(database: DatabaseSync): void {
  if (versionOf(database) === SCHEMA_VERSION) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = versionOf(database);
    if (version === undefined) begin(database);
    else if (version < SCHEMA_VERSION) upgrade(database, version);
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
  } finally {
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

/** `undefined` for a file that has no log yet. */
function versionOf(database: DatabaseSync): number | undefined {
  return pragma(database, "application_id") === APPLICATION_ID
    ? Number(pragma(database, "user_version"))
    : undefined;
}

function begin(database: DatabaseSync): void {
  database.exec([RECORDS, TEXTS, COUNTERS, TREE].join(""));
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
}

/** Version 2 brought counters, 3 the tree, 4 checksums, 5 numbers in the place of names of sequences. */
function upgrade(database: DatabaseSync, version: number): void {
  if (version < 2) database.exec(COUNTERS);
  else if (version < 4) database.exec("ALTER TABLE counter ADD COLUMN crc INTEGER");
  if (version < 3) database.exec(TREE);
  numberSequences(database, version < 4 ? "NULL" : "crc");
}

function numberSequences(database: DatabaseSync, crc: string): void {
  database.exec(`
    DROP TRIGGER record_stays;
    DROP TRIGGER record_stands;
    DROP INDEX burnt_nonce;
    ALTER TABLE record RENAME TO old_record;
    ALTER TABLE open_allow RENAME TO old_open_allow;
    ${RECORDS}
    INSERT INTO sequence (name) SELECT sequence_id FROM old_record WHERE seq = 0 ORDER BY position;
    INSERT INTO record (position, sequence, seq, nonce, line, crc)
      SELECT position, (SELECT id FROM sequence WHERE name = sequence_id), seq, nonce, line, ${crc}
      FROM old_record ORDER BY position;
  `);
  placeOpenAllows(database);
  database.exec("DROP TABLE old_record; DROP TABLE old_open_allow");
}

/** Open ALLOWs were kept by their hashes alone, which are those of their records. */
function placeOpenAllows(database: DatabaseSync): void {
  database.function("record_hash", { deterministic: true }, (line) =>
    recordHash(JSON.parse(String(line)) as Receipt),
  );
  // For each record of such a sequence one hash and one look: by whatever comes first in a join it could be one a pair.
  const { changes } = database
    .prepare(
      `INSERT INTO open_allow (position, hash, gate_id, expires_ms)
       SELECT r.position, o.hash, o.gate_id, o.expires_ms
       FROM old_record AS r CROSS JOIN old_open_allow AS o ON o.hash = record_hash(r.line)
       WHERE r.sequence_id IN (SELECT sequence_id FROM old_open_allow) ORDER BY r.position`,
    )
    .run();
  const open = database.prepare("SELECT count(*) AS n FROM old_open_allow").get()?.["n"];
  if (changes !== open)
    throw new GateError("STORE_UNAVAILABLE", "an ALLOW that is open has no record");
}
