/**
 * The log of logs for the second verifier: signed notes, checkpoints and proofs as the pages of C2SP (signed-note,
 * tlog-checkpoint, tlog-proof) and RFC 6962, 2.1 have them. Trees are taken apart from the root down, as the RFC defines them.
 */
import { createHash, verify } from "node:crypto";
import type { TrustedKey } from "./second-proofs.ts";

/** What a checkpoint says: who the log is, how many records it holds, and the root over them. */
export interface LogHead {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/**
 * Why a note or a proof is not believed: it is none; nobody who is trusted signed it; a trusted signature, or the path to
 * the root, does not hold.
 */
export type Refusal = "INVALID_INPUT" | "KEY_INVALID" | "RECEIPT_INVALID";

/** Reads a checkpoint that some trusted key, which is nobody's who approves, signed under the checkpoint's own origin. */
export function readHead(note: string, keys: Iterable<TrustedKey>): LogHead | Refusal {
  const head = readText(NOTE.exec(note)?.[1] ?? "");
  if (head === undefined) return "INVALID_INPUT";
  const held = noteHolds(note, head.origin, keys);
  return held === "HOLDS" ? head : held;
}

/** Whether a trusted key signed a note under this name, and no other trusted key's signature under it is wrong. */
export function noteHolds(
  note: string,
  name: string,
  keys: Iterable<TrustedKey>,
): "HOLDS" | Refusal {
  const [, text, lines = ""] = NOTE.exec(note) ?? [];
  const signatures = lines.trimEnd().split("\n").map(readSignature);
  if (text === undefined || !note.isWellFormed() || signatures.includes(undefined))
    return "INVALID_INPUT";
  const gates = [...keys].filter(({ approves }) => !approves);
  const known = signatures.flatMap((one) =>
    gates
      .filter((key) => one?.name === name && noteKey(name, key).equals(one.keyId))
      .map((key) => one !== undefined && holds(text, one.signature, key)),
  );
  if (known.length === 0) return "KEY_INVALID";
  return known.includes(false) ? "RECEIPT_INVALID" : "HOLDS";
}

/** Whether a text of `tlog-proof` leads from the record of this hash to the root of a checkpoint that is to be believed. */
export function proofOf(
  recordHash: string,
  proof: string,
  keys: Iterable<TrustedKey>,
): "HOLDS" | Refusal {
  const parts = PROOF.exec(proof);
  if (parts === null) return "INVALID_INPUT";
  const [, extra = "", index = "", lines = "", note = ""] = parts;
  const path = lines.split("\n").slice(0, -1).map(decoded);
  const hashes = path.filter((hash) => hash?.length === 32) as Buffer[];
  if (hashes.length < path.length || decoded(extra) === undefined) return "INVALID_INPUT";
  if (!Number.isSafeInteger(Number(index))) return "INVALID_INPUT";
  const head = readHead(note, keys);
  if (typeof head === "string") return head;
  const leaf = Buffer.from(recordHash.slice("sha256:".length), "hex");
  const root = rootAbove(leaf, Number(index), head.size, hashes);
  return root?.equals(head.root) === true ? "HOLDS" : "RECEIPT_INVALID";
}

/** The root that an audit path leads to (RFC 6962, 2.1.1); undefined where the path is not as long as the place is deep. */
export function rootAbove(
  leaf: Buffer,
  index: number,
  size: number,
  path: readonly Buffer[],
): Buffer | undefined {
  if (index >= size || leaf.length !== 32) return undefined;
  if (size === 1) return path.length === 0 ? leaf : undefined;
  const [sibling, below] = [path.at(-1), path.slice(0, -1)];
  if (sibling === undefined) return undefined;
  const left = leftOf(size);
  const child =
    index < left
      ? rootAbove(leaf, index, left, below)
      : rootAbove(leaf, index - left, size - left, below);
  if (child === undefined) return undefined;
  return index < left ? node(child, sibling) : node(sibling, child);
}

/** Whether a proof (RFC 6962, 2.1.2) shows the later tree to be the earlier one and more. An empty tree proves nothing. */
export function consistent(
  earlier: Omit<LogHead, "origin">,
  later: Omit<LogHead, "origin">,
  proof: readonly Buffer[],
): boolean {
  if (earlier.size < 1 || earlier.size > later.size) return false;
  const roots = subproof(earlier.size, later.size, proof, earlier.root);
  return roots !== undefined && roots[0].equals(earlier.root) && roots[1].equals(later.root);
}

/** The tree hash of RFC 6962, 2.1, over leaf hashes. */
export function treeOver(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return createHash("sha256").digest();
  if (leaves.length === 1) return only;
  const left = leftOf(leaves.length);
  return node(treeOver(leaves.slice(0, left)), treeOver(leaves.slice(left)));
}

// The last empty line ends the text: what follows it is signature lines and nothing else.
const NOTE = /^((?:[\u{20}-\u{10ffff}]*\n)+)\n((?:\u2014 [^\s+]+ [A-Za-z0-9+/=]+\n)+)$/u;
const HEAD = /^([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/=]+)\n(?:[^\n]+\n)*$/;
const PROOF =
  /^c2sp\.org\/tlog-proof@v1\n(?:extra ([^\n]*)\n)?index (0|[1-9][0-9]*)\n((?:[^\n]+\n)*)\n([^]*)$/;

function readText(text: string): LogHead | undefined {
  const [, origin = "", size = "", hash = ""] = HEAD.exec(text) ?? [];
  const root = decoded(hash);
  if (root?.length !== 32 || !Number.isSafeInteger(Number(size))) return undefined;
  return { origin, size: Number(size), root };
}

interface NoteSignature {
  readonly name: string;
  readonly keyId: Buffer;
  readonly signature: Buffer;
}

function readSignature(line: string): NoteSignature | undefined {
  const [, name = "", encoded = ""] = line.split(" ");
  const bytes = decoded(encoded);
  if (bytes === undefined || bytes.length <= 4) return undefined;
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

/** SHA-256(name ‖ LF ‖ 0x01, which is Ed25519 ‖ public key), its first four bytes. */
function noteKey(name: string, { key }: TrustedKey): Buffer {
  const raw = Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
  return createHash("sha256").update(`${name}\n\u0001`).update(raw).digest().subarray(0, 4);
}

function holds(text: string, signature: Buffer, { key }: TrustedKey): boolean {
  return signature.length === 64 && verify(null, Buffer.from(text), key, signature);
}

/** Both roots, taken from the end of SUBPROOF(m, D[n], b); `whole` is the earlier root while b holds. */
function subproof(
  m: number,
  n: number,
  proof: readonly Buffer[],
  whole: Buffer | undefined,
): readonly [earlier: Buffer, later: Buffer] | undefined {
  const [last, before] = [proof.at(-1), proof.slice(0, -1)];
  if (m === n) {
    const root = whole ?? last;
    return root === undefined || proof.length > (whole === undefined ? 1 : 0)
      ? undefined
      : [root, root];
  }
  if (last === undefined) return undefined;
  const left = leftOf(n);
  if (m <= left) {
    const roots = subproof(m, left, before, whole);
    return roots && [roots[0], node(roots[1], last)];
  }
  const roots = subproof(m - left, n - left, before, undefined);
  return roots && [node(last, roots[0]), node(last, roots[1])];
}

/** The largest power of two below `size`. */
function leftOf(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

function node(left: Buffer, right: Buffer): Buffer {
  return createHash("sha256").update(Buffer.of(1)).update(left).update(right).digest();
}

/** The bytes of base64 in the one spelling that there is. */
function decoded(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
