/** Files of keys: made at once and whole, never overwritten; private ones are refused where others could read them. */
import { open } from "node:fs/promises";
import {
  GateError,
  generateSigningKey,
  importKeySet,
  type JsonObject,
  type KeySet,
  type SigningKey,
  signingKey,
} from "@stepgate/core";
import { createDurably, replaceDurably } from "./durable-file.ts";
import { errorCode, readJson, readText, reasonOf } from "./reading.ts";

/** The mode of a private file. */
export const PRIVATE = 0o600;
/** The mode of a public one. */
export const PUBLIC = 0o644;
const OTHERS = 0o077;

/** Whether something bears this name. */
export async function isThere(file: string): Promise<boolean> {
  try {
    await (await open(file, "r")).close();
    return true;
  } catch (cause) {
    // Whatever else stops it from being opened, something bears this name.
    return errorCode(cause) !== "ENOENT";
  }
}

/** Gives the file this content unless it is there already, at once and whole, and durably; true where it did. */
export async function settle(file: string, mode: number, make: () => string): Promise<boolean> {
  if (await isThere(file)) return false;
  try {
    await createDurably(file, mode, make());
    return true;
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") return false;
    throw invalidKey(file, `cannot be made: ${reasonOf(cause)}`, cause);
  }
}

/** Gives a public file this content, in place of what it had. */
export async function replace(file: string, content: string): Promise<void> {
  if (await settle(file, PUBLIC, () => content)) return;
  await replaceDurably(file, content).catch((cause: unknown) => {
    throw invalidKey(file, `cannot be written: ${reasonOf(cause)}`, cause);
  });
}

/** Changes the keys of a public set; its other members are kept. Whoever calls holds the folder. @throws as {@link readKeySet}. */
export async function changeKeySet(
  file: string,
  change: (keys: readonly JsonObject[]) => readonly object[],
): Promise<void> {
  await readKeySet(file);
  // A key set, as was just found.
  const document = readJson(await readText(file), file) as { readonly keys: readonly JsonObject[] };
  const keys = change(document.keys);
  await replace(file, `${JSON.stringify({ ...document, keys }, null, 2)}\n`);
}

/** A new Ed25519 key as PKCS #8 PEM text. */
export function newSigningKey(): string {
  return String(generateSigningKey().privateKey.export({ type: "pkcs8", format: "pem" }));
}

/** A private file's text. @throws GateError KEY_INVALID where others may read it. */
export async function readPrivate(file: string): Promise<string> {
  const handle = await open(file, "r").catch((cause: unknown) => {
    throw invalidKey(file, reasonOf(cause), cause);
  });
  try {
    // The mode is that of the open file, not of whatever bears its name a moment later.
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

/** A key pair from its private file. @throws GateError KEY_INVALID. */
export async function readSigningKey(file: string): Promise<SigningKey> {
  const pem = await readPrivate(file);
  try {
    return signingKey(pem);
  } catch (cause) {
    throw invalidKey(file, cause instanceof Error ? cause.message : "is no key", cause);
  }
}

/** A file with a JWKS. @throws GateError KEY_INVALID, or INVALID_INPUT with `file:line:column`. */
export async function readKeySet(file: string): Promise<KeySet> {
  const document = readJson(await readText(file), file);
  try {
    return importKeySet(document);
  } catch (cause) {
    throw invalidKey(file, cause instanceof Error ? cause.message : "is no key set", cause);
  }
}

/** A fault of a file of keys. */
export function invalidKey(file: string, fault: string, cause?: unknown): GateError {
  return new GateError("KEY_INVALID", `${file}: ${fault}`, { cause });
}
