/** Recorded requests under another policy: its own policy decides them as it did, another goes its own way. */
import { openTestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RECORDED_ANSWERS } from "./summary.ts";
import {
  type CompiledPolicy,
  createReplay,
  type Decision,
  disclosesArguments,
  type KeySet,
  type JsonObject,
  type Receipt,
  recordHash,
  type ReplayedCall,
} from "../src/index.ts";
import { REFUNDS } from "./policies.ts";
import {
  acts,
  calls,
  contract,
  openSequences,
  PAYMENTS,
  PAYMENTS_PLAIN,
  record,
  type RecordedRun,
} from "./recorded-runs.ts";

/** The records of a run under a policy, with what its host knows. */
function replay(
  run: Pick<RecordedRun, "keys" | "receipts" | "requests" | "contexts">,
  policy: CompiledPolicy,
  given: "everything" | "arguments" | "nothing" = "everything",
): readonly ReplayedCall[] {
  const replayed = createReplay(policy, run.keys);
  return run.receipts.flatMap(({ receipt, hash }) => {
    const args = given === "nothing" ? undefined : run.requests.get(hash)?.args;
    const digest = "context_digest" in receipt ? receipt.context_digest : undefined;
    const context = given === "everything" ? run.contexts.get(digest ?? "") : undefined;
    const call = replayed.take(receipt, hash, {
      ...(args === undefined ? {} : { args: args as JsonObject }),
      ...(context === undefined ? {} : { context }),
    });
    return call ?? [];
  });
}

const KEYS: KeySet = new Map();

/** A run that is written out: what each decision was asked is known by its place. */
async function written(
  document: unknown,
  play: (
    ask: (request: object) => Promise<Decision>,
    host: Awaited<ReturnType<typeof openTestGate>>,
  ) => Promise<void>,
  clock: () => number = () => 1_800_000_000_000,
) {
  const host = await openTestGate(document, { clock });
  const requests = new Map<string, never>();
  const ask = async (request: object): Promise<Decision> => {
    const decision = await host.gate.decide({ sequence_id: "s", ...request } as never);
    if (decision.receipt !== undefined)
      requests.set(recordHash(decision.receipt), request as never);
    return decision;
  };
  await play(ask, host);
  const receipts = (await Array.fromAsync(host.store.lines())).map((line) => {
    const receipt = JSON.parse(line) as Receipt;
    return { receipt, hash: recordHash(receipt) };
  });
  return { keys: KEYS, receipts, requests, contexts: new Map<string, JsonObject>() };
}

const told = (list: readonly ReplayedCall[]): readonly string[] =>
  list.map(({ replayed, assumes }) =>
    [replayed.decision === "DENY" ? replayed.deny_code : replayed.decision, assumes ?? ""]
      .join(" ")
      .trim(),
  );

describe("under the policy that it ran under", () => {
  test("a run is decided as it was, every call of it", async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(contract, acts, async (document, played) => {
        const run = await record(document, played);
        for (const { recorded, replayed } of replay(run, run.policy)) {
          expect(replayed).toEqual(recorded);
          seen.add(recorded.deny_code ?? "ALLOW");
        }
      }),
      { numRuns: 100, seed: 17 },
    );
    // Of runs in which nothing happens every law would hold.
    expect([...seen].sort()).toEqual(RECORDED_ANSWERS.toSorted());
  });

  test.each(["nothing", "arguments"] as const)(
    "nothing is claimed that hangs on what is not given: given %s",
    async (given) => {
      let unknown = 0;
      await fc.assert(
        fc.asyncProperty(contract, acts, async (document, played) => {
          const run = await record(document, played);
          for (const { recorded, replayed } of replay(run, run.policy, given)) {
            if (replayed.decision === "UNKNOWN") unknown++;
            else expect(replayed).toEqual(recorded);
          }
        }),
        { numRuns: 40, seed: 18 },
      );
      expect(unknown).toBeGreaterThan(10);
    },
  );
});

describe("under another policy", () => {
  test("what is answered is what a gate that held that policy from the beginning answers", async () => {
    let flips = 0;
    await fc.assert(
      fc.asyncProperty(contract, contract, calls, async (before, after, played) => {
        const run = await record(before, played);
        const other = await openTestGate(after, { clock: () => 1_800_000_000_000 });
        await openSequences(other.gate);
        const asked = run.receipts.flatMap(({ hash }) => run.requests.get(hash) ?? []);
        const answers = replay(run, other.policy);
        expect(answers).toHaveLength(asked.length);
        for (const [index, { recorded, replayed }] of answers.entries()) {
          const request = asked[index];
          if (request === undefined) return expect.unreachable();
          const said = await other.gate.decide(request);
          // From here on the two may go different ways.
          if (replayed.decision === "UNKNOWN") break;
          const { deny_code, rule } = "deny_code" in said ? said : {};
          expect({ deny_code, rule, ...replayed }).toEqual({
            decision: said.decision,
            deny_code,
            rule,
          });
          if (recorded.deny_code !== replayed.deny_code) flips++;
        }
      }),
      { numRuns: 60, seed: 19 },
    );
    expect(flips).toBeGreaterThan(100);
  });

  test("a call that it denies does not advance, one that it allows does", async () => {
    const run = await written(REFUNDS, async (ask) => {
      for (const tool of ["get_order", "refund", "refund", "close"]) await ask({ tool });
    });
    const once = compilePolicy({ ...REFUNDS, sequence: "lookup, refund, close" });
    expect(told(replay(run, once))).toEqual(["ALLOW", "ALLOW", "SEQUENCE_VIOLATION", "ALLOW"]);
    const other = compilePolicy({ ...REFUNDS, sequence: "refund, close, lookup" });
    expect(told(replay(run, other))).toEqual([
      "SEQUENCE_VIOLATION",
      "ALLOW",
      "SEQUENCE_VIOLATION",
      "ALLOW",
    ]);
  });

  test("a call that came back with an approval was allowed before, where none is asked for", async () => {
    const asking = {
      ...REFUNDS,
      tools: {
        ...REFUNDS.tools,
        get_order: { ...REFUNDS.tools.get_order, approval: { by: ["x"] } },
      },
    };
    const run = await record(PAYMENTS, [
      ["s0", { kind: "call", call: 2, args: { amount: 4.1, to: "anna", id: "a1" }, nonce: "n" }],
      ["s0", { kind: "approve" }],
      ["s0", { kind: "call", call: 2, args: { amount: 4.1, to: "anna", id: "a1" }, nonce: "n" }],
      ["s0", { kind: "outcome" }],
      ["s0", { kind: "call", call: 2, args: { amount: 4.1, to: "anna", id: "a1" }, nonce: "n" }],
    ]);
    expect(told(replay(run, run.policy))).toEqual(["APPROVAL_REQUIRED", "ALLOW", "ALLOW"]);
    const { approval: _, ...transfer } = PAYMENTS.tools.transfer;
    const free = compilePolicy({ ...PAYMENTS, tools: { ...PAYMENTS.tools, transfer } });
    expect(told(replay(run, free))).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
    // And the other way round: nobody approved what asked for nothing.
    const unasked = await written(REFUNDS, async (ask) => void (await ask({ tool: "get_order" })));
    expect(told(replay(unasked, compilePolicy(asking)))).toEqual(["APPROVAL_REQUIRED"]);
  });

  test("a call that hangs on arguments is unknown, and what follows says what it assumes", async () => {
    const run = await written(REFUNDS, async (ask) => {
      await ask({ tool: "refund" });
      await ask({ tool: "get_order", args: { order: 17 } });
      await ask({ tool: "refund" });
      await ask({ tool: "unheard_of" });
    });
    const strict = compilePolicy({
      ...REFUNDS,
      tools: {
        ...REFUNDS.tools,
        get_order: { ...REFUNDS.tools.get_order, when: "args.order > 20" },
      },
    });
    expect(told(replay(run, strict, "nothing"))).toEqual([
      "SEQUENCE_VIOLATION",
      "UNKNOWN",
      "ALLOW 1",
      "NO_POLICY_MATCH 1",
    ]);
    expect(told(replay(run, strict))).toEqual([
      "SEQUENCE_VIOLATION",
      "ARGUMENT_VIOLATION",
      "SEQUENCE_VIOLATION",
      "NO_POLICY_MATCH",
    ]);
  });

  test("what an unknown call may have counted or bound is not known of a later one", async () => {
    const limited = (limits: object) => ({
      ...REFUNDS,
      sequence: "lookup{1,9}, refund, close",
      tools: { get_order: { ...REFUNDS.tools.get_order, ...limits } },
    });
    const run = await written(limited({}), async (ask) => {
      await ask({ tool: "get_order", args: { order: 17 }, agent_id: "anna" });
      await ask({ tool: "get_order", args: { order: 17 }, agent_id: "anna" });
      await ask({ sequence_id: "t", tool: "get_order", args: { order: 17 }, agent_id: "anna" });
    });
    const [first] = run.requests.keys();
    const requests = new Map([...run.requests].filter(([hash]) => hash !== first));
    for (const [limits, reasons] of [
      [
        { when: "args.order > 1", limits: { calls: { max: 2, per: "agent", window: "1h" } } },
        [/arguments/, /counted in its window/, /counted in its window/],
      ],
      [{ bind: { order: "args.order" } }, [/arguments/, /bound and counted before/, undefined]],
      [
        { limits: { sum: { of: "args.order", max: 20 } } },
        [/arguments/, /bound and counted before/, undefined],
      ],
    ] as const) {
      const answers = replay({ ...run, requests }, compilePolicy(limited(limits)));
      for (const [index, { replayed }] of answers.entries()) {
        const reason = reasons[index];
        if (reason === undefined) expect(replayed).toEqual({ decision: "ALLOW" });
        else expect(replayed).toMatchObject({ reason: expect.stringMatching(reason) });
      }
      expect(answers).toHaveLength(3);
    }
  });

  test("limits on calls need no arguments", async () => {
    const run = await written(REFUNDS, async (ask) => {
      for (const tool of ["get_order", "refund", "refund"]) await ask({ tool });
    });
    const tools = { ...REFUNDS.tools, refund: { ...REFUNDS.tools.refund, limits: { calls: 1 } } };
    expect(told(replay(run, compilePolicy({ ...REFUNDS, tools }), "nothing"))).toEqual([
      "ALLOW",
      "ALLOW",
      "LIMIT_EXCEEDED",
    ]);
  });

  test("freshness goes by the time of the record", async () => {
    const run = await written(REFUNDS, async (ask) => {
      await ask({ tool: "get_order", ts_ms: 1_800_000_000_000 - 50_000 });
      await ask({ tool: "get_order", ts_ms: 1_800_000_000_000 - 70_000 });
    });
    expect(told(replay(run, compilePolicy({ ...REFUNDS, freshness: "40s" })))).toEqual([
      "STALE_TIMESTAMP",
      "STALE_TIMESTAMP",
    ]);
    expect(told(replay(run, compilePolicy({ ...REFUNDS, freshness: "80s" })))).toEqual([
      "ALLOW",
      "SEQUENCE_VIOLATION",
    ]);
  });

  test("freshness stands as recorded under the same policy: the gate's clock may have gone back", async () => {
    const clock = { now: 1_800_000_000_000 };
    const run = await written(
      REFUNDS,
      async (ask) => {
        await ask({ tool: "get_order", ts_ms: clock.now });
        clock.now -= 100_000;
        await ask({ tool: "refund", ts_ms: clock.now });
        await ask({ tool: "refund", ts_ms: clock.now + 100_000 });
      },
      () => clock.now,
    );
    const recorded = ["ALLOW", "ALLOW", "STALE_TIMESTAMP"];
    expect(told(replay(run, compilePolicy(REFUNDS)))).toEqual(recorded);
    const renamed = compilePolicy({ ...REFUNDS, version: "2" });
    expect(told(replay(run, renamed))).toEqual(["ALLOW", "STALE_TIMESTAMP", "ALLOW"]);
  });

  test("a step that may have been asked for, or not, leaves open what moves the function to another", async () => {
    const { tools: _, ...plain } = REFUNDS;
    const moved = compilePolicy({
      ...plain,
      functions: {
        ...REFUNDS.functions,
        lookup: { step: "refund", actions: ["READ"] },
        first: { step: "lookup", actions: ["READ"] },
      },
    });
    const run = await written(plain, async (ask) => {
      await ask({ function: "lookup", action_type: "READ" });
      await ask({ function: "lookup", action_type: "READ", step: "close" });
    });
    const [unsaid, said] = replay(run, moved);
    expect(unsaid?.replayed).toEqual({
      decision: "UNKNOWN",
      reason: "its step may not have been asked for",
    });
    // Another step than its own was asked for, for sure: no function has one unasked.
    expect(said?.replayed).toMatchObject({
      deny_code: "NO_POLICY_MATCH",
      rule: "functions.lookup.step",
    });
  });
});

test("arguments are disclosed by their key, and by no other arguments", async () => {
  const run = await record(PAYMENTS_PLAIN, [
    ["s0", { kind: "call", call: 0, args: { amount: 1 }, nonce: "n" }],
  ]);
  const placed = run.receipts.find(({ receipt }) => receipt.kind === "decision");
  if (placed?.receipt.kind !== "decision") return expect.unreachable();
  const key = run.argsKeys.get(placed.hash) ?? "";
  expect(disclosesArguments(placed.receipt, { amount: 1 }, key)).toBe(true);
  expect(disclosesArguments(placed.receipt, { amount: 2 }, key)).toBe(false);
  expect(disclosesArguments(placed.receipt, { amount: 1 }, "00".repeat(32))).toBe(false);
});
