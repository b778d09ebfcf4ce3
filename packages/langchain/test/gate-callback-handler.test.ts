/** `GateCallbackHandler`: a tripwire that reports and blocks nothing, and why callbacks are no place to block. */
import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { StructuredTool } from "@langchain/core/tools";
import { createAgent } from "langchain";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Bypass,
  GateCallbackHandler,
  gateMiddleware,
  gateTool,
  gateTools,
} from "../src/index.ts";
import { call, openDesk, order, rejection, scripted, thread } from "./refund-desk.ts";

const args = { order: 17 };

function tripwire() {
  const bypasses: Bypass[] = [];
  return {
    bypasses,
    callbacks: [new GateCallbackHandler({ onBypass: (bypass) => void bypasses.push(bypass) })],
  };
}

describe("it reports a tool run", () => {
  test("that ended without a decision, by its run id", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [desk.make("read")],
    });
    await agent.invoke({ messages: "go" }, { ...thread("s"), callbacks });
    expect(bypasses).toEqual([
      { runId: expect.stringMatching(/^[0-9a-f-]{36}$/), runName: "read", toolCallId: "c1" },
    ]);
    expect(desk.names()).toEqual(["read"]);
  });

  test("whatever name it gives itself, and with none", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    class Nameless extends StructuredTool {
      readonly name = "danger";
      readonly description = "";
      readonly schema = order;
      protected override async _call(): Promise<string> {
        return "ran";
      }
    }
    await desk.make("danger").invoke(args, { callbacks, runName: "harmless" });
    await new Nameless().invoke(args, { callbacks });
    expect(bypasses).toEqual([
      { runId: expect.any(String), runName: "harmless" },
      { runId: expect.any(String) },
    ]);
  });

  test("that failed", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    const failing = desk.make("read", () => Promise.reject(new Error("no such order")));
    await rejection(failing.invoke(args, { callbacks }));
    expect(bypasses).toHaveLength(1);
  });

  test("of an ungated tool inside a gated one, and not the gated one", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    const inner = desk.make("danger");
    const outer = gateTool(
      desk.make("read", (input, config) => inner.invoke(input, config as object)),
      { gate: desk.gate },
    );
    await outer.invoke(args, { ...thread("s"), callbacks });
    expect(bypasses).toMatchObject([{ runName: "danger" }]);
  });
});

describe("it is silent", () => {
  test("about decided runs: allowed, denied, failed, by wrapper and by middleware", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    const failing = desk.make("intake", () => Promise.reject(new Error("lost")));
    const agent = createAgent({
      model: scripted([call("read", "c1"), call("refund", "c2"), call("intake", "c3")]),
      tools: [...gateTools([desk.make("read"), desk.make("refund")], { gate: desk.gate }), failing],
      middleware: [gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke({ messages: "go" }, { ...thread("s"), callbacks });
    expect((await desk.chain("s")).toSorted()).toEqual([
      "ALLOW intake",
      "ALLOW read",
      "DENY refund SEQUENCE_VIOLATION",
      "failed",
      "open",
      "succeeded",
    ]);
    expect(bypasses).toEqual([]);
  });

  test("two of them hear of the same run", async () => {
    const desk = await openDesk();
    const [one, two] = [tripwire(), tripwire()];
    const callbacks = [...one.callbacks, ...two.callbacks];
    await desk.make("read").invoke(args, { callbacks });
    await gateTool(desk.make("read"), { gate: desk.gate }).invoke(args, {
      ...thread("s"),
      callbacks,
    });
    expect([one.bypasses.length, two.bypasses.length]).toEqual([1, 1]);
  });

  test("about what no callback hears of: a tool called as `func`, or without it in the configuration", async () => {
    const desk = await openDesk();
    const { bypasses, callbacks } = tripwire();
    await desk.make("read").func(args, undefined, { callbacks });
    await desk.make("read").invoke(args);
    expect(desk.names()).toEqual(["read", "read"]);
    expect(bypasses).toEqual([]);
  });
});

describe("it blocks nothing", () => {
  test("the tool has run when it reports, and its own failure changes nothing", async () => {
    const desk = await openDesk();
    const callbacks = [
      new GateCallbackHandler({
        onBypass: () => {
          throw new Error("the alarm is out of order");
        },
      }),
    ];
    expect(await desk.make("read").invoke(args, { callbacks })).toBe("read done");
    expect(desk.names()).toEqual(["read"]);
  });

  test("it cannot be made to block, or to be deaf, by its fields", () => {
    const [handler] = tripwire().callbacks;
    for (const [field, value] of Object.entries({
      raiseError: true,
      awaitHandlers: false,
      ignoreAgent: true,
    })) {
      expect(Reflect.set(handler as object, field, value)).toBe(false);
      expect(Reflect.get(handler as object, field)).toBe(!value);
    }
    expect(handler?.copy()).toBeInstanceOf(GateCallbackHandler);
  });

  test("it needs someone to tell", () => {
    expect(() => new GateCallbackHandler({} as never)).toThrow(TypeError);
    expect(() => new GateCallbackHandler(undefined as never)).toThrow(TypeError);
  });
});

/** Why: whether an error thrown in `handleToolStart` stops the tool hangs on two flags that are easily missed. */
describe("a callback handler that throws on a tool's start", () => {
  const deny = (): never => {
    throw new Error("DENY");
  };
  class Plain extends BaseCallbackHandler {
    readonly name = "Plain";
    override handleToolStart = deny;
  }
  class RaisingField extends Plain {
    override raiseError = true;
  }
  class AwaitedOnly extends Plain {
    override awaitHandlers = true;
  }
  class Raising extends Plain {
    constructor() {
      super({ raiseError: true });
    }
  }
  class Deaf extends Plain {
    constructor() {
      super({ raiseError: true, ignoreAgent: true });
    }
  }
  class BothFields extends Plain {
    override raiseError = true;
    override awaitHandlers = true;
  }

  const unhandled: unknown[] = [];
  const collect = (error: unknown): void => void unhandled.push(error);
  let listeners: NodeJS.UnhandledRejectionListener[] = [];
  beforeEach(() => {
    listeners = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", collect);
    unhandled.length = 0;
  });
  afterEach(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  });

  test.each([
    ["plain: the tool runs", new Plain(), true],
    ["raiseError as a field: the tool runs", new RaisingField(), true],
    ["awaitHandlers alone: the tool runs", new AwaitedOnly(), true],
    ["raiseError and ignoreAgent: the tool runs", new Deaf(), true],
    ["a plain object: the tool runs", { handleToolStart: deny }, true],
    [
      "a plain object with raiseError: the tool runs",
      { handleToolStart: deny, raiseError: true },
      true,
    ],
    ["raiseError by the constructor: it is stopped", new Raising(), false],
    ["both as fields: it is stopped", new BothFields(), false],
    [
      "a plain object with both: it is stopped",
      { handleToolStart: deny, raiseError: true, awaitHandlers: true },
      false,
    ],
  ])("%s", async (_case, handler, runs) => {
    const desk = await openDesk();
    await rejection(desk.make("danger").invoke(args, { callbacks: [handler] }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(desk.names()).toEqual(runs ? ["danger"] : []);
    // A gated tool is not run by any of them without its decision.
    const gated = gateTool(desk.make("refund"), { gate: desk.gate });
    await rejection(gated.invoke(args, { ...thread("s"), callbacks: [handler] }));
    expect(desk.names()).not.toContain("refund");
    await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("even one that blocks is passed by `func`, by a call without it, and by an undefined configuration", async () => {
    const desk = await openDesk();
    const one = desk.make("danger");
    const callbacks = [new Raising()];
    await rejection(one.invoke(args, { callbacks }));
    expect(desk.names()).toEqual([]);
    await one.func(args, undefined, { callbacks });
    await one.invoke(args);
    expect(desk.names()).toEqual(["danger", "danger"]);
  });
});
