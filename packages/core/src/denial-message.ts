/** One sentence for a model or a person: what failed and what would be admissible. Never argument values or secrets. */
import { neededApproval } from "./approval-request.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import type { Refusal } from "./decide.ts";
import type { CallMembers } from "./receipt.ts";
import { stepsAfter } from "./sequence.ts";
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
      return `'${name}' is not admissible now; ${heldBack(refusal.rule, policy) ?? next(policy, state)}.`;
    case "ACTION_NOT_ALLOWED":
      return notAllowed(refusal.rule, call, policy);
    case "ARGUMENT_VIOLATION":
      return `the arguments of '${name}' do not fit ${refusal.rule}.`;
    case "LIMIT_EXCEEDED":
      return `'${name}' would exceed ${refusal.rule}.`;
    case "APPROVAL_REQUIRED":
      return `'${name}' needs a person's approval: ${approvers(refusal.rule, call, policy)}.`;
    case "POLICY_ERROR":
      return `${refusal.rule} could not be evaluated for these arguments.`;
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

/** What a constraint asks for; nothing where it was the order that refused. */
function heldBack(rule: string, policy: CompiledPolicy | undefined): string | undefined {
  if (rule === "sequence") return undefined;
  const broken = policy?.constraints.find((_, index) => rule === `constraints.${index}`);
  if (broken === undefined) return `${rule} holds it back`;
  const { member, name } = broken.first;
  const when = broken.kind === "precedence" ? "only after" : "no more after";
  return `${when} ${member.replace("_", " ")} '${name}' (${rule})`;
}

function next(policy: CompiledPolicy | undefined, state: SequenceState | undefined): string {
  const steps = policy === undefined || state === undefined ? [] : stepsAfter(policy, state);
  return steps.length === 0 ? "no step is" : `next: ${steps.join(", ")}`;
}

function notAllowed(rule: string, call: CallMembers, policy: CompiledPolicy | undefined): string {
  if (rule.startsWith("functions."))
    return `'${call.function}' does not permit ${call.action_type}; ${permits(call, policy)}.`;
  return `${call.action_type} of '${call.function}' is refused by ${rule}.`;
}

function approvers(rule: string, call: CallMembers, policy: CompiledPolicy | undefined): string {
  const approval = policy === undefined ? undefined : neededApproval(policy, call, rule);
  return approval === undefined ? rule : `${approval.count} of ${[...approval.by].join(", ")}`;
}

function permits(call: CallMembers, policy: CompiledPolicy | undefined): string {
  const actions = [...(policy?.functions.get(call.function ?? "")?.actions ?? [])];
  return actions.length === 0 ? "it permits nothing" : `it permits ${actions.join(", ")}`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "allowed" : ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`;
}
