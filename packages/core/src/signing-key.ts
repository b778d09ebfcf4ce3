/** Ed25519 keys (RFC 8032), named by their RFC 7638 thumbprint: who signs, and whose signatures are believed. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { GateError } from "./errors.ts";

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

/** A key pair in this process. */
export interface SigningKey extends PublishedSigner {
  readonly privateKey: KeyObject;
}

/** A public Ed25519 key as JWK (RFC 8037), with its validity in seconds since the epoch. */
export interface PublicJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly nbf?: number;
  readonly exp?: number;
  /** From this second on, records under this key are not believed without older evidence. */
  readonly revoked_from?: number;
  /** A person's key: approves in these roles and signs no receipts. */
  readonly roles?: readonly string[];
}

/** A key that a verifier trusts. */
export interface TrustedKey {
  readonly key: KeyObject;
  readonly jwk: PublicJwk;
}

/** Trusted keys by thumbprint. Trust comes from outside the receipts: nothing in them extends this set. */
export type KeySet = ReadonlyMap<string, TrustedKey>;

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

/** Checks an Ed25519 signature of 64 bytes over `input`; anything else is false. */
export function verifySignature(key: KeyObject, input: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verify(null, input, key, signature);
}

/** {@link verifySignature} for text, and a signature as records carry it: `ed25519=` + 128 hex digits. */
export function verifyText(key: KeyObject, input: string, signature: string): boolean {
  const bytes = Buffer.from(signature.slice("ed25519=".length), "hex");
  return signature.startsWith("ed25519=") && verifySignature(key, Buffer.from(input), bytes);
}

/** True where the key is believed at this time, in milliseconds: from `nbf` until `exp`, and never once it was revoked. */
export function isValidAt(
  { nbf = 0, exp = Number.POSITIVE_INFINITY, revoked_from }: PublicJwk,
  ts_ms: number,
): boolean {
  return revoked_from === undefined && ts_ms >= nbf * 1000 && ts_ms < exp * 1000;
}

/** The roles in which a person approves at this time; none for a key that is not trusted, or not valid then. */
export function rolesAt(keys: KeySet, keyId: string, ts_ms: number): readonly string[] {
  const jwk = keys.get(keyId)?.jwk;
  return jwk?.roles === undefined || !isValidAt(jwk, ts_ms) ? [] : jwk.roles;
}

/** A public key as a record tells it: `crv`, `kid`, `kty` and `x` and nothing else, its `kid` its own thumbprint. */
export function isBarePublicJwk(value: unknown): value is PublicJwk {
  if (!isRecord(value) || Object.keys(value).length !== 4) return false;
  const { kty, crv, x, kid } = value;
  return kty === "OKP" && crv === "Ed25519" && isPoint(x) && kid === thumbprint(x);
}

/** The key of a JWK, for {@link verifyText}. @throws where it is none. */
export function publicKeyOf({ kty, crv, x }: Pick<PublicJwk, "kty" | "crv" | "x">): KeyObject {
  return createPublicKey({ key: { kty, crv, x }, format: "jwk" });
}

/**
 * Reads a JWKS (RFC 7517) into a set of trusted keys.
 *
 * @throws GateError KEY_INVALID where it is no key set, a key is not Ed25519, holds a private part, stands twice, or its
 *   `kid` is not its thumbprint.
 */
export function importKeySet(jwks: unknown): KeySet {
  const keys = isRecord(jwks) ? jwks["keys"] : undefined;
  if (!Array.isArray(keys)) throw new GateError("KEY_INVALID", 'a key set is {"keys": [...]}');
  const set = new Map<string, TrustedKey>();
  for (const [index, candidate] of keys.entries()) {
    const trusted = importKey(candidate, `keys[${index}]`);
    if (set.has(trusted.jwk.kid))
      throw new GateError("KEY_INVALID", `keys[${index}]: the key stands twice`);
    set.set(trusted.jwk.kid, trusted);
  }
  return set;
}

/** Public keys as a JWKS document, to hand to auditors. */
export function exportKeySet(keys: Iterable<{ readonly publicJwk: PublicJwk }>): {
  readonly keys: readonly PublicJwk[];
} {
  return { keys: [...keys].map((key) => key.publicJwk) };
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

/** RFC 7638: SHA-256 over the required members in code-point order, base64url. */
function thumbprint(x: string): string {
  return hash("sha256", `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, "base64url");
}

function importKey(candidate: unknown, at: string): TrustedKey {
  if (!isRecord(candidate)) throw new GateError("KEY_INVALID", `${at}: not an object`);
  const { kty, crv, x, kid, d } = candidate;
  if (kty !== "OKP" || crv !== "Ed25519" || !isPoint(x)) {
    throw new GateError("KEY_INVALID", `${at}: not a public Ed25519 key`);
  }
  if (d !== undefined)
    throw new GateError("KEY_INVALID", `${at}: holds a private key; a key set is public`);
  if (kid !== thumbprint(x))
    throw new GateError(
      "KEY_INVALID",
      `${at}.kid: must be the RFC 7638 thumbprint ${thumbprint(x)}`,
    );
  const jwk: PublicJwk = {
    kty,
    crv,
    x,
    kid: thumbprint(x),
    ...validity(candidate, at),
    ...roles(candidate, at),
  };
  try {
    return { key: publicKeyOf(jwk), jwk };
  } catch (cause) {
    throw new GateError("KEY_INVALID", `${at}: not a public Ed25519 key`, { cause });
  }
}

/** 32 bytes in base64url, spelt in the one way there is: the unused bits of the last digit are zero, or one key had several names. */
function isPoint(x: unknown): x is string {
  return typeof x === "string" && /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(x);
}

function validity(
  candidate: Record<string, unknown>,
  at: string,
): Pick<PublicJwk, "nbf" | "exp" | "revoked_from"> {
  const found: { nbf?: number; exp?: number; revoked_from?: number } = {};
  for (const name of ["nbf", "exp", "revoked_from"] as const) {
    const value = candidate[name];
    if (value === undefined) continue;
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      throw new GateError("KEY_INVALID", `${at}.${name}: must be whole seconds since the epoch`);
    }
    found[name] = value;
  }
  return found;
}

function roles(candidate: Record<string, unknown>, at: string): Pick<PublicJwk, "roles"> {
  const value = candidate["roles"];
  if (value === undefined) return {};
  if (!Array.isArray(value) || !value.every((role): role is string => typeof role === "string")) {
    throw new GateError("KEY_INVALID", `${at}.roles: must be a list of names`);
  }
  return { roles: value };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
