/** How things end: the outcome of one ALLOW, the seal of a person, the ALLOWs that a crash left open. */
import { equalText } from "#platform";
import { ARGS_LIMITS, isIdentifier } from "./action-request.ts";
import { canonicalize } from "./canonical-json.ts";
import { askStore } from "./deadline.ts";
import type { Allow } from "./decision.ts";
import { argsKey, resultDigest } from "./digest.ts";
import { GateError } from "./errors.ts";
import type { OutcomeNote } from "./gate.ts";
import type { GateSetup } from "./gate-parts.ts";
import type { Plan } from "./ledger.ts";
import {
  type DecisionReceipt,
  type OutcomeReceipt,
  type OutcomeStatus,
  recordHash,
  type SealReceipt,
} from "./receipt.ts";
import type { Draft } from "./record-writer.ts";
import type { SequenceState } from "./sequence-state.ts";
import type { OpenAllow } from "./store.ts";

/** After a permit's end another gate waits this long before it closes an ALLOW that its own gate left open. */
const ABANDONED_AFTER_MS = 10 * 60_000;
const STATUSES: ReadonlySet<string> = new Set<OutcomeStatus>([
  "succeeded",
  "failed",
  "interrupted",
  "unknown",
]);

/** Records the outcome of an ALLOW; the first one stands. @throws GateError INVALID_INPUT or STORE_UNAVAILABLE. */
export async function recordOutcome(
  setup: GateSetup,
  allow: Allow,
  note: OutcomeNote,
): Promise<OutcomeReceipt> {
  const hash = hashOfAllow(allow);
  const { receipt } = allow;
  const draft = outcomeDraft(setup, receipt, hash, note);
  await setup.policies.follow(setup.clock());
  return closeAllow(setup, receipt.sequence_id, hash, (state) => {
    const key = argsKey(setup.saltKey, identityOf(state), receipt.nonce ?? "");
    if (!equalText(key, allow.args_key))
      throw new GateError("INVALID_INPUT", "args_key does not belong to this decision");
    return draft;
  });
}

/** A person ends the sequence; a second seal by a person is the first. @throws GateError NOT_OPENED, INVALID_INPUT or STORE_UNAVAILABLE. */
export async function sealSequence(
  setup: GateSetup,
  sequenceId: string,
  reason: string,
  by: string,
): Promise<SealReceipt> {
  if (typeof reason !== "string" || !/^[\x20-\x7e]{1,200}$/.test(reason))
    throw new GateError("INVALID_INPUT", "reason: 1 to 200 printable ASCII characters");
  if (!isIdentifier(by)) throw new GateError("INVALID_INPUT", "by: must be an identifier");
  await setup.policies.follow(setup.clock());
  return setup.ledger.transact(sequenceId, (state) => {
    if (state === undefined)
      throw new GateError("NOT_OPENED", `sequence '${sequenceId}' was not opened`);
    const { sealed } = state;
    if (sealed?.person)
      return {
        drafts: [],
        answer: async () => (await setup.ledger.record(sequenceId, sealed.seq)) as SealReceipt,
      };
    requirePlace(setup, state);
    return {
      drafts: [{ kind: "seal", sealed: true, by, reason }],
      answer: ([receipt]) => receipt as SealReceipt,
    };
  });
}

/**
 * Closes as `unknown` what a crash left open: this gate's own ALLOWs at once, another gate's only ten minutes after its
 * permit's end. Never guesses. Resolves to how many it closed.
 */
export async function closeAbandoned(setup: GateSetup): Promise<number> {
  let closed = 0;
  const allows = setup.store.openAllows()[Symbol.asyncIterator]();
  for (;;) {
    // Each in time: a store that hangs must not keep the gate from saying so.
    const { done, value: open } = await askStore(setup.deadlineMs, () => allows.next());
    if (done) return closed;
    if (open.gate_id !== setup.gateId && setup.clock() <= open.expires_ms + ABANDONED_AFTER_MS)
      continue;
    if (await closedNow(setup, open)) closed++;
  }
}

/** False where it cannot be closed now (a full sequence, a broken chain): that must not keep the gate from starting. */
async function closedNow(setup: GateSetup, open: OpenAllow): Promise<boolean> {
  try {
    await closeAllow(setup, open.sequence_id, open.hash, () => ({
      kind: "outcome",
      decision_hash: open.hash,
      status: "unknown",
    }));
    return true;
  } catch (error) {
    if (GateError.isInstance(error)) return false;
    throw error;
  }
}

/** An ALLOW of another gate may lie beyond the state at hand: then the head is read before it is said to be unknown. */
async function closeAllow(
  setup: GateSetup,
  sequenceId: string,
  hash: string,
  draft: (state: SequenceState) => Draft,
): Promise<OutcomeReceipt> {
  const close = (fresh: boolean): Promise<OutcomeReceipt | undefined> =>
    setup.ledger.transact(sequenceId, (state) => planClose(setup, state, hash, draft), { fresh });
  const closed = (await close(false)) ?? (await close(true));
  if (closed === undefined) throw new GateError("INVALID_INPUT", "this log holds no such ALLOW");
  return closed;
}

function planClose(
  setup: GateSetup,
  state: SequenceState | undefined,
  hash: string,
  draft: (state: SequenceState) => Draft,
): Plan<OutcomeReceipt | undefined> {
  const allow = state?.allows.get(hash);
  if (state === undefined || allow === undefined) return { drafts: [], answer: () => undefined };
  const made = draft(state);
  const { outcome } = allow;
  if (outcome !== undefined) {
    const { sequence_id } = state.opened;
    return {
      drafts: [],
      answer: async () => (await setup.ledger.record(sequence_id, outcome.seq)) as OutcomeReceipt,
    };
  }
  requirePlace(setup, state);
  return { drafts: [made], answer: ([receipt]) => receipt as OutcomeReceipt };
}

function hashOfAllow(allow: Allow): string {
  if (
    allow?.decision !== "ALLOW" ||
    typeof allow.args_key !== "string" ||
    allow.receipt?.kind !== "decision"
  ) {
    throw new GateError("INVALID_INPUT", "an outcome needs the ALLOW that it closes");
  }
  return recordHash(allow.receipt);
}

function outcomeDraft(
  setup: GateSetup,
  receipt: DecisionReceipt,
  hash: string,
  note: OutcomeNote,
): Draft {
  if (typeof note !== "object" || note === null)
    throw new GateError("INVALID_INPUT", "an outcome needs a note with its status");
  const { status, duration_ms } = note;
  if (!STATUSES.has(status))
    throw new GateError("INVALID_INPUT", "status: succeeded, failed, interrupted or unknown");
  if (duration_ms !== undefined && !(Number.isSafeInteger(duration_ms) && duration_ms >= 0)) {
    throw new GateError("INVALID_INPUT", "duration_ms: whole milliseconds");
  }
  const result = resultText(note.result);
  return {
    kind: "outcome",
    decision_hash: hash,
    status,
    ...(result === undefined
      ? {}
      : { result_digest: resultDigest(setup.saltKey, receipt, receipt.nonce ?? "", result) }),
    ...(duration_ms === undefined ? {} : { duration_ms }),
  };
}

/** The canonical text of a result; a result that is no JSON, or too large, has no digest. */
function resultText(result: unknown): string | undefined {
  if (result === undefined) return undefined;
  try {
    return canonicalize(result, ARGS_LIMITS);
  } catch {
    // Not JSON, too large, or a getter of its own threw: what the action did is recorded all the same.
    return undefined;
  }
}

function identityOf(state: SequenceState): {
  readonly log_id: string;
  readonly tenant: string | undefined;
  readonly sequence_id: string;
} {
  const { log_id, tenant, sequence_id } = state.opened;
  return { log_id, tenant, sequence_id };
}

function requirePlace(setup: GateSetup, state: SequenceState): void {
  if (state.head.seq + 1 >= setup.maxRecords)
    throw new GateError("OVERLOADED", "the sequence takes no more records");
}
