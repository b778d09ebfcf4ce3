/** How a store moves the counters of windowed limits: exactly, and not at all where one would pass its maximum. */
import { addDecimals, compareDecimals, type Decimal } from "./decimal.ts";
import type { CounterStep } from "./store.ts";

/**
 * What the counters stand at after the steps, or `undefined` where one would exceed its maximum.
 * @throws RangeError for what is no decimal.
 */
export function movedCounters(
  steps: readonly CounterStep[],
  standsAt: (counter: string) => Decimal | undefined,
): ReadonlyMap<string, Decimal> | undefined {
  const moved = new Map<string, Decimal>();
  for (const { counter, add, max } of steps) {
    const total = addDecimals(moved.get(counter) ?? standsAt(counter) ?? "0", add);
    if (compareDecimals(total, max) > 0) return undefined;
    moved.set(counter, total);
  }
  return moved;
}
