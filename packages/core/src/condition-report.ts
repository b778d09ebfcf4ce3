/** Every condition of one call by itself, by the engine that decides: which hold, and where their limits stand. */
import { createSecretKey } from "node:crypto";
import type { JsonObject } from "./canonical-json.ts";
import type { CompiledConditions, CompiledPolicy } from "./compiled-policy.ts";
import { countersOf, countVotes, type Grounds, judge, soFar } from "./conditions.ts";
import type { Decimal } from "./decimal.ts";
import type { Refusal } from "./decide.ts";
import { bindDigester } from "./digest.ts";
import { type DecisionReceipt, type Receipt, recordHash } from "./receipt.ts";
import {
  applyReceipt,
  conditionsOf,
  openState,
  type SequenceState,
  votesOn,
} from "./sequence-state.ts";
import { type KeySet, rolesAt } from "./key-set.ts";

/** One condition, as it is judged whatever the others say. */
export interface ConditionReport {
  /** As a denial by it would be told: `tools.transfer_funds.when`. */
  readonly rule: string;
  readonly check: 7 | 8 | 9;
  /** Absent where the condition holds. */
  readonly refusal?: Refusal;
  /** Of a limit: what was counted before the call, where that is known, and the most that may be. Decimals. */
  readonly limit?: { readonly stands?: Decimal; readonly max: Decimal };
  /** Of an approval: how many entitled people approve this very call by now, of how many, and whether one rejects it. */
  readonly approvals?: {
    readonly given: number;
    readonly needed: number;
    readonly rejected: boolean;
  };
  /** Of a name that is bound: whether an earlier call bound it. */
  readonly bound?: boolean;
}

/** What a call is judged by; see {@link Grounds}. */
export interface ReportGrounds {
  readonly args: JsonObject;
  readonly context: JsonObject;
  /** The gate's: bound values are on record as digests under it. */
  readonly saltKey: Uint8Array;
  readonly approvers: KeySet;
  /** The gate's clock, in milliseconds. */
  readonly now: number;
  /** What the counters of limits by agent or tenant stand at; without it they are not known, and taken as 0. */
  readonly counters?: (names: readonly string[]) => Promise<ReadonlyMap<string, Decimal>>;
}

/**
 * Reports on the conditions of a call that passed checks 0 to 6. `before` are the records of its sequence up to it, from
 * `open` on; `decided` is its own record, or one like it.
 */
export async function reportConditions(
  policy: CompiledPolicy,
  before: readonly Receipt[],
  decided: DecisionReceipt,
  { args, context, saltKey, approvers, now, counters }: ReportGrounds,
): Promise<readonly ConditionReport[]> {
  const state = stateAfter(policy, before);
  if (state === undefined) return [];
  const conditions = conditionsOf(policy, decided);
  const counted = await counters?.(countersOf(conditions, state, now));
  const grounds: Grounds = {
    args,
    context,
    bindDigest: bindDigester(createSecretKey(saltKey), state.opened),
    counted: counted ?? new Map(),
    rolesOf: (keyId) => rolesAt(approvers, keyId, now),
  };
  const use = state.nonces.get(decided.nonce ?? "");
  const denial = use?.deny_code === "APPROVAL_REQUIRED" ? use.hash : undefined;
  const back = { counted: use?.root !== undefined, denial };
  return conditions.flatMap(partsOf).map(({ rule, check, part }) => {
    const { refusal } = judge([part], state, grounds, { clock: now, record: now }, back);
    const [counter] = countersOf([part], state, now);
    const inWindow = counter === undefined ? undefined : counted && (counted.get(counter) ?? "0");
    return {
      rule,
      check,
      ...(refusal === undefined ? {} : { refusal }),
      ...limitOf(part, rule, state, inWindow),
      ...approvalsOf(part, state, grounds, denial, now),
      ...(part.bind[0] === undefined ? {} : { bound: state.binds.has(part.bind[0].name) }),
    };
  });
}

function stateAfter(
  policy: CompiledPolicy,
  [first, ...others]: readonly Receipt[],
): SequenceState | undefined {
  if (first?.kind !== "open") return undefined;
  const state = openState(first, recordHash(first), policy);
  for (const receipt of others) applyReceipt(state, receipt, recordHash(receipt));
  return state;
}

interface Part {
  readonly rule: string;
  readonly check: 7 | 8 | 9;
  /** Conditions of which this one alone is left. */
  readonly part: CompiledConditions;
}

/** In the order in which they are looked at. */
function partsOf(one: CompiledConditions): readonly Part[] {
  const { path, args, when, grounded, bind, calls, sum, approval } = one;
  const alone = (rule: string, check: Part["check"], part: Partial<CompiledConditions>): Part => ({
    rule: `${path}.${rule}`,
    check,
    part: { path, grounded: [], bind: [], ...part },
  });
  return [
    ...(args === undefined ? [] : [alone("args", 7, { args })]),
    ...(when === undefined ? [] : [alone("when", 7, { when })]),
    ...grounded.map((entry) => alone(`grounded.${entry.path}`, 7, { grounded: [entry] })),
    ...bind.map((entry) => alone(`bind.${entry.name}`, 7, { bind: [entry] })),
    ...(calls === undefined ? [] : [alone("limits.calls", 8, { calls })]),
    ...(sum === undefined ? [] : [alone("limits.sum", 8, { sum })]),
    ...(approval === undefined ? [] : [alone("approval", 9, { approval })]),
  ];
}

function limitOf(
  { calls, sum }: CompiledConditions,
  rule: string,
  state: SequenceState,
  inWindow: Decimal | undefined,
): Pick<ConditionReport, "limit"> {
  const limit = calls ?? sum;
  if (limit === undefined) return {};
  const stands = limit.per === undefined ? soFar(state, rule) : inWindow;
  return { limit: { ...(stands === undefined ? {} : { stands }), max: limit.max } };
}

function approvalsOf(
  { approval }: CompiledConditions,
  state: SequenceState,
  { rolesOf }: Grounds,
  denial: string | undefined,
  now: number,
): Pick<ConditionReport, "approvals"> {
  if (approval === undefined) return {};
  const { given, rejected } = countVotes(approval.by, votesOn(state, denial), rolesOf, now);
  return { approvals: { given, needed: approval.count, rejected } };
}
