/** `gateTools`: one decision a call, with the decided arguments, whichever way the SDK runs the tool. */
import { failAppends } from "@stepgate/contract";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { DeniedError, type Gate, type JsonObject } from "@stepgate/core";
import {
  dynamicTool,
  generateText,
  isStepCount,
  streamText,
  tool,
  ToolLoopAgent,
  type ToolSet,
} from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { denialOf, gateTools, type GateToolsOptions, toolApproval } from "../src/index.ts";
import { counter, openDesk, replaced, RUN } from "./order-desk.ts";
import { generate, scriptedModel, toldTheModel, ways } from "./scripted-model.ts";

const lookUp = { id: "c1", tool: "getOrder", input: { order: 17 } };
const refund = { id: "c2", tool: "refund", input: { order: 17, amount: 20 } };
const wipe = { id: "c3", tool: "wipe", input: {} };
/** What the SDK hands to a tool, where a test calls one itself. */
const direct = { toolCallId: "c1", messages: [], context: {} };

describe.each(ways)("%s", (_way, run) => {
  describe.each([
    ["execute alone", false],
    ["toolApproval before it", true],
  ])("with %s", (_with, approves) => {
    const approval = <TOOLS extends ToolSet>(tools: TOOLS) =>
      approves ? { toolApproval: toolApproval(tools) as never } : {};

    test("an allowed call runs once, with one decision and one outcome", async () => {
      const { gate, chain } = await openDesk();
      const { tools, runs } = counter();
      const gated = gateTools(tools, { gate, sequenceId: RUN });
      const { text, parts } = await run({
        model: scriptedModel([lookUp]),
        tools: gated,
        ...approval(gated),
      });
      expect(runs).toEqual(["getOrder 17"]);
      expect(text).toBe("done");
      expect(parts.map(({ type }) => type)).toEqual(["tool-call", "tool-result", "text"]);
      expect(parts[1]?.output).toEqual({ order: 17, total: 40 });
      expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
    });

    test("a denied call does not run, its siblings do, and the model is told why", async () => {
      const { gate, chain } = await openDesk();
      const { tools, runs } = counter();
      const gated = gateTools(tools, { gate, sequenceId: RUN });
      const model = scriptedModel([wipe, lookUp]);
      const { text } = await run({ model, tools: gated, ...approval(gated) });
      expect(runs).toEqual(["getOrder 17"]);
      expect(text).toBe("done");
      expect(toldTheModel(model)).toContain("NO_POLICY_MATCH: the policy has no tool 'wipe'.");
      expect(toldTheModel(model)).toContain(approves ? "execution-denied" : "error-text");
      expect(await chain()).toEqual([
        "open",
        "DENY wipe NO_POLICY_MATCH",
        "ALLOW getOrder",
        "succeeded",
      ]);
    });

    test("the order of the policy holds over several steps", async () => {
      const { gate, chain } = await openDesk();
      const { tools, runs } = counter();
      const gated = gateTools(tools, { gate, sequenceId: RUN });
      await run({
        model: scriptedModel([{ ...refund, id: "early" }], [lookUp], [refund]),
        tools: gated,
        ...approval(gated),
      });
      expect(runs).toEqual(["getOrder 17", "refund 17 20"]);
      expect(await chain()).toEqual([
        "open",
        "DENY refund SEQUENCE_VIOLATION",
        "ALLOW getOrder",
        "succeeded",
        "ALLOW refund",
        "succeeded",
      ]);
    });

    test("a gate that cannot be asked runs nothing", async () => {
      const { gate } = await openDesk();
      const { tools, runs } = counter();
      const gated = gateTools(tools, {
        gate: replaced(gate, { decide: () => Promise.reject(new Error("socket hang up")) }),
        sequenceId: RUN,
      });
      const model = scriptedModel([lookUp, wipe]);
      await run({ model, tools: gated, ...approval(gated) });
      expect(runs).toEqual([]);
      expect(toldTheModel(model)).toContain("GATE_UNAVAILABLE");
      expect(toldTheModel(model)).not.toContain("socket hang up");
    });
  });

  test("a tool's error is recorded as failed and reaches the model as ever", async () => {
    const { gate, chain } = await openDesk();
    const broken = tool({
      inputSchema: z.object({}),
      execute: async (): Promise<string> => {
        throw new RangeError("no such page");
      },
    });
    const model = scriptedModel([{ id: "c1", tool: "search", input: {} }]);
    const { parts } = await run({
      model,
      tools: gateTools({ search: broken }, { gate, sequenceId: RUN }),
    });
    expect(parts.find(({ type }) => type === "tool-error")?.error).toBeInstanceOf(RangeError);
    expect(toldTheModel(model)).toContain("no such page");
    expect(await chain()).toEqual(["open", "ALLOW search", "failed"]);
  });
});

describe("a denial", () => {
  test("is a tool-error that carries the decision and its receipt, for the application alone", async () => {
    const { gate, receipts } = await openDesk();
    const tools = gateTools(counter().tools, { gate, sequenceId: RUN });
    const model = scriptedModel([wipe]);
    const { parts } = await generate({ model, tools });
    const error = parts.find(({ type }) => type === "tool-error")?.error;
    const denial = denialOf(error);
    const [, receipt] = await receipts(RUN);
    expect(denial).toMatchObject({ deny_code: "NO_POLICY_MATCH", rule: "tools" });
    expect(denial?.receipt).toEqual(receipt);
    const sig = receipt?.batch?.sig ?? receipt?.sig;
    expect(sig).toEqual(expect.any(String));
    for (const text of [String(error), JSON.stringify(error), toldTheModel(model)]) {
      expect(text).not.toContain(sig);
      expect(text).not.toContain(receipt?.log_id);
    }
  });

  test("shows no receipt in the stream that a browser reads", async () => {
    const { gate, receipts } = await openDesk();
    const tools = gateTools(counter().tools, { gate, sequenceId: RUN });
    const result = streamText({ model: scriptedModel([wipe]), prompt: "go", tools });
    const chunks: unknown[] = [];
    for await (const chunk of result.toUIMessageStream({ onError: String })) chunks.push(chunk);
    const [, receipt] = await receipts(RUN);
    expect(JSON.stringify(chunks)).toContain("DeniedError: NO_POLICY_MATCH");
    expect(JSON.stringify(chunks)).not.toContain(receipt?.batch?.sig ?? receipt?.sig);
  });

  test("is found in a DeniedError only", () => {
    expect(denialOf(new Error("DENY"))).toBeUndefined();
    expect(denialOf(undefined)).toBeUndefined();
  });
});

describe("the arguments", () => {
  test("are those after the schema's defaults, and the tool gets the decided copy", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const asked: unknown[] = [];
    const spying = replaced(gate, {
      decide: (input) => (asked.push(input.args), gate.decide(input)),
    });
    await generate({
      model: scriptedModel([lookUp], [{ id: "c2", tool: "refund", input: { order: 17 } }]),
      tools: gateTools(tools, { gate: spying, sequenceId: RUN }),
    });
    expect(asked).toEqual([{ order: 17 }, { order: 17, amount: 5 }]);
    expect(runs).toEqual(["getOrder 17", "refund 17 5"]);
  });

  test("are those that the application's refinement left", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    await generateText({
      model: scriptedModel([lookUp]),
      prompt: "go",
      tools: gateTools(tools, { gate, sequenceId: RUN }),
      experimental_refineToolInput: { getOrder: ({ order }) => ({ order: order + 1 }) },
      stopWhen: isStepCount(3),
    });
    expect(runs).toEqual(["getOrder 18"]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("that JSON cannot say are refused, with the path, and nothing runs", async () => {
    const { gate } = await openDesk();
    let ran = false;
    const search = tool({
      inputSchema: z.object({ day: z.string().transform((text) => new Date(text)) }),
      execute: () => (ran = true),
    });
    const model = scriptedModel([{ id: "c1", tool: "search", input: { day: "2026-02-22" } }]);
    const { parts } = await generate({
      model,
      tools: gateTools({ search }, { gate, sequenceId: RUN }),
    });
    const denial = denialOf(parts.find(({ type }) => type === "tool-error")?.error);
    expect(denial).toMatchObject({ deny_code: "INVALID_REQUEST", rule: "request.args" });
    expect(denial?.message).toContain("day");
    expect(ran).toBe(false);
  });

  test("are copied at once: what changes while the context is opened is not what is decided or run", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const input = { order: 17 };
    const running = gateTools(tools, {
      gate,
      sequenceId: RUN,
      context: { user: "u1" },
    }).getOrder.execute(input, direct);
    input.order = 99;
    await running;
    expect(runs).toEqual(["getOrder 17"]);
  });
});

describe("the nonce", () => {
  const nonceOf = async (
    toolCallId: string,
    options: Partial<GateToolsOptions<ReturnType<typeof counter>["tools"]>> = {},
  ) => {
    const { gate, receipts } = await openDesk();
    const { getOrder } = gateTools(counter().tools, { gate, sequenceId: RUN, ...options });
    await getOrder.execute({ order: 17 }, { ...direct, toolCallId });
    const [, decision] = await receipts(RUN);
    return decision?.kind === "decision" ? decision.nonce : undefined;
  };

  test("is the tool-call id", async () => {
    expect(await nonceOf("call_abc")).toBe("call_abc");
  });

  test("is a digest of an id outside the grammar", async () => {
    expect(await nonceOf("é")).toBe(
      "sha256:4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c",
    );
    expect(await nonceOf("x".repeat(201))).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test("is random where the provider gave no id", async () => {
    const [first, second] = [await nonceOf(""), await nonceOf("")];
    expect(first).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(second).not.toBe(first);
  });

  test("is what the option says, which may leave it to chance", async () => {
    expect(
      await nonceOf("c1", { nonce: ({ tool: name, toolCallId }) => `m7:${name}:${toolCallId}` }),
    ).toBe("m7:getOrder:c1");
    expect(await nonceOf("c1", { nonce: () => undefined })).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test("is asked of the option with no id where the provider gave none", async () => {
    const asked: unknown[] = [];
    await nonceOf("", { nonce: (call) => `${asked.push(call)}` });
    expect(asked).toEqual([{ tool: "getOrder", toolCallId: undefined }]);
  });

  test("makes a second run of the same call a replay", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const { getOrder } = gateTools(tools, { gate, sequenceId: RUN });
    await getOrder.execute({ order: 17 }, direct);
    await expect(getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
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
});

describe("the sequence", () => {
  test("is the one in which an agent that is made once runs, although calls repeat their ids", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const request = new AsyncLocalStorage<string>();
    const gated = gateTools(tools, { gate, sequenceId: () => request.getStore() });
    const turns = [[lookUp], [lookUp], "done", "done"] as const;
    const agent = new ToolLoopAgent({
      model: scriptedModel(...turns),
      tools: gated,
      toolApproval: toolApproval(gated),
    });
    await Promise.all(
      ["run-a", "run-b"].map((id) => request.run(id, () => agent.generate({ prompt: "go" }))),
    );
    expect(runs).toHaveLength(2);
    expect(await chain("run-a")).toEqual(["open", "ALLOW getOrder", "succeeded"]);
    expect(await chain("run-b")).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("must be known: without one the gate is not asked, and nothing runs", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    let asked = 0;
    const counting = replaced(gate, { decide: (input) => (asked++, gate.decide(input)) });
    const gated = gateTools(tools, { gate: counting, sequenceId: () => undefined });
    for (const approval of [{}, { toolApproval: toolApproval(gated) as never }]) {
      const model = scriptedModel([lookUp]);
      await generate({ model, tools: gated, ...approval });
      expect(toldTheModel(model)).toContain("INVALID_REQUEST: ");
    }
    await expect(gated.getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      decision: { proceed: false, rule: "request.sequence_id" },
    });
    expect(runs).toEqual([]);
    expect(asked).toBe(0);
  });
});

describe("faults run nothing", () => {
  const options = (faulty: Partial<GateToolsOptions<ToolSet>>) => ({ sequenceId: RUN, ...faulty });
  const throwing = () => {
    throw new Error("the request is gone");
  };

  test.each([
    ["sequenceId throws", options({ sequenceId: throwing })],
    ["agent throws", options({ agent: throwing })],
    ["context throws", options({ context: throwing })],
    [
      "context is no JSON",
      options({ context: () => ({ at: new Date() }) as unknown as JsonObject }),
    ],
    ["nonce throws", options({ nonce: throwing })],
    ["nonce is no text", options({ nonce: () => new Uint8Array([7]) as unknown as string })],
  ])("%s", async (_name, faulty) => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools<ToolSet>(tools, { gate, ...faulty });
    for (const approval of [{}, { toolApproval: toolApproval(gated) }]) {
      const model = scriptedModel([lookUp]);
      await generate({ model, tools: gated, ...approval });
      expect(toldTheModel(model)).toContain(
        "GATE_UNAVAILABLE: The gate could not be asked; nothing ran.",
      );
    }
    expect(runs).toEqual([]);
  });

  const answers: readonly [string, (gate: Gate) => unknown][] = [
    ["throws", throwing],
    ["gives nothing", () => undefined],
    ["gives true", () => true],
    ["gives a bare ALLOW", () => ({ decision: "ALLOW" })],
    [
      "gives an ALLOW without a receipt",
      () => ({ decision: "ALLOW", proceed: true, args: {}, args_key: "", message: "" }),
    ],
    [
      "gives an ALLOW without arguments",
      () => ({ decision: "ALLOW", proceed: true, receipt: {}, args_key: "", message: "" }),
    ],
    ["gives another word", () => ({ decision: "allow", proceed: true, args: {}, receipt: {} })],
    [
      "gives a denial without a code",
      () => ({ decision: "DENY", proceed: true, args: {}, message: "" }),
    ],
  ];
  test.each(answers)("decide %s", async (_name, answer) => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, {
      gate: replaced(gate, { decide: () => answer(gate) as never }),
      sequenceId: RUN,
    });
    for (const approval of [{}, { toolApproval: toolApproval(gated) as never }]) {
      const model = scriptedModel([lookUp]);
      await generate({ model, tools: gated, ...approval });
      expect(toldTheModel(model)).toContain("GATE_UNAVAILABLE");
    }
    expect(runs).toEqual([]);
  });

  test("a store that is down", async () => {
    const { gate } = await openDesk({
      wrapStore: (store) => failAppends(store, new Error("disk full")),
    });
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    await expect(gated.getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    expect(runs).toEqual([]);
  });

  test("the operator learns the cause that the model does not", async () => {
    const { gate } = await openDesk();
    const gated = gateTools(counter().tools, { gate, sequenceId: throwing });
    const warned = once(process, "warning");
    await expect(gated.getOrder.execute({ order: 17 }, direct)).rejects.toBeInstanceOf(DeniedError);
    const [warning] = (await warned) as [Error];
    expect(warning).toMatchObject({ name: "StepgateWarning" });
    expect(warning.message).toContain("the request is gone");
  });

  test("an outcome that cannot be written changes no result, and leaves the ALLOW open", async () => {
    const { gate, chain } = await openDesk();
    const { tools } = counter();
    const gated = gateTools(tools, {
      gate: replaced(gate, { outcome: throwing }),
      sequenceId: RUN,
    });
    const { parts } = await generate({ model: scriptedModel([lookUp]), tools: gated });
    expect(parts.find(({ type }) => type === "tool-result")?.output).toEqual({
      order: 17,
      total: 40,
    });
    expect(await chain()).toEqual(["open", "ALLOW getOrder"]);
  });
});

describe("an aborted call", () => {
  /** A gate that is aborted while it decides. */
  const abortedWhileDeciding = (gate: Gate, controller: AbortController) =>
    replaced(gate, {
      decide: async (input) => {
        const decision = await gate.decide(input);
        controller.abort(new Error("stop"));
        return decision;
      },
    });

  test.each(ways)(
    "does not run when the abort comes while the gate decides, and is recorded as interrupted: %s",
    async (_name, run) => {
      const { gate, chain } = await openDesk();
      const { tools, runs } = counter();
      const controller = new AbortController();
      const gated = gateTools(tools, {
        gate: abortedWhileDeciding(gate, controller),
        sequenceId: RUN,
      });
      await run({
        model: scriptedModel([lookUp]),
        tools: gated,
        abortSignal: controller.signal,
      }).catch(() => undefined);
      await expect.poll(() => chain()).toEqual(["open", "ALLOW getOrder", "interrupted"]);
      expect(runs).toEqual([]);
    },
  );

  test("may come back with its id, as the same call", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const controller = new AbortController();
    const interrupted = gateTools(tools, {
      gate: abortedWhileDeciding(gate, controller),
      sequenceId: RUN,
    });
    const aborted = interrupted.getOrder.execute(
      { order: 17 },
      { ...direct, abortSignal: controller.signal },
    );
    await expect(aborted).rejects.toThrow("stop");
    await gateTools(tools, { gate, sequenceId: RUN }).getOrder.execute({ order: 17 }, direct);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW getOrder",
      "interrupted",
      "ALLOW getOrder again",
      "succeeded",
    ]);
  });

  test("is not even asked for when it was aborted before", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const { getOrder } = gateTools(tools, { gate, sequenceId: RUN });
    const abortSignal = AbortSignal.abort(new Error("stop"));
    await expect(getOrder.execute({ order: 17 }, { ...direct, abortSignal })).rejects.toThrow(
      "stop",
    );
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([]);
  });

  test("of which the ticket waits is recorded as interrupted", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const toolCall = {
      type: "tool-call" as const,
      toolCallId: "c1",
      toolName: "getOrder" as const,
      input: { order: 17 },
    };
    await toolApproval(gated)({
      toolCall,
      tools: gated,
      toolsContext: {},
      runtimeContext: {},
      messages: [],
    });
    const abortSignal = AbortSignal.abort(new Error("stop"));
    await expect(gated.getOrder.execute({ order: 17 }, { ...direct, abortSignal })).rejects.toThrow(
      "stop",
    );
    expect(runs).toEqual([]);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "interrupted"]);
  });
});

describe("parallel calls", () => {
  test("are decided in the order of the model's message, and a step counts when it is allowed, not when it has finished", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    await generate({ model: scriptedModel([lookUp, refund, wipe]), tools: gated });
    expect(runs).toEqual(["getOrder 17", "refund 17 20"]);
    const words = await chain();
    expect(words.filter((word) => /^(ALLOW|DENY)/.test(word))).toEqual([
      "ALLOW getOrder",
      "ALLOW refund",
      "DENY wipe NO_POLICY_MATCH",
    ]);
    expect(words.filter((word) => word === "succeeded")).toHaveLength(2);
  });

  test("of one id run once", async () => {
    const { gate } = await openDesk();
    const { tools, runs } = counter();
    const { getOrder } = gateTools(tools, { gate, sequenceId: RUN });
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => getOrder.execute({ order: 17 }, direct)),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(runs).toEqual(["getOrder 17"]);
  });
});

describe("in shadow mode", () => {
  test.each([
    ["execute alone", false],
    ["toolApproval before it", true],
  ])("a denied call is decided once, and runs, with %s", async (_name, approves) => {
    const { gate, chain } = await openDesk({ mode: "shadow" });
    const { tools, runs } = counter();
    const gated = gateTools(tools, { gate, sequenceId: RUN });
    const approval = approves ? { toolApproval: toolApproval(gated) as never } : {};
    await generate({ model: scriptedModel([wipe]), tools: gated, ...approval });
    expect(runs).toEqual(["wipe"]);
    expect(await chain()).toEqual(["open", "DENY wipe NO_POLICY_MATCH"]);
  });
});

describe("dynamic tools", () => {
  test("are decided in execute", async () => {
    const { gate, chain } = await openDesk();
    const ran: unknown[] = [];
    const remote = (name: string) =>
      dynamicTool({ inputSchema: z.object({}), execute: async () => ran.push(name) });
    const gated = gateTools(
      { search: remote("search"), unknownTool: remote("unknownTool") },
      { gate, sequenceId: RUN },
    );
    const calls = ["search", "unknownTool"].map((name, index) => ({
      id: `c${index}`,
      tool: name,
      input: {},
    }));
    await generate({ model: scriptedModel(calls), tools: gated });
    expect(ran).toEqual(["search"]);
    expect(await chain()).toEqual([
      "open",
      "ALLOW search",
      "DENY unknownTool NO_POLICY_MATCH",
      "succeeded",
    ]);
  });
});

describe("construction refuses", () => {
  const plain = counter().tools;
  const providerRun = {
    type: "provider",
    id: "openai.web_search",
    args: {},
    isProviderExecuted: true,
    inputSchema: z.object({}),
    outputSchema: z.string(),
  };
  const headless = { inputSchema: z.object({}), outputSchema: z.string() };
  const set = (tools: object) => tools as unknown as ToolSet;

  test.each<[string, ToolSet, object, string]>([
    [
      "a tool that runs at the provider",
      set({ web: providerRun }),
      {},
      "'web' runs at the provider, where no gate can stand",
    ],
    [
      "a provider's tool among the client's",
      set({ web: providerRun }),
      { clientTools: ["web"] },
      "'web' runs at the provider",
    ],
    [
      "a tool without execute",
      set({ confirm: headless }),
      {},
      "'confirm' has no execute of its own",
    ],
    [
      "a client tool that has an execute",
      plain,
      { clientTools: ["wipe"] },
      "'wipe' has an execute",
    ],
    [
      "a client tool that is none of the set",
      plain,
      { clientTools: ["nothing"] },
      "clientTools names 'nothing'",
    ],
    ["what is no tool", set({ confirm: null }), {}, "'confirm' is no tool"],
    ["what is no set", null as unknown as ToolSet, {}, "tools must be an object of tools"],
    ["a list", set([]), {}, "tools must be an object of tools"],
    ["a missing gate", plain, { gate: undefined }, "gate must be a gate"],
    [
      "half a gate",
      plain,
      { gate: { decide: () => undefined } },
      "gate must be a gate; it has no 'outcome'",
    ],
    [
      "a missing sequenceId",
      plain,
      { sequenceId: undefined },
      "sequenceId must be a string or a function",
    ],
    [
      "a mistyped context",
      plain,
      { context: "refund order 17" },
      "context must be an object or a function",
    ],
    [
      "a context that is no JSON",
      plain,
      { context: { at: new Date() } },
      "context must be a JSON object",
    ],
    ["a mistyped agent", plain, { agent: "a1" }, "agent must be an object or a function"],
    ["a mistyped nonce", plain, { nonce: "n1" }, "nonce must be a function"],
    [
      "mistyped clientTools",
      plain,
      { clientTools: "confirm" },
      "clientTools must be a list of names",
    ],
    ["a mistyped onApprovalRequired", plain, { onApprovalRequired: 1 }, "must be a function"],
    ["an unknown option", plain, { sequenceid: RUN }, "unknown option 'sequenceid'"],
  ])("%s", async (_name, tools, changed, message) => {
    const { gate } = await openDesk();
    const construct = () => gateTools(tools, { gate, sequenceId: RUN, ...changed } as never);
    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(message);
  });

  test("options that are missing altogether", () => {
    expect(() => gateTools(plain, undefined as never)).toThrow("gateTools: options are required");
  });

  test("a tool that is gated already, also as a copy", async () => {
    const { gate } = await openDesk();
    const options = { gate, sequenceId: RUN };
    const { getOrder } = gateTools(plain, options);
    expect(() => gateTools({ getOrder }, options)).toThrow("'getOrder' is gated already");
    expect(() => gateTools({ getOrder: { ...getOrder } }, options)).toThrow(
      "'getOrder' is gated already",
    );
    const client = gateTools(set({ confirm: headless }), { ...options, clientTools: ["confirm"] });
    expect(() => gateTools(client, { ...options, clientTools: ["confirm"] })).toThrow(
      "'confirm' is gated already",
    );
  });
});
