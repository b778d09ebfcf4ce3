/** An archive of the log as a folder: segments whose names tell their leaf indexes, and the checkpoint that covers them. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Archive, type ArchiveHead, GateError } from "@stepgate/core";
import { createDurably, replaceDurably } from "./durable-file.ts";
import { errorCode, reasonOf, unreadable } from "./reading.ts";

/** The checkpoint that covers every segment. */
const ARCHIVE_CHECKPOINT = "checkpoint.txt";

/** Wide enough for every leaf index, so that names sort as their records do. */
const DIGITS = 16;
/** Receipts say who did what: for their owner only. */
const MODE = 0o600;

/**
 * The archive in a folder that exists. One process at a time may write to it; of two that begin the same segment, the
 * second fails.
 *
 * @example
 * await archiveLog({ store, archive: archiveFolder("receipts"), signer, keys });
 */
export function archiveFolder(folder: string): Archive {
  const checkpoint = join(folder, ARCHIVE_CHECKPOINT);
  return {
    async head(): Promise<ArchiveHead> {
      const size = sizeOf(folder, await readFolder(folder));
      const note = await readFile(checkpoint, "utf8").catch(absent);
      return { size, checkpoint: note };
    },
    keep: ({ note }) =>
      createDurably(checkpoint, MODE, note).catch((cause: unknown) => {
        if (errorCode(cause) === "EEXIST") return replaceDurably(checkpoint, note);
        throw unwritable(checkpoint, cause);
      }),
    async put({ from, to, text }) {
      const file = join(folder, `${digits(from)}-${digits(to)}.jsonl`);
      await createDurably(file, MODE, text).catch((cause: unknown) => {
        throw unwritable(file, cause);
      });
    },
  };
}

const SEGMENT = /^(\d{16})-(\d{16})\.jsonl$/;

/** Where the segments end, which must follow one another without a gap. @throws GateError RECEIPT_INVALID. */
function sizeOf(folder: string, names: readonly string[]): number {
  let size = 0;
  for (const name of names.toSorted()) {
    const [, from, to] = SEGMENT.exec(name) ?? [];
    if (from === undefined) continue;
    if (Number(from) !== size)
      throw new GateError(
        "RECEIPT_INVALID",
        `${join(folder, name)}: the segment before it must end at ${Number(from)}, and ends at ${size}`,
      );
    size = Number(to);
  }
  return size;
}

async function readFolder(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((cause: unknown) => {
    throw unreadable(folder, reasonOf(cause), cause);
  });
}

function absent(cause: unknown): undefined {
  if (errorCode(cause) !== "ENOENT") throw cause;
}

function unwritable(file: string, cause: unknown): GateError {
  return new GateError("STORE_UNAVAILABLE", `${file}: ${reasonOf(cause)}`, { cause });
}

function digits(index: number): string {
  return String(index).padStart(DIGITS, "0");
}
