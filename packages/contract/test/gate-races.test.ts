/** 64 submissions for one thing: exactly one is allowed, through one gate and through several, a thousand times over. */
import { memoryStore, type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { batchedInsertStore } from "../src/batched-insert-store.ts";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { openRacingGates, type RaceKind, raceGates, submitTo } from "../src/gate-races.ts";

const ROUNDS = 1_000;
const TIMEOUT_MS = 240_000;

for (const [kind, what] of [
  ["step", "one step"],
  ["nonce", "one nonce at different steps"],
] as const) {
  test(
    `of 64 submissions of ${what} through one gate exactly one is allowed, each has its receipt, the chain verifies`,
    async () => {
      expect(await race(kind, memoryStore(), 1, ROUNDS)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    `the same for ${what} through four gates on one store`,
    async () => {
      expect(await race(kind, memoryStore(), 4, ROUNDS)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(`a store that checks and then inserts fails the same race for ${what}, in every round`, async () => {
    const violations = await race(kind, checkThenInsertStore(), 4, 20);
    const allowed = violations.filter((found) => /: [2-4] submissions were allowed$/.test(found));
    expect(allowed).toHaveLength(20);
    expect(violations.some((found) => found.includes("receipts are not in the chain"))).toBe(true);
  });

  test(`a store that matches a batch by its returned keys fails the same race for ${what}, in every round`, async () => {
    const violations = await race(kind, batchedInsertStore(), 4, 20);
    const allowed = violations.filter((found) => /: [2-4] submissions were allowed$/.test(found));
    expect(allowed).toHaveLength(20);
    // The rows themselves are sound: only what the callers were told is not.
    expect(violations.some((found) => found.includes("verified as"))).toBe(false);
  });
}

test("a race says so where a gate allows nothing, loses receipts, or denies for another reason", async () => {
  const store = memoryStore();
  const { gates, trust } = await openRacingGates([store], "hmac");
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  const honest = submitTo(gates);
  const lying = (
    alter: (answer: Awaited<ReturnType<typeof honest>>[number]) => object,
    name: string,
  ) =>
    raceGates({
      kind: "step",
      rounds: 1,
      name,
      gate,
      store,
      trust,
      submit: async (inputs) =>
        (await honest(inputs)).map((answer) => ({ ...answer, ...alter(answer) })),
    });
  expect(await lying(() => ({ decision: "DENY" }), "none")).toEqual([
    "none-step-0: 0 submissions were allowed",
  ]);
  expect(
    await lying(({ decision }) => (decision === "DENY" ? { deny_code: "OVERLOADED" } : {}), "code"),
  ).toEqual(["code-step-0: denied with OVERLOADED"]);
  expect(await lying(() => ({ line: undefined }), "lost")).toEqual([
    "lost-step-0: 64 submissions got 0 receipts",
  ]);
  const strangers = await raceGates({
    kind: "step",
    rounds: 1,
    name: "keys",
    gate,
    store,
    submit: honest,
    trust: { keys: new Map() },
  });
  expect(strangers).toHaveLength(1);
  expect(strangers[0]).toMatch(/verified as (invalid|undecided)/);
});

async function race(
  kind: RaceKind,
  store: Store,
  gateCount: number,
  rounds: number,
): Promise<readonly string[]> {
  const { gates, trust } = await openRacingGates(Array<Store>(gateCount).fill(store), "hmac");
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  return raceGates({ kind, rounds, gate, store, trust, submit: submitTo(gates) });
}
