/** The closed form of every kind of record (receipt.md, Members): which members, of which form, in which combinations. */
import { canonicalize, type JsonObject } from "./canonical-json.ts";
import { isDecimal } from "./decimal.ts";
import { DENY_CODES } from "./decision.ts";
import { isBarePublicJwk } from "./key-set.ts";
import {
  either,
  type MemberForm,
  oneOf,
  run,
  type Scan,
  scanDecimal,
  scanList,
  scanMembers,
  scanOneOf,
  scanParts,
  whole,
  words,
} from "./member-form.ts";
import { pathLength } from "./merkle.ts";
import { LOG_CHAIN, MAX_BATCH, RECEIPT_VERSION } from "./receipt.ts";

/** Why parsed JSON is no record; `undefined` where it is one. */
export interface FormFault {
  readonly code: "UNKNOWN_VERSION" | "UNKNOWN_MEMBER" | "MALFORMED";
  readonly message: string;
}

const HEX = /[0-9a-f]/;
const BASE64URL = /[A-Za-z0-9_-]/;
const name = run(/[A-Za-z0-9._:-]/, 1, 128);
const identifier = run(/[A-Za-z0-9._:@/-]/, 1, 200, { first: /[A-Za-z0-9]/ });
const hash = run(HEX, 64, 64, { prefix: "sha256:" });
const keyed = run(HEX, 64, 64, { prefix: "hmac-sha256:" });
const treeHash = run(HEX, 64, 64);
const signature = run(HEX, 128, 128, { prefix: "ed25519=" });
const thumbprint = run(BASE64URL, 43, 43);
/** Whatever `scan` could tell: lines with such a member are read in the other way. */
const never: Scan = () => -1;

/** The form of each member, whatever the kind. */
export const FORMS: Readonly<Record<string, MemberForm>> = {
  v: oneOf(RECEIPT_VERSION),
  kind: oneOf("open", "decision", "outcome", "approval", "seal", "context", "policy", "key"),
  log_id: run(/[A-Za-z0-9._-]/, 1, 64),
  sequence_id: either(identifier, oneOf(LOG_CHAIN)),
  seq: whole,
  prev: hash,
  ts_ms: whole,
  gate_id: identifier,
  tenant: identifier,
  agent_id: identifier,
  mode: oneOf("enforce", "shadow"),
  policy_id: identifier,
  policy_version: words(200),
  policy_digest: hash,
  context_digest: keyed,
  step: name,
  function: name,
  action_type: name,
  tool: run(/[A-Za-z0-9._:/-]/, 1, 128),
  audience: identifier,
  nonce: run(/[ -~]/, 1, 200),
  attempt: run(BASE64URL, 22, 22),
  request_ts_ms: { check: (value) => Number.isSafeInteger(value), scan: whole.scan },
  args_digest: keyed,
  decision: oneOf("ALLOW", "DENY"),
  deny_code: oneOf(...DENY_CODES),
  rule: words(400),
  permit_expires_ms: whole,
  resumes: hash,
  unrecorded: { check: (value) => whole.check(value) && value !== 0, scan: never },
  sealed: { check: (value) => value === true, scan: scanOneOf(["true"]) },
  decision_hash: hash,
  status: oneOf("succeeded", "failed", "interrupted", "unknown", "active", "withdrawn"),
  previous: hash,
  request: hash,
  verdict: oneOf("approve", "reject"),
  expires_ms: whole,
  approver_key_id: thumbprint,
  approver_sig: signature,
  new_key: { check: isBarePublicJwk, scan: never },
  new_key_sig: signature,
  effects: { check: isEffects, scan: scanEffects() },
  result_digest: keyed,
  duration_ms: whole,
  by: identifier,
  reason: run(/[ -~]/, 1, 200),
  ext: { check: isExtension, scan: never },
  key_id: thumbprint,
  sig: signature,
  batch: { check: isBatch, scan: scanBatch() },
  hmac_key_id: identifier,
  hmac_sig: run(HEX, 64, 64, { prefix: "sha256=" }),
};

const COMMON = ["v", "kind", "log_id", "sequence_id", "seq", "prev", "ts_ms", "gate_id"];
const ALWAYS_ALLOWED = ["ext", "key_id", "sig", "batch", "hmac_key_id", "hmac_sig"];
const OWNER = ["tenant", "agent_id"];
const PINNED = ["mode", "policy_id", "policy_version", "policy_digest"];

/** Which members a kind of record has. */
interface Kind {
  readonly required: readonly string[];
  readonly allowed: ReadonlySet<string>;
}

/** The kinds of records by their names. */
export const KINDS: ReadonlyMap<unknown, Kind> = new Map([
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
  const wrong = names.find((member) => !FORMS[member]?.check(members[member]));
  if (wrong !== undefined) return malformed(`'${wrong}' has the wrong form`);
  return combinedFault(members);
}

/** What is wrong with members that are each of the right form: they stand together, or apart, where they must not. */
export function combinedFault(members: Readonly<Record<string, unknown>>): FormFault | undefined {
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
  ["binds", (of) => Object.values(of).length > 0 && Object.values(of).every(keyed.check)],
  ["totals", (of) => Object.values(of).length > 0 && Object.values(of).every(isDecimal)],
]);

/** As {@link isEffects} has it. */
function scanEffects(): Scan {
  const binds = scanMembers(keyed.scan);
  const totals = scanMembers(scanParts('"', scanDecimal, '"'));
  const both = scanParts('{"binds":', binds, ',"totals":', totals, "}");
  const one = [scanParts('{"binds":', binds, "}"), scanParts('{"totals":', totals, "}")];
  return (bytes, at) => {
    for (const scan of [both, ...one]) {
      const end = scan(bytes, at);
      if (end >= 0) return end;
    }
    return -1;
  };
}

/** `{size, index, path, sig}`, the path exactly as long as size and index give. */
function isBatch(value: unknown): boolean {
  if (!isMembers(value) || Object.keys(value).length !== 4) return false;
  return isPlaced(value) && value.path.every(treeHash.check) && signature.check(value["sig"]);
}

/** The members of {@link isBatch}; whether they fit together is for {@link isPlaced} to say. */
function scanBatch(): Scan {
  const [path, sig] = [scanList(treeHash.scan), signature.scan];
  return scanParts(
    '{"index":',
    whole.scan,
    ',"path":',
    path,
    ',"sig":',
    sig,
    ',"size":',
    whole.scan,
    "}",
  );
}

/** Whether `index` lies in a batch of this size, and the path has the length that both give. */
export function isPlaced(
  batch: Record<string, unknown>,
): batch is Record<string, unknown> & { readonly path: readonly unknown[] } {
  const { size, index, path } = batch;
  if (!isWhole(size) || size < 2 || size > MAX_BATCH) return false;
  if (!isWhole(index) || index >= size) return false;
  return Array.isArray(path) && path.length === pathLength(index, size);
}

function isWhole(value: unknown): value is number {
  return whole.check(value);
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
