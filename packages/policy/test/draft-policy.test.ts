/** A first policy from tools: it loads, it is laid out, and it says what was guessed and what was rewritten. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { checkPolicy, draftPolicy, formatPolicy, policyTests, parsePolicy } from "../src/index.ts";

interface Drafted {
  readonly sequence: string;
  readonly functions: Readonly<Record<string, unknown>>;
  readonly tools: Readonly<
    Record<string, { readonly function: string; readonly action: string; readonly args?: unknown }>
  >;
}

function draft(...tools: Parameters<typeof draftPolicy>[0][number][]): Drafted {
  return parse(draftPolicy(tools).text) as Drafted;
}

describe("what is guessed", () => {
  test.each([
    ["get_order", true],
    ["listFiles", true],
    ["github__search_issues", true],
    ["mail/read", true],
    ["READ-ALL", true],
    ["getter_delete", false],
    ["delete_list", false],
    ["budget", false],
  ])("%s reads: %s", (name, reads) => {
    const { functions, tools } = draft({ name });
    const fn = tools[name]?.function ?? "";
    expect(functions[fn]).toEqual(
      reads ? { step: "*", actions: [name.toUpperCase().replace("/", "_")] } : expect.any(Array),
    );
  });

  test("an action type that is given counts for more than the name, and those of one type share a step", () => {
    const { sequence, functions, tools } = draft(
      { name: "get_otp", action_type: "AUTH" },
      { name: "pay_a", action_type: "PAY" },
      { name: "pay_b", action_type: "PAY" },
      { name: "peruse", action_type: "READ_INPUT" },
    );
    expect(sequence).toBe("auth?, pay{0,2}");
    expect(functions).toEqual({
      lookup: { step: "*", actions: ["READ_INPUT"] },
      auth: ["AUTH"],
      pay: ["PAY"],
    });
    expect(tools["pay_b"]).toEqual({ function: "pay", action: "PAY" });
  });

  test("what begins comes first and what ends last, the rest in the order of the list", () => {
    const names = ["close_ticket", "refund", "login", "send_mail"];
    const { sequence } = draft(...names.map((name) => ({ name })));
    expect(sequence).toBe("login?, refund?, send_mail?, close_ticket?");
  });

  test("every guess says that it is one", () => {
    const tools = [{ name: "get_x" }, { name: "pay", parameters: { properties: { n: {} } } }];
    const lines = draftPolicy(tools).text.split("\n");
    const guesses = lines.flatMap((line, index) =>
      line.includes("# guessed: ") ? [line.trim().startsWith("#") ? lines[index + 1] : line] : [],
    );
    for (const mark of ["id:", "  lookup:", "tools:", "      additionalProperties: false"])
      expect(guesses).toContainEqual(expect.stringContaining(mark));
    expect(
      lines
        .slice(
          0,
          lines.findIndex((line) => line.startsWith("sequence:")),
        )
        .join("\n"),
    ).toMatch(/# guessed: .* in this order/);
  });

  test("where every tool reads, the host ends the run", () => {
    const { sequence, functions } = draft({ name: "get_x" });
    expect({ sequence, functions }).toEqual({
      sequence: "done",
      functions: { lookup: { step: "*", actions: ["GET_X"] }, done: ["DONE"] },
    });
  });
});

describe("arguments", () => {
  test("are those of the tool's schema, rewritten where the language is strict, and that is told twice", () => {
    const { text, notes } = draftPolicy([
      { name: "pay", parameters: { properties: { n: { type: "number", format: "double" } } } },
    ]);
    expect(notes).toEqual([
      { tool: "pay", message: "type: object was added" },
      { tool: "pay", message: expect.stringMatching(/^\/properties\/n\/format: dropped: /) },
    ]);
    for (const { message } of notes) expect(text).toContain(`    # rewritten: ${message}\n`);
    expect((parse(text) as Drafted).tools["pay"]?.args).toEqual({
      type: "object",
      properties: { n: { type: "number", $comment: "format: double" } },
      additionalProperties: false,
    });
  });

  test("lose titles but not arguments of that name, and nothing of what somebody wrote", () => {
    const parameters = {
      title: "Pay",
      type: "object",
      properties: { title: { title: "Title", type: "string", default: { title: "x" } } },
    };
    expect(draft({ name: "pay", parameters }).tools["pay"]?.args).toEqual({
      type: "object",
      properties: { title: { type: "string", default: { title: "x" } } },
      additionalProperties: false,
    });
  });

  test.each([
    { properties: { a: {} }, additionalProperties: { type: "string" } },
    { properties: { a: {} }, anyOf: [{ properties: { b: {} } }] },
    { type: "object" },
  ])("stay open where more may come than %j names", (parameters) => {
    const { text } = draftPolicy([{ name: "pay", parameters }]);
    expect(text).not.toContain("additionalProperties: false");
  });

  test("that came without a schema are let through, and a comment says so", () => {
    expect(draftPolicy([{ name: "pay" }]).text).toContain(
      "# it came without a schema: any arguments pass",
    );
  });
});

test("what a tool says of itself is a comment of one line, whatever is in it", () => {
  const description = "Pays.\u202e Now!\nversion: evil";
  const { text } = draftPolicy([
    { name: "pay", description },
    { name: "b", description: "\n\u0007 x\u2028y" },
    { name: "c", description: "long ".repeat(50) },
  ]);
  expect(text).toContain("  # Pays.\n  pay:");
  expect(text).toContain("  # x\n  b:");
  expect(text).toMatch(/ {2}# (?:long )+long…\n {2}c:/);
  for (const hidden of ["evil", "\u202e", "\u0007", "\u2028"]) expect(text).not.toContain(hidden);
});

describe("for whatever tools", () => {
  const awkward = fc.constantFrom(
    "get_x",
    "true",
    "lookup",
    "1",
    "a/b",
    "a.b",
    "a_b",
    "-",
    "done",
    "null",
  );
  // What readTools lets through: names of an object's own machinery are none of a tool's.
  const name = fc
    .oneof(awkward, fc.stringMatching(/^[A-Za-z0-9._:/-]{1,12}$/))
    .filter((text) => text !== "constructor" && text !== "prototype");
  const property = fc.constantFrom<unknown>(
    { type: "string", minLength: 3 },
    { type: "integer", minimum: 5, format: "int32" },
    { enum: ["a", "b"] },
    { type: ["string", "null"], default: null },
    { type: "array", items: { type: "number" }, minItems: 1 },
    { type: "object", properties: { deep: { const: [1] } }, required: ["deep"] },
    { type: "string", pattern: "^[A-Z]{2}$" },
    { $ref: "#/$defs/x" },
    true,
  );
  const parameters = fc.oneof(
    fc.constant(undefined),
    fc.record(
      {
        type: fc.constant("object"),
        properties: fc.dictionary(fc.constantFrom("a", "b", "title", "true"), property),
        required: fc.subarray(["a", "b", "title", "c"]),
        $defs: fc.constant({ x: { type: "boolean" } }),
        additionalProperties: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  );
  const tool = fc
    .record(
      {
        name,
        description: fc.string({ unit: "grapheme" }),
        parameters,
        action_type: fc.constantFrom("READ", "PAY", "pay", "1.0", "lookup", "null"),
      },
      { requiredKeys: ["name"] },
    )
    .map(({ parameters: schema, ...rest }) => (schema ? { ...rest, parameters: schema } : rest));
  const tools = fc.uniqueArray(tool, {
    minLength: 1,
    maxLength: 12,
    selector: (one) => one.name,
  });

  test("the draft loads, is in the one layout, holds each tool, and has tests", () => {
    fc.assert(
      fc.property(tools, (list) => {
        const { text } = draftPolicy(list);
        expect(checkPolicy(text)).toMatchObject({ issues: [], warnings: [] });
        expect(formatPolicy(text)).toBe(text);
        expect(Object.keys((parse(text) as Drafted).tools).toSorted()).toEqual(
          list.map((one) => one.name).toSorted(),
        );
        expect(policyTests(parsePolicy(text)).length).toBeGreaterThan(0);
      }),
      { numRuns: 40 },
    );
  });

  test("three hundred of them are no more than a policy can hold", () => {
    const list = Array.from({ length: 300 }, (_, n) => ({ name: `pay_${n}` }));
    expect(checkPolicy(draftPolicy(list).text).issues).toEqual([]);
    const alike = list.map((one) => ({ ...one, action_type: "PAY" }));
    expect(checkPolicy(draftPolicy(alike).text).issues).toEqual([]);
  });
});
