/** Regular expressions that cannot be hung: RE2JS, with the size of the program bounded and the work of each test counted. */
import { RE2JS } from "re2js";
import { spend, type WorkMeter } from "./work-meter.ts";

/** A compiled expression; looks for a match anywhere in the text. */
export interface LinearPattern {
  /** Instructions of its program. */
  readonly size: number;
  /** @throws WorkExceeded where text and expression together are too large. */
  test(text: string, meter: WorkMeter): boolean;
}

/** Why an expression is refused. */
export interface PatternFault {
  readonly message: string;
  readonly hint?: string;
}

/** Instructions of a program, and so what each character of a text can cost. */
const MAX_PROGRAM = 10_000;
const MAX_LENGTH = 4096;
/** Tables of Unicode are large: each that is named counts like so many instructions while it is compiled. */
const CLASS_WEIGHT = 16;

/** Instructions of all patterns of one expression or schema together: some 50 ms to compile. */
const MAX_TOGETHER = 20_000;

/** The patterns of one expression or schema, each compiled once. */
export interface PatternSet {
  compile(source: string): LinearPattern | { readonly fault: PatternFault };
}

/** A set that refuses what would be too much together. `syntax`: what JSON Schema writes, or what RE2 reads. */
export function createPatternSet(syntax: "ecmascript" | "re2"): PatternSet {
  const compiled = new Map<string, ReturnType<typeof compilePattern>>();
  let together = 0;
  return {
    compile(source) {
      const known = compiled.get(source);
      if (known !== undefined) return known;
      if (together > MAX_TOGETHER)
        return { fault: { message: "the patterns are too large together" } };
      const pattern = syntax === "re2" ? compilePattern(source) : compileJsonPattern(source);
      together += "size" in pattern ? pattern.size : 0;
      compiled.set(source, pattern);
      return pattern;
    },
  };
}

/** Compiles RE2 syntax, or says why not. What would take long to compile is refused before. */
export function compilePattern(source: string): LinearPattern | { readonly fault: PatternFault } {
  if (source.length > MAX_LENGTH)
    return { fault: { message: `the pattern is longer than ${MAX_LENGTH} characters` } };
  if (estimate(source) > MAX_PROGRAM) {
    const message = "the pattern is too large once its repetitions are written out";
    return {
      fault: { message, hint: "use smaller counts, or limit the length beside the pattern" },
    };
  }
  try {
    const pattern = RE2JS.compile(source);
    const size = pattern.programSize();
    return {
      size,
      test(text, meter) {
        spend(meter, size * (text.length + 1));
        // Not `test`, which builds a DFA: on a hostile text that costs ten times the simulation, and depends on earlier texts.
        return pattern.matcher(text).find();
      },
    };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

/** Compiles the ECMAScript spelling that JSON Schema uses, as far as RE2 has the same. */
function compileJsonPattern(source: string): LinearPattern | { readonly fault: PatternFault } {
  if (source.length > MAX_LENGTH) return compilePattern(source);
  if (/\\u[dD][89a-fA-F]/.test(source)) {
    const message = "half of a surrogate pair stands for no character";
    return { fault: { message, hint: "write \\u{1F600} for a character beyond U+FFFF" } };
  }
  try {
    return compilePattern(RE2JS.translateRegExp(source));
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

function faultOf(error: unknown): PatternFault {
  const text = error instanceof Error ? error.message : "not a pattern";
  const reason = text.replace(/^error parsing regexp: /, "").slice(0, 200);
  const message = `not a regular expression of RE2: ${reason}`;
  if (!/Perl syntax|invalid escape sequence: `\\[0-9k]|named capture/.test(text))
    return { message };
  return { message, hint: "look-around and back-references do not run in linear time" };
}

/** An upper bound for the size of the program, near enough to tell a large one from a small one without compiling it. */
function estimate(source: string): number {
  const open: number[] = [];
  let sum = 0;
  let last = 0;
  let classes = 0;
  const tokens =
    /\\[pP](?:\{[^}]*\}|.)|\\x\{[^}]*\}|\\[^]|\[\^?\]?(?:\\[^]|\[:\w+:\]|[^\]\\])*\]|\{(\d+)(?:(,)(\d*))?\}|[^]/g;
  for (const [token, least, comma, most] of source.matchAll(tokens)) {
    classes += token.length > 1 ? (token.match(/\\[pP]/g)?.length ?? 0) : 0;
    if (least !== undefined) last = Math.max(1, last) * copies(least, comma, most);
    else if (token === "*" || token === "+" || token === "?") last += 1;
    else if (token === "(") {
      open.push(sum + last);
      [sum, last] = [0, 0];
    } else if (token === ")") [sum, last] = [open.pop() ?? 0, sum + last + 2];
    else [sum, last] = [sum + last, 1];
    if (sum + last > MAX_PROGRAM) return sum + last;
  }
  return sum + last + open.reduce((total, size) => total + size, 0) + classes * CLASS_WEIGHT;
}

/** `{2,5}` is five copies, three of them with a branch of their own. */
function copies(least: string, comma: string | undefined, most: string | undefined): number {
  const low = Number(least);
  if (comma === undefined || most === undefined || most === "") return low + 1;
  return Math.max(low, 2 * Number(most) - low);
}
