/** A gate with batteries included: a policy file, an SQLite store and a folder of keys become a `Gate`. */
import {
  type CompiledPolicy,
  createGate,
  deriveKeys,
  GateError,
  type GateParts,
  type KeySet,
  type LocalGate,
  type PolicyReceipt,
  type SigningKey,
  type Store,
} from "@stepgate/core";
import { approversOf, type ApproverJwks } from "./approver-keys.ts";
import { earlierPolicies } from "./earlier-policies.ts";
import { type GateKeys, openKeyFolder } from "./key-folder.ts";
import { readPolicyFile } from "./policy-file.ts";
import { mustPassItsTests } from "./policy-tests.ts";
import { DEFAULT_STORE, openStore } from "./store-url.ts";

/** The path or `file:` URL of a policy, or a compiled one. */
export type PolicySource = string | URL | CompiledPolicy;

/** What `openGate` takes: the parts of core's `createGate` under shorter names, each with a default but the policy. */
export interface OpenGateOptions extends Omit<
  GateParts,
  "policies" | "earlier" | "store" | "signer" | "successor" | "saltKey" | "approvers"
> {
  /** One policy, or several of different `id`: then sequences are opened with a `policy_id`. */
  readonly policy: PolicySource | readonly PolicySource[];
  /** `memory:`, `sqlite:PATH`, `postgres://…`, `redis://…`, or a store. Default `sqlite:stepgate.db`. */
  readonly store?: string | Store;
  /** A folder, whose keys are made on first use (default `.stepgate`), or a signing key. */
  readonly keys?: string | SigningKey;
  /**
   * Only with a `SigningKey`: 32 secret bytes under which arguments are digested. Default: derived from the signing key
   * (HKDF-SHA-256), so that restarts and several processes agree; give it yourself to keep it when the key changes.
   */
  readonly saltKey?: Uint8Array;
  /**
   * People's public keys with their roles, whose approvals count: the path of a JWKS, a JWKS, or a key set. Default:
   * `approvers.json` in the folder of keys, where `stepgate keys new --role` puts them; without it, nobody's.
   */
  readonly approvers?: string | ApproverJwks | KeySet;
}

/** A gate in this process, with what only its operator does. */
export interface OpenedGate extends Omit<LocalGate, "activate"> {
  /**
   * Makes a policy, also an older one again, the active one of its `id`: loaded, compiled, its own tests played, then
   * swapped at once and recorded in `@log`. Sequences that began under another keep theirs.
   *
   * @throws PolicyError with `file:line:column`, or GateError; then whatever was active stays so.
   */
  activate(policy: PolicySource): Promise<PolicyReceipt>;
}

/** The folder of keys of a first program. */
export const DEFAULT_KEYS = ".stepgate";

/**
 * Opens a gate. Where it rejects there is no gate, and nothing may run: there is no fallback.
 *
 * @throws PolicyError with `file:line:column` for a policy that does not compile or fails its own tests; GateError
 *   KEY_INVALID, LOG_MISMATCH, STORE_UNAVAILABLE, UNSUPPORTED or INVALID_INPUT; TypeError for mistyped options.
 * @example
 * const gate = await openGate({ policy: "policy.yaml" });
 * await gate.enforce({ sequence_id: "order-17", tool: "get_order", args: { order: 17 } }, (args) => getOrder(args));
 */
export async function openGate(options: OpenGateOptions): Promise<OpenedGate> {
  checkOptions(options);
  const {
    policy: source,
    store = DEFAULT_STORE,
    keys = DEFAULT_KEYS,
    saltKey,
    approvers: people,
    ...parts
  } = options;
  const policies: CompiledPolicy[] = [];
  for (const one of [source].flat()) policies.push(await usePolicy(one));
  const folder = typeof keys === "string" ? keys : undefined;
  const read = (path: string): Promise<GateKeys> =>
    openKeyFolder(path, (parts.clock ?? Date.now)());
  const own = typeof keys === "string" ? await read(keys) : keysOf(keys, saltKey);
  const approvers = await approversOf(people, folder, own.signer.keyId);
  const opened = typeof store === "string" ? await openStore(store) : store;
  try {
    const earlier = await earlierPolicies(opened, policies);
    const gate = await createGate({
      ...parts,
      ...own,
      // `stepgate keys rotate` puts the next key where the last one was.
      ...(folder === undefined ? {} : { successor: async () => (await read(folder)).signer }),
      ...(approvers === undefined ? {} : { approvers }),
      policies,
      earlier,
      store: opened,
    });
    return Object.freeze({
      ...gate,
      activate: async (next: PolicySource) => gate.activate(await usePolicy(next)),
      ...(folder === undefined ? {} : { rotateKey: () => refuseRotation(folder) }),
    });
  } catch (error) {
    if (opened !== store) await opened.close();
    throw error;
  }
}

const OPTIONS: Readonly<Record<keyof OpenGateOptions, true>> = {
  policy: true,
  store: true,
  keys: true,
  saltKey: true,
  mode: true,
  permitTtlMs: true,
  clock: true,
  gateId: true,
  logId: true,
  batch: true,
  hmacKey: true,
  autoOpen: true,
  random: true,
  deadlineMs: true,
  maxRecords: true,
  maxDenialsPerSecond: true,
  cachedRecords: true,
  approvers: true,
};

/** A misspelt option would be a gate that is not the one that was meant. */
function checkOptions(options: OpenGateOptions): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError("openGate: options are required");
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) throw new TypeError(`openGate: unknown option '${unknown}'`);
  const { policy, store, keys, saltKey, approvers } = options;
  const sources: readonly unknown[] = [policy].flat();
  if (sources.length === 0 || !sources.every(isSource))
    throw new TypeError("openGate: policy must be a path, a file: URL or a compiled policy");
  if (store !== undefined && !isNamed(store) && !isObject(store))
    throw new TypeError("openGate: store must be a URL or a store");
  if (keys !== undefined && !isNamed(keys) && !isObject(keys))
    throw new TypeError("openGate: keys must be a folder or a signing key");
  if (approvers !== undefined && !isNamed(approvers) && !isObject(approvers))
    throw new TypeError("openGate: approvers must be the path of a JWKS, a JWKS or a key set");
  if (saltKey !== undefined && !isObject(keys))
    throw new TypeError("openGate: saltKey goes with a signing key; a folder of keys has its own");
}

function isSource(value: unknown): boolean {
  return isNamed(value) || isObject(value);
}

function isNamed(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

async function usePolicy(source: PolicySource): Promise<CompiledPolicy> {
  if (typeof source !== "string" && !(source instanceof URL)) {
    await mustPassItsTests(source);
    return source;
  }
  const { policy, file, text } = await readPolicyFile(source);
  await mustPassItsTests(policy, { file, text });
  return policy;
}

function keysOf(signer: SigningKey, saltKey: Uint8Array | undefined): GateKeys {
  if (signer.privateKey?.asymmetricKeyType !== "ed25519")
    throw new TypeError(
      "openGate: keys must be a signing key in this process; for another signer use createGate",
    );
  return { signer, saltKey: saltKey ?? deriveSaltKey(signer) };
}

/** A key that only this process had would be gone with it, and the log says that no other may sign. */
function refuseRotation(folder: string): Promise<never> {
  const mend = `stepgate keys rotate ${folder} --store URL; this gate follows within a second`;
  return Promise.reject(
    new GateError(
      "UNSUPPORTED",
      `the keys of this gate are in ${folder}, so rotate them there: ${mend}`,
    ),
  );
}

/** One-way and under its own label: who holds the salt key learns nothing of the signing key, nor can sign with it. */
function deriveSaltKey({ privateKey }: SigningKey): Uint8Array {
  const seed = Buffer.from(String(privateKey.export({ format: "jwk" }).d), "base64url");
  return deriveKeys(seed).saltKey;
}
