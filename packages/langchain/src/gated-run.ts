/** One call through the enforcement point: decide, run the tool only on ALLOW, record how it ended. */
import { performStream, type Decision, type JsonObject } from "@stepgate/core";
import { decideWithPeople, isBubbleUp } from "./asking-people.ts";
import type { FrameworkCall } from "./call-decision.ts";
import { callIdOf, member } from "./call-nonce.ts";
import { insideCall, isInherited, markDecided } from "./call-scope.ts";
import { deniedOutput, isRefusal } from "./denial.ts";
import type { GateCallOptions } from "./gate-options.ts";
import type { Implementation } from "./tool-implementation.ts";

/** What is needed of a tool to answer for it. */
export interface GatedTool {
  readonly name: string;
  readonly responseFormat: unknown;
}

/** An implementation that asks the gate first. What it returns and throws is the tool's own, or a denial. */
export function gateImplementation(
  tool: GatedTool,
  run: Implementation,
  options: GateCallOptions,
): Implementation {
  return async (input, runManager, config) => {
    const toolCall = member(config, "toolCall");
    const id = callIdOf(toolCall);
    const call: FrameworkCall = {
      tool: tool.name,
      config,
      ...(id === undefined || isInherited(toolCall) ? {} : { toolCallId: id }),
    };
    const decided = (): void => markDecided(call.toolCallId, member(runManager, "runId"));
    const decision = await decideWithPeople(options, call, asArgs(input), decided);
    if (isRefusal(decision)) return deniedOutput(decision, id, tool.name, tool.responseFormat);
    return runDecided(options, decision, config, (args) =>
      run(fromArgs(args, input), runManager, config),
    );
  };
}

type Events = AsyncGenerator<unknown, unknown>;
type Enter = <T>(step: () => T) => T;

/** Runs an action that may turn out to be a generator; then the outcome follows its end. */
async function runDecided(
  options: GateCallOptions,
  decision: Decision,
  config: unknown,
  action: (args: JsonObject) => unknown,
): Promise<unknown> {
  const signal = member(config, "signal");
  const watching = {
    interrupted: isBubbleUp,
    ...(signal instanceof AbortSignal ? { signal } : {}),
  };
  const run = (args: JsonObject): Events => eventsOf(() => action(args));
  const events = performStream(options.gate, decision, run, watching);
  // A generator runs in the context of each caller of `next()`.
  const enter: Enter = (step) => insideCall(member(config, "toolCall"), step);
  const first = await enter(() => events.next());
  return first.done ? first.value : begunBy(first, events, enter);
}

/** A generator whose first event was taken already, to see that it is one. */
function begunBy(first: IteratorResult<unknown, unknown>, events: Events, enter: Enter): Events {
  let taken: IteratorResult<unknown, unknown> | undefined = first;
  const begun: Events = {
    next: async () => {
      const step = taken ?? (await enter(() => events.next()));
      taken = undefined;
      return step;
    },
    return: (value) => enter(() => events.return(value)),
    throw: (error) => enter(() => events.throw(error)),
    [Symbol.asyncIterator]: () => begun,
    [Symbol.asyncDispose]: async () => void (await enter(() => events.return(undefined))),
  };
  return begun;
}

/** A tool's result as a stream: no events and a value, or the events of the generator that it returned. */
async function* eventsOf(run: () => unknown): Events {
  const result = await run();
  // LangChain takes for a generator whatever has a `next`.
  if (typeof member(result, "next") !== "function") return result;
  return yield* { [Symbol.asyncIterator]: () => result as AsyncIterator<unknown, unknown> };
}

/** The gate decides objects. A tool of one plain input has LangChain's own name for it. */
function asArgs(input: unknown): object {
  if (isRecord(input)) return input;
  return input === undefined ? {} : { input };
}

function fromArgs(args: JsonObject, input: unknown): unknown {
  return isRecord(input) ? args : args["input"];
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
