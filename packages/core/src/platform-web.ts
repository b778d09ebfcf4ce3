/**
 * What core takes from its platform, where that is a browser: the counterpart of `platform-node.ts`, of the same names and
 * types. Only signatures are the platform's own, WebCrypto's, which answers later: {@link verifyTexts}.
 */
import { GateError } from "./errors.ts";
import { hmacSha256Bytes, sha256Bytes } from "./sha256.ts";

/** A public Ed25519 key: its 32 bytes (RFC 8032, 5.1.5). */
export type PublicKey = Uint8Array<ArrayBuffer>;
/** A secret for MACs: its bytes. */
export type SecretKey = Uint8Array;

/** One Ed25519 signature to verify: `ed25519=` + 128 hex digits over the UTF-8 text. */
export interface SignatureQuestion {
  readonly key: PublicKey;
  readonly input: string;
  readonly signature: string;
}

/** SHA-256 over bytes, or over text as UTF-8, in hex. */
export function sha256Hex(data: string | Uint8Array): string {
  return toHex(sha256Bytes(typeof data === "string" ? utf8(data) : data));
}

/** SHA-256 over the bytes of hex digits, in hex; `undefined` for other text. */
export function sha256OfHex(digits: string): string | undefined {
  const bytes = fromHex(digits);
  return bytes && sha256Hex(bytes);
}

/** SHA-256 over text as UTF-8, in base64url without padding (RFC 4648, 5). */
export function sha256Base64Url(text: string): string {
  return toBase64(sha256Bytes(utf8(text)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** HMAC-SHA-256 over text, in hex. */
export function hmacHex(key: SecretKey, text: string): string {
  return toHex(hmacSha256Bytes(key, utf8(text)));
}

/** {@link hmacHex} under a key in hex. */
export function hmacHexUnder(hexKey: string, text: string): string {
  return hmacHex(fromHex(hexKey) ?? new Uint8Array(0), text);
}

/** A secret for {@link hmacHex}. */
export function secretKey(secret: Uint8Array): SecretKey {
  return secret.slice();
}

/** Equality of two texts, in a time that tells nothing of where they differ. */
export function equalText(a: string, b: string): boolean {
  let differing = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differing |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return differing === 0;
}

/** The key of a JWK (RFC 8037). @throws where it is none. */
export function publicKeyOf(jwk: {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
}): PublicKey {
  const bytes = fromBase64Url(jwk.x);
  if (bytes?.length !== 32) throw new TypeError("x: 32 bytes in base64url");
  return bytes;
}

/** Never answers: WebCrypto has no synchronous verification. @throws GateError UNSUPPORTED, always. */
export function verifyText(_key: PublicKey, _input: string, _signature: string): boolean {
  throw new GateError(
    "UNSUPPORTED",
    "a browser verifies signatures asynchronously: import what verifies from @stepgate/core/verify",
  );
}

/**
 * Whether each signature is its key's, in their order.
 *
 * @throws GateError UNSUPPORTED where the page has no WebCrypto, or one without Ed25519: then nothing is known of any.
 */
export async function verifyTexts(
  questions: readonly SignatureQuestion[],
): Promise<readonly boolean[]> {
  if (questions.length === 0) return [];
  const subtle = await (verifying ??= ed25519());
  const imported = new Map<PublicKey, Promise<CryptoKey | undefined>>();
  return Promise.all(
    questions.map(async ({ key, input, signature }) => {
      const bytes = signature.startsWith("ed25519=") ? fromHex(signature.slice(8)) : undefined;
      if (bytes?.length !== 64) return false;
      let importing = imported.get(key);
      if (importing === undefined) imported.set(key, (importing = importKey(subtle, key)));
      const known = await importing;
      return known !== undefined && subtle.verify("Ed25519", known, bytes, utf8(input));
    }),
  );
}

/** Asked once: a page's WebCrypto does not change. */
let verifying: Promise<Subtle> | undefined;

type Subtle = typeof globalThis.crypto.subtle;
type CryptoKey = Awaited<ReturnType<Subtle["importKey"]>>;

/** The page's WebCrypto, once it has shown that it verifies Ed25519 as RFC 8032 does. */
async function ed25519(): Promise<Subtle> {
  const subtle: Subtle | undefined = globalThis.crypto?.subtle;
  if (subtle === undefined)
    throw unsupported("there is no WebCrypto here; a page has it over HTTPS and on localhost only");
  const [good, bad] = await Promise.all([knownAnswer(subtle, 0), knownAnswer(subtle, 1)]).catch(
    (cause: unknown) => {
      throw unsupported("this WebCrypto does not verify Ed25519; update the browser", cause);
    },
  );
  if (good !== true || bad !== false)
    throw unsupported("this WebCrypto does not verify Ed25519 as RFC 8032 does");
  return subtle;
}

/** RFC 8032, 7.1, TEST 1: the empty message; `change` is added to the signature's first byte. */
async function knownAnswer(subtle: Subtle, change: number): Promise<boolean> {
  const key = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const signature = fromHex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  );
  if (key === undefined || signature === undefined) return false;
  signature[0] = (signature[0] ?? 0) + change;
  const imported = await subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  return subtle.verify("Ed25519", imported, signature, new Uint8Array(0));
}

/** `undefined` for 32 bytes that are no point of the curve: nothing is signed under them. */
async function importKey(subtle: Subtle, key: PublicKey): Promise<CryptoKey | undefined> {
  try {
    return await subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "DataError") return undefined;
    throw unsupported("this WebCrypto does not take an Ed25519 key", error);
  }
}

function unsupported(reason: string, cause?: unknown): GateError {
  return new GateError("UNSUPPORTED", `signatures cannot be verified: ${reason}`, { cause });
}

/** The bytes of hex digits; `undefined` for other text. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = (digit(text.charCodeAt(2 * i)) << 4) | digit(text.charCodeAt(2 * i + 1));
  return bytes;
}

/** What a hex digit is worth: 0 to 9 are 0x30 to 0x39, letters begin at 0x41 and 0x61. */
function digit(code: number): number {
  return (code & 0xf) + (code >= 0x41 ? 9 : 0);
}

/** Bytes as lower-case hex digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** The bytes of standard base64 (RFC 4648, 4) in its one right spelling; `undefined` for any other text. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return toBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** The bytes of base64url without padding (RFC 4648, 5) in its one right spelling; `undefined` for any other text. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (/[^A-Za-z0-9_-]/.test(text)) return undefined;
  const padding = "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(`${text.replaceAll("-", "+").replaceAll("_", "/")}${padding}`);
}

/** Bytes as standard base64 (RFC 4648, 4). */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

const encoder = new TextEncoder();
