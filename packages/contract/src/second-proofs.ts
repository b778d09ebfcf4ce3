/** Signatures, MACs and batches as the specification's page has them, for the second verifier; only `node:crypto` helps. */
import {
  createHash,
  createHmac,
  createPublicKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { canonicalText, isObject, type Json, type JsonObject } from "./second-json.ts";

/** A public key with what a verifier was told of it. */
export interface TrustedKey {
  readonly key: KeyObject;
  readonly nbf: number | undefined;
  readonly exp: number | undefined;
  readonly revoked: boolean;
  readonly approves: boolean;
}

/** The keys of a JWKS by their RFC 7638 thumbprints, whatever `kid` they claim. */
export function trustedKeys(jwks: unknown): ReadonlyMap<string, TrustedKey> {
  const listed = isObject(jwks) && Array.isArray(jwks["keys"]) ? (jwks["keys"] as Json[]) : [];
  return new Map(
    listed.filter(isObject).map((jwk) => [
      thumbprint(jwk),
      {
        key: publicKey(jwk),
        nbf: seconds(jwk["nbf"]),
        exp: seconds(jwk["exp"]),
        revoked: jwk["revoked_from"] !== undefined,
        approves: jwk["roles"] !== undefined,
      },
    ]),
  );
}

/** `nbf·1000 ≤ at < exp·1000`, and never revoked: without a checkpoint nothing says when it signed. */
export function keyHolds(key: TrustedKey, at: number): boolean {
  return (
    !key.revoked &&
    (key.nbf === undefined || key.nbf * 1000 <= at) &&
    (key.exp === undefined || at < key.exp * 1000)
  );
}

/** `"stepgate.receipt/1\n" + JCS(body)`. */
export function signedInput(record: JsonObject): Buffer {
  const { hmac_sig: _mac, sig: _sig, batch: _batch, ...body } = record;
  return Buffer.from(`stepgate.receipt/1\n${canonicalText(body) ?? ""}`);
}

/** A record's identity, `"sha256:" + hex`. */
export function recordHash(record: JsonObject): string {
  return `sha256:${sha256(Buffer.of(0), signedInput(record)).toString("hex")}`;
}

/** What the first record of a chain names as `prev`. */
export function genesis(logId: string, tenant: string, sequenceId: string): string {
  const text = `stepgate.genesis/1\n${logId}\n${tenant}\n${sequenceId}`;
  return `sha256:${sha256(Buffer.from(text)).toString("hex")}`;
}

/** Whether `sig`, or the batch's signature over the root that the path leads to, is this key's. */
export function signatureHolds(record: JsonObject, key: KeyObject): boolean {
  const batch = record["batch"];
  if (!isObject(batch)) return signed(signedInput(record), record["sig"], key);
  const root = batchRoot(record, batch).toString("hex");
  const text = `stepgate.batch/1\n${String(record["log_id"])}\n${String(batch["size"])}\n${root}`;
  return signed(Buffer.from(text), batch["sig"], key);
}

/** Whether `hmac_sig` is what the secret makes of the record. */
export function macHolds(record: JsonObject, secret: KeyObject): boolean {
  const told = Buffer.from(String(record["hmac_sig"]).slice("sha256=".length), "hex");
  const made = createHmac("sha256", secret).update(signedInput(record)).digest();
  return told.length === made.length && timingSafeEqual(told, made);
}

/** Whether the approver's key signed this approval's statement. */
export function approvalHolds(record: JsonObject, key: KeyObject): boolean {
  const { log_id, sequence_id, request, verdict, expires_ms } = record;
  const statement = canonicalText({ log_id, sequence_id, request, verdict, expires_ms });
  return signed(
    Buffer.from(`stepgate.approval/1\n${statement ?? ""}`),
    record["approver_sig"],
    key,
  );
}

/** Whether a key record's new key signed that it is held. */
export function newKeyHolds(record: JsonObject): boolean {
  const jwk = record["new_key"];
  if (!isObject(jwk)) return false;
  const text = `stepgate.key/1\n${String(record["log_id"])}\n${thumbprint(jwk)}`;
  return signed(Buffer.from(text), record["new_key_sig"], publicKey(jwk));
}

function batchRoot(record: JsonObject, batch: JsonObject): Buffer {
  const path = (Array.isArray(batch["path"]) ? batch["path"] : []).map((item: Json) =>
    Buffer.from(String(item), "hex"),
  );
  const leaf = Buffer.from(recordHash(record).slice("sha256:".length), "hex");
  return climb(leaf, Number(batch["index"]), Number(batch["size"]), path);
}

/** RFC 6962, §2.1.1, read backwards: the last item of the path is the sibling below the root. */
function climb(leaf: Buffer, index: number, size: number, path: readonly Buffer[]): Buffer {
  const sibling = path.at(-1);
  if (size <= 1 || sibling === undefined) return leaf;
  let left = 1;
  while (left * 2 < size) left *= 2;
  const below = path.slice(0, -1);
  return index < left
    ? sha256(Buffer.of(1), climb(leaf, index, left, below), sibling)
    : sha256(Buffer.of(1), sibling, climb(leaf, index - left, size - left, below));
}

function signed(input: Buffer, text: Json | undefined, key: KeyObject): boolean {
  const bytes = Buffer.from(String(text).slice("ed25519=".length), "hex");
  return bytes.length === 64 && verify(null, input, key, bytes);
}

function thumbprint(jwk: JsonObject): string {
  const { crv = null, kty = null, x = null } = jwk;
  return sha256(Buffer.from(canonicalText({ crv, kty, x }) ?? "")).toString("base64url");
}

function publicKey(jwk: JsonObject): KeyObject {
  return createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: String(jwk["x"]) },
    format: "jwk",
  });
}

function seconds(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function sha256(...parts: readonly Buffer[]): Buffer {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}
