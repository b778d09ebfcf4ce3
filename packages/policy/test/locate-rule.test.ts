/** From the rule of a decision to the line of the policy: what `explain` prints. */
import { describe, expect, test } from "vitest";
import { locateRule, locateStep } from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";

const text = `schema: stepgate.policy/1
id: x
version: "1"
sequence: a, b
functions:
  a: [X]
  b:
    actions: [Y]
  a.b: { actions: [Z], step: a }
tools:
  get.order: { function: a, action: X }
  get: { function: a, action: X }
freshness: 1m
tests:
  - name: t
    calls: [{ tool: get.order, expect: ALLOW }]
`;

describe("a rule is found", () => {
  test.each([
    ["sequence", { line: 4, column: 1 }],
    ["functions", { line: 5, column: 1 }],
    ["functions.b.actions", { line: 8, column: 5 }],
    ["functions.a.b.step", { line: 9, column: 24 }],
    ["functions.a.b.actions", { line: 9, column: 10 }],
    ["tools.get.order", { line: 11, column: 3 }],
    ["freshness", { line: 13, column: 1 }],
    ["tests.0.calls", { line: 16, column: 5 }],
  ])("%s", (rule, position) => {
    expect(locateRule(text, rule)).toEqual(position);
  });

  test.each([
    ["functions.a.actions", "the short form", { line: 6, column: 3 }],
    ["functions.a.step", "a step that is not written out", { line: 6, column: 3 }],
    [
      "functions.ab.actions",
      "a function that is not there, though one begins like it",
      { line: 5, column: 1 },
    ],
    ["tools.unknown", "a tool that is not there", { line: 10, column: 1 }],
    ["tools.get.order.limits.calls", "a member that is not there", { line: 11, column: 3 }],
  ])("%s, %s, at the nearest member above", (rule, _, position) => {
    expect(locateRule(text, rule)).toEqual(position);
  });

  test.each(["nonce", "seal", "request.args", "lifetime", ""])(
    "%j, which is no member here, nowhere",
    (rule) => {
      expect(locateRule(text, rule)).toBeUndefined();
    },
  );

  test.each([
    ["tools.transfer_funds", "  transfer_funds:"],
    ["tools.transfer_funds.args", "    args: "],
    ["tools.transfer_funds.when", "    when: "],
    ["tools.transfer_funds.grounded.to", "to: [context"],
    ["tools.transfer_funds.bind.application", "application: args"],
    ["tools.transfer_funds.limits.calls", "calls: { max"],
    ["tools.transfer_funds.limits.sum", "sum: {"],
    ["tools.transfer_funds.approval", "    approval: "],
    ["constraints.0", "precedence:"],
    ["constraints.1", "never:"],
    ["forbid.0", "{ tools: [transfer_funds]"],
    ["agents", "agents:"],
    ["agents.bot-*", '  "bot-*":'],
    ["agents.*", '  "*": {}'],
  ])("%s, in the example of the page, where it is written", (rule, written) => {
    const found = locateRule(PAYMENTS, rule);
    const lines = PAYMENTS.split("\n");
    const column = (found?.column ?? 0) - 1;
    expect(lines[(found?.line ?? 0) - 1]?.slice(column)).toMatch(
      new RegExp(`^${written.trim().replaceAll(/[.*[{]/g, "\\$&")}`),
    );
  });

  test("by a name with dots in it, of an argument, a pattern or a bound name", () => {
    const doc = `tools:\n  t.u:\n    grounded:\n      a.b: context.x\n      a: context.x\nagents:\n  "x.*": {}\n  x: {}\n`;
    expect(locateRule(doc, "tools.t.u.grounded.a.b")).toEqual({ line: 4, column: 7 });
    expect(locateRule(doc, "tools.t.u.grounded.a")).toEqual({ line: 5, column: 7 });
    expect(locateRule(doc, "agents.x.*")).toEqual({ line: 7, column: 3 });
  });

  test("in no text that is no policy", () => {
    expect(locateRule("[", "sequence")).toBeUndefined();
    expect(locateRule("", "sequence")).toBeUndefined();
  });
});

describe("a step is found where the order first names it", () => {
  const order = (sequence: string): string => `id: x\nsequence: ${sequence}\n`;
  test.each([
    ["review, a.review, re", "re", { line: 2, column: 29 }],
    ["review-2, (review | b){1,2}", "review", { line: 2, column: 22 }],
    ["axb, a.b", "a.b", { line: 2, column: 16 }],
    ["[a, { step: b, max: 2 }]", "b", { line: 2, column: 23 }],
    ['\n  - a, c\n  - "b | d"', "d", { line: 4, column: 10 }],
    ["a, b", "c", undefined],
  ])("%s: %s", (sequence, step, place) => {
    expect(locateStep(order(sequence), step)).toEqual(place);
  });
});
