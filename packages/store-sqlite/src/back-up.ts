/** A copy of the log as it stands at one moment, made while gates go on writing to it. */
import { closeSync, openSync, renameSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { backup } from "node:sqlite";
import { GateError } from "@stepgate/core";
import { openReading } from "./database.ts";

/** How far a copy has come. */
export interface BackUpProgress {
  readonly pagesCopied: number;
  readonly pagesTotal: number;
}

/** How a copy is made. */
export interface BackUpOptions {
  /** Called a few times a second or more often. An error that it throws ends the copying, and is thrown on. */
  readonly progress?: (progress: BackUpProgress) => void;
}

/** What was copied. */
export interface BackUp {
  /** Absolute. */
  readonly path: string;
  /** The first so many records of the log, every one of them; it went on meanwhile. */
  readonly records: number;
}

const PAGES_AT_ONCE = 256;

/**
 * Copies the log at `file` to a new file at `to` (mode 0600), off the event loop. It stands there whole and checked, as a
 * log that can be opened, or not at all. The write-ahead log of the original cannot begin anew until the copy is done.
 *
 * @throws GateError STORE_UNAVAILABLE where it cannot be made; INVALID_INPUT where a file is there already.
 */
export async function backUp(
  file: string,
  to: string,
  { progress }: BackUpOptions = {},
): Promise<BackUp> {
  const path = resolve(to);
  reserve(path);
  const unfinished = `${path}.unfinished`;
  try {
    const records = await copyTo(file, unfinished, progress);
    // As it would be opened: whole as far as can be seen, with every record of the moment.
    const copy = openReading(unfinished);
    copy.close();
    renameSync(unfinished, path);
    return { path, records };
  } catch (cause) {
    for (const left of [path, unfinished]) rmSync(left, { force: true });
    throw cause instanceof Error && "errcode" in cause ? cannotCopy(path, cause) : cause;
  } finally {
    for (const suffix of ["-wal", "-shm"]) rmSync(`${unfinished}${suffix}`, { force: true });
  }
}

/** An empty file holds the name, so that two copies at once, or a file that is there, are told before anything is lost. */
function reserve(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
    closeSync(openSync(`${path}.unfinished`, "w", 0o600));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST")
      throw new GateError("INVALID_INPUT", `${path} is there already: name a new file`);
    throw cannotCopy(path, cause);
  }
}

/** Under one read transaction, so that every page is of one moment however long it takes, and commits do not begin it anew. */
async function copyTo(
  file: string,
  to: string,
  progress: BackUpOptions["progress"],
): Promise<number> {
  const source = openReading(file);
  try {
    source.exec("BEGIN");
    const end = source.prepare("SELECT max(position) AS position FROM record").get();
    await backup(source, to, {
      rate: PAGES_AT_ONCE,
      progress: ({ totalPages, remainingPages }) =>
        progress?.({ pagesCopied: totalPages - remainingPages, pagesTotal: totalPages }),
    });
    return Number(end?.["position"] ?? 0);
  } finally {
    source.close();
  }
}

function cannotCopy(path: string, cause: unknown): GateError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GateError("STORE_UNAVAILABLE", `cannot copy the store to ${path}: ${reason}`, {
    cause,
  });
}
