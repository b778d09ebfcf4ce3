/** Enforcement over any `Gate`: decide, run the action only on ALLOW, with the arguments that were decided, record the outcome. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { ActionInput } from "./action-request.ts";
import type { JsonObject } from "./canonical-json.ts";
import type { Allow, Decision } from "./decision.ts";
import { DeniedError } from "./errors.ts";
import type { Gate, OutcomeNote } from "./gate.ts";
import { warn } from "./warning.ts";

/** What enforcing needs of a gate. */
export type Decider = Pick<Gate, "decide" | "outcome">;

/** How an enforcement point treats the action. */
export interface EnforceOptions {
  /** True for an error by which a framework leaves a call that it will enter again (an interrupt for a person). */
  readonly interrupted?: (error: unknown) => boolean;
  /** Looked at again between the ALLOW and the action: an aborted call does not run. */
  readonly signal?: AbortSignal;
  /** Told where an outcome could not be recorded; the ALLOW stays open. Default: a process warning. */
  readonly onOutcomeError?: (error: unknown) => void;
}

/** An action: gets the decided copy of the arguments. In shadow mode a denied action runs too, without an `allow`. */
export type Action<T> = (args: JsonObject, allow?: Allow) => T;

const running = new AsyncLocalStorage<Allow>();

/** The permit of the action that runs now, to be sent as `Stepgate-Permit`; `undefined` outside of one. */
export function currentPermit(): string | undefined {
  return running.getStore()?.permit;
}

/**
 * Decides, runs `action(args)` only on ALLOW (or in shadow mode), and records how it ended.
 *
 * @throws DeniedError on DENY; else whatever the action throws.
 * @example
 * await enforce(gate, { sequence_id: "order-17", tool: "refund", args: { amount: 20 } }, (args) => pay(args));
 */
export async function enforce<T>(
  gate: Decider,
  input: ActionInput,
  action: Action<T>,
  options: EnforceOptions = {},
): Promise<Awaited<T>> {
  return perform(gate, await gate.decide(input), action, options);
}

/** The second half of {@link enforce}, for an adapter that has its decision already. @throws DeniedError on DENY. */
export async function perform<T>(
  gate: Decider,
  decision: Decision,
  action: Action<T>,
  options: EnforceOptions = {},
): Promise<Awaited<T>> {
  const args = argsToRun(decision);
  await stopIfAborted(gate, decision, options);
  if (decision.decision !== "ALLOW") return await action(args);
  const started = performance.now();
  let result: Awaited<T>;
  try {
    result = await running.run(decision, () => action(args, decision));
  } catch (error) {
    const status = statusOf(error, options);
    await record(gate, decision, { status, duration_ms: since(started) }, options);
    throw error;
  }
  const note = { status: "succeeded", result, duration_ms: since(started) } as const;
  await record(gate, decision, note, options);
  return result;
}

/**
 * {@link perform} for an action that yields as it goes. The outcome follows the stream: `succeeded` at its end, `failed`
 * where it throws, `unknown` where the consumer leaves half way, `interrupted` where nobody begins. The generator's
 * return value is kept.
 */
export function performStream<T, R = void>(
  gate: Decider,
  decision: Decision,
  action: Action<Stream<T, R>>,
  options: EnforceOptions = {},
): AsyncGenerator<T, R> {
  const stream = streamed(gate, decision, action, options);
  let begun = false;
  const next = stream.next.bind(stream);
  const leave = stream.return.bind(stream);
  // A generator that was never entered runs none of its `finally` blocks, so that its ALLOW would stay open.
  return Object.assign(stream, {
    next(...given: [] | [unknown]) {
      begun = true;
      return next(...given);
    },
    async return(value: R | PromiseLike<R>) {
      if (!begun && decision.decision === "ALLOW")
        await record(gate, decision, { status: "interrupted" }, options);
      begun = true;
      return leave(value);
    },
  });
}

async function* streamed<T, R>(
  gate: Decider,
  decision: Decision,
  action: Action<Stream<T, R>>,
  options: EnforceOptions,
): AsyncGenerator<T, R> {
  const args = argsToRun(decision);
  await stopIfAborted(gate, decision, options);
  if (decision.decision !== "ALLOW") return yield* entered(action(args));
  const started = performance.now();
  let note: OutcomeNote = { status: "unknown" };
  try {
    let last: unknown;
    const stream = running.run(decision, () => action(args, decision));
    const result = yield* entered(stream, decision, (value) => (last = value));
    note = { status: "succeeded", result: result ?? last };
    return result;
  } catch (error) {
    note = { status: statusOf(error, options) };
    throw error;
  } finally {
    await record(gate, decision, { ...note, duration_ms: since(started) }, options);
  }
}

/** What a generator action returns. */
export type Stream<T, R = void> = AsyncIterable<T, R> | Iterable<T, R>;

/** Drives a stream so that each `next()` runs inside the action's context: a generator is entered again every time. */
async function* entered<T, R>(
  stream: Stream<T, R>,
  allow?: Allow,
  see?: (value: T) => void,
): AsyncGenerator<T, R> {
  const enter = <V>(step: () => V): V => (allow === undefined ? step() : running.run(allow, step));
  const iterator =
    Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]();
  let suspended = false;
  try {
    for (;;) {
      const step = await enter(() => iterator.next());
      if (step.done) return step.value;
      see?.(step.value);
      suspended = true;
      yield step.value;
      suspended = false;
    }
  } finally {
    // The consumer left while the action was suspended: let its `finally` blocks run.
    if (suspended) await enter(() => iterator.return?.());
  }
}

function argsToRun(decision: Decision): JsonObject {
  if (decision.decision === "ALLOW") return decision.args;
  if (decision.proceed && decision.args !== undefined) return decision.args;
  throw new DeniedError(decision);
}

async function stopIfAborted(
  gate: Decider,
  decision: Decision,
  options: EnforceOptions,
): Promise<void> {
  if (!options.signal?.aborted) return;
  if (decision.decision === "ALLOW")
    await record(gate, decision, { status: "interrupted" }, options);
  options.signal.throwIfAborted();
}

/** What an error says of the action. One that was aborted on its way may have done everything, something or nothing. */
function statusOf(error: unknown, options: EnforceOptions): "interrupted" | "failed" | "unknown" {
  try {
    if (options.interrupted?.(error)) return "interrupted";
    return options.signal?.aborted ? "unknown" : "failed";
  } catch {
    return "unknown";
  }
}

/** An outcome that cannot be written is warned of and leaves the ALLOW open; it never changes what the action did. */
async function record(
  gate: Decider,
  allow: Allow,
  note: OutcomeNote,
  options: EnforceOptions,
): Promise<void> {
  try {
    await gate.outcome(allow, note);
  } catch (error) {
    try {
      (options.onOutcomeError ?? warnOfOutcome)(error);
    } catch (second) {
      warnOfOutcome(second);
    }
  }
}

function warnOfOutcome(error: unknown): void {
  warn("an outcome could not be recorded, its ALLOW stays open", error);
}

function since(started: number): number {
  return Math.max(0, Math.round(performance.now() - started));
}
