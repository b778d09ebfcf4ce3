/** One gated tool: a clone whose `execute` decides first. Everything else about the tool stays as it was. */
import { perform, performStream, type EnforceOptions } from "@stepgate/core";
import type { Experimental_ToolCallerTool, Tool, ToolExecutionOptions, ToolSet } from "ai";
import type { DecisionPoint } from "./call-decision.ts";
import type { ToolGate } from "./options.ts";

/** Marks gated tools and their `execute`, across copies of this package and of the tool. */
const GATED = Symbol.for("stepgate.ai-sdk.gated");
/** The SDK's own mark of `toolSearch()`, whose `execute` it replaces at every step. */
const TOOL_SEARCH = Symbol.for("vercel.ai.toolSearch");

/** A tool, or a member of a set: with exact optional properties the SDK's two types are not each other's. */
export type AnyTool = Tool | ToolSet[string];

/** True for a gated tool, and for a copy that still has the gated `execute`. */
export function isGated(tool: AnyTool): boolean {
  return GATED in tool || (typeof tool.execute === "function" && GATED in tool.execute);
}

/** True for the SDK's `toolSearch()`: it runs inside the SDK, not in an `execute` of its own. */
export function isToolSearch(tool: AnyTool): boolean {
  return (tool as { readonly [mark: symbol]: unknown })[TOOL_SEARCH] === true;
}

/** True where the tool runs through an `execute` that a wrapper holds: its own, or that of the tools its caller binds. */
export function canGate(tool: AnyTool): boolean {
  if (isToolSearch(tool)) return false;
  return typeof tool.execute === "function" || localCaller(tool) !== undefined;
}

/**
 * Clones by property descriptors on the same prototype: a spread would drop the non-enumerable `experimental_toolCaller`,
 * and a derived object would lose its members in the SDK's own spreads. The tool itself is not changed.
 */
export function gateTool<TOOL extends AnyTool>(
  name: string,
  tool: TOOL,
  gate: ToolGate,
  point: DecisionPoint,
): TOOL {
  const { execute } = tool;
  const caller = localCaller(tool);
  return clone(tool, {
    [GATED]: { value: true },
    ...(typeof execute === "function" &&
      !isToolSearch(tool) && {
        execute: { value: mark(gatedExecute(name, tool, execute, gate, point)), enumerable: true },
      }),
    ...(caller && { experimental_toolCaller: { value: gatedCaller(name, caller, gate, point) } }),
  });
}

type Execute = NonNullable<Tool["execute"]>;
type LocalCaller = Extract<
  Experimental_ToolCallerTool["experimental_toolCaller"],
  { type: "local" }
>;

function localCaller(tool: AnyTool): LocalCaller | undefined {
  const caller = (tool as Partial<Experimental_ToolCallerTool>).experimental_toolCaller;
  return caller?.type === "local" ? caller : undefined;
}

/** A generator function stays one, so its preliminary results reach the stream; everything else becomes async. */
function gatedExecute(
  name: string,
  tool: AnyTool,
  execute: Execute,
  gate: ToolGate,
  point: DecisionPoint,
): Execute {
  // The original tool as `this`: private fields of a class live there.
  const run = (args: unknown, options: ToolExecutionOptions<unknown>): unknown =>
    Reflect.apply(execute, tool, [args, options]);
  const decide = (input: unknown, options: Partial<ToolExecutionOptions<unknown>> | undefined) =>
    point.decideNow({ tool: name, toolCallId: options?.toolCallId, input }, options?.abortSignal);

  if (isAsyncGeneratorFunction(execute)) {
    return async function* (input: unknown, options: ToolExecutionOptions<unknown>) {
      const decision = await decide(input, options);
      return yield* performStream(
        gate,
        decision,
        (args) => run(args, options) as AsyncIterable<unknown, unknown>,
        stopWith(options),
      );
    };
  }
  return async (input: unknown, options: ToolExecutionOptions<unknown>) => {
    const decision = await decide(input, options);
    return perform(gate, decision, (args) => drained(run(args, options)), stopWith(options));
  };
}

/** `bind` makes a new tool at every step: that one runs, so that one is gated. */
function gatedCaller(
  name: string,
  caller: LocalCaller,
  gate: ToolGate,
  point: DecisionPoint,
): LocalCaller {
  const bind: LocalCaller["bind"] = (tools) => {
    const bound = caller.bind(tools);
    return isGated(bound) ? bound : gateTool(name, bound, gate, point);
  };
  return clone(caller, { bind: { value: bind, enumerable: true } });
}

function clone<T extends object>(original: T, changes: PropertyDescriptorMap): T {
  const descriptors = { ...Object.getOwnPropertyDescriptors(original), ...changes };
  return Object.create(Object.getPrototypeOf(original), descriptors) as T;
}

function mark(execute: Execute): Execute {
  return Object.defineProperty(execute, GATED, { value: true });
}

function isAsyncGeneratorFunction(execute: Execute): boolean {
  return Object.prototype.toString.call(execute) === "[object AsyncGeneratorFunction]";
}

/** An iterable that no generator function announced: the SDK would take the promise around it for the result. */
async function drained(result: unknown): Promise<unknown> {
  if (!isAsyncIterable(result)) return result;
  let last: unknown;
  for await (const value of result) last = value;
  return last;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function stopWith(options: Partial<ToolExecutionOptions<unknown>> | undefined): EnforceOptions {
  return options?.abortSignal === undefined ? {} : { signal: options.abortSignal };
}
