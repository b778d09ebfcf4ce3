/** One line by itself: is it a record, in canonical form, and authentic under keys that are trusted? */
import { equalText, hmacHex, type SecretKey } from "#platform";
import { canonicalize } from "./canonical-json.ts";
import { sha256 } from "./digest.ts";
import { type Fault, fault } from "./finding.ts";
import { provesKey } from "./key-proof.ts";
import type { KeySet, TrustedKey } from "./key-set.ts";
import { inputOf, RECEIPT_VERSION, type Receipt } from "./receipt.ts";
import { formFault } from "./receipt-form.ts";
import { plainRecord } from "./receipt-scan.ts";
import type { SignatureCheck } from "./signature-check.ts";
import { duplicateMember } from "./strict-json.ts";
import type { BatchVerifier } from "./verify-batch.ts";

/** A line as far as it could be read. A chain goes on from it even where it has a fault. */
export interface ReadLine {
  readonly fault?: Fault;
  /** Where it claims to stand, if that much can be read. */
  readonly place?: { readonly sequence_id: string; readonly seq: number; readonly hash: string };
  /** The record, where its form is right. */
  readonly receipt?: Receipt;
}

/** What makes a record believable. */
export interface Evidence {
  readonly keys: KeySet;
  /** Secrets of MAC keys by id; a MAC without its secret is not looked at. */
  readonly hmacKeys: ReadonlyMap<string, SecretKey>;
  /** The authenticator that every record must carry: `ed25519` is a signature of its own, or of its batch. */
  readonly require: "ed25519" | "hmac";
  readonly holds: SignatureCheck;
  readonly batches: BatchVerifier;
  /** Whether a checkpoint that is older than this second, since the epoch, covers the record. */
  covers(revokedFrom: number): boolean;
}

/** In bytes. Records are far smaller; what is larger is none. */
export const MAX_LINE: number = 64 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads one line, without its line feed. Never throws. */
export function readLine(line: string | Uint8Array, evidence: Evidence): ReadLine {
  const bytes = typeof line === "string" ? bytesOf(line) : line;
  if (bytes === undefined) return { fault: NOT_UTF8 };
  if (bytes.length > MAX_LINE)
    return { fault: fault("UNREADABLE", `longer than ${MAX_LINE} bytes`) };
  const plain = plainRecord(bytes);
  if (plain === undefined) return readInFull(bytes, evidence);
  return judged(plain.members, `\0${RECEIPT_VERSION}\n${plain.body}`, undefined, evidence);
}

const NOT_UTF8 = fault("UNREADABLE", "not UTF-8");

/** `undefined` for a text with half a character, which no file can hold. */
function bytesOf(line: string): Uint8Array | undefined {
  return line.isWellFormed() ? encoder.encode(line) : undefined;
}

/** Reads a line that is not written plainly: what it is, or what is wrong with it. */
export function readInFull(line: Uint8Array, evidence: Evidence): ReadLine {
  const text = decode(line);
  if (typeof text !== "string") return { fault: text };
  const members = parse(text);
  if (members === undefined) return { fault: fault("UNREADABLE", "not a JSON object") };
  const preimage = preimageOf(members);
  const spelling = spellingFault(text, members);
  const form = formFault(members);
  if (form !== undefined || preimage === undefined)
    return withFault(spelling ?? form, placeOf(members, preimage));
  return judged(members, preimage, spelling, evidence);
}

/** A record in its form: is it authentic? */
function judged(
  members: Readonly<Record<string, unknown>>,
  preimage: string,
  spelling: Fault | undefined,
  evidence: Evidence,
): ReadLine {
  const receipt = members as unknown as Receipt;
  const hash = sha256(preimage);
  const found = spelling ?? authenticityFault(receipt, preimage, hash, evidence);
  const { sequence_id, seq } = receipt;
  return withFault(found, { place: { sequence_id, seq, hash }, receipt });
}

function withFault(found: Fault | undefined, line: ReadLine): ReadLine {
  return found === undefined ? line : { ...line, fault: found };
}

function decode(line: Uint8Array): string | Fault {
  if (line.length === 0) return fault("UNREADABLE", "an empty line");
  try {
    const text = decoder.decode(line);
    return text.startsWith("\ufeff") ? fault("UNREADABLE", "begins with a byte-order mark") : text;
  } catch {
    return NOT_UTF8;
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function spellingFault(text: string, members: Record<string, unknown>): Fault | undefined {
  if (canonicalText(members) === text) return undefined;
  const twice = duplicateMember(text);
  return twice === undefined
    ? fault("NOT_CANONICAL", "the line is not the canonical form of its record")
    : fault("DUPLICATE_MEMBER", `'${twice.slice(0, 64)}' stands twice`);
}

/** What the record's hash is of, as it was parsed. */
function preimageOf(members: Record<string, unknown>): string | undefined {
  const { sig: _sig, batch: _batch, hmac_sig: _mac, ...body } = members;
  const text = canonicalText(body);
  return text && `\0${RECEIPT_VERSION}\n${text}`;
}

/** `undefined` for what no canonical text can say: half a character. */
function canonicalText(members: Record<string, unknown>): string | undefined {
  try {
    return canonicalize(members);
  } catch {
    return undefined;
  }
}

/** The place that a line claims whose form is not right. */
function placeOf(
  members: Record<string, unknown>,
  preimage: string | undefined,
): Pick<ReadLine, "place"> {
  const { sequence_id } = members;
  const seq = members["seq"] as number;
  return typeof sequence_id !== "string" ||
    !Number.isSafeInteger(seq) ||
    seq < 0 ||
    preimage === undefined
    ? {}
    : { place: { sequence_id, seq, hash: sha256(preimage) } };
}

/** Every authenticator that can be checked must hold, and the required one must be there. */
function authenticityFault(
  receipt: Receipt,
  preimage: string,
  hash: string,
  evidence: Evidence,
): Fault | undefined {
  const { sig, batch, hmac_sig, key_id = "", hmac_key_id = "", ts_ms } = receipt;
  const isSigned = sig !== undefined || batch !== undefined;
  if (evidence.require === "ed25519" ? !isSigned : hmac_sig === undefined)
    return fault("WEAK_EVIDENCE", `carries no ${evidence.require} authenticator`);
  const key = isSigned ? evidence.keys.get(key_id) : undefined;
  if (isSigned && key === undefined) return fault("UNKNOWN_KEY", `key '${key_id}' is not trusted`);
  const secret = evidence.hmacKeys.get(hmac_key_id);
  if (evidence.require === "hmac" && secret === undefined)
    return fault("UNKNOWN_KEY", `MAC key '${hmac_key_id}' is not known`);
  return (
    (key && validityFault(key, ts_ms, evidence)) ??
    (receipt.kind === "key" && !provesKey(receipt, evidence.holds)
      ? fault("BAD_SIGNATURE", "new_key_sig does not prove the new key for this log")
      : undefined) ??
    // Last, for what it finds of batches depends on what held before: whoever asks first would ask for less.
    (key && signatureFault(key, receipt, preimage, hash, evidence)) ??
    (secret && hmac_sig !== undefined
      ? macFault(secret, inputOf({ preimage }), hmac_sig)
      : undefined)
  );
}

/** `ts_ms` is the signer's word: after a revocation nothing under that key is believed without older evidence. */
function validityFault({ jwk }: TrustedKey, ts_ms: number, evidence: Evidence): Fault | undefined {
  if (jwk.roles !== undefined) return fault("KEY_NOT_VALID", "a person's key signs no receipts");
  if (jwk.revoked_from !== undefined && !evidence.covers(jwk.revoked_from))
    return fault("KEY_NOT_VALID", "the key was revoked, and no older checkpoint covers the record");
  const { nbf = 0, exp = Infinity } = jwk;
  if (ts_ms < nbf * 1000) return fault("KEY_NOT_VALID", "the key was not valid yet");
  if (ts_ms >= exp * 1000) return fault("KEY_NOT_VALID", "the key was not valid any more");
  return undefined;
}

function signatureFault(
  trusted: TrustedKey,
  receipt: Receipt,
  preimage: string,
  hash: string,
  { holds, batches }: Evidence,
): Fault | undefined {
  const { sig, batch } = receipt;
  if (sig !== undefined && !holds(trusted, inputOf({ preimage }), sig))
    return fault("BAD_SIGNATURE", "the signature does not belong to this record");
  if (batch === undefined) return undefined;
  const { log_id, gate_id, sequence_id, seq, kind } = receipt;
  const why = batches.fault({ log_id, gate_id, sequence_id, seq, kind, hash }, batch, trusted);
  return why === undefined ? undefined : fault("BAD_SIGNATURE", why);
}

function macFault(secret: SecretKey, input: string, mac: string): Fault | undefined {
  const holds = equalText(`sha256=${hmacHex(secret, input)}`, mac);
  return holds ? undefined : fault("BAD_MAC", "the MAC does not belong to this record");
}
