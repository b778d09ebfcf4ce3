/** Ed25519 key pairs (RFC 8032): who signs. Whose signatures are believed is a key set's to say. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { GateError } from "./errors.ts";
import { type PublicJwk, thumbprint } from "./key-set.ts";
import type { PublishedSigner } from "./signer.ts";

/** A key pair in this process. */
export interface SigningKey extends PublishedSigner {
  readonly privateKey: KeyObject;
}

/** A new key pair from the system's randomness. */
export function generateSigningKey(): SigningKey {
  return signingKey(generateKeyPairSync("ed25519").privateKey);
}

/** A key pair from a `KeyObject` or PKCS #8 PEM text. @throws GateError KEY_INVALID unless it is a private Ed25519 key. */
export function signingKey(source: KeyObject | string): SigningKey {
  const privateKey = typeof source === "string" ? readPrivateKey(source) : source;
  if (privateKey.type !== "private" || privateKey.asymmetricKeyType !== "ed25519") {
    throw new GateError("KEY_INVALID", "a signing key must be a private Ed25519 key");
  }
  const publicJwk = exportPublicJwk(createPublicKey(privateKey));
  return {
    keyId: publicJwk.kid,
    privateKey,
    publicJwk,
    sign: (input) => sign(null, input, privateKey),
  };
}

function readPrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new GateError("KEY_INVALID", "the signing key is not PKCS #8 PEM text", { cause });
  }
}

function exportPublicJwk(key: KeyObject): PublicJwk {
  const x = key.export({ format: "jwk" }).x;
  if (x === undefined) throw new GateError("KEY_INVALID", "not an Ed25519 key");
  return { kty: "OKP", crv: "Ed25519", x, kid: thumbprint(x) };
}
