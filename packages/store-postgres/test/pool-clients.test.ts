/** Connections that are kept at hand between queries: used again, given back, and never used once they broke. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "@stepgate/core";
import { logTest, sampleRecord } from "@stepgate/contract";
import { postgresStore } from "@stepgate/store-postgres";
import type pg from "pg";
import { expect } from "vitest";
import { ownPool } from "./own-pool.ts";
import { shareServer } from "./shared-server.ts";
import { ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();

logTest(
  storeUnderTest,
  "appends one after another use one connection, which the pool has again a moment later",
  async ({ place }) => {
    const { pool, store } = await openOn(place);
    let taken = 0;
    pool.on("acquire", () => taken++);
    for (let seq = 0; seq < 20; seq++) expect(await append(store, "s", seq)).toBe("won");
    expect(taken).toBeLessThan(20);
    expect(pool.idleCount).toBeLessThan(pool.totalCount);
    await sleep(200);
    expect(pool.idleCount).toBe(pool.totalCount);
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "a connection that is never idle is given back now and then all the same, for the pool may want to replace it",
  async ({ place }) => {
    const { pool, store } = await openOn(place, { max: 1 });
    let isGivenBack = false;
    pool.on("release", () => (isGivenBack = true));
    let appended = 0;
    for (
      const end = performance.now() + 10_000;
      !isGivenBack && performance.now() < end;
      appended++
    )
      expect(await append(store, "s", appended)).toBe("won");
    expect(isGivenBack).toBe(true);
    expect(appended).toBeGreaterThan(20);
    await store.close();
  },
);

logTest(storeUnderTest, "a store that is closed has given everything back", async ({ place }) => {
  const { pool, store } = await openOn(place);
  expect(await append(store, "s", 0)).toBe("won");
  await store.close();
  expect(pool.idleCount).toBe(pool.totalCount);
  expect(pool.listenerCount("error") + pool.listenerCount("connect")).toBe(0);
});

logTest(
  storeUnderTest,
  "of a pool of one connection others get their share while appends go on",
  async ({ place }) => {
    const { pool, store } = await openOn(place, { max: 1 });
    let [appended, isOver] = [0, false];
    const appending = (async () => {
      for (; !isOver; appended++) expect(await append(store, "s", appended)).toBe("won");
    })();
    try {
      for (let time = 0; time < 5; time++) {
        const before = appended;
        (await pool.connect()).release();
        expect(appended - before).toBeLessThan(20);
      }
    } finally {
      isOver = true;
      await appending;
    }
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "a connection that breaks between two appends is not used for the second",
  async ({ place }) => {
    const { pool, schema } = ownPool(place);
    const backends: number[] = [];
    const broken = Promise.withResolvers<void>();
    pool.on("connect", (client) => {
      backends.push(Number(Reflect.get(client, "processID")));
      client.once("error", () => broken.resolve());
    });
    const store = await postgresStore({ pool, schema, timeoutMs: 20_000 });
    expect(await append(store, "s", 0)).toBe("won");
    const { url } = ownerOf(place);
    for (const backend of backends) await sql(url, `SELECT pg_terminate_backend(${backend})`);
    await broken.promise;
    expect(await append(store, "s", 1)).toBe("won");
    await store.close();
  },
);

async function openOn(place: string, options: pg.PoolConfig = {}) {
  const { pool, schema } = ownPool(place, options);
  return { pool, store: await postgresStore({ pool, schema, timeoutMs: 20_000 }) };
}

function append(store: Store, sequence_id: string, seq: number): Promise<string> {
  return store.append({ sequence_id, records: [sampleRecord(sequence_id, seq, "x")] });
}
