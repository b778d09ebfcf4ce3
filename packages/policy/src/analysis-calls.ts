/** What a policy makes of each call that can be made, arguments aside, for one agent: checks 4 to 6 and limits in a sequence. */
import type {
  CallSelector,
  CompiledConditions,
  CompiledForbid,
  CompiledFunction,
  CompiledPolicy,
} from "@stepgate/core";
import { type ConditionTexts, conditionTexts, readForm } from "./analysis-form.ts";

/** A call as a request makes it, arguments aside. */
export type PolicyCall =
  | { readonly tool: string }
  | { readonly function: string; readonly action_type: string };

/** Why a call is refused, as decisions say it. */
export interface CallRefusal {
  readonly code: string;
  readonly rule: string;
}

/** Holds while `from <= count < below`, of earlier ALLOWs that moved `key`. */
export interface CallCheck {
  readonly key: string;
  readonly from: number;
  readonly below: number;
  readonly rule: string;
}

/** One function that a call may stand for. */
export interface CallCandidate {
  readonly name: string;
  /** -1: outside the order. */
  readonly step: number;
  readonly seals: boolean;
  /** The constraints whose second call this is; one that fails leaves the call to the next function. */
  readonly gates: readonly CallCheck[];
  /** Check 6; likewise. */
  readonly denied?: CallRefusal;
  /** Limits in a sequence; one that fails refuses the call. */
  readonly limits: readonly CallCheck[];
  /** A limit that refuses every call. */
  readonly blocked?: CallRefusal;
  /** Keys of what an ALLOW counts towards. */
  readonly moves: readonly string[];
  /** What arguments decide. */
  readonly conditions: ConditionTexts;
}

/** The functions that a call may stand for, in order; where there are none, why. */
export interface Reading {
  readonly candidates: readonly CallCandidate[];
  readonly refusal?: CallRefusal;
}

/** How a call is written where order matters: a tool's name, or function and action type. */
export function callText(call: PolicyCall): string {
  return "tool" in call ? call.tool : `${call.function} ${call.action_type}`;
}

/** Every call that some policy gives a meaning to, in code-unit order. */
export function callsOf(policies: readonly CompiledPolicy[]): readonly PolicyCall[] {
  const calls = new Map<string, PolicyCall>();
  for (const { functions, tools, toolPairs } of policies) {
    for (const tool of tools.keys()) calls.set(tool, { tool });
    for (const { name, actions } of functions.values())
      for (const action_type of actions)
        if (!toolPairs.has(`${name}\n${action_type}`))
          calls.set(`${name} ${action_type}`, { function: name, action_type });
  }
  return [...calls].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, call]) => call);
}

/** Reads calls by one policy, for one agent. */
export function callReader(
  policy: CompiledPolicy,
  agent: string | undefined,
): (call: PolicyCall) => Reading {
  const reader: Reader = {
    policy,
    agent,
    form: readForm(policy),
    firsts: new Map(),
    seconds: new Map(),
    scopes: scopesOf(policy),
    texts: new Map(),
  };
  for (const [index, { first, second }] of (policy.constraints ?? []).entries()) {
    add(reader.firsts, selectorText(first), `first ${selectorText(first)}`);
    add(reader.seconds, selectorText(second), index);
  }
  return (call) => readCall(reader, call);
}

interface Reader {
  readonly policy: CompiledPolicy;
  readonly agent: string | undefined;
  readonly form: unknown;
  /** Monitors that a selected call moves, and constraints that look at it, by selector. */
  readonly firsts: Map<string, Set<string>>;
  readonly seconds: Map<string, Set<number>>;
  readonly scopes: Scopes;
  readonly texts: Map<CompiledConditions, ConditionTexts>;
}

function add<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

function selectorText({ member, name }: CallSelector): string {
  return `${member} ${name}`;
}

function readCall(reader: Reader, call: PolicyCall): Reading {
  const { functions, tools, toolPairs } = reader.policy;
  if ("tool" in call) {
    const tool = tools.get(call.tool);
    if (tool === undefined) return unknownCall("tools");
    const found = tool.functions.flatMap((name) => functions.get(name) ?? []);
    return {
      candidates: found.map((fn) => candidate(reader, fn, tool.action, tool.name)),
      ...(found.length === 0 && unknownCall("tools")),
    };
  }
  const fn = functions.get(call.function);
  if (fn === undefined) return unknownCall("functions");
  if (toolPairs.has(`${call.function}\n${call.action_type}`)) return unknownCall("tools");
  return { candidates: [candidate(reader, fn, call.action_type, undefined)] };
}

function unknownCall(rule: string): Reading {
  return { candidates: [], refusal: { code: "NO_POLICY_MATCH", rule } };
}

/** The members that selectors look at. */
interface Members {
  readonly function: string;
  readonly step: string | undefined;
  readonly action_type: string;
  readonly tool: string | undefined;
}

function candidate(
  reader: Reader,
  fn: CompiledFunction,
  action_type: string,
  tool: string | undefined,
): CallCandidate {
  const { policy, agent } = reader;
  const members = { function: fn.name, step: fn.step, action_type, tool };
  const selectors = (["function", "step", "action_type", "tool"] as const).flatMap((member) =>
    members[member] === undefined ? [] : [`${member} ${members[member]}`],
  );
  const standing = standingOn(policy, members);
  const limits = standing.flatMap(([path, conditions]) => limitCheck(path, conditions));
  const denied = deniedBy(reader, members);
  const blocked = standing.flatMap(([path, conditions]) => blockedBy(path, conditions, agent))[0];
  return {
    name: fn.name,
    step: fn.stepIndex,
    seals: policy.sealOn.has(action_type),
    gates: gatesOf(reader, selectors),
    limits,
    moves: [
      ...new Set(selectors.flatMap((selector) => [...(reader.firsts.get(selector) ?? [])])),
      ...limits.map(({ key }) => key),
    ],
    ...(denied !== undefined && { denied }),
    ...(blocked !== undefined && { blocked }),
    conditions: new Map(standing.flatMap((one) => [...textsOf(reader, one)])),
  };
}

/** What a tool or function is called in the policy. */
type Place = readonly [section: "functions" | "tools", name: string];
type Standing = readonly [Place, CompiledConditions];

/** The conditions of the function, then of the tool. */
function standingOn(policy: CompiledPolicy, members: Members): readonly Standing[] {
  const ofFunction = policy.functions.get(members.function)?.conditions;
  const ofTool = members.tool === undefined ? undefined : policy.tools.get(members.tool);
  return [
    ...(ofFunction === undefined ? [] : [[["functions", members.function], ofFunction] as const]),
    ...(ofTool?.conditions === undefined
      ? []
      : [[["tools", ofTool.name], ofTool.conditions] as const]),
  ];
}

/** Precedence holds once its first call was allowed, `never` until then. */
function gatesOf({ policy, seconds }: Reader, selectors: readonly string[]): readonly CallCheck[] {
  const looking = selectors.flatMap((selector) => [...(seconds.get(selector) ?? [])]);
  return [...new Set(looking)]
    .toSorted((a, b) => a - b)
    .flatMap((index) => {
      const constraint = policy.constraints?.[index];
      if (constraint === undefined) return [];
      const range =
        constraint.kind === "precedence"
          ? { from: 1, below: Number.POSITIVE_INFINITY }
          : { from: 0, below: 1 };
      return [
        { key: `first ${selectorText(constraint.first)}`, ...range, rule: `constraints.${index}` },
      ];
    });
}

function limitCheck(path: Place, { calls }: CompiledConditions): readonly CallCheck[] {
  if (calls === undefined || calls.per !== undefined) return [];
  const rule = `${path.join(".")}.limits.calls`;
  return [{ key: `calls ${path.join(" ")}`, from: 0, below: Math.floor(Number(calls.max)), rule }];
}

/** Limits that no call passes: one of nothing, and one per agent where there is no agent. */
function blockedBy(
  path: Place,
  { calls, sum }: CompiledConditions,
  agent: string | undefined,
): readonly CallRefusal[] {
  const refuse = (limit: string): CallRefusal => ({
    code: "LIMIT_EXCEEDED",
    rule: `${path.join(".")}.limits.${limit}`,
  });
  return [
    ...(calls !== undefined &&
    (Number(calls.max) < 1 || (calls.per === "agent" && agent === undefined))
      ? [refuse("calls")]
      : []),
    ...(sum?.per === "agent" && agent === undefined ? [refuse("sum")] : []),
  ];
}

/** Check 6: what `forbid` names, then what the agent's patterns leave, then the map. */
function deniedBy({ policy, agent }: Reader, members: Members): CallRefusal | undefined {
  const refuse = (rule: string): CallRefusal => ({ code: "ACTION_NOT_ALLOWED", rule });
  const forbidden = (policy.forbid ?? []).findIndex((item) => isForbidden(item, members, agent));
  if (forbidden >= 0) return refuse(`forbid.${forbidden}`);
  if (policy.agents !== undefined) {
    const mine = agent === undefined ? [] : policy.agents.filter((entry) => entry.matches(agent));
    if (mine.length === 0) return refuse("agents");
    const narrower = mine.find(
      ({ functions }) => functions.get(members.function)?.has(members.action_type) === false,
    );
    if (narrower !== undefined) return refuse(`agents.${narrower.pattern}`);
  }
  return policy.functions.get(members.function)?.actions.has(members.action_type) === true
    ? undefined
    : refuse(`functions.${members.function}.actions`);
}

function isForbidden(item: CompiledForbid, members: Members, agent: string | undefined): boolean {
  const has = (set: ReadonlySet<string> | undefined, member: string | undefined): boolean =>
    set === undefined || (member !== undefined && set.has(member));
  return (
    has(item.actions, members.action_type) &&
    has(item.functions, members.function) &&
    has(item.steps, members.step) &&
    has(item.tools, members.tool) &&
    (item.agents === undefined || item.agents(agent ?? ""))
  );
}

/** Whom a shared count or a bound name is shared with: two policies that differ there may decide differently. */
interface Scopes {
  readonly binders: ReadonlyMap<string, string>;
  /** By function: the calls that may stand for it. */
  readonly callers: ReadonlyMap<string, string>;
}

function scopesOf(policy: CompiledPolicy): Scopes {
  const binders = new Map<string, Set<string>>();
  const callers = new Map<string, Set<string>>();
  for (const { conditions } of [...policy.functions.values(), ...policy.tools.values()])
    for (const { name, of } of conditions?.bind ?? [])
      add(binders, name, `${conditions?.path} ${of.join(".")}`);
  for (const call of callsOf([policy])) {
    const names = "tool" in call ? policy.tools.get(call.tool)?.functions : [call.function];
    for (const name of names ?? []) add(callers, name, callText(call));
  }
  const sorted = (sets: Map<string, Set<string>>): ReadonlyMap<string, string> =>
    new Map([...sets].map(([name, set]) => [name, [...set].toSorted().join("\n")]));
  return { binders: sorted(binders), callers: sorted(callers) };
}

function textsOf({ form, scopes, texts }: Reader, [path, conditions]: Standing): ConditionTexts {
  const known = texts.get(conditions);
  if (known !== undefined) return known;
  const callers = path[0] === "tools" ? "" : (scopes.callers.get(path[1]) ?? "");
  const binders = conditions.bind.map(({ name }) => scopes.binders.get(name)).join("\n\n");
  const read = new Map(
    [...conditionTexts(form, path, conditions)].map(([rule, text]) => {
      if (rule.endsWith(".bind")) return [rule, `${text} ${binders}`];
      return [rule, rule.includes(".limits.") ? `${text} ${callers}` : text];
    }),
  );
  texts.set(conditions, read);
  return read;
}
