/** How a tool is implemented, or why no wrapper can hold it. */
import { Runnable } from "@langchain/core/runnables";
import {
  type ClientTool,
  DynamicStructuredTool,
  DynamicTool,
  StructuredTool,
  Tool,
} from "@langchain/core/tools";
import { member } from "./call-nonce.ts";

/** LangChain's two doors into a tool: `_call` from its own methods, `func` from outside. Both take these. */
export type Implementation = (input: unknown, runManager?: unknown, config?: unknown) => unknown;

/** A tool whose every door is known. */
export interface HeldTool {
  readonly name: string;
  readonly call: Implementation;
  /** Absent for a subclass that implements `_call` alone. */
  readonly func?: Implementation;
}

/** What runs a tool besides `_call` and `func`; one that is overridden need not come through either. */
const RUNNERS = [
  "invoke",
  "batch",
  "stream",
  "_streamIterator",
  "transform",
  "streamEvents",
] as const;
const CALLS: ReadonlySet<unknown> = new Set([
  StructuredTool.prototype.call,
  Tool.prototype.call,
  DynamicTool.prototype.call,
  DynamicStructuredTool.prototype.call,
]);
const STOCK: ReadonlySet<unknown> = new Set([
  member(DynamicTool.prototype, "_call"),
  member(DynamicStructuredTool.prototype, "_call"),
]);

/** The doors of `tool`, bound to it, or the reason in words why it cannot be gated. */
export function implementationOf(tool: ClientTool): HeldTool | string {
  const fault = faultOf(tool);
  if (fault !== undefined) return fault;
  const call: unknown = member(tool, "_call");
  const func: unknown = member(tool, "func");
  if (typeof call !== "function") return "it has no '_call'";
  const bound = typeof func === "function" ? bind(func, tool) : undefined;
  if (bound === undefined) return { name: tool.name, call: bind(call, tool) };
  // LangChain's own `_call` only calls `this.func`: past it, a hardened `func` is not met on the way.
  return { name: tool.name, call: STOCK.has(call) ? bound : bind(call, tool), func: bound };
}

/** True where `_call` is the tool's own although it has a `func`: hardening both would decide one call twice. */
export function callsOwnFunc(tool: ClientTool): boolean {
  return typeof member(tool, "func") === "function" && !STOCK.has(member(tool, "_call"));
}

/** What to call something in an error that may be no tool at all. */
export function labelOf(tool: unknown): string {
  const name = member(tool, "name") ?? member(tool, "type");
  return typeof name === "string" ? `'${name}'` : typeof tool;
}

function faultOf(tool: unknown): string | undefined {
  if (typeof member(tool, "name") !== "string")
    return "it is no LangChain tool; a tool that runs at the provider cannot be gated";
  if (typeof member(tool, "_call") !== "function") {
    return Runnable.isRunnable(tool)
      ? "a runnable made a tool with asTool() can be run past any wrapper; make it a tool with tool()"
      : "it has no '_call': it runs at the provider, or nowhere";
  }
  const overridden = RUNNERS.find(
    (runner) => member(tool, runner) !== member(StructuredTool.prototype, runner),
  );
  if (overridden !== undefined)
    return `it overrides '${overridden}', which could run it past '_call' (or it comes from another copy of @langchain/core)`;
  if (!CALLS.has(member(tool, "call")))
    return "it overrides 'call', which could run it past '_call'";
  return undefined;
}

/** With the original as `this`, so that private fields and the tool's own state work. */
function bind(implementation: Function, tool: object): Implementation {
  return (...args): unknown => Reflect.apply(implementation, tool, args);
}
