/** Generated code without `new Function`: closures that say of every schema and all arguments what the engine's functions say. */
import type { JsonObject } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { closureOf } from "../src/generated-code-closures.ts";
import { withGeneratedCode } from "../src/generated-code-web.ts";
import { compileJsonSchema } from "../src/json-schema.ts";
import { rewriteSchema } from "../src/json-schema-rewrite.ts";
import { messySchema } from "./arbitrary-schema.ts";

/** What a schema makes of these arguments, or why it is none. */
function answers(
  compiled: ReturnType<typeof compileJsonSchema>,
  all: readonly JsonObject[],
): readonly unknown[] {
  return "issues" in compiled
    ? compiled.issues
    : all.map((args) => ({ misfit: compiled.validate(args) }));
}

/** As text: the linter takes an object with `then` for a promise. */
const CONDITIONAL =
  '{"if":{"type":"number"},"then":{"type":"number","minimum":5},"else":{"type":"string","minLength":2}}';

function expectAlike(schema: unknown, all: readonly JsonObject[]): readonly unknown[] {
  const made = answers(compileJsonSchema(schema), all);
  expect(
    answers(
      withGeneratedCode(() => compileJsonSchema(schema)),
      all,
    ),
  ).toEqual(made);
  return made;
}

describe("a schema that is compiled without new Function", () => {
  const list = { type: "array", items: { type: "integer" } };
  const string = { type: "string" };
  test.each<[string, object, readonly (readonly [JsonObject, string | undefined])[]]>([
    [
      "members",
      { properties: { a: string }, required: ["a"], additionalProperties: false, maxProperties: 1 },
      [
        [{ a: "x" }, undefined],
        [{ a: 1 }, "a"],
        [{}, "a"],
        [{ a: "x", b: 1 }, ""],
      ],
    ],
    [
      "members by pattern, and names",
      {
        patternProperties: { "^n": { type: "number" } },
        propertyNames: { type: "string", maxLength: 2 },
      },
      [
        [{ n1: 1 }, undefined],
        [{ n1: "1" }, "n1"],
        [{ long: 1 }, "long"],
      ],
    ],
    [
      "lists, and what they contain",
      {
        properties: {
          l: {
            ...list,
            contains: { const: 7 },
            minContains: 2,
            maxContains: 3,
            uniqueItems: false,
          },
          u: { type: "array", uniqueItems: true, minItems: 1, maxItems: 2 },
          t: { type: "array", prefixItems: [string, string], minItems: 2, items: false },
        },
      },
      [
        [{ l: [7, 7] }, undefined],
        [{ l: [7, 1] }, "l"],
        [{ l: [7, 7, 7, 7] }, "l"],
        [{ l: [7, 7, 1.5] }, "l[2]"],
        [{ u: [1, 1] }, "u"],
        [{ u: [] }, "u"],
        [{ t: ["a", 1] }, "t[1]"],
        [{ t: ["a", "b", "c"] }, "t"],
      ],
    ],
    [
      "alternatives",
      {
        properties: {
          any: { anyOf: [string, { type: "null" }] },
          one: { oneOf: [{ type: "number" }, { type: "integer" }] },
          not: { not: string },
          cond: JSON.parse(CONDITIONAL),
        },
      },
      [
        [{ any: null, one: 1.5, not: 1, cond: 5 }, undefined],
        [{ any: 1 }, "any"],
        [{ one: 1 }, "one"],
        [{ not: "x" }, "not"],
        [{ cond: 4 }, "cond"],
        [{ cond: "x" }, "cond"],
      ],
    ],
    [
      "numbers, texts and values",
      {
        properties: {
          n: { type: "number", exclusiveMinimum: 0, maximum: 10, multipleOf: 0.01 },
          s: { type: "string", pattern: "^a+$", maxLength: 3 },
          e: { enum: [{ a: [1] }, "x", null] },
          c: { const: { a: 1, b: 2 } },
          o: { type: ["integer", "null"] },
        },
      },
      [
        [{ n: 0.07, s: "aaa", e: { a: [1] }, c: { b: 2, a: 1 }, o: null }, undefined],
        [{ n: 0 }, "n"],
        [{ n: 0.001 }, "n"],
        [{ s: "ab" }, "s"],
        [{ s: "😀😀😀" }, "s"],
        [{ e: { a: [2] } }, "e"],
        [{ c: { a: 1 } }, "c"],
        [{ o: 1.5 }, "o"],
      ],
    ],
    [
      "what refers to itself",
      {
        properties: { child: { $ref: "#" }, list: { $ref: "#/$defs/list" } },
        $defs: { list },
        additionalProperties: false,
      },
      [
        [{ child: { child: { list: [1] } } }, undefined],
        [{ child: { child: { list: ["x"] } } }, "child.child.list[0]"],
        [{ child: { other: 1 } }, "child.other"],
      ],
    ],
    [
      "what was not evaluated",
      {
        properties: { a: true },
        anyOf: [
          { properties: { b: string }, required: ["b"] },
          { properties: { c: true }, required: ["c"] },
        ],
        unevaluatedProperties: false,
        dependentRequired: { a: ["b"] },
        dependentSchemas: { c: { properties: { d: true } } },
      },
      [
        [{ b: "x" }, undefined],
        [{ c: 1, d: 1 }, undefined],
        [{ c: 1, e: 1 }, "e"],
        [{ a: 1, c: 1 }, "b"],
      ],
    ],
  ])("checks %s as the engine's functions do", (_, members, cases) => {
    const made = expectAlike(
      { type: "object", ...members },
      cases.map(([args]) => args),
    );
    const closed = cases.map(([, misfit]) => misfit !== undefined);
    expect(made.map((one) => (one as { misfit?: string }).misfit !== undefined)).toEqual(closed);
  });

  test("is refused for the same reasons", () => {
    for (const schema of [
      { type: "object", required: ["a"] },
      { type: "object", properties: { a: { type: "string", minLength: -1 } } },
      { type: "object", properties: { a: { type: "array", prefixItems: [{}] } } },
      { anyOf: [] },
      { type: "number", allOf: [{ type: "string" }] },
    ])
      expect(JSON.stringify(expectAlike(schema, []))).toContain("message");
  });

  test("runs out of work at the same arguments", () => {
    const schema = {
      type: "object",
      properties: { l: { type: "array", items: { $ref: "#/$defs/d" } } },
      $defs: { d: { anyOf: Array.from({ length: 50 }, (_, i) => ({ const: i })) } },
    };
    const list = (length: number): JsonObject => ({ l: Array.from({ length }, () => 49) });
    const lengths = [1000, 3000, 5000];
    const made = expectAlike(schema, lengths.map(list));
    expect(new Set(made.map((one) => JSON.stringify(one))).size).toBe(2);
  });

  test("says the same of whatever comes", () => {
    const args = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.jsonValue({ maxDepth: 2 }));
    let compiled = 0;
    fc.assert(
      fc.property(messySchema, fc.array(args, { maxLength: 4 }), (messy, all) => {
        expectAlike(messy, all as JsonObject[]);
        const { schema } = rewriteSchema(messy);
        if (Object.keys(schema).length > 1) compiled++;
        expectAlike(schema, all as JsonObject[]);
      }),
      { numRuns: 150 },
    );
    expect(compiled).toBeGreaterThan(50);
  });
});

describe("compiling without new Function", () => {
  test("runs no text as code meanwhile, and leaves Function as it was", () => {
    const own = globalThis.Function;
    const made = withGeneratedCode(() => new Function("a", "return a;") as (a: unknown) => unknown);
    expect([made(7), Function.prototype.toString.call(made)]).toEqual([
      7,
      expect.not.stringContaining("return a;"),
    ]);
    expect(() =>
      withGeneratedCode(() => {
        throw new RangeError("too deep");
      }),
    ).toThrow("too deep");
    expect(globalThis.Function).toBe(own);
  });
});

describe("generated code", () => {
  const run = (body: string, ...args: readonly unknown[]): unknown =>
    closureOf(["a", "b"], body)(...args);

  test.each([
    ["let s = 0; for (let i = 0; i < a; i++) { if (i === 2) { continue; } s += i; } return s;", 5],
    [
      "let n = 0; l: for (const x of b) { for (const y in x) { if (y == a) { break l; } n++; } } return n;",
      "q",
    ],
    ["let n = 0; for (const x of b) { let m; if (m === undefined) { n++; } m = x; } return n;", 0],
    ["let n = 0; for (const x of b) { var m; if (m === undefined) { n++; } m = x; } return n;", 0],
    ["let i = 3; for (; i--;) { if (i <= 1) { break; } } return i;", 0],
    ["l: { if (a) { break l; } return 1; } return 2;", true],
    ["const x = 1; { const x = 2; } return x;", 0],
    ["return a ? a > 1 ? 2 : 3 : 4;", 1],
    ["return 1 + 2 - a % 2 < 3 && !(a == 4) || typeof a;", 4],
    ["return a || b && undefined;", 0],
    ["return -a + -1;", 3],
    ['return "a\\"\\u2028/" + a.replace(/\\//g, "~1");', "x/y/"],
    ['const o = {a, c: [1, a], "d e": null}; o.c[0] -= 4; o.n = o.c.length++; return o;', 9],
    [
      "return function f(x, {y=2, z}={}) { if (x) { return f(x - 1, {z: y, y: x}); } return [x, y, z]; };",
      0,
    ],
  ])("%s means what it means in JavaScript", (body, a) => {
    const values = [{ p: 1, q: 2 }, { r: 3 }];
    const [ours, theirs] = [run(body, a, values), new Function("a", "b", body)(a, values)];
    const results = [ours, theirs].map((one) =>
      typeof one === "function" ? [one(3), one(0), one(1, {})] : one,
    );
    expect(results[0]).toEqual(results[1]);
  });

  test.each([
    "return a / b;",
    "return `a`;",
    "while (a) {}",
    "a => a",
    "return new Date();",
    "try { a(); } catch (e) {}",
    "if (a) { return 1;",
    "return 1; }",
    "a() = 1;",
    "a()++;",
    "return 'a';",
    "return 08;",
    "continue l;",
    "return a ?? b;",
    "#",
  ])("%s is refused whole, where it is not all understood", (body) => {
    expect(() => closureOf(["a", "b"], body)).toThrow(SyntaxError);
  });

  test("reaches nothing of the page's by name, and fails as JavaScript does", () => {
    for (const name of ["globalThis", "window", "Function", "eval", "process"])
      expect(() => run(`return ${name};`)).toThrow(ReferenceError);
    expect(() => run("x = 1;")).toThrow(ReferenceError);
    expect(() => run("return a.b;", null)).toThrow(TypeError);
    expect(() => run("a();", 1)).toThrow(TypeError);
  });
});
