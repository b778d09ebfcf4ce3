/** Coming back to a call: interrupts, resumes, time travel, retries. One call, one execution. */
import { RunnableLambda } from "@langchain/core/runnables";
import { Command, interrupt, MemorySaver } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { createAgent, humanInTheLoopMiddleware, tool, toolRetryMiddleware } from "langchain";
import { describe, expect, test } from "vitest";
import { gateMiddleware, gateTools } from "../src/index.ts";
import {
  call,
  collect,
  type Desk,
  openDesk,
  order,
  scripted,
  stock,
  thread,
} from "./refund-desk.ts";

/** A refund that asks before it pays. */
function asking(desk: Desk, paid: unknown[]) {
  return desk.make("refund", () => {
    const answer: unknown = interrupt("really?");
    paid.push(answer);
    return `paid: ${String(answer)}`;
  });
}

/** An agent that took the order in already, then calls `read` and `refund` in one message. */
async function halted(desk: Desk, paid: unknown[], middleware: "with" | "without" = "with") {
  await desk.gate.decide({ sequence_id: "s", tool: "intake", args: {} });
  const agent = createAgent({
    model: scripted([call("read", "c1"), call("refund", "c2")]),
    tools: gateTools([desk.make("read"), asking(desk, paid)], { gate: desk.gate }),
    middleware: middleware === "with" ? [gateMiddleware({ gate: desk.gate })] : [],
    checkpointer: new MemorySaver(),
  });
  const first = await agent.invoke({ messages: "go" }, thread("s"));
  return { agent, first };
}

describe.each(["with", "without"] as const)("%s the middleware", (middleware) => {
  test("an interrupted call is resumed: ALLOW, interrupted, ALLOW that resumes, one execution, no second step", async () => {
    const desk = await openDesk();
    const paid: unknown[] = [];
    const { agent, first } = await halted(desk, paid, middleware);
    expect(first).toMatchObject({ __interrupt__: [{ value: "really?" }] });
    const chain = await desk.chain("s");
    expect(chain.slice(0, 4)).toEqual(["open", "ALLOW intake", "ALLOW read", "ALLOW refund"]);
    expect(chain.slice(4).toSorted()).toEqual(["interrupted", "succeeded"]);
    const { messages } = await agent.invoke(new Command({ resume: "yes" }), thread("s"));
    expect(paid).toEqual(["yes"]);
    expect(messages.map((message) => message.text)).toContain("paid: yes");
    expect((await desk.chain("s")).slice(6)).toEqual(["ALLOW refund resumes", "succeeded"]);
    const [, , , root, , , resumed] = await desk.receipts("s");
    expect(resumed).toMatchObject({
      resumes: expect.any(String),
      nonce: root?.kind === "decision" ? root.nonce : "none",
    });
    // The call beside it ran once and was not entered again.
    expect(desk.names()).toEqual(["read", "refund", "refund"]);
    expect(await desk.gate.state("s")).toMatchObject({ next_steps: ["look", "settle"] });
  });

  test("time travel to before a call that succeeded runs nothing: REPLAY_NONCE", async () => {
    const desk = await openDesk();
    const paid: unknown[] = [];
    const { agent } = await halted(desk, paid, middleware);
    await agent.invoke(new Command({ resume: "yes" }), thread("s"));
    const before = (await collect(agent.graph.getStateHistory(thread("s")))).find((snapshot) =>
      snapshot.next.includes("tools"),
    );
    const { messages } = await agent.invoke(null as never, before?.config as never);
    expect(
      messages
        .filter((message) => message.type === "tool")
        .map((message) => message.text.split(":")[0]),
    ).toEqual(["DENIED REPLAY_NONCE", "DENIED REPLAY_NONCE"]);
    expect(paid).toEqual(["yes"]);
    expect(desk.names()).toEqual(["read", "refund", "refund"]);
    expect((await desk.chain("s")).slice(8)).toEqual([
      "DENY read REPLAY_NONCE",
      "DENY refund REPLAY_NONCE",
    ]);
  });
});

test("createReactAgent enters all calls of a message again: the one that succeeded is not executed twice", async () => {
  const desk = await openDesk();
  const paid: unknown[] = [];
  await desk.gate.decide({ sequence_id: "s", tool: "intake", args: {} });
  const agent = createReactAgent({
    llm: scripted([call("read", "c1"), call("refund", "c2")]),
    tools: gateTools([desk.make("read"), asking(desk, paid)], { gate: desk.gate }),
    checkpointer: new MemorySaver(),
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  await agent.invoke(new Command({ resume: "yes" }), thread("s"));
  expect(paid).toEqual(["yes"]);
  expect(desk.names()).toEqual(["read", "refund", "refund"]);
  expect((await desk.chain("s")).slice(6).toSorted()).toEqual([
    "ALLOW refund resumes",
    "DENY read REPLAY_NONCE",
    "succeeded",
  ]);
});

test("a generator that interrupts after an event is resumed as well", async () => {
  const desk = await openDesk();
  const refund = tool(
    async function* () {
      yield "asking";
      const answer: unknown = interrupt("really?");
      return `read: ${String(answer)}`;
    },
    { name: "read", schema: order },
  );
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: gateTools([refund], { gate: desk.gate }),
    checkpointer: new MemorySaver(),
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  const { messages } = await agent.invoke(new Command({ resume: "yes" }), thread("s"));
  expect(messages.map((message) => message.text)).toContain("read: yes");
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "interrupted",
    "ALLOW read resumes",
    "succeeded",
  ]);
});

test("a headless tool, which the client executes, is decided before its interrupt and resumed after", async () => {
  const desk = await openDesk();
  const headless = tool({ name: "read", description: "read on the client", schema: order });
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: gateTools([headless], { gate: desk.gate }),
    checkpointer: new MemorySaver(),
  });
  expect(await agent.invoke({ messages: "go" }, thread("s"))).toMatchObject({
    __interrupt__: [{ value: { type: "tool", toolCall: { name: "read" } } }],
  });
  await agent.invoke(new Command({ resume: "from the client" }), thread("s"));
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "interrupted",
    "ALLOW read resumes",
    "succeeded",
  ]);
});

test("a tool without `_call`, which the middleware decides, is resumed too", async () => {
  const desk = await openDesk();
  const like = RunnableLambda.from(() => `read: ${String(interrupt("really?"))}`).asTool({
    name: "read",
    schema: order,
  });
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: [like],
    middleware: [gateMiddleware({ gate: desk.gate })],
    checkpointer: new MemorySaver(),
  });
  expect(await agent.invoke({ messages: "go" }, thread("s"))).toMatchObject({
    __interrupt__: [{ value: "really?" }],
  });
  const { messages } = await agent.invoke(new Command({ resume: "yes" }), thread("s"));
  expect(messages.map((message) => message.text)).toContain("read: yes");
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "interrupted",
    "ALLOW read resumes",
    "succeeded",
  ]);
});

test("a person who edits a call before it runs: the gate is asked once, about the edited arguments", async () => {
  const desk = await openDesk();
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: gateTools([desk.make("read")], { gate: desk.gate }),
    middleware: [
      stock(humanInTheLoopMiddleware({ interruptOn: { read: true } } as never)),
      gateMiddleware({ gate: desk.gate }),
    ],
    checkpointer: new MemorySaver(),
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  expect(await desk.chain("s")).toEqual([]);
  const decisions = [{ type: "edit", editedAction: { name: "read", args: { order: 18 } } }];
  await agent.invoke(new Command({ resume: { decisions } }), thread("s"));
  expect(desk.ran).toEqual([{ tool: "read", args: { order: 18 } }]);
  expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
});

test("a middleware that tries a call again does not execute it twice: one ALLOW is one execution", async () => {
  const desk = await openDesk();
  const failing = desk.make("read", () => {
    throw new Error("timed out");
  });
  const retrying = toolRetryMiddleware({ maxRetries: 2, initialDelayMs: 1, jitter: false });
  const agent = createAgent({
    model: scripted([call("read", "c1")]),
    tools: gateTools([failing], { gate: desk.gate }),
    middleware: [stock(retrying), gateMiddleware({ gate: desk.gate, toolErrors: "throw" })],
  });
  await agent.invoke({ messages: "go" }, thread("s"));
  expect(desk.names()).toEqual(["read"]);
  expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "failed", "DENY read REPLAY_NONCE"]);
});
