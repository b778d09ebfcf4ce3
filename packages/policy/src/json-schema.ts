/** `args`: a JSON Schema to a check of the arguments, or what is wrong with it and how to put it right. */
import {
  canonicalCopy,
  canonicalize,
  type Json,
  JsonError,
  type JsonObject,
} from "@stepgate/core/compiler";
import { type ErrorObject, type KeywordCxt, type ValidateFunction } from "ajv";
import { _, Ajv2020 } from "ajv/dist/2020.js";
import { isMultipleOf } from "./decimal-multiple.ts";
import type { Finding, Path } from "./finding.ts";
import { pointerOf, schemaFaults } from "./json-schema-check.ts";
import { KEYWORDS } from "./json-schema-keywords.ts";
import { isArray, isObject, ownMember, pointerParts } from "./json-schema-members.ts";
import { createPatternSet } from "./linear-pattern.ts";
import { MAX_WORK, spend, type WorkMeter } from "./work-meter.ts";

/** A fault of a schema; `pointer` (RFC 6901) and `path` lead to the keyword, `hint` names the fix. */
export interface SchemaIssue extends Finding {
  readonly pointer: string;
}

/** The path of the first argument that does not fit, as in `items[2].price`; `""`: the arguments as a whole. */
export type ArgumentCheck = (args: JsonObject) => string | undefined;

/** Far above any tool's schema, and small enough to be refused at once. */
const LIMITS = { bytes: 256 * 1024, depth: 128, keys: 10_000 };

/**
 * Compiles a JSON Schema 2020-12 (policy.md, JSON Schema). The check never throws and never changes the arguments; where
 * it would take too long they do not fit.
 *
 * @example
 * const compiled = compileJsonSchema({ type: "object", properties: { amount: { type: "number" } } });
 * if ("validate" in compiled) compiled.validate({ amount: "5" }); // "amount"
 */
export function compileJsonSchema(
  schema: unknown,
): { readonly validate: ArgumentCheck } | { readonly issues: readonly SchemaIssue[] } {
  let copy: Json;
  try {
    ({ copy } = canonicalCopy(schema, LIMITS));
  } catch (error) {
    return { issues: [issue({ path: [], message: jsonReason(error) })] };
  }
  const faults = schemaFaults(copy);
  if (faults.length > 0 || !(typeof copy === "boolean" || isObject(copy)))
    return { issues: faults.map(issue) };
  return compile(copy);
}

function issue(finding: Finding): SchemaIssue {
  return { pointer: pointerOf(finding.path), ...finding };
}

function jsonReason(error: unknown): string {
  if (!(error instanceof JsonError)) return "not JSON";
  return error.path === "" ? error.reason : `${error.path}: ${error.reason}`;
}

/** Validation is synchronous, so that one meter is enough: full when a validation begins. */
const meter: WorkMeter = { left: MAX_WORK };

function compile(schema: JsonObject | boolean): ReturnType<typeof compileJsonSchema> {
  if (!isObject(schema)) return { validate: () => (schema ? undefined : "") };
  const meta = metaCheck();
  const ajv = compiler();
  try {
    if (meta.validateSchema(schema) !== true)
      return { issues: metaFaults(meta.errors ?? [], schema).map(issue) };
    const check = ajv.compile(withWork(schema));
    return { validate: (args) => misfit(check, args) };
  } catch (error) {
    return { issues: [issue(compilerFault(error, schema))] };
  }
}

function misfit(check: ValidateFunction, args: JsonObject): string | undefined {
  meter.left = MAX_WORK;
  try {
    return check(args) ? undefined : misfitPath(check.errors ?? [], args);
  } catch {
    // Too much work, or arguments deeper than the stack.
    return "";
  }
}

const WORK = "$stepgateWork";
let draft: Ajv2020 | undefined;

/** Says whether a schema is one of the draft. */
function metaCheck(): Ajv2020 {
  draft ??= new Ajv2020({ strict: true, validateFormats: false, logger: false });
  return draft;
}

/** An instance of the library keeps parts of all that it compiled for as long as it lives. */
const MAX_USES = 100;
let current: { readonly ajv: Ajv2020; uses: number } | undefined;

function compiler(): Ajv2020 {
  if (current === undefined || current.uses >= MAX_USES)
    current = { ajv: createCompiler(), uses: 0 };
  current.uses += 1;
  return current.ajv;
}

function createCompiler(): Ajv2020 {
  const ajv = new Ajv2020({
    meta: false,
    validateSchema: false,
    strict: true,
    strictRequired: true,
    // It compares names and patterns with a regular expression of JavaScript: `schemaFaults` does it in linear time.
    allowMatchingProperties: true,
    ownProperties: true,
    inlineRefs: false,
    validateFormats: false,
    logger: false,
    code: { regExp: Object.assign(linearRegExp, { code: "linearRegExp" }) },
  });
  // Before the first of all others: what fails has been counted by then.
  const before = "$dynamicAnchor";
  ajv.addKeyword({ keyword: WORK, schemaType: "number", before, code: workCode });
  // The library's compares each item with each, and takes a quotient of doubles for the exact one.
  ajv.removeKeyword("uniqueItems").removeKeyword("multipleOf");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    errors: false,
    validate: (unique: boolean, items: readonly Json[]) => !unique || areUnique(items),
  });
  ajv.addKeyword({
    keyword: "multipleOf",
    type: "number",
    schemaType: "number",
    errors: false,
    validate: (divisor: number, value: number) => isMultipleOf(value, divisor),
  });
  return ajv;
}

interface CountedRegExp {
  test(text: string): boolean;
  /** By this the library tells two expressions apart. */
  toString(): string;
}

function linearRegExp(source: string): CountedRegExp {
  const pattern = createPatternSet("ecmascript").compile(source);
  if ("fault" in pattern) throw new Error(pattern.fault.message);
  return { test: (text) => pattern.test(text, meter), toString: () => source };
}

/** Each schema counts when it is tried, so that neither references nor alternatives can add up to more than is allowed. */
function workCode({ gen, schema }: KeywordCxt): void {
  const counter = gen.scopeValue("obj", { ref: meter });
  const exceeded = gen.scopeValue("func", { ref: exceed });
  gen.if(_`(${counter}.left -= ${schema}) < 0`, () => gen.code(_`${exceeded}()`));
}

function exceed(): void {
  spend(meter, 0);
}

/** Units of trying a schema on a value; and of an alternative, for which a message may have to be made. */
const SCHEMA_WORK = 4;
const ALTERNATIVE_WORK = 8;

/** A copy in which each schema says what it costs to try: a unit for each keyword and for each value that one lists. */
function withWork(schema: JsonObject): JsonObject {
  const inner = (child: Json): Json => (isObject(child) ? withWork(child) : child);
  let work = SCHEMA_WORK;
  const copy = mapMembers(schema, (value, name) => {
    const shape = KEYWORDS.get(name)?.shape;
    work += shape === "value" ? countValues(value) : 1;
    if (shape === "schemas" && isArray(value)) work += value.length * ALTERNATIVE_WORK;
    if (shape === "schema") return inner(value);
    if (shape === "schemas") return isArray(value) ? value.map(inner) : value;
    return (shape === "map" || shape === "dependencies") && isObject(value)
      ? mapMembers(value, inner)
      : value;
  });
  return { ...copy, [WORK]: work };
}

function mapMembers(object: JsonObject, change: (value: Json, name: string) => Json): JsonObject {
  const entries = Object.entries(object);
  return Object.fromEntries(entries.map(([name, value]) => [name, change(value, name)]));
}

function countValues(value: Json): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, member) => sum + countValues(member), 1);
}

/** Equal items have one canonical text. */
function areUnique(items: readonly Json[]): boolean {
  const seen = new Set<string>();
  for (const item of items) {
    const text = canonicalize(item);
    spend(meter, UNIQUE_WORK + text.length);
    if (seen.has(text)) return false;
    seen.add(text);
  }
  return true;
}

/** Of one item, its canonical text and a place in a set. */
const UNIQUE_WORK = 20;

/** Where the first error points; of alternatives none of which fits, where they stand. */
function misfitPath(errors: readonly ErrorObject[], args: JsonObject): string {
  const first = errors.find(({ keyword }) => SUMMARIES.has(keyword)) ?? errors[0];
  if (first === undefined) return "";
  const parts = pointerParts(first.instancePath.replaceAll("%", "%25")) ?? [];
  const member = [...NAMING].map((name): unknown => first.params[name]).find(isText);
  return pathText([...parts, ...(member === undefined ? [] : [member])], args);
}

/** Keywords whose error comes behind those of what they tried. */
const SUMMARIES: ReadonlySet<string> = new Set(["anyOf", "oneOf", "propertyNames"]);

/** Parameters of errors that name the member at fault, which the path of the error leaves out. */
const NAMING: ReadonlySet<string> = new Set([
  "missingProperty",
  "additionalProperty",
  "unevaluatedProperty",
  "propertyName",
]);

function isText(value: unknown): value is string {
  return typeof value === "string";
}

const MOST_PARTS = 8;
const LONGEST_PART = 64;

/** `items[2].price`, cut short where the caller's own names are long. */
function pathText(parts: readonly string[], args: JsonObject): string {
  let text = "";
  let value: Json | undefined = args;
  for (const part of parts.slice(0, MOST_PARTS)) {
    text += isArray(value)
      ? `[${part}]`
      : `${text === "" ? "" : "."}${part.slice(0, LONGEST_PART)}`;
    if (isArray(value)) value = value[Number(part)];
    else value = isObject(value) ? ownMember(value, part) : undefined;
  }
  return parts.length > MOST_PARTS ? `${text}…` : text;
}

/** What the meta-schema of the draft says, in the words of a policy. */
function metaFaults(errors: readonly ErrorObject[], schema: JsonObject): readonly Finding[] {
  const [first] = errors;
  if (first === undefined) return [{ path: [], message: "not a JSON Schema" }];
  const path = pathOf(first.instancePath.replaceAll("%", "%25"), schema);
  const name = path.findLast((part) => typeof part === "string");
  return [{ path, message: `'${name ?? "schema"}' ${first.message ?? "has no such value"}` }];
}

/** A pointer as members and indexes of the schema that it points into. */
function pathOf(pointer: string, schema: Json): Path {
  const path: (string | number)[] = [];
  let value: Json | undefined = schema;
  for (const part of pointerParts(pointer) ?? []) {
    path.push(isArray(value) ? Number(part) : part);
    if (isArray(value)) value = value[Number(part)];
    else value = isObject(value) ? ownMember(value, part) : undefined;
  }
  return path;
}

/** What the library refuses while it compiles, which it throws as text. */
function compilerFault(error: unknown, schema: Json): Finding {
  if (error instanceof RangeError)
    return { path: [], message: "schemas are nested, or refer to each other, too deeply" };
  const text =
    error instanceof Error ? error.message.replace(/^strict mode: /, "") : "not a schema";
  const place = /^(?<what>[^]*?) at (?:path )?"[^"#]*#(?<pointer>[^"]*)"/.exec(text);
  const { pointer = "", what = text } = place?.groups ?? {};
  const path = pathOf(pointer, schema);
  const missing = /^required property "(.*)" is not defined$/.exec(what)?.[1];
  if (missing !== undefined) {
    const message = `'required' names '${missing}', which properties beside it does not have`;
    const hint = `write properties: { ${missing}: true } in the same schema`;
    return { path: [...path, "required"], message, hint };
  }
  const tuple = /^"prefixItems" is ([0-9]+)-tuple/.exec(what)?.[1];
  if (tuple !== undefined) {
    const message = "'prefixItems' leaves open how long the list is";
    const hint = `write minItems: ${tuple} and items: false beside it`;
    return { path: [...path, "prefixItems"], message, hint };
  }
  const type = /^type "(.*)" not allowed by context "(.*)"$/.exec(what);
  if (type !== null) {
    const message = `type: ${type[1]} can never hold within type: ${type[2]}`;
    return { path: [...path, "type"], message, hint: "remove one of the two" };
  }
  return { path, message: what.slice(0, 200) };
}
