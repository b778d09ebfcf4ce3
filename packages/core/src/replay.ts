/**
 * Recorded requests, decided again under another policy: what would it have answered? Each sequence goes on under that
 * policy's own state, with the records' hashes as they are. What is not on record is `UNKNOWN`, never guessed.
 */
import type { CallForm } from "./action-request.ts";
import { canonicalize, type JsonObject } from "./canonical-json.ts";
import type { CompiledConditions, CompiledPolicy } from "./compiled-policy.ts";
import type { Grounds } from "./conditions.ts";
import { movedCounters } from "./counters.ts";
import type { Decimal } from "./decimal.ts";
import { decide, type Verdict } from "./decide.ts";
import type { DenyCode } from "./decision.ts";
import { argsDigest } from "./digest.ts";
import type { Context } from "./gate.ts";
import { type KeptContexts, keptContexts } from "./kept-contexts.ts";
import type { DecisionReceipt, Receipt } from "./receipt.ts";
import { inputOf, possibleForms, rewritten, timeOf } from "./replayed-request.ts";
import { applyReceipt, conditionsOf, openState, type SequenceState } from "./sequence-state.ts";
import { type KeySet, rolesAt } from "./key-set.ts";

/** An answer of a gate. */
export interface ReplayAnswer {
  readonly decision: "ALLOW" | "DENY";
  /** Both exactly on DENY. */
  readonly deny_code?: DenyCode;
  readonly rule?: string;
}

/** A recorded call, as it was answered and as the other policy answers. */
export interface ReplayedCall {
  readonly sequence_id: string;
  readonly seq: number;
  readonly policy_id: string;
  /** The tool, or the function of an explicit call. */
  readonly tool?: string;
  readonly function?: string;
  readonly action_type?: string;
  readonly recorded: ReplayAnswer;
  /** What the other policy answers; `UNKNOWN` where that hangs on what is not given. */
  readonly replayed: ReplayAnswer | { readonly decision: "UNKNOWN"; readonly reason: string };
  /** How many `UNKNOWN` calls of this sequence were taken as recorded to get here; absent: none. */
  readonly assumes?: number;
}

/** What is given beside a record. */
export interface ReplayGiven {
  /** The arguments of a decision; see {@link disclosesArguments}. */
  readonly args?: JsonObject;
  /** The context that an `open` or `context` record tells the digest of. */
  readonly context?: Context;
}

/** Takes verified records in order, `@log` too; answers for decisions. */
export interface Replay {
  take(receipt: Receipt, hash: string, given?: ReplayGiven): ReplayedCall | undefined;
}

/** A replay under a policy. `keys` are trusted keys: those with roles are approvers', whose recorded approvals count. */
export function createReplay(policy: CompiledPolicy, keys: KeySet): Replay {
  const setup: Setup = {
    policy,
    keys,
    contexts: keptContexts(),
    counted: new Map(),
    countersKnown: true,
  };
  const runs = new Map<string, Run>();
  return {
    take(receipt, hash, given = {}) {
      if (receipt.kind === "open") {
        const state = openState(receipt, hash, policy);
        const run = { state, assumed: 0, contextKnown: true };
        runs.set(receipt.sequence_id, run);
      }
      const run = runs.get(receipt.sequence_id);
      if (run === undefined) return undefined;
      if ("context_digest" in receipt) learnContext(setup, run, given.context);
      if (receipt.kind === "decision") return decideAgain(setup, run, receipt, hash, given.args);
      if (receipt.kind !== "open") applyReceipt(run.state, receipt, hash);
      return undefined;
    },
  };
}

/** True where these are the arguments that the record tells the digest of. */
export function disclosesArguments(
  receipt: DecisionReceipt,
  args: JsonObject,
  argsKey: string,
): boolean {
  return receipt.args_digest === argsDigest(argsKey, canonicalize(args));
}

interface Setup {
  readonly policy: CompiledPolicy;
  readonly keys: KeySet;
  readonly contexts: KeptContexts;
  readonly counted: Map<string, Decimal>;
  /** False once a call counted in a window, or not: that is not known. */
  countersKnown: boolean;
}

interface Run {
  readonly state: SequenceState;
  /** Calls whose answer is not known, taken as recorded. */
  assumed: number;
  contextKnown: boolean;
}

function learnContext({ contexts }: Setup, run: Run, context: Context | undefined): void {
  if (context === undefined) run.contextKnown = false;
  else contexts.add(run.state, context);
}

function decideAgain(
  setup: Setup,
  run: Run,
  receipt: DecisionReceipt,
  hash: string,
  args: JsonObject | undefined,
): ReplayedCall {
  const { assumed } = run;
  const replayed = answerAgain(setup, run, receipt, hash, args);
  const { sequence_id, seq, policy_id, tool, function: fn, action_type } = receipt;
  return {
    sequence_id,
    seq,
    policy_id,
    ...(tool === undefined
      ? { ...(fn && { function: fn }), ...(action_type && { action_type }) }
      : { tool }),
    recorded: recordedAnswer(receipt),
    replayed,
    ...(assumed === 0 ? {} : { assumes: assumed }),
  };
}

type Replayed = ReplayedCall["replayed"];

function answerAgain(
  setup: Setup,
  run: Run,
  receipt: DecisionReceipt,
  hash: string,
  args: JsonObject | undefined,
): Replayed {
  // No policy has a say in what is no request.
  if (receipt.deny_code === "INVALID_REQUEST") return recordedAnswer(receipt);
  if (isAllowedAlready(run.state, receipt)) {
    const { resumes = "" } = receipt;
    apply(setup, run, receipt, hash, { call: receipt, seals: false, counters: [], resumes });
    return ALLOWED;
  }
  const { policy } = setup;
  const asked = (form: CallForm, grounds: Grounds | undefined): Verdict =>
    decide(policy, run.state, inputOf(receipt, form, policy), timeOf(receipt), grounds);
  const [form, ...others] = possibleForms(receipt, policy);
  const verdict = asked(form, undefined);
  const differs = others.some((other) => !isSameRefusal(asked(other, undefined), verdict));
  if (differs)
    return assume(setup, run, receipt, hash, verdict, "its step may not have been asked for");
  const conditions = verdict.refusal === undefined ? conditionsOf(policy, verdict.call) : [];
  const uncounted = uncountedFor(conditions, setup, run);
  if (uncounted !== undefined) return assume(setup, run, receipt, hash, verdict, uncounted);
  const grounds = groundsOf(setup, run, receipt, args);
  const answer = conditions.length === 0 ? verdict : asked(form, grounds);
  const missing = grounds.missing();
  if (missing !== undefined) return assume(setup, run, receipt, hash, verdict, missing);
  apply(setup, run, receipt, hash, answer);
  return answer.refusal === undefined
    ? ALLOWED
    : { decision: "DENY", deny_code: answer.refusal.code, rule: answer.refusal.rule };
}

const ALLOWED: ReplayAnswer = { decision: "ALLOW" };

function recordedAnswer({ decision, deny_code, rule }: DecisionReceipt): ReplayAnswer {
  return {
    decision,
    ...(deny_code === undefined ? {} : { deny_code }),
    ...(rule === undefined ? {} : { rule }),
  };
}

/** A call that came back with an approval, where this policy asked for none: it was allowed the first time. */
function isAllowedAlready(state: SequenceState, { resumes, nonce = "" }: DecisionReceipt): boolean {
  const use = state.nonces.get(nonce);
  return resumes !== undefined && use?.root !== undefined && use.hash === resumes;
}

function isSameRefusal(a: Verdict, b: Verdict): boolean {
  return a.refusal?.code === b.refusal?.code && a.refusal?.rule === b.refusal?.rule;
}

/** Why what was counted does not tell what these conditions say; `undefined` where it does. */
function uncountedFor(
  conditions: readonly CompiledConditions[],
  { countersKnown }: Setup,
  { assumed }: Run,
): string | undefined {
  if (assumed > 0 && conditions.some(({ bind, sum }) => bind.length > 0 || sum !== undefined))
    return "what was bound and counted before it is not known";
  return !countersKnown && conditions.some(hasWindow)
    ? "what was counted in its window is not known"
    : undefined;
}

function hasWindow({ calls, sum }: CompiledConditions): boolean {
  return calls?.per !== undefined || sum?.per !== undefined;
}

/** The grounds, and what was looked for in them and is not given: an answer that needed it is none. */
function groundsOf(
  { contexts, counted, keys }: Setup,
  { state, contextKnown }: Run,
  { ts_ms }: DecisionReceipt,
  args: JsonObject | undefined,
): Grounds & { missing(): string | undefined } {
  let missing: string | undefined;
  return {
    args: args ?? untold(() => (missing ??= "its arguments are not given")),
    context: contextKnown
      ? contexts.of(state)
      : untold(() => (missing ??= "its context is not given")),
    counted,
    // No digest leaves the replay, so a value stands for itself.
    bindDigest: (canonicalValue) => canonicalValue,
    rolesOf: (keyId) => rolesAt(keys, keyId, ts_ms),
    missing: () => missing,
  };
}

/** An object that tells when somebody looks into it. */
function untold(looked: () => void): JsonObject {
  const tell = <T>(answer: T): T => {
    looked();
    return answer;
  };
  return new Proxy<JsonObject>(
    {},
    {
      get: () => tell(undefined),
      has: () => tell(false),
      ownKeys: () => tell([]),
      getOwnPropertyDescriptor: () => tell(undefined),
      getPrototypeOf: () => tell(Object.prototype),
    },
  );
}

/** Goes on as if the answer had been the recorded one, and counts that. */
function assume(
  setup: Setup,
  run: Run,
  receipt: DecisionReceipt,
  hash: string,
  verdict: Verdict,
  reason: string,
): Replayed {
  run.assumed++;
  if (conditionsOf(setup.policy, verdict.call).some(hasWindow)) setup.countersKnown = false;
  const { refusal: _refusal, ...asked } = verdict;
  const { deny_code: code, rule = "" } = receipt;
  const recorded = code === undefined ? {} : { refusal: { code, rule } };
  apply(setup, run, receipt, hash, { ...asked, ...recorded });
  return { decision: "UNKNOWN", reason };
}

/** Folds the record as this policy would have written it. */
function apply(
  { counted }: Setup,
  { state }: Run,
  receipt: DecisionReceipt,
  hash: string,
  verdict: Verdict,
): void {
  applyReceipt(state, rewritten(receipt, verdict), hash);
  const { counters } = verdict;
  const moved = counters.length === 0 ? [] : movedCounters(counters, (name) => counted.get(name));
  for (const [name, total] of moved ?? []) counted.set(name, total);
}
