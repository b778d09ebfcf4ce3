/**
 * Verification where signatures can be verified only asynchronously, as in a browser: the very code of `verify.ts` reads
 * some lines twice, first to learn what it will ask of their signatures, then with the answers.
 */
import { approvalFault } from "./approval.ts";
import { type Checkpoint, readCheckpoint as readNote } from "./checkpoint.ts";
import { verifyProof as readProof } from "./inclusion-proof.ts";
import type { KeySet } from "./key-set.ts";
import { createLineSplitter } from "./line-splitter.ts";
import { type Receipt, receiptLine } from "./receipt.ts";
import { askSignatures, type SignatureCheck } from "./signature-check.ts";
import { createReport, type ReportCallbacks, type VerificationReport } from "./verify.ts";
import {
  createLineVerifier,
  evidenceOf,
  type LineVerifier,
  type VerifyOptions,
} from "./verify-lines.ts";
import { createLogCheck } from "./verify-log.ts";
import { type Evidence, MAX_LINE, readLine } from "./verify-record.ts";

type Line = string | Uint8Array;

/** Bytes as a page gets them: `file.stream()`, `response.body`. Not every browser's streams can be iterated. */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/**
 * Verifies a file of receipts (JSONL) from its bytes, in chunks of any size. `progress` is told bytes read. With
 * `finding` and `sequence` nothing is collected for the report.
 *
 * @throws GateError UNSUPPORTED where the platform cannot verify Ed25519; as `readCheckpoint` for checkpoints.
 * @example
 * const report = await verifyFile(file.stream(), { keys: importKeySet(jwks) });
 */
export async function verifyFile(
  chunks: ByteStream | AsyncIterable<Uint8Array>,
  options: VerifyOptions & ReportCallbacks & { readonly progress?: (bytes: number) => void },
): Promise<VerificationReport> {
  const { lines, read } = await openReader(options);
  const report = createReport(options);
  const splitter = createLineSplitter(MAX_LINE);
  let bytes = 0;
  for await (const chunk of chunksOf(chunks)) {
    for (const some of together(splitter.take(chunk))) await read(some, report);
    options.progress?.((bytes += chunk.length));
  }
  if (splitter.end()) await report.finding(lines.unterminated());
  return report.end(lines.end());
}

/**
 * Verifies receipts, or canonical lines of them, in order.
 *
 * @throws GateError as {@link verifyFile}.
 */
export async function verifyReceipts(
  receipts: AsyncIterable<Receipt | Line> | Iterable<Receipt | Line>,
  options: VerifyOptions & ReportCallbacks,
): Promise<VerificationReport> {
  const { lines, read } = await openReader(options);
  const report = createReport(options);
  let waiting: Line[] = [];
  for await (const one of receipts) {
    waiting.push(typeof one === "string" || one instanceof Uint8Array ? one : receiptLine(one));
    if (waiting.length < TOGETHER) continue;
    await read(waiting, report);
    waiting = [];
  }
  await read(waiting, report);
  return report.end(lines.end());
}

/** As core's `readCheckpoint`, later. @throws GateError as it, and UNSUPPORTED as {@link verifyFile}. */
export async function readCheckpoint(note: string, keys: KeySet): Promise<Checkpoint> {
  const read = (holds: SignatureCheck): Checkpoint => readNote(note, keys, holds);
  return read(await askSignatures(read));
}

/** As core's `verifyProof`, later. @throws GateError as it, and UNSUPPORTED as {@link verifyFile}. */
export async function verifyProof(
  recordHash: string,
  proof: string,
  keys: KeySet,
): Promise<Checkpoint> {
  const read = (holds: SignatureCheck): Checkpoint => readProof(recordHash, proof, keys, holds);
  return read(await askSignatures(read));
}

/** How many lines are asked about at once: enough to keep the platform busy, few enough to hold. */
const TOGETHER = 1024;

interface Reader {
  readonly lines: LineVerifier;
  read(
    lines: readonly Line[],
    report: Pick<ReturnType<typeof createReport>, "finding">,
  ): Promise<void>;
}

async function openReader(options: VerifyOptions): Promise<Reader> {
  let holds = await askSignatures((seemsToHold) => {
    createLogCheck(options.checkpoints ?? [], options.keys, seemsToHold);
  });
  const lines = createLineVerifier(options, undefined, (...question) => holds(...question));
  return {
    lines,
    async read(some, report) {
      holds = await askSignatures((seemsToHold) => {
        // Fresh, so that it remembers no batch as verified; and no key is passed over for the time of its revocation.
        const evidence = evidenceOf(options, () => true, seemsToHold);
        for (const line of some) ask(line, evidence);
      });
      for (const line of some) {
        const finding = lines.line(line);
        if (finding !== undefined) await report.finding(finding);
      }
    },
  };
}

/** Every signature that this line is judged by: its own, its batch's, its new key's, its approver's. */
function ask(line: Line, evidence: Evidence): void {
  const { receipt } = readLine(line, evidence);
  if (receipt?.kind === "approval")
    approvalFault(receipt, evidence.keys, receipt.ts_ms, evidence.holds);
}

function* together(lines: Iterable<Uint8Array>): Generator<readonly Uint8Array[]> {
  let some: Uint8Array[] = [];
  for (const line of lines) {
    some.push(line);
    if (some.length < TOGETHER) continue;
    yield some;
    some = [];
  }
  yield some;
}

async function* chunksOf(
  source: ByteStream | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (Symbol.asyncIterator in source) return yield* source;
  const reader = source.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read())
      if (next.value !== undefined) yield next.value;
  } finally {
    await reader.cancel();
  }
}
