/** The races of gates and the killing of a deciding process as tests, for every kind of store that keeps more than an object. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Store } from "@stepgate/core";
import { expect, test, type TestContext } from "vitest";
import {
  openRacingGates,
  RACE_DEADLINE_MS,
  RACE_POLICY,
  raceGates,
  type RacingGates,
  submitTo,
} from "./gate-races.ts";
import { LIMIT_KINDS, LIMIT_POLICY, raceLimits, watchCounters } from "./limit-races.ts";
import { raceProcesses, raceProcessesForLimits } from "./process-race.ts";
import { killRepeatedly } from "./repeated-kill.ts";
import { type LogPlace, onNewLog, type StoreUnderTest } from "./store-under-test.ts";

/** How many rounds of each race; `pnpm endurance` runs more. */
export interface RaceRounds {
  /** Through gates of one process. Default 50. */
  readonly inProcess?: number;
  /** Through four processes. Default 50. */
  readonly betweenProcesses?: number;
}

const TIMEOUT_MS = 300_000;

/** Registers races of 64 submissions for one step, and with one nonce at different steps. */
export function testGateRaces(storeUnderTest: StoreUnderTest, rounds: RaceRounds = {}): void {
  const { inProcess = 50, betweenProcesses = 50 } = rounds;
  for (const [kind, what] of [
    ["step", "one step"],
    ["nonce", "one nonce at different steps"],
  ] as const) {
    for (const [objects, through] of [
      [1, "one gate"],
      [2, "four gates, two to a store object"],
    ] as const) {
      const title = `of 64 submissions of ${what} through ${through} exactly one is allowed`;
      logTest(storeUnderTest, title, async (place) => {
        const { stores, close } = await openStores(storeUnderTest, place, objects);
        const { gate, gates, trust } = await openGates(stores, RACE_POLICY);
        const race = { kind, rounds: inProcess, gate, store: stores[0], trust };
        expect(await raceGates({ ...race, submit: submitTo(gates) })).toEqual([]);
        await close();
      });
    }
    const title = `of 64 submissions of ${what} through four processes exactly one is allowed`;
    logTest(storeUnderTest, title, async (place) => {
      const { violations, allowed } = await raceProcesses(kind, betweenProcesses, place);
      expect(violations).toEqual([]);
      // They did race: no process was first every time.
      expect(allowed.filter((count) => count > 0).length).toBeGreaterThan(1);
      expect(allowed.reduce((sum, count) => sum + count)).toBe(betweenProcesses);
    });
  }
}

/** Registers races of 64 submissions against every kind of limit. Default: 35 rounds of each kind. */
export function testLimitRaces(storeUnderTest: StoreUnderTest, rounds = 35): void {
  for (const [objects, through] of [
    [1, "one gate"],
    [2, "four gates, two to a store object"],
  ] as const) {
    const title = `64 submissions through ${through} use up every kind of limit, and never pass it`;
    logTest(storeUnderTest, title, async (place) => {
      const { stores, close } = await openStores(storeUnderTest, place, objects);
      const store = watchCounters(stores[0]);
      const { gate, gates, trust } = await openGates([store, ...stores.slice(1)], LIMIT_POLICY);
      const race = { rounds, gate, store, trust, submit: submitTo(gates) };
      for (const kind of LIMIT_KINDS) expect(await raceLimits({ kind, ...race })).toEqual([]);
      await close();
    });
  }
  const title = "64 submissions through four processes use up every limit, and never pass it";
  logTest(storeUnderTest, title, async (place) => {
    const { violations, allowed } = await raceProcessesForLimits(rounds, place);
    expect(violations).toEqual([]);
    // They did race: no process used up every limit alone.
    expect(allowed.filter((count) => count > 0).length).toBeGreaterThan(1);
    expect(allowed.reduce((sum, count) => sum + count)).toBe(3 * (10 + 3) * rounds);
  });
}

/** Registers `kill -9` of a process that is deciding under load, at random moments. Default: 15 kills. */
export function testKills(storeUnderTest: StoreUnderTest, kills = 15, seed = 20_261_122): void {
  const title = `killed ${kills} times at random moments: no action without its receipt, no fork, no gap, and it starts again by itself`;
  logTest(storeUnderTest, title, async (log) => {
    const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
    const report = await killRepeatedly({ kills, seed, log, folder });
    rmSync(folder, { recursive: true });
    expect(report.violations).toEqual([]);
    // The kills did interrupt work: each life ran something, and many an ALLOW lost its outcome.
    expect(report.executed).toBeGreaterThan(kills);
    expect(report.closedAsUnknown).toBeGreaterThan(kills / 10);
  });
}

/** One test on a log of its own; skipped by name where this machine has no such store. */
export function logTest(
  storeUnderTest: StoreUnderTest,
  title: string,
  body: (place: LogPlace, context: TestContext) => Promise<void>,
): void {
  test(`${storeUnderTest.name}: ${title}`, { timeout: TIMEOUT_MS }, async (context) => {
    const missing = await storeUnderTest.absent();
    if (missing !== undefined) return context.skip(missing);
    await onNewLog(storeUnderTest, (_log, place) => body(place, context));
  });
}

/** Four stores for four gates, over so many objects. */
async function openStores(storeUnderTest: StoreUnderTest, { place }: LogPlace, objects: 1 | 2) {
  const open = () => storeUnderTest.open(place, { patienceMs: RACE_DEADLINE_MS });
  const first = await open();
  const second = objects === 1 ? undefined : await open();
  const stores: readonly [Store, ...Store[]] =
    second === undefined ? [first] : [first, second, first, second];
  const close = async (): Promise<void> => {
    await first.close();
    await second?.close();
  };
  return { stores, close };
}

async function openGates(
  stores: readonly Store[],
  document: unknown,
): Promise<RacingGates & { readonly gate: RacingGates["gates"][number] }> {
  const racing = await openRacingGates(stores, "hmac", document);
  const [gate] = racing.gates;
  if (gate === undefined) throw new Error("no gate");
  return { ...racing, gate };
}
