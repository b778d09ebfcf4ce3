/** Level 2 from the text to the decision: each rule refuses with its code and its place, on a real gate. */
import { randomBytes } from "node:crypto";
import {
  createGate,
  type Decision,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  type JsonObject,
  memoryStore,
  type Opening,
  signApproval,
} from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { parsePolicy } from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";

type Call = { readonly args?: JsonObject } & (
  | { readonly tool: string }
  | { readonly function: string; readonly action_type: string }
);

type Owner = Omit<Opening, "sequence_id">;

const approver = generateSigningKey();
const approvers = importKeySet(
  exportKeySet([{ publicJwk: { ...approver.publicJwk, roles: ["finance"] } }]),
);

function gateOf(text: string, clock: () => number = Date.now) {
  return createGate({
    policies: [parsePolicy(text)],
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    approvers,
    clock,
  });
}

/** `ALLOW`, or code and rule, of each call. */
async function play(
  text: string,
  owner: Owner,
  calls: readonly Call[],
): Promise<readonly string[]> {
  const gate = await gateOf(text);
  await gate.open({ sequence_id: "s", ...owner });
  const told: string[] = [];
  for (const call of calls) {
    const { context: _, ...agent } = owner;
    told.push(tell(await gate.decide({ sequence_id: "s", ...agent, ...call })));
  }
  return told;
}

function tell(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : `${decision.deny_code} ${decision.rule}`;
}

const intake: Call = { function: "intake", action_type: "CHECK_STATE" };
const settle: Call = { function: "settle", action_type: "SEAL_SEQUENCE" };
const look: Call = { tool: "get_application" };
const args = { amount: 100, currency: "EUR", to: "DE1", application_id: "a1" };
const pay = (change: JsonObject = {}): Call => ({
  tool: "transfer_funds",
  args: { ...args, ...change },
});
const treasury: Owner = { agent_id: "treasury", context: { request: "pay 100 to DE1, please" } };

describe("the example of the page", () => {
  test.each<[string, Owner, readonly Call[], readonly string[]]>([
    [
      "runs to its end",
      treasury,
      [intake, look, pay(), pay({ amount: 499 }), settle],
      ["ALLOW", "ALLOW", "ALLOW", "ALLOW", "ALLOW"],
    ],
    ["wants the order", treasury, [pay()], ["SEQUENCE_VIOLATION sequence"]],
    [
      "wants a look-up only after the intake",
      treasury,
      [look],
      ["SEQUENCE_VIOLATION constraints.0"],
    ],
    [
      "wants no payment once something was sent out",
      treasury,
      [intake, { function: "execution", action_type: "CALL_EXTERNAL_API" }, pay()],
      ["ALLOW", "ALLOW", "SEQUENCE_VIOLATION constraints.1"],
    ],
    [
      "forbids bots to pay, before it looks at what is left to them",
      { ...treasury, agent_id: "bot-7" },
      [intake, pay()],
      ["ALLOW", "ACTION_NOT_ALLOWED forbid.0"],
    ],
    [
      "knows no one without a name",
      { context: { request: "x" } },
      [intake],
      ["ACTION_NOT_ALLOWED agents"],
    ],
    [
      "wants arguments that fit",
      treasury,
      [intake, pay({ amount: "100" }), pay({ more: 1 })],
      [
        "ALLOW",
        "ARGUMENT_VIOLATION tools.transfer_funds.args",
        "ARGUMENT_VIOLATION tools.transfer_funds.args",
      ],
    ],
    [
      "wants the condition to hold",
      { ...treasury, agent_id: "clerk" },
      [intake, pay({ amount: 10_001 })],
      ["ALLOW", "ARGUMENT_VIOLATION tools.transfer_funds.when"],
    ],
    [
      "wants a payee that someone named",
      treasury,
      [intake, pay({ to: "DE2" }), pay({ to: "GB29NWBK60161331926819" })],
      ["ALLOW", "ARGUMENT_VIOLATION tools.transfer_funds.grounded.to", "ALLOW"],
    ],
    [
      "wants one application throughout",
      treasury,
      [intake, pay(), pay({ application_id: "a2" })],
      ["ALLOW", "ALLOW", "ARGUMENT_VIOLATION tools.transfer_funds.bind.application"],
    ],
    [
      "wants a person from 500 on",
      treasury,
      [intake, pay({ amount: 500 })],
      ["ALLOW", "APPROVAL_REQUIRED tools.transfer_funds.approval"],
    ],
  ])("%s", async (_, owner, calls, expected) => {
    expect(await play(PAYMENTS, owner, calls)).toEqual(expected);
  });

  test("counts the sum over all that it allowed, and a person does not lift it", async () => {
    const gate = await gateOf(PAYMENTS);
    await gate.open({ sequence_id: "s", ...treasury });
    const call = {
      sequence_id: "s",
      agent_id: "treasury",
      nonce: "n1",
      ...pay({ amount: 49_999 }),
    };
    await gate.decide({ sequence_id: "s", agent_id: "treasury", ...intake });
    const denied = await gate.decide(call);
    expect(tell(denied)).toBe("APPROVAL_REQUIRED tools.transfer_funds.approval");
    const [request = ""] = (await gate.state("s")).awaiting;
    const statement = { sequence_id: "s", request, verdict: "approve" as const };
    const log_id = denied.receipt?.log_id ?? "";
    const expires_ms = Date.now() + 60_000;
    await gate.approve(signApproval({ ...statement, log_id, expires_ms }, approver));
    expect(tell(await gate.decide(call))).toBe("ALLOW");
    const again = (amount: number): Promise<Decision> =>
      gate.decide({ sequence_id: "s", agent_id: "treasury", ...pay({ amount }) });
    expect(tell(await again(2))).toBe("LIMIT_EXCEEDED tools.transfer_funds.limits.sum");
    expect(tell(await again(1))).toBe("ALLOW");
  });
});

describe("limits", () => {
  const text = (limits: string, on = ""): string => `schema: stepgate.policy/1
id: x
version: "1"
sequence: a*, b
functions:
  a: { actions: [X]${on} }
  b: [Y]
tools:
  t: { function: a, action: X, limits: ${limits} }
`;
  const call = (n: number): Call => ({ tool: "t", args: { n } });

  test("of calls, the function's first", async () => {
    expect(await play(text("{ calls: 1 }"), {}, [call(1), call(1)])).toEqual([
      "ALLOW",
      "LIMIT_EXCEEDED tools.t.limits.calls",
    ]);
    expect(
      await play(text("{ calls: 1 }", ", limits: { calls: { max: 1 } }"), {}, [call(1), call(1)]),
    ).toEqual(["ALLOW", "LIMIT_EXCEEDED functions.a.limits.calls"]);
  });

  test("of sums, which add as decimals do, and of numbers alone", async () => {
    const sum = text("{ sum: { of: args.n, max: 0.3 } }");
    expect(await play(sum, {}, [call(0.1), call(0.2), call(0)])).toEqual([
      "ALLOW",
      "ALLOW",
      "ALLOW",
    ]);
    expect(await play(sum, {}, [call(-1), { tool: "t", args: { n: "1" } }, { tool: "t" }])).toEqual(
      Array.from({ length: 3 }, () => "LIMIT_EXCEEDED tools.t.limits.sum"),
    );
  });

  test("in windows are shared by the sequences of an agent, until the next window", async () => {
    let now = 1_800_000_000_000;
    const gate = await gateOf(text("{ calls: { max: 1, per: agent, window: 1h } }"), () => now);
    const ask = async (sequence_id: string, agent_id?: string): Promise<string> => {
      const owner = agent_id === undefined ? {} : { agent_id };
      await gate.open({ sequence_id, ...owner });
      return tell(await gate.decide({ sequence_id, ...owner, ...call(1) }));
    };
    expect(await ask("s1", "me")).toBe("ALLOW");
    expect(await ask("s2", "me")).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    expect(await ask("s3", "you")).toBe("ALLOW");
    expect(await ask("s4")).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    now += 3_600_000;
    expect(await ask("s5", "me")).toBe("ALLOW");
  });
});

describe("conditions of a function stand before those of its tool", () => {
  const text = `schema: stepgate.policy/1
id: x
version: "1"
sequence: a, b
functions:
  a: { actions: [X], audience: bank, when: args.n > 1.0 }
  b: [Y]
tools:
  t: { function: a, action: X, when: args.n > 2.0 }
  u: { function: a, action: X, audience: ledger, when: "args.n" }
`;

  test("and both must hold", async () => {
    const n = (value: number, tool = "t"): Call => ({ tool, args: { n: value } });
    expect(await play(text, {}, [n(1), n(2), n(3)])).toEqual([
      "ARGUMENT_VIOLATION functions.a.when",
      "ARGUMENT_VIOLATION tools.t.when",
      "ALLOW",
    ]);
  });

  test("what is neither true nor false denies, and says so", async () => {
    expect(await play(text, {}, [{ tool: "u", args: { n: 5 } }, { tool: "t" }])).toEqual([
      "POLICY_ERROR tools.u.when",
      "POLICY_ERROR functions.a.when",
    ]);
  });

  test("the audience of the permit is the tool's, else the function's", async () => {
    const gate = await gateOf(text);
    await gate.open({ sequence_id: "s" });
    const { receipt } = await gate.decide({ sequence_id: "s", tool: "t", args: { n: 3 } });
    expect(receipt).toMatchObject({ kind: "decision", decision: "ALLOW", audience: "bank" });
    const other = await gateOf(text.replace('"args.n"', "args.n > 2.0"));
    await other.open({ sequence_id: "s" });
    const decision = await other.decide({ sequence_id: "s", tool: "u", args: { n: 3 } });
    expect(decision.receipt).toMatchObject({ decision: "ALLOW", audience: "ledger" });
  });
});

describe("agents", () => {
  const text = `schema: stepgate.policy/1
id: x
version: "1"
sequence: a*, b
functions: { a: [X, Y, Z], b: [S] }
agents:
  "*-eu": { functions: { a: [X, Y] } }
  "bot-*": { functions: { a: { actions: [Y, Z] }, b: [] } }
  "*": {}
`;
  const all = ["X", "Y", "Z"].map((action_type): Call => ({ function: "a", action_type }));
  const end: Call = { function: "b", action_type: "S" };

  test.each<[string, readonly string[]]>([
    ["me", ["ALLOW", "ALLOW", "ALLOW", "ALLOW"]],
    ["me-eu", ["ALLOW", "ALLOW", "ACTION_NOT_ALLOWED agents.*-eu", "ALLOW"]],
    [
      "bot-1",
      ["ACTION_NOT_ALLOWED agents.bot-*", "ALLOW", "ALLOW", "ACTION_NOT_ALLOWED agents.bot-*"],
    ],
    [
      "bot-eu",
      [
        "ACTION_NOT_ALLOWED agents.bot-*",
        "ALLOW",
        "ACTION_NOT_ALLOWED agents.*-eu",
        "ACTION_NOT_ALLOWED agents.bot-*",
      ],
    ],
    ["BOT-1", ["ALLOW", "ALLOW", "ALLOW", "ALLOW"]],
  ])("%s may do what every pattern that matches it leaves", async (agent_id, expected) => {
    expect(await play(text, { agent_id }, [...all, end])).toEqual(expected);
  });
});
