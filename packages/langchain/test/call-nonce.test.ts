/** The nonce that a tool call keeps, and shares with no other. */
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, messagesStateReducer, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import type { BaseMessage } from "@langchain/core/messages";
import { createAgent } from "langchain";
import { expect, test } from "vitest";
import { callIdOf, callNonce } from "../src/call-nonce.ts";
import { gateTool, gateTools } from "../src/index.ts";
import { call, openDesk, scripted, tapped, thread } from "./refund-desk.ts";

const message = (id: string, ...ids: string[]): AIMessage =>
  new AIMessage({ id, content: "", tool_calls: ids.map((one) => call("read", one)) });

test("it is the id of the message that carries the call, and the call's id", () => {
  const messages = [new HumanMessage("go"), message("m1", "c1", "c2")];
  expect(callNonce("c2", { messages })).toBe("m1:c2");
  expect(callNonce("c2", messages)).toBe("m1:c2");
});

test("a bare id that repeats is told apart by the message that carries it last", () => {
  expect(
    callNonce("call_0", { messages: [message("m1", "call_0"), message("m2", "call_0")] }),
  ).toBe("m2:call_0");
  expect(
    callNonce("call_0", { messages: [message("m1", "call_0"), message("m2", "call_1")] }),
  ).toBe("m1:call_0");
});

test.each([
  ["no state", undefined],
  ["no messages", {}],
  ["messages that do not carry it", { messages: [message("m1", "other")] }],
  ["a message without an id", { messages: [{ tool_calls: [{ id: "c1" }] }] }],
])("with %s it is the call's id alone", (_case, state) => {
  expect(callNonce("c1", state)).toBe("c1");
});

test("outside the grammar of nonces it is a digest", () => {
  expect(callNonce("für c1", undefined)).toBe(
    "sha256:37522cb99cfd3eced7a180c6b417980534c0e521eab844c4e04cb8f4e215dd3b",
  );
  expect(callNonce("c".repeat(201), undefined)).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("a call without an id has none, so the gate draws one", () => {
  expect(callNonce(undefined, { messages: [message("m1", "c1")] })).toBeUndefined();
});

test("an empty id is none", () => {
  expect(callIdOf({ id: "" })).toBeUndefined();
  expect(callIdOf({ id: "c1" })).toBe("c1");
});

test("an agent's calls carry it, on every turn another, though the provider repeats its ids", async () => {
  const desk = await openDesk();
  const { gate, asked } = tapped(desk.gate);
  const model = scripted([call("read", "call_0")], [call("read", "call_0")]);
  await createAgent({ model, tools: gateTools([desk.make("read")], { gate }) }).invoke(
    { messages: "go" },
    thread("s"),
  );
  expect(asked.map((request) => request.nonce)).toEqual(["0:call_0", "1:call_0"]);
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "succeeded",
    "ALLOW read",
    "succeeded",
  ]);
});

test("so do those of the prebuilt ToolNode outside of a graph", async () => {
  const desk = await openDesk();
  const { gate, asked } = tapped(desk.gate);
  const node = new ToolNode(gateTools([desk.make("read")], { gate }));
  await node.invoke([message("m7", "c1")], thread("s"));
  expect(asked.map((request) => request.nonce)).toEqual(["m7:c1"]);
});

test("so do those of a graph's own node, which passes no state", async () => {
  const desk = await openDesk();
  const { gate, asked } = tapped(desk.gate);
  const read = gateTool(desk.make("read"), { gate });
  const state = Annotation.Root({
    messages: Annotation<BaseMessage[]>({ reducer: messagesStateReducer, default: () => [] }),
  });
  const graph = new StateGraph(state)
    .addNode("act", async () => ({ messages: [await read.invoke(call("read", "c1"))] }))
    .addEdge(START, "act")
    .compile();
  await graph.invoke({ messages: [message("m7", "c1")] }, thread("s"));
  expect(asked.map((request) => request.nonce)).toEqual(["m7:c1"]);
});

test("the same call invoked twice runs once", async () => {
  const desk = await openDesk();
  const read = gateTool(desk.make("read"), { gate: desk.gate });
  const same = call("read", "c1");
  await read.invoke(same, thread("s"));
  await read.invoke(same, thread("s"));
  expect(desk.names()).toEqual(["read"]);
  expect(await desk.chain("s")).toEqual([
    "open",
    "ALLOW read",
    "succeeded",
    "DENY read REPLAY_NONCE",
  ]);
});
