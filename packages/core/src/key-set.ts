/** Public Ed25519 keys (RFC 8032), named by their RFC 7638 thumbprint: whose signatures are believed, and when. */
import { fromBase64Url, type PublicKey, publicKeyOf, sha256Base64Url, toHex } from "#platform";
import { GateError } from "./errors.ts";

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
  readonly key: PublicKey;
  readonly jwk: PublicJwk;
}

/** Trusted keys by thumbprint. Trust comes from outside the receipts: nothing in them extends this set. */
export type KeySet = ReadonlyMap<string, TrustedKey>;

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

/** RFC 7638: SHA-256 over the required members in code-point order, base64url. */
export function thumbprint(x: string): string {
  return sha256Base64Url(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`);
}

/** The 32 bytes of a public key (RFC 8032, 5.1.5). @throws TypeError where they are not. */
export function pointOf({ x }: Pick<PublicJwk, "x">): Uint8Array {
  const point = fromBase64Url(x);
  if (point?.length !== 32) throw new TypeError("x: 32 bytes in base64url");
  return point;
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
    return { key: believableKey(jwk), jwk };
  } catch (cause) {
    throw new GateError("KEY_INVALID", `${at}: not a public Ed25519 key`, { cause });
  }
}

/**
 * The key of a JWK. @throws where it is none, or one of small order: some platforms (BoringSSL's, so Chromium's) let a
 * signature of zeros hold under such a key for every text, others (OpenSSL's) let none.
 */
export function believableKey(jwk: Pick<PublicJwk, "kty" | "crv" | "x">): PublicKey {
  const point = pointOf(jwk).slice();
  // The sign of the x-coordinate; both signs are of one order.
  point[31] = (point[31] ?? 0) & 0x7f;
  if (SMALL_ORDER.has(toHex(point)))
    throw new TypeError("x: a point of small order is nobody's key");
  return publicKeyOf(jwk);
}

/** The y-coordinates of the points whose order divides 8, little-endian, in every spelling of 255 bits. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  `00${"00".repeat(31)}`,
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

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
