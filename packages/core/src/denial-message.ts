/** One sentence for a model or a person: what failed and what would be admissible. Never argument values or secrets. */
import type { CompiledPolicy } from "./compiled-policy.ts";
import type { Refusal } from "./decide.ts";
import { stepsAfter } from "./decide.ts";
import type { CallMembers } from "./receipt.ts";
import type { SequenceState } from "./sequence-state.ts";

/** Says why a call was refused; also for a recorded refusal that is answered again. */
export function denialMessage(
  refusal: Refusal,
  call: CallMembers,
  policy: CompiledPolicy | undefined,
  state: SequenceState | undefined,
): string {
  const name = call.tool ?? call.function ?? "this call";
  switch (refusal.code) {
    case "STALE_TIMESTAMP":
      return `the request's time is more than ${seconds(policy?.freshnessMs)} from the gate's clock.`;
    case "REPLAY_NONCE":
      return "this nonce was used before in this sequence; a call is decided once.";
    case "SEALED_SEQUENCE":
      return "the sequence is sealed; nothing more is admissible in it.";
    case "NO_POLICY_MATCH":
      return noMatch(refusal.rule, call, policy);
    case "SEQUENCE_VIOLATION":
      return `'${name}' is not admissible now; ${next(policy, state)}.`;
    case "ACTION_NOT_ALLOWED":
      return `'${call.function}' does not permit ${call.action_type}; ${permits(call, policy)}.`;
    case "POLICY_UNAVAILABLE":
      return "the policy that this sequence is pinned to is not available at this gate.";
    case "OVERLOADED":
      return "the sequence takes no more records now.";
    case "STORE_UNAVAILABLE":
      return "the receipt could not be made durable in time; it may or may not exist.";
    default:
      return `refused by ${refusal.rule}.`;
  }
}

function noMatch(rule: string, call: CallMembers, policy: CompiledPolicy | undefined): string {
  if (rule === "functions") return `the policy has no function '${call.function}'.`;
  if (rule !== "tools") return `'${call.function}' does not belong to step '${call.step}'.`;
  if (call.tool !== undefined) return `the policy has no tool '${call.tool}'.`;
  const tools = [...(policy?.tools.values() ?? [])].filter(
    (tool) => tool.action === call.action_type && tool.functions.includes(call.function ?? ""),
  );
  return `${call.action_type} of '${call.function}' is requested by its tool: ${tools.map((tool) => tool.name).join(", ")}.`;
}

function next(policy: CompiledPolicy | undefined, state: SequenceState | undefined): string {
  const steps = policy === undefined || state === undefined ? [] : stepsAfter(policy, state);
  return steps.length === 0 ? "no step is" : `next: ${steps.join(", ")}`;
}

function permits(call: CallMembers, policy: CompiledPolicy | undefined): string {
  const actions = [...(policy?.functions.get(call.function ?? "")?.actions ?? [])];
  return actions.length === 0 ? "it permits nothing" : `it permits ${actions.join(", ")}`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "allowed" : ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`;
}
