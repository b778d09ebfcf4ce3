/** Limits on calls that leave a part of the order out of reach: `execution{1,5}` where only three calls are allowed. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
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
  let undecided = false;
  const ask: Ask = (asked, events) => {
    if (events.length === 0) return new Map();
    const spaces = spacesOf(asked, agents, effort, order);
    const answers = reachAny(spaces, events, effort, watchTransitions);
    undecided ||= [...answers.values()].includes("unknown");
    return answers;
  };
  const unlimited = withLimits(policy, () => false);
  const free = ask(unlimited, transitionsOf(order(policy)));
  const possible = [...free].flatMap(([event, answer]) => (isExample(answer) ? [event] : []));
  const missing = [...ask(policy, possible)].flatMap(toLost);
  const alone = limits.map(({ path }): Loss => {
    const only = withLimits(policy, (kept) => kept === path.slice(0, 2).join("."));
    return { path, only, lost: [...ask(only, missing)].flatMap(toLost) };
  });
  const explained = new Set(alone.flatMap(({ lost }) => lost));
  const together = missing.filter((event) => !explained.has(event));
  const findings = [...alone, { path: ["sequence"], only: policy, lost: together }].flatMap(
    (loss) => toFinding(loss, free, ask),
  );
  return { findings, undecided };
}

type Ask = (policy: CompiledPolicy, events: readonly string[]) => ReadonlyMap<string, Answer>;

/** Transitions that cannot be taken with a limit, or with all of them. */
interface Loss {
  readonly path: Path;
  /** The policy with that limit alone. */
  readonly only: CompiledPolicy;
  readonly lost: readonly string[];
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

/** Shows a call that only the limit refuses; else a run without limits, up to where the limit stops it. */
function toFinding(
  { path, only, lost }: Loss,
  free: ReadonlyMap<string, Answer>,
  ask: Ask,
): readonly PolicyFinding[] {
  const refused = lost.map((event) => `refused ${event}`);
  const nearest =
    nearestOf([...ask(only, refused).values()]) ??
    nearestOf(lost.flatMap((event) => free.get(event) ?? []));
  if (nearest === undefined) return [];
  const { calls, conditions, agent } = nearest;
  const message =
    path[0] === "sequence"
      ? "the limits on calls together make a part of the order impossible"
      : "this limit makes a part of the order impossible: the order would go on, the limit refuses";
  const shown = example(upToRefusal(only, agent, calls), conditions, agent);
  return [{ code: "budget", severity: "warning", path, message, ...shown }];
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
