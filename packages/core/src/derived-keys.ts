/** The secrets of a gate from one master secret: HKDF-SHA-256 (RFC 5869), a label for each, so that none tells of another. */
import { hkdfSync } from "node:crypto";

/** Parts of `createGate` by the same names. */
export interface DerivedKeys {
  /** 32 bytes. */
  readonly saltKey: Uint8Array;
  /** 32 bytes, and a name that tells nothing of them. */
  readonly hmacKey: { readonly id: string; readonly secret: Uint8Array };
}

/**
 * The salt key and the HMAC key of a gate from a master secret of at least 32 bytes; the same ones every time.
 *
 * @throws TypeError for a shorter secret: what has no entropy gets none here.
 * @example
 * const gate = await createGate({ policies: [policy], store, signer, ...deriveKeys(masterSecret) });
 */
export function deriveKeys(master: Uint8Array): DerivedKeys {
  if (!(master instanceof Uint8Array) || master.length < 32)
    throw new TypeError("deriveKeys: the master secret must be at least 32 bytes");
  const derive = (label: string, bytes: number): Uint8Array =>
    new Uint8Array(hkdfSync("sha256", master, "", label, bytes));
  return {
    saltKey: derive("stepgate.salt/1", 32),
    hmacKey: {
      id: `hmac-${Buffer.from(derive("stepgate.hmac-id/1", 8)).toString("hex")}`,
      secret: derive("stepgate.hmac/1", 32),
    },
  };
}
