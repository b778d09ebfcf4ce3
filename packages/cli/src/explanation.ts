/** Why a request would be allowed or denied: decided by the gate's own engine on a copy in memory, told check by check. */
import { randomBytes } from "node:crypto";
import {
  type ActionInput,
  createGate,
  type Decision,
  type DenyCode,
  type Gate,
  GateError,
  generateSigningKey,
  isIdentifier,
  type SequenceStatus,
} from "@stepgate/core";
import { locateRule } from "@stepgate/policy";
import { readHistory } from "./history.ts";
import { type GateKeys, openKeyFolder, readPublicKeys } from "./key-folder.ts";
import type { PolicyFile } from "./policy-file.ts";
import { unreadable } from "./reading.ts";
import type { RequestText } from "./request-text.ts";

/** One check of decision.md, and how it came out. */
export interface Check {
  readonly check: string;
  readonly asks: string;
  readonly code: DenyCode;
  readonly result: "passed" | "failed" | "not reached";
}

/** What would be decided, and why. */
export interface Explanation {
  readonly decision: Decision;
  readonly checks: readonly Check[];
  /** `file:line:column` of the rule that refuses, where it stands in the policy. */
  readonly at?: string;
  /** Where the sequence stands before this request. */
  readonly state: SequenceStatus;
}

/** What else there is to know. */
export interface Circumstances {
  /** A file of receipts so far; without it the request is the first of its sequence. */
  readonly receipts?: string;
  /** A folder of keys; without them a call that comes back is not known by its arguments. */
  readonly keys?: string;
  /** The gate's clock, in milliseconds. */
  readonly clock: () => number;
}

/** Explains one request under a policy. @throws GateError INVALID_INPUT for receipts that are no chain. */
export async function explainRequest(
  source: PolicyFile,
  read: RequestText,
  { receipts, keys, clock }: Circumstances,
): Promise<Explanation> {
  const sequence = sequenceOf(read);
  const { store, mode } = await readHistory(receipts, sequence);
  const gate = await createGate({
    policies: [source.policy],
    store,
    mode,
    clock,
    ...(await keysFrom(keys, clock())),
    // The store's shares are not what is asked about.
    maxRecords: Number.MAX_SAFE_INTEGER,
    maxDenialsPerSecond: Number.MAX_SAFE_INTEGER,
  });
  const state = await stateOf(gate, sequence, receipts);
  const decision = "denial" in read ? read.denial : await gate.decide(read.request as ActionInput);
  return { decision, checks: checksOf(decision), ...refusedAt(source, decision), state };
}

function sequenceOf(read: RequestText): string | undefined {
  const request = "request" in read ? read.request : undefined;
  const isNamed = typeof request === "object" && request !== null && "sequence_id" in request;
  return isNamed && isIdentifier(request.sequence_id) ? request.sequence_id : undefined;
}

async function keysFrom(folder: string | undefined, nowMs: number): Promise<GateKeys> {
  if (folder === undefined) return { signer: generateSigningKey(), saltKey: randomBytes(32) };
  await readPublicKeys(folder);
  return openKeyFolder(folder, nowMs);
}

function stateOf(
  gate: Gate,
  sequence: string | undefined,
  receipts: string | undefined,
): Promise<SequenceStatus> {
  // A request that names no sequence is invalid; the policy still says how one begins.
  return gate.state(sequence ?? "unnamed").catch((cause: unknown) => {
    if (receipts === undefined) throw cause;
    const reason = `the records of '${sequence}' make no chain; see stepgate verify`;
    throw unreadable(receipts, reason, cause);
  });
}

const CHECKS: readonly Omit<Check, "result">[] = [
  { check: "0", code: "INVALID_REQUEST", asks: "well formed, and the sequence is the caller's" },
  { check: "policy", code: "POLICY_UNAVAILABLE", asks: "the sequence is pinned to this policy" },
  { check: "1", code: "STALE_TIMESTAMP", asks: "the request is fresh" },
  { check: "2", code: "REPLAY_NONCE", asks: "the nonce is unused in this sequence" },
  {
    check: "3",
    code: "SEALED_SEQUENCE",
    asks: "the sequence is not sealed, not past its lifetime",
  },
  { check: "4", code: "NO_POLICY_MATCH", asks: "tool, function and step are known to the policy" },
  { check: "5", code: "SEQUENCE_VIOLATION", asks: "the step is admissible now" },
  { check: "6", code: "ACTION_NOT_ALLOWED", asks: "the function permits the action type" },
];

function checksOf(decision: Decision): readonly Check[] {
  const code = decision.decision === "ALLOW" ? undefined : decision.deny_code;
  const failed = CHECKS.findIndex((check) => check.code === code);
  // A fault of the engine is no explanation.
  if (code !== undefined && failed < 0) throw new GateError(code, decision.message);
  return CHECKS.map((check, index) => ({
    ...check,
    result: failed < 0 || index < failed ? "passed" : index === failed ? "failed" : "not reached",
  }));
}

function refusedAt({ file, text }: PolicyFile, decision: Decision): Pick<Explanation, "at"> {
  if (decision.decision === "ALLOW" || decision.rule === undefined) return {};
  const place = locateRule(text, decision.rule);
  return place === undefined ? {} : { at: `${file}:${place.line}:${place.column}` };
}
