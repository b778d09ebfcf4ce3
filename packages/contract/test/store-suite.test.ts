/** The suite's races find what is wrong with a store that checks and then inserts, and nothing wrong with one that does not. */
import fc from "fast-check";
import { type CounterStep, memoryStore, movedCounters, type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { batchedInsertStore } from "../src/batched-insert-store.ts";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { raceForOneLimit, raceForOneNonce, raceForOnePlace } from "../src/store-races.ts";

test("a store that checks and then inserts hands one place to everybody, and the race says so", async () => {
  const report = await raceForOnePlace({ stores: [checkThenInsertStore()], sequenceId: "s" });
  expect(report.won).toBe(64);
  expect(report.violations[0]).toBe("64 racers were told that they won");
});

test("a store that checks and then inserts burns one nonce many times, and the race says so", async () => {
  const report = await raceForOneNonce({ stores: [checkThenInsertStore()], sequenceId: "s" });
  expect(report.won).toBeGreaterThan(1);
  expect(report.violations[0]).toMatch(/racers were told that they won$/);
});

test("a store that checks and then inserts lets one limit be passed, and the race says so", async () => {
  const report = await raceForOneLimit({ stores: [checkThenInsertStore()], sequenceId: "s" });
  expect(report.won).toBe(64);
  expect(report.violations).toEqual([
    "64 racers were told that they won",
    "the counter stands at 0.1",
  ]);
});

test("counters that are checked beside the append, even if each is atomic, are passed too", async () => {
  const store = memoryStore();
  const beside: Store = {
    ...store,
    async append({ counters = [], ...append }) {
      const standing = await store.counters(counters.map(({ counter }) => counter));
      if (movedCounters(counters, (counter) => standing.get(counter)) === undefined)
        return "limited";
      return store.append({ ...append, counters: counters.map(withoutMaximum) });
    },
  };
  const report = await raceForOneLimit({ stores: [beside], sequenceId: "s" });
  expect(report.won).toBe(64);
  expect(report.violations).toContain("the counter stands at 6.4");
});

test("a batch that is matched by its returned keys hands one place to everybody who shares the object", async () => {
  const report = await raceForOnePlace({ stores: [batchedInsertStore()], sequenceId: "s" });
  expect(report.won).toBe(64);
  expect(report.violations[0]).toBe("64 racers were told that they won");
  expect(report.lines).toHaveLength(1);
});

test("two racers suffice, where a scheduler picks the order in which checks and inserts happen", async () => {
  const found = await fc.check(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const store = checkThenInsertStore(() =>
        scheduler.schedule(Promise.resolve(), "between check and insert"),
      );
      const report = await scheduler.waitFor(
        raceForOnePlace({ stores: [store], sequenceId: "s", racers: 2 }),
      );
      return report.violations.length === 0;
    }),
  );
  expect(found.failed).toBe(true);
});

test("the same races find nothing wrong with an atomic store", async () => {
  const race = { stores: [memoryStore()], sequenceId: "s" };
  expect(await raceForOnePlace(race)).toMatchObject({ won: 1, violations: [] });
  expect(await raceForOneNonce({ ...race, sequenceId: "t" })).toMatchObject({
    won: 1,
    violations: [],
  });
  expect(await raceForOneLimit({ ...race, sequenceId: "u" })).toMatchObject({
    won: 3,
    violations: [],
  });
});

test("a race says so where a store answers rightly but keeps something else", async () => {
  const store: Store = memoryStore();
  const forgetful: Store = { ...store, read: async () => [] };
  expect((await raceForOnePlace({ stores: [forgetful], sequenceId: "s" })).violations).toEqual([
    "the records in the store are not those whose writers were told that they stand",
  ]);
});

function withoutMaximum(step: CounterStep): CounterStep {
  return { ...step, max: "1000" };
}
