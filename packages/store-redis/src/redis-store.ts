/** The store on Redis or Valkey: one script an append, one primary a log, shared by gates on any number of hosts. */
import {
  mustBeIndexing,
  mustBeStorable,
  mustBeText,
  type Store,
  type StoreFinding,
  warn,
} from "@stepgate/core";
import { createAppender } from "./appender.ts";
import { createConnection, unavailable } from "./connection.ts";
import { areNext, indexedLines, indexRecords, leafOf, logEnd, nodesAt } from "./index-records.ts";
import { entriesOf } from "./log-entries.ts";
import { type LogKeys, logKeys } from "./log-keys.ts";
import { logMemory } from "./log-memory.ts";
import { openAllows } from "./open-allows.ts";
import { mustBeClient, type RedisClient } from "./redis-client.ts";
import { READ } from "./scripts.ts";
import type { Ask, Work } from "./session.ts";

/** Where the log lies, and what must have a record before it counts. */
export interface RedisStoreOptions {
  /**
   * From `createClient` of `@redis/client`: its address, credentials and TLS. The store copies it and has a connection of
   * its own; it neither connects nor closes this one.
   */
  readonly client: RedisClient;
  /** Tells this log from others on the server, and is the hash tag of all its keys. Default `stepgate`. */
  readonly prefix?: string;
  /** How many replicas must have a record before it is won. Default 0. */
  readonly replicas?: number;
  /** `everysec` accepts that the last second or two are lost with the machine. Default `always`. */
  readonly durability?: "always" | "everysec";
  /**
   * How long a call waits for the server in milliseconds; an append then ends as `unknown`. Default 900: below a gate's
   * deadline of 1,000, so that nothing is written that nobody waits for.
   */
  readonly timeoutMs?: number;
  /** Told once of each promise that is kept but for a stated case. Default: a process warning. */
  readonly onWarning?: (finding: StoreFinding) => void;
}

const DEFAULT_TIMEOUT_MS = 900;
const PAGE = 512;

/**
 * A log on a Redis or Valkey server. It connects when it is first asked, looks at the server's settings then, after every
 * reconnect and once a second under load, and is of no use (GateError STORE_UNAVAILABLE, which says why) while they are
 * unsafe.
 *
 * @throws TypeError for options that cannot be meant.
 * @example
 * const client = createClient({ url: "redis://localhost:6379" });
 * const gate = await createGate({ policies, store: redisStore({ client }), signer, saltKey });
 */
export function redisStore(options: RedisStoreOptions): Store {
  const { client, prefix = "stepgate", replicas = 0, durability = "always" } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS, onWarning = warnProcess } = options;
  mustBeClient(client);
  mustBeWhole("replicas", replicas, 0);
  mustBeWhole("timeoutMs", timeoutMs, 1);
  if (durability !== "always" && durability !== "everysec")
    throw new TypeError("durability must be 'always' or 'everysec'");
  const keys = logKeys(prefix);
  const memory = logMemory();
  const demands = { replicas, durability };
  const connection = createConnection({ client, keys, memory, timeoutMs, onWarning, ...demands });
  const appender = createAppender(connection, keys, memory);

  const ask: Ask = async (work) => {
    const { session, ms } = await connection.ready();
    return session.perform(work, ms).catch(rethrow);
  };
  async function change<T>(work: Work<T>): Promise<T> {
    const { session, ms } = await connection.ready();
    return session.write(work, ms).catch(rethrow);
  }

  return {
    async setting(name, value) {
      mustBeText(name, value);
      const standing = await ask(({ send }) => send("HGET", keys.settings, name));
      return typeof standing === "string" ? standing : change(settle(keys, name, value));
    },
    async append(append) {
      mustBeStorable(append);
      return appender.append(append);
    },
    async read(sequenceId, from, count = Number.POSITIVE_INFINITY) {
      mustBeText(sequenceId);
      const lines: string[] = [];
      for (const end = from + count; ;) {
        const next = from + lines.length;
        const page = await ask(readPage(keys, sequenceId, next, Math.min(next + PAGE, end)));
        lines.push(...page);
        if (page.length < PAGE) return lines;
      }
    },
    lines: () => lines(ask, keys),
    async keep(documents) {
      for (const { digest, text } of documents) mustBeText(digest, text);
      if (documents.length > 0)
        await change(({ send }) => {
          const sent = documents.map(({ digest, text }) =>
            send("HSETNX", keys.documents, digest, text),
          );
          return Promise.all(sent);
        });
    },
    async document(digest) {
      mustBeText(digest);
      const text = await ask(({ send }) => send("HGET", keys.documents, digest));
      return typeof text === "string" ? text : undefined;
    },
    counters: (names) => counters(ask, keys, names),
    openAllows: () => openAllows(ask, keys),
    unindexed: (count) => logEnd(ask, keys, count),
    async index(indexing) {
      mustBeIndexing(indexing);
      if (!(await ask(areNext(indexing, keys)))) return "lost";
      return change(indexRecords(indexing, keys));
    },
    nodes: async (places) => (places.length === 0 ? [] : ask(nodesAt(places, keys))),
    indexed: async (from, count) => (count === 0 ? [] : ask(indexedLines(from, count, keys))),
    async leaf(sequenceId, seq) {
      mustBeText(sequenceId);
      return ask(leafOf(sequenceId, seq, keys));
    },
    async close() {
      await appender.sent();
      await connection.close();
    },
  };
}

/** Pages up to where the log ended when the first one was asked for: a busy log must not make this endless. */
async function* lines(ask: Ask, keys: LogKeys): AsyncGenerator<string> {
  const end = Number(await ask(({ send }) => send("XLEN", keys.log)));
  for (let from = 1; from <= end; from += PAGE) {
    const to = Math.min(from + PAGE - 1, end);
    const page = await ask(({ send }) => send("XRANGE", keys.log, `${from}-0`, `${to}-0`));
    yield* entriesOf(page).map(({ line }) => line);
  }
}

async function counters(
  ask: Ask,
  keys: LogKeys,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  mustBeText(...names);
  if (names.length === 0) return new Map();
  const totals = await ask(({ send }) => send("HMGET", keys.counters, ...names));
  if (!Array.isArray(totals)) throw unavailable(new Error("the server answered no totals"));
  return new Map(
    names.flatMap((name, at) => {
      const total: unknown = totals[at];
      return typeof total === "string" ? [[name, total] as const] : [];
    }),
  );
}

function readPage(
  keys: LogKeys,
  sequenceId: string,
  from: number,
  end: number,
): Work<readonly string[]> {
  const both = [keys.sequence(sequenceId), keys.log];
  return async ({ run }) => textsOf(await run(READ, both, [`${from}`, `${end}`]));
}

/** Keeps the value unless there is one by now, and resolves to the one that stands. */
function settle(keys: LogKeys, name: string, value: string): Work<string> {
  return async ({ send }) => {
    const kept = send("HSETNX", keys.settings, name, value);
    const [, standing] = await Promise.all([kept, send("HGET", keys.settings, name)]);
    return String(standing);
  };
}

function textsOf(reply: unknown): readonly string[] {
  if (Array.isArray(reply)) return reply.map(String);
  throw unavailable(new Error("the server answered something else than texts"));
}

function rethrow(cause: unknown): never {
  throw unavailable(cause);
}

function warnProcess({ check, message, fix }: StoreFinding): void {
  warn(`Redis, ${check}`, fix === undefined ? message : `${message} To mend it: ${fix}.`);
}

function mustBeWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new TypeError(`${name} must be a whole number from ${least} on`);
}
