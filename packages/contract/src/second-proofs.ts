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
import { rootAbove } from "./second-log.ts";

/** A public key with what a verifier was told of it. */
export interface TrustedKey {
  readonly key: KeyObject;
  readonly nbf: number | undefined;
  readonly exp: number | undefined;
  /** In seconds; nothing that the key signed is believed any more, but for what is known to be older. */
  readonly revokedFrom: number | undefined;
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
        revokedFrom: seconds(jwk["revoked_from"]),
        approves: jwk["roles"] !== undefined,
      },
    ]),
  );
}

/** `nbf·1000 ≤ at < exp·1000`. */
export function keyHolds({ nbf, exp }: TrustedKey, at: Json | undefined): boolean {
  const ms = Number(at);
  return (nbf === undefined || nbf * 1000 <= ms) && (exp === undefined || ms < exp * 1000);
}

/** `"stepgate.receipt/1\n" + JCS(body)`. */
export function signedInput(record: JsonObject): Buffer {
  const { hmac_sig: _mac, sig: _sig, batch: _batch, ...body } = record;
  return Buffer.from(`stepgate.receipt/1\n${canonicalText(body) ?? ""}`);
}

/** A record's identity, `"sha256:" + hex`. */
export function recordHash(record: JsonObject): string {
  const known = HASHES.get(record);
  if (known !== undefined) return known;
  const hash = `sha256:${sha256(Buffer.of(0), signedInput(record)).toString("hex")}`;
  HASHES.set(record, hash);
  return hash;
}

const HASHES = new WeakMap<JsonObject, string>();

/** What the first record of a chain names as `prev`. */
export function genesis(logId: string, tenant: string, sequenceId: string): string {
  const text = `stepgate.genesis/1\n${logId}\n${tenant}\n${sequenceId}`;
  return `sha256:${sha256(Buffer.from(text)).toString("hex")}`;
}

/** Whether `sig`, or the batch's signature over the root that the path leads to, is this key's. */
export function signatureHolds(record: JsonObject, key: KeyObject): boolean {
  const batch = record["batch"];
  if (!isObject(batch)) return signed(signedInput(record), record["sig"], key);
  const root = batchRoot(record);
  if (root === undefined) return false;
  const text = `stepgate.batch/1\n${String(record["log_id"])}\n${String(batch["size"])}\n${root.toString("hex")}`;
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
  return signed(Buffer.from(approvalText(record)), record["approver_sig"], key);
}

/** What an approver signs. */
export function approvalText({
  log_id,
  sequence_id,
  request,
  verdict,
  expires_ms,
}: JsonObject): string {
  const statement = canonicalText({ log_id, sequence_id, request, verdict, expires_ms });
  return `stepgate.approval/1\n${statement ?? ""}`;
}

/** Whether a key record's new key signed that it is held. */
export function newKeyHolds(record: JsonObject): boolean {
  const jwk = record["new_key"];
  if (!isObject(jwk)) return false;
  const text = `stepgate.key/1\n${String(record["log_id"])}\n${thumbprint(jwk)}`;
  try {
    return signed(Buffer.from(text), record["new_key_sig"], publicKey(jwk));
  } catch {
    // No point of the curve, to a platform that looks.
    return false;
  }
}

/** The RFC 7638 thumbprint of an Ed25519 key: its name, whatever it claims. */
export function thumbprint({ crv = null, kty = null, x = null }: JsonObject): string {
  return sha256(Buffer.from(canonicalText({ crv, kty, x }) ?? "")).toString("base64url");
}

/** The root that a record and its batch's path lead to; undefined where it is in no batch, or leads nowhere. */
export function batchRoot(record: JsonObject): Buffer | undefined {
  const batch = record["batch"];
  if (!isObject(batch)) return undefined;
  const path = (Array.isArray(batch["path"]) ? batch["path"] : []).map((item: Json) =>
    Buffer.from(String(item), "hex"),
  );
  const leaf = Buffer.from(recordHash(record).slice("sha256:".length), "hex");
  return rootAbove(leaf, Number(batch["index"]), Number(batch["size"]), path);
}

function signed(input: Buffer, text: Json | undefined, key: KeyObject): boolean {
  const bytes = Buffer.from(String(text).slice("ed25519=".length), "hex");
  return bytes.length === 64 && verify(null, input, key, bytes);
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
