/**
 * Connections of the user's pool. One that was just used is kept at hand for a moment: to give it back and to take it again
 * would cost a lone append a tenth of its time.
 */

/** What is used of a `pg` pool. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "connect", listener: (client: PostgresClient) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
  off(event: "connect", listener: (client: PostgresClient) => void): unknown;
  readonly options: {
    readonly max?: number | undefined;
    connectionTimeoutMillis?: number | undefined;
  };
  /** How many wait for a connection because all are in use. */
  readonly waitingCount?: number;
}

/** What is used of a connection of such a pool. */
export interface PostgresClient {
  query(query: {
    readonly name?: string;
    readonly text: string;
    readonly values?: unknown[];
    readonly query_timeout?: number;
  }): Promise<{ readonly rows: Row[] }>;
  on(event: "error", listener: (error: Error) => void): unknown;
  release(destroy?: boolean): void;
  /** The server's process, as whoever answered the connection says. */
  readonly processID?: number | null | undefined;
}

/** A row as the driver gives it: numbers of 64 bits are text. */
export type Row = Readonly<Record<string, unknown>>;

/** See the top of this file. */
export interface PoolClients {
  /** Rejects where there is none within so many milliseconds. */
  take(withinMs: number): Promise<PostgresClient>;
  /** To be called once for each that was taken. One that is broken is used by nobody again. */
  give(client: PostgresClient, isBroken: boolean): void;
  /** Leaves the pool to its owner. */
  close(): void;
}

const KEPT_MS = 20;
/** However much there is to do, the pool has each again after so long, and may replace what grew old. */
const HELD_MS = 1_000;
const CONNECTING_MS = 5_000;

/**
 * A pool without `connectionTimeoutMillis` is given one, for it would wait for a dead host without end. It is longer than
 * the time-out of a call: a connection that a busy server was slow to make is there for the next call.
 */
export function poolClients(pool: PostgresPool, timeoutMs: number): PoolClients {
  const heard = new WeakSet<PostgresClient>();
  const broken = new WeakSet<PostgresClient>();
  const takenAt = new WeakMap<PostgresClient, number>();
  let kept: { readonly client: PostgresClient; readonly since: number }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  pool.options.connectionTimeoutMillis ||= Math.max(timeoutMs, CONNECTING_MS);
  // An idle connection that breaks is nobody's fault, and ends the process where nobody listens.
  pool.on("error", ignore);
  // A server that dies may say so in the same packet as its welcome: whoever listens only later is too late.
  pool.on("connect", listen);

  function listen(client: PostgresClient): void {
    if (heard.has(client)) return;
    heard.add(client);
    client.on("error", () => broken.add(client));
  }

  async function connect(withinMs: number): Promise<PostgresClient> {
    const client = await inTime(pool.connect(), withinMs, (late) => late.release());
    // The pool may have had it before it was listened to.
    listen(client);
    takenAt.set(client, performance.now());
    return client;
  }

  function giveBack(before: number): void {
    const over = kept.filter(({ since }) => since <= before);
    kept = kept.filter(({ since }) => since > before);
    for (const { client } of over) client.release(broken.has(client));
  }

  function look(): void {
    giveBack(performance.now() - KEPT_MS);
    timer = kept.length === 0 ? undefined : setTimeout(look, KEPT_MS);
  }

  return {
    async take(withinMs) {
      for (let last = kept.pop(); last !== undefined; last = kept.pop()) {
        if (!broken.has(last.client)) return last.client;
        last.client.release(true);
      }
      return connect(withinMs);
    },
    give(client, isBroken) {
      const since = performance.now();
      const isWanted = (pool.waitingCount ?? 0) > 0 || since > (takenAt.get(client) ?? 0) + HELD_MS;
      if (isBroken || isWanted || isClosed) return client.release(isBroken);
      kept.push({ client, since });
      timer ??= setTimeout(look, KEPT_MS);
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      giveBack(Number.POSITIVE_INFINITY);
      pool.off("error", ignore);
      pool.off("connect", listen);
    },
  };
}

/** What comes too late is handed to `late`; that it may fail by then is nobody's concern. */
async function inTime<T>(promise: Promise<T>, ms: number, late: (value: T) => void): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`no connection within ${ms} ms`));
    promise.then(late, ignore);
  }, ms);
  return Promise.race([promise, expired]).finally(() => clearTimeout(timer));
}

function ignore(): void {}
