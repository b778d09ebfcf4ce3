/** `gateTool`: every way to a tool meets the gate once, and the tool stays what it was. */
import { failAppends } from "@stepgate/contract";
import { ToolMessage } from "@langchain/core/messages";
import {
  DynamicStructuredTool,
  DynamicTool,
  isStructuredTool,
  StructuredTool,
  type ToolRunnableConfig,
} from "@langchain/core/tools";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { Command, MemorySaver } from "@langchain/langgraph";
import { createReactAgent, ToolNode } from "@langchain/langgraph/prebuilt";
import { currentPermit, DeniedError, type Gate } from "@stepgate/core";
import { AIMessage, createAgent, tool } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { gateTool, gateTools } from "../src/index.ts";
import {
  call,
  collect,
  type Desk,
  openDesk,
  order,
  rejection,
  scripted,
  tapped,
  thread,
} from "./refund-desk.ts";

type Gated = ReturnType<Desk["make"]>;
const args = { order: 17 };

/** Every way by which a call reaches a tool. */
const ways: Record<string, (tool: Gated, config: ReturnType<typeof thread>) => Promise<unknown>> = {
  createAgent: (one, config) =>
    createAgent({ model: scripted([call(one.name, "c1")]), tools: [one] }).invoke(
      { messages: "go" },
      config,
    ),
  createReactAgent: (one, config) =>
    createReactAgent({ llm: scripted([call(one.name, "c1")]), tools: [one] }).invoke(
      { messages: "go" },
      config,
    ),
  "prebuilt ToolNode": (one, config) =>
    new ToolNode([one]).invoke(
      { messages: [new AIMessage({ content: "", tool_calls: [call(one.name, "c1")] })] },
      config,
    ),
  "invoke(ToolCall)": (one, config) => one.invoke(call(one.name, "c1"), config),
  "invoke(args)": (one, config) => one.invoke(args, config),
  "call(args)": (one, config) => one.call(args, config),
  batch: (one, config) => one.batch([args], config),
  stream: async (one, config) => collect(await one.stream(args, config)),
  streamEvents: (one, config) => collect(one.streamEvents(args, { ...config, version: "v2" })),
  withConfig: (one, config) => one.withConfig(config).invoke(args),
  withRetry: (one, config) => one.withRetry({ stopAfterAttempt: 1 }).invoke(args, config),
  pipe: (one, config) => one.pipe((output: unknown) => output).invoke(args, config),
  asTool: (one, config) => one.asTool({ name: "renamed", schema: order }).invoke(args, config),
  func: async (one, config) => one.func(args, undefined, config),
  _call: (one, config) => Reflect.get(one, "_call")(args, undefined, config),
  "the class's own _call": (one, config) =>
    Reflect.get(DynamicStructuredTool.prototype, "_call").call(one, args, undefined, config),
  "a tool rebuilt from lc_kwargs": (one, config) =>
    new DynamicStructuredTool(one.lc_kwargs as never).invoke(args, config),
};

describe.each(Object.entries(ways))("a tool called by %s", (_way, go) => {
  test("runs on ALLOW, with one decision and one outcome", async () => {
    const desk = await openDesk();
    await go(gateTool(desk.make("read"), { gate: desk.gate }), thread("s"));
    expect(desk.ran).toEqual([{ tool: "read", args }]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("does not run on DENY, with one decision", async () => {
    const desk = await openDesk();
    await rejection(go(gateTool(desk.make("refund"), { gate: desk.gate }), thread("s")));
    expect(desk.ran).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });
});

describe("a denial", () => {
  test("answers a tool call with an error message that the model reads, and the decision in its artifact", async () => {
    const desk = await openDesk();
    const answer: unknown = await gateTool(desk.make("refund"), { gate: desk.gate }).invoke(
      call("refund", "c1"),
      thread("s"),
    );
    const [, receipt] = await desk.receipts("s");
    expect(answer).toBeInstanceOf(ToolMessage);
    expect(answer).toMatchObject({
      status: "error",
      tool_call_id: "c1",
      name: "refund",
      content: "DENIED SEQUENCE_VIOLATION: 'refund' is not admissible now; next: look, intake.",
      artifact: { stepgate: { decision: "DENY", deny_code: "SEQUENCE_VIOLATION", receipt } },
    });
  });

  test("is a DeniedError where there is no call to answer", async () => {
    const desk = await openDesk();
    const error = await rejection(
      gateTool(desk.make("refund"), { gate: desk.gate }).invoke(args, thread("s")),
    );
    expect(DeniedError.isInstance(error) && error.code).toBe("SEQUENCE_VIOLATION");
  });

  test("is a pair for a tool that answers with content and artifact", async () => {
    const desk = await openDesk();
    const pair = tool(() => ["content", { big: 1 }], {
      name: "refund",
      schema: order,
      responseFormat: "content_and_artifact",
    });
    const answer: unknown = await gateTool(pair, { gate: desk.gate }).invoke(
      call("refund", "c1"),
      thread("s"),
    );
    expect(answer).toMatchObject({
      status: "error",
      artifact: { stepgate: { deny_code: "SEQUENCE_VIOLATION" } },
    });
  });

  test("lets the other calls of a message run, and the agent go on", async () => {
    const desk = await openDesk();
    const tools = gateTools([desk.make("read"), desk.make("refund"), desk.make("intake")], {
      gate: desk.gate,
    });
    const model = scripted([call("read", "c1"), call("refund", "c2"), call("intake", "c3")]);
    const { messages } = await createAgent({ model, tools }).invoke(
      { messages: "go" },
      thread("s"),
    );
    expect(desk.names()).toEqual(["read", "intake"]);
    expect(messages.map((message) => message.type)).toEqual([
      "human",
      "ai",
      "tool",
      "tool",
      "tool",
      "ai",
    ]);
  });
});

test("a step counts when it was allowed, not when it finished: calls of one message are decided as they were submitted", async () => {
  const desk = await openDesk();
  const slow = desk.make(
    "intake",
    () => new Promise((resolve) => setTimeout(resolve, 20, "taken in")),
  );
  const tools = gateTools([slow, desk.make("refund")], { gate: desk.gate });
  await createAgent({
    model: scripted([call("intake", "c1"), call("refund", "c2")]),
    tools,
  }).invoke({ messages: "go" }, thread("s"));
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW intake",
    "ALLOW refund",
    "succeeded",
    "succeeded",
  ]);
});

describe("the wrapper is the tool", () => {
  test("for type tests, schema, description and all that a model is told", async () => {
    const { gate, make } = await openDesk();
    const original = Object.assign(make("read"), {
      returnDirect: true,
      tags: ["t"],
      metadata: { m: 1 },
      extras: { cache: true },
    });
    const gated = gateTool(original, { gate });
    expect(gated).toBeInstanceOf(DynamicStructuredTool);
    expect(isStructuredTool(gated)).toBe(true);
    expect(gated.schema).toBe(original.schema);
    expect(convertToOpenAITool(gated)).toEqual(convertToOpenAITool(original));
    const { name, description, returnDirect, tags, metadata, extras, responseFormat } = original;
    expect(gated).toMatchObject({
      name,
      description,
      returnDirect,
      tags,
      metadata,
      extras,
      responseFormat,
    });
  });

  test("for its schema: transforms and defaults are applied once, before the decision, and the tool gets what was decided", async () => {
    const { gate: inner } = await openDesk();
    const { gate, asked } = tapped(inner);
    const seen: unknown[] = [];
    const schema = z.object({
      order: z.string().transform((text) => `${text}!`),
      currency: z.string().default("EUR"),
    });
    const read = tool((input) => void seen.push(input), { name: "read", schema });
    await gateTool(read, { gate }).invoke({ order: "17" }, thread("s"));
    expect(seen).toEqual([{ order: "17!", currency: "EUR" }]);
    expect(asked).toMatchObject([{ tool: "read", args: { order: "17!", currency: "EUR" } }]);
  });

  test("for a subclass with private fields, in its methods and its accessors", async () => {
    const { gate, chain } = await openDesk();
    class Ledger extends StructuredTool {
      readonly name = "read";
      readonly schema = order;
      #reads = 0;
      get description(): string {
        return `read ${this.#reads} times`;
      }
      protected override async _call(): Promise<string> {
        this.#reads += 1;
        return this.description;
      }
    }
    const gated = gateTool(new Ledger(), { gate });
    expect(await gated.invoke(args, thread("s"))).toBe("read 1 times");
    expect(gated.description).toBe("read 1 times");
    expect(await chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("for its setters", async () => {
    const { gate } = await openDesk();
    class Noted extends StructuredTool {
      readonly name = "read";
      readonly description = "";
      readonly schema = order;
      #note = "none";
      get note(): string {
        return this.#note;
      }
      set note(text: string) {
        this.#note = text;
      }
      protected override async _call(): Promise<string> {
        return this.#note;
      }
    }
    const gated = gateTool(new Noted(), { gate });
    gated.note = "urgent";
    expect(gated.note).toBe("urgent");
    expect(await gated.invoke(args, thread("s"))).toBe("urgent");
  });

  test("for a tool of one plain string, which the gate sees as `input`", async () => {
    const { gate: inner } = await openDesk();
    const { gate, asked } = tapped(inner);
    const seen: unknown[] = [];
    const read = new DynamicTool({
      name: "read",
      description: "",
      func: async (text) => (seen.push(text), `read ${text}`),
    });
    const gated = gateTool(read, { gate });
    expect(await gated.invoke("order 17", thread("s"))).toBe("read order 17");
    expect(
      await gated.invoke(call("read", "c1", { input: "order 18" }), thread("s")),
    ).toMatchObject({ content: "read order 18" });
    expect(seen).toEqual(["order 17", "order 18"]);
    expect(asked.map((request) => request.args)).toEqual([
      { input: "order 17" },
      { input: "order 18" },
    ]);
  });

  test("for its artifact", async () => {
    const { gate } = await openDesk();
    const read = tool(() => ["seen", { rows: [1] }], {
      name: "read",
      schema: order,
      responseFormat: "content_and_artifact",
    });
    const answer: unknown = await gateTool(read, { gate }).invoke(call("read", "c1"), thread("s"));
    expect(answer).toMatchObject({ content: "seen", artifact: { rows: [1] }, status: "success" });
  });

  test("for a Command, and for a ToolMessage of its own", async () => {
    const desk = await openDesk();
    const command = new Command({ update: { messages: [] } });
    const message = new ToolMessage({ content: "mine", tool_call_id: "c1", name: "read" });
    const answers = [command, message];
    const gated = gateTool(
      desk.make("read", () => answers.shift()),
      { gate: desk.gate },
    );
    expect(await gated.invoke(call("read", "c1"), thread("s"))).toBe(command);
    expect(await gated.invoke(call("read", "c2"), thread("s"))).toBe(message);
  });

  test("for returnDirect: an allowed call ends the agent's turn, a denied one goes back to the model", async () => {
    const { gate, make } = await openDesk();
    const tools = gateTools([Object.assign(make("intake"), { returnDirect: true })], { gate });
    const run = async (id: string) => {
      const { messages } = await createAgent({
        model: scripted([call("intake", id)]),
        tools,
      }).invoke({ messages: "go" }, thread("s"));
      return messages.map((message) => message.type);
    };
    expect(await run("c1")).toEqual(["human", "ai", "tool"]);
    expect(await run("c2")).toEqual(["human", "ai", "tool", "ai"]);
  });

  test("for a permit: the running tool has it at hand", async () => {
    const desk = await openDesk();
    const gate: Gate = {
      ...desk.gate,
      decide: async (input) => {
        const decision = await desk.gate.decide(input);
        return decision.decision === "ALLOW"
          ? { ...decision, permit: `permit for ${decision.receipt.tool}` }
          : decision;
      },
    };
    const read = gateTool(desk.make("read", currentPermit), { gate });
    expect(await read.invoke(args, thread("s"))).toBe("permit for read");
    expect(currentPermit()).toBeUndefined();
  });
});

describe("a generator tool", () => {
  const counting = (after: () => void = () => undefined) =>
    tool(
      async function* () {
        yield "one";
        yield "two";
        after();
        return "three";
      },
      { name: "read", schema: order },
    );

  test("keeps its events and its result, and is recorded when it ends", async () => {
    const desk = await openDesk();
    const events: unknown[] = [];
    const chains: string[][] = [];
    const gated = gateTool(counting(), { gate: desk.gate });
    const handler = {
      awaitHandlers: true,
      handleToolEvent: async (event: unknown) => {
        events.push(event);
        chains.push(await desk.chain("s"));
      },
    };
    expect(await gated.invoke(args, { ...thread("s"), callbacks: [handler] })).toBe("three");
    expect(events).toEqual(["one", "two"]);
    expect(chains).toEqual([
      ["open", "ALLOW read"],
      ["open", "ALLOW read"],
    ]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
  });

  test("that is left half way, before or after its first event was taken, is recorded as unknown", async () => {
    const desk = await openDesk();
    const gated = gateTool(counting(), { gate: desk.gate });
    const begin = async (id: string) =>
      (await gated.func(args, undefined, thread(id))) as AsyncGenerator;
    await (await begin("early")).return(undefined);
    const late = await begin("late");
    expect(await late.next()).toEqual({ done: false, value: "one" });
    await late.return(undefined);
    expect(await desk.chain("early")).toEqual(["open", "ALLOW read", "unknown"]);
    expect(await desk.chain("late")).toEqual(["open", "ALLOW read", "unknown"]);
  });

  test("that throws after an event is recorded as failed", async () => {
    const desk = await openDesk();
    const broken = counting(() => {
      throw new Error("lost the ledger");
    });
    const error = await rejection(gateTool(broken, { gate: desk.gate }).invoke(args, thread("s")));
    expect(error).toEqual(new Error("lost the ledger"));
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
  });
});

describe("outcomes", () => {
  test("a tool that throws is recorded as failed, and its own error comes out", async () => {
    const desk = await openDesk();
    const gated = gateTool(
      desk.make("read", () => {
        throw new RangeError("no such order");
      }),
      { gate: desk.gate },
    );
    expect(await rejection(gated.invoke(args, thread("s")))).toEqual(
      new RangeError("no such order"),
    );
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed"]);
  });

  test("one that cannot be recorded leaves the ALLOW open, and the result as it was", async () => {
    const desk = await openDesk();
    const gate: Gate = { ...desk.gate, outcome: () => Promise.reject(new Error("disk full")) };
    expect(await gateTool(desk.make("read"), { gate }).invoke(args, thread("s"))).toBe("read done");
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read"]);
  });

  test("a call aborted while the gate decided does not run, and is recorded as interrupted", async () => {
    const desk = await openDesk();
    const stop = new AbortController();
    const gate: Gate = {
      ...desk.gate,
      decide: async (input) => {
        const decision = await desk.gate.decide(input);
        stop.abort();
        return decision;
      },
    };
    const error = await rejection(
      gateTool(desk.make("read"), { gate }).invoke(args, { ...thread("s"), signal: stop.signal }),
    );
    expect(error).toMatchObject({ name: "AbortError" });
    expect(desk.ran).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "interrupted"]);
  });
});

describe("what cannot be decided does not run", () => {
  const broken = new Error("out of order");
  const throwing = (): never => {
    throw broken;
  };
  type Parts = Partial<Parameters<typeof gateTool>[1]>;
  const faults: Record<string, (gate: Gate) => Parts> = {
    "decide throws": (gate) => ({ gate: { ...gate, decide: throwing } }),
    "decide rejects": (gate) => ({ gate: { ...gate, decide: () => Promise.reject(broken) } }),
    "decide answers nothing": (gate) => ({
      gate: { ...gate, decide: async () => undefined as never },
    }),
    "decide answers an ALLOW without arguments": (gate) => ({
      gate: { ...gate, decide: async () => ({ decision: "ALLOW", proceed: true }) as never },
    }),
    "decide answers an ALLOW that may not proceed": (gate) => ({
      gate: {
        ...gate,
        decide: async () => ({ decision: "ALLOW", proceed: false, args: {} }) as never,
      },
    }),
    "decide answers a denial without a code": (gate) => ({
      gate: { ...gate, decide: async () => ({ decision: "DENY", proceed: false }) as never },
    }),
    "decide answers neither": (gate) => ({
      gate: {
        ...gate,
        decide: async () =>
          ({ decision: "MAYBE", proceed: true, deny_code: "x", args: {} }) as never,
      },
    }),
    "decide answers a denial that proceeds without arguments": (gate) => ({
      gate: {
        ...gate,
        decide: async () =>
          ({ decision: "DENY", proceed: true, deny_code: "SEQUENCE_VIOLATION" }) as never,
      },
    }),
    "sequenceId throws": () => ({ sequenceId: throwing }),
    "nonce throws": () => ({ nonce: throwing }),
    "agent throws": () => ({ agent: throwing }),
  };

  test.each(Object.entries(faults))("%s: GATE_UNAVAILABLE", async (_fault, parts) => {
    const desk = await openDesk();
    const answer: unknown = await gateTool(desk.make("read"), {
      gate: desk.gate,
      ...parts(desk.gate),
    }).invoke(call("read", "c1"), thread("s"));
    expect(answer).toMatchObject({
      status: "error",
      content: "DENIED GATE_UNAVAILABLE: the gate could not decide.",
    });
    expect(desk.ran).toEqual([]);
    expect(await desk.chain("s")).toEqual([]);
  });

  test("the reason is told to the operator, not to the model", async () => {
    const { gate, make } = await openDesk();
    const warned: string[] = [];
    const listen = (warning: Error): void =>
      void warned.push(`${warning.name}: ${warning.message}`);
    process.on("warning", listen);
    const unknowable = (): never => {
      throw new Error("no such session: 4711");
    };
    const answer: unknown = await gateTool(make("read"), { gate, sequenceId: unknowable }).invoke(
      call("read", "c1"),
      thread("s"),
    );
    await new Promise(setImmediate);
    process.off("warning", listen);
    expect(warned).toContain(
      "StepgateWarning: a call was denied: the gate, or a function of its options, failed: no such session: 4711",
    );
    expect(JSON.stringify(answer)).not.toContain("4711");
  });

  test.each([
    ["no thread", undefined, {}],
    ["a thread that is no string", undefined, { configurable: { thread_id: 17 } }],
    ["a sequenceId that finds none", () => undefined, thread("s")],
  ])("%s: INVALID_REQUEST", async (_case, sequenceId, config) => {
    const desk = await openDesk();
    const gated = gateTool(desk.make("read"), {
      gate: desk.gate,
      ...(sequenceId === undefined ? {} : { sequenceId }),
    });
    const answer: unknown = await gated.invoke(call("read", "c1"), config);
    expect(answer).toMatchObject({
      artifact: { stepgate: { deny_code: "INVALID_REQUEST", rule: "request.sequence_id" } },
    });
    expect(desk.ran).toEqual([]);
    expect(await desk.chain("s")).toEqual([]);
  });

  test("a store that fails: STORE_UNAVAILABLE", async () => {
    const desk = await openDesk({
      wrapStore: (store) => failAppends(store, broken),
    });
    const answer: unknown = await gateTool(desk.make("read"), { gate: desk.gate }).invoke(
      call("read", "c1"),
      thread("s"),
    );
    expect(answer).toMatchObject({ artifact: { stepgate: { deny_code: "STORE_UNAVAILABLE" } } });
    expect(desk.ran).toEqual([]);
  });

  test("arguments that JSON cannot say: INVALID_REQUEST, naming the path", async () => {
    const { gate } = await openDesk();
    const ran: unknown[] = [];
    const schema = z.object({ due: z.string().transform((text) => new Date(text)) });
    const read = tool((input) => void ran.push(input), { name: "read", schema });
    const answer: unknown = await gateTool(read, { gate }).invoke(
      call("read", "c1", { due: "2026-01-01" }),
      thread("s"),
    );
    expect(answer).toMatchObject({
      artifact: {
        stepgate: {
          deny_code: "INVALID_REQUEST",
          rule: "request.args",
          message: expect.stringContaining("due"),
        },
      },
    });
    expect(ran).toEqual([]);
  });
});

test("in shadow mode a denied call runs all the same, once its refusal is on record", async () => {
  const desk = await openDesk({ mode: "shadow" });
  expect(await gateTool(desk.make("refund"), { gate: desk.gate }).invoke(args, thread("s"))).toBe(
    "refund done",
  );
  expect(desk.ran).toEqual([{ tool: "refund", args }]);
  expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
});

describe("options' functions", () => {
  test("are told the tool, the call, the thread and the context, and no state", async () => {
    const { gate: inner, make } = await openDesk();
    const { gate, asked } = tapped(inner);
    const told: unknown[] = [];
    const gated = gateTool(make("read"), {
      gate,
      sequenceId: (info) => (told.push(info), "from-context"),
      nonce: (info) => `n-${info.toolCallId}`,
      agent: () => ({ agent_id: "bot-7", tenant: "acme" }),
    });
    const context = { userId: "u1" };
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [gated],
      contextSchema: z.object({ userId: z.string() }),
    });
    await agent.invoke({ messages: "go" }, { ...thread("t"), context });
    expect(told).toEqual([{ tool: "read", toolCallId: "c1", threadId: "t", context }]);
    expect(asked).toEqual([
      {
        sequence_id: "from-context",
        tool: "read",
        args,
        nonce: "n-c1",
        agent_id: "bot-7",
        tenant: "acme",
      },
    ]);
  });

  test("are told of no thread where its id is no string", async () => {
    const { gate, make } = await openDesk();
    const told: unknown[] = [];
    const gated = gateTool(make("read"), { gate, sequenceId: (info) => (told.push(info), "s") });
    await gated.invoke(args, { configurable: { thread_id: 17 } });
    expect(told).toEqual([{ tool: "read", context: undefined }]);
  });

  test("agent may be a value", async () => {
    const { gate: inner, make } = await openDesk();
    const { gate, asked } = tapped(inner);
    await gateTool(make("read"), { gate, agent: { agent_id: "bot-7" } }).invoke(args, thread("s"));
    expect(asked).toMatchObject([{ agent_id: "bot-7" }]);
  });
});

describe("a gated tool that calls another with its own configuration", () => {
  test("does not lend it its tool-call id: both are decided, and may be called again", async () => {
    const desk = await openDesk();
    const read = gateTool(desk.make("read"), { gate: desk.gate });
    const intake = gateTool(
      desk.make("intake", async (input, config) => [
        await read.invoke(input, config as ToolRunnableConfig),
        await read.invoke(input, config as ToolRunnableConfig),
      ]),
      { gate: desk.gate },
    );
    await intake.invoke(call("intake", "c1"), thread("s"));
    expect(desk.names()).toEqual(["intake", "read", "read"]);
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW intake",
      "ALLOW read",
      "succeeded",
      "ALLOW read",
      "succeeded",
      "succeeded",
    ]);
  });

  test("the same from within a generator, after its first event", async () => {
    const desk = await openDesk();
    const read = gateTool(desk.make("read"), { gate: desk.gate });
    const intake = tool(
      async function* (input: { order: number }, config: ToolRunnableConfig) {
        yield "before";
        await read.invoke(input, config);
        return "taken in";
      },
      { name: "intake", schema: order },
    );
    const answer: unknown = await gateTool(intake, { gate: desk.gate }).invoke(
      call("intake", "c1"),
      thread("s"),
    );
    expect(answer).toMatchObject({ content: "taken in" });
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW intake",
      "ALLOW read",
      "succeeded",
      "succeeded",
    ]);
  });

  test("an agent inside a tool belongs to the sequence of the thread around it", async () => {
    const desk = await openDesk();
    const tools = gateTools([desk.make("read")], { gate: desk.gate });
    const inner = createAgent({ model: scripted([call("read", "i1")]), tools });
    const outer = gateTools(
      [desk.make("intake", async () => (await inner.invoke({ messages: "look" })).messages.length)],
      { gate: desk.gate },
    );
    const agent = createAgent({
      model: scripted([call("intake", "c1")]),
      tools: outer,
      checkpointer: new MemorySaver(),
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW intake",
      "ALLOW read",
      "succeeded",
      "succeeded",
    ]);
  });
});

describe("refused at construction", () => {
  const refuses = (tools: unknown, options: unknown, message: RegExp): void => {
    const construct = (): unknown => gateTools(tools as never, options as never);
    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(message);
  };

  test("tools that no wrapper can hold, by name", async () => {
    const { gate, make } = await openDesk();
    class Shortcut extends DynamicStructuredTool {
      override async invoke(): Promise<never> {
        return "past _call" as never;
      }
    }
    class Streaming extends DynamicStructuredTool {
      override async *_streamIterator(): AsyncGenerator<never> {
        yield "past _call" as never;
      }
    }
    class Calling extends DynamicStructuredTool {
      override async call(): Promise<never> {
        return "past _call" as never;
      }
    }
    const fields = { name: "read", description: "", schema: order, func: async () => "read" };
    refuses(
      [{ type: "web_search" }],
      { gate },
      /'web_search' cannot be gated: it is no LangChain tool; a tool that runs at the provider/,
    );
    refuses(
      [{ type: "computer_use", name: "computer" }],
      { gate },
      /'computer' cannot be gated: it has no '_call'/,
    );
    refuses(
      [make("read").asTool({ name: "like", schema: order })],
      { gate },
      /'like' cannot be gated: a runnable made a tool with asTool\(\)/,
    );
    refuses([new Shortcut(fields)], { gate }, /'read' cannot be gated: it overrides 'invoke'/);
    refuses(
      [new Streaming(fields)],
      { gate },
      /'read' cannot be gated: it overrides '_streamIterator'/,
    );
    refuses([new Calling(fields)], { gate }, /'read' cannot be gated: it overrides 'call'/);
    refuses(
      [Object.assign(make("read"), { invoke: async () => "past _call" })],
      { gate },
      /overrides 'invoke'/,
    );
    refuses([undefined], { gate }, /undefined cannot be gated/);
    refuses(make("read"), { gate }, /tools must be an array/);
  });

  test("a tool gated twice, by whichever gate", async () => {
    const { gate, make } = await openDesk();
    const other = await openDesk();
    const gated = gateTool(make("read"), { gate });
    refuses([gated], { gate }, /'read' cannot be gated: it is gated already/);
    refuses([gated], { gate: other.gate }, /gated already/);
    refuses([Object.create(gated)], { gate }, /gated already/);
  });

  test("missing, mistyped and unknown options", async () => {
    const { gate, make } = await openDesk();
    const tools = [make("read")];
    refuses(tools, undefined, /options are required/);
    refuses(tools, {}, /gate is required/);
    refuses(tools, { gate: { decide: () => undefined } }, /gate must be a gate/);
    refuses(tools, { gate, sequenceId: "s" }, /sequenceId must be a function of the call/);
    refuses(tools, { gate, nonce: 1 }, /nonce must be a function of the call/);
    refuses(
      tools,
      { gate, agent: "bot" },
      /agent must be \{ agent_id, tenant \} or a function of the call/,
    );
    refuses(tools, { gate, harden: "yes" }, /harden must be true or false/);
    refuses(tools, { gate, sequenceID: () => "s" }, /unknown option 'sequenceID'/);
    refuses(tools, { gate, constructor: 1 }, /unknown option 'constructor'/);
  });

  test("what cannot be hardened", async () => {
    const { gate, make } = await openDesk();
    class Own extends DynamicStructuredTool {
      protected override _call(input: never, runManager?: never, config?: never) {
        return this.func(input, runManager, config);
      }
    }
    refuses(
      [Object.freeze(make("read"))],
      { gate, harden: true },
      /'read' cannot be hardened: its members are fixed already/,
    );
    const own = new Own({ name: "read", description: "", schema: order, func: async () => "read" });
    refuses(
      [own],
      { gate, harden: true },
      /'read' cannot be hardened: it has a 'func' and a '_call' of its own/,
    );
    // Not hardened, it can be gated: its `_call` meets the gate before it reaches its own `func`.
    expect(await gateTool(own, { gate }).invoke(args, thread("s"))).toBe("read");
  });
});
