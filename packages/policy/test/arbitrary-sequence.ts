/** Random step orders for the property tests, as text with the spelling's freedom, and an independent reading of each. */
import fc from "fast-check";

/** How many random cases each property tries; `STEPGATE_CASES=100000` for a long run. */
export const CASES: number = Number(process.env["STEPGATE_CASES"] ?? 3000);

/** One expression: its text in the grammar, and the same language as a JavaScript regular expression over letters. */
export interface Sample {
  readonly text: string;
  /** Anchored, over the letters a to e; the engine of another author is the oracle. */
  readonly pattern: string;
  /** `|` binds loosest, then `,`, then the suffix: what must stand in parentheses where. */
  readonly kind: "choice" | "list" | "suffixed" | "atom";
  readonly depth: number;
}

const LETTERS = ["a", "b", "c", "d", "e"] as const;

const atom: fc.Arbitrary<Sample> = fc
  .constantFrom(...LETTERS)
  .map((letter) => ({ text: letter, pattern: letter, kind: "atom", depth: 0 }));

const suffix = fc.oneof(
  fc.constantFrom(
    { text: "?", pattern: "?" },
    { text: "*", pattern: "*" },
    { text: "+", pattern: "+" },
  ),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })).map(([a, b]) => {
    const [min, max] = [Math.min(a, b), Math.max(1, a, b)];
    return { text: `{${min},${max}}`, pattern: `{${min},${max}}` };
  }),
  fc.integer({ min: 1, max: 3 }).map((n) => ({ text: `{${n}}`, pattern: `{${n}}` })),
  fc.integer({ min: 0, max: 3 }).map((n) => ({ text: `{${n},}`, pattern: `{${n},}` })),
);

const space = fc.constantFrom("", "", " ", "\n  ");

/** An expression of at most three levels of parentheses. */
export const sample: fc.Arbitrary<Sample> = level(3);

function level(depth: number): fc.Arbitrary<Sample> {
  if (depth === 0) return atom;
  const inner = level(depth - 1);
  return fc.oneof(
    { depthSize: "small" },
    { weight: 2, arbitrary: atom },
    {
      weight: 3,
      arbitrary: fc
        .tuple(inner, suffix, space)
        .map(([item, { text, pattern }, gap]) => suffixed(item, text, pattern, gap)),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.array(inner, { minLength: 2, maxLength: 4 }), space)
        .map(([items, gap]) => joined(items, ",", "", "list", gap)),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.array(inner, { minLength: 2, maxLength: 3 }), space)
        .map(([items, gap]) => joined(items, "|", "|", "choice", gap)),
    },
  );
}

function suffixed(item: Sample, text: string, pattern: string, gap: string): Sample {
  const group = item.kind === "atom" ? item : grouped(item);
  return {
    text: group.text + gap + text,
    pattern: `(?:${item.pattern})${pattern}`,
    kind: "suffixed",
    depth: group.depth,
  };
}

function joined(
  items: readonly Sample[],
  between: string,
  patternBetween: string,
  kind: "list" | "choice",
  gap: string,
): Sample {
  const parts = items.map((item) =>
    kind === "list" && item.kind === "choice" ? grouped(item) : item,
  );
  return {
    text: parts.map((part) => part.text).join(gap + between + gap),
    pattern: items.map((item) => `(?:${item.pattern})`).join(patternBetween),
    kind,
    depth: Math.max(...parts.map((part) => part.depth)),
  };
}

function grouped(item: Sample): Sample {
  return { ...item, text: `( ${item.text})`, kind: "atom", depth: item.depth + 1 };
}

/** Traces that are likely to be near the language: short, over the same letters. */
export const trace: fc.Arbitrary<readonly string[]> = fc.array(fc.constantFrom(...LETTERS), {
  maxLength: 12,
});
