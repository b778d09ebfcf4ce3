/** A primary that is lost, and its synchronous standby in its place: what was acknowledged is there, and gates go on by themselves. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DecisionReceipt,
  recordHash,
  verifyReceipts,
  exportKeySet,
  importKeySet,
} from "@stepgate/core";
import {
  findPostgres,
  NO_POSTGRES,
  openTestGate,
  RACE_POLICY,
  startPostgres,
  startStandby,
} from "@stepgate/contract";
import { migrate, onPostgres, openPostgres } from "@stepgate/store-postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import { startFaultProxy } from "../../contract/src/fault-proxy.ts";
import { sql } from "./store-under-test.ts";

const LANES = 8;
const BEFORE_MS = 700;

describe.skipIf(findPostgres() === undefined)(
  `with a standby (else skipped: ${NO_POSTGRES})`,
  () => {
    test("no ALLOW that was told is lost with the primary, nothing forks, and gates go on at its standby", async () => {
      const { primary, standby, url, moved } = await pair();
      const store = await openPostgres(url);
      const { gate, key } = await openTestGate(RACE_POLICY, { store });
      const told: DecisionReceipt[] = [];
      let after = 0;
      let isMoved = false;
      let isOver = false;
      const work = async (_: unknown, lane: number): Promise<void> => {
        for (let n = 0; !isOver; n++) {
          const call = { function: "intake", action_type: "READ", args: {} };
          const answer = await gate.decide({ sequence_id: `s${lane}-${n}`, ...call });
          if (answer.decision !== "ALLOW") await sleep(20);
          else {
            told.push(answer.receipt);
            if (isMoved) after++;
          }
        }
      };
      const lanes = Promise.all(Array.from({ length: LANES }, work));
      await sleep(BEFORE_MS);
      // A primary without its standby acknowledges nothing, so that there is nothing that only it knows when it dies.
      standby.freeze();
      await sleep(300);
      const known = told.length;
      await sleep(1_500);
      expect(told.length).toBe(known);
      await primary.kill();
      standby.thaw();
      await sql(standby.url, "SELECT pg_promote()");
      moved();
      isMoved = true;
      await expect.poll(() => after, { timeout: 30_000 }).toBeGreaterThan(50);
      isOver = true;
      await lanes;
      expect(known).toBeGreaterThan(50);
      const kept = new Set<string>();
      for await (const line of store.lines()) kept.add(recordHash(JSON.parse(line)));
      expect(told.filter((receipt) => !kept.has(recordHash(receipt)))).toEqual([]);
      const keys = importKeySet(exportKeySet([key]));
      const { findings } = await verifyReceipts(store.lines(), { keys });
      expect(findings).toEqual([]);
      await store.close();
    }, 90_000);
  },
);

/** A primary that answers only what its standby has on disk too, and the address that gates have of it. */
async function pair() {
  const primary = await startPostgres();
  onTestFinished(() => primary.stop());
  const standby = await startStandby(primary);
  onTestFinished(() => standby.stop());
  await sql(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'");
  await sql(primary.url, "SELECT pg_reload_conf()");
  const sync = "SELECT count(*)::int AS n FROM pg_stat_replication WHERE sync_state = 'sync'";
  await expect.poll(() => sql(primary.url, sync), { timeout: 20_000 }).toEqual([{ n: 1 }]);
  await onPostgres(primary.url, (pool) => migrate(pool));
  const proxy = await startFaultProxy({ port: primary.port });
  onTestFinished(() => proxy.close());
  const url = new URL(primary.url);
  url.port = `${proxy.port}`;
  return { primary, standby, url: url.href, moved: () => proxy.redirect(standby.port) };
}
