/** One request through a whole gate: the answer again, freshness, the nonce, the seal, the shares, shadow, what the caller gets. */
import { randomBytes } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  canonicalize,
  type Allow,
  type Decision,
  type Gate,
  type JsonObject,
  memoryStore,
  type Store,
  receiptLine,
  recordHash,
  verifyReceipts,
  importKeySet,
  exportKeySet,
} from "../src/index.ts";
import { heldClock } from "./held-clock.ts";
import { LOAN_APPROVAL, REFUNDS, RESEARCH } from "./policies.ts";
import { summary } from "./summary.ts";

const ATTEMPT = "AAAAAAAAAAAAAAAAAAAAAA";
const OTHER_ATTEMPT = "BBBBBBBBBBBBBBBBBBBBBB";
const GET_ORDER = { sequence_id: "s", tool: "get_order" } as const;
const REFUND = { sequence_id: "s", tool: "refund" } as const;
const NOTE = { sequence_id: "s", function: "note", action_type: "READ" } as const;
const CLOSE = { sequence_id: "s", tool: "close" } as const;

describe("the same attempt again", () => {
  const first = {
    ...GET_ORDER,
    args: { order: 17 },
    nonce: "n",
    attempt: ATTEMPT,
    ts_ms: 1_800_000_000_000,
  };
  const open = () => openTestGate(REFUNDS, { clock: () => 1_800_000_000_000 });

  test("is the same answer, with the same receipt and no new record", async () => {
    const { gate, receipts } = await open();
    const answer = await gate.decide(first);
    for (const again of [first, { ...first, args: { order: 17.0 } }])
      expect(await gate.decide(again)).toEqual(answer);
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW"]);
  });

  test("of a denial too, whichever code it was", async () => {
    const { gate, receipts } = await open();
    const denials: readonly (readonly [ActionInput, string])[] = [
      [{ ...first, tool: "nothing", nonce: "1", attempt: "1".repeat(22) }, "NO_POLICY_MATCH"],
      [{ ...first, tool: "refund", nonce: "2", attempt: "2".repeat(22) }, "SEQUENCE_VIOLATION"],
      [{ ...first, ts_ms: 0, nonce: "3", attempt: "3".repeat(22) }, "STALE_TIMESTAMP"],
      [{ ...first, nonce: "1", attempt: "4".repeat(22) }, "REPLAY_NONCE"],
    ];
    for (const [input, code] of denials)
      expect(await gate.decide(input)).toMatchObject({ deny_code: code });
    const written = await receipts("s");
    for (const [input, code] of denials)
      expect(await gate.decide(input)).toMatchObject({
        deny_code: code,
        receipt: written.find(
          (receipt) => "attempt" in receipt && receipt.attempt === input.attempt,
        ),
      });
    expect(await receipts("s")).toEqual(written);
  });

  test.each<[string, Partial<ActionInput>, string]>([
    ["another nonce", { nonce: "m" }, "SEQUENCE_VIOLATION"],
    ["another attempt", { attempt: OTHER_ATTEMPT }, "REPLAY_NONCE"],
    ["other arguments", { args: { order: 18 } }, "REPLAY_NONCE"],
    ["another time", { ts_ms: 1_800_000_000_001 }, "REPLAY_NONCE"],
    ["another tool", { tool: "refund" } as Partial<ActionInput>, "REPLAY_NONCE"],
    [
      "the explicit form",
      {
        tool: undefined,
        function: "lookup",
        action_type: "READ",
      } as unknown as Partial<ActionInput>,
      "REPLAY_NONCE",
    ],
  ])("with %s is a new question", async (_name, change, code) => {
    const { gate, receipts } = await open();
    await gate.decide(first);
    const asked = Object.fromEntries(
      Object.entries({ ...first, ...change }).filter(([, value]) => value !== undefined),
    ) as unknown as ActionInput;
    expect(await gate.decide(asked)).toMatchObject({ deny_code: code });
    expect(await receipts("s")).toHaveLength(3);
  });

  test("is answered after the seal, and long after freshness has passed", async () => {
    const clock = heldClock(first.ts_ms);
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    const answer = (await gate.decide(first)) as Allow;
    await gate.seal("s", "done");
    clock.pass(86_400_000);
    expect(await gate.decide(first)).toMatchObject({
      decision: "ALLOW",
      receipt: answer.receipt,
      args_key: answer.args_key,
      args: { order: 17 },
    });
    expect(await receipts("s")).toHaveLength(3);
  });

  test("of another caller is the other's request, not an answer", async () => {
    const { gate } = await open();
    await gate.decide(first);
    const decision = await gate.decide({ ...first, agent_id: "thief" });
    expect(decision).toMatchObject({ deny_code: "INVALID_REQUEST", rule: "request.agent_id" });
    expect(decision).not.toHaveProperty("args_key");
  });

  test("is no second permission: once its outcome is known, the attempt is a used nonce", async () => {
    const { gate } = await openTestGate(REFUNDS, { clock: () => first.ts_ms });
    let ran = 0;
    await gate.enforce(first, () => ran++);
    await expect(gate.enforce(first, () => ran++)).rejects.toMatchObject({
      code: "REPLAY_NONCE",
      decision: { earlier: { status: "succeeded" } },
    });
    expect(ran).toBe(1);
  });

  test("for many questions costs each of them no more than a few reads", async () => {
    const real = memoryStore();
    let reads = 0;
    const store: Store = { ...real, read: (...given) => (reads++, real.read(...given)) };
    const { gate } = await openTestGate(REFUNDS, { store });
    const note = { sequence_id: "s", function: "note", action_type: "READ", attempt: ATTEMPT };
    for (let i = 0; i < 60; i++) await gate.decide({ ...note, nonce: `${i}` });
    reads = 0;
    await gate.decide({ ...note, nonce: "last" });
    expect(reads).toBeLessThan(10);
  });

  test("nor where its outcome came through another gate of the same store", async () => {
    const options = { clock: () => 1_800_000_000_000, saltKey: randomBytes(32) };
    const { gate, store } = await openTestGate(REFUNDS, options);
    const other = (await openTestGate(REFUNDS, { ...options, store })).gate;
    const allow = (await gate.decide(first)) as Allow;
    await other.outcome(allow, { status: "succeeded" });
    expect(await gate.decide(first)).toMatchObject({
      deny_code: "REPLAY_NONCE",
      earlier: { status: "succeeded" },
    });
  });

  test("is answered also after the attempt was used for another question", async () => {
    const { gate } = await open();
    const answer = await gate.decide(first);
    await gate.decide({ ...first, nonce: "m" });
    expect(await gate.decide(first)).toMatchObject({ decision: "ALLOW", receipt: answer.receipt });
    await gate.decide({ ...first, args: { other: 1 } });
    expect(await gate.decide(first)).toMatchObject({ decision: "ALLOW", receipt: answer.receipt });
  });

  test("is never returned for INVALID_REQUEST", async () => {
    const { gate, receipts } = await open();
    await gate.open({ sequence_id: "s" });
    const bad = { ...first, args: 5 as never };
    expect((await gate.decide(bad)).receipt?.seq).toBe(1);
    expect((await gate.decide(bad)).receipt?.seq).toBe(2);
    expect(await gate.decide(first)).toMatchObject({ decision: "ALLOW" });
    expect(summary(await receipts("s"))).toEqual([
      "open",
      "INVALID_REQUEST",
      "INVALID_REQUEST",
      "ALLOW",
    ]);
  });

  test("left out, each call is an attempt of its own with a nonce of its own", async () => {
    const { gate, receipts } = await open();
    await gate.decide(GET_ORDER);
    await gate.decide(REFUND);
    await gate.decide(REFUND);
    const decisions = (await receipts("s")).filter((receipt) => receipt.kind === "decision");
    expect(decisions.map(({ decision }) => decision)).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
    for (const member of ["nonce", "attempt"] as const) {
      expect(new Set(decisions.map((receipt) => receipt[member])).size).toBe(3);
      for (const receipt of decisions) expect(receipt[member]).toMatch(/^[A-Za-z0-9_-]{22}$/);
    }
  });
});

describe("freshness", () => {
  test.each([
    [-60_001, "STALE_TIMESTAMP"],
    [-60_000, "ALLOW"],
    [0, "ALLOW"],
    [60_000, "ALLOW"],
    [60_001, "STALE_TIMESTAMP"],
  ])("a request %d ms from the gate's clock is %s", async (offset, answer) => {
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: () => 1_800_000_000_000 });
    await gate.decide({ ...GET_ORDER, ts_ms: 1_800_000_000_000 + offset });
    expect(summary(await receipts("s"))).toEqual(["open", answer]);
  });

  test.each([Number.MIN_SAFE_INTEGER, -1, 0, Number.MAX_SAFE_INTEGER])(
    "a request of %d is stale",
    async (ts_ms) => {
      const { gate } = await openTestGate(REFUNDS, { clock: () => 1_800_000_000_000 });
      expect(await gate.decide({ ...GET_ORDER, ts_ms })).toMatchObject({
        deny_code: "STALE_TIMESTAMP",
        receipt: { request_ts_ms: ts_ms },
      });
    },
  );

  test("goes by the gate's clock, not by the records' time", async () => {
    const clock = heldClock();
    const { gate } = await openTestGate(REFUNDS, { clock: clock.clock });
    await gate.open({ sequence_id: "s" });
    const start = clock.clock();
    clock.pass(-100_000);
    expect(await gate.decide({ ...GET_ORDER, ts_ms: start })).toMatchObject({
      deny_code: "STALE_TIMESTAMP",
      rule: "freshness",
    });
    expect(await gate.decide({ ...GET_ORDER, ts_ms: start - 100_000 })).toMatchObject({
      decision: "ALLOW",
    });
  });
});

describe("the nonce", () => {
  test.each<[string, Partial<ActionInput>, boolean]>([
    ["ALLOW", {}, true],
    ["NO_POLICY_MATCH", { tool: "nothing" } as Partial<ActionInput>, true],
    ["SEQUENCE_VIOLATION", { tool: "close" } as Partial<ActionInput>, true],
    ["STALE_TIMESTAMP", { ts_ms: 0 }, false],
    ["INVALID_REQUEST", { args: [] as never }, false],
  ])("after %s: %j, it is burnt: %s", async (answer, change, burnt) => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s" });
    await gate.decide({ ...GET_ORDER, nonce: "n", ...change } as ActionInput);
    await gate.decide({ ...GET_ORDER, nonce: "n" });
    expect(summary(await receipts("s"))).toEqual([
      "open",
      answer,
      burnt ? "REPLAY_NONCE" : "ALLOW",
    ]);
  });

  test("is burnt by ACTION_NOT_ALLOWED and by SEALED_SEQUENCE, and stays burnt after a REPLAY_NONCE", async () => {
    const { gate, receipts } = await openTestGate(LOAN_APPROVAL);
    const intake = { sequence_id: "s", function: "intake", action_type: "READ_INPUT" };
    await gate.decide({ ...intake, action_type: "WRITE_DB", nonce: "a" });
    await gate.decide({ ...intake, nonce: "a" });
    await gate.decide({ ...intake, nonce: "a" });
    await gate.seal("s", "stop");
    await gate.decide({ ...intake, nonce: "b" });
    await gate.decide({ ...intake, nonce: "b" });
    expect(summary(await receipts("s"))).toEqual([
      "open",
      "ACTION_NOT_ALLOWED",
      "REPLAY_NONCE",
      "REPLAY_NONCE",
      "seal",
      "SEALED_SEQUENCE",
      "REPLAY_NONCE",
    ]);
  });

  test("is one use a sequence: another sequence has its own", async () => {
    const { gate } = await openTestGate(REFUNDS);
    for (const sequence_id of ["s", "t"])
      expect(await gate.decide({ ...GET_ORDER, sequence_id, nonce: "n" })).toMatchObject({
        decision: "ALLOW",
      });
  });

  test("a replay tells what became of the first use", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const first = (await gate.decide({ ...GET_ORDER, nonce: "n" })) as Allow;
    const decision_hash = recordHash(first.receipt);
    expect(first).not.toHaveProperty("earlier");
    expect(await gate.decide({ ...GET_ORDER, nonce: "n" })).toMatchObject({
      deny_code: "REPLAY_NONCE",
      rule: "nonce",
      earlier: { decision_hash },
    });
    await gate.outcome(first, { status: "failed" });
    expect((await gate.decide({ ...GET_ORDER, nonce: "n" })).earlier).toEqual({
      decision_hash,
      status: "failed",
    });
    const denied = await gate.decide({ ...CLOSE, nonce: "m" });
    if (denied.receipt === undefined) throw new Error("a denial has a receipt");
    expect((await gate.decide({ ...CLOSE, nonce: "m" })).earlier).toEqual({
      decision_hash: recordHash(denied.receipt),
      deny_code: "SEQUENCE_VIOLATION",
    });
  });

  test.each(["__proto__", "constructor", "toString", " ", "~".repeat(200)])(
    "%j is a nonce like any other",
    async (nonce) => {
      const { gate, receipts } = await openTestGate(REFUNDS);
      await gate.decide({ ...GET_ORDER, nonce });
      await gate.decide({ ...GET_ORDER, nonce });
      expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "REPLAY_NONCE"]);
    },
  );
});

describe("the seal", () => {
  test("the ALLOW that reaches the natural end seals", async () => {
    const { gate, receipts } = await openTestGate(LOAN_APPROVAL);
    for (const [step, [action_type = ""]] of Object.entries(LOAN_APPROVAL.functions))
      await gate.decide({ sequence_id: "s", function: step, action_type });
    const chain = await receipts("s");
    expect(summary(chain)).toEqual(["open", ...Array.from({ length: 8 }, () => "ALLOW")]);
    expect(chain.map((receipt) => "sealed" in receipt && receipt.sealed)).toEqual([
      ...Array.from({ length: 8 }, () => false),
      true,
    ]);
    expect(
      await gate.decide({ sequence_id: "s", function: "settle", action_type: "WRITE_SUMMARY" }),
    ).toMatchObject({ deny_code: "SEALED_SEQUENCE", rule: "seal", next_steps: [] });
    expect(await gate.state("s")).toMatchObject({
      sealed: true,
      next_steps: [],
      permitted_tools: [],
    });
  });

  test("`sealOn` seals by the action type, only where the order is complete, also outside the order", async () => {
    const { gate } = await openTestGate(RESEARCH);
    const call = (change: object): Promise<Decision> =>
      gate.decide({ sequence_id: "s", ...change } as ActionInput);
    await call({ function: "intake", action_type: "READ_INPUT" });
    await call({ tool: "save" });
    expect(await call({ tool: "finish" })).toMatchObject({
      decision: "ALLOW",
      receipt: { function: "review", sealed: true },
    });
    expect(await call({ tool: "get_page" })).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
  });

  test("a function outside the order may seal where the order is complete, and is refused before", async () => {
    const { gate } = await openTestGate({
      ...RESEARCH,
      tools: { end: { function: "lookup", action: "FINISH" } },
    });
    const call = (change: object): Promise<Decision> =>
      gate.decide({ sequence_id: "s", ...change } as ActionInput);
    expect(await call({ tool: "end" })).toMatchObject({
      deny_code: "SEQUENCE_VIOLATION",
      rule: "sequence",
    });
    await call({ function: "intake", action_type: "READ_INPUT" });
    await call({ function: "draft", action_type: "EMIT" });
    await call({ function: "review", action_type: "READ_INPUT" });
    expect(await call({ tool: "end" })).toMatchObject({
      decision: "ALLOW",
      receipt: { sealed: true, function: "lookup" },
    });
  });

  test("a person's seal ends it: nothing further is allowed, denials are recorded", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.decide(GET_ORDER);
    const seal = await gate.seal("s", "the customer left", "alice");
    expect(seal).toMatchObject({
      kind: "seal",
      sealed: true,
      by: "alice",
      reason: "the customer left",
      seq: 2,
    });
    expect(await gate.decide(REFUND)).toMatchObject({
      deny_code: "SEALED_SEQUENCE",
      receipt: { seq: 3 },
    });
    expect(await gate.decide({ ...REFUND, nonce: "" })).toMatchObject({
      deny_code: "INVALID_REQUEST",
      receipt: { seq: 4 },
    });
    expect(summary(await receipts("s"))).toEqual([
      "open",
      "ALLOW",
      "seal",
      "SEALED_SEQUENCE",
      "INVALID_REQUEST",
    ]);
  });

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

  test("the end of its lifetime is a seal: the last millisecond is within", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    await gate.open({ sequence_id: "s" });
    clock.pass(3_600_000);
    await gate.decide(GET_ORDER);
    clock.pass(1);
    await gate.decide(REFUND);
    // Lifetime goes by the record's time, which never falls.
    clock.pass(-1_000);
    await gate.decide(REFUND);
    expect(summary(await receipts("s"))).toEqual([
      "open",
      "ALLOW",
      "SEALED_SEQUENCE",
      "SEALED_SEQUENCE",
    ]);
  });
});

describe("the shares of the store", () => {
  test("the last 100 places are kept for outcomes and the seal: a full sequence is OVERLOADED, without a receipt", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS, { maxRecords: 110 });
    const first = (await gate.decide(GET_ORDER)) as Allow;
    for (let i = 0; i < 8; i++)
      expect(
        await gate.decide({ sequence_id: "s", function: "note", action_type: "READ" }),
      ).toMatchObject({ decision: "ALLOW" });
    const refused = await gate.decide({ ...REFUND, nonce: "n" });
    expect(refused).toMatchObject({
      decision: "DENY",
      deny_code: "OVERLOADED",
      rule: "overload",
      proceed: false,
    });
    expect(refused.receipt).toBeUndefined();
    await expect(gate.addContext("s", { a: 1 })).rejects.toMatchObject({ code: "OVERLOADED" });
    expect(await receipts("s")).toHaveLength(10);
    expect(await gate.outcome(first, { status: "succeeded" })).toMatchObject({ seq: 10 });
    expect(await gate.seal("s", "full")).toMatchObject({ seq: 11 });
  });

  test("outcomes and seals may take the kept places, and no more than there are", async () => {
    const parts = { store: memoryStore(), saltKey: new Uint8Array(32) };
    const { gate } = await openTestGate(REFUNDS, { ...parts, maxRecords: 103 });
    const note = { sequence_id: "s", function: "note", action_type: "READ" };
    const allows = [(await gate.decide(note)) as Allow, (await gate.decide(note)) as Allow];
    expect(await gate.decide(note)).toMatchObject({ deny_code: "OVERLOADED" });
    const { gate: narrow } = await openTestGate(REFUNDS, { ...parts, maxRecords: 4 });
    expect(await narrow.outcome(allows[0] as Allow, { status: "succeeded" })).toMatchObject({
      seq: 3,
    });
    await expect(narrow.outcome(allows[1] as Allow, { status: "succeeded" })).rejects.toMatchObject(
      { code: "OVERLOADED" },
    );
    await expect(narrow.seal("s", "full")).rejects.toMatchObject({ code: "OVERLOADED" });
    expect(await gate.outcome(allows[1] as Allow, { status: "succeeded" })).toMatchObject({
      seq: 4,
    });
  });

  test("a sequence records 100 denials a second of the clock; ALLOWs are not counted", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    for (let i = 0; i < 103; i++) await gate.decide(CLOSE);
    expect((await receipts("s")).length).toBe(101);
    expect(await gate.decide(GET_ORDER)).toMatchObject({ decision: "ALLOW" });
    expect(await gate.decide(CLOSE)).toMatchObject({ deny_code: "OVERLOADED", rule: "overload" });
    clock.pass(999);
    expect(await gate.decide(CLOSE)).toMatchObject({ deny_code: "OVERLOADED" });
    clock.pass(1);
    expect(await gate.decide(CLOSE)).toMatchObject({ deny_code: "SEQUENCE_VIOLATION" });
    expect(await gate.decide({ ...CLOSE, sequence_id: "t" })).toMatchObject({
      deny_code: "SEQUENCE_VIOLATION",
    });
  });

  test("the next decision's record says how many denials went unrecorded, once", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, {
      clock: clock.clock,
      maxDenialsPerSecond: 2,
    });
    for (let i = 0; i < 7; i++) await gate.decide(CLOSE);
    await gate.decide(GET_ORDER);
    await gate.decide(REFUND);
    for (let i = 0; i < 2; i++) await gate.decide(GET_ORDER);
    clock.pass(1_000);
    await gate.decide({ ...GET_ORDER, nonce: "last" });
    expect(
      (await receipts("s")).map((receipt) => ("unrecorded" in receipt ? receipt.unrecorded : 0)),
    ).toEqual([0, 0, 0, 5, 0, 2]);
  });

  test("OVERLOADED burns nothing: the same request is decided later", async () => {
    const clock = heldClock();
    const { gate } = await openTestGate(REFUNDS, { clock: clock.clock, maxDenialsPerSecond: 1 });
    await gate.decide(CLOSE);
    const asked = { ...CLOSE, nonce: "n", attempt: ATTEMPT };
    expect(await gate.decide(asked)).toMatchObject({ deny_code: "OVERLOADED" });
    clock.pass(1_000);
    expect(await gate.decide(asked)).toMatchObject({
      deny_code: "SEQUENCE_VIOLATION",
      receipt: { nonce: "n", attempt: ATTEMPT },
    });
  });

  test("a malformed request that there is no place for is OVERLOADED, and counted", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, {
      clock: clock.clock,
      maxDenialsPerSecond: 1,
    });
    await gate.open({ sequence_id: "s" });
    const bad = { ...CLOSE, nonce: "" };
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
    clock.pass(1_000);
    expect((await gate.decide(bad)).receipt).not.toHaveProperty("unrecorded");
    expect(await receipts("s")).toHaveLength(4);
  });

  test("hold while the clock stands behind the records", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    await gate.open({ sequence_id: "s" });
    clock.pass(-30_000);
    for (let i = 0; i < 250; i++) await gate.decide({ sequence_id: "s", tool: "close" });
    expect(await receipts("s")).toHaveLength(101);
  });

  test("a flood of denials in one second leaves a chain that verifies", async () => {
    const { gate, key, receipts } = await openTestGate(REFUNDS, { clock: () => 1_800_000_000_000 });
    const answers = await Promise.all(Array.from({ length: 400 }, () => gate.decide(CLOSE)));
    expect(
      answers.filter((answer) => answer.decision === "DENY" && answer.deny_code === "OVERLOADED"),
    ).toHaveLength(300);
    const report = await verifyReceipts(await receipts("s"), {
      keys: importKeySet(exportKeySet([key])),
    });
    expect(report).toMatchObject({ result: "sound", records: 101 });
  });
});

describe("in shadow mode", () => {
  const shadow = () => openTestGate(REFUNDS, { mode: "shadow", clock: () => 1_800_000_000_000 });

  test("everything is decided and recorded alike, a denial proceeds with the decided copy, no permit is issued", async () => {
    const { gate, receipts } = await shadow();
    expect(await gate.decide({ ...CLOSE, args: { b: 1, a: -0 } })).toMatchObject({
      decision: "DENY",
      deny_code: "SEQUENCE_VIOLATION",
      proceed: true,
      args: { a: 0, b: 1 },
    });
    const allow = await gate.decide(GET_ORDER);
    expect(allow).toMatchObject({ decision: "ALLOW", proceed: true });
    for (const receipt of await receipts("s")) {
      expect(receipt).toMatchObject({ mode: "shadow" });
      expect(receipt).not.toHaveProperty("permit_expires_ms");
    }
  });

  test("a denial advances nothing", async () => {
    const { gate } = await shadow();
    await gate.decide(REFUND);
    expect((await gate.state("s")).next_steps).toEqual(["lookup"]);
    await gate.decide(GET_ORDER);
    expect((await gate.state("s")).next_steps).toEqual(["refund"]);
  });

  test("what is not on record does not proceed", async () => {
    const { gate } = await shadow();
    expect(await gate.decide({ ...CLOSE, args: 5 as never })).toMatchObject({
      deny_code: "INVALID_REQUEST",
      proceed: false,
    });
  });
});

describe("what the caller gets", () => {
  test("an ALLOW: the canonical copy that was decided, the next steps, a permit's end, and a durable receipt", async () => {
    const { gate, store } = await openTestGate(REFUNDS, { clock: () => 1_800_000_000_000 });
    const args = { order: 17, list: [{ b: -0, a: "x" }] };
    const allow = (await gate.decide({ ...GET_ORDER, args })) as Allow;
    expect(allow).toMatchObject({
      decision: "ALLOW",
      proceed: true,
      message: "allowed; next: refund.",
      next_steps: ["refund"],
    });
    expect(JSON.stringify(allow.args)).toBe('{"list":[{"a":"x","b":0}],"order":17}');
    expect(allow.args).not.toBe(args);
    expect(allow.receipt.permit_expires_ms).toBe(1_800_000_060_000);
    expect(await store.read("s", 1, 1)).toEqual([receiptLine(allow.receipt)]);
  });

  test("arguments that change once the call was made change nothing", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const args: Record<string, unknown> = { order: 17, nested: { amount: 1 } };
    const input = { ...GET_ORDER, args } as { sequence_id: string; tool: string; args: object };
    const deciding = gate.decide(input);
    args["order"] = 18;
    (args["nested"] as Record<string, unknown>)["amount"] = 1_000_000;
    input.tool = "close";
    input.sequence_id = "t";
    const allow = (await deciding) as Allow;
    expect(allow.args).toEqual({ order: 17, nested: { amount: 1 } });
    expect(allow.receipt).toMatchObject({ sequence_id: "s", tool: "get_order" });
  });

  test("names that V8 misreads are decided as they were sent (nodejs/node#63785)", async () => {
    const { gate } = await openTestGate(REFUNDS);
    // Having read `x\\`, JSON.parse of Node 24 reads `x\n` and `x"` as `x\\` where they follow the same members.
    const NAMES = ["\n", '"', "\\", "\u0001"];
    for (const [i, name] of NAMES.entries()) {
      await gate.decide({ ...NOTE, args: { [`p${i}`]: 0, "to\\": "primed" } });
      const args = { [`p${i}`]: 0, [`to${name}`]: "x" };
      expect(canonicalize(((await gate.decide({ ...NOTE, args })) as Allow).args)).toBe(
        canonicalize(args),
      );
    }
  });

  test("`__proto__` among the arguments stays a member, and pollutes nothing", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const allow = (await gate.decide({
      ...GET_ORDER,
      args: JSON.parse('{"__proto__":{"admin":true}}') as JsonObject,
    })) as Allow;
    expect(Object.keys(allow.args)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(allow.args)).toBe(Object.prototype);
    expect(allow.args["admin"]).toBeUndefined();
  });

  test("the receipt says what the policy made of the call", async () => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.decide(GET_ORDER);
    expect((await gate.decide(REFUND)).receipt).toMatchObject({
      tool: "refund",
      function: "refund",
      step: "refund",
      action_type: "WRITE_DB",
      audience: "ledger",
    });
    const note = (await gate.decide({ sequence_id: "s", function: "note", action_type: "READ" }))
      .receipt;
    expect(note).toMatchObject({ decision: "ALLOW", function: "note", action_type: "READ" });
    for (const member of ["step", "tool", "audience"]) expect(note).not.toHaveProperty(member);
  });

  test.each<[string, ActionInput, string, string]>([
    [
      "an unknown tool",
      { sequence_id: "s", tool: "rm" },
      "NO_POLICY_MATCH tools",
      "the policy has no tool 'rm'.",
    ],
    [
      "an unknown function",
      { sequence_id: "s", function: "nobody", action_type: "READ" },
      "NO_POLICY_MATCH functions",
      "the policy has no function 'nobody'.",
    ],
    [
      "the explicit form of a tool's pair",
      { sequence_id: "s", function: "lookup", action_type: "READ" },
      "NO_POLICY_MATCH tools",
      "READ of 'lookup' is requested by its tool: get_order.",
    ],
    [
      "a wrong step",
      { sequence_id: "s", function: "lookup", action_type: "X", step: "refund" },
      "NO_POLICY_MATCH functions.lookup.step",
      "'lookup' does not belong to step 'refund'.",
    ],
    [
      "a step for a function outside the order",
      { sequence_id: "s", function: "note", action_type: "READ", step: "*" as never },
      "INVALID_REQUEST request.step",
      "step must be 1 to 128 of A-Z a-z 0-9 . _ : -.",
    ],
    [
      "a call before its turn",
      { sequence_id: "s", tool: "refund" },
      "SEQUENCE_VIOLATION sequence",
      "'refund' is not admissible now; next: lookup.",
    ],
    [
      "an action type that is not permitted",
      { sequence_id: "s", function: "lookup", action_type: "WRITE_DB" },
      "ACTION_NOT_ALLOWED functions.lookup.actions",
      "'lookup' does not permit WRITE_DB; it permits READ.",
    ],
    [
      "a stale request",
      { sequence_id: "s", tool: "get_order", ts_ms: 0 },
      "STALE_TIMESTAMP freshness",
      "the request's time is more than 60 s from the gate's clock.",
    ],
  ])("%s is told what failed and what would do", async (_name, input, codeAndRule, message) => {
    const { gate } = await openTestGate(REFUNDS);
    const decision = await gate.decide(input);
    expect(decision).toMatchObject({ decision: "DENY", proceed: false, message });
    if (decision.decision === "DENY")
      expect(`${decision.deny_code} ${decision.rule}`).toBe(codeAndRule);
  });

  test("no message and no member of a denial holds an argument's value", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const secret = "hunter2";
    for (const input of await Promise.all([
      CLOSE,
      REFUND,
      { ...GET_ORDER, ts_ms: 0 },
      { ...GET_ORDER, extra: secret },
      { sequence_id: "s", tool: "rm" },
    ]))
      expect(
        JSON.stringify(await gate.decide({ ...input, args: { password: secret } } as ActionInput)),
      ).not.toContain(secret);
  });

  test("`__proto__`, `constructor` and the like are ordinary unknown names", async () => {
    const { gate } = await openTestGate(REFUNDS);
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
      expect(await gate.decide({ sequence_id: "s", tool: name })).toMatchObject({
        deny_code: "NO_POLICY_MATCH",
        rule: "tools",
      });
      expect(
        await gate.decide({ sequence_id: "s", function: name, action_type: "READ" }),
      ).toMatchObject({ deny_code: "NO_POLICY_MATCH", rule: "functions" });
      expect(
        await gate.decide({ sequence_id: "s", function: "lookup", action_type: name }),
      ).toMatchObject({ deny_code: "ACTION_NOT_ALLOWED" });
    }
  });
});

describe("many at once", () => {
  test("of 64 submissions of one step exactly one is allowed, each of the others has its code and its receipt", async () => {
    const { gate, receipts } = await openTestGate(LOAN_APPROVAL);
    const answers = await Promise.all(
      Array.from({ length: 64 }, () =>
        gate.decide({ sequence_id: "s", function: "intake", action_type: "READ_INPUT" }),
      ),
    );
    expect(answers.filter(({ decision }) => decision === "ALLOW")).toHaveLength(1);
    expect(
      summary(await receipts("s")).filter((word) => word === "SEQUENCE_VIOLATION"),
    ).toHaveLength(63);
    expect(new Set(answers.map(({ receipt }) => receipt?.seq)).size).toBe(64);
  });

  test("of 64 submissions of one nonce exactly one is allowed", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.decide(GET_ORDER);
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => gate.decide({ ...REFUND, nonce: "n" })),
    );
    expect(answers.filter(({ decision }) => decision === "ALLOW")).toHaveLength(1);
    expect(summary(await receipts("s")).filter((word) => word === "REPLAY_NONCE")).toHaveLength(63);
  });

  test("they are decided in the order in which they were submitted", async () => {
    const { gate, receipts } = await openTestGate(LOAN_APPROVAL);
    const steps = Object.entries(LOAN_APPROVAL.functions);
    await Promise.all(
      steps.map(([step, [action_type = ""]]) =>
        gate.decide({ sequence_id: "s", function: step, action_type }),
      ),
    );
    expect(summary(await receipts("s"))).toEqual(["open", ...steps.map(() => "ALLOW")]);
  });

  test("through two gates of one store: the loser is decided again on the new head", async () => {
    const one = await openTestGate(REFUNDS);
    const saltKey = new Uint8Array(32);
    const a = (await openTestGate(REFUNDS, { store: one.store, saltKey })).gate;
    const b = (await openTestGate(REFUNDS, { store: one.store, saltKey })).gate;
    const ask = (gate: Gate, nonce: string): Promise<Decision> =>
      gate.decide({ ...GET_ORDER, nonce });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(i % 2 === 0 ? a : b, `n${i}`)),
    );
    expect(answers.filter(({ decision }) => decision === "ALLOW")).toHaveLength(1);
    expect(await one.receipts("s")).toHaveLength(21);
    expect((await one.receipts("s")).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 21 }, (_, i) => i),
    );
  });
});

describe("two gates that have one sequence at hand", () => {
  async function two() {
    const parts = { store: memoryStore(), saltKey: new Uint8Array(32) };
    const { gate: a } = await openTestGate(REFUNDS, parts);
    const { gate: b } = await openTestGate(REFUNDS, parts);
    await a.open({ sequence_id: "s" });
    // Both have the sequence at hand from here on.
    await b.state("s");
    return { a, b };
  }

  test("`state` tells what the other decided", async () => {
    const { a, b } = await two();
    await a.decide(GET_ORDER);
    expect((await b.state("s")).next_steps).toEqual(["refund"]);
  });

  test("the outcome of an ALLOW of one may be reported to the other", async () => {
    const { a, b } = await two();
    const allow = (await a.decide(GET_ORDER)) as Allow;
    expect(await b.outcome(allow, { status: "succeeded" })).toMatchObject({
      status: "succeeded",
      seq: 2,
    });
  });
});

describe("long chains and full caches", () => {
  test(
    "a chain of more than a thousand records is read in pages, by a gate that has not seen it too",
    { timeout: 60_000 },
    async () => {
      const parts = { store: memoryStore(), saltKey: new Uint8Array(32) };
      const { gate } = await openTestGate(REFUNDS, parts);
      await gate.decide(GET_ORDER);
      for (let i = 0; i < 2_010; i++)
        await gate.decide({
          sequence_id: "s",
          function: "note",
          action_type: "READ",
          nonce: `n${i}`,
        });
      expect((await gate.decide(REFUND)).receipt?.seq).toBe(2_012);
      const { gate: other, receipts } = await openTestGate(REFUNDS, parts);
      expect((await other.state("s")).next_steps).toEqual(["refund", "close"]);
      expect(
        await other.decide({
          sequence_id: "s",
          function: "note",
          action_type: "READ",
          nonce: "n2009",
        }),
      ).toMatchObject({ deny_code: "REPLAY_NONCE", receipt: { seq: 2_013 } });
      expect(await other.decide({ sequence_id: "s", tool: "refund" })).toMatchObject({
        decision: "ALLOW",
        receipt: { seq: 2_014 },
      });
      expect((await receipts("s")).map(({ seq }) => seq)).toEqual(
        Array.from({ length: 2_015 }, (_, i) => i),
      );
    },
  );

  test("a gate that can keep no state at hand decides the same", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS, { cachedRecords: 1 });
    const tools = ["get_order", "get_order", "refund", "close", "refund"];
    for (const tool of tools)
      for (const sequence_id of ["a", "b", "c"]) await gate.decide({ sequence_id, tool });
    for (const sequence_id of ["a", "b", "c"])
      expect(summary(await receipts(sequence_id))).toEqual([
        "open",
        "ALLOW",
        "SEQUENCE_VIOLATION",
        "ALLOW",
        "ALLOW",
        "SEALED_SEQUENCE",
      ]);
  });
});
