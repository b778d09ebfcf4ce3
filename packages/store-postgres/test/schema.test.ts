/** Who makes the tables, who may do what with them, and what a gate says that finds none, or others. */
import { randomUUID } from "node:crypto";
import { migrate, onPostgres, openPostgres } from "@stepgate/store-postgres";
import { logTest, sampleRecord } from "@stepgate/contract";
import pg from "pg";
import { expect } from "vitest";
import { shareServer } from "./shared-server.ts";
import { beginEras, ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();

logTest(
  storeUnderTest,
  "a gate that finds no log does not start, and says what to run",
  async ({ place }) => {
    const url = new URL(ownerOf(place).url);
    url.searchParams.set("schema", "nothing here");
    await expect(openPostgres(url.href)).rejects.toThrow(
      /there is no log in the schema "nothing here": run migrate\(\).*stepgate store migrate URL/,
    );
  },
);

logTest(
  storeUnderTest,
  "a log of a later version is refused, by gates and by migrate",
  async ({ place }) => {
    const { url, schema, at } = ownerOf(place);
    await sql(url, `INSERT INTO ${at}.version (version) VALUES (99)`);
    try {
      await expect(storeUnderTest.open(place)).rejects.toThrow(
        "is of version 99, and this program knows version 1",
      );
      await expect(onPostgres(url, (pool) => migrate(pool, { schema }))).rejects.toThrow(
        "version 99",
      );
    } finally {
      await sql(url, `DELETE FROM ${at}.version WHERE version = 99`);
    }
  },
);

logTest(
  storeUnderTest,
  "a store that opens a log on another server, while one before it does the same, is of the same new era",
  async ({ place }) => {
    const { url, at } = ownerOf(place);
    await sql(url, `DELETE FROM ${at}.era; INSERT INTO ${at}.era VALUES (7, 'another server')`);
    const first = new pg.Client(url);
    await first.connect();
    await first.query("BEGIN");
    await first.query(
      `INSERT INTO ${at}.era SELECT 8, system_identifier::text FROM pg_control_system()`,
    );
    const opening = storeUnderTest.open(place, { patienceMs: 20_000 });
    const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND transactionid IS NOT NULL`;
    await expect.poll(() => sql(url, waiting), { timeout: 20_000 }).toEqual([{ n: 1 }]);
    await first.query("COMMIT");
    await first.end();
    const store = await opening;
    await store.append({ sequence_id: "s", records: [sampleRecord("s", 0, "record")] });
    expect(await sql(url, `SELECT arrival >> 48 AS era FROM ${at}.record`)).toEqual([{ era: "8" }]);
    await store.close();
    await beginEras(url, at);
  },
);

logTest(
  storeUnderTest,
  "of many that migrate at once, one makes the log and all succeed",
  async ({ place }) => {
    const { url } = ownerOf(place);
    const schema = `many ${randomUUID()}`;
    const told = await Promise.all(
      Array.from({ length: 6 }, () => onPostgres(url, (pool) => migrate(pool, { schema }))),
    );
    expect(told.map(({ from }) => from).toSorted()).toEqual([0, 1, 1, 1, 1, 1]);
    expect(new Set(told.map(({ to }) => to))).toEqual(new Set([1]));
    await sql(url, `DROP SCHEMA "${schema}" CASCADE`);
  },
);

logTest(
  storeUnderTest,
  "a gate's role can insert, and can change, remove or make nothing",
  async ({ place }) => {
    const { at, schema } = ownerOf(place);
    const store = await storeUnderTest.open(place);
    await store.append({ sequence_id: "s", records: [sampleRecord("s", 0, "x")] });
    await store.close();
    for (const statement of [
      `UPDATE ${at}.record SET line = ''`,
      `DELETE FROM ${at}.record`,
      `TRUNCATE ${at}.record`,
      `UPDATE ${at}.counter SET total = 0`,
      `DELETE FROM ${at}.leaf`,
      `DELETE FROM ${at}.node`,
      `INSERT INTO ${at}.version (version) VALUES (2)`,
      `CREATE TABLE ${at}.mine (a integer)`,
      `DROP TABLE ${at}.record`,
    ])
      await expect(sql(withoutSchema(place), statement), statement).rejects.toThrow(
        /permission denied|must be owner/,
      );
    await expect(
      onPostgres(place, (pool) => migrate(pool, { schema: `${schema} 2` })),
    ).rejects.toThrow("permission denied");
  },
);

logTest(
  storeUnderTest,
  "the owner too can change or remove nothing by mistake",
  async ({ place }) => {
    const { url, at } = ownerOf(place);
    const store = await storeUnderTest.open(place);
    const record = sampleRecord("s", 0, "x");
    await store.append({ sequence_id: "s", records: [record] });
    const leaf = { sequence_id: "s", seq: 0, hash: "0".repeat(64) };
    await store.index({
      size: 0,
      leaves: [leaf],
      nodes: [{ level: 1, index: 0, hash: leaf.hash }],
    });
    for (const table of ["record", "leaf", "node"]) {
      for (const statement of [`DELETE FROM ${at}.${table}`, `TRUNCATE ${at}.${table}`])
        await expect(sql(url, statement), statement).rejects.toThrow("is never changed");
    }
    await expect(sql(url, `UPDATE ${at}.record SET line = ''`)).rejects.toThrow("is never changed");
    expect(await store.read("s", 0)).toEqual([record.line]);
    await store.close();
  },
);

/** The driver would hand an unknown parameter on to the server. */
function withoutSchema(place: string): string {
  const url = new URL(place);
  url.searchParams.delete("schema");
  return url.href;
}
