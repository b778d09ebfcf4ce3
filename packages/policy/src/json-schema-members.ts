/** What a JSON Schema says about the members of the arguments: their names, their schemas, their defaults. */
import type { Json, JsonObject } from "@stepgate/core/compiler";

/** A place in a schema, with the whole that its `$ref` point into. */
export interface JsonSchemaNode {
  readonly root: JsonObject;
  readonly schema: JsonObject;
}

/** The whole schema; `undefined` where it is no object. */
export function rootSchema(schema: unknown): JsonSchemaNode | undefined {
  return isObject(schema) ? { root: schema, schema } : undefined;
}

/**
 * The schema of a member; or, where the schema is closed and has no member of that name, the names that it has.
 * `undefined`: the schema leaves it open.
 */
export function memberSchema(
  from: JsonSchemaNode | undefined,
  name: string,
): { readonly schema: JsonSchemaNode } | { readonly missing: readonly string[] } | undefined {
  const place = from === undefined ? undefined : follow(from);
  if (place === undefined) return undefined;
  const properties = ownMember(place.schema, "properties");
  const found = isObject(properties) ? ownMember(properties, name) : undefined;
  if (isObject(found)) return { schema: { root: place.root, schema: found } };
  if (found !== undefined || !isClosed(place.schema)) return undefined;
  return { missing: isObject(properties) ? Object.keys(properties) : [] };
}

/** The names that `properties` lists; nothing where members are described otherwise, or not at all. */
export function memberNames(from: JsonSchemaNode | undefined): readonly string[] | undefined {
  const place = from === undefined ? undefined : follow(from);
  if (place === undefined || Object.hasOwn(place.schema, "patternProperties")) return undefined;
  const properties = ownMember(place.schema, "properties");
  return isObject(properties) ? Object.keys(properties) : undefined;
}

/** The schema of a list's items. */
export function itemSchema(from: JsonSchemaNode | undefined): JsonSchemaNode | undefined {
  const place = from === undefined ? undefined : follow(from);
  if (place === undefined || Object.hasOwn(place.schema, "prefixItems")) return undefined;
  const items = ownMember(place.schema, "items");
  return isObject(items) ? { root: place.root, schema: items } : undefined;
}

const MAX_PLACES = 10_000;
const MAX_DEPTH = 64;

/**
 * The defaults of a tool's optional arguments: dotted paths, as `grounded` writes them, to values. Of what only some
 * alternative of the schema says, nothing; names with a dot have no path.
 */
export function schemaDefaults(schema: unknown): ReadonlyMap<string, Json> {
  const defaults = new Map<string, Json>();
  const root = rootSchema(schema);
  const stack: { place: JsonSchemaNode; path: string; depth: number }[] = [];
  if (root !== undefined) stack.push({ place: root, path: "", depth: 0 });
  let places = 0;
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    places += 1;
    if (places > MAX_PLACES) break;
    const { path, depth, place } = next;
    const value = ownMember(place.schema, "default");
    if (value !== undefined && path !== "" && !defaults.has(path)) defaults.set(path, value);
    if (depth >= MAX_DEPTH) continue;
    for (const same of conjuncts(place)) stack.push({ place: same, path, depth: depth + 1 });
    for (const [name, member] of propertiesOf(place))
      stack.push({ place: member, path: path === "" ? name : `${path}.${name}`, depth: depth + 1 });
  }
  return defaults;
}

/** Schemas that hold for the same value as this one, whatever it is; the first has the last word. */
function conjuncts({ root, schema }: JsonSchemaNode): readonly JsonSchemaNode[] {
  const all = ownMember(schema, "allOf");
  const target = resolve(root, ownMember(schema, "$ref"));
  const parts: readonly Json[] = isArray(all) ? all : [];
  return [...parts, ...(target === undefined ? [] : [target])]
    .filter(isObject)
    .toReversed()
    .map((part) => ({ root, schema: part }));
}

function propertiesOf({ root, schema }: JsonSchemaNode): readonly [string, JsonSchemaNode][] {
  const properties = ownMember(schema, "properties");
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([name, member]) =>
    isObject(member) && !name.includes(".") ? [[name, { root, schema: member }]] : [],
  );
}

const ALTERNATIVES = ["allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"];

/** Through `$ref` to the schema that says something itself; nothing where several have a say. */
function follow(from: JsonSchemaNode): JsonSchemaNode | undefined {
  let schema = from.schema;
  for (let steps = 0; steps < MAX_DEPTH; steps++) {
    if (ALTERNATIVES.some((name) => Object.hasOwn(schema, name))) return undefined;
    if (!Object.hasOwn(schema, "$ref")) return { root: from.root, schema };
    if (Object.hasOwn(schema, "properties") || Object.hasOwn(schema, "items")) return undefined;
    const target = resolve(from.root, schema["$ref"]);
    if (target === undefined) return undefined;
    schema = target;
  }
  return undefined;
}

function isClosed(schema: JsonObject): boolean {
  return (
    ownMember(schema, "additionalProperties") === false &&
    !Object.hasOwn(schema, "patternProperties")
  );
}

/** The schema that a local reference leads to: `#`, or `#/` and a JSON pointer. */
function resolve(root: JsonObject, reference: unknown): JsonObject | undefined {
  const value = resolveValue(root, reference);
  return isObject(value) ? value : undefined;
}

function resolveValue(root: JsonObject, reference: unknown): Json | undefined {
  if (reference === "#") return root;
  if (typeof reference !== "string" || !reference.startsWith("#/")) return undefined;
  const parts = pointerParts(reference.slice(1));
  if (parts === undefined) return undefined;
  let value: Json | undefined = root;
  for (const part of parts) {
    if (isArray(value))
      value = /^(?:0|[1-9][0-9]{0,5})$/.test(part) ? value[Number(part)] : undefined;
    else value = isObject(value) ? ownMember(value, part) : undefined;
  }
  return value;
}

/** The parts of a JSON pointer in the fragment of a URI (RFC 6901, sections 3 and 6). */
export function pointerParts(pointer: string): readonly string[] | undefined {
  try {
    const parts = decodeURIComponent(pointer).split("/").slice(1);
    return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  } catch {
    return undefined;
  }
}

/** A member by name, and nothing from the prototype. */
export function ownMember(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** True for a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for a JSON array. */
export function isArray(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}
