/** A file of tests beside a policy: what is wrong with it is told at its line and column. */
import { describe, expect, test } from "vitest";
import { checkPolicyTests, formatIssue, policyTestJsonSchema } from "../src/index.ts";

const GOOD = `policy: ./payments.yaml
tests:
  - name: refused
    agent_id: bot-1
    calls:
      - { tool: pay, args: { amount: 1 }, expect: SEQUENCE_VIOLATION }
`;

test("names its policy and has tests of the shape that a policy's own have", () => {
  expect(checkPolicyTests(GOOD)).toEqual({
    policy: "./payments.yaml",
    issues: [],
    document: {
      policy: "./payments.yaml",
      tests: [
        {
          name: "refused",
          agent_id: "bot-1",
          calls: [{ tool: "pay", args: { amount: 1 }, expect: "SEQUENCE_VIOLATION" }],
        },
      ],
    },
  });
});

test.each([
  [
    "a key",
    GOOD.replace("policy:", "polcy:"),
    ["1:1: 'policy' is missing", "1:1: unknown key 'polcy'; did you mean 'policy'?"],
  ],
  [
    "a key of a call",
    GOOD.replace("expect", "expct"),
    ["6:9: 'expect' is missing", "6:43: unknown key 'expct'; did you mean 'expect'?"],
  ],
  [
    "a code",
    GOOD.replace("SEQUENCE_VIOLATION", "SEQUENCE_VIOLATON"),
    ["6:51: tests.0.calls.0.expect: must be ALLOW or a deny code"],
  ],
  ["no tests", "policy: a.yaml\ntests: []\n", ["2:8: tests: must not be empty"]],
  [
    "no call",
    "policy: a.yaml\ntests: [{ name: x, calls: [] }]\n",
    ["2:27: tests.0.calls: a test needs a call"],
  ],
  ["nothing", "", ["1:1: the document is empty"]],
  ["a list", "- a\n", ["1:1: the document must be an object"]],
  [
    "an alias",
    "policy: &a x.yaml\ntests: *a\n",
    ["1:9: anchors are not allowed", "2:8: aliases are not allowed; write the value out"],
  ],
])("refuses %s at its place", (_, text, issues) => {
  const check = checkPolicyTests(text);
  expect(check.document).toBeUndefined();
  expect(check.issues.map((issue) => formatIssue(issue, "f"))).toEqual(
    issues.map((issue) => `f:${issue}`),
  );
});

test("says which policy it is about, whatever else is wrong", () => {
  expect(checkPolicyTests("policy: a.yaml\ntest: []\n")).toMatchObject({ policy: "a.yaml" });
  expect(checkPolicyTests("policy: 3\n")).not.toHaveProperty("policy");
});

describe("the editor's schema", () => {
  test("has both members and no others", () => {
    expect(policyTestJsonSchema()).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      required: ["policy", "tests"],
      additionalProperties: false,
      properties: { tests: { type: "array", minItems: 1 } },
    });
  });
});
