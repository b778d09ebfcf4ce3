/** The fold of a chain: what records say is what the state is, in the order in which they stand. */
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type Allow,
  type CompiledPolicy,
  type Decision,
  type OutcomeReceipt,
  type Receipt,
  receiptLine,
  recordHash,
} from "../src/index.ts";
import { permittedTools } from "../src/decide.ts";
import { stepsAfter } from "../src/sequence.ts";
import { applyReceipt, openState, type SequenceState } from "../src/sequence-state.ts";
import { keySetOf, person, statement } from "./people.ts";
import { REFUNDS } from "./policies.ts";

async function chain() {
  const { gate, policy, receipts } = await openTestGate(REFUNDS);
  const first = (await gate.decide({ sequence_id: "s", tool: "get_order", nonce: "n" })) as Allow;
  await gate.outcome(first, { status: "interrupted" });
  await gate.decide({ sequence_id: "s", tool: "get_order", nonce: "n" });
  await gate.decide({ sequence_id: "s", tool: "refund" });
  await gate.decide({ sequence_id: "s", tool: "close" });
  const written = await receipts("s");
  return { gate, policy, receipts, first, written, fold: foldBy(policy) };
}

function foldBy(
  policy: CompiledPolicy | undefined,
): (records: readonly Receipt[]) => SequenceState {
  return ([opened, ...rest]) => {
    if (opened?.kind !== "open") throw new Error("a chain begins with `open`");
    const state = openState(opened, recordHash(opened), policy);
    for (const receipt of rest) applyReceipt(state, receipt, recordHash(receipt));
    return state;
  };
}

/** A chain with all that Level 2 adds: bindings, sums, counts, constraints, a context, statements of two people. */
async function chainOfLevelTwo(): Promise<{
  readonly written: readonly Receipt[];
  readonly policy: CompiledPolicy;
}> {
  const [anna, ben] = [person({ roles: ["boss"] }), person({ roles: ["boss"] })];
  const conditions = {
    bind: { order: "args.order" },
    limits: { sum: { of: "args.n", max: 9 }, calls: 5 },
    approval: { when: "args.n > 1.0", by: ["boss"] },
  };
  const refund = { ...REFUNDS.tools.refund, ...conditions };
  const constraints = [{ precedence: ["lookup", "refund"] }];
  const { gate, policy, receipts } = await openTestGate(
    { ...REFUNDS, tools: { ...REFUNDS.tools, refund }, constraints },
    { approvers: keySetOf([anna, ben]) },
  );
  const pay = (n: number): Promise<Decision> =>
    gate.decide({ sequence_id: "s", tool: "refund", args: { n, order: 1 }, nonce: `n${n}` });
  await gate.open({ sequence_id: "s", context: { by: "mail" } });
  await gate.decide({ sequence_id: "s", tool: "get_order" });
  await pay(1);
  const denial = await pay(2);
  await gate.approve(statement(denial, anna));
  await gate.approve(statement(denial, ben, { verdict: "reject" }));
  await gate.approve(statement(denial, ben, { expires_ms: Number.MAX_SAFE_INTEGER - 1 }));
  await gate.addContext("s", { by: "phone" });
  await gate.outcome((await pay(2)) as Allow, { status: "interrupted" });
  await pay(2);
  await gate.decide({ sequence_id: "s", tool: "close" });
  return { written: await receipts("s"), policy };
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

  test("of Level 2 neither, nor on what knows it by heart: bytes read again say the same", async () => {
    const { written, policy } = await chainOfLevelTwo();
    const fold = foldBy(policy);
    const whole = fold(written);
    expect(whole.totals).toEqual(new Map([["tools.refund.limits.sum", "3"]]));
    expect(whole.calls).toEqual(new Map([["tools.refund.limits.calls", 2]]));
    expect(whole.fired).toEqual([true]);
    expect([...whole.binds.keys()]).toEqual(["order"]);
    expect(whole.contexts).toHaveLength(2);
    expect(whole.sealed).toMatchObject({ person: false });
    for (let cut = 1; cut < written.length; cut++) {
      const state = fold(written.slice(0, cut));
      for (const receipt of written.slice(cut)) {
        const again = JSON.parse(receiptLine(receipt)) as Receipt;
        applyReceipt(state, again, recordHash(again));
      }
      expect(state).toEqual(whole);
    }
  });

  test("without the policy knows everything but the order", async () => {
    const { written, fold } = await chain();
    const state = foldBy(undefined)(written);
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
