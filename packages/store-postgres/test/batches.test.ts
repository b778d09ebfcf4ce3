/** Appends in batches: how many statements they take, that one fault stays one append's, and what a silent server does to them. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Append, Store } from "@stepgate/core";
import {
  counting,
  findPostgres,
  logTest,
  NO_POSTGRES,
  openTestGate,
  RACE_POLICY,
  sampleRecord,
  startPostgres,
} from "@stepgate/contract";
import { migrate, onPostgres, openPostgres, postgresStore } from "@stepgate/store-postgres";
import type pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { ownPool } from "./own-pool.ts";
import { shareServer } from "./shared-server.ts";
import { ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();
const PATIENCE = { patienceMs: 20_000 };

logTest(
  storeUnderTest,
  "what comes while a batch is under way shares the next statement",
  async ({ place }) => {
    const { pool, schema } = ownPool(place);
    let statements = 0;
    pool.on("connect", (client) => {
      const query: (config: pg.QueryConfig) => unknown = client.query.bind(client);
      // The look at a new connection has no name.
      const counted = (config: pg.QueryConfig): unknown => {
        if (config.name !== undefined) statements++;
        return query(config);
      };
      Object.assign(client, { query: counted });
    });
    const store = await postgresStore({ pool, schema, timeoutMs: 20_000 });
    statements = 0;
    const names = Array.from({ length: 500 }, (_, n) => `s${n}`);
    const answers = await Promise.all(names.map((name) => store.append(one(name, 0))));
    expect(new Set(answers)).toEqual(new Set(["won"]));
    expect(statements).toBe(2); // of at most 256 appends
    statements = 0;
    const lines = await Promise.all(names.map((name) => store.read(name, 0)));
    expect(lines.map((read) => read.length)).toEqual(names.map(() => 1));
    expect(statements).toBe(2);
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "a batch of any size tells each append what it came to",
  async ({ place }) => {
    const store = await storeUnderTest.open(place, PATIENCE);
    for (let size = 1; size <= 10; size++) {
      const names = Array.from({ length: size }, (_, n) => `${size}-${n}`);
      const begun = names.filter((_, n) => n % 3 === 1);
      await Promise.all(begun.map((name) => store.append(one(name, 0, "another"))));
      // Of three one is new, one finds its place taken, and one leaves a gap.
      const answers = await Promise.all(
        names.map((name, n) => store.append(one(name, n % 3 === 2 ? 1 : 0))),
      );
      expect(answers).toEqual(names.map((_, n) => (n % 3 === 0 ? "won" : "lost")));
      const kept = await Promise.all(names.map((name) => store.read(name, 0)));
      expect(kept.map((lines) => lines.length)).toEqual(names.map((_, n) => (n % 3 === 2 ? 0 : 1)));
    }
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "equal appends in one turn are each told the truth, and of different ones for a place one wins",
  async ({ place }) => {
    const store = await storeUnderTest.open(place, PATIENCE);
    const same = Array.from({ length: 64 }, () => store.append(one("same", 0, "x")));
    expect(new Set(await Promise.all(same))).toEqual(new Set(["won"]));
    const different = Array.from({ length: 64 }, (_, n) =>
      store.append(one("different", 0, `${n}`)),
    );
    const answers = await Promise.all(different);
    expect(answers.filter((answer) => answer === "won")).toHaveLength(1);
    expect(answers.filter((answer) => answer === "lost")).toHaveLength(63);
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "an append that the server refuses is unknown, and its neighbours are won",
  async ({ place }) => {
    const store = await storeUnderTest.open(place, PATIENCE);
    // Longer than an index entry may be, and of no use to compress.
    const nonce = randomBytes(6_000).toString("hex");
    const poisoned = { sequence_id: "p", records: [sampleRecord("p", 0, "x", { nonce })] } as const;
    const answers = await Promise.all([
      store.append(one("a", 0)),
      store.append(poisoned),
      store.append({ ...one("b", 0), counters: counting("c", "1", "1") }),
    ]);
    expect(answers).toEqual(["won", "unknown", "won"]);
    expect(await store.read("p", 0)).toEqual([]);
    expect(await store.counters(["c"])).toEqual(new Map([["c", "1"]]));
    await store.close();
  },
);

logTest(storeUnderTest, "a NUL is refused by name before it is sent", async ({ place }) => {
  const store = await storeUnderTest.open(place, PATIENCE);
  const [step] = counting("c\0", "1", "1");
  if (step === undefined) throw new Error("no step");
  for (const append of [
    one("s\0", 0),
    { sequence_id: "s", records: [sampleRecord("s", 0, "x", { nonce: "\0" })] } as const,
    { ...one("s", 0), documents: [{ digest: "d", text: "\0" }] },
    { ...one("s", 0), counters: [step] },
  ])
    await expect(store.append(append)).rejects.toThrow(
      new TypeError("PostgreSQL keeps no text with a NUL (U+0000) in it"),
    );
  await expect(store.read("s\0", 0)).rejects.toThrow(TypeError);
  await store.close();
});

logTest(
  storeUnderTest,
  "batches of several objects that want the same places and counters never wait in a circle",
  async ({ place }) => {
    const stores = await Promise.all([1, 2, 3].map(() => storeUnderTest.open(place, PATIENCE)));
    const before = await deadlocks(place);
    for (let round = 0; round < 15; round++) {
      const calls = stores.flatMap((store, nth) => {
        const appends = Array.from({ length: 60 }, (_, n) => counted(`${round}-${n}`, nth, n));
        return (nth % 2 === 0 ? appends : appends.toReversed()).map((append) =>
          store.append(append),
        );
      });
      const answers = await Promise.all(calls);
      expect(answers.filter((answer) => answer === "won")).toHaveLength(60);
      expect(new Set(answers)).toEqual(new Set(["won", "lost"]));
    }
    const counters = await stores[0]?.counters([0, 1, 2, 3, 4].map((n) => `c${n}`));
    // Three steps an append, over five counters.
    expect([...(counters?.values() ?? [])].map(Number).reduce((sum, total) => sum + total)).toBe(
      15 * 60 * 3,
    );
    expect(await deadlocks(place)).toBe(before);
    for (const store of stores) await store.close();
  },
);

describe.skipIf(findPostgres() === undefined)(
  `a server of our own (else skipped: ${NO_POSTGRES})`,
  () => {
    test("a frozen server is unknown in time, its late write is what a retry finds, and the store goes on by itself", async () => {
      const server = await ownServer();
      const store = await open(server.url, 400);
      expect(await store.append(one("s", 0))).toBe("won");
      server.freeze();
      for (const call of [store.append(one("s", 1)), store.append(one("t", 0))]) {
        const [answer, ms] = await timed(call);
        expect([answer, ms < 1_000]).toEqual(["unknown", true]);
      }
      const [error, ms] = await timed(store.read("s", 0).catch((cause: unknown) => cause));
      expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(ms).toBeLessThan(1_000);
      server.thaw();
      await eventually(async () => expect(await store.append(one("s", 1))).toBe("won"));
      expect(await store.read("s", 0)).toHaveLength(2);
      expect(await store.append(one("s", 1, "other"))).toBe("lost");
    });

    test("a gate on a frozen server denies within its deadline, and allows again after it", async () => {
      const server = await ownServer();
      const { gate } = await openTestGate(RACE_POLICY, { store: await open(server.url) });
      const decide = (sequence_id: string) =>
        gate.decide({ sequence_id, function: "intake", action_type: "READ" });
      await eventually(async () => expect((await decide("before")).decision).toBe("ALLOW"));
      server.freeze();
      const [answers, ms] = await timed(
        Promise.all(Array.from({ length: 40 }, (_, n) => decide(`s${n}`))),
      );
      for (const answer of answers)
        expect(answer).toMatchObject({ decision: "DENY", deny_code: "STORE_UNAVAILABLE" });
      expect(ms).toBeLessThan(1_500);
      server.thaw();
      let n = 0;
      await eventually(async () => expect((await decide(`after-${n++}`)).decision).toBe("ALLOW"));
    });

    test("a server that is killed and started again is used again, and keeps what it answered", async () => {
      const server = await ownServer();
      const store = await open(server.url, 3_000);
      const won: string[] = [];
      let running = true;
      const load = Array.from({ length: 8 }, async (_, lane) => {
        for (let n = 0; running; n++) {
          const name = `${lane}-${n}`;
          if ((await store.append(one(name, 0))) === "won") won.push(name);
        }
      });
      for (let time = 0; time < 3; time++) {
        const before = won.length;
        await eventually(async () => expect(won.length).toBeGreaterThan(before + 20));
        await server.kill();
        await server.start();
      }
      const before = won.length;
      await eventually(async () => expect(won.length).toBeGreaterThan(before + 20));
      running = false;
      await Promise.all(load);
      const read = await Promise.all(won.map((name) => store.read(name, 0)));
      expect(read.filter((lines) => lines.length !== 1)).toEqual([]);
    });
  },
);

async function ownServer() {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  await onPostgres(server.url, (pool) => migrate(pool));
  return server;
}

async function open(url: string, timeoutMs?: number): Promise<Store> {
  const store = await openPostgres(url, timeoutMs === undefined ? {} : { timeoutMs });
  // Before the server ends: hooks run in reverse.
  onTestFinished(() => store.close());
  return store;
}

async function deadlocks(place: string): Promise<unknown> {
  await sleep(1_100); // Backends tell their statistics once a second.
  const { url } = ownerOf(place);
  const [row] = await sql(
    url,
    "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
  );
  return row?.["deadlocks"];
}

async function timed<T>(promise: Promise<T>): Promise<readonly [T, number]> {
  const began = performance.now();
  return [await promise, performance.now() - began];
}

async function eventually(attempt: () => Promise<void>): Promise<void> {
  for (const deadline = performance.now() + 30_000; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

/** Three counters each, so that they overlap in every way. */
function counted(name: string, racer: number, n: number): Append {
  const counters = [n % 5, (n + 2) % 5, (n + 4) % 5].flatMap((c) =>
    counting(`c${c}`, "1", "100000"),
  );
  return { ...one(name, 0, `racer ${racer}`), counters };
}

function one(sequence_id: string, seq: number, content = "x"): Append {
  return { sequence_id, records: [sampleRecord(sequence_id, seq, content)] };
}
