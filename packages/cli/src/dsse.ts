/** DSSE envelopes (Dead Simple Signing Envelope, v1): a text, what kind of text it is, and a signature over both. */
import type { Signer } from "@stepgate/core";

/** An envelope with one signature. */
export interface Envelope {
  readonly payloadType: string;
  /** Base64 of the text's UTF-8. */
  readonly payload: string;
  readonly signatures: readonly [{ readonly keyid: string; readonly sig: string }];
}

/** Signs a text as `payloadType`; `keyid` is the RFC 7638 thumbprint of the signer's public key. */
export async function signEnvelope(
  payloadType: string,
  text: string,
  signer: Signer,
): Promise<Envelope> {
  const payload = Buffer.from(text, "utf8");
  const signature = await signer.sign(preAuthEncoding(payloadType, payload));
  return {
    payloadType,
    payload: payload.toString("base64"),
    signatures: [{ keyid: signer.keyId, sig: Buffer.from(signature).toString("base64") }],
  };
}

/** What is signed. Lengths are of bytes, and part of it, so that no other type and text come to the same. */
function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, "utf8"), payload]);
}
