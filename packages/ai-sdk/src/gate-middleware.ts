/** `gateMiddleware`: keeps tools that run at the provider, where no gate can stand, out of the conversation. */
import { GateError } from "@stepgate/core";
import type { LanguageModelMiddleware } from "ai";

type Params = Parameters<NonNullable<LanguageModelMiddleware["transformParams"]>>[0]["params"];
type Generated = Awaited<ReturnType<NonNullable<LanguageModelMiddleware["wrapGenerate"]>>>;
type Streamed = Awaited<ReturnType<NonNullable<LanguageModelMiddleware["wrapStream"]>>>;
type StreamPart = Streamed["stream"] extends ReadableStream<infer PART> ? PART : never;
type Part = Generated["content"][number] | StreamPart;

/**
 * For `wrapLanguageModel`: provider tools are not advertised, and a call that ran at the provider all the same ends the
 * run with GateError BYPASSED. A `prepareStep` that returns another model steps round it.
 */
export function gateMiddleware(): LanguageModelMiddleware {
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => withoutProviderTools(params),
    wrapGenerate: async ({ doGenerate }) => {
      const result = await doGenerate();
      for (const part of result.content) refuseProviderCall(part);
      return result;
    },
    wrapStream: async ({ doStream }) => {
      const result = await doStream();
      return { ...result, stream: result.stream.pipeThrough(refusingStream()) };
    },
  };
}

function withoutProviderTools(params: Params): Params {
  const removed = new Set(
    params.tools?.filter(({ type }) => type !== "function").map(({ name }) => name),
  );
  if (removed.size === 0) return params;
  const { tools = [], toolChoice, ...rest } = params;
  if (toolChoice?.type === "tool" && removed.has(toolChoice.toolName)) {
    throw new GateError(
      "UNSUPPORTED",
      `toolChoice asks for '${toolChoice.toolName}', which runs at the provider: no gate can stand there`,
    );
  }
  const kept = tools.filter(({ name }) => !removed.has(name));
  if (kept.length === 0) return rest;
  return { ...rest, tools: kept, ...(toolChoice === undefined ? {} : { toolChoice }) };
}

function refusingStream(): TransformStream<StreamPart, StreamPart> {
  return new TransformStream({
    transform(part, controller) {
      refuseProviderCall(part);
      controller.enqueue(part);
    },
  });
}

/** Calls, results and approval requests of the provider's own; an ordinary call comes without `providerExecuted`. */
function refuseProviderCall(part: Part): void {
  const ran =
    part.type === "tool-result" ||
    part.type === "tool-approval-request" ||
    ("providerExecuted" in part && part.providerExecuted === true);
  if (!ran) return;
  const name = "toolName" in part ? `'${part.toolName}'` : "a tool";
  throw new GateError("BYPASSED", `${name} was called at the provider, where no gate can stand`);
}
