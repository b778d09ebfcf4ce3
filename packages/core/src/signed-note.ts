/** Signed notes (C2SP signed-note): text that one or more named keys signed, of which Ed25519 keys are understood. */
import { createHash } from "node:crypto";
import { GateError } from "./errors.ts";
import { type KeySet, type PublicJwk, type Signer, verifySignature } from "./signing-key.ts";

/** Signs notes: a signature line needs the public key itself, of which a `keyId` is only the thumbprint. */
export interface NoteSigner extends Signer {
  readonly publicJwk: PublicJwk;
}

/** A note in its parts. Nothing in it is to be believed before {@link openNote}. */
interface Note {
  /** With its last line feed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

interface NoteSignature {
  readonly name: string;
  /** The first four bytes: which key made it, and by which algorithm. */
  readonly keyId: Buffer;
  readonly signature: Buffer;
}

const ED25519 = 0x01;
/** In characters. A note of sixteen signatures of the largest kind has fewer. */
const MAX_NOTE = 256 * 1024;

/** The note: the text and one signature line under `name`. @throws TypeError for what can stand in no note. */
export async function signNote(text: string, name: string, signer: NoteSigner): Promise<string> {
  if (!text.endsWith("\n") || !isNoteText(text) || !isKeyName(name))
    throw new TypeError("a note is lines of text, signed under a name without spaces");
  const signature = await signer.sign(Buffer.from(text));
  const line = Buffer.concat([noteKeyId(name, signer.publicJwk), signature]).toString("base64");
  return `${text}\n${DASH} ${name} ${line}\n`;
}

/**
 * The text of a note that a trusted key signed under `name`. Other signatures are passed over, as of witnesses.
 *
 * @throws GateError INVALID_INPUT for what is no note, KEY_INVALID where no trusted key signed it, RECEIPT_INVALID where
 *   a trusted key's signature does not hold.
 */
export function openNote(source: string, name: string, keys: KeySet): string {
  const { text, signatures } = parseNote(source);
  const known = [...keys.values()].filter(({ jwk }) => jwk.roles === undefined);
  let signed = false;
  for (const { keyId, signature } of signatures.filter((line) => line.name === name)) {
    const key = known.find(({ jwk }) => keyId.equals(noteKeyId(name, jwk)));
    if (key === undefined) continue;
    if (!verifySignature(key.key, Buffer.from(text), signature))
      throw new GateError("RECEIPT_INVALID", "a signature does not belong to this note");
    signed = true;
  }
  if (!signed) throw new GateError("KEY_INVALID", `no trusted key signed it as '${name}'`);
  return text;
}

/** Key id of an Ed25519 key: the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key). */
export function noteKeyId(name: string, { x }: PublicJwk): Buffer {
  const digest = createHash("sha256")
    .update(`${name}\n`)
    .update(Buffer.from([ED25519]))
    .update(Buffer.from(x, "base64url"))
    .digest();
  return digest.subarray(0, 4);
}

/** Takes a note apart: the last empty line ends its text. @throws GateError INVALID_INPUT. */
export function parseNote(source: string): Note {
  if (source.length > MAX_NOTE) throw notANote(`it is longer than ${MAX_NOTE} characters`);
  if (!isNoteText(source)) throw notANote("it holds control characters");
  const end = source.lastIndexOf("\n\n");
  if (end < 0) throw notANote("it has no empty line before its signatures");
  if (!source.endsWith("\n")) throw notANote("its last line does not end in a line feed");
  const lines = source.slice(end + 2, -1).split("\n");
  return { text: source.slice(0, end + 1), signatures: lines.map(parseSignature) };
}

const DASH = "\u2014";

function parseSignature(line: string): NoteSignature {
  const [dash, name, encoded, ...rest] = line.split(" ");
  const bytes = encoded === undefined ? undefined : decodeBase64(encoded);
  if (dash !== DASH || name === undefined || !isKeyName(name) || rest.length > 0)
    throw notANote("a signature line is '\u2014 name signature'");
  if (bytes === undefined || bytes.length <= 4)
    throw notANote(`the signature of '${name}' is not base64 of a key id and a signature`);
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

/** The bytes of standard base64 (RFC 4648, 4) in its one right spelling; `undefined` for any other text. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

function isNoteText(text: string): boolean {
  return text.isWellFormed() && !/[^\n\u{20}-\u{10ffff}]/u.test(text);
}

function isKeyName(name: string): boolean {
  return /^[^\s+]+$/u.test(name);
}

function notANote(fault: string): GateError {
  return new GateError("INVALID_INPUT", `is no signed note: ${fault}`);
}
