/** 64 submissions against one limit on SQLite: through one gate, several store objects, and four processes on one file. */
import type { Store } from "@stepgate/core";
import {
  LIMIT_KINDS,
  LIMIT_POLICY,
  type LimitKind,
  openRacingGates,
  RACE_DEADLINE_MS,
  raceLimits,
  submitTo,
  watchCounters,
} from "@stepgate/contract";
import { expect, test } from "vitest";
import { newLog } from "./new-log.ts";
import { raceProcessesForLimits } from "./process-race.ts";

/** Of each kind, so that all kinds together make as many as the promise says. `endurance.ts` runs more. */
const ROUNDS = 35;
const TIMEOUT_MS = 300_000;

test(
  "64 submissions through one gate use up every kind of limit, and never pass it",
  async () => {
    const store = newLog().open();
    expect(await race([store])).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "the same through four gates, two to a store object",
  async () => {
    const { open } = newLog();
    const options = { busyTimeoutMs: RACE_DEADLINE_MS };
    const [first, second] = [open(options), open(options)];
    expect(await race([first, second, first, second])).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "the same through four processes on one file",
  async () => {
    const { violations, allowed } = await raceProcessesForLimits(ROUNDS, newLog().folder);
    expect(violations).toEqual([]);
    // They did race: no process used up every limit alone.
    expect(allowed.filter((count) => count > 0).length).toBeGreaterThan(1);
    expect(allowed.reduce((sum, count) => sum + count)).toBe(3 * (10 + 3) * ROUNDS);
  },
  TIMEOUT_MS,
);

async function race(stores: readonly [Store, ...Store[]]): Promise<readonly string[]> {
  const store = watchCounters(stores[0]);
  const { gates, trust } = await openRacingGates([store, ...stores.slice(1)], "hmac", LIMIT_POLICY);
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  const found = (kind: LimitKind): Promise<readonly string[]> =>
    raceLimits({ kind, rounds: ROUNDS, gate, store, trust, submit: submitTo(gates) });
  const violations: string[] = [];
  for (const kind of LIMIT_KINDS) violations.push(...(await found(kind)));
  return violations;
}
