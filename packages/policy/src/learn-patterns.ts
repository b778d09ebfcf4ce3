/** The form that identifiers share: letters that never change, digits, and what stands between them. */

/**
 * An anchored pattern of all texts; nothing where they have no form in common, or none with digits: words have no form.
 * Digits may be any; as many of them as were seen, where that was always the same number.
 */
export function commonPattern(texts: readonly string[]): string | undefined {
  const [first, ...others] = texts.map(partsOf);
  if (first === undefined || others.length === 0 || !first.some(isDigits)) return undefined;
  const parts = first.map((part, index) =>
    commonPart([part, ...others.map((of) => of[index] ?? "")]),
  );
  const alike = others.every(({ length }) => length === first.length);
  return alike && !parts.includes(undefined) ? `^${parts.join("")}$` : undefined;
}

/** Runs of digits, of capitals, of small letters; any other character is a part of its own. */
function partsOf(text: string): readonly string[] {
  return text.match(/[0-9]+|[A-Z]+|[a-z]+|[^]/gu) ?? [];
}

function commonPart(parts: readonly string[]): string | undefined {
  const [first = ""] = parts;
  const same = parts.every((part) => part === first);
  for (const [all, written] of CLASSES)
    if (!same && parts.every((part) => all.test(part))) return `${written}${counter(parts)}`;
  if (isDigits(first) && same) return `[0-9]${counter(parts)}`;
  return same ? first.replace(/[$()*+.?[\\\]^{|}/]/g, String.raw`\$&`) : undefined;
}

const CLASSES: readonly (readonly [RegExp, string])[] = [
  [/^[0-9]+$/, "[0-9]"],
  [/^[A-Z]+$/, "[A-Z]"],
  [/^[a-z]+$/, "[a-z]"],
];

function counter(parts: readonly string[]): string {
  const lengths = new Set(parts.map(({ length }) => length));
  const [only] = lengths;
  return lengths.size === 1 && only !== undefined ? (only === 1 ? "" : `{${only}}`) : "+";
}

function isDigits(part: string): boolean {
  return /^[0-9]+$/.test(part);
}
