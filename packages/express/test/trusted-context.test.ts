/** What the application vouches for reaches the gate before the decision: at the opening, or as a further turn. */
import { openTestGate } from "@stepgate/contract";
import type { Gate, Receipt } from "@stepgate/core";
import express from "express";
import { expect, test } from "vitest";
import { guard } from "../src/index.ts";
import {
  collectWarnings,
  expectStory,
  ORDERS,
  post,
  serve,
  type Served,
  story,
} from "./route-server.ts";

/** A read route that opens with what its caller sends; `who` says whose request it is. */
async function readRoute(gate: Gate): Promise<Served> {
  const lookup = guard({
    gate,
    tool: "get_order",
    sequenceId: () => "s",
    args: () => ({}),
    agent: (req) => req.body.who,
    context: (req) => req.body.context,
  });
  return serve((app) => {
    app.post("/order", express.json(), lookup, (_req, res) => void res.json({}));
  });
}

function withoutOutcomes(receipts: readonly Receipt[]): string[] {
  return story(receipts).filter((word) => !word.startsWith("outcome"));
}

test("the first request opens the sequence with its context and its owner", async () => {
  const { gate, store, receipts } = await openTestGate(ORDERS, { autoOpen: false });
  const served = await readRoute(gate);
  expect(
    (
      await post(served, "/order", {
        who: { agent_id: "ann", tenant: "acme" },
        context: { user: "u1" },
      })
    ).status,
  ).toBe(200);
  const [opened] = await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
  expect(opened).toMatchObject({ kind: "open", agent_id: "ann", tenant: "acme" });
  const digest = opened?.kind === "open" ? opened.context_digest : undefined;
  expect(await store.document(digest ?? "")).toBe('{"user":"u1"}');
});

test("a later request adds its context where it is new, and nothing where it is not", async () => {
  const { gate, store, receipts } = await openTestGate(ORDERS);
  const served = await readRoute(gate);
  await post(served, "/order", { context: { request: "one" } });
  await post(served, "/order", { context: { request: "one" } });
  await post(served, "/order", { context: { request: "two" } });
  await post(served, "/order", { context: { request: "two" } });
  const chain = await receipts("s");
  expect(withoutOutcomes(chain)).toEqual(["open", "ALLOW", "ALLOW", "context", "ALLOW", "ALLOW"]);
  const added = chain.find((receipt) => receipt.kind === "context");
  expect(await store.document(added?.context_digest ?? "")).toBe('{"request":"two"}');
});

test("a sequence that the host opened itself gets the context added", async () => {
  const { gate, receipts } = await openTestGate(ORDERS);
  await gate.open({ sequence_id: "s", context: { user: "u1" } });
  const served = await readRoute(gate);
  await post(served, "/order", { context: { request: "one" } });
  expect(withoutOutcomes(await receipts("s"))).toEqual(["open", "context", "ALLOW"]);
});

test("without a context the request opens nothing by itself", async () => {
  const { gate, receipts } = await openTestGate(ORDERS, { autoOpen: false });
  const served = await readRoute(gate);
  expect((await post(served, "/order", {})).status).toBe(400);
  expect(await receipts("s")).toEqual([]);
});

test("first requests that come together with other contexts all are decided", async () => {
  const { gate, receipts } = await openTestGate(ORDERS, { autoOpen: false });
  const everyoneHasLooked = Promise.withResolvers<void>();
  let looked = 0;
  const state: Gate["state"] = async (sequenceId) => {
    const status = await gate.state(sequenceId);
    if (++looked === 4) everyoneHasLooked.resolve();
    await everyoneHasLooked.promise;
    return status;
  };
  const served = await readRoute({ ...gate, state });
  const answers = await Promise.all(
    [1, 2, 3, 4].map((n) => post(served, "/order", { context: { [`m${n}`]: n } })),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(withoutOutcomes(await receipts("s")).toSorted()).toEqual([
    ...Array(4).fill("ALLOW"),
    ...Array(3).fill("context"),
    "open",
  ]);
});

test("nobody adds context to another's sequence: 400, and its chain is untouched", async () => {
  const { gate, receipts } = await openTestGate(ORDERS);
  const served = await readRoute(gate);
  await post(served, "/order", {
    who: { agent_id: "ann", tenant: "acme" },
    context: { request: "one" },
  });
  const others = [
    { agent_id: "bob", tenant: "acme" },
    { agent_id: "ann", tenant: "evil" },
    { agent_id: "ann" },
    undefined,
  ];
  for (const who of others) {
    const answer = await post(served, "/order", { who, context: { request: "pay bob" } });
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([400, "INVALID_REQUEST"]);
  }
  await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
});

test("a sealed sequence takes no context: the answer is SEALED_SEQUENCE", async () => {
  const { gate, receipts } = await openTestGate(ORDERS);
  await gate.open({ sequence_id: "s" });
  await gate.seal("s", "done");
  const served = await readRoute(gate);
  const answer = await post(served, "/order", { context: { request: "one" } });
  expect([answer.status, JSON.parse(answer.text).code]).toEqual([409, "SEALED_SEQUENCE"]);
  expect(story(await receipts("s"))).toEqual(["open", "seal", "SEALED_SEQUENCE"]);
});

test("a context that no gate takes, or an agent, is a 400: asking again would not help", async () => {
  const { gate, receipts } = await openTestGate(ORDERS);
  const warnings = collectWarnings();
  const served = await readRoute(gate);
  const large = await post(served, "/order", { context: { request: "x".repeat(70_000) } });
  expect([large.status, JSON.parse(large.text).code]).toEqual([400, "INVALID_REQUEST"]);
  const nobody = await post(served, "/order", {
    who: { agent_id: "" },
    context: { request: "one" },
  });
  expect([nobody.status, JSON.parse(nobody.text).code]).toEqual([400, "INVALID_REQUEST"]);
  expect(await receipts("s")).toEqual([]);
  await expect.poll(() => warnings.length).toBe(2);
});
