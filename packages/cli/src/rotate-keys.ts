/**
 * Rotation: the key of a folder hands over to a new one. Each step can be made again and nothing is lost between them:
 * a folder with two signing keys is a rotation that is under way, and whoever rotates next ends it first.
 *
 * 1. The new private key is written; nobody signs with it, for the public set does not list it.
 * 2. The public set lists it: gates that start now sign with it.
 * 3. The log tells of it: gates that run take it within a second.
 * 4. The old key gets its `exp`, after everything that it signed.
 * 5. The old private key is destroyed: nothing needs it any more, and what is gone cannot be stolen.
 */
import { unlink } from "node:fs/promises";
import {
  createGate,
  GateError,
  LOG_CHAIN,
  type Receipt,
  type SigningKey,
  type Store,
} from "@stepgate/core";
import { earlierPolicies } from "./earlier-policies.ts";
import { whileLocked } from "./folder-lock.ts";
import {
  changeKeySet,
  invalidKey,
  newSigningKey,
  PRIVATE,
  readKeySet,
  readSigningKey,
  settle,
} from "./key-file.ts";
import { keyPaths, readSaltKey, signingFiles } from "./key-folder.ts";
import { reasonOf } from "./reading.ts";

/** How a rotation is to be made. */
export interface RotationOptions {
  readonly nowMs: number;
  /** How long gates that have not yet taken the new key may go on with the old one, in seconds. */
  readonly overlapSeconds: number;
  /** The store whose log tells of it. Stays its caller's to close. */
  readonly store?: Store;
}

/** What became of it. */
export interface Rotation {
  readonly from: string;
  readonly to: string;
  /** The file of the new private key. */
  readonly file: string;
  /** Until when records under the old key are believed, in seconds since the epoch. */
  readonly exp: number;
  /** Whether the log tells of it. A key that is revoked or expired hands over to nobody: its word is worth nothing. */
  readonly told: "yes" | "no store" | "not valid";
  /** Whether it was begun earlier and ended only now. */
  readonly resumed: boolean;
}

/**
 * Makes a new signing key in `folder` and hands over to it. The salt key stays.
 *
 * @throws GateError KEY_INVALID for a folder that is not in order, STORE_UNAVAILABLE; then the same call goes on from there.
 */
export async function rotateKeys(folder: string, options: RotationOptions): Promise<Rotation> {
  const path = keyPaths(folder);
  // First of all, so that no lock is left in a folder of no keys.
  await readKeySet(path.public);
  return whileLocked(path.lock, async () => {
    const log = options.store && (await readLog(options.store));
    const { from, to, resumed } = await keyPair(folder);
    await publish(path.public, to.key, options.nowMs);
    const { told, ts_ms } = await tell(folder, from.key, to.key, options.nowMs, log);
    const exp = await expire(path.public, from.key.keyId, ts_ms, options.overlapSeconds);
    await unlink(from.file).catch((cause: unknown) => {
      throw invalidKey(from.file, `cannot be removed: ${reasonOf(cause)}`, cause);
    });
    return { from: from.key.keyId, to: to.key.keyId, file: to.file, exp, told, resumed };
  });
}

interface HeldKey {
  readonly file: string;
  readonly key: SigningKey;
}

/** The key that hands over, and the one that takes over: of an earlier attempt, or a new one. */
async function keyPair(
  folder: string,
): Promise<{ readonly from: HeldKey; readonly to: HeldKey; readonly resumed: boolean }> {
  const [from, made, ...more] = await signingFiles(folder);
  if (from === undefined)
    throw invalidKey(keyPaths(folder).signing, "is missing: there is no key to hand over");
  if (more.length > 0)
    throw invalidKey(folder, "holds more than two signing keys; remove those that are no gate's");
  const file = made?.file ?? from.next;
  const key = await readSigningKey(from.file);
  await settle(file, PRIVATE, newSigningKey);
  return {
    from: { file: from.file, key },
    to: { file, key: await readSigningKey(file) },
    resumed: made !== undefined,
  };
}

async function publish(
  file: string,
  { keyId, publicJwk }: SigningKey,
  nowMs: number,
): Promise<void> {
  if ((await readKeySet(file)).has(keyId)) return;
  const nbf = Math.floor(nowMs / 1000);
  await changeKeySet(file, (keys) => [...keys, { ...publicJwk, nbf }]);
}

/** Appends the record, unless the log has it; and the time before which the old key must not end. */
async function tell(
  folder: string,
  from: SigningKey,
  to: SigningKey,
  nowMs: number,
  log: LogSoFar | undefined,
): Promise<{ readonly told: Rotation["told"]; readonly ts_ms: number }> {
  if (log === undefined) return { told: "no store", ts_ms: nowMs };
  const earliest = Math.max(nowMs, log.ts_ms);
  if (log.handedOver.has(to.keyId)) return { told: "yes", ts_ms: earliest };
  const jwk = (await readKeySet(keyPaths(folder).public)).get(from.keyId)?.jwk;
  const ends = Math.min(jwk?.exp ?? Infinity, jwk?.revoked_from === undefined ? Infinity : 0);
  if (earliest >= ends * 1000) return { told: "not valid", ts_ms: nowMs };
  const gate = await createGate({
    policies: [],
    earlier: await earlierPolicies(log.store),
    store: log.store,
    signer: from,
    saltKey: await readSaltKey(keyPaths(folder).salt),
    mode: log.mode,
  });
  const { ts_ms } = await gate.rotateKey(to);
  return { told: "yes", ts_ms: Math.max(nowMs, ts_ms) };
}

/** What the log says of this so far. */
interface LogSoFar {
  readonly store: Store;
  readonly mode: "enforce" | "shadow";
  /** Of its last record. */
  readonly ts_ms: number;
  /** The keys that were handed over to. */
  readonly handedOver: ReadonlySet<string>;
}

/** Reads the chain `@log`. @throws GateError INVALID_INPUT where the store has none. */
async function readLog(store: Store): Promise<LogSoFar> {
  // The store's own records; the gate checks the chain when it folds it.
  const records = (await store.read(LOG_CHAIN, 0)).map((line) => JSON.parse(line) as Receipt);
  const last = records.at(-1);
  if (last === undefined)
    throw new GateError(
      "INVALID_INPUT",
      "the store holds no log yet: no gate was ever opened on it",
    );
  return {
    store,
    mode: (await store.setting("mode", "enforce")) === "shadow" ? "shadow" : "enforce",
    ts_ms: last.ts_ms,
    handedOver: new Set(records.flatMap((one) => (one.kind === "key" ? [one.new_key.kid] : []))),
  };
}

/** Gives the old key its end, unless an earlier one is set: after the records that it signed, and the overlap. */
async function expire(
  file: string,
  keyId: string,
  ts_ms: number,
  overlapSeconds: number,
): Promise<number> {
  const set = (await readKeySet(file)).get(keyId)?.jwk.exp ?? Infinity;
  const exp = Math.min(set, Math.floor(ts_ms / 1000) + 1 + overlapSeconds);
  if (exp < set)
    await changeKeySet(file, (keys) =>
      keys.map((key) => (key["kid"] === keyId ? { ...key, exp } : key)),
    );
  return exp;
}
