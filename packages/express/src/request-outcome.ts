/** What became of an allowed request, by its response: recorded once, when it was answered or the client had gone. */
import { type Allow, type OutcomeNote, type OutcomeStatus, warn } from "@stepgate/core";
import type { Response } from "express";
import type { GuardOptions } from "./guard-options.ts";

/** Records the outcome on `finish`, or as `unknown` on a `close` that comes first; whichever it is, once. */
export function recordWhenAnswered<A>(options: GuardOptions<A>, allow: Allow, res: Response): void {
  const started = performance.now();
  const settle = async (find: () => Promise<OutcomeStatus>): Promise<void> => {
    res.off("finish", answered).off("close", gone);
    const duration_ms = Math.max(0, Math.round(performance.now() - started));
    await recordOutcome(options, allow, { status: await find(), duration_ms });
  };
  const answered = (): void => void settle(() => statusOf(options, res));
  // The handler may have done everything, something or nothing: nobody can say.
  const gone = (): void => void settle(() => Promise.resolve("unknown"));
  res.once("finish", answered).once("close", gone);
}

/** Never rejects: an outcome that cannot be written is told to `onOutcomeError`, and leaves the ALLOW open. */
export async function recordOutcome<A>(
  options: GuardOptions<A>,
  allow: Allow,
  note: OutcomeNote,
): Promise<void> {
  try {
    await options.gate.outcome(allow, note);
  } catch (error) {
    await tell(options, error);
  }
}

async function statusOf<A>(options: GuardOptions<A>, res: Response): Promise<OutcomeStatus> {
  if (options.outcome === undefined) return res.statusCode < 400 ? "succeeded" : "failed";
  try {
    return options.outcome(res);
  } catch (error) {
    await tell(options, error);
    return "unknown";
  }
}

async function tell<A>(options: GuardOptions<A>, error: unknown): Promise<void> {
  try {
    if (options.onOutcomeError === undefined)
      warn("an outcome could not be recorded, its ALLOW stays open", error);
    // An async function passes for one that returns nothing: its rejection must not end the process.
    else await options.onOutcomeError(error);
  } catch (second) {
    warn("onOutcomeError threw", second);
  }
}
