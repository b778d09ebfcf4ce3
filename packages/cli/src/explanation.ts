/** Why a request would be allowed or denied: decided by the gate's own engine on a copy in memory, told check by check. */
import { randomBytes } from "node:crypto";
import {
  type ActionInput,
  type ConditionReport,
  createGate,
  type Decision,
  type DenyCode,
  type Gate,
  GateError,
  generateSigningKey,
  isIdentifier,
  type JsonObject,
  parseStrictJson,
  type Receipt,
  reportConditions,
  type Scope,
  type SequenceStatus,
  type Store,
} from "@stepgate/core";
import { approversOf } from "./approver-keys.ts";
import { conditionWords } from "./condition-words.ts";
import { type Check, checksOf, type PlacedCondition } from "./explained-checks.ts";
import { type History, readHistory } from "./history.ts";
import { type GateKeys, openKeyFolder, readPublicKeys } from "./key-folder.ts";
import { type PolicyFile, rulePlaces } from "./policy-file.ts";
import { unreadable } from "./reading.ts";
import type { RequestText } from "./request-text.ts";

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
  /** A file of receipts so far; without it, and without a store, the request is the first of its sequence. */
  readonly receipts?: string;
  /** The store that the sequence lies in, with its contexts and counters; it is only read. */
  readonly store?: Store;
  /** The trusted contexts of the sequence, in their order. */
  readonly contexts?: readonly JsonObject[];
  /** A folder of keys; without them a call that comes back is not known by its arguments, nor a value that was bound. */
  readonly keys?: string;
  /** A file of approvers' public keys, with their roles; by default the one in the folder of keys. */
  readonly approvers?: string;
  /** The gate's clock, in milliseconds. */
  readonly clock: () => number;
}

/** Explains one request under a policy. @throws GateError INVALID_INPUT for receipts that are no chain. */
export async function explainRequest(
  source: PolicyFile,
  read: RequestText,
  circumstances: Circumstances,
): Promise<Explanation> {
  const { receipts, keys, clock } = circumstances;
  const sequence = sequenceOf(read);
  const history = await readHistory(circumstances, sequence);
  const gateKeys = await keysFrom(keys, clock());
  const named = await approversOf(circumstances.approvers, keys, gateKeys.signer.keyId);
  const approvers = named ?? new Map<string, never>();
  const gate = await createGate({
    policies: [source.policy],
    store: history.store,
    mode: history.mode,
    clock,
    approvers,
    ...gateKeys,
    // The store's shares are not what is asked about.
    maxRecords: Number.MAX_SAFE_INTEGER,
    maxDenialsPerSecond: Number.MAX_SAFE_INTEGER,
  });
  const state = await stateOf(gate, sequence, receipts);
  if ("denial" in read) return explained(source, read.denial, [], state);
  const request = read.request as ActionInput;
  await giveContexts(gate, request, state, history, circumstances.contexts ?? []);
  const before = await chainOf(gate, sequence);
  const decision = await gate.decide(request);
  mustKnowContexts(decision, history, circumstances);
  const { receipt } = decision;
  if (receipt === undefined || !AFTER_6.has(receipt.deny_code))
    return explained(source, decision, [], state);
  // A sequence that this request opened begins with its own record.
  const chain = before.length > 0 ? before : (await chainOf(gate, sequence)).slice(0, 1);
  const grounds = {
    args: (request.args ?? {}) as JsonObject,
    context: await contextOf(chain, history.store),
    saltKey: gateKeys.saltKey,
    approvers,
    now: clock(),
    ...(circumstances.store === undefined ? {} : { counters: history.store.counters }),
  };
  const reports = await reportConditions(source.policy, chain, receipt, grounds);
  if (keys === undefined) mustKnowBinds(decision, reports);
  const scope = { ...grounds, agent_id: receipt.agent_id ?? "", tenant: receipt.tenant ?? "" };
  return explained(source, decision, conditionsOf(source, reports, scope), state);
}

/** The codes of the checks that judge conditions; none: allowed, or another check refused before. */
const AFTER_6: ReadonlySet<DenyCode | undefined> = new Set<DenyCode | undefined>([
  undefined,
  "ARGUMENT_VIOLATION",
  "LIMIT_EXCEEDED",
  "APPROVAL_REQUIRED",
  "POLICY_ERROR",
]);

function explained(
  source: PolicyFile,
  decision: Decision,
  conditions: readonly PlacedCondition[],
  state: SequenceStatus,
): Explanation {
  return {
    decision,
    checks: checksOf(decision, conditions),
    ...refusedAt(source, decision),
    state,
  };
}

function conditionsOf(
  source: PolicyFile,
  reports: readonly ConditionReport[],
  scope: Scope,
): readonly PlacedCondition[] {
  const placeOf = rulePlaces(source);
  return reports.map((report) => {
    const { rule, refusal } = report;
    const at = placeOf(rule);
    return {
      check: `${report.check}`,
      rule,
      holds: refusal === undefined,
      says: conditionWords(source.policy, report, scope),
      ...(at === undefined ? {} : { at }),
    };
  });
}

/** Contexts of which the records tell nothing yet: all of them, where the sequence was not opened. */
async function giveContexts(
  gate: Gate,
  { sequence_id, agent_id, tenant }: ActionInput,
  { opened, sealed }: SequenceStatus,
  history: History,
  contexts: readonly JsonObject[],
): Promise<void> {
  const isRequest = [sequence_id, agent_id ?? "none", tenant ?? "none"].every(isIdentifier);
  if (!isRequest || sealed) return;
  const owner = { ...(agent_id && { agent_id }), ...(tenant && { tenant }) };
  const [first, ...others] = contexts.slice(history.contexts);
  if (first === undefined) return;
  if (opened) await gate.addContext(sequence_id, first);
  else await gate.open({ sequence_id, context: first, ...owner });
  for (const context of others) await gate.addContext(sequence_id, context);
}

async function chainOf(gate: Gate, sequence: string | undefined): Promise<readonly Receipt[]> {
  return sequence === undefined ? [] : Array.fromAsync(gate.receipts(sequence));
}

/** Members of a later context replace earlier ones of the same name. */
async function contextOf(chain: readonly Receipt[], store: Store): Promise<JsonObject> {
  let merged: JsonObject = {};
  for (const record of chain) {
    if (!("context_digest" in record) || record.context_digest === undefined) continue;
    const text = await store.document(record.context_digest);
    if (text !== undefined) merged = { ...merged, ...(parseStrictJson(text) as JsonObject) };
  }
  return merged;
}

/** Records tell digests of contexts, under a key of the gate's. */
function mustKnowContexts(
  decision: Decision,
  { contexts }: History,
  { receipts = "the store", keys }: Circumstances,
): void {
  if (contexts === 0 || decision.decision === "ALLOW" || decision.deny_code !== "STORE_UNAVAILABLE")
    return;
  const what = `the sequence has ${contexts} contexts, of which ${receipts} tells keyed digests`;
  const how =
    keys === undefined
      ? "give the gate's keys by --keys, and the contexts by --store or --context"
      : "give just these, in their order, by --context, or read all by --store";
  throw new GateError("INVALID_INPUT", `${what}; ${how}`);
}

/** Without the gate's keys every value differs from one that was bound before. */
function mustKnowBinds(decision: Decision, reports: readonly ConditionReport[]): void {
  const rule = decision.decision === "DENY" ? decision.rule : undefined;
  const decisive = reports.find((report) => report.rule === rule);
  if (decisive?.bound !== true) return;
  throw new GateError(
    "INVALID_INPUT",
    `${rule}: what was bound before is on record as a keyed digest; give the gate's keys by --keys`,
  );
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

function refusedAt(source: PolicyFile, decision: Decision): Pick<Explanation, "at"> {
  if (decision.decision === "ALLOW" || decision.rule === undefined) return {};
  const at = rulePlaces(source)(decision.rule);
  return at === undefined ? {} : { at };
}
