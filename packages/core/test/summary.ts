/** A chain in a few words, for tests to compare: `open`, `ALLOW`, a denial's code, `outcome succeeded`, `seal`, `context`. */
import type { Receipt } from "../src/index.ts";

/** What a gate records of a request that it can read. */
export const RECORDED_ANSWERS = [
  "ALLOW",
  "STALE_TIMESTAMP",
  "REPLAY_NONCE",
  "SEALED_SEQUENCE",
  "NO_POLICY_MATCH",
  "SEQUENCE_VIOLATION",
  "ACTION_NOT_ALLOWED",
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
  "POLICY_ERROR",
];

/** One word or two for each record. */
export function summary(receipts: readonly Receipt[]): readonly string[] {
  return receipts.map((receipt) => {
    if (receipt.kind === "outcome") return `outcome ${receipt.status}`;
    if (receipt.kind !== "decision") return receipt.kind;
    return receipt.deny_code ?? receipt.decision;
  });
}
