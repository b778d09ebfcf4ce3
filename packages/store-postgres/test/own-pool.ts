/** A pool of a test's own, for what a store does with the pool that it is given. */
import pg from "pg";
import { onTestFinished } from "vitest";

/** On the server of the log at `place`; it ends with the test. */
export function ownPool(
  place: string,
  options: pg.PoolConfig = {},
): { readonly pool: pg.Pool; readonly schema: string } {
  const url = new URL(place);
  const schema = url.searchParams.get("schema") ?? "";
  url.searchParams.delete("schema");
  const pool = new pg.Pool({ connectionString: url.href, ...options });
  onTestFinished(() => pool.end());
  return { pool, schema };
}
