/** One chain: are its records in place, linked, within their rights, and what the policy makes of them? */
import type { CompiledPolicy } from "./compiled-policy.ts";
import { approvalFault } from "./approval.ts";
import { genesisHash } from "./digest.ts";
import { type Fault, fault } from "./finding.ts";
import {
  type ApprovalReceipt,
  LOG_CHAIN,
  type OpenReceipt,
  type OutcomeReceipt,
  type PolicyReceipt,
  type Receipt,
} from "./receipt.ts";
import { applyReceipt, openState, type SequenceState, statedBefore } from "./sequence-state.ts";
import type { KeySet } from "./key-set.ts";
import type { SignatureCheck } from "./signature-check.ts";
import { decisionFault } from "./verify-decision.ts";

/** The policies to recompute decisions by, by digest; `undefined`: decisions are not recomputed. */
export type HeldPolicies = ReadonlyMap<string, CompiledPolicy> | undefined;

/** What a chain is verified by. */
export interface ChainEvidence {
  readonly policies: HeldPolicies;
  /** Trusted keys; those with roles are approvers'. */
  readonly keys: KeySet;
  readonly holds: SignatureCheck;
}

/** A chain as far as it was read. */
export interface Chain {
  /** The `seq` and the `prev` that the next record must have; `prev` is not known after a gap. */
  next: number;
  prev: string | undefined;
  ts_ms: number;
  /** Places that were passed over, the latest of them. */
  readonly gaps: Gap[];
  state: SequenceState | undefined;
  /** In the chain `@log`: what became active and what was withdrawn, in order. */
  readonly policies: PolicyChange[];
}

/** Places of a chain without a record, both ends included. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** What `@log` says of one policy at one time. */
export type PolicyChange = Pick<PolicyReceipt, "policy_id" | "policy_digest" | "status" | "ts_ms">;

/** So many gaps are remembered: a record that comes late for an older one is taken for a place's second. */
const MAX_GAPS = 1000;

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
  if (receipt.kind === "policy") chain.policies.push(changeOf(receipt));
  if (chain.state !== undefined) applyReceipt(chain.state, receipt, hash);
  else if (receipt.kind === "open" && receipt.seq === 0)
    chain.state = judgedState(receipt, hash, evidence.policies);
  return found;
}

/** The state right after an `open`, of which a verifier needs neither authenticators nor, later, attempts. */
export function judgedState(
  opened: OpenReceipt,
  hash: string,
  policies: HeldPolicies,
): SequenceState {
  const { sig: _sig, batch: _batch, hmac_sig: _mac, ...body } = opened;
  const state = openState(body, hash, policies?.get(opened.policy_digest));
  return { ...state, attempts: undefined };
}

function changeOf({ policy_id, policy_digest, status, ts_ms }: PolicyReceipt): PolicyChange {
  return { policy_id, policy_digest, status, ts_ms };
}

function moveTo(chain: Chain, seq: number, hash: string, ts_ms: number): void {
  if (seq > chain.next) chain.gaps.push({ from: chain.next, to: seq - 1 });
  if (chain.gaps.length > MAX_GAPS) chain.gaps.shift();
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
  if (chain.prev !== undefined && receipt.prev !== chain.prev)
    return broken("prev is not the record before");
  if (receipt.ts_ms < chain.ts_ms) return broken("ts_ms is below the record before");
  if (receipt.sequence_id !== LOG_CHAIN && (receipt.kind === "open") !== (receipt.seq === 0))
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
  if (receipt.kind === "approval") return approvalRecordFault(state, receipt, evidence);
  return receipt.kind === "decision" ? decisionFault(state, receipt, evidence.keys) : undefined;
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

/** A person's statement on a denial of this sequence, under a trusted approver's key that was valid then. */
function approvalRecordFault(
  state: SequenceState,
  receipt: ApprovalReceipt,
  { keys, holds }: ChainEvidence,
): Fault | undefined {
  if (!keys.has(receipt.approver_key_id))
    return fault("UNKNOWN_KEY", `approver's key '${receipt.approver_key_id}' is not trusted`);
  if (!state.awaiting.has(receipt.request))
    return fault("APPROVAL_MISMATCH", "approves no denial that asked for it");
  if (statedBefore(state, receipt) !== undefined)
    return fault("APPROVAL_MISMATCH", "says again what its approver said before");
  const why = approvalFault(receipt, keys, receipt.ts_ms, holds);
  return why === undefined ? undefined : fault("APPROVAL_MISMATCH", `counts for nothing: ${why}`);
}

/** True where `@log` had this policy active in any state that it had at that time. */
export function wasActive(log: readonly PolicyChange[], opened: OpenReceipt): boolean {
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

function broken(message: string): Fault {
  return fault("CHAIN_BROKEN", message);
}
