/** Gathers what checks 7 to 9 judge by: the decided arguments, the trusted context, counters, approvers' roles. */
import type { ActionRequest, CallForm } from "./action-request.ts";
import { type Json, type JsonObject, setMember } from "./canonical-json.ts";
import type { CompiledConditions, CompiledPolicy } from "./compiled-policy.ts";
import { countersOf, type Grounds } from "./conditions.ts";
import { bindDigester, contextDigest } from "./digest.ts";
import { GateError } from "./errors.ts";
import type { GateSetup } from "./gate-parts.ts";
import type { Now } from "./ledger.ts";
import { conditionsOf, type SequenceState } from "./sequence-state.ts";
import { rolesAt } from "./key-set.ts";
import { parseStrictJson } from "./strict-json.ts";

/** Contexts by the state that they belong to; gathered anew when the host added one. */
const contexts = new WeakMap<
  SequenceState,
  { readonly count: number; readonly value: JsonObject }
>();

/** Reads what this call's conditions need; a call without conditions reads nothing. */
export async function gatherGrounds(
  setup: GateSetup,
  policy: CompiledPolicy | undefined,
  state: SequenceState,
  request: ActionRequest,
  now: Now,
): Promise<Grounds> {
  const conditions = policy === undefined ? [] : possibleConditions(policy, request.call);
  const counters = countersOf(conditions, state, now.clock);
  return {
    args: request.args,
    context: conditions.length === 0 ? NO_CONTEXT : await contextOf(setup, state),
    counted: counters.length === 0 ? NOTHING_COUNTED : await setup.store.counters(counters),
    bindDigest: bindDigester(setup.saltKey, state.opened),
    rolesOf: (keyId) => rolesAt(setup.approvers, keyId, now.record),
  };
}

const NO_CONTEXT: JsonObject = {};
const NOTHING_COUNTED: ReadonlyMap<string, string> = new Map();

/** Conditions of every function that the call may turn out to stand for: which one it is the decision finds. */
function possibleConditions(policy: CompiledPolicy, call: CallForm): readonly CompiledConditions[] {
  if (call.tool === undefined) return conditionsOf(policy, call);
  const [first, ...others] = policy.tools.get(call.tool)?.functions ?? [];
  const rest = others.flatMap((name) => policy.functions.get(name)?.conditions ?? []);
  return [...conditionsOf(policy, { tool: call.tool, function: first ?? "" }), ...rest];
}

/** The trusted context: members of a later one replace earlier ones of the same name. */
async function contextOf(setup: GateSetup, state: SequenceState): Promise<JsonObject> {
  const known = contexts.get(state);
  if (known?.count === state.contexts.length) return known.value;
  const merged: Record<string, Json> = {};
  for (const digest of state.contexts) {
    const text = await setup.store.document(digest);
    // Records bear signatures; what a context says hangs on its digest alone.
    if (text === undefined || contextDigest(setup.saltKey, state.opened, text) !== digest)
      throw new GateError("STORE_UNAVAILABLE", "the store has not the context that it took");
    const added = parseStrictJson(text) as JsonObject;
    for (const [name, value] of Object.entries(added)) setMember(merged, name, value);
  }
  contexts.set(state, { count: state.contexts.length, value: merged });
  return merged;
}
