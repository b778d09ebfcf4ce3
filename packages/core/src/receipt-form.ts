/** The closed form of every kind of record (receipt.md, Members): which members, of which form, in which combinations. */
import { isIdentifier, isNonce } from "./action-request.ts";
import { canonicalize, type JsonObject } from "./canonical-json.ts";
import { isDecimal } from "./decimal.ts";
import { DENY_CODES } from "./decision.ts";
import { isBarePublicJwk } from "./key-set.ts";
import { pathLength } from "./merkle.ts";
import { LOG_CHAIN, MAX_BATCH, RECEIPT_VERSION } from "./receipt.ts";

/** Why parsed JSON is no record; `undefined` where it is one. */
export interface FormFault {
  readonly code: "UNKNOWN_VERSION" | "UNKNOWN_MEMBER" | "MALFORMED";
  readonly message: string;
}

type Check = (value: unknown) => boolean;

const text =
  (form: RegExp): Check =>
  (value) =>
    typeof value === "string" && form.test(value);
const oneOf = (...values: readonly string[]): Check => {
  const set: ReadonlySet<unknown> = new Set(values);
  return (value) => set.has(value);
};
const whole: Check = isWhole;
const name = text(/^[A-Za-z0-9._:-]{1,128}$/);
const hash = text(/^sha256:[0-9a-f]{64}$/);
const keyed = text(/^hmac-sha256:[0-9a-f]{64}$/);
const treeHash = text(/^[0-9a-f]{64}$/);
const signature = text(/^ed25519=[0-9a-f]{128}$/);

/** The form of each member, whatever the kind. */
const FORMS: Readonly<Record<string, Check>> = {
  v: oneOf(RECEIPT_VERSION),
  kind: oneOf("open", "decision", "outcome", "approval", "seal", "context", "policy", "key"),
  log_id: text(/^[A-Za-z0-9._-]{1,64}$/),
  sequence_id: (value) => isIdentifier(value) || value === LOG_CHAIN,
  seq: whole,
  prev: hash,
  ts_ms: whole,
  gate_id: isIdentifier,
  tenant: isIdentifier,
  agent_id: isIdentifier,
  mode: oneOf("enforce", "shadow"),
  policy_id: isIdentifier,
  policy_version: text(/^[^\p{Cc}]{1,200}$/u),
  policy_digest: hash,
  context_digest: keyed,
  step: name,
  function: name,
  action_type: name,
  tool: text(/^[A-Za-z0-9._:/-]{1,128}$/),
  audience: isIdentifier,
  nonce: isNonce,
  attempt: text(/^[A-Za-z0-9_-]{22}$/),
  request_ts_ms: (value) => Number.isSafeInteger(value),
  args_digest: keyed,
  decision: oneOf("ALLOW", "DENY"),
  deny_code: oneOf(...DENY_CODES),
  rule: text(/^[^\p{Cc}]{1,400}$/u),
  permit_expires_ms: whole,
  resumes: hash,
  unrecorded: (value) => whole(value) && value !== 0,
  sealed: (value) => value === true,
  decision_hash: hash,
  status: oneOf("succeeded", "failed", "interrupted", "unknown", "active", "withdrawn"),
  previous: hash,
  request: hash,
  verdict: oneOf("approve", "reject"),
  expires_ms: whole,
  approver_key_id: text(/^[A-Za-z0-9_-]{43}$/),
  approver_sig: signature,
  new_key: isBarePublicJwk,
  new_key_sig: signature,
  effects: isEffects,
  result_digest: keyed,
  duration_ms: whole,
  by: isIdentifier,
  reason: text(/^[\x20-\x7e]{1,200}$/),
  ext: isExtension,
  key_id: text(/^[A-Za-z0-9_-]{43}$/),
  sig: signature,
  batch: isBatch,
  hmac_key_id: isIdentifier,
  hmac_sig: text(/^sha256=[0-9a-f]{64}$/),
};

const COMMON = ["v", "kind", "log_id", "sequence_id", "seq", "prev", "ts_ms", "gate_id"];
const ALWAYS_ALLOWED = ["ext", "key_id", "sig", "batch", "hmac_key_id", "hmac_sig"];
const OWNER = ["tenant", "agent_id"];
const PINNED = ["mode", "policy_id", "policy_version", "policy_digest"];

interface Kind {
  readonly required: readonly string[];
  readonly allowed: ReadonlySet<string>;
}

const KINDS: ReadonlyMap<unknown, Kind> = new Map([
  ["open", kind(PINNED, [...OWNER, "context_digest"])],
  [
    "decision",
    kind(
      [...PINNED, "decision"],
      [
        ...OWNER,
        "step",
        "function",
        "action_type",
        "tool",
        "audience",
        "nonce",
        "attempt",
        "request_ts_ms",
        "args_digest",
      ].concat([
        "deny_code",
        "rule",
        "permit_expires_ms",
        "resumes",
        "effects",
        "unrecorded",
        "sealed",
      ]),
    ),
  ],
  ["outcome", kind(["decision_hash", "status"], ["result_digest", "duration_ms"])],
  ["approval", kind(["request", "verdict", "expires_ms", "approver_key_id", "approver_sig"], [])],
  ["policy", kind([...PINNED, "status"], ["previous"])],
  ["key", kind(["new_key", "new_key_sig"], [])],
  ["seal", kind(["sealed", "by", "reason"], [])],
  ["context", kind(["mode", "context_digest"], OWNER)],
]);

function kind(required: readonly string[], optional: readonly string[]): Kind {
  return {
    required: [...COMMON, ...required],
    allowed: new Set([...COMMON, ...required, ...optional, ...ALWAYS_ALLOWED]),
  };
}

/** The first fault of a parsed object's form, in the order of receipt.md's findings; `undefined` where it is a record. */
export function formFault(members: Readonly<Record<string, unknown>>): FormFault | undefined {
  const shape = KINDS.get(members["kind"]);
  if (members["v"] !== RECEIPT_VERSION)
    return { code: "UNKNOWN_VERSION", message: `v is not ${RECEIPT_VERSION}` };
  if (shape === undefined) return { code: "UNKNOWN_VERSION", message: "an unknown kind of record" };
  const names = Object.keys(members);
  const unknown = names.find((member) => !shape.allowed.has(member));
  if (unknown !== undefined)
    return {
      code: "UNKNOWN_MEMBER",
      message: `'${unknown.slice(0, 64)}' is no member of this kind`,
    };
  const missing = shape.required.find((member) => !Object.hasOwn(members, member));
  if (missing !== undefined) return malformed(`'${missing}' is missing`);
  const wrong = names.find((member) => !FORMS[member]?.(members[member]));
  if (wrong !== undefined) return malformed(`'${wrong}' has the wrong form`);
  return combinationFault(members) ?? authenticatorFault(members);
}

/** What a kind narrows: one member name serves outcomes and policies, and `@log` is the home of policies and keys alone. */
function combinationFault(members: Readonly<Record<string, unknown>>): FormFault | undefined {
  const { kind: of, status, sequence_id } = members;
  const ofPolicy = status === "active" || status === "withdrawn";
  if (status !== undefined && ofPolicy !== (of === "policy"))
    return malformed("'status' has the wrong form");
  if ((sequence_id === LOG_CHAIN) !== (of === "policy" || of === "key"))
    return malformed(`records of policies and keys stand in ${LOG_CHAIN}, and nothing else does`);
  if (of === "key" && introducesItself(members))
    return malformed("a key is handed over to by another, never by itself");
  return of === "decision" ? decisionFault(members) : undefined;
}

function introducesItself({ key_id, new_key }: Readonly<Record<string, unknown>>): boolean {
  return isBarePublicJwk(new_key) && new_key.kid === key_id;
}

/** What may stand only together, or only apart, in a decision. */
function decisionFault(members: Readonly<Record<string, unknown>>): FormFault | undefined {
  const has = (member: string): boolean => Object.hasOwn(members, member);
  const allow = members["decision"] === "ALLOW";
  const code = members["deny_code"];
  if (allow === has("deny_code") || allow === has("rule"))
    return malformed("deny_code and rule stand exactly on a DENY");
  if (has("permit_expires_ms") !== (allow && members["mode"] === "enforce")) {
    return malformed("permit_expires_ms stands exactly on an ALLOW in mode enforce");
  }
  if (has("args_digest") === (code === "INVALID_REQUEST" || code === "POLICY_UNAVAILABLE")) {
    return malformed("args_digest is absent exactly on INVALID_REQUEST and POLICY_UNAVAILABLE");
  }
  const missing =
    code === "INVALID_REQUEST"
      ? undefined
      : ["nonce", "attempt", "request_ts_ms"].find((member) => !has(member));
  if (missing !== undefined) return malformed(`'${missing}' is missing`);
  if ((has("sealed") || has("effects")) && !allow)
    return malformed("sealed and effects stand on an ALLOW");
  if (allow && (!has("function") || !has("action_type")))
    return malformed("an ALLOW names its function and action type");
  return undefined;
}

function authenticatorFault(members: Readonly<Record<string, unknown>>): FormFault | undefined {
  const has = (member: string): boolean => Object.hasOwn(members, member);
  if (has("sig") && has("batch")) return malformed("'sig' and 'batch' exclude each other");
  if ((has("sig") || has("batch")) && !has("key_id")) return malformed("'key_id' is missing");
  if (has("hmac_sig") && !has("hmac_key_id")) return malformed("'hmac_key_id' is missing");
  return undefined;
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function malformed(message: string): FormFault {
  return { code: "MALFORMED", message };
}

/** `{binds?: {name: keyed digest}, totals?: {rule: decimal}}`, never empty. */
function isEffects(value: unknown): boolean {
  if (!isMembers(value)) return false;
  const parts = Object.entries(value);
  return (
    parts.length > 0 &&
    parts.every(([part, of]) => isMembers(of) && EFFECTS.get(part)?.(of) === true)
  );
}

const EFFECTS: ReadonlyMap<string, (of: Record<string, unknown>) => boolean> = new Map([
  ["binds", (of) => Object.values(of).length > 0 && Object.values(of).every(keyed)],
  ["totals", (of) => Object.values(of).length > 0 && Object.values(of).every(isDecimal)],
]);

/** `{size, index, path, sig}`, the path exactly as long as size and index give. */
function isBatch(value: unknown): boolean {
  if (!isMembers(value) || Object.keys(value).length !== 4) return false;
  const { size, index, path, sig } = value;
  if (!isWhole(size) || size < 2 || size > MAX_BATCH) return false;
  if (!isWhole(index) || index >= size) return false;
  if (!Array.isArray(path) || path.length !== pathLength(index, size)) return false;
  return path.every(treeHash) && signature(sig);
}

function isMembers(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isExtension(value: unknown): boolean {
  if (!isMembers(value)) return false;
  const fits = Object.entries(value).every(
    ([name, member]) =>
      name.isWellFormed() &&
      (typeof member === "string" ? member.isWellFormed() : Number.isSafeInteger(member)),
  );
  return fits && canonicalize(value as JsonObject).length <= 1024;
}
