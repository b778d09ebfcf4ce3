/**
 * Group commit: what is submitted in one turn of the event loop shares one transaction and one fsync.
 *
 * INVARIANT: from BEGIN to COMMIT nothing is awaited, and no promise is resolved before COMMIT has returned.
 */
import type { DatabaseSync } from "node:sqlite";
import { setImmediate as endOfTurn, setTimeout as sleep } from "node:timers/promises";
import { isBusy, longer } from "./patience.ts";

/** Runs work inside shared transactions, in the order in which it was submitted. */
export interface GroupCommit {
  /** Resolves once the work is durable; rejects where its transaction was undone, or may have been. */
  submit<T>(work: () => T): Promise<T>;
  /** Resolves when everything that was submitted is settled. */
  drained(): Promise<void>;
}

interface Job {
  /** On the clock of `performance.now()`: from then on a busy file is waited for no longer. */
  readonly expires: number;
  /** Does the work, and returns what to do once it is durable. */
  run(): () => void;
  fail(error: unknown): void;
}

/** Begins with an empty queue. Each job waits at most `busyTimeoutMs` for other processes. */
export function groupCommit(database: DatabaseSync, busyTimeoutMs: number): GroupCommit {
  let queue: Job[] = [];
  let draining: Promise<void> | undefined;

  function submit<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = (): (() => void) => {
      const result = work();
      return () => resolve(result);
    };
    queue.push({ expires: performance.now() + busyTimeoutMs, run, fail: reject });
    draining ??= drain();
    return promise;
  }

  async function drain(): Promise<void> {
    for (let pause = 1; queue.length > 0;) {
      await endOfTurn();
      const batch = queue;
      queue = [];
      const fault = commit(database, batch);
      if (fault === undefined) {
        pause = 1;
      } else if (isBusy(fault)) {
        queue = [...failExpired(batch, fault), ...queue];
        await sleep(pause);
        pause = longer(pause);
      } else {
        for (const job of batch) job.fail(fault);
      }
    }
    // In the same step as the last look at the queue: what is submitted from now on starts anew.
    draining = undefined;
  }

  return { submit, drained: async () => draining };
}

/** One transaction. Returns what undid it; then no job was told anything. */
function commit(database: DatabaseSync, batch: readonly Job[]): unknown {
  let settle: readonly (() => void)[];
  try {
    // A ROLLBACK that failed is made up for here: the connection must never stay inside a transaction.
    if (database.isTransaction) database.exec("ROLLBACK");
    database.exec("BEGIN IMMEDIATE");
    settle = batch.map((job) => job.run());
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    return error ?? new Error("the transaction failed");
  }
  for (const done of settle) done();
  return undefined;
}

function rollBack(database: DatabaseSync): void {
  try {
    if (database.isTransaction) database.exec("ROLLBACK");
  } catch {
    // Tried again before the next BEGIN.
  }
}

/** The jobs that may still wait. */
function failExpired(batch: readonly Job[], fault: unknown): Job[] {
  const now = performance.now();
  return batch.filter((job) => {
    if (now < job.expires) return true;
    job.fail(fault);
    return false;
  });
}
