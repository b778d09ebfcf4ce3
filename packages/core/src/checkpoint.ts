/** Checkpoints (C2SP tlog-checkpoint): how long a log was at some time and the root of its tree, signed by its gate. */
import { GateError } from "./errors.ts";
import type { KeySet } from "./key-set.ts";
import { decodeHash, encodeHash, type TreeHash } from "./merkle.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";
import { type NoteSigner, openNote, parseNote, signNote } from "./signed-note.ts";

/** The state of a log's tree. */
export interface TreeHead {
  /** Who the log is: `stepgate/` and its `log_id`. */
  readonly origin: string;
  /** How many records it holds. */
  readonly size: number;
  /** Its RFC 6962 tree hash, in hex. */
  readonly root: TreeHash;
}

/** A tree head that somebody signed, with the note as it was signed. */
export interface Checkpoint extends TreeHead {
  readonly note: string;
}

/** The origin of a log's checkpoints. */
export function originOf(logId: string): string {
  return `stepgate/${logId}`;
}

/** Signs a tree head as a note whose text is origin, size and root, a line each. */
export async function signCheckpoint(head: TreeHead, signer: NoteSigner): Promise<Checkpoint> {
  return { ...head, note: await signNote(checkpointText(head), head.origin, signer) };
}

/**
 * Reads a checkpoint that a trusted key signed under the checkpoint's own origin. Whoever keeps one elsewhere can hold
 * the log to it.
 *
 * @throws GateError INVALID_INPUT for what is none, KEY_INVALID where no trusted key signed it, RECEIPT_INVALID where a
 *   trusted key's signature does not hold.
 */
export function readCheckpoint(
  note: string,
  keys: KeySet,
  holds: SignatureCheck = checkSignature,
): Checkpoint {
  // The origin is read first, as the name to look for; nothing else is believed before the signature.
  const head = parseHead(parseNote(note).text);
  openNote(note, head.origin, keys, holds);
  return { ...head, note };
}

/** The text of a checkpoint, which is what is signed. */
export function checkpointText({ origin, size, root }: TreeHead): string {
  return `${origin}\n${size}\n${encodeHash(root)}\n`;
}

/** The three lines; lines after them are somebody's extensions, signed and of no meaning here. */
export function parseHead(text: string): TreeHead {
  const [origin = "", size = "", hash = "", ...extensions] = text.slice(0, -1).split("\n");
  const root = decodeHash(hash);
  if (origin === "") throw noCheckpoint("its first line is no origin");
  if (!/^(0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw noCheckpoint("its second line is no tree size");
  if (root === undefined) throw noCheckpoint("its third line is no root hash");
  if (extensions.includes("")) throw noCheckpoint("it holds an empty line");
  return { origin, size: Number(size), root };
}

function noCheckpoint(fault: string): GateError {
  return new GateError("INVALID_INPUT", `is no checkpoint: ${fault}`);
}
