/** Queries on the user's pool: each on a connection that was looked at and set, each ended in time whatever the server does. */
import { hash } from "node:crypto";
import { GateError } from "@stepgate/core";
import { poolClients, type PostgresClient, type PostgresPool, type Row } from "./pool-clients.ts";

/** Queries that end in time. */
export interface Connections {
  /** Runs one statement. Rejects where it has not answered within `withinMs` (default: the time-out): it may happen yet. */
  query(text: string, values: readonly unknown[], withinMs?: number): Promise<readonly Row[]>;
  /** The same for what no decision waits for and may take long: in a transaction with a time-out of its own. */
  patiently(text: string, values: readonly unknown[]): Promise<readonly Row[]>;
  /** Leaves the pool to its owner. */
  close(): void;
}

/** How long the server may work for what no decision waits for. */
const PATIENCE_MS = 60_000;
/** Of a server that works, at most: time for its own time-out to be heard first. */
const GRACE_MS = 5_000;

/**
 * Wraps a pool. Every connection is looked at once, when it is first used: it must lead to the primary, and to the server
 * that the first one led to. The time-outs of the server are the backstop: they end what nobody waits for any more.
 */
export function connections(pool: PostgresPool, timeoutMs: number): Connections {
  const clients = poolClients(pool, timeoutMs);
  const known = new WeakSet<PostgresClient>();
  let server: unknown;
  /** Until it turns out that a pooler in between forgets statements, or mixes them up. */
  let isPrepared = true;

  async function connected<T>(
    withinMs: number,
    work: (client: PostgresClient, leftMs: () => number) => Promise<T>,
  ): Promise<T> {
    const expires = performance.now() + withinMs;
    const leftMs = (): number => Math.max(1, Math.ceil(expires - performance.now()));
    const client = await clients.take(leftMs());
    try {
      if (!known.has(client)) await welcome(client, leftMs());
      const result = await work(client, leftMs);
      clients.give(client, false);
      return result;
    } catch (error) {
      // After an error of the server's own the connection is as good as before; after any other nobody knows its state.
      clients.give(client, sqlState(error) === undefined);
      throw error;
    }
  }

  async function welcome(client: PostgresClient, withinMs: number): Promise<void> {
    const { rows } = await client.query({
      text: WELCOME,
      values: [timeoutMs],
      query_timeout: withinMs,
    });
    const [found = {}] = rows;
    if (found["standby"] !== false)
      throw unavailable(
        "the server is a standby: gates must be given the primary (target_session_attrs=read-write)",
      );
    server ??= found["server"];
    if (found["server"] !== server)
      throw unavailable(
        "the address leads to another server than before: start the gate anew if that is meant",
      );
    known.add(client);
  }

  async function query(
    text: string,
    values: readonly unknown[],
    withinMs = timeoutMs,
  ): Promise<readonly Row[]> {
    // Others may find out meanwhile, and end preparing: what counts is whether this one was.
    const prepared = isPrepared ? { name: nameOf(text) } : undefined;
    try {
      return await connected(withinMs, async (client, leftMs) => {
        const all = { ...prepared, text, values: [...values], query_timeout: leftMs() };
        return (await client.query(all)).rows;
      });
    } catch (error) {
      if (prepared === undefined || !LOST_STATEMENT.test(sqlState(error) ?? "")) throw error;
      isPrepared = false;
      return query(text, values, withinMs);
    }
  }

  return {
    query,
    patiently: (text, values) =>
      connected(PATIENCE_MS + GRACE_MS, async (client, leftMs) => {
        const run = (sql: string, given: readonly unknown[] = []) =>
          client.query({ text: sql, values: [...given], query_timeout: leftMs() });
        await run("BEGIN");
        try {
          await run(PATIENTLY);
          const { rows } = await run(text, values);
          await run("COMMIT");
          return rows;
        } catch (error) {
          if (sqlState(error) !== undefined) await run("ROLLBACK");
          throw error;
        }
      }),
    close: () => clients.close(),
  };
}

/** Planned for the very page of a long table that is asked for. */
const PATIENTLY = `SELECT set_config('statement_timeout', '${PATIENCE_MS}', true),
  set_config('lock_timeout', '${PATIENCE_MS}', true),
  set_config('plan_cache_mode', 'force_custom_plan', true)`;

/** SQL for what `synchronous_commit` is to be: `remote_apply` is stronger than `on`, and stays. */
export const SYNCHRONOUS_COMMIT =
  "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END";

const WELCOME = `SELECT pg_is_in_recovery() AS standby,
  (SELECT system_identifier::text FROM pg_control_system()) AS server,
  set_config('synchronous_commit', ${SYNCHRONOUS_COMMIT}, false),
  set_config('default_transaction_isolation', 'read committed', false),
  set_config('statement_timeout', $1::text, false),
  set_config('lock_timeout', $1::text, false),
  set_config('plan_cache_mode', 'force_generic_plan', false),
  set_config('jit', 'off', false)`;

/** `invalid_sql_statement_name`, `duplicate_prepared_statement`: what old poolers answer. */
const LOST_STATEMENT = /^(?:26000|42P05)$/;

/** By content: whoever shares a server's connection through a pooler means the same by the same name. */
function nameOf(text: string): string {
  const known = NAMES.get(text);
  if (known !== undefined) return known;
  const name = `stepgate ${hash("sha256", text).slice(0, 32)}`;
  NAMES.set(text, name);
  return name;
}

const NAMES = new Map<string, string>();

/** The five characters of SQLSTATE, where the server itself said what is wrong and the connection lives. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || !("severity" in error)) return undefined;
  return error.severity === "ERROR" ? String(error.code) : undefined;
}

/** What the store throws where it cannot be used. */
export function unavailable(what: string, cause?: unknown): GateError {
  if (GateError.isInstance(cause)) return cause;
  const reason = cause instanceof Error ? `: ${cause.message}` : "";
  return new GateError("STORE_UNAVAILABLE", `the store ${what}${reason}`, { cause });
}
