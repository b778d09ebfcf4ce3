/** Receipts in a file, as a store in memory that a gate can go on from. */
import {
  createVerifier,
  type FindingCode,
  memoryStore,
  type Mode,
  type Receipt,
  recordHash,
  type Store,
} from "@stepgate/core";
import { decodeText, fileChunks, readLines, unreadable } from "./reading.ts";

/** A store, and the mode of the log that it holds. */
export interface History {
  readonly store: Store;
  readonly mode: Mode;
}

/**
 * The records of one sequence. Their form is looked at, and their chain when a gate folds it; their signatures are not.
 *
 * @throws GateError INVALID_INPUT with `file:line:column`.
 */
export async function readHistory(
  file: string | undefined,
  sequence: string | undefined,
): Promise<History> {
  const store = memoryStore();
  let mode: Mode = "enforce";
  if (file === undefined || sequence === undefined) return { store, mode };
  // Without keys a verifier still knows what is a record; whose it is, is `stepgate verify`'s business.
  const verifier = createVerifier({ keys: new Map() });
  for await (const { bytes, number } of readLines(fileChunks(file), file)) {
    const at = `${file}:${number}:1`;
    const finding = verifier.line(bytes);
    if (finding !== undefined && NO_RECORD.has(finding.code))
      throw unreadable(at, `${finding.code}: ${finding.message}`);
    const line = decodeText(bytes, at);
    const record = JSON.parse(line) as Receipt;
    if (record.sequence_id !== sequence) continue;
    const placed = { seq: record.seq, hash: recordHash(record), line };
    if ((await store.append({ sequence_id: sequence, records: [placed] })) !== "won") {
      throw unreadable(
        at,
        `record ${record.seq} of '${sequence}' does not follow; all its records are needed, in order`,
      );
    }
    if (record.kind !== "open") continue;
    mode = record.mode;
    await store.setting("log_id", record.log_id);
  }
  return { store, mode };
}

/** Findings of a line by itself. */
const NO_RECORD: ReadonlySet<FindingCode> = new Set<FindingCode>([
  "UNREADABLE",
  "DUPLICATE_MEMBER",
  "NOT_CANONICAL",
  "UNKNOWN_VERSION",
  "UNKNOWN_MEMBER",
  "MALFORMED",
]);
