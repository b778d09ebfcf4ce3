/** Makes the tables of a log, or brings them up to date: run by the role that owns them, never by a gate. */
import { lockKey } from "./append-arguments.ts";
import { unavailable } from "./connections.ts";
import type { PostgresClient, PostgresPool } from "./pool-clients.ts";
import { additions, DEFAULT_SCHEMA, quoted, SCHEMA_VERSION } from "./schema.ts";

/** Which log, and who is to use it. */
export interface MigrateOptions {
  /** Default `stepgate`. */
  readonly schema?: string;
  /** Roles that are given what a gate needs, and no more: to read and to insert. They must be there. */
  readonly gateRoles?: readonly string[];
}

/** Which version the log had (0: there was none), and has now. */
export interface Migration {
  readonly from: number;
  readonly to: number;
}

/**
 * Brings a log up to the version of this program, whole or not at all, one process at a time; a log that is up to date is
 * only granted. Gates of the old version should have ended.
 *
 * @throws GateError STORE_UNAVAILABLE for a log of a newer version, or where the role may not do it.
 */
export async function migrate(
  pool: PostgresPool,
  options: MigrateOptions = {},
): Promise<Migration> {
  const { schema = DEFAULT_SCHEMA, gateRoles = [] } = options;
  const at = quoted(schema);
  const grants = gateRoles.map((role) => grantsOf(at, quoted(role)));
  const client = await pool.connect();
  try {
    await client.query({ text: "BEGIN" });
    await client.query({
      text: "SELECT pg_advisory_xact_lock($1)",
      values: [lockKey(at, "migration")],
    });
    const from = await versionOf(client, at);
    if (from > SCHEMA_VERSION)
      throw new Error(
        `its schema is of version ${from}, and this program knows version ${SCHEMA_VERSION}`,
      );
    if (from < SCHEMA_VERSION) await client.query({ text: scriptOf(at, schema, from) });
    for (const grant of grants) await client.query({ text: grant });
    await client.query({ text: "COMMIT" });
    client.release();
    return { from, to: SCHEMA_VERSION };
  } catch (cause) {
    client.release(true);
    throw unavailable("cannot be migrated", cause);
  }
}

/** As text, without parameters: many statements at once. */
function scriptOf(at: string, schema: string, from: number): string {
  const begin = `CREATE SCHEMA IF NOT EXISTS ${at}; REVOKE ALL ON SCHEMA ${at} FROM PUBLIC;`;
  const end = `INSERT INTO ${at}.version (version) VALUES (${SCHEMA_VERSION});`;
  return [from === 0 ? begin : "", additions(schema, from), end].join("\n");
}

function grantsOf(at: string, role: string): string {
  return `GRANT USAGE ON SCHEMA ${at} TO ${role};
    GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA ${at} TO ${role};
    REVOKE INSERT ON ${at}.version FROM ${role};`;
}

async function versionOf(client: PostgresClient, at: string): Promise<number> {
  const text = "SELECT to_regclass($1) IS NOT NULL AS there";
  const { rows } = await client.query({ text, values: [`${at}.version`] });
  if (rows[0]?.["there"] !== true) return 0;
  const found = await client.query({
    text: `SELECT coalesce(max(version), 0) AS version FROM ${at}.version`,
  });
  return Number(found.rows[0]?.["version"]);
}
