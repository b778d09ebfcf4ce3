/**
 * Finds the shortest trace to each of many events, exactly. A search begins by remembering nothing of earlier calls but
 * where the order is; where a trace that it finds does not hold, it is told what to remember, and begins again. So what
 * plays no part in an answer costs nothing, however many constraints and limits there are.
 */
import type { Candidate, Space, State } from "./analysis-model.ts";
import type { Guess, Memory } from "./analysis-outcomes.ts";
import {
  type Edge,
  type Effort,
  fullWalk,
  mistakes,
  type Sight,
  type Walk,
  walkOf,
} from "./analysis-walk.ts";

/** Says that an event happens at a call, if the guess is right; `picks` are what the call stood for. */
export type Emit = (
  event: string,
  guess: Guess,
  picks?: readonly (Candidate | undefined)[],
) => void;
/** Looks at a call in a state. */
export type Watch = (sight: Sight, emit: Emit) => void;

/** A shortest trace, the first in code-unit order, whose last call is the event's. */
export interface Trace {
  readonly calls: readonly number[];
  /** By side: what the last call stood for. */
  readonly picks: readonly (Candidate | undefined)[];
  /** Rules of conditions that the trace passes by: it holds only for arguments that satisfy them. */
  readonly conditions: readonly string[];
}

/** What became of the search for one event; `unknown`: it took too much. */
export type Reached = Trace | "never" | "unknown";

/** Searches for all events; each gets an answer. */
export function reach(
  space: Space,
  events: Iterable<string>,
  watch: Watch,
  effort: Effort,
): ReadonlyMap<string, Reached> {
  const answers = new Map<string, Reached>();
  const groups = new Map<string, Group>([["", { tracked: [], events: new Set(events) }]]);
  for (const [key, group] of groups) {
    groups.delete(key);
    const { hits, complete } = search(walkOf(space, group.tracked), group.events, watch, effort);
    for (const event of group.events) {
      const hit = hits.get(event);
      const seen = hit && confirm(space, hit, event, watch, effort);
      if (seen === undefined) answers.set(event, complete ? "never" : "unknown");
      else if ("picks" in seen) answers.set(event, traceOf(seen));
      else if (!regroup(groups, event, group, seen.wrong)) answers.set(event, "unknown");
    }
  }
  return answers;
}

/**
 * Makes calls depth first, and says which of the events it happened to see. Most policies let nearly everything happen,
 * and then it is far less work than to search for shortest traces.
 */
export function dive(
  space: Space,
  events: ReadonlySet<string>,
  watch: Watch,
  effort: Effort,
): ReadonlySet<string> {
  const walk = fullWalk(space);
  const seen = new Set<string>();
  const stack = [walk.start];
  const met = new Set([walk.keyOf(walk.start)]);
  for (let looks = 0; stack.length > 0 && seen.size < events.size;) {
    const state = stack.pop() ?? walk.start;
    const staying: State[] = [];
    const advancing: State[] = [];
    for (const call of walk.callsAt(state)) {
      if ((looks += walk.weight) > MAX_DIVE || (effort.work -= walk.weight) < 0) return seen;
      const sight = walk.look(state, call);
      watch(sight, (event) => {
        if (events.has(event)) seen.add(event);
      });
      for (const { to } of walk.edges(sight)) {
        const key = walk.keyOf(to);
        if (met.has(key)) continue;
        met.add(key);
        (to.positions[0] === state.positions[0] ? staying : advancing).push(to);
      }
    }
    // What leads on comes first: a call that may come again and again leads nowhere.
    stack.push(...staying, ...advancing);
  }
  return seen;
}

/** Work of a dive: so many calls that it looks at. */
const MAX_DIVE = 20_000;

/** The calls that lead to a node, and how each went. */
export interface Node {
  readonly state: State;
  readonly parent?: Node;
  readonly via?: Edge;
  /** Nothing was guessed on the way. */
  readonly sure: boolean;
}

/** The node that an edge leads to. */
export function follow(parent: Node, via: Edge): Node {
  const sure = parent.sure && isSure(via.guess);
  return { state: via.to, parent, via, sure };
}

/** The edges that lead to a node, from the start. */
export function pathTo(node: Node): readonly Edge[] {
  const path: Edge[] = [];
  for (let at: Node | undefined = node; at?.via !== undefined; at = at.parent) path.push(at.via);
  return path.toReversed();
}

/** Takes the path with everything remembered: the state that it ends in, or the monitors that it was wrong about. */
export function retrace(
  space: Space,
  path: readonly Edge[],
): { readonly end: State; readonly wrong: readonly number[] } {
  const full = fullWalk(space);
  let end = full.start;
  for (const { call, picks, guess } of path) {
    const [edge] = full.edges(full.look(end, call));
    const asTaken = edge?.picks.every((pick, side) => pick === picks[side]) === true;
    if (!asTaken) return { end, wrong: mistaken(space, call, guess, end) };
    end = edge.to;
  }
  return { end, wrong: [] };
}

interface Group {
  /** What to remember, in order. */
  readonly tracked: readonly number[];
  readonly events: Set<string>;
}

interface Hit {
  readonly node: Node;
  readonly call: number;
  readonly guess: Guess;
  readonly picks: readonly (Candidate | undefined)[];
}

interface Found {
  readonly hits: ReadonlyMap<string, Hit>;
  /** All states were looked at, or all events found. */
  readonly complete: boolean;
}

/** Breadth first: so the first hit has a shortest trace, and of these the first in code-unit order. */
function search(walk: Walk, events: ReadonlySet<string>, watch: Watch, effort: Effort): Found {
  const hits = new Map<string, Hit>();
  const queue: Node[] = [{ state: walk.start, sure: true }];
  const met = new Set([walk.keyOf(walk.start)]);
  for (const node of queue) {
    for (const call of walk.callsAt(node.state)) {
      const sight = walk.look(node.state, call);
      watch(sight, (event, guess, picks = []) => {
        if (events.has(event) && !hits.has(event)) hits.set(event, { node, call, guess, picks });
      });
      if (hits.size === events.size) return { hits, complete: true };
      if ((effort.work -= walk.weight) < 0) return { hits, complete: false };
      for (const edge of walk.edges(sight)) {
        const key = walk.keyOf(edge.to);
        if (!met.has(key)) queue.push(follow(node, edge));
        met.add(key);
      }
    }
    if (met.size > effort.states) return { hits, complete: false };
  }
  return { hits, complete: true };
}

/** The hit as it really happens, or the monitors that must be remembered to see that it does not. */
function confirm(
  space: Space,
  hit: Hit,
  event: string,
  watch: Watch,
  effort: Effort,
): Hit | { readonly wrong: readonly number[] } {
  const { node, call, guess } = hit;
  if (node.sure && isSure(guess)) return hit;
  const path = pathTo(node);
  effort.work -= path.length * fullWalk(space).weight;
  const { end, wrong } = retrace(space, path);
  if (wrong.length > 0) return { wrong };
  const seen: Hit[] = [];
  watch(fullWalk(space).look(end, call), (happens, _, picks = []) => {
    if (happens === event) seen.push({ ...hit, picks });
  });
  return seen[0] ?? { wrong: mistaken(space, call, guess, end) };
}

/** The monitors that a guess was wrong about; those of all constraints of the call where it does not say. */
function mistaken(space: Space, call: number, guess: Guess, { values }: State): readonly number[] {
  const known: Memory = (monitor) => values[monitor] ?? 0;
  const wrong = mistakes(guess, known);
  return wrong.length > 0 ? wrong : gatesOf(space, call);
}

/** The monitors of all constraints that look at a call. */
export function gatesOf({ sides }: Space, call: number): readonly number[] {
  return sides.flatMap(({ candidates }) =>
    (candidates[call] ?? []).flatMap(({ gates }) => gates.map(({ monitor }) => monitor)),
  );
}

/** Puts an event among those that have the same to remember; false where there is nothing more, which would be a defect. */
function regroup(
  groups: Map<string, Group>,
  event: string,
  before: Group,
  monitors: readonly number[],
): boolean {
  const tracked = [...new Set([...before.tracked, ...monitors])].toSorted((a, b) => a - b);
  if (tracked.length === before.tracked.length) return false;
  const key = tracked.join();
  const group = groups.get(key);
  if (group === undefined) groups.set(key, { tracked, events: new Set([event]) });
  else group.events.add(event);
  return true;
}

/** The trace of a hit. */
function traceOf({ node, call, picks }: Hit): Trace {
  const path = pathTo(node);
  const taken = [...path.flatMap((edge) => edge.picks), ...picks];
  return {
    calls: [...path.map((edge) => edge.call), call],
    picks,
    conditions: conditionsOf(taken),
  };
}

/** The rules that arguments must satisfy, each once. */
export function conditionsOf(picks: readonly (Candidate | undefined)[]): readonly string[] {
  return [...new Set(picks.flatMap((pick) => [...(pick?.conditions.keys() ?? [])]))].toSorted();
}

/** Nothing is taken for granted. */
export function isSure({ ranges, loose }: Guess): boolean {
  return ranges.length === 0 && !loose;
}
