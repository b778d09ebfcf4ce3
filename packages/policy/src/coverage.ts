/** Which parts of a policy some decided calls exercised: what tests leave out is what nobody has tried. */
import type {
  CompiledConditions,
  CompiledFunction,
  CompiledPolicy,
  DecisionReceipt,
} from "@stepgate/core";
import { conditionSides, shownSides } from "./coverage-conditions.ts";
import { transitionsOf } from "./coverage-transitions.ts";

/**
 * A call and its answer, with the members of its receipt; `deny_code` and `rule` exactly on DENY. With `args`, an
 * argument that was absent counts for no `grounded`.
 */
export type DecidedCall = Pick<
  DecisionReceipt,
  "function" | "action_type" | "tool" | "step" | "agent_id" | "deny_code" | "rule"
> & { readonly args?: Readonly<Record<string, unknown>> | undefined };

/** `actions` are cells of the action map; `tools` the functions that each tool may stand for. */
export type CoverageKind = "transitions" | "actions" | "tools" | "conditions";

/** One thing that calls can exercise. */
export interface CoverageItem {
  readonly kind: CoverageKind;
  /** Where it stands in the policy, as decisions name their rules. */
  readonly rule: string;
  /** `review after intake`, `execution WRITE_DB`, `transfer_funds as execution`, `refuses`. */
  readonly what: string;
  /** The step that a transition takes. */
  readonly step?: string;
  readonly covered: boolean;
}

/** So many of so many. */
export interface CoverageCount {
  readonly covered: number;
  readonly total: number;
}

/** What was exercised of a policy. */
export interface PolicyCoverage extends CoverageCount {
  readonly kinds: Readonly<Record<CoverageKind, CoverageCount>>;
  /** By kind: transitions the shortest run first, the rest by name. */
  readonly items: readonly CoverageItem[];
}

/**
 * What the calls of some sequences exercised. A transition, an action and a tool count once allowed; a condition twice:
 * once it held where it was asked, once it refused.
 *
 * @example policyCoverage(policy, [[{ function: "intake", action_type: "READ_INPUT" }]]).kinds.transitions
 */
export function policyCoverage(
  policy: CompiledPolicy,
  sequences: Iterable<Iterable<DecidedCall>>,
): PolicyCoverage {
  const seen = new Set<string>();
  for (const calls of sequences) walk(policy, calls, seen);
  const items = itemsOf(policy).map(({ key, ...item }) => ({
    ...item,
    covered: seen.has(key),
  }));
  return { ...countOf(items), kinds: kindsOf(items), items };
}

/** Something that can be exercised. */
interface Possible extends Omit<CoverageItem, "covered"> {
  /** Names it among all that can be exercised. */
  readonly key: string;
}

function walk(policy: CompiledPolicy, calls: Iterable<DecidedCall>, seen: Set<string>): void {
  let position = 0;
  const bound = new Set<string>();
  for (const call of calls) {
    for (const key of shownSides(policy, call, bound)) seen.add(key);
    const fn = policy.functions.get(call.function ?? "");
    if (call.deny_code !== undefined || fn === undefined) continue;
    seen.add(actionKey(fn.name, call.action_type ?? ""));
    if (call.tool !== undefined) seen.add(toolKey(call.tool, fn.name));
    for (const name of bindingsOf(policy, fn, call)) bound.add(name);
    const next = policy.automaton.next[position * policy.steps.length + fn.stepIndex] ?? -1;
    if (fn.stepIndex < 0 || next < 0) continue;
    seen.add(transitionKey(position, fn.stepIndex));
    position = next;
  }
}

function bindingsOf(
  policy: CompiledPolicy,
  fn: CompiledFunction,
  call: DecidedCall,
): readonly string[] {
  const tool = policy.tools.get(call.tool ?? "");
  const both: readonly (CompiledConditions | undefined)[] = [fn.conditions, tool?.conditions];
  return both.flatMap((conditions) => conditions?.bind.map(({ name }) => name) ?? []);
}

function itemsOf(policy: CompiledPolicy): readonly Possible[] {
  const transitions = transitionsOf(policy).map(({ state, step, before }): Possible => {
    const name = policy.steps[step] ?? "";
    const what =
      before.length === 0 ? `${name} at the beginning` : `${name} after ${before.join(", ")}`;
    return {
      kind: "transitions",
      key: transitionKey(state, step),
      rule: "sequence",
      what,
      step: name,
    };
  });
  const actions = [...policy.functions.values()].flatMap((fn) =>
    [...fn.actions].map((action): Possible => ({
      kind: "actions",
      key: actionKey(fn.name, action),
      rule: `functions.${fn.name}.actions`,
      what: `${fn.name} ${action}${throughTools(policy, fn.name, action)}`,
    })),
  );
  const tools = [...policy.tools.values()].flatMap((tool) =>
    tool.functions
      .filter((name) => policy.functions.get(name)?.actions.has(tool.action))
      .map((name): Possible => ({
        kind: "tools",
        key: toolKey(tool.name, name),
        rule: `tools.${tool.name}`,
        what: `${tool.name} as ${name}`,
      })),
  );
  const conditions = conditionSides(policy).map((side): Possible => ({
    kind: "conditions",
    ...side,
  }));
  return [...transitions, ...actions, ...tools, ...conditions];
}

/** The tools that a cell of the map can be reached by; none where it is requested as it is. */
function throughTools(policy: CompiledPolicy, fn: string, action: string): string {
  const tools = [...policy.tools.values()].filter(
    (tool) => tool.action === action && tool.functions.includes(fn),
  );
  return tools.length === 0 ? "" : ` (${tools.map(({ name }) => name).join(", ")})`;
}

function kindsOf(items: readonly CoverageItem[]): Readonly<Record<CoverageKind, CoverageCount>> {
  const of = (kind: CoverageKind): CoverageCount =>
    countOf(items.filter((item) => item.kind === kind));
  return {
    transitions: of("transitions"),
    actions: of("actions"),
    tools: of("tools"),
    conditions: of("conditions"),
  };
}

function countOf(items: readonly CoverageItem[]): CoverageCount {
  return { covered: items.filter(({ covered }) => covered).length, total: items.length };
}

function transitionKey(state: number, step: number): string {
  return `transition ${state} ${step}`;
}

function actionKey(fn: string, action: string): string {
  return `action ${fn}\n${action}`;
}

function toolKey(tool: string, fn: string): string {
  return `tool ${tool}\n${fn}`;
}
