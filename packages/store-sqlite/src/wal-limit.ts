/** Keeping the write-ahead log short: SQLite's own checkpoints give way to readers and to other writers, for ever if need be. */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/** Four times what SQLite's own checkpoints begin at. */
const LONG_BYTES = 16 << 20;
const PAUSE_MS = 100;

/**
 * To be called after a commit. Where the write-ahead log of `file` became long, all of it is moved into the file and it is
 * cut, under the write lock, so that no writer can keep this from ending. A reader that holds an old state does: then it
 * is tried again later. It never waits, and its failing is no fault of the commit.
 */
export function walLimit(database: DatabaseSync, file: string): () => void {
  let next = 0;
  return () => {
    const now = performance.now();
    if (now < next || sizeOf(`${file}-wal`) <= LONG_BYTES) return;
    next = now + PAUSE_MS;
    try {
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // The commits that follow tell of a disk that fails.
    }
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
