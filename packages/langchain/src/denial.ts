/** What a denied call gives back: a message that the model reads, or an error where there is no call to answer. */
import { ToolMessage } from "@langchain/core/messages";
import { type Decision, DeniedError, type Deny } from "@stepgate/core";

/** True where nothing may run: a DENY outside shadow mode. */
export function isRefusal(decision: Decision): decision is Deny {
  return decision.decision === "DENY" && !decision.proceed;
}

/** `DENIED <code>: <message>` for the model; the decision and its receipt in the artifact, which no model is shown. */
export function denialMessage(decision: Deny, toolCallId: string, tool: string): ToolMessage {
  return new ToolMessage({
    status: "error",
    content: `DENIED ${decision.deny_code}: ${decision.message}`,
    tool_call_id: toolCallId,
    name: tool,
    artifact: { stepgate: decision },
  });
}

/**
 * The answer of a tool that was refused, in the form that its `responseFormat` asks for.
 *
 * @throws DeniedError where the call has no id that a message could answer.
 */
export function deniedOutput(
  decision: Deny,
  toolCallId: string | undefined,
  tool: string,
  responseFormat: unknown,
): unknown {
  if (toolCallId === undefined) throw new DeniedError(decision);
  const message = denialMessage(decision, toolCallId, tool);
  return responseFormat === "content_and_artifact" ? [message, undefined] : message;
}
