/** The state of a sequence: the fold of its receipts, and nothing else. The gate and the verifier share it. */
import type { CompiledPolicy } from "./compiled-policy.ts";
import { BURNS_NO_NONCE, type DenyCode } from "./decision.ts";
import type {
  CallMembers,
  DecisionReceipt,
  OpenReceipt,
  OutcomeReceipt,
  OutcomeStatus,
  Receipt,
} from "./receipt.ts";
import { stateAfter } from "./sequence.ts";

/** One use of a nonce: the first answer to it, and how its call came back since. */
export interface NonceUse {
  /** Record hash of the first answer. */
  readonly hash: string;
  readonly deny_code?: DenyCode;
  readonly call: CallMembers;
  readonly args_digest: string;
  /** Record hash of the latest ALLOW: the root, or its last resume. */
  latest: string;
  /** The outcome of {@link latest}. */
  status?: OutcomeStatus;
  /** How often the call was allowed again after an interruption. */
  resumed: number;
}

/** Where a record lies, and its identity. */
export interface Head {
  readonly seq: number;
  readonly hash: string;
  readonly ts_ms: number;
}

/** What is known of a sequence after its records up to {@link head}. Changed only by {@link applyReceipt}. */
export interface SequenceState {
  readonly opened: OpenReceipt;
  head: Head;
  /** State of the policy's automaton. */
  position: number;
  /** The record that sealed; a person's seal ends resumes too. */
  sealed?: { readonly by: string; readonly seq: number; readonly person: boolean };
  readonly nonces: Map<string, NonceUse>;
  /** Where each {@link attemptKey} was answered first. */
  readonly attempts: Map<string, number>;
  /** Every ALLOW by its hash: which nonce it used, and where its outcome lies. */
  readonly allows: Map<
    string,
    { readonly use: NonceUse; outcome?: { readonly status: OutcomeStatus; readonly seq: number } }
  >;
  /** The latest record that set the context. */
  context: { readonly digest?: string; readonly seq: number };
  /** The last denial second, and how many denials it saw. */
  denials: { second: number; count: number };
}

/** The state right after the record that opened the sequence. */
export function openState(opened: OpenReceipt, hash: string): SequenceState {
  return {
    opened,
    head: { seq: opened.seq, hash, ts_ms: opened.ts_ms },
    position: 0,
    nonces: new Map(),
    attempts: new Map(),
    allows: new Map(),
    context: {
      ...(opened.context_digest === undefined ? {} : { digest: opened.context_digest }),
      seq: opened.seq,
    },
    denials: { second: -1, count: 0 },
  };
}

/**
 * Folds one more record into the state. Constant time, however long the history. `policy` is the pinned one; without it
 * the order cannot be walked, and every decision on this state is POLICY_UNAVAILABLE.
 */
export function applyReceipt(
  state: SequenceState,
  receipt: Receipt,
  hash: string,
  policy: CompiledPolicy | undefined,
): void {
  state.head = { seq: receipt.seq, hash, ts_ms: receipt.ts_ms };
  if (receipt.kind === "decision") applyDecision(state, receipt, hash, policy);
  else if (receipt.kind === "outcome") applyOutcome(state, receipt);
  else if (receipt.kind === "context")
    state.context = { digest: receipt.context_digest, seq: receipt.seq };
  else if (receipt.kind === "seal") state.sealed = { by: hash, seq: receipt.seq, person: true };
}

/** Names one call of `decide`: an attempt that a caller uses for several nonces is several, and each is found at once. */
export function attemptKey(attempt: string, nonce: string): string {
  return `${attempt}\n${nonce}`;
}

/** Denials that the store already took in this second of the clock. */
export function denialsInSecond(state: SequenceState, clockMs: number): number {
  return state.denials.second === Math.floor(clockMs / 1000) ? state.denials.count : 0;
}

function applyDecision(
  state: SequenceState,
  receipt: DecisionReceipt,
  hash: string,
  policy: CompiledPolicy | undefined,
): void {
  const { nonce, attempt, args_digest } = receipt;
  if (attempt !== undefined && nonce !== undefined && args_digest !== undefined) {
    const key = attemptKey(attempt, nonce);
    if (!state.attempts.has(key)) state.attempts.set(key, receipt.seq);
  }
  if (receipt.decision === "DENY") countDenial(state, receipt.ts_ms);
  if (receipt.resumes !== undefined) return applyResume(state, receipt, hash);
  if (nonce === undefined || args_digest === undefined) return;
  if (receipt.deny_code !== undefined && BURNS_NO_NONCE.has(receipt.deny_code)) return;
  const use: NonceUse = {
    hash,
    ...(receipt.deny_code === undefined ? {} : { deny_code: receipt.deny_code }),
    call: callOf(receipt),
    args_digest,
    latest: hash,
    resumed: 0,
  };
  state.nonces.set(nonce, use);
  if (receipt.decision !== "ALLOW") return;
  state.allows.set(hash, { use });
  advance(state, receipt, policy);
  if (receipt.sealed) state.sealed = { by: hash, seq: receipt.seq, person: false };
}

/** A call that came back: no second advance, a new ALLOW of the same nonce. Its denials change nothing. */
function applyResume(state: SequenceState, receipt: DecisionReceipt, hash: string): void {
  const use = receipt.nonce === undefined ? undefined : state.nonces.get(receipt.nonce);
  if (use === undefined || receipt.decision !== "ALLOW") return;
  use.latest = hash;
  delete use.status;
  use.resumed++;
  state.allows.set(hash, { use });
}

function applyOutcome(state: SequenceState, receipt: OutcomeReceipt): void {
  const allow = state.allows.get(receipt.decision_hash);
  if (allow === undefined || allow.outcome !== undefined) return;
  allow.outcome = { status: receipt.status, seq: receipt.seq };
  if (allow.use.latest === receipt.decision_hash) allow.use.status = receipt.status;
}

function advance(
  state: SequenceState,
  receipt: DecisionReceipt,
  policy: CompiledPolicy | undefined,
): void {
  const fn = receipt.function === undefined ? undefined : policy?.functions.get(receipt.function);
  if (policy === undefined || fn === undefined) return;
  state.position = Math.max(stateAfter(policy, state.position, fn), 0);
}

function countDenial(state: SequenceState, tsMs: number): void {
  const second = Math.floor(tsMs / 1000);
  if (state.denials.second === second) state.denials.count++;
  else state.denials = { second, count: 1 };
}

function callOf(receipt: CallMembers): CallMembers {
  const { step, function: fn, action_type, tool, audience } = receipt;
  return {
    ...(step === undefined ? {} : { step }),
    ...(fn === undefined ? {} : { function: fn }),
    ...(action_type === undefined ? {} : { action_type }),
    ...(tool === undefined ? {} : { tool }),
    ...(audience === undefined ? {} : { audience }),
  };
}
