/** What an operator must learn, and no model and no client may: a process warning. */

/** Emits a `StepgateWarning` that says what happened, and why. */
export function warn(what: string, cause: unknown): void {
  const reason = cause instanceof Error ? cause.message : String(cause);
  process.emitWarning(`${what}: ${reason}`, { type: "StepgateWarning" });
}
