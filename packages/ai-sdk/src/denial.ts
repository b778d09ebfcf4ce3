/** Denials as this adapter reads and makes them. */
import { DeniedError, type Deny, refusal, warn } from "@stepgate/core";

/**
 * The denial inside an error, with its receipt; `undefined` for every other error.
 *
 * @example
 * for (const part of result.content) if (part.type === "tool-error") console.log(denialOf(part.error)?.receipt);
 */
export function denialOf(error: unknown): Deny | undefined {
  return DeniedError.isInstance(error) ? error.decision : undefined;
}

/** What stands in for an answer that never came. The cause goes to the operator, not to the model. */
export function unavailable(cause: unknown): Deny {
  warn("the gate could not be asked, the call was denied", cause);
  return refusal("GATE_UNAVAILABLE", "The gate could not be asked; nothing ran.");
}

/** One sentence for a model or a person: the code, and what failed. */
export function reasonOf(deny: Deny): string {
  return `${deny.deny_code}: ${deny.message}`;
}
