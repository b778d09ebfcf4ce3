/** Interleavings of gates find out both broken stores, each in few runs. */
import fc from "fast-check";
import { type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { batchedInsertStore } from "../src/batched-insert-store.ts";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { runInterleaved, submissions } from "../src/interleaved-gates.ts";

for (const [what, broken] of [
  ["checks and then inserts", checkThenInsertStore],
  ["matches a batch by its returned keys", batchedInsertStore],
] as const) {
  test(`interleaved gates find out a store that ${what}`, async () => {
    const found = await fc.check(
      fc.asyncProperty(fc.scheduler(), submissions(), async (scheduler, asked) => {
        const store: Store = broken();
        return (await runInterleaved(store, scheduler, asked)).length === 0;
      }),
      { numRuns: 200 },
    );
    expect(found.failed).toBe(true);
  });
}
