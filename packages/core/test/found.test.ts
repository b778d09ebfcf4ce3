/** Faults that were found by testing, each as the behaviour that should be. */
import { openTestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { readActionRequest } from "../src/action-request.ts";
import {
  type ActionInput,
  type Allow,
  canonicalize,
  createGate,
  exportKeySet,
  type GateParts,
  generateSigningKey,
  importKeySet,
  JsonError,
  memoryStore,
  parseStrictJson,
  perform,
  performStream,
  type Store,
  verifyReceipts,
} from "../src/index.ts";
import { faultyStore } from "./faulty-store.ts";
import { heldClock } from "./held-clock.ts";
import { REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const NOON = 1_800_000_000_000;
const NOTE = { sequence_id: "s", function: "note", action_type: "READ" } as const;
const PARTS = {
  policies: [compilePolicy(REFUNDS)],
  signer: generateSigningKey(),
  saltKey: randomBytes(32),
  deadlineMs: 60,
};

async function allowed(
  gate: { decide(input: ActionInput): Promise<unknown> },
  input: ActionInput = NOTE,
): Promise<Allow> {
  const decision = (await gate.decide(input)) as Allow;
  if (decision.decision !== "ALLOW") throw new Error("denied");
  return decision;
}

describe("a clock that fails", () => {
  test("by throwing is a DENY with a code, never a rejection of `decide`", async () => {
    let works = true;
    const clock = (): number => {
      if (!works) throw new Error("no clock");
      return NOON;
    };
    const { gate } = await openTestGate(REFUNDS, { clock });
    works = false;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "DENY", proceed: false });
    works = true;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW" });
  });

  test.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    "1800000000000",
    NOON + 0.5,
    2 ** 60,
    -1,
  ])("by saying %o writes no record with it, and is over once it is mended", async (wrong) => {
    let now: unknown = NOON;
    const { gate, key, store } = await openTestGate(REFUNDS, { clock: () => now as number });
    await gate.open({ sequence_id: "s" });
    now = wrong;
    for (const request of [NOTE, { ...NOTE, ts_ms: NOON }])
      expect(await gate.decide(request)).toMatchObject({ decision: "DENY", proceed: false });
    await expect(gate.open({ sequence_id: "t" })).rejects.toThrow();
    now = NOON;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW", receipt: { ts_ms: NOON } });
    const report = await verifyReceipts(await Array.fromAsync(store.lines()), {
      keys: importKeySet(exportKeySet([key])),
    });
    expect(report.findings).toEqual([]);
  });
});

describe("what never comes back does not hold its sequence for ever", () => {
  test.each(["append", "read"] as const)("a store whose %s hung once", async (method) => {
    const line = faultyStore(memoryStore());
    const gate = await createGate({ ...PARTS, store: line.store });
    if (method === "append") await allowed(gate);
    line.cut(method, "hangs");
    expect(
      await gate.decide({ ...NOTE, sequence_id: method === "append" ? "s" : "new" }),
    ).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    line.mend();
    expect(
      await gate.decide({ ...NOTE, sequence_id: method === "append" ? "s" : "new" }),
    ).toMatchObject({ decision: "ALLOW" });
  });

  test("an append that was abandoned and lands late is either in the chain, or lost: never a fork", async () => {
    const real = memoryStore();
    let late: (() => Promise<unknown>) | undefined;
    const store: Store = {
      ...real,
      append: (append) => {
        if (late !== undefined) return real.append(append);
        return new Promise((resolve) => {
          late = async () => resolve(await real.append(append));
        });
      },
    };
    const gate = await createGate({ ...PARTS, store });
    expect(await gate.decide({ ...NOTE, nonce: "late" })).toMatchObject({
      deny_code: "STORE_UNAVAILABLE",
    });
    await allowed(gate, { ...NOTE, nonce: "next" });
    await late?.();
    await allowed(gate, { ...NOTE, nonce: "last" });
    const report = await verifyReceipts(await Array.fromAsync(real.lines()), {
      keys: importKeySet(exportKeySet([PARTS.signer])),
    });
    expect(report).toMatchObject({ findings: [], result: "sound" });
  });

  test("a signer that hung once", async () => {
    let hangs = false;
    const signer = {
      keyId: PARTS.signer.keyId,
      sign: (input: Uint8Array) =>
        hangs ? new Promise<never>(() => {}) : PARTS.signer.sign(input),
    };
    const gate = await createGate({ ...PARTS, signer, store: memoryStore() });
    hangs = true;
    expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    hangs = false;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW" });
  });

  test("a store that calls every append a replay is answered for within the deadline, however long the chain", async () => {
    const line = faultyStore(memoryStore());
    const gate = await createGate({ ...PARTS, store: line.store });
    for (let i = 0; i < 300; i++) await gate.decide({ ...NOTE, nonce: `${i}` });
    line.cut("append", { says: "replay", done: false });
    const started = performance.now();
    expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    expect(performance.now() - started).toBeLessThan(1_500);
  });
});

describe("a chain of another sequence", () => {
  test("is no chain of this one: nothing is decided by it", async () => {
    const real = memoryStore();
    const writer = await createGate({ ...PARTS, store: real });
    for (const sequence_id of ["s", "t"]) await writer.open({ sequence_id });
    await allowed(writer, { sequence_id: "t", tool: "get_order" });
    await writer.decide({ sequence_id: "s", tool: "close" });
    const gate = await createGate({
      ...PARTS,
      store: { ...real, read: (_id, from, count) => real.read("t", from, count) },
    });
    // In `s` nothing was looked up yet; by the chain of `t` it was.
    expect(await gate.decide({ sequence_id: "s", tool: "refund" })).toMatchObject({
      deny_code: "STORE_UNAVAILABLE",
    });
    expect(summary(await Array.fromAsync(writer.receipts("s")))).toEqual([
      "open",
      "SEQUENCE_VIOLATION",
    ]);
  });
});

test("a signer that returns 64 characters returned no signature", async () => {
  const signer = { keyId: PARTS.signer.keyId, sign: () => "x".repeat(64) as never };
  const gate = await createGate({ ...PARTS, signer, store: memoryStore() });
  expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
});

describe("two gates on one store", () => {
  async function two() {
    const store = memoryStore();
    const a = await createGate({ ...PARTS, store });
    const b = await createGate({ ...PARTS, store });
    await a.open({ sequence_id: "s" });
    // Both have the sequence at hand from here on.
    await b.state("s");
    return { a, b };
  }

  test("`state` tells what the other decided", async () => {
    const { a, b } = await two();
    await allowed(a, { sequence_id: "s", tool: "get_order" });
    expect((await b.state("s")).next_steps).toEqual(["refund"]);
  });

  test("the outcome of an ALLOW of one may be reported to the other", async () => {
    const { a, b } = await two();
    const allow = await allowed(a, { sequence_id: "s", tool: "get_order" });
    expect(await b.outcome(allow, { status: "succeeded" })).toMatchObject({
      status: "succeeded",
      seq: 2,
    });
  });

  test("context that the other replaced is recorded again", async () => {
    const { a, b } = await two();
    await b.addContext("s", { request: "first" });
    await a.addContext("s", { request: "second" });
    expect(await b.addContext("s", { request: "first" })).toMatchObject({ seq: 3 });
  });
});

describe("after the seal", () => {
  test("by the lifetime's end no step is next, in a denial as in `state`", async () => {
    const clock = heldClock();
    const { gate } = await openTestGate(REFUNDS, { clock: clock.clock });
    await gate.open({ sequence_id: "s" });
    clock.pass(3_600_001);
    expect(await gate.decide({ sequence_id: "s", tool: "get_order" })).toMatchObject({
      deny_code: "SEALED_SEQUENCE",
      next_steps: [],
    });
  });
});

describe("what a caller without types hands in", () => {
  test.each([undefined, null, 5, {}, ["stop"]])(
    "a seal with the reason %o is INVALID_INPUT, not a record without a reason",
    async (reason) => {
      const { gate, store } = await openTestGate(REFUNDS);
      await gate.open({ sequence_id: "s" });
      await expect(gate.seal("s", reason as string)).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
      expect(await Array.fromAsync(store.lines())).toHaveLength(1);
    },
  );

  test.each([undefined, null])("an outcome of %o is INVALID_INPUT", async (nothing) => {
    const { gate } = await openTestGate(REFUNDS);
    await expect(gate.outcome(nothing as never, { status: "failed" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    await expect(gate.outcome(await allowed(gate), nothing as never)).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  test("a result that cannot be looked at has no digest; its outcome is recorded all the same", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const lazy = {
      get rows(): never {
        throw new Error("the cursor is closed");
      },
    };
    await gate.enforce(NOTE, () => lazy);
    await gate.enforce(NOTE, () => ({ proxy }));
    expect(summary(await receipts("s"))).toEqual([
      "open",
      "ALLOW",
      "outcome succeeded",
      "ALLOW",
      "outcome succeeded",
    ]);
  });

  test("an opening and a context are copied before the first `await`", async () => {
    const { gate, store } = await openTestGate(REFUNDS);
    const opening: { sequence_id: string; agent_id: string } = {
      sequence_id: "s",
      agent_id: "bot-7",
    };
    const opened = gate.open(opening);
    opening.agent_id = "not an identifier";
    expect(await opened).toMatchObject({ agent_id: "bot-7" });
    await gate.open({ sequence_id: "t" });
    const { gate: fresh } = await openTestGate(REFUNDS, { store });
    const context: Record<string, string> = { request: "pay 5" };
    const added = fresh.addContext("t", context);
    context["request"] = "pay 5000";
    expect(await store.document((await added).context_digest ?? "")).toBe('{"request":"pay 5"}');
  });

  test.each<[string, object]>([
    ["a signer without a key id", { signer: { sign: () => new Uint8Array(64) } }],
    ["a signer that cannot sign", { signer: { keyId: "k" } }],
    ["a clock that is a number", { clock: NOON }],
    ["randomness that is a number", { random: 4 }],
    ["one secret for two purposes", { hmacKey: { id: "k", secret: PARTS.saltKey } }],
    ["a deadline that no timer can hold", { deadlineMs: 2 ** 31 }],
    ["a store of one method", { store: { append: async () => "won" } }],
  ])("%s makes no gate (TypeError)", async (_name, change) => {
    await expect(
      createGate({ ...PARTS, store: memoryStore(), ...change } as GateParts),
    ).rejects.toThrow(TypeError);
  });
});

describe("the same attempt again", () => {
  const first = {
    sequence_id: "s",
    tool: "get_order",
    nonce: "n",
    attempt: "A".repeat(22),
    ts_ms: NOON,
  } as const;

  test("is answered also after the attempt was used for another question", async () => {
    const { gate } = await openTestGate(REFUNDS, { clock: () => NOON });
    const answer = await allowed(gate, first);
    await gate.decide({ ...first, nonce: "m" });
    expect(await gate.decide(first)).toMatchObject({ decision: "ALLOW", receipt: answer.receipt });
    await gate.decide({ ...first, args: { other: 1 } });
    expect(await gate.decide(first)).toMatchObject({ decision: "ALLOW", receipt: answer.receipt });
  });
});

describe("the shares of the store", () => {
  test("a malformed request that there is no place for is OVERLOADED, and counted", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, {
      clock: clock.clock,
      maxDenialsPerSecond: 1,
    });
    await gate.open({ sequence_id: "s" });
    const bad = { ...NOTE, nonce: "" };
    expect(await gate.decide(bad)).toMatchObject({
      deny_code: "INVALID_REQUEST",
      receipt: { seq: 1 },
    });
    expect(await gate.decide(bad)).toMatchObject({ deny_code: "OVERLOADED", rule: "overload" });
    expect(await gate.decide(bad)).toMatchObject({ deny_code: "OVERLOADED" });
    clock.pass(1_000);
    expect(await gate.decide(bad)).toMatchObject({
      deny_code: "INVALID_REQUEST",
      receipt: { seq: 2, unrecorded: 2 },
    });
    expect(await receipts("s")).toHaveLength(3);
  });

  test("hold while the clock stands behind the records", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    await gate.open({ sequence_id: "s" });
    clock.pass(-30_000);
    for (let i = 0; i < 250; i++) await gate.decide({ sequence_id: "s", tool: "close" });
    expect(await receipts("s")).toHaveLength(101);
  });
});

describe("a gate starts", () => {
  test("though a sequence with an open ALLOW is full", async () => {
    const store = memoryStore();
    const before = await createGate({ ...PARTS, store, gateId: "gate-a" });
    await allowed(before);
    await allowed(before, { ...NOTE, sequence_id: "t" });
    const after = await createGate({ ...PARTS, store, gateId: "gate-a", maxRecords: 2 });
    expect(await Array.fromAsync(after.receipts("s"))).toHaveLength(2);
  });

  test("though the chain of one sequence with an open ALLOW is broken; the others are closed", async () => {
    const store = memoryStore();
    const before = await createGate({ ...PARTS, store, gateId: "gate-a" });
    await allowed(before);
    await allowed(before, { ...NOTE, sequence_id: "t" });
    const broken: Store = {
      ...store,
      read: async (id, from, count) => (id === "s" ? ["no JSON"] : store.read(id, from, count)),
    };
    const after = await createGate({ ...PARTS, store: broken, gateId: "gate-a" });
    expect(await after.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    expect(summary(await Array.fromAsync(after.receipts("t")))).toEqual([
      "open",
      "ALLOW",
      "outcome unknown",
    ]);
  });

  test("or says STORE_UNAVAILABLE, in time", async () => {
    for (const method of ["setting", "keep"] as const)
      for (const fault of ["rejects", "throws", "hangs"] as const) {
        const line = faultyStore(memoryStore());
        line.cut(method, fault);
        const error = await Promise.race([
          createGate({ ...PARTS, store: line.store }).catch((reason: unknown) => reason),
          new Promise((resolve) => setTimeout(() => resolve("still waiting"), 500)),
        ]);
        expect([method, fault, error]).toEqual([
          method,
          fault,
          expect.objectContaining({ code: "STORE_UNAVAILABLE" }),
        ]);
      }
  });
});

test("what rejects where the store fails rejects with a GateError", async () => {
  const line = faultyStore(memoryStore());
  const gate = await createGate({ ...PARTS, store: line.store });
  const allow = await allowed(gate);
  await gate.outcome(allow, { status: "succeeded" });
  await gate.seal("s", "stop");
  line.cut("read", "rejects");
  for (const work of [
    () => Array.fromAsync(gate.receipts("s")),
    () => gate.outcome(allow, { status: "failed" }),
    () => gate.seal("s", "again"),
  ])
    await expect(work()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});

describe("an aborted call does not run", () => {
  test("in shadow mode either", async () => {
    const { gate } = await openTestGate(REFUNDS, { mode: "shadow" });
    const denied = await gate.decide({ sequence_id: "s", tool: "close" });
    let ran = 0;
    const options = { signal: AbortSignal.abort(new Error("left")) };
    await expect(perform(gate, denied, () => ran++, options)).rejects.toThrow("left");
    await expect(performStream(gate, denied, () => (ran++, []), options).next()).rejects.toThrow(
      "left",
    );
    expect(ran).toBe(0);
  });

  test("as a stream that nobody begins to read: it is `interrupted`", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    let ran = 0;
    const stream = performStream(gate, await allowed(gate), () => (ran++, []));
    await stream.return(undefined);
    expect(ran).toBe(0);
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "outcome interrupted"]);
  });
});

describe("the work that an input can cause is bounded", () => {
  const limits = { bytes: 256 * 1024, depth: 64, keys: 10_000 };

  test.each([
    ["arrays", () => [] as unknown[]],
    ["objects", () => ({})],
  ])("by the cap on bytes, for empty %s as well", (_name, empty) => {
    let reads = 0;
    const list = new Proxy([], {
      get: (_target, name) => (name === "length" ? 1_000_000 : (reads++, empty())),
    });
    expect(() => canonicalize({ list }, limits)).toThrow(JsonError);
    expect(reads).toBeLessThan(256 * 1024);
  });

  test("for a list within a list within a list: 64 objects that mean 2^64", () => {
    let reads = 0;
    let bomb: unknown = [];
    // Half as deep as allowed, so that an unbounded walk ends within this test.
    for (let i = 0; i < 20; i++)
      bomb = new Proxy([bomb, bomb], {
        get: (target, name, self) => (reads++, Reflect.get(target, name, self)),
      });
    expect(() => canonicalize(bomb, limits)).toThrow(JsonError);
    expect(reads).toBeLessThan(2_000_000);
  });

  test("and a value of exactly the cap is within it, however deep", () => {
    for (let depth = 1; depth < 60; depth++) {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = depth % 2 === 0 ? [value] : { a: value };
      const text = JSON.stringify([value, "last"]);
      expect(canonicalize([value, "last"], { bytes: text.length })).toBe(text);
    }
  });

  test("for members that no request has: none of their values is read", () => {
    let reads = 0;
    const input = new Proxy(
      Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, 1])),
      { get: () => reads++ },
    );
    expect(readActionRequest(input, { now: NOON, random: () => "A".repeat(22) })).toMatchObject({
      member: "sequence_id",
    });
    expect(reads).toBeLessThan(20);
  });

  test("for a long text in strict JSON: it is read, or refused with a JsonError", () => {
    const text = JSON.stringify("a".repeat(20_000_000));
    expect((parseStrictJson(text) as string).length).toBe(20_000_000);
    expect(() => parseStrictJson(`{"a":${text},"a":1}`)).toThrow(JsonError);
  });
});

describe("names that V8 misreads (nodejs/node#63785)", () => {
  // Having read `x\\`, JSON.parse of Node 24 reads `x\n`, `x"` and `x\u0041` as `x\\` where they follow the same members.
  const NAMES = ["\n", '"', "\\", "\u0001"] as const;

  test("are decided as they were sent: the copy that runs is the one that was digested", async () => {
    const { gate } = await openTestGate(REFUNDS);
    for (const [i, name] of NAMES.entries()) {
      await allowed(gate, { ...NOTE, args: { [`p${i}`]: 0, "to\\": "primed" } });
      const args = { [`p${i}`]: 0, [`to${name}`]: "x" };
      expect(canonicalize((await allowed(gate, { ...NOTE, args })).args)).toBe(canonicalize(args));
    }
  });

  test("are what strict parsing reads them as", () => {
    for (const [i, name] of NAMES.entries()) {
      parseStrictJson(`{"q${i}":0,"to\\\\":1}`);
      const text = JSON.stringify({
        [`q${i}`]: 0,
        [`to${name}`]: [true, null, -1.5e3, { __proto__: null, "": [] }],
      });
      expect(canonicalize(parseStrictJson(text))).toBe(text);
    }
    expect(
      Object.keys(parseStrictJson('{"\\u005f_proto__":{"a":1},"b":"\\\\"}') as object),
    ).toEqual(["__proto__", "b"]);
  });
});
