/** RFC 8785 canonical JSON (JCS): one value, one text. Strict: what JSON cannot say is refused with its path, never coerced. */

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
/** A JSON object; members are looked up with `Object.hasOwn` or a `Map`, never trusted by name. */
export interface JsonObject {
  readonly [member: string]: Json;
}

/** Caps that are enforced while walking, before anything else looks at the value. */
export interface JsonLimits {
  /** UTF-8 bytes of the canonical text. */
  readonly bytes?: number;
  /** Nesting; `{}` has depth 1. */
  readonly depth?: number;
  /** Members of all objects together. */
  readonly keys?: number;
  /** Refuse integers that a double cannot hold exactly, beyond ±(2^53 − 1). */
  readonly safeIntegers?: boolean;
}

/** Why a value has no canonical JSON. `path` leads to the member, e.g. `items[2].when`. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  readonly reason: string;
  readonly path: string;

  /** Where a text is at fault, in UTF-16 units from its beginning. */
  readonly offset: number | undefined;

  constructor(reason: string, path: string, offset?: number) {
    super(path === "" ? reason : `${path}: ${reason}`);
    this.reason = reason;
    this.path = path;
    this.offset = offset;
  }
}

/** Depth that the recursion below survives on the default stack; deeper values, and cycles, are refused. */
const MAX_DEPTH = 1000;
/** Printable ASCII without `"` and `\`: its JSON form is itself between quotes. */
const PLAIN = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;

/**
 * The canonical text of a JSON value (RFC 8785): members sorted by UTF-16 code units, numbers as ECMAScript prints them.
 *
 * @throws JsonError for `undefined`, functions, symbols, `BigInt`, non-finite numbers, lone surrogates, class instances
 *   (a `Date`, a `Map`), holes in arrays, cycles, and whatever exceeds `limits`.
 */
export function canonicalize(value: unknown, limits: JsonLimits = {}): string {
  return canonicalCopy(value, limits).text;
}

/**
 * {@link canonicalize} that also gives a deep copy of the very value that the text says: each member is read once, so
 * that text and copy cannot differ, whatever getters do. (A copy parsed from the text could: nodejs/node#63785.)
 */
export function canonicalCopy(
  value: unknown,
  limits: JsonLimits = {},
): { readonly text: string; readonly copy: Json } {
  const walk: Walk = {
    maxBytes: limits.bytes ?? Infinity,
    maxDepth: Math.min(limits.depth ?? MAX_DEPTH, MAX_DEPTH),
    maxKeys: limits.keys ?? Infinity,
    safeIntegers: limits.safeIntegers ?? false,
    bytes: 0,
    keys: 0,
    path: [],
    copy: null,
  };
  const text = write(value, walk, 0);
  return { text, copy: walk.copy };
}

/** The canonical form of a string literal; the fast path for names and digests. @throws JsonError on lone surrogates. */
export function canonicalString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new JsonError("a lone surrogate is not text", "");
  return JSON.stringify(text);
}

interface Walk {
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxKeys: number;
  readonly safeIntegers: boolean;
  /** Of the text so far: a huge value stops at its cap and not at its end. */
  bytes: number;
  keys: number;
  readonly path: (string | number)[];
  /** The copy of the value that was written last. */
  copy: Json;
}

function write(value: unknown, walk: Walk, depth: number): string {
  switch (typeof value) {
    case "string":
      walk.copy = value;
      return writeString(value, walk);
    case "number":
      return leaf(value === 0 ? 0 : value, writeNumber(value, walk), walk);
    case "boolean":
      return leaf(value, value ? "true" : "false", walk);
    case "object":
      if (value === null) return leaf(null, "null", walk);
      if (depth >= walk.maxDepth)
        throw refuse(`nested deeper than ${walk.maxDepth} levels, or a cycle`, walk);
      return Array.isArray(value)
        ? writeArray(value, walk, depth + 1)
        : writeObject(value, walk, depth + 1);
    default:
      throw refuse(`${typeof value} is not JSON`, walk);
  }
}

function leaf(copy: Json, text: string, walk: Walk): string {
  spend(text.length, walk);
  walk.copy = copy;
  return text;
}

function writeString(text: string, walk: Walk): string {
  // Before it is written what it takes at least: with its escapes it may be longer than any string can be.
  const least = text.length + 2;
  spend(least, walk);
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw refuse("a lone surrogate is not text", walk);
  const literal = JSON.stringify(text);
  spend(utf8Length(literal) - least, walk);
  return literal;
}

function writeNumber(value: number, walk: Walk): string {
  if (!Number.isFinite(value)) throw refuse(`${value} is not JSON`, walk);
  const text = `${value}`;
  // From 1e21 on the canonical text has an exponent and claims no exact integer.
  if (
    walk.safeIntegers &&
    Number.isInteger(value) &&
    !Number.isSafeInteger(value) &&
    !text.includes("e")
  ) {
    throw refuse("an integer beyond ±(2^53 − 1) loses digits; send it as a string", walk);
  }
  return text;
}

function writeArray(items: readonly unknown[], walk: Walk, depth: number): string {
  const { length } = items;
  // Brackets and commas first: the shortest item adds one more, so that no list is walked beyond the cap.
  spend(Math.max(2, length + 1), walk);
  const copies: Json[] = [];
  let text = "[";
  for (let i = 0; i < length; i++) {
    walk.path.push(i);
    text += (i === 0 ? "" : ",") + write(items[i], walk, depth);
    walk.path.pop();
    copies.push(walk.copy);
  }
  walk.copy = copies;
  return `${text}]`;
}

function writeObject(object: object, walk: Walk, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  // `{}` of any realm, or a null prototype. A Date or a class instance would lose what makes it one.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refuse(`a ${object.constructor?.name || "class instance"} is not JSON`, walk);
  }
  const names = Object.keys(object);
  walk.keys += names.length;
  if (walk.keys > walk.maxKeys) throw refuse(`more than ${walk.maxKeys} members`, walk);
  sortNames(names);
  // Braces, commas and colons.
  spend(Math.max(2, 2 * names.length + 1), walk);
  const copies: Record<string, Json> = {};
  let text = "{";
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    walk.path.push(name);
    const key = writeString(name, walk);
    text += `${i === 0 ? "" : ","}${key}:${write((object as Record<string, unknown>)[name], walk, depth)}`;
    walk.path.pop();
    setMember(copies, name, walk.copy);
  }
  walk.copy = copies;
  return `${text}}`;
}

/** What is sorted by the platform is first copied, several times its size: few names are put in order where they are, mostly at one look. */
function sortNames(names: string[]): void {
  if (names.length > 64) names.sort();
  else
    for (let i = 1; i < names.length; i++) {
      const name = names[i] as string;
      let at = i;
      for (; at > 0 && (names[at - 1] as string) > name; at--) names[at] = names[at - 1] as string;
      names[at] = name;
    }
}

/** Defines a member of any name, `__proto__` too, as JSON means it. */
export function setMember(object: Record<string, Json>, name: string, value: Json): void {
  if (name === "__proto__")
    Object.defineProperty(object, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  else object[name] = value;
}

function spend(bytes: number, walk: Walk): void {
  walk.bytes += bytes;
  if (walk.bytes > walk.maxBytes) throw new JsonError(`larger than ${walk.maxBytes} bytes`, "");
}

function refuse(reason: string, walk: Walk): JsonError {
  return new JsonError(reason, pathText(walk.path));
}

function pathText(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path.slice(0, 8))
    text +=
      typeof part === "number" ? `[${part}]` : `${text === "" ? "" : "."}${part.slice(0, 64)}`;
  return path.length > 8 ? `${text}…` : text;
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Each half of a surrogate pair counts two of the pair's four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
  }
  return bytes;
}
