/**
 * Finds the nearest state that a run can get into and never finish from, exactly. Of earlier calls it remembers only
 * what decides whether some state can finish: where that is open, it is told what to remember, and begins again.
 */
import type { Space, State } from "./analysis-model.ts";
import { SEALED } from "./analysis-order.ts";
import {
  conditionsOf,
  follow,
  gatesOf,
  isSure,
  type Node,
  pathTo,
  retrace,
} from "./analysis-reach.ts";
import { type Edge, type Effort, type Walk, walkOf } from "./analysis-walk.ts";

/** What cannot be done any more: come to an accepting state; or seal, where one can still come to an accepting state. */
export type StuckKind = "complete" | "seal";

/** A shortest trace into a state that is stuck. One that holds for all arguments goes before a shorter one. */
export interface Stuck {
  readonly calls: readonly number[];
  /** Rules of conditions that the trace passes by. */
  readonly conditions: readonly string[];
  /** Where it ends, with the value of every monitor. */
  readonly end: State;
}

/** Looks for the nearest such state. `unknown`: there are too many states. */
export function findStuck(
  space: Space,
  kind: StuckKind,
  effort: Effort,
): Stuck | "none" | "unknown" {
  const known: Known[] = [];
  let tracked: readonly number[] = [];
  for (;;) {
    const graph = explore(walkOf(space, tracked), tracked, known, effort);
    if (graph === undefined) return "unknown";
    const outlook = outlookOf(graph, kind);
    const doubt = firstDoubt(graph, outlook, true) ?? firstDoubt(graph, outlook, false);
    if (doubt === undefined) return "none";
    const path = pathTo(doubt.node);
    const isStuck = outlook.isStuck(doubt.number);
    const { end, wrong } = isStuck
      ? retrace(space, path)
      : { end: space.start, wrong: undecided(space, graph, outlook, doubt.number) };
    if (isStuck && wrong.length === 0) return { ...told(path), end };
    known.push(settled(graph, tracked, outlook));
    const more = [...new Set([...tracked, ...wrong])].toSorted((a, b) => a - b);
    if (more.length === tracked.length) return "unknown";
    tracked = more;
  }
}

interface Graph {
  readonly walk: Walk;
  readonly places: readonly Place[];
  /** By place: where the edges come from that lead to it. */
  readonly before: readonly (readonly { readonly from: number; readonly sure: boolean }[])[];
}

/** A state, and what can be done there: nothing where it is settled. */
interface Place extends Ends {
  readonly state: State;
  readonly edges: readonly Way[];
}

interface Way {
  readonly to: number;
  readonly edge: Edge;
}

/** Accepting, or sure to be able to come to an accepting state; sealed, or sure to be able to seal. */
interface Ends {
  readonly completes: boolean;
  readonly seals: boolean;
}

/** States that are decided, as are all that come after them, though less is remembered. */
interface Known {
  readonly tracked: readonly number[];
  readonly walk: Walk;
  readonly ends: ReadonlyMap<number | string, Ends>;
}

function explore(
  walk: Walk,
  tracked: readonly number[],
  known: readonly Known[],
  effort: Effort,
): Graph | undefined {
  const states = [walk.start];
  const numbers = new Map([[walk.keyOf(walk.start), 0]]);
  const numberOf = (state: State): number => {
    const key = walk.keyOf(state);
    const number = numbers.get(key) ?? states.push(state) - 1;
    numbers.set(key, number);
    return number;
  };
  const places: Place[] = [];
  for (const state of states) {
    const ends = lookUp(state, tracked, known);
    places.push(
      ends === undefined
        ? { state, edges: waysFrom(walk, state, numberOf, effort), ...endsAt(walk, state) }
        : { state, edges: [], ...ends },
    );
    if (states.length > effort.states || effort.work < 0) return undefined;
  }
  const before = places.map((): { from: number; sure: boolean }[] => []);
  for (const [from, { edges }] of places.entries())
    for (const { to, edge } of edges) before[to]?.push({ from, sure: isSure(edge.guess) });
  return { walk, places, before };
}

/** What was settled with less remembered holds with more. */
function lookUp(
  state: State,
  tracked: readonly number[],
  known: readonly Known[],
): Ends | undefined {
  for (const { tracked: fewer, walk, ends } of known) {
    const values = fewer.map((monitor) => state.values[tracked.indexOf(monitor)] ?? 0);
    const found = ends.get(walk.keyOf({ positions: state.positions, values }));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Edges that differ in nothing but their call are one. */
function waysFrom(
  walk: Walk,
  state: State,
  numberOf: (state: State) => number,
  effort: Effort,
): readonly Way[] {
  const ways = new Map<number, Way>();
  for (const call of walk.callsAt(state)) {
    effort.work -= walk.weight;
    for (const edge of walk.edges(walk.look(state, call))) {
      const to = numberOf(edge.to);
      const key = to * 4 + (isSure(edge.guess) ? 2 : 0) + (isDecided(edge) ? 1 : 0);
      if (!ways.has(key)) ways.set(key, { to, edge });
    }
  }
  return [...ways.values()];
}

/** No argument has a say in it. */
function isDecided({ picks }: Edge): boolean {
  return picks.every(({ conditions }) => conditions.size === 0);
}

function endsAt({ space }: Walk, { positions }: State): Ends {
  const [position = SEALED] = positions;
  const seals = position === SEALED;
  return { completes: seals || space.sides[0]?.order.accepting[position] === 1, seals };
}

/** What is known of each place, by number. */
interface Outlook {
  /** Stuck, whatever is not remembered. */
  isStuck(number: number): boolean;
  /** Not stuck, whatever is not remembered. */
  isFine(number: number): boolean;
  /** Fine places, as later searches may take them. */
  endsOf(number: number): Ends;
  /** Where it is neither: what may be reached from there, and what will be. */
  doubtAt(number: number): { readonly may: Uint8Array; readonly will: Uint8Array };
}

function outlookOf(graph: Graph, kind: StuckKind): Outlook {
  const completes = {
    may: placesBefore(graph, (place) => place.completes, false),
    will: placesBefore(graph, (place) => place.completes, true),
  };
  if (kind === "complete")
    return {
      isStuck: (number) => completes.may[number] === 0,
      isFine: (number) => completes.will[number] === 1,
      endsOf: () => ({ completes: true, seals: false }),
      doubtAt: () => completes,
    };
  const seals = {
    may: placesBefore(graph, (place) => place.seals, false),
    will: placesBefore(graph, (place) => place.seals, true),
  };
  return {
    isStuck: (number) => seals.may[number] === 0 && completes.will[number] === 1,
    isFine: (number) => seals.will[number] === 1 || completes.may[number] === 0,
    endsOf: (number) => ({ completes: seals.will[number] === 1, seals: seals.will[number] === 1 }),
    doubtAt: (number) => (seals.may[number] === 1 ? seals : completes),
  };
}

/** 1 for each place from which edges lead to one that is wanted. */
function placesBefore(
  { places, before }: Graph,
  isWanted: (place: Place) => boolean,
  sureOnly: boolean,
): Uint8Array {
  const found = Uint8Array.from(places, (place) => (isWanted(place) ? 1 : 0));
  const queue = [...found.keys()].filter((number) => found[number] === 1);
  for (const number of queue)
    for (const { from, sure } of before[number] ?? []) {
      if (found[from] === 1 || (sureOnly && !sure)) continue;
      found[from] = 1;
      queue.push(from);
    }
  return found;
}

/** The nearest place that is not fine; on request without calls that arguments have a say in. */
function firstDoubt(
  { walk, places }: Graph,
  { isFine }: Outlook,
  decidedOnly: boolean,
): { readonly number: number; readonly node: Node } | undefined {
  const queue = [{ number: 0, node: { state: walk.start, sure: true } as Node }];
  const met = new Set([0]);
  for (const at of queue) {
    if (!isFine(at.number)) return at;
    for (const { to, edge } of places[at.number]?.edges ?? []) {
      if (met.has(to) || (decidedOnly && !isDecided(edge))) continue;
      met.add(to);
      queue.push({ number: to, node: follow(at.node, edge) });
    }
  }
  return undefined;
}

/** What has to be remembered to know whether the nearest way out is one. */
function undecided(
  space: Space,
  { places }: Graph,
  outlook: Outlook,
  start: number,
): readonly number[] {
  const { may, will } = outlook.doubtAt(start);
  const queue = [start];
  const met = new Set(queue);
  for (const number of queue)
    for (const { to, edge } of places[number]?.edges ?? []) {
      if (will[to] === 1) {
        const monitors = edge.guess.ranges.map(({ monitor }) => monitor);
        return edge.guess.loose ? [...monitors, ...gatesOf(space, edge.call)] : monitors;
      }
      if (may[to] === 1 && !met.has(to)) queue.push(to);
      met.add(to);
    }
  return [];
}

function settled(
  { walk, places, before }: Graph,
  tracked: readonly number[],
  outlook: Outlook,
): Known {
  const numbers = new Map(places.map((place, number) => [place, number]));
  const doubtful = placesBefore(
    { walk, places, before },
    (place) => !outlook.isFine(numbers.get(place) ?? -1),
    false,
  );
  const ends = places.flatMap((place, number) =>
    doubtful[number] === 1 ? [] : [[walk.keyOf(place.state), outlook.endsOf(number)] as const],
  );
  return { tracked, walk, ends: new Map(ends) };
}

function told(path: readonly Edge[]): Pick<Stuck, "calls" | "conditions"> {
  return {
    calls: path.map(({ call }) => call),
    conditions: conditionsOf(path.flatMap(({ picks }) => picks)),
  };
}
