/**
 * Real Redis or Valkey servers for tests: this machine's own binary, on a free port of the loopback interface, in a
 * folder that is removed with it, durable unless a test says otherwise.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

/** A server process that faults are done to. It keeps its port and its data over all of them. */
export interface RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:<port>` */
  readonly url: string;
  /** Ends it by SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same data, and resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay open, and nothing is answered. */
  freeze(): void;
  /** SIGCONT */
  thaw(): void;
  /** Kills it, and removes its data. */
  remove(): Promise<void>;
}

/** The server's binary on PATH; `undefined` where there is none, and tests are skipped by this name. */
export function redisBinary(): string | undefined {
  const has = (name: string): boolean => spawnSync(name, ["--version"]).error === undefined;
  return ["redis-server", "valkey-server"].find(has);
}

/** What a test is skipped with where {@link redisBinary} finds nothing. */
export const NO_REDIS =
  "neither redis-server nor valkey-server is on PATH, and REDIS_URL is not set";

/** Everything that a store needs in order to lose nothing. */
const DURABLE = { appendonly: "yes", appendfsync: "always", "maxmemory-policy": "noeviction" };
const PATIENCE_MS = 30_000;

/** Starts a server; `settings` override those of a durable one, by the names of redis.conf. @throws Error with its output. */
export async function startRedisServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<RedisServer> {
  const binary = redisBinary();
  if (binary === undefined) throw new Error(NO_REDIS);
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "stepgate-redis-"));
  folders.add(dir);
  const all = { ...DURABLE, save: "", ...settings, port: `${port}`, bind: "127.0.0.1", dir };
  const options = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  let child = await run(binary, options, port);
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill: () => kill(child),
    async start() {
      child = await run(binary, options, port);
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async remove() {
      await kill(child);
      rmSync(dir, { recursive: true, force: true });
      folders.delete(dir);
    },
  };
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();
// What a test did not remove goes with the process that started it.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function run(
  binary: string,
  options: readonly string[],
  port: number,
): Promise<ChildProcess> {
  const [command, ...words] = mortal([binary, ...options]);
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => (output = `${output}${chunk}`.slice(-4_000)));
  for (const end = performance.now() + PATIENCE_MS; !(await answers(port));) {
    if (child.exitCode !== null || performance.now() > end)
      throw new Error(`${binary} does not answer: ${output}`);
    await sleep(20);
  }
  return child;
}

/** Of util-linux. */
const SETPRIV = "setpriv";

/** Where there is setpriv, a server dies with the process that started it, even where that one is killed. */
function mortal(words: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const { status, stdout } = spawnSync(SETPRIV, ["--help"], { encoding: "utf8" });
  const has = status === 0 && stdout.includes("--pdeathsig");
  return has ? [SETPRIV, "--pdeathsig", "KILL", ...words] : words;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** True once it has loaded its data: until then it says LOADING. */
function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
  socket.setTimeout(1_000, () => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => resolve(false));
  socket.on("data", (reply) => {
    resolve(String(reply).startsWith("+PONG"));
    socket.destroy();
  });
  return promise;
}
