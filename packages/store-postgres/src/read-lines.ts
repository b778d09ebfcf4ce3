/** Every line of the log in its order, in pages, while gates go on writing: nothing twice, no gap in any sequence. */
import type { LogAddress } from "./append-batch.ts";
import type { Row } from "./pool-clients.ts";

const PAGE = 512;

type Query = (text: string, values: readonly unknown[]) => Promise<readonly Row[]>;

/** Where a log stood at one moment. */
interface Moment {
  /** How many records had a leaf index. */
  readonly size: number;
  /** Below it everything without an index arrived before {@link settled}. */
  readonly floor: string;
  /** No transaction below it is under way: what arrived before stands still. */
  readonly settled: string;
  /** What was committed beside transactions under way, in order; later pages could mix it with theirs. */
  readonly recent: readonly Row[];
}

/**
 * What has a leaf index, then what was committed by the moment of the first call, sequences of one order. Sequences that
 * were retired are left out, whole.
 */
export async function* readLines(query: Query, log: LogAddress): AsyncGenerator<string> {
  const moment = await now(query, log);
  yield* indexed(query, log, moment);
  yield* settled(query, log, moment);
  for (let from = 0; from < moment.recent.length; from += PAGE)
    yield* await linesAt(query, log, moment.recent.slice(from, from + PAGE));
}

async function now(query: Query, { at, era }: LogAddress): Promise<Moment> {
  const [moment = {}] = await query(
    `SELECT coalesce((SELECT max(l.place) + 1 FROM ${at}.leaf l), 0) AS size,
       coalesce((SELECT g.floor FROM ${at}.growth g ORDER BY g.size DESC LIMIT 1), 0) AS floor,
       ($1::bigint << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS settled`,
    [era],
  );
  const [size, floor, settledAt] = ["size", "floor", "settled"].map((name) => String(moment[name]));
  const recent = await query(
    `SELECT r.sequence_id, r.seq FROM ${at}.record r WHERE r.arrival >= greatest($1::bigint, $2::bigint) AND r.line IS NOT NULL
       AND coalesce((SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = r.sequence_id AND l.seq = r.seq), $3) >= $3
     ORDER BY r.arrival, r.ordinal`,
    [settledAt, floor, size],
  );
  return { size: Number(size), floor: floor ?? "0", settled: settledAt ?? "0", recent };
}

async function* indexed(
  query: Query,
  { at }: LogAddress,
  { size }: Moment,
): AsyncGenerator<string> {
  for (let from = 0; from < size; from += PAGE) {
    const rows = await query(
      `SELECT r.line FROM ${at}.leaf l JOIN ${at}.record r ON r.sequence_id = l.sequence_id AND r.seq = l.seq
       WHERE l.place >= $1 AND l.place < $2 AND r.line IS NOT NULL ORDER BY l.place`,
      [from, Math.min(from + PAGE, size)],
    );
    yield* rows.map(({ line }) => String(line));
  }
}

/** What is given an index meanwhile still belongs here. */
async function* settled(
  query: Query,
  { at }: LogAddress,
  { size, floor, settled: end }: Moment,
): AsyncGenerator<string> {
  for (let [arrival, ordinal] = [floor, -1]; ;) {
    const rows = await query(
      `SELECT r.arrival, r.ordinal, r.line FROM ${at}.record r
       WHERE r.arrival >= $1 AND (r.arrival, r.ordinal) > ($1, $2::integer) AND r.arrival < $3 AND r.line IS NOT NULL
         AND coalesce((SELECT l.place FROM ${at}.leaf l WHERE l.sequence_id = r.sequence_id AND l.seq = r.seq), $4) >= $4
       ORDER BY r.arrival, r.ordinal LIMIT ${PAGE}`,
      [arrival, ordinal, end, size],
    );
    yield* rows.map(({ line }) => String(line));
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    [arrival, ordinal] = [String(last["arrival"]), Number(last["ordinal"])];
  }
}

async function linesAt(
  query: Query,
  { at }: LogAddress,
  places: readonly Row[],
): Promise<readonly string[]> {
  const rows = await query(
    `SELECT r.line FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS p (sequence_id, seq, nth)
     JOIN ${at}.record r ON r.sequence_id = p.sequence_id AND r.seq = p.seq WHERE r.line IS NOT NULL ORDER BY p.nth`,
    [places.map(({ sequence_id }) => sequence_id), places.map(({ seq }) => seq)],
  );
  return rows.map(({ line }) => String(line));
}
