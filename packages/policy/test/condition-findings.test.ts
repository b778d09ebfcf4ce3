/** Level 2 as it is written: every fault at its line and column with the way out, all of them at once, and nothing loads. */
import { describe, expect, test } from "vitest";
import { checkPolicy, compilePolicy, formatIssue, parsePolicy } from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";

const HEAD = `schema: stepgate.policy/1\nid: x\nversion: "1"\nsequence: a, b\n`;
const FUNCTIONS = "functions: { a: [X], b: [Y] }\n";

/** `line:column message; hint`, from top to bottom. */
function faults(text: string): readonly string[] {
  return checkPolicy(text).issues.map((issue) =>
    formatIssue(issue, "p").replace(/^p:(\d+:\d+):/, "$1"),
  );
}

/** A member of a tool stands in line 9, at column 5. */
function tool(members: string): string {
  return `${HEAD}${FUNCTIONS}tools:\n  pay:\n    { function: b, action: Y }\n`.replace(
    "    { function: b, action: Y }\n",
    `    function: b\n    ${members}\n    action: Y\n`,
  );
}

/** The same on a function, in the same place. */
function fn(members: string): string {
  return `${HEAD}functions:\n  a: [X]\n  b:\n    actions: [Y]\n    ${members}\n`;
}

/** A member of the policy stands in line 6. */
function policy(members: string): string {
  return HEAD + FUNCTIONS + members;
}

test("the example of the page loads, and no digest of it changes by chance", () => {
  expect(faults(PAYMENTS)).toEqual([]);
  expect(checkPolicy(PAYMENTS).warnings).toEqual([]);
  expect(parsePolicy(PAYMENTS).digest).toBe(
    "sha256:9888be65006f294d4a0e0990466836b3e8be568a59b6687e9e7c425c5a971b2e",
  );
});

describe("on a tool or on a function", () => {
  test.each([
    ["when: 5", "9:11 AT.when: must be a CEL expression"],
    ["when: true", "9:11 AT.when: must be a CEL expression"],
    ["when: ' '", "9:12 the expression is empty"],
    ["when: args.n >", "9:19 the expression ends too early after '>'"],
    ["when: args.n = 5", "9:18 unexpected '=' ; did you mean '=='?".replace(" ;", ";")],
    ['when: agent_di == "x"', "9:11 'agent_di' is no variable; did you mean 'agent_id'?"],
    ["when: args.n + 5.0", "9:18 a condition is true or false; this is a double"],
    [
      "when: \"args.s.matchs('x')\"",
      "9:19 there is no function 'matchs' here; did you mean 'matches'?",
    ],
    [
      "when: args.a.all(x, args.b.all(y, x == y))",
      "9:32 'all' stands inside another comprehension; a member may be compared with a list by 'in'",
    ],
    ["when: args.s.matches('(')", "9:26 not a regular expression of RE2: missing closing ): `(`"],
    ["when: [x]", "9:11 AT.when: must be a CEL expression"],
    ["args: 5", "9:11 AT.args: must be a JSON Schema"],
    ["args: { tpye: object }", "9:13 'tpye' is no keyword of JSON Schema; did you mean 'type'?"],
    [
      "args: { required: [n] }",
      "9:13 'required' needs a type beside it; write type: object in the same schema",
    ],
    [
      "args: { type: object, required: [n] }",
      "9:37 'required' names 'n', which properties beside it does not have; write properties: { n: true } in the same schema",
    ],
    [
      'args: { type: object, properties: { n: { type: string, pattern: "(a" } } }',
      "9:69 not a regular expression of RE2: missing closing ): `(a`",
    ],
    [
      "args: { type: object, properties: { n: { type: string, format: email } } }",
      "9:60 'format' is not checked here; remove it, or write a pattern",
    ],
    [
      "grounded: [to]",
      "9:15 AT.grounded: must be an object: dotted paths under args, and the sources of each",
    ],
    ["grounded: { to: [] }", "9:21 an empty list of sources grounds nothing"],
    ["grounded: { to: [[]] }", "9:22 an empty list of literals grounds nothing"],
    [
      "grounded: { args.to: context.a }",
      "9:17 a key of grounded is under args already; write 'to'",
    ],
    [
      "grounded: { to: contxt.a }",
      "9:21 'contxt.a' is no source: a source is a path such as context.request; did you mean 'context'?",
    ],
    ["grounded: { to: { form: context.a } }", "9:21 'from' is missing"],
    [
      "grounded: { to: { from: context.a, match: hots } }",
      "9:47 match: must be host, under or text; did you mean 'host'?",
    ],
    ["grounded: { to: [[007]] }", "9:23 007 is no whole number in its plain spelling: quote it"],
    ["grounded: { to: [[1e3]] }", "9:23 1e3 is no whole number in its plain spelling: quote it"],
    ["grounded: { to: [[0x1F]] }", "9:23 0x1F is no whole number in its plain spelling: quote it"],
    ["grounded: { to: [[1.0]] }", "9:23 1.0 is no whole number in its plain spelling: quote it"],
    ["grounded: { to: [[-0]] }", "9:23 -0 is no whole number in its plain spelling: quote it"],
    [
      "grounded: { to: [[9007199254740993]] }",
      "9:23 an integer beyond ±(2^53 − 1) loses digits; write it in quotes",
    ],
    ["grounded: { to: [[true]] }", "9:23 a literal is a string or a whole number"],
    ["ungrounded: to", "9:17 AT.ungrounded: must be a list of dotted paths under args"],
    [
      "ungrounded: [args.to]",
      "9:18 AT.ungrounded.0: must be a dotted path under args, without args itself",
    ],
    [
      'ungrounded: ["a..b"]',
      "9:18 AT.ungrounded.0: must be a dotted path under args, without args itself",
    ],
    [
      "bind: { id: application_id }",
      "9:17 AT.bind.id: must be a dotted path under args, such as args.amount",
    ],
    [
      "bind: { id: args }",
      "9:17 AT.bind.id: must be a dotted path under args, such as args.amount",
    ],
    [
      "bind: { id: args..a }",
      "9:17 AT.bind.id: must be a dotted path under args, such as args.amount",
    ],
    ["bind: { 'a b': args.a }", "9:13 a name is 1 to 128 of A-Z a-z 0-9 . _ : -"],
    ["limits: 5", "9:13 AT.limits: must be an object"],
    ["limits: { clals: 5 }", "9:15 unknown key 'clals'; did you mean 'calls'?"],
    ["limits: { calls: -1 }", "9:22 AT.limits.calls: must not be negative"],
    [
      "limits: { calls: 1.5 }",
      "9:22 AT.limits.calls: must be a whole number, or { max, per, window }",
    ],
    ["limits: { calls: { per: agent, window: 1h } }", "9:15 'max' is missing"],
    [
      "limits: { calls: { max: 1, per: agent } }",
      "9:22 AT.limits.calls: 'per' and 'window' stand together, or neither does",
    ],
    [
      "limits: { calls: { max: 1, window: 1h } }",
      "9:22 AT.limits.calls: 'per' and 'window' stand together, or neither does",
    ],
    [
      "limits: { calls: { max: 1, pre: agent, window: 1h } }",
      "9:32 unknown key 'pre'; did you mean 'per'?",
    ],
    [
      "limits: { calls: { max: 1, per: agnet, window: 1h } }",
      "9:37 AT.limits.calls.per: must be agent or tenant",
    ],
    [
      "limits: { sum: { of: args.n, max: 1, per: agent, window: 0s } }",
      "9:62 AT.limits.sum.window: must be a duration such as '300s' (ms, s, m, h, d)",
    ],
    [
      "limits: { sum: { of: args.n, max: 1, per: agent, window: 999999999999d } }",
      "9:62 window: is longer than 2^53 − 1 milliseconds",
    ],
    [
      "limits: { sum: { of: amount, max: 1 } }",
      "9:26 AT.limits.sum.of: must be a dotted path under args, such as args.amount",
    ],
    ["limits: { sum: { of: args.n, max: -0.5 } }", "9:39 AT.limits.sum.max: must not be negative"],
    ["limits: { sum: { of: args.n } }", "9:15 'max' is missing"],
    ["approval: {}", "9:5 'by' is missing"],
    ["approval: { by: [] }", "9:21 AT.approval.by: must name at least one role"],
    ["approval: { by: finance }", "9:21 AT.approval.by: must be a list of roles"],
    ["approval: { by: [finance], count: 0 }", "9:39 AT.approval.count: must be at least 1"],
    ["approval: { by: [finance], roles: [x] }", "9:32 unknown key 'roles'"],
    ["approval: { by: [finance], when: args.n >< 5 }", "9:48 unexpected '5' after '<'"],
    [
      "audience: -x",
      "9:15 AT.audience: an identifier is 1 to 200 of A-Z a-z 0-9 . _ : @ / -, with a letter or digit first",
    ],
    ["whne: 'true'", "9:5 unknown key 'whne'; did you mean 'when'?"],
  ])("%s is refused", (members, expected) => {
    expect(faults(tool(members))).toContain(expected.replace("AT", "tools.pay"));
    expect(faults(fn(members))).toContain(expected.replace("AT", "functions.b"));
    expect(parsesTo(tool(members))).toBe("refused");
  });

  test.each([
    "when: |\n      args.n > 5.0 &&\n        args.m < 3.0",
    "when: ' args.n == 1 '",
    "args: true",
    "args: {}",
    'grounded: { to: context.a, cc: [context.b.c, [x, 5, -7, "007"]] }',
    "grounded: { url: { from: context.a, match: host }, a.b: { from: [[x]] } }",
    "ungrounded: [a, b.c]",
    "bind: { order: args.order.id, customer: args.customer }",
    "limits: { calls: 1 }",
    "limits: { calls: { max: 3, per: tenant, window: 90m }, sum: { of: args.a.b, max: 0.25 } }",
    "limits: {}",
    "approval: { by: [finance, legal] }",
    "approval: { by: [finance], count: 2, when: has(args.n) }",
    "audience: ledger",
  ])("%s is taken", (members) => {
    expect(faults(tool(members))).toEqual([]);
    expect(faults(fn(members))).toEqual([]);
  });

  test("a fault in a CEL text is shown at its character, in every style of YAML", () => {
    expect(faults(tool("when: |\n      args.n > 5.0 &&\n        agent_di == 'x'"))).toEqual([
      "11:9 'agent_di' is no variable; did you mean 'agent_id'?",
    ]);
    expect(faults(tool("when: >-\n      args.n > 5.0 &&\n      agent_di == 'x'"))).toEqual([
      "11:7 'agent_di' is no variable; did you mean 'agent_id'?",
    ]);
    expect(faults(tool("when: \"  args.n > 5.0 && agent_di == 'x'\""))).toEqual([
      "9:30 'agent_di' is no variable; did you mean 'agent_id'?",
    ]);
  });

  test("for a value a fault has its path, and its character where there is a text", () => {
    const base = { schema: "stepgate.policy/1", id: "x", version: "1", sequence: "a" };
    const compile = (entry: object): unknown =>
      compilePolicy({ ...base, functions: { a: { actions: ["X"], ...entry } } });
    expect(() => compile({ when: " agent_di == ''" })).toThrow(
      "policy: functions.a.when: 'agent_di' is no variable (character 2); did you mean 'agent_id'?",
    );
    expect(() => compile({ args: { required: ["n"] } })).toThrow(
      "policy: functions.a.args.required: 'required' needs a type beside it",
    );
  });
});

describe("a field that the schema does not have is a typing error", () => {
  const schema =
    "{ type: object, properties: { amount: { type: number } }, additionalProperties: false }";
  const open = "{ type: object, properties: { amount: { type: number } } }";
  const fault = "the tool takes no argument 'amuont'; did you mean 'amount'?";

  test("in the condition of the same tool, and in that of its approval", () => {
    expect(faults(tool(`args: ${schema}\n    when: args.amuont > 5.0`))).toEqual([
      `10:16 ${fault}`,
    ]);
    expect(faults(fn(`args: ${schema}\n    when: args.amuont > 5.0`))).toEqual([`10:16 ${fault}`]);
    expect(
      faults(tool(`args: ${schema}\n    approval: { by: [x], when: has(args.amuont) }`)),
    ).toEqual([`10:41 ${fault}`]);
  });

  test("also where the schema is that of its only function", () => {
    const both = (names: string): string =>
      `${HEAD}functions:\n  a: [X]\n  b: { actions: [Y], args: ${schema} }\n  c: { step: b, actions: [Y] }\ntools:\n  pay: { function: ${names}, action: Y, when: args.amuont > 5.0 }\n`;
    expect(faults(both("b"))).toEqual([`10:45 ${fault}`]);
    expect(faults(both("[b]"))).toEqual([`10:47 ${fault}`]);
    expect(faults(both("[b, c]"))).toEqual([]);
  });

  test("but not where the schema leaves it open", () => {
    expect(faults(tool(`args: ${open}\n    when: args.amuont > 5.0`))).toEqual([]);
  });
});

describe("constraints, forbid and agents", () => {
  test.each([
    ["constraints: {}", "6:14 constraints: must be a list of constraints"],
    ["constraints: [{}]", "6:15 constraints.0: must have exactly one of precedence, never"],
    [
      "constraints: [{ precedence: [a, b], never: [b, a] }]",
      "6:15 constraints.0: must have exactly one of precedence, never",
    ],
    [
      "constraints: [{ precedense: [a, b] }]",
      "6:17 unknown key 'precedense'; did you mean 'precedence'?",
    ],
    ["constraints: [{ never: a }]", "6:24 constraints.0.never: must be a list of two selectors"],
    ["constraints: [{ never: [a] }]", "6:24 constraints.0.never: must be a list of two selectors"],
    [
      "constraints: [{ never: [a, b, a] }]",
      "6:24 constraints.0.never: must be a list of two selectors",
    ],
    [
      "constraints: [{ never: [a, 5] }]",
      "6:28 constraints.0.never.1: must be a function's name, or one of { function, step, action, tool }",
    ],
    [
      "constraints: [{ never: [a, {}] }]",
      "6:28 constraints.0.never.1: must have exactly one of function, step, action, tool",
    ],
    [
      "constraints: [{ never: [a, { step: b, action: Y }] }]",
      "6:28 constraints.0.never.1: must have exactly one of function, step, action, tool",
    ],
    [
      "constraints: [{ never: [a, { action: Y, status: succeeded }] }]",
      "6:41 unknown key 'status'",
    ],
    [
      "constraints: [{ never: [a, { acton: Y }] }]",
      "6:30 unknown key 'acton'; did you mean 'action'?",
    ],
    ["forbid: [{}]", "6:10 forbid.0: must not be empty: it would forbid everything"],
    ["forbid: [{ tools: [] }]", "6:19 forbid.0.tools: must not be empty: it would match nothing"],
    ["forbid: [{ agents: [] }]", "6:20 forbid.0.agents: must not be empty: it would match nothing"],
    ["forbid: [{ tools: pay }]", "6:19 forbid.0.tools: must be a list of tools"],
    ["forbid: [{ tool: [pay] }]", "6:12 unknown key 'tool'; did you mean 'tools'?"],
    [
      "forbid: [{ agents: ['bot *'] }]",
      "6:21 forbid.0.agents.0: a pattern is 1 to 200 of A-Z a-z 0-9 . _ : @ / - and *, with a letter, digit or * first",
    ],
    ["agents: []", "6:9 agents: must be an object: patterns and what is left to their agents"],
    [
      "agents: { 'bot *': {} }",
      "6:11 a pattern is 1 to 200 of A-Z a-z 0-9 . _ : @ / - and *, with a letter, digit or * first",
    ],
    ["agents: { '*': }", "6:16 agents.*: must be an object"],
    ["agents: { '*': { actions: [] } }", "6:18 unknown key 'actions'"],
    ["agents: { '*': { functons: {} } }", "6:18 unknown key 'functons'; did you mean 'functions'?"],
    ["agents: { '*': { functions: { b: { actions: [], step: a } } } }", "6:49 unknown key 'step'"],
    [
      "agents: { '*': { functions: { reviwe: [] } } }",
      "6:31 'reviwe' is no function of this policy",
    ],
    [
      "agents: { 'x': {}, '*': { functions: { b: [Y, X] } } }",
      "6:47 function 'b' does not permit 'X', and agents may only narrow",
    ],
    [
      "agents: { '*': { functions: { b: { actions: [Z] } } } }",
      "6:46 function 'b' does not permit 'Z', and agents may only narrow",
    ],
  ])("%s is refused", (members, expected) => {
    expect(faults(policy(`${members}\n`))).toEqual([expected]);
  });

  test("a name that is nearly right is offered", () => {
    const text = `${HEAD}functions: { a: [READ], b: [WRITE] }\nagents:\n  x: { functions: { a: [RAED] } }\n`;
    expect(faults(text)).toEqual([
      "7:25 function 'a' does not permit 'RAED', and agents may only narrow; did you mean 'READ'?",
    ]);
    expect(
      faults(
        `${HEAD}functions: { a: [X], b: [Y], lookup: { step: a, actions: [X] } }\nagents: { x: { functions: { lokup: [] } } }\n`,
      ),
    ).toEqual(["6:29 'lokup' is no function of this policy; did you mean 'lookup'?"]);
  });

  test("what follows from a faulty function is not said of agents too", () => {
    const text = `${HEAD}functions: { a: [X, 5], b: [Y] }\nagents: { x: { functions: { a: [X], b: [Z] } } }\n`;
    expect(faults(text)).toEqual([
      "5:21 functions.a.1: must be a name",
      "6:41 function 'b' does not permit 'Z', and agents may only narrow",
    ]);
  });
});

describe("every fault is reported at once", () => {
  test("of one entry, of its neighbours, of every section, whatever else is wrong", () => {
    const text = `${HEAD}functions:
  a: { actions: [X], whne: "true" }
  b: { actions: [Y], when: args.n === 5 }
tools:
  pay:
    function: c
    action: Y
    args: { tpye: object }
    when: agent_di == "x"
    grounded: { to: [contxt.a, [007]] }
    limits: { sum: { of: amount, max: 1, per: agent, window: 999999999999d }, calls: -1 }
    approval: { by: [], when: tennant == "x" }
forbid: [{}]
constraints: [{}]
agents: { x: { functions: { c: [], b: [Z] } }, y: { fn: {} } }
`;
    expect(faults(text)).toEqual([
      "6:22 unknown key 'whne'; did you mean 'when'?",
      "7:37 unexpected '=' after '=='; did you mean '=='?",
      "10:15 'c' is no function of this policy",
      "12:13 'tpye' is no keyword of JSON Schema; did you mean 'type'?",
      "13:11 'agent_di' is no variable; did you mean 'agent_id'?",
      "14:22 'contxt.a' is no source: a source is a path such as context.request; did you mean 'context'?",
      "14:33 007 is no whole number in its plain spelling: quote it",
      "15:26 tools.pay.limits.sum.of: must be a dotted path under args, such as args.amount",
      "15:62 window: is longer than 2^53 − 1 milliseconds",
      "15:86 tools.pay.limits.calls: must not be negative",
      "16:21 tools.pay.approval.by: must name at least one role",
      "16:31 'tennant' is no variable; did you mean 'tenant'?",
      "17:10 forbid.0: must not be empty: it would forbid everything",
      "18:15 constraints.0: must have exactly one of precedence, never",
      "19:29 'c' is no function of this policy",
      "19:40 function 'b' does not permit 'Z', and agents may only narrow",
      "19:53 unknown key 'fn'",
    ]);
  });

  test("names of prototypes are refused in schemas, sources and patterns alike", () => {
    for (const [members, column] of [
      ["args: { type: object, properties: { __proto__: {} } }", 41],
      ["grounded: { constructor: context.a }", 17],
      ["bind: { prototype: args.a }", 13],
    ] as const)
      expect(faults(tool(members))).toContainEqual(
        expect.stringMatching(
          new RegExp(`^9:${column} '(__proto__|constructor|prototype)' is not`),
        ),
      );
    expect(faults(policy("agents: { __proto__: {} }\n"))).toContain(
      "6:11 '__proto__' is not allowed as a key",
    );
  });
});

function parsesTo(text: string): string {
  try {
    return parsePolicy(text).digest;
  } catch {
    return "refused";
  }
}
