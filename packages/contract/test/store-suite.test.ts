/** The suite's races find what is wrong with a store that checks and then inserts, and nothing wrong with one that does not. */
import fc from "fast-check";
import { memoryStore, type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { raceForOneNonce, raceForOnePlace } from "../src/store-races.ts";

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
});

test("a race says so where a store answers rightly but keeps something else", async () => {
  const store: Store = memoryStore();
  const forgetful: Store = { ...store, read: async () => [] };
  expect((await raceForOnePlace({ stores: [forgetful], sequenceId: "s" })).violations).toEqual([
    "the records in the store are not those whose writers were told that they stand",
  ]);
});
