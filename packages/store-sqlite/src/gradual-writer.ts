/** A writer that begins inline, for a program that writes a little, and goes over to a thread where there is more to write. */
import type { Connection } from "./connection.ts";
import { inlineWriter } from "./inline-writer.ts";
import { threadWriter, type ThreadWriter } from "./thread-writer.ts";
import type { Write, WriteAnswers, WriteOf, Writer } from "./write.ts";

/** What it is made of. */
export interface GradualParts {
  readonly connection: Connection;
  readonly busyTimeoutMs: number;
  /** How many writes are made inline before a thread is started. */
  readonly inlineWrites: number;
}

/** A thread that ended is followed by another, at the earliest so long after it was started; longer where none gets ready. */
const BETWEEN_STARTS_MS = 1000;
const LONGEST_BETWEEN_STARTS_MS = 60_000;

/**
 * While no thread is ready, writes are made inline: before there is one, where none can be started, and where one ended,
 * whose own writes are then unknown. A thread that is slow is waited for: the file is as slow from here.
 */
export function gradualWriter(parts: GradualParts): Writer {
  const { connection, busyTimeoutMs, inlineWrites } = parts;
  const inline = inlineWriter(connection, busyTimeoutMs);
  let route: Writer = inline;
  let thread: ThreadWriter | undefined;
  let writes = 0;
  let startedAt = -Infinity;
  let betweenStarts = BETWEEN_STARTS_MS;
  let isClosed = false;

  function isDue(): boolean {
    return writes > inlineWrites && performance.now() - startedAt > betweenStarts;
  }

  function startThread(): void {
    startedAt = performance.now();
    try {
      const started = threadWriter({ file: connection.file, busyTimeoutMs, ended });
      thread = started;
      betweenStarts = Math.min(betweenStarts * 2, LONGEST_BETWEEN_STARTS_MS);
      void started.ready.then(() => goOver(started));
    } catch {
      // No thread can be had now; the next one is tried for later.
    }
  }

  /** What was submitted before stays before: the thread is given nothing until all of it is settled. */
  function goOver(to: ThreadWriter): void {
    if (thread !== to || isClosed) return;
    betweenStarts = BETWEEN_STARTS_MS;
    const settled = inline.close();
    const waiting: Writer = {
      submit: (write) => settled.then(() => to.submit(write)),
      close: () => to.close(),
    };
    route = waiting;
    void settled.then(() => {
      if (route === waiting) route = to;
    });
  }

  function ended(): void {
    thread = undefined;
    route = inline;
  }

  return {
    submit<K extends Write["kind"]>(write: WriteOf<K>): Promise<WriteAnswers[K]> {
      writes++;
      if (thread === undefined && !isClosed && isDue()) startThread();
      return route.submit(write);
    },
    async close() {
      isClosed = true;
      // What waits for the inline writes is given to the thread before it is told to end.
      await inline.close();
      await thread?.close();
    },
  };
}
