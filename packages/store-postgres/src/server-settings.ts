/** What a server must be for `won` to mean durable: asked at every opening, and told in full by `checkPostgres`. */
import type { StoreFinding } from "@stepgate/core";
import type { Connections } from "./connections.ts";

/** The oldest server that has all that the schema needs. */
const OLDEST = 140_000;

/** Findings about the server itself, whatever log it holds. */
export async function serverFindings(database: Connections): Promise<readonly StoreFinding[]> {
  const [row = {}] = await database.query(
    `SELECT current_setting('server_version_num')::integer AS version, current_setting('server_version') AS release,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('server_encoding') AS encoding`,
    [],
  );
  const { version, release, fsync, full_page_writes, encoding } = row;
  return [
    Number(version) >= OLDEST
      ? { check: "server version", level: "ok", message: `PostgreSQL ${String(release)}` }
      : {
          check: "server version",
          level: "fault",
          message: `PostgreSQL ${String(release)} is too old: the log needs functions of version 14`,
          fix: "upgrade the server to 14 or newer",
        },
    mustBe("fsync", fsync, "on", "a crash of the machine loses receipts of actions that ran"),
    mustBe(
      "full_page_writes",
      full_page_writes,
      "on",
      "a crash of the machine may leave torn pages, and receipts in them",
    ),
    encoding === "UTF8"
      ? { check: "encoding", level: "ok", message: "the database is UTF8" }
      : {
          check: "encoding",
          level: "fault",
          message: `the database is ${String(encoding)}: it would refuse receipts, or keep other bytes than were signed`,
          fix: "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        },
  ];
}

/** @throws Error that tells every fault. */
export async function mustBeDurable(database: Connections): Promise<void> {
  const faults = (await serverFindings(database)).filter(({ level }) => level === "fault");
  if (faults.length === 0) return;
  throw new Error(faults.map(({ message, fix }) => `${message} (${fix ?? ""})`).join("; "));
}

function mustBe(check: string, found: unknown, wanted: string, follows: string): StoreFinding {
  if (found === wanted) return { check, level: "ok", message: `${check} is ${wanted}` };
  const message = `${check} is ${String(found)}: ${follows}`;
  const fix = `ALTER SYSTEM SET ${check} = ${wanted}; SELECT pg_reload_conf();`;
  return { check, level: "fault", message, fix };
}
