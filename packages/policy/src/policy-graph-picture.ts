/** What a picture of a policy shows: its steps, which may follow which, how often each comes, and where a run ends. */
import type { CompiledConstraint, CompiledPolicy } from "@stepgate/core/compiler";
import { readForm } from "./analysis-form.ts";
import { type Order, orderOf, reducedOrder, stepFrom } from "./analysis-order.ts";
import { type Loop, splitLoops } from "./policy-graph-loops.ts";
import { occurrences } from "./policy-graph-occurrences.ts";

/** A picture before it is drawn. Nodes are numbered: the start is 0, steps follow in the policy's order, the end is last. */
export interface Picture {
  readonly title: string;
  /** The order as its author may have written it. */
  readonly order: string;
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
  /** The same edges once more: those that lead on, and loops. */
  readonly forward: readonly PictureEdge[];
  readonly loops: readonly Loop[];
  /** Functions that may be called at any time: `lookup: READ_INPUT`. */
  readonly free: readonly string[];
  /** Constraints in words. */
  readonly notes: readonly string[];
}

/** A step, the start or the end. */
export interface PictureNode {
  readonly kind: "start" | "step" | "end";
  readonly name: string;
  /** How often the step comes in a run that is completed: `1×`, `0–3×`, `2+×`; empty where it is not known. */
  readonly times: string;
  /** Functions with their action types, then tools. */
  readonly lines: readonly string[];
}

/** One that may come right after another. */
export interface PictureEdge {
  readonly from: number;
  readonly to: number;
  /** Into the end alone. */
  readonly ending?: Ending;
}

/** Every ALLOW of the step seals; one may; or the order may be complete there, and something else has to seal. */
export type Ending = "seals" | "may seal" | "may end";

/** Puts the picture together. What constraints, limits and agents take away is not taken from it. */
export function pictureOf(policy: CompiledPolicy): Picture {
  const end = policy.steps.length + 1;
  const times = occurrences(reducedOrder(policy));
  const steps = policy.steps.map((name, index) => ({
    kind: "step" as const,
    name,
    times: times[index] ?? "",
    lines: linesOf(policy, name),
  }));
  const edges = edgesOf(policy, orderOf(policy), end);
  return {
    title: `${policy.id} ${policy.version}`,
    order: orderText(policy),
    nodes: [
      { kind: "start", name: "start", times: "", lines: [] },
      ...steps,
      { kind: "end", name: "end", times: "", lines: [] },
    ],
    edges,
    ...splitLoops(end + 1, edges),
    free: [...policy.functions.values()]
      .filter(({ step }) => step === undefined)
      .map(({ name, actions }) => `${name}: ${actionsText(policy, actions)}`),
    notes: (policy.constraints ?? []).map(constraintText),
  };
}

function orderText(policy: CompiledPolicy): string {
  const form = readForm(policy);
  const text: unknown =
    typeof form === "object" && form !== null ? Reflect.get(form, "sequence") : "";
  return typeof text === "string" ? text : policy.steps.join(", ");
}

function linesOf(policy: CompiledPolicy, step: string): readonly string[] {
  const functions = [...policy.functions.values()].filter((fn) => fn.step === step);
  const names = new Set(functions.map(({ name }) => name));
  const tools = [...policy.tools.values()].filter((tool) =>
    tool.functions.some((name) => names.has(name)),
  );
  return [
    ...functions.map(({ name, actions }) => {
      const text = actionsText(policy, actions);
      return name === step && functions.length === 1 ? text : `${name}: ${text}`;
    }),
    ...(tools.length === 0 ? [] : [`tools: ${tools.map(({ name }) => name).join(", ")}`]),
  ];
}

function actionsText({ sealOn }: CompiledPolicy, actions: ReadonlySet<string>): string {
  const texts = [...actions].map((action) => (sealOn.has(action) ? `${action} (seals)` : action));
  return texts.length === 0 ? "no action type" : texts.join(", ");
}

function constraintText({ kind, first, second }: CompiledConstraint): string {
  const text = ({ member, name }: CompiledConstraint["first"]): string =>
    member === "function" ? name : `${member === "action_type" ? "action" : member} ${name}`;
  return kind === "precedence"
    ? `${text(second)} only after ${text(first)}`
    : `${text(second)} never after ${text(first)}`;
}

/** Each step that some state comes right after another step, and what may end. */
function edgesOf(policy: CompiledPolicy, order: Order, end: number): readonly PictureEdge[] {
  const follows = new Set<number>();
  const statesOf = new Map<number, number[]>();
  for (const [state, step] of arrivals(order)) {
    const states = statesOf.get(step);
    if (states === undefined) statesOf.set(step, [state]);
    else states.push(state);
    for (let next = 0; next < order.stepCount; next++)
      if (stepFrom(order, state, next) >= 0) follows.add((step + 1) * end + next + 1);
  }
  const edges = [...follows].map((key): PictureEdge => {
    const [from, to] = [Math.floor(key / end), key % end];
    return { from, to };
  });
  for (const [step, states] of statesOf) {
    const ending = endingOf(policy, order, step, states);
    if (ending !== undefined) edges.push({ from: step + 1, to: end, ending });
  }
  return edges.toSorted((a, b) => a.from - b.from || a.to - b.to);
}

function endingOf(
  policy: CompiledPolicy,
  { accepting, natural }: Order,
  step: number,
  states: readonly number[],
): Ending | undefined {
  if (states.every((state) => accepting[state] !== 1)) return undefined;
  if (step === -1) return "may end";
  if (states.every((state) => natural[state] === 1)) return "seals";
  const maySeal = states.some((state) => natural[state] === 1) || sealsIn(policy, step);
  return maySeal ? "may seal" : "may end";
}

/** Every state, with each step that leads to it; the start with -1. */
function* arrivals({ next, stepCount }: Order): Generator<readonly [state: number, step: number]> {
  yield [0, -1];
  const met = new Set<string>();
  for (const [index, state] of next.entries()) {
    const step = index % stepCount;
    if (state === -1 || met.has(`${state} ${step}`)) continue;
    met.add(`${state} ${step}`);
    yield [state, step];
  }
}

function sealsIn({ functions, sealOn }: CompiledPolicy, step: number): boolean {
  return [...functions.values()].some(
    ({ stepIndex, actions }) => stepIndex === step && [...actions].some((one) => sealOn.has(one)),
  );
}
