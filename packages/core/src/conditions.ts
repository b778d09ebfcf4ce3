/** Checks 7 to 9: what a call's arguments, its counts and its approvals must satisfy. Pure, like `decide`. */
import { canonicalize, type Json, type JsonObject } from "./canonical-json.ts";
import type { CompiledConditions, CompiledLimit, Condition, Scope } from "./compiled-policy.ts";
import { addDecimals, compareDecimals, type Decimal, toDecimal } from "./decimal.ts";
import type { Refusal } from "./decide.ts";
import type { Effects } from "./receipt.ts";
import { type ApprovalVote, type SequenceState, votesOn } from "./sequence-state.ts";
import type { CounterStep } from "./store.ts";

/** What a call is judged by beside the order. */
export interface Grounds {
  readonly args: JsonObject;
  /** What the application vouches for, later additions over earlier ones. */
  readonly context: JsonObject;
  /** The keyed digest of a bound value, under a key of this sequence. */
  readonly bindDigest: (canonicalValue: string) => string;
  /** What the counters of windowed limits stand at; absent: 0. */
  readonly counted: ReadonlyMap<string, Decimal>;
  /** Roles of an approver's key as the trusted key set has them now; none for a key that is not trusted. */
  readonly rolesOf: (keyId: string) => readonly string[];
}

/** The verdict of checks 7 to 9 on a call that passed the others. */
export interface Judgement {
  readonly refusal?: Refusal;
  readonly effects?: Effects;
  readonly counters: readonly CounterStep[];
}

/** What of the call's history matters to its conditions. */
export interface Return {
  /** True for an interrupted call that comes back: its limits were counted at its root. */
  readonly counted: boolean;
  /** The APPROVAL_REQUIRED denial that approvals of this call name. */
  readonly denial: string | undefined;
}

/** Judges one call by the conditions of its function, then of its tool. */
export function judge(
  conditions: readonly CompiledConditions[],
  state: SequenceState,
  grounds: Grounds,
  time: { readonly clock: number; readonly record: number },
  back: Return,
): Judgement {
  if (conditions.length === 0) return NOTHING;
  const scope = scopeOf(state, grounds);
  const binds = new Map(state.binds);
  const refusal =
    first(conditions, (one) => argumentRefusal(one, scope, binds, grounds)) ??
    (back.counted
      ? undefined
      : first(conditions, (one) => limitRefusal(one, state, grounds, time.clock))) ??
    first(conditions, (one) =>
      approvalRefusal(one, scope, state, grounds, time.record, back.denial),
    );
  if (refusal !== undefined) return { refusal, counters: [] };
  if (back.counted) return NOTHING;
  const effects = effectsOf(conditions, state, grounds);
  const counters = conditions.flatMap((one) => counterSteps(one, state, grounds.args, time.clock));
  return { ...(effects === undefined ? {} : { effects }), counters };
}

/** The counters that decide on this call, to be read before it is judged. */
export function countersOf(
  conditions: readonly CompiledConditions[],
  state: SequenceState,
  clock: number,
): readonly string[] {
  return conditions.flatMap((one) =>
    limitsOf(one).flatMap(({ rule, limit }) => counterName(rule, limit, state, clock) ?? []),
  );
}

/** True where some condition can refuse with this code by this rule. */
export function hasCondition(
  conditions: readonly CompiledConditions[],
  code: string,
  rule: string,
): boolean {
  return conditions.some((one) => {
    const { path } = one;
    const argument = [
      ...(one.args === undefined ? [] : [`${path}.args`]),
      ...(one.when === undefined ? [] : [`${path}.when`]),
      ...one.grounded.map((argument) => `${path}.grounded.${argument.path}`),
      ...one.bind.map(({ name }) => `${path}.bind.${name}`),
    ];
    const approval = one.approval === undefined ? [] : [`${path}.approval`];
    const limits = limitsOf(one).map((limit) => limit.rule);
    if (code === "ARGUMENT_VIOLATION") return argument.includes(rule);
    if (code === "LIMIT_EXCEEDED") return limits.includes(rule);
    return (code === "APPROVAL_REQUIRED" ? approval : [...argument, ...approval]).includes(rule);
  });
}

const NOTHING: Judgement = { counters: [] };

function scopeOf({ opened }: SequenceState, { args, context }: Grounds): Scope {
  return { args, context, agent_id: opened.agent_id ?? "", tenant: opened.tenant ?? "" };
}

function first<T>(list: readonly T[], find: (one: T) => Refusal | undefined): Refusal | undefined {
  for (const one of list) {
    const found = find(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Check 7: the schema, then `when`, then grounding, then binding. */
function argumentRefusal(
  one: CompiledConditions,
  scope: Scope,
  binds: Map<string, string>,
  grounds: Grounds,
): Refusal | undefined {
  return (
    unfit(one, scope) ??
    unmet(one.when, scope, `${one.path}.when`) ??
    first(one.grounded, ({ path, holds }) => unmet(holds, scope, `${one.path}.grounded.${path}`)) ??
    first(one.bind, ({ name, of }) =>
      bindsTo(binds, name, at(scope.args, of), grounds)
        ? undefined
        : violation(`${one.path}.bind.${name}`),
    )
  );
}

/** The schema fits where it names no misfit; one that throws is a POLICY_ERROR in place of the check. */
function unfit({ args, path }: CompiledConditions, scope: Scope): Refusal | undefined {
  const rule = `${path}.args`;
  try {
    return args?.(scope.args) === undefined ? undefined : violation(rule);
  } catch {
    return { code: "POLICY_ERROR", rule };
  }
}

/** Exactly `true` holds; what cannot be evaluated is a POLICY_ERROR in place of the check. */
function unmet(condition: Condition | undefined, scope: Scope, rule: string): Refusal | undefined {
  if (condition === undefined) return undefined;
  const result = evaluate(condition, scope);
  if (result === true) return undefined;
  return result === "error" ? { code: "POLICY_ERROR", rule } : violation(rule);
}

function evaluate(condition: Condition, scope: Scope): boolean | "error" {
  try {
    const result: unknown = condition(scope);
    // Neither yes nor no: an `approval.when` that is not true must not mean that nobody needs to approve.
    return typeof result === "boolean" ? result : "error";
  } catch {
    return "error";
  }
}

/** True where the name has this value, from now on. An absent argument binds nothing, so it cannot be what stands. */
function bindsTo(
  binds: Map<string, string>,
  name: string,
  value: Json | undefined,
  { bindDigest }: Grounds,
): boolean {
  if (value === undefined) return false;
  const digest = bindDigest(canonicalize(value));
  const standing = binds.get(name) ?? digest;
  binds.set(name, digest);
  return standing === digest;
}

/** A limit by its rule. */
export interface Limit {
  readonly rule: string;
  readonly limit: CompiledLimit;
  /** What one call adds: 1, or the argument that is summed. */
  readonly of?: readonly string[];
}

/** What limits these conditions set, calls before sums. */
export function limitsOf({ path, calls, sum }: CompiledConditions): readonly Limit[] {
  return [
    ...(calls === undefined ? [] : [{ rule: `${path}.limits.calls`, limit: calls }]),
    ...(sum === undefined ? [] : [{ rule: `${path}.limits.sum`, limit: sum, of: sum.of }]),
  ];
}

/** Check 8. */
function limitRefusal(
  one: CompiledConditions,
  state: SequenceState,
  grounds: Grounds,
  clock: number,
): Refusal | undefined {
  return first(limitsOf(one), ({ rule, limit, of }) => {
    const add = of === undefined ? "1" : amount(grounds.args, of);
    if (add === undefined) return exceeded(rule);
    if (limit.per === undefined)
      return compareDecimals(addDecimals(soFar(state, rule), add), limit.max) <= 0
        ? undefined
        : exceeded(rule);
    const counter = counterName(rule, limit, state, clock);
    if (counter === undefined) return exceeded(rule);
    return compareDecimals(addDecimals(grounds.counted.get(counter) ?? "0", add), limit.max) <= 0
      ? undefined
      : exceeded(rule);
  });
}

/** What a limit of the sequence stands at. */
export function soFar(state: SequenceState, rule: string): Decimal {
  return state.totals.get(rule) ?? `${state.calls.get(rule) ?? 0}`;
}

/** A finite number of at least 0, or nothing that could be counted. */
function amount(args: JsonObject, of: readonly string[]): Decimal | undefined {
  const value = at(args, of);
  return typeof value === "number" && Number.isFinite(value) && value >= 0
    ? toDecimal(value)
    : undefined;
}

/** Fixed windows of the gate's clock; one counter for each policy, rule, window and agent or tenant. */
function counterName(
  rule: string,
  limit: CompiledLimit,
  { opened }: SequenceState,
  clock: number,
): string | undefined {
  const { per, windowMs } = limit;
  if (per === undefined || windowMs === undefined) return undefined;
  const who = per === "agent" ? opened.agent_id : opened.tenant;
  if (who === undefined) return undefined;
  const owner = per === "agent" ? `${opened.tenant ?? ""}\n${who}` : who;
  return `${opened.policy_id}\n${rule}\n${per}\n${windowMs}\n${Math.floor(clock / windowMs)}\n${owner}`;
}

function counterSteps(
  one: CompiledConditions,
  state: SequenceState,
  args: JsonObject,
  clock: number,
): readonly CounterStep[] {
  return limitsOf(one).flatMap(({ rule, limit, of }) => {
    const counter = counterName(rule, limit, state, clock);
    const add = of === undefined ? "1" : amount(args, of);
    if (counter === undefined || add === undefined || limit.windowMs === undefined) return [];
    const until_ms = (Math.floor(clock / limit.windowMs) + 1) * limit.windowMs;
    return [{ counter, add, max: limit.max, at_ms: clock, until_ms }];
  });
}

/** Check 9. */
function approvalRefusal(
  { path, approval }: CompiledConditions,
  scope: Scope,
  state: SequenceState,
  grounds: Grounds,
  record: number,
  denial: string | undefined,
): Refusal | undefined {
  if (approval === undefined) return undefined;
  const rule = `${path}.approval`;
  const needed = approval.when === undefined ? true : evaluate(approval.when, scope);
  if (needed === "error") return { code: "POLICY_ERROR", rule };
  if (needed !== true) return undefined;
  return isApproved(approval, votesOn(state, denial), grounds.rolesOf, record)
    ? undefined
    : { code: "APPROVAL_REQUIRED", rule };
}

/** True where enough people in the right roles approved, their word has not expired, and none of these roles is against it. */
export function isApproved(
  { count, by }: Pick<NonNullable<CompiledConditions["approval"]>, "count" | "by">,
  votes: ReadonlyMap<string, ApprovalVote>,
  rolesOf: (keyId: string) => readonly string[],
  ts_ms: number,
): boolean {
  const { given, rejected } = countVotes(by, votes, rolesOf, ts_ms);
  return !rejected && given >= count;
}

/** What people in these roles say at this time: how many approve, and whether one rejects. A rejection does not expire. */
export function countVotes(
  by: ReadonlySet<string>,
  votes: ReadonlyMap<string, ApprovalVote>,
  rolesOf: (keyId: string) => readonly string[],
  ts_ms: number,
): { readonly given: number; readonly rejected: boolean } {
  const entitled = [...votes]
    .filter(([keyId]) => rolesOf(keyId).some((role) => by.has(role)))
    .map(([, vote]) => vote);
  const approving = entitled.filter((vote) => vote.verdict === "approve");
  const given = approving.filter(({ expires_ms }) => ts_ms < expires_ms).length;
  return { given, rejected: approving.length < entitled.length };
}

/** What an ALLOW changes of binds and sums, as its receipt tells. */
function effectsOf(
  conditions: readonly CompiledConditions[],
  state: SequenceState,
  grounds: Grounds,
): Effects | undefined {
  const binds: Record<string, string> = {};
  const totals: Record<string, string> = {};
  for (const { path, bind, sum } of conditions) {
    for (const { name, of } of bind) {
      const value = at(grounds.args, of);
      if (value !== undefined) binds[name] = grounds.bindDigest(canonicalize(value));
    }
    const added =
      sum === undefined || sum.per !== undefined ? undefined : amount(grounds.args, sum.of);
    const rule = `${path}.limits.sum`;
    if (added !== undefined) totals[rule] = addDecimals(soFar(state, rule), added);
  }
  const effects = {
    ...(Object.keys(binds).length === 0 ? {} : { binds }),
    ...(Object.keys(totals).length === 0 ? {} : { totals }),
  };
  return Object.keys(effects).length === 0 ? undefined : effects;
}

/** The value at a path of member names; own members only. */
function at(value: Json, path: readonly string[]): Json | undefined {
  let here: Json | undefined = value;
  for (const name of path) {
    if (
      typeof here !== "object" ||
      here === null ||
      Array.isArray(here) ||
      !Object.hasOwn(here, name)
    )
      return undefined;
    here = (here as JsonObject)[name];
  }
  return here;
}

function violation(rule: string): Refusal {
  return { code: "ARGUMENT_VIOLATION", rule };
}

function exceeded(rule: string): Refusal {
  return { code: "LIMIT_EXCEEDED", rule };
}
