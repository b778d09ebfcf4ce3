/** Leaf indexes, lines and open ALLOWs beside transactions that take long to commit, and in a log that has become long. */
import { hash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Append, Leaf, Store } from "@stepgate/core";
import { logTest, sampleRecord } from "@stepgate/contract";
import pg from "pg";
import { expect } from "vitest";
import { shareServer } from "./shared-server.ts";
import { beginEras, ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();

logTest(
  storeUnderTest,
  "a record that was long in coming is indexed after those that overtook it, and left out nowhere",
  async ({ place }) => {
    const store = await storeUnderTest.open(place, { patienceMs: 20_000 });
    await store.append(one("before", 0));
    const slow = await slowAppend(place, "slow");
    for (let seq = 0; seq < 3; seq++) await store.append(one("after", seq));
    expect(await linesOf(store)).toEqual(["before 0", "after 0", "after 1", "after 2"]);
    await indexAll(store);
    await store.append(one("after", 3));
    expect(await linesOf(store)).toEqual(["before 0", "after 0", "after 1", "after 2", "after 3"]);
    await slow.commit();
    await store.append(one("slow", 1));
    // It arrived before those that are indexed already.
    const order = "before 0,after 0,after 1,after 2,slow 0,after 3,slow 1";
    expect((await linesOf(store)).join()).toBe(order);
    await indexAll(store);
    const places = await Promise.all([0, 1].map((seq) => store.leaf("slow", seq)));
    expect(places).toEqual([4, 6]);
    expect((await store.indexed(0, 100)).map(nameOf)).toEqual(await linesOf(store));
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "lines that are read while others write and index come once each, and no sequence has a gap",
  async ({ place }) => {
    const store = await storeUnderTest.open(place, { patienceMs: 20_000 });
    const other = await storeUnderTest.open(place, { patienceMs: 20_000 });
    let writing = true;
    const writers = Array.from({ length: 6 }, async (_, lane) => {
      for (let seq = 0; writing || seq < 20; seq++) await other.append(one(`s${lane}`, seq));
    });
    const indexer = (async () => {
      while (writing) await indexAll(other, 7);
    })();
    for (let time = 0; time < 8; time++) {
      const next = new Map<string, number>();
      for await (const line of store.lines()) {
        const [name = "", seq] = nameOf(line).split(" ");
        expect([name, Number(seq)]).toEqual([name, next.get(name) ?? 0]);
        next.set(name, Number(seq) + 1);
      }
    }
    writing = false;
    await Promise.all([...writers, indexer]);
    for (const one of [store, other]) await one.close();
  },
);

logTest(
  storeUnderTest,
  "a start reads ALLOWs from the last floor on, and finds all that are open",
  async ({ place }) => {
    const { at, url } = ownerOf(place);
    const store = await storeUnderTest.open(place, { patienceMs: 20_000 });
    const allow = (name: string) => ({
      sequence_id: name,
      records: [
        sampleRecord(name, 0, "allow", { opens: { gate_id: "g", expires_ms: 1 } }),
      ] as const,
    });
    const close = (name: string) =>
      store.append({
        sequence_id: name,
        records: [sampleRecord(name, 1, "outcome", { closes: allow(name).records[0].hash })],
      });
    const names = Array.from({ length: 60 }, (_, n) => `s${n}`);
    const open = async (): Promise<readonly string[]> =>
      (await Array.fromAsync(store.openAllows())).map(({ sequence_id }) => sequence_id).toSorted();
    await Promise.all(names.map((name) => store.append(allow(name))));
    for (const name of names.slice(0, 40)) await close(name);
    expect(await open()).toEqual(names.slice(40).toSorted());
    // As the store would after many records; here after ten.
    const floors = async () =>
      Number((await sql(url, `SELECT count(*) AS n FROM ${at}.open_floor`))[0]?.["n"]);
    const lay = () => sql(placeOf(place), `SELECT * FROM ${at}.open_allows(1, 1, 10)`);
    expect(await lay()).toHaveLength(20);
    expect(await floors()).toBe(1);
    for (const name of names.slice(40, 50)) await close(name);
    await store.append(allow("later"));
    expect(await open()).toEqual([...names.slice(50), "later"].toSorted());
    expect(await lay()).toHaveLength(11);
    expect(await lay()).toHaveLength(11);
    expect(await floors()).toBe(2);
    await close("later");
    expect(await open()).toEqual(names.slice(50).toSorted());
    await store.close();
  },
);

logTest(
  storeUnderTest,
  "a log that another server took over by a dump goes on, its new records behind the old ones",
  async ({ place }) => {
    const { at, url } = ownerOf(place);
    // Transactions of the server that it came from had far higher numbers.
    await sql(
      url,
      `DELETE FROM ${at}.era; INSERT INTO ${at}.era (era, system_identifier) VALUES (1, 'another')`,
    );
    const sample = sampleRecord("s", 0, "x");
    const arrival = (1n << 48n) + 9_000_000_000n;
    await sql(
      url,
      `INSERT INTO ${at}.record (sequence_id, seq, arrival, ordinal, line) VALUES ($1, 0, $2, 1, $3)`,
      ["s", arrival, sample.line],
    );
    const store = await storeUnderTest.open(place, { patienceMs: 20_000 });
    expect(await store.append(one("s", 1))).toBe("won");
    expect(await linesOf(store)).toEqual(["s 0", "s 1"]);
    await indexAll(store);
    expect(await store.append(one("s", 2))).toBe("won");
    expect((await store.unindexed(10)).records.map(({ seq }) => seq)).toEqual([2]);
    await store.close();
    await beginEras(url, at);
  },
);

logTest(
  storeUnderTest,
  "who indexes waits its turn, longer than any decision may take",
  async ({ place }) => {
    const { at, url } = ownerOf(place);
    const store = await storeUnderTest.open(place, { patienceMs: 300 });
    while ((await store.append(one("s", 0))) === "unknown");
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    const key = hash("sha256", `stepgate ${at} tree`, "buffer").readBigInt64BE();
    await other.query("SELECT pg_advisory_lock($1)", [key]);
    const leaf = { sequence_id: "s", seq: 0, hash: "0".repeat(64) };
    const began = performance.now();
    const indexing = store.index({ size: 0, leaves: [leaf], nodes: [] });
    await sleep(1_000);
    await other.end();
    expect(await indexing).toBe("won");
    expect(performance.now() - began).toBeGreaterThan(900);
    await store.close();
  },
);

/** An append whose transaction is open until it is told to commit, as a server under load may be slow to. */
async function slowAppend(place: string, name: string) {
  const { at } = ownerOf(place);
  const client = new pg.Client({ connectionString: placeOf(place) });
  await client.connect();
  await client.query("BEGIN");
  const { line } = sampleRecord(name, 0, "x");
  const { rows } = await client.query(
    `SELECT ${at}.append(1, 1, '{1}', ARRAY[$1::text], '{0}', '{false}', '{0}', '{NULL}', ARRAY[$2::text], '{NULL}', '{NULL}', '{NULL}', '{NULL}') AS results`,
    [name, line],
  );
  expect(rows).toEqual([{ results: ["won"] }]);
  return {
    async commit() {
      await client.query("COMMIT");
      await client.end();
    },
  };
}

function placeOf(place: string): string {
  const url = new URL(place);
  url.searchParams.delete("schema");
  return url.href;
}

async function linesOf(store: Store): Promise<readonly string[]> {
  return (await Array.fromAsync(store.lines())).map(nameOf);
}

function nameOf(line: string): string {
  const { sequence_id, seq } = JSON.parse(line);
  return `${sequence_id} ${seq}`;
}

async function indexAll(store: Store, atOnce = 100): Promise<void> {
  for (;;) {
    const { size, records } = await store.unindexed(atOnce);
    const [first, ...rest] = records.map(({ sequence_id, seq, line }): Leaf => {
      return { sequence_id, seq, hash: hash("sha256", line) };
    });
    if (first === undefined) return;
    await store.index({ size, leaves: [first, ...rest], nodes: [] });
  }
}

function one(sequence_id: string, seq: number): Append {
  return { sequence_id, records: [sampleRecord(sequence_id, seq, "x")] };
}
