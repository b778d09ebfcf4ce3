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
  const means = meansOf(trust);
  const lines = splitLines(file).map((bytes, at): Line => readLine(bytes, at + 1));
  const records = lines.flatMap(({ record }) => (record === undefined ? [] : [record]));
  const world: World = {
    means,
    chains: new Map(),
    around: {
      keys: means.keys,
      policies: policyStates(records),
      origins: new Set(means.kept.map(({ origin }) => origin)),
    },
  };
  const findings: SecondFinding[] = [];
  for (const line of lines) {
    const found = placeInChain(line, firstBroken(line, world), world);
    if (found !== undefined) findings.push({ line: line.number, code: found });
  }
  findings.push(...ofCheckpoints(lines, means.kept));
  findings.sort((one, other) => one.line - other.line);
  return {
    result: resultOf(lines, findings),
    findings,
    verdicts: verdictsOf(world),
    open: openAllows(world),
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

interface Line {
  readonly number: number;
  readonly record: JsonObject | undefined;
  readonly code: string | undefined;
}

interface World {
  readonly means: Means;
  readonly chains: Map<string, Chain>;
  readonly around: Surroundings;
}

type Rule = readonly [
  code: string,
  holds: (record: JsonObject, means: Means, line: number) => boolean,
];

/** What a line must be whatever stands around it. */
const ALONE: readonly Rule[] = [
  ["UNKNOWN_VERSION", versionKnown],
  ["UNKNOWN_MEMBER", membersKnown],
  ["MALFORMED", wellFormed],
  ["WEAK_EVIDENCE", (r, m) => (m.require === "hmac" ? r["hmac_sig"] !== undefined : isSigned(r))],
  ["UNKNOWN_KEY", (r, m) => m.require === "hmac" || m.keys.has(text(r, "key_id"))],
  ["UNKNOWN_KEY", (r, m) => m.require === "ed25519" || m.secrets.has(text(r, "hmac_key_id"))],
  ["KEY_NOT_VALID", (r, m, line) => ifSigned(r, m, (key) => mayHaveSigned(r, key, m, line))],
  ["BAD_SIGNATURE", (r, m) => ifSigned(r, m, ({ key }) => signatureHolds(r, key))],
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

function firstBroken({ record, code, number }: Line, { means }: World): string | undefined {
  if (record === undefined || code !== undefined) return code;
  return ALONE.find(([, holds]) => !holds(record, means, number))?.[0];
}

/** Judges a line in its chain where nothing was found of it alone; then the chain goes on from it. */
function placeInChain(line: Line, alone: string | undefined, world: World): string | undefined {
  const { record } = line;
  if (record === undefined || !canBePlaced(record)) return alone;
  const chain = chainOf(record, world);
  const found = alone ?? findingIn(record, chain, world.around);
  if (found !== undefined) chain.found.add(found);
  goOn(record, chain);
  return found;
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
function mayHaveSigned(record: JsonObject, key: TrustedKey, means: Means, line: number): boolean {
  const { revokedFrom } = key;
  const covered = means.kept.some(
    ({ size, since }) =>
      line <= size && since !== undefined && revokedFrom !== undefined && since < revokedFrom,
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
