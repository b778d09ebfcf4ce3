/** What loads and hardly means it: names that nothing defines, paths that lead nowhere, arguments that nothing checks, arithmetic that fails. */
import { describe, expect, test } from "vitest";
import { checkPolicy } from "../src/index.ts";

const HEAD = `schema: stepgate.policy/1\nid: x\nversion: "1"\nsequence: intake, pay\n`;

/** `code line:column message; hint` of each warning. */
function warnings(text: string): readonly string[] {
  const { issues, warnings: found } = checkPolicy(text);
  expect(issues).toEqual([]);
  return found.map(
    ({ code, line, column, message, hint }) =>
      `${code} ${line}:${column} ${message}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

/** Members of the policy from line 8 on. */
function policy(members: string): string {
  return `${HEAD}functions: { intake: [READ], pay: [WRITE], other: { step: pay, actions: [WRITE] } }\ntools:\n  send: { function: other, action: WRITE }\n${members}\n`;
}

describe("a name that nothing defines", () => {
  test.each([
    [
      "forbid: [{ functions: [inatke] }]",
      "8:24 'inatke' is no function of this policy; did you mean 'intake'?",
    ],
    ["forbid: [{ steps: [other] }]", "8:20 'other' is no step of the sequence"],
    [
      "forbid: [{ actions: [WRIET] }]",
      "8:22 'WRIET' is permitted by no function; did you mean 'WRITE'?",
    ],
    ["forbid: [{ tools: [sned] }]", "8:20 'sned' is no tool of this policy; did you mean 'send'?"],
    [
      "constraints: [{ never: [inatke, pay] }]",
      "8:25 'inatke' is no function of this policy; did you mean 'intake'?",
    ],
    [
      "constraints: [{ precedence: [pay, { tool: sned }] }]",
      "8:43 'sned' is no tool of this policy; did you mean 'send'?",
    ],
    [
      "constraints: [{ never: [intake, { action: RAED }] }]",
      "8:43 'RAED' is permitted by no function; did you mean 'READ'?",
    ],
    ["constraints: [{ never: [{ step: other }, pay] }]", "8:33 'other' is no step of the sequence"],
    ["forbid: [{ tools: [toString] }]", "8:20 'toString' is no tool of this policy"],
  ])("in %s", (members, expected) => {
    expect(named(policy(members))).toEqual([`unknown-name ${expected}`]);
  });

  test("and no warning of one that something does", () => {
    const members = `forbid: [{ functions: [other], steps: [pay], actions: [WRITE], tools: [send], agents: [nobody] }]\nconstraints: [{ precedence: [intake, { step: pay }] }, { never: [{ tool: send }, { action: READ }] }]`;
    expect(named(policy(members))).toEqual([]);
  });

  function named(text: string): readonly string[] {
    return warnings(text).filter((warning) => warning.startsWith("unknown-name"));
  }
});

/** Members of the tool `send` in one line, behind `  send: { function: other, action: WRITE, `: from column 43 on. */
function tool(members: string, ofFunction = ""): string {
  return `${HEAD}functions:\n  intake: [READ]\n  pay: [WRITE]\n  other: { step: pay, actions: [WRITE]${ofFunction} }\ntools:\n  send: { function: other, action: WRITE, ${members} }\n`;
}

const SCHEMA =
  "{ type: object, properties: { to: {}, n: {}, a: { type: object, properties: { b: {}, c: {} } } } }";

describe("a path that no schema has", () => {
  const args = `args: ${SCHEMA}`;
  const listed = "ungrounded: [to, n, a]";

  test.each([
    [`grounded: { ot: context.x }, ${listed}, ${args}`, "10:55 no schema has an argument 'ot'"],
    [`bind: { id: args.nn }, ${args}`, "10:55 no schema has an argument 'nn'"],
    [`bind: { id: args.a.bb }, ${args}`, "10:55 no schema has an argument 'a.bb'"],
    [
      `limits: { sum: { of: args.amount, max: 1 } }, ${args}`,
      "10:64 no schema has an argument 'amount'",
    ],
    [`ungrounded: [x], ${args}`, "10:56 no schema has an argument 'x'"],
  ])("%s", (members, expected) => {
    expect(warnings(tool(members))).toEqual([`unknown-argument ${expected}`]);
  });

  test("is offered the name that is near", () => {
    const schema = "{ type: object, properties: { amount: {}, account: {} } }";
    expect(warnings(tool(`bind: { id: args.amuont }, args: ${schema}`))).toEqual([
      "unknown-argument 10:55 no schema has an argument 'amuont'; did you mean 'amount'?",
    ]);
  });

  test.each([
    [
      "its function's schema has it",
      "bind: { id: args.x }",
      `, args: { type: object, properties: { x: {} } }`,
    ],
    [
      "one of two schemas has it",
      `bind: { id: args.x }, ${args}`,
      ", args: { type: object, properties: { x: {} } }",
    ],
    ["there is no schema", "bind: { id: args.x }", ""],
    ["the schema says nothing of members", "bind: { id: args.x }, args: { type: object }", ""],
    [
      "they are named by patterns",
      "bind: { id: args.x }, args: { type: object, properties: { y: {} }, patternProperties: { '^x': {} } }",
      "",
    ],
    ["it leads into what is left open", "bind: { id: args.to.x.y }, " + args, ""],
  ])("is no warning where %s", (_, members, ofFunction) => {
    expect(warnings(tool(members, ofFunction))).toEqual([]);
  });

  test("on a function is looked for in the schemas of its tools", () => {
    expect(warnings(tool(args, ", bind: { id: args.n }"))).toEqual([]);
    expect(warnings(tool(args, ", bind: { id: args.nn }"))).toEqual([
      "unknown-argument 8:53 no schema has an argument 'nn'",
    ]);
  });
});

describe("an argument in neither grounded nor ungrounded", () => {
  const message = (name: string): string =>
    `argument '${name}' is in neither grounded nor ungrounded`;

  test("is named where the schema has it, once one is grounded", () => {
    expect(warnings(tool(`grounded: { to: context.x }, args: ${SCHEMA}`))).toEqual([
      `ungrounded-argument 10:116 ${message("n")}`,
      `ungrounded-argument 10:123 ${message("a")}`,
    ]);
    expect(warnings(tool(`args: ${SCHEMA}`))).toEqual([]);
  });

  test("also below what is listed in part, and not where the whole is", () => {
    const lists = (paths: string): string =>
      tool(`grounded: { to: context.x, a.b: context.x }, ungrounded: [${paths}], args: ${SCHEMA}`);
    expect(warnings(lists("n")).map((text) => text.replace(/10:\d+ /, ""))).toEqual([
      `ungrounded-argument ${message("a.c")}`,
    ]);
    expect(warnings(lists("n, a"))).toEqual([]);
    expect(warnings(lists("n, a.c"))).toEqual([]);
  });

  test("counts what its function grounds, and the other way round", () => {
    expect(
      warnings(tool(`ungrounded: [n, a], args: ${SCHEMA}`, ", grounded: { to: context.x }")),
    ).toEqual([]);
    expect(
      warnings(tool(`ungrounded: [n], args: ${SCHEMA}`, ", grounded: { to: context.x }")).length,
    ).toBe(1);
    expect(
      warnings(tool("grounded: { to: context.x }", `, args: ${SCHEMA}, ungrounded: [n]`)).map(
        (text) => text.replace(/\d+:\d+ /, ""),
      ),
    ).toEqual([`ungrounded-argument ${message("a")}`]);
  });
});

test("arithmetic that JSON numbers do not have is named at its character, in when and in an approval's", () => {
  expect(warnings(tool("when: args.n + 1 > 2"))).toEqual([
    "cel-arithmetic 10:58 '+' of an integer and a JSON number, which is a double, is an error; write 1.0",
  ]);
  expect(warnings(tool("approval: { by: [x], when: args.n + 1 > 2 }"))).toEqual([
    "cel-arithmetic 10:79 '+' of an integer and a JSON number, which is a double, is an error; write 1.0",
  ]);
});
