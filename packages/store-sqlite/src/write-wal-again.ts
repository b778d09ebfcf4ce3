/** Making sure of a write-ahead log that was found, not written: its bytes may be in the system's memory only. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";

const CHUNK = 1 << 20;
/** On Linux each write is synced by itself, for under Node's permission model nobody may call fsync. */
const WRITES_THROUGH = process.platform === "linux" ? constants.O_DSYNC : 0;

/**
 * Writes the bytes of the write-ahead log of `file` again where they stand, and syncs them; the caller holds the write
 * lock, so that they stand still. An earlier process may have died between write and sync, or been told by a failed sync,
 * after which the system takes those pages for written, and the next sync of them succeeds without a write. A commit
 * that is read back from there has not happened yet; once this returns, it has.
 *
 * @throws an error of the file system; then nothing may be answered from that log.
 */
export function writeWalAgain(file: string): void {
  const wal = openIfThere(`${file}-wal`);
  if (wal === undefined) return;
  try {
    const { size } = fstatSync(wal);
    const chunk = Buffer.alloc(Math.min(size, CHUNK));
    for (let at = 0; at < size;) at += copyInPlace(wal, chunk, at);
    if (size > 0 && WRITES_THROUGH === 0) fsyncSync(wal);
  } finally {
    // SQLite holds its locks on the other two files, so that closing this one drops none of them (POSIX).
    closeSync(wal);
  }
}

function copyInPlace(file: number, chunk: Buffer, at: number): number {
  const read = readSync(file, chunk, 0, chunk.length, at);
  if (read === 0) throw new Error("the write-ahead log became shorter under the write lock");
  for (let done = 0; done < read;) done += writeSync(file, chunk, done, read - done, at + done);
  return read;
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | WRITES_THROUGH);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
