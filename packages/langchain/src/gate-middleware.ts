/** `gateMiddleware`: sees to it that every tool call of an agent meets a gated tool, and decides itself where none can be. */
import { ToolMessage } from "@langchain/core/messages";
import type { ClientTool } from "@langchain/core/tools";
import type { InteropZodObject } from "@langchain/core/utils/types";
import { DeniedError, GateError, perform } from "@stepgate/core";
import { type AgentMiddleware, createMiddleware, ToolInvocationError } from "langchain";
import { decideWithPeople, isBubbleUp } from "./asking-people.ts";
import { callIdOf, member } from "./call-nonce.ts";
import { awaitDecision } from "./call-scope.ts";
import { denialMessage, isRefusal } from "./denial.ts";
import {
  checkMiddlewareOptions,
  type GateCallOptions,
  type GateMiddlewareOptions,
} from "./gate-options.ts";
import { gateOf, gateTool, isGateable } from "./gate-tool.ts";
import { offeredTools } from "./offered-tools.ts";
import { vouchForTurn } from "./trusted-turn.ts";

type Hook = NonNullable<AgentMiddleware["wrapToolCall"]>;
type Request = Parameters<Hook>[0];
type Handler = Parameters<Hook>[1];
type Answer = Awaited<ReturnType<Handler>>;
type Options = GateCallOptions & Pick<GateMiddlewareOptions, "toolErrors">;

/**
 * Middleware for `createAgent`; put it last. Tools of the same gate pass, any other is swapped for a gated one; unknown
 * names and tools that no wrapper can hold are decided here. Ends the run with `GateError` BYPASSED where a middleware
 * after it ran an ungated tool.
 *
 * @throws TypeError for missing or mistyped options.
 * @example
 * createAgent({ model, tools: gateTools(tools, { gate }), middleware: [gateMiddleware({ gate })] });
 */
export function gateMiddleware<S extends InteropZodObject>(
  options: GateMiddlewareOptions<S>,
): AgentMiddleware {
  checkMiddlewareOptions(options);
  const { contextSchema, trust, offer, serverTools, name = "StepgateMiddleware" } = options;
  const gatedFor = gatedTools(options);
  return createMiddleware({
    name,
    ...(contextSchema === undefined ? {} : { contextSchema }),
    ...(trust === undefined
      ? {}
      : { beforeAgent: (state, runtime) => vouchForTurn(options, trust, state.messages, runtime) }),
    ...(offer !== "permitted" && serverTools === "keep"
      ? {}
      : {
          wrapModelCall: async (request, handler) =>
            handler({ ...request, tools: await offeredTools(options, request) }),
        }),
    wrapToolCall: (request, handler) => {
      const tool = gatedFor(request.tool);
      return tool === undefined
        ? decideHere(options, request, handler)
        : runGated(options, request, handler, tool);
    },
  });
}

/** The gated tool to run in place of one; `undefined` where no wrapper can stand. One wrapper a tool. */
function gatedTools({
  gate,
  sequenceId,
  nonce,
  agent,
  approval,
}: GateCallOptions): (tool: Request["tool"]) => ClientTool | undefined {
  const callOptions = {
    gate,
    ...(sequenceId === undefined ? {} : { sequenceId }),
    ...(nonce === undefined ? {} : { nonce }),
    ...(agent === undefined ? {} : { agent }),
    ...(approval === undefined ? {} : { approval }),
  };
  const wrappers = new WeakMap<object, ClientTool>();
  return (tool) => {
    if (tool === undefined || !isTool(tool)) return undefined;
    if (gateOf(tool) === gate) return tool;
    const known = wrappers.get(tool);
    if (known !== undefined || !isGateable(tool)) return known;
    const wrapper = gateTool(tool, callOptions);
    wrappers.set(tool, wrapper);
    return wrapper;
  };
}

function isTool(tool: NonNullable<Request["tool"]>): tool is ClientTool {
  return typeof member(tool, "invoke") === "function";
}

async function runGated(
  options: Options,
  request: Request,
  handler: Handler,
  tool: ClientTool,
): Promise<Answer> {
  return awaitDecision(request.toolCall, async (decided) => {
    let answer: Answer;
    try {
      answer = await handler({ ...request, tool });
    } catch (error) {
      // Before a decision nothing of ours has failed: arguments that did not parse, another middleware's error.
      if (!decided()) throw error;
      return errorAnswer(options, request, error);
    }
    if (decided()) return answer;
    throw new GateError(
      "BYPASSED",
      `'${request.toolCall.name}' came back without a decision: a middleware after the gate's replaced it. Put the gate's last.`,
    );
  });
}

/** The arguments are those of the model's message: there is no tool here whose schema could have parsed them. */
async function decideHere(options: Options, request: Request, handler: Handler): Promise<Answer> {
  const { toolCall, runtime, state } = request;
  const toolCallId = callIdOf(toolCall);
  const named = member(request.tool, "name");
  const tool = typeof named === "string" ? named : toolCall.name;
  const config = { configurable: runtime.configurable, context: runtime.context, state };
  const decision = await decideWithPeople(
    options,
    { tool, config, ...(toolCallId === undefined ? {} : { toolCallId }) },
    toolCall.args,
  );
  if (isRefusal(decision)) return denialMessage(decision, toolCallId ?? "", tool);
  const { signal } = runtime;
  try {
    return await perform(
      options.gate,
      decision,
      async (args) =>
        ifRan(request, await handler({ ...request, toolCall: { ...toolCall, args } })),
      {
        interrupted: isBubbleUp,
        ...(signal === undefined ? {} : { signal }),
      },
    );
  } catch (error) {
    return error instanceof NothingRan ? error.answer : errorAnswer(options, request, error);
  }
}

/** LangChain answers an unknown name with a message and runs nothing: that outcome is `failed`. */
function ifRan(request: Request, answer: Answer): Answer {
  if (request.tool === undefined && ToolMessage.isInstance(answer) && answer.status === "error")
    throw new NothingRan(answer);
  return answer;
}

class NothingRan extends Error {
  readonly answer: ToolMessage;

  constructor(answer: ToolMessage) {
    super("no such tool");
    this.answer = answer;
  }
}

/** What LangChain makes of a tool's error where there is no middleware. @throws what must reach the graph instead. */
function errorAnswer(
  { toolErrors = "message" }: Options,
  { toolCall }: Request,
  error: unknown,
): ToolMessage {
  const toolCallId = callIdOf(toolCall);
  if (toolCallId === undefined && DeniedError.isInstance(error))
    return denialMessage(error.decision, "", toolCall.name);
  // The first is LangGraph's to catch; of the second LangChain makes a message itself.
  if (isBubbleUp(error) || ToolInvocationError.isInstance(error)) throw error;
  if (toolErrors === "throw") throw error;
  return new ToolMessage({
    status: "error",
    content: `${String(error)}\n Please fix your mistakes.`,
    tool_call_id: toolCallId ?? "",
    name: toolCall.name,
  });
}
