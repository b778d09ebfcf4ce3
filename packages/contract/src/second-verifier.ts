/**
 * A second verifier of receipts, written from the specification's page alone: it shares no line with core, so that what both
 * say alike is what the page says. Two tables of rules in the page's order; the first that fails names the finding. It holds a
 * whole file, and recomputes nothing under a policy.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { membersKnown, versionKnown, wellFormed } from "./second-forms.ts";
import { canonicalText, isObject, type JsonObject, readJson } from "./second-json.ts";
import {
  approvalHolds,
  genesis,
  keyHolds,
  macHolds,
  newKeyHolds,
  recordHash,
  signatureHolds,
  type TrustedKey,
  trustedKeys,
} from "./second-proofs.ts";

/** Whom a reader trusts, and what each record must bear (`ed25519` unless said). */
export interface SecondTrust {
  /** A JWKS of the gates' keys, and of the approvers' with `roles`. */
  readonly keys: unknown;
  /** Secrets by `hmac_key_id`. */
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  readonly require?: "ed25519" | "hmac";
}

/** A finding at its line, counted from 1. */
interface SecondFinding {
  readonly line: number;
  readonly code: string;
}

/** What a file says: findings in the order of lines, verdicts by sequence, and the ALLOWs without an outcome, by hash. */
export interface SecondReport {
  readonly findings: readonly SecondFinding[];
  readonly verdicts: ReadonlyMap<string, string>;
  readonly open: readonly string[];
}

/** Reads the bytes of a file of receipts; see {@link SecondReport}. */
export function verifyAgain(file: Uint8Array, trust: SecondTrust): SecondReport {
  const means = meansOf(trust);
  const lines = splitLines(file).map((bytes, at): Line => readLine(bytes, at + 1));
  const world: World = { means, chains: new Map(), policies: policyStates(lines) };
  const findings: SecondFinding[] = [];
  for (const line of lines) {
    const found = placeInChain(line, firstBroken(ALONE, line, world), world);
    if (found !== undefined) findings.push({ line: line.number, code: found });
  }
  return { findings, verdicts: verdictsOf(world), open: openAllows(world) };
}

interface Means {
  readonly keys: ReadonlyMap<string, TrustedKey>;
  readonly secrets: ReadonlyMap<string, KeyObject>;
  readonly require: "ed25519" | "hmac";
}

interface Line {
  readonly number: number;
  readonly record: JsonObject | undefined;
  readonly code: string | undefined;
}

/** One nonce's life: asked for approval, allowed, interrupted, resumed. */
interface Call {
  readonly first: JsonObject;
  readonly hash: string;
  root?: string;
  latest?: string;
  resumed: number;
}

interface Chain {
  readonly id: string;
  readonly seen: Set<number>;
  readonly calls: Map<string, Call>;
  readonly allows: Map<string, { outcome: unknown }>;
  readonly asked: Set<string>;
  readonly approvals: JsonObject[];
  next: number;
  head: string;
  time: number;
  open: JsonObject | undefined;
  sealedBy: string | undefined;
  closed: boolean;
  readonly found: Set<string>;
}

interface World {
  readonly means: Means;
  readonly chains: Map<string, Chain>;
  /** The states of `@log`; undefined where it is not given. */
  readonly policies: readonly PolicyState[] | undefined;
}

interface PolicyState {
  readonly from: number;
  readonly active: ReadonlyMap<string, string>;
}

type Rule = readonly [
  code: string,
  holds: (record: JsonObject, chain: Chain, world: World) => boolean,
];

/** What a line must be whatever stands around it. */
const ALONE: readonly (readonly [string, (record: JsonObject, means: Means) => boolean])[] = [
  ["UNKNOWN_VERSION", versionKnown],
  ["UNKNOWN_MEMBER", membersKnown],
  ["MALFORMED", wellFormed],
  ["WEAK_EVIDENCE", (r, m) => (m.require === "hmac" ? r["hmac_sig"] !== undefined : isSigned(r))],
  ["UNKNOWN_KEY", (r, m) => m.require === "hmac" || m.keys.has(text(r, "key_id"))],
  ["UNKNOWN_KEY", (r, m) => m.require === "ed25519" || m.secrets.has(text(r, "hmac_key_id"))],
  [
    "KEY_NOT_VALID",
    (r, m) =>
      ifKnown(m.keys, r, "key_id", (key) => !key.approves && keyHolds(key, Number(r["ts_ms"]))),
  ],
  ["BAD_SIGNATURE", (r, m) => ifKnown(m.keys, r, "key_id", (key) => signatureHolds(r, key.key))],
  ["BAD_SIGNATURE", (r) => r["kind"] !== "key" || newKeyHolds(r)],
  ["BAD_MAC", (r, m) => ifKnown(m.secrets, r, "hmac_key_id", (secret) => macHolds(r, secret))],
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
  [
    "UNKNOWN_KEY",
    (r, _c, w) => r["kind"] !== "approval" || w.means.keys.has(text(r, "approver_key_id")),
  ],
  ["APPROVAL_MISMATCH", (r, c, w) => r["kind"] !== "approval" || approves(r, c, w.means)],
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

const OWNED = new Set(["decision", "context"]);
const PINNED = ["policy_id", "policy_version", "policy_digest"];
const BURNS_NONE = new Set([
  "STALE_TIMESTAMP",
  "REPLAY_NONCE",
  "INVALID_REQUEST",
  "POLICY_UNAVAILABLE",
]);
const MOST_RESUMED = 16;

function meansOf(trust: SecondTrust): Means {
  return {
    keys: trustedKeys(trust.keys),
    secrets: new Map([...(trust.secrets ?? [])].map(([id, bytes]) => [id, createSecretKey(bytes)])),
    require: trust.require ?? "ed25519",
  };
}

/** Lines without their LF; what follows the last LF is a line that does not end, and keeps a mark that no JSON has. */
function splitLines(file: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let end = file.indexOf(10); end >= 0; end = file.indexOf(10, from)) {
    lines.push(file.subarray(from, end));
    from = end + 1;
  }
  return from === file.length ? lines : [...lines, new Uint8Array()];
}

function readLine(bytes: Uint8Array, number: number): Line {
  const unread = (code: string): Line => ({ number, record: undefined, code });
  const decoded = decode(bytes);
  const reading = decoded === undefined ? undefined : readJson(decoded);
  if (reading === undefined || !isObject(reading.value)) return unread("UNREADABLE");
  const canonical = canonicalText(reading.value);
  if (canonical === undefined)
    return unread(reading.repeats ? "DUPLICATE_MEMBER" : "NOT_CANONICAL");
  const spelt = canonical === decoded ? undefined : "NOT_CANONICAL";
  const code = reading.repeats ? "DUPLICATE_MEMBER" : spelt;
  return { number, record: reading.value, code };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function firstBroken(rules: typeof ALONE, line: Line, world: World): string | undefined {
  const { record } = line;
  if (record === undefined) return undefined;
  return rules.find(([, holds]) => !holds(record, world.means))?.[0];
}

/**
 * Judges a line in its chain where nothing was found before; then the chain goes on from it as it was read, sound or not: from
 * its place alone where its form is not right, and not at all where its place is past.
 */
function placeInChain(line: Line, alone: string | undefined, world: World): string | undefined {
  const { record } = line;
  if (record === undefined || !canBePlaced(record)) return line.code ?? alone;
  const chain = chainOf(record, world);
  const judged = (line.code ?? alone) === undefined;
  const code = judged
    ? rulesFor(record, chain).find(([, holds]) => !holds(record, chain, world))?.[0]
    : undefined;
  const found = line.code ?? alone ?? code;
  if (found !== undefined) chain.found.add(found);
  goOn(record, chain);
  return found;
}

function rulesFor(record: JsonObject, chain: Chain): readonly Rule[] {
  const open = chain.open !== undefined || record["kind"] === "open";
  return open ? [...IN_CHAIN, ...IN_SEQUENCE] : IN_CHAIN;
}

function canBePlaced(record: JsonObject): boolean {
  return (
    typeof record["sequence_id"] === "string" &&
    Number.isSafeInteger(record["seq"]) &&
    Number(record["seq"]) >= 0
  );
}

function chainOf(record: JsonObject, world: World): Chain {
  const id = text(record, "sequence_id");
  const known = world.chains.get(id);
  if (known !== undefined) return known;
  const chain: Chain = {
    id,
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
    found: new Set(),
  };
  world.chains.set(id, chain);
  return chain;
}

function goOn(record: JsonObject, chain: Chain): void {
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

function approves(record: JsonObject, chain: Chain, means: Means): boolean {
  if (!chain.asked.has(text(record, "request"))) return false;
  const same = ["request", "approver_key_id", "verdict", "expires_ms"];
  if (chain.approvals.some((said) => same.every((member) => said[member] === record[member])))
    return false;
  const key = means.keys.get(text(record, "approver_key_id"));
  return (
    key !== undefined &&
    key.approves &&
    keyHolds(key, Number(record["ts_ms"])) &&
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

function policyStates(lines: readonly Line[]): readonly PolicyState[] | undefined {
  const records = lines
    .flatMap(({ record }) => (record === undefined ? [] : [record]))
    .filter((record) => record["sequence_id"] === "@log");
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

/** Active in any state at this millisecond: the one it began with, and each that began in it. */
function wasActive(open: JsonObject, states: readonly PolicyState[]): boolean {
  const at = Number(open["ts_ms"]);
  const begun = states.filter(({ from }) => from < at).slice(-1);
  return [...begun, ...states.filter(({ from }) => from === at)].some(
    ({ active }) => active.get(text(open, "policy_id")) === open["policy_digest"],
  );
}

function verdictsOf(world: World): ReadonlyMap<string, string> {
  const verdict = (chain: Chain): string => {
    if (chain.found.size > 0)
      return [...chain.found].join() === "UNKNOWN_KEY" ? "UNDECIDED" : "INVALID";
    if (chain.open?.["mode"] === "shadow") return "UNENFORCED";
    return chain.sealedBy === undefined ? "OPEN" : "SEALED";
  };
  return new Map(
    [...world.chains.values()].filter(({ id }) => id !== "@log").map((c) => [c.id, verdict(c)]),
  );
}

function openAllows(world: World): readonly string[] {
  return [...world.chains.values()].flatMap(({ allows }) =>
    [...allows].filter(([, { outcome }]) => outcome === undefined).map(([hash]) => hash),
  );
}

function genesisOf(record: JsonObject): string {
  const tenant = record["kind"] === "open" ? text(record, "tenant") : "";
  return genesis(text(record, "log_id"), tenant, text(record, "sequence_id"));
}

function isSigned(record: JsonObject): boolean {
  return record["sig"] !== undefined || record["batch"] !== undefined;
}

function ifKnown<T>(
  known: ReadonlyMap<string, T>,
  record: JsonObject,
  member: string,
  holds: (item: T) => boolean,
): boolean {
  const item = known.get(text(record, member));
  return item === undefined || holds(item);
}

function text(record: JsonObject, member: string): string {
  const value = record[member];
  return typeof value === "string" ? value : "";
}
