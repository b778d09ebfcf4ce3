/** JSON text to a value, refusing what two parsers could read differently: duplicate members, lost digits, bombs. */
import { canonicalize, type Json, JsonError, type JsonLimits } from "./canonical-json.ts";

/** Where no limit is given: far beyond any request, well within what one parse may hold. */
const MAX_LENGTH = 64 * 1024 * 1024;
/** Members, numbers, strings and brackets of a text that `JSON.parse` has accepted already. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[{}[\],:]/g;

/**
 * Parses JSON text strictly: `JSON.parse` keeps the last of two members and rounds long integers, this refuses both.
 *
 * @throws JsonError where the text is not JSON, exceeds `limits`, repeats a member, holds an integer beyond ±(2^53 − 1)
 *   or a lone surrogate.
 */
export function parseStrictJson(text: string, limits: JsonLimits = {}): Json {
  // White space may pad the wire's text beyond its canonical size, but not without bound.
  const bytes = limits.bytes ?? MAX_LENGTH / 2;
  if (text.length > bytes * 2) throw new JsonError(`larger than ${bytes} bytes`, "");
  const value = parse(text);
  const fault = scan(text, limits.depth ?? 1000);
  if (fault !== undefined) throw new JsonError(fault.reason, fault.member ?? "");
  canonicalize(value, { ...limits, safeIntegers: true });
  return value;
}

/** The first member that an object of this valid JSON text repeats, or `undefined`. */
export function duplicateMember(text: string): string | undefined {
  const fault = scan(text, Number.POSITIVE_INFINITY);
  return fault?.member;
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new JsonError(cause instanceof SyntaxError ? "not JSON" : "unreadable", "");
  }
}

interface Fault {
  readonly reason: string;
  /** Set exactly where a member is repeated. */
  readonly member?: string;
}

function scan(text: string, depthLimit: number): Fault | undefined {
  const open: (Set<string> | null)[] = [];
  let expectName = false;
  let integer: Fault | undefined;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const token = match[0];
    const first = token.charCodeAt(0);
    if (first === 0x7b || first === 0x5b) {
      open.push(first === 0x7b ? new Set() : null);
      expectName = first === 0x7b;
      if (open.length > depthLimit) return { reason: `nested deeper than ${depthLimit} levels` };
    } else if (first === 0x7d || first === 0x5d) {
      open.pop();
      expectName = false;
    } else if (first === 0x2c) {
      expectName = open.at(-1) !== null;
    } else if (first === 0x22) {
      const names = open.at(-1);
      if (expectName && names) {
        const name = token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
        if (names.has(name)) return { reason: "a member stands twice", member: name };
        names.add(name);
        expectName = false;
      }
    } else if (first !== 0x3a && isUnsafeInteger(token)) {
      integer ??= { reason: "an integer beyond ±(2^53 − 1) loses digits; send it as a string" };
    }
  }
  return integer;
}

function isUnsafeInteger(token: string): boolean {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
}
