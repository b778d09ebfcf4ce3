/**
 * Chains for the second verifier: what a record must be where it stands, and what it changes for those after it. A table of
 * rules in the page's order; the first that fails names the finding.
 */
import { membersKnown, versionKnown, wellFormed } from "./second-forms.ts";
import type { JsonObject } from "./second-json.ts";
import { approvalHolds, genesis, keyHolds, recordHash, type TrustedKey } from "./second-proofs.ts";

/** One sequence, or `@log`, as far as it was read. */
export interface Chain {
  readonly id: string;
  /** Codes of findings so far. */
  readonly found: Set<string>;
  readonly seen: Set<number>;
  readonly calls: Map<string, Call>;
  /** ALLOWs by hash, with the status of their first outcome. */
  readonly allows: Map<string, { outcome: unknown }>;
  readonly asked: Set<string>;
  readonly approvals: JsonObject[];
  next: number;
  head: string;
  time: number;
  open: JsonObject | undefined;
  sealedBy: string | undefined;
  /** Whether a person sealed it. */
  closed: boolean;
}

/** What stands outside of a chain and is looked at in it. */
export interface Surroundings {
  readonly keys: ReadonlyMap<string, TrustedKey>;
  /** The states of `@log`; undefined where it is not given. */
  readonly policies: readonly PolicyState[] | undefined;
  /** Origins of the checkpoints; none where none are given. */
  readonly origins: ReadonlySet<string>;
}

/** What was active in `@log` from a time on: digests by policy. */
export interface PolicyState {
  readonly from: number;
  readonly active: ReadonlyMap<string, string>;
}

/** A chain of which nothing was read. */
export function emptyChain(id: string): Chain {
  return {
    id,
    found: new Set(),
    seen: new Set(),
    calls: new Map(),
    allows: new Map(),
    asked: new Set(),
    approvals: [],
    next: 0,
    head: "",
    time: 0,
    open: undefined,
    sealedBy: undefined,
    closed: false,
  };
}

/** The finding of a record that is sound by itself, in its chain. */
export function findingIn(
  record: JsonObject,
  chain: Chain,
  around: Surroundings,
): string | undefined {
  const opened = chain.open !== undefined || record["kind"] === "open";
  const rules = [...IN_CHAIN, ...(opened ? IN_SEQUENCE : []), ...IN_LOG];
  return rules.find(([, holds]) => !holds(record, chain, around))?.[0];
}

/**
 * Goes on from a record as it was read, sound or not: from its place alone where its form is not right, and not at all where
 * its place is past.
 */
export function goOn(record: JsonObject, chain: Chain): void {
  const seq = Number(record["seq"]);
  const hash = recordHash(record);
  chain.seen.add(seq);
  if (seq < chain.next) return;
  chain.next = seq + 1;
  chain.head = hash;
  if (!versionKnown(record) || !membersKnown(record) || !wellFormed(record)) return;
  chain.time = Number(record["ts_ms"]);
  if (seq === 0 && record["kind"] === "open") chain.open = record;
  if (chain.open === undefined) return;
  FOLDS.get(text(record, "kind"))?.(record, chain, hash);
}

/** The states of `@log` in a file's records. */
export function policyStates(all: readonly JsonObject[]): readonly PolicyState[] | undefined {
  const records = all.filter((record) => record["sequence_id"] === "@log");
  if (records.length === 0) return undefined;
  const states: PolicyState[] = [{ from: -Infinity, active: new Map() }];
  for (const record of records.filter(({ kind }) => kind === "policy")) {
    const active = new Map(states.at(-1)?.active);
    if (record["status"] === "active")
      active.set(text(record, "policy_id"), text(record, "policy_digest"));
    else active.delete(text(record, "policy_id"));
    states.push({ from: Number(record["ts_ms"]), active });
  }
  return states;
}

/** One nonce's life: asked for approval, allowed, interrupted, resumed. */
interface Call {
  readonly first: JsonObject;
  readonly hash: string;
  root?: string;
  latest?: string;
  resumed: number;
}

type Rule = readonly [
  code: string,
  holds: (record: JsonObject, chain: Chain, around: Surroundings) => boolean,
];

/** What a line must be in its chain. */
const IN_CHAIN: readonly Rule[] = [
  ["WRONG_GENESIS", (r, c) => c.next > 0 || r["seq"] !== 0 || r["prev"] === genesisOf(r)],
  ["DUPLICATE_SEQ", (r, c) => !c.seen.has(Number(r["seq"]))],
  ["OUT_OF_ORDER", (r, c) => Number(r["seq"]) >= c.next],
  ["GAP", (r, c) => Number(r["seq"]) <= c.next],
  ["CHAIN_BROKEN", (r, c) => r["seq"] === 0 || r["prev"] === c.head],
  ["CHAIN_BROKEN", (r, c) => Number(r["ts_ms"]) >= c.time && agrees(r, c, "log_id")],
  ["CHAIN_BROKEN", (r, c) => c.id === "@log" || (r["kind"] === "open") === (r["seq"] === 0)],
  [
    "CHAIN_BROKEN",
    (r, c) =>
      !OWNED.has(text(r, "kind")) || ["tenant", "agent_id", "mode"].every((m) => agrees(r, c, m)),
  ],
];

/** What a record may say in a sequence whose opening is there. */
const IN_SEQUENCE: readonly Rule[] = [
  ["AFTER_SEAL", (r, c) => c.sealedBy === undefined || mayFollowSeal(r, c)],
  [
    "DUPLICATE_NONCE",
    (r, c) => !burns(r) || r["resumes"] !== undefined || !c.calls.has(text(r, "nonce")),
  ],
  ["OUTCOME_MISMATCH", (r, c) => r["kind"] !== "outcome" || answersAllow(r, c)],
  ["OUTCOME_MISMATCH", (r, c) => r["resumes"] === undefined || mayResume(r, c)],
  ["UNKNOWN_KEY", (r, _c, w) => r["kind"] !== "approval" || w.keys.has(text(r, "approver_key_id"))],
  ["APPROVAL_MISMATCH", (r, c, w) => r["kind"] !== "approval" || approves(r, c, w)],
  [
    "APPROVAL_MISMATCH",
    (r, c) => r["decision"] !== "ALLOW" || !c.asked.has(text(r, "resumes")) || wasApproved(r, c),
  ],
  ["POLICY_MISMATCH", (r, c) => r["kind"] !== "decision" || PINNED.every((m) => agrees(r, c, m))],
  [
    "POLICY_MISMATCH",
    (r, _c, w) => r["kind"] !== "open" || w.policies === undefined || wasActive(r, w.policies),
  ],
];

/** What no checkpoint of the log could hold. */
const IN_LOG: readonly Rule[] = [
  ["FORK", (r, _c, w) => w.origins.size === 0 || w.origins.has(`stepgate/${text(r, "log_id")}`)],
];

const OWNED = new Set(["decision", "context"]);
const PINNED = ["policy_id", "policy_version", "policy_digest"];
const BURNS_NONE = new Set([
  "STALE_TIMESTAMP",
  "REPLAY_NONCE",
  "INVALID_REQUEST",
  "POLICY_UNAVAILABLE",
]);
const MOST_RESUMED = 16;

const FOLDS = new Map<string, (record: JsonObject, chain: Chain, hash: string) => void>([
  ["decision", foldDecision],
  ["outcome", foldOutcome],
  ["approval", (r, c) => void c.approvals.push(r)],
  ["seal", (_r, c, hash) => void ([c.closed, c.sealedBy] = [true, hash])],
]);

function foldDecision(record: JsonObject, chain: Chain, hash: string): void {
  const nonce = text(record, "nonce");
  if (burns(record) && record["resumes"] === undefined) {
    chain.calls.set(nonce, { first: record, hash, resumed: 0 });
    if (record["deny_code"] === "APPROVAL_REQUIRED") chain.asked.add(hash);
  }
  const call = chain.calls.get(nonce);
  if (record["decision"] !== "ALLOW" || call === undefined) return;
  chain.allows.set(hash, { outcome: undefined });
  if (call.root !== undefined) call.resumed += 1;
  else if (record["sealed"] === true) chain.sealedBy = hash;
  call.root ??= hash;
  call.latest = hash;
}

function foldOutcome(record: JsonObject, chain: Chain): void {
  const allow = chain.allows.get(text(record, "decision_hash"));
  if (allow !== undefined) allow.outcome ??= record["status"];
}

function burns(record: JsonObject): boolean {
  return record["kind"] === "decision" && !BURNS_NONE.has(text(record, "deny_code"));
}

function agrees(record: JsonObject, chain: Chain, member: string): boolean {
  return chain.open === undefined || record[member] === chain.open[member];
}

function mayFollowSeal(record: JsonObject, chain: Chain): boolean {
  if (record["kind"] === "outcome" || record["decision"] === "DENY") return true;
  if (chain.closed) return false;
  return record["kind"] === "seal" || record["resumes"] === chain.sealedBy;
}

function answersAllow(record: JsonObject, chain: Chain): boolean {
  const allow = chain.allows.get(text(record, "decision_hash"));
  return allow !== undefined && allow.outcome === undefined;
}

/** A nonce comes back where its call was asked to be approved, or where its latest ALLOW was interrupted. */
function mayResume(record: JsonObject, chain: Chain): boolean {
  const call = chain.calls.get(text(record, "nonce"));
  if (call === undefined || !sameCall(record, call.first)) return false;
  const { root, latest = "", hash, resumed } = call;
  if (root === undefined) return chain.asked.has(hash) && record["resumes"] === hash;
  if (record["resumes"] !== root || chain.allows.get(latest)?.outcome !== "interrupted")
    return false;
  if (record["decision"] === "DENY") return true;
  return resumed < MOST_RESUMED && !("effects" in record) && !("sealed" in record);
}

function sameCall(record: JsonObject, first: JsonObject): boolean {
  const members = "tool" in first ? ["tool"] : ["tool", "function", "action_type", "step"];
  return ["nonce", "args_digest", ...members].every((member) => record[member] === first[member]);
}

function approves(record: JsonObject, chain: Chain, { keys }: Surroundings): boolean {
  if (!chain.asked.has(text(record, "request"))) return false;
  const same = ["request", "approver_key_id", "verdict", "expires_ms"];
  if (chain.approvals.some((said) => same.every((member) => said[member] === record[member])))
    return false;
  const key = keys.get(text(record, "approver_key_id"));
  return (
    key !== undefined &&
    key.approves &&
    key.revokedFrom === undefined &&
    keyHolds(key, record["ts_ms"]) &&
    approvalHolds(record, key.key)
  );
}

function wasApproved(record: JsonObject, chain: Chain): boolean {
  return chain.approvals.some(
    (approval) =>
      approval["request"] === record["resumes"] &&
      approval["verdict"] === "approve" &&
      Number(record["ts_ms"]) < Number(approval["expires_ms"]),
  );
}

/** Active in any state at this millisecond: the one it began with, and each that began in it. */
function wasActive(open: JsonObject, states: readonly PolicyState[]): boolean {
  const at = Number(open["ts_ms"]);
  const begun = states.filter(({ from }) => from < at).slice(-1);
  return [...begun, ...states.filter(({ from }) => from === at)].some(
    ({ active }) => active.get(text(open, "policy_id")) === open["policy_digest"],
  );
}

function genesisOf(record: JsonObject): string {
  const tenant = record["kind"] === "open" ? text(record, "tenant") : "";
  return genesis(text(record, "log_id"), tenant, text(record, "sequence_id"));
}

function text(record: JsonObject, member: string): string {
  const value = record[member];
  return typeof value === "string" ? value : "";
}
