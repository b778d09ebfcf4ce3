/** Receipts in a file, as a store in memory that a gate can go on from. */
import {
  canonicalize,
  createVerifier,
  type FindingCode,
  type JsonObject,
  memoryStore,
  type Mode,
  type Receipt,
  recordHash,
  type Store,
} from "@stepgate/core";
import { decodeText, fileChunks, readLines, unreadable } from "./reading.ts";
import { chainOf } from "./store-url.ts";

/** A store, and what it holds of one sequence. */
export interface History {
  readonly store: Store;
  readonly mode: Mode;
  /** How many records tell the digest of a context. */
  readonly contexts: number;
}

/** Where a history comes from. At most one of `receipts` and `store`. */
export interface HistorySource {
  /** A file of receipts. */
  readonly receipts?: string;
  /** The store itself, which is only read. */
  readonly store?: Store;
  /** The trusted contexts, in the order of the records that tell only their digests. */
  readonly contexts?: readonly JsonObject[];
}

/**
 * The records of one sequence. Their form is looked at, and their chain when a gate folds it; their signatures are not.
 *
 * @throws GateError INVALID_INPUT with `file:line:column`.
 */
export async function readHistory(
  source: HistorySource,
  sequence: string | undefined,
): Promise<History> {
  const copy = memoryStore();
  let mode: Mode = "enforce";
  const digests: string[] = [];
  for await (const { at, line } of sequence === undefined ? [] : linesOf(source, sequence)) {
    const record = JSON.parse(line) as Receipt;
    if (record.sequence_id !== sequence) continue;
    const placed = { seq: record.seq, hash: recordHash(record), line };
    if ((await copy.append({ sequence_id: sequence, records: [placed] })) !== "won") {
      throw unreadable(
        at,
        `record ${record.seq} of '${sequence}' does not follow; all its records are needed, in order`,
      );
    }
    if ("context_digest" in record && record.context_digest !== undefined)
      digests.push(record.context_digest);
    if (record.kind !== "open") continue;
    mode = record.mode;
    await copy.setting("log_id", record.log_id);
  }
  const { store, contexts = [] } = source;
  const given = new Map(digests.map((digest, index) => [digest, contexts[index]]));
  const document = async (digest: string): Promise<string | undefined> => {
    const context = given.get(digest);
    if (context !== undefined) return canonicalize(context);
    return (await copy.document(digest)) ?? store?.document(digest);
  };
  const counters = store === undefined ? copy.counters : store.counters;
  return { store: { ...copy, document, counters }, mode, contexts: digests.length };
}

interface PlacedLine {
  /** `file:line:1`, or the sequence. */
  readonly at: string;
  readonly line: string;
}

async function* linesOf(
  { receipts, store }: HistorySource,
  sequence: string,
): AsyncGenerator<PlacedLine> {
  if (store !== undefined)
    for await (const line of chainOf(store, sequence)) yield { at: sequence, line };
  if (receipts === undefined) return;
  // Without keys a verifier still knows what is a record; whose it is, is `stepgate verify`'s business.
  const verifier = createVerifier({ keys: new Map() });
  for await (const { bytes, number } of readLines(fileChunks(receipts), receipts)) {
    const at = `${receipts}:${number}:1`;
    const finding = verifier.line(bytes);
    if (finding !== undefined && NO_RECORD.has(finding.code))
      throw unreadable(at, `${finding.code}: ${finding.message}`);
    yield { at, line: decodeText(bytes, at) };
  }
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
