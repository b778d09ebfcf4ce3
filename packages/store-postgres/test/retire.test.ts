/** Retention: which sequences go, what stays of them, and that everything that was proved of them holds afterwards. */
import { randomBytes } from "node:crypto";
import {
  checkpointLog,
  createGate,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  proveRecord,
  recordHash,
  type Store,
  verifyProof,
  verifyReceipts,
} from "@stepgate/core";
import { logTest } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { onPostgres, retire, type RetireOptions } from "@stepgate/store-postgres";
import { expect } from "vitest";
import { shareServer } from "./shared-server.ts";
import { ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 0, 1);
const policy = compilePolicy({
  schema: "stepgate.policy/1",
  id: "work",
  version: "1",
  sequence: "work+, end",
  functions: { work: ["READ"], end: ["SEAL"] },
  lifetime: "10d",
});
const key = generateSigningKey();
const keys = importKeySet(exportKeySet([key]));

logTest(
  storeUnderTest,
  "sequences that are over and old go, all others stay, and proofs hold as before",
  async ({ place }) => {
    const { url, schema } = ownerOf(place);
    const { store, gate, clock } = await openGate(place);
    const work = (sequence_id: string, name = "work") =>
      gate.enforce(
        { sequence_id, function: name, action_type: name === "end" ? "SEAL" : "READ" },
        () => "done",
      );
    for (const name of ["sealed", "expired"]) {
      await gate.open({ sequence_id: name, context: { secret: `of ${name}` } });
      await work(name);
    }
    await work("sealed", "end");
    // Nobody records what came of it.
    await gate.decide({ sequence_id: "hanging", function: "work", action_type: "READ" });
    clock.now += 9 * DAY_MS;
    await work("late");
    const checkpoint = await checkpointLog(store, key);
    const before = await store.indexed(0, 1_000);
    const proof = await proveRecord(store, { sequence_id: "sealed", seq: 2 }, checkpoint);
    await work("unindexed");
    await work("unindexed", "end");

    const ask = (options: Partial<RetireOptions>) =>
      onPostgres(url, (pool) => retire(pool, { schema, now: () => clock.now, ...options }));
    // Old enough, but over for less than six months are those that nobody sealed.
    clock.now = START_MS + 188 * DAY_MS;
    const none = { withoutIndex: 0, withOpenAllow: 0 };
    expect(await ask({})).toEqual({ lookedAt: 5, sequences: 1, records: 5, ...none });
    expect(await ask({})).toEqual({ lookedAt: 4, sequences: 0, records: 0, ...none });
    clock.now = START_MS + 195 * DAY_MS;
    const kept = { withoutIndex: 1, withOpenAllow: 1 };
    expect(await ask({})).toEqual({ lookedAt: 4, sequences: 1, records: 3, ...kept });
    clock.now = START_MS + 218 * DAY_MS;
    expect(await ask({})).toEqual({ lookedAt: 3, sequences: 1, records: 3, ...kept });

    // What is gone is gone, and its reader is told so.
    for (const name of ["sealed", "expired", "late"])
      await expect(store.read(name, 0)).rejects.toThrow(
        `sequence '${name}' was retired from the store`,
      );
    expect((await store.read("hanging", 0)).length).toBe(2);
    const rows = await sql(
      url,
      `SELECT count(*)::integer AS texts FROM ${ownerOf(place).at}.document WHERE text LIKE '%secret%'`,
    );
    expect(rows).toEqual([{ texts: 0 }]);
    await expect(store.indexed(0, 1_000)).rejects.toThrow(
      /the record with leaf index \d+ was retired/,
    );
    const report = await verifyReceipts(store.lines(), { keys, policies: [policy] });
    expect(report.findings).toEqual([]);
    expect(report.sequences.map(({ sequence_id }) => sequence_id).toSorted()).toEqual([
      "hanging",
      "unindexed",
    ]);

    // Nothing of it begins again, through this gate or one that knows nothing.
    const fresh = await openGate(place, clock.now);
    for (const gateNow of [gate, fresh.gate]) {
      const again = await gateNow.decide({
        sequence_id: "sealed",
        function: "work",
        action_type: "READ",
      });
      expect(again.decision).toBe("DENY");
    }
    const line = before[0] ?? "";
    for (const seq of [0, 1, 5, 6, 7])
      expect(
        await store.append({ sequence_id: "sealed", records: [{ seq, hash: "h", line }] }),
      ).toBe("lost");

    // The tree is as it was.
    expect(await proveRecord(store, { sequence_id: "sealed", seq: 2 }, checkpoint)).toBe(proof);
    const retired = before.find(
      (text) => text.includes('"sequence_id":"sealed"') && text.includes('"seq":2'),
    );
    expect(verifyProof(recordHash(JSON.parse(retired ?? "")), proof, keys).size).toBe(
      checkpoint.size,
    );
    const later = await checkpointLog(store, key);
    expect(later.size).toBeGreaterThan(checkpoint.size);
    await fresh.store.close();
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "evidence is kept for six months unless somebody says otherwise, and a gate's role may remove none",
  async ({ place }) => {
    const { url, schema } = ownerOf(place);
    const ask = (address: string, options: RetireOptions) =>
      onPostgres(address, (pool) => retire(pool, { schema, ...options }));
    await expect(ask(url, { olderThanDays: 183 })).rejects.toThrow("evidence is kept for 184 days");
    expect(await ask(url, { olderThanDays: 0, sooner: true })).toMatchObject({ sequences: 0 });
    const { store, gate, clock } = await openGate(place);
    await gate.enforce({ sequence_id: "s", function: "work", action_type: "READ" }, () => "done");
    await gate.seal("s", "is over");
    await checkpointLog(store, key);
    await expect(ask(place, { now: () => clock.now + 200 * DAY_MS })).rejects.toThrow(
      "permission denied",
    );
    expect(await store.read("s", 0)).toHaveLength(4);
    expect(await ask(url, { now: () => clock.now + 200 * DAY_MS })).toMatchObject({
      sequences: 1,
      records: 4,
    });
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "superseded steps of counters and windows that ended go, and what stands stays",
  async ({ place }) => {
    const { url, schema, at } = ownerOf(place);
    const store: Store = await storeUnderTest.open(place);
    const count = (n: number, counter: string, at_ms: number) =>
      store.append({
        sequence_id: `${counter}-${n}`,
        records: [{ seq: 0, hash: "h", line: "{}" }],
        counters: [{ counter, add: "1", max: "9", at_ms, until_ms: at_ms + 1_000 }],
      });
    for (let n = 0; n < 3; n++) await count(n, "ended", START_MS);
    for (let n = 0; n < 3; n++) await count(n, "stands", START_MS + 3 * DAY_MS);
    await sql(url, `SELECT ${at}.tidy(${DAY_MS})`);
    expect(await store.counters(["ended", "stands"])).toEqual(new Map([["stands", "3"]]));
    expect(await sql(url, `SELECT count(*)::integer AS steps FROM ${at}.counter`)).toEqual([
      { steps: 1 },
    ]);
    expect(await count(3, "stands", START_MS + 3 * DAY_MS)).toBe("won");
    expect(await store.counters(["stands"])).toEqual(new Map([["stands", "4"]]));
    expect(schema).not.toBe("");
    await store.close();
  },
);

async function openGate(place: string, now = START_MS) {
  const store = await storeUnderTest.open(place, { patienceMs: 20_000 });
  const clock = { now };
  const gate = await createGate({
    policies: [policy],
    store,
    signer: key,
    saltKey: randomBytes(32),
    clock: () => clock.now,
    deadlineMs: 20_000,
  });
  return { store, gate, clock };
}
