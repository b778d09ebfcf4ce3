/** What a store can keep exactly: everything else is refused by name, before it reaches an engine that would change it. */
import { isDecimal } from "./decimal.ts";
import type { Append, Indexing } from "./store.ts";

/**
 * Looks an append over; a store does so before the append joins others in a transaction, which its fault would undo for
 * all of them. @throws TypeError
 */
export function mustBeStorable({
  sequence_id,
  records,
  documents = [],
  counters = [],
}: Append): void {
  mustBeText(sequence_id);
  for (const { seq, hash, line, nonce, opens, closes } of records) {
    mustBeText(hash, line, nonce ?? "", closes ?? "", opens?.gate_id ?? "");
    if (!isWhole(seq)) throw new TypeError("seq must be a whole number from 0 on");
    if (!Number.isSafeInteger(opens?.expires_ms ?? 0))
      throw new TypeError("expires_ms must be whole milliseconds");
  }
  for (const { digest, text } of documents) mustBeText(digest, text);
  for (const { counter, add, max, at_ms, until_ms } of counters) {
    mustBeText(counter);
    if (!isDecimal(add) || !isDecimal(max))
      throw new TypeError("counters go by decimals, as isDecimal has them");
    if (!Number.isSafeInteger(at_ms) || !Number.isSafeInteger(until_ms))
      throw new TypeError("at_ms and until_ms must be whole milliseconds");
  }
}

/** Looks over what is to be indexed, as {@link mustBeStorable} does an append. @throws TypeError */
export function mustBeIndexing({ size, leaves, nodes }: Indexing): void {
  const isNode = ({ hash }: { readonly hash: string }): boolean => /^[0-9a-f]{64}$/.test(hash);
  mustBeText(...leaves.map(({ sequence_id }) => sequence_id));
  if (![size, ...leaves.map(({ seq }) => seq)].every(isWhole))
    throw new TypeError("size and seq must be whole numbers from 0 on");
  if (!nodes.every(({ level, index }) => isWhole(level) && level > 0 && isWhole(index)))
    throw new TypeError("a node has a level from 1 and an index from 0 on");
  if (![...leaves, ...nodes].every(isNode)) throw new TypeError("a node's hash is 64 hex digits");
}

/** A lone surrogate would be kept as U+FFFD: other bytes than were signed. @throws TypeError */
export function mustBeText(...candidates: readonly unknown[]): void {
  for (const text of candidates) {
    if (typeof text !== "string" || !text.isWellFormed())
      throw new TypeError("a record's members must be well-formed text");
  }
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
