/**
 * The canonical bodies of one gate's ALLOWs. Two of them for the same call differ in a dozen members at most: what lies
 * between those is written once. An ALLOW that says more than its call, and every other record, is written in full.
 */
import { canonicalString } from "./canonical-json.ts";
import { bodyText, type BodyText, type DecisionReceipt, RECEIPT_VERSION } from "./receipt.ts";

/** Gives what {@link bodyText} gives, for decisions that have their places. Of each tool the last call's form is at hand. */
export function createAllowWriter(): (decision: DecisionReceipt) => BodyText {
  const forms = new Map<string, Form>();
  return (decision) => {
    if (!isPlain(decision)) return bodyText(decision);
    const name = decision.tool ?? decision.function ?? "";
    let form = forms.get(name);
    if (form === undefined || !isSameForm(form.of, decision)) {
      form = formOf(decision);
      forms.set(name, form);
    }
    return filled(form, decision);
  };
}

/** The text between the members that differ, in canonical order. */
interface Form {
  readonly of: DecisionReceipt;
  readonly untilAgent: string;
  readonly untilBatch: string;
  readonly untilMac: string;
  readonly untilNonce: string;
  readonly untilPrev: string;
  readonly untilTenant: string;
  readonly untilTime: string;
}

/** An ALLOW with nothing that only some calls have. */
function isPlain(decision: DecisionReceipt): boolean {
  const { args_digest, resumes, effects, ext, sealed, unrecorded } = decision;
  return (
    decision.decision === "ALLOW" &&
    decision.action_type !== undefined &&
    args_digest !== undefined &&
    resumes === undefined &&
    effects === undefined &&
    ext === undefined &&
    sealed === undefined &&
    unrecorded === undefined
  );
}

function isSameForm(a: DecisionReceipt, b: DecisionReceipt): boolean {
  return (
    a.function === b.function &&
    a.action_type === b.action_type &&
    a.tool === b.tool &&
    a.step === b.step &&
    a.audience === b.audience &&
    a.mode === b.mode &&
    a.policy_digest === b.policy_digest &&
    a.policy_id === b.policy_id &&
    a.policy_version === b.policy_version &&
    a.log_id === b.log_id &&
    a.gate_id === b.gate_id &&
    a.key_id === b.key_id &&
    a.hmac_key_id === b.hmac_key_id
  );
}

function formOf(of: DecisionReceipt): Form {
  return {
    of,
    untilAgent: `\0${RECEIPT_VERSION}\n{"action_type":${canonicalString(of.action_type ?? "")}`,
    untilBatch: members(of, "audience"),
    untilMac: members(of, "decision", "function", "gate_id", "hmac_key_id"),
    untilNonce: `${members(of, "key_id", "kind", "log_id", "mode")},"nonce":`,
    untilPrev: `${members(of, "policy_digest", "policy_id", "policy_version")},"prev":"`,
    untilTenant: members(of, "step"),
    untilTime: `${members(of, "tool")},"ts_ms":`,
  };
}

/** Those of these members that are there, each after a comma. */
function members(of: DecisionReceipt, ...names: readonly (keyof DecisionReceipt)[]): string {
  return names
    .filter((name) => of[name] !== undefined)
    .map((name) => `,"${name}":${canonicalString(String(of[name]))}`)
    .join("");
}

/** Identifiers, hashes and attempts are plain ASCII by their form; a nonce may hold quotes. */
function filled(form: Form, decision: DecisionReceipt): BodyText {
  const { agent_id, args_digest, attempt, nonce = "", permit_expires_ms: expires } = decision;
  const { prev, request_ts_ms, seq, sequence_id, tenant, ts_ms } = decision;
  const agent = agent_id === undefined ? "" : `,"agent_id":"${agent_id}"`;
  const permit = expires === undefined ? "" : `,"permit_expires_ms":${expires}`;
  const owner = tenant === undefined ? "" : `,"tenant":"${tenant}"`;
  const first = `${form.untilAgent}${agent},"args_digest":"${args_digest}","attempt":"${attempt}"${form.untilBatch}`;
  const second = `${form.untilNonce}${canonicalString(nonce)}${permit}${form.untilPrev}${prev}","request_ts_ms":${request_ts_ms},"seq":${seq},"sequence_id":"${sequence_id}"`;
  const third = `${form.untilTenant}${owner}${form.untilTime}${ts_ms},"v":"${RECEIPT_VERSION}"}`;
  const mac = first.length + form.untilMac.length;
  return {
    preimage: first + form.untilMac + second + third,
    places: [first.length, mac, mac + second.length],
  };
}
