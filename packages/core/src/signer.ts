/** What signs: a key of this process, or one that never leaves its KMS or HSM. */
import type { PublicJwk } from "./key-set.ts";

/** Signs receipts. A KMS or HSM fits behind it; a rejection denies the decision. */
export interface Signer {
  /** RFC 7638 thumbprint of the public key, which receipts name. */
  readonly keyId: string;
  /** The 64 bytes of an Ed25519 signature over `input`, without pre-hashing. */
  sign(input: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** A signer whose public key is at hand, as a successor's must be: the log tells it. */
export interface PublishedSigner extends Signer {
  readonly publicJwk: PublicJwk;
}
