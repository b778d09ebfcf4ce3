/** What a policy makes of each call that can be made, arguments and agents aside: checks 4 and 5, and limits in a sequence. */
import type {
  CallSelector,
  CompiledConditions,
  CompiledFunction,
  CompiledPolicy,
} from "@stepgate/core/compiler";
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

/** One function that a call may stand for, whoever the agent. */
export interface CallCandidate {
  readonly name: string;
  /** -1: outside the order. */
  readonly step: number;
  readonly seals: boolean;
  /** The constraints whose second call this is; one that fails leaves the call to the next function. */
  readonly gates: readonly CallCheck[];
  /** Limits in a sequence; one that fails refuses the call. */
  readonly limits: readonly CallCheck[];
  /** Keys of what an ALLOW counts towards. */
  readonly moves: readonly string[];
  /** What arguments decide. */
  readonly conditions: ConditionTexts;
}

/** The functions that a call may stand for, in order; where there are none, why. */
export interface Reading {
  readonly candidates: readonly CallCandidate[];
  /** What `forbid`, agents and the map look at, of each candidate. */
  readonly members: readonly CallMembers[];
  readonly refusal?: CallRefusal;
  /** Two calls with the same text are treated alike but for the agent. */
  readonly text: string;
}

/** The members that selectors look at. */
export interface CallMembers {
  readonly function: string;
  readonly step: string | undefined;
  readonly action_type: string;
  readonly tool: string | undefined;
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

/** Reads calls by one policy, each once however often it is asked for. */
export function callReader(policy: CompiledPolicy): (call: PolicyCall) => Reading {
  const known = readers.get(policy);
  if (known !== undefined) return known;
  const reader = newReader(policy);
  const readings = new Map<string, Reading>();
  const read = (call: PolicyCall): Reading => {
    const text = callText(call);
    const reading = readings.get(text) ?? readCall(reader, call);
    readings.set(text, reading);
    return reading;
  };
  readers.set(policy, read);
  return read;
}

const readers = new WeakMap<CompiledPolicy, (call: PolicyCall) => Reading>();

function newReader(policy: CompiledPolicy): Reader {
  const reader: Reader = {
    policy,
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
  return reader;
}

interface Reader {
  readonly policy: CompiledPolicy;
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
    const found = (tool?.functions ?? []).flatMap((name) => functions.get(name) ?? []);
    return tool === undefined || found.length === 0
      ? unknownCall("tools")
      : readAs(reader, found, tool.action, tool.name);
  }
  const fn = functions.get(call.function);
  if (fn === undefined) return unknownCall("functions");
  if (toolPairs.has(`${call.function}\n${call.action_type}`)) return unknownCall("tools");
  return readAs(reader, [fn], call.action_type, undefined);
}

function unknownCall(rule: string): Reading {
  return { candidates: [], members: [], refusal: { code: "NO_POLICY_MATCH", rule }, text: rule };
}

function readAs(
  reader: Reader,
  functions: readonly CompiledFunction[],
  action_type: string,
  tool: string | undefined,
): Reading {
  const members = functions.map(({ name, step }) => ({ function: name, step, action_type, tool }));
  const candidates = functions.map((fn, index) => candidateOf(reader, fn, members[index]));
  const text = JSON.stringify(
    candidates.map((one) => ({ ...one, conditions: [...one.conditions] })),
  );
  return { candidates, members, text };
}

function candidateOf(
  reader: Reader,
  { name, stepIndex }: CompiledFunction,
  members: CallMembers | undefined,
): CallCandidate {
  const selectors = (["function", "step", "action_type", "tool"] as const).flatMap((member) =>
    members?.[member] === undefined ? [] : [`${member} ${members[member]}`],
  );
  const standing = members === undefined ? [] : standingOn(reader.policy, members);
  const limits = standing.flatMap(([path, conditions]) => limitCheck(path, conditions));
  return {
    name,
    step: stepIndex,
    seals: members !== undefined && reader.policy.sealOn.has(members.action_type),
    gates: gatesOf(reader, selectors),
    limits,
    moves: [
      ...new Set(selectors.flatMap((selector) => [...(reader.firsts.get(selector) ?? [])])),
      ...limits.map(({ key }) => key),
    ],
    conditions: new Map(standing.flatMap((one) => [...textsOf(reader, one)])),
  };
}

/** What a tool or function is called in the policy. */
export type Place = readonly [section: "functions" | "tools", name: string];
/** What stands on a tool or function. */
export type Standing = readonly [Place, CompiledConditions];

/** The conditions of the function, then of the tool. */
export function standingOn(policy: CompiledPolicy, members: CallMembers): readonly Standing[] {
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
