/** Which calls a constraint or a `forbid` item means. */
import type { CallSelector, CompiledConstraint, CompiledForbid } from "./compiled-policy.ts";
import type { CallMembers } from "./receipt.ts";

/** True where the call has this function, step, action type or tool. */
export function selects(selector: CallSelector, call: CallMembers): boolean {
  return call[selector.member] === selector.name;
}

/** The index of the first constraint that refuses the call, or -1. `fired[i]`: the first half of constraint i was allowed before. */
export function brokenConstraint(
  constraints: readonly CompiledConstraint[],
  fired: readonly boolean[],
  call: CallMembers,
): number {
  return constraints.findIndex(
    ({ kind, second }, index) =>
      selects(second, call) && (kind === "never") === (fired[index] === true),
  );
}

/** The index of the first `forbid` item that names the call, or -1. All selectors that an item has must match. */
export function forbiddenBy(
  forbid: readonly CompiledForbid[],
  call: CallMembers,
  agentId: string | undefined,
): number {
  return forbid.findIndex(
    (item) =>
      has(item.actions, call.action_type) &&
      has(item.functions, call.function) &&
      has(item.steps, call.step) &&
      has(item.tools, call.tool) &&
      (item.agents === undefined || item.agents(agentId ?? "")),
  );
}

function has(set: ReadonlySet<string> | undefined, member: string | undefined): boolean {
  return set === undefined || (member !== undefined && set.has(member));
}
