/** The JSON Schema of values that were seen, for what comes without one: their types, and the members that they have. */
import type { Json, JsonObject } from "@stepgate/core/compiler";
import { isArray, isObject, ownMember } from "./json-schema-members.ts";
import { FORBIDDEN_KEYS } from "./source-document.ts";

/** An object with the members that were seen and no others; what each had is required. */
export function shapeOf(values: readonly JsonObject[]): JsonObject {
  const names = [...new Set(values.flatMap((value) => Object.keys(value)))].filter(
    // No policy can name them.
    (name) => !FORBIDDEN_KEYS.has(name),
  );
  const given = (name: string): readonly Json[] =>
    values.flatMap((value) => (Object.hasOwn(value, name) ? [ownMember(value, name) ?? null] : []));
  const required = names.filter((name) => values.every((value) => Object.hasOwn(value, name)));
  return {
    type: "object",
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(names.map((name) => [name, anyShape(given(name))])),
    additionalProperties: false,
  };
}

/** One schema for values of one type, else one for each type. */
export function anyShape(values: readonly Json[]): JsonObject {
  const byType = [...Map.groupBy(values, typeOf)].map(([type, of]) => shapeOfType(type, of));
  const [only, other] = byType;
  return only !== undefined && other === undefined ? only : { anyOf: byType };
}

function shapeOfType(type: string, values: readonly Json[]): JsonObject {
  if (type === "object") return shapeOf(values.filter(isObject));
  if (type !== "array") return { type };
  const items = values.filter(isArray).flat();
  // Nothing is known of the items of a list that was always empty: so there are none.
  return items.length === 0 ? { type, maxItems: 0 } : { type, items: anyShape(items) };
}

function typeOf(value: Json): string {
  if (value === null) return "null";
  if (isArray(value)) return "array";
  return typeof value;
}
