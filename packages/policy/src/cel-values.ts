/**
 * JSON as values of the CEL engine, converted when they are asked for. The engine's own conversion is not used: it takes
 * an object with `$typeName` for a protobuf message, asks objects for `constructor`, and finds no member that is null.
 */
import { type CelList, type CelMap, type CelValue, isCelList, isCelMap } from "@bufbuild/cel";
import type { Json, JsonObject } from "@stepgate/core/compiler";

/** A JSON object as a map whose keys are the object's own members, whatever their names. */
export function celMapOf(object: JsonObject): CelMap {
  const map: unknown = new JsonMap(object);
  if (!isCelMap(map)) throw unknownMark();
  return map;
}

function celValueOf(value: Json): CelValue {
  if (typeof value !== "object" || value === null) return value;
  if (!isArray(value)) return celMapOf(value);
  const list: unknown = new JsonList(value);
  if (!isCelList(list)) throw unknownMark();
  return list;
}

function isArray(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value);
}

function unknownMark(): TypeError {
  return new TypeError("this version of the CEL engine marks its lists and maps otherwise");
}

/** By these the engine tells a map and a list of its own from all other objects. */
const MAP = Symbol.for("@bufbuild/cel/map");
const LIST = Symbol.for("@bufbuild/cel/list");

/** A class, and no factory: one is made for every member that is looked at, and closures would cost ten times as much. */
class JsonMap implements Pick<CelMap, "entries" | "get" | "has" | "keys" | "size" | "values"> {
  readonly [MAP] = true;
  readonly #object: JsonObject;

  constructor(object: JsonObject) {
    this.#object = object;
  }

  get size(): number {
    return Object.keys(this.#object).length;
  }

  has(key: unknown): boolean {
    return typeof key === "string" && Object.hasOwn(this.#object, key);
  }

  get(key: unknown): CelValue | undefined {
    if (typeof key !== "string" || !Object.hasOwn(this.#object, key)) return undefined;
    const value = this.#object[key];
    return value === undefined ? undefined : celValueOf(value);
  }

  keys(): MapIterator<string> {
    return Object.keys(this.#object).values();
  }

  *values(): Generator<CelValue, undefined> {
    for (const value of Object.values(this.#object)) yield celValueOf(value);
  }

  *entries(): Generator<[string, CelValue], undefined> {
    for (const [key, value] of Object.entries(this.#object)) yield [key, celValueOf(value)];
  }

  [Symbol.iterator](): Generator<[string, CelValue], undefined> {
    return this.entries();
  }
}

class JsonList implements Pick<CelList, "get" | "size" | "values"> {
  readonly [LIST] = true;
  readonly #items: readonly Json[];

  constructor(items: readonly Json[]) {
    this.#items = items;
  }

  get size(): number {
    return this.#items.length;
  }

  get(index: number): CelValue | undefined {
    const item = Number.isInteger(index) && index >= 0 ? this.#items[index] : undefined;
    return item === undefined ? undefined : celValueOf(item);
  }

  *values(): Generator<CelValue, undefined> {
    for (const item of this.#items) yield celValueOf(item);
  }

  [Symbol.iterator](): Generator<CelValue, undefined> {
    return this.values();
  }
}
