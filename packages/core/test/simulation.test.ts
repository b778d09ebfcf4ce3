/** Simulated calls: what the gate answers to the same calls, without store, keys and records. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePolicy } from "@stepgate/policy";
import { createSimulation, JsonError, type SimulatedSequence } from "../src/index.ts";
import { REFUNDS } from "./policies.ts";
import { calls, contract, PAYMENTS, record } from "./recorded-runs.ts";

test("a simulation answers as the gate does, on every policy and every run of calls", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(contract, calls, async (document, played) => {
      const { policy, receipts, requests, contexts } = await record(document, played);
      const simulation = createSimulation();
      const runs = new Map<string, SimulatedSequence>();
      for (const { receipt, hash } of receipts) {
        if (receipt.kind === "open") {
          const { agent_id = "" } = receipt;
          const run = simulation.open(policy, { agent_id });
          const context = contexts.get(receipt.context_digest ?? "");
          if (context !== undefined) run.addContext(context);
          runs.set(receipt.sequence_id, run);
        }
        // A simulation has no clock, so nothing is stale in it; and what is stale changes nothing.
        if (receipt.kind !== "decision" || receipt.deny_code === "STALE_TIMESTAMP") continue;
        const { decision, deny_code, rule } = receipt;
        const expected = decision === "ALLOW" ? { decision } : { decision, deny_code, rule };
        const { nonce: _nonce, ts_ms: _time, ...call } = requests.get(hash) ?? expect.unreachable();
        expect(runs.get(receipt.sequence_id)?.decide(call)).toEqual(expected);
        seen.add(deny_code ?? "ALLOW");
      }
    }),
    { numRuns: 100, seed: 7 },
  );
  expect([...seen].sort()).toEqual([
    "ACTION_NOT_ALLOWED",
    "ALLOW",
    "APPROVAL_REQUIRED",
    "ARGUMENT_VIOLATION",
    "LIMIT_EXCEEDED",
    "NO_POLICY_MATCH",
    "POLICY_ERROR",
    "SEALED_SEQUENCE",
    "SEQUENCE_VIOLATION",
  ]);
});

describe("a simulated sequence", () => {
  const policy = compilePolicy(PAYMENTS);
  const pay = (to: string, amount = 1) => ({
    sequence_id: "s",
    agent_id: "anna",
    tool: "transfer",
    args: { amount, to, id: "a1" },
  });

  test("takes members of a later context for those of an earlier one", () => {
    const run = createSimulation().open(policy, { agent_id: "anna" });
    expect(run.decide(pay("ben"))).toMatchObject({ rule: "tools.transfer.grounded.to" });
    run.addContext({ payees: ["ben"], other: 1 });
    expect(run.decide(pay("ben"))).toEqual({ decision: "ALLOW" });
    run.addContext({ payees: ["eve"] });
    expect(run.decide(pay("ben"))).toMatchObject({ rule: "tools.transfer.grounded.to" });
    expect(run.decide(pay("eve"))).toEqual({ decision: "ALLOW" });
    expect(() => run.addContext({ big: "x".repeat(65_536) })).toThrow(JsonError);
  });

  test("keeps its context while thousands of others are decided", () => {
    const simulation = createSimulation();
    const runs = Array.from({ length: 2500 }, (_, index) => {
      const run = simulation.open(policy, { agent_id: `agent-${index}` });
      run.addContext({ payees: [`payee-${index}`] });
      return run;
    });
    const answers = [...runs, ...runs].map((run, index) =>
      run.decide({ ...pay(`payee-${index % 2500}`), agent_id: `agent-${index % 2500}` }),
    );
    expect(answers.filter(({ decision }) => decision === "DENY")).toEqual([]);
  });

  test("counts limits by agent over all sequences, and no others", () => {
    const simulation = createSimulation();
    const answers = ["anna", "anna", "ben", "anna", "anna"].map((agent_id) =>
      simulation.open(policy, { agent_id }).decide({ ...pay("anna"), agent_id }),
    );
    expect(answers.map((answer) => ("rule" in answer ? answer.rule : "ALLOW"))).toEqual([
      "ALLOW",
      "ALLOW",
      "ALLOW",
      "ALLOW",
      "tools.transfer.limits.calls",
    ]);
  });

  test("reads requests as strictly as the gate", () => {
    const run = createSimulation().open(compilePolicy(REFUNDS));
    for (const [call, rule] of [
      [{ tool: "get_order" }, "request.sequence_id"],
      [{ sequence_id: "s", tool: "get order" }, "request.tool"],
      [{ sequence_id: "s", tool: "get_order", args: [] }, "request.args"],
      [{ sequence_id: "s", tool: "get_order", agent_id: "eve" }, "request.agent_id"],
      [{ sequence_id: "s", tool: "get_order", tenant: "t" }, "request.tenant"],
      [{ sequence_id: "s", tool: "get_order", step: "lookup" }, "request.tool"],
    ] as const)
      expect(run.decide(call)).toEqual({ decision: "DENY", deny_code: "INVALID_REQUEST", rule });
    expect(run.decide({ sequence_id: "s", tool: "get_order" })).toEqual({ decision: "ALLOW" });
  });

  test("without a policy is denied, whatever it asks for", () => {
    const run = createSimulation().open(undefined);
    run.addContext({ request: "anything" });
    expect(run.decide({ sequence_id: "s", tool: "get_order" })).toEqual({
      decision: "DENY",
      deny_code: "POLICY_UNAVAILABLE",
      rule: "policy",
    });
  });
});
