/** Gathers what is appended in one turn of the event loop, sends it as few scripts, and tells each append what it came to. */
import { setImmediate as endOfTurn } from "node:timers/promises";
import type { Append, AppendResult } from "@stepgate/core";
import { appendBatch } from "./append-batch.ts";
import type { Connection, Ready } from "./connection.ts";
import type { LogKeys } from "./log-keys.ts";
import type { LogMemory } from "./log-memory.ts";

/** See the top of this file. */
export interface Appender {
  /** @throws GateError STORE_UNAVAILABLE where nothing was sent. */
  append(append: Append): Promise<AppendResult>;
  /** Resolves when everything that was appended is sent. */
  sent(): Promise<void>;
}

/** A script holds up every other client of the server: some milliseconds at most. */
const APPENDS_AT_ONCE = 128;

interface Job {
  readonly append: Append;
  resolve(result: AppendResult): void;
  reject(error: unknown): void;
}

/** Appends over a connection. */
export function createAppender(connection: Connection, keys: LogKeys, memory: LogMemory): Appender {
  let queue: Job[] = [];
  let flushed: Promise<void> | undefined;

  async function flush(): Promise<void> {
    const jobs = queue;
    queue = [];
    let ready: Ready;
    try {
      ready = await connection.ready();
    } catch (error) {
      for (const { reject } of jobs) reject(error);
      return;
    }
    for (let at = 0; at < jobs.length; at += APPENDS_AT_ONCE)
      void send(jobs.slice(at, at + APPENDS_AT_ONCE), ready);
  }

  async function send(jobs: readonly Job[], { session, ms }: Ready): Promise<void> {
    const batch = appendBatch(
      jobs.map(({ append }) => append),
      keys,
      memory,
    );
    try {
      const answers = await session.write(batch, ms);
      jobs.forEach(({ resolve }, at) => resolve(answers[at] ?? "unknown"));
    } catch {
      // Sent, and not heard of: the caller reads before it goes on.
      for (const { resolve } of jobs) resolve("unknown");
    }
  }

  return {
    append: (append) =>
      new Promise((resolve, reject) => {
        if (queue.length === 0) flushed = endOfTurn().then(flush);
        queue.push({ append, resolve, reject });
      }),
    sent: async () => flushed,
  };
}
