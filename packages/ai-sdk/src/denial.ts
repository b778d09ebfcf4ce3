/** Denials as this adapter reads and makes them. */
import { type Decision, DeniedError, type Deny, type DenyCode } from "@stepgate/core";

/**
 * The denial inside an error, with its receipt; `undefined` for every other error.
 *
 * @example
 * for (const part of result.content) if (part.type === "tool-error") console.log(denialOf(part.error)?.receipt);
 */
export function denialOf(error: unknown): Deny | undefined {
  return DeniedError.isInstance(error) ? error.decision : undefined;
}

/** A denial that this adapter says by itself, where no gate could be asked: nothing runs, and there is no receipt. */
export function denial(deny_code: DenyCode, message: string, rule?: string): Deny {
  return {
    decision: "DENY",
    proceed: false,
    deny_code,
    message,
    ...(rule === undefined ? {} : { rule }),
  };
}

/** What stands in for an answer that never came. The cause goes to the operator, not to the model. */
export function unavailable(cause: unknown): Deny {
  warn("the gate could not be asked, the call was denied", cause);
  return denial("GATE_UNAVAILABLE", "The gate could not be asked; nothing ran.");
}

/** One sentence for a model or a person: the code, and what failed. */
export function reasonOf(deny: Deny): string {
  return `${deny.deny_code}: ${deny.message}`;
}

/** True only for an answer that a gate can give; everything else counts as no answer. */
export function isDecision(value: unknown): value is Decision {
  if (!isObject(value)) return false;
  const { decision, proceed, args, receipt, deny_code, message } = value;
  if (decision === "ALLOW") return proceed === true && isObject(args) && isObject(receipt);
  return (
    decision === "DENY" &&
    typeof proceed === "boolean" &&
    typeof deny_code === "string" &&
    typeof message === "string"
  );
}

/** Tells the operator what must not reach the model. */
export function warn(what: string, cause: unknown): void {
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  process.emitWarning(`${what}: ${reason}`, { type: "StepgateWarning" });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
