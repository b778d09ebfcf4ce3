/** The reading half of a store over chains in memory, for stores that are broken where they append. */
import { memoryStore, type PlacedRecord, type Store } from "@stepgate/core";

/** A store with this way to append, whose reads see `chains` and `totals` as they are. */
export function chainsStore(
  chains: ReadonlyMap<string, readonly PlacedRecord[]>,
  totals: ReadonlyMap<string, string>,
  append: Store["append"],
): Store {
  return {
    ...memoryStore(),
    append,
    read: async (sequenceId, from, count = Number.POSITIVE_INFINITY) =>
      (chains.get(sequenceId) ?? []).slice(from, from + count).map(({ line }) => line),
    counters: async (names) => new Map([...totals].filter(([counter]) => names.includes(counter))),
    async *lines() {
      for (const chain of chains.values()) yield* chain.map(({ line }) => line);
    },
  };
}
