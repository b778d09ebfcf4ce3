/** 64 submissions against one limit: exactly as many are allowed as it has room for, through one gate and through four. */
import { memoryStore, movedCounters, type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { openRacingGates, submitTo } from "../src/gate-races.ts";
import { LIMIT_POLICY, type LimitKind, raceLimits, watchCounters } from "../src/limit-races.ts";

const ROUNDS = 200;
const TIMEOUT_MS = 240_000;

for (const [kind, what] of [
  ["calls", "calls of a sequence"],
  ["sum", "a sum within a sequence"],
  ["agent_calls", "calls of an agent"],
  ["agent_sum", "a sum of an agent"],
  ["tenant_calls", "calls of a tenant"],
  ["tenant_sum", "a sum of a tenant"],
] as const) {
  test(
    `64 submissions through one gate use up a limit on ${what}, and never pass it`,
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
    expect(roundsWith(violations, /: \d+ submissions were allowed$/)).toBe(20);
  });
}

test("a store that counts beside its append fails the races of agents and tenants, in every round", async () => {
  for (const kind of ["agent_calls", "agent_sum", "tenant_calls", "tenant_sum"] as const) {
    const violations = await race(kind, countingBeside(memoryStore()), 4, 5);
    expect(roundsWith(violations, /: \d+ submissions were allowed$/)).toBe(5);
    expect(roundsWith(violations, /: the counters stand at /)).toBe(5);
  }
});

test("a race says so where a total or a counter is not what was allowed", async () => {
  const watched = watchCounters(memoryStore());
  const { gates, trust } = await openRacingGates([watched], "hmac", LIMIT_POLICY);
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  const submit: Submit = async (inputs) =>
    (await submitTo(gates)(inputs)).map(({ line, ...answer }) => ({
      ...answer,
      ...(line === undefined ? {} : { line: line.replace('":"0.2"', '":"0.3"') }),
    }));
  const common = { rounds: 1, gate, store: watched, trust };
  expect(await raceLimits({ ...common, kind: "sum", submit })).toEqual([
    "race-sum-0: 1 receipts are not in the chain",
    "race-sum-0: the totals are 0.1, 0.3, 0.3",
  ]);
  const forgetful = { ...watched, counters: async () => new Map<string, string>() };
  expect(
    await raceLimits({ ...common, kind: "agent_sum", store: forgetful, submit: submitTo(gates) }),
  ).toEqual(["race-agent_sum-0: the counters stand at "]);
});

type Submit = ReturnType<typeof submitTo>;

/** How many rounds were found wrong in this way. */
function roundsWith(violations: readonly string[], found: RegExp): number {
  return new Set(violations.filter((one) => found.test(one)).map((one) => one.split(":")[0])).size;
}

/** Looks whether the counters have room, and lets the append count without a maximum: two steps where one must be. */
function countingBeside(store: Store): Store {
  return {
    ...store,
    async append({ counters = [], ...append }) {
      const standing = await store.counters(counters.map(({ counter }) => counter));
      if (movedCounters(counters, (counter) => standing.get(counter)) === undefined)
        return "limited";
      return store.append({
        ...append,
        counters: counters.map((step) => ({ ...step, max: "1000" })),
      });
    },
  };
}

async function race(
  kind: LimitKind,
  real: Store,
  gateCount: number,
  rounds: number,
): Promise<readonly string[]> {
  const store = watchCounters(real);
  const { gates, trust } = await openRacingGates(
    Array<Store>(gateCount).fill(store),
    "hmac",
    LIMIT_POLICY,
  );
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  return raceLimits({ kind, rounds, gate, store, trust, submit: submitTo(gates) });
}
