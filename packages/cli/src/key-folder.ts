/**
 * A folder of keys: the Ed25519 key that signs, the salt key under which arguments are digested, and the public key set
 * for auditors. Made on first use, never overwritten; private files are refused when others could read them.
 *
 * Each file appears at once and whole, because it is written under another name and then linked, which fails where the
 * name is taken. So of two processes that start together both read what the first one made. `keys.json` comes last:
 * where it lies, the folder was complete once, and a private file that is missing was lost, not yet to be made.
 *
 * Of several signing keys the newest that `keys.json` lists signs; `rotate-keys` says how they come and go.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  exportKeySet,
  type GateError,
  type KeySet,
  type PublicJwk,
  type SigningKey,
} from "@stepgate/core";
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
  /** PKCS #8 PEM, mode 0600. The key that took over from it is in `signing-key-2.pem`, and so on. */
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
  const path = keyPaths(folder);
  if (!(await isThere(path.public))) await completeFolder(folder, path);
  const files = await signingFiles(folder);
  if (files.length === 0) throw lostFile(path.signing);
  if (!(await isThere(path.salt))) throw lostFile(path.salt);
  const published = await readKeySet(path.public);
  const signer = await newestListed(files, published, path.public);
  const saltKey = await readSaltKey(path.salt);
  mustBeValid(path.public, published.get(signer.keyId)?.jwk, nowMs);
  return { signer, saltKey };
}

/** Makes a folder of new keys. @throws GateError KEY_INVALID where one of its files is there already. */
export async function makeKeyFolder(folder: string, nowMs: number): Promise<GateKeys> {
  const { signing, salt, public: published } = keyPaths(folder);
  for (const file of [signing, salt, published]) {
    if (await isThere(file)) throw invalidKey(file, "is there already; keys are never overwritten");
  }
  return openKeyFolder(folder, nowMs);
}

/** The public key set in `folder`, checked. @throws GateError KEY_INVALID or INVALID_INPUT. */
export async function readPublicKeys(
  folder: string,
): Promise<{ readonly keys: readonly PublicJwk[] }> {
  return { keys: jwksOf(await readKeySet(keyPaths(folder).public)) };
}

/** The paths of a folder's files. */
export interface KeyPaths extends Readonly<Record<keyof typeof KEY_FILES, string>> {
  /** Held by whoever changes the folder. */
  readonly lock: string;
}

/** Where the files of a folder lie. */
export function keyPaths(folder: string): KeyPaths {
  return {
    signing: join(folder, KEY_FILES.signing),
    salt: join(folder, KEY_FILES.salt),
    public: join(folder, KEY_FILES.public),
    lock: join(folder, "keys.lock"),
  };
}

/** A private signing key of a folder. */
export interface SigningFile {
  readonly file: string;
  /** The file of the key that takes over from it. */
  readonly next: string;
}

/** The private signing keys of a folder, the oldest first: one, or two while a rotation is under way. */
export async function signingFiles(folder: string): Promise<readonly SigningFile[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw invalidKey(folder, reasonOf(cause), cause);
  });
  return names
    .flatMap((name) => {
      const [whole, number = "1"] = /^signing-key(?:-([1-9][0-9]{0,8}))?\.pem$/.exec(name) ?? [];
      return whole === undefined ? [] : [{ name, number: Number(number) }];
    })
    .toSorted((a, b) => a.number - b.number)
    .map(({ name, number }) => ({
      file: join(folder, name),
      next: join(folder, `signing-key-${number + 1}.pem`),
    }));
}

/** The 32 bytes of a salt key's file. @throws GateError KEY_INVALID. */
export async function readSaltKey(file: string): Promise<Uint8Array> {
  const text = await readPrivate(file);
  if (!/^[0-9a-f]{64}\n?$/.test(text)) throw invalidKey(file, "must hold 64 hex digits");
  return Buffer.from(text.trim(), "hex");
}

const IGNORED = `${KEY_FILES.signing}\n${KEY_FILES.salt}\nkeys.lock\n*.pem\n*.tmp\n`;

/** Makes a folder for private files, unless it is there. @throws GateError KEY_INVALID. */
export async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw invalidKey(folder, `cannot be made: ${reasonOf(cause)}`, cause);
  });
  // Private keys are committed by accident more often than they are stolen.
  if (made !== undefined) await settle(join(folder, ".gitignore"), PUBLIC, () => IGNORED);
}

/** Makes what is not there yet: the first use of a folder, or one that was stopped half way. */
async function completeFolder(folder: string, path: KeyPaths): Promise<void> {
  const rotated = (await signingFiles(folder)).find(({ file }) => file !== path.signing);
  if (rotated !== undefined)
    throw invalidKey(path.public, "is missing; restore it, for it lists the keys before this one");
  await settle(path.signing, PRIVATE, newSigningKey);
  const signer = await readSigningKey(path.signing);
  await settle(path.salt, PRIVATE, newSaltKey);
  await readSaltKey(path.salt);
  await settle(path.public, PUBLIC, () => printKeySet(signer));
}

function lostFile(file: string): GateError {
  return invalidKey(
    file,
    `is missing beside ${KEY_FILES.public}; restore it, or begin with a new folder and a new store`,
  );
}

/** The newest key that auditors can know of; one that is not listed yet belongs to a rotation under way. */
async function newestListed(
  files: readonly SigningFile[],
  published: KeySet,
  name: string,
): Promise<SigningKey> {
  let newest: SigningKey | undefined;
  for (const { file } of files.toReversed()) {
    const signer = await readSigningKey(file);
    if (published.has(signer.keyId)) return signer;
    newest ??= signer;
  }
  throw invalidKey(name, `does not list the signing key ${newest?.keyId}`);
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

/** Receipts that no auditor could verify are better not made. */
function mustBeValid(file: string, listed: PublicJwk | undefined, nowMs: number): void {
  if (listed?.roles !== undefined)
    throw invalidKey(file, "lists the signing key with roles; such a key signs no receipts");
  const { nbf = 0, exp = Infinity, revoked_from } = listed ?? {};
  if (revoked_from !== undefined)
    throw invalidKey(file, "lists the signing key as revoked; stepgate keys rotate makes another");
  if (nowMs < nbf * 1000 || nowMs >= exp * 1000)
    throw invalidKey(file, "lists the signing key as not valid at this time (nbf, exp)");
}
