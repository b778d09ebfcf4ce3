/** Keeping the write-ahead log short: SQLite's own checkpoints give way to readers, and where there is always one, for ever. */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/** Twice what SQLite's own checkpoints begin at, which is 1000 pages; four times in a file of small ones. */
const LONG_BYTES = 16 << 20;
const PAUSE_MS = 250;
/** Longer than a page of any listing takes, and much shorter than a gate's deadline. */
const WAIT_MS = 100;

/**
 * To be called after a commit. Where the write-ahead log of `file` became long, it is moved into the file and cut: under
 * the write lock, so that nothing new comes to it, and waiting a moment for those that read an old state. One that reads
 * on for longer keeps it from ending; then it is tried again later. That it fails is no fault of the commit.
 */
export function walLimit(database: DatabaseSync, file: string): () => void {
  let next = 0;
  return () => {
    const now = performance.now();
    if (now < next || sizeOf(`${file}-wal`) <= LONG_BYTES) return;
    next = now + PAUSE_MS;
    try {
      database.exec(`PRAGMA busy_timeout = ${WAIT_MS}; PRAGMA wal_checkpoint(TRUNCATE)`);
    } catch {
      // The commits that follow tell of a disk that fails.
    } finally {
      database.exec("PRAGMA busy_timeout = 0");
    }
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
