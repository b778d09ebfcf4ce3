/** The step order as analysis walks it: the policy's automaton, with states merged that nothing tells apart. */
import { type CompiledPolicy, sha256Hex } from "@stepgate/core/compiler";

/** A sealed sequence, as a state beside those of the automaton. */
export const SEALED = -1;

/** The order of one policy. */
export interface Order {
  readonly stepCount: number;
  /** `next[state * stepCount + step]`, or -1 where the step is not admissible. */
  readonly next: Int32Array;
  readonly accepting: Uint8Array;
  /** 1 for an accepting state that no step leaves. */
  readonly natural: Uint8Array;
}

/** The automaton as it stands: each occurrence of a step has states of its own. */
export function orderOf({ automaton, steps }: CompiledPolicy): Order {
  return withEnds(automaton.next, automaton.accepting, steps.length);
}

/**
 * The same language with fewer states: those with equal rows are one, as are all ends of a choice. Orders that are dense
 * in transitions become small.
 */
export function reducedOrder(policy: CompiledPolicy): Order {
  const known = reduced.get(policy.automaton);
  if (known !== undefined) return known;
  const { automaton, steps } = policy;
  let { next, accepting } = automaton;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const merged = mergeRows(next, accepting, steps.length);
    if (merged.accepting.length === accepting.length) break;
    ({ next, accepting } = merged);
  }
  const order = withEnds(next, accepting, steps.length);
  reduced.set(automaton, order);
  return order;
}

const reduced = new WeakMap<CompiledPolicy["automaton"], Order>();

/** Where a step leads, or -1. */
export function stepFrom(order: Order, state: number, step: number): number {
  return order.next[state * order.stepCount + step] ?? -1;
}

/** Merging once finds what a choice makes; more passes find less and less. */
const MAX_PASSES = 8;

interface Table {
  readonly next: Int32Array;
  readonly accepting: Uint8Array;
}

function mergeRows(next: Int32Array, accepting: Uint8Array, stepCount: number): Table {
  const rowOf = (state: number): Uint8Array =>
    new Uint8Array(next.buffer, next.byteOffset + state * stepCount * 4, stepCount * 4);
  const alike = new Map<string, number>();
  const kept: number[] = [];
  const merged = Int32Array.from(accepting, (accepts, state) => {
    const key = `${accepts} ${sha256Hex(rowOf(state))}`;
    const known = alike.get(key);
    if (known !== undefined) return known;
    alike.set(key, kept.length);
    return kept.push(state) - 1;
  });
  if (kept.length === accepting.length) return { next, accepting };
  const rows = new Int32Array(kept.length * stepCount);
  for (const [number, state] of kept.entries())
    for (let step = 0; step < stepCount; step++) {
      const target = next[state * stepCount + step] ?? -1;
      rows[number * stepCount + step] = target < 0 ? -1 : (merged[target] ?? -1);
    }
  return { next: rows, accepting: Uint8Array.from(kept, (state) => accepting[state] ?? 0) };
}

function withEnds(next: Int32Array, accepting: Uint8Array, stepCount: number): Order {
  const natural = Uint8Array.from(accepting, (accepts, state) => {
    const row = next.subarray(state * stepCount, (state + 1) * stepCount);
    return accepts === 1 && row.every((target) => target === -1) ? 1 : 0;
  });
  return { stepCount, next, accepting, natural };
}
