/**
 * A policy, or two beside each other, as a machine that takes calls: what each call stands for, and what has to be
 * remembered of earlier ones. Built for one agent.
 */
import type { CompiledPolicy } from "@stepgate/core/compiler";
import {
  type CallCandidate,
  type CallCheck,
  callReader,
  type CallRefusal,
  callsOf,
  type PolicyCall,
} from "./analysis-calls.ts";
import { type Order, reducedOrder, SEALED, stepFrom } from "./analysis-order.ts";
import { type Permission, permissionOf } from "./analysis-permission.ts";

/** Holds while `from <= value < below`. A monitor's value counts ALLOWs, up to its cap. */
export interface Check {
  readonly monitor: number;
  readonly from: number;
  readonly below: number;
  readonly rule: string;
}

/** One function that a call may stand for. */
export interface Candidate extends Omit<CallCandidate, "gates" | "limits" | "moves">, Permission {
  readonly gates: readonly Check[];
  readonly limits: readonly Check[];
  /** The monitors that an ALLOW moves. */
  readonly moves: readonly number[];
}

/** What one policy makes of each call of the space. */
export interface Side {
  readonly order: Order;
  /** By call: the functions that it may stand for, in order. */
  readonly candidates: readonly (readonly Candidate[])[];
  /** By call: why it means nothing to this policy. */
  readonly unknown: readonly (CallRefusal | undefined)[];
  /** Calls that the order admits in a state, in order; none once it is sealed. */
  callsAt(state: number): readonly number[];
}

/** Where the sides are, and what is remembered of earlier calls. */
export interface State {
  /** By side: a state of its order, or sealed. */
  readonly positions: readonly number[];
  /** By monitor that is remembered. */
  readonly values: readonly number[];
}

/** One policy, or two that take every call together. */
export interface Space {
  /** Calls that nothing tells apart are one. Members are in code-unit order, and so are the calls by their first. */
  readonly calls: readonly (readonly PolicyCall[])[];
  readonly sides: readonly Side[];
  /** How far each monitor counts; that of a constraint to 1. */
  readonly caps: readonly number[];
  /** Where traces begin, with the value of every monitor. */
  readonly start: State;
}

/** Builds the space of one or two policies for an agent. `order` picks the automaton to walk. */
export function buildSpace(
  policies: readonly CompiledPolicy[],
  agent: string | undefined,
  order: (policy: CompiledPolicy) => Order = reducedOrder,
): Space {
  const calls = classify(policies, agent);
  const firsts = calls.flatMap(([first]) => first ?? []);
  const readings = policies.map((policy) => firsts.map((call) => readFor(policy, call, agent)));
  const { caps, numbers } = numberMonitors(readings);
  const sides = policies.map((policy, side): Side => {
    const candidates = (readings[side] ?? []).map((reading) =>
      reading.candidates.map((one) => numbered(one, numbers, side)),
    );
    const walked = order(policy);
    const unknown = (readings[side] ?? []).map(({ refusal }) => refusal);
    return { order: walked, candidates, unknown, callsAt: admissibleCalls(walked, candidates) };
  });
  const start = { positions: sides.map(() => 0), values: caps.map(() => 0) };
  return { calls, sides, caps, start };
}

/** Work that it takes to read every call once, for one agent; `above`: to hold it against what stands above the map. */
export function readingWork({ functions, tools, forbid = [], agents = [] }: CompiledPolicy): {
  readonly calls: number;
  readonly above: number;
} {
  let calls = tools.size;
  for (const { actions } of functions.values()) calls += actions.size;
  return { calls: 3 * calls, above: Math.floor((calls * (forbid.length + agents.length)) / 50) };
}

/** How the policies treat an agent: two with the same text have equal spaces. Cheaper than to build them. */
export function treatmentOf(
  policies: readonly CompiledPolicy[],
  agent: string | undefined,
): string {
  const refused = new Map<string, number>();
  const texts = callsOf(policies).map((call) =>
    policies.map((policy) => {
      const text = permissionsText(permissionsFor(policy, call, agent));
      // Texts are long, and few.
      if (!refused.has(text)) refused.set(text, refused.size);
      return refused.get(text);
    }),
  );
  return JSON.stringify([[...refused.keys()], texts]);
}

/** A reading for one agent. */
interface AgentReading {
  readonly candidates: readonly (CallCandidate & Permission)[];
  readonly refusal: CallRefusal | undefined;
}

function readFor(
  policy: CompiledPolicy,
  call: PolicyCall,
  agent: string | undefined,
): AgentReading {
  const { candidates, refusal } = callReader(policy)(call);
  const permissions = permissionsFor(policy, call, agent);
  return {
    candidates: candidates.map((one, index) => ({ ...one, ...permissions[index] })),
    refusal,
  };
}

function permissionsFor(
  policy: CompiledPolicy,
  call: PolicyCall,
  agent: string | undefined,
): readonly Permission[] {
  return callReader(policy)(call).members.map((members) => permissionOf(policy, members, agent));
}

function permissionsText(permissions: readonly Permission[]): string {
  return permissions
    .map(({ denied, blocked }) => `${denied?.rule ?? ""} ${blocked?.rule ?? ""}`)
    .join(",");
}

/** Calls that every side treats alike are one. */
function classify(
  policies: readonly CompiledPolicy[],
  agent: string | undefined,
): readonly (readonly PolicyCall[])[] {
  const classes = Map.groupBy(callsOf(policies), (call) =>
    policies
      .map((policy) => {
        const { text } = callReader(policy)(call);
        return `${text} ${permissionsText(permissionsFor(policy, call, agent))}`;
      })
      .join("\n"),
  );
  return [...classes.values()];
}

interface Monitors {
  readonly caps: readonly number[];
  /** By side, the number of each key that some check looks at. */
  readonly numbers: readonly ReadonlyMap<string, number>[];
}

/** A monitor that moves with the same calls in both policies is one: so equal policies walk in step. */
function numberMonitors(sides: readonly (readonly AgentReading[])[]): Monitors {
  const caps: number[] = [];
  const numbers: Map<string, number>[] = [];
  for (const [side, readings] of sides.entries()) {
    const mine = new Map<string, number>();
    for (const [key, cap] of capsOf(readings)) {
      const before = sides[side - 1];
      const twin =
        before && moveAlike(key, before, readings) ? numbers[side - 1]?.get(key) : undefined;
      const number = twin ?? caps.length;
      caps[number] = Math.max(caps[number] ?? 0, cap);
      mine.set(key, number);
    }
    numbers.push(mine);
  }
  return { caps, numbers };
}

/** How far each key has to be counted: where its checks change for the last time. */
function capsOf(readings: readonly AgentReading[]): ReadonlyMap<string, number> {
  const caps = new Map<string, number>();
  for (const { candidates } of readings)
    for (const { gates, limits } of candidates)
      for (const { key, from, below } of [...gates, ...limits]) {
        const cap = below === Number.POSITIVE_INFINITY ? from : below;
        caps.set(key, Math.max(caps.get(key) ?? 0, cap));
      }
  return caps;
}

/** True where every call that both sides may allow moves the key in both, or in neither, whatever it stands for. */
function moveAlike(key: string, a: readonly AgentReading[], b: readonly AgentReading[]): boolean {
  return a.every(({ candidates }, call) => {
    const mine = movesOf(key, candidates);
    const theirs = movesOf(key, b[call]?.candidates ?? []);
    return mine.length === 0 || theirs.length === 0 || new Set([...mine, ...theirs]).size === 1;
  });
}

function movesOf(key: string, candidates: AgentReading["candidates"]): readonly boolean[] {
  return candidates
    .filter(({ denied }) => denied === undefined)
    .map(({ moves }) => moves.includes(key));
}

function numbered(
  { gates, limits, moves, ...rest }: CallCandidate & Permission,
  numbers: Monitors["numbers"],
  side: number,
): Candidate {
  const mine = numbers[side];
  const shared = new Set(numbers[side - 1]?.values());
  const check = ({ key, ...range }: CallCheck): Check => ({
    ...range,
    monitor: mine?.get(key) ?? -1,
  });
  return {
    ...rest,
    gates: gates.map(check),
    limits: limits.map(check),
    // What is shared is moved by the first side alone.
    moves: moves.flatMap((key) => mine?.get(key) ?? []).filter((monitor) => !shared.has(monitor)),
  };
}

function admissibleCalls(
  order: Order,
  candidates: Side["candidates"],
): (state: number) => readonly number[] {
  const byStep = indexByStep(candidates);
  const known = new Map<number, readonly number[]>();
  return (state) => {
    const found = state === SEALED ? [] : known.get(state);
    if (found !== undefined) return found;
    const calls = new Set(byStep.get(-1));
    for (let step = 0; step < order.stepCount; step++)
      if (stepFrom(order, state, step) >= 0)
        for (const call of byStep.get(step) ?? []) calls.add(call);
    const sorted = [...calls].toSorted((a, b) => a - b);
    known.set(state, sorted);
    return sorted;
  };
}

/** Calls by the steps of their functions; under -1 those outside the order. */
function indexByStep(
  candidates: readonly (readonly Candidate[])[],
): ReadonlyMap<number, readonly number[]> {
  const byStep = new Map<number, number[]>();
  for (const [call, list] of candidates.entries())
    for (const step of new Set(list.map((one) => one.step))) {
      const calls = byStep.get(step);
      if (calls === undefined) byStep.set(step, [call]);
      else calls.push(call);
    }
  return byStep;
}
