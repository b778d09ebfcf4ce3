/** What an APPROVAL_REQUIRED denial asks of people: who may approve, what they are shown, and what they sign. */
import type { JsonObject } from "./canonical-json.ts";
import type { CompiledConditions, CompiledPolicy } from "./compiled-policy.ts";
import { type CallMembers, type DecisionReceipt, recordHash } from "./receipt.ts";
import { conditionsOf } from "./sequence-state.ts";

/** Stands on an APPROVAL_REQUIRED denial (receipt.md, Approvals). Whoever approves recomputes the digest of `args`. */
export interface ApprovalRequest {
  readonly log_id: string;
  readonly sequence_id: string;
  /** Record hash of the first such denial of this call: what a statement names. */
  readonly request: string;
  /** How many people must approve. */
  readonly count: number;
  /** Roles of which each of them has one. */
  readonly roles: readonly string[];
  /** The arguments that were decided; the receipt holds their digest under {@link args_key}. */
  readonly args: JsonObject;
  /** 64 hex digits; for approvers alone, since it also entitles to report the call's outcome. */
  readonly args_key: string;
}

/** The request behind a denial; `undefined` for any other denial, and where its policy is not known any more. */
export function approvalRequest(
  receipt: DecisionReceipt,
  policy: CompiledPolicy | undefined,
  args: JsonObject,
  args_key: string,
): ApprovalRequest | undefined {
  if (receipt.deny_code !== "APPROVAL_REQUIRED" || policy === undefined) return undefined;
  const needed = neededApproval(policy, receipt, receipt.rule ?? "");
  if (needed === undefined) return undefined;
  const { log_id, sequence_id } = receipt;
  const { count, by } = needed;
  const request = recordHash(receipt);
  return { log_id, sequence_id, request, count, roles: [...by], args, args_key };
}

/** The approval that a rule of the policy asks for. */
export function neededApproval(
  policy: CompiledPolicy,
  call: CallMembers,
  rule: string,
): CompiledConditions["approval"] {
  return conditionsOf(policy, call).find(({ path }) => rule === `${path}.approval`)?.approval;
}
