/** Signed notes (C2SP signed-note): text that one or more named keys signed, of which Ed25519 keys are understood. */
import { fromBase64, fromHex, sha256Hex, toBase64, toHex } from "#platform";
import { GateError } from "./errors.ts";
import { type KeySet, pointOf, type PublicJwk } from "./key-set.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";
import type { Signer } from "./signer.ts";

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
  /** The first four bytes in hex: which key made it, and by which algorithm. */
  readonly keyId: string;
  /** `ed25519=` and its bytes in hex, as records spell signatures. */
  readonly signature: string;
}

const ED25519 = 0x01;
/** In characters. A note of sixteen signatures of the largest kind has fewer. */
const MAX_NOTE = 256 * 1024;

/** The note: the text and one signature line under `name`. @throws TypeError for what can stand in no note. */
export async function signNote(text: string, name: string, signer: NoteSigner): Promise<string> {
  if (!text.endsWith("\n") || !isNoteText(text) || !isKeyName(name))
    throw new TypeError("a note is lines of text, signed under a name without spaces");
  const signature = await signer.sign(new TextEncoder().encode(text));
  const keyId = fromHex(noteKeyId(name, signer.publicJwk)) ?? [];
  return `${text}\n${DASH} ${name} ${toBase64(Uint8Array.of(...keyId, ...signature))}\n`;
}

/**
 * The text of a note that a trusted key signed under `name`. Other signatures are passed over, as of witnesses.
 *
 * @throws GateError INVALID_INPUT for what is no note, KEY_INVALID where no trusted key signed it, RECEIPT_INVALID where
 *   a trusted key's signature does not hold.
 */
export function openNote(
  source: string,
  name: string,
  keys: KeySet,
  holds: SignatureCheck = checkSignature,
): string {
  const { text, signatures } = parseNote(source);
  const known = [...keys.values()].filter(({ jwk }) => jwk.roles === undefined);
  let signed = false;
  for (const { keyId, signature } of signatures.filter((line) => line.name === name)) {
    const key = known.find(({ jwk }) => keyId === noteKeyId(name, jwk));
    if (key === undefined) continue;
    if (!holds(key, text, signature))
      throw new GateError("RECEIPT_INVALID", "a signature does not belong to this note");
    signed = true;
  }
  if (!signed) throw new GateError("KEY_INVALID", `no trusted key signed it as '${name}'`);
  return text;
}

/** Key id of an Ed25519 key, in hex: the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key). */
export function noteKeyId(name: string, jwk: PublicJwk): string {
  const named = new TextEncoder().encode(`${name}\n`);
  return sha256Hex(Uint8Array.of(...named, ED25519, ...pointOf(jwk))).slice(0, 8);
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
  const bytes = encoded === undefined ? undefined : fromBase64(encoded);
  if (dash !== DASH || name === undefined || !isKeyName(name) || rest.length > 0)
    throw notANote("a signature line is '\u2014 name signature'");
  if (bytes === undefined || bytes.length <= 4)
    throw notANote(`the signature of '${name}' is not base64 of a key id and a signature`);
  return {
    name,
    keyId: toHex(bytes.subarray(0, 4)),
    signature: `ed25519=${toHex(bytes.subarray(4))}`,
  };
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
