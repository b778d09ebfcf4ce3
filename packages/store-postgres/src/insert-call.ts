/**
 * The insert by which nearly all appends come into the log: it takes what follows a head that it sees, and the indexes
 * refuse places and nonces that are taken. What it does not take is for `append` to judge, which takes several times as long.
 *
 * INVARIANT: the transaction draws its number within the statement, after what the statement sees was committed, by
 * transactions of lower numbers: so `arrival` agrees with the order of every sequence. A place is taken only where the one
 * before it is seen, so that of two transactions that append to one sequence, one finds its first place taken; and who holds
 * the place 0 of a sequence holds those that come with it.
 *
 * Deadlocks cannot be: places are waited for in the order of names, which is that of `append`.
 */
import type { Append } from "@stepgate/core";
import {
  type AppendCall,
  contentArrays,
  contentOf,
  isPlain,
  type RecordRow,
  rowsOf,
} from "./append-arguments.ts";
import { bigintArray, textArray } from "./binary-array.ts";
import { SYNCHRONOUS_COMMIT } from "./connections.ts";

/** An insert of a batch. Each of the rows that it answers with has the `ordinal` of an append's first record, from 1 on. */
export interface InsertCall extends AppendCall {
  readonly rows: readonly RecordRow[];
}

/** Makes inserts for one log; `undefined` for a batch of which some append is to be judged before anything is inserted. */
export function insertCalls(
  at: string,
  era: number,
): (batch: readonly Append[]) => InsertCall | undefined {
  const few = Array.from({ length: FEW }, (_, nth) => insertFirst(at, rowsOfValues(nth + 1)));
  const [alone, together] = [insertFirst(at, ROWS), insertAll(at)];
  return (batch) => {
    if (!batch.every(isPlain)) return undefined;
    const rows = rowsOf(batch);
    if (!rows.every(canBeInserted)) return undefined;
    const areAlone = rows.length === batch.length;
    const short = areAlone ? few[rows.length - 1] : undefined;
    if (short !== undefined) return { text: short, values: [era, ...rows.flatMap(valuesOf)], rows };
    const names = textArray(rows.map(({ name }) => name));
    const firsts = bigintArray(rows.map(({ first }) => first));
    const values = [era, names, firsts, ...contentArrays(rows)];
    return { text: areAlone ? alone : together, values, rows };
  };
}

/** True for a record that is alone in its append, or begins its sequence with others that do not repeat a nonce. */
function canBeInserted({ first, repeats, record }: RecordRow): boolean {
  return !repeats && (first === 0 || first === record.seq);
}

/** So few records, each alone in its append, go as values of their own: to unpack arrays takes the server some 0.2 ms longer. */
const FEW = 8;
const TYPES = ["text", "bigint", "bigint", "text", "text", "text", "text", "bigint", "text"];
const COLUMNS = "name, first, seq, nonce, line, hash, gate_id, expires_ms, closes, ordinal";

/** So many rows as {@link valuesOf} gives them. */
function rowsOfValues(count: number): string {
  const rows = Array.from({ length: count }, (_, nth) => {
    const values = TYPES.map((type, at) => `$${nth * TYPES.length + at + 2}::${type}`);
    return `(${values.join()}, ${nth + 1})`;
  });
  return `(VALUES ${rows.join()}) AS r (${COLUMNS})`;
}

function valuesOf({ name, first, record }: RecordRow): readonly unknown[] {
  const { seq, nonce, line, hash, gate_id, expires_ms, closes } = contentOf(record);
  return [name, first, seq, nonce, line, hash, gate_id, expires_ms, closes];
}

/** Any number of rows, as an array of each column. */
const ROWS = `unnest(${TYPES.map((type, at) => `$${at + 2}::${type}[]`).join()})
  WITH ORDINALITY AS r (${COLUMNS})`;

/** What `append` sees to before anything else: whatever the connection, or a pooler in between, is set to. */
const IS_ISOLATED = "current_setting('transaction_isolation') = 'read committed'";
const IS_DURABLE = `set_config('synchronous_commit', ${SYNCHRONOUS_COMMIT}, true) IS NOT NULL`;

/** Looked at once for a statement. */
const ARRIVAL = `(SELECT ($1::bigint << 48) + pg_current_xact_id()::text::bigint WHERE ${IS_DURABLE})`;

function insert(at: string): string {
  return `INSERT INTO ${at}.record (sequence_id, seq, arrival, ordinal, nonce, line, hash, gate_id, expires_ms, closes)
SELECT r.name, r.seq, ${ARRIVAL}, r.ordinal, r.nonce, r.line, r.hash, r.gate_id, r.expires_ms, r.closes`;
}

/** The first records of the appends whose rows these are. A retired sequence ends with a place that has no line. */
function insertFirst(at: string, rows: string): string {
  return `${insert(at)}
FROM ${rows}
WHERE ${IS_ISOLATED} AND r.seq = r.first AND r.first = coalesce((
  SELECT CASE WHEN h.line IS NOT NULL THEN h.seq + 1 ELSE -1 END FROM ${at}.record h
  WHERE h.sequence_id = r.name ORDER BY h.seq DESC LIMIT 1), 0)
ORDER BY r.name COLLATE "C"
ON CONFLICT DO NOTHING
RETURNING ordinal, sequence_id`;
}

/** And those that come with the beginning of a sequence, where that was taken. */
function insertAll(at: string): string {
  return `WITH r AS (SELECT * FROM ${ROWS}),
begun AS (${insertFirst(at, "r")}),
rest AS (${insert(at)} FROM begun JOIN r ON r.name = begun.sequence_id WHERE r.seq > r.first)
SELECT ordinal FROM begun`;
}
