/** One append inside a transaction that holds the file's write lock: everything is looked at before anything is written. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  type Append,
  type CounterStep,
  FORGOTTEN_AFTER_MS,
  movedCounters,
  type PlacedRecord,
} from "@stepgate/core";
import { linesOf, totalOf } from "./read-records.ts";
import { rowChecksum } from "./row-checksum.ts";

/** More than one call can begin to count, so that windows that ended become fewer with every append. */
const FORGOTTEN_AT_ONCE = 8;

/** Every statement of the store, prepared once. */
export interface LogStatements {
  readonly head: StatementSync;
  readonly burnt: StatementSync;
  readonly insert: StatementSync;
  readonly opens: StatementSync;
  readonly closes: StatementSync;
  readonly keep: StatementSync;
  readonly document: StatementSync;
  readonly setting: StatementSync;
  readonly settle: StatementSync;
  readonly read: StatementSync;
  readonly end: StatementSync;
  readonly page: StatementSync;
  readonly openAllows: StatementSync;
  readonly counter: StatementSync;
  readonly count: StatementSync;
  readonly forget: StatementSync;
  readonly size: StatementSync;
  readonly unindexed: StatementSync;
  readonly position: StatementSync;
  readonly node: StatementSync;
  readonly grow: StatementSync;
}

/** Prepares {@link LogStatements} on an opened log. */
export function logStatements(database: DatabaseSync): LogStatements {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    head: prepare("SELECT seq FROM record WHERE sequence_id = ? ORDER BY seq DESC LIMIT 1"),
    burnt: prepare("SELECT 1 FROM record WHERE sequence_id = ? AND nonce = ?"),
    insert: prepare(
      "INSERT INTO record (sequence_id, seq, nonce, line, crc) VALUES (?, ?, ?, ?, ?)",
    ),
    opens: prepare(
      "INSERT INTO open_allow (hash, sequence_id, gate_id, expires_ms) VALUES (?, ?, ?, ?)",
    ),
    closes: prepare("DELETE FROM open_allow WHERE hash = ?"),
    keep: prepare("INSERT INTO document (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING"),
    document: prepare("SELECT text FROM document WHERE digest = ?"),
    setting: prepare("SELECT value FROM setting WHERE name = ?"),
    settle: prepare("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"),
    // The index names the place, and the row must say the same of itself.
    read: prepare(
      `SELECT i.seq AS place, r.sequence_id, r.seq, r.nonce, r.line, r.crc FROM record AS i LEFT JOIN record AS r ON r.position = i.position
       WHERE i.sequence_id = ? AND i.seq >= ? ORDER BY i.seq LIMIT ?`,
    ),
    end: prepare("SELECT max(position) AS position FROM record"),
    page: prepare(
      "SELECT position, sequence_id, seq, nonce, line, crc FROM record WHERE position > ? AND position <= ? ORDER BY position",
    ),
    openAllows: prepare(
      "SELECT hash, sequence_id, gate_id, expires_ms FROM open_allow WHERE hash > ? ORDER BY hash LIMIT ?",
    ),
    counter: prepare("SELECT total, crc FROM counter WHERE name = ?"),
    count: prepare(
      `INSERT INTO counter (name, total, until_ms, crc) VALUES (?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET total = excluded.total, crc = excluded.crc`,
    ),
    forget: prepare(
      `DELETE FROM counter WHERE name IN (SELECT name FROM counter WHERE until_ms < ? ORDER BY until_ms LIMIT ${FORGOTTEN_AT_ONCE})`,
    ),
    size: prepare("SELECT place + 1 AS size FROM node WHERE level = 0 ORDER BY place DESC LIMIT 1"),
    unindexed: prepare(
      "SELECT position, sequence_id, seq, nonce, line, crc FROM record WHERE position > ? ORDER BY position LIMIT ?",
    ),
    position: prepare("SELECT position FROM record WHERE sequence_id = ? AND seq = ?"),
    node: prepare("SELECT hash FROM node WHERE level = ? AND place = ?"),
    grow: prepare("INSERT INTO node (level, place, hash) VALUES (?, ?, ?)"),
  };
}

/**
 * Appends, or says why not; what it says holds once the transaction is committed. Without the write lock it would be a
 * check and then an insert.
 */
export function appendRecords(
  log: LogStatements,
  { sequence_id, records, documents = [], counters = [] }: Append,
): "won" | "lost" | "replay" | "limited" {
  if (!isNext(log, sequence_id, records)) return stand(log, sequence_id, records) ? "won" : "lost";
  if (burnsTwice(log, sequence_id, records)) return "replay";
  if (!moveCounters(log, counters)) return "limited";
  for (const record of records) place(log, sequence_id, record);
  for (const { digest, text } of documents) log.keep.run(digest, text);
  return "won";
}

/** True where these are the next places of the sequence, without a gap among them. */
function isNext(log: LogStatements, sequenceId: string, records: Append["records"]): boolean {
  const head = Number(log.head.get(sequenceId)?.["seq"] ?? -1);
  return records.every(({ seq }, index) => seq === head + 1 + index);
}

/**
 * True where these very bytes hold these places: the retry of an append whose answer was not heard. Two submitters never
 * have the same bytes, for every decision carries a random `attempt` and every record the `prev` that it was made on;
 * where a host draws `attempt` itself and repeats it, equal bytes are the same decision, given twice.
 */
function stand(log: LogStatements, sequenceId: string, records: Append["records"]): boolean {
  return records.every(({ seq, line }) => linesOf(log, sequenceId, seq, 1)[0] === line);
}

function burnsTwice(log: LogStatements, sequenceId: string, records: Append["records"]): boolean {
  const nonces = records.flatMap(({ nonce }) => nonce ?? []);
  return (
    new Set(nonces).size < nonces.length ||
    nonces.some((nonce) => log.burnt.get(sequenceId, nonce) !== undefined)
  );
}

/** False, and nothing moved, where one would exceed its maximum. */
function moveCounters(log: LogStatements, steps: readonly CounterStep[]): boolean {
  const moved = movedCounters(steps, (counter) => totalOf(log, counter));
  if (moved === undefined) return false;
  const [first] = steps;
  if (first !== undefined) log.forget.run(first.at_ms - FORGOTTEN_AFTER_MS);
  const ends = new Map(steps.map(({ counter, until_ms }) => [counter, until_ms]));
  for (const [counter, total] of moved)
    log.count.run(counter, total, ends.get(counter) ?? 0, rowChecksum(counter, total));
  return true;
}

/** A plain INSERT: were a place or nonce taken all the same, the unique index would undo the whole transaction. */
function place(
  log: LogStatements,
  sequenceId: string,
  { seq, hash, line, nonce, opens, closes }: PlacedRecord,
): void {
  const burnt = nonce ?? null;
  log.insert.run(sequenceId, seq, burnt, line, rowChecksum(sequenceId, seq, burnt, line));
  if (opens !== undefined) log.opens.run(hash, sequenceId, opens.gate_id, opens.expires_ms);
  if (closes !== undefined) log.closes.run(closes);
}
