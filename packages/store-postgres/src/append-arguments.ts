/** A batch of appends as the parallel arrays that the log's function `append` takes. */
import { hash } from "node:crypto";
import { type Append, type CounterStep, type PlacedRecord, repeatsNonce } from "@stepgate/core";
import { bigintArray, booleanArray, integerArray, textArray } from "./binary-array.ts";

/** A call of `append`: the SQL, and what it is given. */
export interface AppendCall {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Makes calls for one log; the arrays that most batches have no use for are left to their defaults. */
export function appendCalls(at: string, era: number): (batch: readonly Append[]) => AppendCall {
  const [plain = "", full = ""] = [RECORDS, [...RECORDS, ...OTHERS]].map((types) => {
    const parameters = types.map((type, nth) => `$${nth + 1}::${type}`);
    return `SELECT ${at}.append(${parameters.join()}) AS results`;
  });
  return (batch) => {
    const records = [era, batch.length, ...recordArrays(batch)];
    return batch.every(isPlain)
      ? { text: plain, values: records }
      : { text: full, values: [...records, ...documentArrays(batch), ...counterArrays(batch, at)] };
  };
}

const RECORDS =
  "bigint integer integer[] text[] bigint[] boolean[] bigint[] text[] text[] text[] text[] bigint[] text[]".split(
    " ",
  );
const OTHERS =
  "integer[] text[] text[] bigint[] bytea[] text[] bigint[] integer[] integer[] numeric[] numeric[] bigint[]".split(
    " ",
  );

/** True for records alone. */
export function isPlain({ documents = [], counters = [] }: Append): boolean {
  return documents.length + counters.length === 0;
}

/** A record, with what of its append goes with each of them. */
export interface RecordRow {
  /** Appends are numbered from 1, as SQL counts. */
  readonly of: number;
  readonly name: string;
  readonly first: number | null;
  readonly repeats: boolean;
  readonly record: PlacedRecord;
}

/** The records of a batch, in the order of its appends. */
export function rowsOf(batch: readonly Append[]): readonly RecordRow[] {
  return batch.flatMap((append, nth): readonly RecordRow[] => {
    const { sequence_id: name, records } = append;
    const [first, repeats] = [firstOf(records), repeatsNonce(records)];
    return records.map((record) => ({ of: nth + 1, name, first, repeats, record }));
  });
}

function recordArrays(batch: readonly Append[]): readonly Buffer[] {
  const rows = rowsOf(batch);
  return [
    integerArray(rows.map(({ of }) => of)),
    textArray(rows.map(({ name }) => name)),
    bigintArray(rows.map(({ first }) => first)),
    booleanArray(rows.map(({ repeats }) => repeats)),
    ...contentArrays(rows),
  ];
}

/** What is kept of a record. */
interface Content {
  readonly seq: number;
  readonly nonce: string | undefined;
  readonly line: string;
  /** Of an ALLOW alone. */
  readonly hash: string | undefined;
  readonly gate_id: string | undefined;
  readonly expires_ms: number | undefined;
  readonly closes: string | undefined;
}

/** See {@link Content}. */
export function contentOf({ seq, nonce, line, hash, opens, closes }: PlacedRecord): Content {
  const { gate_id, expires_ms } = opens ?? {};
  return { seq, nonce, line, hash: opens && hash, gate_id, expires_ms, closes };
}

/** {@link contentOf} all rows, column by column. */
export function contentArrays(rows: readonly RecordRow[]): readonly Buffer[] {
  const contents = rows.map(({ record }) => contentOf(record));
  return [
    bigintArray(contents.map(({ seq }) => seq)),
    textArray(contents.map(({ nonce }) => nonce)),
    textArray(contents.map(({ line }) => line)),
    textArray(contents.map(({ hash }) => hash)),
    textArray(contents.map(({ gate_id }) => gate_id)),
    bigintArray(contents.map(({ expires_ms }) => expires_ms)),
    textArray(contents.map(({ closes }) => closes)),
  ];
}

/** The place that all others of the append follow without a gap; null where they do not. */
function firstOf(records: Append["records"]): number | null {
  const [{ seq: first }] = records;
  return records.every(({ seq }, nth) => seq === first + nth) ? first : null;
}

function documentArrays(batch: readonly Append[]): readonly unknown[] {
  const all = batch.flatMap(({ documents = [] }, nth) =>
    documents.map((document) => ({ of: nth + 1, ...document })),
  );
  return [all.map(({ of }) => of), all.map(({ digest }) => digest), all.map(({ text }) => text)];
}

function counterArrays(batch: readonly Append[], at: string): readonly unknown[] {
  const steps = batch.flatMap(({ counters = [] }, nth) =>
    counters.map((step) => ({ of: nth + 1, ...step })),
  );
  const counters = countersOf(steps, at);
  const counterAt = new Map(counters.map(({ counter }, index) => [counter, index + 1]));
  return [
    counters.map(({ lock }) => lock),
    counters.map(({ id }) => id),
    counters.map(({ counter }) => counter),
    counters.map(({ until_ms }) => until_ms),
    steps.map(({ of }) => of),
    steps.map(({ counter }) => counterAt.get(counter)),
    steps.map(({ add }) => add),
    steps.map(({ max }) => max),
    steps.map(({ at_ms }) => at_ms),
  ];
}

/** The counters of a batch, each once, in the one order in which everybody waits for them. */
function countersOf(steps: readonly CounterStep[], at: string) {
  const ends = new Map(steps.map(({ counter, until_ms }) => [counter, until_ms]));
  return [...ends]
    .map(([counter, until_ms]) => {
      return { counter, until_ms, id: counterId(counter), lock: lockKey(at, `counter ${counter}`) };
    })
    .toSorted((a, b) => (a.lock < b.lock ? -1 : 1));
}

/** What a counter is found by. */
export function counterId(counter: string): Buffer {
  return hash("sha256", counter, "buffer");
}

/** An advisory lock of one log: that two names share one costs a wait, and nothing else. */
export function lockKey(at: string, what: string): bigint {
  return hash("sha256", `stepgate ${at} ${what}`, "buffer").readBigInt64BE();
}
