/** Reads of many sequences at a time: a gate that begins many asks where each of them stands. */
import type { Connections } from "./connections.ts";
import { FULL, group, type Group } from "./group.ts";
import type { Row } from "./pool-clients.ts";

/** What is read of one sequence. */
export interface Read {
  readonly sequence_id: string;
  readonly from: number;
  readonly count: number | undefined;
}

/** Lines, or null for a tombstone, in order of `seq`. */
export type Lines = readonly (string | null)[];

const LANES = 2;
const MOST_READS = 256;

/** Reads of one log. */
export function groupRead(
  database: Connections,
  at: string,
  timeoutMs: number,
): Group<Read, Lines> {
  const text = `SELECT n.nth, r.line FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (name, start, wanted, nth)
    CROSS JOIN LATERAL (
      SELECT r.seq, r.line FROM ${at}.record r WHERE r.sequence_id = n.name AND r.seq >= n.start ORDER BY r.seq LIMIT n.wanted
    ) AS r ORDER BY n.nth, r.seq`;
  return group<Read, Lines>({
    timeoutMs,
    lanes: LANES,
    sizeOf: () => FULL / MOST_READS,
    async run(reads) {
      const rows = await database.query(text, [
        reads.map(({ sequence_id }) => sequence_id),
        reads.map(({ from }) => from),
        reads.map(({ count }) => count),
      ]);
      return shared(rows, reads.length);
    },
  });
}

function shared(rows: readonly Row[], reads: number): readonly Lines[] {
  const lines = Array.from({ length: reads }, (): (string | null)[] => []);
  for (const { nth, line } of rows)
    lines[Number(nth) - 1]?.push(typeof line === "string" ? line : null);
  return lines;
}
