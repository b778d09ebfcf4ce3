/** The fold of a chain: what records say is what the state is, in the order in which they stand. */
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import { type Allow, type OutcomeReceipt, type Receipt, recordHash } from "../src/index.ts";
import { permittedTools } from "../src/decide.ts";
import { stepsAfter } from "../src/sequence.ts";
import { applyReceipt, openState, type SequenceState } from "../src/sequence-state.ts";
import { REFUNDS } from "./policies.ts";

async function chain() {
  const { gate, policy, receipts } = await openTestGate(REFUNDS);
  const first = (await gate.decide({ sequence_id: "s", tool: "get_order", nonce: "n" })) as Allow;
  await gate.outcome(first, { status: "interrupted" });
  await gate.decide({ sequence_id: "s", tool: "get_order", nonce: "n" });
  await gate.decide({ sequence_id: "s", tool: "refund" });
  await gate.decide({ sequence_id: "s", tool: "close" });
  const written = await receipts("s");
  const fold = (records: readonly Receipt[]): SequenceState => {
    const [opened, ...rest] = records;
    if (opened?.kind !== "open") throw new Error("a chain begins with `open`");
    const state = openState(opened, recordHash(opened), policy);
    for (const receipt of rest) applyReceipt(state, receipt, recordHash(receipt));
    return state;
  };
  return { gate, policy, receipts, first, written, fold };
}

describe("the fold", () => {
  test("does not depend on where it is cut", async () => {
    const { written, fold } = await chain();
    const whole = fold(written);
    for (let cut = 1; cut < written.length; cut++) {
      const state = fold(written.slice(0, cut));
      for (const receipt of written.slice(cut)) applyReceipt(state, receipt, recordHash(receipt));
      expect(state).toEqual(whole);
    }
    expect(whole.head).toMatchObject({ seq: written.length - 1 });
  });

  test("without the policy knows everything but the order", async () => {
    const { written, fold } = await chain();
    const [opened, ...rest] = written;
    if (opened?.kind !== "open") throw new Error("a chain begins with `open`");
    const state = openState(opened, recordHash(opened), undefined);
    for (const receipt of rest) applyReceipt(state, receipt, recordHash(receipt));
    expect({ ...state, position: 0 }).toEqual({ ...fold(written), policy: undefined, position: 0 });
    expect(state.position).toBe(0);
  });

  test("of two outcomes of one ALLOW on record, the first stands", async () => {
    const { first, written, fold } = await chain();
    const second = {
      ...(written[2] as OutcomeReceipt),
      seq: written.length,
      status: "failed",
    } satisfies OutcomeReceipt;
    const state = fold([...written, second]);
    expect(state.allows.get(recordHash(first.receipt))?.outcome).toEqual({
      status: "interrupted",
      seq: 2,
    });
    expect(state.nonces.get("n")?.status).toBeUndefined();
  });

  test("of a sealed sequence no tool is permitted and no step is next, wherever the order stands", async () => {
    const { policy, gate, receipts, written, fold } = await chain();
    expect(permittedTools(policy, fold(written.slice(0, -1)))).toEqual(["close", "refund"]);
    expect(permittedTools(policy, fold(written))).toEqual([]);
    expect(stepsAfter(policy, fold(written))).toEqual([]);
    await gate.decide({ sequence_id: "t", tool: "get_order" });
    await gate.seal("t", "stop");
    const stopped = fold(await receipts("t"));
    expect(permittedTools(policy, stopped)).toEqual([]);
    expect(stepsAfter(policy, stopped)).toEqual([]);
  });
});
