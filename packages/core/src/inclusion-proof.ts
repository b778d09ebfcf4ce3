/** Proofs that a record is in a log (C2SP tlog-proof): its index, its audit path and a checkpoint, in one text. */
import { fromBase64 } from "#platform";
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import { GateError } from "./errors.ts";
import type { KeySet } from "./key-set.ts";
import { decodeHash, encodeHash, rootFromPath, type TreeHash } from "./merkle.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";

/** Where a record stands in the tree of a checkpoint. */
export interface InclusionProof {
  /** From 0. */
  readonly index: number;
  /** The audit path in hex, the record's own sibling first. */
  readonly path: readonly TreeHash[];
  /** The checkpoint's note, verbatim. */
  readonly checkpoint: string;
}

const HEADER = "c2sp.org/tlog-proof@v1";

/** The text of a proof. */
export function formatProof({ index, path, checkpoint }: InclusionProof): string {
  const hashes = path.map((hash) => `${encodeHash(hash)}\n`);
  return `${HEADER}\nindex ${index}\n${hashes.join("")}\n${checkpoint}`;
}

/** Reads a proof; a line of `extra` data, which nothing authenticates, is passed over. @throws GateError INVALID_INPUT. */
export function parseProof(text: string): InclusionProof {
  const end = text.indexOf("\n\n");
  const [header, ...lines] = text.slice(0, Math.max(end, 0)).split("\n");
  if (header !== HEADER) throw noProof(`its first line is not ${HEADER}`);
  if (lines[0]?.startsWith("extra ") === true) {
    if (fromBase64(lines[0].slice("extra ".length)) === undefined)
      throw noProof("its extra data is not base64");
    lines.shift();
  }
  const [, index] = /^index (0|[1-9][0-9]*)$/.exec(lines[0] ?? "") ?? [];
  if (index === undefined || !Number.isSafeInteger(Number(index)))
    throw noProof("it names no index");
  return {
    index: Number(index),
    path: lines.slice(1).map(parseHash),
    checkpoint: text.slice(end + 2),
  };
}

/**
 * The checkpoint that proves a record to be in its log, by the record's hash (`sha256:` + hex). That the record is
 * authentic is another question, which `verifyReceipts` answers.
 *
 * @throws GateError INVALID_INPUT for what is no proof, KEY_INVALID where no trusted key signed its checkpoint,
 *   RECEIPT_INVALID where a signature does not hold, or the path does not lead from this record to the root.
 */
export function verifyProof(
  recordHash: string,
  proof: string,
  keys: KeySet,
  holds: SignatureCheck = checkSignature,
): Checkpoint {
  const { index, path, checkpoint } = parseProof(proof);
  const head = readCheckpoint(checkpoint, keys, holds);
  const leaf = recordHash.slice("sha256:".length);
  if (rootFromPath(leaf, index, head.size, path) !== head.root)
    throw new GateError("RECEIPT_INVALID", `the proof is not of record ${recordHash}`);
  return head;
}

function parseHash(line: string): TreeHash {
  const hash = decodeHash(line);
  if (hash === undefined) throw noProof("its path holds a line that is no hash");
  return hash;
}

function noProof(fault: string): GateError {
  return new GateError("INVALID_INPUT", `is no proof: ${fault}`);
}
