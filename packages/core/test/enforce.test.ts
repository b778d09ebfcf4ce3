/** Enforcement: the action runs only on ALLOW, with what was decided; its outcome is recorded, and changes nothing that it did. */
import { openTestGate } from "@stepgate/contract";
import { createHmac, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Allow,
  currentPermit,
  type Decider,
  type Decision,
  DENY_CODES,
  type Deny,
  DeniedError,
  enforce,
  type Gate,
  GateError,
  httpStatus,
  type JsonObject,
  perform,
  performStream,
  type Receipt,
  recordHash,
} from "../src/index.ts";
import { REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const CALL: ActionInput = { sequence_id: "s", tool: "get_order", args: { order: 17 } };
const DENIED: ActionInput = { sequence_id: "s", tool: "close", args: { password: "hunter2" } };

interface Fixture {
  readonly gate: Gate;
  words(): Promise<readonly string[]>;
  outcomes(): Promise<readonly Receipt[]>;
}

async function fixture(options: object = {}): Promise<Fixture> {
  const { gate, receipts } = await openTestGate(REFUNDS, options);
  return {
    gate,
    words: async () => summary(await receipts("s")),
    outcomes: async () => (await receipts("s")).filter(({ kind }) => kind === "outcome"),
  };
}

async function allowed(gate: Gate, input: ActionInput = CALL): Promise<Allow> {
  const decision = await gate.decide(input);
  if (decision.decision !== "ALLOW") throw new Error(decision.message);
  return decision;
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error("nothing was thrown"),
    (error: unknown) => error,
  );
}

describe.each([
  [
    "the free function",
    (gate: Gate) =>
      (
        input: ActionInput,
        action: (args: JsonObject, allow?: Allow) => unknown,
        options?: object,
      ) =>
        enforce(gate, input, action, options),
  ],
  [
    "the gate's method",
    (gate: Gate) =>
      (
        input: ActionInput,
        action: (args: JsonObject, allow?: Allow) => unknown,
        options?: object,
      ) =>
        gate.enforce(input, action, options),
  ],
])("enforce, %s", (_name, of) => {
  test("runs the action with the decided copy and its ALLOW, once the receipt is durable, and returns what it returns", async () => {
    const { gate, words } = await fixture();
    const args = { b: -0, a: 1 };
    const got = await of(gate)({ ...CALL, args }, async (decided, allow) => {
      expect(JSON.stringify(decided)).toBe('{"a":1,"b":0}');
      expect(decided).not.toBe(args);
      expect(allow).toMatchObject({ decision: "ALLOW", receipt: { tool: "get_order" } });
      expect(await words()).toEqual(["open", "ALLOW"]);
      return { found: true };
    });
    expect(got).toEqual({ found: true });
    expect(await words()).toEqual(["open", "ALLOW", "outcome succeeded"]);
  });

  test("on DENY throws a DeniedError, and nothing runs", async () => {
    const { gate, words } = await fixture();
    let ran = false;
    const error = await errorOf(of(gate)(DENIED, () => (ran = true)));
    expect(DeniedError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({
      code: "SEQUENCE_VIOLATION",
      status: 409,
      message: "SEQUENCE_VIOLATION: 'close' is not admissible now; next: lookup.",
    });
    expect(ran).toBe(false);
    expect(await words()).toEqual(["open", "SEQUENCE_VIOLATION"]);
  });

  test("an action that throws, at once or later, has failed; its own error comes out", async () => {
    const { gate, words } = await fixture();
    const mine = new Error("mine");
    const now = errorOf(
      of(gate)(CALL, () => {
        throw mine;
      }),
    );
    expect(await now).toBe(mine);
    expect(
      await errorOf(
        of(gate)({ ...CALL, tool: "refund" } as ActionInput, () => Promise.reject(mine)),
      ),
    ).toBe(mine);
    expect(await words()).toEqual(["open", "ALLOW", "outcome failed", "ALLOW", "outcome failed"]);
  });

  test("an error by which a framework leaves a call is `interrupted`; a judge of errors that throws makes it `unknown`", async () => {
    const { gate, words } = await fixture();
    const bubble = { is_bubble_up: true };
    const options = { interrupted: (error: unknown) => error === bubble };
    expect(
      await errorOf(
        of(gate)(
          { ...CALL, nonce: "n" },
          () => {
            throw bubble;
          },
          options,
        ),
      ),
    ).toBe(bubble);
    expect(await of(gate)({ ...CALL, nonce: "n" }, () => "done", options)).toBe("done");
    const broken = {
      interrupted: () => {
        throw new Error("the judge");
      },
    };
    expect(
      await errorOf(
        of(gate)(
          { ...CALL, tool: "refund" } as ActionInput,
          () => {
            throw bubble;
          },
          broken,
        ),
      ),
    ).toBe(bubble);
    expect(await words()).toEqual([
      "open",
      "ALLOW",
      "outcome interrupted",
      "ALLOW",
      "outcome succeeded",
      "ALLOW",
      "outcome unknown",
    ]);
  });

  test("a call that was aborted while the gate decided does not run: `interrupted`, and it may come again", async () => {
    const { gate, words } = await fixture();
    const controller = new AbortController();
    let ran = 0;
    const call = { ...CALL, nonce: "n" };
    const pending = errorOf(of(gate)(call, () => ran++, { signal: controller.signal }));
    controller.abort(new Error("the user left"));
    expect(await pending).toMatchObject({ message: "the user left" });
    expect(ran).toBe(0);
    await of(gate)(call, () => ran++, { signal: new AbortController().signal });
    expect(ran).toBe(1);
    expect(await words()).toEqual([
      "open",
      "ALLOW",
      "outcome interrupted",
      "ALLOW",
      "outcome succeeded",
    ]);
  });

  test("an action that was aborted on its way and throws may have done anything: `unknown`", async () => {
    const { gate, words } = await fixture();
    const controller = new AbortController();
    const aborted = (): never => {
      controller.abort();
      throw new Error("half way");
    };
    await expect(of(gate)(CALL, aborted, { signal: controller.signal })).rejects.toThrow(
      "half way",
    );
    expect(await words()).toEqual(["open", "ALLOW", "outcome unknown"]);
  });

  test("an abort once the action runs is the action's affair", async () => {
    const { gate, words } = await fixture();
    const controller = new AbortController();
    expect(
      await of(gate)(CALL, () => (controller.abort(), "finished"), { signal: controller.signal }),
    ).toBe("finished");
    expect(await words()).toEqual(["open", "ALLOW", "outcome succeeded"]);
  });
});

test("the outcome has a digest of the result, and a duration in whole milliseconds, however it ended", async () => {
  const { gate, outcomes } = await fixture();
  const wait = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 30));
  await gate.enforce(CALL, async () => (await wait(), { found: true }));
  const refund = { sequence_id: "s", tool: "refund" };
  await errorOf(gate.enforce(refund, async () => (await wait(), Promise.reject(new Error("no")))));
  const streaming = performStream(gate, await allowed(gate, refund), async function* () {
    await wait();
    yield 1;
  });
  await Array.fromAsync(streaming);
  const [succeeded, failed, streamed] = await outcomes();
  expect(succeeded).toMatchObject({
    status: "succeeded",
    result_digest: expect.stringMatching(/^hmac-sha256:[0-9a-f]{64}$/),
  });
  expect(failed).not.toHaveProperty("result_digest");
  for (const outcome of [succeeded, failed, streamed]) {
    const { duration_ms } = outcome as { readonly duration_ms: number };
    expect(duration_ms).toBeGreaterThanOrEqual(25);
    expect(Number.isInteger(duration_ms)).toBe(true);
  }
});

describe("perform, with a decision at hand", () => {
  test("asks nobody again", async () => {
    const { gate, words } = await fixture();
    const allow = await allowed(gate);
    expect(await perform(gate, allow, ({ order }) => order)).toBe(17);
    expect(await words()).toEqual(["open", "ALLOW", "outcome succeeded"]);
  });

  test.each<[string, unknown]>([
    ["a denial", { decision: "DENY", proceed: false, deny_code: "POLICY_ERROR", message: "no" }],
    [
      "a denial that proceeds without arguments",
      { decision: "DENY", proceed: true, deny_code: "POLICY_ERROR", message: "no" },
    ],
    [
      "a denial with arguments that does not proceed",
      { decision: "DENY", proceed: false, args: {}, deny_code: "POLICY_ERROR", message: "no" },
    ],
    ["an unknown word", { decision: "allow", proceed: false, args: {} }],
    ["an empty object", {}],
    ["nothing", undefined],
    ["null", null],
    ["true", true],
    ["the word ALLOW", "ALLOW"],
  ])("runs nothing on %s", async (_name, decision) => {
    const { gate } = await fixture();
    let ran = false;
    expect(await errorOf(perform(gate, decision as Decision, () => (ran = true)))).toBeInstanceOf(
      Error,
    );
    expect(
      await errorOf(performStream(gate, decision as Decision, () => ((ran = true), [])).next()),
    ).toBeInstanceOf(Error);
    expect(ran).toBe(false);
  });

  test("runs nothing where the gate's `decide` throws against its promise", async () => {
    let ran = false;
    const broken: Decider = {
      decide: () => Promise.reject(new Error("the network")),
      outcome: () => Promise.reject(new Error("the network")),
    };
    await expect(enforce(broken, CALL, () => (ran = true))).rejects.toThrow("the network");
    expect(ran).toBe(false);
  });
});

describe("in shadow mode", () => {
  test("a denied action runs with the decided copy, without an ALLOW, and has no outcome", async () => {
    const { gate, words } = await fixture({ mode: "shadow" });
    const got = await gate.enforce({ ...DENIED, args: { b: 1, a: 2 } }, (args, allow) => [
      JSON.stringify(args),
      allow,
    ]);
    expect(got).toEqual(['{"a":2,"b":1}', undefined]);
    expect(await words()).toEqual(["open", "SEQUENCE_VIOLATION"]);
    const streamed = performStream(gate, await gate.decide(DENIED), function* () {
      yield 1;
      yield 2;
    });
    expect(await Array.fromAsync(streamed)).toEqual([1, 2]);
  });

  test("an action without a record does not run, there as anywhere", async () => {
    const { gate } = await fixture({ mode: "shadow" });
    let ran = false;
    for (const bad of [
      { ...CALL, args: [] as never },
      { ...CALL, nonce: "" },
    ])
      expect(await errorOf(gate.enforce(bad, () => (ran = true)))).toMatchObject({
        code: "INVALID_REQUEST",
      });
    expect(ran).toBe(false);
  });
});

describe("a call that was aborted, or that nobody began", () => {
  test("does not run in shadow mode either", async () => {
    const { gate } = await fixture({ mode: "shadow" });
    const denied = await gate.decide({ sequence_id: "s", tool: "close" });
    let ran = 0;
    const options = { signal: AbortSignal.abort(new Error("left")) };
    await expect(perform(gate, denied, () => ran++, options)).rejects.toThrow("left");
    await expect(performStream(gate, denied, () => (ran++, []), options).next()).rejects.toThrow(
      "left",
    );
    expect(ran).toBe(0);
  });

  test("is `interrupted`, as a stream that nobody reads", async () => {
    const { gate, words } = await fixture();
    let ran = 0;
    const stream = performStream(gate, await allowed(gate), () => (ran++, []));
    await stream.return(undefined);
    expect(ran).toBe(0);
    expect(await words()).toEqual(["open", "ALLOW", "outcome interrupted"]);
  });
});

describe("performStream", () => {
  test("yields what the action yields and returns what it returns; at its end it has succeeded", async () => {
    const { gate, words } = await fixture();
    async function* action({ order }: JsonObject): AsyncGenerator<string, string> {
      expect(await words()).toEqual(["open", "ALLOW"]);
      yield `order ${order}`;
      yield "found";
      expect(await words()).toEqual(["open", "ALLOW"]);
      return "all";
    }
    const stream = performStream(gate, await allowed(gate), action);
    expect(await stream.next()).toEqual({ done: false, value: "order 17" });
    expect(await stream.next()).toEqual({ done: false, value: "found" });
    expect(await stream.next()).toEqual({ done: true, value: "all" });
    expect(await words()).toEqual(["open", "ALLOW", "outcome succeeded"]);
  });

  test("takes any iterable, an empty one too", async () => {
    const { gate, words } = await fixture();
    expect(await Array.fromAsync(performStream(gate, await allowed(gate), () => [1, 2]))).toEqual([
      1, 2,
    ]);
    expect(
      await Array.fromAsync(
        performStream(gate, await allowed(gate, { sequence_id: "s", tool: "refund" }), () => []),
      ),
    ).toEqual([]);
    expect(await words()).toEqual([
      "open",
      "ALLOW",
      "outcome succeeded",
      "ALLOW",
      "outcome succeeded",
    ]);
  });

  test("digests what the generator returned, or else its last value", async () => {
    const saltKey = randomBytes(32);
    const { gate, receipts } = await openTestGate(REFUNDS, { saltKey, logId: "log-1" });
    const actions: readonly (() => Iterable<number, unknown>)[] = [
      function* () {
        yield 1;
        return 2;
      },
      function* () {
        yield 1;
        yield 2;
      },
    ];
    for (const [i, action] of actions.entries()) {
      const allow = await allowed(gate, {
        sequence_id: "s",
        function: "note",
        action_type: "READ",
        nonce: `n${i}`,
      });
      await Array.fromAsync(performStream(gate, allow, action));
      const key = createHmac("sha256", saltKey)
        .update(`stepgate.result/1\nlog-1\n\ns\nn${i}`)
        .digest();
      expect((await receipts("s")).at(-1)).toMatchObject({
        result_digest: `hmac-sha256:${createHmac("sha256", key).update("2").digest("hex")}`,
      });
    }
  });

  test("an action that throws half way has failed, one that is interrupted is `interrupted`; the error comes out", async () => {
    const { gate, words } = await fixture();
    const mine = new Error("mine");
    function* action(): Generator<number> {
      yield 1;
      throw mine;
    }
    expect(await errorOf(Array.fromAsync(performStream(gate, await allowed(gate), action)))).toBe(
      mine,
    );
    const options = { interrupted: (error: unknown) => error === mine };
    expect(
      await errorOf(
        Array.fromAsync(
          performStream(
            gate,
            await allowed(gate, { sequence_id: "s", tool: "refund" }),
            action,
            options,
          ),
        ),
      ),
    ).toBe(mine);
    expect(await words()).toEqual([
      "open",
      "ALLOW",
      "outcome failed",
      "ALLOW",
      "outcome interrupted",
    ]);
  });

  test("a consumer that leaves half way makes it `unknown`; the action's own `finally` has run by then", async () => {
    const { gate, words } = await fixture();
    const left: string[] = [];
    const stream = performStream(gate, await allowed(gate), async function* () {
      try {
        yield 1;
        yield 2;
      } finally {
        left.push((await words()).join(" "));
      }
    });
    for await (const value of stream) if (value === 1) break;
    expect(left).toEqual(["open ALLOW"]);
    expect(await words()).toEqual(["open", "ALLOW", "outcome unknown"]);
  });

  test("a consumer that throws into it makes it failed", async () => {
    const { gate, words } = await fixture();
    const stream = performStream(gate, await allowed(gate), function* () {
      yield 1;
    });
    await stream.next();
    await expect(stream.throw(new Error("enough"))).rejects.toThrow("enough");
    expect(await words()).toEqual(["open", "ALLOW", "outcome failed"]);
  });

  test("on DENY nothing runs: the first `next` throws", async () => {
    const { gate, words } = await fixture();
    let ran = false;
    const stream = performStream(gate, await gate.decide(DENIED), () => ((ran = true), []));
    expect(await errorOf(stream.next())).toMatchObject({
      name: "DeniedError",
      code: "SEQUENCE_VIOLATION",
    });
    expect(ran).toBe(false);
    expect(await words()).toEqual(["open", "SEQUENCE_VIOLATION"]);
  });

  test("a call that was aborted does not begin", async () => {
    const { gate, words } = await fixture();
    let ran = false;
    const stream = performStream(gate, await allowed(gate), () => ((ran = true), []), {
      signal: AbortSignal.abort(new Error("left")),
    });
    await expect(stream.next()).rejects.toThrow("left");
    expect(ran).toBe(false);
    expect(await words()).toEqual(["open", "ALLOW", "outcome interrupted"]);
  });
});

describe("the permit of the action that runs", () => {
  const withPermit = async (gate: Gate, permit: string, tool = "get_order"): Promise<Allow> => ({
    ...(await allowed(gate, { sequence_id: permit, tool } as ActionInput)),
    permit,
  });

  test("is there while it runs, after every await, and nowhere else", async () => {
    const { gate } = await fixture();
    expect(currentPermit()).toBeUndefined();
    const seen = await perform(gate, await withPermit(gate, "p1"), async () => {
      const before = currentPermit();
      await new Promise((resolve) => setTimeout(resolve, 1));
      return [before, currentPermit()];
    });
    expect(seen).toEqual(["p1", "p1"]);
    expect(currentPermit()).toBeUndefined();
  });

  test("is each action's own, though they run at once and within each other", async () => {
    const { gate } = await fixture();
    const act = async (permit: string): Promise<unknown> =>
      perform(gate, await withPermit(gate, permit), async () => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
        return currentPermit();
      });
    expect(await Promise.all(["a", "b", "c", "d"].map(act))).toEqual(["a", "b", "c", "d"]);
    const nested = await perform(gate, await withPermit(gate, "outer"), async () => [
      await act("inner"),
      currentPermit(),
    ]);
    expect(nested).toEqual(["inner", "outer"]);
  });

  test("is there at every step of a generator, whoever asks for it, and not between", async () => {
    const { gate } = await fixture();
    const seen: unknown[] = [];
    const stream = performStream(gate, await withPermit(gate, "p"), async function* () {
      seen.push(currentPermit());
      yield 1;
      seen.push(currentPermit());
      try {
        yield 2;
      } finally {
        seen.push(currentPermit());
      }
    });
    await stream.next();
    expect(currentPermit()).toBeUndefined();
    // Another action's context asks for the next step.
    await perform(gate, await withPermit(gate, "other"), () => stream.next());
    await stream.return();
    expect(seen).toEqual(["p", "p", "p"]);
  });
});

describe("an outcome that cannot be written", () => {
  const brokenOutcome = (gate: Gate, how: () => Promise<never>): Decider => ({
    decide: (input) => gate.decide(input),
    outcome: how,
  });
  const faults: readonly (readonly [string, () => Promise<never>])[] = [
    ["rejects", () => Promise.reject(new Error("the disk"))],
    [
      "throws",
      () => {
        throw new Error("the disk");
      },
    ],
    ["rejects with no error", () => Promise.reject("the disk")],
  ];

  test.each(faults)(
    "that %s changes neither what the action returned nor what it threw; the ALLOW stays open",
    async (_name, how) => {
      const { gate, words } = await fixture();
      const told: unknown[] = [];
      const options = { onOutcomeError: (error: unknown) => void told.push(error) };
      const broken = brokenOutcome(gate, how);
      const mine = new Error("mine");
      expect(await enforce(broken, CALL, () => "result", options)).toBe("result");
      expect(
        await errorOf(
          enforce(
            broken,
            { ...CALL, tool: "refund" } as ActionInput,
            () => {
              throw mine;
            },
            options,
          ),
        ),
      ).toBe(mine);
      expect(
        await Array.fromAsync(
          performStream(
            broken,
            await allowed(gate, { sequence_id: "s", tool: "refund" }),
            () => [1],
            options,
          ),
        ),
      ).toEqual([1]);
      expect(told.map(String)).toEqual([
        expect.stringContaining("the disk"),
        expect.stringContaining("the disk"),
        expect.stringContaining("the disk"),
      ]);
      expect(await words()).toEqual(["open", "ALLOW", "ALLOW", "ALLOW"]);
    },
  );

  test("is a process warning where nobody is told, also where who is told throws", async () => {
    const { gate } = await fixture();
    const warnings: Error[] = [];
    const listen = (warning: Error): number => warnings.push(warning);
    process.on("warning", listen);
    const broken = brokenOutcome(gate, () => Promise.reject(new Error("the disk")));
    expect(await enforce(broken, CALL, () => 1)).toBe(1);
    expect(
      await enforce(broken, { ...CALL, tool: "refund" } as ActionInput, () => 2, {
        onOutcomeError: () => {
          throw new Error("the teller");
        },
      }),
    ).toBe(2);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listen);
    const ours = warnings.filter(({ name }) => name === "StepgateWarning");
    expect(ours.map(({ message }) => message)).toEqual([
      expect.stringContaining("the disk"),
      expect.stringContaining("the teller"),
    ]);
  });
});

describe("DeniedError", () => {
  const denied = async (): Promise<DeniedError> => {
    const { gate } = await fixture();
    const error = await errorOf(gate.enforce(DENIED, () => 1));
    if (!DeniedError.isInstance(error)) throw error;
    return error;
  };

  test("carries the decision with its receipt", async () => {
    const error = await denied();
    expect(error.decision).toMatchObject({
      decision: "DENY",
      deny_code: "SEQUENCE_VIOLATION",
      receipt: { kind: "decision" },
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(GateError);
    expect(error.name).toBe("DeniedError");
  });

  test("does not leak the receipt into a log line or a model's context", async () => {
    const error = await denied();
    const { receipt } = error.decision;
    if (receipt === undefined) throw new Error("a denial has a receipt");
    const texts = [
      JSON.stringify(error),
      JSON.stringify({ error }),
      inspect(error, { depth: 10, showHidden: true }),
      `${error}`,
      error.stack ?? "",
      JSON.stringify({ ...error }),
      JSON.stringify(Object.entries(error)),
    ];
    for (const text of texts)
      for (const secret of [
        receipt.batch?.sig ?? receipt.sig,
        receipt.args_digest,
        receipt.nonce,
        recordHash(receipt),
        "hunter2",
      ])
        expect(text).not.toContain(secret);
  });

  test("is known by its mark, of whichever copy of the package it comes", async () => {
    const error = await denied();
    const foreign = Object.assign(new Error("of another copy"), {
      [Symbol.for("stepgate.error")]: true,
      [Symbol.for("stepgate.error.denied")]: true,
      code: "REPLAY_NONCE",
    });
    for (const known of [error, foreign])
      expect([DeniedError.isInstance(known), GateError.isInstance(known)]).toEqual([true, true]);
    const plain = new GateError("CONFLICT", "no", { cause: error });
    expect([DeniedError.isInstance(plain), GateError.isInstance(plain), plain.cause]).toEqual([
      false,
      true,
      error,
    ]);
    for (const other of [
      new Error("no"),
      undefined,
      null,
      "DeniedError",
      { code: "REPLAY_NONCE", name: "DeniedError" },
      5,
    ])
      expect([DeniedError.isInstance(other), GateError.isInstance(other)]).toEqual([false, false]);
  });

  test("has the HTTP status of its code", () => {
    const statuses = Object.fromEntries(
      DENY_CODES.map((code) => [
        code,
        new DeniedError({
          decision: "DENY",
          proceed: false,
          deny_code: code,
          message: "no",
        } satisfies Deny).status,
      ]),
    );
    expect(statuses).toEqual({
      INVALID_REQUEST: 400,
      STALE_TIMESTAMP: 400,
      REPLAY_NONCE: 409,
      SEALED_SEQUENCE: 409,
      SEQUENCE_VIOLATION: 409,
      LIMIT_EXCEEDED: 429,
      OVERLOADED: 429,
      POLICY_ERROR: 503,
      POLICY_UNAVAILABLE: 503,
      STORE_UNAVAILABLE: 503,
      GATE_UNAVAILABLE: 503,
      NO_POLICY_MATCH: 403,
      ACTION_NOT_ALLOWED: 403,
      ARGUMENT_VIOLATION: 403,
      APPROVAL_REQUIRED: 403,
    });
    expect(httpStatus("REPLAY_NONCE")).toBe(409);
  });
});
