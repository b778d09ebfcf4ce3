/** The store's own connection: opened when it is needed, verified before it is used, replaced once it has failed. */
import { GateError, type StoreFinding } from "@stepgate/core";
import { entriesOf } from "./log-entries.ts";
import type { LogKeys } from "./log-keys.ts";
import type { LogMemory } from "./log-memory.ts";
import { newLink, type RedisClient } from "./redis-client.ts";
import { askFacts } from "./server-facts.ts";
import { type ServerDemands, serverFindings } from "./server-findings.ts";
import { type Commands, openSession, type Session } from "./session.ts";

/** What a connection is made of. */
export interface ConnectionOptions extends ServerDemands {
  readonly client: RedisClient;
  readonly keys: LogKeys;
  readonly memory: LogMemory;
  readonly timeoutMs: number;
  /** Told, once, of what the server cannot keep but for a stated case. */
  readonly onWarning: (finding: StoreFinding) => void;
}

/** A session, and how many milliseconds are left to its user where it was waited for. */
export interface Ready {
  readonly session: Session;
  readonly ms?: number;
}

/** See the top of this file. */
export interface Connection {
  /** @throws GateError STORE_UNAVAILABLE where there is no server, or none that a log may be entrusted to. */
  ready(): Ready | Promise<Ready>;
  close(): Promise<void>;
}

/** The layout of keys that this version reads and writes. */
const SCHEMA = "1";
/** After a failure no connection is made for so long: a server that is down is not to be asked by every decision. */
const PAUSE_MS = 100;

/** Connects to nothing until it is asked to. */
export function createConnection(options: ConnectionOptions): Connection {
  const { client, memory, timeoutMs } = options;
  let session: Session | undefined;
  let opening: Promise<Session> | undefined;
  let failed: { readonly error: GateError; readonly at: number } | undefined;
  let closed = false;
  let warned = false;

  async function verify(commands: Commands): Promise<void> {
    const [findings, schema] = await Promise.all([
      judge(commands, options),
      mustRemember(commands, options),
    ]);
    if (schema === null) await commands.send("SET", options.keys.schema, SCHEMA, "NX");
    if (!warned) findings.filter(({ level }) => level === "warning").forEach(options.onWarning);
    warned = true;
  }

  async function open(): Promise<Session> {
    try {
      const link = newLink(client, timeoutMs);
      const { replicas, keys } = options;
      session = await openSession(link, { timeoutMs, replicas, writtenKey: keys.written, verify });
      failed = undefined;
      return session;
    } catch (cause) {
      const error = unavailable(cause);
      failed = { error, at: performance.now() };
      throw error;
    } finally {
      opening = undefined;
    }
  }

  async function wait(): Promise<Ready> {
    memory.mustHold();
    if (failed !== undefined && performance.now() - failed.at < PAUSE_MS) throw failed.error;
    const since = performance.now();
    opening ??= open();
    const opened = await opening;
    const ms = Math.floor(timeoutMs - (performance.now() - since));
    if (ms <= 0) throw unavailable(new Error(`no connection within ${timeoutMs} ms`));
    return { session: opened, ms };
  }

  return {
    ready() {
      if (closed) throw unavailable(new Error("the store is closed"));
      memory.mustHold();
      if (session?.isUsable !== true) return wait();
      const look = session.lookWhereRefused();
      return look === undefined ? { session } : after(look, session);
    },
    async close() {
      closed = true;
      await opening?.catch(() => {});
      await session?.close();
    },
  };
}

async function after(look: Promise<void>, session: Session): Promise<Ready> {
  try {
    await look;
    return { session };
  } catch (cause) {
    throw unavailable(cause);
  }
}

/** @throws GateError where a log may not be entrusted to the server. */
async function judge(commands: Commands, demands: ServerDemands): Promise<readonly StoreFinding[]> {
  const findings = serverFindings(await askFacts(commands), demands);
  const faults = findings.filter(({ level }) => level === "fault");
  if (faults.length === 0) return findings;
  const words = faults.map(({ message, fix }) => `${message} (${fix ?? "see the README"})`);
  throw new GateError("STORE_UNAVAILABLE", `Redis cannot keep the log: ${words.join(" ")}`);
}

/** The log must be of this layout, or new, and have what this store has seen of it. Resolves to the layout's version. */
async function mustRemember(
  { send }: Commands,
  { keys, memory }: Pick<ConnectionOptions, "keys" | "memory">,
): Promise<unknown> {
  const { position, line } = memory;
  const at = `${position}-0`;
  const [schema, seen, last] = await Promise.all([
    send("GET", keys.schema),
    position === 0 ? undefined : send("XRANGE", keys.log, at, at),
    send("XREVRANGE", keys.log, "+", "-", "COUNT", "1"),
  ]);
  if (seen !== undefined && entriesOf(seen)[0]?.line !== line) throw memory.goneBack();
  if (schema !== null && schema !== SCHEMA)
    throw new Error(`the log is of schema ${String(schema)}, and this version knows ${SCHEMA}`);
  for (const entry of entriesOf(last)) memory.see(entry.position, entry.line);
  return schema;
}

/** The error of a store that cannot be used, and why. */
export function unavailable(cause: unknown): GateError {
  if (GateError.isInstance(cause)) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GateError("STORE_UNAVAILABLE", `the store cannot be used: ${reason}`, { cause });
}
