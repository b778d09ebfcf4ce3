/** One chain: are its records in place, linked, within their rights, and what the policy makes of them? */
import type { CallForm } from "./action-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { neededApproval } from "./approval-request.ts";
import { approvalFault } from "./approving.ts";
import { hasCondition } from "./conditions.ts";
import { decide, type Verdict } from "./decide.ts";
import { BURNS_NO_NONCE } from "./decision.ts";
import { genesisHash } from "./digest.ts";
import { type Fault, fault } from "./finding.ts";
import { admitNonce } from "./nonce.ts";
import type {
  ApprovalReceipt,
  DecisionReceipt,
  OpenReceipt,
  OutcomeReceipt,
  PolicyReceipt,
  Receipt,
} from "./receipt.ts";
import { applyReceipt, conditionsOf, openState, type SequenceState } from "./sequence-state.ts";
import type { KeySet } from "./signing-key.ts";

/** The policies to recompute decisions by, by digest; `undefined`: decisions are not recomputed. */
export type HeldPolicies = ReadonlyMap<string, CompiledPolicy> | undefined;

/** What a chain is verified by. */
export interface ChainEvidence {
  readonly policies: HeldPolicies;
  /** Trusted keys; those with roles are approvers'. */
  readonly keys: KeySet;
}

/** A chain as far as it was read. */
export interface Chain {
  /** The `seq` and the `prev` that the next record must have; `prev` is not known after a gap. */
  next: number;
  prev: string | undefined;
  ts_ms: number;
  /** Places that were passed over. */
  readonly gaps: { readonly from: number; readonly to: number }[];
  state: SequenceState | undefined;
  /** In the chain `@log`: what became active and what was withdrawn, in order. */
  readonly policies: PolicyReceipt[];
}

/** A chain of which nothing was read yet. */
export function newChain(): Chain {
  return { next: 0, prev: undefined, ts_ms: 0, gaps: [], state: undefined, policies: [] };
}

/** Goes on from a line whose form was not right: only its place counts. */
export function skipRecord(
  chain: Chain,
  place: { readonly seq: number; readonly hash: string },
): void {
  if (place.seq < chain.next) return;
  moveTo(chain, place.seq, place.hash, chain.ts_ms);
}

/** The first fault of one record in its chain; then the chain goes on from it, sound or not. */
export function followRecord(
  chain: Chain,
  receipt: Receipt,
  hash: string,
  evidence: ChainEvidence,
): Fault | undefined {
  const misplaced = placeFault(chain, receipt);
  // What stands in the past of the chain changes nothing of it.
  if (receipt.seq < chain.next) return misplaced;
  const found =
    misplaced ?? linkFault(chain, receipt) ?? contentFault(chain.state, receipt, evidence);
  moveTo(chain, receipt.seq, hash, receipt.ts_ms);
  if (receipt.kind === "policy") chain.policies.push(receipt);
  if (chain.state !== undefined) applyReceipt(chain.state, receipt, hash);
  else if (receipt.kind === "open" && receipt.seq === 0)
    chain.state = openState(receipt, hash, evidence.policies?.get(receipt.policy_digest));
  return found;
}

function moveTo(chain: Chain, seq: number, hash: string, ts_ms: number): void {
  if (seq > chain.next) chain.gaps.push({ from: chain.next, to: seq - 1 });
  chain.next = seq + 1;
  chain.prev = hash;
  chain.ts_ms = ts_ms;
}

function placeFault(chain: Chain, receipt: Receipt): Fault | undefined {
  const { seq } = receipt;
  if (seq === 0 && chain.next === 0 && receipt.prev !== genesisOf(receipt)) {
    return fault("WRONG_GENESIS", "does not begin the chain of this log, tenant and sequence");
  }
  if (seq < chain.next) {
    const passedOver = chain.gaps.some(({ from, to }) => seq >= from && seq <= to);
    return passedOver
      ? fault("OUT_OF_ORDER", `seq ${seq} comes after ${chain.next - 1}`)
      : fault("DUPLICATE_SEQ", `seq ${seq} stands twice`);
  }
  if (seq > chain.next)
    return fault(
      "GAP",
      `seq ${chain.next}${seq - 1 > chain.next ? ` to ${seq - 1}` : ""} is missing`,
    );
  return undefined;
}

function genesisOf(receipt: Receipt): string {
  const tenant = receipt.kind === "open" ? receipt.tenant : undefined;
  return genesisHash({ log_id: receipt.log_id, tenant, sequence_id: receipt.sequence_id });
}

function linkFault(chain: Chain, receipt: Receipt): Fault | undefined {
  if (receipt.seq > 0 && chain.prev !== undefined && receipt.prev !== chain.prev)
    return broken("prev is not the record before");
  if (receipt.ts_ms < chain.ts_ms) return broken("ts_ms is below the record before");
  if (receipt.kind !== "policy" && (receipt.kind === "open") !== (receipt.seq === 0))
    return broken("open stands exactly at seq 0");
  const opened = chain.state?.opened;
  if (opened === undefined) return undefined;
  if (receipt.log_id !== opened.log_id) return broken("comes from another log");
  if ("mode" in receipt && receipt.mode !== opened.mode)
    return broken("has another mode than its opening");
  const owned = receipt.kind === "decision" || receipt.kind === "context";
  if (owned && (receipt.agent_id !== opened.agent_id || receipt.tenant !== opened.tenant))
    return broken("belongs to another owner");
  return undefined;
}

function contentFault(
  state: SequenceState | undefined,
  receipt: Receipt,
  evidence: ChainEvidence,
): Fault | undefined {
  if (receipt.kind === "open") return openFault(receipt, evidence.policies);
  if (state === undefined) return undefined;
  if (isAfterSeal(state, receipt)) return fault("AFTER_SEAL", "nothing new may follow the seal");
  if (receipt.kind === "outcome") return outcomeFault(state, receipt);
  if (receipt.kind === "approval") return approvalRecordFault(state, receipt, evidence.keys);
  if (receipt.kind !== "decision") return undefined;
  return (
    nonceFault(state, receipt) ??
    resumeFault(state, receipt) ??
    approvedFault(state, receipt, evidence.keys) ??
    policyFault(state, receipt) ??
    recomputedFault(state, receipt)
  );
}

function openFault(receipt: OpenReceipt, policies: HeldPolicies): Fault | undefined {
  if (policies === undefined) return undefined;
  const policy = policies.get(receipt.policy_digest);
  if (policy === undefined)
    return fault("POLICY_MISMATCH", "was opened under a policy that is not given");
  const same = policy.id === receipt.policy_id && policy.version === receipt.policy_version;
  return same
    ? undefined
    : fault("POLICY_MISMATCH", "names the policy otherwise than it names itself");
}

/** After the seal: outcomes, denials, resumes of the sealing ALLOW, one seal of a person's, after which nothing resumes. */
function isAfterSeal(state: SequenceState, receipt: Receipt): boolean {
  const { sealed } = state;
  if (sealed === undefined || receipt.kind === "outcome") return false;
  if (receipt.kind === "seal") return sealed.person;
  if (receipt.kind !== "decision") return true;
  return receipt.decision === "ALLOW" && (sealed.person || receipt.resumes !== sealed.by);
}

function outcomeFault(state: SequenceState, receipt: OutcomeReceipt): Fault | undefined {
  const allow = state.allows.get(receipt.decision_hash);
  if (allow === undefined) return fault("OUTCOME_MISMATCH", "is the outcome of no ALLOW before it");
  return allow.outcome === undefined
    ? undefined
    : fault("OUTCOME_MISMATCH", "is a second outcome of one ALLOW");
}

function nonceFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const burns = receipt.deny_code === undefined || !BURNS_NO_NONCE.has(receipt.deny_code);
  if (!burns || receipt.resumes !== undefined || !state.nonces.has(receipt.nonce ?? ""))
    return undefined;
  return fault("DUPLICATE_NONCE", "its nonce was used before");
}

function resumeFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { resumes, nonce = "", args_digest = "" } = receipt;
  if (resumes === undefined) return undefined;
  const back = admitNonce(state, nonce, callForm(receipt), args_digest);
  const root = back.kind === "interrupted" ? back.root : undefined;
  const denial = back.kind === "approval" ? back.use.hash : undefined;
  if (resumes !== (root ?? denial)) return mismatch("resumes what may not come back");
  const counted = receipt.sealed !== undefined || receipt.effects !== undefined;
  return counted && root !== undefined ? mismatch("counts a resumed call again") : undefined;
}

/** A person's statement on a denial of this sequence, under a trusted approver's key that was valid then. */
function approvalRecordFault(
  state: SequenceState,
  receipt: ApprovalReceipt,
  keys: KeySet,
): Fault | undefined {
  if (!keys.has(receipt.approver_key_id))
    return fault("UNKNOWN_KEY", `approver's key '${receipt.approver_key_id}' is not trusted`);
  if (!state.awaiting.has(receipt.request))
    return fault("APPROVAL_MISMATCH", "approves no denial that asked for it");
  const why = approvalFault(receipt, keys, receipt.ts_ms);
  return why === undefined ? undefined : fault("APPROVAL_MISMATCH", `counts for nothing: ${why}`);
}

/** An ALLOW that answers an APPROVAL_REQUIRED denial needs the approvals that this denial asked for. */
function approvedFault(
  state: SequenceState,
  receipt: DecisionReceipt,
  keys: KeySet,
): Fault | undefined {
  const use = state.nonces.get(receipt.nonce ?? "");
  if (receipt.decision !== "ALLOW" || use?.deny_code !== "APPROVAL_REQUIRED") return undefined;
  const votes = [...(state.approvals.get(use.hash) ?? [])];
  const { policy } = state;
  const approval = policy && neededApproval(policy, use.call, use.rule ?? "");
  const entitled = votes.filter(([keyId]) => {
    const jwk = keys.get(keyId)?.jwk;
    // Of a key that is not trusted its own record was found already; here nothing can be said of it.
    return (
      approval === undefined ||
      jwk === undefined ||
      (jwk.roles ?? []).some((role) => approval.by.has(role))
    );
  });
  // Without the policy nobody knows whose rejection counts.
  if (approval !== undefined && entitled.some(([, { verdict }]) => verdict === "reject"))
    return fault("APPROVAL_MISMATCH", "was allowed although an approver rejected it");
  const standing = entitled.filter(
    ([, { verdict, expires_ms }]) => verdict === "approve" && receipt.ts_ms < expires_ms,
  );
  return standing.length >= (approval?.count ?? 1)
    ? undefined
    : fault("APPROVAL_MISMATCH", "was allowed without the approvals that it needed");
}

function policyFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { opened } = state;
  const same =
    receipt.policy_digest === opened.policy_digest &&
    receipt.policy_id === opened.policy_id &&
    receipt.policy_version === opened.policy_version;
  return same
    ? undefined
    : fault("POLICY_MISMATCH", "was decided under another policy than its opening");
}

/** Checks 2 to 6 decided again. The gate's clock is not on record, so the two codes around it are taken as they are. */
function recomputedFault(state: SequenceState, receipt: DecisionReceipt): Fault | undefined {
  const { policy } = state;
  const code = receipt.deny_code;
  if (policy === undefined || code === "INVALID_REQUEST" || code === "POLICY_UNAVAILABLE")
    return undefined;
  const { ts_ms, nonce = "", args_digest = "" } = receipt;
  const verdict = decide(
    policy,
    state,
    { call: callForm(receipt), nonce, args_digest, ts_ms },
    { clock: ts_ms, record: ts_ms },
    undefined,
  );
  const stale = code === "STALE_TIMESTAMP" && receipt.rule === "freshness";
  const same =
    (stale || isAsRecorded(verdict, receipt, policy)) &&
    verdict.resumes === receipt.resumes &&
    (["step", "function", "action_type", "tool", "audience"] as const).every(
      (member) => verdict.call[member] === receipt[member],
    );
  if (same) return undefined;
  const computed =
    verdict.refusal === undefined ? "ALLOW" : `${verdict.refusal.code} (${verdict.refusal.rule})`;
  return fault("DECISION_MISMATCH", `the policy gives ${computed}`);
}

/** Checks 7 to 9 need arguments: a refusal by them is believed where the policy has that condition and 2 to 6 pass. */
function isAsRecorded(verdict: Verdict, receipt: DecisionReceipt, policy: CompiledPolicy): boolean {
  const { deny_code: code, rule = "" } = receipt;
  if (code !== undefined && BY_CONDITIONS.has(code)) {
    return verdict.refusal === undefined && hasCondition(conditionsOf(policy, receipt), code, rule);
  }
  const { refusal, seals } = verdict;
  const sealed = receipt.sealed === true;
  return refusal?.code === code && refusal?.rule === receipt.rule && seals === sealed;
}

const BY_CONDITIONS: ReadonlySet<string> = new Set([
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
  "POLICY_ERROR",
]);

/** The request as it must have been: in the tool form where a tool is named. */
export function callForm(receipt: DecisionReceipt): CallForm {
  if (receipt.tool !== undefined) return { tool: receipt.tool };
  const { function: fn = "", action_type = "", step } = receipt;
  return { function: fn, action_type, ...(step === undefined ? {} : { step }) };
}

function mismatch(message: string): Fault {
  return fault("OUTCOME_MISMATCH", message);
}

function broken(message: string): Fault {
  return fault("CHAIN_BROKEN", message);
}

/** True where `@log` had this policy active in any state that it had at that time. */
export function wasActive(log: readonly PolicyReceipt[], opened: OpenReceipt): boolean {
  let active: string | undefined;
  for (const { policy_id, policy_digest, status, ts_ms } of log) {
    if (policy_id !== opened.policy_id) continue;
    if (ts_ms >= opened.ts_ms && active === opened.policy_digest) return true;
    if (ts_ms > opened.ts_ms) return false;
    if (status === "active") active = policy_digest;
    else if (active === policy_digest) active = undefined;
  }
  return active === opened.policy_digest;
}
