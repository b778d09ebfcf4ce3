/** One gated tool: everything but `execute` is as it was, and whatever runs in its place is gated too. */
import {
  experimental_toolCaller,
  generateText,
  isStepCount,
  streamText,
  tool,
  type Tool,
  type ToolExecutionOptions,
  type ToolSet,
} from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { denialOf, gateTools, toolApproval } from "../src/index.ts";
import { counter, openDesk, replaced, RUN } from "./order-desk.ts";
import { generate, scriptedModel, type Turn, ways } from "./scripted-model.ts";

const direct: ToolExecutionOptions<Record<string, unknown>> = {
  toolCallId: "c1",
  messages: [],
  context: {},
};
const search: Turn = [{ id: "c1", tool: "search", input: {} }];
const inputSchema = z.object({});

describe("the clone", () => {
  test("has every member of the tool, and the tool itself is not changed", async () => {
    const { gate } = await openDesk();
    const original = counter().tools.getOrder;
    const before = Object.getOwnPropertyDescriptors(original);
    const { getOrder } = gateTools({ getOrder: original }, { gate, sequenceId: RUN });
    expect(Object.getOwnPropertyDescriptors(original)).toEqual(before);
    const { execute, ...rest } = getOrder;
    expect(rest).toEqual({ description: "Looks an order up.", inputSchema: original.inputSchema });
    expect(execute).not.toBe(original.execute);
  });

  test("runs the original on the original, so private fields work", async () => {
    const { gate } = await openDesk();
    class Search {
      #index = ["found"];
      readonly inputSchema = inputSchema;
      execute(): string {
        return this.#index.join();
      }
    }
    const gated = gateTools({ search: new Search() } as ToolSet, { gate, sequenceId: RUN });
    expect(gated["search"]).toBeInstanceOf(Search);
    const { parts } = await generate({ model: scriptedModel(search), tools: gated });
    expect(parts.find(({ type }) => type === "tool-result")?.output).toBe("found");
  });

  test("has the members that no spread copies, and those of its prototype", async () => {
    const { gate } = await openDesk();
    class Search {
      readonly inputSchema = inputSchema;
      readonly #calls = ["one"];
      get described(): number {
        return 1;
      }
      execute(): string {
        return this.#calls.join();
      }
    }
    const hidden = Object.defineProperty(new Search(), "hidden", { value: "kept" });
    const { search: gated } = gateTools({ search: hidden } as ToolSet, { gate, sequenceId: RUN });
    expect(gated).toMatchObject({ hidden: "kept", described: 1 });
    expect(Object.keys(gated ?? {})).toEqual(["inputSchema", "execute"]);
  });

  test("cannot lose its execute again, nor can the set gain a tool", async () => {
    const { gate } = await openDesk();
    const { tools } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    expect(() => Object.assign(gated.wipe, { execute: tools.wipe.execute })).toThrow(TypeError);
    expect(() => Object.assign(gated, { extra: tools.wipe })).toThrow(TypeError);
    expect(
      () => Reflect.deleteProperty(gated, "wipe") || Reflect.deleteProperty(gated.wipe, "execute"),
    ).not.toThrow();
    expect(gated.wipe.execute).not.toBe(tools.wipe.execute);
  });

  test("keeps holding what was there when it was made", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const { wipe } = gateTools(tools, { gate, sequenceId: RUN });
    tools.wipe.execute = () => "swapped";
    await expect(wipe.execute({}, direct)).rejects.toMatchObject({ code: "NO_POLICY_MATCH" });
    expect(runs).toEqual([]);
  });

  test("stays gated when the SDK or the application spreads it", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const { wipe } = gateTools(tools, { gate, sequenceId: RUN });
    const spread = { ...wipe, description: "another" };
    await generate({
      model: scriptedModel([{ id: "c1", tool: "wipe", input: {} }]),
      tools: { wipe: spread } as ToolSet,
    });
    expect(runs).toEqual([]);
  });

  test("is handed what the SDK hands over: id, messages, signal and its own context", async () => {
    const { gate } = await openDesk();
    const seen: object[] = [];
    const region = tool({
      inputSchema,
      contextSchema: z.object({ region: z.string() }),
      execute: (_input, options) => seen.push(options),
    });
    const { signal } = new AbortController();
    await generateText({
      model: scriptedModel(search),
      prompt: "go",
      tools: gateTools({ search: region }, { gate, sequenceId: RUN }),
      toolsContext: { search: { region: "eu" } },
      abortSignal: signal,
    });
    const messages = [{ role: "user", content: "go" }];
    expect(seen).toEqual([
      expect.objectContaining({
        toolCallId: "c1",
        messages,
        abortSignal: signal,
        context: { region: "eu" },
      }),
    ]);
  });

  test("keeps its onInput hooks, which the SDK runs before anyone is asked, as the documentation says", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const wipe = { ...tools.wipe, onInputAvailable: () => void runs.push("onInputAvailable") };
    await generate({
      model: scriptedModel([{ id: "c1", tool: "wipe", input: {} }]),
      tools: gateTools({ wipe } as ToolSet, { gate, sequenceId: RUN }),
    });
    expect(runs).toEqual(["onInputAvailable"]);
  });

  test("works without options, as no SDK calls it but a program may", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const { getOrder } = gateTools(tools, { gate, sequenceId: RUN });
    await (getOrder.execute as (input: unknown) => unknown)({ order: 17 });
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("of a tool named __proto__ is a tool of that name, decided as such", async () => {
    const { gate, chain } = await openDesk();
    let ran = false;
    const odd = JSON.parse('{"__proto__": 0}') as ToolSet;
    Object.defineProperty(odd, "__proto__", {
      value: tool({ inputSchema, execute: () => (ran = true) }),
      enumerable: true,
    });
    const gated = gateTools(odd, { gate, sequenceId: RUN });
    expect(Object.keys(gated)).toEqual(["__proto__"]);
    await generate({
      model: scriptedModel([{ id: "c1", tool: "__proto__", input: {} }]),
      tools: gated,
    });
    expect(ran).toBe(false);
    expect(await chain()).toEqual(["open", "DENY __proto__ NO_POLICY_MATCH"]);
  });
});

describe("a generator tool", () => {
  const tracking = (name: "search" | "wipe", log: string[]) => ({
    [name]: tool({
      inputSchema,
      async *execute() {
        try {
          yield "packed";
          yield "sent";
        } finally {
          log.push("closed");
        }
      },
    }),
  });

  test("keeps its preliminary results, and ends as succeeded", async () => {
    const { gate, chain } = await openDesk();
    const gated: ToolSet = gateTools(tracking("search", []), { gate, sequenceId: RUN });
    const result = streamText({ model: scriptedModel(search), prompt: "go", tools: gated });
    const outputs: unknown[] = [];
    for await (const part of result.stream)
      if (part.type === "tool-result") outputs.push([part.output, part.preliminary ?? false]);
    expect(outputs).toEqual([
      ["packed", true],
      ["sent", true],
      ["sent", false],
    ]);
    expect(await chain()).toEqual(["open", "ALLOW search", "succeeded"]);
  });

  test.each(ways)("that is denied is a tool-error, and never begins: %s", async (_name, run) => {
    const { gate, chain } = await openDesk();
    const log: string[] = [];
    const gated = gateTools(tracking("wipe", log), { gate, sequenceId: RUN }) as ToolSet;
    const { parts } = await run({
      model: scriptedModel([{ id: "c1", tool: "wipe", input: {} }]),
      tools: gated,
    });
    expect(denialOf(parts.find(({ type }) => type === "tool-error")?.error)?.deny_code).toBe(
      "NO_POLICY_MATCH",
    );
    expect(log).toEqual([]);
    expect(await chain()).toEqual(["open", "DENY wipe NO_POLICY_MATCH"]);
  });

  test("takes the ticket of toolApproval", async () => {
    const { gate, chain } = await openDesk();
    const gated = gateTools(tracking("search", []), { gate, sequenceId: RUN }) as ToolSet;
    await generate({
      model: scriptedModel(search),
      tools: gated,
      toolApproval: toolApproval(gated),
    });
    expect(await chain()).toEqual(["open", "ALLOW search", "succeeded"]);
  });

  test("whose stream is cut while it runs ends as unknown, and is closed", async () => {
    const { gate, chain } = await openDesk();
    const log: string[] = [];
    const controller = new AbortController();
    const endless = tool({
      inputSchema,
      async *execute() {
        try {
          for (let page = 1; ; page++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            yield page;
          }
        } finally {
          log.push("closed");
        }
      },
    });
    const gated = gateTools({ search: endless }, { gate, sequenceId: RUN });
    const result = streamText({
      model: scriptedModel(search),
      prompt: "go",
      tools: gated,
      abortSignal: controller.signal,
    });
    for await (const part of result.stream) if (part.type === "tool-result") controller.abort();
    await expect.poll(() => chain()).toEqual(["open", "ALLOW search", "unknown"]);
    expect(log).toEqual(["closed"]);
  });

  test("that throws half way ends as failed", async () => {
    const { gate, chain } = await openDesk();
    const failing = tool({
      inputSchema,
      async *execute() {
        yield "packed";
        throw new RangeError("lost");
      },
    });
    const { parts } = await generate({
      model: scriptedModel(search),
      tools: gateTools({ search: failing }, { gate, sequenceId: RUN }),
    });
    expect(parts.find(({ type }) => type === "tool-error")?.error).toBeInstanceOf(RangeError);
    expect(await chain()).toEqual(["open", "ALLOW search", "failed"]);
  });

  test("does not begin when the abort comes while the gate decides", async () => {
    const { gate, chain } = await openDesk();
    const log: string[] = [];
    const controller = new AbortController();
    const aborting = replaced(gate, {
      decide: (input) => gate.decide(input).finally(() => controller.abort(new Error("stop"))),
    });
    const gated: ToolSet = gateTools(tracking("search", log), { gate: aborting, sequenceId: RUN });
    const stream = gated["search"]?.execute?.(
      {},
      { ...direct, abortSignal: controller.signal },
    ) as AsyncGenerator;
    await expect(stream.next()).rejects.toThrow("stop");
    expect(log).toEqual([]);
    expect(await chain()).toEqual(["open", "ALLOW search", "interrupted"]);
  });
});

describe("an iterable that no generator function announced", () => {
  const pages = async function* () {
    yield "packed";
    yield "sent";
  };

  test("is drained to its last value", async () => {
    const { gate, chain } = await openDesk();
    const gated = gateTools(
      { search: tool({ inputSchema, execute: () => pages() }) },
      { gate, sequenceId: RUN },
    );
    const { parts } = await generate({ model: scriptedModel(search), tools: gated });
    expect(parts.find(({ type }) => type === "tool-result")?.output).toBe("sent");
    expect(await chain()).toEqual(["open", "ALLOW search", "succeeded"]);
  });

  test("that throws is a failure of the tool", async () => {
    const { gate, chain } = await openDesk();
    const failing = () => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new RangeError("lost")) }),
    });
    const gated = gateTools(
      { search: tool({ inputSchema, execute: failing }) },
      { gate, sequenceId: RUN },
    );
    const { parts } = await generate({ model: scriptedModel(search), tools: gated });
    expect(parts.find(({ type }) => type === "tool-error")?.error).toBeInstanceOf(RangeError);
    expect(await chain()).toEqual(["open", "ALLOW search", "failed"]);
  });
});

describe("a tool that calls other tools", () => {
  /** A caller as the SDK's code mode is one: `bind` makes the tool that runs, with the tools that it may call. */
  const codeMode = (log: string[]) =>
    experimental_toolCaller(
      tool({ inputSchema: z.object({ call: z.string() }), execute: () => log.push("unbound") }),
      {
        type: "local",
        bind: (tools) =>
          tool({
            inputSchema: z.object({ call: z.string() }),
            execute: async ({ call }, options) => {
              log.push("code");
              const nested: unknown = await tools[call]?.execute?.(
                { order: 17 },
                { ...options, toolCallId: `${options.toolCallId}:tool-1` },
              );
              return nested;
            },
          }),
      },
    );
  const callers = { getOrder: ["code"], wipe: ["code"] } as const;
  const calling = (call: string): Turn => [{ id: "c1", tool: "code", input: { call } }];

  test.each([
    ["execute alone", false],
    ["toolApproval before it", true],
  ])("is decided, and what it calls is decided, with %s", async (_name, approves) => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools({ ...tools, code: codeMode(runs) }, { gate, sequenceId: RUN });
    await generateText({
      model: scriptedModel(calling("getOrder"), [
        { id: "c2", tool: "code", input: { call: "wipe" } },
      ]),
      prompt: "go",
      tools: gated,
      experimental_toolCallers: callers,
      stopWhen: isStepCount(3),
      ...(approves ? { toolApproval: toolApproval(gated) } : {}),
    });
    expect(runs).toEqual(["code", "getOrder 17", "code"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW code",
      "ALLOW getOrder",
      "succeeded",
      "succeeded",
      "ALLOW code",
      "DENY wipe NO_POLICY_MATCH",
      "failed",
    ]);
  });

  test("that is denied binds nothing that runs", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools({ ...tools, unlisted: codeMode(runs) }, { gate, sequenceId: RUN });
    await generateText({
      model: scriptedModel([{ id: "c1", tool: "unlisted", input: { call: "getOrder" } }]),
      prompt: "go",
      tools: gated,
      experimental_toolCallers: { getOrder: ["unlisted"] },
    });
    expect(runs).toEqual([]);
  });

  test("may have no execute before it is bound", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const { execute: _, ...bare } = codeMode(runs);
    const caller = Object.defineProperty(bare, "experimental_toolCaller", {
      value: codeMode(runs).experimental_toolCaller,
    });
    const gated = gateTools({ ...tools, code: caller } as ToolSet, { gate, sequenceId: RUN });
    await generateText({
      model: scriptedModel(calling("getOrder")),
      prompt: "go",
      tools: gated,
      experimental_toolCallers: callers as never,
    });
    expect(runs).toEqual(["code", "getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW code",
      "ALLOW getOrder",
      "succeeded",
      "succeeded",
    ]);
  });

  test("may bind a tool of the set, which is then decided once", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const forwarding = experimental_toolCaller(tool({ inputSchema, execute: () => 0 }), {
      type: "local",
      bind: (bound) => bound["getOrder"] as Tool,
    });
    const gated = gateTools({ ...tools, code: forwarding }, { gate, sequenceId: RUN });
    await generateText({
      model: scriptedModel([{ id: "c1", tool: "code", input: { order: 17 } }]),
      prompt: "go",
      tools: gated,
      experimental_toolCallers: { getOrder: ["code"] },
    });
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });
});

test("a provider's tool that runs here is gated like any other", async () => {
  const { gate, chain } = await openDesk();
  const ran: unknown[] = [];
  const shell = {
    type: "provider",
    id: "anthropic.bash",
    args: {},
    isProviderExecuted: false,
    inputSchema: z.object({ command: z.string() }),
    outputSchema: z.string(),
    execute: ({ command }: { command: string }) => `${ran.push(command)}`,
  } as const;
  const gated = gateTools({ search: shell, wipe: shell }, { gate, sequenceId: RUN });
  const calls = ["search", "wipe"].map((name) => ({
    id: name,
    tool: name,
    input: { command: "ls" },
  }));
  await generate({ model: scriptedModel(calls), tools: gated });
  expect(ran).toEqual(["ls"]);
  expect(await chain()).toEqual(["open", "ALLOW search", "DENY wipe NO_POLICY_MATCH", "succeeded"]);
});
