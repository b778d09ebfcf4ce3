/** Behind PgBouncer, which gives each transaction whichever connection is free, and forgets what a session had set. */
import { randomUUID } from "node:crypto";
import {
  findPostgres,
  NO_POSTGRES,
  openTestGate,
  RACE_POLICY,
  raceForOneLimit,
  raceForOneNonce,
  raceForOnePlace,
  startPostgres,
} from "@stepgate/contract";
import type { Store } from "@stepgate/core";
import { checkPostgres, migrate, onPostgres, openPostgres } from "@stepgate/store-postgres";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { noPooler, type Pooler, startPooler } from "./pgbouncer.ts";

/** Fewer than the stores of a test have: none keeps one to itself. */
const CONNECTIONS = 3;
const missing = noPooler() ?? (findPostgres() === undefined ? NO_POSTGRES : undefined);
describe.skipIf(missing !== undefined)(
  `where connections are pooled by transaction${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  () => {
    let pooler: Pooler;
    let stop: () => Promise<void>;
    beforeAll(async () => {
      const server = await startPostgres();
      pooler = await startPooler(server, CONNECTIONS);
      stop = async () => {
        pooler.stop();
        await server.stop();
      };
    });
    afterAll(() => stop());

    test.for([
      ["place", raceForOnePlace],
      ["nonce", raceForOneNonce],
      ["limit", raceForOneLimit],
    ] as const)(
      "of 64 appends through four stores for one %s no more win than may",
      async ([what, race]) => {
        const stores = await storesOn(pooler, 4);
        for (let round = 0; round < 3; round++) {
          const { violations } = await race({ stores, sequenceId: `${what} ${round}` });
          expect(violations).toEqual([]);
        }
      },
    );

    test("gates decide, and a start finds what they left open", async () => {
      const [store, another] = await storesOn(pooler, 2);
      if (store === undefined || another === undefined) throw new Error("no store");
      const { gate } = await openTestGate(RACE_POLICY, { store, deadlineMs: 20_000 });
      const call = { function: "intake", action_type: "READ", args: {} };
      const names = Array.from({ length: 40 }, (_, n) => `sequence-${n}`);
      const told = await Promise.all(
        names.map((sequence_id) => gate.decide({ sequence_id, ...call })),
      );
      expect(new Set(told.map(({ decision }) => decision))).toEqual(new Set(["ALLOW"]));
      const open = await Array.fromAsync(another.openAllows());
      expect(open.map(({ sequence_id }) => sequence_id).toSorted()).toEqual(names.toSorted());
      expect(await another.read("sequence-7", 0)).toHaveLength(2);
    });

    test("checkPostgres warns of it, and finds nothing that an append would rest on at fault", async () => {
      const { searchParams } = new URL(await newLog(pooler));
      const schema = searchParams.get("schema") ?? "";
      const findings = await onPostgres(pooler.url, (pool) => checkPostgres(pool, { schema }));
      expect(findings.filter(({ level }) => level === "fault")).toEqual([]);
      expect(findings.find(({ check }) => check === "pooler")).toMatchObject({ level: "warning" });
    });
  },
);

async function storesOn(pooler: Pooler, count: number): Promise<readonly Store[]> {
  const url = await newLog(pooler);
  const stores = await Promise.all(
    Array.from({ length: count }, () => openPostgres(url, { timeoutMs: 20_000 })),
  );
  onTestFinished(async () => {
    for (const store of stores) await store.close();
  });
  return stores;
}

async function newLog(pooler: Pooler): Promise<string> {
  const url = new URL(pooler.url);
  const schema = `log ${randomUUID()}`;
  await onPostgres(url.href, (pool) => migrate(pool, { schema }));
  url.searchParams.set("schema", schema);
  return url.href;
}
