/** The table of members of the specification's page, as the second verifier reads it: who may bear what, and in which form. */
import { canonicalText, isObject, type Json, type JsonObject, members } from "./second-json.ts";
import { thumbprint } from "./second-proofs.ts";

/** Whether `v` and `kind` are known. */
export function versionKnown(record: JsonObject): boolean {
  return record["v"] === "stepgate.receipt/1" && KINDS.includes(String(record["kind"]));
}

/** Whether the kind may bear every member that is there. */
export function membersKnown(record: JsonObject): boolean {
  const column = KINDS.indexOf(String(record["kind"]));
  return Object.keys(record).every((name) => (ROWS.get(name)?.columns[column] ?? ".") !== ".");
}

/** Whether what must be there is, each member has its form, and nothing stands together that must not. */
export function wellFormed(record: JsonObject): boolean {
  const column = KINDS.indexOf(String(record["kind"]));
  for (const [name, { columns, form }] of ROWS) {
    const value = record[name];
    if (value === undefined ? columns[column] === "R" : !form(value)) return false;
  }
  return COMBINATIONS.every((holds) => holds(record));
}

/** The length of the audit path of RFC 9162, §2.1.3: the depth at which leaf `index` of `size` hangs. */
function pathLength(index: number, size: number): number {
  if (size <= 1) return 0;
  let left = 1;
  while (left * 2 < size) left *= 2;
  return 1 + (index < left ? pathLength(index, left) : pathLength(index - left, size - left));
}

type Form = (value: Json) => boolean;

const KINDS = ["open", "decision", "outcome", "approval", "seal", "policy", "key", "context"];

const like =
  (pattern: RegExp): Form =>
  (value) =>
    typeof value === "string" && pattern.test(value);
const integer =
  (least: number): Form =>
  (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= least;

const name = like(/^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$/);
const word = like(/^[A-Za-z0-9._:-]{1,128}$/);
const hash = like(/^sha256:[0-9a-f]{64}$/);
const keyed = like(/^hmac-sha256:[0-9a-f]{64}$/);
const signature = like(/^ed25519=[0-9a-f]{128}$/);
const keyName = like(/^[A-Za-z0-9_-]{43}$/);
const point: Form = (value) =>
  keyName(value) && Buffer.from(String(value), "base64url").toString("base64url") === value;
const decimal = like(/^(0|[1-9][0-9]*|(0|[1-9][0-9]*)\.[0-9]*[1-9])$/);
const anyOf = (...values: readonly Json[]): Form => {
  const known = new Set(values);
  return (value) => known.has(value);
};
const mapOf =
  (form: Form): Form =>
  (value) =>
    isObject(value) &&
    members(value).length > 0 &&
    members(value).every(([, member]) => form(member));

/** Codes that are recorded, and those of them that burn no nonce or carry no arguments. */
const RECORDED =
  "INVALID_REQUEST STALE_TIMESTAMP REPLAY_NONCE SEALED_SEQUENCE NO_POLICY_MATCH SEQUENCE_VIOLATION ACTION_NOT_ALLOWED ARGUMENT_VIOLATION LIMIT_EXCEEDED APPROVAL_REQUIRED POLICY_UNAVAILABLE POLICY_ERROR";

// Columns as KINDS: R required, o may be there, . never.
const ROWS: ReadonlyMap<string, { readonly columns: string; readonly form: Form }> = table(`
  v kind                                RRRRRRRR text
  log_id                                RRRRRRRR log
  sequence_id                           RRRRRRRR sequence
  seq ts_ms                             RRRRRRRR count
  prev                                  RRRRRRRR hash
  gate_id                               RRRRRRRR name
  tenant agent_id                       oo.....o name
  mode                                  RR...R.R mode
  policy_id                             RR...R.. name
  policy_version                        RR...R.. text
  policy_digest                         RR...R.. hash
  context_digest                        o......R keyed
  step function action_type             .o...... word
  tool                                  .o...... tool
  audience                              .o...... name
  nonce                                 .o...... nonce
  attempt                               .o...... attempt
  request_ts_ms                         .o...... integer
  args_digest                           .o...... keyed
  decision                              .R...... decision
  deny_code                             .o...... code
  rule                                  .o...... rule
  permit_expires_ms                     .o...... count
  resumes                               .o...... hash
  effects                               .o...... effects
  unrecorded                            .o...... positive
  sealed                                .o..R... true
  decision_hash                         ..R..... hash
  status                                ..R..R.. status
  result_digest                         ..o..... keyed
  duration_ms                           ..o..... count
  request                               ...R.... hash
  verdict                               ...R.... verdict
  expires_ms                            ...R.... count
  approver_key_id                       ...R.... thumbprint
  approver_sig                          ...R.... signature
  by                                    ....R... name
  reason                                ....R... reason
  previous                              .....o.. hash
  new_key                               ......R. jwk
  new_key_sig                           ......R. signature
  ext                                   oooooooo ext
  key_id                                oooooooo thumbprint
  sig                                   oooooooo signature
  batch                                 oooooooo batch
  hmac_key_id                           oooooooo name
  hmac_sig                              oooooooo mac
`);

function table(text: string): Map<string, { columns: string; form: Form }> {
  const forms = new Map<string, Form>(
    Object.entries({
      text: (value: Json) => typeof value === "string" && value !== "",
      rule: like(/^\P{Cc}{1,400}$/u),
      log: like(/^[A-Za-z0-9._-]{1,64}$/),
      sequence: (value: Json) => value === "@log" || name(value),
      count: integer(0),
      positive: integer(1),
      integer: integer(Number.MIN_SAFE_INTEGER),
      hash,
      keyed,
      name,
      word,
      signature,
      thumbprint: keyName,
      mode: anyOf("enforce", "shadow"),
      tool: like(/^[A-Za-z0-9._:/-]{1,128}$/),
      nonce: like(/^[ -~]{1,200}$/),
      attempt: like(/^[A-Za-z0-9_-]{22}$/),
      decision: anyOf("ALLOW", "DENY"),
      code: anyOf(...RECORDED.split(" ")),
      effects: (value: Json) =>
        mapOf(isObject)(value) &&
        fits(value, { binds: mapOf(keyed), totals: mapOf(decimal) }, ["binds", "totals"]),
      true: anyOf(true),
      status: (value: Json) => typeof value === "string",
      verdict: anyOf("approve", "reject"),
      reason: like(/^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u),
      jwk: (value: Json) =>
        fits(value, { kty: anyOf("OKP"), crv: anyOf("Ed25519"), x: point, kid: keyName }, []) &&
        isObject(value) &&
        value["kid"] === thumbprint(value),
      ext: (value: Json) =>
        mapOf((member) => typeof member === "string" || integer(Number.MIN_SAFE_INTEGER)(member))(
          value,
        ) && Buffer.byteLength(canonicalText(value) ?? "") <= 1024,
      batch: isBatch,
      mac: like(/^sha256=[0-9a-f]{64}$/),
    }),
  );
  const rows = new Map<string, { columns: string; form: Form }>();
  for (const line of text.trim().split("\n")) {
    const cells = line.trim().split(/ +/);
    const [columns = "", form = ""] = cells.slice(-2);
    const test = forms.get(form);
    if (test === undefined) throw new TypeError(`no form ${form}`);
    for (const member of cells.slice(0, -2)) rows.set(member, { columns, form: test });
  }
  return rows;
}

function fits(
  value: Json,
  forms: { readonly [member: string]: Form },
  optional: readonly string[],
): boolean {
  if (!isObject(value)) return false;
  const known = new Map(Object.entries(forms));
  return (
    members(value).every(([member, inner]) => known.get(member)?.(inner) ?? false) &&
    [...known.keys()].every((member) => optional.includes(member) || member in value)
  );
}

function isBatch(value: Json): boolean {
  if (!isObject(value)) return false;
  const { size, index, path } = value;
  return (
    typeof size === "number" &&
    typeof index === "number" &&
    Array.isArray(path) &&
    fits(
      value,
      { size: integer(2), index: integer(0), path: (list) => Array.isArray(list), sig: signature },
      [],
    ) &&
    size <= 4096 &&
    index < size &&
    path.length === pathLength(index, size) &&
    path.every(like(/^[0-9a-f]{64}$/))
  );
}

type Combination = (record: JsonObject) => boolean;

const has = (record: JsonObject, member: string): boolean => record[member] !== undefined;
const STATUSES = new Map([
  ["outcome", ["succeeded", "failed", "interrupted", "unknown"]],
  ["policy", ["active", "withdrawn"]],
]);
const WITHOUT_ARGUMENTS = ["INVALID_REQUEST", "POLICY_UNAVAILABLE"];

const COMBINATIONS: readonly Combination[] = [
  (r) => (r["sequence_id"] === "@log") === ["policy", "key"].includes(String(r["kind"])),
  (r) => STATUSES.get(String(r["kind"]))?.includes(String(r["status"])) ?? true,
  // A name without its signature is what is left of a stripped record: evidence that is weak, in a form that is right.
  (r) => has(r, "key_id") || !(has(r, "sig") || has(r, "batch")),
  (r) => !(has(r, "sig") && has(r, "batch")),
  (r) => has(r, "hmac_key_id") || !has(r, "hmac_sig"),
  (r) => !isObject(r["new_key"]) || r["new_key"]["kid"] !== r["key_id"],
  ...[
    (r: JsonObject) => has(r, "deny_code") === (r["decision"] === "DENY"),
    (r: JsonObject) => has(r, "rule") === (r["decision"] === "DENY"),
    (r: JsonObject) =>
      has(r, "permit_expires_ms") === (r["decision"] === "ALLOW" && r["mode"] === "enforce"),
    (r: JsonObject) => r["decision"] === "ALLOW" || !(has(r, "effects") || has(r, "sealed")),
    (r: JsonObject) => has(r, "args_digest") !== WITHOUT_ARGUMENTS.includes(String(r["deny_code"])),
    (r: JsonObject) =>
      r["deny_code"] === "INVALID_REQUEST" ||
      ["nonce", "attempt", "request_ts_ms"].every((member) => has(r, member)),
  ].map(
    (holds): Combination =>
      (r) =>
        r["kind"] !== "decision" || holds(r),
  ),
];
