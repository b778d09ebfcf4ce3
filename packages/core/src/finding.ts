/** What verification finds: the codes of receipt.md, the first of the list for each record. */

/** The findings in their order: of several faults of one record the first is named. */
export const FINDING_CODES = [
  "UNREADABLE",
  "DUPLICATE_MEMBER",
  "NOT_CANONICAL",
  "UNKNOWN_VERSION",
  "UNKNOWN_MEMBER",
  "MALFORMED",
  "WEAK_EVIDENCE",
  "UNKNOWN_KEY",
  "KEY_NOT_VALID",
  "BAD_SIGNATURE",
  "BAD_MAC",
  "WRONG_GENESIS",
  "DUPLICATE_SEQ",
  "OUT_OF_ORDER",
  "GAP",
  "CHAIN_BROKEN",
  "AFTER_SEAL",
  "DUPLICATE_NONCE",
  "OUTCOME_MISMATCH",
  "APPROVAL_MISMATCH",
  "POLICY_MISMATCH",
  "DECISION_MISMATCH",
  "FORK",
  "TRUNCATED",
] as const;

/** One of {@link FINDING_CODES}. */
export type FindingCode = (typeof FINDING_CODES)[number];

/** Why one record is not sound. */
export interface Fault {
  readonly code: FindingCode;
  /** One sentence; never more of the record than names. */
  readonly message: string;
}

/** A fault at its place. */
export interface Finding extends Fault {
  /** Line of the file, counted from 1. */
  readonly line: number;
  readonly sequence_id?: string;
  readonly seq?: number;
}

/** A fault, in one word less. */
export function fault(code: FindingCode, message: string): Fault {
  return { code, message };
}
