/** Every kind of fault once as tests, for every kind of store that keeps more than an object; `pnpm faults` runs hundreds. */
import { expect, onTestFinished, test } from "vitest";
import { startCluster } from "./fault-cluster.ts";
import { PARTITION, planFault } from "./fault-plan.ts";
import { faultKinds, judgeWholeLog, runFault } from "./fault-run.ts";
import { makeNamespace, noNamespaces } from "./network-namespace.ts";
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

/** Partitions, one after the other, of either gate; each lasts longer than several deadlines. */
const PARTITIONS = 2;
const PARTITION_MS = 3_000;

/** Registers the test of two gates in network namespaces of their own with one server, either of which is cut off. */
export function testPartition(storeUnderTest: StoreUnderTest, firstSeed = 1): void {
  const title = `${storeUnderTest.name}: of two gates on two networks the one that is cut off denies in time, the other goes on, nothing forks, and it recovers by itself`;
  test(title, { timeout: 300_000 }, async (context) => {
    const missing = (await storeUnderTest.absent()) ?? noNamespaces();
    if (missing !== undefined) return context.skip(missing);
    const namespaces = [makeNamespace(0), makeNamespace(1)];
    onTestFinished(() => namespaces.forEach(({ remove }) => remove()));
    await onNewLog(storeUnderTest, async (log) => {
      const cluster = await startCluster(storeUnderTest, log, namespaces);
      for (let nth = 0; nth < PARTITIONS; nth++) {
        const plan = planFault(firstSeed + nth, [PARTITION]);
        const victim = nth % 2 === 0 ? 0 : 1;
        const report = await runFault(cluster, { ...plan, victim, lastsMs: PARTITION_MS });
        expect(report.violations).toEqual([]);
        const [cutOff, other] = [report.meanwhile[victim], report.meanwhile[1 - victim]];
        expect(cutOff?.allowed).toBe(0);
        expect(cutOff?.denied).toBeGreaterThan(0);
        expect(other?.allowed).toBeGreaterThan(10);
      }
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
