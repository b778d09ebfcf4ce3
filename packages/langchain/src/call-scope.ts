/** What rooms know of a call that is under way, carried by AsyncLocalStorage and by LangChain's run ids. */
import { AsyncLocalStorage } from "node:async_hooks";
import { callIdOf } from "./call-nonce.ts";

/** Set by the middleware around a call, and marked by the wrapper that decides it. */
interface Awaited {
  readonly toolCall: object;
  decided: boolean;
}

/** A tool run that a callback handler watches. */
interface Watched {
  watchers: number;
  decided: boolean;
}

const awaited = new AsyncLocalStorage<Awaited>();
const running = new AsyncLocalStorage<object | undefined>();
const watched = new Map<string, Watched>();

/** Runs `call` and tells it, whenever it asks, whether a decision was made for this tool call meanwhile. */
export function awaitDecision<T>(toolCall: object, call: (decided: () => boolean) => T): T {
  const outer = awaited.getStore();
  // Of two middlewares around one call, a decision answers both.
  const mark = outer?.toolCall === toolCall ? outer : { toolCall, decided: false };
  return awaited.run(mark, () => call(() => mark.decided));
}

/** A wrapper decided a call, allowed or not. */
export function markDecided(toolCallId: string | undefined, runId: unknown): void {
  const mark = awaited.getStore();
  if (mark !== undefined && callIdOf(mark.toolCall) === toolCallId) mark.decided = true;
  const run = typeof runId === "string" ? watched.get(runId) : undefined;
  if (run !== undefined) run.decided = true;
}

/** Runs one entry into an action whose call came as this `toolCall` object. */
export function insideCall<T>(toolCall: unknown, enter: () => T): T {
  return running.run(isObject(toolCall) ? toolCall : undefined, enter);
}

/**
 * True for a call that a gated tool makes with its own configuration: LangChain hands the outer call's `toolCall` on, but
 * it is not this call's id. An outer call that comes back is another entry, not a call inside.
 */
export function isInherited(toolCall: unknown): boolean {
  return isObject(toolCall) && running.getStore() === toolCall;
}

/** A callback handler begins to watch a tool run. */
export function watchRun(runId: string): void {
  const run = watched.get(runId) ?? { watchers: 0, decided: false };
  watched.set(runId, { ...run, watchers: run.watchers + 1 });
}

/** A watched run ended: whether it was decided, or `undefined` where nobody watched its start. */
export function endRun(runId: string): boolean | undefined {
  const run = watched.get(runId);
  if (run === undefined) return undefined;
  run.watchers -= 1;
  if (run.watchers === 0) watched.delete(runId);
  return run.decided;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
