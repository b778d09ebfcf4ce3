/** One request through the gate: whose it is, whether it was answered before, the verdict, its receipt, the answer. */
import {
  type ActionInput,
  type ActionRequest,
  type InvalidRequest,
  isIdentifier,
  isInvalid,
  readActionRequest,
} from "./action-request.ts";
import { approvalRequest } from "./approval-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { withDeadline } from "./deadline.ts";
import { decide, type Refusal, type Verdict } from "./decide.ts";
import type { Allow, Decision, Deny, DenyCode, Earlier } from "./decision.ts";
import { denialMessage } from "./denial-message.ts";
import { argsDigest, argsKey } from "./digest.ts";
import { GateError } from "./errors.ts";
import { type GateSetup, RESERVED_PLACES } from "./gate-parts.ts";
import type { Grounds } from "./conditions.ts";
import { gatherGrounds } from "./grounds.ts";
import type { Now, Plan } from "./ledger.ts";
import { isSameCall } from "./nonce.ts";
import { impliedOpening } from "./opening.ts";
import { type CallMembers, type DecisionReceipt, type OpenReceipt, recordHash } from "./receipt.ts";
import type { Draft } from "./record-writer.ts";
import { stepsAfter } from "./sequence.ts";
import {
  answeredAt,
  denialsInSecond,
  type NonceUse,
  type SequenceState,
} from "./sequence-state.ts";

/** Decides one request. Never throws and never rejects: whatever goes wrong is a DENY with a code. */
export type Decide = (input: ActionInput) => Promise<Decision>;

/** The decision point of one gate. */
export function createDecide(setup: GateSetup): Decide {
  /** Denials that were not recorded (OVERLOADED), by sequence; the next decision's record carries them. */
  const unrecorded = new Map<string, number>();

  return (input) => {
    try {
      // Synchronous: arguments that change afterwards change nothing.
      const now = setup.clock();
      const read = readActionRequest(input, { now, random: setup.token });
      const answer = (): Promise<Decision> =>
        isInvalid(read)
          ? decideInvalid(setup, read, unrecorded)
          : decideRequest(setup, read, unrecorded);
      const following = setup.policies.follow(now);
      // One deadline for both. What is written after it is nobody's answer, and open until its gate closes it.
      const answered =
        following === undefined
          ? answer()
          : withDeadline(setup.deadlineMs, () => following.then(answer));
      return answered.catch(faultDenial);
    } catch (error) {
      return Promise.resolve(faultDenial(error));
    }
  };
}

function decideRequest(
  setup: GateSetup,
  request: ActionRequest,
  unrecorded: Map<string, number>,
): Promise<Decision> {
  const call = callDigest(setup, request);
  return setup.ledger.transact(request.sequence_id, (known, now) => {
    const asked: Asked = { setup, request, call, now, unrecorded };
    if (known !== undefined) return planRequest(asked, known);
    if (!setup.autoOpen)
      return answerOnly(invalid("sequence_id", "the sequence was not opened by its host"));
    const opening = impliedOpening(setup, request.sequence_id, request, now.record);
    return opening === undefined ? answerOnly(unavailablePolicy()) : planFirst(asked, opening);
  });
}

/** A request that is to be answered now. */
interface Asked {
  readonly setup: GateSetup;
  readonly request: ActionRequest;
  readonly call: CallDigest;
  readonly now: Now;
  readonly unrecorded: Map<string, number>;
}

/** The first request of a sequence: what it meets is recorded with it. */
async function planFirst(
  asked: Asked,
  { draft, state }: { readonly draft: Draft; readonly state: SequenceState },
): Promise<Plan<Decision>> {
  const plan = await planRequest(asked, state);
  return plan.drafts.length === 0 ? plan : { ...plan, drafts: [draft, ...plan.drafts] };
}

function planRequest(asked: Asked, state: SequenceState): Plan<Decision> | Promise<Plan<Decision>> {
  const { request } = asked;
  const stranger = strangerTo(state.opened, request);
  if (stranger !== undefined)
    return answerOnly(invalid(stranger, `the sequence belongs to another ${stranger}`));
  const seq = answeredAt(state, request.nonce, request.attempt);
  return seq === undefined ? planDecision(asked, state) : planAnswered(asked, state, seq);
}

/** The answer of before, where this is the very attempt that was answered. */
async function planAnswered(
  asked: Asked,
  state: SequenceState,
  seq: number,
): Promise<Plan<Decision>> {
  const record = await answeredBefore(asked, state, seq);
  return record === undefined
    ? planDecision(asked, state)
    : ofNow(toDecision(asked, record, state, earlierThan(state, record)));
}

interface CallDigest {
  readonly key: string;
  readonly digest: string;
}

function callDigest(setup: GateSetup, request: ActionRequest): CallDigest {
  const key = argsKey(
    setup.saltKey,
    { log_id: setup.logId, tenant: request.tenant, sequence_id: request.sequence_id },
    request.nonce,
  );
  return { key, digest: argsDigest(key, request.argsText) };
}

/** Which member of the owner differs; `undefined` where the sequence is the caller's. */
function strangerTo(
  opened: OpenReceipt,
  owner: { readonly agent_id?: unknown; readonly tenant?: unknown },
): "agent_id" | "tenant" | undefined {
  if (opened.agent_id !== owner.agent_id) return "agent_id";
  return opened.tenant === owner.tenant ? undefined : "tenant";
}

/**
 * The record of this very attempt, where a caller asks again because it had no answer. An ALLOW whose outcome is known
 * did reach somebody who acted on it: it is not handed out twice, and the request goes the way of every used nonce.
 */
async function answeredBefore(
  { setup, request, call }: Asked,
  state: SequenceState,
  seq: number,
): Promise<DecisionReceipt | undefined> {
  const record = await setup.ledger.record(request.sequence_id, seq);
  if (record.kind !== "decision" || !isAnswerTo(record, request, call)) return undefined;
  return state.allows.get(recordHash(record))?.outcome === undefined ? record : undefined;
}

function isAnswerTo(record: DecisionReceipt, request: ActionRequest, call: CallDigest): boolean {
  return (
    record.nonce === request.nonce &&
    record.attempt === request.attempt &&
    record.request_ts_ms === request.ts_ms &&
    record.args_digest === call.digest &&
    isSameCall(record, request.call)
  );
}

/** Made at once, unless something is to be read for it. */
function planDecision(
  asked: Asked,
  state: SequenceState,
): Plan<Decision> | Promise<Plan<Decision>> {
  const { setup, request, now } = asked;
  const policy = setup.policies.pinned(state);
  const grounds = gatherGrounds(setup, policy, state, request, now);
  return grounds instanceof Promise
    ? grounds.then((gathered) => planVerdict(asked, state, policy, gathered))
    : planVerdict(asked, state, policy, grounds);
}

function planVerdict(
  asked: Asked,
  state: SequenceState,
  policy: CompiledPolicy | undefined,
  grounds: Grounds,
): Plan<Decision> | Promise<Plan<Decision>> {
  const { setup, request, call, now, unrecorded } = asked;
  const input = {
    call: request.call,
    nonce: request.nonce,
    args_digest: call.digest,
    ts_ms: request.ts_ms,
  };
  const verdict = decide(policy, state, input, now, grounds);
  // Said now: folding the new record changes what is known of this nonce.
  const earlier = verdict.earlier === undefined ? undefined : earlierOf(verdict.earlier);
  if (isAskedAgain(verdict)) return askedAgain(asked, state, verdict, earlier);
  const missed = unrecorded.get(request.sequence_id) ?? 0;
  if (isOverloaded(setup, state, verdict.refusal !== undefined, now)) {
    unrecorded.set(request.sequence_id, missed + 1);
    return answerOnly(denial("OVERLOADED", "overload", {}, policy, state));
  }
  return {
    drafts: [decisionDraft(asked, state, verdict, missed)],
    counters: verdict.counters,
    answer(receipts, after) {
      if (missed > 0) unrecorded.delete(request.sequence_id);
      const receipt = receipts[receipts.length - 1] as DecisionReceipt;
      return toDecision(asked, receipt, after ?? state, earlier);
    },
  };
}

/** An approval that nobody gave yet: the first denial is the answer again, and nothing new is recorded. */
function isAskedAgain(verdict: Verdict): boolean {
  const { refusal, earlier } = verdict;
  return (
    refusal?.code === "APPROVAL_REQUIRED" && earlier !== undefined && earlier.root === undefined
  );
}

async function askedAgain(
  asked: Asked,
  state: SequenceState,
  verdict: Verdict,
  earlier: Earlier | undefined,
): Promise<Plan<Decision>> {
  const { setup, request } = asked;
  const first = await setup.ledger.record(request.sequence_id, verdict.earlier?.seq ?? 0);
  return ofNow(toDecision(asked, first as DecisionReceipt, state, earlier));
}

/** A sequence has its share of the store: so many records, so many denials a second (decision.md). */
function isOverloaded(setup: GateSetup, state: SequenceState, denied: boolean, now: Now): boolean {
  if (state.head.seq + 1 >= setup.maxRecords - RESERVED_PLACES) return true;
  // By the time that the record would carry, which is what the fold counts by.
  return denied && denialsInSecond(state, now.record) >= setup.maxDenialsPerSecond;
}

type DecisionDraft = Extract<Draft, { readonly kind: "decision" }>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Members are set one by one where they apply: to spread each would cost more than to decide. Those that always apply are
 * in the literal, for what is set later lies in a list that grows, and is copied, as it is filled.
 */
function decisionDraft(
  { setup, request, call, now }: Asked,
  { opened }: SequenceState,
  { refusal, call: members, resumes, effects, seals }: Verdict,
  missed: number,
): Draft {
  const draft: Writable<DecisionDraft> = {
    kind: "decision",
    mode: opened.mode,
    policy_id: opened.policy_id,
    policy_version: opened.policy_version,
    policy_digest: opened.policy_digest,
    decision: refusal === undefined ? "ALLOW" : "DENY",
    nonce: request.nonce,
    attempt: request.attempt,
    request_ts_ms: request.ts_ms,
  };
  addOwner(draft, opened);
  addCall(draft, members);
  if (refusal?.code !== "POLICY_UNAVAILABLE") draft.args_digest = call.digest;
  if (refusal !== undefined) {
    draft.deny_code = refusal.code;
    draft.rule = refusal.rule;
  } else if (setup.mode === "enforce") draft.permit_expires_ms = now.record + setup.permitTtlMs;
  if (resumes !== undefined) draft.resumes = resumes;
  if (effects !== undefined) draft.effects = effects;
  if (seals) draft.sealed = true;
  if (missed > 0) draft.unrecorded = missed;
  return draft;
}

function addOwner(draft: Writable<DecisionDraft>, { agent_id, tenant }: OpenReceipt): void {
  if (agent_id !== undefined) draft.agent_id = agent_id;
  if (tenant !== undefined) draft.tenant = tenant;
}

function addCall(draft: Writable<DecisionDraft>, call: CallMembers): void {
  const { step, function: fn, action_type, tool, audience } = call;
  if (step !== undefined) draft.step = step;
  if (fn !== undefined) draft.function = fn;
  if (action_type !== undefined) draft.action_type = action_type;
  if (tool !== undefined) draft.tool = tool;
  if (audience !== undefined) draft.audience = audience;
}

/** The answer that a record stands for. The same for a new record and for one that is answered again. */
function toDecision(
  { setup, request, call }: Asked,
  receipt: DecisionReceipt,
  state: SequenceState,
  first: Earlier | undefined,
): Decision {
  const policy = setup.policies.pinned(state);
  if (receipt.decision === "ALLOW") {
    const next_steps = policy === undefined ? [] : stepsAfter(policy, state);
    const allow: Allow = {
      decision: "ALLOW",
      proceed: true,
      args: request.args,
      args_key: call.key,
      message:
        next_steps.length === 0
          ? "allowed; the sequence is complete."
          : `allowed; next: ${next_steps.join(", ")}.`,
      receipt,
      next_steps,
    };
    return first === undefined ? allow : { ...allow, earlier: first };
  }
  const deny = denial(
    receipt.deny_code as DenyCode,
    receipt.rule as string,
    receipt,
    policy,
    state,
  );
  // In shadow mode the action runs all the same, with the copy that was decided, once the refusal is on record.
  const shadow = setup.mode === "shadow" ? { proceed: true, args: request.args } : {};
  const approval = approvalRequest(receipt, policy, request.args, call.key);
  const asked = approval === undefined ? {} : { approval };
  const earlier = first === undefined ? {} : { earlier: first };
  return { ...deny, ...shadow, ...asked, receipt, ...earlier };
}

function earlierThan(state: SequenceState, record: DecisionReceipt): Earlier | undefined {
  const use = record.nonce === undefined ? undefined : state.nonces.get(record.nonce);
  return use === undefined || use.hash === recordHash(record) ? undefined : earlierOf(use);
}

function earlierOf(use: NonceUse): Earlier {
  return {
    decision_hash: use.hash,
    ...(use.deny_code === undefined ? {} : { deny_code: use.deny_code }),
    ...(use.status === undefined ? {} : { status: use.status }),
  };
}

/** A request that is not well formed: recorded only where it names an opened sequence of the caller. */
async function decideInvalid(
  setup: GateSetup,
  request: InvalidRequest,
  unrecorded: Map<string, number>,
): Promise<Decision> {
  const refused = invalid(request.member, request.message);
  const { sequence_id, ...members } = request.wellFormed;
  if (!isIdentifier(sequence_id) || !request.ownerKnown) return refused;
  return setup.ledger.transact(sequence_id, (state, now) => {
    if (state === undefined || strangerTo(state.opened, members) !== undefined)
      return answerOnly(refused);
    const missed = unrecorded.get(sequence_id) ?? 0;
    if (isOverloaded(setup, state, true, now)) {
      unrecorded.set(sequence_id, missed + 1);
      return answerOnly(denial("OVERLOADED", "overload", {}, undefined, state));
    }
    return {
      drafts: [invalidDraft(state, members, refused, missed)],
      answer([receipt]) {
        if (missed > 0) unrecorded.delete(sequence_id);
        return { ...refused, receipt: receipt as DecisionReceipt };
      },
    };
  });
}

function invalidDraft(
  state: SequenceState,
  wellFormed: Readonly<Record<string, string | number>>,
  refused: Deny,
  missed: number,
): Draft {
  const { ts_ms, agent_id: _agent, tenant: _tenant, ...members } = wellFormed;
  const { mode, policy_id, policy_version, policy_digest } = state.opened;
  const draft: Writable<DecisionDraft> = {
    ...members,
    kind: "decision",
    mode,
    policy_id,
    policy_version,
    policy_digest,
    decision: "DENY",
    ...(ts_ms === undefined ? {} : { request_ts_ms: Number(ts_ms) }),
    deny_code: "INVALID_REQUEST",
    rule: refused.rule as string,
    ...(missed > 0 ? { unrecorded: missed } : {}),
  };
  addOwner(draft, state.opened);
  return draft;
}

function invalid(member: string, message: string): Deny {
  const rule = member === "" ? "request" : `request.${member}`;
  return {
    decision: "DENY",
    proceed: false,
    deny_code: "INVALID_REQUEST",
    rule,
    message: `${message}.`,
  };
}

function unavailablePolicy(): Deny {
  return {
    decision: "DENY",
    proceed: false,
    deny_code: "POLICY_UNAVAILABLE",
    rule: "policy",
    message: "this gate has no single active policy; open the sequence with a policy_id.",
  };
}

function denial(
  code: DenyCode,
  rule: string,
  call: CallMembers,
  policy: CompiledPolicy | undefined,
  state: SequenceState,
): Deny {
  const refusal: Refusal = { code, rule };
  // A sequence past its lifetime is sealed by no record.
  const over = policy === undefined || code === "SEALED_SEQUENCE";
  const next_steps = over ? [] : stepsAfter(policy, state);
  return {
    decision: "DENY",
    proceed: false,
    deny_code: code,
    rule,
    message: denialMessage(refusal, call, policy, state),
    next_steps,
  };
}

/** Whatever was thrown on the way: nothing was allowed. */
function faultDenial(error: unknown): Deny {
  const message = error instanceof GateError ? error.message : "the gate failed";
  return {
    decision: "DENY",
    proceed: false,
    deny_code: "STORE_UNAVAILABLE",
    message: `${message}; the receipt may or may not exist.`,
  };
}

function answerOnly(decision: Decision): Plan<Decision> {
  return { drafts: [], answer: () => decision };
}

/** An answer from the record: another gate may have taken an outcome or an approval meanwhile, and no append would notice. */
function ofNow(decision: Decision): Plan<Decision> {
  return { ...answerOnly(decision), onHead: true };
}
