/**
 * Group commit: what is submitted in one turn of the event loop shares one transaction and one fsync.
 *
 * INVARIANT: from BEGIN to COMMIT nothing is awaited, and no promise is resolved before COMMIT has returned.
 * INVARIANT: a connection on which a transaction failed is not used again. SQLite would try again on what it has in memory,
 * and after a failed fsync the system's memory is not what the disk holds.
 */
import { setImmediate as endOfTurn, setTimeout as sleep } from "node:timers/promises";
import type { LogStatements } from "./append-records.ts";
import type { Connection, Log } from "./connection.ts";
import { isBusy, longer, sharedNow } from "./patience.ts";

/** Work to be done inside a transaction. */
export interface Job {
  /** From then on, by the clock of `sharedNow`, a busy file is waited for no longer. */
  readonly expires: number;
  /** Does the work, and returns what to do once it is durable. */
  run(log: LogStatements): () => void;
  /** Called where its transaction was undone, or may have been. */
  fail(cause: unknown): void;
}

/** Runs work inside shared transactions, in the order in which it was given. */
export interface GroupCommit {
  add(jobs: readonly Job[]): void;
  /**
   * {@link GroupCommit.add} for one job: resolves once it is durable; rejects where its transaction was undone, or may
   * have been.
   */
  submit<T>(work: (log: LogStatements) => T, expires: number): Promise<T>;
  /** How long the last commit took to reach the disk, in milliseconds. */
  syncMs(): number;
  /** Resolves when everything that was given is settled. */
  drained(): Promise<void>;
}

/** Nobody waits any more for work that has not begun by then: it is left undone. */
const NOBODY_WAITS_MS = 100;

/** How it groups. */
export interface Grouping {
  /** Each `add` is committed by itself and at once, where the file is free; else all of one turn of the event loop, after it. */
  readonly atOnce?: boolean;
}

/** Begins with an empty queue. */
export function groupCommit(
  connection: Connection,
  { atOnce = false }: Grouping = {},
): GroupCommit {
  let queue: Job[] = [];
  let isDraining = false;
  let draining: Promise<void> | undefined;
  let syncMs = 0;

  function add(jobs: readonly Job[]): void {
    queue.push(...jobs);
    if (isDraining) return;
    isDraining = true;
    draining = drain();
  }

  async function drain(): Promise<void> {
    for (let pause = 1; queue.length > 0;) {
      if (!atOnce) await endOfTurn();
      const batch = failExpired(
        queue,
        NOBODY_WAITS_MS,
        new Error("it came too late to be written"),
      );
      queue = [];
      const fault = commit(connection, batch, (ms) => (syncMs = ms));
      if (fault === undefined) {
        pause = 1;
      } else if (isBusy(fault)) {
        queue = [...failExpired(batch, 0, fault), ...queue];
        await sleep(pause);
        pause = longer(pause);
      } else {
        for (const job of batch) job.fail(fault);
      }
    }
    // In the same step as the last look at the queue: what is submitted from now on starts anew.
    isDraining = false;
  }

  return {
    add,
    submit: <T>(work: (log: LogStatements) => T, expires: number) =>
      new Promise<T>((resolve, fail) => {
        const run = (log: LogStatements): (() => void) => {
          const result = work(log);
          return () => resolve(result);
        };
        add([{ expires, run, fail }]);
      }),
    syncMs: () => syncMs,
    async drained() {
      while (isDraining) await draining;
    },
  };
}

/** One transaction. Returns what undid it; then no job was told anything. */
function commit(
  connection: Connection,
  batch: readonly Job[],
  took: (ms: number) => void,
): unknown {
  if (batch.length === 0) return undefined;
  let settle: readonly (() => void)[];
  let log: Log;
  try {
    log = connection.log();
    const { statements } = log;
    log.begin();
    settle = batch.map((job) => job.run(statements));
    const began = performance.now();
    log.commit();
    took(performance.now() - began);
  } catch (error) {
    if (isBusy(error)) rollBack(connection);
    else connection.drop();
    return error ?? new Error("the transaction failed");
  }
  for (const done of settle) done();
  afterCommit(connection, log);
  return undefined;
}

/** The commit stands, whatever becomes of this. */
function afterCommit(connection: Connection, log: Log): void {
  try {
    log.committed();
  } catch {
    connection.drop();
  }
}

function rollBack(connection: Connection): void {
  try {
    connection.log().rollBack();
  } catch {
    connection.drop();
  }
}

/** The jobs that may still wait, or be begun. */
function failExpired(batch: readonly Job[], graceMs: number, fault: unknown): Job[] {
  const now = sharedNow() - graceMs;
  return batch.filter((job) => {
    if (now < job.expires) return true;
    job.fail(fault);
    return false;
  });
}
