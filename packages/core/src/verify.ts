/**
 * Verification of receipts (receipt.md, Verifying): needs the receipts and trusted keys; no network, no gate, no store.
 * Lines are read in file order; each record has at most one finding, the first of the specification's list.
 */
import { createSecretKey } from "node:crypto";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { type Fault, fault, type Finding } from "./finding.ts";
import { type Receipt, receiptLine } from "./receipt.ts";
import type { KeySet } from "./signing-key.ts";
import {
  type Chain,
  followRecord,
  type HeldPolicies,
  newChain,
  skipRecord,
  wasActive,
} from "./verify-chain.ts";
import { LOG_CHAIN } from "./policy-book.ts";
import { createBatchVerifier } from "./verify-batch.ts";
import { type CheckpointReport, createLogCheck, type KeptCheckpoint } from "./verify-log.ts";
import { type Evidence, MAX_LINE, readLine } from "./verify-record.ts";

/** What a verifier trusts, and what it demands. */
export interface VerifyOptions {
  /** Trust comes from outside the receipts. */
  readonly keys: KeySet;
  /** With policies every decision is recomputed, for the checks that need no arguments (2 to 6). */
  readonly policies?: readonly CompiledPolicy[];
  /** The authenticator that every record must carry. Default `ed25519`, of its own or of its batch: what convinces a stranger. */
  readonly require?: "ed25519" | "hmac";
  /** Secrets of MAC keys by `hmac_key_id`. A MAC proves only to who holds its secret. */
  readonly hmacKeys?: Readonly<Record<string, Uint8Array>>;
  /**
   * Checkpoints of the log that were kept elsewhere: signed notes, under trusted keys. The lines must then be all of the
   * log in its order, as `stepgate receipts` exports it, at least as far as the last checkpoint.
   */
  readonly checkpoints?: readonly (string | KeptCheckpoint)[];
  /** Is told each record that has no finding of its own, with its hash. What follows it may still prove it wrong. */
  readonly record?: (receipt: Receipt, hash: string) => void;
}

/**
 * `SEALED`: no new action was allowed after the seal. `OPEN`: sound so far; a missing tail cannot be excluded.
 * `UNENFORCED`: a shadow run. `INVALID`: some record is not sound. `UNDECIDED`: a key is missing, nothing else.
 */
export type Verdict = "INVALID" | "UNDECIDED" | "UNENFORCED" | "SEALED" | "OPEN";

/** What was found of one sequence. */
export interface SequenceReport {
  readonly sequence_id: string;
  readonly verdict: Verdict;
  readonly records: number;
  /** Record hashes of ALLOWs whose outcome nobody recorded. */
  readonly open_allows: readonly string[];
}

/** What was found of a file. */
export interface VerificationReport {
  readonly records: number;
  readonly findings: readonly Finding[];
  readonly sequences: readonly SequenceReport[];
  /** What the file is to each checkpoint, by size; absent where none was given. */
  readonly checkpoints?: readonly CheckpointReport[];
  /** Whether decisions were recomputed under given policies. */
  readonly recomputed: boolean;
  /** `sound`: exit 0. `invalid`: exit 1. `undecided` (a missing key, nothing to verify): exit 2. */
  readonly result: "sound" | "invalid" | "undecided";
}

/** Takes lines one by one. */
export interface Verifier {
  /** Reads the next line, without its line feed; returns its finding, if any. */
  line(line: string | Uint8Array): Finding | undefined;
  /** Tells of a last line that did not end in a line feed, in place of reading it: it may be half of a line. */
  unterminated(): Finding;
  report(): VerificationReport;
}

interface Followed {
  /** The line that its first record stood on. */
  readonly from: number;
  readonly chain: Chain;
  records: number;
  faults: Set<Fault["code"]>;
}

/**
 * A verifier that is fed line by line. Findings are collected; memory grows with the sequences, not with the lines.
 *
 * @throws GateError for a checkpoint that cannot be believed (`readCheckpoint`).
 */
export function createVerifier(options: VerifyOptions): Verifier {
  const log =
    options.checkpoints === undefined
      ? undefined
      : createLogCheck(options.checkpoints, options.keys);
  const evidence: Evidence = {
    keys: options.keys,
    batches: createBatchVerifier(),
    covers: (revokedFrom) => log?.covers(revokedFrom) ?? false,
    require: options.require ?? "ed25519",
    hmacKeys: new Map(
      Object.entries(options.hmacKeys ?? {}).map(([id, secret]) => [id, createSecretKey(secret)]),
    ),
  };
  const policies: HeldPolicies =
    options.policies && new Map(options.policies.map((policy) => [policy.digest, policy]));
  const followed = new Map<string, Followed>();
  const findings: Finding[] = [];
  let lines = 0;

  function follow(sequenceId: string): Followed {
    let one = followed.get(sequenceId);
    if (one === undefined)
      followed.set(
        sequenceId,
        (one = { from: lines, chain: newChain(), records: 0, faults: new Set() }),
      );
    return one;
  }

  function note(
    found: Fault,
    at: { readonly sequence_id?: string; readonly seq?: number },
  ): Finding {
    const finding = { ...found, line: lines, ...at };
    findings.push(finding);
    return finding;
  }

  return {
    line(line) {
      lines++;
      const { fault: own, place, receipt } = readLine(line, evidence);
      const inLog = log?.line(place?.hash, receipt?.log_id);
      if (place === undefined) return own && note(own, {});
      const one = follow(place.sequence_id);
      one.records++;
      const inChain =
        receipt === undefined
          ? skipRecord(one.chain, place)
          : followRecord(one.chain, receipt, place.hash, { policies, keys: options.keys });
      const found = own ?? inChain ?? inLog;
      if (found === undefined) {
        if (receipt !== undefined) options.record?.(receipt, place.hash);
        return undefined;
      }
      one.faults.add(found.code);
      return note(found, { sequence_id: place.sequence_id, seq: place.seq });
    },
    unterminated() {
      lines++;
      return note(fault("UNREADABLE", "the last line does not end in a line feed"), {});
    },
    report() {
      const found = new Set(findings.map(({ line }) => line));
      const opened = openedUnderOthers(followed, found);
      const late = new Set(opened.map(({ sequence_id }) => sequence_id));
      const against = log?.report();
      const all = [...findings, ...opened, ...(against?.faults ?? [])];
      return {
        records: lines,
        findings: all,
        sequences: [...followed]
          .filter(([sequence_id]) => sequence_id !== LOG_CHAIN)
          .map(([sequence_id, one]) => reportOf(sequence_id, one, late.has(sequence_id))),
        ...(against === undefined ? {} : { checkpoints: against.checkpoints }),
        recomputed: policies !== undefined,
        result: resultOf(lines, all),
      };
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
  options: VerifyOptions,
): Promise<VerificationReport> {
  const verifier = createVerifier(options);
  for await (const one of receipts)
    verifier.line(typeof one === "string" || one instanceof Uint8Array ? one : receiptLine(one));
  return verifier.report();
}

/** Verifies a file of receipts (JSONL) from its bytes, in chunks of any size. `progress` is told bytes read. */
export async function verifyFile(
  chunks: AsyncIterable<Uint8Array>,
  options: VerifyOptions & { readonly progress?: (bytes: number) => void },
): Promise<VerificationReport> {
  const verifier = createVerifier(options);
  const splitter = createSplitter((line) => void verifier.line(line));
  let bytes = 0;
  for await (const chunk of chunks) {
    splitter.take(chunk);
    options.progress?.((bytes += chunk.length));
  }
  if (splitter.end()) verifier.unterminated();
  return verifier.report();
}

/** Cuts bytes into lines. A line without end is handed on once, as far as it shows that it is none, and then skipped. */
function createSplitter(line: (bytes: Uint8Array) => void): {
  take(chunk: Uint8Array): void;
  end(): boolean;
} {
  let rest: Uint8Array = new Uint8Array(0);
  let skipping = false;
  const cut = (bytes: Uint8Array): void => {
    if (!skipping) line(bytes);
    skipping = false;
  };
  return {
    take(chunk) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
        cut(bytes.subarray(from, end));
        from = end + 1;
      }
      rest = bytes.subarray(from);
      if (rest.length <= MAX_LINE) return;
      if (!skipping) line(rest);
      skipping = true;
      rest = new Uint8Array(0);
    },
    /** True where a last line without a line feed is left over, of which nothing was handed on. */
    end: () => rest.length > 0 && !skipping,
  };
}

/** Where `@log` is in the file, a sequence must have been opened under a policy that was active then. */
function openedUnderOthers(
  followed: ReadonlyMap<string, Followed>,
  found: ReadonlySet<number>,
): readonly Finding[] {
  const log = followed.get(LOG_CHAIN)?.chain.policies;
  if (log === undefined) return [];
  return [...followed].flatMap(([sequence_id, { chain, from }]) => {
    const opened = chain.state?.opened;
    if (opened === undefined || found.has(from) || wasActive(log, opened)) return [];
    const late = fault("POLICY_MISMATCH", "was opened under a policy that was not active then");
    return [{ ...late, line: from, sequence_id, seq: 0 }];
  });
}

function reportOf(
  sequence_id: string,
  { chain, records, faults }: Followed,
  late: boolean,
): SequenceReport {
  const allows = chain.state?.allows ?? new Map<string, { readonly outcome?: unknown }>();
  const open_allows = [...allows]
    .filter(([, allow]) => allow.outcome === undefined)
    .map(([hash]) => hash);
  return {
    sequence_id,
    verdict: late ? "INVALID" : verdictOf(chain, faults),
    records,
    open_allows,
  };
}

function verdictOf({ state }: Chain, faults: ReadonlySet<Fault["code"]>): Verdict {
  if (faults.size > 0)
    return faults.size === 1 && faults.has("UNKNOWN_KEY") ? "UNDECIDED" : "INVALID";
  if (state?.opened.mode === "shadow") return "UNENFORCED";
  return state?.sealed === undefined ? "OPEN" : "SEALED";
}

function resultOf(lines: number, findings: readonly Finding[]): VerificationReport["result"] {
  if (findings.some(({ code }) => code !== "UNKNOWN_KEY")) return "invalid";
  return lines === 0 || findings.length > 0 ? "undecided" : "sound";
}
