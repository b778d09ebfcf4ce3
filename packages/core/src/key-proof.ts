/** A new key proves itself: it signs its own name for one log, so that nobody hands over to a key that is not theirs. */
import { type PublicKey, toHex } from "#platform";
import { GateError } from "./errors.ts";
import { believableKey, type PublicJwk } from "./key-set.ts";
import type { KeyReceipt } from "./receipt.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";
import type { PublishedSigner } from "./signer.ts";

/** The members of a `key` record that hands over to `next`. @throws GateError KEY_INVALID where it does not sign as itself. */
export async function proveKey(
  logId: string,
  next: PublishedSigner,
): Promise<Pick<KeyReceipt, "kind" | "new_key" | "new_key_sig">> {
  const { kty, crv, x, kid } = next.publicJwk;
  const new_key_sig = await signatureOf(next, proofInput(logId, kid));
  const proof = { kind: "key", new_key: { kty, crv, x, kid }, new_key_sig } as const;
  // Once recorded it could not be taken back: a signer that signs with another key is found out here.
  if (!provesKey({ ...proof, log_id: logId }))
    throw new GateError("KEY_INVALID", `the new signer does not sign with key ${kid}`);
  return proof;
}

/** True where the new key of a record of well-formed members signed its own name for the record's log. Never throws. */
export function provesKey(
  { log_id, new_key, new_key_sig }: Pick<KeyReceipt, "log_id" | "new_key" | "new_key_sig">,
  holds: SignatureCheck = checkSignature,
): boolean {
  const key = publicKeyIn(new_key);
  return (
    key !== undefined && holds({ key, jwk: new_key }, proofInput(log_id, new_key.kid), new_key_sig)
  );
}

/** `undefined` for 32 bytes that are nobody's key. */
function publicKeyIn(jwk: PublicJwk): PublicKey | undefined {
  try {
    return believableKey(jwk);
  } catch {
    return undefined;
  }
}

async function signatureOf(next: PublishedSigner, input: string): Promise<string> {
  try {
    return `ed25519=${toHex(await next.sign(new TextEncoder().encode(input)))}`;
  } catch (cause) {
    throw new GateError("STORE_UNAVAILABLE", "the new key did not sign", { cause });
  }
}

function proofInput(logId: string, keyId: string): string {
  return `stepgate.key/1\n${logId}\n${keyId}`;
}
