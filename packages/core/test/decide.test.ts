/** The pure decision, by tables built by hand: each check alone, in its order, with the one code and rule that it gives. */
import { describe, expect, test } from "vitest";
import { decide, permittedTools } from "../src/decide.ts";
import type { CallForm } from "../src/action-request.ts";
import type { CompiledPolicy } from "../src/compiled-policy.ts";
import type { Grounds } from "../src/conditions.ts";
import type { OpenReceipt } from "../src/receipt.ts";
import { type NonceUse, openState, type SequenceState } from "../src/sequence-state.ts";

const NOW = 1_800_000_000_000;
const OPENED_MS = NOW - 50_000;

// look, pay, pay?, close: states 0 to 4; 2 and 3 are complete, 4 is the natural end.
const ORDER = [1, -1, -1, -1, 2, -1, -1, 3, 4, -1, -1, 4, -1, -1, -1];

function policyOf(change: Partial<CompiledPolicy> = {}): CompiledPolicy {
  const none = { grounded: [], bind: [] };
  return {
    id: "p",
    version: "1",
    digest: `sha256:${"0".repeat(64)}`,
    normalForm: "{}",
    steps: ["look", "pay", "close"],
    automaton: {
      states: 5,
      next: Int32Array.from(ORDER),
      accepting: Uint8Array.from([0, 0, 1, 1, 1]),
    },
    functions: new Map(
      [
        { name: "look", step: "look", stepIndex: 0, actions: new Set(["READ"]) },
        {
          name: "pay",
          step: "pay",
          stepIndex: 1,
          actions: new Set(["WRITE", "CALL", "FINISH"]),
          audience: "ledger",
        },
        { name: "close", step: "close", stepIndex: 2, actions: new Set(["SEAL"]) },
        { name: "note", stepIndex: -1, actions: new Set(["READ"]) },
      ].map((one) => [one.name, one]),
    ),
    tools: new Map(
      [
        { name: "fetch", functions: ["look"], action: "READ" },
        {
          name: "transfer",
          functions: ["pay"],
          action: "WRITE",
          audience: "bank",
          conditions: {
            path: "tools.transfer",
            ...none,
            when: ({ args }: { readonly args: Readonly<Record<string, unknown>> }) =>
              args["amount"] === 1,
            calls: { max: "5" },
          },
        },
        { name: "either", functions: ["look", "note"], action: "READ" },
        { name: "shut", functions: ["close"], action: "READ" },
        { name: "gone", functions: ["absent", "look"], action: "READ" },
        { name: "lost", functions: ["absent"], action: "READ" },
      ].map((one) => [one.name, one]),
    ),
    constraints: [],
    forbid: [],
    sealOn: new Set(["SEAL", "FINISH"]),
    freshnessMs: 1_000,
    lifetimeMs: 60_000,
    toolPairs: new Set(["pay\nWRITE"]),
    ...change,
  };
}

const OPENED: OpenReceipt = {
  v: "stepgate.receipt/1",
  kind: "open",
  log_id: "log-1",
  sequence_id: "s",
  seq: 0,
  prev: `sha256:${"0".repeat(64)}`,
  ts_ms: OPENED_MS,
  gate_id: "g",
  mode: "enforce",
  policy_id: "p",
  policy_version: "1",
  policy_digest: `sha256:${"0".repeat(64)}`,
};

function stateAt(
  position: number,
  change: Partial<SequenceState> = {},
  agent_id?: string,
): SequenceState {
  const opened = agent_id === undefined ? OPENED : { ...OPENED, agent_id };
  return { ...openState(opened, "open", policyOf()), position, ...change };
}

const LOOK: CallForm = { function: "look", action_type: "READ" };
const PAY: CallForm = { function: "pay", action_type: "CALL" };
const DENIED = { seals: false, counters: [] };

interface Asked {
  readonly call: CallForm;
  readonly state?: SequenceState;
  readonly policy?: CompiledPolicy;
  readonly ts_ms?: number;
  readonly clock?: number;
  readonly record?: number;
  readonly nonce?: string;
  readonly args_digest?: string;
  readonly grounds?: Partial<Grounds>;
}

function ask({ call, state = stateAt(0), policy = policyOf(), ...more }: Asked) {
  const { ts_ms = NOW, clock = NOW, record = clock, nonce = "n", args_digest = "d" } = more;
  const grounds = more.grounds && {
    args: {},
    context: {},
    bindDigest: (text: string) => text,
    counted: new Map(),
    rolesOf: () => [],
    ...more.grounds,
  };
  return decide(policy, state, { call, nonce, args_digest, ts_ms }, { clock, record }, grounds);
}

/** What the answer is, in short: ALLOW, or the code and the rule. */
function said(asked: Asked): string {
  const { refusal } = ask(asked);
  return refusal === undefined ? "ALLOW" : `${refusal.code} ${refusal.rule}`;
}

/** A used nonce. */
function used(change: Partial<NonceUse> = {}): SequenceState {
  const use: NonceUse = {
    hash: "first",
    seq: 1,
    call: { ...LOOK, step: "look" },
    args_digest: "d",
    resumed: 0,
    ...change,
  };
  return stateAt(1, { nonces: new Map([["n", use]]) });
}

const allowed = {
  root: "root",
  latest: "root",
  allowedAs: "look",
  status: "interrupted",
} as const;

describe("a policy that this gate does not hold", () => {
  test("decides nothing, and the call is told as it was sent", () => {
    const input = { call: LOOK, nonce: "n", args_digest: "d", ts_ms: NOW };
    expect(decide(undefined, stateAt(0), input, { clock: NOW, record: NOW }, undefined)).toEqual({
      ...DENIED,
      refusal: { code: "POLICY_UNAVAILABLE", rule: "policy" },
      call: LOOK,
    });
  });
});

describe("freshness", () => {
  test("is of the gate's clock, and ends on either side of it", () => {
    for (const [ts_ms, answer] of [
      [NOW - 1_000, "ALLOW"],
      [NOW + 1_000, "ALLOW"],
      [NOW - 1_001, "STALE_TIMESTAMP freshness"],
      [NOW + 1_001, "STALE_TIMESTAMP freshness"],
      [Number.NaN, "STALE_TIMESTAMP freshness"],
    ] as const)
      expect(said({ call: LOOK, ts_ms }), `${ts_ms - NOW}`).toBe(answer);
    expect(said({ call: LOOK, record: NOW + 5_000 })).toBe("ALLOW");
  });

  test("comes before the nonce, the seal and the order", () => {
    const state = { ...used(), sealed: { by: "x", seq: 3, person: true } };
    expect(said({ call: PAY, state, ts_ms: 0 })).toBe("STALE_TIMESTAMP freshness");
    expect(said({ call: LOOK, state })).toBe("REPLAY_NONCE nonce");
    expect(said({ call: PAY, state, nonce: "m" })).toBe("SEALED_SEQUENCE seal");
  });
});

describe("a nonce that was used", () => {
  test("is refused, and its earlier use is named", () => {
    const answer = ask({ call: LOOK, state: used() });
    expect(answer).toStrictEqual({
      ...DENIED,
      refusal: { code: "REPLAY_NONCE", rule: "nonce" },
      earlier: used().nonces.get("n"),
      call: { ...LOOK, step: "look" },
    });
    expect(ask({ call: LOOK })).not.toHaveProperty("earlier");
  });

  test("comes back where its ALLOW was interrupted: the order is not walked again", () => {
    const answer = ask({ call: LOOK, state: used(allowed) });
    expect(answer).toEqual({
      ...DENIED,
      earlier: used(allowed).nonces.get("n"),
      resumes: "root",
      call: { ...LOOK, step: "look" },
    });
    const late = { ...used(allowed), position: 4 };
    expect(said({ call: LOOK, state: late })).toBe("ALLOW");
  });

  test("comes back as the function that it was allowed as, where a tool has several", () => {
    const call = { tool: "either", function: "note", action_type: "READ" };
    const state = used({ ...allowed, allowedAs: "note", call });
    expect(ask({ call: { tool: "either" }, state }).call).toEqual(call);
    const none = used({ ...allowed, allowedAs: "pay", call });
    expect(said({ call: { tool: "either" }, state: none })).toBe("NO_POLICY_MATCH tools");
  });

  test("comes back without sealing again, past constraints that its root has met", () => {
    const call = { function: "close", action_type: "SEAL" };
    const state = used({ ...allowed, allowedAs: "close", call: { ...call, step: "close" } });
    const sealed = { ...state, position: 4, sealed: { by: "root", seq: 1, person: false } };
    expect(ask({ call, state: sealed })).toMatchObject({ seals: false, resumes: "root" });
    const never = policyOf({
      constraints: [
        {
          kind: "never",
          first: { member: "function", name: "close" },
          second: { member: "function", name: "close" },
        },
      ],
    });
    expect(said({ call, state: { ...sealed, fired: [true] }, policy: never })).toBe("ALLOW");
  });

  test("comes back to a person's approval, by the denial that was approved", () => {
    const approval = { deny_code: "APPROVAL_REQUIRED", rule: "tools.transfer.approval" } as const;
    const state = used(approval);
    expect(ask({ call: LOOK, state: { ...state, position: 0 } })).toMatchObject({
      resumes: "first",
      earlier: { hash: "first" },
    });
    expect(said({ call: LOOK, state })).toBe("SEQUENCE_VIOLATION sequence");
    // Only the calls that came back by it are judged by its statements.
    const asked: (string | undefined)[] = [];
    const policy = policyOf();
    const conditions = {
      path: "functions.look",
      grounded: [],
      bind: [],
      approval: { count: 1, by: new Set(["boss"]) },
    };
    const look = policy.functions.get("look");
    if (look === undefined) throw new Error("no look");
    const functions = new Map(policy.functions).set("look", { ...look, conditions });
    const vote = { seq: 2, verdict: "approve", expires_ms: NOW + 1 } as const;
    const approvals = new Map([["first", new Map([["key", [vote]]])]]);
    const grounds = { rolesOf: (key: string) => (asked.push(key), ["boss"]) };
    const judged = (use: Partial<NonceUse>) =>
      said({
        call: LOOK,
        policy: { ...policy, functions },
        state: { ...used(use), position: 0, approvals },
        grounds,
      });
    expect(judged(approval)).toBe("ALLOW");
    expect(judged({ ...approval, ...allowed })).toBe("ALLOW");
    expect(judged(allowed)).toBe("APPROVAL_REQUIRED functions.look.approval");
    expect(
      said({
        call: LOOK,
        policy: { ...policy, functions },
        state: stateAt(0, { approvals }),
        grounds,
      }),
    ).toBe("APPROVAL_REQUIRED functions.look.approval");
    expect(new Set(asked)).toEqual(new Set(["key"]));
  });
});

describe("a sealed sequence", () => {
  const sealed = { by: "seal", seq: 9, person: false };

  test("refuses whatever is new", () => {
    expect(said({ call: LOOK, state: stateAt(0, { sealed }) })).toBe("SEALED_SEQUENCE seal");
    expect(said({ call: LOOK, state: stateAt(0) })).toBe("ALLOW");
  });

  test("lets the call come back whose ALLOW sealed it, and no other, and none after a person's seal", () => {
    const back = (by: string, person = false) =>
      said({ call: LOOK, state: { ...used(allowed), sealed: { by, seq: 9, person } } });
    expect(back("root")).toBe("ALLOW");
    expect(back("another")).toBe("SEALED_SEQUENCE seal");
    expect(back("root", true)).toBe("SEALED_SEQUENCE seal");
  });

  test("is one that outlived the policy's time, by the record's clock, whoever comes back", () => {
    const end = OPENED_MS + 60_000;
    expect(said({ call: LOOK, record: end })).toBe("ALLOW");
    expect(said({ call: LOOK, record: end + 1 })).toBe("SEALED_SEQUENCE seal");
    const state = { ...used(allowed), sealed: { by: "root", seq: 9, person: false } };
    expect(said({ call: LOOK, state, record: end })).toBe("ALLOW");
    expect(said({ call: LOOK, state, record: end + 1 })).toBe("SEALED_SEQUENCE seal");
  });
});

describe("a tool", () => {
  test("that the policy does not name is refused, and told by its name alone", () => {
    expect(ask({ call: { tool: "hack" } })).toEqual({
      ...DENIED,
      refusal: { code: "NO_POLICY_MATCH", rule: "tools" },
      call: { tool: "hack" },
    });
    expect(ask({ call: { tool: "lost" } })).toMatchObject({
      refusal: { code: "NO_POLICY_MATCH", rule: "tools" },
      call: { tool: "lost" },
    });
  });

  test("stands for its function, action and audience, and the tool's audience wins", () => {
    expect(ask({ call: { tool: "fetch" } })).toEqual({
      ...DENIED,
      call: { step: "look", function: "look", action_type: "READ", tool: "fetch" },
    });
    expect(ask({ call: { tool: "transfer" }, state: stateAt(1) }).call).toEqual({
      step: "pay",
      function: "pay",
      action_type: "WRITE",
      tool: "transfer",
      audience: "bank",
    });
  });

  test("of several functions is the first that may be now, and else told as the first of all", () => {
    const either = (position: number) =>
      ask({ call: { tool: "either" }, state: stateAt(position) });
    expect(either(0).call.function).toBe("look");
    expect(either(1).call.function).toBe("note");
    const forbid = [{ functions: new Set(["note"]) }];
    expect(
      ask({ call: { tool: "either" }, state: stateAt(1), policy: policyOf({ forbid }) }),
    ).toMatchObject({
      refusal: { code: "SEQUENCE_VIOLATION", rule: "sequence" },
      call: { function: "look" },
    });
    expect(said({ call: { tool: "gone" } })).toBe("ALLOW");
  });

  test("are permitted that would pass the order and the map now", () => {
    expect(permittedTools(policyOf(), stateAt(0))).toEqual(["fetch", "either", "gone"]);
    expect(permittedTools(policyOf(), stateAt(1))).toEqual(["transfer", "either"]);
    const sealed = { by: "x", seq: 1, person: true };
    expect(permittedTools(policyOf(), stateAt(0, { sealed }))).toEqual([]);
  });
});

describe("an explicit call", () => {
  test("is what the policy makes of it, or what was sent where it makes nothing of it", () => {
    expect(ask({ call: LOOK })).toEqual({ ...DENIED, call: { ...LOOK, step: "look" } });
    expect(ask({ call: PAY, state: stateAt(1) }).call).toEqual({
      ...PAY,
      step: "pay",
      audience: "ledger",
    });
    expect(ask({ call: { function: "note", action_type: "READ" } }).call).toEqual({
      function: "note",
      action_type: "READ",
    });
    for (const step of [undefined, "pay"]) {
      const call = { function: "hack", action_type: "X", ...(step === undefined ? {} : { step }) };
      expect(ask({ call })).toStrictEqual({
        ...DENIED,
        refusal: { code: "NO_POLICY_MATCH", rule: "functions" },
        call,
      });
    }
  });

  test("must not take the way past a tool that stands for the same pair", () => {
    const state = stateAt(1);
    expect(ask({ call: { function: "pay", action_type: "WRITE" }, state })).toMatchObject({
      refusal: { code: "NO_POLICY_MATCH", rule: "tools" },
      call: { function: "pay", step: "pay", audience: "ledger" },
    });
    expect(said({ call: PAY, state })).toBe("ALLOW");
  });

  test("names its function's step or none", () => {
    expect(said({ call: { ...LOOK, step: "look" } })).toBe("ALLOW");
    expect(ask({ call: { ...LOOK, step: "pay" } })).toMatchObject({
      refusal: { code: "NO_POLICY_MATCH", rule: "functions.look.step" },
      call: { step: "pay" },
    });
    expect(said({ call: { function: "note", action_type: "READ", step: "look" } })).toBe(
      "NO_POLICY_MATCH functions.note.step",
    );
  });
});

describe("the order", () => {
  test("is walked by the automaton, and functions of no step stand outside of it", () => {
    expect(said({ call: LOOK, state: stateAt(1) })).toBe("SEQUENCE_VIOLATION sequence");
    expect(said({ call: PAY, state: stateAt(0) })).toBe("SEQUENCE_VIOLATION sequence");
    for (const position of [0, 1, 2, 3])
      expect(
        said({ call: { function: "note", action_type: "READ" }, state: stateAt(position) }),
      ).toBe("ALLOW");
  });

  test("ends by its own end, or by an action that seals where it is complete", () => {
    const close = { function: "close", action_type: "SEAL" };
    const finish = { function: "pay", action_type: "FINISH" };
    expect(ask({ call: PAY, state: stateAt(1) }).seals).toBe(false);
    expect(ask({ call: close, state: stateAt(2) }).seals).toBe(true);
    expect(ask({ call: finish, state: stateAt(1) }).seals).toBe(true);
    const plain = policyOf({ sealOn: new Set() });
    expect(ask({ call: close, state: stateAt(2), policy: plain }).seals).toBe(true);
    expect(ask({ call: finish, state: stateAt(1), policy: plain }).seals).toBe(false);
    const one = policyOf({
      steps: ["look"],
      automaton: { states: 2, next: Int32Array.from([1, -1]), accepting: Uint8Array.from([0, 1]) },
    });
    expect(ask({ call: LOOK, policy: one }).seals).toBe(true);
    const note = { function: "note", action_type: "READ" };
    expect(ask({ call: note, state: stateAt(4), policy: plain }).seals).toBe(false);
    const early = policyOf({ sealOn: new Set(["READ"]) });
    expect(said({ call: LOOK, policy: early })).toBe("SEQUENCE_VIOLATION sequence");
    expect(ask({ call: note, state: stateAt(2), policy: early }).seals).toBe(true);
    expect(said({ call: note, state: stateAt(1), policy: early })).toBe(
      "SEQUENCE_VIOLATION sequence",
    );
  });

  test("has constraints beside it, named by their place", () => {
    const [look, pay] = ["look", "pay"].map((name) => ({ member: "function" as const, name }));
    if (look === undefined || pay === undefined) throw new Error("no selectors");
    const policy = policyOf({
      constraints: [
        { kind: "never", first: pay, second: pay },
        { kind: "precedence", first: look, second: pay },
      ],
    });
    const paid = (fired: boolean[]) => said({ call: PAY, policy, state: stateAt(1, { fired }) });
    expect(paid([])).toBe("SEQUENCE_VIOLATION constraints.1");
    expect(paid([false, true])).toBe("ALLOW");
    expect(paid([true, true])).toBe("SEQUENCE_VIOLATION constraints.0");
  });
});

describe("the map", () => {
  test("gives each function its actions, after the order was met", () => {
    expect(said({ call: { function: "look", action_type: "WRITE" } })).toBe(
      "ACTION_NOT_ALLOWED functions.look.actions",
    );
    expect(said({ call: { function: "look", action_type: "WRITE" }, state: stateAt(1) })).toBe(
      "SEQUENCE_VIOLATION sequence",
    );
    expect(ask({ call: { tool: "shut" }, state: stateAt(2) })).toMatchObject({
      refusal: { code: "ACTION_NOT_ALLOWED", rule: "functions.close.actions" },
      seals: false,
    });
  });

  test("is beaten by what is forbidden, for whom it is forbidden", () => {
    const policy = policyOf({
      forbid: [
        { actions: new Set(["WRITE"]) },
        { functions: new Set(["look"]), agents: (agent) => agent === "bot" },
      ],
    });
    const asked = (agent?: string) => said({ call: LOOK, policy, state: stateAt(0, {}, agent) });
    expect(asked()).toBe("ALLOW");
    expect(asked("bot")).toBe("ACTION_NOT_ALLOWED forbid.1");
    expect(
      said({
        call: { function: "look", action_type: "WRITE" },
        policy,
        state: stateAt(0, {}, "bot"),
      }),
    ).toBe("ACTION_NOT_ALLOWED forbid.0");
  });

  test("leaves an agent what its patterns leave it, and one that none matches nothing", () => {
    const only = (pattern: string, ...actions: readonly string[]) => ({
      pattern,
      matches: (agent: string) => agent.startsWith(pattern.slice(0, -1)),
      functions: new Map([["look", new Set(actions)]]),
    });
    const asked = (agent: string | undefined, agents: CompiledPolicy["agents"], call = LOOK) =>
      said({
        call,
        policy: policyOf(agents === undefined ? {} : { agents }),
        state: stateAt(0, {}, agent),
      });
    expect(asked("bot-1", [only("bot*", "READ")])).toBe("ALLOW");
    expect(asked("bot-1", [only("bot*")])).toBe("ACTION_NOT_ALLOWED agents.bot*");
    expect(asked("bot-1", [only("b*", "READ"), only("bot*")])).toBe(
      "ACTION_NOT_ALLOWED agents.bot*",
    );
    expect(asked("cat", [only("bot*", "READ")])).toBe("ACTION_NOT_ALLOWED agents");
    expect(asked(undefined, [only("bot*", "READ")])).toBe("ACTION_NOT_ALLOWED agents");
    expect(asked(undefined, [only("*", "READ")])).toBe("ACTION_NOT_ALLOWED agents");
    expect(asked("bot-1", [only("bot*")], { function: "note", action_type: "READ" })).toBe("ALLOW");
    // What a pattern leaves, the map may still refuse.
    expect(
      asked("bot-1", [only("bot*", "WRITE")], { function: "look", action_type: "WRITE" }),
    ).toBe("ACTION_NOT_ALLOWED functions.look.actions");
    expect(asked("cat", undefined)).toBe("ALLOW");
  });
});

describe("the conditions", () => {
  const call = { tool: "transfer" };
  const state = stateAt(1);

  test("are judged last, on their grounds, and an ALLOW tells what it changes", () => {
    expect(said({ call, state, grounds: { args: { amount: 2 } } })).toBe(
      "ARGUMENT_VIOLATION tools.transfer.when",
    );
    expect(ask({ call, state, grounds: { args: { amount: 1 } } })).toMatchObject({
      counters: [],
      seals: false,
    });
    expect(said({ call, state: stateAt(0), grounds: { args: { amount: 2 } } })).toBe(
      "SEQUENCE_VIOLATION sequence",
    );
  });

  test("are judged of a new call that has no earlier use", () => {
    expect(ask({ call, state, grounds: { args: { amount: 1 } } })).not.toHaveProperty("earlier");
  });

  test("are left out where a verifier has no grounds", () => {
    const ending = policyOf({ sealOn: new Set(["WRITE"]) });
    expect(ask({ call, state, policy: ending }).seals).toBe(true);
    expect(ask({ call, state })).toEqual({
      ...DENIED,
      call: expect.objectContaining({ tool: "transfer" }),
    });
  });

  test("that refuse keep an ending call from ending anything", () => {
    const policy = policyOf({ sealOn: new Set(["WRITE"]) });
    const args = (amount: number) => ({ call, state, policy, grounds: { args: { amount } } });
    expect(ask(args(1)).seals).toBe(true);
    expect(ask(args(2)).seals).toBe(false);
  });

  test("count a call that comes back no second time", () => {
    const use = {
      ...allowed,
      allowedAs: "pay",
      call: { tool: "transfer", function: "pay", action_type: "WRITE" },
    };
    const spent = { ...used(use), calls: new Map([["tools.transfer.limits.calls", 5]]) };
    const grounds = { args: { amount: 1 } };
    expect(said({ call, state: spent, grounds })).toBe("ALLOW");
    expect(said({ call, state: spent, nonce: "m", grounds })).toBe(
      "LIMIT_EXCEEDED tools.transfer.limits.calls",
    );
  });
});
