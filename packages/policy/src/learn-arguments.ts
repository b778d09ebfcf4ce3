/** The arguments of what the runs call: their schema, and what is required of each value. */
import type { Json, JsonObject } from "@stepgate/core/compiler";
import { draftArguments } from "./draft-arguments.ts";
import { compileJsonSchema } from "./json-schema.ts";
import { isArray, isObject, ownMember } from "./json-schema-members.ts";
import { type ArgumentUse, count, distinct, runsOf } from "./learn-counts.ts";
import type { Subject, SubjectCall } from "./learn-runs.ts";
import { anyShape, shapeOf } from "./learn-shapes.ts";
import { type ValueRule, valueRule } from "./learn-values.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";

/** All arguments of a tool or function; others are not permitted. */
export interface LearnedArguments {
  /** Where the schema comes from, for people. */
  readonly origin: string;
  readonly schema: JsonObject;
  /** What is required of each argument that some call gave. */
  readonly rules: ReadonlyMap<string, ValueRule>;
}

/** Learns the arguments of all calls of a tool or function. */
export function learnArguments(subject: Subject): LearnedArguments {
  const calls = [...subject.calls, ...subject.elsewhere];
  const about = { reads: subject.step === "*", runs: runsOf(calls) };
  const { schema: whole, origin } = baseOf(subject, calls);
  const rules = new Map<string, ValueRule>();
  let schema = whole;
  for (const [name, own] of propertiesOf(whole)) {
    const uses = usesOf(name, calls);
    if (uses.length === 0) {
      schema = withProperty(schema, name, unusedProperty(own));
      continue;
    }
    const standard = isObject(own) ? ownMember(own, "default") : undefined;
    const rule = valueRule(uses, { ...about, name, standard });
    const narrowed = withProperty(schema, name, narrow(own, rule, standard));
    // What an unusual schema makes of it is not certain.
    const fits = isLoose(rule) || takesAll(narrowed, calls);
    if (fits) schema = narrowed;
    rules.set(name, fits ? rule : { kind: "free", support: `free: ${rule.support}` });
  }
  return { origin, schema, rules };
}

function propertiesOf(schema: JsonObject): readonly (readonly [string, Json])[] {
  const properties = ownMember(schema, "properties");
  return Object.entries(isObject(properties) ? properties : {});
}

/** A rule that is no part of the schema. */
function isLoose({ kind }: ValueRule): boolean {
  return kind === "free" || kind === "grounded";
}

function usesOf(name: string, calls: readonly SubjectCall[]): readonly ArgumentUse[] {
  return calls.flatMap(({ args, context, run }) => {
    const value = ownMember(args, name);
    return value === undefined ? [] : [{ run, value, context }];
  });
}

/** The tool's own schema, where it names all arguments; what it refuses of the calls, and without it all, by its shape. */
function baseOf(
  { description, kind }: Subject,
  calls: readonly SubjectCall[],
): { schema: JsonObject; origin: string } {
  const seen = (why: string) => ({ schema: shapeOf(calls.map(({ args }) => args)), origin: why });
  if (description?.parameters === undefined)
    return seen(
      kind === "tool"
        ? "without a schema of its own: the shape of the calls"
        : "the shape of the calls",
    );
  const { schema } = draftArguments(description.parameters);
  if (schema["additionalProperties"] !== false || !isObject(schema["properties"]))
    return seen("its own schema leaves it open: the shape of the calls");
  const widened = widen(schema, calls);
  if (widened === undefined)
    return seen("its own schema refuses some calls: the shape of the calls");
  const { names, schema: wide } = widened;
  return {
    schema: wide,
    origin:
      names.length === 0
        ? "its own schema"
        : `its own schema; but ${count(names.length, "argument")} otherwise, by the shape of the calls`,
  };
}

/** The schema with what calls gave beside it, and without what they left out; nothing where that is not enough. */
function widen(
  schema: JsonObject,
  calls: readonly SubjectCall[],
): { readonly schema: JsonObject; readonly names: readonly string[] } | undefined {
  const given = [...new Set(calls.flatMap(({ args }) => Object.keys(args)))];
  const known = new Set([...propertiesOf(schema).map(([name]) => name), ...FORBIDDEN_KEYS]);
  const unknown = given.filter((name) => !known.has(name));
  const missing = requiredOf(schema).filter((name) => usesOf(name, calls).length < calls.length);
  const shape = (to: JsonObject, name: string): JsonObject =>
    withProperty(to, name, anyShape(usesOf(name, calls).map(({ value }) => value)));
  const names = [...unknown, ...missing];
  const shaped = new Set(unknown);
  let wide = unknown.reduce(shape, withoutRequired(schema, missing));
  for (let misfit = misfitOf(wide, calls); misfit !== undefined; misfit = misfitOf(wide, calls)) {
    const name = Object.keys(wide["properties"] ?? {}).find(
      (one) => misfit === one || misfit?.startsWith(`${one}.`) || misfit?.startsWith(`${one}[`),
    );
    if (name === undefined || shaped.has(name)) return undefined;
    names.push(name);
    shaped.add(name);
    wide = shape(wide, name);
  }
  return { schema: wide, names: [...new Set(names)] };
}

function requiredOf(schema: JsonObject): readonly string[] {
  const required = ownMember(schema, "required");
  return isArray(required) ? required.filter((name) => typeof name === "string") : [];
}

function withoutRequired(schema: JsonObject, names: readonly string[]): JsonObject {
  if (names.length === 0) return schema;
  const { required: _, ...others } = schema;
  const required = requiredOf(schema).filter((name) => !names.includes(name));
  return required.length > 0 ? { ...others, required } : others;
}

/** Where the first argument is that does not fit. */
function misfitOf(schema: JsonObject, calls: readonly SubjectCall[]): string | undefined {
  const compiled = compileJsonSchema(schema);
  if (!("validate" in compiled)) return "";
  return calls.map(({ args }) => compiled.validate(args)).find((path) => path !== undefined);
}

function takesAll(schema: JsonObject, calls: readonly SubjectCall[]): boolean {
  return misfitOf(schema, calls) === undefined;
}

/** `undefined` takes the property away. */
function withProperty(schema: JsonObject, name: string, property: Json | undefined): JsonObject {
  const { [name]: _, ...others } = isObject(schema["properties"]) ? schema["properties"] : {};
  if (property === undefined) return { ...schema, properties: others };
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  return { ...schema, properties: { ...properties, [name]: property } };
}

/** Never given: it may be said explicitly that it is not, by its default, null or an empty list. */
function unusedProperty(property: Json): Json | undefined {
  if (!isObject(property)) return undefined;
  const standard = ownMember(property, "default");
  const compiled = compileJsonSchema({ type: "object", properties: { value: property } });
  const takes = (value: Json): boolean =>
    "validate" in compiled && compiled.validate({ value }) === undefined;
  const absent = distinct([
    ...(standard === undefined ? [] : [standard]),
    ...[null, []].filter(takes),
  ]);
  if (absent.length === 0) return undefined;
  return { enum: absent, ...(standard !== undefined && { default: standard }) };
}

function narrow(property: Json, rule: ValueRule, standard: Json | undefined): Json {
  if (!isObject(property) || rule.kind === "free" || rule.kind === "grounded") return property;
  const items = ownMember(property, "items");
  const added = rule.kind === "enum" ? { enum: rule.values } : { pattern: rule.pattern };
  if (isObject(items)) return { ...property, items: { ...items, ...added } };
  if (rule.kind === "pattern") return { ...property, ...added };
  const listed = standard === undefined ? [] : [standard];
  return { ...property, enum: distinct([...rule.values, ...listed]) };
}
