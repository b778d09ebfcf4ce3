/** `gateMiddleware`: what runs at the provider is not advertised, and does not go unnoticed. */
import type { LanguageModelV4CallOptions, LanguageModelV4Content } from "@ai-sdk/provider";
import { GateError } from "@stepgate/core";
import { generateText, isStepCount, streamText, tool, type ToolSet, wrapLanguageModel } from "ai";
import type { MockLanguageModelV4 } from "ai/test";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { gateMiddleware, gateTools } from "../src/index.ts";
import { counter, openDesk, RUN } from "./order-desk.ts";
import { scriptedModel, ways } from "./scripted-model.ts";

const web = {
  type: "provider",
  id: "openai.web_search",
  args: {},
  isProviderExecuted: true,
  inputSchema: z.object({}),
  outputSchema: z.string(),
} as unknown as ToolSet[string];
const local = tool({ inputSchema: z.object({}), execute: () => "found" });

const guarded = (model: MockLanguageModelV4) =>
  wrapLanguageModel({ model, middleware: gateMiddleware() });
const offered = ({ tools }: Partial<LanguageModelV4CallOptions> = {}) =>
  tools?.map(({ name }) => name);

describe("a provider's tools", () => {
  test("are not advertised; function tools are", async () => {
    const model = scriptedModel("hello", "hello");
    await generateText({ model: guarded(model), prompt: "go", tools: { web, local } });
    await streamText({
      model: guarded(model),
      prompt: "go",
      tools: { web, local },
    }).consumeStream();
    expect(offered(model.doGenerateCalls[0])).toEqual(["local"]);
    expect(offered(model.doStreamCalls[0])).toEqual(["local"]);
  });

  test("that are all there is leave a call without tools", async () => {
    const model = scriptedModel("hello");
    await generateText({ model: guarded(model), prompt: "go", tools: { web } });
    expect(model.doGenerateCalls[0]).not.toHaveProperty("tools");
    expect(model.doGenerateCalls[0]).not.toHaveProperty("toolChoice");
  });

  test("leave the choice of a function tool as it was", async () => {
    const model = scriptedModel([{ id: "c1", tool: "local", input: {} }]);
    const toolChoice = { type: "tool", toolName: "local" } as const;
    await generateText({ model: guarded(model), prompt: "go", tools: { web, local }, toolChoice });
    expect(model.doGenerateCalls[0]?.toolChoice).toEqual(toolChoice);
  });

  test("cannot be asked for by name", async () => {
    const model = scriptedModel("hello");
    const run = generateText({
      model: guarded(model),
      prompt: "go",
      tools: { web, local },
      toolChoice: { type: "tool", toolName: "web" },
    });
    await expect(run).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("'web'"),
    });
    expect(model.doGenerateCalls).toEqual([]);
  });
});

/** The types of a stream's parts, and how it ended. */
async function read(
  stream: AsyncIterable<{ readonly type: string }>,
): Promise<{ types: string[]; error: unknown }> {
  const types: string[] = [];
  try {
    for await (const { type } of stream) types.push(type);
  } catch (error) {
    return { types, error };
  }
  return { types, error: undefined };
}

const call: LanguageModelV4Content = {
  type: "tool-call",
  toolCallId: "p1",
  toolName: "web",
  input: "{}",
  providerExecuted: true,
};
const result: LanguageModelV4Content = {
  type: "tool-result",
  toolCallId: "p1",
  toolName: "web",
  result: "found",
};
const request: LanguageModelV4Content = {
  type: "tool-approval-request",
  approvalId: "a1",
  toolCallId: "p1",
};

describe.each<[string, readonly LanguageModelV4Content[]]>([
  ["call", [{ ...call, dynamic: true }]],
  ["result", [result]],
  ["approval request", [request]],
])("a provider's %s that comes back all the same", (_name, raw) => {
  test("ends generateText", async () => {
    const run = generateText({
      model: guarded(scriptedModel({ raw })),
      prompt: "go",
      tools: { local },
    });
    const error: unknown = await run.catch((reason: unknown) => reason);
    expect(GateError.isInstance(error) && error.code).toBe("BYPASSED");
  });

  test("ends streamText, and its part does not reach the application", async () => {
    const { stream } = streamText({
      model: guarded(scriptedModel({ raw })),
      prompt: "go",
      tools: { local },
      onError: () => undefined,
    });
    const { types, error } = await read(stream);
    expect(error).toMatchObject({ code: "BYPASSED" });
    expect(types).not.toContain(raw[0]?.type);
  });
});

test("a provider's call is noticed as it begins to stream", async () => {
  const begun = {
    type: "tool-input-start",
    id: "p1",
    toolName: "web",
    providerExecuted: true,
  } as unknown as LanguageModelV4Content;
  const { stream } = streamText({
    model: guarded(scriptedModel({ raw: [begun] })),
    prompt: "go",
    onError: () => undefined,
  });
  const { types, error } = await read(stream);
  expect(error).toMatchObject({ code: "BYPASSED" });
  expect(types).not.toContain("tool-input-start");
});

test.each(ways)("gated tools run as ever behind it: %s", async (_name, run) => {
  const { gate, chain } = await openDesk();
  const { tools, runs } = counter();
  const model = guarded(
    scriptedModel([{ id: "c1", tool: "getOrder", input: { order: 17 } }]),
  ) as MockLanguageModelV4;
  const { text } = await run({ model, tools: gateTools(tools, { gate, sequenceId: RUN }) });
  expect(text).toBe("done");
  expect(runs).toEqual(["getOrder 17"]);
  expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
});

test("a prepareStep that returns another model steps round it, as the documentation says; gated tools stay gated", async () => {
  const { gate } = await openDesk();
  const { tools, runs } = counter();
  const bare = scriptedModel([{ id: "c1", tool: "wipe", input: {} }]);
  await generateText({
    model: guarded(scriptedModel()),
    prompt: "go",
    tools: { ...gateTools(tools, { gate, sequenceId: RUN }), web },
    prepareStep: () => ({ model: bare }),
    stopWhen: isStepCount(2),
  });
  expect(offered(bare.doGenerateCalls[0])).toContain("web");
  expect(runs).toEqual([]);
});
