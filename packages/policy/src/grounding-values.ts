/** The five kinds of value that can be grounded, and the one spelling under which equal values of a kind meet (policy.md, grounded). */
import { readText, type Text } from "./grounding-text.ts";

/** A value, read as the first kind that it is. */
export type GroundedValue =
  | { readonly kind: "number"; readonly decimal: string }
  | { readonly kind: "url"; readonly url: Url }
  | { readonly kind: "date"; readonly day: string }
  | { readonly kind: "path"; readonly path: FilePath }
  | { readonly kind: "text"; readonly text: Text };

/** An address without what does not count. */
export interface Url {
  /** The whole, `http` for https too. */
  readonly address: string;
  /** Scheme and host only; absent where there is no host. */
  readonly host?: string;
}

/** A path whose `//`, `.` and `..` are resolved. No segments: the root, or where a relative path starts. */
export interface FilePath {
  readonly absolute: boolean;
  readonly segments: readonly string[];
}

/** Reads a leaf or an object key; nothing where it is of a kind that refuses it, or can never be grounded. */
export function readValue(value: string | number): GroundedValue | undefined {
  if (typeof value === "number") {
    const decimal = numberDecimal(value);
    return decimal === undefined ? undefined : { kind: "number", decimal };
  }
  if (isUrl(value)) {
    const url = readUrl(value);
    return url === undefined ? undefined : { kind: "url", url };
  }
  const day = readDay(value);
  if (day !== undefined) return { kind: "date", day };
  if (isPath(value)) {
    const path = readPath(value);
    return path === undefined ? undefined : { kind: "path", path };
  }
  const text = readText(value);
  return text === undefined ? undefined : { kind: "text", text };
}

/** The exact decimal that a JSON number's canonical text means: `1e21` with all its zeros, `-0` as `0`. */
export function numberDecimal(value: number): string | undefined {
  if (Number.isSafeInteger(value)) return `${value}`;
  const parts = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:e([+-][0-9]+))?$/.exec(`${value}`);
  if (parts === null) return undefined;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = parts;
  const point = whole.length + Number(exponent);
  const digits = (whole + fraction).padEnd(point, "0");
  return point > 0
    ? decimal(sign, digits.slice(0, point), digits.slice(point))
    : decimal(sign, "0", "0".repeat(-point) + digits);
}

/**
 * Digits, with commas in groups of three or without any, a fraction or none, one currency or per-cent sign or none. The
 * first group begins with 1 to 9: `0,500` is half of something wherever it is written. A fraction needs a digit before
 * its point: of `.5` it is not certain that its point is one. Other digits than 0-9, and other signs than + and -, never count.
 */
const NUMBER =
  /^([+-]?)([\p{Sc}%]?)([0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.([0-9]+))?([\p{Sc}%]?)$/u;

/** The exact decimal that a token of a text spells, if it spells one. */
export function tokenDecimal(token: string): string | undefined {
  const parts = NUMBER.exec(token);
  if (parts === null) return undefined;
  const [, sign = "", before = "", whole = "", fraction = "", after = ""] = parts;
  if (before !== "" && after !== "") return undefined;
  return decimal(sign, whole.replaceAll(",", ""), fraction);
}

/** No regular expression: to look for trailing zeros it would try each run of zeros from each of its characters. */
function decimal(sign: string, whole: string, fraction: string): string {
  let start = 0;
  while (start < whole.length - 1 && whole.charAt(start) === "0") start += 1;
  let end = fraction.length;
  while (end > 0 && fraction.charAt(end - 1) === "0") end -= 1;
  const plain = whole.slice(start) + (end === 0 ? "" : `.${fraction.slice(0, end)}`);
  return sign === "-" && plain !== "0" ? `-${plain}` : plain;
}

/**
 * White space before it does not make it a text, which would be compared without regard to case. What follows the
 * beginning does not matter: `www.a.example is down` is a URL, and one that is refused.
 */
export function isUrl(text: string): boolean {
  return /^\s*(?:[a-z][a-z0-9+.-]*:\/\/|www\.)/i.test(text);
}

/** Nothing for user-info, backslashes, control characters and white space, and for http without a host. */
export function readUrl(text: string): Url | undefined {
  // White space: a browser drops some of it, so what it would open is not what was compared.
  if (!isUrl(text) || /[\s\\\p{Cc}]/u.test(text)) return undefined;
  const parts = /^(?:([^:/?#]*):\/\/)?([^/?#]*)([^#]*)/.exec(text);
  const [, scheme = "http", authority = "", rest = ""] = parts ?? [];
  if (authority.includes("@")) return undefined;
  const protocol = scheme.toLowerCase().replace(/^https$/, "http");
  const server = foldHost(authority);
  if (protocol === "http" && server === "") return undefined;
  const path = !rest.includes("?") && rest.endsWith("/") ? rest.slice(0, -1) : rest;
  const host = /^(.+?)(?::[0-9]*)?$/.exec(server)?.[1];
  return {
    address: `${protocol}://${server}${path}`,
    ...(host !== undefined && { host: `${protocol}://${host}` }),
  };
}

/**
 * A host without scheme, as `match: host` takes from sources: `http://` and the host. In a list it stands there on
 * purpose; a word of a `text` is one only if it has a dot, and its last label is no number or it is an IPv4 address:
 * else `bob` and `100.50` would be hosts.
 */
export function readHost(token: string, within: "list" | "text"): string | undefined {
  const parts = /^([\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*)(?::[0-9]{1,5})?$/u.exec(token);
  const host = parts?.[1];
  if (host === undefined) return undefined;
  const plain = host.includes(".") && !/\.[0-9][^.]*$/.test(host);
  const address = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/.test(host);
  return within === "list" || plain || address ? `http://${foldHost(host)}` : undefined;
}

/** ASCII only: `toLowerCase` would turn the Kelvin sign into a k, and no other folding is asked for. */
function foldHost(host: string): string {
  return host.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()).replace(/^www\./, "");
}

/** `YYYY-MM-DD` of that or of `YYYY/MM/DD`. What is no day of the calendar is no date, but a text or a path. */
export function readDay(text: string): string | undefined {
  const parts = /^([0-9]{4})([-/])([0-9]{2})\2([0-9]{2})$/.exec(text);
  if (parts === null) return undefined;
  const [, year = "", , month = "", day = ""] = parts;
  return isDay(Number(year), Number(month), Number(day)) ? `${year}-${month}-${day}` : undefined;
}

function isDay(year: number, month: number, day: number): boolean {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day >= 1 && day <= (days[month - 1] ?? 0);
}

/** Whether a value that is neither URL nor date is a path. */
export function isPath(text: string): boolean {
  return text.includes("/") && !/\s/.test(text);
}

/** Nothing where `..` climbs above the start, be that the root or the beginning of a relative path. */
export function readPath(text: string): FilePath | undefined {
  const segments: string[] = [];
  for (const segment of text.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") segments.push(segment);
    else if (segments.pop() === undefined) return undefined;
  }
  return { absolute: text.startsWith("/"), segments };
}
