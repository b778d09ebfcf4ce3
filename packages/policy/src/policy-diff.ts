/** What changes between two policies: each call that is newly allowed or newly denied, with a shortest trace that shows it. */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import { agentClasses } from "./analysis-agents.ts";
import { type CallRefusal, callText, type PolicyCall } from "./analysis-calls.ts";
import { callsAs } from "./analysis-finding.ts";
import {
  buildSpace,
  type Candidate,
  readingWork,
  type Space,
  treatmentOf,
} from "./analysis-model.ts";
import { SEALED } from "./analysis-order.ts";
import { refusalOf } from "./analysis-outcomes.ts";
import { reach, type Reached, type Trace, type Watch } from "./analysis-reach.ts";
import { type Effort, jointly, replay } from "./analysis-walk.ts";

/** A call that one policy allows and the other refuses, for an agent. */
export interface PolicyChange {
  readonly call: PolicyCall;
  /** Absent: no agent, or any where {@link PolicyDiff.byAgent} is false. Otherwise one name for all agents that both policies treat like it. */
  readonly agent?: string;
  /** Calls that both policies allow, and the call itself. Of the shortest the first in code-unit order. */
  readonly trace: readonly PolicyCall[];
  /** Why the policy refuses that does. */
  readonly refusal: CallRefusal;
  /** Rules of conditions that the trace passes by: the change is there only for arguments that satisfy them. */
  readonly dependsOn?: readonly string[];
}

/** A call that both policies may allow, but under conditions that differ; or one that was not decided. */
export interface UndecidedChange {
  readonly call: PolicyCall;
  readonly agent?: string;
  /** Calls that both policies may allow, and the call itself; absent where the search was given up. */
  readonly trace?: readonly PolicyCall[];
  /** Rules of the conditions that differ, in either policy: `tools.transfer_funds.args`. */
  readonly changed: readonly string[];
  /** Why it is not decided, in a few words. */
  readonly reason: string;
}

/** In code-unit order of the calls, then of the agents; each call once for each agent. */
export interface PolicyDiff {
  readonly newlyAllowed: readonly PolicyChange[];
  readonly newlyDenied: readonly PolicyChange[];
  readonly unknown: readonly UndecidedChange[];
  /** True where one of the policies looks at the agent; then a change without one is of calls that name no agent. */
  readonly byAgent: boolean;
  /** False where there are too many kinds of agent for each to be looked at. */
  readonly allAgents: boolean;
}

/** How much a comparison may take before it says of what is left that it does not know. */
export interface DiffLimits {
  /** Pairs of states that one search may hold; 200,000 by default. */
  readonly states?: number;
  /** Calls that all searches together may look at, each in one pair of states; 20 million by default. */
  readonly work?: number;
}

/**
 * Compares two policies, exactly for everything but arguments, time and what happens in other sequences. Agents are:
 * none, one name for each set of patterns that some agent matches, one that matches none; none alone where neither
 * policy looks at the agent.
 *
 * @example const { newlyAllowed } = diffPolicies(before, after);
 */
export function diffPolicies(
  a: CompiledPolicy,
  b: CompiledPolicy,
  { states = 200_000, work = 20_000_000 }: DiffLimits = {},
): PolicyDiff {
  const effort: Effort = { states, work };
  const { agents, complete } = agentClasses([a, b]);
  const compared = new Map<string, Comparison>();
  const diffs: ChangesFor[] = [];
  for (const agent of agents) {
    // Of two policies without agents there is one kind, and that is always looked at.
    if (diffs.length > 0 && effort.work < 0) break;
    for (const policy of [a, b]) {
      const { calls, above } = readingWork(policy);
      effort.work -= calls + above;
    }
    // Agents that are treated alike are compared once.
    const treatment = treatmentOf([a, b], agent);
    const comparison = compared.get(treatment) ?? compare(buildSpace([a, b], agent), effort);
    compared.set(treatment, comparison);
    diffs.push(diffFor(agent, comparison));
  }
  return {
    newlyAllowed: inOrder(diffs.flatMap(({ newlyAllowed }) => newlyAllowed)),
    newlyDenied: inOrder(diffs.flatMap(({ newlyDenied }) => newlyDenied)),
    unknown: inOrder(diffs.flatMap(({ unknown }) => unknown)),
    byAgent: agents.length > 1,
    allAgents: complete && diffs.length === agents.length,
  };
}

interface Comparison {
  readonly space: Space;
  /** By event and number of the call. */
  readonly answers: ReadonlyMap<string, Reached>;
}

function compare(space: Space, effort: Effort): Comparison {
  // To build it is as much as to look at each call in some states.
  effort.work -= space.calls.length * 5;
  const events = space.calls.keys().flatMap((call) => EVENTS.map((event) => `${event} ${call}`));
  return { space, answers: reach(space, events, watchBoth, effort) };
}

const EVENTS = ["allowed", "denied", "differs"] as const;

const watchBoth: Watch = ({ call, outcomes }, emit) => {
  for (const { ways, guess } of jointly(outcomes)) {
    const [before, after] = ways.map(({ candidate }) => candidate);
    if (before === undefined && after === undefined) continue;
    if (before === undefined) emit(`allowed ${call}`, guess, [after]);
    else if (after === undefined) emit(`denied ${call}`, guess, [before]);
    else if (changedRules(before, after).length > 0)
      emit(`differs ${call}`, guess, [before, after]);
  }
};

/** The rules whose conditions one of the two has and the other has not, or not so. */
function changedRules(before: Candidate, after: Candidate): readonly string[] {
  return [...new Set([...before.conditions.keys(), ...after.conditions.keys()])]
    .filter((rule) => before.conditions.get(rule) !== after.conditions.get(rule))
    .toSorted();
}

/** What changes for one agent. */
type ChangesFor = Pick<PolicyDiff, "newlyAllowed" | "newlyDenied" | "unknown">;

/** What the comparison says of each call, for one agent. */
function diffFor(agent: string | undefined, { space, answers }: Comparison): ChangesFor {
  const whose = agent === undefined ? {} : { agent };
  const changes = (event: "allowed" | "denied", refusing: number): readonly PolicyChange[] =>
    [...space.calls.entries()].flatMap(([number, members]) => {
      const reached = answers.get(`${event} ${number}`);
      if (reached === undefined || typeof reached === "string") return [];
      const { calls, conditions } = reached;
      const before = callsAs(space, calls.slice(0, -1));
      const refusal = refusalAfter(space, before, number, refusing);
      const dependsOn = conditions.length === 0 ? {} : { dependsOn: conditions };
      return members.map((call) => ({
        call,
        ...whose,
        trace: [...before, call],
        refusal,
        ...dependsOn,
      }));
    });
  const unknown = [...space.calls.entries()].flatMap(([number, members]) =>
    undecidedOf(space, number, answers).flatMap((told) =>
      members.map((call) => ({ call, ...whose, ...told(call) })),
    ),
  );
  return { newlyAllowed: changes("allowed", 0), newlyDenied: changes("denied", 1), unknown };
}

function refusalAfter(
  space: Space,
  before: readonly PolicyCall[],
  call: number,
  refusing: number,
): CallRefusal {
  const { end } = replay(space, before);
  const side = space.sides[refusing];
  if (side === undefined) throw new TypeError("a comparison has two sides");
  const position = end.positions[refusing] ?? SEALED;
  return refusalOf(side, position, call, (monitor) => end.values[monitor] ?? 0);
}

/** Conditions of a call that differ, and searches that were given up. */
function undecidedOf(
  space: Space,
  call: number,
  answers: Comparison["answers"],
): readonly ((member: PolicyCall) => Omit<UndecidedChange, "call" | "agent">)[] {
  const differs = answers.get(`differs ${call}`);
  const given = EVENTS.filter((event) => answers.get(`${event} ${call}`) === "unknown");
  return [
    ...(typeof differs === "object"
      ? [(member: PolicyCall) => differing(space, differs, member)]
      : []),
    ...(given.length > 0
      ? [() => ({ changed: [], reason: "too many states to compare them all" })]
      : []),
  ];
}

function differing(
  space: Space,
  { calls, picks: [before, after] }: Trace,
  call: PolicyCall,
): Omit<UndecidedChange, "call" | "agent"> {
  return {
    trace: [...callsAs(space, calls.slice(0, -1)), call],
    changed: before === undefined || after === undefined ? [] : changedRules(before, after),
    reason: "its conditions differ",
  };
}

function inOrder<T extends { readonly call: PolicyCall }>(changes: readonly T[]): readonly T[] {
  return changes
    .map((change) => ({ change, text: callText(change.call) }))
    .toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ change }) => change);
}
