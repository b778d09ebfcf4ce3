/** What can be seen of damage when a log is opened, at a cost that is bounded however long the log is. */
import type { DatabaseSync } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { markFile, standingMark } from "./high-water-mark.ts";
import { isIntact } from "./row-checksum.ts";
import { isNumbered, pragma, rowsOfRecords } from "./schema.ts";

/** Up to so many bytes every page and every index is checked, at some 2 ms a megabyte; beyond it, the end of the log. */
const CHECKED_WHOLE_BYTES = 16 << 20;
const CHECKED_RECORDS = 256;

/** @throws GateError STORE_UNAVAILABLE where the log is damaged, or lost records that were acknowledged. */
export function mustBeWhole(database: DatabaseSync, file: string): void {
  // Before the state that is looked at begins: what other processes commit meanwhile is not missing.
  const standing = standingMark(file);
  database.exec("BEGIN");
  try {
    if (Number(pragma(database, "user_version")) === 0) return;
    if (bytesOf(database) <= CHECKED_WHOLE_BYTES) mustBeSound(database, file);
    const end = endOf(database);
    if (end < standing) throw lostRecords(file, standing, end);
    const found = damageAtEnd(database);
    if (found !== undefined) throw damaged(file, found);
  } finally {
    database.exec("ROLLBACK");
  }
}

function bytesOf(database: DatabaseSync): number {
  return Number(pragma(database, "page_count")) * Number(pragma(database, "page_size"));
}

/** @throws GateError STORE_UNAVAILABLE where SQLite finds its own structure broken. */
function mustBeSound(database: DatabaseSync, file: string): void {
  const result = String(pragma(database, "integrity_check(1)"));
  if (result !== "ok") throw damaged(file, result);
}

/** The first damage among the last records: a row that is not what was written, or that an index does not lead to. */
function damageAtEnd(database: DatabaseSync): string | undefined {
  const rows = database
    .prepare(`${rowsOfRecords(database)} ORDER BY r.position DESC LIMIT ?`)
    .all(CHECKED_RECORDS);
  // An older log's indexes are made anew from its rows.
  const strayed = isNumbered(database) ? strayedIndex(database) : () => undefined;
  let expected = endOf(database);
  for (const row of rows) {
    const { position } = row;
    if (position !== expected--) return `position ${expected + 1} is missing`;
    if (!isIntact(row)) return `the record at position ${position} is not what was written`;
    const index = strayed(row);
    if (index !== undefined) return `the index of ${index} does not lead to position ${position}`;
  }
  return undefined;
}

/** Gives the index that does not lead to a row. */
function strayedIndex(database: DatabaseSync) {
  const sequence = database.prepare("SELECT id FROM sequence WHERE name = ?");
  const place = database.prepare(
    "SELECT position FROM record INDEXED BY sqlite_autoindex_record_1 WHERE sequence = ? AND seq = ?",
  );
  const nonce = database.prepare(
    "SELECT position FROM record INDEXED BY burnt_nonce WHERE sequence = ? AND nonce = ?",
  );
  return (row: Readonly<Record<string, unknown>>): string | undefined => {
    const { position, nonce: burnt } = row;
    const id = Number(row["sequence"]);
    if (sequence.get(String(row["sequence_id"]))?.["id"] !== id) return "sequences";
    if (place.get(id, Number(row["seq"]))?.["position"] !== position) return "places";
    if (burnt !== null && nonce.get(id, String(burnt))?.["position"] !== position) return "nonces";
    return undefined;
  };
}

function endOf(database: DatabaseSync): number {
  const row = database.prepare("SELECT max(position) AS position FROM record").get();
  return Number(row?.["position"] ?? 0);
}

function damaged(file: string, what: string): GateError {
  return new GateError(
    "STORE_UNAVAILABLE",
    `the store ${file} is damaged (${what}): put back a copy of it, or see what is left with \`stepgate store check\``,
  );
}

function lostRecords(file: string, standing: number, end: number): GateError {
  return new GateError(
    "STORE_UNAVAILABLE",
    `the store ${file} lost acknowledged records: it had ${standing}, and holds ${end}. If you put back an older copy on purpose, whose nonces can be used again, remove ${markFile(file)}`,
  );
}
