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
import { decide, type Refusal, type Verdict } from "./decide.ts";
import type { Decision, Deny, DenyCode, Earlier } from "./decision.ts";
import { denialMessage } from "./denial-message.ts";
import { argsDigest, argsKey } from "./digest.ts";
import { GateError } from "./errors.ts";
import { type GateSetup, RESERVED_PLACES } from "./gate-parts.ts";
import { gatherGrounds } from "./grounds.ts";
import type { Now, Plan } from "./ledger.ts";
import { isSameCall } from "./nonce.ts";
import { impliedOpening, ownerOf } from "./opening.ts";
import { type CallMembers, type DecisionReceipt, type OpenReceipt, recordHash } from "./receipt.ts";
import type { Draft } from "./record-writer.ts";
import { stepsAfter } from "./sequence.ts";
import {
  attemptKey,
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

  return async (input) => {
    try {
      // Synchronous up to the first await: arguments that change afterwards change nothing.
      const now = setup.clock();
      const read = readActionRequest(input, { now, random: setup.token });
      const following = setup.policies.follow(now);
      if (following !== undefined) await following;
      return await (isInvalid(read)
        ? decideInvalid(setup, read, unrecorded)
        : decideRequest(setup, read, unrecorded));
    } catch (error) {
      return faultDenial(error);
    }
  };
}

function decideRequest(
  setup: GateSetup,
  request: ActionRequest,
  unrecorded: Map<string, number>,
): Promise<Decision> {
  return setup.ledger.transact(request.sequence_id, async (known, now) => {
    if (known === undefined && !setup.autoOpen)
      return answerOnly(invalid("sequence_id", "the sequence was not opened by its host"));
    const opening =
      known === undefined
        ? impliedOpening(setup, request.sequence_id, request, now.record)
        : undefined;
    const state = known ?? opening?.state;
    if (state === undefined) return answerOnly(unavailablePolicy());
    const stranger = strangerTo(state.opened, request);
    if (stranger !== undefined)
      return answerOnly(invalid(stranger, `the sequence belongs to another ${stranger}`));
    const call = callDigest(setup, request);
    const seq = state.attempts?.get(attemptKey(request.attempt, request.nonce));
    const answered =
      seq === undefined ? undefined : await answeredBefore(setup, state, request, call, seq);
    if (answered !== undefined)
      return ofNow(toDecision(setup, request, answered, call, state, earlierThan(state, answered)));
    const plan = await planDecision(setup, state, request, call, now, unrecorded);
    return opening === undefined
      ? plan
      : { ...plan, drafts: plan.drafts.length === 0 ? [] : [opening.draft, ...plan.drafts] };
  });
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
  setup: GateSetup,
  state: SequenceState,
  request: ActionRequest,
  call: CallDigest,
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

async function planDecision(
  setup: GateSetup,
  state: SequenceState,
  request: ActionRequest,
  call: CallDigest,
  now: Now,
  unrecorded: Map<string, number>,
): Promise<Plan<Decision>> {
  const policy = setup.policies.pinned(state);
  const input = {
    call: request.call,
    nonce: request.nonce,
    args_digest: call.digest,
    ts_ms: request.ts_ms,
  };
  const grounds = await gatherGrounds(setup, policy, state, request, now);
  const verdict = decide(policy, state, input, now, grounds);
  // Said now: folding the new record changes what is known of this nonce.
  const earlier = verdict.earlier === undefined ? undefined : earlierOf(verdict.earlier);
  if (isAskedAgain(verdict)) return askedAgain(setup, request, call, state, verdict, earlier);
  const missed = unrecorded.get(request.sequence_id) ?? 0;
  if (isOverloaded(setup, state, verdict.refusal !== undefined, now)) {
    unrecorded.set(request.sequence_id, missed + 1);
    return answerOnly(denial("OVERLOADED", "overload", {}, policy, state));
  }
  return {
    drafts: [decisionDraft(setup, state, request, call, now, verdict, missed)],
    counters: verdict.counters,
    answer(receipts, after) {
      if (missed > 0) unrecorded.delete(request.sequence_id);
      return toDecision(
        setup,
        request,
        receipts.at(-1) as DecisionReceipt,
        call,
        after ?? state,
        earlier,
      );
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
  setup: GateSetup,
  request: ActionRequest,
  call: CallDigest,
  state: SequenceState,
  verdict: Verdict,
  earlier: Earlier | undefined,
): Promise<Plan<Decision>> {
  const first = await setup.ledger.record(request.sequence_id, verdict.earlier?.seq ?? 0);
  return ofNow(toDecision(setup, request, first as DecisionReceipt, call, state, earlier));
}

/** A sequence has its share of the store: so many records, so many denials a second (decision.md). */
function isOverloaded(setup: GateSetup, state: SequenceState, denied: boolean, now: Now): boolean {
  if (state.head.seq + 1 >= setup.maxRecords - RESERVED_PLACES) return true;
  // By the time that the record would carry, which is what the fold counts by.
  return denied && denialsInSecond(state, now.record) >= setup.maxDenialsPerSecond;
}

function decisionDraft(
  setup: GateSetup,
  state: SequenceState,
  request: ActionRequest,
  call: CallDigest,
  now: Now,
  verdict: Verdict,
  missed: number,
): Draft {
  const { refusal } = verdict;
  const withDigest = refusal?.code === "POLICY_UNAVAILABLE" ? {} : { args_digest: call.digest };
  const answer =
    refusal === undefined
      ? {
          decision: "ALLOW" as const,
          ...(setup.mode === "enforce"
            ? { permit_expires_ms: now.record + setup.permitTtlMs }
            : {}),
        }
      : { decision: "DENY" as const, deny_code: refusal.code, rule: refusal.rule };
  return {
    ...pinned(state),
    ...verdict.call,
    nonce: request.nonce,
    attempt: request.attempt,
    request_ts_ms: request.ts_ms,
    ...withDigest,
    ...answer,
    ...(verdict.resumes === undefined ? {} : { resumes: verdict.resumes }),
    ...(verdict.effects === undefined ? {} : { effects: verdict.effects }),
    ...(verdict.seals ? { sealed: true as const } : {}),
    ...(missed > 0 ? { unrecorded: missed } : {}),
  };
}

function pinned({ opened }: SequenceState) {
  const { mode, policy_id, policy_version, policy_digest } = opened;
  return {
    kind: "decision" as const,
    mode,
    policy_id,
    policy_version,
    policy_digest,
    ...ownerOf(opened),
  };
}

/** The answer that a record stands for. The same for a new record and for one that is answered again. */
function toDecision(
  setup: GateSetup,
  request: ActionRequest,
  receipt: DecisionReceipt,
  call: CallDigest,
  state: SequenceState,
  first: Earlier | undefined,
): Decision {
  const policy = setup.policies.pinned(state);
  const earlier = first === undefined ? {} : { earlier: first };
  if (receipt.decision === "ALLOW") {
    const next_steps = policy === undefined ? [] : stepsAfter(policy, state);
    const message =
      next_steps.length === 0
        ? "allowed; the sequence is complete."
        : `allowed; next: ${next_steps.join(", ")}.`;
    return {
      decision: "ALLOW",
      proceed: true,
      args: request.args,
      args_key: call.key,
      message,
      receipt,
      next_steps,
      ...earlier,
    };
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
  return {
    ...pinned(state),
    ...(members as CallMembers & { readonly nonce?: string; readonly attempt?: string }),
    ...(ts_ms === undefined ? {} : { request_ts_ms: Number(ts_ms) }),
    decision: "DENY",
    deny_code: "INVALID_REQUEST",
    rule: refused.rule as string,
    ...(missed > 0 ? { unrecorded: missed } : {}),
  };
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
