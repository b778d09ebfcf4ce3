/** A person's approval of one call: what is signed, and how it comes into the chain (receipt.md, Approvals). */
import { sign } from "node:crypto";
import { canonicalize } from "./canonical-json.ts";
import { GateError } from "./errors.ts";
import { type GateSetup, RESERVED_PLACES } from "./gate-parts.ts";
import type { Planner } from "./ledger.ts";
import type { ApprovalReceipt } from "./receipt.ts";
import type { SequenceState } from "./sequence-state.ts";
import { type KeySet, type SigningKey, verifySignature } from "./signing-key.ts";

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

/** Signs a statement with a person's own key. */
export function signApproval(statement: ApprovalStatement, key: SigningKey): Approval {
  const signature = sign(null, Buffer.from(approvalInput(statement)), key.privateKey);
  return {
    ...statement,
    approver_key_id: key.keyId,
    approver_sig: `ed25519=${signature.toString("hex")}`,
  };
}

/** The text under an approver's signature. */
function approvalInput({
  log_id,
  sequence_id,
  request,
  verdict,
  expires_ms,
}: ApprovalStatement): string {
  return `stepgate.approval/1\n${canonicalize({ log_id, sequence_id, request, verdict, expires_ms })}`;
}

/** Why a statement is no approval by a trusted person at this time; `undefined` where it is one. */
export function approvalFault(
  approval: Approval,
  approvers: KeySet,
  ts_ms: number,
): string | undefined {
  const trusted = approvers.get(approval.approver_key_id);
  if (trusted?.jwk.roles === undefined) return "its key is no approver's";
  const { nbf = 0, exp = Number.POSITIVE_INFINITY, revoked_from } = trusted.jwk;
  if (ts_ms < nbf * 1000 || ts_ms >= exp * 1000 || revoked_from !== undefined)
    return "its key is not valid now";
  const signature = Buffer.from(approval.approver_sig.slice("ed25519=".length), "hex");
  return verifySignature(trusted.key, Buffer.from(approvalInput(approval)), signature)
    ? undefined
    : "its signature does not hold";
}

/** Checks a person's statement and appends it. @throws GateError INVALID_INPUT, NOT_OPENED, SEALED_SEQUENCE or STORE_UNAVAILABLE. */
export async function approve(setup: GateSetup, approval: Approval): Promise<ApprovalReceipt> {
  checkForm(setup, approval);
  const { request, verdict, expires_ms, approver_key_id, approver_sig } = approval;
  const plan: Planner<ApprovalReceipt> = (state, now) => {
    if (state === undefined)
      throw new GateError("NOT_OPENED", `sequence '${approval.sequence_id}' was not opened`);
    const fault = approvalFault(approval, setup.approvers, now.record);
    if (fault !== undefined) throw invalid(`the approval counts for nothing: ${fault}`);
    if (!state.awaiting.has(request))
      throw invalid("request: no APPROVAL_REQUIRED denial of this sequence");
    const standing = state.approvals.get(request)?.get(approver_key_id);
    if (standing?.verdict === verdict && standing.expires_ms === expires_ms) {
      return {
        drafts: [],
        answer: async () =>
          (await setup.ledger.record(approval.sequence_id, standing.seq)) as ApprovalReceipt,
      };
    }
    if (now.record >= expires_ms) throw invalid("expires_ms: the approval has expired");
    requireRoom(setup, state);
    return {
      drafts: [{ kind: "approval", request, verdict, expires_ms, approver_key_id, approver_sig }],
      answer: ([receipt]) => receipt as ApprovalReceipt,
    };
  };
  // Read freshly: the denial may be another gate's.
  return setup.ledger.transact(approval.sequence_id, plan, { fresh: true });
}

function requireRoom(setup: GateSetup, state: SequenceState): void {
  if (state.sealed !== undefined) throw new GateError("SEALED_SEQUENCE", "the sequence is sealed");
  if (state.head.seq + 1 >= setup.maxRecords - RESERVED_PLACES)
    throw new GateError("OVERLOADED", "the sequence takes no more records");
}

function checkForm(setup: GateSetup, approval: Approval): void {
  if (typeof approval !== "object" || approval === null) throw invalid("an approval is an object");
  if (approval.log_id !== setup.logId) throw invalid("log_id: the approval is for another log");
  if (approval.verdict !== "approve" && approval.verdict !== "reject")
    throw invalid("verdict: approve or reject");
  if (!Number.isSafeInteger(approval.expires_ms) || approval.expires_ms < 0)
    throw invalid("expires_ms: milliseconds since the epoch");
  if (!/^ed25519=[0-9a-f]{128}$/.test(approval.approver_sig))
    throw invalid("approver_sig: ed25519= and 128 hex digits");
  if (typeof approval.sequence_id !== "string" || typeof approval.request !== "string")
    throw invalid("sequence_id and request are required");
}

function invalid(message: string): GateError {
  return new GateError("INVALID_INPUT", message);
}
