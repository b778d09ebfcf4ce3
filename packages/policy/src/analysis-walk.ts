/** Walks the states of a space, breadth first and in code-unit order of calls, remembering as much as it is told to. */
import { SEALED } from "./analysis-order.ts";
import { callText, type PolicyCall } from "./analysis-calls.ts";
import type { Candidate, Space, State } from "./analysis-model.ts";
import {
  both,
  type Guess,
  holds,
  type Memory,
  type Outcome,
  outcomesOf,
} from "./analysis-outcomes.ts";

/** An ALLOW of one call by every side. */
export interface Edge {
  readonly call: number;
  /** By side: what the call stood for. */
  readonly picks: readonly Candidate[];
  readonly guess: Guess;
  readonly to: State;
}

/** A call that can be looked at in a state. */
export interface Sight {
  readonly state: State;
  readonly call: number;
  readonly memory: Memory;
  /** By side. */
  readonly outcomes: readonly (readonly Outcome[])[];
}

/** How much work is left. One unit is one call that is looked at in one state: some microseconds. */
export interface Effort {
  /** States that one search may hold. */
  readonly states: number;
  work: number;
  /** False where some kinds of agent are left out: then nothing is said never to happen. */
  readonly allAgents?: boolean;
}

/** A space in which some monitors are remembered. */
export interface Walk {
  readonly space: Space;
  readonly start: State;
  /** Work of a look at one call: states that remember much are long. */
  readonly weight: number;
  /** One value for each state. */
  keyOf(state: State): number | string;
  /** Every call that some side's order admits here, in code-unit order. */
  callsAt(state: State): readonly number[];
  look(state: State, call: number): Sight;
  /** Every way in which all sides allow the call. */
  edges(sight: Sight): readonly Edge[];
}

/** A walk that remembers everything: every call goes one way. */
export function fullWalk(space: Space): Walk {
  const walk = fullWalks.get(space) ?? walkOf(space, [...space.caps.keys()]);
  fullWalks.set(space, walk);
  return walk;
}

const fullWalks = new WeakMap<Space, Walk>();

/** A walk that remembers the monitors in `tracked`, which is sorted. */
export function walkOf(space: Space, tracked: readonly number[]): Walk {
  const slots = new Int32Array(space.caps.length).fill(-1);
  for (const [slot, monitor] of tracked.entries()) slots[monitor] = slot;
  const caps = tracked.map((monitor) => space.caps[monitor] ?? 1);
  return {
    space,
    start: {
      positions: space.start.positions,
      values: tracked.map((monitor) => space.start.values[monitor] ?? 0),
    },
    weight: 1 + Math.floor(tracked.length / 50),
    keyOf: keyer(space, caps),
    callsAt: ({ positions }) =>
      union(space.sides.map(({ callsAt }, side) => callsAt(positions[side] ?? SEALED))),
    look(state, call) {
      const memory: Memory = (monitor) => state.values[slots[monitor] ?? -1] ?? -1;
      const outcomes = space.sides.map((side, index) =>
        outcomesOf(side, state.positions[index] ?? SEALED, call, memory),
      );
      return { state, call, memory, outcomes };
    },
    edges: ({ state, call, outcomes }) =>
      jointly(outcomes).flatMap(({ ways, guess }) => {
        const picks = ways.flatMap(({ candidate }) => candidate ?? []);
        if (picks.length < ways.length) return [];
        const positions = ways.map(({ next }) => next);
        return [
          { call, picks, guess, to: { positions, values: moved(state, picks, slots, caps) } },
        ];
      }),
  };
}

/** One outcome for each side, where they do not contradict each other. */
export function jointly(
  outcomes: readonly (readonly Outcome[])[],
): readonly { readonly ways: readonly Outcome[]; readonly guess: Guess }[] {
  const [first = [], second] = outcomes;
  if (second === undefined) return first.map((way) => ({ ways: [way], guess: way.guess }));
  return first.flatMap((mine) =>
    second.flatMap((theirs) => {
      const guess = both(mine.guess, theirs.guess);
      return guess === undefined ? [] : [{ ways: [mine, theirs], guess }];
    }),
  );
}

/** The monitors that a guess is wrong about, given what really happened. */
export function mistakes(guess: Guess, value: Memory): readonly number[] {
  return guess.ranges
    .filter((range) => !holds(range, value(range.monitor)))
    .map(({ monitor }) => monitor);
}

function moved(
  { values }: State,
  picks: readonly Candidate[],
  slots: Int32Array,
  caps: readonly number[],
): readonly number[] {
  if (values.length === 0) return values;
  const next = [...values];
  for (const { moves } of picks)
    for (const monitor of moves) {
      const slot = slots[monitor] ?? -1;
      if (slot >= 0) next[slot] = Math.min((next[slot] ?? 0) + 1, caps[slot] ?? 1);
    }
  return next;
}

/** A number where the states are few enough, else a text. */
function keyer({ sides }: Space, caps: readonly number[]): (state: State) => number | string {
  const sizes = [...sides.map(({ order }) => order.accepting.length), ...caps];
  const total = sizes.reduce((product, size) => product * (size + 1), 1);
  if (total > Number.MAX_SAFE_INTEGER)
    return ({ positions, values }) => `${positions.join()} ${values.join()}`;
  return ({ positions, values }) => {
    let key = 0;
    for (const [side, position] of positions.entries())
      key = key * ((sizes[side] ?? 0) + 1) + position + 1;
    for (const [slot, value] of values.entries()) key = key * ((caps[slot] ?? 0) + 1) + value;
    return key;
  };
}

function union(lists: readonly (readonly number[])[]): readonly number[] {
  const [first = [], second = first] = lists;
  return second === first || second.length === 0
    ? first
    : [...new Set([...first, ...second])].toSorted((a, b) => a - b);
}

/** Makes the calls in order with everything remembered: where they end, and the first that is refused. */
export function replay(
  space: Space,
  calls: readonly PolicyCall[],
): { readonly end: State; readonly refused?: number } {
  const walk = fullWalk(space);
  const numbers = new Map(
    space.calls.flatMap((members, number) => members.map((one) => [callText(one), number])),
  );
  let end = walk.start;
  for (const [index, call] of calls.entries()) {
    const [edge] = walk.edges(walk.look(end, numbers.get(callText(call)) ?? -1));
    if (edge === undefined) return { end, refused: index };
    end = edge.to;
  }
  return { end };
}
