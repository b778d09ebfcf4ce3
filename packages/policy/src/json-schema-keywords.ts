/** The keywords of JSON Schema 2020-12 that `args` may use: what each contains, and which type it speaks of. */

/** What a keyword holds: one schema, a list or an object of them, an object of schemas or names, or a plain value. */
type KeywordShape = "schema" | "schemas" | "map" | "dependencies" | "value";

export interface Keyword {
  readonly shape: KeywordShape;
  /** Its schemas speak of the same value as the schema that it stands in. */
  readonly same?: true;
  /** The type that has to stand beside it. */
  readonly type?: string;
}

const value: Keyword = { shape: "value" };

function each(names: string, keyword: Keyword): readonly (readonly [string, Keyword])[] {
  return names.split(" ").map((name) => [name, keyword]);
}

/** All keywords that are allowed. */
export const KEYWORDS: ReadonlyMap<string, Keyword> = new Map([
  ...each("allOf anyOf oneOf", { shape: "schemas", same: true }),
  ...each("not if then else", { shape: "schema", same: true }),
  ...each("$defs definitions", { shape: "map" }),
  ...each("properties patternProperties", { shape: "map", type: "object" }),
  ...each("dependentSchemas", { shape: "map", same: true, type: "object" }),
  ...each("dependencies", { shape: "dependencies", same: true, type: "object" }),
  ...each("additionalProperties propertyNames unevaluatedProperties", {
    shape: "schema",
    type: "object",
  }),
  ...each("required dependentRequired minProperties maxProperties", {
    shape: "value",
    type: "object",
  }),
  ...each("prefixItems", { shape: "schemas", type: "array" }),
  ...each("items contains unevaluatedItems", { shape: "schema", type: "array" }),
  ...each("minItems maxItems uniqueItems minContains maxContains", {
    shape: "value",
    type: "array",
  }),
  ...each("minLength maxLength pattern contentEncoding contentMediaType contentSchema", {
    shape: "value",
    type: "string",
  }),
  ...each("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf", {
    shape: "value",
    type: "number",
  }),
  ...each("type enum const nullable $ref $schema $comment title description default", value),
  ...each("deprecated readOnly writeOnly examples", value),
]);

/** The types of JSON. */
export const TYPES: readonly string[] = [
  "array",
  "boolean",
  "integer",
  "null",
  "number",
  "object",
  "string",
];

/** Keywords that are refused though they exist: why, and the way out. */
export const REFUSED: ReadonlyMap<string, { readonly message: string; readonly hint: string }> =
  new Map([
    ["format", { message: "'format' is not checked here", hint: "remove it, or write a pattern" }],
    ...["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$anchor"].map(
      (name) =>
        [name, { message: `'${name}' is refused`, hint: 'use $ref: "#/$defs/name"' }] as const,
    ),
    ...["$id", "id", "$vocabulary"].map(
      (name) =>
        [
          name,
          { message: `'${name}' is refused: a schema stands for itself`, hint: "remove it" },
        ] as const,
    ),
    ["additionalItems", { message: "'additionalItems' is of an older draft", hint: "write items" }],
    ["example", { message: "'example' is of OpenAPI", hint: "write examples: […]" }],
    [
      "discriminator",
      { message: "'discriminator' is of OpenAPI", hint: "remove it: oneOf decides by itself" },
    ],
    ["optional", { message: "'optional' is no keyword", hint: "leave the name out of required" }],
  ]);

/** The draft that schemas are read by. */
export const DRAFT = "https://json-schema.org/draft/2020-12/schema";
