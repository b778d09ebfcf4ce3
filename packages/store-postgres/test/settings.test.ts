/** The server and its settings: what is refused, what is set, and what `checkPostgres` says of it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  checkPostgres,
  migrate,
  onPostgres,
  openPostgres,
  postgresStore,
} from "@stepgate/store-postgres";
import {
  logTest,
  findPostgres,
  NO_POSTGRES,
  sampleRecord,
  startPostgres,
} from "@stepgate/contract";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { shareServer } from "./shared-server.ts";
import { ownerOf, sql, storeUnderTest } from "./store-under-test.ts";

shareServer();

describe.skipIf(findPostgres() === undefined)(
  `servers of our own (else skipped: ${NO_POSTGRES})`,
  () => {
    test("a server that may lose what it answered is refused, with the command that mends it", async () => {
      const { url } = await server({ fsync: false });
      await onPostgres(url, (pool) => migrate(pool));
      await expect(openPostgres(url)).rejects.toThrow(
        /fsync is off: a crash of the machine loses receipts .*ALTER SYSTEM SET fsync = on/,
      );
      const findings = await onPostgres(url, (pool) => checkPostgres(pool));
      expect(findings).toContainEqual(expect.objectContaining({ check: "fsync", level: "fault" }));
    });

    test("a standby is refused: only the primary knows where a sequence stands", async () => {
      const one = await server({});
      await onPostgres(one.url, (pool) => migrate(pool));
      await one.kill();
      writeFileSync(join(one.data, "standby.signal"), "");
      await one.start();
      await expect(openPostgres(one.url)).rejects.toThrow("the server is a standby");
      const [finding] = await onPostgres(one.url, (pool) => checkPostgres(pool));
      expect(finding).toMatchObject({ check: "connection", level: "fault" });
      expect(finding?.message).toContain("standby");
    });

    test("an append is on disk when it is answered, whatever the server, the database or a pooler has set", async () => {
      const { url } = await server({ synchronous_commit: "off", wal_writer_delay: "10s" });
      await onPostgres(url, (pool) => migrate(pool));
      await sql(url, "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'");
      const unflushed =
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()) > 0 AS some";
      // The control: what this server does by itself is not on disk.
      await sql(url, "CREATE TABLE control (a integer)");
      await sql(url, "CHECKPOINT");
      await sql(url, "INSERT INTO control VALUES (1)");
      expect(await sql(url, unflushed)).toEqual([{ some: true }]);

      const pool = new pg.Pool({ connectionString: url });
      const store = await postgresStore({ pool });
      expect(await store.append(one("s", 0))).toBe("won");
      expect(await sql(url, unflushed)).toEqual([{ some: false }]);
      await store.close();

      // As behind a pooler that forgets a session's settings between two transactions.
      pool.on(
        "acquire",
        (client) =>
          void client.query("RESET ALL; SET default_transaction_isolation = 'read committed'"),
      );
      const pooled = await postgresStore({ pool });
      expect(await pooled.append(one("s", 1))).toBe("won");
      expect(await sql(url, unflushed)).toEqual([{ some: false }]);
      await pooled.close();
      await pool.end();
    });

    test("a server that nobody answers for is one finding", async () => {
      const one = await server({});
      await one.kill();
      const findings = await onPostgres(one.url, (pool) => checkPostgres(pool));
      expect(findings).toEqual([expect.objectContaining({ check: "connection", level: "fault" })]);
    });
  },
);

logTest(
  storeUnderTest,
  "for a gate's role all is well but for what a failover can lose",
  async ({ place }) => {
    const { schema } = ownerOf(place);
    const findings = await onPostgres(place, (pool) => checkPostgres(pool, { schema }));
    const others = findings.filter(({ check }) => check !== "synchronous standbys");
    expect(others.filter(({ level }) => level !== "ok")).toEqual([]);
    expect(others.map(({ check }) => check)).toEqual([
      "server version",
      "fsync",
      "full_page_writes",
      "encoding",
      "clock",
      "pooler",
      "schema",
      "rights",
      "evidence",
    ]);
    expect(findings).toHaveLength(10);
  },
);

logTest(
  storeUnderTest,
  "a role that could rewrite evidence is warned of, and one that cannot insert is a fault",
  async ({ place }) => {
    const { url, schema } = ownerOf(place);
    const asOwner = await onPostgres(url, (pool) => checkPostgres(pool, { schema }));
    expect(asOwner).toContainEqual(
      expect.objectContaining({ check: "evidence", level: "warning" }),
    );
    await sql(
      url,
      `CREATE ROLE "no gate"; GRANT USAGE ON SCHEMA "${schema.replaceAll('"', '""')}" TO "no gate"; GRANT SELECT ON ${ownerOf(place).at}.version TO "no gate"`,
    );
    const asNobody = new URL(place);
    asNobody.searchParams.set("options", "-c role=no\\ gate");
    const findings = await onPostgres(asNobody.href, (pool) => checkPostgres(pool, { schema }));
    expect(findings).toContainEqual(expect.objectContaining({ check: "rights", level: "fault" }));
    await sql(url, `DROP OWNED BY "no gate"; DROP ROLE "no gate"`);
  },
);

logTest(
  storeUnderTest,
  "a schema without a log is a fault that says what to run",
  async ({ place }) => {
    const findings = await onPostgres(ownerOf(place).url, (pool) =>
      checkPostgres(pool, { schema: "none" }),
    );
    const found = findings.find(({ check }) => check === "schema");
    expect(found).toMatchObject({ level: "fault", fix: "stepgate store migrate URL" });
  },
);

async function server(settings: Parameters<typeof startPostgres>[0]) {
  const started = await startPostgres(settings);
  onTestFinished(() => started.stop());
  return started;
}

function one(sequence_id: string, seq: number) {
  return { sequence_id, records: [sampleRecord(sequence_id, seq, "x")] } as const;
}
