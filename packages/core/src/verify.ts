/**
 * Verification of receipts (receipt.md, Verifying): needs the receipts and trusted keys; no network, no gate, no store.
 * Lines are read in file order; each record has at most one finding, the first of the specification's list.
 */
import type { Finding } from "./finding.ts";
import { createLineSplitter } from "./line-splitter.ts";
import { type Receipt, receiptLine } from "./receipt.ts";
import { MAX_LINE } from "./verify-record.ts";
import {
  createLineVerifier,
  type Ending,
  type SequenceReport,
  type Summary,
  type VerifyOptions,
} from "./verify-lines.ts";

/** What was found of a file. */
export interface VerificationReport extends Summary {
  /** Every finding: by line, then what the end of the file told. Empty where a callback took them. */
  readonly findings: readonly Finding[];
  /** Every sequence, by its first line. Empty where a callback took them. */
  readonly sequences: readonly SequenceReport[];
}

/**
 * Takes findings and sequences one by one, in place of the report's lists, so that memory does not grow with them. Reading
 * goes on once a returned promise resolves.
 */
export interface ReportCallbacks {
  readonly finding?: (finding: Finding) => void | Promise<void>;
  /** Called at the end of the file, by first line. */
  readonly sequence?: (sequence: SequenceReport) => void | Promise<void>;
}

/** Takes lines one by one. */
export interface Verifier {
  /** Reads the next line, without its line feed; returns its finding, if any. */
  line(line: string | Uint8Array): Finding | undefined;
  /** Tells of a last line that did not end in a line feed, in place of reading it: it may be half of a line. */
  unterminated(): Finding;
  report(): VerificationReport;
}

/**
 * A verifier that is fed line by line. It collects findings and sequences for its report: of a file that may be large,
 * {@link verifyFile} with callbacks collects nothing.
 *
 * @throws GateError for a checkpoint that cannot be believed (`readCheckpoint`).
 */
export function createVerifier(options: VerifyOptions): Verifier {
  const lines = createLineVerifier(options);
  const findings: Finding[] = [];
  return {
    line(line) {
      const finding = lines.line(line);
      if (finding !== undefined) findings.push(finding);
      return finding;
    },
    unterminated() {
      const finding = lines.unterminated();
      findings.push(finding);
      return finding;
    },
    report() {
      const all = [...findings];
      const sequences: SequenceReport[] = [];
      const ending = lines.end();
      let step = ending.next();
      for (; !step.done; step = ending.next())
        if (step.value.kind === "finding") all.push(step.value.finding);
        else sequences.push(step.value.sequence);
      return { ...step.value, findings: all, sequences };
    },
  };
}

/**
 * Verifies receipts, or canonical lines of them, in order.
 *
 * @example
 * const report = await verifyReceipts(gate.receipts("order-17"), { keys: importKeySet(jwks) });
 */
export async function verifyReceipts(
  receipts: AsyncIterable<Receipt | string | Uint8Array> | Iterable<Receipt | string | Uint8Array>,
  options: VerifyOptions & ReportCallbacks,
): Promise<VerificationReport> {
  const lines = createLineVerifier(options);
  const report = createReport(options);
  for await (const one of receipts) {
    const line = typeof one === "string" || one instanceof Uint8Array ? one : receiptLine(one);
    const finding = lines.line(line);
    if (finding !== undefined) await report.finding(finding);
  }
  return report.end(lines.end());
}

/**
 * Verifies a file of receipts (JSONL) from its bytes, in chunks of any size. `progress` is told bytes read. With
 * `finding`, `sequence` and `spill` memory has a bound, however long the file.
 */
export async function verifyFile(
  chunks: AsyncIterable<Uint8Array>,
  options: VerifyOptions & ReportCallbacks & { readonly progress?: (bytes: number) => void },
): Promise<VerificationReport> {
  const lines = createLineVerifier(options);
  const report = createReport(options);
  const splitter = createLineSplitter(MAX_LINE);
  let bytes = 0;
  for await (const chunk of chunks) {
    for (const line of splitter.take(chunk)) {
      const finding = lines.line(line);
      if (finding !== undefined) await report.finding(finding);
    }
    options.progress?.((bytes += chunk.length));
  }
  if (splitter.end()) await report.finding(lines.unterminated());
  return report.end(lines.end());
}

/** A report in the making: what no callback takes is collected. */
export function createReport(callbacks: ReportCallbacks): {
  finding(finding: Finding): void | Promise<void>;
  end(ending: Generator<Ending, Summary>): Promise<VerificationReport>;
} {
  const findings: Finding[] = [];
  const sequences: SequenceReport[] = [];
  const finding = callbacks.finding ?? ((one) => void findings.push(one));
  const sequence = callbacks.sequence ?? ((one) => void sequences.push(one));
  return {
    finding,
    async end(ending) {
      let step = ending.next();
      for (; !step.done; step = ending.next())
        await (step.value.kind === "finding"
          ? finding(step.value.finding)
          : sequence(step.value.sequence));
      return { ...step.value, findings, sequences };
    },
  };
}
