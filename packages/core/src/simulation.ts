/**
 * Recorded or imagined calls through the gate's own engine, without store, keys and signatures: the same reading of
 * requests, the same `decide`, the same fold of an ALLOW. For what only wants to know the answers.
 */
import { isInvalid, readActionRequest } from "./action-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import type { Grounds } from "./conditions.ts";
import { movedCounters } from "./counters.ts";
import type { Decimal } from "./decimal.ts";
import { decide, type Verdict } from "./decide.ts";
import type { DenyCode } from "./decision.ts";
import type { Agent, Context } from "./gate.ts";
import { type KeptContexts, keptContexts } from "./kept-contexts.ts";
import { ownerOf } from "./opening.ts";
import { type OpenReceipt, RECEIPT_VERSION } from "./receipt.ts";
import { advance, openState, type SequenceState } from "./sequence-state.ts";

/** What the gate would answer. */
export type SimulatedDecision =
  | { readonly decision: "ALLOW" }
  | { readonly decision: "DENY"; readonly deny_code: DenyCode; readonly rule: string };

/** One sequence. Whatever is denied changes nothing, and the next call is decided as if it had not been made. */
export interface SimulatedSequence {
  /** Adds trusted context; members of the same name are replaced. @throws JsonError beyond a context's caps. */
  addContext(context: Context): void;
  /** Decides the next call: a request without nonce and times, for each call is one of its own. Never throws. */
  decide(call: object): SimulatedDecision;
}

/** Sequences side by side: limits by agent or tenant count over all of them. */
export interface Simulation {
  /** Begins a sequence under a policy; without one every call of it is POLICY_UNAVAILABLE. */
  open(policy: CompiledPolicy | undefined, owner?: Agent): SimulatedSequence;
}

/**
 * An empty simulation. There is no clock in it: nothing grows stale or old, and all calls lie in one window. Nobody
 * approves anything in it.
 *
 * @example
 * const run = createSimulation().open(policy);
 * run.decide({ sequence_id: "s", tool: "get_order", args: { order: 17 } }); // { decision: "ALLOW" }
 */
export function createSimulation(): Simulation {
  const shared: Shared = { counted: new Map(), contexts: keptContexts() };
  return { open: (policy, owner = {}) => openSimulated(policy, owner, shared) };
}

/** What sequences of one simulation have in common. */
interface Shared {
  readonly counted: Map<string, Decimal>;
  readonly contexts: KeptContexts;
}

function openSimulated(
  policy: CompiledPolicy | undefined,
  owner: Agent,
  { counted, contexts }: Shared,
): SimulatedSequence {
  const state = simulatedState(policy, owner);
  return {
    addContext: (added) => contexts.add(state, added),
    decide(call) {
      const request = readActionRequest(call, FILLING);
      if (isInvalid(request)) return invalid(request.member);
      if (request.agent_id !== owner.agent_id) return invalid("agent_id");
      if (request.tenant !== owner.tenant) return invalid("tenant");
      const input = { call: request.call, nonce: request.nonce, args_digest: "", ts_ms: NOW };
      const context = contexts.of(state);
      const grounds = { ...NO_GROUNDS, args: request.args, context, counted };
      return take(decide(policy, state, input, MOMENT, grounds), state, counted);
    },
  };
}

function take(
  verdict: Verdict,
  state: SequenceState,
  counted: Map<string, Decimal>,
): SimulatedDecision {
  const { refusal, call, seals, effects, counters } = verdict;
  if (refusal !== undefined) return deny(refusal.code, refusal.rule);
  const sealed = seals ? { sealed: true as const } : {};
  advance(state, { ...call, seq: 0, ...sealed, ...(effects && { effects }) }, "");
  const moved = counters.length === 0 ? [] : movedCounters(counters, (name) => counted.get(name));
  for (const [name, total] of moved ?? []) counted.set(name, total);
  return ALLOWED;
}

const NOW = 0;
const MOMENT = { clock: NOW, record: NOW };
/** Nonces are not looked at: each call has one of its own. */
const FILLING = { now: NOW, random: () => "simulated-simulated-si" };
const ALLOWED: SimulatedDecision = { decision: "ALLOW" };
/** No digest leaves the simulation, so a value stands for itself. */
const NO_GROUNDS: Pick<Grounds, "bindDigest" | "rolesOf"> = {
  bindDigest: (canonicalValue) => canonicalValue,
  rolesOf: () => [],
};

/**
 * There may be millions of sequences. INVARIANT: what only records change (nonces, attempts, outcomes, approvals) is one
 * empty map for all of them, since nothing here writes records; and so is the rest, where no conditions count.
 */
function simulatedState(policy: CompiledPolicy | undefined, owner: Agent): SequenceState {
  const { id = "", version = "", digest = "" } = policy ?? {};
  const opened: OpenReceipt = {
    ...OPENED,
    policy_id: id,
    policy_version: version,
    policy_digest: digest,
    ...ownerOf(owner),
  };
  const counts =
    policy !== undefined && hasConditions(policy)
      ? { binds: new Map(), totals: new Map(), calls: new Map() }
      : {};
  return { ...EMPTY, opened, policy, fired: [], ...counts };
}

const OPENED: OpenReceipt = {
  v: RECEIPT_VERSION,
  kind: "open",
  log_id: "simulation",
  gate_id: "simulation",
  sequence_id: "simulation",
  seq: 0,
  prev: "",
  ts_ms: NOW,
  mode: "enforce",
  policy_id: "",
  policy_version: "",
  policy_digest: "",
};
const EMPTY: SequenceState = openState(OPENED, "", undefined);

function hasConditions({ functions, tools }: CompiledPolicy): boolean {
  return [...functions.values(), ...tools.values()].some(
    ({ conditions }) => conditions !== undefined,
  );
}

function invalid(member: string): SimulatedDecision {
  return deny("INVALID_REQUEST", member === "" ? "request" : `request.${member}`);
}

function deny(deny_code: DenyCode, rule: string): SimulatedDecision {
  return { decision: "DENY", deny_code, rule };
}
