/**
 * One connection from its verification to its end: what is sent on it is answered in time, or the connection is given up
 * and everything on it fails. It is never used again, so nothing that failed is sent later.
 */
import { endLink, type RedisLink } from "./redis-client.ts";
import type { Script } from "./scripts.ts";

/** What work on a session may use. Commands that are sent in one turn of the event loop travel together, in their order. */
export interface Commands {
  send(...args: readonly string[]): Promise<unknown>;
  /** Runs a script that the server has, or is told again. */
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown>;
}

/** Commands, and what their replies mean. */
export type Work<T> = (commands: Commands) => Promise<T>;

/** Does work that only reads on whatever session there is. @throws GateError STORE_UNAVAILABLE. */
export type Ask = <T>(work: Work<T>) => Promise<T>;

/** How long, with how many replicas, and when the server is safe. */
export interface SessionOptions {
  readonly timeoutMs: number;
  /** How many replicas must have what was written. */
  readonly replicas: number;
  /** The key to write before WAIT. */
  readonly writtenKey: string;
  /** Looks at the server; rejects where nothing may be entrusted to it. */
  readonly verify: Work<void>;
}

/** See the top of this file. */
export interface Session {
  readonly isUsable: boolean;
  /** Where something was refused, the server's settings may tell why: a look at them, before anything else is sent. */
  lookWhereRefused(): Promise<void> | undefined;
  /**
   * Resolves to what `work` makes of the replies. Rejects where no answer came within `ms` (by default the session's
   * own), where the server refuses, and where a look at it finds it unsafe: then nobody knows what was carried out.
   */
  perform<T>(work: Work<T>, ms?: number): Promise<T>;
  /** The same for what writes: resolves once the replicas that are asked for have it. */
  write<T>(work: Work<T>, ms?: number): Promise<T>;
  /** Waits for what is under way, and ends the connection. */
  close(): Promise<void>;
}

/** Settings can change while a gate runs: a look at them holds for so long. */
const LOOK_AGAIN_AFTER_MS = 1_000;
/** Of a call's time; the rest is for the reply. */
const WAIT_SHARE = 0.8;

/** Connects and verifies. Rejects with what stands against it. */
export async function openSession(link: RedisLink, options: SessionOptions): Promise<Session> {
  const { timeoutMs, replicas, writtenKey, verify } = options;
  const commands = commandsOn(link);
  const underWay = new Set<Promise<unknown>>();
  let failure: unknown;
  let isSuspect = false;
  let look = Promise.resolve();
  let lookedAt = performance.now();

  function fail(cause: unknown): void {
    failure ??= cause;
    endLink(link);
  }

  /** With a timer: node-redis has none for what was sent. */
  async function inTime<T>(work: Work<T>, ms: number): Promise<T> {
    const timer = setTimeout(() => fail(new Error(`no answer within ${ms} ms`)), ms);
    const doing = async (): Promise<T> => work(commands);
    const done = doing().finally(() => {
      clearTimeout(timer);
      underWay.delete(done);
    });
    underWay.add(done);
    return done;
  }

  /** What is sent after a look that has begun is carried out after it, and believed only when it went well. */
  function lookAgain(): Promise<void> {
    if (isSuspect || performance.now() - lookedAt >= LOOK_AGAIN_AFTER_MS) {
      isSuspect = false;
      lookedAt = performance.now();
      look = inTime(verify, timeoutMs);
      look.catch(fail);
    }
    return look;
  }

  async function perform<T>(work: Work<T>, ms = timeoutMs): Promise<T> {
    if (failure !== undefined) throw failure;
    const looked = lookAgain();
    try {
      const [result] = await Promise.all([inTime(work, ms), looked]);
      return result;
    } catch (error) {
      isSuspect = true;
      throw failure ?? error;
    }
  }

  /** By its documentation WAIT counts what its own connection wrote; a retry that found its bytes standing wrote nothing. */
  async function replicated(ms: number): Promise<void> {
    const written = commands.send("INCR", writtenKey);
    const reached = commands.send("WAIT", `${replicas}`, `${Math.ceil(ms * WAIT_SHARE)}`);
    const [, count] = await Promise.all([written, reached]);
    if (Number(count) < replicas)
      throw new Error(`${String(count)} of ${replicas} replicas have it`);
  }

  async function withReplicas<T>(work: Work<T>, ms: number): Promise<T> {
    let resent = false;
    const own = commandsOn(link, () => (resent = true));
    const [result] = await Promise.all([work(own), replicated(ms)]);
    // What was sent again came after the WAIT.
    if (resent) await replicated(ms);
    return result;
  }

  await connect(link, timeoutMs);
  try {
    await inTime(verify, timeoutMs);
  } catch (error) {
    fail(error);
    throw failure;
  }
  return {
    get isUsable() {
      return failure === undefined && link.isReady;
    },
    lookWhereRefused: () => (isSuspect ? lookAgain() : undefined),
    perform,
    write: (work, ms = timeoutMs) =>
      replicas === 0 ? perform(work, ms) : perform(() => withReplicas(work, ms), ms),
    async close() {
      await Promise.allSettled(underWay);
      fail(new Error("the store is closed"));
    },
  };
}

/** `resent` is called where a script had to be sent a second time, as a whole. */
function commandsOn(link: RedisLink, resent: () => void = () => {}): Commands {
  return {
    send: (...args) => link.sendCommand(args),
    async run(script, keys, args) {
      const call = [`${keys.length}`, ...keys, ...args];
      try {
        return await link.sendCommand(["EVALSHA", script.sha1, ...call]);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        // It was not run. EVAL runs it, and keeps it for the next time.
        resent();
        return link.sendCommand(["EVAL", script.text, ...call]);
      }
    },
  };
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}

/** In time: a server that is frozen accepts connections, and answers nothing. */
async function connect(link: RedisLink, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no connection within ${timeoutMs} ms`)),
    timeoutMs,
  );
  const connected = link.connect();
  try {
    await Promise.race([connected, late.promise]);
  } catch (error) {
    endLink(link);
    // One that comes about after all must not stay.
    connected.then(
      () => endLink(link),
      () => {},
    );
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
