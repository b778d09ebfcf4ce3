/**
 * A folder of keys: the Ed25519 key that signs, the salt key under which arguments are digested, and the public key set
 * for auditors. Made on first use, never overwritten; private files are refused when others could read them.
 *
 * Each file appears at once and whole, because it is written under another name and then linked, which fails where the
 * name is taken. So of two processes that start together both read what the first one made. `keys.json` comes last:
 * where it lies, the folder was complete once, and a private file that is missing was lost, not yet to be made.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { exportKeySet, type KeySet, type PublicJwk, type SigningKey } from "@stepgate/core";
import {
  invalidKey,
  isThere,
  newSigningKey,
  PRIVATE,
  PUBLIC,
  readKeySet,
  readPrivate,
  readSigningKey,
  settle,
} from "./key-file.ts";
import { reasonOf } from "./reading.ts";

/** The names of the files in a key folder. */
export const KEY_FILES = {
  /** PKCS #8 PEM, mode 0600. */
  signing: "signing-key.pem",
  /** 64 hex digits, mode 0600. */
  salt: "salt-key",
  /** A JWKS (RFC 7517), mode 0644. */
  public: "keys.json",
} as const;

/** The keys of one gate. */
export interface GateKeys {
  readonly signer: SigningKey;
  /** 32 bytes. */
  readonly saltKey: Uint8Array;
}

/**
 * Reads the keys in `folder`; makes those that are not there yet.
 *
 * @throws GateError KEY_INVALID for a private file that others may read, for one that was lost, for anything that is no
 *   key, and for a signing key that `keys.json` does not list as valid at `nowMs`.
 */
export async function openKeyFolder(folder: string, nowMs: number): Promise<GateKeys> {
  await makeFolder(folder);
  const path = pathsIn(folder);
  // Looked at first, as it is written last: another process may be making the folder at this moment.
  if (await isThere(path.public)) await mustBeComplete(path);
  await settle(path.signing, PRIVATE, newSigningKey);
  const signer = await readSigningKey(path.signing);
  await settle(path.salt, PRIVATE, newSaltKey);
  const saltKey = readSaltKey(path.salt, await readPrivate(path.salt));
  await settle(path.public, PUBLIC, () => printKeySet(signer));
  await mustListSigner(path.public, signer, nowMs);
  return { signer, saltKey };
}

/** Makes a folder of new keys. @throws GateError KEY_INVALID where one of its files is there already. */
export async function makeKeyFolder(folder: string, nowMs: number): Promise<GateKeys> {
  for (const file of Object.values(pathsIn(folder))) {
    if (await isThere(file)) throw invalidKey(file, "is there already; keys are never overwritten");
  }
  return openKeyFolder(folder, nowMs);
}

/** The public key set in `folder`, checked. @throws GateError KEY_INVALID or INVALID_INPUT. */
export async function readPublicKeys(
  folder: string,
): Promise<{ readonly keys: readonly PublicJwk[] }> {
  return { keys: jwksOf(await readKeySet(pathsIn(folder).public)) };
}

const IGNORED = `${KEY_FILES.signing}\n${KEY_FILES.salt}\n*.pem\n*.tmp\n`;

type Paths = Readonly<Record<keyof typeof KEY_FILES, string>>;

function pathsIn(folder: string): Paths {
  return {
    signing: join(folder, KEY_FILES.signing),
    salt: join(folder, KEY_FILES.salt),
    public: join(folder, KEY_FILES.public),
  };
}

/** Makes a folder for private files, unless it is there. @throws GateError KEY_INVALID. */
export async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw invalidKey(folder, `cannot be made: ${reasonOf(cause)}`, cause);
  });
  // Private keys are committed by accident more often than they are stolen.
  if (made !== undefined) await settle(join(folder, ".gitignore"), PUBLIC, () => IGNORED);
}

async function mustBeComplete(path: Paths): Promise<void> {
  for (const file of [path.signing, path.salt]) {
    if (await isThere(file)) continue;
    throw invalidKey(
      file,
      `is missing beside ${KEY_FILES.public}; restore it, or begin with a new folder and a new store`,
    );
  }
}

function jwksOf(keys: KeySet): readonly PublicJwk[] {
  return [...keys.values()].map(({ jwk }) => jwk);
}

function newSaltKey(): string {
  return `${randomBytes(32).toString("hex")}\n`;
}

function printKeySet(signer: SigningKey): string {
  return `${JSON.stringify(exportKeySet([signer]), null, 2)}\n`;
}

function readSaltKey(file: string, text: string): Uint8Array {
  if (!/^[0-9a-f]{64}\n?$/.test(text)) throw invalidKey(file, "must hold 64 hex digits");
  return Buffer.from(text.trim(), "hex");
}

/** Receipts that no auditor could verify are better not made. */
async function mustListSigner(file: string, signer: SigningKey, nowMs: number): Promise<void> {
  const listed = (await readKeySet(file)).get(signer.keyId)?.jwk;
  if (listed === undefined) throw invalidKey(file, `does not list the signing key ${signer.keyId}`);
  if (listed.roles !== undefined)
    throw invalidKey(file, "lists the signing key with roles; such a key signs no receipts");
  const { nbf = 0, exp = Infinity, revoked_from = Infinity } = listed;
  const seconds = nowMs / 1000;
  if (seconds >= revoked_from) throw invalidKey(file, "lists the signing key as revoked");
  if (seconds < nbf || seconds >= exp)
    throw invalidKey(file, "lists the signing key as not valid at this time (nbf, exp)");
}
