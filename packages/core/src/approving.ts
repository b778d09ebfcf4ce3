/** How a person's approval is signed and comes into the chain (receipt.md, Approvals). */
import { sign } from "node:crypto";
import { type Approval, approvalFault, approvalInput, type ApprovalStatement } from "./approval.ts";
import { GateError } from "./errors.ts";
import { type GateSetup, RESERVED_PLACES } from "./gate-parts.ts";
import type { Plan } from "./ledger.ts";
import type { ApprovalReceipt } from "./receipt.ts";
import { type SequenceState, statedBefore, votesOn } from "./sequence-state.ts";
import type { SigningKey } from "./signing-key.ts";

/** Signs a statement with a person's own key. */
export function signApproval(statement: ApprovalStatement, key: SigningKey): Approval {
  const signature = sign(null, Buffer.from(approvalInput(statement)), key.privateKey);
  return {
    ...statement,
    approver_key_id: key.keyId,
    approver_sig: `ed25519=${signature.toString("hex")}`,
  };
}

/** Checks a person's statement and appends it. @throws GateError INVALID_INPUT, NOT_OPENED, SEALED_SEQUENCE or STORE_UNAVAILABLE. */
export async function approve(setup: GateSetup, given: Approval): Promise<ApprovalReceipt> {
  // Copied before the first await: what the caller changes afterwards changes nothing.
  const approval = { ...given };
  checkForm(setup, approval);
  await setup.policies.follow(setup.clock());
  // Freshly read: the denial, and what was said of it, may have come through another gate.
  return setup.ledger.transact(
    approval.sequence_id,
    (state, now) => planApproval(setup, approval, state, now.record),
    { fresh: true },
  );
}

function planApproval(
  setup: GateSetup,
  approval: Approval,
  state: SequenceState | undefined,
  ts_ms: number,
): Plan<ApprovalReceipt> {
  const { sequence_id, request, verdict, expires_ms, approver_key_id, approver_sig } = approval;
  if (state === undefined)
    throw new GateError("NOT_OPENED", `sequence '${sequence_id}' was not opened`);
  const fault = approvalFault(approval, setup.approvers, ts_ms);
  if (fault !== undefined) throw invalid(`the approval counts for nothing: ${fault}`);
  if (!state.awaiting.has(request))
    throw invalid("request: no APPROVAL_REQUIRED denial of this sequence");
  const before = statedBefore(state, approval);
  if (before !== undefined) {
    if (votesOn(state, request).get(approver_key_id) !== before)
      throw invalid("the same person said otherwise since; sign anew, with another expires_ms");
    return {
      drafts: [],
      answer: async () => (await setup.ledger.record(sequence_id, before.seq)) as ApprovalReceipt,
    };
  }
  if (ts_ms >= expires_ms) throw invalid("expires_ms: the approval has expired");
  requireRoom(setup, state);
  return {
    drafts: [{ kind: "approval", request, verdict, expires_ms, approver_key_id, approver_sig }],
    answer: ([receipt]) => receipt as ApprovalReceipt,
  };
}

function requireRoom(setup: GateSetup, state: SequenceState): void {
  if (state.sealed !== undefined) throw new GateError("SEALED_SEQUENCE", "the sequence is sealed");
  if (state.head.seq + 1 >= setup.maxRecords - RESERVED_PLACES)
    throw new GateError("OVERLOADED", "the sequence takes no more records");
}

function checkForm(setup: GateSetup, approval: Approval): void {
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
