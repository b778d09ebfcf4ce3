/** What of a receipt is signed and hashed, made by other people's code: the identity that receipt.md gives it. */
import { createHash } from "node:crypto";
import canonicalizeOfNpm from "canonicalize";
import type { Receipt } from "../src/receipt.ts";

/** The input of a signature. */
export function inputByHand(receipt: Receipt): string {
  const { sig: _sig, batch: _batch, hmac_sig: _mac, ...body } = receipt;
  return `stepgate.receipt/1\n${canonicalizeOfNpm(body)}`;
}

/** The record hash. */
export function hashByHand(receipt: Receipt): string {
  return `sha256:${createHash("sha256")
    .update(Buffer.from([0]))
    .update(inputByHand(receipt))
    .digest("hex")}`;
}
