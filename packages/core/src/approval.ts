/** A person's approval of one call: what is signed, and whether it counts (receipt.md, Approvals). */
import { canonicalize } from "./canonical-json.ts";
import { isValidAt, type KeySet } from "./key-set.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";

/** What a person says of one APPROVAL_REQUIRED denial. */
export interface ApprovalStatement {
  readonly log_id: string;
  readonly sequence_id: string;
  /** Record hash of the denial. */
  readonly request: string;
  readonly verdict: "approve" | "reject";
  /** Milliseconds since the epoch; from then on the approval counts no more. */
  readonly expires_ms: number;
}

/** A statement with its author's signature. */
export interface Approval extends ApprovalStatement {
  readonly approver_key_id: string;
  /** `ed25519=` + 128 hex digits. */
  readonly approver_sig: string;
}

/** Why a statement is no approval by a trusted person at this time; `undefined` where it is one. */
export function approvalFault(
  approval: Approval,
  approvers: KeySet,
  ts_ms: number,
  holds: SignatureCheck = checkSignature,
): string | undefined {
  const trusted = approvers.get(approval.approver_key_id);
  if (trusted?.jwk.roles === undefined) return "its key is no approver's";
  if (!isValidAt(trusted.jwk, ts_ms)) return "its key is not valid now";
  return holds(trusted, approvalInput(approval), approval.approver_sig)
    ? undefined
    : "its signature does not hold";
}

/** The text under an approver's signature. */
export function approvalInput({
  log_id,
  sequence_id,
  request,
  verdict,
  expires_ms,
}: ApprovalStatement): string {
  return `stepgate.approval/1\n${canonicalize({ log_id, sequence_id, request, verdict, expires_ms })}`;
}
