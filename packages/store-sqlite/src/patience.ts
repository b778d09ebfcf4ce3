/** Waiting for other processes: SQLite would block the event loop while it waits for a lock, so the waiting is done here. */
import { setTimeout as sleep } from "node:timers/promises";

const SQLITE_BUSY = 5;
const LONGEST_PAUSE_MS = 16;

/** Makes `attempt` until the file is free for it, at most for `timeoutMs`. Only a busy file is waited for. */
export async function patiently<T>(timeoutMs: number, attempt: () => T): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let pause = 1; ; pause = longer(pause)) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || performance.now() + pause > deadline) throw error;
    }
    await sleep(pause);
  }
}

/** The pause in milliseconds after one of `pause`. */
export function longer(pause: number): number {
  return Math.min(pause * 2, LONGEST_PAUSE_MS);
}

/** Milliseconds on a clock that all threads of a process share; `performance.now()` has a beginning of its own in each. */
export function sharedNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** True where another connection holds the lock that was asked for. The low byte is the primary result code. */
export function isBusy(error: unknown): boolean {
  return (
    error instanceof Error && "errcode" in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
  );
}
