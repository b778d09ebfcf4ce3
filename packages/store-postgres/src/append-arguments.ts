/** A batch of appends as the parallel arrays that the log's function `append` takes. */
import { hash } from "node:crypto";
import type { Append, CounterStep } from "@stepgate/core";

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

function isPlain({ documents = [], counters = [] }: Append): boolean {
  return documents.length + counters.length === 0;
}

/** Appends are numbered from 1, as SQL counts. */
function recordArrays(batch: readonly Append[]): readonly unknown[] {
  const records = batch.flatMap((append, nth) => {
    const { sequence_id: name } = append;
    const shared = { of: nth + 1, name, first: firstOf(append), repeats: repeatsNonce(append) };
    return append.records.map((record) => ({ ...shared, record }));
  });
  return [
    records.map(({ of }) => of),
    records.map(({ name }) => name),
    records.map(({ first }) => first),
    records.map(({ repeats }) => repeats),
    records.map(({ record }) => record.seq),
    records.map(({ record }) => record.nonce),
    records.map(({ record }) => record.line),
    records.map(({ record }) => (record.opens === undefined ? null : record.hash)),
    records.map(({ record }) => record.opens?.gate_id),
    records.map(({ record }) => record.opens?.expires_ms),
    records.map(({ record }) => record.closes),
  ];
}

/** The place that all others of the append follow without a gap; null where they do not. */
function firstOf({ records }: Append): number | null {
  const [{ seq: first }] = records;
  return records.every(({ seq }, nth) => seq === first + nth) ? first : null;
}

function repeatsNonce({ records }: Append): boolean {
  const nonces = records.flatMap(({ nonce }) => nonce ?? []);
  return new Set(nonces).size < nonces.length;
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
