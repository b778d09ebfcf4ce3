/** The normal form of a policy, over which its digest is taken: one contract, one text, however it was spelled (policy.md, Identity). */
import { asSet, mapMembers } from "./code-unit-order.ts";
import { milliseconds } from "./duration.ts";
import { type NormalConditions, normalConditions } from "./normal-conditions.ts";
import type {
  AgentEntry,
  ConstraintEntry,
  ForbidEntry,
  FunctionEntry,
  PolicyDocument,
  SelectorEntry,
  ToolEntry,
} from "./policy-document.ts";
import { printSequence, type Sequence } from "./sequence-grammar.ts";

/** A contract with every short form written out and every default left out. It is itself a valid policy document. */
export interface NormalForm {
  readonly schema: "stepgate.policy/1";
  readonly id: string;
  readonly version: string;
  readonly sequence: string;
  readonly functions: Readonly<Record<string, NormalFunction>>;
  readonly tools?: Readonly<Record<string, NormalTool>>;
  readonly constraints?: readonly NormalConstraint[];
  readonly forbid?: readonly NormalForbid[];
  readonly agents?: Readonly<Record<string, NormalAgent>>;
  readonly sealOn?: readonly string[];
  readonly freshness?: number;
  readonly lifetime?: number;
}

/** A function; without `step` it belongs to the step of its own name. */
interface NormalFunction extends NormalConditions {
  readonly actions: readonly string[];
  readonly step?: string;
}

/** A tool; a single function is a name, several are a list in the order of the policy. */
interface NormalTool extends NormalConditions {
  readonly function: string | readonly string[];
  readonly action: string;
}

/** Exactly one of the members. */
interface NormalSelector {
  readonly function?: string;
  readonly step?: string;
  readonly action?: string;
  readonly tool?: string;
}

/** Exactly one of the members. */
export interface NormalConstraint {
  readonly precedence?: readonly [NormalSelector, NormalSelector];
  readonly never?: readonly [NormalSelector, NormalSelector];
}

/** Selector lists, none of them empty. */
export interface NormalForbid {
  readonly actions?: readonly string[];
  readonly functions?: readonly string[];
  readonly steps?: readonly string[];
  readonly tools?: readonly string[];
  readonly agents?: readonly string[];
}

/** What is left of the functions that are listed. */
interface NormalAgent {
  readonly functions?: Readonly<Record<string, { readonly actions: readonly string[] }>>;
}

/** How far a caller's clock may be off, unless the policy says otherwise: 300 s. */
export const DEFAULT_FRESHNESS_MS = 300_000;
/** How long a sequence lives, unless the policy says otherwise: 24 h. */
export const DEFAULT_LIFETIME_MS = 86_400_000;

/** Writes a checked document in its normal form; `tests` are no part of the contract. */
export function normalForm(document: PolicyDocument, order: Sequence): NormalForm {
  const freshness = milliseconds(document.freshness ?? DEFAULT_FRESHNESS_MS);
  const lifetime = milliseconds(document.lifetime ?? DEFAULT_LIFETIME_MS);
  const tools = mapMembers(document.tools, normalTool);
  const constraints = (document.constraints ?? []).map(normalConstraint);
  const forbid = (document.forbid ?? []).map(normalForbid);
  const { agents } = document;
  const sealOn = asSet(document.sealOn ?? []);
  return {
    schema: document.schema,
    id: document.id,
    version: document.version,
    sequence: printSequence(order),
    functions: mapMembers(document.functions, normalFunction),
    ...(Object.keys(tools).length > 0 && { tools }),
    ...(constraints.length > 0 && { constraints }),
    ...(forbid.length > 0 && { forbid }),
    // Never left out: with `agents`, also empty, an agent that no pattern matches may do nothing.
    ...(agents !== undefined && { agents: mapMembers(agents, normalAgent) }),
    ...(sealOn.length > 0 && { sealOn }),
    ...(freshness !== DEFAULT_FRESHNESS_MS && { freshness }),
    ...(lifetime !== DEFAULT_LIFETIME_MS && { lifetime }),
  };
}

function normalFunction(entry: FunctionEntry, name: string): NormalFunction {
  if (isList(entry)) return { actions: asSet(entry) };
  const { actions, step = name } = entry;
  return { actions: asSet(actions), ...(step !== name && { step }), ...normalConditions(entry) };
}

function normalTool(entry: ToolEntry): NormalTool {
  const [first, ...others] = isList(entry.function) ? entry.function : [entry.function];
  const functions = first !== undefined && others.length === 0 ? first : [entry.function].flat();
  return { function: functions, action: entry.action, ...normalConditions(entry) };
}

function normalConstraint({ never, precedence }: ConstraintEntry): NormalConstraint {
  return {
    ...(precedence && {
      precedence: [normalSelector(precedence[0]), normalSelector(precedence[1])],
    }),
    ...(never && { never: [normalSelector(never[0]), normalSelector(never[1])] }),
  };
}

/** A bare name is a function. */
function normalSelector(entry: SelectorEntry): NormalSelector {
  if (typeof entry === "string") return { function: entry };
  const { action, function: fn, step, tool } = entry;
  return {
    ...(fn !== undefined && { function: fn }),
    ...(step !== undefined && { step }),
    ...(action !== undefined && { action }),
    ...(tool !== undefined && { tool }),
  };
}

function normalForbid({ actions, agents, functions, steps, tools }: ForbidEntry): NormalForbid {
  return {
    ...(actions && { actions: asSet(actions) }),
    ...(functions && { functions: asSet(functions) }),
    ...(steps && { steps: asSet(steps) }),
    ...(tools && { tools: asSet(tools) }),
    ...(agents && { agents: asSet(agents) }),
  };
}

/** An entry without functions leaves all of them as they are, and stands there all the same: it matches. */
function normalAgent({ functions }: AgentEntry): NormalAgent {
  const narrowed = mapMembers(functions, (entry) => ({
    actions: asSet(isList(entry) ? entry : entry.actions),
  }));
  return Object.keys(narrowed).length > 0 ? { functions: narrowed } : {};
}

function isList<T>(value: T): value is Extract<T, readonly unknown[]> {
  return Array.isArray(value);
}
