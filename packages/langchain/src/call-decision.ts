/** One framework call to one question to the gate. Whatever goes wrong on the way is a DENY, and nothing runs. */
import {
  type ActionInput,
  type Agent,
  type Decision,
  type Deny,
  isDecision,
  refusal,
  warn,
} from "@stepgate/core";
import { callNonce, member } from "./call-nonce.ts";
import type { CallInfo, GateCallOptions } from "./gate-options.ts";

/** A call as LangChain hands it over: `config` is the run's configuration, a `ToolRuntime` where a ToolNode made it. */
export interface FrameworkCall {
  readonly tool: string;
  readonly config: unknown;
  /** The call's own id; absent for a direct call, and for one that only inherited the configuration of another. */
  readonly toolCallId?: string;
}

/**
 * What the gate is asked of a call; a denial where the host names no sequence (INVALID_REQUEST), or where an option's
 * function fails (GATE_UNAVAILABLE). Without a `nonce` the gate draws one, by which the call is not known again.
 */
export function readCall(
  options: GateCallOptions,
  call: FrameworkCall,
  args: object,
): ActionInput | Deny {
  try {
    return requestOf(options, call, args);
  } catch (error) {
    return unavailable(error);
  }
}

/** Asks the gate, which copies `args` before this returns its promise. Never rejects: a fault is GATE_UNAVAILABLE. */
export async function askGate(
  { gate }: Pick<GateCallOptions, "gate">,
  request: ActionInput,
): Promise<Decision> {
  try {
    const answer: unknown = await gate.decide(request);
    // INVARIANT: an action runs only on a value that passed here, so an unknown shape is never an ALLOW.
    return isDecision(answer) ? answer : unavailable("an answer that is no decision");
  } catch (error) {
    return unavailable(error);
  }
}

/** The sequence and the agent that an option names for a call; `undefined` where there is no sequence. */
export function sequenceOf(
  options: GateCallOptions,
  call: CallInfo,
): { readonly sequence_id: string; readonly agent: Agent } | undefined {
  const { sequenceId = (info: CallInfo): string | undefined => info.threadId, agent } = options;
  const sequence_id = sequenceId(call);
  if (sequence_id === undefined) return undefined;
  const who = (typeof agent === "function" ? agent(call) : agent) ?? {};
  return {
    sequence_id,
    agent: {
      ...(who.agent_id === undefined ? {} : { agent_id: who.agent_id }),
      ...(who.tenant === undefined ? {} : { tenant: who.tenant }),
    },
  };
}

/** What options' functions are told. */
export function callInfo(call: FrameworkCall): CallInfo {
  const threadId = member(member(call.config, "configurable"), "thread_id");
  return {
    tool: call.tool,
    ...(call.toolCallId === undefined ? {} : { toolCallId: call.toolCallId }),
    ...(typeof threadId === "string" ? { threadId } : {}),
    context: member(call.config, "context"),
  };
}

function requestOf(
  options: GateCallOptions,
  call: FrameworkCall,
  args: object,
): ActionInput | Deny {
  const info = callInfo(call);
  const sequence = sequenceOf(options, info);
  if (sequence === undefined)
    return refusal("INVALID_REQUEST", "there is no sequence for this call.", "request.sequence_id");
  const nonce = options.nonce?.(info) ?? callNonce(call.toolCallId, stateOf(call.config));
  return {
    sequence_id: sequence.sequence_id,
    tool: call.tool,
    args,
    ...sequence.agent,
    ...(nonce === undefined ? {} : { nonce }),
  };
}

/** The graph's state at this task: what a ToolNode passes, else what LangGraph gave to the node that called the tool. */
function stateOf(config: unknown): unknown {
  return (
    member(config, "state") ??
    member(member(member(config, "configurable"), "__pregel_scratchpad"), "currentTaskInput")
  );
}

/** For the operator; the model is told no more than the code. */
export function warnOf(consequence: string, cause: unknown): void {
  warn(`${consequence}: the gate, or a function of its options, failed`, cause);
}

function unavailable(cause: unknown): Deny {
  warnOf("a call was denied", cause);
  return refusal("GATE_UNAVAILABLE", "the gate could not decide.");
}
