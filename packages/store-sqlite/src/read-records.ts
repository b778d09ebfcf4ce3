/** Records as they were written, or an error: a row in which a bit fell over, or that an index lost, is no answer. */
import { GateError } from "@stepgate/core";
import type { LogStatements } from "./append-records.ts";
import { isIntact, rowChecksum } from "./row-checksum.ts";

/** A record as a row. */
export interface StoredRecord {
  readonly sequence_id: string;
  readonly seq: number;
  readonly line: string;
}

type Row = Readonly<Record<string, unknown>>;

/**
 * The lines of a sequence from place `from` on, at most `count`, -1 for all.
 *
 * @throws GateError STORE_UNAVAILABLE where the rows are not what was written, or one in between is missing.
 */
export function linesOf(
  log: LogStatements,
  sequenceId: string,
  from: number,
  count: number,
): readonly string[] {
  return log.read.all(sequenceId, from, count).map((row, at) => {
    const { place, ...record } = row;
    const stands = record["sequence_id"] === sequenceId && record["seq"] === from + at;
    if (!stands || place !== from + at || !isIntact(record))
      throw damaged(`place ${from + at} of a sequence`);
    return String(record["line"]);
  });
}

/** Records after position `after`, up to position `end`. @throws as {@link linesOf} does. */
export function recordsBetween(
  log: LogStatements,
  after: number,
  end: number,
): readonly StoredRecord[] {
  const records = inOrder(after, log.page.all(after, end));
  if (records.length < end - after) throw damaged(`position ${after + records.length + 1}`);
  return records;
}

/** At most `count` records after position `after`. @throws as {@link linesOf} does. */
export function recordsAfter(
  log: LogStatements,
  after: number,
  count: number,
): readonly StoredRecord[] {
  return inOrder(after, log.unindexed.all(after, count));
}

/** What a counter stands at, as an exact decimal; `undefined` where nothing moved it yet. @throws as {@link linesOf} does. */
export function totalOf(log: LogStatements, counter: string): string | undefined {
  const row = log.counter.get(counter);
  if (row === undefined) return undefined;
  const total = String(row["total"]);
  if (row["crc"] !== null && row["crc"] !== rowChecksum(counter, total)) throw damaged("a counter");
  return total;
}

function inOrder(after: number, rows: readonly Row[]): readonly StoredRecord[] {
  return rows.map((row, at) => {
    const position = after + at + 1;
    if (row["position"] !== position || !isIntact(row)) throw damaged(`position ${position}`);
    return {
      sequence_id: String(row["sequence_id"]),
      seq: Number(row["seq"]),
      line: String(row["line"]),
    };
  });
}

function damaged(where: string): GateError {
  return new GateError(
    "STORE_UNAVAILABLE",
    `the store is damaged: ${where} is not what was written`,
  );
}
