/**
 * Policies as plain data, for tests of what is said about policies: compiled by the real compiler where the order is
 * concerned, and decided by a slow reference that keeps the list of everything that was allowed (decision.md, checks 3 to 8).
 */
import type {
  CallSelector,
  CompiledConditions,
  CompiledFunction,
  CompiledPolicy,
} from "@stepgate/core";
import { compilePolicy } from "../src/index.ts";

/** A step order as a tree, read here by derivatives. */
export type PlainOrder =
  | { readonly kind: "step"; readonly name: string }
  | { readonly kind: "list"; readonly items: readonly PlainOrder[] }
  | { readonly kind: "choice"; readonly items: readonly PlainOrder[] }
  | {
      readonly kind: "repeat";
      readonly item: PlainOrder;
      readonly min: number;
      readonly max: number;
    };

interface PlainFunction {
  readonly name: string;
  /** `*`: outside the order. */
  readonly step: string;
  readonly actions: readonly string[];
  /** Calls in a sequence. */
  readonly max?: number;
  /** Something that arguments decide: its text. */
  readonly when?: string;
}

interface PlainTool extends Omit<PlainFunction, "step" | "actions"> {
  readonly functions: readonly string[];
  readonly action: string;
}

interface PlainForbid {
  readonly actions?: readonly string[];
  readonly functions?: readonly string[];
  readonly steps?: readonly string[];
  readonly tools?: readonly string[];
  readonly agents?: readonly string[];
}

export interface PlainPolicy {
  readonly order: PlainOrder;
  readonly functions: readonly PlainFunction[];
  readonly tools: readonly PlainTool[];
  readonly constraints: readonly {
    readonly kind: "precedence" | "never";
    readonly first: CallSelector;
    readonly second: CallSelector;
  }[];
  readonly forbid: readonly PlainForbid[];
  /** By pattern, what is left of each function that is named. */
  readonly agents?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly sealOn: readonly string[];
}

/** Infinity is written out as no upper bound. */
export function orderText(order: PlainOrder): string {
  if (order.kind === "step") return order.name;
  if (order.kind === "repeat")
    return `(${orderText(order.item)}){${order.min},${order.max === Infinity ? "" : order.max}}`;
  return `(${order.items.map(orderText).join(order.kind === "list" ? ", " : " | ")})`;
}

/** Every step name, once. */
export function stepsOf(order: PlainOrder): readonly string[] {
  if (order.kind === "step") return [order.name];
  const items = order.kind === "repeat" ? [order.item] : order.items;
  return [...new Set(items.flatMap(stepsOf))];
}

/** The compiled policy; the order goes through the real compiler, the rest is written out by hand. */
export function compilePlain(plain: PlainPolicy): CompiledPolicy {
  const steps = stepsOf(plain.order);
  // A policy that can never be completed does not load, and is just what has to be looked at.
  const base = compilePolicy({
    schema: "stepgate.policy/1",
    id: "plain",
    version: "1",
    sequence: orderText(plain.order),
    functions: {
      ...Object.fromEntries(steps.map((step) => [step, ["ANY"]])),
      any_end: { step: "*", actions: ["END"] },
    },
    sealOn: ["END"],
  });
  const { agents } = plain;
  return {
    ...base,
    normalForm: JSON.stringify({
      sequence: JSON.parse(base.normalForm).sequence,
      forbid: plain.forbid,
      functions: formOf(plain.functions),
      tools: formOf(plain.tools),
    }),
    functions: new Map(plain.functions.map((fn) => [fn.name, compileFunction(fn, base.steps)])),
    tools: new Map(
      plain.tools.map(({ name, functions, action, ...rest }) => [
        name,
        { name, functions, action, ...conditionsOf(`tools.${name}`, rest) },
      ]),
    ),
    toolPairs: new Set(
      plain.tools.flatMap(({ functions, action }) => functions.map((fn) => `${fn}\n${action}`)),
    ),
    constraints: plain.constraints,
    forbid: plain.forbid.map((item) => ({
      ...(item.actions && { actions: new Set(item.actions) }),
      ...(item.functions && { functions: new Set(item.functions) }),
      ...(item.steps && { steps: new Set(item.steps) }),
      ...(item.tools && { tools: new Set(item.tools) }),
      ...(item.agents && { agents: (agent: string) => isOneOf(item.agents ?? [], agent) }),
    })),
    ...(agents && {
      agents: Object.entries(agents)
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
        .map(([pattern, functions]) => ({
          pattern,
          matches: (agent: string) => isOneOf([pattern], agent),
          functions: new Map(
            Object.entries(functions).map(([name, actions]) => [name, new Set(actions)]),
          ),
        })),
    }),
    sealOn: new Set(plain.sealOn),
  };
}

function formOf(
  entries: readonly { readonly name: string; readonly when?: string }[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    entries.map(({ name, when }) => [name, when === undefined ? {} : { when }]),
  );
}

function compileFunction(
  { name, step, actions, ...rest }: PlainFunction,
  steps: readonly string[],
): CompiledFunction {
  return {
    name,
    stepIndex: step === "*" ? -1 : steps.indexOf(step),
    ...(step !== "*" && { step }),
    actions: new Set(actions),
    ...conditionsOf(`functions.${name}`, rest),
  };
}

function conditionsOf(
  path: string,
  { max, when }: { readonly max?: number; readonly when?: string },
): { readonly conditions?: CompiledConditions } {
  if (max === undefined && when === undefined) return {};
  return {
    conditions: {
      path,
      grounded: [],
      bind: [],
      ...(max !== undefined && { calls: { max: `${max}` } }),
      ...(when !== undefined && { when: () => true }),
    },
  };
}

/** Patterns by another engine: `*` is any run of characters. */
export function isOneOf(patterns: readonly string[], agent: string): boolean {
  return patterns.some((pattern) =>
    new RegExp(
      `^${pattern
        .replaceAll(/[^*]/g, "\\$&")
        .replaceAll(/\\([a-zA-Z0-9])/g, "$1")
        .replaceAll("*", ".*")}$`,
    ).test(agent),
  );
}

/** One ALLOW. */
export interface Allowed {
  /** A tool's name, or function and action type. */
  readonly call: string;
  readonly function: string;
  readonly step: string | undefined;
  readonly action_type: string;
  readonly tool: string | undefined;
  readonly sealed: boolean;
  /** What arguments decided. */
  readonly conditions: readonly string[];
}

/** Every call that the policy gives a meaning to, in code-unit order. */
export function plainCalls({ functions, tools }: PlainPolicy): readonly string[] {
  const pairs = functions.flatMap(({ name, actions }) =>
    actions
      .filter(
        (action) => !tools.some((tool) => tool.action === action && tool.functions.includes(name)),
      )
      .map((action) => `${name} ${action}`),
  );
  return [...new Set([...tools.map(({ name }) => name), ...pairs])].toSorted();
}

/** A call as one of the functions that it may stand for: all that is against it, in the order of the checks. */
export interface Attempt {
  readonly allowed: Allowed;
  /** `CODE rule`. */
  readonly against: readonly string[];
  /** Constraints whose second call it is. */
  readonly looking: readonly number[];
}

/** An ALLOW, or `CODE rule`; arguments are taken to fit. */
export function decidePlain(
  plain: PlainPolicy,
  agent: string | undefined,
  history: readonly Allowed[],
  call: string,
): Allowed | string {
  if (history.some(({ sealed }) => sealed)) return "SEALED_SEQUENCE seal";
  const attempts = attemptsOf(plain, agent, history, call);
  if (typeof attempts === "string") return attempts;
  const standing = attempts.find((one) => !one.against.some(isBeforeLimits)) ?? attempts[0];
  return standing?.against[0] ?? standing?.allowed ?? "NO_POLICY_MATCH tools";
}

/** True for what leaves the call to the next function. */
export function isBeforeLimits(refusal: string): boolean {
  return !refusal.startsWith("LIMIT_EXCEEDED");
}

/** The call as each of the functions that it may stand for. */
export function attemptsOf(
  plain: PlainPolicy,
  agent: string | undefined,
  history: readonly Allowed[],
  call: string,
): readonly Attempt[] | string {
  const [name = "", action] = call.split(" ");
  const named = (one: { readonly name: string }): boolean => one.name === name;
  if (action === undefined) {
    const tool = plain.tools.find(named);
    if (tool === undefined) return "NO_POLICY_MATCH tools";
    return tool.functions
      .flatMap((one) => plain.functions.find((fn) => fn.name === one) ?? [])
      .map((fn) => attempt(plain, agent, history, { call, fn, action: tool.action, tool }));
  }
  const fn = plain.functions.find(named);
  if (fn === undefined) return "NO_POLICY_MATCH functions";
  if (plain.tools.some((tool) => tool.action === action && tool.functions.includes(name)))
    return "NO_POLICY_MATCH tools";
  return [attempt(plain, agent, history, { call, fn, action, tool: undefined })];
}

interface Asked {
  readonly call: string;
  readonly fn: PlainFunction;
  readonly action: string;
  readonly tool: PlainTool | undefined;
}

function attempt(
  plain: PlainPolicy,
  agent: string | undefined,
  history: readonly Allowed[],
  { call, fn, action: action_type, tool }: Asked,
): Attempt {
  const step = fn.step === "*" ? undefined : fn.step;
  const members = { function: fn.name, step, action_type, tool: tool?.name };
  const passed = history.flatMap((one) => one.step ?? []);
  const after = deriveAll(plain.order, step === undefined ? passed : [...passed, step]);
  const seals = plain.sealOn.includes(action_type);
  const looking = [...plain.constraints.keys()].filter((index) => {
    const second = plain.constraints[index]?.second;
    return second !== undefined && members[second.member] === second.name;
  });
  const ends =
    step !== undefined &&
    after !== undefined &&
    isNullable(after) &&
    !stepsOf(plain.order).some((next) => derive(after, next));
  return {
    looking,
    against: [
      ...(after === undefined || (seals && !isNullable(after))
        ? ["SEQUENCE_VIOLATION sequence"]
        : []),
      ...looking
        .filter((index) => isBroken(plain, history, index))
        .map((index) => `SEQUENCE_VIOLATION constraints.${index}`),
      ...notAllowed(plain, agent, members).map((rule) => `ACTION_NOT_ALLOWED ${rule}`),
      ...exceeded(history, fn, tool).map((path) => `LIMIT_EXCEEDED ${path}.limits.calls`),
    ],
    allowed: {
      call,
      ...members,
      sealed: seals || ends,
      conditions: [
        ...(fn.when === undefined ? [] : [`functions.${fn.name}.when`]),
        ...(tool?.when === undefined ? [] : [`tools.${tool.name}.when`]),
      ],
    },
  };
}

function isBroken(
  { constraints }: PlainPolicy,
  history: readonly Allowed[],
  index: number,
): boolean {
  const constraint = constraints[index];
  if (constraint === undefined) return false;
  const came = history.some((one) => one[constraint.first.member] === constraint.first.name);
  return constraint.kind === "precedence" ? !came : came;
}

function notAllowed(
  { forbid, agents, functions }: PlainPolicy,
  agent: string | undefined,
  members: Pick<Allowed, "function" | "step" | "action_type" | "tool">,
): readonly string[] {
  const forbidden = forbid.flatMap((item, index) =>
    [
      item.actions?.includes(members.action_type),
      item.functions?.includes(members.function),
      item.steps?.includes(members.step ?? ""),
      item.tools?.includes(members.tool ?? ""),
      item.agents && isOneOf(item.agents, agent ?? ""),
    ].every((named) => named !== false)
      ? [`forbid.${index}`]
      : [],
  );
  const mine = Object.keys(agents ?? {})
    .filter((pattern) => agent !== undefined && isOneOf([pattern], agent))
    .toSorted();
  const narrowed = mine.filter(
    (pattern) => agents?.[pattern]?.[members.function]?.includes(members.action_type) === false,
  );
  const fn = functions.find(({ name }) => name === members.function);
  return [
    ...forbidden,
    ...(agents !== undefined && mine.length === 0 ? ["agents"] : []),
    ...narrowed.map((pattern) => `agents.${pattern}`),
    ...(fn?.actions.includes(members.action_type) ? [] : [`functions.${members.function}.actions`]),
  ];
}

function exceeded(
  history: readonly Allowed[],
  fn: PlainFunction,
  tool: PlainTool | undefined,
): readonly string[] {
  const isOver = (max: number | undefined, counts: (one: Allowed) => boolean): boolean =>
    max !== undefined && history.filter(counts).length + 1 > max;
  return [
    ...(isOver(fn.max, (one) => one.function === fn.name) ? [`functions.${fn.name}`] : []),
    ...(tool !== undefined && isOver(tool.max, (one) => one.tool === tool.name)
      ? [`tools.${tool.name}`]
      : []),
  ];
}

/** What is left of an order after these steps, as a text that is equal for what goes on alike; `undefined` where they may not come. */
export function mayFollow(order: PlainOrder, steps: readonly string[]): string | undefined {
  const left = deriveAll(order, steps);
  return left && JSON.stringify(left);
}

/** True where the order is complete after these calls. */
export function isComplete(plain: PlainPolicy, history: readonly Allowed[]): boolean {
  const left = deriveAll(
    plain.order,
    history.flatMap(({ step }) => step ?? []),
  );
  return left !== undefined && isNullable(left);
}

/** What of a history may matter later: two with the same text go on alike. */
export function historyText(plain: PlainPolicy, history: readonly Allowed[]): string {
  const left = deriveAll(
    plain.order,
    history.flatMap(({ step }) => step ?? []),
  );
  return JSON.stringify([
    left,
    history.some(({ sealed }) => sealed),
    plain.constraints.map(({ first }) => history.some((one) => one[first.member] === first.name)),
    plain.functions.map(({ name, max }) =>
      max === undefined ? 0 : history.filter((one) => one.function === name).length,
    ),
    plain.tools.map(({ name, max }) =>
      max === undefined ? 0 : history.filter((one) => one.tool === name).length,
    ),
  ]);
}

const known = new WeakMap<PlainOrder, Map<string, PlainOrder | undefined>>();

/** What is left after all these steps; histories share their beginnings. */
function deriveAll(order: PlainOrder, steps: readonly string[]): PlainOrder | undefined {
  if (steps.length === 0) return order;
  const ofOrder = known.get(order) ?? new Map<string, PlainOrder | undefined>();
  known.set(order, ofOrder);
  const key = steps.join();
  if (!ofOrder.has(key)) {
    const before = deriveAll(order, steps.slice(0, -1));
    ofOrder.set(key, before && derive(before, steps.at(-1) ?? ""));
  }
  return ofOrder.get(key);
}

/** What is left of an order after a step; `undefined` where the step may not come (Brzozowski). */
function derive(order: PlainOrder, step: string): PlainOrder | undefined {
  switch (order.kind) {
    case "step":
      return order.name === step ? EMPTY : undefined;
    case "choice":
      return choice(order.items.map((item) => derive(item, step)));
    case "list": {
      const [first, ...others] = order.items;
      if (first === undefined) return undefined;
      const rest: PlainOrder = { kind: "list", items: others };
      const left = derive(first, step);
      return choice([
        left && list([left, rest]),
        isNullable(first) ? derive(rest, step) : undefined,
      ]);
    }
    case "repeat": {
      const { item, min, max } = order;
      const left = max === 0 ? undefined : derive(item, step);
      return left && list([left, { ...order, min: Math.max(0, min - 1), max: max - 1 }]);
    }
  }
}

const EMPTY: PlainOrder = { kind: "list", items: [] };

function isNullable(order: PlainOrder): boolean {
  if (order.kind === "step") return false;
  if (order.kind === "choice") return order.items.some(isNullable);
  if (order.kind === "list") return order.items.every(isNullable);
  return order.min === 0 || isNullable(order.item);
}

function list(items: readonly PlainOrder[]): PlainOrder {
  const flat = items.flatMap((item) => (item.kind === "list" ? item.items : [item]));
  const [only] = flat;
  return flat.length === 1 && only !== undefined ? only : { kind: "list", items: flat };
}

function choice(items: readonly (PlainOrder | undefined)[]): PlainOrder | undefined {
  const flat = items.flatMap((item) =>
    item === undefined ? [] : item.kind === "choice" ? item.items : [item],
  );
  const different = [...new Map(flat.map((item) => [JSON.stringify(item), item])).entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, item]) => item);
  return different.length > 1 ? { kind: "choice", items: different } : different[0];
}

/** Reads an order from text that the compiler would read alike: names, `,`, `|`, parentheses, one suffix. */
function orderOf(text: string): PlainOrder {
  const tokens = text.match(/[A-Za-z_][A-Za-z0-9_]*|\{[0-9,]+\}|[(),|?*+]/g) ?? [];
  let at = 0;
  const several = (kind: "list" | "choice", mark: string, part: () => PlainOrder): PlainOrder => {
    const items = [part()];
    while (tokens[at] === mark) {
      at += 1;
      items.push(part());
    }
    const [only] = items;
    return items.length === 1 && only !== undefined ? only : { kind, items };
  };
  const whole = (): PlainOrder => several("choice", "|", () => several("list", ",", suffixed));
  const suffixed = (): PlainOrder => {
    const token = tokens[at] ?? "";
    at += 1;
    const item: PlainOrder = token === "(" ? whole() : { kind: "step", name: token };
    if (token === "(") at += 1;
    const suffix = tokens[at] ?? "";
    if (!/^[?*+{]/.test(suffix)) return item;
    at += 1;
    const [min = "", max = min] =
      { "?": "0,1", "*": "0,", "+": "1," }[suffix]?.split(",") ?? suffix.slice(1, -1).split(",");
    return { kind: "repeat", item, min: Number(min), max: max === "" ? Infinity : Number(max) };
  };
  return whole();
}

const NOTHING = { tools: [], constraints: [], forbid: [], sealOn: [] };

/** A policy by its order and functions, such as `b: [X, Y]`; `*b: [X]` is outside the order. */
export function policyOf(
  order: string,
  functions: Readonly<
    Record<string, readonly string[] | Partial<PlainPolicy["functions"][number]>>
  >,
  rest: Partial<PlainPolicy> = {},
): CompiledPolicy {
  return compilePlain({
    ...NOTHING,
    order: orderOf(order),
    functions: Object.entries(functions).map(([key, entry]) => {
      const name = key.replace("*", "");
      const step = key.startsWith("*") ? "*" : name;
      return "length" in entry
        ? { name, step, actions: [...entry] }
        : { name, step, actions: ["X"], ...entry };
    }),
    ...rest,
  });
}

/** Selectors. */
export const fn = (name: string): CallSelector => ({ member: "function", name });
export const action = (name: string): CallSelector => ({ member: "action_type", name });
