/** Store URLs of PostgreSQL, for who has an address and no pool: `postgres://user@host/database?schema=stepgate`. */
import type { Store } from "@stepgate/core";
import pg from "pg";
import type { PostgresPool } from "./pool-clients.ts";
import { postgresStore, type PostgresStoreOptions } from "./postgres-store.ts";
import { DEFAULT_SCHEMA } from "./schema.ts";

/** What stands in a URL beside what the driver reads of it. */
export type PostgresUrlOptions = Omit<PostgresStoreOptions, "pool" | "schema"> & {
  /** How many connections there may be. Default 10. */
  readonly connections?: number;
};

/**
 * Opens the log at a URL on a pool of its own, which ends with the store.
 * @throws as `postgresStore`; TypeError for what is no URL.
 */
export async function openPostgres(url: string, options: PostgresUrlOptions = {}): Promise<Store> {
  const { connections = 10, ...others } = options;
  const { pool, schema } = poolOf(url, connections);
  try {
    const store = await postgresStore({ ...others, pool, schema });
    return {
      ...store,
      async close() {
        await store.close();
        if (!pool.ending) await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** Does `work` (`migrate`, `checkPostgres`, `retire`) on a pool for the URL, and ends the pool whatever came of it. */
export async function onPostgres<T>(
  url: string,
  work: (pool: PostgresPool, schema: string) => Promise<T>,
): Promise<T> {
  const { pool, schema } = poolOf(url, 1);
  try {
    return await work(pool, schema);
  } finally {
    await pool.end();
  }
}

function poolOf(url: string, max: number) {
  const address = new URL(url);
  const schema = address.searchParams.get("schema") ?? DEFAULT_SCHEMA;
  address.searchParams.delete("schema");
  const pool = new pg.Pool({ connectionString: address.href, max });
  return { pool, schema };
}
