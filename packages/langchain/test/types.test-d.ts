/** What the types promise: tools keep theirs, options are checked, and the README's program compiles. */
import type { DynamicStructuredTool } from "@langchain/core/tools";
import type { Gate } from "@stepgate/core";
import { createAgent, type FakeToolCallingModel, tool } from "langchain";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import { type CallInfo, gateMiddleware, gateTool, gateTools } from "../src/index.ts";

declare const gate: Gate;
declare const model: FakeToolCallingModel;
const getOrder = tool(({ order }) => `order ${order}`, {
  name: "get_order",
  schema: z.object({ order: z.number() }),
});
const refund = tool(({ amount }) => amount, {
  name: "refund",
  schema: z.object({ amount: z.number() }),
});
const user = z.object({ userId: z.string() });

test("a gated tool has the type of the tool", () => {
  expectTypeOf(gateTool(getOrder, { gate })).toEqualTypeOf(getOrder);
});

test("a list keeps the type of each member, and createAgent takes it", () => {
  const tools = gateTools([getOrder, refund], { gate });
  expectTypeOf(tools).toEqualTypeOf<[typeof getOrder, typeof refund]>();
  const fixed = [getOrder, refund] as const;
  expectTypeOf(gateTools(fixed, { gate })).toEqualTypeOf<[typeof getOrder, typeof refund]>();
  const many: DynamicStructuredTool[] = [];
  expectTypeOf(gateTools(many, { gate })).toEqualTypeOf<DynamicStructuredTool[]>();
  createAgent({ model, tools });
});

test("the README's program", async () => {
  const agent = createAgent({
    model,
    contextSchema: user,
    tools: gateTools([getOrder, refund], { gate }),
    middleware: [
      gateMiddleware({
        gate,
        contextSchema: user,
        trust: ({ context, messages }) => ({
          user_id: context.userId,
          request: messages.at(-1)?.text ?? "",
        }),
      }),
    ],
  });
  await agent.invoke(
    { messages: "Refund order 17" },
    { configurable: { thread_id: "order-17" }, context: { userId: "u1" } },
  );
});

test("trust sees the context that contextSchema describes", () => {
  gateMiddleware({
    gate,
    contextSchema: user,
    trust: ({ context, threadId }) => {
      expectTypeOf(context).toEqualTypeOf<{ userId: string }>();
      expectTypeOf(threadId).toEqualTypeOf<string | undefined>();
      return {};
    },
  });
});

test("options' functions are told no state and no arguments", () => {
  expectTypeOf<keyof CallInfo>().toEqualTypeOf<"tool" | "toolCallId" | "threadId" | "context">();
  expectTypeOf<CallInfo["context"]>().toBeUnknown();
});

test("what cannot be gated, and what is misspelt, does not compile", () => {
  // @ts-expect-error a server tool
  gateTool({ type: "web_search" }, { gate });
  // @ts-expect-error no gate
  gateTool(getOrder, {});
  // @ts-expect-error unknown option
  gateTool(getOrder, { gate, sequenceID: () => "s" });
  // @ts-expect-error not one of them
  gateMiddleware({ gate, offer: "some" });
});
