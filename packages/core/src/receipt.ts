/** The receipt, `stepgate.receipt/1`: one byte string for signature, MAC, chain and Merkle leaf (receipt.md). */
import { canonicalize, canonicalString, type JsonObject } from "./canonical-json.ts";
import { sha256 } from "./digest.ts";
import type { DenyCode } from "./decision.ts";
import type { PublicJwk } from "./key-set.ts";
import type { TreeHash } from "./merkle.ts";

/** The version that pins canonicalisation, hashes and signature algorithms: there is no `alg` to lie with. */
export const RECEIPT_VERSION = "stepgate.receipt/1";
/** The chain of records that concern no sequence. */
export const LOG_CHAIN = "@log";
/** The most records under one signature. */
export const MAX_BATCH = 4096;

/** How an allowed action ended. `interrupted`: not begun, or it will be entered again. `unknown`: nobody can say. */
export type OutcomeStatus = "succeeded" | "failed" | "interrupted" | "unknown";
/** `shadow` decides and records alike, but the action runs whatever the answer. */
export type Mode = "enforce" | "shadow";

interface Common {
  readonly v: typeof RECEIPT_VERSION;
  readonly log_id: string;
  readonly sequence_id: string;
  readonly seq: number;
  readonly prev: string;
  /** Milliseconds since the epoch by the gate's clock, never below the record before. */
  readonly ts_ms: number;
  readonly gate_id: string;
  readonly ext?: JsonObject;
  readonly key_id?: string;
  readonly sig?: string;
  readonly batch?: Batch;
  readonly hmac_key_id?: string;
  readonly hmac_sig?: string;
}

/** One signature for records that were committed together, and this record's way up to what was signed. */
export interface Batch {
  /** How many records, 2 to 4096. */
  readonly size: number;
  readonly index: number;
  /** The audit path of `index` (RFC 9162, 2.1.3), each hash in hex. */
  readonly path: readonly string[];
  /** `ed25519=` + hex over {@link batchInput}. */
  readonly sig: string;
}

interface Owned {
  readonly tenant?: string;
  readonly agent_id?: string;
}

interface Pinned {
  readonly mode: Mode;
  readonly policy_id: string;
  readonly policy_version: string;
  readonly policy_digest: string;
}

/** What the pinned policy made of a request. */
export interface CallMembers {
  readonly step?: string;
  readonly function?: string;
  readonly action_type?: string;
  readonly tool?: string;
  readonly audience?: string;
}

/** Begins every chain, at `seq` 0: pins policy, mode, owner and context. */
export interface OpenReceipt extends Common, Owned, Pinned {
  readonly kind: "open";
  readonly context_digest?: string;
}

/** An ALLOW or a DENY, durable before the action runs. */
export interface DecisionReceipt extends Common, Owned, Pinned, CallMembers {
  readonly kind: "decision";
  readonly nonce?: string;
  readonly attempt?: string;
  readonly request_ts_ms?: number;
  readonly args_digest?: string;
  readonly decision: "ALLOW" | "DENY";
  readonly deny_code?: DenyCode;
  readonly rule?: string;
  readonly permit_expires_ms?: number;
  readonly resumes?: string;
  readonly effects?: Effects;
  readonly unrecorded?: number;
  readonly sealed?: true;
}

/** What became of one ALLOW; the first one stands. */
export interface OutcomeReceipt extends Common {
  readonly kind: "outcome";
  readonly decision_hash: string;
  readonly status: OutcomeStatus;
  readonly result_digest?: string;
  readonly duration_ms?: number;
}

/** What an ALLOW changed of what later calls are judged by, after it. */
export interface Effects {
  /** Keyed digests of values, by the name that every later call must bind to the same. */
  readonly binds?: Readonly<Record<string, string>>;
  /** Sums by rule: exact decimals, JCS text without exponent or trailing zeros. */
  readonly totals?: Readonly<Record<string, string>>;
}

/** A person approved, or rejected, the very call that an APPROVAL_REQUIRED denial recorded. */
export interface ApprovalReceipt extends Common {
  readonly kind: "approval";
  /** Record hash of the denial. */
  readonly request: string;
  readonly verdict: "approve" | "reject";
  readonly expires_ms: number;
  readonly approver_key_id: string;
  /** `ed25519=` + hex over the approval statement, under the approver's own key. */
  readonly approver_sig: string;
}

/** A policy was activated or withdrawn; stands in the chain `@log`. */
export interface PolicyReceipt extends Common, Pinned {
  readonly kind: "policy";
  readonly status: "active" | "withdrawn";
  /** Digest of the policy of the same id that was active before. */
  readonly previous?: string;
}

/** The key that signed this record hands over to `new_key`; stands in the chain `@log`. It informs, and extends no trust. */
export interface KeyReceipt extends Common {
  readonly kind: "key";
  /** `crv`, `kid`, `kty` and `x` alone: windows and roles are for the trusted key set to say. */
  readonly new_key: PublicJwk;
  /** `ed25519=` + hex: the new key's signature over this log and its own thumbprint, so that it was at hand. */
  readonly new_key_sig: string;
}

/** A person's seal. */
export interface SealReceipt extends Common {
  readonly kind: "seal";
  readonly sealed: true;
  readonly by: string;
  readonly reason: string;
}

/** The host added to the trusted context. */
export interface ContextReceipt extends Common, Owned {
  readonly kind: "context";
  readonly mode: Mode;
  readonly context_digest: string;
}

/** One record of a chain, told apart by `kind`. */
export type Receipt =
  | OpenReceipt
  | DecisionReceipt
  | OutcomeReceipt
  | ApprovalReceipt
  | SealReceipt
  | ContextReceipt
  | PolicyReceipt
  | KeyReceipt;

/** Every member of every kind in canonical order (UTF-16 code units), the fixed shape of the fast path. */
export const MEMBERS: readonly string[] = [
  "action_type",
  "agent_id",
  "approver_key_id",
  "approver_sig",
  "args_digest",
  "attempt",
  "audience",
  "batch",
  "by",
  "context_digest",
  "decision",
  "decision_hash",
  "deny_code",
  "duration_ms",
  "effects",
  "expires_ms",
  "ext",
  "function",
  "gate_id",
  "hmac_key_id",
  "hmac_sig",
  "key_id",
  "kind",
  "log_id",
  "mode",
  "new_key",
  "new_key_sig",
  "nonce",
  "permit_expires_ms",
  "policy_digest",
  "policy_id",
  "policy_version",
  "prev",
  "previous",
  "reason",
  "request",
  "request_ts_ms",
  "result_digest",
  "resumes",
  "rule",
  "sealed",
  "seq",
  "sequence_id",
  "sig",
  "status",
  "step",
  "tenant",
  "tool",
  "ts_ms",
  "unrecorded",
  "v",
  "verdict",
];
const PREFIXES: readonly string[] = MEMBERS.map((name) => `"${name}":`);
/** What stands outside of the body, in canonical order. */
const AUTHENTICATORS = ["batch", "hmac_sig", "sig"] as const;
const IS_AUTHENTICATOR: readonly boolean[] = MEMBERS.map((name) =>
  AUTHENTICATORS.some((one) => one === name),
);
const BEGINNING = `\0${RECEIPT_VERSION}\n{`;

/** A record's authenticators. */
export type Authenticators = Pick<Receipt, (typeof AUTHENTICATORS)[number]>;

/** The canonical body of a record, written once for everything that is made of it. */
export interface BodyText {
  /** What is hashed: 0x00, then what is signed. */
  readonly preimage: string;
  /** For each authenticator, the offset in `preimage` at which the record's line has it. */
  readonly places: readonly number[];
}

/** The canonical line of a record, without a line feed. */
export function receiptLine(receipt: Receipt): string {
  return lineOf(bodyText(receipt), receipt);
}

/** A record's identity: `sha256:` + hex of SHA-256(0x00 ‖ input), which is also its RFC 6962 leaf hash. */
export function recordHash(receipt: Receipt): string {
  return sha256(bodyText(receipt).preimage);
}

/** What is signed: the version line, then the canonical body without its authenticators. */
export function signingInput(receipt: Receipt): string {
  return inputOf(bodyText(receipt));
}

/** {@link signingInput} of a record whose body is written already. */
export function inputOf({ preimage }: Pick<BodyText, "preimage">): string {
  return preimage.slice(1);
}

/** RFC 8785 for this closed shape: the order of members is known, so nothing is sorted and little is allocated. */
export function bodyText(receipt: Receipt): BodyText {
  const members = receipt as unknown as Record<string, unknown>;
  const places: number[] = [];
  let preimage = BEGINNING;
  let between = "";
  for (let i = 0; i < MEMBERS.length; i++) {
    if (IS_AUTHENTICATOR[i]) places.push(preimage.length);
    else {
      const value = members[MEMBERS[i] as string];
      if (value === undefined) continue;
      preimage += between + PREFIXES[i] + literal(value);
      between = ",";
    }
  }
  return { preimage: `${preimage}}`, places };
}

/**
 * The canonical line of a record whose body is written already: one flat text, for a store may keep it for long.
 * `batchText` is that of `batch`, where it is written already too.
 */
export function lineOf(
  { preimage, places }: BodyText,
  authenticators: Authenticators,
  batchText?: string,
): string {
  const parts = ["{"];
  let from = BEGINNING.length;
  for (let i = 0; i < AUTHENTICATORS.length; i++) {
    const name = AUTHENTICATORS[i] as (typeof AUTHENTICATORS)[number];
    const value = authenticators[name];
    if (value === undefined) continue;
    const at = places[i] ?? from;
    addBody(parts, preimage, from, at);
    const text = name === "batch" && batchText !== undefined ? batchText : literal(value);
    parts.push(parts.length > 1 ? `,"${name}":` : `"${name}":`, text);
    from = at;
  }
  addBody(parts, preimage, from, preimage.length - 1);
  parts.push("}");
  return parts.join("");
}

/** Members of the body, with a comma before them where the body has none: its first member may come second in the line. */
function addBody(parts: string[], preimage: string, from: number, to: number): void {
  if (from === to) return;
  if (from === BEGINNING.length && parts.length > 1) parts.push(",");
  parts.push(preimage.slice(from, to));
}

/** What the signature of a batch is over: its log, its size and the RFC 6962 root over its record hashes. */
export function batchInput(logId: string, size: number, root: TreeHash): string {
  return `stepgate.batch/1\n${logId}\n${size}\n${root}`;
}

/** A record hash as a leaf of a tree. */
export function leafOf(recordHash: string): TreeHash {
  return recordHash.slice("sha256:".length);
}

function literal(value: unknown): string {
  if (typeof value === "string") return canonicalString(value);
  if (typeof value === "number") return `${value}`;
  return canonicalize(value);
}
