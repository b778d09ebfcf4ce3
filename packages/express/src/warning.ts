/** What an operator must learn and no client may: a process warning. */

/** Emits a `StepgateWarning` that names what happened and the error's message. */
export function warn(what: string, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  process.emitWarning(`${what}: ${reason}`, { type: "StepgateWarning" });
}
