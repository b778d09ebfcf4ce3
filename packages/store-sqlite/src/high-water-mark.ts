/**
 * How far the log had come, kept in a small file beside it: tells a log that lost acknowledged records from one that never
 * had them. SQLite takes a damaged end of its write-ahead log for the end, and an older copy for the log.
 *
 * The mark is written after a commit and never synced: after a loss of power it may be behind, which only makes it weaker,
 * but it is never ahead of what is durable.
 */
import { closeSync, constants, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";

/** Raised by one connection. */
export interface HighWaterMark {
  /** Keeps the highest position that was committed. Where that fails the mark stays where it was, which is no fault. */
  raise(position: number): void;
  close(): void;
}

const MARK = /^stepgate high-water mark (\d{16})\n$/;

/** The file of the mark for the log at `file`. */
export function markFile(file: string): string {
  return `${file}-mark`;
}

/** The mark of the log at `file`, to be raised. */
export function highWaterMark(file: string): HighWaterMark {
  let highest = standingMark(file);
  let descriptor: number | undefined;

  return {
    raise(position) {
      if (position <= highest) return;
      try {
        const { O_CREAT, O_WRONLY } = constants;
        descriptor ??= openSync(markFile(file), O_CREAT | O_WRONLY, 0o600);
        writeSync(descriptor, textOf(position), 0, "latin1");
        highest = position;
      } catch {
        // A full or failing disk: commits themselves tell of it.
      }
    },
    close() {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}

/** The position that the log must have reached; 0 where there is no mark, or a torn one. */
export function standingMark(file: string): number {
  try {
    return Number(MARK.exec(readFileSync(markFile(file), "latin1"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** For a log that begins: a mark that is there belongs to one that is gone. @throws an error of the file system. */
export function beginMark(file: string): void {
  writeFileSync(markFile(file), textOf(0), { mode: 0o600 });
}

function textOf(position: number): string {
  return `stepgate high-water mark ${String(position).padStart(16, "0")}\n`;
}
