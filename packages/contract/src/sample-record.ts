/** Records for testing stores: real hashes and distinct bytes, but no gate's contents. A store must not look inside. */
import { hash } from "node:crypto";
import type { CounterStep, PlacedRecord } from "@stepgate/core";

/** What a record of a test may carry beside its place and its content. */
export type SampleIndex = Pick<PlacedRecord, "nonce" | "opens" | "closes">;

/** A record whose bytes are its sequence, place, content and nonce: equal where these are equal, and only there. */
export function sampleRecord(
  sequenceId: string,
  seq: number,
  content: string,
  index: SampleIndex = {},
): PlacedRecord {
  const line = JSON.stringify({ content, nonce: index.nonce, seq, sequence_id: sequenceId });
  return { seq, hash: `sha256:${hash("sha256", line)}`, line, ...index };
}

/** The clock of a gate that counts in a test. */
export const AT_MS = 1_800_000_000_000;

/** One step on one counter, in a window that ends an hour from now. */
export function counting(counter: string, add: string, max: string): readonly CounterStep[] {
  return [{ counter, add, max, at_ms: AT_MS, until_ms: AT_MS + 3_600_000 }];
}
