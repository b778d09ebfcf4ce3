/**
 * The form of one member of a record, in two ways: of a value that was parsed, and of the bytes of a line. What `scan` takes
 * `check` takes too, and it is the canonical text of that value.
 */

/** See the top of this file. */
export interface MemberForm {
  readonly check: (value: unknown) => boolean;
  readonly scan: Scan;
}

/** Where the text of a value that begins at `at` ends; -1 where it is not written plainly, whatever `check` says of it. */
export type Scan = (bytes: Uint8Array, at: number) => number;

/** Text of `min` to `max` characters of a class, behind a prefix; its first one may have a narrower class. */
export function run(
  of: RegExp,
  min: number,
  max: number,
  { prefix = "", first = of }: { readonly prefix?: string; readonly first?: RegExp } = {},
): MemberForm {
  const form = new RegExp(`^${prefix}(?=${first.source})${of.source}{${min},${max}}$`);
  return {
    check: (value) => typeof value === "string" && form.test(value),
    scan: scanRun(of, min, max, { prefix, first }),
  };
}

/** Text of 1 to `max` characters that are no control characters. Other than ASCII is not plain. */
export function words(max: number): MemberForm {
  const form = new RegExp(`^[^\\p{Cc}]{1,${max}}$`, "u");
  return {
    check: (value) => typeof value === "string" && form.test(value),
    scan: scanRun(/[ -~]/, 1, max),
  };
}

/** One of these words. */
export function oneOf(...choices: readonly string[]): MemberForm {
  const set: ReadonlySet<unknown> = new Set(choices);
  return { check: (value) => set.has(value), scan: scanOneOf(choices.map((word) => `"${word}"`)) };
}

/** A whole number from 0 on that a double holds exactly. Beyond fifteen digits none is plain. */
export const whole: MemberForm = {
  check: (value) => typeof value === "number" && Number.isSafeInteger(value) && value >= 0,
  scan: scanWhole,
};

/** A form that is either of two. */
export function either(one: MemberForm, other: MemberForm): MemberForm {
  return {
    check: (value) => one.check(value) || other.check(value),
    scan(bytes, at) {
      const end = one.scan(bytes, at);
      return end < 0 ? other.scan(bytes, at) : end;
    },
  };
}

/** One of these texts, as they stand in a line. */
export function scanOneOf(texts: readonly string[]): Scan {
  const choices = texts.map(ascii);
  return (bytes, at) => {
    for (const choice of choices) if (beginsWith(bytes, at, choice)) return at + choice.length;
    return -1;
  };
}

/** An object of at least one member with such values, its names plain and in canonical order. */
export function scanMembers(value: Scan): Scan {
  return (bytes, at) => {
    if (bytes[at] !== OPENING) return -1;
    let before = -1;
    for (let name = at + 1; ;) {
      const colon = scanName(bytes, name);
      if (colon < 0 || bytes[colon] !== COLON) return -1;
      if (before >= 0 && !isBelow(bytes, before, name)) return -1;
      const end = value(bytes, colon + 1);
      if (end < 0) return -1;
      if (bytes[end] !== COMMA) return bytes[end] === CLOSING ? end + 1 : -1;
      before = name;
      name = end + 1;
    }
  };
}

/** These parts one after another: texts, and what is scanned. */
export function scanParts(...parts: readonly (string | Scan)[]): Scan {
  const scans = parts.map((part) => (typeof part === "string" ? scanOneOf([part]) : part));
  return (bytes, at) => {
    let end = at;
    for (const scan of scans) {
      end = scan(bytes, end);
      if (end < 0) return -1;
    }
    return end;
  };
}

/** A list of at least one such value. */
export function scanList(value: Scan): Scan {
  return (bytes, at) => {
    if (bytes[at] !== OPENING_LIST) return -1;
    for (let from = at + 1; ;) {
      const end = value(bytes, from);
      if (end < 0) return -1;
      if (bytes[end] !== COMMA) return bytes[end] === CLOSING_LIST ? end + 1 : -1;
      from = end + 1;
    }
  };
}

/** A run between quotation marks. */
function scanRun(
  of: RegExp,
  min: number,
  max: number,
  { prefix = "", first = of }: { readonly prefix?: string; readonly first?: RegExp } = {},
): Scan {
  const head = ascii(`"${prefix}`);
  const [begins, goesOn] = [classOf(first), classOf(of)];
  return (bytes, at) => {
    if (!beginsWith(bytes, at, head)) return -1;
    const from = at + head.length;
    if (begins[bytes[from] ?? 0] !== 1) return -1;
    let end = from + 1;
    while (goesOn[bytes[end] ?? 0] === 1) end++;
    const length = end - from;
    return length >= min && length <= max && bytes[end] === QUOTE ? end + 1 : -1;
  };
}

/** Whether these bytes stand there. */
export function beginsWith(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** The bytes of ASCII text. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The digits of an amount: no leading and no trailing zero. */
export function scanDecimal(bytes: Uint8Array, at: number): number {
  const end = scanWhole(bytes, at);
  if (end < 0 || bytes[end] !== POINT) return end;
  let last = end;
  while (DIGIT[bytes[last + 1] ?? 0] === 1) last++;
  return last > end && bytes[last] !== ZERO ? last + 1 : -1;
}

function scanWhole(bytes: Uint8Array, at: number): number {
  let end = at;
  while (DIGIT[bytes[end] ?? 0] === 1) end++;
  const length = end - at;
  // Of sixteen digits some are beyond 2^53 - 1.
  if (length === 0 || length > 15) return -1;
  return length > 1 && bytes[at] === ZERO ? -1 : end;
}

/** Which bytes are printable ASCII of this class that JSON writes as it is. */
function classOf(of: RegExp): Uint8Array {
  const members = new Uint8Array(256);
  for (let code = 0x20; code < 0x7f; code++) {
    const character = String.fromCharCode(code);
    if (character !== '"' && character !== "\\" && of.test(character)) members[code] = 1;
  }
  return members;
}

/** Canonical order, which for ASCII is that of bytes; a quotation mark ends a name and is below all that names have but `!` and the space. */
function isBelow(bytes: Uint8Array, one: number, other: number): boolean {
  for (let i = 1; ; i++) {
    const [a = QUOTE, b = QUOTE] = [bytes[one + i], bytes[other + i]];
    if (a !== b) return a === QUOTE || (b !== QUOTE && a < b);
    if (a === QUOTE) return false;
  }
}

const DIGIT = classOf(/[0-9]/);
const [QUOTE, COMMA, COLON, ZERO, POINT] = [0x22, 0x2c, 0x3a, 0x30, 0x2e] as const;
const [OPENING, CLOSING, OPENING_LIST, CLOSING_LIST] = [0x7b, 0x7d, 0x5b, 0x5d] as const;
const scanName = scanRun(/[ -~]/, 1, Number.POSITIVE_INFINITY);
