/** Lint of conditions: arithmetic that cannot work, and arguments that a tool does not take. */
import { describe, expect, test } from "vitest";
import { compileCel } from "../src/cel-condition.ts";
import { celLint, unknownArgs } from "../src/cel-lint.ts";
import type { CelIssue } from "../src/cel-syntax.ts";

function lines(issues: readonly CelIssue[]): readonly string[] {
  return issues.map(
    ({ column, hint, line, message }) =>
      `${line}:${column} ${message}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

describe("arithmetic with JSON numbers, which are doubles", () => {
  const message = (operator: string) =>
    `'${operator}' of an integer and a JSON number, which is a double, is an error`;

  test.each([
    ["args.n + 1 > 2", `1:10 ${message("+")}; write 1.0`],
    ["2 * context.n <= 10", `1:1 ${message("*")}; write 2.0`],
    ["args.a ==\n  args.b - 5", `2:12 ${message("-")}; write 5.0`],
    ["args.n / 2u > 1", `1:10 ${message("/")}; write 2.0`],
    ["args.list[0] + 1 > 2", `1:16 ${message("+")}; write 1.0`],
    ["args.n + size(args.s) > 2", `1:10 ${message("+")}; make it a double: double(…)`],
    ["args.n * 1.5 + 1 > 2", `1:16 ${message("+")}; write 1.0`],
    ["args.items.all(i, i.price + 1 < 5)", `1:29 ${message("+")}; write 1.0`],
    ["has(args.n) ? args.n + 1 > 2 : true", `1:24 ${message("+")}; write 1.0`],
    ["1 + 1.0 > 2", `1:1 ${message("+")}; write 1.0`],
    [
      "args.n % 2 == 0",
      "1:8 '%' works on integers, and JSON numbers are doubles; write int(args.n) % 2",
    ],
  ])("%s", (source, finding) => {
    expect(lines(celLint(source))).toEqual([finding]);
    const compiled = compileCel(source);
    if ("issues" in compiled) throw new Error("lint is about what compiles");
    const args = { n: 1, a: 1, b: 1, s: "", list: [1], items: [{ price: 1 }] };
    const scope = { args, context: { n: 1 }, agent_id: "", tenant: "" };
    // The finding is right: it is an error in every call.
    expect(compiled.condition(scope)).toBe("error");
  });

  test.each([
    "args.n + 1.0 > 2",
    "args.n <= 100",
    "int(args.n) + 1 > 2 && int(args.n) % 2 == 0",
    "size(args.s) + 1 > 2",
    "double(size(args.s)) * args.n > 2",
    "args.a + args.b > 2",
    "args.list[1] == 2 && args.list[int(args.i) + 1] == 2",
    "[1, 2].exists(x, x + 1 == 3)",
    "(args.f ? args.n : 1) + 1 > 2",
    "agent_id + 'x' == tenant",
    "not a condition",
  ])("nothing about %s", (source) => {
    expect(celLint(source)).toEqual([]);
  });
});

describe("arguments that a closed schema does not have", () => {
  const address = {
    type: "object",
    properties: { city: { type: "string" }, zip: { type: "string" } },
    additionalProperties: false,
  };
  const schema = {
    type: "object",
    properties: {
      amount: { type: "number" },
      currency: { enum: ["EUR", "USD"] },
      address: { $ref: "#/$defs/address" },
      items: { type: "array", items: address },
      open: { type: "object", properties: { known: {} } },
      either: { anyOf: [address, { type: "object" }] },
      "odd name": { type: "string" },
    },
    additionalProperties: false,
    $defs: { address },
  };

  test.each([
    ["args.amout <= 100", "1:6 the tool takes no argument 'amout'; did you mean 'amount'?"],
    [
      "true &&\n  args . curency == 'EUR'",
      "2:10 the tool takes no argument 'curency'; did you mean 'currency'?",
    ],
    ["has(args.adress.city)", "1:10 the tool takes no argument 'adress'; did you mean 'address'?"],
    ["has(args.amont)", "1:10 the tool takes no argument 'amont'; did you mean 'amount'?"],
    ["args.address.zit == ''", "1:14 the tool takes no argument 'zit'; did you mean 'zip'?"],
    ['args["oddname"] == ""', "1:6 the tool takes no argument 'oddname'; did you mean 'odd name'?"],
    ['"amoun" in args', "1:1 the tool takes no argument 'amoun'; did you mean 'amount'?"],
    [
      "args.items.all(i, i.ciyt == 'x')",
      "1:21 the tool takes no argument 'ciyt'; did you mean 'city'?",
    ],
    ["args.items[0].zipp == 'x'", "1:15 the tool takes no argument 'zipp'; did you mean 'zip'?"],
    [
      "args.address.country == 'x'",
      "1:14 the tool takes no argument 'country'; it takes city, zip",
    ],
    [
      "args.constructor == 'x'",
      "1:6 the tool takes no argument 'constructor'; it takes amount, currency, address, items, open, either, odd name",
    ],
  ])("%s", (source, finding) => {
    expect(lines(unknownArgs(source, schema))).toEqual([finding]);
  });

  test.each([
    "args.amount <= 100 && args.address.city == '' && args['odd name'] == ''",
    "args.open.anything == 1",
    "args.either.anything == 1",
    "args.items.all(i, i.city == context.citty)",
    "context.amout == 1",
    "args.amount.anything == 1",
    "args[args.currency] == 1",
    "[args.amount].exists(i, i.city == 1)",
    "args.items.exists(items, items.city == 'x')",
  ])("nothing about %s", (source) => {
    expect(unknownArgs(source, schema)).toEqual([]);
  });

  test("a name that a comprehension gives hides the one outside", () => {
    const nested = {
      type: "object",
      properties: { rows: { type: "array", items: { type: "array", items: address } } },
    };
    const source = "args.rows.all(x, x[0].citi == '') && args.rows.all(x, x.zip == '')";
    expect(lines(unknownArgs(source, nested))).toEqual([
      "1:23 the tool takes no argument 'citi'; did you mean 'city'?",
    ]);
  });

  test("nothing without a schema that is one, or with one that refers to itself", () => {
    for (const other of [undefined, null, true, [], {}, { $ref: "#" }, { $ref: "#/%" }])
      expect(unknownArgs("args.x == 1", other)).toEqual([]);
    const list = {
      type: "object",
      properties: { value: {}, next: { $ref: "#" } },
      additionalProperties: false,
    };
    expect(lines(unknownArgs("args.next.next.valu == 1", list))).toEqual([
      "1:16 the tool takes no argument 'valu'; did you mean 'value'?",
    ]);
  });
});
