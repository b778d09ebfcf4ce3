/** The state of a sequence: the fold of its receipts, and nothing else. The gate and the verifier share it. */
import type { CompiledConditions, CompiledPolicy } from "./compiled-policy.ts";
import { burnsNonce, type DenyCode } from "./decision.ts";
import type {
  ApprovalReceipt,
  CallMembers,
  ContextReceipt,
  DecisionReceipt,
  Effects,
  OpenReceipt,
  OutcomeReceipt,
  OutcomeStatus,
  Receipt,
} from "./receipt.ts";
import { selects } from "./selector.ts";
import { stateAfter } from "./sequence.ts";

/** One use of a nonce: the first answer to it, and how its call came back since. */
export interface NonceUse {
  /** Record hash and place of the first answer. */
  readonly hash: string;
  readonly seq: number;
  /** The call of `decide` that was answered first, where {@link SequenceState.attempts} has not an earlier answer to it. */
  readonly attempt?: string;
  /** Record hash of the first ALLOW: the first answer itself, or the one that an approval led to. */
  root?: string;
  /** The function that {@link root} stood for: a tool of several may have been denied as one and allowed as another. */
  allowedAs?: string;
  readonly deny_code?: DenyCode;
  /** What refused, where the first answer was a denial. */
  readonly rule?: string;
  readonly call: CallMembers;
  readonly args_digest: string;
  /** Record hash of the latest ALLOW: the root, or its last resume. */
  latest?: string;
  /** The outcome of {@link latest}. */
  status?: OutcomeStatus;
  /** How often the call was allowed again after an interruption. */
  resumed: number;
}

/** One statement of an approver on one denial; the last word of a key counts. */
export interface ApprovalVote {
  readonly seq: number;
  readonly verdict: "approve" | "reject";
  readonly expires_ms: number;
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
  /** The pinned policy, by which the records are folded; without it the order is not walked and calls are not counted. */
  readonly policy: CompiledPolicy | undefined;
  head: Head;
  /** State of the policy's automaton. */
  position: number;
  /** The record that sealed; a person's seal ends resumes too. */
  sealed?: { readonly by: string; readonly seq: number; readonly person: boolean };
  readonly nonces: Map<string, NonceUse>;
  /**
   * Where each further call of `decide` was answered first, by its nonce and attempt; see {@link answeredAt}. The call that
   * used the nonce stands with its use, as nearly all do. Nobody asks a verifier.
   */
  readonly attempts: Map<string, Map<string, number>> | undefined;
  /** Every ALLOW by its hash: which nonce it used, and where its outcome lies. */
  readonly allows: Map<
    string,
    { readonly use: NonceUse; outcome?: { readonly status: OutcomeStatus; readonly seq: number } }
  >;
  /** The latest record that set the context. */
  context: { readonly digest?: string; readonly seq: number };
  /** Digests of all contexts, in order: later members replace earlier ones of the same name. */
  readonly contexts: string[];
  /** Which constraints saw the first of their two calls. */
  readonly fired: boolean[];
  /** Keyed digests of bound values, by name. */
  readonly binds: Map<string, string>;
  /** Sums so far, by rule: exact decimals. */
  readonly totals: Map<string, string>;
  /** Counted calls so far, by rule. */
  readonly calls: Map<string, number>;
  /** APPROVAL_REQUIRED denials by hash; one whose nonce was allowed since waits no more. */
  readonly awaiting: Map<string, NonceUse>;
  /** Statements on APPROVAL_REQUIRED denials, by the denial's hash and the approver's key, in their order. */
  readonly approvals: Map<string, Map<string, ApprovalVote[]>>;
  /** The last denial second, and how many denials it saw. */
  denials: { second: number; count: number };
}

/** The state right after the record that opened the sequence. `policy` is the pinned one, where it is held. */
export function openState(
  opened: OpenReceipt,
  hash: string,
  policy: CompiledPolicy | undefined,
): SequenceState {
  return {
    opened,
    policy,
    head: { seq: opened.seq, hash, ts_ms: opened.ts_ms },
    position: 0,
    nonces: new Map(),
    attempts: new Map(),
    allows: new Map(),
    context: {
      ...(opened.context_digest === undefined ? {} : { digest: opened.context_digest }),
      seq: opened.seq,
    },
    contexts: opened.context_digest === undefined ? [] : [opened.context_digest],
    fired: [],
    binds: new Map(),
    totals: new Map(),
    calls: new Map(),
    awaiting: new Map(),
    approvals: new Map(),
    denials: { second: -1, count: 0 },
  };
}

/** The fold of a whole chain, record by record; the pinned policy is found by its digest. */
export function foldSequence(
  policies: ReadonlyMap<string, CompiledPolicy>,
): (state: SequenceState | undefined, receipt: Receipt, hash: string) => SequenceState | undefined {
  return (state, receipt, hash) => {
    if (state === undefined) {
      if (receipt.kind !== "open") return undefined;
      return openState(receipt, hash, policies.get(receipt.policy_digest));
    }
    applyReceipt(state, receipt, hash);
    return state;
  };
}

/** True for a state that was folded before its policy was held: it says nothing of the order, and is to be folded anew. */
export function isOutdated(
  policies: ReadonlyMap<string, CompiledPolicy>,
): (state: SequenceState) => boolean {
  return ({ policy, opened }) => policy === undefined && policies.has(opened.policy_digest);
}

/** Folds one more record into the state. Constant time, however long the history. */
export function applyReceipt(state: SequenceState, receipt: Receipt, hash: string): void {
  state.head = { seq: receipt.seq, hash, ts_ms: receipt.ts_ms };
  if (receipt.kind === "decision") applyDecision(state, receipt, hash);
  else if (receipt.kind === "outcome") applyOutcome(state, receipt);
  else if (receipt.kind === "context") applyContext(state, receipt);
  else if (receipt.kind === "approval") applyApproval(state, receipt);
  else if (receipt.kind === "seal") state.sealed = { by: hash, seq: receipt.seq, person: true };
}

/**
 * Where this very call was answered first; `undefined` where it was not. An attempt that a caller uses for several nonces
 * is several, and each is found at once.
 */
export function answeredAt(
  { nonces, attempts }: SequenceState,
  nonce: string,
  attempt: string,
): number | undefined {
  const use = nonces.get(nonce);
  return use?.attempt === attempt ? use.seq : attempts?.get(nonce)?.get(attempt);
}

/** The last word of each approver on a denial, by their keys. */
export function votesOn(
  { approvals }: SequenceState,
  denial: string | undefined,
): ReadonlyMap<string, ApprovalVote> {
  const votes = (denial === undefined ? undefined : approvals.get(denial)) ?? [];
  return new Map([...votes].flatMap(([key, said]) => said.slice(-1).map((last) => [key, last])));
}

/** The record of this very statement. Given twice it is one: a rejection is not undone by the approval before it. */
export function statedBefore(
  { approvals }: SequenceState,
  { request, approver_key_id, verdict, expires_ms }: StatementOnRecord,
): ApprovalVote | undefined {
  const said = approvals.get(request)?.get(approver_key_id) ?? [];
  return said.find((vote) => vote.verdict === verdict && vote.expires_ms === expires_ms);
}

type StatementOnRecord = Pick<
  ApprovalReceipt,
  "request" | "approver_key_id" | "verdict" | "expires_ms"
>;

/** Denials that the store already took in this second of the clock. */
export function denialsInSecond(state: SequenceState, clockMs: number): number {
  return state.denials.second === Math.floor(clockMs / 1000) ? state.denials.count : 0;
}

function applyDecision(state: SequenceState, receipt: DecisionReceipt, hash: string): void {
  const { nonce, attempt, args_digest } = receipt;
  if (receipt.decision === "DENY") countDenial(state, receipt.ts_ms);
  if (nonce === undefined || args_digest === undefined) return;
  const burns = burnsNonce(receipt);
  const isNew =
    state.attempts !== undefined &&
    attempt !== undefined &&
    answeredAt(state, nonce, attempt) === undefined;
  if (isNew && !burns) noteAttempt(state.attempts, nonce, attempt, receipt.seq);
  const use = burns
    ? burnNonce(state, nonce, args_digest, receipt, hash, isNew ? attempt : undefined)
    : state.nonces.get(nonce);
  if (receipt.decision === "ALLOW" && use !== undefined) applyAllow(state, use, receipt, hash);
}

function noteAttempt(
  attempts: Map<string, Map<string, number>>,
  nonce: string,
  attempt: string,
  seq: number,
): void {
  const known = attempts.get(nonce);
  if (known === undefined) attempts.set(nonce, new Map([[attempt, seq]]));
  else known.set(attempt, seq);
}

function burnNonce(
  state: SequenceState,
  nonce: string,
  args_digest: string,
  receipt: DecisionReceipt,
  hash: string,
  attempt: string | undefined,
): NonceUse {
  const { seq, deny_code, rule = "" } = receipt;
  const call = callOf(receipt);
  const first: NonceUse =
    attempt === undefined
      ? { hash, seq, call, args_digest, resumed: 0 }
      : { hash, seq, attempt, call, args_digest, resumed: 0 };
  const use: NonceUse = deny_code === undefined ? first : { ...first, deny_code, rule };
  state.nonces.set(nonce, use);
  if (deny_code === "APPROVAL_REQUIRED") state.awaiting.set(hash, use);
  return use;
}

/** The first ALLOW of a nonce advances the sequence; one that comes back after an interruption does not. */
function applyAllow(
  state: SequenceState,
  use: NonceUse,
  receipt: DecisionReceipt,
  hash: string,
): void {
  const comesBack = use.root !== undefined;
  use.root ??= hash;
  if (!comesBack && receipt.function !== undefined) use.allowedAs = receipt.function;
  use.latest = hash;
  if (use.status !== undefined) delete use.status;
  state.allows.set(hash, { use });
  if (comesBack) use.resumed++;
  else advance(state, receipt, hash);
}

function applyContext(state: SequenceState, receipt: ContextReceipt): void {
  state.contexts.push(receipt.context_digest);
  state.context = { digest: receipt.context_digest, seq: receipt.seq };
}

function applyApproval(state: SequenceState, receipt: ApprovalReceipt): void {
  const { request, approver_key_id, verdict, expires_ms, seq } = receipt;
  const votes = state.approvals.get(request) ?? new Map<string, ApprovalVote[]>();
  const earlier = votes.get(approver_key_id) ?? [];
  votes.set(approver_key_id, [...earlier, { verdict, expires_ms, seq }]);
  state.approvals.set(request, votes);
}

function applyOutcome(state: SequenceState, receipt: OutcomeReceipt): void {
  const allow = state.allows.get(receipt.decision_hash);
  if (allow === undefined || allow.outcome !== undefined) return;
  allow.outcome = { status: receipt.status, seq: receipt.seq };
  if (allow.use.latest === receipt.decision_hash) allow.use.status = receipt.status;
}

/** What of an ALLOW moves its sequence on. */
export type Advance = CallMembers & Pick<DecisionReceipt, "seq" | "sealed" | "effects">;

/** Moves order, seal, constraints, binds and limits on by one ALLOW. */
export function advance(state: SequenceState, receipt: Advance, hash: string): void {
  const { policy } = state;
  if (receipt.sealed) state.sealed = { by: hash, seq: receipt.seq, person: false };
  if (receipt.effects !== undefined) takeEffect(state, receipt.effects);
  const fn = receipt.function === undefined ? undefined : policy?.functions.get(receipt.function);
  if (policy === undefined || fn === undefined) return;
  state.position = Math.max(stateAfter(policy, state.position, fn), 0);
  for (const [index, { first }] of policy.constraints.entries())
    if (selects(first, receipt)) state.fired[index] = true;
  for (const { path, calls } of conditionsOf(policy, receipt)) {
    if (calls === undefined || calls.per !== undefined) continue;
    const rule = `${path}.limits.calls`;
    state.calls.set(rule, (state.calls.get(rule) ?? 0) + 1);
  }
}

function takeEffect(state: SequenceState, { binds = {}, totals = {} }: Effects): void {
  for (const [name, digest] of Object.entries(binds)) state.binds.set(name, digest);
  for (const [rule, total] of Object.entries(totals)) state.totals.set(rule, total);
}

function countDenial(state: SequenceState, tsMs: number): void {
  const second = Math.floor(tsMs / 1000);
  if (state.denials.second === second) state.denials.count++;
  else state.denials = { second, count: 1 };
}

/** The conditions that stand on a call's function and on its tool, in this order. */
export function conditionsOf(
  policy: CompiledPolicy,
  call: CallMembers,
): readonly CompiledConditions[] {
  const ofFunction = policy.functions.get(call.function ?? "")?.conditions;
  const ofTool = call.tool === undefined ? undefined : policy.tools.get(call.tool)?.conditions;
  if (ofFunction === undefined) return ofTool === undefined ? NONE : [ofTool];
  return ofTool === undefined ? [ofFunction] : [ofFunction, ofTool];
}

const NONE: readonly CompiledConditions[] = [];

/** What of a record says which call it is. */
export function callOf(members: PossibleMembers): CallMembers {
  const { step, function: fn, action_type, tool, audience } = members;
  const call: { -readonly [K in keyof CallMembers]: CallMembers[K] } = {};
  if (step !== undefined) call.step = step;
  if (fn !== undefined) call.function = fn;
  if (action_type !== undefined) call.action_type = action_type;
  if (tool !== undefined) call.tool = tool;
  if (audience !== undefined) call.audience = audience;
  return call;
}

type PossibleMembers = { readonly [K in keyof CallMembers]: CallMembers[K] | undefined };
