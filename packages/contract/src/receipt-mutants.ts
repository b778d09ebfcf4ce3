/**
 * Mutants of a sound file of receipts: what an attacker without keys, a thief of one, and an operator could do to it, each with
 * what a verifier must say. Files are cut to the sequences that are touched.
 */
import { batchMutants } from "./batch-mutants.ts";
import { forgedMutants } from "./forged-mutants.ts";
import { keyMutants } from "./key-mutants.ts";
import { logMutants } from "./log-mutants.ts";
import {
  type Attack,
  bytesOf,
  type Mutant,
  parsed,
  type SequenceLines,
  sequencesOf,
  verdictOf,
  written,
} from "./mutant.ts";
import { type RotatedLog, rotatedLog } from "./rotated-log.ts";
import { canonicalText, type JsonObject } from "./second-json.ts";
import { type SoundFile, soundReceipts } from "./sound-receipts.ts";

/** What is tampered with: a file with another of another log, of which it needs the first sequences, and a small log likewise. */
export interface Soundness {
  readonly file: SoundFile;
  readonly other: SoundFile;
  readonly log: RotatedLog;
  readonly otherLog: RotatedLog;
}

/** The file of 5,000 records in 200 sequences, and the small log whose keys changed, each with its like of another log. */
export async function soundness(): Promise<Soundness> {
  return {
    file: await soundReceipts(200),
    other: await soundReceipts(40, 25, "other"),
    log: await rotatedLog(),
    otherLog: await rotatedLog("elsewhere"),
  };
}

/** Every mutant, the many of single records first. */
export function* receiptMutants({ file, other, log, otherLog }: Soundness): Generator<Mutant> {
  yield* recordMutants(file, other);
  const [sequences, others] = [sequencesOf(file), sequencesOf(other)];
  for (let at = 0; at + 2 < sequences.length; at += LOGS_EACH) {
    const [first, second, third] = sequences.slice(at, at + 3);
    if (first !== undefined && second !== undefined && third !== undefined)
      yield* logMutants([first, second, third], others[at]);
  }
  yield* keyMutants(log, otherLog);
  yield* batchMutants(log);
}

/** Mutants of records in one sequence each, as a reader finds them without a checkpoint. */
export function* recordMutants(file: SoundFile, other: SoundFile): Generator<Mutant> {
  const sequences = sequencesOf(file);
  const others = sequencesOf(other);
  yield* bitFlips(sequences);
  for (const [at, sequence] of sequences.entries()) {
    if (at % EACH !== 0) continue;
    yield* movedRecords(sequence);
    yield* splices(sequence, sequences[at + 1], others[at]);
    yield* forgedMutants(sequence);
  }
}

/** Records are moved about in every fourth sequence: each of these alone gives hundreds. */
const EACH = 4;
/** Of every eighth sequence and the two after it a log of its own is made, with checkpoints. */
const LOGS_EACH = 8;
const BITS = [0, 1, 2, 3, 4, 5, 6, 7];

/** One flip of each bit in the name and in the first, middle and last byte of every member of every sort of record. */
function* bitFlips(sequences: readonly SequenceLines[]): Generator<Mutant> {
  const seen = new Set<string>();
  for (const sequence of sequences) {
    for (const [at, line] of sequence.records.entries()) {
      const record = parsed(line);
      for (const { label, offset } of places(record)) {
        const { kind, decision, deny_code, resumes } = record;
        const auth = [`${record["batch"] !== undefined}`, `${record["hmac_sig"] !== undefined}`];
        const sort = [kind, decision, deny_code, resumes !== undefined, ...auth].join(" ");
        if (seen.has(`${sort} ${label}`)) continue;
        seen.add(`${sort} ${label}`);
        for (const bit of BITS) yield flipped(sequence, at, label, offset, bit);
      }
    }
  }
}

function flipped(
  { log, records }: SequenceLines,
  at: number,
  label: string,
  offset: number,
  bit: number,
): Mutant {
  const bytes = Buffer.from(records[at] ?? "");
  bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
  const before = bytesOf([...log, ...records.slice(0, at)]);
  const after = bytesOf(records.slice(at + 1, at + 3));
  return {
    attack: "bit flipped",
    name: `bit ${bit} of ${label} in record ${at}`,
    file: Buffer.concat([before, bytes, Buffer.from("\n"), after]),
    expected: { lines: [log.length + at + 1], codes: afterFlip(label, bytes, records[at] ?? "") },
  };
}

/** What the page's order gives for one flipped bit; the reading here is the platform's. */
function afterFlip(label: string, bytes: Buffer, line: string): readonly string[] {
  let text: string;
  let record: JsonObject;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    record = JSON.parse(text) as JsonObject;
  } catch {
    return ["UNREADABLE"];
  }
  if (canonicalText(record) !== text) return ["NOT_CANONICAL", "DUPLICATE_MEMBER"];
  const member = label.split(" ")[0] ?? "";
  if (label.endsWith("name"))
    return member === "v" || member === "kind" ? ["UNKNOWN_VERSION"] : ["UNKNOWN_MEMBER"];
  if (member === "v" || member === "kind") return ["UNKNOWN_VERSION"];
  if (member === "key_id") return ["MALFORMED", "UNKNOWN_KEY"];
  if (member === "hmac_sig") return ["MALFORMED", "BAD_MAC"];
  if (text === line) throw new TypeError("the flip changed nothing");
  return ["MALFORMED", "BAD_SIGNATURE"];
}

/** The bytes of a canonical line that stand for its members: in the name, and first, middle and last in the value. */
function places(record: JsonObject): readonly { label: string; offset: number }[] {
  let at = 1;
  return Object.keys(record)
    .toSorted()
    .flatMap((name) => {
      const value = at + Buffer.byteLength(name) + 3;
      const size = Buffer.byteLength(canonicalText(record[name] ?? null) ?? "");
      const middle = at + 1 + Math.floor(name.length / 2);
      at = value + size + 1;
      return [
        { label: `${name} name`, offset: middle },
        { label: `${name} first`, offset: value },
        { label: `${name} middle`, offset: value + Math.floor(size / 2) },
        { label: `${name} last`, offset: value + size - 1 },
      ];
    });
}

/** Deletions, cut tails, swaps and copies: nobody signs anything. */
function* movedRecords(sequence: SequenceLines): Generator<Mutant> {
  const { log, records } = sequence;
  const of = (
    attack: Attack,
    name: string,
    lines: readonly string[],
    at: number,
    code: string,
  ): Mutant => ({
    attack,
    name,
    file: bytesOf([...log, ...lines]),
    expected: { lines: [log.length + at + 1], codes: [code] },
  });
  const doubled = (name: string, lines: readonly string[], at: number): Mutant =>
    of("record doubled", name, lines, at, "DUPLICATE_SEQ");
  for (const [at, line] of records.entries()) {
    const kept = records.toSpliced(at, 1);
    if (at < kept.length) yield of("record deleted", `record ${at} deleted`, kept, at, "GAP");
    const head = records.slice(0, at);
    yield {
      attack: at === 0 ? "sequence deleted" : "tail cut off",
      name: `cut before record ${at}`,
      file: bytesOf([...log, ...head]),
      expected: at === 0 ? "gone" : { verdict: verdictOf(head) },
    };
    yield doubled(`record ${at} twice`, records.toSpliced(at, 0, line), at + 1);
    yield doubled(`record ${at} again at the end`, [...records, line], records.length);
    const to = (at * 7 + 5) % records.length;
    const [low, high] = [Math.min(at, to), Math.max(at, to)];
    const swapped = records.with(low, records[high] ?? "").with(high, records[low] ?? "");
    if (low < high)
      yield of("records swapped", `records ${low} and ${high} swapped`, swapped, low, "GAP");
  }
  const whole = bytesOf([...log, ...records]);
  yield {
    attack: "tail cut off",
    name: "without its last line feed",
    file: whole.subarray(0, -1),
    expected: { lines: [log.length + records.length], codes: ["UNREADABLE"] },
  };
}

/** Records of other sequences and of another log in this one's places. */
function* splices(
  { log, records }: SequenceLines,
  neighbour: SequenceLines | undefined,
  stranger: SequenceLines | undefined,
): Generator<Mutant> {
  const id = parsed(records[0])["sequence_id"];
  for (const at of records.keys()) {
    const foreign = neighbour?.records[at];
    const alien = stranger?.records[at];
    if (foreign === undefined || alien === undefined) return;
    yield {
      attack: "splice between sequences",
      name: `record ${at} from another sequence under this one's name`,
      file: bytesOf([
        ...log,
        ...records.with(at, written({ ...parsed(foreign), sequence_id: id })),
      ]),
      expected: { lines: [log.length + at + 1], codes: ["BAD_SIGNATURE"] },
    };
    yield {
      attack: "splice between logs",
      name: `record ${at} of the same sequence in another log`,
      file: bytesOf([...log, ...records.with(at, alien)]),
      // An `open` of another log stands by itself: it may be the next record that is found not to follow it.
      expected: {
        lines: at === 0 ? [log.length + 1, log.length + 2] : [log.length + at + 1],
        codes: ["CHAIN_BROKEN"],
      },
    };
  }
}
