/** Which version of the schema a log has, and what to do where this program cannot use it. */
import type { Connections } from "./connections.ts";
import { quoted, SCHEMA_VERSION } from "./schema.ts";

/** 0 where there is no log yet. */
export async function schemaVersion(database: Connections, schema: string): Promise<number> {
  const at = quoted(schema);
  const [found] = await database.query("SELECT to_regclass($1) IS NOT NULL AS there", [
    `${at}.version`,
  ]);
  if (found?.["there"] !== true) return 0;
  const [row] = await database.query(
    `SELECT coalesce(max(version), 0) AS version FROM ${at}.version`,
    [],
  );
  return Number(row?.["version"]);
}

/** Why a log of this version cannot be used, and what to run; `undefined` where it can. */
export function versionFault(version: number, schema: string): string | undefined {
  if (version === SCHEMA_VERSION) return undefined;
  if (version > SCHEMA_VERSION)
    return `the schema ${quoted(schema)} is of version ${version}, and this program knows version ${SCHEMA_VERSION}: update @stepgate/store-postgres`;
  const what =
    version === 0
      ? `there is no log in the schema ${quoted(schema)}`
      : `the schema ${quoted(schema)} is of version ${version}, and this program needs version ${SCHEMA_VERSION}`;
  return `${what}: run migrate() of @stepgate/store-postgres once as the role that is to own it, or: stepgate store migrate URL`;
}

/** @throws Error with {@link versionFault}. */
export async function mustBeCurrent(database: Connections, schema: string): Promise<void> {
  const fault = versionFault(await schemaVersion(database, schema), schema);
  if (fault !== undefined) throw new Error(fault);
}
