/**
 * Every known way around a gate in LangChain, tried twice: on an adapter as one would first write it, where the tool runs
 * undecided, and on ours. The naive adapters are the control: a test that cannot tell them from ours would prove nothing.
 */
import { HumanMessage } from "@langchain/core/messages";
import {
  DynamicStructuredTool,
  StructuredTool,
  type StructuredToolInterface,
} from "@langchain/core/tools";
import { Command, interrupt, MemorySaver } from "@langchain/langgraph";
import { createReactAgent, ToolNode } from "@langchain/langgraph/prebuilt";
import { DeniedError, GateError, type Gate } from "@stepgate/core";
import {
  AIMessage,
  createAgent,
  createMiddleware,
  todoListMiddleware,
  tool,
  ToolMessage,
} from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type CallInfo, gateMiddleware, gateTool, gateTools } from "../src/index.ts";
import {
  call,
  collect,
  type Desk,
  openDesk,
  order,
  rejection,
  scripted,
  stock,
  thread,
} from "./refund-desk.ts";

type Tool = ReturnType<Desk["make"]>;
const args = { order: 17 };

async function naiveDecision(gate: Gate, name: string, input: object) {
  return gate.decide({ sequence_id: "s", tool: name, args: input });
}

/** Decides in `wrapToolCall`, and nowhere else. */
function naiveMiddleware(gate: Gate, name = "Naive") {
  return createMiddleware({
    name,
    wrapToolCall: async (request, handler) => {
      const decision = await naiveDecision(gate, request.toolCall.name, request.toolCall.args);
      if (decision.decision === "ALLOW") return handler(request);
      return new ToolMessage({
        status: "error",
        content: decision.deny_code,
        tool_call_id: request.toolCall.id ?? "",
      });
    },
  });
}

/** Overrides the one method that is documented. */
function naiveInvoke<T extends StructuredToolInterface>(one: T, gate: Gate): T {
  const wrapper: T = Object.create(one);
  wrapper.invoke = async (input: never, config?: never) => {
    const decision = await naiveDecision(gate, one.name, {});
    if (decision.decision === "DENY") throw new DeniedError(decision);
    return one.invoke(input, config);
  };
  return wrapper;
}

/** Overrides `_call`, by assignment. */
function naiveCall(one: Tool, gate: Gate): Tool {
  const wrapper: Tool = Object.create(one);
  Object.assign(wrapper, {
    _call: async (input: never, runManager: never, config: never) => {
      const decision = await naiveDecision(gate, one.name, input);
      if (decision.decision === "DENY") throw new DeniedError(decision);
      return Reflect.get(one, "_call").call(one, input, runManager, config);
    },
  });
  return wrapper;
}

/** Builds a new tool around the old one. */
function naiveRebuild(
  one: StructuredToolInterface,
  gate: Gate,
  asInput = (input: object) => input,
) {
  return tool(
    async (input: object) => {
      const decision = await naiveDecision(gate, one.name, asInput(input));
      if (decision.decision === "DENY") throw new DeniedError(decision);
      return one.invoke(input as never);
    },
    { name: one.name, description: one.description, schema: one.schema as typeof order },
  );
}

const carrier = (...calls: ReturnType<typeof call>[]): AIMessage =>
  new AIMessage({ id: "m1", content: "", tool_calls: calls });

describe("middleware alone", () => {
  const around: Record<
    string,
    (one: Tool, middleware: ReturnType<typeof gateMiddleware>[]) => Promise<unknown>
  > = {
    "the prebuilt ToolNode": (one) =>
      new ToolNode([one]).invoke({ messages: [carrier(call("refund", "c1"))] }, thread("s")),
    createReactAgent: (one) =>
      createReactAgent({ llm: scripted([call("refund", "c1")]), tools: [one] }).invoke(
        { messages: "go" },
        thread("s"),
      ),
    "a tool that another tool calls": (one, middleware) =>
      createAgent({
        model: scripted([call("read", "c1")]),
        tools: [
          tool((input: { order: number }, config) => one.invoke(input, config), {
            name: "read",
            schema: order,
          }),
        ],
        middleware,
      }).invoke({ messages: "go" }, thread("s")),
    "a call by hand": (one) => one.invoke(args, thread("s")),
  };

  test.each(Object.entries(around))("never hears of %s; a gated tool does", async (_way, go) => {
    const naive = await openDesk();
    // LangGraph's own nodes have no place for it.
    await go(naive.make("refund"), [naiveMiddleware(naive.gate)]);
    expect(naive.names()).toEqual(["refund"]);

    const desk = await openDesk();
    await rejection(go(gateTool(desk.make("refund"), { gate: desk.gate }), []));
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });

  test("first in the list approves what a later one replaces: `read` was decided, `danger` ran", async () => {
    const agent = (desk: Desk, gating: ReturnType<typeof gateMiddleware>, tools: Tool[]) =>
      createAgent({
        model: scripted([call("read", "c1")]),
        tools,
        middleware: [
          gating,
          createMiddleware({
            name: "Rewriter",
            wrapToolCall: (request, handler) => handler({ ...request, tool: desk.make("danger") }),
          }),
        ],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    await agent(naive, naiveMiddleware(naive.gate), [naive.make("read")]);
    expect(naive.names()).toEqual(["danger"]);
    expect(await naive.chain("s")).toEqual(["open", "ALLOW read"]);

    // In the wrong place ours cannot stop it, but it approves nothing, and the run ends.
    const desk = await openDesk();
    const error = await rejection(
      agent(
        desk,
        gateMiddleware({ gate: desk.gate }),
        gateTools([desk.make("read")], { gate: desk.gate }),
      ),
    );
    expect(error).toMatchObject({ cause: { code: "BYPASSED" } });
    expect(GateError.isInstance((error as Error).cause)).toBe(true);
    expect(desk.names()).toEqual(["danger"]);
    expect(await desk.chain("s")).toEqual([]);
  });

  test("a decision about another call does not cover for the replaced one", async () => {
    const desk = await openDesk();
    const read = gateTool(desk.make("read"), { gate: desk.gate });
    const covering = createMiddleware({
      name: "Covering",
      wrapToolCall: async (request, handler) => {
        await read.invoke(args, thread("s"));
        return handler({ ...request, tool: desk.make("danger") });
      },
    });
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [read],
      middleware: [gateMiddleware({ gate: desk.gate }), covering],
    });
    expect(await rejection(agent.invoke({ messages: "go" }, thread("s")))).toMatchObject({
      cause: { code: "BYPASSED" },
    });
  });

  test("last in the list sees the replaced tool: `danger` is decided and does not run", async () => {
    const desk = await openDesk();
    const rewriter = createMiddleware({
      name: "Rewriter",
      wrapToolCall: (request, handler) => handler({ ...request, tool: desk.make("danger") }),
    });
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: gateTools([desk.make("read")], { gate: desk.gate }),
      middleware: [rewriter, gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY danger NO_POLICY_MATCH"]);
  });

  test("never hears of an outer middleware that runs the tool itself; the gated tool does", async () => {
    const agent = (one: Tool, gating: ReturnType<typeof gateMiddleware>) =>
      createAgent({
        model: scripted([call("refund", "c1")]),
        tools: [one],
        middleware: [
          createMiddleware({
            name: "Shortcut",
            wrapToolCall: async (request) =>
              new ToolMessage({
                content: String(await one.invoke(args, thread("s"))),
                tool_call_id: request.toolCall.id ?? "",
              }),
          }),
          gating,
        ],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    await agent(naive.make("refund"), naiveMiddleware(naive.gate));
    expect(naive.names()).toEqual(["refund"]);

    const desk = await openDesk();
    await rejection(
      agent(
        gateTool(desk.make("refund"), { gate: desk.gate }),
        gateMiddleware({ gate: desk.gate }),
      ),
    );
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });
});

describe("tools wrapped by hand", () => {
  test("overriding `invoke` leaves `call`, `func` and `_call` open", async () => {
    const ways: ((one: Tool) => Promise<unknown>)[] = [
      (one) => one.call(args, thread("s")),
      (one) => one.func(args, undefined, thread("s")),
      (one) => Reflect.get(one, "_call").call(one, args, undefined, thread("s")),
    ];
    for (const go of ways) {
      const naive = await openDesk();
      await go(naiveInvoke(naive.make("refund"), naive.gate));
      expect(naive.names()).toEqual(["refund"]);

      const desk = await openDesk();
      await rejection(go(gateTool(desk.make("refund"), { gate: desk.gate })));
      expect(desk.names()).toEqual([]);
    }
  });

  test("overriding `_call` by assignment can be undone, and leaves `func` and `lc_kwargs` open", async () => {
    const undo: ((one: Tool) => Promise<unknown>)[] = [
      (one) => (Reflect.deleteProperty(one, "_call"), one.invoke(args, thread("s"))),
      (one) => (
        Reflect.set(one, "_call", Reflect.get(DynamicStructuredTool.prototype, "_call")),
        one.invoke(args, thread("s"))
      ),
      (one) => one.func(args, undefined, thread("s")),
      (one) => Reflect.get(one.lc_kwargs, "func")(args, undefined, thread("s")),
    ];
    for (const go of undo) {
      const naive = await openDesk();
      await go(naiveCall(naive.make("refund"), naive.gate));
      expect(naive.names()).toEqual(["refund"]);

      const desk = await openDesk();
      await rejection(go(gateTool(desk.make("refund"), { gate: desk.gate })));
      expect(desk.names()).toEqual([]);
      expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
    }
  });

  test("the doors of ours cannot be deleted, set or defined anew, on wrapper and hardened tool alike", async () => {
    const desk = await openDesk();
    class Bare extends StructuredTool {
      readonly name = "refund";
      readonly description = "";
      readonly schema = order;
      protected override async _call(): Promise<string> {
        return "paid";
      }
    }
    const hardened = desk.make("refund");
    const wrapper = gateTool(hardened, { gate: desk.gate, harden: true });
    const bare = gateTool(new Bare(), { gate: desk.gate });
    const doors: [object, string][] = [
      ...["_call", "func", "lc_kwargs"].flatMap((door): [object, string][] => [
        [wrapper, door],
        [hardened, door],
      ]),
      [bare, "_call"],
    ];
    for (const [one, door] of doors) {
      const before: unknown = Reflect.get(one, door);
      expect(Reflect.deleteProperty(one, door)).toBe(false);
      expect(Reflect.set(one, door, async () => "past the gate")).toBe(false);
      expect(Reflect.defineProperty(one, door, { value: async () => "past the gate" })).toBe(false);
      expect(Reflect.get(one, door)).toBe(before);
    }
    expect(await rejection(bare.invoke(args, thread("s")))).toMatchObject({
      code: "SEQUENCE_VIOLATION",
    });
  });

  test("a subclass that overrides `invoke` runs past `_call`: ours refuses it, and an agent's middleware decides it", async () => {
    const shortcut = (desk: Desk) => {
      class Shortcut extends DynamicStructuredTool {
        override async invoke(): Promise<never> {
          desk.ran.push({ tool: "refund", args });
          return "past _call" as never;
        }
      }
      return new Shortcut({
        name: "refund",
        description: "",
        schema: order,
        func: async () => "never",
      });
    };
    const agent = (
      one: DynamicStructuredTool,
      gating: readonly ReturnType<typeof gateMiddleware>[],
    ) =>
      createAgent({
        model: scripted([call("refund", "c1")]),
        tools: [one],
        middleware: gating,
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    await agent(naiveCall(shortcut(naive) as never, naive.gate) as never, []);
    expect(naive.names()).toEqual(["refund"]);

    const desk = await openDesk();
    expect(() => gateTool(shortcut(desk), { gate: desk.gate })).toThrow(/overrides 'invoke'/);
    await agent(shortcut(desk), [gateMiddleware({ gate: desk.gate })]);
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });

  test("a runnable made a tool runs past an overridden `invoke`: ours refuses it, and an agent's middleware decides it", async () => {
    const like = (desk: Desk) => desk.make("refund").asTool({ name: "refund", schema: order });
    const ways = [
      async (one: ReturnType<typeof like>) => collect(await one.stream(args)),
      (one: ReturnType<typeof like>) => one.batch([args]),
      (one: ReturnType<typeof like>) => one.withConfig({}).invoke(args),
      (one: ReturnType<typeof like>) => one.bound.invoke(args),
    ];
    for (const go of ways) {
      const naive = await openDesk();
      await go(naiveInvoke(like(naive) as never, naive.gate));
      expect(naive.names()).toEqual(["refund"]);
    }
    const desk = await openDesk();
    expect(() => gateTool(like(desk), { gate: desk.gate })).toThrow(/asTool/);
    const agent = createAgent({
      model: scripted([call("refund", "c1")]),
      tools: [like(desk)],
      middleware: [gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });

  test("a tool that is built anew applies its schema twice: what was decided is not what ran", async () => {
    const doubling = (desk: Desk) =>
      tool((input) => void desk.ran.push({ tool: "read", args: input }), {
        name: "read",
        schema: z.object({ order: z.number().transform((n) => n * 2) }),
      });

    const naive = await openDesk();
    const decided: unknown[] = [];
    await naiveRebuild(doubling(naive), naive.gate, (input) => (decided.push(input), input)).invoke(
      args,
      thread("s"),
    );
    expect(decided).toEqual([{ order: 34 }]);
    expect(naive.ran).toEqual([{ tool: "read", args: { order: 68 } }]);

    const desk = await openDesk();
    await gateTool(doubling(desk), { gate: desk.gate }).invoke(args, thread("s"));
    expect(desk.ran).toEqual([{ tool: "read", args: { order: 34 } }]);
  });

  test("JSON-schema arguments are passed by reference: changed during the decision, the changed ones run; ours runs the copy", async () => {
    const json = {
      type: "object",
      properties: { path: { type: "string" } },
      required: ["path"],
    } as const;
    const build = (desk: Desk) =>
      tool((input: unknown) => void desk.ran.push({ tool: "read", args: input }), {
        name: "read",
        schema: json,
      });
    const changing = (gate: Gate, input: { path: string }): Gate => ({
      ...gate,
      decide: async (request) => {
        const decision = gate.decide(request);
        input.path = "/etc/shadow";
        return decision;
      },
    });

    const naive = await openDesk();
    const once = { path: "safe" };
    await naiveCall(build(naive) as never, changing(naive.gate, once)).invoke(
      once as never,
      thread("s"),
    );
    expect(naive.ran).toEqual([{ tool: "read", args: { path: "/etc/shadow" } }]);

    const desk = await openDesk();
    const again = { path: "safe" };
    await gateTool(build(desk), { gate: changing(desk.gate, again) }).invoke(again, thread("s"));
    expect(again.path).toBe("/etc/shadow");
    expect(desk.ran).toEqual([{ tool: "read", args: { path: "safe" } }]);
  });

  test("the kept original runs undecided; `harden` closes it too", async () => {
    const ways: ((original: Tool, gated: Tool) => Promise<unknown>)[] = [
      (original) => original.invoke(args, thread("s")),
      (original) => original.func(args, undefined, thread("s")),
      (original) => Reflect.get(original, "_call").call(original, args, undefined, thread("s")),
      (original) => Reflect.get(original.lc_kwargs, "func")(args, undefined, thread("s")),
      (_original, gated) => (Object.getPrototypeOf(gated) as Tool).invoke(args, thread("s")),
    ];
    for (const go of ways) {
      // Not hardened, this is a documented limit.
      const soft = await openDesk();
      const kept = soft.make("refund");
      await go(kept, gateTool(kept, { gate: soft.gate }));
      expect(soft.names()).toEqual(["refund"]);

      const desk = await openDesk();
      const original = desk.make("refund");
      await rejection(go(original, gateTool(original, { gate: desk.gate, harden: true })));
      expect(desk.names()).toEqual([]);
      expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
    }
  });

  test("a hardened tool still runs once on ALLOW, by its wrapper and by itself, also under the middleware", async () => {
    const desk = await openDesk();
    const original = desk.make("read");
    const gated = gateTool(original, { gate: desk.gate, harden: true });
    await gated.invoke(args, thread("s"));
    await original.invoke(args, thread("s"));
    const agent = createAgent({
      model: scripted([call("read", "c1")]),
      tools: [original],
      middleware: [gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    expect(desk.names()).toEqual(["read", "read", "read"]);
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW read",
      "succeeded",
      "ALLOW read",
      "succeeded",
      "ALLOW read",
      "succeeded",
    ]);
  });
});

describe("tools that are not in the list", () => {
  test("a middleware's own tools run undecided where only the list is wrapped", async () => {
    const agent = (desk: Desk, gating: readonly ReturnType<typeof gateMiddleware>[]) =>
      createAgent({
        model: scripted([
          call("write_todos", "c1", { todos: [{ content: "refund it", status: "pending" }] }),
        ]),
        tools: gateTools([desk.make("read")], { gate: desk.gate }),
        middleware: [stock(todoListMiddleware()), ...gating],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    expect(await agent(naive, [])).toMatchObject({ todos: [{ content: "refund it" }] });
    expect(await naive.chain("s")).toEqual([]);

    const desk = await openDesk();
    expect(await agent(desk, [gateMiddleware({ gate: desk.gate })])).not.toMatchObject({
      todos: [{ content: "refund it" }],
    });
    expect(await desk.chain("s")).toEqual(["open", "DENY write_todos NO_POLICY_MATCH"]);
  });

  test("a tool that a middleware adds to the model's call and supplies itself is decided, with a decision of its own", async () => {
    const agent = (desk: Desk, gating: readonly ReturnType<typeof gateMiddleware>[]) => {
      const dynamic = desk.make("refund");
      const supply = createMiddleware({
        name: "Supply",
        wrapModelCall: (request, handler) =>
          handler({ ...request, tools: [...request.tools, dynamic] }),
        wrapToolCall: (request, handler) =>
          handler(request.toolCall.name === "refund" ? { ...request, tool: dynamic } : request),
      });
      return createAgent({
        model: scripted([call("refund", "c1")]),
        tools: gateTools([desk.make("read")], { gate: desk.gate }),
        middleware: [supply, ...gating],
      }).invoke({ messages: "go" }, thread("s"));
    };

    const naive = await openDesk();
    await agent(naive, []);
    expect(naive.names()).toEqual(["refund"]);

    const desk = await openDesk();
    await agent(desk, [gateMiddleware({ gate: desk.gate })]);
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);

    const allowed = await openDesk();
    await allowed.gate.decide({ sequence_id: "s", tool: "intake", args: {} });
    await agent(allowed, [gateMiddleware({ gate: allowed.gate })]);
    expect(allowed.names()).toEqual(["refund"]);
    expect(await allowed.chain("s")).toEqual(["open", "ALLOW intake", "ALLOW refund", "succeeded"]);
  });

  test("a message put into the history and jumped to: its calls are decided", async () => {
    const jump = createMiddleware({
      name: "Jump",
      beforeModel: {
        canJumpTo: ["tools"],
        hook: (state) =>
          state.messages.length > 1
            ? undefined
            : { messages: [carrier(call("refund", "c1"))], jumpTo: "tools" as const },
      },
    });
    const agent = (tools: Tool[]) =>
      createAgent({ model: scripted(), tools, middleware: [jump] }).invoke(
        { messages: "go" },
        thread("s"),
      );

    const naive = await openDesk();
    await agent([naive.make("refund")]);
    expect(naive.names()).toEqual(["refund"]);

    const desk = await openDesk();
    await agent(gateTools([desk.make("refund")], { gate: desk.gate }));
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual(["open", "DENY refund SEQUENCE_VIOLATION"]);
  });

  test("a history that a client ends with tool calls goes to the model: nothing is decided and nothing runs", async () => {
    const desk = await openDesk();
    const agent = createAgent({
      model: scripted(),
      tools: gateTools([desk.make("read")], { gate: desk.gate }),
      middleware: [gateMiddleware({ gate: desk.gate })],
    });
    await agent.invoke(
      { messages: [new HumanMessage("go"), carrier(call("read", "c1"))] },
      thread("s"),
    );
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual([]);
  });
});

describe("answering a denial", () => {
  test("a middleware that throws ends the run, while its siblings have run; ours answers, and the agent goes on", async () => {
    const throwing = (gate: Gate) =>
      createMiddleware({
        name: "Throwing",
        wrapToolCall: async (request, handler) => {
          const decision = await naiveDecision(gate, request.toolCall.name, request.toolCall.args);
          if (decision.decision === "DENY") throw new DeniedError(decision);
          return handler(request);
        },
      });
    const agent = (desk: Desk, gating: ReturnType<typeof gateMiddleware>) =>
      createAgent({
        model: scripted([call("read", "c1"), call("refund", "c2")]),
        tools: [desk.make("read"), desk.make("refund")],
        middleware: [gating],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    expect(await rejection(agent(naive, throwing(naive.gate)))).toBeInstanceOf(Error);
    expect(naive.names()).toEqual(["read"]);

    const desk = await openDesk();
    const { messages } = await agent(desk, gateMiddleware({ gate: desk.gate }));
    expect(messages.map((message) => message.type)).toEqual(["human", "ai", "tool", "tool", "ai"]);
    expect(desk.names()).toEqual(["read"]);
  });

  test("a tool wrapper that throws ends the run as soon as any middleware wraps tool calls; ours answers", async () => {
    const passing = createMiddleware({
      name: "Passing",
      wrapToolCall: (request, handler) => handler(request),
    });
    const agent = (one: Tool) =>
      createAgent({
        model: scripted([call("refund", "c1")]),
        tools: [one],
        middleware: [passing],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    expect(
      DeniedError.isInstance(await rejection(agent(naiveCall(naive.make("refund"), naive.gate)))),
    ).toBe(true);

    const desk = await openDesk();
    const { messages } = await agent(gateTool(desk.make("refund"), { gate: desk.gate }));
    expect(messages.at(-2)?.text).toMatch(/^DENIED SEQUENCE_VIOLATION/);
  });

  test("a blanket catch around the tool loses its interrupt; ours hands it on", async () => {
    const catching = createMiddleware({
      name: "Catching",
      wrapToolCall: async (request, handler) => {
        try {
          return await handler(request);
        } catch (error) {
          return new ToolMessage({
            content: String(error),
            tool_call_id: request.toolCall.id ?? "",
          });
        }
      },
    });
    const agent = (desk: Desk, gating: ReturnType<typeof gateMiddleware>) =>
      createAgent({
        model: scripted([call("read", "c1")]),
        tools: [desk.make("read", () => interrupt("really?"))],
        middleware: [gating],
        checkpointer: new MemorySaver(),
      });

    expect(
      await agent(await openDesk(), catching).invoke({ messages: "go" }, thread("s")),
    ).not.toHaveProperty("__interrupt__");
    const desk = await openDesk();
    const ours = agent(desk, gateMiddleware({ gate: desk.gate }));
    expect(await ours.invoke({ messages: "go" }, thread("s"))).toMatchObject({
      __interrupt__: [{ value: "really?" }],
    });
    await ours.invoke(new Command({ resume: "yes" }), thread("s"));
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW read",
      "interrupted",
      "ALLOW read resumes",
      "succeeded",
    ]);
  });

  test("a retry inside the gate spends one ALLOW twice; ours lets it run once", async () => {
    const twice = createMiddleware({
      name: "Twice",
      wrapToolCall: async (request, handler) => {
        await handler(request);
        return handler(request);
      },
    });
    const agent = (one: Tool, gating: ReturnType<typeof gateMiddleware>) =>
      createAgent({
        model: scripted([call("read", "c1")]),
        tools: [one],
        middleware: [gating, twice],
      }).invoke({ messages: "go" }, thread("s"));

    const naive = await openDesk();
    await agent(naive.make("read"), naiveMiddleware(naive.gate));
    expect(naive.names()).toEqual(["read", "read"]);
    expect(await naive.chain("s")).toEqual(["open", "ALLOW read"]);

    const desk = await openDesk();
    await agent(desk.make("read"), gateMiddleware({ gate: desk.gate }));
    expect(desk.names()).toEqual(["read"]);
    expect(await desk.chain("s")).toEqual([
      "open",
      "ALLOW read",
      "succeeded",
      "DENY read REPLAY_NONCE",
    ]);
  });

  test("a gate that fails, caught by nobody, ends the run or is swallowed; ours is a denial that the model reads", async () => {
    const desk = await openDesk();
    const gate: Gate = { ...desk.gate, decide: () => Promise.reject(new Error("unreachable")) };
    const agent = (gating: ReturnType<typeof gateMiddleware>) =>
      createAgent({
        model: scripted([call("read", "c1")]),
        tools: [desk.make("read")],
        middleware: [gating],
      }).invoke({ messages: "go" }, thread("s"));
    expect(await rejection(agent(naiveMiddleware(gate)))).toMatchObject({ message: "unreachable" });
    const { messages } = await agent(gateMiddleware({ gate }));
    expect(messages.at(-2)?.text).toBe("DENIED GATE_UNAVAILABLE: the gate could not decide.");
    expect(desk.names()).toEqual([]);
  });
});

test("a nonce that is the bare call id locks out the next turn's call of a provider that repeats its ids; ours tells them apart", async () => {
  const run = async (nonce?: () => string) => {
    const desk = await openDesk();
    const tools = gateTools([desk.make("read")], {
      gate: desk.gate,
      ...(nonce === undefined ? {} : { nonce }),
    });
    await createAgent({
      model: scripted([call("read", "call_0")], [call("read", "call_0")]),
      tools,
    }).invoke({ messages: "go" }, thread("s"));
    return desk.chain("s");
  };
  expect(await run(() => "call_0")).toEqual([
    "open",
    "ALLOW read",
    "succeeded",
    "DENY read REPLAY_NONCE",
  ]);
  expect(await run()).toEqual(["open", "ALLOW read", "succeeded", "ALLOW read", "succeeded"]);
});

test("a nonce drawn anew on every entry executes a resumed call's step twice over, or locks it out; ours resumes it", async () => {
  const run = async (nonce?: () => string) => {
    const desk = await openDesk();
    const intake = desk.make("intake", () => interrupt("complete?"));
    const tools = gateTools([intake], {
      gate: desk.gate,
      ...(nonce === undefined ? {} : { nonce }),
    });
    const agent = createAgent({
      model: scripted([call("intake", "c1")]),
      tools,
      checkpointer: new MemorySaver(),
    });
    await agent.invoke({ messages: "go" }, thread("s"));
    await agent.invoke(new Command({ resume: "yes" }), thread("s"));
    return desk.chain("s");
  };
  let draws = 0;
  expect(await run(() => `n${++draws}`)).toEqual([
    "open",
    "ALLOW intake",
    "interrupted",
    "DENY intake SEQUENCE_VIOLATION",
  ]);
  expect(await run()).toEqual([
    "open",
    "ALLOW intake",
    "interrupted",
    "ALLOW intake resumes",
    "succeeded",
  ]);
});

test("a sequence id read from the state is the tools' to choose; ours is not told the state", async () => {
  const hopping = (desk: Desk) =>
    desk.make("intake", () => new Command({ update: { sequence: "fresh" } }));
  const calls = [[call("intake", "c1")], [call("intake", "c2")]] as const;

  const naive = await openDesk();
  const reading = createMiddleware({
    name: "Reading",
    stateSchema: z.object({ sequence: z.string().default("s") }),
    wrapToolCall: async (request, handler) => {
      const decision = await naive.gate.decide({
        sequence_id: request.state.sequence,
        tool: request.toolCall.name,
        args: request.toolCall.args,
      });
      if (decision.decision === "ALLOW") return handler(request);
      return new ToolMessage({
        status: "error",
        content: decision.deny_code,
        tool_call_id: request.toolCall.id ?? "",
      });
    },
  });
  await createAgent({
    model: scripted(...calls),
    tools: [hopping(naive)],
    middleware: [reading],
  }).invoke({ messages: "go" });
  expect(naive.names()).toEqual(["intake", "intake"]);
  expect(await naive.chain("fresh")).toEqual(["open", "ALLOW intake"]);

  const desk = await openDesk();
  const told: string[] = [];
  const options = {
    gate: desk.gate,
    sequenceId: (info: CallInfo) => (told.push(...Object.keys(info)), info.threadId),
  };
  const state = createMiddleware({
    name: "State",
    stateSchema: z.object({ sequence: z.string().default("s") }),
  });
  const agent = createAgent({
    model: scripted(...calls),
    tools: gateTools([hopping(desk)], options),
    middleware: [state, gateMiddleware(options)],
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  expect(desk.names()).toEqual(["intake"]);
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW intake",
    "succeeded",
    "DENY intake SEQUENCE_VIOLATION",
  ]);
  expect(new Set(told)).toEqual(new Set(["tool", "toolCallId", "threadId", "context"]));
});
