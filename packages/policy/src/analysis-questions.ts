/** Which parts of a policy can ever come into play: steps, functions, tools, constraints, the end; for whatever agent. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { callText, type PolicyCall } from "./analysis-calls.ts";
import { callsAs } from "./analysis-finding.ts";
import { buildSpace, readingWork, type Space, treatmentOf } from "./analysis-model.ts";
import { type Order, SEALED } from "./analysis-order.ts";
import { holds, opposite, trialsOf } from "./analysis-outcomes.ts";
import { dive, type Emit, reach, type Reached, type Watch } from "./analysis-reach.ts";
import type { Effort } from "./analysis-walk.ts";

/** A space, and the agent that it is for. */
export interface AgentSpace {
  readonly agent: string | undefined;
  readonly space: Space;
}

/** One space for each way in which agents are treated, for the first agent that is treated so; while there is work left for it. */
export function* spacesOf(
  policy: CompiledPolicy,
  agents: readonly (string | undefined)[],
  effort: Effort,
  order?: (policy: CompiledPolicy) => Order,
): Generator<AgentSpace> {
  const met = new Set<string>();
  const reading = readingWork(policy);
  for (const agent of agents) {
    effort.work -= reading.calls + reading.above;
    if (effort.work < 0) return;
    const treatment = agents.length === 1 ? "" : treatmentOf([policy], agent);
    if (met.has(treatment)) continue;
    met.add(treatment);
    const space = buildSpace([policy], agent, order);
    // As much as to look at each call in some states.
    effort.work -= space.calls.length * 5;
    yield { agent, space };
  }
}

/** A shortest trace for the first agent that has one. */
export interface Example {
  readonly calls: readonly PolicyCall[];
  readonly conditions: readonly string[];
  readonly agent: string | undefined;
}

/** What became of a question: `never` for no agent, or `unknown` for some; `yes` where nobody needs an example. */
export type Answer = Example | "yes" | "never" | "unknown";

/** Can the order be completed, and a run sealed; can each step be passed, each function, tool and constraint come into play. */
export interface Questions {
  readonly complete: Answer;
  readonly seal: Answer;
  step(index: number): Answer;
  functionUsed(name: string): Answer;
  toolUsed(name: string): Answer;
  /** The constraint refuses a call that everything else but constraints would allow. */
  refuses(constraint: number): Answer;
  /** It lets such a call pass. */
  admits(constraint: number): Answer;
  /** Questions that took too much. */
  readonly undecided: readonly string[];
}

/** Answers all questions at once. */
export function answerQuestions(
  policy: CompiledPolicy,
  spaces: readonly AgentSpace[],
  effort: Effort,
): Questions {
  const events = [
    "complete",
    "seal",
    ...policy.steps.map((_, index) => `step ${index}`),
    ...[...policy.functions.keys()].map((name) => `function ${name}`),
    ...[...policy.tools.keys()].map((tool) => `call ${tool}`),
    ...(policy.constraints ?? []).flatMap((_, index) => [
      `refuses constraints.${index}`,
      `admits constraints.${index}`,
    ]),
  ];
  const isEnough = (event: string): boolean => !event.startsWith("refuses ");
  const answers = reachAny(spaces, events, effort, watchFor, isEnough);
  const answer = (event: string): Answer => answers.get(event) ?? "never";
  return {
    ...endsOf(policy, answer),
    step: (index) => answer(`step ${index}`),
    functionUsed: (name) => answer(`function ${name}`),
    toolUsed: (name) => answer(`call ${name}`),
    refuses: (index) => answer(`refuses constraints.${index}`),
    admits: (index) => answer(`admits constraints.${index}`),
    undecided: [...answers].flatMap(([event, found]) => (found === "unknown" ? [event] : [])),
  };
}

/** The first two questions alone, which is little work. */
export function answerEnds(
  policy: CompiledPolicy,
  spaces: Iterable<AgentSpace>,
  effort: Effort,
): Pick<Questions, "complete" | "seal"> {
  const answers = reachAny(spaces, ["complete", "seal"], effort, watchFor, () => true);
  return endsOf(policy, (event) => answers.get(event) ?? "never");
}

/** True where some agent can bring the event about. */
export function canReach(
  spaces: Iterable<AgentSpace>,
  event: "complete" | "seal" | `step ${number}`,
  effort: Effort,
): boolean {
  return isYes(reachAny(spaces, [event], effort, watchFor, () => true).get(event));
}

/** True for what some agent can bring about. */
export function isYes(answer: Answer | undefined): boolean {
  return answer === "yes" || typeof answer === "object";
}

/** Asks one agent after another what those before did not reach; of some events it is enough that they happen. */
export function reachAny(
  spaces: Iterable<AgentSpace>,
  events: Iterable<string>,
  effort: Effort,
  watchOf: (space: Space, pending: ReadonlySet<string>) => Watch,
  isEnough: (event: string) => boolean = () => false,
): ReadonlyMap<string, Answer> {
  const answers = new Map<string, Answer>();
  const pending = new Set(events);
  for (const { agent, space } of spaces) {
    if (pending.size === 0) break;
    const watch = watchOf(space, pending);
    for (const event of dive(space, new Set([...pending].filter(isEnough)), watch, effort)) {
      answers.set(event, "yes");
      pending.delete(event);
    }
    const found = reach(space, pending, watch, effort);
    for (const [event, reached] of found) {
      if (answers.get(event) !== "unknown" || isTrace(reached))
        answers.set(event, asAnswer(space, reached, agent));
      if (isTrace(reached)) pending.delete(event);
    }
  }
  // Agents may have been left out.
  if (effort.work < 0 || effort.allAgents === false)
    for (const event of pending) answers.set(event, "unknown");
  return answers;
}

/** An order that may be empty is complete before anything happens. */
function endsOf(
  { automaton }: CompiledPolicy,
  answer: (event: string) => Answer,
): Pick<Questions, "complete" | "seal"> {
  const complete = automaton.accepting[0] === 1 ? "yes" : answer("complete");
  return { complete, seal: answer("seal") };
}

function isTrace(reached: Reached): reached is Exclude<Reached, string> {
  return typeof reached !== "string";
}

function asAnswer(space: Space, reached: Reached, agent: string | undefined): Answer {
  if (!isTrace(reached)) return reached;
  return { calls: callsAs(space, reached.calls), conditions: reached.conditions, agent };
}

function watchFor(space: Space, pending: ReadonlySet<string>): Watch {
  const [side] = space.sides;
  // Names are put together once, and not for every call in every state.
  const members = space.calls.map((calls) =>
    calls.map((call) => `call ${callText(call)}`).filter((event) => pending.has(event)),
  );
  return (sight, emit) => {
    if (side === undefined) return;
    watchOutcomes(sight, side, members[sight.call] ?? [], emit);
    watchConstraints(sight, side, emit);
  };
}

type Sight = Parameters<Watch>[0];
type Side = Space["sides"][number];

function watchOutcomes(sight: Sight, side: Side, members: readonly string[], emit: Emit): void {
  for (const { candidate, next, guess } of sight.outcomes[0] ?? []) {
    if (candidate === undefined) continue;
    const say = (event: string): void => emit(event, guess, [candidate]);
    say(`function ${candidate.name}`);
    if (candidate.step >= 0) say(`step ${candidate.step}`);
    for (const member of members) say(member);
    if (next === SEALED) say("seal");
    if (next === SEALED || side.order.accepting[next] === 1) say("complete");
  }
}

function watchConstraints({ state, call, memory }: Sight, side: Side, emit: Emit): void {
  if ((side.candidates[call] ?? []).every(({ gates }) => gates.length === 0)) return;
  for (const { candidate, before } of trialsOf(side, state.positions[0] ?? SEALED, call, memory)) {
    for (const gate of candidate.gates) {
      const value = memory(gate.monitor);
      if (value < 0) {
        emit(`refuses ${gate.rule}`, { ...before, ranges: [...before.ranges, opposite(gate)] });
        emit(`admits ${gate.rule}`, { ...before, ranges: [...before.ranges, gate] });
      } else emit(`${holds(gate, value) ? "admits" : "refuses"} ${gate.rule}`, before);
    }
  }
}
