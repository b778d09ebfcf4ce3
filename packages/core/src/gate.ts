/** The `Gate` interface: the hinge of the house. Adapters take a `Gate`, never a store or a policy. */
import type { ActionInput } from "./action-request.ts";
import type { JsonObject } from "./canonical-json.ts";
import type { Allow, Decision } from "./decision.ts";
import type { Action, EnforceOptions } from "./enforce.ts";
import type { Approval } from "./approval.ts";
import type {
  ApprovalReceipt,
  ContextReceipt,
  OpenReceipt,
  OutcomeReceipt,
  OutcomeStatus,
  Receipt,
  SealReceipt,
} from "./receipt.ts";

/** What the application vouches for: the user's own words, an address book. Never tool output or quoted mail. */
export type Context = JsonObject;

/** Who the host says acts. Set by the host, never by the model. */
export interface Agent {
  readonly agent_id?: string;
  readonly tenant?: string;
}

/** Begins a sequence: one run of one policy. */
export interface Opening extends Agent {
  readonly sequence_id: string;
  /** Which active policy to pin; may be left out where the gate has only one. */
  readonly policy_id?: string;
  readonly context?: Context;
}

/** What became of an allowed action. */
export interface OutcomeNote {
  readonly status: OutcomeStatus;
  /** What the action returned; recorded as a keyed digest where it is JSON of at most 256 KiB, else left out. */
  readonly result?: unknown;
  readonly duration_ms?: number;
}

/** Where a sequence stands. */
export interface SequenceStatus extends Agent {
  /** Whether it was opened; then `agent_id` and `tenant` are its owner's. */
  readonly opened: boolean;
  readonly sealed: boolean;
  /** Steps that the order admits now. */
  readonly next_steps: readonly string[];
  /** Tools whose function and action type would pass the order and the map now; arguments aside. */
  readonly permitted_tools: readonly string[];
  /** Hashes of APPROVAL_REQUIRED denials that wait for a person. */
  readonly awaiting: readonly string[];
}

/**
 * Evaluates the contract before every action, in this process or behind HTTP; an adapter cannot tell the difference.
 *
 * `decide` never throws: whatever goes wrong is a DENY with a code. The other methods reject with a `GateError`.
 */
export interface Gate {
  /** Opens a sequence; idempotent for equal content. @throws GateError CONFLICT where it was opened with other content. */
  open(opening: Opening): Promise<OpenReceipt>;
  /** Adds trusted context on a further turn; members of the same name are replaced. Adding nothing new records nothing. */
  addContext(sequenceId: string, context: Context): Promise<OpenReceipt | ContextReceipt>;
  /** Decides; the receipt is durable before this resolves. Copies `args` before its first `await`. */
  decide(input: ActionInput): Promise<Decision>;
  /** Runs `action` on ALLOW with the decided arguments, and records its outcome. @throws DeniedError on DENY. */
  enforce<T>(input: ActionInput, action: Action<T>, options?: EnforceOptions): Promise<Awaited<T>>;
  /** Records what became of an ALLOW; the first note stands and is returned by every later one. */
  outcome(allow: Allow, note: OutcomeNote): Promise<OutcomeReceipt>;
  /** Checks a person's signed statement on an APPROVAL_REQUIRED denial and appends it; asking again then decides anew. */
  approve(approval: Approval): Promise<ApprovalReceipt>;
  /** A person ends the sequence: nothing further is allowed. */
  seal(sequenceId: string, reason: string, by?: string): Promise<SealReceipt>;
  state(sequenceId: string): Promise<SequenceStatus>;
  /** The sequence's chain, in order. */
  receipts(sequenceId: string): AsyncIterable<Receipt>;
  close(): Promise<void>;
}
