/** Revocation: from a time on nobody is to believe a key. It is said in the public set, and never taken back. */
import { GateError } from "@stepgate/core";
import { whileLocked } from "./folder-lock.ts";
import { changeKeySet, readKeySet } from "./key-file.ts";
import { keyPaths } from "./key-folder.ts";

/**
 * Writes `revoked_from` (whole seconds since the epoch) to a key of the folder's public set. It may be moved to an
 * earlier time, for what was thought sound may prove not to be.
 *
 * @throws GateError INVALID_INPUT for a key that the set does not list, and for a later time than stands; KEY_INVALID.
 */
export async function revokeKey(folder: string, keyId: string, from: number): Promise<void> {
  const path = keyPaths(folder);
  await mustList(path.public, keyId);
  await whileLocked(path.lock, async () => {
    const stands = (await mustList(path.public, keyId)).revoked_from;
    if (stands !== undefined && stands < from)
      throw new GateError(
        "INVALID_INPUT",
        `key ${keyId} is revoked from ${timeText(stands)} on; a revocation is not taken back`,
      );
    if (stands !== from)
      await changeKeySet(path.public, (keys) =>
        keys.map((key) => (key["kid"] === keyId ? { ...key, revoked_from: from } : key)),
      );
  });
}

/** Seconds since the epoch as people read them. */
export function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

async function mustList(file: string, keyId: string): Promise<{ readonly revoked_from?: number }> {
  const set = await readKeySet(file);
  const listed = set.get(keyId)?.jwk;
  if (listed === undefined)
    throw new GateError(
      "INVALID_INPUT",
      `${file}: lists no key '${keyId}'; it lists ${[...set.keys()].join(", ") || "none"}`,
    );
  return listed;
}
