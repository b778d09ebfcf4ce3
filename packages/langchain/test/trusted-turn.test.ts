/** `trust`: what the application vouches for, once a turn, in the sequence's chain. */
import { Command, interrupt, MemorySaver } from "@langchain/langgraph";
import type { Context, Gate, Opening } from "@stepgate/core";
import { createAgent } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { gateMiddleware, gateTools } from "../src/index.ts";
import { call, type Desk, openDesk, rejection, scripted, thread } from "./refund-desk.ts";

const user = z.object({ userId: z.string() });

/** The same gate, with every opening and addition noted. */
function vouched(gate: Gate) {
  const said: (Opening | Context)[] = [];
  return {
    said,
    gate: {
      ...gate,
      open: (opening: Opening) => (said.push(opening), gate.open(opening)),
      addContext: (id: string, context: Context) => (
        said.push(context),
        gate.addContext(id, context)
      ),
    },
  };
}

function agentOf(
  desk: Desk,
  gate: Gate,
  turns: ReturnType<typeof call>[][],
  options: Partial<Parameters<typeof gateMiddleware<typeof user>>[0]> = {},
) {
  return createAgent({
    model: scripted(...turns),
    contextSchema: user,
    tools: gateTools([desk.make("read"), desk.make("intake", () => interrupt("complete?"))], {
      gate,
    }),
    middleware: [
      gateMiddleware({
        gate,
        contextSchema: user,
        trust: ({ context, messages, threadId }) => ({
          user_id: context.userId,
          request: messages.at(-1)?.text ?? "",
          thread: threadId ?? "",
        }),
        ...options,
      }),
    ],
    checkpointer: new MemorySaver(),
  });
}

const u1 = { ...thread("s"), context: { userId: "u1" } };

test("the first turn opens the sequence with its context, before the first decision", async () => {
  const desk = await openDesk();
  const { gate, said } = vouched(desk.gate);
  await agentOf(desk, gate, [[call("read", "c1")]]).invoke({ messages: "Refund order 17" }, u1);
  expect(said).toEqual([
    { sequence_id: "s", context: { user_id: "u1", request: "Refund order 17", thread: "s" } },
  ]);
  const [open] = await desk.receipts("s");
  expect(open).toMatchObject({ kind: "open", context_digest: expect.any(String) });
  expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
});

test("a second turn adds its context, and only its own", async () => {
  const desk = await openDesk();
  const { gate, said } = vouched(desk.gate);
  const agent = agentOf(desk, gate, [[call("read", "c1")], [], [call("read", "c1")]]);
  await agent.invoke({ messages: "Refund order 17" }, u1);
  await agent.invoke({ messages: "And order 18" }, u1);
  expect(said.slice(1)).toEqual([{ user_id: "u1", request: "And order 18", thread: "s" }]);
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "succeeded",
    "context",
    "ALLOW read",
    "succeeded",
  ]);
});

test("a resumed turn adds nothing", async () => {
  const desk = await openDesk();
  const { gate, said } = vouched(desk.gate);
  const agent = agentOf(desk, gate, [[call("intake", "c1")]]);
  await agent.invoke({ messages: "Refund order 17" }, u1);
  await agent.invoke(new Command({ resume: "yes" }), u1);
  expect(said).toHaveLength(1);
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW intake",
    "interrupted",
    "ALLOW intake resumes",
    "succeeded",
  ]);
});

test("a sequence that the host opened is added to", async () => {
  const desk = await openDesk();
  await desk.gate.open({ sequence_id: "s", context: { address_book: ["bob@example.com"] } });
  await agentOf(desk, desk.gate, [[call("read", "c1")]]).invoke({ messages: "go" }, u1);
  expect(await desk.chain("s")).toEqual(["open", "context", "ALLOW read", "succeeded"]);
});

test("a sealed sequence is left as it is, and its calls are denied", async () => {
  const desk = await openDesk();
  await desk.gate.open({ sequence_id: "s" });
  await desk.gate.seal("s", "done");
  await agentOf(desk, desk.gate, [[call("read", "c1")]]).invoke({ messages: "go" }, u1);
  expect(await desk.chain("s")).toEqual(["open", "seal", "DENY read SEALED_SEQUENCE"]);
});

test("the agent that the host names owns the sequence that is opened", async () => {
  const desk = await openDesk();
  const agent = { agent_id: "bot-7", tenant: "acme" };
  const own = createAgent({
    model: scripted([call("read", "c1")]),
    tools: gateTools([desk.make("read")], { gate: desk.gate, agent }),
    middleware: [gateMiddleware({ gate: desk.gate, agent, trust: () => ({ request: "go" }) })],
  });
  await own.invoke({ messages: "go" }, thread("s"));
  expect((await desk.receipts("s"))[0]).toMatchObject({ kind: "open", ...agent });
  expect(await desk.chain("s")).toEqual(["open", "ALLOW read", "succeeded"]);
});

test("sequenceId and trust see the context that contextSchema asks for, and no other key of it", async () => {
  const desk = await openDesk();
  const told: unknown[] = [];
  const wide = z.object({ userId: z.string(), apiKey: z.string() });
  const agent = createAgent({
    model: scripted([]),
    contextSchema: wide,
    tools: [],
    middleware: [
      gateMiddleware({
        gate: desk.gate,
        contextSchema: user,
        sequenceId: (info) => (
          told.push({ ...info, context: { ...(info.context as object) } }),
          "own"
        ),
        trust: ({ context }) => (told.push({ ...context }), { user_id: context.userId }),
      }),
    ],
  });
  await agent.invoke(
    { messages: "go" },
    { ...thread("s"), context: { userId: "u1", apiKey: "secret" } },
  );
  expect(told).toEqual([{ tool: "", threadId: "s", context: { userId: "u1" } }, { userId: "u1" }]);
  expect(await desk.chain("own")).toEqual(["open"]);
});

test("without a sequence trust is not asked, and nothing is opened", async () => {
  const desk = await openDesk();
  const { gate, said } = vouched(desk.gate);
  const agent = agentOf(desk, gate, [[call("read", "c1")]], { sequenceId: () => undefined });
  await agent.invoke({ messages: "go" }, u1);
  expect(said).toEqual([]);
});

describe("a fault ends the run before the model is called", () => {
  const faults: Record<
    string,
    (gate: Gate) => Partial<Parameters<typeof gateMiddleware<typeof user>>[0]>
  > = {
    "trust throws": () => ({ trust: () => Promise.reject(new Error("no profile")) }),
    "the gate cannot say": (gate) => ({
      gate: { ...gate, state: () => Promise.reject(new Error("no profile")) },
    }),
    "the gate cannot open": (gate) => ({
      gate: { ...gate, open: () => Promise.reject(new Error("no profile")) },
    }),
    "the context is no JSON": () => ({ trust: () => ({ since: new Date() }) as never }),
  };

  test.each(Object.entries(faults))("%s", async (_fault, parts) => {
    const desk = await openDesk();
    const agent = agentOf(desk, desk.gate, [[call("read", "c1")]], parts(desk.gate));
    expect(await rejection(agent.invoke({ messages: "go" }, u1))).toMatchObject({
      message: expect.stringMatching(/no profile|since/),
    });
    expect(desk.names()).toEqual([]);
    expect(await desk.chain("s")).toEqual([]);
  });
});
