/** `gateTools`: puts the gate inside the `execute` of every tool of a set. */
import type { ToolSet } from "ai";
import { createDecisionPoint, type DecisionPoint } from "./call-decision.ts";
import { type AnyTool, canGate, gateTool, isGated } from "./gated-tool.ts";
import { type GateToolsOptions, type Options, readOptions } from "./options.ts";

/** What one `gateTools` call binds together. */
export interface GatedSet {
  readonly point: DecisionPoint;
  readonly names: ReadonlySet<string>;
  readonly clientTools: ReadonlySet<string>;
}

const sets = new WeakMap<object, GatedSet>();

/**
 * The same tools, each deciding before it runs: a denial is a `DeniedError`, so a `tool-error` for the model. Call it
 * once per request, since it binds a sequence; the result is frozen.
 *
 * @throws TypeError for a tool that cannot be gated or is gated already, and for missing or mistyped options.
 * @example
 * const tools = gateTools({ getOrder, refund }, { gate, sequenceId: runId });
 * await generateText({ model, prompt, tools, toolApproval: toolApproval(tools) });
 */
export function gateTools<TOOLS extends ToolSet>(
  tools: TOOLS,
  options: GateToolsOptions<TOOLS>,
): TOOLS {
  if (typeof tools !== "object" || tools === null || Array.isArray(tools))
    throw new TypeError("gateTools: tools must be an object of tools");
  const bound = readOptions(options);
  const entries: readonly (readonly [string, AnyTool])[] = Object.entries(tools);
  const stranger = [...bound.clientTools].find((name) => !Object.hasOwn(tools, name));
  if (stranger !== undefined)
    throw new TypeError(`gateTools: clientTools names '${stranger}', which is no tool of the set`);
  for (const [name, tool] of entries) {
    const fault = faultOf(name, tool, bound);
    if (fault !== undefined) throw new TypeError(`gateTools: '${name}' ${fault}`);
  }
  const point = createDecisionPoint(bound);
  // Every member is a clone of the member of the same name: the set keeps its type.
  const gated = Object.freeze(
    Object.fromEntries(
      entries.map(([name, tool]) => [name, gateTool(name, tool, bound.gate, point)]),
    ),
  ) as TOOLS;
  sets.set(gated, { point, names: new Set(Object.keys(gated)), clientTools: bound.clientTools });
  return gated;
}

/** The set behind the very object that `gateTools` returned. @throws TypeError for every other one, copies included. */
export function gatedSet(tools: ToolSet, caller: string): GatedSet {
  const set = sets.get(tools);
  if (set === undefined)
    throw new TypeError(
      `${caller}: takes the very object that gateTools returned, not a copy of it`,
    );
  return set;
}

function faultOf(name: string, tool: AnyTool, { clientTools }: Options): string | undefined {
  if (typeof tool !== "object" || tool === null) return "is no tool";
  if (isGated(tool)) return "is gated already";
  if (tool.type === "provider" && tool.isProviderExecuted)
    return "runs at the provider, where no gate can stand";
  if (canGate(tool))
    return clientTools.has(name) ? "has an execute, so it is no client tool" : undefined;
  if (clientTools.has(name)) return undefined;
  return "has no execute of its own that a gate could hold: list it in clientTools, where toolApproval guards it";
}
