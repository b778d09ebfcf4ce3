/** Approvals over HTTP: 403 says how to approve, and the same request runs once after a person has signed. */
import { approversOf, openTestGate, person } from "@stepgate/contract";
import { argsDigest, canonicalize, type DeniedError, type Gate } from "@stepgate/core";
import express from "express";
import { expect, test } from "vitest";
import { gateErrorHandler, guard } from "../src/index.ts";
import { type Answer, expectStory, ORDERS, post, serve, story } from "./route-server.ts";

const ALICE = person("finance");
const SUPERVISED = {
  ...ORDERS,
  tools: {
    ...ORDERS.tools,
    refund: {
      ...ORDERS.tools.refund,
      approval: { when: "args.amount >= 500.0", by: ["finance", "board"] },
    },
  },
};

/** A route that refunds; `attempt` sends the request, with one nonce unless the test says otherwise. */
async function refunds() {
  const { gate, receipts } = await openTestGate(SUPERVISED, { approvers: approversOf(ALICE) });
  const ran: unknown[] = [];
  const served = await serve((app) => {
    const refund = guard({
      gate,
      tool: "refund",
      sequenceId: () => "s",
      args: (req) => ({ amount: Number(req.body.amount) }),
    });
    app.post("/refund", express.json(), refund, (_req, res) => {
      ran.push(refund.grant(res).args);
      res.sendStatus(204);
    });
  });
  const attempt = (
    nonce: string | undefined = "n1",
    body: unknown = { amount: 900 },
  ): Promise<Answer> =>
    post(served, "/refund", body, nonce === "" ? {} : { "stepgate-nonce": nonce });
  return { gate, receipts: () => receipts("s"), ran, attempt };
}

const approve = (gate: Gate, { text }: Answer, change = {}) =>
  gate.approve(ALICE.approve(JSON.parse(text).approval, change));

test("403, a signed approval, the same request: it runs once, with the decided arguments", async () => {
  const { gate, receipts, ran, attempt } = await refunds();
  const refused = await attempt();
  expect(refused.status).toBe(403);
  expect(refused.headers["content-type"]).toContain("application/problem+json");
  const problem = JSON.parse(refused.text);
  const request = refused.headers["stepgate-receipt"];
  expect(problem).toMatchObject({
    code: "APPROVAL_REQUIRED",
    title: "A person must approve this call",
    detail: "'refund' needs a person's approval: 1 of board, finance.",
  });
  expect(problem.approval).toEqual({
    log_id: problem.receipt.log_id,
    sequence_id: "s",
    request,
    count: 1,
    roles: ["board", "finance"],
    nonce: "n1",
    command: `stepgate approve --sequence s --request ${request} --key KEY`,
  });
  expect((await attempt()).status).toBe(403);
  await approve(gate, refused);
  expect((await attempt()).status).toBe(204);
  expect(ran).toEqual([{ amount: 900 }]);
  const again = await attempt();
  expect(again.status).toBe(409);
  expect(JSON.parse(again.text)).toMatchObject({ code: "REPLAY_NONCE" });
  expect(ran).toHaveLength(1);
  await expectStory(receipts, [
    "open",
    "APPROVAL_REQUIRED",
    "approval",
    "ALLOW",
    "outcome:succeeded",
    "REPLAY_NONCE",
  ]);
});

test("a client that sent no nonce is told the one to come back with", async () => {
  const { gate, ran, attempt } = await refunds();
  const refused = await attempt("");
  await approve(gate, refused);
  expect((await attempt(JSON.parse(refused.text).approval.nonce)).status).toBe(204);
  expect(ran).toHaveLength(1);
});

test("the client is told neither the arguments nor their key", async () => {
  const { attempt } = await refunds();
  const { text } = await attempt("n1", { amount: 912_345 });
  expect(text).not.toContain("912345");
  expect(text).not.toContain("args_key");
});

test("nothing runs on a rejection, on other arguments, under another nonce, or on what the client claims", async () => {
  const { gate, receipts, ran, attempt } = await refunds();
  const refused = await attempt();
  await approve(gate, refused, { verdict: "reject" });
  expect((await attempt()).status).toBe(403);
  await approve(gate, refused);
  expect((await attempt("n1", { amount: 901 })).status).toBe(409);
  expect((await attempt("n2")).status).toBe(403);
  expect((await attempt("n3", { amount: 900, approval: { verdict: "approve" } })).status).toBe(403);
  expect(ran).toEqual([]);
  expect(story(await receipts())).not.toContain("ALLOW");
});

test("a small refund needs nobody", async () => {
  const { ran, attempt } = await refunds();
  expect((await attempt("n1", { amount: 20 })).status).toBe(204);
  expect(ran).toEqual([{ amount: 20 }]);
});

test("an application that takes denials itself finds what an approver is shown", async () => {
  const { gate } = await openTestGate(SUPERVISED, { approvers: approversOf(ALICE) });
  const refund = guard({
    gate,
    tool: "refund",
    sequenceId: () => "s",
    args: () => ({ amount: 900 }),
    onDeny: "next",
  });
  const seen: DeniedError[] = [];
  const served = await serve((app) => {
    app.post("/refund", refund);
    app.use((error: DeniedError, _req: unknown, _res: unknown, next: (error: unknown) => void) => {
      seen.push(error);
      next(error);
    });
    app.use(gateErrorHandler());
  });
  expect((await post(served, "/refund", {})).status).toBe(403);
  const { approval, receipt } = seen[0]?.decision ?? {};
  expect(approval?.args).toEqual({ amount: 900 });
  expect(argsDigest(approval?.args_key ?? "", canonicalize(approval?.args))).toBe(
    receipt?.args_digest,
  );
});
