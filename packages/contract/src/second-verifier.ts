/**
 * A second verifier of receipts, written from the specification's page alone: it shares no line with core, so that what both
 * say alike is what the page says. Tables of rules in the page's order; the first that fails names the finding. It holds a
 * whole file, and recomputes nothing under a policy.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import {
  type Chain,
  emptyChain,
  findingIn,
  goOn,
  policyStates,
  type Surroundings,
} from "./second-chain.ts";
import { membersKnown, versionKnown, wellFormed } from "./second-forms.ts";
import { canonicalText, isObject, type JsonObject, readJson } from "./second-json.ts";
import { type LogHead, readHead, treeOver } from "./second-log.ts";
import {
  keyHolds,
  macHolds,
  newKeyHolds,
  recordHash,
  signatureHolds,
  type TrustedKey,
  trustedKeys,
} from "./second-proofs.ts";

/** Whom a reader trusts, what each record must bear (`ed25519` unless said), and what was kept of the log. */
export interface SecondTrust {
  /** A JWKS of the gates' keys, and of the approvers' with `roles`. */
  readonly keys: unknown;
  /** Secrets by `hmac_key_id`. */
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  readonly require?: "ed25519" | "hmac";
  /** Signed notes, and since which second they were kept, where that is known. */
  readonly checkpoints?: readonly { readonly note: string; readonly kept_since?: number }[];
}

/** A finding at its line, counted from 1. */
interface SecondFinding {
  readonly line: number;
  readonly code: string;
}

/** What a file says: findings in the order of lines, verdicts by sequence, and the ALLOWs without an outcome, by hash. */
export interface SecondReport {
  readonly result: "sound" | "invalid" | "undecided";
  readonly findings: readonly SecondFinding[];
  readonly verdicts: ReadonlyMap<string, string>;
  readonly open: readonly string[];
}

/** Reads the bytes of a file of receipts; see {@link SecondReport}. @throws TypeError for a checkpoint that is not to be believed. */
export function verifyAgain(file: Uint8Array, trust: SecondTrust): SecondReport {
  return secondVerifier(trust)(file);
}

/** {@link verifyAgain} for many files that are much alike: what a line says by itself is remembered, however often it comes. */
export function secondVerifier(trust: SecondTrust): (file: Uint8Array) => SecondReport {
  const means = meansOf(trust);
  const read = rememberingReader(means);
  return (file) => {
    const lines = splitLines(file).map((bytes, at): Line => ({ ...read(bytes), number: at + 1 }));
    const world = worldOf(lines, means);
    const findings: SecondFinding[] = [];
    for (const line of lines) {
      const code = placeInChain(line, world);
      if (code !== undefined) findings.push({ line: line.number, code });
    }
    findings.push(...ofCheckpoints(lines, means.kept));
    findings.sort((one, other) => one.line - other.line);
    return {
      result: resultOf(lines, findings),
      findings,
      verdicts: verdictsOf(world),
      open: openAllows(world),
    };
  };
}

interface Means {
  readonly keys: ReadonlyMap<string, TrustedKey>;
  readonly secrets: ReadonlyMap<string, KeyObject>;
  readonly require: "ed25519" | "hmac";
  /** In the order of their sizes. */
  readonly kept: readonly KeptHead[];
}

interface KeptHead extends LogHead {
  readonly since: number | undefined;
}

/** A line by itself: what it says, and the first rule that it breaks. */
interface Read {
  readonly record: JsonObject | undefined;
  readonly code: string | undefined;
  /** The key that signed it, where nothing was found before the key's own validity is asked for. */
  readonly key: TrustedKey | undefined;
  /** What is found once its signature, and its batch, are believed. */
  readonly later?: string | undefined;
}

interface Line extends Read {
  readonly number: number;
}

interface World {
  readonly means: Means;
  /** What was seen of each batch. */
  readonly batches: Map<string, JsonObject[]>;
  readonly chains: Map<string, Chain>;
  readonly around: Surroundings;
}

type Rule = readonly [code: string, holds: (record: JsonObject, means: Means) => boolean];

/** What a line must be whatever stands around it, as far as the key that signed it. */
const BEFORE_THE_KEY: readonly Rule[] = [
  ["UNKNOWN_VERSION", versionKnown],
  ["UNKNOWN_MEMBER", membersKnown],
  ["MALFORMED", wellFormed],
  ["WEAK_EVIDENCE", (r, m) => (m.require === "hmac" ? r["hmac_sig"] !== undefined : isSigned(r))],
  ["UNKNOWN_KEY", (r, m) => !isSigned(r) || m.keys.has(text(r, "key_id"))],
  ["UNKNOWN_KEY", (r, m) => m.require === "ed25519" || m.secrets.has(text(r, "hmac_key_id"))],
];

/** What follows the question whether that key was valid. */
const OF_THE_SIGNATURE: readonly Rule[] = [
  ["BAD_SIGNATURE", (r, m) => ifSigned(r, m, ({ key }) => signatureHolds(r, key))],
];

/** And what follows the question what else stands in its batch. */
const AFTER_THE_SIGNATURE: readonly Rule[] = [
  ["BAD_SIGNATURE", (r) => r["kind"] !== "key" || newKeyHolds(r)],
  ["BAD_MAC", (r, m) => ifMac(r, m, (secret) => macHolds(r, secret))],
];

function meansOf(trust: SecondTrust): Means {
  const keys = trustedKeys(trust.keys);
  const kept = (trust.checkpoints ?? []).map(({ note, kept_since }) => {
    const head = readHead(note, keys.values());
    if (typeof head === "string")
      throw new TypeError(`a checkpoint is not to be believed: ${head}`);
    return { ...head, since: kept_since };
  });
  return {
    keys,
    secrets: new Map([...(trust.secrets ?? [])].map(([id, bytes]) => [id, createSecretKey(bytes)])),
    require: trust.require ?? "ed25519",
    kept: kept.toSorted((one, other) => one.size - other.size),
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

function worldOf(lines: readonly Line[], means: Means): World {
  const records = lines.flatMap(({ record }) => (record === undefined ? [] : [record]));
  const origins = new Set(means.kept.map(({ origin }) => origin));
  const around = { keys: means.keys, policies: policyStates(records), origins };
  return { means, batches: new Map(), chains: new Map(), around };
}

function rememberingReader(means: Means): (bytes: Uint8Array) => Read {
  const known = new Map<string, Read>();
  return (bytes) => {
    const text = Buffer.from(bytes).toString("latin1");
    const read = known.get(text) ?? readLine(bytes, means);
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(text, read);
    return read;
  };
}

/** In lines; of a file and some thousand mutants of it. */
const MOST_KNOWN = 20_000;

function readLine(bytes: Uint8Array, means: Means): Read {
  const unread = (code: string): Read => ({ record: undefined, code, key: undefined });
  const decoded = decode(bytes);
  const reading = decoded === undefined ? undefined : readJson(decoded);
  if (reading === undefined || !isObject(reading.value)) return unread("UNREADABLE");
  const record = reading.value;
  const canonical = canonicalText(record);
  const spelt = canonical === decoded ? undefined : "NOT_CANONICAL";
  const code = reading.repeats ? "DUPLICATE_MEMBER" : spelt;
  if (canonical === undefined) return unread(code ?? "NOT_CANONICAL");
  const before = code ?? firstBroken(BEFORE_THE_KEY, record, means);
  if (before !== undefined) return { record, code: before, key: undefined };
  const key = isSigned(record) ? means.keys.get(text(record, "key_id")) : undefined;
  return {
    record,
    code: firstBroken(OF_THE_SIGNATURE, record, means),
    key,
    later: firstBroken(AFTER_THE_SIGNATURE, record, means),
  };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function firstBroken(rules: readonly Rule[], record: JsonObject, means: Means): string | undefined {
  return rules.find(([, holds]) => !holds(record, means))?.[0];
}

/** Judges a line in its chain where nothing was found of it alone; then the chain goes on from it. */
function placeInChain(line: Line, world: World): string | undefined {
  const { record } = line;
  const alone = foundAlone(line, world);
  if (record === undefined || !canBePlaced(record)) return alone;
  const chain = chainOf(record, world);
  const found = alone ?? findingIn(record, chain, world.around);
  if (found !== undefined) chain.found.add(found);
  goOn(record, chain);
  return found;
}

function foundAlone(line: Line, { means, batches }: World): string | undefined {
  const { record, code, key, later } = line;
  if (!mayHaveSigned(line, means)) return "KEY_NOT_VALID";
  if (code !== undefined || record === undefined) return code;
  const fits = key === undefined || takesItsSeat(record, batches);
  return fits ? later : "BAD_SIGNATURE";
}

/** One gate, and one record of a sequence but for an `open` and the decision after it. The batch is known by its signature. */
function takesItsSeat(record: JsonObject, batches: Map<string, JsonObject[]>): boolean {
  const batch = record["batch"];
  if (!isObject(batch)) return true;
  const id = `${text(record, "key_id")} ${text(batch, "sig")}`;
  const seated = batches.get(id) ?? [];
  batches.set(id, seated);
  if (seated.some((other) => other["gate_id"] !== record["gate_id"])) return false;
  const own = seated.filter((other) => other["sequence_id"] === record["sequence_id"]);
  const again = own.some((other) => recordHash(other) === recordHash(record));
  const [other] = own;
  if (!again && other !== undefined && (own.length > 1 || !areOpening(other, record))) return false;
  if (!again) seated.push(record);
  return true;
}

function areOpening(one: JsonObject, other: JsonObject): boolean {
  const [open, decision] = one["kind"] === "open" ? [one, other] : [other, one];
  return (
    open["kind"] === "open" &&
    decision["kind"] === "decision" &&
    decision["seq"] === 1 &&
    indexOf(open) < indexOf(decision)
  );
}

function indexOf(record: JsonObject): number {
  const batch = record["batch"];
  return isObject(batch) ? Number(batch["index"]) : -1;
}

function canBePlaced(record: JsonObject): boolean {
  const { sequence_id, seq } = record;
  return typeof sequence_id === "string" && Number.isSafeInteger(seq) && Number(seq) >= 0;
}

function chainOf(record: JsonObject, { chains }: World): Chain {
  const id = text(record, "sequence_id");
  const chain = chains.get(id) ?? emptyChain(id);
  chains.set(id, chain);
  return chain;
}

/** Each checkpoint that the lines are not, or do not reach: at its own last line, or at the last that is there. */
function ofCheckpoints(
  lines: readonly Line[],
  kept: readonly KeptHead[],
): readonly SecondFinding[] {
  const leaves = lines.map(({ record }) =>
    record === undefined || !canBePlaced(record) ? undefined : leafOf(record),
  );
  return kept.flatMap((head) => {
    const line = Math.max(1, Math.min(head.size, lines.length));
    if (kept.some((other) => isTwin(head, other)))
      return [{ line: Math.max(1, head.size), code: "FORK" }];
    if (head.size > lines.length) return [{ line, code: "TRUNCATED" }];
    const covered = leaves.slice(0, head.size).filter((leaf) => leaf !== undefined);
    const same = covered.length === head.size && treeOver(covered).equals(head.root);
    return same ? [] : [{ line, code: "FORK" }];
  });
}

/** Two stories of one log at one size, signed by somebody who is trusted. */
function isTwin(one: LogHead, other: LogHead): boolean {
  return one.origin === other.origin && one.size === other.size && !one.root.equals(other.root);
}

function leafOf(record: JsonObject): Buffer {
  return Buffer.from(recordHash(record).slice("sha256:".length), "hex");
}

function verdictsOf({ chains }: World): ReadonlyMap<string, string> {
  const verdict = (chain: Chain): string => {
    if (chain.found.size > 0)
      return [...chain.found].join() === "UNKNOWN_KEY" ? "UNDECIDED" : "INVALID";
    if (chain.open?.["mode"] === "shadow") return "UNENFORCED";
    return chain.sealedBy === undefined ? "OPEN" : "SEALED";
  };
  return new Map(
    [...chains.values()].filter(({ id }) => id !== "@log").map((c) => [c.id, verdict(c)]),
  );
}

function resultOf(
  lines: readonly Line[],
  findings: readonly SecondFinding[],
): SecondReport["result"] {
  if (findings.some(({ code }) => code !== "UNKNOWN_KEY")) return "invalid";
  return lines.length === 0 || findings.length > 0 ? "undecided" : "sound";
}

function openAllows({ chains }: World): readonly string[] {
  return [...chains.values()].flatMap(({ allows }) =>
    [...allows].filter(([, { outcome }]) => outcome === undefined).map(([hash]) => hash),
  );
}

function isSigned(record: JsonObject): boolean {
  return record["sig"] !== undefined || record["batch"] !== undefined;
}

/** No person's key, valid at that time, and not revoked, but for what was kept before it was (the signer's clock proves nothing). */
function mayHaveSigned({ record, key, number }: Line, { kept }: Means): boolean {
  if (record === undefined || key === undefined) return true;
  const { revokedFrom } = key;
  const covered = kept.some(
    ({ size, since }) =>
      number <= size && since !== undefined && revokedFrom !== undefined && since < revokedFrom,
  );
  return !key.approves && (revokedFrom === undefined || covered) && keyHolds(key, record["ts_ms"]);
}

function ifSigned(record: JsonObject, means: Means, holds: (key: TrustedKey) => boolean): boolean {
  const key = means.keys.get(text(record, "key_id"));
  return key === undefined || !isSigned(record) || holds(key);
}

function ifMac(record: JsonObject, means: Means, holds: (secret: KeyObject) => boolean): boolean {
  const secret = means.secrets.get(text(record, "hmac_key_id"));
  return secret === undefined || record["hmac_sig"] === undefined || holds(secret);
}

function text(record: JsonObject, member: string): string {
  const value = record[member];
  return typeof value === "string" ? value : "";
}
