/**
 * The decision: policy, state, request and time in, verdict out. **Pure**: no I/O, no clock, no randomness, nothing is
 * changed. The checks come in the order of decision.md, and the first failure is the only code.
 */
import type { CallForm } from "./action-request.ts";
import type { CompiledFunction, CompiledPolicy } from "./compiled-policy.ts";
import { type Grounds, judge } from "./conditions.ts";
import type { DenyCode } from "./decision.ts";
import { admitNonce, type NonceAdmission } from "./nonce.ts";
import type { CallMembers, Effects } from "./receipt.ts";
import { brokenConstraint, forbiddenBy } from "./selector.ts";
import { isAccepting, isNaturalEnd, stateAfter } from "./sequence.ts";
import { callOf, conditionsOf, type NonceUse, type SequenceState } from "./sequence-state.ts";
import type { CounterStep } from "./store.ts";

/** What of a well-formed request is decided on. */
export interface DecisionInput {
  readonly call: CallForm;
  readonly nonce: string;
  readonly args_digest: string;
  /** The caller's clock, in milliseconds. */
  readonly ts_ms: number;
}

/** Two times in milliseconds: freshness and windows go by the gate's clock, lifetime and approvals by the record's. */
export interface DecisionTime {
  readonly clock: number;
  readonly record: number;
}

/** Why a request is refused. */
export interface Refusal {
  readonly code: DenyCode;
  readonly rule: string;
}

/** The answer, with what it makes of the request. */
export interface Verdict {
  /** Absent exactly on ALLOW. */
  readonly refusal?: Refusal;
  readonly call: CallMembers;
  /** True for an ALLOW that ends the sequence. */
  readonly seals: boolean;
  /** The earlier use of this nonce, if any. */
  readonly earlier?: NonceUse;
  /** Hash of the interrupted ALLOW, or of the APPROVAL_REQUIRED denial, that this request comes back to. */
  readonly resumes?: string;
  /** On ALLOW: what it changes of binds and sums. */
  readonly effects?: Effects;
  /** On ALLOW: counters across sequences that move with it. */
  readonly counters: readonly CounterStep[];
}

/**
 * Decides one request against the pinned policy; `undefined` where this gate does not hold it. Without `grounds`
 * (a verifier that was given no arguments) checks 7 to 9 are left out.
 */
export function decide(
  policy: CompiledPolicy | undefined,
  state: SequenceState,
  input: DecisionInput,
  time: DecisionTime,
  grounds: Grounds | undefined,
): Verdict {
  if (policy === undefined) return deny("POLICY_UNAVAILABLE", "policy", { ...input.call });
  const nonce = admitNonce(state, input.nonce, input.call, input.args_digest);
  const resumed = nonce.kind === "interrupted" ? nonce.use : undefined;
  const match = matchCall(policy, state, input.call, resumed);
  const refusal =
    freshness(policy, input, time) ??
    (nonce.kind === "replay" ? refuse("REPLAY_NONCE", "nonce") : undefined) ??
    seal(policy, state, time, resumed) ??
    match.refusal;
  const history = historyOf(nonce);
  const { call } = match;
  if (refusal !== undefined) return { ...history, refusal, call, seals: false, counters: [] };
  const conditions = conditionsOf(policy, call);
  // Of most calls there is no more to say, and it is said at once.
  if (conditions.length === 0 && nonce.kind === "fresh")
    return { call, seals: match.seals, counters: [] };
  const back = { counted: resumed !== undefined, denial: approvedDenial(nonce) };
  const judgement = grounds && judge(conditions, state, grounds, time, back);
  const seals = match.seals && resumed === undefined && judgement?.refusal === undefined;
  return { ...history, counters: [], ...judgement, call, seals };
}

/** Tools that would pass the order and the map in this state, arguments aside. */
export function permittedTools(policy: CompiledPolicy, state: SequenceState): readonly string[] {
  if (state.sealed !== undefined) return [];
  return [...policy.tools.keys()].filter(
    (tool) => matchCall(policy, state, { tool }, undefined).refusal === undefined,
  );
}

function historyOf(nonce: NonceAdmission): Pick<Verdict, "earlier" | "resumes"> {
  switch (nonce.kind) {
    case "fresh":
      return {};
    case "replay":
      return { earlier: nonce.use };
    case "interrupted":
      return { earlier: nonce.use, resumes: nonce.root };
    case "approval":
      return { earlier: nonce.use, resumes: nonce.use.hash };
  }
}

/** The denial whose approvals speak for this call: they were given to this nonce, tool, policy and arguments. */
function approvedDenial(nonce: NonceAdmission): string | undefined {
  if (nonce.kind !== "approval" && nonce.kind !== "interrupted") return undefined;
  return nonce.use.deny_code === "APPROVAL_REQUIRED" ? nonce.use.hash : undefined;
}

/** Check 1. */
function freshness(
  policy: CompiledPolicy,
  input: DecisionInput,
  time: DecisionTime,
): Refusal | undefined {
  // Written so that a NaN would refuse.
  return Math.abs(input.ts_ms - time.clock) <= policy.freshnessMs
    ? undefined
    : refuse("STALE_TIMESTAMP", "freshness");
}

/** Check 3. What a sealing ALLOW began may come back after its own seal, not after a person's and not past the lifetime. */
function seal(
  policy: CompiledPolicy,
  state: SequenceState,
  time: DecisionTime,
  resumed: NonceUse | undefined,
): Refusal | undefined {
  const { sealed } = state;
  const ownSeal = sealed !== undefined && !sealed.person && sealed.by === resumed?.root;
  if (sealed !== undefined && !ownSeal) return refuse("SEALED_SEQUENCE", "seal");
  return time.record - state.opened.ts_ms <= policy.lifetimeMs
    ? undefined
    : refuse("SEALED_SEQUENCE", "seal");
}

interface Match {
  readonly call: CallMembers;
  readonly seals: boolean;
  readonly refusal?: Refusal;
}

/** Checks 4 to 6, and what the policy makes of the call. */
function matchCall(
  policy: CompiledPolicy,
  state: SequenceState,
  call: CallForm,
  resumed: NonceUse | undefined,
): Match {
  return call.tool === undefined
    ? matchExplicit(policy, state, call, resumed)
    : matchTool(policy, state, call.tool, resumed);
}

function matchTool(
  policy: CompiledPolicy,
  state: SequenceState,
  name: string,
  resumed: NonceUse | undefined,
): Match {
  const tool = policy.tools.get(name);
  if (tool === undefined) return deny("NO_POLICY_MATCH", "tools", { tool: name });
  let first: Match | undefined;
  for (const candidate of tool.functions) {
    // A call that comes back is the call that it was.
    if (resumed !== undefined && resumed.allowedAs !== candidate) continue;
    const fn = policy.functions.get(candidate);
    if (fn === undefined) continue;
    const audience = tool.audience ?? fn.audience;
    const members = callAs(fn, tool.action, fn.step, name, audience);
    const match = matchFunction(policy, state, fn, tool.action, resumed, members);
    if (match.refusal === undefined) return match;
    first ??= match;
  }
  return first ?? deny("NO_POLICY_MATCH", "tools", { tool: name });
}

function matchExplicit(
  policy: CompiledPolicy,
  state: SequenceState,
  call: CallForm & { readonly function: string },
  resumed: NonceUse | undefined,
): Match {
  const { function: name, action_type, step } = call;
  const asked = { function: name, action_type, ...(step === undefined ? {} : { step }) };
  const fn = policy.functions.get(name);
  if (fn === undefined) return deny("NO_POLICY_MATCH", "functions", asked);
  const members = callAs(fn, action_type, step ?? fn.step, undefined, fn.audience);
  // Otherwise the explicit form would walk past every check that stands on the tool.
  if (policy.toolPairs.has(`${name}\n${action_type}`))
    return deny("NO_POLICY_MATCH", "tools", members);
  if (step !== undefined && step !== fn.step)
    return deny("NO_POLICY_MATCH", `functions.${name}.step`, members);
  return matchFunction(policy, state, fn, action_type, resumed, members);
}

/** Checks 5 and 6 for one function. The order was walked by the root of a call that comes back: no second advance. */
function matchFunction(
  policy: CompiledPolicy,
  state: SequenceState,
  fn: CompiledFunction,
  action: string,
  resumed: NonceUse | undefined,
  call: CallMembers,
): Match {
  const next = resumed === undefined ? stateAfter(policy, state.position, fn) : state.position;
  const sealsByAction = policy.sealOn.has(action);
  if (resumed === undefined) {
    if (next < 0 || (sealsByAction && !isAccepting(policy, next)))
      return deny("SEQUENCE_VIOLATION", "sequence", call);
    const broken = brokenConstraint(policy.constraints, state.fired, call);
    if (broken >= 0) return deny("SEQUENCE_VIOLATION", `constraints.${broken}`, call);
  }
  const rule = notAllowed(policy, state, fn, action, call);
  if (rule !== undefined) return deny("ACTION_NOT_ALLOWED", rule, call);
  return { call, seals: sealsByAction || (fn.stepIndex >= 0 && isNaturalEnd(policy, next)) };
}

/** Check 6: what `forbid` names, then what the agent's patterns leave, then the map. */
function notAllowed(
  policy: CompiledPolicy,
  { opened }: SequenceState,
  fn: CompiledFunction,
  action: string,
  call: CallMembers,
): string | undefined {
  const forbidden = forbiddenBy(policy.forbid, call, opened.agent_id);
  if (forbidden >= 0) return `forbid.${forbidden}`;
  if (policy.agents !== undefined) {
    const { agent_id } = opened;
    const mine =
      agent_id === undefined ? [] : policy.agents.filter((entry) => entry.matches(agent_id));
    if (mine.length === 0) return "agents";
    const narrower = mine.find((entry) => entry.functions.get(fn.name)?.has(action) === false);
    if (narrower !== undefined) return `agents.${narrower.pattern}`;
  }
  return fn.actions.has(action) ? undefined : `functions.${fn.name}.actions`;
}

function callAs(
  fn: CompiledFunction,
  action_type: string,
  step: string | undefined,
  tool: string | undefined,
  audience: string | undefined,
): CallMembers {
  return callOf({ step, function: fn.name, action_type, tool, audience });
}

function refuse(code: DenyCode, rule: string): Refusal {
  return { code, rule };
}

function deny(code: DenyCode, rule: string, call: CallMembers): Match & Verdict {
  return { refusal: { code, rule }, call, seals: false, counters: [] };
}
