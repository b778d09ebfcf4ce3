/** The second verifier's own reading and writing of JSON: every member name seen once, and the one canonical text. */

/** JSON as the second verifier holds it; objects have no prototype, so that no name means anything. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** An object without a prototype. */
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/** What came of reading a text: `repeats` says that some object in it names a member twice. */
export interface Reading {
  readonly value: Json;
  readonly repeats: boolean;
}

/** Reads one JSON text; undefined when it is none (RFC 8259, nothing beside it but white space). */
export function readJson(text: string): Reading | undefined {
  const tape: Tape = { text, at: 0, repeats: false };
  try {
    const value = readValue(tape, 0);
    skip(tape, SPACE);
    return tape.at === text.length ? { value, repeats: tape.repeats } : undefined;
  } catch (problem) {
    if (problem instanceof NotJson) return undefined;
    throw problem;
  }
}

/** The text of RFC 8785; undefined where there is none (lone surrogates, numbers that are not finite). */
export function canonicalText(value: Json): string | undefined {
  if (typeof value === "string") return value.isWellFormed() ? JSON.stringify(value) : undefined;
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : undefined;
  if (value === null || typeof value === "boolean") return String(value);
  const parts = Array.isArray(value)
    ? value.map((item: Json) => canonicalText(item))
    : members(value as JsonObject).map(([name, member]) => {
        const [key, text] = [canonicalText(name), canonicalText(member)];
        return key === undefined || text === undefined ? undefined : `${key}:${text}`;
      });
  if (parts.includes(undefined)) return undefined;
  return Array.isArray(value) ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
}

/** The members in the order of their names' UTF-16 code units. */
export function members(object: JsonObject): readonly (readonly [string, Json])[] {
  return Object.keys(object)
    .toSorted()
    .flatMap((name) => {
      const member = object[name];
      return member === undefined ? [] : [[name, member] as const];
    });
}

/** Whether it is an object, not a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Tape {
  readonly text: string;
  at: number;
  repeats: boolean;
}

class NotJson extends Error {}

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// oxlint-disable-next-line no-control-regex -- control characters are what a JSON string must not hold
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /true|false|null/y;
const DEEPEST = 256;

function readValue(tape: Tape, depth: number): Json {
  if (depth > DEEPEST) throw new NotJson();
  skip(tape, SPACE);
  const first = tape.text[tape.at];
  if (first === "{") return readObject(tape, depth);
  if (first === "[") return readList(tape, depth);
  if (first === '"') return readString(tape);
  const word = skip(tape, WORD);
  if (word !== "") return word === "null" ? null : word === "true";
  const number = skip(tape, NUMBER);
  if (number === "") throw new NotJson();
  return Number(number);
}

function readObject(tape: Tape, depth: number): JsonObject {
  const object = Object.create(null) as Record<string, Json>;
  if (opensEmpty(tape, "}")) return object;
  do {
    skip(tape, SPACE);
    const name = readString(tape);
    if (name in object) tape.repeats = true;
    if (!takes(tape, ":")) throw new NotJson();
    object[name] = readValue(tape, depth + 1);
  } while (takes(tape, ","));
  if (!takes(tape, "}")) throw new NotJson();
  return object;
}

function readList(tape: Tape, depth: number): readonly Json[] {
  const list: Json[] = [];
  if (opensEmpty(tape, "]")) return list;
  do list.push(readValue(tape, depth + 1));
  while (takes(tape, ","));
  if (!takes(tape, "]")) throw new NotJson();
  return list;
}

function readString(tape: Tape): string {
  const quoted = skip(tape, STRING);
  if (quoted === "") throw new NotJson();
  // One string alone has no member names to misread.
  return quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}

function opensEmpty(tape: Tape, end: string): boolean {
  tape.at += 1;
  return takes(tape, end);
}

function takes(tape: Tape, mark: string): boolean {
  skip(tape, SPACE);
  if (tape.text[tape.at] !== mark) return false;
  tape.at += 1;
  return true;
}

function skip(tape: Tape, pattern: RegExp): string {
  pattern.lastIndex = tape.at;
  const found = pattern.exec(tape.text)?.[0] ?? "";
  tape.at += found.length;
  return found;
}
