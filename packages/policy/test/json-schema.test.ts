/** The JSON Schema of arguments: what fits, what is refused at load and how it is put right, and that nothing can hang it. */
import type { Json, JsonObject } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ArgumentCheck, compileJsonSchema, type SchemaIssue } from "../src/json-schema.ts";
import { schemaDefaults } from "../src/json-schema-members.ts";
import { quickest, SOON_MS } from "./quickest.ts";

function check(schema: unknown): ArgumentCheck {
  const compiled = compileJsonSchema(schema);
  if ("issues" in compiled)
    throw new Error(
      compiled.issues.map(({ message, pointer }) => `${pointer}: ${message}`).join("; "),
    );
  return compiled.validate;
}

function issuesOf(schema: unknown): readonly SchemaIssue[] {
  const compiled = compileJsonSchema(schema);
  if ("validate" in compiled) throw new Error("the schema was accepted");
  return compiled.issues;
}

function lines(schema: unknown): readonly string[] {
  return issuesOf(schema).map(
    ({ hint, message, pointer }) => `${pointer} ${message}${hint === undefined ? "" : `; ${hint}`}`,
  );
}

/** An object schema with these properties. */
function object(properties: Readonly<Record<string, unknown>>, more: object = {}): object {
  return { type: "object", properties, ...more };
}

const TRANSFER = object(
  {
    amount: { type: "number", exclusiveMinimum: 0 },
    currency: { enum: ["EUR", "USD"] },
    to: { type: "string" },
    application_id: { type: "string" },
  },
  { required: ["amount", "currency", "to", "application_id"], additionalProperties: false },
);
const FITTING = { amount: 5, currency: "EUR", to: "x", application_id: "a1" };

describe("a check of arguments", () => {
  test.each<[object, string]>([
    [{ ...FITTING, amount: 0 }, "amount"],
    [{ ...FITTING, amount: "5" }, "amount"],
    [{ ...FITTING, amount: null }, "amount"],
    [{ ...FITTING, currency: "eur" }, "currency"],
    [{ ...FITTING, extra: 1 }, "extra"],
    [{ amount: 5, currency: "EUR", to: "x" }, "application_id"],
  ])("%j does not fit: %s", (args, path) => {
    expect(check(TRANSFER)(args as JsonObject)).toBe(path);
  });

  test("says nothing where the arguments fit", () => {
    expect(check(TRANSFER)(FITTING)).toBeUndefined();
  });

  test("neither converts, nor fills in, nor takes out", () => {
    const schema = object(
      { n: { type: "number", default: 5 }, list: { type: "array", items: { type: "number" } } },
      {},
    );
    const args = { list: [1], other: "x" };
    expect(check(schema)(args)).toBeUndefined();
    expect(args).toEqual({ list: [1], other: "x" });
    expect(check(schema)({ n: "5" })).toBe("n");
    expect(check(schema)({ list: "1" as Json })).toBe("list");
  });

  const item = object(
    { price: { type: "number" }, "a/b~c%d": { type: "number" } },
    { required: ["price"] },
  );
  test.each<[string, JsonObject, string]>([
    ["the index in a list", { items: [{ price: 1 }, { price: "2" }] }, "items[1].price"],
    ["a member that is missing in a list", { items: [{ price: 1 }, {}] }, "items[1].price"],
    [
      "a name with the signs of a pointer",
      { items: [{ price: 1, "a/b~c%d": "x" }] },
      "items[0].a/b~c%d",
    ],
    ["alternatives of which none fits", { either: { c: 1 } }, "either"],
    ["a name that is too long", { names: { ["k".repeat(200)]: 1 } }, `names.${"k".repeat(64)}`],
    ["a member that another one needs", { pair: { a: 1 } }, "pair.b"],
    ["the whole", {}, ""],
  ])("points at %s", (_, args, path) => {
    const schema = object(
      {
        items: { type: "array", items: item },
        either: {
          anyOf: [
            object({ a: true }, { required: ["a"] }),
            object({ b: true }, { required: ["b"] }),
          ],
        },
        names: { type: "object", propertyNames: { type: "string", maxLength: 10 } },
        pair: object({}, { dependentRequired: { a: ["b"] } }),
      },
      { minProperties: 1 },
    );
    expect(check(schema)(args)).toBe(path);
  });

  test("takes true for anything and false for nothing", () => {
    expect(check(true)({ a: 1 })).toBeUndefined();
    expect(check(false)({})).toBe("");
  });

  test("knows money: 19.99 is a multiple of 0.01, and 19.999 is not", () => {
    const cents = check(object({ amount: { type: "number", multipleOf: 0.01 } }));
    for (const amount of [19.99, 0.07, 1.1, 4.35, 1e21, -0.01, 0, 100])
      expect(cents({ amount })).toBeUndefined();
    for (const amount of [19.999, 0.001, 1e-7, 4.355]) expect(cents({ amount })).toBe("amount");
  });

  test("compares items of a list as JSON: the order of members and the spelling of numbers do not matter", () => {
    const unique = check(object({ l: { type: "array", uniqueItems: true } }));
    expect(
      unique({
        l: [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      }),
    ).toBe("l");
    expect(unique({ l: [0, -0] })).toBe("l");
    expect(unique({ l: [1, "1", [1], ["1"], { a: 1 }, null, true, "true"] })).toBeUndefined();
  });

  test("follows references within the schema, also to itself", () => {
    const tree = {
      ...object({ value: { type: "number" }, next: { $ref: "#" } }),
      additionalProperties: false,
    };
    expect(check(tree)({ next: { next: { value: 1 } } })).toBeUndefined();
    expect(check(tree)({ next: { next: { value: "1" } } })).toBe("next.next.value");
    // Another schema in between does not become what # means.
    const first = check(tree);
    check(object({ value: { type: "string" } }));
    expect(first({ next: { value: 1 } })).toBeUndefined();
    const defined = object(
      { a: { $ref: "#/$defs/x~1y" } },
      { $defs: { "x/y": { type: "number" } } },
    );
    expect(check(defined)({ a: "1" })).toBe("a");
  });

  test("is its own: what becomes of the schema later changes nothing", () => {
    const schema = { type: "object", properties: { a: { type: "number" } } };
    const fits = check(schema);
    schema.properties.a.type = "string";
    expect(fits({ a: 1 })).toBeUndefined();
  });

  test("depends neither on the order of keys nor on other schemas", () => {
    const a = check(object({ x: { type: "number" }, b: { type: "number" } }));
    const b = check({
      properties: { b: { type: "number" }, x: { type: "number" } },
      type: "object",
    });
    expect(a({ x: "1", b: "1" })).toBe(b({ x: "1", b: "1" }));
  });

  test("tells patterns apart", () => {
    const schema = object({
      a: { type: "string", pattern: "^a$" },
      b: { type: "string", pattern: "^b$" },
    });
    expect(check(schema)({ a: "a", b: "b" })).toBeUndefined();
    expect(check(schema)({ a: "a", b: "a" })).toBe("b");
  });

  test("reads patterns as JSON Schema writes them", () => {
    const fits = check(object({ s: { type: "string", pattern: "^(?<letter>\\u0041|\\/)\\d+$" } }));
    expect(fits({ s: "A12" })).toBeUndefined();
    expect(fits({ s: "/1" })).toBeUndefined();
    expect(fits({ s: "A12\n" })).toBe("s");
  });
});

describe("names that every JavaScript object has", () => {
  test("are not there unless the arguments have them", () => {
    const closed = check({ type: "object", additionalProperties: false });
    expect(closed({})).toBeUndefined();
    for (const name of ["__proto__", "constructor", "toString"])
      expect(closed(JSON.parse(`{"${name}":1}`) as JsonObject)).toBe(name);
    const required = check(object({ toString: { type: "string" } }, { required: ["toString"] }));
    expect(required({})).toBe("toString");
    expect(required({ toString: "x" } as unknown as JsonObject)).toBeUndefined();
    const anything = check(object({ toString: true }, { required: ["toString"] }));
    expect(anything({})).toBe("toString");
    expect(check(object({ valueOf: { type: "string" } }))({})).toBeUndefined();
  });

  test.each(["__proto__", "constructor", "prototype"])("%s is refused as an argument", (name) => {
    const schema: unknown = JSON.parse(
      `{"type":"object","properties":{"${name}":true},"required":["${name}"]}`,
    );
    expect(lines(schema)).toEqual([
      `/properties/${name} '${name}' is refused as the name of an argument`,
      `/required/0 '${name}' is refused as the name of an argument`,
    ]);
  });
});

describe("a schema is refused when it is loaded, with the way out", () => {
  test.each<[unknown, string]>([
    [
      { required: ["a"] },
      "/required 'required' needs a type beside it; write type: object in the same schema",
    ],
    [
      { type: "object", required: ["a"] },
      "/required 'required' names 'a', which properties beside it does not have; write properties: { a: true } in the same schema",
    ],
    [
      object({ a: true }, { anyOf: [{ required: ["a"] }] }),
      "/anyOf/0/required 'required' names 'a', which properties beside it does not have; write properties: { a: true } in the same schema",
    ],
    [
      object({ a: { type: "string", format: "email" } }),
      "/properties/a/format 'format' is not checked here; remove it, or write a pattern",
    ],
    [
      object({ a: { typ: "string" } }),
      "/properties/a/typ 'typ' is no keyword of JSON Schema; did you mean 'type'?",
    ],
    [
      object({ a: { type: "string", maxlength: 3 } }),
      "/properties/a/maxlength 'maxlength' is no keyword of JSON Schema; did you mean 'maxLength'?",
    ],
    [
      object({ a: { type: "strin" } }),
      "/properties/a/type there is no type 'strin'; did you mean 'string'?",
    ],
    [
      object({ a: { type: ["string", "number"] } }),
      "/properties/a/type of several types only null may be listed beside one; write anyOf: [{ type: string }, { type: number }]",
    ],
    [
      object({ a: { minLength: 1 } }),
      "/properties/a/minLength 'minLength' needs a type beside it; write type: string in the same schema",
    ],
    [
      object({ a: { type: "number", minLength: 1 } }),
      "/properties/a/minLength 'minLength' says nothing about type: number; remove it, or write type: string",
    ],
    [
      object({ a: { type: "number", minimum: "1" } }),
      "/properties/a/minimum 'minimum' must be number",
    ],
    [
      object({ a: { type: "number", minimum: 1, exclusiveMinimum: true } }),
      "/properties/a/exclusiveMinimum 'exclusiveMinimum' is a number since draft 6; write exclusiveMinimum: n in place of minimum: n",
    ],
    [
      object({ a: { type: "string", required: true } }),
      "/properties/a/required 'required' is a list of names; list the name in required of the object around it",
    ],
    [
      object({ a: { type: "array", items: [{ type: "string" }] } }),
      "/properties/a/items 'items' is one schema; a list of them is 'prefixItems'; write prefixItems with minItems, and items: false",
    ],
    [
      object({ a: { type: "array", prefixItems: [{ type: "string" }] } }),
      "/properties/a/prefixItems 'prefixItems' leaves open how long the list is; write minItems: 1 and items: false beside it",
    ],
    [
      object({}, { anyOf: [{ type: "string" }] }),
      "/anyOf/0/type type: string can never hold within type: object; remove one of the two",
    ],
    [
      object({}, { if: { type: "object" } }),
      "/if 'if' says nothing without 'then' or 'else'; remove it",
    ],
    [
      object({ a: { nullable: true } }),
      "/properties/a/nullable 'nullable' says nothing without 'type'; remove it",
    ],
    [
      object({ ab: true }, { patternProperties: { "^a": true } }),
      "/patternProperties/^a the pattern also matches 'ab' of properties; describe each name once",
    ],
    [
      object({ a: { type: "string", pattern: "(?=a)b" } }),
      "/properties/a/pattern not a regular expression of RE2: invalid or unsupported Perl syntax: `(?=`; look-around and back-references do not run in linear time",
    ],
    [
      object({ a: { type: "string", pattern: "\\ud83d" } }),
      "/properties/a/pattern half of a surrogate pair stands for no character; write \\u{1F600} for a character beyond U+FFFF",
    ],
    [
      object({}, { patternProperties: { "(": true } }),
      "/patternProperties/( not a regular expression of RE2: missing closing ): `(`",
    ],
    [
      object({ a: { $ref: "https://example.org/s" } }),
      `/properties/a/$ref '$ref' leads out of the schema, and nothing is fetched; copy it to $defs and write $ref: "#/$defs/name"`,
    ],
    [
      object({ a: { $ref: "other.json" } }),
      `/properties/a/$ref '$ref' leads out of the schema, and nothing is fetched; copy it to $defs and write $ref: "#/$defs/name"`,
    ],
    [
      object({ a: { $ref: "#/$defs/addres" } }, { $defs: { address: true } }),
      "/properties/a/$ref '#/$defs/addres' leads to no schema; did you mean '#/$defs/address'?",
    ],
    [
      object({ a: { $ref: "#/properties/b/enum" }, b: { enum: [1] } }),
      "/properties/a/$ref '#/properties/b/enum' leads to no schema; did you mean '#/properties/b'?",
    ],
    [
      object({ a: { $ref: "#anchor" } }),
      "/properties/a/$ref '#anchor' leads to no schema; write #/$defs/ and a name of $defs",
    ],
    [
      object({ a: { $dynamicRef: "#" } }),
      `/properties/a/$dynamicRef '$dynamicRef' is refused; use $ref: "#/$defs/name"`,
    ],
    [
      { $id: "https://example.org/s", type: "object" },
      "/$id '$id' is refused: a schema stands for itself; remove it",
    ],
    [
      { $schema: "http://json-schema.org/draft-07/schema#", type: "object" },
      "/$schema only JSON Schema 2020-12 is read here; remove $schema, or write https://json-schema.org/draft/2020-12/schema",
    ],
    [
      { $ref: "#" },
      "/$ref the schema refers to itself without going into the value; refer to it from properties or items",
    ],
    [object({ a: 5 }), "/properties/a a schema is an object, true or false"],
    [null, " a schema is an object, true or false"],
    [[], " a schema is an object, true or false"],
    ["object", " a schema is an object, true or false"],
    [undefined, " undefined is not JSON"],
  ])("%j", (schema, line) => {
    expect(lines(schema)).toEqual([line]);
  });

  test("what is not JSON", () => {
    expect(lines(object({ a: { const: 1n } }))).toEqual([
      " properties.a.const: bigint is not JSON",
    ]);
    expect(lines(object({ a: { const: new Date(0) } }))[0]).toMatch(/a Date is not JSON/);
  });

  test("a reference that goes round without going into the value", () => {
    const $defs = { a: { allOf: [{ $ref: "#/$defs/b" }] }, b: { anyOf: [{ $ref: "#/$defs/a" }] } };
    expect(lines(object({ x: { $ref: "#/$defs/a" } }, { $defs }))[0]).toMatch(/refers to itself/);
  });

  test("with all of its faults, each where it stands", () => {
    const schema = object({
      a: { typ: 1 },
      b: { format: "x" },
      c: { type: "strin", pattern: "(" },
    });
    expect(issuesOf(schema).map(({ pointer }) => pointer)).toEqual(
      [
        "/properties/a/typ",
        "/properties/b/format",
        "/properties/c/pattern",
        "/properties/c/pattern",
        "/properties/c/type",
      ].filter((pointer, index, all) => all.indexOf(pointer) === index),
    );
    expect(issuesOf(schema)[0]?.path).toEqual(["properties", "a", "typ"]);
  });

  test("what 2020-12 has and strictness accepts is accepted", () => {
    const schema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $comment: "c",
      title: "t",
      type: "object",
      properties: {
        a: {
          type: ["string", "null"],
          minLength: 1,
          default: null,
          examples: ["x"],
          deprecated: true,
        },
        b: { type: "array", prefixItems: [{ type: "number" }], minItems: 1, items: false },
        c: { type: "array", contains: { type: "number" }, minContains: 2, uniqueItems: true },
        d: { oneOf: [{ const: 1 }, { const: 2 }], description: "d" },
        e: {
          type: "object",
          unevaluatedProperties: false,
          allOf: [{ type: "object", properties: { x: true } }],
        },
      },
      dependentRequired: { a: ["b"] },
      if: { not: { type: "object", properties: { d: { const: 1 } }, required: ["d"] } },
      else: { properties: { a: true }, required: ["a"] },
      not: { properties: { z: true }, required: ["z"] },
    };
    const fits = check(schema);
    expect(fits({ d: 1, a: null, b: [1], c: [1, 2], e: { x: 1 } })).toBeUndefined();
    expect(fits({ d: 1 })).toBe("a");
    expect(fits({ e: { y: 1 } })).toBe("e.y");
    expect(fits({ c: [1] })).toBe("c");
    expect(fits({ b: [1, 2] })).toBe("b");
  });
});

describe("nothing hostile takes long", () => {
  const deep = (levels: number, key = "a"): JsonObject => {
    let args: JsonObject = {};
    for (let level = 1; level < levels; level++) args = { [key]: args };
    return args;
  };
  const doubled = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => {
      const next = { $ref: `#/$defs/d${i + 1}` };
      return [`d${i}`, i === 59 ? { type: "number" } : { allOf: [next, next] }];
    }),
  );
  /** Fails only after it has gone all the way down. */
  const branch = (name: string) => ({
    type: "object",
    properties: { a: { $ref: "#" } },
    dependentRequired: { a: [name] },
  });
  const hostile: readonly (readonly [string, unknown, JsonObject])[] = [
    [
      "a catastrophic pattern",
      object({ s: { type: "string", pattern: "^(a+)+$" } }),
      { s: `${"a".repeat(250_000)}!` },
    ],
    [
      "a pattern on each of many texts",
      object({ l: { type: "array", items: { type: "string", pattern: "(a?){200}b" } } }),
      { l: Array<string>(1000).fill(`${"a".repeat(200)}b`) },
    ],
    [
      "a pattern for names",
      object({}, { patternProperties: { "^(a|aa)+$": { type: "number" } } }),
      Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`${"a".repeat(40)}${i}`, 1])),
    ],
    [
      "references that double at each step",
      object({ a: { $ref: "#/$defs/d0" } }, { $defs: doubled }),
      { a: 1 },
    ],
    [
      "alternatives that double at each level",
      { type: "object", anyOf: [branch("b"), branch("c")] },
      deep(64),
    ],
    [
      "items that are to be unique",
      object({ l: { type: "array", uniqueItems: true } }),
      { l: Array.from({ length: 60_000 }, (_, i) => [i]) },
    ],
    [
      "a long list of values for each item",
      object({
        l: { type: "array", items: { enum: Array.from({ length: 8000 }, (_, i) => `v${i}`) } },
      }),
      { l: Array<string>(30_000).fill("v7999") },
    ],
    [
      "many alternatives for each item",
      object({
        l: {
          type: "array",
          items: { anyOf: Array.from({ length: 300 }, (_, i) => ({ const: i })) },
        },
      }),
      { l: Array<number>(100_000).fill(299) },
    ],
    [
      "a long list of values for some item",
      object({
        l: {
          type: "array",
          contains: { enum: Array.from({ length: 8000 }, (_, i) => `v${i}`) },
        },
      }),
      { l: Array<string>(30_000).fill("w7999") },
    ],
    [
      "items that are to be unique a hundred times",
      object({ l: { type: "array", allOf: Array(100).fill({ uniqueItems: true }) } }),
      { l: Array.from({ length: 40_000 }, (_, i) => [i]) },
    ],
    [
      "a huge number of decimals",
      object({ n: { type: "number", multipleOf: 1e-300 } }),
      { n: 1.7e308 },
    ],
  ];

  test.each(hostile)("%s in the arguments", (_, schema, args) => {
    const fits = check(schema);
    expect(quickest(() => fits(args))).toBeLessThan(SOON_MS);
  });

  test("what would be too much work does not fit", () => {
    const tooMuch = hostile.filter(([, schema, args]) => check(schema)(args) === "");
    expect(tooMuch.map(([name]) => name)).toEqual([
      "a pattern on each of many texts",
      "references that double at each step",
      "alternatives that double at each level",
      "a long list of values for each item",
      "many alternatives for each item",
      "a long list of values for some item",
      "items that are to be unique a hundred times",
    ]);
  });

  test("and a check after one that was too much is a full one again", () => {
    const [, schema, args] = hostile[4] ?? [];
    const fits = check(schema);
    expect(fits(args ?? {})).toBe("");
    expect(fits({ b: 1 })).toBeUndefined();
  });

  test("a name that a catastrophic pattern tries is loaded and checked", () => {
    const name = `${"a".repeat(60)}!`;
    const schema = object(
      { [name]: true },
      { patternProperties: { "^(a+)+$": { type: "number" } } },
    );
    expect(quickest(() => check(schema))).toBeLessThan(SOON_MS);
    expect(check(schema)({ [name]: "x", aa: "x" })).toBe("aa");
  });

  test("references to one schema are no copies of it", () => {
    const fields = Array.from({ length: 220 }, (_, i) => [
      `p${i}`,
      { type: "string", maxLength: i },
    ]);
    const uses = Array.from({ length: 220 }, (_, i) => [`q${i}`, { $ref: "#/$defs/leaf" }]);
    const $defs = { leaf: object(Object.fromEntries(fields)) };
    const schema = object(Object.fromEntries(uses), { $defs });
    expect(quickest(() => check(schema), 5 * SOON_MS)).toBeLessThan(5 * SOON_MS);
  });

  test("arguments of the largest size are checked", () => {
    const list = object({
      l: { type: "array", items: object({ n: { type: "number" } }, { required: ["n"] }) },
    });
    const l: { n: Json }[] = Array.from({ length: 25_000 }, (_, n) => ({ n }));
    expect(check(list)({ l })).toBeUndefined();
    expect(check(list)({ l: [...l, { n: "x" }] })).toBe("l[25000].n");
    expect(
      check({ type: "object", properties: { a: { $ref: "#" } }, additionalProperties: false })(
        deep(64),
      ),
    ).toBeUndefined();
  });

  const nested = (levels: number): unknown => {
    let schema: unknown = { type: "number" };
    for (let level = 0; level < levels; level++) schema = object({ a: schema });
    return schema;
  };
  const cyclic: Record<string, unknown> = { type: "object" };
  cyclic["properties"] = { a: cyclic };
  test.each<[string, unknown]>([
    [
      "a catastrophic pattern and a name that it tries",
      object(
        { [`${"a".repeat(60)}!`]: true, aa: true },
        { patternProperties: { "^(a+)+$": true } },
      ),
    ],
    [
      "a pattern that is huge",
      object({ a: { type: "string", pattern: "(a{1000}b{1000})".repeat(200) } }),
    ],
    [
      "a pattern that repeats repetitions",
      object({ a: { type: "string", pattern: "((a{30}){30}){30}" } }),
    ],
    [
      "many large patterns",
      object(
        Object.fromEntries(
          Array.from({ length: 400 }, (_, i) => [
            `p${i}`,
            { type: "string", pattern: `(a{90}b{90}){40}${i}` },
          ]),
        ),
      ),
    ],
    [
      "patterns of all letters",
      object({ a: { type: "string", pattern: `(?i)${"\\pL".repeat(1300)}` } }),
    ],
    [
      "thousands of properties",
      object(
        Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`p${i}`, { type: "string" }])),
      ),
    ],
    [
      "a hundred thousand keys",
      Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`p${i}`, 1])),
    ],
    [
      "a huge list of values",
      object({ a: { enum: Array.from({ length: 100_000 }, (_, i) => i) } }),
    ],
    ["schemas in schemas", nested(2000)],
    ["a schema in itself", cyclic],
    [
      "a chain of references",
      object(
        { a: { $ref: "#/$defs/c0" } },
        {
          $defs: Object.fromEntries(
            Array.from({ length: 2000 }, (_, i) => [`c${i}`, { $ref: `#/$defs/c${i + 1}` }]),
          ),
        },
      ),
    ],
    [
      "a ring of references",
      object(
        { a: { $ref: "#/$defs/c0" } },
        {
          $defs: Object.fromEntries(
            Array.from({ length: 400 }, (_, i) => [`c${i}`, { $ref: `#/$defs/c${(i + 1) % 400}` }]),
          ),
        },
      ),
    ],
    [
      "a thousand faults",
      object(
        Object.fromEntries(
          Array.from({ length: 400 }, (_, i) => [
            `p${i}`,
            { tpye: "string", fromat: "x", minLenght: 1 },
          ]),
        ),
      ),
    ],
  ])("a schema of %s is refused", (_, schema) => {
    // The first schema of a process also compiles the schema of schemas.
    check(true);
    expect(issuesOf(schema).length).toBeLessThanOrEqual(100);
    expect(quickest(() => issuesOf(schema))).toBeLessThan(SOON_MS);
  });
});

describe("for whatever comes", () => {
  const anything = fc.jsonValue({ maxDepth: 4, stringUnit: "binary" });
  const keyword = fc.constantFrom(
    ..."type properties required items anyOf not $ref pattern enum const minimum minLength additionalProperties $defs format if then multipleOf uniqueItems prefixItems nonsense __proto__".split(
      " ",
    ),
  );
  const value = fc.letrec<{ schema: unknown }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(true, false, {}, null, 5, "x", ["a"], { type: "string" }),
      fc
        .array(
          fc.tuple(
            keyword,
            fc.oneof(
              tie("schema"),
              fc.constantFrom("object", "string", "#", "#/$defs/a", ["a"], 1, "(a+)+$", "("),
              fc.array(tie("schema"), { maxLength: 2 }),
              fc.dictionary(fc.constantFrom("a", "b"), tie("schema"), { maxKeys: 2 }),
            ),
          ),
          { maxLength: 4 },
        )
        .map((entries) => Object.fromEntries(entries)),
    ),
  })).schema;

  test("a schema is refused with a reason or compiled, and neither it nor its check throws", () => {
    fc.assert(
      fc.property(fc.oneof(value, anything), anything, (schema, args) => {
        const compiled = compileJsonSchema(schema);
        if ("issues" in compiled) expect(compiled.issues.length).toBeGreaterThan(0);
        else
          expect(["string", "undefined"]).toContain(typeof compiled.validate(args as JsonObject));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the defaults of a schema", () => {
  test("are found by the dotted path of the argument", () => {
    const schema = object(
      {
        currency: { type: "string", default: "EUR" },
        options: object({
          fast: { type: "boolean", default: false },
          deep: { $ref: "#/$defs/deep" },
        }),
        nothing: { type: "string", default: null },
        list: { type: "array", default: [], items: object({ inner: { default: 1 } }) },
        required: { type: "string" },
      },
      { $defs: { deep: object({ level: { default: 3 } }, { default: { level: 3 } }) } },
    );
    expect(Object.fromEntries(schemaDefaults(schema))).toEqual({
      currency: "EUR",
      "options.fast": false,
      "options.deep": { level: 3 },
      "options.deep.level": 3,
      nothing: null,
      list: [],
    });
  });

  test("hold in allOf, and not in what is only an alternative", () => {
    const schema = object(
      { a: { allOf: [{ default: 1 }] }, b: { anyOf: [{ default: 1 }] } },
      {
        allOf: [object({ c: { default: 2 }, a: { default: 9 } })],
        oneOf: [object({ d: { default: 1 } })],
      },
    );
    expect(Object.fromEntries(schemaDefaults(schema))).toEqual({ a: 1, c: 2 });
  });

  test("of a schema that refers to itself, or is none, are finite", () => {
    const twice = { $ref: "#/$defs/d" };
    const growing = object(
      { x: { $ref: "#" }, y: { $ref: "#" }, z: twice },
      { $defs: { d: { allOf: [twice, twice], default: 1 } } },
    );
    expect(quickest(() => schemaDefaults(growing))).toBeLessThan(SOON_MS);
    expect(schemaDefaults(growing).get("z")).toBe(1);
    for (const other of [undefined, null, true, [], 5]) expect(schemaDefaults(other).size).toBe(0);
    expect(
      schemaDefaults(JSON.parse('{"properties":{"__proto__":{"default":1}}}')).get("__proto__"),
    ).toBe(1);
    expect(schemaDefaults({ properties: { a: {} } }).get("constructor")).toBeUndefined();
  });
});
