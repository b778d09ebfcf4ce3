/** 64 submissions for one thing on SQLite: through one gate, several store objects, and four processes on one file. */
import type { Store } from "@stepgate/core";
import { expect, test } from "vitest";
import {
  openRacingGates,
  RACE_DEADLINE_MS,
  type RaceKind,
  raceGates,
  submitTo,
} from "@stepgate/contract";
import { newLog } from "./new-log.ts";
import { raceProcesses } from "./process-race.ts";

const ROUNDS_IN_PROCESS = 250;
/** As many as the promise says. `endurance.ts` runs more. */
const ROUNDS_BETWEEN_PROCESSES = 1_000;
const TIMEOUT_MS = 300_000;

for (const [kind, what] of [
  ["step", "one step"],
  ["nonce", "one nonce at different steps"],
] as const) {
  test(
    `of 64 submissions of ${what} through one gate exactly one is allowed`,
    async () => {
      expect(await race(kind, [newLog().open()])).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    `the same for ${what} through four gates, two to a store object`,
    async () => {
      const { open } = newLog();
      const options = { busyTimeoutMs: RACE_DEADLINE_MS };
      const [first, second] = [open(options), open(options)];
      expect(await race(kind, [first, second, first, second])).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    `the same for ${what} through four processes on one file`,
    async () => {
      const { violations, allowed } = await raceProcesses(
        kind,
        ROUNDS_BETWEEN_PROCESSES,
        newLog().folder,
      );
      expect(violations).toEqual([]);
      // They did race: no process was first every time.
      expect(allowed.filter((count) => count > 0).length).toBeGreaterThan(1);
      expect(allowed.reduce((sum, count) => sum + count)).toBe(ROUNDS_BETWEEN_PROCESSES);
    },
    TIMEOUT_MS,
  );
}

async function race(
  kind: RaceKind,
  stores: readonly [Store, ...Store[]],
): Promise<readonly string[]> {
  const { gates, trust } = await openRacingGates(stores, "hmac");
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  return raceGates({
    kind,
    rounds: ROUNDS_IN_PROCESS,
    gate,
    store: stores[0],
    trust,
    submit: submitTo(gates),
  });
}
