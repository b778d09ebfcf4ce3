/** PostgreSQL as the shared tests want it: logs in schemas of their own, used by roles that may read and insert, and no more. */
import { randomUUID } from "node:crypto";
import {
  findPostgres,
  type LogUnderTest,
  NO_POSTGRES,
  type PostgresServer,
  startPostgres,
  type StoreUnderTest,
} from "@stepgate/contract";
import { migrate, onPostgres, openPostgres } from "@stepgate/store-postgres";

/** As long as one of its logs, or somebody who holds it, needs it. */
let server: Promise<PostgresServer> | undefined;
let holders = 0;
/** Emptied logs, for the next test: to make tables takes as long as a test. */
const spare: string[] = [];

export const storeUnderTest: StoreUnderTest = {
  name: "postgres",
  module: import.meta.url,
  open: (place, { patienceMs } = {}) =>
    openPostgres(place, patienceMs === undefined ? {} : { timeoutMs: patienceMs }),
  absent: async () =>
    process.env["DATABASE_URL"] === undefined && findPostgres() === undefined
      ? NO_POSTGRES
      : undefined,
  newLog,
};

/** Keeps one server, and the logs that were made on it, over several logs, until the promised function is called. */
export async function holdServer(): Promise<() => Promise<void>> {
  const url = process.env["DATABASE_URL"];
  holders++;
  if (url === undefined) server ??= startPostgres();
  const held = await server;
  return async () => {
    if (--holders > 0) return;
    server = undefined;
    const names = spare.splice(0);
    if (url !== undefined) for (const name of names) await drop(url, name);
    await held?.stop();
  };
}

async function newLog(): Promise<LogUnderTest> {
  const release = await holdServer();
  const started = await server;
  const owner = ownerUrl(started);
  const name = spare.pop() ?? (await makeLog(owner));
  return {
    place: gateUrl(owner, name),
    ...(started === undefined ? {} : { server: started }),
    async remove() {
      await empty(owner, name);
      spare.push(name);
      await release();
    },
  };
}

/** Both names are as odd as they may be. */
async function makeLog(owner: string): Promise<string> {
  const name = `Log "${randomUUID()}"`;
  await sql(owner, `CREATE ROLE ${identifier(name)}`);
  await onPostgres(owner, (pool) => migrate(pool, { schema: name, gateRoles: [name] }));
  return name;
}

/** Past the triggers that say no, which takes a superuser. */
async function empty(owner: string, name: string): Promise<void> {
  const tables = "record document setting counter leaf node growth open_floor open_allow".split(
    " ",
  );
  const deletes = tables.map((table) => `DELETE FROM ${identifier(name)}.${table};`);
  await sql(owner, `SET session_replication_role = replica; ${deletes.join(" ")}`);
}

async function drop(owner: string, name: string): Promise<void> {
  await sql(owner, `DROP SCHEMA ${identifier(name)} CASCADE`);
  await sql(owner, `DROP ROLE ${identifier(name)}`);
}

/** Who made the log, and what it is called in SQL. */
export function ownerOf(place: string): {
  readonly url: string;
  readonly schema: string;
  readonly at: string;
} {
  const url = new URL(place);
  const schema = url.searchParams.get("schema") ?? "";
  for (const name of ["schema", "options"]) url.searchParams.delete(name);
  return { url: url.href, schema, at: identifier(schema) };
}

function ownerUrl(started: PostgresServer | undefined): string {
  const url = started?.url ?? process.env["DATABASE_URL"];
  if (url === undefined) throw new Error(NO_POSTGRES);
  return url;
}

/** One statement as whoever the URL names; resolves to its rows. */
export async function sql(
  url: string,
  text: string,
  values?: unknown[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return onPostgres(url, async (pool) => {
    const client = await pool.connect();
    try {
      return (await client.query({ text, ...(values === undefined ? {} : { values }) })).rows;
    } finally {
      client.release();
    }
  });
}

/** The log is of this server again, and of no other before it, for the next test that is given it. */
export async function beginEras(url: string, at: string): Promise<void> {
  await sql(
    url,
    `DELETE FROM ${at}.era; INSERT INTO ${at}.era SELECT 1, system_identifier::text FROM pg_control_system()`,
  );
}

/** The session takes the role on when it begins, so that the server's own rules of logging in need not know it. */
function gateUrl(owner: string, name: string): string {
  const url = new URL(owner);
  url.searchParams.set("schema", name);
  // The server splits options at spaces that no backslash guards.
  url.searchParams.set("options", `-c role=${name.replace(/[\\ ]/g, "\\$&")}`);
  return url.href;
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
