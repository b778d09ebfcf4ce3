/** The JSON Schema for editors says what the language says about shapes. */
import { describe, expect, test } from "vitest";
import { policyJsonSchema } from "../src/index.ts";

describe("the editor's schema", () => {
  const schema = policyJsonSchema() as { readonly properties: Readonly<Record<string, unknown>> };

  test("knows the members, which of them are required, and that there are no others", () => {
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      additionalProperties: false,
      required: ["schema", "id", "version", "sequence", "functions"],
      properties: {
        schema: { const: "stepgate.policy/1" },
        tools: {
          additionalProperties: { additionalProperties: false, required: ["function", "action"] },
        },
      },
    });
  });

  test("refuses what this version does not support", () => {
    expect(schema.properties["forbid"]).toEqual({ not: {} });
  });

  test("is the same each time", () => {
    expect(JSON.stringify(policyJsonSchema())).toBe(JSON.stringify(schema));
  });
});
