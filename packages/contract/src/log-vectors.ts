/** The published vectors of a log: checkpoints, proofs of inclusion and of consistency, right ones and wrong ones. */
import {
  canonicalize,
  importKeySet,
  isConsistent,
  proveConsistency,
  proveRecord,
  GateError,
  readCheckpoint,
  type SigningKey,
  type TreeHash,
  verifyProof,
} from "@stepgate/core";
import { hashOf, parsed } from "./mutant.ts";
import { NEXT_KEY, type RotatedLog } from "./rotated-log.ts";
import { consistent, proofOf, readHead } from "./second-log.ts";
import { trustedKeys } from "./second-proofs.ts";
import { checkpointOf, signatureLine, signedNote } from "./signed-notes.ts";
import { APPROVER_KEY, GATE_KEY } from "./sound-receipts.ts";
import { testKey } from "./test-keys.ts";

/** Lines of one of the three files. */
export type LogVectors = Readonly<
  Record<"checkpoints" | "inclusion" | "consistency", readonly string[]>
>;

/** The three files of a log, each line with what is to be said of it. */
export async function logVectors(log: RotatedLog): Promise<LogVectors> {
  const said = (one: NoteVector): string =>
    canonicalize({ ...one, ...answerOf(noteBySecond(one.note, log.keys)) });
  return {
    checkpoints: notes(log).map(said),
    inclusion: (await inclusions(log)).map((one) =>
      canonicalize({ ...one, ...answerOf(proofBySecond(one, log.keys)) }),
    ),
    consistency: (await consistencies(log)).map((one) =>
      canonicalize({ ...one, holds: consistencyBySecond(one) }),
    ),
  };
}

/** A note that may be a checkpoint. */
export interface NoteVector {
  readonly what: string;
  readonly note: string;
}

/** A proof that may be of this record. */
export interface InclusionVector {
  readonly what: string;
  readonly record_hash: string;
  readonly proof: string;
}

/** A proof that may show the later tree to begin with the earlier one; hashes in hex. */
export interface ConsistencyVector {
  readonly what: string;
  readonly earlier: { readonly size: number; readonly root: TreeHash };
  readonly later: { readonly size: number; readonly root: TreeHash };
  readonly proof: readonly TreeHash[];
}

/** `holds`, or why it is not believed: by core. */
export function noteByCore(note: string, jwks: unknown): string {
  return answer(() => readCheckpoint(note, importKeySet(jwks)));
}

/** `holds`, or why it is not believed: by the second verifier. */
export function noteBySecond(note: string, jwks: unknown): string {
  const head = readHead(note, trustedKeys(jwks).values());
  return typeof head === "string" ? head : "holds";
}

/** `holds`, or why it is not believed: by core. */
export function proofByCore({ record_hash, proof }: InclusionVector, jwks: unknown): string {
  return answer(() => verifyProof(record_hash, proof, importKeySet(jwks)));
}

/** `holds`, or why it is not believed: by the second verifier. */
export function proofBySecond({ record_hash, proof }: InclusionVector, jwks: unknown): string {
  const said = proofOf(record_hash, proof, trustedKeys(jwks).values());
  return said === "HOLDS" ? "holds" : said;
}

/** By core. */
export function consistencyByCore({ earlier, later, proof }: ConsistencyVector): boolean {
  return isConsistent(earlier, later, proof);
}

/** By the second verifier. */
export function consistencyBySecond({ earlier, later, proof }: ConsistencyVector): boolean {
  const [one, other] = [earlier, later].map(({ size, root }) => ({
    size,
    root: Buffer.from(root, "hex"),
  }));
  return (
    one !== undefined &&
    other !== undefined &&
    consistent(
      one,
      other,
      proof.map((hash) => Buffer.from(hash, "hex")),
    )
  );
}

function answer(read: () => unknown): string {
  try {
    read();
    return "holds";
  } catch (error) {
    if (GateError.isInstance(error)) return error.code;
    throw error;
  }
}

function answerOf(said: string): { readonly holds: true } | { readonly refused: string } {
  return said === "holds" ? { holds: true } : { refused: said };
}

const THIEF: SigningKey = testKey("thief");

function notes({ lines, checkpoints: [earlier, later] }: RotatedLog): readonly NoteVector[] {
  const { note, origin } = earlier;
  const text = note.slice(0, note.indexOf("\n\n") + 1);
  const [size, root] = text.split("\n").slice(1);
  const signed = (what: string, of: string, name = origin): NoteVector => ({
    what,
    note: signedNote(of, name, GATE_KEY),
  });
  const bent = (what: string, from: string | RegExp, to: string): NoteVector => ({
    what,
    note: note.replace(from, to),
  });
  const witness = signatureLine(text, "witness.example", THIEF);
  return [
    { what: "the earlier checkpoint", note },
    { what: "the later checkpoint, by the next key", note: later.note },
    {
      what: "of an empty log",
      note: signedNote(
        `${origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`,
        origin,
        GATE_KEY,
      ),
    },
    { what: "with a witness's signature, whom nobody knows", note: note + witness },
    { what: "signed by both keys", note: note + signatureLine(text, origin, NEXT_KEY) },
    signed("with a line of extension", `${text}more\n`),
    {
      what: "signed by both keys, by one of them for another text",
      note: note + signatureLine(`${text}more\n`, origin, NEXT_KEY),
    },
    {
      what: "of another log, by a trusted key",
      note: checkpointOf(lines, GATE_KEY).replaceAll("rotated", "another"),
    },
    signed("signed under another name than its origin", text, "stepgate/another"),
    { what: "signed by nobody who is trusted", note: checkpointOf(lines, THIEF) },
    { what: "signed by a person", note: checkpointOf(lines, APPROVER_KEY) },
    bent("of one record more than was signed", `\n${size}\n`, `\n${Number(size) + 1}\n`),
    bent(
      "of another root than was signed",
      `\n${root}\n`,
      `\n${Buffer.alloc(32).toString("base64")}\n`,
    ),
    signed("of a size with a leading zero", text.replace(`\n${size}`, `\n0${size}`)),
    signed("of a size that is no number", text.replace(`\n${size}`, "\nmany")),
    signed("of a size that no double holds", text.replace(`\n${size}`, "\n9007199254740993")),
    signed(
      "of a root that is too short",
      text.replace(`\n${root}`, `\n${Buffer.alloc(31).toString("base64")}`),
    ),
    signed(
      "of a root in base64url",
      text.replace(`\n${root}`, `\n${Buffer.alloc(32, 0xff).toString("base64url")}=`),
    ),
    signed(
      "of a root in base64 that ends otherwise than it is written",
      text.replace(/.=\n$/, "9=\n"),
    ),
    signed("with an empty line in its text", `${text}\nmore\n`),
    signed("without its root", `${origin}\n${size}\n`),
    bent("without its signature", /\n\u2014 .*\n$/, "\n"),
    bent("without its empty line", "\n\n", "\n"),
    bent("without its last line feed", /\n$/, ""),
    bent("with a hyphen for its dash", "\u2014", "-"),
    bent("with a signature that is not base64", /\S{4}\n$/, "!!!!\n"),
    bent("with a signature of a key id alone", /(\u2014 \S+ ).*\n$/, "$1AAAAAA==\n"),
    bent("with a signature cut short", /\S{4}\n$/, "\n"),
    bent("with a carriage return", "\n\n", "\r\n\n"),
    signed("with a tabulator in its text", `${text}\tmore\n`),
    { what: "empty", note: "" },
  ];
}

async function inclusions({
  store,
  lines,
  checkpoints: [earlier, later],
}: RotatedLog): Promise<readonly InclusionVector[]> {
  const all: InclusionVector[] = [];
  for (const checkpoint of [earlier, later])
    for (const line of lines.slice(0, checkpoint.size)) {
      const { sequence_id, seq } = parsed(line);
      const at = { sequence_id: String(sequence_id), seq: Number(seq) };
      all.push({
        what: `record ${at.seq} of ${at.sequence_id} in the checkpoint of ${checkpoint.size}`,
        record_hash: hashOf(line),
        proof: await proveRecord(store, at, checkpoint),
      });
    }
  const sample = all.at(-3);
  return sample === undefined
    ? all
    : [...all, ...bentProofs(sample, hashOf(lines.at(-1)), earlier.note)];
}

/** What is not a proof of its record. */
function bentProofs(
  { record_hash, proof }: InclusionVector,
  other: string,
  earlier: string,
): readonly InclusionVector[] {
  const bent = (what: string, from: string | RegExp, to: string): InclusionVector => ({
    what,
    record_hash,
    proof: proof.replace(from, to),
  });
  const index = /\nindex (\d+)\n/.exec(proof)?.[1] ?? "";
  const first = /\nindex \d+\n(\S+\n)/.exec(proof)?.[1] ?? "";
  const zeros = `${Buffer.alloc(32).toString("base64")}\n`;
  return [
    {
      what: "with extra data, which nothing authenticates",
      record_hash,
      proof: proof.replace("\nindex", "\nextra AAAA\nindex"),
    },
    { what: "of another record", record_hash: other, proof },
    bent("of the next index", `index ${index}`, `index ${Number(index) + 1}`),
    bent("of an index past the checkpoint", `index ${index}`, "index 99"),
    bent("of an index with a leading zero", `index ${index}`, `index 0${index}`),
    bent("without an index", `index ${index}\n`, ""),
    bent("without its first hash", first, ""),
    bent("with its first hash twice", first, first + first),
    bent("with another first hash", first, zeros),
    bent("with a first hash that is too short", first, "AAAA\n"),
    bent("with a first hash that is not base64", first, "not base64\n"),
    bent("of another version", "@v1", "@v2"),
    bent("with extra data that is not base64", "\nindex", "\nextra !\nindex"),
    bent("with the earlier checkpoint", /\n\n[^]*$/, `\n\n${earlier}`),
    bent("with a checkpoint of another size than was signed", "\n16\n", "\n17\n"),
    bent("without a checkpoint", /\n\n[^]*$/, "\n\n"),
  ];
}

async function consistencies({
  store,
  lines,
  checkpoints: [earlier, later],
}: RotatedLog): Promise<readonly ConsistencyVector[]> {
  const heads = lines.slice(0, later.size).map((_, at) => headOf(lines.slice(0, at + 1)));
  const of = async (from: number, to: number): Promise<ConsistencyVector> => {
    const [one, other] = [heads[from - 1], heads[to - 1]];
    if (one === undefined || other === undefined) throw new RangeError("there is no such head");
    const proof = await proveConsistency(store, { ...one, note: "" }, { ...other, note: "" });
    return {
      what: `${from} records begin ${to}`,
      earlier: headless(one),
      later: headless(other),
      proof,
    };
  };
  const all: ConsistencyVector[] = [];
  for (let to = 1; to <= later.size; to++)
    for (const from of new Set(
      [1, earlier.size, to - 1, to].filter((size) => size > 0 && size <= to),
    ))
      all.push(await of(from, to));
  const right = await of(earlier.size, later.size);
  const root = "00".repeat(32);
  const [first = "", ...rest] = right.proof;
  return [
    ...all,
    { ...right, what: "another earlier root", earlier: { ...right.earlier, root } },
    { ...right, what: "another later root", later: { ...right.later, root } },
    {
      ...right,
      what: "another earlier size",
      earlier: { ...right.earlier, size: right.earlier.size + 1 },
    },
    { ...right, what: "another later size", later: { ...right.later, size: right.later.size - 8 } },
    { ...right, what: "the later before the earlier", earlier: right.later, later: right.earlier },
    { ...right, what: "without its first hash", proof: rest },
    { ...right, what: "without its last hash", proof: right.proof.slice(0, -1) },
    { ...right, what: "with a hash more", proof: [...right.proof, first] },
    { ...right, what: "with another hash", proof: [root, ...rest] },
    { ...right, what: "in the other order", proof: right.proof.toReversed() },
    {
      ...right,
      what: "of an empty tree, which proves nothing",
      earlier: { size: 0, root: right.earlier.root },
      proof: [],
    },
    {
      ...right,
      what: "of one size with different roots",
      earlier: { size: right.later.size, root },
      proof: [],
    },
  ];
}

function headOf(lines: readonly string[]): {
  readonly origin: string;
  readonly size: number;
  readonly root: TreeHash;
} {
  const [origin = "", size = "", root = ""] = checkpointOf(lines, GATE_KEY).split("\n");
  return { origin, size: Number(size), root: Buffer.from(root, "base64").toString("hex") };
}

function headless({
  size,
  root,
}: {
  readonly size: number;
  readonly root: TreeHash;
}): ConsistencyVector["earlier"] {
  return { size, root };
}
