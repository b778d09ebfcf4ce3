/** The JSON Schema for editors says what the language says about shapes. */
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { policyJsonSchema } from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";

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

  test("knows every member of Level 2, and the alternatives of each", () => {
    const validate = new Ajv2020({ strict: false }).compile(policyJsonSchema());
    const fault = (value: unknown): string | undefined => {
      validate(value);
      return validate.errors
        ?.map(({ instancePath }) => instancePath)
        .toSorted()
        .at(-1);
    };
    const document: unknown = parse(PAYMENTS);
    expect(fault(document)).toBeUndefined();
    const tool = (change: object): unknown => ({
      ...Object(document),
      tools: { t: { function: "execution", action: "WRITE_DB", ...change } },
    });
    expect(fault(tool({ limits: { calls: 3 } }))).toBeUndefined();
    expect(fault(tool({ limits: { clals: 3 } }))).toBe("/tools/t/limits");
    expect(fault(tool({ grounded: { to: "context.request" } }))).toBeUndefined();
    expect(fault(tool({ grounded: { to: { from: [["x"]], match: "under" } } }))).toBeUndefined();
    expect(fault(tool({ grounded: { to: 5 } }))).toBe("/tools/t/grounded/to");
    expect(fault(tool({ grounded: { to: { from: [["x"]], match: "hots" } } }))).toBe(
      "/tools/t/grounded/to/match",
    );
    expect(fault(tool({ approval: { by: [] } }))).toBe("/tools/t/approval/by");
    expect(fault({ ...Object(document), forbid: [{ tool: ["t"] }] })).toBe("/forbid/0");
    expect(fault({ ...Object(document), agents: { "a b": {} } })).toBe("/agents");
  });

  test("says of every member what it is for", () => {
    expect(undescribed(schema, "")).toEqual([]);
  });

  test("is the same each time", () => {
    expect(JSON.stringify(policyJsonSchema())).toBe(JSON.stringify(schema));
  });
});

function undescribed(schema: unknown, path: string): readonly string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([name, value]: [string, unknown]) => {
    const below = undescribed(value, `${path}.${name}`);
    if (name !== "properties" || typeof value !== "object" || value === null) return below;
    const silent = Object.entries(value).filter(([, member]) => !("description" in Object(member)));
    return [...silent.map(([member]) => `${path}.${member}`), ...below];
  });
}
