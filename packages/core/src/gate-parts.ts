/** What a gate is made of: every part explicit, checked at construction, defaults filled in. */
import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { isIdentifier } from "./action-request.ts";
import { createBatchSigner, createSingleSigner, type RecordSigner } from "./batch-signer.ts";
import { type CompiledPolicy, isCompiledPolicy } from "./compiled-policy.ts";
import { askStore } from "./deadline.ts";
import { GateError } from "./errors.ts";
import { createGateKey, type GateKey, type Successor } from "./gate-key.ts";
import type { KeySet } from "./key-set.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import type { Mode } from "./receipt.ts";
import { foldLog, type LogState, openPolicyBook, type PolicyBook } from "./policy-book.ts";
import { foldSequence, isOutdated } from "./sequence-state.ts";
import type { Signer } from "./signer.ts";
import type { Store } from "./store.ts";

/** The parts of a gate. Clock, randomness, keys and store come in; nothing is read from the environment. */
export interface GateParts {
  /**
   * Of several with one `id` the last becomes active; the others serve the sequences that are pinned to them. None,
   * beside `earlier` ones: a gate that opens no sequence and makes nothing active, for a person's acts.
   */
  readonly policies: readonly CompiledPolicy[];
  /** What sequences may still be pinned to: these are held, and open no new ones. Default: none. */
  readonly earlier?: readonly CompiledPolicy[];
  readonly store: Store;
  /** Signs every receipt. May be left out only where `hmacKey` is given. */
  readonly signer?: Signer;
  /**
   * Whether records of one turn of the event loop share a signature. Default true. Signed one by one they are smaller,
   * and do not tell who holds one how many were decided beside it; each costs a signature.
   */
  readonly batch?: boolean;
  /**
   * Gives the signer of the key that, so the log says, took over from this gate's: another process rotated it. Default:
   * none; then this gate denies everything within a second, for it must not sign with a key that handed over.
   */
  readonly successor?: Successor;
  /** 32 secret bytes under which arguments, contexts and results are digested. Neither the signing nor the HMAC key. */
  readonly saltKey: Uint8Array;
  /** Opt-in, beside the signature or alone: proof only to who holds the secret. */
  readonly hmacKey?: { readonly id: string; readonly secret: Uint8Array };
  /** People's public keys with their roles: whose approvals count. Default: nobody's. */
  readonly approvers?: KeySet;
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
  /** The chain `@log`. */
  readonly log: Ledger<LogState>;
  readonly key: GateKey;
  readonly logId: string;
  readonly gateId: string;
  readonly saltKey: KeyObject;
  readonly mode: Mode;
  readonly autoOpen: boolean;
  readonly clock: () => number;
  /** 22 base64url characters: 128 random bits. */
  readonly token: () => string;
  readonly permitTtlMs: number;
  readonly deadlineMs: number;
  readonly maxRecords: number;
  readonly maxDenialsPerSecond: number;
  readonly policies: PolicyBook;
  readonly approvers: KeySet;
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
  const mode = parts.mode ?? "enforce";
  const token = tokenSource(random);
  const deadlineMs = parts.deadlineMs ?? 1_000;
  const logId = await askStore(deadlineMs, () =>
    joinLog(parts, mode, () => Buffer.from(random(16)).toString("hex")),
  );
  const common = {
    store: parts.store,
    logId,
    gateId: parts.gateId ?? `gate-${Buffer.from(random(8)).toString("hex")}`,
    clock: parts.clock ?? Date.now,
    permitTtlMs: parts.permitTtlMs ?? 60_000,
    deadlineMs,
  };
  const key = createGateKey(parts.signer, parts.successor ?? (() => undefined));
  const recordSigner = madeOnce((signer) =>
    (parts.batch ?? true) ? createBatchSigner(signer, logId) : createSingleSigner(signer),
  );
  const ledgerParts = {
    ...common,
    signer: () => recordSigner(key.signer()),
    ...(parts.hmacKey === undefined
      ? {}
      : { hmacKey: { id: parts.hmacKey.id, key: createSecretKey(parts.hmacKey.secret) } }),
    cachedRecords: parts.cachedRecords ?? 200_000,
  };
  const log = createLedger(ledgerParts, foldLog);
  const policies = await openPolicyBook({
    policies: parts.policies,
    earlier: parts.earlier ?? [],
    ledger: log,
    key,
    store: parts.store,
    mode,
    deadlineMs,
    clock: common.clock,
  });
  return {
    ...common,
    ledger: createLedger(
      { ...ledgerParts, beginsAfter: policies.headMs },
      foldSequence(policies.held),
      isOutdated(policies.held),
    ),
    log,
    key,
    policies,
    approvers: parts.approvers ?? new Map(),
    mode,
    token,
    saltKey: createSecretKey(parts.saltKey),
    autoOpen: parts.autoOpen ?? true,
    maxRecords: parts.maxRecords ?? 10_000,
    maxDenialsPerSecond: parts.maxDenialsPerSecond ?? 100,
  };
}

/** What signs records with a key, made once for as long as it is the key: a batch is one key's. */
function madeOnce(
  make: (signer: Signer) => RecordSigner,
): (signer: Signer | undefined) => RecordSigner | undefined {
  let made: { readonly by: Signer; readonly signer: RecordSigner } | undefined;
  return (signer) => {
    if (signer === undefined) return undefined;
    if (made?.by !== signer) made = { by: signer, signer: make(signer) };
    return made.signer;
  };
}

/** Tokens of 128 random bits, drawn many at a time: a draw costs a system call. */
function tokenSource(random: (size: number) => Uint8Array): () => string {
  let pool = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at === pool.length) {
      pool = Buffer.from(random(16 * TOKENS_A_DRAW));
      at = 0;
      if (pool.length !== 16 * TOKENS_A_DRAW) {
        pool = Buffer.alloc(0);
        throw new GateError("STORE_UNAVAILABLE", "the gate's randomness failed");
      }
    }
    at += 16;
    return pool.toString("base64url", at - 16, at);
  };
}

const TOKENS_A_DRAW = 256;

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

/** The first part at fault, in one sentence. Callers without types hand in anything. */
function faultOf(parts: GateParts): string | undefined {
  const { policies, store, signer, saltKey, hmacKey, mode } = parts;
  const held = Array.isArray(policies) && policies.length + (parts.earlier?.length ?? 0) > 0;
  // Every gate may be given a policy whose limits are counted in the store: one that cannot count is refused at once.
  const lacking = STORE_METHODS.find((method) => !isFunction(store?.[method]));
  const checks: readonly (readonly [right: boolean, says: string])[] = [
    [held && policies.every(isCompiledPolicy), "policies must be compiled, by @stepgate/policy"],
    [
      optional(parts.earlier, areCompiled),
      "earlier policies must be compiled, by @stepgate/policy",
    ],
    [lacking === undefined, `store must be a Store; it has no ${lacking}()`],
    [signer !== undefined || hmacKey !== undefined, "signer is required, unless hmacKey is given"],
    [signer === undefined || isSigner(signer), "signer needs a keyId, a thumbprint, and sign"],
    [optional(parts.batch, isBoolean), "batch must be true or false"],
    [optional(parts.successor, isFunction), "successor must be a function"],
    [isSecret(saltKey), "saltKey must be at least 32 bytes"],
    [hmacKey === undefined || isIdentifier(hmacKey.id), "hmacKey needs an id"],
    [hmacKey === undefined || isSecret(hmacKey.secret), "hmacKey.secret must be at least 32 bytes"],
    [!isSame(hmacKey?.secret, saltKey), "saltKey and hmacKey must be different secrets"],
    [optional(parts.approvers, isKeySet), "approvers must be a key set, by importKeySet"],
    [
      signer === undefined || !parts.approvers?.has(signer.keyId),
      "approvers must not hold the gate's own key: a gate approves nothing",
    ],
    [optional(parts.clock, isFunction), "clock must be a function"],
    [optional(parts.random, isFunction), "random must be a function"],
    [optional(parts.gateId, isIdentifier), "gateId must be 1 to 200 of A-Z a-z 0-9 . _ : @ / -"],
    [optional(parts.logId, isLogId), "logId must be 1 to 64 of A-Z a-z 0-9 . _ -"],
    [optional(mode, isMode), "mode must be 'enforce' or 'shadow'"],
    [
      (parts.deadlineMs ?? 0) < 2 ** 31,
      "deadlineMs must be below 2^31, which is all a timer can hold",
    ],
    ...COUNTS.map((name) => {
      const says = `${name} must be a positive whole number`;
      return [optional(parts[name], isCount), says] as const;
    }),
  ];
  return checks.find(([right]) => !right)?.[1];
}

const COUNTS = [
  "permitTtlMs",
  "deadlineMs",
  "maxRecords",
  "maxDenialsPerSecond",
  "cachedRecords",
] as const;
const STORE_METHODS = [
  "setting",
  "append",
  "read",
  "lines",
  "keep",
  "document",
  "counters",
  "openAllows",
  "unindexed",
  "index",
  "indexed",
  "nodes",
  "leaf",
  "close",
] as const;

const optional = (value: unknown, is: (value: unknown) => boolean): boolean =>
  value === undefined || is(value);
const isFunction = (value: unknown): boolean => typeof value === "function";
const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isSecret = (value: unknown): boolean => value instanceof Uint8Array && value.length >= 32;
const isKeySet = (value: unknown): boolean =>
  value instanceof Map && [...value.values()].every((key) => key?.jwk !== undefined);
const areCompiled = (value: unknown): boolean =>
  Array.isArray(value) && value.every(isCompiledPolicy);
const isLogId = (value: unknown): boolean =>
  typeof value === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(value);
const isMode = (value: unknown): boolean => value === "enforce" || value === "shadow";
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0;
const isSigner = ({ keyId, sign }: Signer): boolean =>
  typeof keyId === "string" && /^[A-Za-z0-9_-]{43}$/.test(keyId) && isFunction(sign);
const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0;
