/** SHA-256 and HMAC-SHA-256 over text, and the keyed digests of receipt.md: no guessing, no bearer receipts. */
import { hmacHex, hmacHexUnder, type SecretKey, sha256Hex } from "#platform";

/** The genesis, context and argument digests of one sequence hang on these. */
export interface SequenceIdentity {
  readonly log_id: string;
  readonly tenant?: string | undefined;
  readonly sequence_id: string;
}

/** `sha256:` + 64 hex digits over the UTF-8 text. */
export function sha256(text: string): string {
  return `sha256:${sha256Hex(text)}`;
}

/** The `prev` of a chain's first record: binds it to its log, tenant and sequence. */
export function genesisHash(identity: SequenceIdentity): string {
  return sha256(`stepgate.genesis/1\n${identityText(identity)}`);
}

/** 64 hex digits that disclose one call's arguments against its receipt, and entitle to report its outcome. */
export function argsKey(saltKey: SecretKey, identity: SequenceIdentity, nonce: string): string {
  return hmacHex(saltKey, `stepgate.args/1\n${identityText(identity)}\n${nonce}`);
}

/** `hmac-sha256:` + hex over the canonical text of the arguments, under their {@link argsKey}. */
export function argsDigest(key: string, canonicalArgs: string): string {
  return keyedDigest(key, canonicalArgs);
}

/** The digest of a sequence's context, under a key of that sequence. */
export function contextDigest(
  saltKey: SecretKey,
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
  saltKey: SecretKey,
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
  saltKey: SecretKey,
  identity: SequenceIdentity,
  nonce: string,
  canonicalResult: string,
): string {
  return keyedDigest(
    hmacHex(saltKey, `stepgate.result/1\n${identityText(identity)}\n${nonce}`),
    canonicalResult,
  );
}

function identityText(identity: SequenceIdentity): string {
  return `${identity.log_id}\n${identity.tenant ?? ""}\n${identity.sequence_id}`;
}

function keyedDigest(hexKey: string, text: string): string {
  return `hmac-sha256:${hmacHexUnder(hexKey, text)}`;
}
