/** The outcome of an allowed request: recorded once, from its response, and never at the cost of the answer. */
import { openTestGate } from "@stepgate/contract";
import { type Gate, GateError } from "@stepgate/core";
import type { RequestHandler } from "express";
import { describe, expect, test, vi } from "vitest";
import { guard, type GuardOptions } from "../src/index.ts";
import {
  collectWarnings,
  dial,
  expectStory,
  ORDERS,
  outcomesOf,
  send,
  serve,
  type Served,
  story,
} from "./route-server.ts";

type Options = Partial<Pick<GuardOptions<object>, "outcome" | "onOutcomeError">>;

async function route(gate: Gate, handler: RequestHandler, options: Options = {}): Promise<Served> {
  const lookup = guard<object>({
    gate,
    tool: "get_order",
    sequenceId: () => "s",
    args: () => ({}),
    ...options,
  });
  return serve((app) => {
    app.get("/", lookup, handler);
  });
}

describe("by default", () => {
  const cases: readonly (readonly [status: number, outcome: string])[] = [
    [200, "succeeded"],
    [302, "succeeded"],
    [399, "succeeded"],
    [400, "failed"],
    [404, "failed"],
    [500, "failed"],
  ];
  test.each(cases)("an answer with status %i has %s", async (status, outcome) => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const served = await route(gate, (_req, res) => void res.status(status).end());
    expect((await send(served, "GET", "/")).status).toBe(status);
    await expectStory(() => receipts("s"), ["open", "ALLOW", `outcome:${outcome}`]);
  });

  test("a handler that throws has failed", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const served = await route(gate, async () => {
      throw new Error("broken");
    });
    expect((await send(served, "GET", "/")).status).toBe(500);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:failed"]);
  });

  test("a client that goes while the handler runs leaves it unknown, also when the handler answers after all", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    let finished = false;
    let answer = (): void => {};
    const served = await route(gate, (_req, res) => {
      res.once("finish", () => (finished = true));
      answer = () => void res.json({});
    });
    const socket = await dial(served, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await vi.waitFor(async () => expect(story(await receipts("s"))).toEqual(["open", "ALLOW"]));
    socket.destroy();
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:unknown"]);
    answer();
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:unknown"]);
    expect(finished).toBe(false);
  });

  test("a stream that is cut half way is unknown", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const served = await route(gate, (_req, res) => {
      res.write("half");
      setTimeout(() => res.destroy(), 10);
    });
    await expect(send(served, "GET", "/")).rejects.toThrow(/aborted|hang up/);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:unknown"]);
  });

  test("it says how long the handler took, in whole milliseconds", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const served = await route(gate, (_req, res) => void setTimeout(() => res.json({}), 30));
    await send(served, "GET", "/");
    const chain = await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    const [outcome] = outcomesOf(chain);
    expect(outcome?.duration_ms).toBeGreaterThanOrEqual(29);
    expect(outcome?.duration_ms).toBeLessThan(10_000);
  });

  test("it is told to the gate exactly once", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    let told = 0;
    const counting: Gate = {
      ...gate,
      outcome: (allow, note) => {
        told++;
        return gate.outcome(allow, note);
      },
    };
    const served = await route(counting, (_req, res) => void res.json({}));
    await send(served, "GET", "/");
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:succeeded"]);
    expect(told).toBe(1);
  });
});

describe("the option outcome", () => {
  test("judges the answered response", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const outcome: Options["outcome"] = (res) =>
      res.get("X-Partial") === "yes" ? "unknown" : "succeeded";
    const served = await route(gate, (_req, res) => void res.set("X-Partial", "yes").json({}), {
      outcome,
    });
    await send(served, "GET", "/");
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:unknown"]);
  });

  test("that throws makes the outcome unknown, and is told", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const told: unknown[] = [];
    const error = new Error("broken");
    const served = await route(gate, (_req, res) => void res.json({}), {
      outcome: () => {
        throw error;
      },
      onOutcomeError: (thrown) => void told.push(thrown),
    });
    expect((await send(served, "GET", "/")).status).toBe(200);
    await expectStory(() => receipts("s"), ["open", "ALLOW", "outcome:unknown"]);
    expect(told).toEqual([error]);
  });

  test("that says what is no outcome leaves the ALLOW open, and is told", async () => {
    const { gate, receipts } = await openTestGate(ORDERS);
    const told: unknown[] = [];
    const served = await route(gate, (_req, res) => void res.json({}), {
      outcome: () => JSON.parse('"fine"'),
      onOutcomeError: (thrown) => void told.push(thrown),
    });
    await send(served, "GET", "/");
    await expect
      .poll(() => told.map((error) => GateError.isInstance(error) && error.code))
      .toEqual(["INVALID_INPUT"]);
    expect(story(await receipts("s"))).toEqual(["open", "ALLOW"]);
  });
});

describe("an outcome that cannot be recorded", () => {
  const broken = async (): Promise<Gate> => {
    const { gate } = await openTestGate(ORDERS);
    return { ...gate, outcome: () => Promise.reject(new Error("disk full")) };
  };

  test("changes nothing for the client, and is a process warning", async () => {
    const warnings = collectWarnings();
    const served = await route(await broken(), (_req, res) => void res.json({ paid: true }));
    const answer = await send(served, "GET", "/");
    expect([answer.status, answer.text]).toEqual([200, '{"paid":true}']);
    await expect
      .poll(() => warnings)
      .toEqual(["an outcome could not be recorded, its ALLOW stays open: disk full"]);
  });

  test("is told to onOutcomeError instead; where that throws, by a warning", async () => {
    const warnings = collectWarnings();
    const served = await route(await broken(), (_req, res) => void res.json({}), {
      onOutcomeError: async (error) => {
        throw new Error("the pager is down", { cause: error });
      },
    });
    expect((await send(served, "GET", "/")).status).toBe(200);
    await expect.poll(() => warnings).toEqual(["onOutcomeError threw: the pager is down"]);
  });
});
