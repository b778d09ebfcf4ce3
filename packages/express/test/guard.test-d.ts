/** What the types promise: a guard leaves its route's types alone, and its grant is typed by what `args` returns. */
import type { Decision, Gate } from "@stepgate/core";
import express, { type RequestHandler, Router } from "express";
import { expectTypeOf, test } from "vitest";
import { gateErrorHandler, type Grant, guard, type Guard } from "../src/index.ts";

declare const gate: Gate;
const app = express();
const refund = guard({
  gate,
  tool: "refund",
  sequenceId: (req) => req.get("x-session"),
  args: (req) => ({ order: String(req.params["id"]), amount: Number(req.body.amount) }),
});

test("the handler behind a guard keeps the literal params of its route", () => {
  app.post("/orders/:id/refund", refund, (req) => {
    expectTypeOf(req.params).toEqualTypeOf<{ id: string }>();
    expectTypeOf(req.params.id).toEqualTypeOf<string>();
  });
  app.post("/orders/:id/items/:item", express.json(), refund, (req) => {
    expectTypeOf(req.params).toEqualTypeOf<{ id: string } & { item: string }>();
    // @ts-expect-error -- the route has no such param
    void req.params.other;
  });
  app.get("/files/*path", refund, (req) => {
    expectTypeOf(req.params.path).toEqualTypeOf<string[]>();
  });
  Router({ mergeParams: true }).post("/:item", refund, (req) => {
    expectTypeOf(req.params).toEqualTypeOf<{ item: string }>();
  });
  app.route("/orders/:id").post(refund, (req) => {
    expectTypeOf(req.params).toEqualTypeOf<{ id: string }>();
  });
});

test("a guard typed as a RequestHandler would not: this is why it is generic in P", () => {
  const plain: RequestHandler = refund;
  const anything: RequestHandler<any> = refund;
  app.post("/orders/:id/refund", anything, (req) => {
    expectTypeOf(req.params).toBeAny();
  });
  app.post("/orders/:id/refund", plain, (req) => {
    expectTypeOf(req.params).not.toEqualTypeOf<{ id: string }>();
  });
});

test("the body, the answer, the query and the locals of the route stay typed", () => {
  app.post<
    "/orders/:id",
    { id: string },
    { ok: boolean },
    { amount: number },
    { q: string },
    { user: string }
  >("/orders/:id", refund, (req, res) => {
    expectTypeOf(req.body).toEqualTypeOf<{ amount: number }>();
    expectTypeOf(req.query).toEqualTypeOf<{ q: string }>();
    expectTypeOf(res.locals.user).toEqualTypeOf<string>();
    expectTypeOf(refund.grant(res).args.amount).toEqualTypeOf<number>();
    // @ts-expect-error -- not what the route answers
    res.json({ ok: "yes" });
  });
});

test("the grant holds what args returns, without undefined and without its promise", () => {
  expectTypeOf(refund).toEqualTypeOf<Guard<{ order: string; amount: number }>>();
  expectTypeOf(refund.grant).returns.toEqualTypeOf<Grant<{ order: string; amount: number }>>();
  expectTypeOf(refund.grant).returns.toHaveProperty("decision").toEqualTypeOf<Decision>();
  const options = { gate, tool: "refund", sequenceId: (): string => "s" };
  const perhaps = guard({
    ...options,
    args: (req) => (req.body === undefined ? undefined : { n: 1 }),
  });
  expectTypeOf(perhaps).toEqualTypeOf<Guard<{ n: number }>>();
  const later = guard({ ...options, args: async () => ({ n: 1 }) });
  expectTypeOf(later).toEqualTypeOf<Guard<{ n: number }>>();
});

test("a call is a tool, or a function and an action type; never both, never neither", () => {
  const rest = { gate, sequenceId: (): string => "s", args: (): object => ({}) };
  guard({ ...rest, function: "audit", action_type: "EMIT_EVENT" });
  guard({ ...rest, function: "audit", action_type: "EMIT_EVENT", step: "audit" });
  // @ts-expect-error -- both
  guard({ ...rest, tool: "refund", function: "audit", action_type: "EMIT_EVENT" });
  // @ts-expect-error -- neither
  guard({ ...rest });
  // @ts-expect-error -- no action type
  guard({ ...rest, function: "audit" });
  // @ts-expect-error -- the tool is a constant of the route
  guard({ ...rest, tool: (req: express.Request) => req.path });
});

test("options are required, and a misspelt one does not compile", () => {
  const call = { gate, tool: "refund" };
  // @ts-expect-error -- no sequence
  guard({ ...call, args: () => ({}) });
  // @ts-expect-error -- no arguments
  guard({ ...call, sequenceId: () => "s" });
  // @ts-expect-error -- no such option
  guard({ ...call, sequenceId: () => "s", args: () => ({}), onDenied: "next" });
  // @ts-expect-error -- no such choice
  guard({ ...call, sequenceId: () => "s", args: () => ({}), onDeny: "ignore" });
});

test("the error handler is one of Express's", () => {
  expectTypeOf(gateErrorHandler).toEqualTypeOf<() => express.ErrorRequestHandler>();
  app.use(gateErrorHandler());
});
