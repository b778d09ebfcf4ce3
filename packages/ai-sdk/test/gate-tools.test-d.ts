/** What the types promise: gated tools are the tools that they were, and everything fits where the SDK takes it. */
import type { Gate } from "@stepgate/core";
import {
  dynamicTool,
  generateText,
  type InferUITools,
  streamText,
  tool,
  ToolLoopAgent,
  type ToolSet,
  wrapLanguageModel,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { describe, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { denialOf, gateMiddleware, gateTools, permittedTools, toolApproval } from "../src/index.ts";

declare const gate: Gate;
const model = new MockLanguageModelV4();
const plain = {
  getOrder: tool({
    inputSchema: z.object({ order: z.number() }),
    execute: async ({ order }) => ({ order, total: 40 }),
  }),
  track: tool({
    inputSchema: z.object({ order: z.number() }),
    async *execute({ order }) {
      yield `packed ${order}`;
    },
  }),
  rates: tool({
    inputSchema: z.object({}),
    contextSchema: z.object({ region: z.string() }),
    execute: (_input, { context }) => context.region,
  }),
  remote: dynamicTool({ inputSchema: z.object({}), execute: async () => 1 }),
};

describe("gateTools", () => {
  const tools = gateTools(plain, { gate, sequenceId: "run-1" });

  test("the set keeps its type", () => {
    expectTypeOf(tools).toEqualTypeOf<typeof plain>();
    expectTypeOf<InferUITools<typeof tools>>().toEqualTypeOf<InferUITools<typeof plain>>();
  });

  test("typed inputs and results survive in generateText, with every other piece in its place", () => {
    const run = () =>
      generateText({
        model: wrapLanguageModel({ model, middleware: gateMiddleware() }),
        prompt: "go",
        tools,
        toolsContext: { rates: { region: "eu" } },
        toolApproval: toolApproval(tools),
        prepareStep: permittedTools(tools),
      });
    type Result = Awaited<ReturnType<typeof run>>["staticToolResults"][number];
    expectTypeOf<Extract<Result, { toolName: "getOrder" }>["input"]>().toEqualTypeOf<{
      order: number;
    }>();
    expectTypeOf<Extract<Result, { toolName: "getOrder" }>["output"]>().toEqualTypeOf<{
      order: number;
      total: number;
    }>();
    expectTypeOf<Extract<Result, { toolName: "track" }>["output"]>().toEqualTypeOf<string>();
  });

  test("a tool that needs a context still demands it", () => {
    // @ts-expect-error toolsContext is missing
    void (() => generateText({ model, prompt: "go", tools }));
  });

  test("streamText and ToolLoopAgent take the same pieces, with a runtime context of any type", () => {
    const { rates: _, ...contextless } = plain;
    const set = gateTools(contextless, { gate, sequenceId: () => undefined });
    const stream = () =>
      streamText({
        model,
        prompt: "go",
        tools: set,
        toolApproval: toolApproval(set),
        runtimeContext: { tenant: "t1" },
      });
    expectTypeOf<
      Awaited<ReturnType<typeof stream>["steps"]>[number]["runtimeContext"]
    >().toEqualTypeOf<{ tenant: string }>();
    const agent = new ToolLoopAgent({
      model,
      tools: set,
      toolApproval: toolApproval(set),
      prepareStep: permittedTools(set),
    });
    expectTypeOf(agent.tools).toEqualTypeOf<typeof set>();
  });

  test("options know the names of the tools, and nothing else", () => {
    gateTools(plain, {
      gate,
      sequenceId: "run-1",
      nonce: ({ tool: name }) => name satisfies keyof typeof plain,
    });
    // @ts-expect-error no tool of the set is called so
    gateTools(plain, { gate, sequenceId: "run-1", clientTools: ["confirm"] });
    // @ts-expect-error sequenceId is required
    gateTools(plain, { gate });
    // @ts-expect-error a set of tools is required
    gateTools({ getOrder: 1 }, { gate, sequenceId: "run-1" });
  });

  test("a tool without execute needs the cast that exactOptionalPropertyTypes asks of its users", () => {
    const confirm = tool({ inputSchema: z.object({}), outputSchema: z.boolean() });
    gateTools({ confirm } as unknown as ToolSet, {
      gate,
      sequenceId: "run-1",
      clientTools: ["confirm"],
    });
  });

  test("permittedTools gives names of the set", () => {
    expectTypeOf<
      Awaited<ReturnType<ReturnType<typeof permittedTools<typeof plain>>>>["activeTools"]
    >().toEqualTypeOf<(keyof typeof plain)[]>();
  });

  test("denialOf takes anything and gives a denial or nothing", () => {
    expectTypeOf(denialOf).parameter(0).toEqualTypeOf<unknown>();
    expectTypeOf<NonNullable<ReturnType<typeof denialOf>>["decision"]>().toEqualTypeOf<"DENY">();
  });
});
