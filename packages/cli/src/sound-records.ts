/** Records that are said again under another name: nothing of them before all of them were verified. */
import { hash as digestOf } from "node:crypto";
import {
  type Finding,
  GateError,
  type Mode,
  parseStrictJson,
  type Receipt,
  recordHash,
  type VerificationReport,
  type VerifyOptions,
  verifyReceipts,
} from "@stepgate/core";
import { createSpill } from "./chain-spill.ts";

/** A record of a sound export. */
export interface SoundRecord {
  readonly receipt: Receipt;
  /** Its identity, `sha256:` + hex. */
  readonly hash: string;
  /** Its canonical text, without a line feed. */
  readonly line: string;
  /** Of its sequence: whether denials were enforced. Absent where a record of `@log` has none. */
  readonly mode?: Mode;
}

/** Where the records come from. Each call begins anew. */
export interface RecordSource {
  readonly lines: () => AsyncIterable<string>;
  /** More that is verified with them and not exported: the chain `@log`, for one sequence. */
  readonly beside?: () => AsyncIterable<string>;
}

/** What came of verifying. */
export interface Soundness {
  /** Without sequences, and with the first findings alone. */
  readonly report: VerificationReport;
  /** How many lines there are to export. */
  readonly count: number;
  /** Only where everything was sound. @throws GateError RECEIPT_INVALID where the lines are no longer those verified. */
  readonly records?: () => AsyncIterable<SoundRecord>;
}

/**
 * Verifies every line, then offers the same lines again. The last line may prove the first one wrong, so nothing is handed
 * on before the end; and not the lines are kept meanwhile, but a digest of each page of them.
 */
export async function verifySource(
  source: RecordSource,
  trust: VerifyOptions,
  progress: (lines: number) => void,
): Promise<Soundness> {
  const digests: string[] = [];
  let count = 0;
  async function* everything(): AsyncGenerator<string> {
    for await (const page of pages(source.lines())) {
      yield* page;
      digests.push(pageDigest(page));
      progress((count += page.length));
    }
    if (source.beside !== undefined) yield* source.beside();
  }

  const findings: Finding[] = [];
  const spill = createSpill();
  const report = await verifyReceipts(everything(), {
    ...trust,
    spill,
    finding: (one) => void (findings.length < SHOWN && findings.push(one)),
    sequence: () => {},
  }).finally(() => spill.close());
  if (report.result !== "sound") return { report: { ...report, findings }, count };
  return { report, count, records: () => readAgain(source, digests, count) };
}

/** So many findings are told; `stepgate verify` has them all. */
const SHOWN = 100;

async function* readAgain(
  source: RecordSource,
  digests: readonly string[],
  count: number,
): AsyncGenerator<SoundRecord> {
  const modes = new Map<string, Mode>();
  let read = 0;
  // What was appended meanwhile was not verified, and is left for the next export.
  for await (const page of pages(firstOf(source.lines(), count))) {
    if (pageDigest(page) !== digests[read++]) throw changed();
    for (const line of page) {
      // The verifier read this very line as a record.
      const receipt = parseStrictJson(line) as unknown as Receipt;
      if (receipt.kind === "open") modes.set(receipt.sequence_id, receipt.mode);
      const mode = "mode" in receipt ? receipt.mode : modes.get(receipt.sequence_id);
      const own = mode === undefined ? {} : { mode };
      yield { receipt, hash: recordHash(receipt), line, ...own };
    }
  }
  if (read !== digests.length) throw changed();
}

function changed(): GateError {
  return new GateError(
    "RECEIPT_INVALID",
    "the records changed after they were verified; what is written so far was sound, the rest is not written",
  );
}

async function* firstOf(lines: AsyncIterable<string>, count: number): AsyncGenerator<string> {
  let taken = 0;
  for await (const line of lines) {
    if (taken++ === count) return;
    yield line;
  }
}

const PAGE = 1000;

async function* pages(lines: AsyncIterable<string>): AsyncGenerator<readonly string[]> {
  let page: string[] = [];
  for await (const line of lines) {
    page.push(line);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

function pageDigest(page: readonly string[]): string {
  return digestOf("sha256", JSON.stringify(page));
}
