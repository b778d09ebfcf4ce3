/** One line after another against trusted keys. Nothing is collected: what is found is handed on, and counted. */
import { secretKey } from "#platform";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { type Fault, fault, type Finding, type FindingCode } from "./finding.ts";
import type { KeySet } from "./key-set.ts";
import type { Receipt } from "./receipt.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";
import { createBatchVerifier } from "./verify-batch.ts";
import {
  type Chain,
  type ChainEvidence,
  followRecord,
  type HeldPolicies,
  skipRecord,
  wasActive,
} from "./verify-chain.ts";
import { type Chains, type ChainSpill, createChains, type FollowedChain } from "./verify-chains.ts";
import { type CheckpointReport, createLogCheck, type KeptCheckpoint } from "./verify-log.ts";
import { type Evidence, readLine } from "./verify-record.ts";

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
  /** Where chains wait that had no record lately. Without it memory grows with the sequences of a file. */
  readonly spill?: ChainSpill;
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
  /** Of the findings of its records the first; absent where there are none. */
  readonly first_finding?: Pick<Finding, "line" | "code">;
}

/** A file in figures. */
export interface Summary {
  readonly records: number;
  /** How often each code was found, of those that were. */
  readonly found: Readonly<Partial<Record<FindingCode, number>>>;
  /** How many sequences there are of each verdict, the worst first. */
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** How many ALLOWs there are whose outcome nobody recorded. */
  readonly open_allows: number;
  /** What the file is to each checkpoint, by size; absent where none was given. */
  readonly checkpoints?: readonly CheckpointReport[];
  /** Whether decisions were recomputed under given policies. */
  readonly recomputed: boolean;
  /** `sound`: exit 0. `invalid`: exit 1. `undecided` (a missing key, nothing to verify): exit 2. */
  readonly result: "sound" | "invalid" | "undecided";
}

/** What only the end of a file tells. */
export type Ending =
  | { readonly kind: "finding"; readonly finding: Finding }
  | { readonly kind: "sequence"; readonly sequence: SequenceReport };

/** Takes lines one by one, and keeps nothing of them but what later ones are judged by. */
export interface LineVerifier {
  line(line: string | Uint8Array): Finding | undefined;
  unterminated(): Finding;
  /** What there is to say once the lines are read: what else is found, then each sequence by its first line; and the figures. */
  end(): Generator<Ending, Summary>;
}

/**
 * A verifier whose chains are where `chainsOf` puts them.
 *
 * @throws GateError for a checkpoint that cannot be believed (`readCheckpoint`).
 */
export function createLineVerifier(
  options: VerifyOptions,
  chainsOf: (policies: HeldPolicies) => Chains = (policies) =>
    createChains(policies, options.spill),
  holds: SignatureCheck = checkSignature,
): LineVerifier {
  const log = options.checkpoints && createLogCheck(options.checkpoints, options.keys, holds);
  const evidence = evidenceOf(options, (revokedFrom) => log?.covers(revokedFrom) ?? false, holds);
  const policies =
    options.policies && new Map(options.policies.map((policy) => [policy.digest, policy]));
  const judged: ChainEvidence = { policies, keys: options.keys, holds };
  const chains = chainsOf(policies);
  const found = new Map<FindingCode, number>();
  let lines = 0;

  function note(one: Fault, at: { readonly sequence_id?: string; readonly seq?: number }): Finding {
    count(found, one.code);
    return { ...one, line: lines, ...at };
  }

  return {
    line(line) {
      lines++;
      const { fault: own, place, receipt } = readLine(line, evidence);
      const inLog = log?.line(place?.hash, receipt?.log_id);
      if (place === undefined) return own && note(own, {});
      const one = chains.follow(place.sequence_id, lines);
      const inChain =
        receipt === undefined
          ? skipRecord(one.chain, place)
          : followRecord(one.chain, receipt, place.hash, judged);
      const worst = own ?? inChain ?? inLog;
      if (worst !== undefined) {
        one.faults.add(worst.code);
        one.first ??= { line: lines, code: worst.code };
      } else if (receipt !== undefined) options.record?.(receipt, place.hash);
      chains.settle();
      return worst && note(worst, { sequence_id: place.sequence_id, seq: place.seq });
    },
    unterminated() {
      lines++;
      return note(fault("UNREADABLE", "the last line does not end in a line feed"), {});
    },
    *end() {
      const codes = new Map(found);
      const against = log?.report();
      for (const finding of lateFindings(chains, against?.faults ?? [])) {
        count(codes, finding.code);
        yield { kind: "finding", finding };
      }
      const tally = { INVALID: 0, UNDECIDED: 0, UNENFORCED: 0, SEALED: 0, OPEN: 0 };
      let open_allows = 0;
      for (const [sequence_id, one] of chains.all()) {
        const sequence = reportOf(sequence_id, one, lateFinding(chains, sequence_id, one));
        tally[sequence.verdict]++;
        open_allows += sequence.open_allows.length;
        yield { kind: "sequence", sequence };
      }
      return {
        records: lines,
        found: Object.fromEntries(codes),
        verdicts: tally,
        open_allows,
        ...(against === undefined ? {} : { checkpoints: against.checkpoints }),
        recomputed: policies !== undefined,
        result: resultOf(lines, codes),
      };
    },
  };
}

/** What records are believed by under these options. */
export function evidenceOf(
  options: VerifyOptions,
  covers: Evidence["covers"],
  holds: SignatureCheck,
): Evidence {
  return {
    keys: options.keys,
    holds,
    batches: createBatchVerifier(undefined, holds),
    covers,
    require: options.require ?? "ed25519",
    hmacKeys: new Map(
      Object.entries(options.hmacKeys ?? {}).map(([id, secret]) => [id, secretKey(secret)]),
    ),
  };
}

function count(codes: Map<FindingCode, number>, code: FindingCode): void {
  codes.set(code, (codes.get(code) ?? 0) + 1);
}

/** What shows at the end alone: of sequences, then of the whole file. */
function* lateFindings(chains: Chains, ofFile: readonly Finding[]): Generator<Finding> {
  if (chains.log() !== undefined)
    for (const [sequence_id, one] of chains.all()) {
      const late = lateFinding(chains, sequence_id, one);
      if (late !== undefined) yield late;
    }
  yield* ofFile;
}

/** Where `@log` is in the file, a sequence must have been opened under a policy that was active then. */
function lateFinding(
  chains: Chains,
  sequence_id: string,
  { chain, from, first }: FollowedChain,
): Finding | undefined {
  const log = chains.log()?.policies;
  const opened = chain.state?.opened;
  if (log === undefined || opened === undefined || first?.line === from || wasActive(log, opened))
    return undefined;
  const late = fault("POLICY_MISMATCH", "was opened under a policy that was not active then");
  return { ...late, line: from, sequence_id, seq: 0 };
}

function reportOf(
  sequence_id: string,
  { chain, records, faults, first }: FollowedChain,
  late: Finding | undefined,
): SequenceReport {
  const open_allows: string[] = [];
  for (const [hash, { outcome }] of chain.state?.allows ?? [])
    if (outcome === undefined) open_allows.push(hash);
  const verdict = late === undefined ? verdictOf(chain, faults) : "INVALID";
  const finding = first ?? (late && { line: late.line, code: late.code });
  return {
    sequence_id,
    verdict,
    records,
    open_allows,
    ...(finding === undefined ? {} : { first_finding: finding }),
  };
}

function verdictOf({ state }: Chain, faults: ReadonlySet<FindingCode>): Verdict {
  if (faults.size > 0)
    return faults.size === 1 && faults.has("UNKNOWN_KEY") ? "UNDECIDED" : "INVALID";
  if (state?.opened.mode === "shadow") return "UNENFORCED";
  return state?.sealed === undefined ? "OPEN" : "SEALED";
}

function resultOf(lines: number, found: ReadonlyMap<FindingCode, number>): Summary["result"] {
  if ([...found.keys()].some((code) => code !== "UNKNOWN_KEY")) return "invalid";
  return lines === 0 || found.size > 0 ? "undecided" : "sound";
}
