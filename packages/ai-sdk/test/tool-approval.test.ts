/** `toolApproval`: the SDK's native denial, client tools and people, over one decision a call. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import {
  convertToModelMessages,
  generateText,
  isStepCount,
  type ModelMessage,
  readUIMessageStream,
  streamText,
  tool,
  type Tool,
  toolSearch,
  type ToolSet,
  type UIMessage,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { gateTools, toolApproval } from "../src/index.ts";
import { counter, openDesk, replaced, RUN } from "./order-desk.ts";
import { answered, generate, scriptedModel, toldTheModel, ways } from "./scripted-model.ts";

const lookUp = { id: "c1", tool: "getOrder", input: { order: 17 } };
const wipe = { id: "c3", tool: "wipe", input: {} };
const direct = { toolCallId: "c1", messages: [], context: {} };

/** What the SDK asks with, for a test that asks by itself. */
const asking = (
  tools: ToolSet,
  { id, tool: toolName, input }: typeof lookUp | typeof wipe,
  more: object = {},
) => ({
  toolCall: { type: "tool-call" as const, toolCallId: id, toolName, input, ...more },
  tools,
  toolsContext: {},
  runtimeContext: {},
  messages: [],
});

describe("the answers to the SDK", () => {
  test("are not-applicable for ALLOW, which adds no part to the conversation", async () => {
    const { gate } = await openDesk();
    const gated: ToolSet = gateTools(counter().tools, { gate, sequenceId: RUN });
    expect(await toolApproval(gated)(asking(gated, lookUp))).toBe("not-applicable");
  });

  test("are denied, with the code and one sentence, for DENY", async () => {
    const { gate } = await openDesk();
    const gated: ToolSet = gateTools(counter().tools, { gate, sequenceId: RUN });
    expect(await toolApproval(gated)(asking(gated, wipe))).toEqual({
      type: "denied",
      reason: "NO_POLICY_MATCH: the policy has no tool 'wipe'.",
    });
  });

  test.each(ways)("make a denial native: %s", async (_name, run) => {
    const { gate } = await openDesk();
    const { tools } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const model = scriptedModel([wipe]);
    const { parts } = await run({
      model,
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    const response = parts.find(({ type }) => type === "tool-approval-response");
    expect(response).toMatchObject({
      approved: false,
      reason: expect.stringContaining("NO_POLICY_MATCH"),
    });
    expect(toldTheModel(model)).toContain(`"type":"execution-denied","reason":"NO_POLICY_MATCH`);
  });
});

describe("the ticket", () => {
  test("is taken once: the same call again is a replay", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    await generate({
      model: scriptedModel([lookUp]),
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    await expect(gated.getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
      code: "REPLAY_NONCE",
    });
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW getOrder",
      "succeeded",
      "DENY getOrder REPLAY_NONCE",
    ]);
  });

  test("for other arguments is not taken: nothing runs, and the ALLOW is recorded as not begun", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    await generateText({
      model: scriptedModel([lookUp]),
      prompt: "go",
      tools: gated,
      toolApproval: toolApproval(gated),
      onToolExecutionStart: ({ toolCall }) => {
        (toolCall.input as { order: number }).order = 99;
      },
    });
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW getOrder",
      "interrupted",
      "DENY getOrder REPLAY_NONCE",
    ]);
  });

  test("that was withdrawn so cannot be taken later: the right call asks again, and resumes", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated: ToolSet = gateTools(tools, { gate, sequenceId: RUN });
    await toolApproval(gated)(asking(gated, lookUp));
    await expect(gated["getOrder"]?.execute?.({ order: 99 }, direct)).rejects.toMatchObject({
      code: "REPLAY_NONCE",
    });
    await gated["getOrder"]?.execute?.({ order: 17 }, direct);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW getOrder",
      "interrupted",
      "DENY getOrder REPLAY_NONCE",
      "ALLOW getOrder again",
      "succeeded",
    ]);
  });

  test("for another tool is not taken", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated: ToolSet = gateTools(tools, { gate, sequenceId: RUN });
    await toolApproval(gated)(asking(gated, lookUp));
    await expect(gated["refund"]?.execute?.({ order: 17 }, direct)).rejects.toMatchObject({
      code: "REPLAY_NONCE",
    });
    expect(runs).toEqual([]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "DENY refund REPLAY_NONCE"]);
  });

  test("of one sequence is not taken in another", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    let sequence = "run-a";
    const gated: ToolSet = gateTools(tools, { gate, sequenceId: () => sequence });
    await toolApproval(gated)(asking(gated, lookUp));
    sequence = "run-b";
    await gated["getOrder"]?.execute?.({ order: 17 }, direct);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain("run-a")).toEqual(["open", "ALLOW getOrder"]);
    expect(await chain("run-b")).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("that expires while siblings run is recorded as interrupted, and the gate is asked again", async () => {
    const { gate, chain } = await openDesk({ permitTtlMs: 300 });
    const ran: string[] = [];
    const search = (name: string) =>
      tool({
        inputSchema: z.object({}),
        execute: async () => {
          ran.push(name);
          await sleep(400);
        },
      });
    const gated = gateTools(
      { search: search("search"), code: search("code") },
      { gate, sequenceId: RUN },
    );
    await generateText({
      model: scriptedModel([
        { id: "c1", tool: "search", input: {} },
        { id: "c2", tool: "code", input: {} },
      ]),
      prompt: "go",
      tools: gated,
      toolApproval: toolApproval(gated),
      toolCallConcurrency: 1,
      stopWhen: isStepCount(2),
    });
    expect(ran).toEqual(["search", "code"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW search",
      "ALLOW code",
      "succeeded",
      "interrupted",
      "ALLOW code again",
      "succeeded",
    ]);
  });

  test("that nobody comes for is recorded as interrupted when the next call is decided", async () => {
    const { gate, chain } = await openDesk({ permitTtlMs: 5 });
    const gated: ToolSet = gateTools(counter().tools, { gate, sequenceId: RUN });
    const approve = toolApproval(gated);
    await approve(asking(gated, lookUp));
    await sleep(20);
    await approve(asking(gated, { id: "c2", tool: "refund", input: { order: 17 } }));
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "ALLOW refund", "interrupted"]);
  });

  test("that is being withdrawn when its call comes lets the call resume, not replay", async () => {
    const { gate, chain } = await openDesk({ permitTtlMs: 5 });
    const { tools, runs } = counter();
    const slow = replaced(gate, {
      outcome: async (allow, note) => {
        if (note.status === "interrupted") await sleep(30);
        return gate.outcome(allow, note);
      },
    });
    const gated: ToolSet = gateTools(tools, { gate: slow, sequenceId: RUN });
    const approve = toolApproval(gated);
    await approve(asking(gated, lookUp));
    await sleep(20);
    const other = approve(
      asking(gated, wipe, { toolCallId: "c2", toolName: "refund", input: { order: 17 } }),
    );
    await sleep(10);
    await gated["getOrder"]?.execute?.({ order: 17 }, direct);
    await other;
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW getOrder",
      "ALLOW refund",
      "interrupted",
      "ALLOW getOrder again",
      "succeeded",
    ]);
  });
});

test("a streamed attempt that fails and is retried spends no step of the sequence", async () => {
  const { gate, chain } = await openDesk();
  const { tools, runs } = counter();
  const gated = gateTools(tools, { gate, sequenceId: RUN });
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 1, text: 1, reasoning: undefined },
  };
  let attempt = 0;
  const parts = function* (): Generator<LanguageModelV4StreamPart> {
    const failing = ++attempt === 1;
    if (attempt < 3)
      yield {
        type: "tool-call",
        toolCallId: `c${attempt}`,
        toolName: "getOrder",
        input: '{"order":17}',
      };
    if (failing) yield { type: "error", error: new Error("overloaded") };
    yield {
      type: "finish",
      finishReason: {
        unified: failing ? "error" : attempt === 2 ? "tool-calls" : "stop",
        raw: undefined,
      },
      usage,
    };
  };
  const model = new MockLanguageModelV4({
    doStream: async () => ({ stream: ReadableStream.from(parts()) }),
  });
  const settings = {
    tools: gated,
    toolApproval: toolApproval(gated),
    streamRetries: 1,
    stopWhen: isStepCount(3),
  };
  await streamText({ model, prompt: "go", ...settings, onError: () => undefined }).consumeStream();
  expect(attempt).toBe(3);
  expect(runs).toEqual(["getOrder 17"]);
  expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
});

describe("tools beside the gate", () => {
  const bystander = (runs: string[]) =>
    tool({ inputSchema: z.object({}), execute: () => runs.push("bystander") });

  test("are refused, although the SDK would run them", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const model = scriptedModel([{ id: "c1", tool: "search", input: {} }]);
    await generate({
      model,
      tools: { ...gated, search: bystander(runs) },
      toolApproval: toolApproval(gated) as never,
    });
    expect(runs).toEqual([]);
    expect(toldTheModel(model)).toContain("This tool is not of the gated set.");
  });

  test("are refused under a gated tool's name, too: the originals were passed by mistake", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    await generate({
      model: scriptedModel([lookUp]),
      tools,
      toolApproval: toolApproval(gated) as never,
    });
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([]);
  });

  test("are refused when another set has gated them: its execute would ask a second time", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const { getOrder, ...rest } = tools;
    const options = { gate, sequenceId: RUN };
    const gated = gateTools(rest, options);
    const model = scriptedModel([lookUp]);
    const both = { ...gated, ...gateTools({ getOrder }, options) };
    await generate({ model, tools: both, toolApproval: toolApproval(gated) as never });
    expect(runs).toEqual([]);
    expect(toldTheModel(model)).toContain("This tool is not of the gated set.");
    expect(await chain()).toEqual([]);
  });

  test("a name that every object inherits is no tool", async () => {
    const { gate, chain } = await openDesk();
    const gated: ToolSet = gateTools(counter().tools, { gate, sequenceId: RUN });
    for (const name of ["constructor", "__proto__", "toString"]) {
      expect(await toolApproval(gated)(asking(gated, { ...wipe, tool: name }))).toMatchObject({
        type: "denied",
      });
    }
    expect(await chain()).toEqual([]);
  });

  test("a call that the model says ran at the provider is refused without asking", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const { parts } = await generate({
      model: scriptedModel([{ ...lookUp, providerExecuted: true }]),
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    expect(parts.find(({ type }) => type === "tool-approval-response")).toMatchObject({
      approved: false,
    });
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([]);
  });
});

test("only the very object that gateTools returned is taken", async () => {
  const { gate } = await openDesk();
  const gated = gateTools(counter().tools, { gate, sequenceId: RUN });
  for (const other of [{ ...gated }, counter().tools, {}]) {
    expect(() => toolApproval(other)).toThrow(TypeError);
    expect(() => toolApproval(other)).toThrow(
      "toolApproval: takes the very object that gateTools returned",
    );
  }
});

describe("a client tool", () => {
  const headless = {
    confirm: tool({ inputSchema: z.object({}), outputSchema: z.boolean() }),
  } as unknown as ToolSet;
  const other = { wipe: headless["confirm"] as Tool } as unknown as ToolSet;

  test("that is allowed goes to the client, and its ALLOW stays open", async () => {
    const { gate, chain } = await openDesk();
    const gated = gateTools(headless, { gate, sequenceId: RUN, clientTools: ["confirm"] });
    const model = scriptedModel([{ id: "c1", tool: "confirm", input: {} }]);
    const { parts } = await generate({ model, tools: gated, toolApproval: toolApproval(gated) });
    expect(parts.map(({ type }) => type)).toEqual(["tool-call"]);
    expect(await chain()).toEqual(["open", "ALLOW confirm"]);
  });

  test("that is denied never reaches the client", async () => {
    const { gate, chain } = await openDesk();
    const gated = gateTools(other, { gate, sequenceId: RUN, clientTools: ["wipe"] });
    const result = streamText({
      model: scriptedModel([wipe]),
      prompt: "go",
      tools: gated,
      toolApproval: toolApproval(gated),
    });
    const types: string[] = [];
    for await (const { type } of result.toUIMessageStream()) types.push(type);
    expect(types).toContain("tool-output-denied");
    expect(await chain()).toEqual(["open", "DENY wipe NO_POLICY_MATCH"]);
  });

  test("leaves no ticket that would be called interrupted later, although its client may have run it", async () => {
    const { gate, chain } = await openDesk({ permitTtlMs: 5 });
    const gated = gateTools({ ...headless, ...counter().tools } as ToolSet, {
      gate,
      sequenceId: RUN,
      clientTools: ["confirm"],
    });
    const approve = toolApproval(gated);
    await approve(asking(gated, { ...wipe, tool: "confirm" }));
    await sleep(20);
    await approve(asking(gated, lookUp));
    expect(await chain()).toEqual(["open", "ALLOW confirm", "ALLOW getOrder"]);
  });

  test("is also the SDK's own toolSearch, whose execute the SDK replaces", async () => {
    const { gate, chain } = await openDesk();
    const searching = {
      search: toolSearch(),
      wipe: { ...counter().tools.wipe, deferLoading: true },
    };
    expect(() => gateTools(searching, { gate, sequenceId: RUN })).toThrow(
      "'search' has no execute of its own",
    );
    const gated = gateTools(searching, { gate, sequenceId: RUN, clientTools: ["search"] });
    const model = scriptedModel([{ id: "c1", tool: "search", input: { query: "wipe" } }]);
    const { parts } = await generate({
      model,
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    expect(parts.find(({ type }) => type === "tool-result")?.output).toMatchObject({
      tools: [{ name: "wipe" }],
    });
    expect(await chain()).toEqual(["open", "ALLOW search"]);
  });
});

describe("a tool's own needsApproval", () => {
  const cautious = () => {
    const { tools, runs } = counter();
    return { tools: { getOrder: { ...tools.getOrder, needsApproval: true } }, runs };
  };

  test("is looked at first: a person is asked, the gate is not", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = cautious();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const { parts } = await generate({
      model: scriptedModel([lookUp]),
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    expect(parts.map(({ type }) => type)).toEqual(["tool-call", "tool-approval-request"]);
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([]);
  });

  test.each(ways)(
    "and a person's yes run the call in the next request, once; the same history a third time runs nothing: %s",
    async (_name, run) => {
      const { gate, chain } = await openDesk();
      const { tools, runs } = cautious();
      const request = (messages?: ModelMessage[]) => {
        const gated = gateTools(tools, { gate, sequenceId: RUN });
        const model = scriptedModel(...(messages === undefined ? [[lookUp]] : []));
        return run({
          model,
          tools: gated,
          toolApproval: toolApproval(gated) as never,
          ...(messages && { messages }),
        });
      };
      const first = await request();
      const history = answered(first.responseMessages, true);
      await request(structuredClone(history));
      expect(runs).toEqual(["getOrder 17"]);
      expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
      const third = await request(structuredClone(history));
      expect(runs).toEqual(["getOrder 17"]);
      expect(third.text).toBe("done");
      expect(await chain()).toEqual([
        "open",
        "ALLOW getOrder",
        "succeeded",
        "DENY getOrder REPLAY_NONCE",
      ]);
    },
  );

  test("is no authority: a person's yes to what the gate refuses runs nothing", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(
      { wipe: { ...tools.wipe, needsApproval: true } },
      { gate, sequenceId: RUN },
    );
    const first = await generate({
      model: scriptedModel([wipe]),
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    const messages = answered(first.responseMessages, true);
    const model = scriptedModel();
    await generate({ model, tools: gated, toolApproval: toolApproval(gated) as never, messages });
    expect(runs).toEqual([]);
    expect(toldTheModel(model)).toContain("NO_POLICY_MATCH");
    expect(await chain()).toEqual(["open", "DENY wipe NO_POLICY_MATCH"]);
  });

  test("survives the way through a browser", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = cautious();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const user: UIMessage = { id: "m1", role: "user", parts: [{ type: "text", text: "go" }] };
    const ask = async (uiMessages: UIMessage[], model = scriptedModel()) => {
      const messages = await convertToModelMessages(uiMessages, { tools: gated });
      const result = streamText({
        model,
        messages,
        tools: gated,
        toolApproval: toolApproval(gated),
        stopWhen: isStepCount(3),
      });
      let message: UIMessage | undefined;
      for await (const state of readUIMessageStream({
        stream: result.toUIMessageStream({ originalMessages: uiMessages }),
      }))
        message = state;
      return message;
    };
    const pending = await ask([user], scriptedModel([lookUp]));
    const parts = pending?.parts.map((part) =>
      part.type === "tool-getOrder" && part.state === "approval-requested"
        ? { ...part, state: "approval-responded", approval: { ...part.approval, approved: true } }
        : part,
    );
    await ask([user, { ...pending, parts } as UIMessage]);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("gets what the SDK would give it: the input, the call's id, the messages, and its validated context", async () => {
    const { gate } = await openDesk();
    const seen: unknown[] = [];
    const withContext = (contextSchema: unknown) =>
      ({
        search: {
          inputSchema: z.object({ query: z.string() }),
          contextSchema,
          needsApproval: (input: unknown, options: object) => {
            seen.push([input, options]);
            return true;
          },
          execute: () => "found",
        },
      }) as unknown as ToolSet;
    const region = z.object({ region: z.string().toUpperCase() });
    const schemas = [
      region,
      {
        jsonSchema: {},
        validate: (value: unknown) => ({ success: true, value: region.parse(value) }),
      },
    ];
    for (const schema of [...schemas, () => schemas[1]]) {
      const gated = gateTools(withContext(schema), { gate, sequenceId: RUN });
      const question = asking(gated, { id: "c1", tool: "search", input: { query: "x" } } as never);
      const asked = {
        ...question,
        toolsContext: { search: { region: "eu" } },
        messages: [{ role: "user" as const, content: "go" }],
      };
      expect(await toolApproval(gated)(asked)).toEqual({ type: "user-approval" });
      const options = {
        toolCallId: "c1",
        messages: [{ role: "user", content: "go" }],
        context: { region: "EU" },
      };
      expect(seen.pop()).toEqual([{ query: "x" }, options]);
    }
  });

  test("that fails, or whose context does not match, is a denial", async () => {
    const { gate, chain } = await openDesk();
    const search = (more: object) =>
      gateTools(
        {
          search: { inputSchema: z.object({}), execute: () => "found", ...more },
        } as unknown as ToolSet,
        { gate, sequenceId: RUN },
      );
    const sure = () => false;
    const contextSchemas = [
      z.object({ region: z.string() }),
      { validate: () => ({ success: false }) },
      { validate: "no" },
      7,
    ];
    const sets = [
      search({ needsApproval: () => Promise.reject(new Error("no directory")) }),
      ...contextSchemas.map((contextSchema) => search({ contextSchema, needsApproval: sure })),
    ];
    for (const gated of sets) {
      expect(await toolApproval(gated)(asking(gated, { ...wipe, tool: "search" }))).toMatchObject({
        type: "denied",
        reason: expect.stringContaining("GATE_UNAVAILABLE"),
      });
    }
    expect(await chain()).toEqual([]);
  });

  test("that says no leaves the call to the gate", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(
      { getOrder: { ...tools.getOrder, needsApproval: () => false } },
      { gate, sequenceId: RUN },
    );
    await generate({
      model: scriptedModel([lookUp]),
      tools: gated,
      toolApproval: toolApproval(gated) as never,
    });
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });
});
