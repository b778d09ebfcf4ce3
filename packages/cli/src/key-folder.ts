/**
 * A folder of keys: the Ed25519 key that signs, the salt key under which arguments are digested, and the public key set
 * for auditors. Made on first use, never overwritten; private files are refused when others could read them.
 *
 * Each file appears at once and whole, because it is written under another name and then linked, which fails where the
 * name is taken. So of two processes that start together both read what the first one made. `keys.json` comes last:
 * where it lies, the folder was complete once, and a private file that is missing was lost, not yet to be made.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import {
  exportKeySet,
  GateError,
  generateSigningKey,
  importKeySet,
  type PublicJwk,
  type SigningKey,
  signingKey,
} from "@stepgate/core";
import { createDurably } from "./durable-file.ts";
import { errorCode, readJson, readText, reasonOf } from "./reading.ts";

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
  const signer = readSigningKey(path.signing, await readPrivate(path.signing));
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
  return { keys: await readKeySet(pathsIn(folder).public) };
}

const PRIVATE = 0o600;
const PUBLIC = 0o644;
const OTHERS = 0o077;
const IGNORED = `${KEY_FILES.signing}\n${KEY_FILES.salt}\n*.tmp\n`;

type Paths = Readonly<Record<keyof typeof KEY_FILES, string>>;

function pathsIn(folder: string): Paths {
  return {
    signing: join(folder, KEY_FILES.signing),
    salt: join(folder, KEY_FILES.salt),
    public: join(folder, KEY_FILES.public),
  };
}

async function makeFolder(folder: string): Promise<void> {
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

async function isThere(file: string): Promise<boolean> {
  try {
    await (await open(file, "r")).close();
    return true;
  } catch (cause) {
    // Whatever else stops it from being opened, something bears this name.
    return errorCode(cause) !== "ENOENT";
  }
}

/** Gives the file this content unless it is there already, at once and whole, and durably. */
async function settle(file: string, mode: number, make: () => string): Promise<void> {
  if (await isThere(file)) return;
  await createDurably(file, mode, make()).catch((cause: unknown) => {
    if (errorCode(cause) !== "EEXIST")
      throw invalidKey(file, `cannot be made: ${reasonOf(cause)}`, cause);
  });
}

function newSigningKey(): string {
  return String(generateSigningKey().privateKey.export({ type: "pkcs8", format: "pem" }));
}

function newSaltKey(): string {
  return `${randomBytes(32).toString("hex")}\n`;
}

function printKeySet(signer: SigningKey): string {
  return `${JSON.stringify(exportKeySet([signer]), null, 2)}\n`;
}

/** The mode is that of the open file, not of whatever bears its name a moment later. */
async function readPrivate(file: string): Promise<string> {
  const handle = await open(file, "r").catch((cause: unknown) => {
    throw invalidKey(file, reasonOf(cause), cause);
  });
  try {
    const mode = (await handle.stat()).mode & 0o777;
    // Windows has no such modes; there the folder's access list is what protects it.
    if ((mode & OTHERS) !== 0 && process.platform !== "win32") {
      throw invalidKey(
        file,
        `is open to others (mode ${mode.toString(8).padStart(4, "0")}); run chmod 600 ${file}`,
      );
    }
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

function readSigningKey(file: string, pem: string): SigningKey {
  try {
    return signingKey(pem);
  } catch (cause) {
    throw invalidKey(file, cause instanceof Error ? cause.message : "is no key", cause);
  }
}

function readSaltKey(file: string, text: string): Uint8Array {
  if (!/^[0-9a-f]{64}\n?$/.test(text)) throw invalidKey(file, "must hold 64 hex digits");
  return Buffer.from(text.trim(), "hex");
}

async function readKeySet(file: string): Promise<readonly PublicJwk[]> {
  const document = readJson(await readText(file), file);
  try {
    return [...importKeySet(document).values()].map(({ jwk }) => jwk);
  } catch (cause) {
    throw invalidKey(file, cause instanceof Error ? cause.message : "is no key set", cause);
  }
}

/** Receipts that no auditor could verify are better not made. */
async function mustListSigner(file: string, signer: SigningKey, nowMs: number): Promise<void> {
  const listed = (await readKeySet(file)).find(({ kid }) => kid === signer.keyId);
  if (listed === undefined) throw invalidKey(file, `does not list the signing key ${signer.keyId}`);
  if (listed.roles !== undefined)
    throw invalidKey(file, "lists the signing key with roles; such a key signs no receipts");
  const { nbf = 0, exp = Infinity, revoked_from = Infinity } = listed;
  const seconds = nowMs / 1000;
  if (seconds >= revoked_from) throw invalidKey(file, "lists the signing key as revoked");
  if (seconds < nbf || seconds >= exp)
    throw invalidKey(file, "lists the signing key as not valid at this time (nbf, exp)");
}

function invalidKey(file: string, fault: string, cause?: unknown): GateError {
  return new GateError("KEY_INVALID", `${file}: ${fault}`, { cause });
}
