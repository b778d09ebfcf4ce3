/** What a gate is made of: every part explicit, checked at construction, defaults filled in. */
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { isIdentifier } from "./action-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { GateError } from "./errors.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import type { Mode } from "./receipt.ts";
import type { Signer } from "./signing-key.ts";
import type { Store } from "./store.ts";

/** The parts of a gate. Clock, randomness, keys and store come in; nothing is read from the environment. */
export interface GateParts {
  /** Of several with one `id` the last is active; the others serve the sequences that are pinned to them. */
  readonly policies: readonly CompiledPolicy[];
  readonly store: Store;
  /** Signs every receipt. May be left out only where `hmacKey` is given. */
  readonly signer?: Signer;
  /** 32 secret bytes under which arguments, contexts and results are digested. Neither the signing nor the HMAC key. */
  readonly saltKey: Uint8Array;
  /** Opt-in, beside the signature or alone: proof only to who holds the secret. */
  readonly hmacKey?: { readonly id: string; readonly secret: Uint8Array };
  /** Names this gate in its receipts; keep it across restarts, and give no two running gates the same. Default: random. */
  readonly gateId?: string;
  /** The log that the store must hold; default: whichever it holds. */
  readonly logId?: string;
  /** Default `enforce`. A shadow gate has a log, so a store, of its own. */
  readonly mode?: Mode;
  /** Whether the first request opens its sequence, without context. Default true. */
  readonly autoOpen?: boolean;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
  /** `size` random bytes. */
  readonly random?: (size: number) => Uint8Array;
  /** How long a permit lasts. Default 60,000 ms. */
  readonly permitTtlMs?: number;
  /** How long an answer may take; then it is STORE_UNAVAILABLE. Default 1,000 ms. */
  readonly deadlineMs?: number;
  /** Records a sequence may hold. Default 10,000; the last 100 places are kept for outcomes and the seal. */
  readonly maxRecords?: number;
  /** Denials a sequence may record in one second. Default 100. */
  readonly maxDenialsPerSecond?: number;
  /** Records' worth of sequence state kept at hand. Default 200,000. */
  readonly cachedRecords?: number;
}

/** The parts as the gate's rooms use them. */
export interface GateSetup {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly logId: string;
  readonly gateId: string;
  readonly saltKey: KeyObject;
  readonly mode: Mode;
  readonly autoOpen: boolean;
  readonly clock: () => number;
  /** 22 base64url characters: 128 random bits. */
  readonly token: () => string;
  readonly permitTtlMs: number;
  readonly maxRecords: number;
  readonly maxDenialsPerSecond: number;
  /** Every policy held, by digest. */
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  /** The active policies by id. */
  readonly active: ReadonlyMap<string, CompiledPolicy>;
}

/** Places of a sequence that only outcomes and a seal may take. */
export const RESERVED_PLACES = 100;

/**
 * Checks the parts and joins the store's log.
 *
 * @throws TypeError for missing or mistyped parts; GateError LOG_MISMATCH where the store holds another log or mode.
 */
export async function assemble(parts: GateParts): Promise<GateSetup> {
  check(parts);
  const random = parts.random ?? randomBytes;
  const token = (): string => Buffer.from(random(16)).toString("base64url");
  const mode = parts.mode ?? "enforce";
  const policies = new Map(parts.policies.map((policy) => [policy.digest, policy]));
  const active = new Map(parts.policies.map((policy) => [policy.id, policy]));
  const logId = await joinLog(parts, mode, () => Buffer.from(random(16)).toString("hex"));
  await parts.store.keep(
    parts.policies.map(({ digest, normalForm }) => ({ digest, text: normalForm })),
  );
  const common = {
    store: parts.store,
    logId,
    gateId: parts.gateId ?? `gate-${Buffer.from(random(8)).toString("hex")}`,
    clock: parts.clock ?? Date.now,
    policies,
    permitTtlMs: parts.permitTtlMs ?? 60_000,
  };
  const ledger = createLedger({
    ...common,
    ...(parts.signer === undefined ? {} : { signer: parts.signer }),
    ...(parts.hmacKey === undefined
      ? {}
      : { hmacKey: { id: parts.hmacKey.id, key: createSecretKey(parts.hmacKey.secret) } }),
    deadlineMs: parts.deadlineMs ?? 1_000,
    cachedRecords: parts.cachedRecords ?? 200_000,
  });
  return {
    ...common,
    ledger,
    mode,
    active,
    token,
    saltKey: createSecretKey(parts.saltKey),
    autoOpen: parts.autoOpen ?? true,
    maxRecords: parts.maxRecords ?? 10_000,
    maxDenialsPerSecond: parts.maxDenialsPerSecond ?? 100,
  };
}

/** The active policy of this id, or the only one there is. */
export function activePolicy(setup: GateSetup, policyId?: string): CompiledPolicy | undefined {
  if (policyId !== undefined) return setup.active.get(policyId);
  return setup.active.size === 1 ? [...setup.active.values()][0] : undefined;
}

/** A store keeps one log, and a log keeps one mode: an enforced log holds no shadow records. */
async function joinLog(parts: GateParts, mode: Mode, draw: () => string): Promise<string> {
  const logId = await parts.store.setting("log_id", parts.logId ?? draw());
  if (parts.logId !== undefined && logId !== parts.logId) {
    throw new GateError("LOG_MISMATCH", `the store holds log '${logId}', not '${parts.logId}'`);
  }
  const kept = await parts.store.setting("mode", mode);
  if (kept !== mode)
    throw new GateError(
      "LOG_MISMATCH",
      `the store holds a log of mode '${kept}'; give a gate in mode '${mode}' a store of its own`,
    );
  return logId;
}

function check(parts: GateParts): void {
  const fault = faultOf(parts);
  if (fault !== undefined) throw new TypeError(`createGate: ${fault}`);
}

function faultOf(parts: GateParts): string | undefined {
  if (!Array.isArray(parts.policies) || parts.policies.length === 0)
    return "policies must hold at least one compiled policy";
  if (!parts.policies.every((policy) => policy?.automaton?.next instanceof Int32Array))
    return "policies must be compiled, by @stepgate/policy";
  if (typeof parts.store?.append !== "function") return "store is required";
  if (parts.signer === undefined && parts.hmacKey === undefined)
    return "signer is required, unless hmacKey is given";
  if (!(parts.saltKey instanceof Uint8Array) || parts.saltKey.length < 32)
    return "saltKey must be at least 32 bytes";
  if (
    parts.hmacKey !== undefined &&
    (!isIdentifier(parts.hmacKey.id) || parts.hmacKey.secret.length < 32)
  )
    return "hmacKey needs an id and at least 32 bytes";
  if (parts.gateId !== undefined && !isIdentifier(parts.gateId))
    return "gateId must be 1 to 200 of A-Z a-z 0-9 . _ : @ / -";
  if (parts.logId !== undefined && !/^[A-Za-z0-9._-]{1,64}$/.test(parts.logId))
    return "logId must be 1 to 64 of A-Z a-z 0-9 . _ -";
  if (parts.mode !== undefined && parts.mode !== "enforce" && parts.mode !== "shadow")
    return "mode must be 'enforce' or 'shadow'";
  for (const name of [
    "permitTtlMs",
    "deadlineMs",
    "maxRecords",
    "maxDenialsPerSecond",
    "cachedRecords",
  ] as const) {
    const value = parts[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      return `${name} must be a positive whole number`;
  }
  return undefined;
}
