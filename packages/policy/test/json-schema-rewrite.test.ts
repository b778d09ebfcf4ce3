/** Schemas that tools ship with, rewritten to what strictness accepts: nothing changes without a note. */
import type { JsonObject } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileJsonSchema } from "../src/json-schema.ts";
import { rewriteSchema } from "../src/json-schema-rewrite.ts";
import { quickest, SOON_MS } from "./quickest.ts";

function fits(schema: unknown, args: JsonObject): boolean {
  const compiled = compileJsonSchema(schema);
  if ("issues" in compiled)
    throw new Error(
      compiled.issues.map(({ message, pointer }) => `${pointer}: ${message}`).join("; "),
    );
  return compiled.validate(args) === undefined;
}

/** A property schema within an object, rewritten, and the notes about it. */
function rewritten(property: unknown): {
  readonly schema: unknown;
  readonly notes: readonly string[];
} {
  const { notes, schema } = rewriteSchema({ type: "object", properties: { p: property } });
  const properties = schema["properties"];
  return {
    schema: (properties as JsonObject | undefined)?.["p"],
    notes: notes.map(({ message, pointer }) => `${pointer} ${message}`),
  };
}

describe("a schema that is strict already", () => {
  test("stays as it is, in the order of its members, without a note", () => {
    const schema = {
      type: "object",
      required: ["b", "a"],
      properties: { b: { type: "string", minLength: 1 }, a: { type: ["number", "null"] } },
      additionalProperties: false,
    };
    const result = rewriteSchema(schema);
    expect(result.notes).toEqual([]);
    expect(JSON.stringify(result.schema)).toBe(JSON.stringify(schema));
    expect(result.schema).not.toBe(schema);
  });
});

describe("what tools ship with", () => {
  test.each<[string, unknown, unknown, readonly string[]]>([
    [
      "a format is remembered in a comment",
      { type: "string", format: "email" },
      { type: "string", $comment: "format: email" },
      ["/properties/p/format dropped: 'format' is not checked here"],
    ],
    [
      "a type that is meant is written out",
      { properties: { a: { minimum: 1 } }, required: ["a"] },
      { type: "object", properties: { a: { type: "number", minimum: 1 } }, required: ["a"] },
      ["/properties/p type: object was added", "/properties/p/properties/a type: number was added"],
    ],
    [
      "several types become alternatives, each with its keywords",
      { type: ["string", "integer", "null"], minLength: 1, minimum: 2, title: "t" },
      {
        title: "t",
        anyOf: [
          { type: "string", minLength: 1 },
          { type: "integer", minimum: 2 },
          { type: "null" },
        ],
      },
      ["/properties/p type: [string, integer, null] became anyOf"],
    ],
    [
      "several types beside alternatives become one more condition",
      { type: ["string", "number"], anyOf: [{ const: "a" }, { const: 1 }] },
      {
        anyOf: [{ const: "a" }, { const: 1 }],
        allOf: [{ anyOf: [{ type: "string" }, { type: "number" }] }],
      },
      ["/properties/p type: [string, number] became anyOf"],
    ],
    [
      "what is required is named",
      { type: "object", required: ["a"], anyOf: [{ required: ["b"] }] },
      {
        type: "object",
        required: ["a"],
        anyOf: [{ required: ["b"], properties: { b: true } }],
        properties: { a: true },
      },
      [
        "/properties/p properties names a now, which required does",
        "/properties/p/anyOf/0 properties names b now, which required does",
      ],
    ],
    [
      "the tuple of older drafts",
      { type: "array", items: [{ type: "string" }, { type: "number" }] },
      {
        type: "array",
        items: false,
        prefixItems: [{ type: "string" }, { type: "number" }],
        minItems: 2,
      },
      [
        "/properties/p items, a list, became prefixItems",
        "/properties/p the list has exactly 2 items now",
      ],
    ],
    [
      "the bounds of draft 4",
      { type: "number", minimum: 0, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: false },
      { type: "number", exclusiveMinimum: 0, maximum: 5 },
      [
        "/properties/p exclusiveMinimum: true was written out",
        "/properties/p exclusiveMaximum: false was written out",
      ],
    ],
    [
      "required in a property",
      {
        type: "object",
        properties: { a: { type: "string", required: true }, b: { required: false } },
      },
      { type: "object", properties: { a: { type: "string" }, b: {} }, required: ["a"] },
      ["/properties/p required: true of its properties became a list of names"],
    ],
    [
      "the example of OpenAPI",
      { type: "string", example: "x" },
      { type: "string", examples: ["x"] },
      ["/properties/p example became examples"],
    ],
    [
      "a pattern that cannot run in linear time is remembered",
      { type: "string", pattern: "(?=.*a)b" },
      { type: "string", $comment: "pattern: (?=.*a)b" },
      [expect.stringMatching(/^\/properties\/p\/pattern dropped: /) as unknown as string],
    ],
    [
      "a reference out of the schema",
      { $ref: "https://example.org/x", description: "d" },
      { description: "d" },
      [expect.stringMatching(/^\/properties\/p\/\$ref dropped: /) as unknown as string],
    ],
    [
      "a keyword that does not exist, and a value that a keyword cannot have",
      { type: "string", "x-order": 1, minLength: "3" },
      { type: "string" },
      [
        "/properties/p/x-order dropped: 'x-order' is no keyword of JSON Schema",
        "/properties/p/minLength dropped: 'minLength' must be integer",
      ],
    ],
    [
      "a type that does not exist",
      { type: "any" },
      {},
      ["/properties/p/type dropped: there is no type 'any'"],
    ],
    ["a list of one type", { type: ["string"] }, { type: "string" }, []],
    [
      "no alternatives at all",
      { anyOf: [] },
      {},
      ["/properties/p/anyOf dropped: 'anyOf' must NOT have fewer than 1 items"],
    ],
  ])("%s", (_, property, schema, notes) => {
    const result = rewritten(property);
    expect(result).toEqual({ schema, notes });
  });

  test("at the root: the draft and the name go, the rest is kept", () => {
    const { notes, schema } = rewriteSchema({
      $schema: "http://json-schema.org/draft-07/schema#",
      $id: "https://example.org/tool",
      properties: { a: { $ref: "#/definitions/a" } },
      definitions: { a: { type: "string" } },
    });
    expect(schema).toEqual({
      type: "object",
      properties: { a: { $ref: "#/definitions/a" } },
      definitions: { a: { type: "string" } },
    });
    expect(notes.map(({ pointer }) => pointer).toSorted()).toEqual(["", "/$id", "/$schema"]);
    expect(fits(schema, { a: "x" })).toBe(true);
    expect(fits(schema, { a: 1 })).toBe(false);
  });

  test("what is no schema becomes any object, and a note says so", () => {
    for (const other of [null, 5, "x", [], undefined, () => 1, { type: "object", a: 1n }]) {
      const { notes, schema } = rewriteSchema(other);
      expect(schema).toEqual({ type: "object" });
      expect(notes.at(-1)?.message).toMatch(/any object is accepted now/);
    }
  });
});

describe("for whatever comes", () => {
  const names = fc.constantFrom("a", "b", "__proto__");
  const messy = fc.letrec<{ schema: unknown }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small", maxDepth: 3 },
      fc.constantFrom<unknown>(
        true,
        {},
        null,
        5,
        { type: "string" },
        { $ref: "#" },
        { $ref: "#/$defs/a" },
      ),
      fc.record(
        {
          type: fc.constantFrom<unknown>(
            "object",
            "string",
            "any",
            ["string", "number"],
            ["object", "null"],
            [],
          ),
          properties: fc.dictionary(names, tie("schema"), { maxKeys: 2 }),
          required: fc.oneof(fc.boolean(), fc.array(names, { maxLength: 2 })),
          items: fc.oneof(tie("schema"), fc.array(tie("schema"), { maxLength: 2 })),
          additionalItems: tie("schema"),
          anyOf: fc.array(tie("schema"), { maxLength: 2 }),
          allOf: fc.array(tie("schema"), { maxLength: 2 }),
          not: tie("schema"),
          if: tie("schema"),
          else: tie("schema"),
          patternProperties: fc.dictionary(fc.constantFrom("^a", "(", "(?=a)"), tie("schema"), {
            maxKeys: 1,
          }),
          $defs: fc.dictionary(names, tie("schema"), { maxKeys: 1 }),
          minLength: fc.constantFrom<unknown>(1, "1", -1),
          minimum: fc.constantFrom<unknown>(1, "1"),
          exclusiveMinimum: fc.constantFrom<unknown>(true, 1),
          format: fc.constant("email"),
          enum: fc.constantFrom<unknown>([], [1], 1),
          nullable: fc.boolean(),
          example: fc.constant(1),
          nonsense: fc.constant(1),
          minContains: fc.constant(1),
          additionalProperties: fc.oneof(fc.boolean(), tie("schema")),
        },
        { requiredKeys: [] },
      ),
    ),
  })).schema;

  test("the result compiles, and is a fixed point", () => {
    let kept = 0;
    fc.assert(
      fc.property(messy, (schema) => {
        const once = rewriteSchema(schema);
        const compiled = compileJsonSchema(once.schema);
        expect(compiled).toHaveProperty("validate");
        expect(rewriteSchema(once.schema)).toEqual({ schema: once.schema, notes: [] });
        if (Object.keys(once.schema).length > 1) kept += 1;
      }),
      { numRuns: 200 },
    );
    // It does not get there by giving up.
    expect(kept).toBeGreaterThan(75);
  });

  test("nothing hostile keeps it for long", () => {
    let deep: unknown = {};
    for (let level = 0; level < 5000; level++) deep = { properties: { a: deep } };
    const wide = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, 1]));
    for (const schema of [deep, wide, { type: "string", pattern: "(a{1000}b{1000})".repeat(200) }])
      expect(quickest(() => rewriteSchema(schema))).toBeLessThan(SOON_MS);
  });
});
