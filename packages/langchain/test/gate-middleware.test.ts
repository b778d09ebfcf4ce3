/** `gateMiddleware`: one decision a call, whatever tool it was; what the model is offered; what errors become. */
import { StructuredTool } from "@langchain/core/tools";
import { RunnableLambda } from "@langchain/core/runnables";
import type { Gate } from "@stepgate/core";
import {
  createAgent,
  createMiddleware,
  FakeToolCallingModel,
  ToolMessage,
  toolStrategy,
} from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { gateMiddleware, gateTools } from "../src/index.ts";
import {
  call,
  type Desk,
  openDesk,
  order,
  rejection,
  scripted,
  tapped,
  thread,
} from "./refund-desk.ts";

type Options = Partial<Parameters<typeof gateMiddleware>[0]>;

/** An agent behind the middleware that makes these calls in one message. */
function agentOf(
  desk: Desk,
  tools: Parameters<typeof createAgent>[0]["tools"],
  calls: ReturnType<typeof call>[],
  options: Options = {},
) {
  const agent = createAgent({
    model: scripted(calls),
    tools: tools ?? [],
    middleware: [gateMiddleware({ gate: desk.gate, ...options })],
  });
  return agent.invoke({ messages: "go" }, thread("s"));
}

const texts = ({ messages }: { messages: readonly { type: string; text: string }[] }): string[] =>
  messages.filter((message) => message.type === "tool").map((message) => message.text);

describe("one decision and one outcome a call", () => {
  test("for a gated tool, which decides itself", async () => {
    const desk = await openDesk();
    await agentOf(desk, gateTools([desk.make("read")], { gate: desk.gate }), [call("read", "c1")]);
    expect(desk.names()).toEqual(["read"]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("for an ungated tool, which it swaps for a gated one", async () => {
    const desk = await openDesk();
    const { gate, asked } = tapped(desk.gate);
    await agentOf(
      desk,
      [desk.make("read"), desk.make("refund")],
      [call("read", "c1"), call("read", "c2"), call("refund", "c3")],
      { gate },
    );
    expect(desk.names()).toEqual(["read", "read"]);
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW read",
      "ALLOW read",
      "DENY refund SEQUENCE_VIOLATION",
      "succeeded",
      "succeeded",
    ]);
    expect(asked.map((request) => request.nonce)).toEqual(["0:c1", "0:c2", "0:c3"]);
  });

  test("with its options, for the tools that it swaps", async () => {
    const desk = await openDesk();
    const { gate, asked } = tapped(desk.gate);
    const options = { sequenceId: () => "own", nonce: () => "n1", agent: { agent_id: "bot-7" } };
    await agentOf(desk, [desk.make("read")], [call("read", "c1")], { gate, ...options });
    expect(asked).toEqual([
      { sequence_id: "own", tool: "read", args: { order: 17 }, nonce: "n1", agent_id: "bot-7" },
    ]);
  });

  test("for a tool without `_call`, which it decides itself, and runs with the decided arguments", async () => {
    const desk = await openDesk();
    const { gate, asked } = tapped(desk.gate);
    const like = (name: string) =>
      RunnableLambda.from(
        (input: { order: number }) => (desk.ran.push({ tool: name, args: input }), `${name} done`),
      ).asTool({ name, schema: order });
    const answer = await agentOf(
      desk,
      [like("read"), like("refund")],
      [call("read", "c1"), call("refund", "c2")],
      { gate },
    );
    expect(desk.ran).toEqual([{ tool: "read", args: { order: 17 } }]);
    expect(texts(answer)).toEqual([
      "read done",
      "DENIED SEQUENCE_VIOLATION: 'refund' is not admissible now; next: look, intake.",
    ]);
    expect((await desk.chain("s")).toSorted()).toEqual([
      "ALLOW read",
      "DENY refund SEQUENCE_VIOLATION",
      "open",
      "succeeded",
    ]);
    expect(asked.map((request) => request.nonce)).toEqual(["0:c1", "0:c2"]);
  });

  test("by the name of what runs, where another middleware put a tool without `_call` in the call's place", async () => {
    const desk = await openDesk();
    const danger = RunnableLambda.from(() => desk.ran.push({ tool: "danger", args: {} })).asTool({
      name: "danger",
      schema: order,
    });
    const rewriter = createMiddleware({
      name: "Rewriter",
      wrapToolCall: (request, handler) => handler({ ...request, tool: danger }),
    });
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [desk.make("read")],
      middleware: [rewriter, gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY danger NO_POLICY_MATCH"]);
  });

  test("for a tool without `_call` that answers with an error message: it returned, so it succeeded", async () => {
    const desk = await openDesk();
    const like = RunnableLambda.from(
      () => new ToolMessage({ status: "error", content: "none left", tool_call_id: "c1" }),
    ).asTool({ name: "read", schema: order });
    expect(texts(await agentOf(desk, [like], [call("read", "c1")]))).toEqual(["none left"]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("with one wrapper a tool, however often it is called", async () => {
    const desk = await openDesk();
    const seen = new Set<unknown>();
    const after = createMiddleware({
      name: "After",
      wrapToolCall: (request, handler) => (seen.add(request.tool), handler(request)),
    });
    const agent = createAgent({
      model: scripted([call("read", "c1"), call("read", "c2")]),
      tools: [desk.make("read")],
      middleware: [gateMiddleware({ gate: desk.gate }), after],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual(["read", "read"]);
    expect(seen.size).toBe(1);
  });

  test("for a tool of another gate: each gate decides, in its own log", async () => {
    const desk = await openDesk();
    const other = await openDesk();
    await agentOf(desk, gateTools([desk.make("read")], { gate: other.gate }), [call("read", "c1")]);
    expect(desk.names()).toEqual(["read"]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
    expect(await other.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("for two gates in one agent: each decides once", async () => {
    const desk = await openDesk();
    const other = await openDesk();
    const agent = createAgent({
      model: scripted([call("read", "c1"), call("refund", "c2")]),
      tools: [desk.make("read"), ...gateTools([desk.make("refund")], { gate: desk.gate })],
      middleware: [
        gateMiddleware({ gate: other.gate, name: "Other" }),
        gateMiddleware({ gate: desk.gate }),
      ],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual(["read"]);
    expect((await desk.chain("s")).toSorted()).toEqual(["ALLOW read", "open", "succeeded"]);
    expect((await other.chain("s")).toSorted()).toEqual([
      "ALLOW read",
      "DENY refund SEQUENCE_VIOLATION",
      "open",
      "succeeded",
    ]);
  });

  test("for a name that no tool has: denied where the policy does not know it", async () => {
    const desk = await openDesk();
    const answer = await agentOf(desk, [desk.make("read")], [call("constructor", "c1")]);
    expect(texts(answer)).toEqual([expect.stringMatching(/^DENIED NO_POLICY_MATCH/)]);
    expect(await desk.chain("s")).toEqual(["open", "DENY constructor NO_POLICY_MATCH"]);
  });

  test("for a name that no tool has but the policy knows: allowed, and failed, for nothing ran", async () => {
    const desk = await openDesk();
    const answer = await agentOf(desk, [desk.make("read")], [call("intake", "c1")]);
    expect(texts(answer)).toEqual(["Error: intake is not a valid tool, try one of [read]."]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW intake", "failed"]);
  });

  test("none for arguments that do not parse: the model is told, as without middleware", async () => {
    const desk = await openDesk();
    const answer = await agentOf(
      desk,
      [desk.make("read")],
      [call("read", "c1", { order: "seventeen" })],
    );
    expect(texts(answer)).toEqual([expect.stringMatching(/^Error invoking tool 'read'/)]);
    expect(await desk.chain("s")).toEqual([]);
  });

  test("none for structured output, which is no tool", async () => {
    const desk = await openDesk();
    const model = new FakeToolCallingModel({
      toolCalls: [[call("extract-1", "c1", { ok: true })]],
    });
    const agent = createAgent({
      model,
      tools: [desk.make("read")],
      middleware: [gateMiddleware({ gate: desk.gate })],
      responseFormat: toolStrategy(z.object({ ok: z.boolean() }).meta({ title: "extract-1" })),
    });
    expect(await agent.invoke({ messages: "go" }, thread("s"))).toMatchObject({
      structuredResponse: { ok: true },
    });
    expect(await desk.chain("s")).toEqual([]);
  });

  test("for a call to which the provider gave no id: denied it is answered, not thrown", async () => {
    const desk = await openDesk();
    const bare = (name: string) => ({ ...call(name, "c"), id: undefined as never });
    const answer = await agentOf(
      desk,
      gateTools([desk.make("read"), desk.make("refund")], { gate: desk.gate }),
      [bare("read"), bare("refund")],
    );
    expect(texts(answer).toSorted()).toEqual([
      expect.stringMatching(/^DENIED SEQUENCE_VIOLATION/),
      "read done",
    ]);
    expect(desk.names()).toEqual(["read"]);
  });
});

test("without a thread nothing runs, and the model is told so", async () => {
  const desk = await openDesk();
  const like = RunnableLambda.from(() => desk.ran.push({ tool: "read", args: {} })).asTool({
    name: "read",
    schema: order,
  });
  for (const one of [desk.make("read"), like]) {
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [one],
      middleware: [gateMiddleware({ gate: desk.gate })],
    });
    expect(texts(await agent.invoke({ messages: "go" }))).toEqual([
      "DENIED INVALID_REQUEST: there is no sequence for this call.",
    ]);
  }
  expect(desk.ran).toEqual([]);
});

describe("toolErrors", () => {
  const failing = (desk: Desk) =>
    desk.make("read", () => Promise.reject(new Error("no such order")));

  test("message: the model is told, as LangChain does without middleware, and the agent goes on", async () => {
    const without = await openDesk();
    const plain = createAgent({ model: scripted([call("read", "c1")]), tools: [failing(without)] });
    const desk = await openDesk();
    const answer = await agentOf(desk, [failing(desk)], [call("read", "c1")]);
    expect(texts(answer)).toEqual(texts(await plain.invoke({ messages: "go" }, thread("s"))));
    expect(texts(answer)).toEqual(["Error: no such order\n Please fix your mistakes."]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
  });

  test("throw: the run ends", async () => {
    const desk = await openDesk();
    expect(
      await rejection(
        agentOf(desk, [failing(desk)], [call("read", "c1")], { toolErrors: "throw" }),
      ),
    ).toMatchObject({ message: "no such order" });
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
  });

  test.each(["message", "throw"] as const)(
    "%s: arguments that a tool without `_call` could not parse are LangChain's to tell",
    async (toolErrors) => {
      const desk = await openDesk();
      const like = RunnableLambda.from(() => "never").asTool({ name: "read", schema: order });
      const answer = await agentOf(desk, [like], [call("read", "c1", { order: "seventeen" })], {
        toolErrors,
      });
      expect(texts(answer)).toEqual([expect.stringMatching(/^Error invoking tool 'read'/)]);
      expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
    },
  );

  test("of a tool without `_call` likewise", async () => {
    const desk = await openDesk();
    const like = RunnableLambda.from(() => Promise.reject(new Error("no such order"))).asTool({
      name: "read",
      schema: order,
    });
    expect(texts(await agentOf(desk, [like], [call("read", "c1")]))).toEqual([
      "Error: no such order\n Please fix your mistakes.",
    ]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
  });

  test("an error of another middleware is not the tool's: it ends the run, and nothing was decided", async () => {
    const desk = await openDesk();
    const broken = createMiddleware({
      name: "Broken",
      wrapToolCall: () => {
        throw new Error("broken middleware");
      },
    });
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [desk.make("read")],
      middleware: [gateMiddleware({ gate: desk.gate }), broken],
    });
    expect(await rejection(agent.invoke({ messages: "go" }, thread("s")))).toMatchObject({
      message: "broken middleware",
    });
    expect(await desk.chain("s")).toEqual([]);
  });
});

describe("what the model is offered", () => {
  /** The names that each turn's model was given. */
  async function offers(desk: Desk, options: Options, config = thread("s")): Promise<string[][]> {
    const seen: string[][] = [];
    class Watching extends FakeToolCallingModel {
      override bindTools(tools: StructuredTool[]) {
        seen.push(tools.map((one) => one.name ?? (Reflect.get(one, "type") as string)));
        return super.bindTools(tools);
      }
    }
    const agent = createAgent({
      model: new Watching({ toolCalls: [[call("intake", "c1")], []] }),
      tools: [
        ...gateTools([desk.make("read"), desk.make("intake"), desk.make("refund")], {
          gate: desk.gate,
        }),
        { type: "web_search" },
      ],
      middleware: [gateMiddleware({ gate: desk.gate, ...options })],
    });
    await agent.invoke({ messages: "go" }, config);
    return seen;
  }

  test("all tools, but none that runs at the provider", async () => {
    expect(await offers(await openDesk(), {})).toEqual([
      ["read", "intake", "refund"],
      ["read", "intake", "refund"],
    ]);
  });

  test("serverTools: keep", async () => {
    expect((await offers(await openDesk(), { serverTools: "keep" }))[0]).toEqual([
      "read",
      "intake",
      "refund",
      "web_search",
    ]);
  });

  test("offer: permitted, those whose step is admissible now", async () => {
    expect(await offers(await openDesk(), { offer: "permitted" })).toEqual([
      ["read", "intake"],
      ["read", "refund"],
    ]);
    expect(
      (await offers(await openDesk(), { offer: "permitted", serverTools: "keep" }))[0],
    ).toEqual(["read", "intake", "web_search"]);
  });

  test("offer: permitted, nothing where there is no sequence or the gate cannot say", async () => {
    const desk = await openDesk();
    expect(
      (await offers(desk, { offer: "permitted", sequenceId: () => undefined })).flat(),
    ).toEqual([]);
    const gate: Gate = { ...desk.gate, state: () => Promise.reject(new Error("unreachable")) };
    expect((await offers(desk, { offer: "permitted", gate })).flat()).toEqual([]);
  });
});

test("it has a name of its own, or the one that it is given, and two of one gate decide once", async () => {
  const desk = await openDesk();
  const [one, two] = [
    gateMiddleware({ gate: desk.gate }),
    gateMiddleware({ gate: desk.gate, name: "Second" }),
  ];
  expect([one.name, two.name]).toEqual(["StepgateMiddleware", "Second"]);
  await createAgent({
    model: scripted([call("read", "c1")]),
    tools: [desk.make("read")],
    middleware: [one, two],
  }).invoke({ messages: "go" }, thread("s"));
  expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
});

test("missing, mistyped and unknown options are refused", async () => {
  const { gate } = await openDesk();
  const refuses = (options: unknown, message: RegExp): void => {
    const construct = (): unknown => gateMiddleware(options as never);
    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(message);
  };
  refuses(undefined, /options are required/);
  refuses({}, /gate is required/);
  refuses({ gate: { decide: gate.decide, outcome: gate.outcome } }, /gate must be a gate/);
  refuses({ gate, sequenceId: "s" }, /sequenceId must be a function/);
  refuses({ gate, trust: { request: "x" } }, /trust must be a function/);
  refuses({ gate, contextSchema: "user" }, /contextSchema must be a zod object schema/);
  refuses({ gate, offer: "some" }, /offer must be 'all' or 'permitted'/);
  refuses({ gate, serverTools: "deny" }, /serverTools must be 'remove' or 'keep'/);
  refuses({ gate, toolErrors: "swallow" }, /toolErrors must be 'message' or 'throw'/);
  refuses({ gate, name: "" }, /name must be a name/);
  refuses({ gate, harden: true }, /unknown option 'harden'/);
});

test("a tool that is decided by the middleware gets the decided copy of its arguments", async () => {
  const desk = await openDesk();
  const seen: unknown[] = [];
  const json = { type: "object", properties: { path: { type: "string" } } } as const;
  class Shortcut extends StructuredTool<typeof json> {
    readonly name = "read";
    readonly description = "";
    readonly schema = json;
    protected override async _call(): Promise<string> {
      return "never";
    }
    override async invoke(input: unknown): Promise<never> {
      seen.push(Reflect.get(input as object, "args"));
      return "past _call" as never;
    }
  }
  const sent = { path: "safe" };
  const gate: Gate = {
    ...desk.gate,
    decide: async (request) => {
      const decision = desk.gate.decide(request);
      sent.path = "/etc/shadow";
      return decision;
    },
  };
  const rewrite = createMiddleware({
    name: "Rewrite",
    wrapToolCall: (request, handler) =>
      handler({ ...request, toolCall: { ...request.toolCall, args: sent } }),
  });
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: [new Shortcut()],
    middleware: [rewrite, gateMiddleware({ gate })],
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  expect(seen).toEqual([{ path: "safe" }]);
});
