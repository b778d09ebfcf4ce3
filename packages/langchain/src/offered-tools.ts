/** Which tools the model is offered: advice to the model, never enforcement. */
import { Runnable } from "@langchain/core/runnables";
import type { ClientTool } from "@langchain/core/tools";
import type { AgentMiddleware } from "langchain";
import { callInfo, sequenceOf, warnOf } from "./call-decision.ts";
import type { GateMiddlewareOptions } from "./gate-options.ts";

type ModelRequest = Parameters<NonNullable<AgentMiddleware["wrapModelCall"]>>[0];
type Offered = ModelRequest["tools"];

/** The request's tools without those that run at the provider and, for `offer: "permitted"`, without those not admissible now. */
export async function offeredTools(
  options: GateMiddlewareOptions,
  { tools, runtime }: ModelRequest,
): Promise<Offered> {
  const reachable = options.serverTools === "keep" ? tools : tools.filter(isClientTool);
  if (options.offer !== "permitted") return reachable;
  const permitted = await permittedTools(options, runtime);
  return reachable.filter((tool) => !isClientTool(tool) || permitted.has(tool.name));
}

/** Nothing is permitted where there is no sequence, or the gate cannot say: its decisions would be denials. */
async function permittedTools(
  options: GateMiddlewareOptions,
  runtime: ModelRequest["runtime"],
): Promise<ReadonlySet<string>> {
  try {
    const sequence = sequenceOf(options, callInfo({ tool: "", config: runtime }));
    return new Set(
      sequence === undefined
        ? []
        : (await options.gate.state(sequence.sequence_id)).permitted_tools,
    );
  } catch (error) {
    warnOf("no tool was offered", error);
    return new Set();
  }
}

/** LangChain's own test for what it runs itself. */
function isClientTool(tool: Offered[number]): tool is ClientTool {
  return Runnable.isRunnable(tool);
}
