/** One append inside a transaction that holds the file's write lock: everything is looked at before anything is written. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  type Append,
  type CounterStep,
  FORGOTTEN_AFTER_MS,
  movedCounters,
  type PlacedRecord,
  repeatsNonce,
} from "@stepgate/core";
import { createHeads, type Heads, type SequenceEnd } from "./heads.ts";
import { linesOf, totalOf } from "./read-records.ts";
import { rowChecksum } from "./row-checksum.ts";

/** More than one call can begin to count, so that windows that ended become fewer with every append. */
const FORGOTTEN_AT_ONCE = 8;

/** Every statement of the store, prepared once, and what is known without asking. */
export interface LogStatements {
  readonly heads: Heads;
  readonly begin: StatementSync;
  readonly burnt: StatementSync;
  readonly insert: StatementSync;
  readonly opens: StatementSync;
  readonly opened: StatementSync;
  readonly openedElsewhere: StatementSync;
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

/** A row by its position, as it says itself whose it is. */
const ROWS = `SELECT r.position, s.name AS sequence_id, r.seq, r.nonce, r.line, r.crc
  FROM record AS r LEFT JOIN sequence AS s ON s.id = r.sequence`;

/** Prepares {@link LogStatements} on an opened log. */
export function logStatements(database: DatabaseSync): LogStatements {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    heads: createHeads(database),
    begin: prepare("INSERT INTO sequence (name) VALUES (?)"),
    burnt: prepare("SELECT 1 FROM record WHERE sequence = ? AND nonce = ?"),
    insert: prepare("INSERT INTO record (sequence, seq, nonce, line, crc) VALUES (?, ?, ?, ?, ?)"),
    opens: prepare(
      "INSERT INTO open_allow (position, hash, gate_id, expires_ms) VALUES (?, ?, ?, ?)",
    ),
    // From the sequence's end on, for an outcome mostly follows its ALLOW.
    opened: prepare(
      `SELECT o.position FROM record AS r CROSS JOIN open_allow AS o ON o.position = r.position
       WHERE r.sequence = ? AND o.hash = ? ORDER BY r.seq DESC LIMIT 1`,
    ),
    openedElsewhere: prepare("SELECT position FROM open_allow WHERE hash = ? LIMIT 1"),
    closes: prepare("DELETE FROM open_allow WHERE position = ?"),
    keep: prepare("INSERT INTO document (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING"),
    document: prepare("SELECT text FROM document WHERE digest = ?"),
    setting: prepare("SELECT value FROM setting WHERE name = ?"),
    settle: prepare("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"),
    // The indexes name sequence and place, and the rows must say the same of themselves.
    read: prepare(
      `SELECT i.seq AS place, s.name AS sequence_id, r.seq, r.nonce, r.line, r.crc
       FROM sequence AS n CROSS JOIN record AS i ON i.sequence = n.id
       LEFT JOIN sequence AS s ON s.id = n.id LEFT JOIN record AS r ON r.position = i.position AND r.sequence = n.id
       WHERE n.name = ? AND i.seq >= ? ORDER BY i.seq LIMIT ?`,
    ),
    end: prepare("SELECT max(position) AS position FROM record"),
    page: prepare(`${ROWS} WHERE r.position > ? AND r.position <= ? ORDER BY r.position`),
    openAllows: prepare(
      `SELECT o.position, o.hash, s.name AS sequence_id, o.gate_id, o.expires_ms FROM open_allow AS o
       CROSS JOIN record AS r ON r.position = o.position CROSS JOIN sequence AS s ON s.id = r.sequence
       WHERE o.position > ? ORDER BY o.position LIMIT ?`,
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
    unindexed: prepare(`${ROWS} WHERE r.position > ? ORDER BY r.position LIMIT ?`),
    position: prepare(
      "SELECT position FROM record WHERE sequence = (SELECT id FROM sequence WHERE name = ?) AND seq = ?",
    ),
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
  const end = log.heads.of(sequence_id);
  if (!isNext(end, records)) return stand(log, sequence_id, records) ? "won" : "lost";
  if (burnsTwice(log, end, records)) return "replay";
  if (counters.length > 0 && !moveCounters(log, counters)) return "limited";
  const sequence = (end.id ??= Number(log.begin.run(sequence_id).lastInsertRowid));
  for (const record of records) place(log, sequence_id, sequence, record);
  end.seq += records.length;
  for (const { digest, text } of documents) log.keep.run(digest, text);
  return "won";
}

/** True where these are the next places of the sequence, without a gap among them. */
function isNext(end: SequenceEnd, records: Append["records"]): boolean {
  return records.every(({ seq }, index) => seq === end.seq + 1 + index);
}

/**
 * True where these very bytes hold these places: the retry of an append whose answer was not heard. Two submitters never
 * have the same bytes, for every decision carries a random `attempt` and every record the `prev` that it was made on;
 * where a host draws `attempt` itself and repeats it, equal bytes are the same decision, given twice.
 */
function stand(log: LogStatements, sequenceId: string, records: Append["records"]): boolean {
  return records.every(({ seq, line }) => linesOf(log, sequenceId, seq, 1)[0] === line);
}

function burnsTwice(log: LogStatements, { id }: SequenceEnd, records: Append["records"]): boolean {
  const isBurnt = ({ nonce }: PlacedRecord): boolean =>
    id !== undefined && nonce !== undefined && log.burnt.get(id, nonce) !== undefined;
  return repeatsNonce(records) || records.some(isBurnt);
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
  sequence: number,
  { seq, hash, line, nonce, opens, closes }: PlacedRecord,
): void {
  const burnt = nonce ?? null;
  const crc = rowChecksum(sequenceId, seq, burnt, line);
  const { lastInsertRowid: position } = log.insert.run(sequence, seq, burnt, line, crc);
  if (opens !== undefined) log.opens.run(position, hash, opens.gate_id, opens.expires_ms);
  if (closes !== undefined) close(log, sequence, closes);
}

/** Gates close an ALLOW in its own sequence; for any other, all that are open are looked through. */
function close(log: LogStatements, sequence: number, hash: string): void {
  const row = log.opened.get(sequence, hash) ?? log.openedElsewhere.get(hash);
  const position = row?.["position"];
  if (typeof position === "number") log.closes.run(position);
}
