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

/** Reads what this call's conditions need; a call without conditions reads nothing, and waits for nothing. */
export function gatherGrounds(
  setup: GateSetup,
  policy: CompiledPolicy | undefined,
  state: SequenceState,
  request: ActionRequest,
  now: Now,
): Grounds | Promise<Grounds> {
  const conditions = policy === undefined ? [] : possibleConditions(policy, request.call);
  const grounds = {
    args: request.args,
    context: NO_CONTEXT,
    counted: NOTHING_COUNTED,
    bindDigest: bindDigester(setup.saltKey, state.opened),
    rolesOf: (keyId: string) => rolesAt(setup.approvers, keyId, now.record),
  };
  return conditions.length === 0 ? grounds : gathered(setup, grounds, conditions, state, now);
}

async function gathered(
  setup: GateSetup,
  grounds: Grounds,
  conditions: readonly CompiledConditions[],
  state: SequenceState,
  now: Now,
): Promise<Grounds> {
  const counters = countersOf(conditions, state, now.clock);
  return {
    ...grounds,
    context: await contextOf(setup, state),
    counted: counters.length === 0 ? NOTHING_COUNTED : await setup.store.counters(counters),
  };
}

const NO_CONTEXT: JsonObject = {};
const NOTHING_COUNTED: ReadonlyMap<string, string> = new Map();

/** Conditions of every function that the call may turn out to stand for: which one it is the decision finds. */
function possibleConditions(policy: CompiledPolicy, call: CallForm): readonly CompiledConditions[] {
  if (call.tool === undefined) return conditionsOf(policy, call);
  const functions = policy.tools.get(call.tool)?.functions ?? [];
  const ofFirst = conditionsOf(policy, { tool: call.tool, function: functions[0] ?? "" });
  if (functions.length < 2) return ofFirst;
  const others = functions.slice(1);
  return [...ofFirst, ...others.flatMap((name) => policy.functions.get(name)?.conditions ?? [])];
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
