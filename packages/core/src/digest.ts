/** SHA-256 and HMAC-SHA-256 over text, and the keyed digests of receipt.md: no guessing, no bearer receipts. */
import { createHmac, hash, type KeyObject, timingSafeEqual } from "node:crypto";

/** The genesis, context and argument digests of one sequence hang on these. */
export interface SequenceIdentity {
  readonly log_id: string;
  readonly tenant?: string | undefined;
  readonly sequence_id: string;
}

/** `sha256:` + 64 hex digits over the UTF-8 text. */
export function sha256(text: string): string {
  return `sha256:${hash("sha256", text, "hex")}`;
}

/** The `prev` of a chain's first record: binds it to its log, tenant and sequence. */
export function genesisHash(identity: SequenceIdentity): string {
  return sha256(`stepgate.genesis/1\n${identityText(identity)}`);
}

/** 64 hex digits that disclose one call's arguments against its receipt, and entitle to report its outcome. */
export function argsKey(saltKey: KeyObject, identity: SequenceIdentity, nonce: string): string {
  return hmacHex(saltKey, `stepgate.args/1\n${identityText(identity)}\n${nonce}`);
}

/** `hmac-sha256:` + hex over the canonical text of the arguments, under their {@link argsKey}. */
export function argsDigest(key: string, canonicalArgs: string): string {
  return keyedDigest(key, canonicalArgs);
}

/** The digest of a sequence's context, under a key of that sequence. */
export function contextDigest(
  saltKey: KeyObject,
  identity: SequenceIdentity,
  canonicalContext: string,
): string {
  return keyedDigest(
    hmacHex(saltKey, `stepgate.context/1\n${identityText(identity)}`),
    canonicalContext,
  );
}

/** Digests of bound values, under a key of their sequence that is made once it is needed. */
export function bindDigester(
  saltKey: KeyObject,
  identity: SequenceIdentity,
): (canonicalValue: string) => string {
  let key: string | undefined;
  return (canonicalValue) => {
    key ??= hmacHex(saltKey, `stepgate.bind/1\n${identityText(identity)}`);
    return keyedDigest(key, canonicalValue);
  };
}

/** The digest of what an action returned, under a key of that call. */
export function resultDigest(
  saltKey: KeyObject,
  identity: SequenceIdentity,
  nonce: string,
  canonicalResult: string,
): string {
  return keyedDigest(
    hmacHex(saltKey, `stepgate.result/1\n${identityText(identity)}\n${nonce}`),
    canonicalResult,
  );
}

/** HMAC-SHA-256 in hex; keys are `KeyObject`s, made once. */
export function hmacHex(key: KeyObject, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

/** Equality of two hex digests in constant time. */
export function equalDigest(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function identityText(identity: SequenceIdentity): string {
  return `${identity.log_id}\n${identity.tenant ?? ""}\n${identity.sequence_id}`;
}

function keyedDigest(hexKey: string, text: string): string {
  return `hmac-sha256:${hmacUnder(hexKey, text)}`;
}

/**
 * RFC 2104 over a key of 32 bytes that serves once: two hashes, for making a `KeyObject` costs more than the MAC itself.
 */
function hmacUnder(hexKey: string, text: string): string {
  const key = Buffer.from(hexKey, "hex");
  const inner = Buffer.allocUnsafe(BLOCK + Buffer.byteLength(text)).fill(0x36, 0, BLOCK);
  const outer = Buffer.allocUnsafe(BLOCK + 32).fill(0x5c, 0, BLOCK);
  for (let i = 0; i < key.length; i++) {
    inner[i] = (key[i] ?? 0) ^ 0x36;
    outer[i] = (key[i] ?? 0) ^ 0x5c;
  }
  inner.write(text, BLOCK);
  outer.write(hash("sha256", inner, "hex"), BLOCK, "hex");
  return hash("sha256", outer, "hex");
}

/** Of SHA-256, in bytes. */
const BLOCK = 64;
