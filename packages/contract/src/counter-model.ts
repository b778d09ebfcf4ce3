/** What counters are, in the plainest words: whole thousandths under names. The model of a store counts by it. */
import fc from "fast-check";
import type { CounterStep } from "@stepgate/core";
import { counting } from "./sample-record.ts";

/** Thousandths under each name. */
export type Counts = Map<string, bigint>;

/** Takes every step into `counts`, or none: false where one would pass its maximum on the way. */
export function modelCount(counts: Counts, steps: readonly CounterStep[]): boolean {
  const after = new Map(counts);
  for (const { counter, add, max } of steps) {
    const total = (after.get(counter) ?? 0n) + thousandths(add);
    if (total > thousandths(max)) return false;
    after.set(counter, total);
  }
  for (const [name, total] of after) counts.set(name, total);
  return true;
}

/** What a store must tell of them. */
export function toldOf(counts: Counts): ReadonlyMap<string, string> {
  return new Map([...counts].map(([name, total]) => [name, written(total)]));
}

/** Steps on few counters, so that they meet; their maxima are reached by some of them, in odd and in large amounts. */
export function counterSteps(): fc.Arbitrary<readonly CounterStep[]> {
  const step = fc.record({
    counter: fc.constantFrom("c", "C", "__proto__", "c\nd"),
    add: fc.constantFrom("0", "0.1", "0.2", "0.001", "1", "100000000000000000000000000000"),
    max: fc.constantFrom("0.3", "1", "2.999", "300000000000000000000000000000.3"),
  });
  return fc
    .array(step, { maxLength: 3 })
    .map((steps) => steps.flatMap(({ counter, add, max }) => counting(counter, add, max)));
}

function thousandths(decimal: string): bigint {
  const [whole = "0", fraction = ""] = decimal.split(".");
  return BigInt(whole + fraction.padEnd(3, "0"));
}

function written(total: bigint): string {
  return `${total / 1000n}.${`${total % 1000n}`.padStart(3, "0")}`.replace(/\.?0+$/, "");
}
