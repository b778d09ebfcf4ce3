/** How things end: the outcome of one ALLOW, a person's seal, and what a crash left open. */
import { openTestGate, sequenceLines } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Allow,
  createGate,
  type Gate,
  generateSigningKey,
  memoryStore,
  type OutcomeNote,
  recordHash,
  type Store,
} from "../src/index.ts";
import { heldClock } from "./held-clock.ts";
import { REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const NOTE = { sequence_id: "s", function: "note", action_type: "READ" } as const;
const CALL: ActionInput = { sequence_id: "s", tool: "get_order", args: { order: 17 } };

async function allowed(gate: Gate, input: ActionInput = CALL): Promise<Allow> {
  const decision = await gate.decide(input);
  if (decision.decision !== "ALLOW") throw new Error(decision.message);
  return decision;
}

describe("an outcome", () => {
  test.each(["succeeded", "failed", "interrupted", "unknown"] as const)(
    "%s is recorded for the ALLOW that it closes",
    async (status) => {
      const { gate, receipts } = await openTestGate(REFUNDS);
      const allow = await allowed(gate);
      const outcome = await gate.outcome(allow, { status, duration_ms: 12 });
      expect(outcome).toMatchObject({
        kind: "outcome",
        status,
        duration_ms: 12,
        decision_hash: recordHash(allow.receipt),
        seq: 2,
      });
      expect(await receipts("s")).toContainEqual(outcome);
    },
  );

  test("is one: the first stands and is what every later note gets", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const allow = await allowed(gate);
    const first = await gate.outcome(allow, { status: "succeeded" });
    for (const status of ["failed", "succeeded", "interrupted"] as const)
      expect(await gate.outcome(allow, { status })).toEqual(first);
    const others = await Promise.all(
      Array.from({ length: 10 }, () => gate.outcome(allow, { status: "unknown" })),
    );
    for (const other of others) expect(other).toEqual(first);
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "outcome succeeded"]);
  });

  test("digests a result that is JSON, and leaves out one that is not or is too large", async () => {
    const { gate } = await openTestGate(REFUNDS);
    for (const [result, digested] of [
      [{ a: [1] }, true],
      [null, true],
      ["text", true],
      ["x".repeat(256 * 1024 - 2), true],
      ["x".repeat(256 * 1024 - 1), false],
      [undefined, false],
      [new Date(0), false],
      [{ a: undefined }, false],
      [10n, false],
      [() => 1, false],
    ] as const) {
      const outcome = await gate.outcome(
        await allowed(gate, { sequence_id: "s", function: "note", action_type: "READ" }),
        { status: "succeeded", result },
      );
      expect(["result_digest" in outcome, String(result).slice(0, 20)]).toEqual([
        digested,
        String(result).slice(0, 20),
      ]);
    }
  });

  test("needs the ALLOW's `args_key`, also where an outcome stands already", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const allow = await allowed(gate);
    const forged = { ...allow, args_key: "0".repeat(64) };
    await expect(gate.outcome(forged, { status: "succeeded" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("args_key"),
    });
    await gate.outcome(allow, { status: "failed" });
    for (const args_key of ["0".repeat(64), "", allow.args_key.slice(1), undefined as never])
      await expect(
        gate.outcome({ ...allow, args_key }, { status: "succeeded" }),
      ).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "outcome failed"]);
  });

  test("of an ALLOW that this log does not hold, of a denial, or of no decision is INVALID_INPUT", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const elsewhere = await allowed((await openTestGate(REFUNDS)).gate);
    const allow = await allowed(gate);
    const denial = await gate.decide(CALL);
    const altered = { ...allow, receipt: { ...allow.receipt, nonce: "another" } };
    for (const what of [
      elsewhere,
      denial,
      altered,
      {},
      { ...allow, decision: "DENY" },
      { ...allow, receipt: undefined },
    ])
      await expect(gate.outcome(what as Allow, { status: "succeeded" })).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
  });

  test.each<[string, object]>([
    ["status", { status: "done" }],
    ["status", {}],
    ["duration_ms", { status: "failed", duration_ms: 1.5 }],
    ["duration_ms", { status: "failed", duration_ms: -1 }],
    ["duration_ms", { status: "failed", duration_ms: Number.NaN }],
  ])("with a bad %s is INVALID_INPUT", async (member, note) => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const allow = await allowed(gate);
    await expect(gate.outcome(allow, note as OutcomeNote)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining(`${member}:`),
    });
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW"]);
  });

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

  test("comes through after the seal and after the lifetime's end", async () => {
    const clock = heldClock();
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: clock.clock });
    const allow = await allowed(gate);
    await gate.seal("s", "stop");
    clock.pass(86_400_000);
    await gate.outcome(allow, { status: "succeeded" });
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "seal", "outcome succeeded"]);
  });
});

describe("a person's seal", () => {
  test("is one: a second is the first", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s" });
    const first = await gate.seal("s", "enough", "alice");
    expect(await gate.seal("s", "again", "bob")).toEqual(first);
    expect(summary(await receipts("s"))).toEqual(["open", "seal"]);
  });

  test.each([undefined, null, 5, {}, ["stop"]])(
    "a seal with the reason %o is INVALID_INPUT, not a record without a reason",
    async (reason) => {
      const { gate, store } = await openTestGate(REFUNDS);
      await gate.open({ sequence_id: "s" });
      await expect(gate.seal("s", reason as string)).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
      expect(await sequenceLines(store)).toHaveLength(1);
    },
  );

  test("may follow the seal of an ALLOW", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    for (const tool of ["get_order", "refund", "close"])
      await gate.decide({ sequence_id: "s", tool });
    expect(await gate.seal("s", "audited")).toMatchObject({ by: "host", reason: "audited" });
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "ALLOW", "ALLOW", "seal"]);
  });

  test("of an unopened sequence is NOT_OPENED; without a printable reason or a name INVALID_INPUT", async () => {
    const { gate, store } = await openTestGate(REFUNDS);
    await expect(gate.seal("s", "stop")).rejects.toMatchObject({ code: "NOT_OPENED" });
    await gate.open({ sequence_id: "s" });
    for (const [reason, by] of [
      ["", "alice"],
      ["x".repeat(201), "alice"],
      ["line\nfeed", "alice"],
      ["für", "alice"],
      ["stop", ""],
      ["stop", "a b"],
    ] as const)
      await expect(gate.seal("s", reason, by)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await sequenceLines(store)).toHaveLength(1);
  });
});

describe("what a crash left open", () => {
  const parts = {
    policies: [compilePolicy(REFUNDS)],
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
  };

  /** A store in which gate-a left one ALLOW open at noon; its permit lasts one minute. */
  async function crashed() {
    const clock = heldClock();
    const store = memoryStore();
    const gate = await createGate({ ...parts, store, clock: clock.clock, gateId: "gate-a" });
    const allow = await allowed(gate);
    const done = await allowed(gate, { sequence_id: "s", tool: "refund" });
    await gate.outcome(done, { status: "succeeded" });
    const restart = async (gateId: string) => {
      const again = await createGate({ ...parts, store, clock: clock.clock, gateId });
      return { gate: again, words: summary(await Array.fromAsync(again.receipts("s"))) };
    };
    return { clock, allow, restart };
  }
  const LEFT_OPEN = ["open", "ALLOW", "ALLOW", "outcome succeeded"];

  test("is closed as `unknown` by the gate of the same gate_id at its start, at once", async () => {
    const { allow, restart } = await crashed();
    const { gate, words } = await restart("gate-a");
    expect(words).toEqual([...LEFT_OPEN, "outcome unknown"]);
    expect(await gate.outcome(allow, { status: "succeeded" })).toMatchObject({
      status: "unknown",
      decision_hash: recordHash(allow.receipt),
    });
    expect((await restart("gate-a")).words).toEqual(words);
  });

  test("is left by another gate until ten minutes after the permit's end", async () => {
    const { clock, restart } = await crashed();
    expect((await restart("gate-b")).words).toEqual(LEFT_OPEN);
    clock.pass(60_000 + 600_000);
    expect((await restart("gate-b")).words).toEqual(LEFT_OPEN);
    clock.pass(1);
    expect((await restart("gate-b")).words).toEqual([...LEFT_OPEN, "outcome unknown"]);
  });

  test("may not come back: `unknown` is not `interrupted`", async () => {
    const { allow, restart } = await crashed();
    const { gate } = await restart("gate-a");
    expect(await gate.decide({ ...CALL, nonce: allow.receipt.nonce ?? "" })).toMatchObject({
      deny_code: "REPLAY_NONCE",
      earlier: { status: "unknown" },
    });
  });

  test("of a policy that is no longer held is closed all the same", async () => {
    const { clock, restart } = await crashed();
    await restart("gate-b");
    const store = memoryStore();
    const before = await createGate({ ...parts, store, clock: clock.clock, gateId: "gate-a" });
    await allowed(before);
    const other = compilePolicy({ ...REFUNDS, version: "2" });
    const after = await createGate({
      ...parts,
      policies: [other],
      store,
      clock: clock.clock,
      gateId: "gate-a",
    });
    expect(summary(await Array.fromAsync(after.receipts("s")))).toEqual([
      "open",
      "ALLOW",
      "outcome unknown",
    ]);
  });

  test("in a sequence that is full keeps no gate from starting", async () => {
    const store = memoryStore();
    const before = await createGate({ ...parts, store, gateId: "gate-a" });
    await allowed(before, NOTE);
    await allowed(before, { ...NOTE, sequence_id: "t" });
    const after = await createGate({ ...parts, store, gateId: "gate-a", maxRecords: 2 });
    expect(await Array.fromAsync(after.receipts("s"))).toHaveLength(2);
  });

  test("in a sequence whose chain is broken keeps neither the gate from starting nor the others open", async () => {
    const store = memoryStore();
    const before = await createGate({ ...parts, store, gateId: "gate-a" });
    await allowed(before, NOTE);
    await allowed(before, { ...NOTE, sequence_id: "t" });
    const broken: Store = {
      ...store,
      read: async (id, from, count) => (id === "s" ? ["no JSON"] : store.read(id, from, count)),
    };
    const after = await createGate({ ...parts, store: broken, gateId: "gate-a" });
    expect(await after.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    expect(summary(await Array.fromAsync(after.receipts("t")))).toEqual([
      "open",
      "ALLOW",
      "outcome unknown",
    ]);
  });

  test("is told by the store: every ALLOW without an outcome, and nothing else", async () => {
    const clock = heldClock();
    const store = memoryStore();
    const gate = await createGate({ ...parts, store, clock: clock.clock, gateId: "gate-a" });
    await gate.decide({ sequence_id: "s", tool: "close" });
    const allow = await allowed(gate);
    const done = await allowed(gate, { sequence_id: "s", tool: "refund" });
    await gate.outcome(done, { status: "succeeded" });
    await gate.seal("s", "stop");
    expect(await Array.fromAsync(store.openAllows())).toEqual([
      {
        sequence_id: "s",
        hash: recordHash(allow.receipt),
        gate_id: "gate-a",
        expires_ms: clock.clock() + 60_000,
      },
    ]);
  });
});
