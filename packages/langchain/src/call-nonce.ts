/** The nonce of a tool call: one that it keeps when LangGraph comes back to it, and that no other call has. */
import { toNonce } from "@stepgate/core";

/**
 * `<message id>:<tool-call id>`, with the id of the AI message that carries the call; the call id alone where no such
 * message is known; `sha256:` and hex of that where it is outside the grammar. `undefined` for a call without an id.
 *
 * The message id is the same on resume and on time travel; LangGraph's run and task ids are not, and call ids alone
 * repeat with some providers. It comes from messages, which tools can write: it only tells calls apart, and another
 * nonce is another decision, never a right to run.
 */
export function callNonce(toolCallId: string | undefined, state: unknown): string | undefined {
  if (toolCallId === undefined) return undefined;
  const message = carrierOf(toolCallId, state);
  return toNonce(message === undefined ? toolCallId : `${message}:${toolCallId}`);
}

/** The id of the last message that carries the call; with repeated bare ids, the last is the one that runs. */
function carrierOf(toolCallId: string, state: unknown): string | undefined {
  const messages = Array.isArray(state) ? state : member(state, "messages");
  if (!Array.isArray(messages)) return undefined;
  const carrier: unknown = messages.findLast((message: unknown) => {
    const calls = member(message, "tool_calls");
    return Array.isArray(calls) && calls.some((call: unknown) => member(call, "id") === toolCallId);
  });
  const id = member(carrier, "id");
  return typeof id === "string" ? id : undefined;
}

/** The id of a tool call, where the provider gave one. */
export function callIdOf(toolCall: unknown): string | undefined {
  const id = member(toolCall, "id");
  return typeof id === "string" && id !== "" ? id : undefined;
}

/** A member of a value of which nothing is known. */
export function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
