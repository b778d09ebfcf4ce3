/** Coming back to an interrupted call: when a used nonce is admitted again, and what then holds. */
import { openTestGate, type TestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Allow,
  type Decision,
  exportKeySet,
  importKeySet,
  recordHash,
  verifyReceipts,
} from "../src/index.ts";
import { type HeldClock, heldClock } from "./held-clock.ts";
import { LOAN_APPROVAL, REFUNDS, RESEARCH } from "./policies.ts";
import { summary } from "./summary.ts";

const CALL: ActionInput = {
  sequence_id: "s",
  tool: "get_order",
  args: { order: 17 },
  nonce: "run-1:call-1",
};

interface Interrupted extends TestGate {
  readonly root: Allow;
  readonly hash: string;
  readonly held: HeldClock;
  /** Asks again, as the first time but for `change`. */
  again(change?: object): Promise<Decision>;
  /** Asks again and reports `interrupted` again. */
  around(): Promise<Decision>;
}

/** A sequence whose first call was allowed and interrupted. */
async function interrupted(
  document: object = REFUNDS,
  call: ActionInput = CALL,
  before: readonly ActionInput[] = [],
): Promise<Interrupted> {
  const held = heldClock();
  const opened = await openTestGate(document, { clock: held.clock });
  for (const earlier of before)
    expect(await opened.gate.decide(earlier)).toMatchObject({ decision: "ALLOW" });
  const root = (await opened.gate.decide(call)) as Allow;
  await opened.gate.outcome(root, { status: "interrupted" });
  const again = (change: object = {}): Promise<Decision> => {
    const asked = Object.entries({ ...call, ...change }).filter(([, value]) => value !== undefined);
    return opened.gate.decide(Object.fromEntries(asked) as unknown as ActionInput);
  };
  const around = async (): Promise<Decision> => {
    const decision = await again();
    if (decision.decision === "ALLOW")
      await opened.gate.outcome(decision, { status: "interrupted" });
    return decision;
  };
  return { ...opened, root, hash: recordHash(root.receipt), held, again, around };
}

describe("an interrupted call comes back", () => {
  test("with the same arguments it is allowed again: `resumes` names the root, a new permit, no second advance", async () => {
    const { gate, root, hash, held, again, receipts } = await interrupted();
    held.pass(10_000);
    const decision = (await again()) as Allow;
    expect(decision).toMatchObject({
      decision: "ALLOW",
      args: { order: 17 },
      next_steps: ["refund"],
      earlier: { decision_hash: hash, status: "interrupted" },
    });
    expect(decision.receipt).toMatchObject({
      resumes: hash,
      permit_expires_ms: (root.receipt.permit_expires_ms ?? 0) + 10_000,
    });
    expect(decision.args_key).toBe(root.args_key);
    expect((await gate.state("s")).next_steps).toEqual(["refund"]);
    expect(summary(await receipts("s"))).toEqual(["open", "ALLOW", "outcome interrupted", "ALLOW"]);
  });

  test("only once for each interruption: until its own outcome is `interrupted` the latest ALLOW stands", async () => {
    const { gate, again } = await interrupted();
    const resumed = (await again()) as Allow;
    expect(await again()).toMatchObject({ deny_code: "REPLAY_NONCE" });
    await gate.outcome(resumed, { status: "succeeded" });
    expect(await again()).toMatchObject({
      deny_code: "REPLAY_NONCE",
      earlier: { status: "succeeded" },
    });
  });

  test.each(["succeeded", "failed", "unknown"] as const)(
    "not after the outcome %s",
    async (status) => {
      const { gate } = await openTestGate(REFUNDS);
      await gate.outcome((await gate.decide(CALL)) as Allow, { status });
      expect(await gate.decide(CALL)).toMatchObject({
        deny_code: "REPLAY_NONCE",
        earlier: { status },
      });
    },
  );

  test("not without an outcome, and not after a denial", async () => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.decide(CALL);
    expect(await gate.decide(CALL)).toMatchObject({ deny_code: "REPLAY_NONCE" });
    await gate.decide({ ...CALL, nonce: "denied" });
    expect(await gate.decide({ ...CALL, nonce: "denied" })).toMatchObject({
      deny_code: "REPLAY_NONCE",
      earlier: { deny_code: "SEQUENCE_VIOLATION" },
    });
  });

  test.each<[string, object]>([
    ["other arguments", { args: { order: 18 } }],
    ["no arguments", { args: undefined }],
    ["another tool", { tool: "refund" }],
    ["an unknown tool", { tool: "nothing" }],
    ["the explicit form", { tool: undefined, function: "lookup", action_type: "READ" }],
  ])("with %s it is REPLAY_NONCE, and carries no `resumes`", async (_name, change) => {
    const { again } = await interrupted();
    const decision = await again(change);
    expect(decision).toMatchObject({ deny_code: "REPLAY_NONCE", rule: "nonce" });
    expect(decision.receipt).not.toHaveProperty("resumes");
    expect(await again()).toMatchObject({ decision: "ALLOW" });
  });

  test("in the explicit form: the same function, action type and step, spelt out or not", async () => {
    const call = { sequence_id: "s", function: "intake", action_type: "READ_INPUT", nonce: "n" };
    for (const [change, answer] of [
      [{}, "ALLOW"],
      [{ step: "intake" }, "ALLOW"],
      [{ action_type: "CHECK_STATE" }, "REPLAY_NONCE"],
      [{ function: "disruption", action_type: "CHECK_STATE" }, "REPLAY_NONCE"],
      [{ step: "disruption" }, "REPLAY_NONCE"],
    ] as const) {
      const { again, receipts } = await interrupted(LOAN_APPROVAL, call);
      await again(change);
      expect(summary(await receipts("s")).at(-1)).toBe(answer);
    }
  });

  test("16 times, then REPLAY_NONCE", async () => {
    const { around, hash, receipts } = await interrupted();
    for (let i = 0; i < 16; i++)
      expect(await around()).toMatchObject({ decision: "ALLOW", receipt: { resumes: hash } });
    const last = await around();
    expect(last).toMatchObject({ deny_code: "REPLAY_NONCE" });
    expect(last.receipt).not.toHaveProperty("resumes");
    expect(summary(await receipts("s")).filter((word) => word === "ALLOW")).toHaveLength(17);
  });

  test("a stale return is STALE_TIMESTAMP with `resumes`; it burns nothing and does not count", async () => {
    const { again, around, hash } = await interrupted();
    for (let i = 0; i < 20; i++)
      expect(await again({ ts_ms: 0 })).toMatchObject({
        deny_code: "STALE_TIMESTAMP",
        receipt: { resumes: hash },
      });
    for (let i = 0; i < 16; i++) expect(await around()).toMatchObject({ decision: "ALLOW" });
  });

  test("though the order has gone on meanwhile", async () => {
    const { gate, again } = await interrupted();
    await gate.decide({ sequence_id: "s", tool: "refund" });
    expect(await again()).toMatchObject({
      decision: "ALLOW",
      receipt: { function: "lookup", step: "lookup" },
    });
    expect((await gate.state("s")).next_steps).toEqual(["refund", "close"]);
  });

  test("as the function that it was, where its tool stands for several", async () => {
    const call = { sequence_id: "s", tool: "save", nonce: "n" };
    const { gate, again } = await interrupted(RESEARCH, call, [
      { sequence_id: "s", function: "intake", action_type: "READ_INPUT" },
    ]);
    await gate.decide({ sequence_id: "s", function: "review", action_type: "READ_INPUT" });
    // A new call of this tool would be `archive` by now.
    expect(await again()).toMatchObject({
      decision: "ALLOW",
      receipt: { function: "draft", step: "draft", audience: "ledger" },
    });
    expect(await again({ nonce: "m" })).toMatchObject({
      decision: "ALLOW",
      receipt: { function: "archive" },
    });
  });
});

describe("after a seal", () => {
  const sealing: readonly [object, ActionInput, readonly ActionInput[]] = [
    REFUNDS,
    { sequence_id: "s", tool: "close", nonce: "n" },
    [
      { sequence_id: "s", tool: "get_order" },
      { sequence_id: "s", tool: "refund" },
    ],
  ];

  test("of its own it may come back, and seals no second time", async () => {
    const { gate, root, again } = await interrupted(...sealing);
    expect(root.receipt).toMatchObject({ sealed: true });
    const decision = await again();
    expect(decision).toMatchObject({ decision: "ALLOW", next_steps: [] });
    expect(decision.receipt).not.toHaveProperty("sealed");
    expect((await gate.state("s")).sealed).toBe(true);
    expect(await gate.decide({ sequence_id: "s", tool: "refund" })).toMatchObject({
      deny_code: "SEALED_SEQUENCE",
    });
  });

  test("of another ALLOW it is SEALED_SEQUENCE", async () => {
    const { gate, again } = await interrupted();
    await gate.decide({ sequence_id: "s", tool: "refund" });
    await gate.decide({ sequence_id: "s", tool: "close" });
    expect(await again()).toMatchObject({ deny_code: "SEALED_SEQUENCE", rule: "seal" });
  });

  test("of a person it is SEALED_SEQUENCE, also after its own", async () => {
    const plain = await interrupted();
    await plain.gate.seal("s", "stop");
    expect(await plain.again()).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
    const own = await interrupted(...sealing);
    await own.gate.seal("s", "stop");
    expect(await own.again()).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
  });

  test("by the lifetime's end it is SEALED_SEQUENCE, also after its own", async () => {
    for (const parts of [[], sealing] as const) {
      const { held, again } = await interrupted(...parts);
      held.pass(3_600_001);
      expect(await again()).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
    }
  });

  test("stale comes before sealed, and a replay before sealed", async () => {
    const { gate, again } = await interrupted();
    await gate.seal("s", "stop");
    expect(await again({ ts_ms: 0 })).toMatchObject({ deny_code: "STALE_TIMESTAMP" });
    expect(await again({ args: {} })).toMatchObject({ deny_code: "REPLAY_NONCE" });
  });
});

test("a resumed ALLOW has an outcome of its own", async () => {
  const { gate, root, again } = await interrupted();
  const resumed = (await again()) as Allow;
  expect(await gate.outcome(resumed, { status: "succeeded" })).toMatchObject({
    decision_hash: recordHash(resumed.receipt),
    status: "succeeded",
  });
  expect(await gate.outcome(root, { status: "failed" })).toMatchObject({
    decision_hash: recordHash(root.receipt),
    status: "interrupted",
  });
});

test("a denied return does not end it: the sequence goes on, and the chain of it all verifies", async () => {
  const { gate, key, policy, again, around, receipts } = await interrupted();
  await again({ ts_ms: 0 });
  await around();
  await again({ args: { order: 18 } });
  await gate.decide({ sequence_id: "s", tool: "refund" });
  const last = (await again()) as Allow;
  await gate.outcome(last, { status: "succeeded" });
  await gate.decide({ sequence_id: "s", tool: "close" });
  await again();
  await gate.seal("s", "audited");
  await again();
  const report = await verifyReceipts(await receipts("s"), {
    keys: importKeySet(exportKeySet([key])),
    policies: [policy],
  });
  expect(report.findings).toEqual([]);
  expect(report.sequences).toMatchObject([{ verdict: "SEALED" }]);
});
