/** `stepgate init --from`: from a list of tools to a policy that loads, passes its tests and can be read. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { draftPolicy, formatPolicy, parsePolicy } from "@stepgate/policy";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mustPassItsTests } from "../src/policy-tests.ts";
import { stepgate, temporaryFolder } from "./binary.ts";
import { runInProcess as run } from "./in-process.ts";

const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_order",
      description: "Looks an order up.",
      parameters: {
        type: "object",
        properties: { order: { type: "integer" } },
        required: ["order"],
      },
    },
  },
  { name: "search_help", inputSchema: { properties: { q: { type: "string", format: "email" } } } },
  {
    name: "refund",
    description: "Pays back.",
    parameters: {
      type: "object",
      properties: { order: { type: "integer" }, amount: { type: "number", minimum: 1 } },
      required: ["order", "amount"],
    },
    action_type: "PAY",
  },
  { name: "send_mail", parameters: { type: "object", properties: { to: { type: "string" } } } },
  { name: "close_ticket" },
];

test("what it writes works: each command that it prints, and fmt has nothing to do", async () => {
  const cwd = temporaryFolder({ "tools.json": JSON.stringify(TOOLS) });
  const init = await stepgate(cwd, ["init", "--from", "tools.json"]);
  expect(init).toMatchObject({ code: 0, stderr: "" });
  expect(init.stdout).toContain("rewritten: search_help: type: object was added\n");
  expect(init.stdout).toMatch(/rewritten: search_help: \/properties\/q\/format: dropped: /);
  const next = [...init.stdout.matchAll(/^ {2}stepgate ([^<>\n]*)(?: < (.*))?$/gm)];
  for (const [, line = "", file] of next.slice(0, 4)) {
    const stdin = file === undefined ? "" : readFileSync(join(cwd, file), "utf8");
    const finished = await stepgate(cwd, line.trim().split(" "), { stdin });
    expect(finished, line).toMatchObject({ code: 0, stderr: "" });
    if (line.startsWith("test")) expect(finished.stdout).toMatch(/^4 passed, 0 failed$/m);
    if (line.startsWith("decide")) expect(finished.stdout.match(/^ALLOW /gm)).toHaveLength(4);
  }
  expect(await run("fmt", "--check", join(cwd, "policy.yaml"))).toMatchObject({ code: 0 });
}, 60_000);

test("the policy is there to be read: tools, groups, order, guesses", async () => {
  const cwd = temporaryFolder({ "tools.json": JSON.stringify(TOOLS) });
  await run("init", "--from", join(cwd, "tools.json"), cwd);
  const text = readFileSync(join(cwd, "policy.yaml"), "utf8");
  for (const part of [
    "sequence: pay?, send_mail?, close_ticket?\n",
    '  lookup: { step: "*", actions: [GET_ORDER, SEARCH_HELP] }\n  pay: [PAY]\n',
    "  # Pays back.\n  refund:\n    function: pay\n    action: PAY\n    args:\n      type: object\n",
    "  close_ticket:\n    function: close_ticket\n    action: CLOSE_TICKET\n",
    "{ tool: refund, args: { order: 1, amount: 1 }, expect: ALLOW }",
    "{ tool: get_order, args: {}, expect: ARGUMENT_VIOLATION }",
  ])
    expect(text).toContain(part);
});

test("--json tells the rewritings too", async () => {
  const cwd = temporaryFolder({ "tools.json": JSON.stringify(TOOLS) });
  const { stdout } = await run("init", "--from", join(cwd, "tools.json"), "--json", cwd);
  expect(JSON.parse(stdout).notes).toEqual([
    "rewritten: search_help: type: object was added",
    expect.stringMatching(/^rewritten: search_help: \/properties\/q\/format: /),
  ]);
});

describe("what is wrong is said, and nothing is written", () => {
  test.each([
    [`[{"name": "a"},\n {"nmae": "b"}]`, "2:2: a tool without a name; did you mean 'name'"],
    [`[{"name": "a"]`, "1:14: not JSON"],
  ])("%s", async (tools, message) => {
    const cwd = temporaryFolder({ "tools.json": tools });
    const { code, stdout, stderr } = await run("init", "--from", join(cwd, "tools.json"), cwd);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(`tools.json:${message}`);
    expect(readdirSync(cwd)).toEqual(["tools.json"]);
  });

  test("no such file, and two sources at once", async () => {
    const cwd = temporaryFolder();
    expect(await run("init", "--from", "/none.json", cwd)).toMatchObject({
      code: 2,
      stderr: "/none.json: no such file or folder\n",
    });
    expect(await run("init", "--from", "x", "--from-env", cwd)).toMatchObject({ code: 2 });
    expect(readdirSync(cwd)).toEqual([]);
  });
});

test("whatever the tools, the tests of the draft pass", async () => {
  const property = fc.constantFrom<unknown>(
    { type: "string", minLength: 3 },
    { type: "integer", minimum: 5, maximum: 6 },
    { enum: ["a", "b"] },
    { type: ["string", "null"] },
    { type: "array", items: { type: "number", exclusiveMinimum: 2 }, minItems: 2 },
    { type: "string", pattern: "^[A-Z]{2}$" },
  );
  const parameters = fc.record({
    type: fc.constant("object"),
    properties: fc.record({ a: property, b: property }),
    required: fc.subarray(["a", "b"]),
  });
  const tool = fc.record(
    {
      name: fc.constantFrom("get_x", "list_y", "login", "pay", "pay_b", "send", "close", "lookup"),
      parameters,
      action_type: fc.constantFrom("PAY", "SEND", "READ"),
    },
    { requiredKeys: ["name"] },
  );
  const tools = fc.uniqueArray(tool, { minLength: 1, selector: ({ name }) => name });
  await fc.assert(
    fc.asyncProperty(tools, async (list) => {
      const { text, calls } = draftPolicy(list);
      await mustPassItsTests(parsePolicy(text));
      expect(formatPolicy(text)).toBe(text);
      expect(new Set(calls.map((call) => call.tool)).size).toBe(calls.length);
    }),
    { numRuns: 60 },
  );
});
