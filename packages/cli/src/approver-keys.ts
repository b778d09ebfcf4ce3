/** People's keys: a private file of their own each, and the one public set whose roles a gate goes by. */
import { dirname, join } from "node:path";
import {
  GateError,
  importKeySet,
  type KeySet,
  type PublicJwk,
  type SigningKey,
  signingKey,
} from "@stepgate/core";
import {
  invalidKey,
  isThere,
  newSigningKey,
  PRIVATE,
  readKeySet,
  replace,
  settle,
} from "./key-file.ts";
import { makeFolder } from "./key-folder.ts";
import { readJson, readText } from "./reading.ts";

/** A JWKS of people's public keys, as a document. */
export interface ApproverJwks {
  readonly keys: readonly PublicJwk[];
}

/** The name of the public set in a gate's folder of keys. */
export const APPROVERS_FILE = "approvers.json";

/**
 * Makes a person's key: the private key in `file`, mode 0600, the public one with its roles in the set `approvers`.
 *
 * @throws GateError KEY_INVALID where `file` is there already, or the set cannot be read or written; INVALID_INPUT for
 *   what is no role.
 */
export async function makeApproverKey(
  file: string,
  approvers: string,
  roles: readonly string[],
): Promise<SigningKey> {
  const stranger = roles.find((role) => !ROLE.test(role));
  if (stranger !== undefined)
    throw new GateError("INVALID_INPUT", `role '${stranger}': 1 to 128 of A-Z a-z 0-9 . _ : -`);
  const listed = (await isThere(approvers)) ? await readDocument(approvers) : { keys: [] };
  await makeFolder(dirname(file));
  await makeFolder(dirname(approvers));
  const pem = newSigningKey();
  if (!(await settle(file, PRIVATE, () => pem)))
    throw invalidKey(file, "is there already; keys are never overwritten");
  const key = signingKey(pem);
  const keys = [...listed.keys, { ...key.publicJwk, roles }];
  await replace(approvers, `${JSON.stringify({ ...listed, keys }, null, 2)}\n`);
  return key;
}

/** The people in a file. @throws GateError KEY_INVALID, also for a key without roles; INVALID_INPUT. */
async function readApprovers(file: string): Promise<KeySet> {
  return withRoles(await readKeySet(file), file);
}

/**
 * Whose approvals a gate takes: a file, a JWKS, a key set; by default the set in its folder of keys, where there is one.
 *
 * @throws GateError KEY_INVALID where a key has no roles, and where the gate's own key is among them.
 */
export async function approversOf(
  given: string | ApproverJwks | KeySet | undefined,
  folder: string | undefined,
  gateKeyId: string,
): Promise<KeySet | undefined> {
  const fallback = folder === undefined ? undefined : join(folder, APPROVERS_FILE);
  const source =
    given ?? (fallback !== undefined && (await isThere(fallback)) ? fallback : undefined);
  if (source === undefined) return undefined;
  const name = typeof source === "string" ? source : "approvers";
  const set = await readSource(source);
  if (set.has(gateKeyId))
    throw invalidKey(name, `lists the gate's own key ${gateKeyId}; a gate approves nothing`);
  return set;
}

/** As in policies: `approval.by` names roles. */
const ROLE = /^[A-Za-z0-9._:-]{1,128}$/;

/** The document as it stands, whose other members are kept. */
async function readDocument(file: string): Promise<{ readonly keys: readonly unknown[] }> {
  await readApprovers(file);
  // A key set, as was just found.
  return readJson(await readText(file), file) as unknown as { readonly keys: readonly unknown[] };
}

async function readSource(source: string | ApproverJwks | KeySet): Promise<KeySet> {
  if (typeof source === "string") return readApprovers(source);
  if (isKeySet(source)) return source;
  return withRoles(importKeySet(source), "approvers");
}

function isKeySet(source: ApproverJwks | KeySet): source is KeySet {
  return source instanceof Map;
}

function withRoles(set: KeySet, name: string): KeySet {
  for (const { jwk } of set.values()) {
    if (jwk.roles === undefined || jwk.roles.length === 0)
      throw invalidKey(name, `key ${jwk.kid} has no roles, so it approves nothing`);
  }
  return set;
}
