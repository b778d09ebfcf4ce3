/** JSON text to a value, refusing what two parsers could read differently: duplicate members, lost digits, bombs. */
import {
  canonicalCopy,
  type Json,
  JsonError,
  type JsonLimits,
  setMember,
} from "./canonical-json.ts";

/** Where no limit is given: far beyond any request, well within what one parse may hold. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_DEPTH = 1000;

/**
 * Parses JSON text (RFC 8259) strictly. Where `JSON.parse` keeps the last of two members and rounds long integers, this
 * refuses both; and it reads every name as it is written, which `JSON.parse` does not always (nodejs/node#63785).
 *
 * @throws JsonError where the text is not JSON, exceeds `limits`, repeats a member, holds an integer beyond ±(2^53 − 1)
 *   or a lone surrogate.
 */
export function parseStrictJson(text: string, limits: JsonLimits = {}): Json {
  const bytes = limits.bytes ?? MAX_BYTES;
  // White space may pad the wire's text beyond its canonical size, but not without bound.
  if (text.length > bytes * 2) throw new JsonError(`larger than ${bytes} bytes`, "");
  const depth = Math.min(limits.depth ?? MAX_DEPTH, MAX_DEPTH);
  const cursor: Cursor = { text, at: 0, depth, anyInteger: false };
  const value = readValue(cursor, 0);
  skipSpace(cursor);
  if (cursor.at !== text.length) throw notJson(cursor);
  // Depth, integers and surrogates were looked at on the way; size and members are counted on the canonical form.
  if (limits.bytes === undefined && limits.keys === undefined) return value;
  return canonicalCopy(value, { ...limits, safeIntegers: true }).copy;
}

/** The first member that an object of this valid JSON text repeats, or `undefined`. */
export function duplicateMember(text: string): string | undefined {
  try {
    readValue({ text, at: 0, depth: MAX_DEPTH, anyInteger: true }, 0);
    return undefined;
  } catch (error) {
    return error instanceof DuplicateMember ? error.path : undefined;
  }
}

class DuplicateMember extends JsonError {}

interface Cursor {
  readonly text: string;
  at: number;
  readonly depth: number;
  readonly anyInteger: boolean;
}

const SPACE = /[ \t\n\r]+/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// RFC 8259 §7: control characters stand in strings only as escapes.
// oxlint-disable-next-line no-control-regex
const PLAIN_RUN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const ESCAPED: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
const WORDS: readonly (readonly [word: string, value: Json])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

function readValue(cursor: Cursor, depth: number): Json {
  skipSpace(cursor);
  const first = cursor.text[cursor.at];
  if (first === '"') return readString(cursor);
  if (first === "{" || first === "[") {
    if (depth >= cursor.depth)
      throw new JsonError(`nested deeper than ${cursor.depth} levels`, "", cursor.at);
    return first === "{" ? readObject(cursor, depth + 1) : readArray(cursor, depth + 1);
  }
  for (const [word, value] of WORDS) {
    if (cursor.text.startsWith(word, cursor.at)) {
      cursor.at += word.length;
      return value;
    }
  }
  return readNumber(cursor);
}

function readObject(cursor: Cursor, depth: number): Json {
  const object: Record<string, Json> = {};
  cursor.at++;
  if (takes(cursor, "}")) return object;
  do {
    skipSpace(cursor);
    const at = cursor.at;
    const name = readString(cursor);
    if (Object.hasOwn(object, name)) throw new DuplicateMember("a member stands twice", name, at);
    if (!takes(cursor, ":")) throw notJson(cursor);
    setMember(object, name, readValue(cursor, depth));
  } while (takes(cursor, ","));
  if (!takes(cursor, "}")) throw notJson(cursor);
  return object;
}

function readArray(cursor: Cursor, depth: number): Json {
  const items: Json[] = [];
  cursor.at++;
  if (takes(cursor, "]")) return items;
  do items.push(readValue(cursor, depth));
  while (takes(cursor, ","));
  if (!takes(cursor, "]")) throw notJson(cursor);
  return items;
}

function readString(cursor: Cursor): string {
  const from = cursor.at;
  if (cursor.text[from] !== '"') throw notJson(cursor);
  cursor.at++;
  let text = take(PLAIN_RUN, cursor);
  while (cursor.text[cursor.at] !== '"') {
    const escape = take(ESCAPE, cursor);
    if (escape === "") throw notJson(cursor, from);
    text += ESCAPED[escape.slice(1)] ?? String.fromCharCode(Number.parseInt(escape.slice(2), 16));
    text += take(PLAIN_RUN, cursor);
  }
  cursor.at++;
  if (!text.isWellFormed()) throw new JsonError("a lone surrogate is not text", "", from);
  return text;
}

function readNumber(cursor: Cursor): number {
  const from = cursor.at;
  const token = take(NUMBER, cursor);
  if (token === "") throw notJson(cursor);
  const value = Number(token);
  if (!Number.isFinite(value)) throw new JsonError(`${value} is not JSON`, "", from);
  // Written without an exponent, by the sender or canonically, an integer must be exact.
  const integer = /^-?\d+$/.test(token) || (Number.isInteger(value) && !`${value}`.includes("e"));
  if (integer && !cursor.anyInteger && !Number.isSafeInteger(value))
    throw new JsonError(
      "an integer beyond ±(2^53 − 1) loses digits; send it as a string",
      "",
      from,
    );
  return value === 0 ? 0 : value;
}

function takes(cursor: Cursor, character: string): boolean {
  skipSpace(cursor);
  const here = cursor.text[cursor.at] === character;
  if (here) cursor.at++;
  return here;
}

function skipSpace(cursor: Cursor): void {
  // Mostly there is none, and looking at one character is quicker than asking a pattern.
  if (cursor.text.charCodeAt(cursor.at) <= 0x20) take(SPACE, cursor);
}

/** The text that the pattern finds here, `""` for none; the cursor goes on behind it. */
function take(pattern: RegExp, cursor: Cursor): string {
  const from = cursor.at;
  pattern.lastIndex = from;
  if (pattern.test(cursor.text)) cursor.at = pattern.lastIndex;
  return cursor.text.slice(from, cursor.at);
}

function notJson(cursor: Cursor, at: number = cursor.at): JsonError {
  return new JsonError("not JSON", "", at);
}
