/** What the application vouches for, told to the gate before the agent's turn. */
import type { BaseMessage } from "@langchain/core/messages";
import type { InteropZodObject } from "@langchain/core/utils/types";
import { vouch } from "@stepgate/core";
import type { Runtime } from "langchain";
import { callInfo, sequenceOf } from "./call-decision.ts";
import type { GateMiddlewareOptions, TrustInput } from "./gate-options.ts";

/**
 * Opens the turn's sequence with trusted context, or adds it where the sequence is open. LangGraph comes here once a turn:
 * a resumed run goes on at its tools. A fault ends the run, for calls decided without this context are other decisions.
 */
export async function vouchForTurn<S extends InteropZodObject>(
  options: GateMiddlewareOptions<S>,
  trust: NonNullable<GateMiddlewareOptions<S>["trust"]>,
  messages: readonly BaseMessage[],
  runtime: Pick<Runtime, "configurable"> & { readonly context?: unknown },
): Promise<void> {
  const call = callInfo({ tool: "", config: runtime });
  const sequence = sequenceOf(options, call);
  // Without a sequence every call of this turn is denied.
  if (sequence === undefined) return;
  const { gate } = options;
  const { sequence_id, agent } = sequence;
  const { threadId } = call;
  // LangChain gives a middleware what the middleware's own `contextSchema` made of the run's context, so this is its type.
  const known = runtime.context as TrustInput<S>["context"];
  const context = await trust({
    context: known,
    messages,
    ...(threadId === undefined ? {} : { threadId }),
  });
  await vouch(gate, sequence_id, agent, context);
}
