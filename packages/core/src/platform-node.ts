/**
 * What core takes from its platform, on Node: hashes, MACs, Ed25519 verification and bytes as text. `#platform` in
 * package.json picks this file or its counterpart `platform-web.ts`; they export the same names of the same types.
 */
import {
  createPublicKey,
  createSecretKey,
  hash,
  type KeyObject,
  timingSafeEqual,
  verify,
} from "node:crypto";

/** A public Ed25519 key, as the platform holds it. */
export type PublicKey = KeyObject;
/** A secret for MACs, as the platform holds it. */
export type SecretKey = KeyObject;

/** One Ed25519 signature to verify: `ed25519=` + 128 hex digits over the UTF-8 text. */
export interface SignatureQuestion {
  readonly key: PublicKey;
  readonly input: string;
  readonly signature: string;
}

/** SHA-256 over bytes, or over text as UTF-8, in hex. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash("sha256", data, "hex");
}

/** SHA-256 over the bytes of hex digits, in hex; `undefined` for other text, as far as Node sees without looking twice. */
export function sha256OfHex(digits: string): string | undefined {
  // Of a node of a tree, which are what nearly all of them are, in a place that is there already.
  const isNode = digits.length === 2 * nodeInput.length;
  const bytes = isNode ? nodeInput : Buffer.from(digits, "hex");
  const length = isNode ? nodeInput.write(digits, "hex") : bytes.length;
  return length * 2 === digits.length ? hash("sha256", bytes, "hex") : undefined;
}

/** SHA-256 over text as UTF-8, in base64url without padding (RFC 4648, 5). */
export function sha256Base64Url(text: string): string {
  return hash("sha256", text, "base64url");
}

/** HMAC-SHA-256 (RFC 2104) over text, in hex. */
export function hmacHex(key: SecretKey, text: string): string {
  let pads = keptPads.get(key);
  if (pads === undefined) {
    pads = padsOf(key.export());
    keptPads.set(key, pads);
  }
  return macWith(pads, text);
}

/** {@link hmacHex} under a key that serves once: making a `KeyObject` costs more than the MAC itself. */
export function hmacHexUnder(hexKey: string, text: string): string {
  fillPads(padsOfOne, Buffer.from(hexKey, "hex"));
  return macWith(padsOfOne, text);
}

/** A key as the blocks that the two hashes of a MAC begin with. */
interface Pads {
  readonly inner: Uint8Array;
  readonly outer: Uint8Array;
}

const keptPads = new WeakMap<SecretKey, Pads>();
/** Of SHA-256, in bytes. */
const BLOCK = 64;

function padsOf(secret: Uint8Array): Pads {
  const pads = { inner: new Uint8Array(BLOCK), outer: new Uint8Array(BLOCK) };
  fillPads(pads, secret);
  return pads;
}

function fillPads({ inner, outer }: Pads, secret: Uint8Array): void {
  const key = secret.length > BLOCK ? hash("sha256", secret, "buffer") : secret;
  for (let i = 0; i < BLOCK; i++) {
    const byte = key[i] ?? 0;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
}

/** Two hashes, each at one go: an `Hmac` object costs twice as much as both. */
function macWith({ inner, outer }: Pads, text: string): string {
  const input = blockAndText(text);
  input.set(inner);
  outerInput.set(outer);
  outerInput.write(hash("sha256", input, "binary"), BLOCK, "binary");
  return hash("sha256", outerInput, "hex");
}

/** A block to be filled, and the text after it. Valid until the next call. */
function blockAndText(text: string): Uint8Array {
  if (3 * text.length > ROOM) return Buffer.concat([new Uint8Array(BLOCK), Buffer.from(text)]);
  const length = innerInput.write(text, BLOCK);
  // A view costs as much as the hash of what it shows: there is one for each length.
  return (views[length] ??= innerInput.subarray(0, BLOCK + length));
}

const ROOM = 1024;
const innerInput = Buffer.alloc(BLOCK + ROOM);
const outerInput = Buffer.alloc(BLOCK + 32);
const views: Uint8Array[] = [];
const padsOfOne: Pads = { inner: new Uint8Array(BLOCK), outer: new Uint8Array(BLOCK) };
/** 0x01, and two hashes. */
const nodeInput = Buffer.alloc(65);

/** A secret for {@link hmacHex}, made once. */
export function secretKey(secret: Uint8Array): SecretKey {
  return createSecretKey(secret);
}

/** Equality of two texts in constant time. */
export function equalText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

/** The key of a JWK (RFC 8037). @throws where it is none. */
export function publicKeyOf(jwk: {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
}): PublicKey {
  const { kty, crv, x } = jwk;
  return createPublicKey({ key: { kty, crv, x }, format: "jwk" });
}

/** Whether `signature`, `ed25519=` + 128 hex digits, is this key's over the UTF-8 text; any other form is not. */
export function verifyText(key: PublicKey, input: string, signature: string): boolean {
  const bytes = signature.startsWith("ed25519=") ? fromHex(signature.slice(8)) : undefined;
  return bytes?.length === 64 && verify(null, Buffer.from(input), key, bytes);
}

/** {@link verifyText} for many, in their order. */
export async function verifyTexts(
  questions: readonly SignatureQuestion[],
): Promise<readonly boolean[]> {
  return questions.map(({ key, input, signature }) => verifyText(key, input, signature));
}

/** The bytes of hex digits; `undefined` for other text. */
export function fromHex(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-fA-F]{2})*$/.test(text) ? Buffer.from(text, "hex") : undefined;
}

/** Bytes as lower-case hex digits. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** The bytes of standard base64 (RFC 4648, 4) in its one right spelling; `undefined` for any other text. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

/** The bytes of base64url without padding (RFC 4648, 5) in its one right spelling; `undefined` for any other text. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** Bytes as standard base64 (RFC 4648, 4). */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
