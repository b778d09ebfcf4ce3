/**
 * The decision: policy, state, request and time in, verdict out. **Pure**: no I/O, no clock, no randomness, nothing is
 * changed. The checks come in the order of decision.md, and the first failure is the only code.
 */
import type { CallForm } from "./action-request.ts";
import type { CompiledFunction, CompiledPolicy } from "./compiled-policy.ts";
import type { DenyCode } from "./decision.ts";
import { admitNonce } from "./nonce.ts";
import type { CallMembers } from "./receipt.ts";
import { admissibleSteps, isAccepting, isNaturalEnd, stateAfter } from "./sequence.ts";
import type { NonceUse, SequenceState } from "./sequence-state.ts";

/** What of a well-formed request is decided on. */
export interface DecisionInput {
  readonly call: CallForm;
  readonly nonce: string;
  readonly args_digest: string;
  /** The caller's clock, in milliseconds. */
  readonly ts_ms: number;
}

/** Two times in milliseconds: freshness goes by the gate's clock, lifetime by the time of the record to be written. */
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
  /** Hash of the interrupted ALLOW that this request comes back to. */
  readonly resumes?: string;
}

/** Decides one request against the pinned policy; `undefined` where this gate does not hold it. */
export function decide(
  policy: CompiledPolicy | undefined,
  state: SequenceState,
  input: DecisionInput,
  time: DecisionTime,
): Verdict {
  if (policy === undefined) return deny("POLICY_UNAVAILABLE", "policy", { ...input.call });
  const nonce = admitNonce(state, input.nonce, input.call, input.args_digest);
  const resumed = nonce.kind === "resume" ? nonce.use : undefined;
  const match = matchCall(policy, state, input.call, resumed);
  const history = nonce.kind === "fresh" ? {} : { earlier: nonce.use };
  const refusal =
    freshness(policy, input, time) ??
    (nonce.kind === "replay" ? refuse("REPLAY_NONCE", "nonce") : undefined) ??
    seal(policy, state, time, resumed) ??
    match.refusal;
  return {
    ...(refusal === undefined ? {} : { refusal }),
    call: match.call,
    seals: refusal === undefined && resumed === undefined && match.seals,
    ...history,
    ...(resumed === undefined ? {} : { resumes: resumed.hash }),
  };
}

/** Tools that would pass the order and the map in this state, arguments aside. */
export function permittedTools(policy: CompiledPolicy, state: SequenceState): readonly string[] {
  if (state.sealed !== undefined) return [];
  return [...policy.tools.keys()].filter(
    (tool) => matchCall(policy, state, { tool }, undefined).refusal === undefined,
  );
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
  const ownSeal =
    state.sealed !== undefined && !state.sealed.person && state.sealed.by === resumed?.hash;
  if (state.sealed !== undefined && !ownSeal) return refuse("SEALED_SEQUENCE", "seal");
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
  const extra = { tool: name, ...(tool.audience === undefined ? {} : { audience: tool.audience }) };
  let first: Match | undefined;
  for (const candidate of tool.functions) {
    // A call that comes back is the call that it was.
    if (resumed !== undefined && resumed.call.function !== candidate) continue;
    const fn = policy.functions.get(candidate);
    if (fn === undefined) continue;
    const match = matchFunction(policy, state, fn, tool.action, resumed, {
      ...callOf(fn, tool.action),
      ...extra,
    });
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
  const asked = {
    function: call.function,
    action_type: call.action_type,
    ...(call.step === undefined ? {} : { step: call.step }),
  };
  const fn = policy.functions.get(call.function);
  if (fn === undefined) return deny("NO_POLICY_MATCH", "functions", asked);
  const members = { ...callOf(fn, call.action_type), ...asked };
  // Otherwise the explicit form would walk past every check that stands on the tool.
  if (policy.toolPairs.has(`${fn.name}\n${call.action_type}`))
    return deny("NO_POLICY_MATCH", "tools", members);
  if (call.step !== undefined && call.step !== fn.step)
    return deny("NO_POLICY_MATCH", `functions.${fn.name}.step`, members);
  return matchFunction(policy, state, fn, call.action_type, resumed, members);
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
  if (next < 0 || (resumed === undefined && sealsByAction && !isAccepting(policy, next))) {
    return deny("SEQUENCE_VIOLATION", "sequence", call);
  }
  if (!fn.actions.has(action))
    return deny("ACTION_NOT_ALLOWED", `functions.${fn.name}.actions`, call);
  return { call, seals: sealsByAction || (fn.stepIndex >= 0 && isNaturalEnd(policy, next)) };
}

function callOf(fn: CompiledFunction, action: string): CallMembers {
  return {
    ...(fn.step === undefined ? {} : { step: fn.step }),
    function: fn.name,
    action_type: action,
  };
}

function refuse(code: DenyCode, rule: string): Refusal {
  return { code, rule };
}

function deny(code: DenyCode, rule: string, call: CallMembers): Match & Verdict {
  return { refusal: { code, rule }, call, seals: false };
}

/** Steps that may come now: none once the sequence is sealed. */
export function stepsAfter(policy: CompiledPolicy, state: SequenceState): readonly string[] {
  return state.sealed === undefined ? admissibleSteps(policy, state.position) : [];
}
