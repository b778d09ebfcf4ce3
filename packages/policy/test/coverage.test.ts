/** What calls exercise of a policy: each transition, action and tool once allowed, each condition held and refused. */
import { randomBytes } from "node:crypto";
import {
  type CompiledPolicy,
  createGate,
  generateSigningKey,
  type JsonObject,
  memoryStore,
  type Scope,
} from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { type CoverageKind, type DecidedCall, parsePolicy, policyCoverage } from "../src/index.ts";

const TEXT = `schema: stepgate.policy/1
id: payments
version: "1"
sequence: intake, review?, execution{1,2}, settle
functions:
  lookup: { step: "*", actions: [READ] }
  intake: [CHECK, READ]
  review: [REVIEW]
  execution: [WRITE, CALL]
  settle: [SEAL]
tools:
  get: { function: lookup, action: READ }
  begin: { function: intake, action: CHECK }
  pay: { function: execution, action: WRITE }
  pay_again: { function: [review, execution], action: WRITE }
`;
const PLAIN = parsePolicy(TEXT);

function missing(policy: CompiledPolicy, kind: CoverageKind, ...runs: readonly DecidedCall[][]) {
  return policyCoverage(policy, runs)
    .items.filter((item) => item.kind === kind && !item.covered)
    .map(({ rule, what }) => (kind === "conditions" ? `${rule} ${what}` : what));
}

const begin: DecidedCall = { tool: "begin", function: "intake", action_type: "CHECK" };
const pay: DecidedCall = { tool: "pay", function: "execution", action_type: "WRITE", args: {} };
const settle: DecidedCall = { function: "settle", action_type: "SEAL" };
const deniedBy = (
  deny_code: NonNullable<DecidedCall["deny_code"]>,
  rule: string,
  call: DecidedCall = pay,
): DecidedCall => ({ ...call, deny_code, rule });

describe("the order", () => {
  test("has each transition, by a shortest run, and those that a run took are covered", () => {
    expect(missing(PLAIN, "transitions")).toEqual([
      "intake at the beginning",
      "review after intake",
      "execution after intake",
      "execution after intake, review",
      "execution after intake, execution",
      "settle after intake, execution",
      "settle after intake, execution, execution",
    ]);
    expect(missing(PLAIN, "transitions", [begin, pay, settle], [begin, pay, pay, settle])).toEqual([
      "review after intake",
      "execution after intake, review",
    ]);
  });

  test("begins anew with each sequence, and a denial takes no transition", () => {
    const { kinds } = policyCoverage(PLAIN, [
      [deniedBy("SEQUENCE_VIOLATION", "sequence"), begin],
      [begin],
    ]);
    expect(kinds.transitions).toEqual({ covered: 1, total: 7 });
  });

  test("goes nowhere behind a seal, and a seal is no way into a state that is not complete", () => {
    const sealing = parsePolicy(`schema: stepgate.policy/1
id: x
version: "1"
sequence: (a | early), b+
functions: { a: [END, READ], early: [END], b: [END] }
sealOn: [END]
`);
    expect(missing(sealing, "transitions")).toEqual(["a at the beginning", "b after a"]);
  });
});

describe("the map", () => {
  test("has each function's actions with the tools that stand for them, and each tool's functions that permit it", () => {
    expect(missing(PLAIN, "actions", [begin, settle])).toEqual([
      "execution CALL",
      "execution WRITE (pay, pay_again)",
      "intake READ",
      "lookup READ (get)",
      "review REVIEW",
    ]);
    expect(missing(PLAIN, "tools", [begin, { ...pay, tool: "pay_again" }])).toEqual([
      "get as lookup",
      "pay as execution",
    ]);
  });

  test("is not covered by what was denied", () => {
    const { kinds } = policyCoverage(PLAIN, [[deniedBy("ACTION_NOT_ALLOWED", "forbid.0")]]);
    expect([kinds.actions.covered, kinds.tools.covered]).toEqual([0, 0]);
  });
});

const NARROWED = parsePolicy(
  `${TEXT.replace(
    "[WRITE, CALL]",
    "{ actions: [WRITE, CALL], when: 'true', limits: { calls: 3 } }",
  ).replace(
    "pay: { function: execution, action: WRITE }",
    `pay:
    function: execution
    action: WRITE
    args: { type: object }
    when: 'true'
    grounded: { to.name: [[bob]] }
    bind: { order: args.order }
    limits: { sum: { of: args.amount, max: 9 } }
    approval: { by: [finance] }`,
  )}`,
);
const ALL = [
  "functions.execution.when holds",
  "functions.execution.when refuses",
  "functions.execution.limits.calls holds",
  "functions.execution.limits.calls refuses",
  "tools.pay.args holds",
  "tools.pay.args refuses",
  "tools.pay.when holds",
  "tools.pay.when refuses",
  "tools.pay.grounded.to.name holds",
  "tools.pay.grounded.to.name refuses",
  "tools.pay.bind.order holds",
  "tools.pay.bind.order refuses",
  "tools.pay.limits.sum holds",
  "tools.pay.limits.sum refuses",
  "tools.pay.approval refuses",
];
const shown = (policy: CompiledPolicy, ...runs: readonly DecidedCall[][]): readonly string[] => {
  const left = new Set(missing(policy, "conditions", ...runs));
  return missing(policy, "conditions").filter((side) => !left.has(side));
};

describe("a condition", () => {
  test("has two sides; an approval that is always asked for has one", () => {
    expect(missing(NARROWED, "conditions")).toEqual(ALL);
  });

  test("that refuses shows that those before it held: the checks in order, in each the function's first", () => {
    expect(shown(NARROWED, [deniedBy("ARGUMENT_VIOLATION", "tools.pay.when")])).toEqual([
      "functions.execution.when holds",
      "tools.pay.args holds",
      "tools.pay.when refuses",
    ]);
    expect(
      shown(NARROWED, [deniedBy("LIMIT_EXCEEDED", "functions.execution.limits.calls")]),
    ).toEqual([
      "functions.execution.when holds",
      "functions.execution.limits.calls refuses",
      "tools.pay.args holds",
      "tools.pay.when holds",
    ]);
  });

  test("that could not be evaluated neither held nor refused", () => {
    expect(shown(NARROWED, [deniedBy("POLICY_ERROR", "tools.pay.when")])).toEqual([
      "functions.execution.when holds",
      "tools.pay.args holds",
    ]);
  });

  test("shows nothing where the call was refused before it was asked", () => {
    for (const [code, rule] of [
      ["INVALID_REQUEST", "request.args"],
      ["NO_POLICY_MATCH", "tools"],
      ["SEQUENCE_VIOLATION", "sequence"],
      ["SEALED_SEQUENCE", "seal"],
      ["ACTION_NOT_ALLOWED", "functions.execution.actions"],
    ] as const)
      expect(shown(NARROWED, [deniedBy(code, rule)])).toEqual([]);
  });

  test("on an argument that is absent, or a name that nothing bound before, was not asked", () => {
    const asked = (side: string, ...runs: DecidedCall[][]): boolean =>
      shown(NARROWED, ...runs).includes(side);
    expect(asked("tools.pay.grounded.to.name holds", [{ ...pay, args: { to: {} } }])).toBe(false);
    expect(asked("tools.pay.grounded.to.name holds", [{ ...pay, args: { to: { name: 1 } } }])).toBe(
      true,
    );
    expect(asked("tools.pay.bind.order holds", [pay], [pay])).toBe(false);
    expect(
      asked("tools.pay.bind.order holds", [deniedBy("ARGUMENT_VIOLATION", "tools.pay.when"), pay]),
    ).toBe(false);
    expect(asked("tools.pay.bind.order holds", [pay, pay])).toBe(true);
  });
});

describe("beside the order", () => {
  const RULES = parsePolicy(`${TEXT}constraints:
  - precedence: [intake, lookup]
  - never: [{ action: CALL }, { tool: pay }]
forbid: [{ tools: [get] }]
agents: { "*": {}, "bot-*": { functions: { execution: [CALL] } } }
`);

  test("a constraint holds for a call that its second selector picks, and one that narrows nothing never refuses", () => {
    expect(missing(RULES, "conditions")).toEqual([
      "constraints.0 holds",
      "constraints.0 refuses",
      "constraints.1 holds",
      "constraints.1 refuses",
      "forbid.0 holds",
      "forbid.0 refuses",
      "agents.* holds",
      "agents.bot-* holds",
      "agents.bot-* refuses",
    ]);
    expect(shown(RULES, [{ ...pay, agent_id: "treasury" }])).toEqual([
      "constraints.1 holds",
      "forbid.0 holds",
      "agents.* holds",
    ]);
    expect(shown(RULES, [{ ...pay, tool: "pay_again", agent_id: "bot-1" }])).toEqual([
      "forbid.0 holds",
      "agents.* holds",
      "agents.bot-* holds",
    ]);
  });

  test("what refuses is shown, and of the checks before it what held", () => {
    expect(shown(RULES, [deniedBy("SEQUENCE_VIOLATION", "constraints.1")])).toEqual([
      "constraints.1 refuses",
    ]);
    expect(shown(RULES, [deniedBy("ACTION_NOT_ALLOWED", "agents.bot-*")])).toEqual([
      "constraints.1 holds",
      "agents.bot-* refuses",
    ]);
  });
});

test("counts a kind and all together", () => {
  const { covered, total, kinds, items } = policyCoverage(NARROWED, [[begin, pay, settle]]);
  expect(kinds).toEqual({
    transitions: { covered: 3, total: 7 },
    actions: { covered: 3, total: 7 },
    tools: { covered: 2, total: 4 },
    conditions: { covered: 5, total: 15 },
  });
  expect([covered, total, items.length]).toEqual([13, 33, 33]);
});

test("what answers of a gate show is what each condition says of the call by itself", async () => {
  const policy = parsePolicy(`schema: stepgate.policy/1
id: payments
version: "1"
sequence: pay
functions:
  pay:
    actions: [WRITE]
    args: { type: object, required: [amount], properties: { amount: true } }
    when: '!("to" in args) || args.to != "eve"'
tools:
  transfer:
    function: pay
    action: WRITE
    args: { type: object, properties: { amount: { type: number } } }
    when: agent_id == "treasury" || args.amount <= 100.0
    grounded: { to: [context.request] }
    approval: { when: args.amount >= 50.0, by: [finance] }
`);
  const gate = await createGate({
    policies: [policy],
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    maxDenialsPerSecond: 1_000_000,
  });
  const context = { request: "pay bob" };
  const verdicts = new Set<string>();
  let number = 0;
  for (const agent_id of ["treasury", "teller"])
    for (const amount of [undefined, "1", 1, 60, 200, 6000])
      for (const to of [undefined, "bob", "mallory", "eve"]) {
        const args = JSON.parse(JSON.stringify({ amount, to })) as JsonObject;
        const sequence_id = `s${number++}`;
        await gate.open({ sequence_id, agent_id, context });
        const decision = await gate.decide({ sequence_id, agent_id, tool: "transfer", args });
        const call = { ...decision.receipt, args };
        const truth = truthOf(policy, { args, context, agent_id, tenant: "" });
        for (const item of policyCoverage(policy, [[call]]).items) {
          if (item.kind !== "conditions" || !item.covered) continue;
          expect({ ...item, args, truth: truth.get(item.rule) }).toMatchObject({
            truth: item.what === "holds",
          });
          verdicts.add(`${item.rule} ${item.what}`);
        }
      }
  // Each side was seen, so none of them was agreed with by silence.
  expect([...verdicts].toSorted()).toEqual([...missing(policy, "conditions")].toSorted());
});

/** What each condition of the policy says, by its rule: whether it lets the call pass. */
function truthOf(policy: CompiledPolicy, scope: Scope): ReadonlyMap<string, boolean> {
  const truth = new Map<string, boolean>();
  for (const { conditions } of [...policy.functions.values(), ...policy.tools.values()]) {
    if (conditions === undefined) continue;
    const { path, args, when, grounded, approval } = conditions;
    if (args !== undefined) truth.set(`${path}.args`, args(scope.args) === undefined);
    if (when !== undefined) truth.set(`${path}.when`, when(scope) === true);
    for (const { path: of, holds } of grounded)
      truth.set(`${path}.grounded.${of}`, holds(scope) === true);
    if (approval?.when !== undefined) truth.set(`${path}.approval`, approval.when(scope) === false);
  }
  return truth;
}
