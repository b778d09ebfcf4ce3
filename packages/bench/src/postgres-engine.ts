/** PostgreSQL for the benchmark: a server of its own, our store on it, and bare inserts through the same driver. */
import { randomUUID } from "node:crypto";
import { findPostgres, NO_POSTGRES, startPostgres } from "@stepgate/contract";
import { migrate, onPostgres, openPostgres } from "@stepgate/store-postgres";
import pg from "pg";
import type { Engine } from "./store-engines.ts";

/** Starts a server with fsync on and PostgreSQL's own defaults; says why where it cannot. */
export async function postgresEngine(): Promise<Engine | string> {
  if (findPostgres() === undefined) return NO_POSTGRES;
  const { url, version, stop } = await startPostgres();
  const bare = new pg.Pool({ connectionString: url, max: CONNECTIONS });
  await bare.query("CREATE TABLE row (id uuid PRIMARY KEY, line text NOT NULL)");
  return {
    name: "PostgreSQL",
    durability: `${version}, fsync=on, synchronous_commit=on`,
    async openStore() {
      await onPostgres(url, (pool) => migrate(pool));
      return openPostgres(url, { connections: CONNECTIONS, timeoutMs: 10_000 });
    },
    insert: (rows) => insert(bare, rows),
    async close() {
      await bare.end();
      await stop();
    },
  };
}

const CONNECTIONS = 10;

/** Prepared once a connection, as the quickest way that the driver has. */
async function insert(pool: pg.Pool, rows: readonly string[]): Promise<void> {
  const [line] = rows;
  if (rows.length === 1)
    await pool.query({
      name: "one",
      text: "INSERT INTO row (id, line) VALUES ($1, $2)",
      values: [randomUUID(), line],
    });
  else
    await pool.query({
      name: "many",
      text: "INSERT INTO row (id, line) SELECT * FROM unnest($1::uuid[], $2::text[])",
      values: [rows.map(() => randomUUID()), rows],
    });
}
