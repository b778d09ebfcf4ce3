/** How a request is read: nonce, arguments, sequence and agent. Whatever cannot be read, and every fault, is a denial. */
import { failAppends, openTestGate } from "@stepgate/contract";
import type { Decision, Gate } from "@stepgate/core";
import express, { type RequestHandler } from "express";
import { describe, expect, test } from "vitest";
import { guard, type GuardOptions } from "../src/index.ts";
import {
  type Answer,
  collectWarnings,
  expectStory,
  ORDERS,
  post,
  send,
  serve,
  type Served,
  story,
  watchedGate,
} from "./route-server.ts";

interface Route {
  readonly served: Served;
  /** How often the handler ran. */
  ran(): number;
}

type Options = Partial<Omit<GuardOptions<unknown>, "tool" | "function" | "action_type" | "step">>;

/** One guarded route for refunds behind a JSON parser; `options` change the guard. */
async function refundRoute(
  gate: Gate,
  options: Options,
  parser: RequestHandler[] = [express.json()],
): Promise<Route> {
  let ran = 0;
  const refund = guard<unknown>({
    gate,
    tool: "refund",
    sequenceId: () => "s",
    args: (req) => req.body,
    ...options,
  });
  const served = await serve((app) => {
    app.post("/refund", ...parser, refund, (_req, res) => void res.json(++ran));
  });
  return { served, ran: () => ran };
}

function codeOf(answer: Answer): unknown {
  return JSON.parse(answer.text).code;
}

/** An open sequence, so that a malformed request of its owner leaves a receipt. */
async function openedGate(): ReturnType<typeof openTestGate> {
  const opened = await openTestGate(ORDERS);
  await opened.gate.open({ sequence_id: "s" });
  return opened;
}

describe("the nonce", () => {
  test("is the header's, and random when there is none", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served } = await refundRoute(gate, {});
    await post(served, "/refund", {}, { "stepgate-nonce": "n 1" });
    await post(served, "/refund", {});
    await post(served, "/refund", {});
    const nonces = (await receipts("s")).flatMap((r) => (r.kind === "decision" ? [r.nonce] : []));
    expect(nonces[0]).toBe("n 1");
    expect(new Set(nonces).size).toBe(3);
  });

  test("given twice is a 400 that leaves its receipt; the handler does not run", async () => {
    const { gate, receipts } = await openedGate();
    const { served, ran } = await refundRoute(gate, {});
    const answer = await post(served, "/refund", {}, { "stepgate-nonce": ["n1", "n2"] });
    expect([answer.status, codeOf(answer), ran()]).toEqual([400, "INVALID_REQUEST", 0]);
    expect(JSON.parse(answer.text).detail).toBe("Stepgate-Nonce was given more than once.");
    const [, denied] = await expectStory(() => receipts("s"), ["open", "INVALID_REQUEST"]);
    expect(denied).toMatchObject({ rule: "request.nonce" });
    expect(JSON.parse(answer.text).receipt).toEqual(denied);
  });

  test("given twice with the same value is a 400 too", async () => {
    const { gate } = await openedGate();
    const { served, ran } = await refundRoute(gate, {});
    const answer = await post(served, "/refund", {}, { "stepgate-nonce": ["n1", "n1"] });
    expect([answer.status, ran()]).toEqual([400, 0]);
  });

  test("that is empty is a 400, not a random one", async () => {
    const { gate } = await openedGate();
    const { served, ran } = await refundRoute(gate, {});
    expect((await post(served, "/refund", {}, { "stepgate-nonce": "" })).status).toBe(400);
    expect(ran()).toBe(0);
  });

  test("outside the grammar is used by its SHA-256: one value is still one nonce", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served, ran } = await refundRoute(gate, {});
    const nonce = { "stepgate-nonce": "n".repeat(201) };
    expect((await post(served, "/refund", {}, nonce)).status).toBe(200);
    expect(codeOf(await post(served, "/refund", {}, nonce))).toBe("REPLAY_NONCE");
    expect((await receipts("s"))[1]).toMatchObject({
      nonce: "sha256:291c4194382c6bd5c12b872660b0fb6d2316508d4632c9b289ed5928c2588b1b",
    });
    expect(ran()).toBe(1);
  });

  test("when required and absent is a 400", async () => {
    const { gate, receipts } = await openedGate();
    const { served, ran } = await refundRoute(gate, { nonce: "required" });
    const answer = await post(served, "/refund", {});
    expect([answer.status, ran()]).toEqual([400, 0]);
    expect(JSON.parse(answer.text).detail).toBe("Stepgate-Nonce is required.");
    expect((await post(served, "/refund", {}, { "stepgate-nonce": "n1" })).status).toBe(200);
    await expectStory(
      () => receipts("s"),
      ["open", "INVALID_REQUEST", "ALLOW", "outcome:succeeded"],
    );
  });

  test("comes from a function of the request, which the header does not override", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served } = await refundRoute(gate, { nonce: async (req) => `msg:${req.body.id}` });
    await post(served, "/refund", { id: 7 }, { "stepgate-nonce": ["a", "b"] });
    expect((await receipts("s"))[1]).toMatchObject({ nonce: "msg:7" });
  });

  test("that a function finds to be no text is a 400", async () => {
    const { gate } = await openedGate();
    const { served, ran } = await refundRoute(gate, { nonce: (req) => req.body.id as string });
    expect((await post(served, "/refund", { id: ["a"] })).status).toBe(400);
    expect(ran()).toBe(0);
  });
});

describe("arguments that cannot be read are a 400 with a receipt, and nothing runs", () => {
  const amountOf = (read: (body: { amount: unknown }) => unknown): Options => ({
    args: (req) => ({ amount: read(req.body) }),
  });
  const text = (to: Served): Promise<Answer> =>
    send(to, "POST", "/refund", { "content-type": "text/plain" }, '{"amount":5}');
  const json =
    (body: unknown) =>
    (to: Served): Promise<Answer> =>
      post(to, "/refund", body);
  const unread = "the arguments could not be read from the request.";
  type Case = readonly [
    what: string,
    detail: string,
    options: Options,
    ask: (served: Served) => Promise<Answer>,
  ];
  const cases: readonly Case[] = [
    ["a text body", unread, {}, text],
    ["a text body whose member is read", unread, amountOf((body) => body.amount), text],
    ["no body", unread, {}, (to) => send(to, "POST", "/refund")],
    ["args that reject", unread, { args: () => Promise.reject(new Error("no")) }, json({})],
    ["args that are no object", unread, { args: () => 5 }, json({})],
    ["args that are null", unread, { args: () => null }, json({})],
    ["an array", "JSON object", {}, json([1])],
    [
      "a number that is none",
      "NaN is not JSON",
      amountOf(({ amount }) => Number(amount)),
      json({ amount: "x" }),
    ],
    [
      "a member that is undefined",
      "undefined is not JSON",
      amountOf(({ amount }) => amount),
      json({}),
    ],
    ["a date", "Date is not JSON", amountOf(() => new Date(0)), json({})],
  ];
  test.each(cases)("%s", async (_what, detail, options, ask) => {
    const { gate, receipts } = await openedGate();
    const { served, ran } = await refundRoute(gate, options);
    const answer = await ask(served);
    expect([answer.status, codeOf(answer), ran()]).toEqual([400, "INVALID_REQUEST", 0]);
    const [, denied] = await expectStory(() => receipts("s"), ["open", "INVALID_REQUEST"]);
    expect(denied).toMatchObject({ rule: "request.args" });
    expect(JSON.parse(answer.text)).toMatchObject({
      detail: expect.stringContaining(detail),
      receipt: denied,
    });
  });

  test("and are named before a nonce that cannot be read either, as the gate names them", async () => {
    const { gate, receipts } = await openedGate();
    const { served } = await refundRoute(gate, {});
    const answer = await send(served, "POST", "/refund", { "stepgate-nonce": ["a", "b"] });
    expect(JSON.parse(answer.text).detail).toBe(unread);
    expect((await receipts("s"))[1]).toMatchObject({ rule: "request.args" });
  });

  test("no parser before the guard", async () => {
    const { gate, receipts } = await openedGate();
    const { served, ran } = await refundRoute(gate, {}, []);
    expect((await post(served, "/refund", { amount: 5 })).status).toBe(400);
    expect(ran()).toBe(0);
    await expectStory(() => receipts("s"), ["open", "INVALID_REQUEST"]);
  });

  test("also where the gate should say ALLOW to what it must refuse", async () => {
    const { gate } = await openTestGate(ORDERS);
    const lax: Gate = {
      ...gate,
      decide: (input) => gate.decide({ ...input, args: {}, nonce: "n1" }),
    };
    const { served, ran } = await refundRoute(lax, { args: () => undefined });
    const answer = await post(served, "/refund", {});
    expect([answer.status, ran()]).toEqual([400, 0]);
    expect(answer.headers).not.toHaveProperty("stepgate-receipt");
  });

  test("and do not open a sequence", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served } = await refundRoute(gate, { context: () => ({ user: "u1" }) });
    const answer = await send(served, "POST", "/refund");
    expect([answer.status, JSON.parse(answer.text).receipt]).toEqual([400, undefined]);
    expect(await receipts("s")).toEqual([]);
  });
});

describe("the sequence", () => {
  test("that a request does not belong to is a 400, and the gate is not asked", async () => {
    const { gate } = await openTestGate(ORDERS);
    const { gate: watched, asked } = watchedGate(gate);
    const { served, ran } = await refundRoute(watched, { sequenceId: () => undefined });
    const answer = await post(served, "/refund", {});
    expect([answer.status, codeOf(answer), ran(), asked]).toEqual([400, "INVALID_REQUEST", 0, []]);
    expect(answer.headers["stepgate-decision"]).toBe("DENY");
  });

  test.each(["", "a b", "-x", "a".repeat(201)])(
    "id %j is a 400, with a context too",
    async (id) => {
      const { gate } = await openTestGate(ORDERS);
      const { served, ran } = await refundRoute(gate, {
        sequenceId: async () => id,
        context: () => ({ a: 1 }),
      });
      const answer = await post(served, "/refund", {});
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.text).detail).toContain("sequence_id");
      expect(ran()).toBe(0);
    },
  );
});

describe("the agent", () => {
  test("is stated in the decision's receipt, with its tenant and nothing else", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const agent = { agent_id: "agent-1", tenant: "acme", ts_ms: 0, sequence_id: "other" };
    const { served, ran } = await refundRoute(gate, { agent: async () => agent });
    expect((await post(served, "/refund", {})).status).toBe(200);
    expect((await receipts("s"))[1]).toMatchObject({ agent_id: "agent-1", tenant: "acme" });
    expect(ran()).toBe(1);
  });

  test("may be absent", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served } = await refundRoute(gate, { agent: () => undefined });
    expect((await post(served, "/refund", {})).status).toBe(200);
    expect((await receipts("s"))[1]).not.toHaveProperty("agent_id");
  });

  test("whose id is undefined is a 400, not anybody", async () => {
    const { gate } = await openTestGate(ORDERS);
    const user: { agent_id: string } = JSON.parse("{}");
    const { served, ran } = await refundRoute(gate, { agent: () => ({ agent_id: user.agent_id }) });
    expect((await post(served, "/refund", {})).status).toBe(400);
    expect(ran()).toBe(0);
  });

  test("other than the sequence's owner is a 400, without a record in that chain", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { served, ran } = await refundRoute(gate, {
      agent: (req) => ({ agent_id: req.body.who }),
    });
    expect((await post(served, "/refund", { who: "ann" })).status).toBe(200);
    expect((await post(served, "/refund", { who: "bob" })).status).toBe(400);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    expect(ran()).toBe(1);
  });
});

describe("a fault is a 503 that asks to come back, and nothing runs", () => {
  const fault = (): never => {
    throw new Error("broken");
  };
  const options: readonly (readonly [name: string, options: Options])[] = [
    ["sequenceId", { sequenceId: fault }],
    ["sequenceId", { sequenceId: () => Promise.reject(new Error("broken")) }],
    ["nonce", { nonce: fault }],
    ["agent", { agent: fault }],
    ["context", { context: fault }],
  ];
  test.each(options)("of %s", async (name, option) => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const warnings = collectWarnings();
    const { served, ran } = await refundRoute(gate, option);
    const answer = await post(served, "/refund", {});
    expect([answer.status, codeOf(answer), answer.headers["retry-after"], ran()]).toEqual([
      503,
      "GATE_UNAVAILABLE",
      "1",
      0,
    ]);
    expect(await receipts("s")).toEqual([]);
    await expect.poll(() => warnings.join()).toContain(`option '${name}' threw broken`);
  });

  const answers: readonly (readonly [what: string, decide: () => Promise<unknown>])[] = [
    ["rejects", () => Promise.reject(new Error("broken"))],
    ["throws", fault],
    ["answers nothing", async () => undefined],
    [
      "answers an unknown word",
      async () => ({ decision: "PERMIT", proceed: true, args: {}, receipt: {} }),
    ],
    ["allows without arguments", async () => ({ decision: "ALLOW", proceed: true, receipt: {} })],
    ["allows without a receipt", async () => ({ decision: "ALLOW", proceed: true, args: {} })],
    [
      "allows and does not let proceed",
      async () => ({ decision: "ALLOW", proceed: false, args: {}, receipt: {} }),
    ],
    [
      "denies with an unknown code",
      async () => ({ decision: "DENY", proceed: true, args: {}, deny_code: "MAYBE", message: "" }),
    ],
    [
      "denies and does not say whether to proceed",
      async () => ({ decision: "DENY", proceed: "yes", args: {}, deny_code: "POLICY_ERROR" }),
    ],
  ];
  test.each(answers)("of a gate that %s", async (_what, decide) => {
    const { gate } = await openTestGate(ORDERS);
    collectWarnings();
    const broken: Gate = { ...gate, decide: decide as () => Promise<Decision> };
    const { served, ran } = await refundRoute(broken, {});
    const answer = await post(served, "/refund", {});
    expect([answer.status, codeOf(answer), answer.headers["retry-after"], ran()]).toEqual([
      503,
      "GATE_UNAVAILABLE",
      "1",
      0,
    ]);
  });

  test("of a shadow gate that lets a denial proceed without arguments, or gives them and does not", async () => {
    const { gate } = await openTestGate(ORDERS);
    const denied = { decision: "DENY", deny_code: "GATE_UNAVAILABLE", message: "" } as const;
    for (const shadow of [{ proceed: true }, { proceed: false, args: {} }]) {
      const decide: Gate["decide"] = async () => ({ ...denied, ...shadow });
      const { served, ran } = await refundRoute({ ...gate, decide }, {});
      expect([(await post(served, "/refund", {})).status, ran()]).toEqual([503, 0]);
    }
  });

  test("of the store behind a real gate", async () => {
    const { gate } = await openTestGate(ORDERS, {
      wrapStore: (store) => failAppends(store, new Error("disk full")),
    });
    const { served, ran } = await refundRoute(gate, {});
    const answer = await post(served, "/refund", {});
    expect([answer.status, codeOf(answer), answer.headers["retry-after"], ran()]).toEqual([
      503,
      "STORE_UNAVAILABLE",
      "1",
      0,
    ]);
  });

  test("of a gate that must keep a context but cannot", async () => {
    const { gate } = await openTestGate(ORDERS);
    collectWarnings();
    const broken: Gate = { ...gate, open: () => Promise.reject(new Error("broken")) };
    const { served, ran } = await refundRoute(broken, { context: () => ({ user: "u1" }) });
    expect((await post(served, "/refund", {})).status).toBe(503);
    expect(ran()).toBe(0);
  });
});

test("concurrent requests with one nonce: one runs, each has its receipt", async () => {
  const { gate, receipts } = await openTestGate(ORDERS);
  const { served, ran } = await refundRoute(gate, {});
  const answers = await Promise.all(
    Array.from({ length: 16 }, () => post(served, "/refund", {}, { "stepgate-nonce": "n1" })),
  );
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(15).fill(409)]);
  expect(ran()).toBe(1);
  const decisions = story(await receipts("s")).filter((word) => !word.startsWith("outcome"));
  expect(decisions).toEqual(["open", "ALLOW", ...Array(15).fill("REPLAY_NONCE")]);
});
