/** The arguments of a tool for a first policy: its schema as the language takes it, and a sample that fits. */
import type { Json, JsonObject } from "@stepgate/core/compiler";
import { compileJsonSchema } from "./json-schema.ts";
import { isArray, isObject, ownMember } from "./json-schema-members.ts";
import { rewriteSchema, type SchemaNote } from "./json-schema-rewrite.ts";

/** `args` of a tool. */
export interface DraftedArguments {
  readonly schema: JsonObject;
  /** It refuses other arguments than it names, which the tool's own did not say. */
  readonly closed: boolean;
  readonly notes: readonly SchemaNote[];
  /** A call without arguments does not fit. */
  readonly needed: boolean;
  /** Arguments that fit, with what is required and nothing else; none where they could not be made up. */
  readonly sample?: JsonObject;
}

/** Drafts `args` from the schema that a tool came with. */
export function draftArguments(parameters: unknown): DraftedArguments {
  const { schema: rewritten, notes } = rewriteSchema(parameters);
  const tidied = tidy(rewritten);
  const readable = isObject(tidied) ? tidied : rewritten;
  const closed = canClose(readable);
  const schema = closed ? { ...readable, additionalProperties: false } : readable;
  const sample = sampleOf(schema, schema, 0);
  const compiled = compileJsonSchema(schema);
  const fits = (args: JsonObject): boolean =>
    "validate" in compiled && compiled.validate(args) === undefined;
  return {
    schema,
    closed,
    notes,
    needed: !fits({}),
    ...(isObject(sample) && fits(sample) && { sample }),
  };
}

/** Members whose values are no schemas but what somebody wrote. */
const VERBATIM: ReadonlySet<string> = new Set(["const", "default", "enum", "examples"]);

/** Without titles, which generators add and nobody reads, and with the type first, as one reads it. */
function tidy(value: Json): Json {
  if (isArray(value)) return value.map(tidy);
  if (!isObject(value)) return value;
  const members = Object.entries(value)
    .filter(([name, member]) => !(name === "title" && typeof member === "string"))
    .map(([name, member]): [string, Json] => [name, VERBATIM.has(name) ? member : tidy(member)]);
  const leads = ([name, member]: readonly [string, Json]): number =>
    name === "type" && typeof member === "string" ? 0 : 1;
  return Object.fromEntries(members.toSorted((a, b) => leads(a) - leads(b)));
}

/** Keywords by which more may come than `properties` names, or which say themselves what may not. */
const ELSEWHERE =
  "additionalProperties allOf anyOf oneOf not if $ref dependentSchemas patternProperties propertyNames unevaluatedProperties".split(
    " ",
  );

/** Only where all that may come is named in one place. */
function canClose(schema: JsonObject): boolean {
  return (
    isObject(ownMember(schema, "properties")) &&
    !ELSEWHERE.some((name) => Object.hasOwn(schema, name))
  );
}

const DEEPEST = 16;

/** A value that a schema may take; whether it does is for the schema to say. */
function sampleOf(schema: Json, root: JsonObject, depth: number): Json {
  if (!isObject(schema) || depth > DEEPEST) return "sample";
  const given = givenIn(schema);
  if (given !== undefined) return given;
  const branch = ["anyOf", "oneOf", "allOf"].flatMap((name) => firstOf(ownMember(schema, name)));
  const target = referenceOf(schema, root) ?? branch[0];
  if (target !== undefined && !Object.hasOwn(schema, "type"))
    return sampleOf(target, root, depth + 1);
  const types = ownMember(schema, "type");
  return sampleOfType(isArray(types) ? types[0] : types, schema, root, depth);
}

/** What the schema itself offers. */
function givenIn(schema: JsonObject): Json | undefined {
  const [listed] = ["enum", "examples"].flatMap((name) => firstOf(ownMember(schema, name)));
  return ownMember(schema, "const") ?? listed ?? ownMember(schema, "default");
}

/** The first of a list, in a list; nothing of anything else. */
function firstOf(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value.slice(0, 1) : [];
}

function referenceOf(schema: JsonObject, root: JsonObject): Json | undefined {
  const reference = ownMember(schema, "$ref");
  if (typeof reference !== "string" || !reference.startsWith("#/")) return undefined;
  return reference
    .slice(2)
    .split("/")
    .reduce<Json | undefined>(
      (value, part) => (isObject(value) ? ownMember(value, part) : undefined),
      root,
    );
}

function sampleOfType(
  type: Json | undefined,
  schema: JsonObject,
  root: JsonObject,
  depth: number,
): Json {
  switch (type) {
    case "integer":
    case "number":
      return numberIn(schema);
    case "boolean":
      return true;
    case "null":
      return null;
    case "array":
      return Array.from({ length: Math.min(size(schema, "minItems", 0), 10) }, () =>
        sampleOf(ownMember(schema, "items") ?? {}, root, depth + 1),
      );
    case "object":
      return requiredOf(schema, root, depth);
    default:
      return "sample"
        .padEnd(size(schema, "minLength", 0), "x")
        .slice(0, size(schema, "maxLength", 256));
  }
}

function requiredOf(schema: JsonObject, root: JsonObject, depth: number): JsonObject {
  const required = ownMember(schema, "required");
  const properties = ownMember(schema, "properties");
  const names = isArray(required) ? required.filter((name) => typeof name === "string") : [];
  return Object.fromEntries(
    names.map((name) => [
      name,
      sampleOf((isObject(properties) && ownMember(properties, name)) || {}, root, depth + 1),
    ]),
  );
}

function numberIn(schema: JsonObject): number {
  const least = ownMember(schema, "minimum");
  const above = ownMember(schema, "exclusiveMinimum");
  const most = ownMember(schema, "maximum");
  const low = typeof least === "number" ? least : typeof above === "number" ? above + 1 : 1;
  return typeof most === "number" ? Math.min(low, most) : low;
}

function size(schema: JsonObject, name: string, otherwise: number): number {
  const value = ownMember(schema, name);
  return typeof value === "number" ? Math.min(value, 1000) : otherwise;
}
