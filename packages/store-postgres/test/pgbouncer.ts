/** PgBouncer in front of a server of the tests' own: clients share its connections, a transaction at a time. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, type PostgresServer, whoRuns } from "@stepgate/contract";

/** A pooler that runs. */
export interface Pooler {
  readonly url: string;
  stop(): void;
}

const PROGRAM = "pgbouncer";

/** Why tests that need one are skipped; `undefined` where there is one. */
export function noPooler(): string | undefined {
  return spawnSync(PROGRAM, ["--version"]).error === undefined
    ? undefined
    : "there is no pgbouncer: install the Debian package of that name";
}

const STARTS_WITHIN_MS = 10_000;

/** Starts it, which like PostgreSQL refuses to run as root, with so many connections to the server. @throws Error where it does not start, with what it said. */
export async function startPooler(server: PostgresServer, connections: number): Promise<Pooler> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "stepgate-pooler-"));
  const file = join(folder, "pgbouncer.ini");
  writeFileSync(file, settingsOf(server, port, connections));
  chmodSync(folder, 0o755);
  const pooler = spawn(PROGRAM, [file], {
    ...whoRuns(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  pooler.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const stop = (): void => {
    pooler.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  for (const began = performance.now(); !(await answers(port)); await sleep(20)) {
    if (pooler.exitCode === null && performance.now() - began < STARTS_WITHIN_MS) continue;
    stop();
    throw new Error(`pgbouncer did not start: ${said}`);
  }
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop };
}

function settingsOf(server: PostgresServer, port: number, connections: number): string {
  return `[databases]
* = host=127.0.0.1 port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 500
`;
}

async function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
  const is = await promise;
  socket.destroy();
  return is;
}
