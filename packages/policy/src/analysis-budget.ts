/** Limits on calls that leave a part of the order out of reach: `execution{1,5}` where only three calls are allowed. */
import type { CompiledPolicy } from "@stepgate/core";
import { limitRemovals, withLimits } from "./analysis-cause.ts";
import { callText, type PolicyCall } from "./analysis-calls.ts";
import { example, type PolicyFinding } from "./analysis-finding.ts";
import { buildSpace, type Candidate, type Space } from "./analysis-model.ts";
import { type Order, orderOf, reducedOrder, SEALED } from "./analysis-order.ts";
import { limitRefusals } from "./analysis-outcomes.ts";
import { type Answer, type Example, reachAny, spacesOf } from "./analysis-questions.ts";
import type { Watch } from "./analysis-reach.ts";
import { type Effort, replay } from "./analysis-walk.ts";
import type { Path } from "./finding.ts";

/** Transitions of an order up to which each occurrence of a step counts by itself. */
const MAX_TRANSITIONS = 100_000;

/** The limits that make a part of the order impossible; `undecided`: the search was given up. */
export interface BudgetAnswer {
  readonly findings: readonly PolicyFinding[];
  readonly undecided: boolean;
}

/** Compares, transition by transition of the order, what can be taken with the limits and without them. */
export function budgetFindings(
  policy: CompiledPolicy,
  agents: readonly (string | undefined)[],
  effort: Effort,
): BudgetAnswer {
  const limits = [...limitRemovals(policy)];
  if (limits.length === 0) return { findings: [], undecided: false };
  const order = transitionsOf(orderOf(policy)).length > MAX_TRANSITIONS ? reducedOrder : orderOf;
  const ask = (asked: CompiledPolicy, events: Iterable<string>): ReadonlyMap<string, Answer> =>
    reachAny(spacesOf(asked, agents, effort, order), events, effort, watchTransitions);
  const free = ask(
    withLimits(policy, () => false),
    transitionsOf(order(policy)),
  );
  const possible = [...free].flatMap(([event, answer]) => (isExample(answer) ? [event] : []));
  const limited = ask(policy, possible);
  const missing = possible.filter((event) => limited.get(event) === "never");
  const lostTo = (limited: CompiledPolicy): readonly string[] =>
    missing.length === 0 ? [] : [...ask(limited, missing)].flatMap(toLost);
  const alone = limits.map(({ path }) => {
    const only = withLimits(policy, (kept) => kept === path.slice(0, 2).join("."));
    return { path, only, lost: lostTo(only) };
  });
  const explained = new Set(alone.flatMap(({ lost }) => lost));
  const together = missing.filter((event) => !explained.has(event));
  const findings = [...alone, { path: ["sequence"], only: policy, lost: together }].flatMap(
    ({ path, only, lost }) => {
      if (lost.length === 0) return [];
      const shown = ask(
        only,
        lost.map((event) => `refused ${event}`),
      ).values();
      const nearest =
        nearestOf([...shown]) ?? nearestOf(lost.flatMap((event) => free.get(event) ?? []));
      return nearest === undefined ? [] : [toFinding(only, path, nearest)];
    },
  );
  return { findings, undecided: [...free.values(), ...limited.values()].includes("unknown") };
}

function toLost([event, answer]: readonly [string, Answer]): readonly string[] {
  return answer === "never" ? [event] : [];
}

function transitionsOf({ next }: Order): readonly string[] {
  return [...next.keys()].flatMap((index) => (next[index] === -1 ? [] : [`${index}`]));
}

function watchTransitions({ sides: [side] }: Space): Watch {
  return ({ state, call, memory, outcomes }, emit) => {
    const [position = SEALED] = state.positions;
    if (side === undefined) return;
    const eventOf = ({ step }: Candidate): string => `${position * side.order.stepCount + step}`;
    for (const { candidate, guess } of outcomes[0] ?? [])
      if (candidate !== undefined && candidate.step >= 0)
        emit(eventOf(candidate), guess, [candidate]);
    for (const { candidate, guess } of limitRefusals(side, position, call, memory))
      if (candidate.step >= 0) emit(`refused ${eventOf(candidate)}`, guess);
  };
}

function isExample(answer: Answer): answer is Example {
  return typeof answer !== "string";
}

function nearestOf(answers: readonly Answer[]): Example | undefined {
  const text = ({ calls }: Example): string => calls.map(callText).join("\n");
  return answers
    .filter(isExample)
    .toSorted((a, b) => a.calls.length - b.calls.length || (text(a) < text(b) ? -1 : 1))[0];
}

function toFinding(
  limited: CompiledPolicy,
  path: Path,
  { calls, conditions, agent }: Example,
): PolicyFinding {
  const alone = path[0] !== "sequence";
  return {
    code: "budget",
    severity: "warning",
    path,
    message: alone
      ? "this limit makes a part of the order impossible: the order would go on, the limit refuses"
      : "the limits on calls together make a part of the order impossible",
    ...example(upToRefusal(limited, agent, calls), conditions, agent),
  };
}

/** The calls up to the first that is refused, which is the last. */
function upToRefusal(
  policy: CompiledPolicy,
  agent: string | undefined,
  calls: readonly PolicyCall[],
): readonly PolicyCall[] {
  const { refused = calls.length } = replay(buildSpace([policy], agent), calls);
  return calls.slice(0, refused + 1);
}
