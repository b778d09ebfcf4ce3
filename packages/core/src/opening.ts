/** How a chain begins, and how the host adds to its trusted context. */
import { isIdentifier } from "./action-request.ts";
import { canonicalize, JsonError, type JsonLimits } from "./canonical-json.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { contextDigest } from "./digest.ts";
import { GateError } from "./errors.ts";
import type { Agent, Context, Opening } from "./gate.ts";
import { type GateSetup, RESERVED_PLACES } from "./gate-parts.ts";
import type { Plan } from "./ledger.ts";
import { type ContextReceipt, type OpenReceipt, RECEIPT_VERSION } from "./receipt.ts";
import type { Draft } from "./record-writer.ts";
import { openState, type SequenceState } from "./sequence-state.ts";
import type { StoredDocument } from "./store.ts";

/** Caps on a context. */
export const CONTEXT_LIMITS: JsonLimits = {
  bytes: 64 * 1024,
  depth: 16,
  keys: 10_000,
  safeIntegers: true,
};
const OPENING_MEMBERS: ReadonlySet<string> = new Set([
  "sequence_id",
  "policy_id",
  "context",
  "agent_id",
  "tenant",
]);

/** Opens a sequence. @throws GateError INVALID_INPUT, POLICY_UNAVAILABLE, CONFLICT or STORE_UNAVAILABLE. */
export async function openSequence(setup: GateSetup, given: Opening): Promise<OpenReceipt> {
  const opening = copyOf(given);
  const { sequence_id } = opening;
  const context =
    opening.context === undefined
      ? undefined
      : contextDocument(setup, sequence_id, opening, contextText(opening.context));
  await setup.policies.follow(setup.clock());
  return setup.ledger.transact(sequence_id, (state) => {
    if (state !== undefined) return standing(state, opening, context);
    const policy = setup.policies.active(opening.policy_id);
    if (policy === undefined)
      throw new GateError(
        "POLICY_UNAVAILABLE",
        `this gate has no active policy '${opening.policy_id ?? "(say which)"}'`,
      );
    return {
      drafts: [openDraft(setup, policy, opening, context?.digest)],
      documents: context === undefined ? [] : [context],
      answer: ([receipt]) => receipt as OpenReceipt,
    };
  });
}

/** The record that begins a chain: pins policy, mode, owner and context. */
function openDraft(
  setup: GateSetup,
  policy: CompiledPolicy,
  owner: Agent,
  context?: string,
): Extract<Draft, { readonly kind: "open" }> {
  return {
    kind: "open",
    mode: setup.mode,
    policy_id: policy.id,
    policy_version: policy.version,
    policy_digest: policy.digest,
    ...ownerOf(owner),
    ...(context === undefined ? {} : { context_digest: context }),
  };
}

/**
 * What the first request of a sequence meets where requests open sequences: the draft of the opening under the gate's
 * only active policy, and the state right after it. `undefined` where no single policy is active.
 */
export function impliedOpening(
  setup: GateSetup,
  sequence_id: string,
  owner: Agent,
  ts_ms: number,
): { readonly draft: Draft; readonly state: SequenceState } | undefined {
  const policy = setup.policies.active();
  if (policy === undefined) return undefined;
  const draft = openDraft(setup, policy, owner);
  const opened: OpenReceipt = {
    ...draft,
    v: RECEIPT_VERSION,
    log_id: setup.logId,
    gate_id: setup.gateId,
    sequence_id,
    seq: 0,
    prev: "",
    ts_ms,
  };
  return { draft, state: openState(opened, "", policy) };
}

/** Adds trusted context. What stands already is not recorded again. @throws GateError NOT_OPENED, INVALID_INPUT or STORE_UNAVAILABLE. */
export async function addContext(
  setup: GateSetup,
  sequenceId: string,
  context: Context,
): Promise<OpenReceipt | ContextReceipt> {
  const text = contextText(context);
  await setup.policies.follow(setup.clock());
  // Freshly read: another gate may have added since, and then the same content is news.
  return setup.ledger.transact(sequenceId, (state) => planContext(setup, sequenceId, state, text), {
    fresh: true,
  });
}

function planContext(
  setup: GateSetup,
  sequenceId: string,
  state: SequenceState | undefined,
  text: string,
): Plan<OpenReceipt | ContextReceipt> {
  if (state === undefined)
    throw new GateError("NOT_OPENED", `sequence '${sequenceId}' was not opened`);
  const kept = contextDocument(setup, sequenceId, state.opened, text);
  if (state.context.digest === kept.digest)
    return { drafts: [], answer: () => contextRecord(setup, state) };
  if (state.sealed !== undefined)
    throw new GateError("SEALED_SEQUENCE", `sequence '${sequenceId}' is sealed`);
  if (state.head.seq + 1 >= setup.maxRecords - RESERVED_PLACES)
    throw new GateError("OVERLOADED", "the sequence takes no more records");
  const owner = ownerOf(state.opened);
  return {
    drafts: [{ kind: "context", mode: setup.mode, context_digest: kept.digest, ...owner }],
    documents: [kept],
    answer: ([receipt]) => receipt as ContextReceipt,
  };
}

/** `agent_id` and `tenant` alone. */
export function ownerOf(owner: Agent): Agent {
  return {
    ...(owner.agent_id === undefined ? {} : { agent_id: owner.agent_id }),
    ...(owner.tenant === undefined ? {} : { tenant: owner.tenant }),
  };
}

/** Opened before: the same content gives the same record, other content is a conflict. */
function standing(
  state: SequenceState,
  opening: Opening,
  context: StoredDocument | undefined,
): Plan<OpenReceipt> {
  const { opened } = state;
  const differs =
    opened.agent_id !== opening.agent_id
      ? "agent_id"
      : opened.tenant !== opening.tenant
        ? "tenant"
        : opening.policy_id !== undefined && opened.policy_id !== opening.policy_id
          ? "policy_id"
          : opened.context_digest !== context?.digest
            ? "context"
            : undefined;
  if (differs !== undefined)
    throw new GateError(
      "CONFLICT",
      `sequence '${opening.sequence_id}' was opened with another ${differs}`,
    );
  return { drafts: [], answer: () => opened };
}

async function contextRecord(
  setup: GateSetup,
  state: SequenceState,
): Promise<OpenReceipt | ContextReceipt> {
  if (state.context.seq === 0) return state.opened;
  return (await setup.ledger.record(state.opened.sequence_id, state.context.seq)) as ContextReceipt;
}

/** The canonical text of a context, made before the first await. */
function contextText(context: Context): string {
  if (typeof context !== "object" || context === null || Array.isArray(context))
    throw invalid("context", "must be a JSON object");
  try {
    return canonicalize(context, CONTEXT_LIMITS);
  } catch (error) {
    if (error instanceof JsonError) throw invalid("context", error.message);
    throw error;
  }
}

function contextDocument(
  setup: GateSetup,
  sequence_id: string,
  owner: Agent,
  text: string,
): StoredDocument {
  const identity = { log_id: setup.logId, tenant: owner.tenant, sequence_id };
  return { digest: contextDigest(setup.saltKey, identity, text), text };
}

/** Copied before the first await, then checked: what the caller changes afterwards changes nothing. */
function copyOf(given: Opening): Opening {
  if (typeof given !== "object" || given === null) throw invalid("opening", "must be an object");
  const opening = { ...given };
  if (!isIdentifier(opening.sequence_id)) throw invalid("sequence_id", "must be an identifier");
  for (const name of ["policy_id", "agent_id", "tenant"] as const) {
    if (name in opening && !isIdentifier(opening[name]))
      throw invalid(name, "must be an identifier, or left out");
  }
  const unknown = Object.keys(opening).find((name) => !OPENING_MEMBERS.has(name));
  if (unknown !== undefined) throw invalid(unknown, "unknown member");
  return opening;
}

function invalid(member: string, reason: string): GateError {
  return new GateError("INVALID_INPUT", `${member}: ${reason}`);
}
