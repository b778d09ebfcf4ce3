/** The guard as a route meets it: a decision before the handler, the decided arguments in it, one outcome after it. */
import { openTestGate } from "@stepgate/contract";
import { GateError, type Receipt, recordHash } from "@stepgate/core";
import express, { Router } from "express";
import { describe, expect, test, vi } from "vitest";
import { gateErrorHandler, guard } from "../src/index.ts";
import {
  dial,
  expectStory,
  heldGate,
  ORDERS,
  post,
  postText,
  send,
  serve,
  watchedGate,
} from "./route-server.ts";

describe("an allowed request", () => {
  test("runs once with the decided arguments, and leaves one decision and one outcome", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const refund = guard({
      gate,
      tool: "refund",
      sequenceId: () => "order-17",
      args: (req) => ({ order: String(req.params["id"]), amount: Number(req.body.amount) }),
    });
    const ran: unknown[] = [];
    const served = await serve((app) => {
      app.post("/orders/:id/refund", express.json(), refund, (_req, res) => {
        ran.push(refund.grant(res).args);
        res.sendStatus(204);
      });
    });
    const answer = await post(served, "/orders/17/refund", { amount: 20 });
    expect(answer.status).toBe(204);
    expect(ran).toEqual([{ order: "17", amount: 20 }]);
    const chain = await expectStory(
      () => receipts("order-17"),
      ["open", "ALLOW", "outcome:succeeded"],
    );
    expect(chain[1]).toMatchObject({ tool: "refund", function: "refund", action_type: "WRITE_DB" });
    expect(chain[2]).toMatchObject({ decision_hash: hashAt(chain, 1) });
  });

  test("carries the decision and the hash of its receipt, and is not cached", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const lookup = guard({ gate, tool: "get_order", sequenceId: () => "s", args: () => ({}) });
    const served = await serve((app) => {
      app.get("/order", lookup, (_req, res) => void res.json({ paid: true }));
    });
    const answer = await fetch(`${served.url}/order`);
    expect(await answer.json()).toEqual({ paid: true });
    expect(answer.headers.get("stepgate-decision")).toBe("ALLOW");
    expect(answer.headers.get("stepgate-receipt")).toBe(hashAt(await receipts("s"), 1));
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test("has its receipt before the handler begins", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const lookup = guard({ gate, tool: "get_order", sequenceId: () => "s", args: () => ({}) });
    const served = await serve((app) => {
      app.get("/order", lookup, async (_req, res) => void res.json((await receipts("s")).length));
    });
    expect((await send(served, "GET", "/order")).text).toBe("2");
  });

  test("acts on the copy that was decided, whatever happens to the body meanwhile", async () => {
    const { gate } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    let body: { amount: number } | undefined;
    const refund = guard({
      gate: held.gate,
      tool: "refund",
      sequenceId: () => "s",
      args: (req) => (body = req.body as { amount: number }),
    });
    const served = await serve((app) => {
      app.post("/refund", express.json(), refund, (req, res) => {
        res.json({ granted: refund.grant(res).args, body: req.body as unknown });
      });
    });
    const answer = post(served, "/refund", { amount: 20 });
    await held.decided;
    if (body !== undefined) body.amount = 9000;
    held.release();
    expect(JSON.parse((await answer).text)).toEqual({
      granted: { amount: 20 },
      body: { amount: 9000 },
    });
  });

  test("may be named by function, action type and step", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const { gate: watched, asked } = watchedGate(gate);
    const call = { function: "audit", action_type: "EMIT_EVENT" };
    const audit = guard({ gate: watched, ...call, sequenceId: () => "s", args: () => ({ n: 1 }) });
    const served = await serve((app) => {
      app.post("/audit", audit, (_req, res) => void res.sendStatus(204));
    });
    expect((await send(served, "POST", "/audit")).status).toBe(204);
    expect(asked).toEqual([{ ...call, sequence_id: "s", args: { n: 1 } }]);
    const chain = await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    expect(chain[1]).toMatchObject(call);
  });

  test("may name its step, which must be the function's own", async () => {
    const { gate } = await openTestGate({
      ...ORDERS,
      functions: { ...ORDERS.functions, pay: { step: "refund", actions: ["PAY"] } },
    });
    const call = { gate, function: "pay", action_type: "PAY", args: () => ({}) };
    const right = guard({ ...call, step: "refund", sequenceId: () => "right" });
    const wrong = guard({ ...call, step: "close", sequenceId: () => "wrong" });
    const served = await serve((app) => {
      app.post("/right", right, (_req, res) => void res.sendStatus(204));
      app.post("/wrong", wrong, (_req, res) => void res.sendStatus(204));
    });
    expect((await send(served, "POST", "/right")).status).toBe(204);
    expect(JSON.parse((await send(served, "POST", "/wrong")).text)).toMatchObject({
      code: "NO_POLICY_MATCH",
    });
  });
});

describe("a denied request", () => {
  test("is answered as a problem with its receipt; the handler does not run and there is no outcome", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const close = guard({ gate, tool: "close_order", sequenceId: () => "s", args: () => ({}) });
    let ran = 0;
    const served = await serve((app) => {
      app.post("/close", close, (_req, res) => void res.json(++ran));
    });
    const answer = await send(served, "POST", "/close");
    expect(answer.status).toBe(409);
    expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json/);
    const [, denied] = await expectStory(() => receipts("s"), ["open", "SEQUENCE_VIOLATION"]);
    expect(JSON.parse(answer.text)).toMatchObject({
      status: 409,
      code: "SEQUENCE_VIOLATION",
      receipt: denied,
    });
    expect(answer.headers).toMatchObject({
      "stepgate-decision": "DENY",
      "stepgate-receipt": hashAt(await receipts("s"), 1),
      "cache-control": "no-store",
    });
    expect(ran).toBe(0);
  });

  test("is not an action that the function does not permit", async () => {
    const { gate } = await openTestGate(ORDERS);
    const wipe = guard({
      gate,
      function: "audit",
      action_type: "DELETE",
      sequenceId: () => "s",
      args: () => ({}),
    });
    let ran = 0;
    const served = await serve((app) => {
      app.delete("/audit", wipe, (_req, res) => void res.json(++ran));
    });
    const answer = await send(served, "DELETE", "/audit");
    expect([answer.status, JSON.parse(answer.text).code, ran]).toEqual([
      403,
      "ACTION_NOT_ALLOWED",
      0,
    ]);
  });

  test("with the nonce of an earlier request tells the client what became of that one, and runs nothing", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: (req) => req.body });
    let ran = 0;
    const served = await serve((app) => {
      app.post("/refund", express.json(), refund, (_req, res) => void res.json(++ran));
    });
    const nonce = { "stepgate-nonce": "n1" };
    const first = await post(served, "/refund", { amount: 1 }, nonce);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    const again = await post(served, "/refund", { amount: 1 }, nonce);
    expect(again.status).toBe(409);
    expect(JSON.parse(again.text)).toMatchObject({
      code: "REPLAY_NONCE",
      earlier: { decision_hash: first.headers["stepgate-receipt"], status: "succeeded" },
    });
    expect(ran).toBe(1);
  });

  test("with onDeny 'next' reaches the error handler instead of being answered, and still carries the headers", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const close = guard({
      gate,
      tool: "close_order",
      sequenceId: () => "s",
      args: () => ({}),
      onDeny: "next",
    });
    const ran: string[] = [];
    const served = await serve((app) => {
      app.post("/close", close, (_req, res) => void res.json(ran.push("handler")));
      app.post("/close", (_req, res) => void res.json(ran.push("second handler")));
      app.use(((error, _req, _res, next) => {
        ran.push(error.code);
        next(error);
      }) satisfies express.ErrorRequestHandler);
      app.use(gateErrorHandler());
    });
    const answer = await send(served, "POST", "/close");
    expect(ran).toEqual(["SEQUENCE_VIOLATION"]);
    expect(answer.status).toBe(409);
    expect(answer.headers["stepgate-receipt"]).toBe(hashAt(await receipts("s"), 1));
    expect(JSON.parse(answer.text)).toMatchObject({ code: "SEQUENCE_VIOLATION" });
  });
});

describe("grant", () => {
  test("throws BYPASSED where this guard granted nothing, also when another guard did", async () => {
    const { gate } = await openTestGate(ORDERS);
    const options = { gate, sequenceId: () => "s", args: () => ({}) };
    const lookup = guard({ ...options, tool: "get_order" });
    const refund = guard({ ...options, tool: "refund" });
    const caught: unknown[] = [];
    const served = await serve((app) => {
      app.get("/order", lookup, (_req, res) => {
        try {
          refund.grant(res);
        } catch (error) {
          caught.push(error);
        }
        res.json(lookup.grant(res).decision.decision);
      });
    });
    expect((await send(served, "GET", "/order")).text).toBe('"ALLOW"');
    expect(caught.map((error) => GateError.isInstance(error) && error.code)).toEqual(["BYPASSED"]);
  });

  test("belongs to one request: two guards on one route each decide, and each keep their own", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const lookup = guard({
      gate,
      tool: "get_order",
      sequenceId: () => "s",
      args: () => ({ a: 1 }),
    });
    const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: () => ({ b: 2 }) });
    const served = await serve((app) => {
      app.post("/both", lookup, refund, (_req, res) => {
        res.json([lookup.grant(res).args, refund.grant(res).args]);
      });
    });
    expect((await send(served, "POST", "/both")).text).toBe('[{"a":1},{"b":2}]');
    await expectStory(
      () => receipts("s"),
      ["open", "ALLOW", "ALLOW", "outcome:succeeded", "outcome:succeeded"],
    );
  });
});

describe("routing", () => {
  test("a HEAD request on a GET route is decided, and denied without a body", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const close = guard({ gate, tool: "close_order", sequenceId: () => "s", args: () => ({}) });
    let ran = 0;
    const served = await serve((app) => {
      app.get("/close", close, (_req, res) => void res.json(++ran));
    });
    const answer = await send(served, "HEAD", "/close");
    expect([answer.status, answer.text, ran]).toEqual([409, "", 0]);
    expect(answer.headers["stepgate-decision"]).toBe("DENY");
    await expectStory(() => receipts("s"), ["open", "SEQUENCE_VIOLATION"]);
  });

  test("a guard in a router with mergeParams sees the parent's params", async () => {
    const { gate } = await openTestGate(ORDERS);
    const refund = guard({
      gate,
      tool: "refund",
      sequenceId: (req) => `order-${String(req.params["id"])}`,
      args: (req) => ({ order: String(req.params["id"]), item: String(req.params["item"]) }),
    });
    const served = await serve((app) => {
      const items = Router({ mergeParams: true });
      items.post(
        "/items/:item/refund",
        refund,
        (_req, res) => void res.json(refund.grant(res).args),
      );
      app.use("/orders/:id", items);
    });
    const answer = await send(served, "POST", "/orders/17/items/a%2Fb/refund");
    expect(JSON.parse(answer.text)).toEqual({ order: "17", item: "a/b" });
  });

  test("requests on one kept connection are each decided once, with one outcome", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const lookup = guard({ gate, tool: "get_order", sequenceId: () => "s", args: () => ({}) });
    const served = await serve((app) => {
      app.get("/order", lookup, (_req, res) => void res.json({}));
    });
    const get = "GET /order HTTP/1.1\r\nHost: a\r\n\r\n";
    const socket = await dial(served, get);
    socket.write(get);
    await expectStory(
      async () => (await receipts("s")).toSorted(byKind),
      ["open", "ALLOW", "ALLOW", "outcome:succeeded", "outcome:succeeded"],
    );
    socket.destroy();
  });
});

describe("a request that nobody waits for", () => {
  test("does not run when the client has gone during the decision; it is interrupted, and the same nonce runs once", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    let current = held.gate;
    const switching = { ...gate, decide: (input) => current.decide(input) } satisfies typeof gate;
    const refund = guard({
      gate: switching,
      tool: "refund",
      sequenceId: () => "s",
      args: (req) => req.body,
    });
    let ran = 0;
    let closed: Promise<unknown> | undefined;
    const served = await serve((app) => {
      app.use((req, _res, next) => {
        closed = new Promise((resolve) => req.socket.once("close", resolve));
        next();
      });
      app.post("/refund", express.json(), refund, (_req, res) => void res.json(++ran));
    });
    const socket = await dial(served, postText("/refund", { amount: 1 }, "Stepgate-Nonce: n1\r\n"));
    await held.decided;
    socket.destroy();
    await closed;
    held.release();
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:interrupted"]);
    expect(ran).toBe(0);

    current = gate;
    const answer = await post(served, "/refund", { amount: 1 }, { "stepgate-nonce": "n1" });
    expect([answer.status, ran]).toEqual([200, 1]);
    const chain = await expectStory(
      () => receipts("s"),
      ["open", "ALLOW", "outcome:interrupted", "ALLOW", "outcome:succeeded"],
    );
    expect(chain[3]).toMatchObject({ resumes: hashAt(chain, 1) });
  });

  test("does not run when something else has begun to answer during the decision, and nothing is answered twice", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    const refund = guard({
      gate: held.gate,
      tool: "refund",
      sequenceId: () => "s",
      args: () => ({}),
    });
    const ran: string[] = [];
    const served = await serve((app) => {
      const timeLimit: express.RequestHandler = async (_req, res, next) => {
        next();
        await held.decided;
        res.status(503).write("too ");
        held.release();
        await vi.waitFor(async () => expect(await receipts("s")).toHaveLength(3));
        res.end("late");
      };
      app.post("/refund", timeLimit, refund, () => void ran.push("handler"));
      app.use(
        ((_error, _req, _res, _next) =>
          void ran.push("error handler")) satisfies express.ErrorRequestHandler,
      );
    });
    const answer = await send(served, "POST", "/refund");
    expect([answer.status, answer.text]).toEqual([503, "too late"]);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:interrupted"]);
    expect(ran).toEqual([]);
  });

  test("does not run when its response was destroyed while it still waited for its turn on the connection", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: () => ({}) });
    let ran = 0;
    const served = await serve((app) => {
      app.get("/slow", (_req, res) => void setTimeout(() => res.end(), 200));
      const destroy: express.RequestHandler = (_req, res, next) => {
        res.destroy();
        next();
      };
      app.get("/refund", destroy, refund, () => void ran++);
    });
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const socket = await dial(served, get("/slow") + get("/refund"));
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:interrupted"]);
    expect(ran).toBe(0);
    socket.destroy();
  });

  test("is not answered, nor passed on as an error, when it was denied", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const held = heldGate(gate);
    const close = guard({
      gate: held.gate,
      tool: "close_order",
      sequenceId: () => "s",
      args: () => ({}),
      onDeny: "next",
    });
    const errors: unknown[] = [];
    const served = await serve((app) => {
      app.post(
        "/close",
        (_req, res, next) => {
          void held.decided.then(() => res.status(503).end("too late"));
          next();
        },
        close,
      );
      app.use(((error, _req, _res, next) => {
        errors.push(error);
        next(error);
      }) satisfies express.ErrorRequestHandler);
    });
    expect((await send(served, "POST", "/close")).text).toBe("too late");
    held.release();
    await expectStory(() => receipts("s"), ["open", "SEQUENCE_VIOLATION"]);
    expect(errors).toEqual([]);
  });
});

describe("a shadow gate", () => {
  test("lets a denied request proceed, with the decided arguments and the denial in its grant, and without an outcome", async () => {
    const { gate, receipts } = await openTestGate(ORDERS, { mode: "shadow" });
    const close = guard({
      gate,
      tool: "close_order",
      sequenceId: () => "s",
      args: (req) => req.body,
    });
    const granted: unknown[] = [];
    const served = await serve((app) => {
      app.post("/close", express.json(), close, (_req, res) => {
        const { args, decision } = close.grant(res);
        granted.push(args, decision.decision === "DENY" && decision.deny_code);
        res.sendStatus(204);
      });
    });
    const answer = await post(served, "/close", { order: 17 });
    expect([answer.status, answer.headers["stepgate-decision"]]).toEqual([204, "DENY"]);
    expect(granted).toEqual([{ order: 17 }, "SEQUENCE_VIOLATION"]);
    await expectStory(() => receipts("s"), ["open", "SEQUENCE_VIOLATION"]);
  });

  test("records the outcome of what it would have allowed, and refuses a request that has no arguments", async () => {
    const { gate, receipts } = await openTestGate(ORDERS, { mode: "shadow" });
    const refund = guard({ gate, tool: "refund", sequenceId: () => "s", args: (req) => req.body });
    let ran = 0;
    const served = await serve((app) => {
      app.post("/refund", express.json(), refund, (_req, res) => void res.json(++ran));
    });
    expect((await post(served, "/refund", {})).status).toBe(200);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    expect((await send(served, "POST", "/refund")).status).toBe(400);
    expect(ran).toBe(1);
  });
});

function hashAt(chain: readonly Receipt[], index: number): string {
  const receipt = chain[index];
  if (receipt === undefined) throw new Error(`the chain has no record ${index}`);
  return recordHash(receipt);
}

/** Decisions before outcomes: two requests on one connection may interleave. */
function byKind(a: { readonly kind: string }, b: { readonly kind: string }): number {
  const rank = (kind: string): number => ["open", "decision", "outcome"].indexOf(kind);
  return rank(a.kind) - rank(b.kind);
}
