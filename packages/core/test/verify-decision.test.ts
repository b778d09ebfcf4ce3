/** One decision in its chain: its nonce, what it comes back to, its approvals, its policy, and what its effects can be. */
import { describe, expect, test } from "vitest";
import { approvalInput } from "../src/approval.ts";
import type {
  CompiledConditions,
  CompiledFunction,
  CompiledPolicy,
} from "../src/compiled-policy.ts";
import { importKeySet } from "../src/key-set.ts";
import type { DecisionReceipt } from "../src/receipt.ts";
import { generateSigningKey, type SigningKey } from "../src/signing-key.ts";
import { callForm } from "../src/verify-decision.ts";
import {
  allowed,
  denied,
  type Drafted,
  ended,
  faultsOf,
  held,
  linked,
  opened,
  policyByHand,
  sealing,
} from "./chain-by-hand.ts";

const context: Drafted = { kind: "context", mode: "enforce", agent_id: "a", context_digest: "c" };

/** What is found of these after an opening, without the policy. */
function found(...drafts: readonly Drafted[]): readonly string[] {
  return faultsOf(linked(opened(), ...drafts));
}

/** What is found of these after an opening, under this policy. */
function foundBy(policy: CompiledPolicy, ...drafts: readonly Drafted[]): readonly string[] {
  return faultsOf(linked(opened(), ...drafts), held(policy));
}

/** The policy with these conditions on function `f`. */
function under(conditions: Partial<CompiledConditions>): CompiledPolicy {
  const { functions } = policyByHand();
  const f = functions.get("f") as CompiledFunction;
  const whole = { path: "functions.f", grounded: [], bind: [], ...conditions };
  return policyByHand({ functions: new Map([...functions, ["f", { ...f, conditions: whole }]]) });
}

describe("a nonce", () => {
  test("is used once, by whatever was answered", () => {
    const again = "2 DUPLICATE_NONCE: its nonce was used before";
    for (const first of [allowed("n"), denied("n", "NO_POLICY_MATCH", "functions")])
      for (const second of [allowed("n"), denied("n", "NO_POLICY_MATCH", "functions")])
        expect(found(first, second)).toEqual([again]);
    expect(found(allowed("n"), allowed("m"))).toEqual([]);
  });

  test.each(["STALE_TIMESTAMP", "REPLAY_NONCE", "INVALID_REQUEST", "POLICY_UNAVAILABLE"])(
    "is not used by %s",
    (code) => {
      expect(found(denied("n", code, "rule"), allowed("n"), denied("n", code, "rule"))).toEqual([]);
      expect(found(allowed("n"), denied("n", code, "rule", { nonce: undefined }))).toEqual([]);
    },
  );
});

describe("a call comes back", () => {
  const back = allowed("n", { resumes: "hash 1" });
  const mayNot = (at: number): string => `${at} OUTCOME_MISMATCH: resumes what may not come back`;

  test("to its ALLOW that was interrupted, by its own hash, with its own arguments", () => {
    expect(found(allowed("n"), ended(1, "interrupted"), back)).toEqual([]);
    expect(
      found(allowed("n"), ended(1, "interrupted"), back, ended(3, "interrupted"), back),
    ).toEqual([]);
    expect(found(allowed("n"), back)).toEqual([mayNot(2)]);
    expect(found(allowed("n"), ended(1, "failed"), back)).toEqual([mayNot(3)]);
    for (const change of [
      { resumes: "hash 2" },
      { args_digest: "others" },
      { nonce: "m" },
      { function: "g" },
      { action_type: "UNDO" },
      { step: "g" },
      { tool: "t" },
    ])
      expect(found(allowed("n"), ended(1, "interrupted"), { ...back, ...change })).toEqual([
        mayNot(3),
      ]);
  });

  test("to the denial that asked for an approval, and to no other", () => {
    const asked = denied("n", "APPROVAL_REQUIRED", "functions.f.approval");
    expect(found(asked, context, back)).toEqual([]);
    expect(found(asked, denied("n", "LIMIT_EXCEEDED", "x", { resumes: "hash 1" }))).toEqual([]);
    expect(found(asked, context, { ...back, resumes: "hash 2" })).toEqual([mayNot(3)]);
    expect(found(denied("n", "LIMIT_EXCEEDED", "x"), back)).toEqual([mayNot(2)]);
  });

  test("counted once: at its first ALLOW, which one after an approval is", () => {
    const twice = (at: number): string => `${at} OUTCOME_MISMATCH: counts a resumed call again`;
    const effects = { totals: { x: "1" } };
    for (const change of [{ sealed: true }, { effects }]) {
      const [first, again] = [allowed("n"), { ...back, ...change }];
      expect(found(first, ended(1, "interrupted"), again)).toEqual([twice(3)]);
      const asked = denied("n", "APPROVAL_REQUIRED", "functions.f.approval");
      expect(found(asked, context, again)).toEqual([]);
    }
  });
});

describe("an approval", () => {
  const keyOf = (): SigningKey => generateSigningKey();
  const [ana, ben, carl, guest, stranger] = [keyOf(), keyOf(), keyOf(), keyOf(), keyOf()] as const;
  const keys = importKeySet({
    keys: [
      { ...ana.publicJwk, roles: ["r"] },
      { ...ben.publicJwk, roles: ["r", "q"] },
      { ...carl.publicJwk, roles: ["q"] },
      { ...guest.publicJwk, roles: [] },
    ],
  });
  const asked = denied("n", "APPROVAL_REQUIRED", "functions.f.approval");
  const done = allowed("n", { resumes: "hash 1" });
  const LACKS = "APPROVAL_MISMATCH: was allowed without the approvals that it needed";

  function says(by: SigningKey, verdict: "approve" | "reject" = "approve", expires_ms = 5000) {
    const statement = { log_id: "log-1", sequence_id: "s", request: "hash 1", verdict, expires_ms };
    const bytes = by.sign(new TextEncoder().encode(approvalInput(statement))) as Uint8Array;
    const approver_sig = `ed25519=${Buffer.from(bytes).toString("hex")}`;
    return { kind: "approval", ...statement, approver_key_id: by.keyId, approver_sig };
  }
  const judged = (policy: CompiledPolicy | undefined, ...drafts: readonly Drafted[]) =>
    faultsOf(linked(opened(), ...drafts), { keys, ...(policy && held(policy)) });

  describe("where nobody knows the policy", () => {
    test("is that of some person with a role, valid still", () => {
      expect(judged(undefined, asked, done)).toEqual([`2 ${LACKS}`]);
      expect(judged(undefined, asked, says(ana), done)).toEqual([]);
      expect(judged(undefined, asked, says(ana, "reject"), done)).toEqual([`3 ${LACKS}`]);
      expect(judged(undefined, asked, says(ana, "reject"), says(ben), done)).toEqual([]);
      expect(judged(undefined, asked, says(guest), done)).toEqual([`3 ${LACKS}`]);
      const at = (ts_ms: number): Drafted => ({ ...done, ts_ms });
      expect(judged(undefined, asked, says(ana), at(4999))).toEqual([]);
      expect(judged(undefined, asked, says(ana), at(5000))).toEqual([`3 ${LACKS}`]);
    });

    test("is not asked for where the context changed since, or another function is allowed", () => {
      expect(judged(undefined, asked, context, done)).toEqual([]);
      expect(judged(undefined, context, asked, { ...done, resumes: "hash 2" })).toEqual([
        `3 ${LACKS}`,
      ]);
      const tool = { tool: "t" };
      expect(judged(undefined, { ...asked, ...tool }, { ...done, ...tool, function: "g" })).toEqual(
        [],
      );
      expect(judged(undefined, { ...asked, ...tool }, { ...done, ...tool })).toEqual([
        `2 ${LACKS}`,
      ]);
    });

    test("is asked for by the denial that says so, and of an ALLOW alone", () => {
      expect(judged(undefined, allowed("n"))).toEqual([]);
      expect(judged(undefined, allowed("n"), ended(1, "interrupted"), done)).toEqual([]);
      const refused = denied("n", "LIMIT_EXCEEDED", "x", { resumes: "hash 1" });
      expect(judged(undefined, asked, refused)).toEqual([]);
    });
  });

  describe("where the policy is held", () => {
    const always = under({ approval: { count: 2, by: new Set(["r"]) } });
    const sometimes = under({ approval: { when: () => true, count: 1, by: new Set(["q"]) } });

    test("is always needed, or where a denial by that very condition asked for it", () => {
      expect(judged(always, allowed("n"))).toEqual([`1 ${LACKS}`]);
      expect(judged(sometimes, allowed("n"))).toEqual([]);
      expect(judged(sometimes, asked, done)).toEqual([`2 ${LACKS}`]);
      expect(judged(sometimes, asked, context, done)).toEqual([]);
      expect(judged(policyByHand(), allowed("n"))).toEqual([]);
      const [first] = judged(sometimes, { ...asked, rule: "tools.t.approval" }, done);
      expect(first).toContain("1 DECISION_MISMATCH");
      expect(judged(sometimes, { ...asked, rule: "tools.t.approval" }, done)).toHaveLength(1);
    });

    test("is by as many as it takes, in the roles that it takes", () => {
      expect(judged(always, asked, says(ana), says(ben), done)).toEqual([]);
      expect(judged(always, asked, says(ana), done)).toEqual([`3 ${LACKS}`]);
      expect(judged(always, asked, says(ana), says(carl), done)).toEqual([`4 ${LACKS}`]);
      expect(judged(sometimes, asked, says(ana), done)).toEqual([`3 ${LACKS}`]);
      expect(judged(sometimes, asked, says(carl), done)).toEqual([]);
      expect(judged(sometimes, asked, says(carl), { ...done, ts_ms: 5000 })).toEqual([
        `3 ${LACKS}`,
      ]);
    });

    test("is not told where a key is unknown: what its statement is worth nobody can say", () => {
      const unknown = `2 UNKNOWN_KEY: approver's key '${stranger.keyId}' is not trusted`;
      expect(judged(always, asked, says(stranger), says(ana), done)).toEqual([unknown]);
      expect(judged(undefined, asked, says(stranger), done)).toEqual([unknown]);
    });

    test("is looked at before the policy is, and after what the call comes back to", () => {
      const [, other] = judged(undefined, asked, { ...done, policy_id: "q" });
      expect(other).toBeUndefined();
      expect(judged(undefined, asked, { ...done, policy_id: "q" })).toEqual([`2 ${LACKS}`]);
    });
  });
});

test.each(["policy_id", "policy_version", "policy_digest"])(
  "a decision is under the policy of its opening: %s",
  (member) => {
    expect(found(allowed("n", { [member]: "another" }))).toEqual([
      "1 POLICY_MISMATCH: was decided under another policy than its opening",
    ]);
  },
);

describe("a decision is decided again", () => {
  const policy = policyByHand();
  const gives = (what: string): readonly string[] => [
    `1 DECISION_MISMATCH: the policy gives ${what}`,
  ];

  test("and is what the policy gives, by the same rule", () => {
    expect(foundBy(policy, allowed("n"), sealing("m"))).toEqual([]);
    expect(foundBy(policy, denied("n", "SEQUENCE_VIOLATION", "sequence"))).toEqual(gives("ALLOW"));
    const wrongAction = denied("n", "ACTION_NOT_ALLOWED", "functions.f.actions", {
      action_type: "UNDO",
    });
    expect(foundBy(policy, wrongAction)).toEqual([]);
    const wanted = gives("ACTION_NOT_ALLOWED (functions.f.actions)");
    expect(foundBy(policy, { ...wrongAction, rule: "another" })).toEqual(wanted);
    expect(foundBy(policy, { ...wrongAction, deny_code: "SEQUENCE_VIOLATION" })).toEqual(wanted);
    expect(foundBy(policy, allowed("n", { action_type: "UNDO" }))).toEqual(wanted);
  });

  test("and seals what it seals", () => {
    expect(foundBy(policy, allowed("n", { sealed: true }))).toEqual(gives("ALLOW"));
    expect(foundBy(policy, sealing("n", { sealed: undefined }))).toEqual(gives("ALLOW"));
  });

  test.each(["step", "function", "action_type", "audience"])(
    "and names what it names: %s",
    (member) => {
      expect(foundBy(policy, allowed("n", { [member]: "another" }))[0]).toContain(
        "1 DECISION_MISMATCH",
      );
    },
  );

  test("and says what of a tool the policy says", () => {
    const tools = new Map([["t", { name: "t", functions: ["f"], action: "DO", audience: "x" }]]);
    const withTool = policyByHand({ tools });
    const call = allowed("n", { tool: "t", audience: "x" });
    expect(foundBy(withTool, call)).toEqual([]);
    for (const change of [{ audience: undefined }, { audience: "y" }, { step: undefined }])
      expect(foundBy(withTool, { ...call, ...change })).toEqual(gives("ALLOW"));
  });

  test("but for what no policy could read, and for the clock of its gate", () => {
    for (const code of ["INVALID_REQUEST", "POLICY_UNAVAILABLE"])
      expect(foundBy(policy, denied("n", code, "x", { function: "g" }))).toEqual([]);
    expect(foundBy(policy, denied("n", "STALE_TIMESTAMP", "freshness"))).toEqual([]);
    expect(foundBy(policy, denied("n", "STALE_TIMESTAMP", "x"))).toEqual(gives("ALLOW"));
    expect(foundBy(policy, denied("n", "ACTION_NOT_ALLOWED", "freshness"))).toEqual(gives("ALLOW"));
    expect(foundBy(policy, denied("n", "STALE_TIMESTAMP", "freshness", { audience: "x" }))).toEqual(
      gives("ALLOW"),
    );
  });

  test("and comes back to what it came back to, stale or not", () => {
    const [first, stale] = [allowed("n"), denied("n", "STALE_TIMESTAMP", "freshness")];
    const resumes = { resumes: "hash 1" };
    expect(foundBy(policy, first, ended(1, "interrupted"), { ...stale, ...resumes })).toEqual([]);
    expect(foundBy(policy, first, ended(1, "interrupted"), stale)).toEqual([
      "3 DECISION_MISMATCH: the policy gives ALLOW",
    ]);
    expect(foundBy(policy, first, ended(1, "interrupted"), { ...first, ...resumes })).toEqual([]);
  });

  test("at its own time", () => {
    const late = 1000 + policy.lifetimeMs;
    expect(foundBy(policy, allowed("n", { ts_ms: late }))).toEqual([]);
    expect(foundBy(policy, allowed("n", { ts_ms: late + 1 }))).toEqual(
      gives("SEALED_SEQUENCE (seal)"),
    );
  });

  test("but for what took arguments, which is believed where the policy has that condition", () => {
    const limited = under({ calls: { max: "1" }, when: () => true });
    const [when, limit] = [
      denied("n", "ARGUMENT_VIOLATION", "functions.f.when"),
      denied("m", "LIMIT_EXCEEDED", "functions.f.limits.calls"),
    ];
    expect(foundBy(limited, when, limit)).toEqual([]);
    expect(foundBy(limited, denied("n", "POLICY_ERROR", "functions.f.when"))).toEqual([]);
    expect(foundBy(limited, { ...when, rule: "functions.f.args" })).toEqual(gives("ALLOW"));
    expect(foundBy(limited, { ...when, rule: undefined })).toEqual(gives("ALLOW"));
    expect(foundBy(policy, when)).toEqual(gives("ALLOW"));
    expect(foundBy(limited, { ...when, action_type: "UNDO" })).toEqual(
      gives("ACTION_NOT_ALLOWED (functions.f.actions)"),
    );
    const approved = under({ approval: { when: () => true, count: 1, by: new Set("r") } });
    expect(foundBy(approved, denied("n", "APPROVAL_REQUIRED", "functions.f.approval"))).toEqual([]);
  });

  test("and a limit refuses no call that comes back: it was counted at its root", () => {
    const limited = under({ calls: { max: "1" }, when: () => true });
    const back = { resumes: "hash 1" };
    const [limit, when] = [
      denied("n", "LIMIT_EXCEEDED", "functions.f.limits.calls", back),
      denied("n", "ARGUMENT_VIOLATION", "functions.f.when", back),
    ];
    const begun = [allowed("n"), ended(1, "interrupted")];
    expect(foundBy(limited, ...begun, limit)).toEqual([
      "3 DECISION_MISMATCH: the policy gives ALLOW",
    ]);
    expect(foundBy(limited, ...begun, when)).toEqual([]);
    const asking = under({
      calls: { max: "1" },
      approval: { when: () => true, count: 1, by: new Set("r") },
    });
    const asked = denied("n", "APPROVAL_REQUIRED", "functions.f.approval");
    expect(foundBy(asking, asked, limit)).toEqual([]);
  });
});

describe("effects", () => {
  const cannot = (at: number, rule: string): string =>
    `${at} DECISION_MISMATCH: cannot follow by ${rule}`;
  const others = (at: number): string =>
    `${at} DECISION_MISMATCH: its effects are not those of its conditions`;
  const SUM = "functions.f.limits.sum";
  const CALLS = "functions.f.limits.calls";
  const sums = under({ sum: { max: "10", of: ["n"] } });
  const summed = (nonce: string, total: string): Drafted =>
    allowed(nonce, { effects: { totals: { [SUM]: total } } });

  test("of a sum go up, to its most at most", () => {
    expect(
      foundBy(sums, summed("a", "0"), summed("b", "4"), summed("c", "4"), summed("d", "10")),
    ).toEqual([]);
    expect(foundBy(sums, summed("a", "4"), summed("b", "3.99"))).toEqual([cannot(2, SUM)]);
    expect(foundBy(sums, summed("a", "10.01"))).toEqual([cannot(1, SUM)]);
  });

  test("of a call are one more, to its most at most", () => {
    const calls = under({ calls: { max: "2" } });
    expect(foundBy(calls, allowed("a"), allowed("b"))).toEqual([]);
    expect(foundBy(calls, allowed("a"), allowed("b"), allowed("c"))).toEqual([cannot(3, CALLS)]);
    const both = under({ calls: { max: "1" }, sum: { max: "10", of: ["n"] } });
    expect(foundBy(both, summed("a", "1"))).toEqual([]);
    expect(foundBy(both, summed("a", "1"), summed("b", "2"))).toEqual([cannot(2, CALLS)]);
  });

  test("of a window are on no record", () => {
    const per = { per: "agent", windowMs: 1000 } as const;
    const windows = under({ calls: { max: "0", ...per }, sum: { max: "0", of: ["n"], ...per } });
    expect(foundBy(windows, allowed("a"))).toEqual([]);
    expect(foundBy(windows, summed("a", "0"))).toEqual([others(1)]);
  });

  test("are those of its conditions, no more and no fewer", () => {
    expect(foundBy(sums, allowed("a"))).toEqual([others(1)]);
    expect(foundBy(policyByHand(), summed("a", "1"))).toEqual([others(1)]);
    const named = allowed("a", { effects: { totals: { another: "1" } } });
    expect(foundBy(sums, named)).toEqual([others(1)]);
    const more = allowed("a", { effects: { totals: { [SUM]: "1", another: "1" } } });
    expect(foundBy(sums, more)).toEqual([others(1)]);
    const bound = allowed("a", { effects: { totals: { [SUM]: "1" }, binds: { x: "digest" } } });
    expect(foundBy(sums, bound)).toEqual([others(1)]);
  });

  test("bind a name to one value, whichever of its conditions binds it", () => {
    const tools = new Map([
      [
        "t",
        {
          name: "t",
          functions: ["f"],
          action: "DO",
          conditions: {
            path: "tools.t",
            grounded: [],
            bind: [
              { name: "x", of: ["x"] },
              { name: "y", of: ["y"] },
            ],
          },
        },
      ],
    ]);
    const binds = { ...under({ bind: [{ name: "x", of: ["x"] }] }), tools };
    const call = (nonce: string, tool: string | undefined, bound: object): Drafted =>
      allowed(nonce, { tool, effects: { binds: bound } });
    expect(
      foundBy(
        binds,
        call("a", undefined, { x: "1" }),
        call("b", "t", { x: "1", y: "2" }),
        call("c", undefined, { x: "1" }),
      ),
    ).toEqual([]);
    const another = "2 DECISION_MISMATCH: binds a name to another value than the one that it had";
    expect(
      foundBy(binds, call("a", undefined, { x: "1" }), call("b", undefined, { x: "2" })),
    ).toEqual([another]);
    expect(
      foundBy(binds, call("a", undefined, { x: "1" }), call("b", "t", { x: "2", y: "2" })),
    ).toEqual([another]);
    expect(foundBy(binds, call("a", undefined, {}))).toEqual([others(1)]);
    expect(foundBy(binds, call("a", "t", { x: "1" }))).toEqual([others(1)]);
    expect(foundBy(binds, call("a", undefined, { y: "1" }))).toEqual([others(1)]);
  });

  test("are of an ALLOW that does not come back, and of a policy that is held", () => {
    const back = allowed("a", { resumes: "hash 1" });
    expect(foundBy(sums, summed("a", "1"), ended(1, "interrupted"), back)).toEqual([]);
    const limited = under({ sum: { max: "10", of: ["n"] }, when: () => true });
    expect(foundBy(limited, denied("a", "ARGUMENT_VIOLATION", "functions.f.when"))).toEqual([]);
    expect(found(summed("a", "999"))).toEqual([]);
  });
});

test("a request is read from its record in the tool form where a tool is named, else with what it named", () => {
  const of = (members: object): unknown => callForm(members as DecisionReceipt);
  expect(of({ tool: "t", function: "f", action_type: "A", step: "s" })).toStrictEqual({
    tool: "t",
  });
  expect(of({ function: "f", action_type: "A", step: "s" })).toStrictEqual({
    function: "f",
    action_type: "A",
    step: "s",
  });
  expect(of({ function: "f", action_type: "A" })).toStrictEqual({
    function: "f",
    action_type: "A",
  });
  expect(of({})).toStrictEqual({ function: "", action_type: "" });
});
