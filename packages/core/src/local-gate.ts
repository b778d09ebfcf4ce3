/** The gate in this process: the thin shell. Read the head, decide, sign, append; only then may the action run. */
import { closeAbandoned, recordOutcome, sealSequence } from "./closing.ts";
import { approve } from "./approving.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { permittedTools } from "./decide.ts";
import { createDecide } from "./deciding.ts";
import { enforce } from "./enforce.ts";
import type { Gate, SequenceStatus } from "./gate.ts";
import { rotateKey } from "./gate-key.ts";
import { assemble, type GateParts, type GateSetup } from "./gate-parts.ts";
import { addContext, impliedOpening, openSequence, ownerOf } from "./opening.ts";
import type { PolicyStatus } from "./policy-book.ts";
import type { KeyReceipt, PolicyReceipt, Receipt } from "./receipt.ts";
import { stepsAfter } from "./sequence.ts";
import type { SequenceState } from "./sequence-state.ts";
import type { PublishedSigner } from "./signer.ts";

const PAGE = 1000;

/** A gate in this process, with what only its operator does. */
export interface LocalGate extends Gate {
  /** Names the log in every receipt, and in approvals. */
  readonly logId: string;
  policies(): readonly PolicyStatus[];
  /** Makes a policy, also an older one again, the active one of its id; a signed record of `@log`. Running sequences keep theirs. @throws TypeError unless it is compiled. */
  activate(policy: CompiledPolicy): Promise<PolicyReceipt>;
  /** Nothing is decided under this policy any more (POLICY_UNAVAILABLE); a signed record of `@log`. */
  withdraw(digest: string): Promise<PolicyReceipt>;
  /**
   * Signs with this key from now on; a record of `@log`, signed by the key so far and proven by the new one. Auditors
   * need the new public key too, from elsewhere: a receipt extends no trust.
   * @throws TypeError for what is no signer; GateError KEY_INVALID, INVALID_INPUT, or STORE_UNAVAILABLE: then try again.
   */
  rotateKey(next: PublishedSigner): Promise<KeyReceipt>;
}

/**
 * A gate from explicit parts. `openGate` of the package `stepgate` fills them in for a first program.
 *
 * @throws TypeError for missing or mistyped parts; GateError LOG_MISMATCH or STORE_UNAVAILABLE.
 * @example
 * const gate = await createGate({ policies: [policy], store: memoryStore(), signer: generateSigningKey(), saltKey: randomBytes(32) });
 */
export async function createGate(parts: GateParts): Promise<LocalGate> {
  const setup = await assemble(parts);
  await closeAbandoned(setup);
  const decide = createDecide(setup);
  const gate: LocalGate = {
    logId: setup.logId,
    policies: () => setup.policies.list(),
    activate: (policy) => setup.policies.activate(policy),
    withdraw: (digest) => setup.policies.withdraw(digest),
    rotateKey: (next) => rotateKey(setup, next),
    open: (opening) => openSequence(setup, opening),
    addContext: (sequenceId, context) => addContext(setup, sequenceId, context),
    decide,
    enforce: (input, action, options) => enforce(gate, input, action, options),
    outcome: (allow, note) => recordOutcome(setup, allow, note),
    approve: (approval) => approve(setup, approval),
    seal: (sequenceId, reason, by = "host") => sealSequence(setup, sequenceId, reason, by),
    state: (sequenceId) =>
      setup.ledger.transact(
        sequenceId,
        (state, now) => ({
          drafts: [],
          answer: () => statusOf(setup, sequenceId, state, now.record),
        }),
        // Freshly read: nothing is appended that would notice what another gate did meanwhile.
        { fresh: true },
      ),
    receipts: (sequenceId) => readChain(setup, sequenceId),
    close: () => setup.store.close(),
  };
  return Object.freeze(gate);
}

function statusOf(
  setup: GateSetup,
  sequenceId: string,
  known: SequenceState | undefined,
  ts_ms: number,
): SequenceStatus {
  const state =
    known ?? (setup.autoOpen ? impliedOpening(setup, sequenceId, {}, ts_ms)?.state : undefined);
  const policy = state === undefined ? undefined : setup.policies.pinned(state);
  const opened = known !== undefined;
  const owner = known === undefined ? {} : ownerOf(known.opened);
  if (state === undefined || policy === undefined)
    return { opened, ...owner, sealed: false, next_steps: [], permitted_tools: [], awaiting: [] };
  const sealed = state.sealed !== undefined || ts_ms - state.opened.ts_ms > policy.lifetimeMs;
  return {
    opened,
    ...owner,
    sealed,
    next_steps: sealed ? [] : stepsAfter(policy, state),
    permitted_tools: sealed ? [] : permittedTools(policy, state),
    awaiting: sealed ? [] : awaitingIn(state),
  };
}

/** APPROVAL_REQUIRED denials whose call was not allowed since. */
function awaitingIn(state: SequenceState): readonly string[] {
  return [...state.awaiting].filter(([, use]) => use.root === undefined).map(([hash]) => hash);
}

async function* readChain(setup: GateSetup, sequenceId: string): AsyncGenerator<Receipt> {
  for (let from = 0; ; from += PAGE) {
    const receipts = await setup.ledger.records(sequenceId, from, PAGE);
    yield* receipts;
    if (receipts.length < PAGE) return;
  }
}
