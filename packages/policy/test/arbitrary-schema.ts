/** JSON Schemas as tools ship with them: some strict, most not. */
import fc from "fast-check";

const names = fc.constantFrom("a", "b", "__proto__");
/** Objects that are nearly schemas; `rewriteSchema` makes schemas of them. */
export const messySchema: fc.Arbitrary<unknown> = fc.letrec<{ schema: unknown }>((tie) => ({
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
