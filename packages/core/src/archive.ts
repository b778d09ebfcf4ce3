/**
 * The log copied out, in order and for good: to files, or to wherever its user's own function writes. It goes by leaf
 * indexes, the one order in which nothing comes in between later, so that what is kept is the log as checkpoints have it.
 */
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import { checkpointLog, proveConsistency, recordOf } from "./checkpoint-log.ts";
import { GateError } from "./errors.ts";
import { leafOf, recordHash } from "./receipt.ts";
import type { KeySet } from "./key-set.ts";
import type { NoteSigner } from "./signed-note.ts";
import type { Store } from "./store.ts";

/** Records by leaf index, `from` the first of them and `to` the first after them. */
export interface ArchiveSegment {
  readonly from: number;
  readonly to: number;
  /** Their lines, each with its line feed: segments one after another are a file for `verifyFile`. */
  readonly text: string;
}

/** How far an archive has come. */
export interface ArchiveHead {
  /** How many records it holds, from the first of the log on. */
  readonly size: number;
  /** The note that {@link Archive.keep} was given last; absent before. */
  readonly checkpoint?: string | undefined;
}

/** Where the log is copied to. Each method resolves once what it was given would survive a power cut. */
export interface Archive {
  head(): Promise<ArchiveHead>;
  /** Keeps a checkpoint, always before the records that it covers: it replaces the one before. */
  keep(checkpoint: Checkpoint): Promise<void>;
  /** Keeps a segment, which begins where the archive ends. One whose answer was lost is put again: at least once. */
  put(segment: ArchiveSegment): Promise<void>;
}

/** What is copied, and where to. */
export interface Archiving {
  readonly store: Store;
  readonly archive: Archive;
  /** Signs checkpoints of the log. */
  readonly signer: NoteSigner;
  /** The keys under which the archive's own checkpoint is believed. */
  readonly keys: KeySet;
  /** The most records of one segment. Default 10,000: about 12 MB. */
  readonly segmentRecords?: number;
  /** Is told how many records the archive holds. */
  readonly progress?: (records: number) => void;
}

const SEGMENT_RECORDS = 10_000;

/**
 * Copies what the archive does not hold yet, up to a new checkpoint, and resolves to that. Cut off at any moment, the next
 * call goes on where the archive ends. A log that does not hold what the archive once had signed is not copied on: it was
 * rolled back or rewritten, and the archive is the better evidence.
 *
 * @throws GateError LOG_MISMATCH for such a log, RECEIPT_INVALID where the store's lines are not those that were
 *   indexed, NOT_OPENED where nothing was ever recorded, STORE_UNAVAILABLE.
 * @example
 * await archiveLog({ store, archive: archiveFolder("receipts"), signer, keys });
 */
export async function archiveLog(archiving: Archiving): Promise<Checkpoint> {
  const { store, archive, signer, keys } = archiving;
  const head = await archive.head();
  const kept = head.checkpoint === undefined ? undefined : readCheckpoint(head.checkpoint, keys);
  if (head.size > (kept?.size ?? 0))
    throw new GateError("LOG_MISMATCH", "the archive holds more records than its checkpoint");
  const made = await checkpointLog(store, signer);
  if (kept !== undefined) await proveConsistency(store, kept, made);
  // Before the records: so nothing is ever in the archive that no checkpoint covers.
  if (kept === undefined || kept.size < made.size) await archive.keep(made);
  await copy(archiving, head.size, made.size);
  return made;
}

async function copy(archiving: Archiving, begin: number, end: number): Promise<void> {
  const { archive, segmentRecords = SEGMENT_RECORDS, progress } = archiving;
  if (!Number.isSafeInteger(segmentRecords) || segmentRecords < 1)
    throw new TypeError("segmentRecords must be a whole number from 1 on");
  for (let from = begin; from < end; from += segmentRecords) {
    const to = Math.min(from + segmentRecords, end);
    await archive.put({ from, to, text: await segmentText(archiving.store, from, to) });
    progress?.(to);
  }
}

const PAGE = 1_000;

async function segmentText(store: Store, begin: number, end: number): Promise<string> {
  let text = "";
  for (let from = begin; from < end; from += PAGE) {
    const count = Math.min(PAGE, end - from);
    const lines = await store.indexed(from, count);
    await mustBeIndexed(store, lines, from, count);
    text += `${lines.join("\n")}\n`;
  }
  return text;
}

/** A line that changed after it was indexed would make an archive that does not verify, and be found years later. */
async function mustBeIndexed(
  store: Store,
  lines: readonly string[],
  from: number,
  count: number,
): Promise<void> {
  const places = Array.from({ length: count }, (_, at) => ({ level: 0, index: from + at }));
  const leaves = await store.nodes(places);
  const changed = leaves.findIndex(
    (leaf, at) => leaf === undefined || leafOfLine(lines[at]) !== leaf,
  );
  if (changed >= 0)
    throw new GateError(
      "RECEIPT_INVALID",
      `the store's record with leaf index ${from + changed} is not the one that was indexed`,
    );
}

function leafOfLine(line: string | undefined): string | undefined {
  try {
    return line === undefined ? undefined : leafOf(recordHash(recordOf(line)));
  } catch {
    return undefined;
  }
}
