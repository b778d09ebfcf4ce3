/** The step order as a table: Glushkov's positions, then the subset construction, both stopped at a cap before they can grow. */
import type { Automaton } from "@stepgate/core/compiler";
import type { Repeat, Sequence } from "./sequence-grammar.ts";

/** Reachable subsets, the start included, not minimised. */
export const MAX_STATES = 4096;
/** Occurrences of steps once the counters are written out. No order within the other caps that means anything comes near. */
const MAX_POSITIONS = 65_536;
/** Positions and junctions looked at while building, which bounds the time to some 50 ms. */
const MAX_WORK = 1_000_000;

/** The table, or why there is none. */
export type CompiledSequence = { readonly automaton: Automaton } | { readonly fault: string };

/** Compiles a tree, whose steps are numbered by `steps`. Refuses what is too large in bounded time and space. */
export function compileSequence(tree: Sequence, steps: readonly string[]): CompiledSequence {
  if (countPositions(tree) > MAX_POSITIONS) {
    return {
      fault: `the order has more than ${MAX_POSITIONS} steps once its counters are written out`,
    };
  }
  const graph: Graph = {
    numbers: new Map(steps.map((name, index) => [name, index])),
    steps: [],
    after: [],
    junctions: [[]],
  };
  const { enter, nullable } = build(tree, END, graph);
  return determinize(graph, nullable ? junction(graph, [enter, END]) : enter, steps.length);
}

/**
 * Positions are occurrences of steps; junctions are gaps where several may come next. A place is either: a position is
 * written as its complement, so that the two never meet. A counter needs one junction for each round and not one edge
 * for each pair of positions.
 */
type Place = number;

/** The junction at the end of the order. */
const END: Place = 0;

interface Graph {
  readonly numbers: ReadonlyMap<string, number>;
  /** The step of each position. */
  readonly steps: number[];
  /** What comes after each position. */
  readonly after: Place[];
  /** What comes at each junction. */
  readonly junctions: Place[][];
}

/** A part of the order: `enter` leads to its non-empty words only; `nullable` says whether it may be left out. */
interface Part {
  readonly enter: Place;
  readonly nullable: boolean;
}

function countPositions(tree: Sequence): number {
  if (tree.kind === "step") return 1;
  if (tree.kind === "repeat")
    return countPositions(tree.item) * (tree.max ?? Math.max(1, tree.min));
  let total = 0;
  for (const item of tree.items) total += countPositions(item);
  return total;
}

function build(tree: Sequence, next: Place, graph: Graph): Part {
  switch (tree.kind) {
    case "step":
      return buildStep(tree.name, next, graph);
    case "choice":
      return buildChoice(tree.items, next, graph);
    case "list":
      return buildList(tree.items, next, graph);
    case "repeat":
      return buildRepeat(tree, next, graph);
  }
}

function buildStep(name: string, next: Place, graph: Graph): Part {
  const step = graph.numbers.get(name);
  if (step === undefined) throw new TypeError(`step '${name}' has no number`);
  graph.after.push(next);
  return { enter: ~(graph.steps.push(step) - 1), nullable: false };
}

function buildChoice(items: readonly Sequence[], next: Place, graph: Graph): Part {
  const parts = items.map((item) => build(item, next, graph));
  return {
    enter: junction(
      graph,
      parts.map(({ enter }) => enter),
    ),
    nullable: parts.some(({ nullable }) => nullable),
  };
}

/** From right to left: each item leads to the rest, and past it where the rest may be left out. */
function buildList(items: readonly Sequence[], next: Place, graph: Graph): Part {
  return (
    items.reduceRight<Part | undefined>((rest, item) => {
      if (rest === undefined) return build(item, next, graph);
      const part = build(
        item,
        rest.nullable ? junction(graph, [rest.enter, next]) : rest.enter,
        graph,
      );
      return part.nullable
        ? { enter: junction(graph, [part.enter, rest.enter]), nullable: rest.nullable }
        : part;
    }, undefined) ?? { enter: next, nullable: true }
  );
}

/** Rounds of an open counter run into one another: `(x{p,}){m,n}` is `x{p·m,}`, or `(x{p,})?`, which is far less to build. */
function buildRepeat({ item, min, max }: Repeat, next: Place, graph: Graph): Part {
  if (item.kind === "repeat" && item.max === undefined) {
    const oneRound = min === 0 && item.min > 1;
    return oneRound
      ? buildCounter(item, 0, 1, next, graph)
      : buildRepeat({ ...item, min: item.min * min }, next, graph);
  }
  return max === undefined
    ? buildLoop(item, min, next, graph)
    : buildCounter(item, min, max, next, graph);
}

/** `item{min,}`: min − 1 rounds, then one that repeats. */
function buildLoop(item: Sequence, min: number, next: Place, graph: Graph): Part {
  const again = junction(graph, [next]);
  const last = build(item, again, graph);
  graph.junctions[again]?.push(last.enter);
  const enter = buildRounds(
    item,
    { rounds: min - 1, leaveFrom: last.nullable ? 1 : min, last: last.enter, next },
    graph,
  );
  return { enter, nullable: last.nullable || min === 0 };
}

/** `item{min,max}`: max rounds; after the first min of them each may be the last. */
function buildCounter(item: Sequence, min: number, max: number, next: Place, graph: Graph): Part {
  const last = build(item, next, graph);
  const enter = buildRounds(
    item,
    { rounds: max - 1, leaveFrom: last.nullable ? 1 : min, last: last.enter, next },
    graph,
  );
  return { enter, nullable: last.nullable || min === 0 };
}

interface Rounds {
  readonly rounds: number;
  /** The first round after which one may go on to `next`. */
  readonly leaveFrom: number;
  /** Where the round after these begins. */
  readonly last: Place;
  readonly next: Place;
}

/** Puts copies of an item before the last one. An empty round is no round: so each copy leads to the next one only. */
function buildRounds(
  item: Sequence,
  { rounds, leaveFrom, last, next }: Rounds,
  graph: Graph,
): Place {
  let enter = last;
  for (let round = rounds; round >= 1; round--) {
    ({ enter } = build(item, round >= leaveFrom ? junction(graph, [enter, next]) : enter, graph));
  }
  return enter;
}

function junction(graph: Graph, places: Place[]): Place {
  return graph.junctions.push(places) - 1;
}

/** What can come after a state: the state that each step leads to, and whether the order may end here. */
interface Row {
  readonly targets: ReadonlyMap<number, number>;
  readonly accepting: boolean;
}

interface Construction {
  readonly graph: Graph;
  /** Each state as the places after its positions, which are all that matters from there. */
  readonly states: Int32Array[];
  /** Number of each state but the start, by its positions. */
  readonly numbers: Map<string | number, number>;
  /** Many states stand before the same places: what follows is worked out once. */
  readonly rows: Map<string | number, Row>;
  /** The last round in which each junction, and each position, was met. */
  readonly metJunction: Uint32Array;
  readonly metPosition: Uint32Array;
  round: number;
  work: number;
}

function determinize(graph: Graph, start: Place, stepCount: number): CompiledSequence {
  const construction: Construction = {
    graph,
    states: [Int32Array.of(start)],
    numbers: new Map(),
    rows: new Map(),
    metJunction: new Uint32Array(graph.junctions.length),
    metPosition: new Uint32Array(graph.steps.length),
    round: 0,
    work: 0,
  };
  const rows: Row[] = [];
  for (let state = 0; state < construction.states.length; state++) {
    rows.push(rowOf(construction.states[state] ?? new Int32Array(), construction));
    if (construction.states.length > MAX_STATES)
      return { fault: `the order has more than ${MAX_STATES} states` };
    if (construction.work > MAX_WORK)
      return { fault: "the order is too ambiguous to compile: too many ways to read one history" };
  }
  return { automaton: table(rows, stepCount) };
}

function rowOf(places: Int32Array, construction: Construction): Row {
  const key = keyOf(places);
  const known = construction.rows.get(key);
  if (known !== undefined) return known;
  const { positions, accepting } = closure(places, construction);
  const steps = [...positions.keys()].toSorted((a, b) => a - b);
  const targets = new Map(
    steps.map((step) => [step, stateOf(positions.get(step) ?? [], construction)]),
  );
  const row = { targets, accepting };
  construction.rows.set(key, row);
  return row;
}

/** The positions that can come next, by step. Each junction is passed once, so one closure costs no more than the graph. */
function closure(
  places: Int32Array,
  construction: Construction,
): { readonly positions: ReadonlyMap<number, number[]>; readonly accepting: boolean } {
  const { graph, metJunction } = construction;
  const positions = new Map<number, number[]>();
  const round = (construction.round += 1);
  const stack = Array.from(places);
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    construction.work += 1;
    if (place < 0) addPosition(~place, positions, construction);
    else if (metJunction[place] !== round) {
      metJunction[place] = round;
      for (const next of graph.junctions[place] ?? []) stack.push(next);
    }
  }
  return { positions, accepting: metJunction[END] === round };
}

function addPosition(
  position: number,
  positions: Map<number, number[]>,
  { graph, metPosition, round }: Construction,
): void {
  if (metPosition[position] === round) return;
  metPosition[position] = round;
  const step = graph.steps[position] ?? -1;
  const list = positions.get(step);
  if (list === undefined) positions.set(step, [position]);
  else list.push(position);
}

function stateOf(positions: readonly number[], construction: Construction): number {
  construction.work += positions.length;
  const key = keyOf(new Int32Array(positions).sort());
  const known = construction.numbers.get(key);
  if (known !== undefined) return known;
  construction.numbers.set(key, construction.states.length);
  const after = new Int32Array(positions.length);
  for (const [index, position] of positions.entries())
    after[index] = construction.graph.after[position] ?? END;
  return construction.states.push(withoutRepeats(after.sort())) - 1;
}

function withoutRepeats(sorted: Int32Array): Int32Array {
  return sorted.filter((value, index) => index === 0 || value !== sorted[index - 1]);
}

/** A set of numbers as a key that no other set has; most sets hold one. */
function keyOf(sorted: Int32Array): string | number {
  if (sorted.length === 1) return sorted[0] ?? END;
  return latin1.decode(sorted);
}

/** Gives each byte a character of its own. */
const latin1 = new TextDecoder("latin1");

function table(rows: readonly Row[], stepCount: number): Automaton {
  const next = new Int32Array(rows.length * stepCount).fill(-1);
  const first = new Map<Row, number>();
  for (const [state, row] of rows.entries()) {
    const written = first.get(row);
    if (written !== undefined)
      next.copyWithin(state * stepCount, written * stepCount, (written + 1) * stepCount);
    else for (const [step, target] of row.targets) next[state * stepCount + step] = target;
    first.set(row, written ?? state);
  }
  return {
    states: rows.length,
    next,
    accepting: Uint8Array.from(rows, (row) => (row.accepting ? 1 : 0)),
  };
}
