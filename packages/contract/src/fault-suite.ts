/** Every kind of fault once as tests, for every kind of store that keeps more than an object; `pnpm faults` runs hundreds. */
import { expect, test } from "vitest";
import { startCluster } from "./fault-cluster.ts";
import { planFault } from "./fault-plan.ts";
import { faultKinds, judgeWholeLog, runFault } from "./fault-run.ts";
import { onNewLog, type StoreUnderTest } from "./store-under-test.ts";

/** Registers one test that does every fault to one cluster, one after the other. The seeds follow each other. */
export function testFaults(storeUnderTest: StoreUnderTest, firstSeed = 20_261_130): void {
  const title = `${storeUnderTest.name}: whatever goes wrong, no action without its receipt, no second ALLOW, no late answer, and it recovers by itself`;
  test(title, { timeout: 300_000 }, async (context) => {
    const missing = await storeUnderTest.absent();
    if (missing !== undefined) return context.skip(missing);
    await onNewLog(storeUnderTest, async (log) => {
      const cluster = await startCluster(storeUnderTest, log);
      const kinds = faultKinds(log);
      const done = new Set<string>();
      for (const nth of kinds.keys()) {
        const report = await runFault(cluster, planFault(firstSeed + nth, kinds));
        const { plan, violations, executed } = report;
        expect({ kind: plan.kind, violations }).toEqual({ kind: plan.kind, violations: [] });
        expect(executed).toBeGreaterThan(0);
        done.add(plan.kind);
      }
      expect(done).toEqual(new Set(kinds));
      expect(await judgeWholeLog(cluster)).toEqual([]);
      expect(await cluster.close()).toEqual([]);
    });
  });
}

/** Registers the negative control: a store that says `won` before the record is durable must be found out by one kill. */
export function testHastyStore(hasty: StoreUnderTest): void {
  const title = `${hasty.name}: a store that says won before it is durable has actions without a receipt after a kill`;
  test(title, { timeout: 60_000 }, async () => {
    await onNewLog(hasty, async (log) => {
      const cluster = await startCluster(hasty, log);
      const { violations } = await runFault(cluster, planFault(1, ["gate-killed"]));
      await cluster.close();
      expect(violations.some((found) => found.startsWith("executed without a receipt"))).toBe(true);
    });
  });
}
