/** The JSON Schema of a tool as it comes, to one that strictness accepts, with a note of everything that changed. */
import { canonicalize, type Json, type JsonObject, parseStrictJson } from "@stepgate/core/compiler";
import type { Path } from "./finding.ts";
import { compileJsonSchema, type SchemaIssue } from "./json-schema.ts";
import { applies, childSchemas, pointerOf, typesOf } from "./json-schema-check.ts";
import { KEYWORDS } from "./json-schema-keywords.ts";
import { isArray, isObject, ownMember } from "./json-schema-members.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";

/** Something that `rewriteSchema` changed; `pointer` (RFC 6901) leads to it in the schema as it came, or as it was by then. */
export interface SchemaNote {
  readonly pointer: string;
  readonly message: string;
}

/** Rounds of compiling and dropping: each drops something, and few schemas need more than two. */
const MAX_ROUNDS = 100;

/**
 * Rewrites a schema so that `compileJsonSchema` takes it (what `init --from` does): types that were meant are written out,
 * older spellings replaced, and what cannot be checked here is dropped, a `format` or a pattern into a `$comment`. What is
 * no schema at all becomes `{ type: "object" }`. Never throws.
 */
export function rewriteSchema(schema: unknown): {
  readonly schema: JsonObject;
  readonly notes: readonly SchemaNote[];
} {
  const notes: SchemaNote[] = [];
  let reason = "it is no JSON object";
  let current = plainCopy(schema);
  for (let round = 0; current !== undefined && round < MAX_ROUNDS; round++) {
    current = rewrite(current, { path: [], types: [] }, notes);
    const compiled = compileJsonSchema(current);
    if ("validate" in compiled) return { schema: current, notes };
    reason = compiled.issues[0]?.message ?? reason;
    const rest = compiled.issues.reduceRight<JsonObject | undefined>(
      (left, issue) => (left === undefined ? undefined : drop(left, issue, notes)),
      current,
    );
    // What cannot be dropped would come up again.
    current = rest === current ? undefined : rest;
  }
  const message = `could not be rewritten, and any object is accepted now: ${reason}`;
  return { schema: { type: "object" }, notes: [...notes, { pointer: "", message }] };
}

/** In the order of its members, which people know it by. */
function plainCopy(schema: unknown): JsonObject | undefined {
  try {
    canonicalize(schema, { depth: 128, keys: 10_000, bytes: 1024 * 1024 });
    const copy: unknown = parseStrictJson(JSON.stringify(schema));
    return isObject(copy) ? copy : undefined;
  } catch {
    return undefined;
  }
}

interface Place {
  readonly path: Path;
  /** What the schemas around it, for the same value, have said about its type. */
  readonly types: readonly string[];
}

type Step = (schema: JsonObject, place: Place, note: (message: string) => void) => JsonObject;

const STEPS: readonly Step[] = [
  renameExample,
  replaceTuple,
  replaceExclusive,
  liftRequired,
  splitTypes,
  addType,
  nameRequired,
];

function rewrite(schema: JsonObject, place: Place, notes: SchemaNote[]): JsonObject {
  const pointer = pointerOf(place.path);
  const note = (message: string): void => void notes.push({ pointer, message });
  const stepped = STEPS.reduce((result, step) => step(result, place, note), schema);
  const types = typesOf(stepped) ?? place.types;
  const entries = Object.entries(stepped).map(([name, value]): [string, Json] => {
    const keyword = KEYWORDS.get(name);
    if (keyword === undefined) return [name, value];
    const inner = keyword.same === true ? types : [];
    let changed = value;
    for (const child of childSchemas(keyword, value)) {
      if (!isObject(child.schema)) continue;
      const path = [...place.path, name, ...child.path];
      changed = replaceAt(
        changed,
        child.path,
        rewrite(child.schema, { path, types: inner }, notes),
      );
    }
    return [name, changed];
  });
  return Object.fromEntries(entries);
}

function replaceAt(value: Json, path: Path, by: Json): Json {
  const [part] = path;
  if (part === undefined) return by;
  if (isArray(value)) return value.map((item, index) => (index === part ? by : item));
  return isObject(value) ? { ...value, [part]: by } : value;
}

function without(schema: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));
}

function renameExample(schema: JsonObject, _: Place, note: (message: string) => void): JsonObject {
  const example = ownMember(schema, "example");
  if (example === undefined || Object.hasOwn(schema, "examples")) return schema;
  note("example became examples");
  return { ...without(schema, "example"), examples: [example] };
}

/** `items: […]` and `additionalItems` of older drafts; and a tuple says how long it is. */
function replaceTuple(schema: JsonObject, _: Place, note: (message: string) => void): JsonObject {
  const items = ownMember(schema, "items");
  let result = schema;
  if (isArray(items)) {
    note("items, a list, became prefixItems");
    const rest = ownMember(schema, "additionalItems") ?? true;
    result = { ...without(schema, "additionalItems"), prefixItems: items, items: rest };
  }
  const prefix = ownMember(result, "prefixItems");
  if (!isArray(prefix) || prefix.length === 0 || isBounded(result, prefix.length)) return result;
  note(`the list has exactly ${prefix.length} items now`);
  return { ...without(result, "maxItems"), minItems: prefix.length, items: false };
}

function isBounded(schema: JsonObject, length: number): boolean {
  const closed = schema["items"] === false || schema["maxItems"] === length;
  return schema["minItems"] === length && closed;
}

function replaceExclusive(
  schema: JsonObject,
  _: Place,
  note: (message: string) => void,
): JsonObject {
  let result = schema;
  for (const [exclusive, bound] of [
    ["exclusiveMinimum", "minimum"],
    ["exclusiveMaximum", "maximum"],
  ] as const) {
    const flag = ownMember(result, exclusive);
    if (typeof flag !== "boolean") continue;
    const value = ownMember(result, bound);
    note(`${exclusive}: ${flag} was written out`);
    result = without(result, exclusive);
    if (flag && value !== undefined) result = { ...without(result, bound), [exclusive]: value };
  }
  return result;
}

/** `required: true` in a property is an entry of `required` around it. */
function liftRequired(schema: JsonObject, _: Place, note: (message: string) => void): JsonObject {
  const properties = ownMember(schema, "properties");
  if (!isObject(properties)) return schema;
  const flagged = Object.entries(properties).filter(
    ([, member]) => isObject(member) && typeof ownMember(member, "required") === "boolean",
  );
  if (flagged.length === 0) return schema;
  const names = flagged
    .filter(([, member]) => isObject(member) && member["required"] === true)
    .map(([name]) => name);
  note("required: true of its properties became a list of names");
  const listed = ownMember(schema, "required");
  const required = [...new Set([...(isArray(listed) ? listed : []), ...names])];
  const cleaned = Object.entries(properties).map(([name, member]): [string, Json] => [
    name,
    isObject(member) && typeof ownMember(member, "required") === "boolean"
      ? without(member, "required")
      : member,
  ]);
  const rest = { ...schema, properties: Object.fromEntries(cleaned) };
  return required.length === 0 ? rest : { ...rest, required };
}

/** `type: [string, number]` becomes `anyOf`, each alternative with the keywords that speak of it. */
function splitTypes(schema: JsonObject, _: Place, note: (message: string) => void): JsonObject {
  const types = isArray(ownMember(schema, "type")) ? typesOf(schema) : undefined;
  if (types === undefined) return schema;
  if (types.length === 1) return { ...schema, type: types[0] ?? "object" };
  if (types.filter((type) => type !== "null").length < 2) return schema;
  note(`type: [${types.join(", ")}] became anyOf`);
  return alternatives(schema, types);
}

function alternatives(schema: JsonObject, types: readonly string[]): JsonObject {
  const wide = types.includes("number") ? types.filter((type) => type !== "integer") : types;
  const branches = wide.map((type): JsonObject => {
    const own = Object.entries(schema).filter(([name]) => {
      const about = KEYWORDS.get(name)?.type;
      return about !== undefined && applies(about, [type]);
    });
    return { type, ...Object.fromEntries(own) };
  });
  const rest = Object.fromEntries(
    Object.entries(schema).filter(([name]) => {
      const keyword = KEYWORDS.get(name);
      return name !== "type" && name !== "nullable" && keyword?.type === undefined;
    }),
  );
  if (!Object.hasOwn(rest, "anyOf")) return { ...rest, anyOf: branches };
  const all = ownMember(rest, "allOf");
  return { ...rest, allOf: [...(isArray(all) ? all : []), { anyOf: branches }] };
}

/** The type that the keywords speak of, where neither the schema nor one around it says any. */
function addType(schema: JsonObject, place: Place, note: (message: string) => void): JsonObject {
  if (typesOf(schema) !== undefined || place.types.length > 0) return schema;
  const meant = Object.keys(schema).flatMap((name) => KEYWORDS.get(name)?.type ?? []);
  const types = [...new Set(meant)];
  const [type] = types;
  if (type === undefined) return schema;
  note(`type: ${types.join(" or ")} was added`);
  return types.length === 1 ? { type, ...schema } : alternatives(schema, types);
}

/** What is required is named in `properties`. */
function nameRequired(schema: JsonObject, _: Place, note: (message: string) => void): JsonObject {
  const required = ownMember(schema, "required");
  const properties = ownMember(schema, "properties") ?? {};
  if (!isArray(required) || !isObject(properties)) return schema;
  const missing = required.filter(
    (name) =>
      typeof name === "string" && !FORBIDDEN_KEYS.has(name) && !Object.hasOwn(properties, name),
  );
  if (missing.length === 0) return schema;
  note(`properties names ${missing.join(", ")} now, which required does`);
  const added = Object.fromEntries(missing.map((name) => [String(name), true]));
  return { ...schema, properties: { ...properties, ...added } };
}

/** Takes out what an issue points at; nothing is left where that is the whole. */
function drop(schema: JsonObject, issue: SchemaIssue, notes: SchemaNote[]): JsonObject | undefined {
  if (issue.path.length === 0) return undefined;
  const dropped = dropAt(schema, issue.path);
  if (dropped === schema) return schema;
  notes.push({ pointer: issue.pointer, message: `dropped: ${issue.message}` });
  return isObject(dropped) ? dropped : undefined;
}

/** The rest of a value without what stands at a path; the value itself where nothing does. */
function dropAt(value: Json, path: Path): Json {
  const [part, ...deeper] = path;
  if (part === undefined) return value;
  if (isArray(value)) {
    const index = Number(part);
    if (deeper.length === 0) return index < value.length ? value.toSpliced(index, 1) : value;
    return value.map((item, at) => (at === index ? dropAt(item, deeper) : item));
  }
  const name = String(part);
  if (!isObject(value) || !Object.hasOwn(value, name)) return value;
  if (deeper.length > 0) return { ...value, [name]: dropAt(value[name] ?? null, deeper) };
  const rest = without(value, name);
  const text = value[name];
  const remembered = (name === "format" || name === "pattern") && typeof text === "string";
  return remembered && !Object.hasOwn(rest, "$comment")
    ? { ...rest, $comment: `${name}: ${text}` }
    : rest;
}
