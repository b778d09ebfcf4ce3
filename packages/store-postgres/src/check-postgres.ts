/** Whether a server, its settings and the role can keep what the store promises, finding by finding. */
import type { StoreFinding } from "@stepgate/core";
import { type Connections, connections } from "./connections.ts";
import type { PostgresPool, Row } from "./pool-clients.ts";
import { DEFAULT_SCHEMA, quoted } from "./schema.ts";
import { schemaVersion, versionFault } from "./schema-version.ts";
import { serverFindings } from "./server-settings.ts";

/** Which log. */
export interface CheckOptions {
  /** Default `stepgate`. */
  readonly schema?: string;
}

const TIMEOUT_MS = 5_000;
/** More than the clocks of one data centre differ by. */
const MOST_CLOCK_MS = 1_000;

/**
 * Looks at the server as the pool's role sees it, and changes nothing. A server that cannot be asked is a finding too.
 * @example
 * for (const { level, message } of await checkPostgres(pool)) console.log(level, message);
 */
export async function checkPostgres(
  pool: PostgresPool,
  { schema = DEFAULT_SCHEMA }: CheckOptions = {},
): Promise<readonly StoreFinding[]> {
  quoted(schema);
  const database = connections(pool, TIMEOUT_MS);
  try {
    const findings = [...(await serverFindings(database))];
    findings.push(await standbyFinding(database), await clockFinding(database));
    findings.push(await poolerFinding(pool), await schemaFinding(database, schema));
    if (findings.every(({ check, level }) => check !== "schema" || level === "ok"))
      findings.push(...(await rightsFindings(database, schema)));
    return findings;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the server cannot be used: ${reason}`;
    return [{ check: "connection", level: "fault", message }];
  } finally {
    database.close();
  }
}

/** Who acknowledged a receipt besides the primary decides what a failover can lose. */
async function standbyFinding(database: Connections): Promise<StoreFinding> {
  const check = "synchronous standbys";
  const names = (
    await one(database, "SELECT current_setting('synchronous_standby_names') AS names")
  )["names"];
  if (names !== "")
    return {
      check,
      level: "ok",
      message: `receipts are on disk on ${String(names)} too before an action runs`,
    };
  return {
    check,
    level: "warning",
    message:
      "there is no synchronous standby: a failover to another server, or the loss of this one's disk, loses the last receipts, and their nonces may be allowed once more",
    fix: "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby_a, standby_b)'; SELECT pg_reload_conf();",
  };
}

async function clockFinding(database: Connections): Promise<StoreFinding> {
  const before = Date.now();
  const { ms } = await one(database, "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms");
  const after = Date.now();
  const apart = Math.round(Math.max(before - Number(ms), Number(ms) - after, 0));
  if (apart <= MOST_CLOCK_MS)
    return {
      check: "clock",
      level: "ok",
      message: "the server's clock agrees with this machine's",
    };
  return {
    check: "clock",
    level: "warning",
    message: `the server's clock is ${apart} ms off this machine's: what a gate calls fresh or over goes by its own`,
    fix: "run a time service (chrony, systemd-timesyncd) on both machines",
  };
}

/** A pooler tells its clients a process number of its own making. */
async function poolerFinding(pool: PostgresPool): Promise<StoreFinding> {
  const client = await pool.connect();
  try {
    const { rows } = await client.query({
      text: "SELECT pg_backend_pid() AS pid",
      query_timeout: TIMEOUT_MS,
    });
    const [row = {}] = rows;
    if (client.processID === undefined || row["pid"] === client.processID)
      return { check: "pooler", level: "ok", message: "connections lead to the server itself" };
  } finally {
    client.release();
  }
  return {
    check: "pooler",
    level: "warning",
    message:
      "a pooler stands in between: where it pools by transaction, the store's time-outs may be lost on the server, or be met by others; durability and isolation are set by every append itself",
    fix: "connect to the server itself, or pool by session (pgbouncer: pool_mode = session)",
  };
}

async function schemaFinding(database: Connections, schema: string): Promise<StoreFinding> {
  const version = await schemaVersion(database, schema);
  const fault = versionFault(version, schema);
  return fault === undefined
    ? {
        check: "schema",
        level: "ok",
        message: `the schema ${quoted(schema)} is of version ${version}`,
      }
    : { check: "schema", level: "fault", message: fault, fix: "stepgate store migrate URL" };
}

/** Too few rights and no gate works; too many and whoever has the gate's password can rewrite evidence. */
async function rightsFindings(
  database: Connections,
  schema: string,
): Promise<readonly StoreFinding[]> {
  const at = quoted(schema);
  const row = await one(
    database,
    `SELECT quote_ident(current_user) AS role,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super,
       coalesce(bool_or(pg_has_role(c.relowner, 'USAGE')), false) AS owner,
       coalesce(bool_or(has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')), false) AS changes,
       coalesce(bool_and(has_table_privilege(c.oid, 'SELECT') AND (c.relname = 'version' OR has_table_privilege(c.oid, 'INSERT'))), false) AS works
     FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition`,
    [at],
  );
  const { role } = row;
  const wide = ["super", "owner", "changes"].some((what) => row[what] === true);
  return [
    row["works"] === true
      ? { check: "rights", level: "ok", message: `the role ${String(role)} may read and insert` }
      : {
          check: "rights",
          level: "fault",
          message: `the role ${String(role)} may not read and insert everywhere: no gate can start`,
          fix: `run migrate() as the owner with gateRoles: [${String(role)}]`,
        },
    wide
      ? {
          check: "evidence",
          level: "warning",
          message: `the role ${String(role)} may change or remove records: whoever gets hold of it can, too`,
          fix: `CREATE ROLE gate LOGIN; then migrate() with gateRoles: ["gate"], and connect as it`,
        }
      : {
          check: "evidence",
          level: "ok",
          message: `the role ${String(role)} can neither change nor remove a record`,
        },
  ];
}

async function one(
  database: Connections,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const [row = {}] = await database.query(text, values);
  return row;
}
