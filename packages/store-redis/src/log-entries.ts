/** Entries of the log's stream, as XRANGE and its kin answer them. */

/** A record as it stands in the log. */
export interface LogEntry {
  /** From 1 on, without a gap; the leaf index is one less. */
  readonly position: number;
  readonly sequence_id: string;
  readonly seq: number;
  readonly line: string;
}

/** @throws Error for anything but a reply about a log of this layout. */
export function entriesOf(reply: unknown): readonly LogEntry[] {
  if (!Array.isArray(reply)) throw new Error("the server answered something else than entries");
  return reply.map(entryOf);
}

function entryOf(entry: unknown): LogEntry {
  const [id, fields]: unknown[] = Array.isArray(entry) ? entry : [];
  const [, sequence_id, , seq, , line]: unknown[] = Array.isArray(fields) ? fields : [];
  const position = Number.parseInt(String(id), 10);
  if (typeof sequence_id !== "string" || typeof line !== "string" || !(position > 0))
    throw new Error(`entry ${String(id)} of the log is none of this store's`);
  return { position, sequence_id, seq: Number(seq), line };
}
