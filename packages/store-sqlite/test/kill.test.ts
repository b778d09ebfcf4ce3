/** `kill -9` of a process that is deciding under load: nothing was done without its receipt, and the next start just works. */
import { expect, test } from "vitest";
import { newLog } from "./new-log.ts";
import { killRepeatedly } from "./repeated-kill.ts";

const KILLS = 100;

test(`killed ${KILLS} times at random moments: no action without its receipt, no fork, no gap, and it starts again by itself`, async () => {
  const report = await killRepeatedly({ kills: KILLS, seed: 20_261_122, folder: newLog().folder });
  expect(report.violations).toEqual([]);
  // The kills did interrupt work: each life ran something, and many an ALLOW lost its outcome.
  expect(report.executed).toBeGreaterThan(KILLS);
  expect(report.closedAsUnknown).toBeGreaterThan(KILLS / 10);
}, 300_000);
