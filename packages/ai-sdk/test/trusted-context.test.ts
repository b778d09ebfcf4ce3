/** Trusted context: there before the first decision, added on a later turn, never twice. */
import { GateError, type JsonObject } from "@stepgate/core";
import type { ToolExecutionOptions } from "ai";
import { describe, expect, test } from "vitest";
import { gateTools, permittedTools, toolApproval } from "../src/index.ts";
import { counter, openDesk, replaced, RUN } from "./order-desk.ts";
import { generate, scriptedModel } from "./scripted-model.ts";

const lookUp = { id: "c1", tool: "getOrder", input: { order: 17 } };
const refund = (id: string) => ({ id, tool: "refund", input: { order: 17 } });
const direct: ToolExecutionOptions<Record<string, unknown>> = {
  toolCallId: "c1",
  messages: [],
  context: {},
};

test("it opens the sequence, for its owner, before the first decision", async () => {
  const { gate, chain, receipts } = await openDesk({ autoOpen: false });
  const { tools, runs } = counter();
  const agent = { agent_id: "agent-1", tenant: "acme" };
  const gated = gateTools(tools, {
    gate,
    sequenceId: RUN,
    context: { request: "refund order 17" },
    agent,
  });
  await generate({ model: scriptedModel([lookUp]), tools: gated });
  expect(runs).toEqual(["getOrder 17"]);
  expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  const [opened, decision] = await receipts(RUN);
  expect(opened).toMatchObject({ ...agent, context_digest: expect.any(String) });
  expect(decision).toMatchObject(agent);
});

test("it is opened ahead of toolApproval and of permittedTools as well", async () => {
  for (const first of ["approval", "offer"]) {
    const { gate, chain } = await openDesk({ autoOpen: false });
    const gated = gateTools(counter().tools, { gate, sequenceId: RUN, context: { request: "go" } });
    if (first === "approval")
      await generate({
        model: scriptedModel([lookUp]),
        tools: gated,
        toolApproval: toolApproval(gated) as never,
      });
    else expect(await permittedTools(gated)()).toEqual({ activeTools: ["getOrder"] });
    expect((await chain())[0]).toBe("open");
  }
});

test("without it a gate that does not open by itself refuses, and nothing runs", async () => {
  const { gate } = await openDesk({ autoOpen: false });
  const { tools, runs } = counter();
  await expect(
    gateTools(tools, { gate, sequenceId: RUN }).getOrder.execute({ order: 17 }, direct),
  ).rejects.toMatchObject({
    code: "INVALID_REQUEST",
  });
  expect(runs).toEqual([]);
});

test("parallel calls open once", async () => {
  const { gate, chain } = await openDesk();
  let opened = 0;
  const counting = replaced(gate, { open: (opening) => (opened++, gate.open(opening)) });
  const gated = gateTools(counter().tools, {
    gate: counting,
    sequenceId: RUN,
    context: { request: "go" },
  });
  await generate({ model: scriptedModel([lookUp, refund("c2"), refund("c3")]), tools: gated });
  expect(opened).toBe(1);
  expect((await chain()).filter((word) => word === "open" || word === "context")).toEqual(["open"]);
});

test("a later turn adds its context, and one that says nothing new adds nothing", async () => {
  const { gate, chain } = await openDesk();
  const { tools } = counter();
  const turn = async (request: string, call: typeof lookUp) => {
    const gated = gateTools(tools, { gate, sequenceId: RUN, context: { request } });
    await generate({ model: scriptedModel([call]), tools: gated });
  };
  await turn("look 17 up", lookUp);
  await turn("refund it", refund("c2"));
  await turn("refund it", refund("c3"));
  expect(await chain()).toEqual([
    "open",
    "ALLOW getOrder",
    "succeeded",
    "context",
    "ALLOW refund",
    "succeeded",
    "ALLOW refund",
    "succeeded",
  ]);
});

test("a turn that says again what opened the sequence replaces what was said in between", async () => {
  const { gate, chain } = await openDesk();
  for (const request of ["first", "second", "first"]) {
    const gated = gateTools(counter().tools, { gate, sequenceId: RUN, context: { request } });
    await permittedTools(gated)();
  }
  expect(await chain()).toEqual(["open", "context", "context"]);
});

test("a function is asked at every decision, so an agent made once adds each turn's own", async () => {
  const { gate, chain } = await openDesk();
  let request = "look 17 up";
  const gated = gateTools(counter().tools, { gate, sequenceId: RUN, context: () => ({ request }) });
  await gated.getOrder.execute({ order: 17 }, direct);
  request = "refund it";
  await gated.refund.execute({ order: 17, amount: 5 }, { ...direct, toolCallId: "c2" });
  expect(await chain()).toEqual([
    "open",
    "ALLOW getOrder",
    "succeeded",
    "context",
    "ALLOW refund",
    "succeeded",
  ]);
});

test("a function may have nothing to vouch for", async () => {
  const { gate, receipts } = await openDesk();
  await gateTools(counter().tools, {
    gate,
    sequenceId: RUN,
    context: () => undefined,
  }).getOrder.execute({ order: 17 }, direct);
  expect((await receipts(RUN))[0]).not.toHaveProperty("context_digest");
});

test("a value is copied when the tools are gated: what becomes of it later is not vouched for", async () => {
  const { gate, receipts } = await openDesk();
  const context: Record<string, string> = { request: "look 17 up" };
  const gated = gateTools(counter().tools, {
    gate,
    sequenceId: RUN,
    context: context as JsonObject,
  });
  context["request"] = "wipe everything";
  await gated.getOrder.execute({ order: 17 }, direct);
  const [opened] = await receipts(RUN);
  await expect(
    gate.open({ sequence_id: RUN, context: { request: "look 17 up" } }),
  ).resolves.toEqual(opened);
});

test("contexts of one sequence are presented in the order in which they were given", async () => {
  const { gate, receipts } = await openDesk();
  let request = "first";
  let delay = 30;
  const slow = replaced(gate, {
    open: async (opening) => {
      const wait = delay;
      delay = 0;
      await new Promise((resolve) => setTimeout(resolve, wait));
      return gate.open(opening);
    },
  });
  const gated = gateTools(counter().tools, {
    gate: slow,
    sequenceId: RUN,
    context: () => ({ request }),
  });
  const first = gated.getOrder.execute({ order: 17 }, direct);
  request = "second";
  const second = gated.getOrder.execute({ order: 17 }, { ...direct, toolCallId: "c2" });
  await Promise.allSettled([first, second]);
  const kinds = (await receipts(RUN)).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === "open" || kind === "context")).toEqual([
    "open",
    "context",
  ]);
  await expect(
    gate.open({ sequence_id: RUN, context: { request: "first" } }),
  ).resolves.toMatchObject({ kind: "open" });
});

describe("where the gate refuses it", () => {
  test("nothing runs, and the next call tries again", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    let down = true;
    const failing = replaced(gate, {
      open: (opening) =>
        down ? Promise.reject(new GateError("STORE_UNAVAILABLE", "disk full")) : gate.open(opening),
    });
    const { getOrder } = gateTools(tools, {
      gate: failing,
      sequenceId: RUN,
      context: { request: "go" },
    });
    await expect(getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
      code: "GATE_UNAVAILABLE",
    });
    expect(runs).toEqual([]);
    down = false;
    await getOrder.execute({ order: 17 }, direct);
    expect(await chain()).toEqual(["open", "ALLOW getOrder", "succeeded"]);
  });

  test("because another request opened it in between, it is added", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const raced = replaced(gate, {
      open: async (opening) => {
        await gate.open({ sequence_id: RUN, context: { request: "theirs" } });
        return gate.open(opening);
      },
    });
    await gateTools(tools, {
      gate: raced,
      sequenceId: RUN,
      context: { request: "ours" },
    }).getOrder.execute({ order: 17 }, direct);
    expect(runs).toEqual(["getOrder 17"]);
    expect(await chain()).toEqual(["open", "context", "ALLOW getOrder", "succeeded"]);
  });

  test("as too large, nothing runs", async () => {
    const { gate, chain } = await openDesk();
    const { tools, runs } = counter();
    const context = { request: "x".repeat(70_000) };
    await expect(
      gateTools(tools, { gate, sequenceId: RUN, context }).getOrder.execute({ order: 17 }, direct),
    ).rejects.toMatchObject({
      code: "GATE_UNAVAILABLE",
    });
    expect(runs).toEqual([]);
    expect(await chain()).toEqual([]);
  });
});

test("another owner's sequence is refused, whatever was to be vouched for", async () => {
  const { gate } = await openDesk();
  const { tools, runs } = counter();
  await gate.open({ sequence_id: RUN, tenant: "acme" });
  const gated = gateTools(tools, { gate, sequenceId: RUN, agent: () => ({ tenant: "other" }) });
  await expect(gated.getOrder.execute({ order: 17 }, direct)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
  });
  expect(runs).toEqual([]);
});

test("of many sequences only the latest are remembered, and the forgotten ones are still right", async () => {
  const { gate, chain } = await openDesk();
  let looked = 0;
  const counting = replaced(gate, { state: (id) => (looked++, gate.state(id)) });
  let sequence = "run-0";
  const gated = gateTools(counter().tools, {
    gate: counting,
    sequenceId: () => sequence,
    context: { request: "go" },
  });
  const offer = permittedTools(gated);
  for (let index = 0; index <= 1000; index++) {
    sequence = `run-${index}`;
    await offer();
  }
  looked = 0;
  sequence = "run-1000";
  await offer();
  expect(looked).toBe(1);
  sequence = "run-0";
  await offer();
  expect(looked).toBe(3);
  expect(await chain("run-0")).toEqual(["open"]);
});
