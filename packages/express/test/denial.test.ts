/** A denial over HTTP: status and problem details for every code, and what the error handler leaves alone. */
import { openTestGate } from "@stepgate/contract";
import { DeniedError, type Deny, DENY_CODES, type DenyCode, GateError } from "@stepgate/core";
import type { ErrorRequestHandler } from "express";
import { describe, expect, test } from "vitest";
import { gateErrorHandler, guard } from "../src/index.ts";
import { collectWarnings, ORDERS, send, serve, type Served } from "./route-server.ts";

const STATUS: Readonly<Record<DenyCode, number>> = {
  INVALID_REQUEST: 400,
  STALE_TIMESTAMP: 400,
  REPLAY_NONCE: 409,
  SEALED_SEQUENCE: 409,
  NO_POLICY_MATCH: 403,
  SEQUENCE_VIOLATION: 409,
  ACTION_NOT_ALLOWED: 403,
  ARGUMENT_VIOLATION: 403,
  LIMIT_EXCEEDED: 429,
  APPROVAL_REQUIRED: 403,
  POLICY_UNAVAILABLE: 503,
  POLICY_ERROR: 503,
  OVERLOADED: 429,
  STORE_UNAVAILABLE: 503,
  GATE_UNAVAILABLE: 503,
};

function denying(denied: Omit<Deny, "decision" | "proceed" | "message">): Promise<Served> {
  return serve((app) => {
    app.get("/", (_req, res) => {
      res.set("Stepgate-Receipt", "of an earlier ALLOW");
      throw new DeniedError({ decision: "DENY", proceed: false, message: "no.", ...denied });
    });
    app.use(gateErrorHandler());
  });
}

describe("the problem", () => {
  test.each(DENY_CODES)("%s has its status, its title and a place of its own", async (code) => {
    const served = await denying({ deny_code: code });
    const answer = await send(served, "GET", "/");
    const problem = JSON.parse(answer.text);
    expect(answer.status).toBe(STATUS[code]);
    expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(answer.headers["stepgate-decision"]).toBe("DENY");
    expect(answer.headers).not.toHaveProperty("stepgate-receipt");
    expect(Object.keys(problem)).toEqual(["type", "title", "status", "detail", "instance", "code"]);
    expect(problem).toMatchObject({
      type: `urn:stepgate:denial:${code}`,
      title: expect.stringMatching(/^[A-Z].{10,}[^.]$/),
      status: STATUS[code],
      detail: "no.",
      code,
    });
    expect(problem.instance).toMatch(/^urn:uuid:[0-9a-f-]{36}$/);
    expect(JSON.parse((await send(served, "GET", "/")).text).instance).not.toBe(problem.instance);
  });

  test.each(DENY_CODES)("%s asks to come back exactly where that may help", async (code) => {
    const answer = await send(await denying({ deny_code: code }), "GET", "/");
    const comesBack = STATUS[code] === 503 || code === "OVERLOADED";
    expect(answer.headers["retry-after"]).toBe(comesBack ? "1" : undefined);
  });

  test("names its receipt as the occurrence, and carries what became of the first use of its nonce", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    await gate.decide({ sequence_id: "s", tool: "close_order" });
    const [, receipt] = await receipts("s");
    if (receipt?.kind !== "decision") throw new Error("no denial was recorded");
    const earlier = { decision_hash: "sha256:00", status: "succeeded" } as const;
    const served = await denying({ deny_code: "REPLAY_NONCE", receipt, earlier });
    const answer = await send(served, "GET", "/");
    expect(JSON.parse(answer.text)).toMatchObject({
      instance: `urn:stepgate:receipt:${answer.headers["stepgate-receipt"]}`,
      receipt,
      earlier,
    });
  });

  test("does not say what threw inside the gate or an option", async () => {
    const { gate } = await openTestGate(ORDERS);
    const warnings = collectWarnings();
    const lookup = guard({
      gate,
      tool: "get_order",
      sequenceId: () => {
        throw new Error("password=hunter2");
      },
      args: () => ({}),
    });
    const served = await serve((app) => void app.get("/", lookup));
    const answer = await send(served, "GET", "/");
    expect(answer.status).toBe(503);
    expect(answer.text).not.toContain("hunter2");
    await expect
      .poll(() => warnings.join())
      .toContain("option 'sequenceId' threw password=hunter2");
  });
});

describe("gateErrorHandler", () => {
  const laterHandler: ErrorRequestHandler = (error, _req, res, _next) =>
    void res.status(418).send(String(error.message));

  test.each([
    new Error("other"),
    new GateError("CONFLICT", "other"),
    Object.assign(new Error("other"), { status: 403 }),
  ])("leaves %o to the next error handler", async (error) => {
    const served = await serve((app) => {
      app.get("/", () => {
        throw error;
      });
      app.use(gateErrorHandler(), laterHandler);
    });
    const answer = await send(served, "GET", "/");
    expect([answer.status, answer.text]).toEqual([418, "other"]);
  });

  test("leaves a response that has begun alone: the connection breaks, nothing is answered twice", async () => {
    const denied = new DeniedError({
      decision: "DENY",
      proceed: false,
      deny_code: "REPLAY_NONCE",
      message: "no.",
    });
    const seen: unknown[] = [];
    const served = await serve((app) => {
      app.get("/", (_req, res) => {
        res.write("half");
        throw denied;
      });
      const sees: ErrorRequestHandler = (error, _req, _res, next) => {
        seen.push(error);
        next(error);
      };
      app.use(gateErrorHandler(), sees);
    });
    await expect(send(served, "GET", "/")).rejects.toThrow(/aborted|hang up/);
    expect(seen).toEqual([denied]);
  });
});
