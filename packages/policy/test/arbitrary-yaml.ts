/** Values written as YAML in every way that the language has, with comments wherever they may stand. */
import fc from "fast-check";

/** A text, and where its comments stand: `#1 before k3`, `#2 beside k3`, or at no entry in particular. */
export interface WrittenYaml {
  readonly text: string;
  readonly comments: readonly string[];
}

/** The same choices give the same text. */
export function writeYaml(value: object, choices: readonly number[]): WrittenYaml {
  let at = 0;
  const choose = (count: number): number => (choices[at++ % choices.length] ?? 0) % count;
  const writer: Writer = { choose, comments: [] };
  const body = blockMap(Object.entries(value), 0, writer);
  const head = choose(3) === 0 ? [`${remark(writer, "")}`, ""] : [];
  const foot = choose(3) === 0 ? [remark(writer, "")] : [];
  const end = choose(4) === 0 ? "\r\n" : "\n";
  return { text: [...head, ...body, ...foot, ""].join(end), comments: writer.comments };
}

/** One place in so many has a comment. */
const COMMENT_ODDS = 4;

interface Writer {
  readonly choose: (count: number) => number;
  readonly comments: string[];
}

function remark(writer: Writer, place: string): string {
  const text = `#${writer.comments.length} ${place}`.trimEnd();
  writer.comments.push(text);
  return text;
}

function blockMap(
  entries: readonly (readonly [string, unknown])[],
  indent: number,
  writer: Writer,
): string[] {
  return entries.flatMap(([key, value]) =>
    entry(`${scalar(key, writer, true)}:`, key, value, indent, writer),
  );
}

function entry(
  head: string,
  key: string,
  value: unknown,
  indent: number,
  writer: Writer,
): string[] {
  const { choose } = writer;
  const margin = " ".repeat(indent);
  const lead = [
    ...(choose(6) === 0 ? [""] : []),
    ...(choose(COMMENT_ODDS) === 0 ? [margin + remark(writer, `before ${key}`)] : []),
  ];
  const beside = (): string =>
    choose(COMMENT_ODDS) === 0 ? ` ${remark(writer, `beside ${key}`)}` : "";
  const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  if (typeof value !== "object" || value === null || isEmpty || choose(3) === 0) {
    const written = inline(value, writer, indent);
    return [...lead, `${margin}${head} ${written}${beside()}`];
  }
  const deeper = indent + 1 + choose(4);
  if (Array.isArray(value))
    return [
      ...lead,
      `${margin}${head}${beside()}`,
      ...value.flatMap((item, index) => listItem(item, `${key}.${index}`, deeper, writer)),
    ];
  return [
    ...lead,
    `${margin}${head}${beside()}`,
    ...blockMap(Object.entries(value), deeper, writer),
  ];
}

function listItem(value: unknown, key: string, indent: number, writer: Writer): string[] {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).length > 0;
  if (!isMap || writer.choose(2) === 0) return entry("-", key, value, indent, writer);
  const lines = blockMap(Object.entries(value), indent + 2, writer);
  const [lead, rest] = split(lines);
  const [first = "", ...others] = rest;
  return [
    ...lead.map((line) => line.slice(2)),
    `${" ".repeat(indent)}- ${first.trimStart()}`,
    ...others,
  ];
}

/** Blank lines and comments before the first line of an item go before its dash. */
function split(lines: readonly string[]): readonly [readonly string[], readonly string[]] {
  const at = lines.findIndex((line) => !/^\s*(?:#.*)?$/.test(line));
  return [lines.slice(0, at), lines.slice(at)];
}

/** Brackets over one line or several, with comments in them. */
function inline(value: unknown, writer: Writer, indent: number): string {
  const { choose } = writer;
  if (typeof value !== "object" || value === null) return scalar(value, writer, true);
  const parts = Array.isArray(value)
    ? value.map((item) => inline(item, writer, indent + 1))
    : Object.entries(value).map(
        ([key, member]) => `${scalar(key, writer, true)}: ${inline(member, writer, indent + 1)}`,
      );
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0 || choose(2) === 0) return `${open}${parts.join(", ")}${close}`;
  const margin = " ".repeat(indent + 2);
  const lines = parts.flatMap((part) => [
    ...(choose(COMMENT_ODDS) === 0 ? [margin + remark(writer, "")] : []),
    `${margin}${part},${choose(COMMENT_ODDS) === 0 ? ` ${remark(writer, "")}` : ""}`,
  ]);
  const last = choose(COMMENT_ODDS) === 0 ? [margin + remark(writer, "")] : [];
  return [open, ...lines, ...last, `${margin}${close}`].join("\n");
}

const SIMPLE = /^[A-Za-z][A-Za-z0-9]*$/;

function scalar(value: unknown, { choose }: Writer, isInline: boolean): string {
  if (typeof value !== "string") return JSON.stringify(value);
  if (choose(2) === 0 && SIMPLE.test(value) && !/^(true|false|null)$/i.test(value) && isInline)
    return value;
  if (choose(2) === 0 && !/[^\u0020-\u007e]/.test(value)) return `'${value.replaceAll("'", "''")}'`;
  return JSON.stringify(value);
}

/** For `writeYaml`. */
export const choices: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(1000), {
  minLength: 40,
  maxLength: 40,
});

const TRICKY: readonly string[] = [
  "true null ~ no 1 1.0 -1 .5 0x1f 1e3 2026-02-22 12:30 = << - -a ? a: * &a !a %a @a `a | > 'a' it's".split(
    " ",
  ),
  "--- ... # #a a#b a:b a,b [a] {a} \\d+ ^[a-z]\\d$ é 🦊".split(" "),
  ["a: b", "a #b", "- a", ": x", "", " a", "a ", "a, b", 'say "hi"', '"a"', "# a"],
  ["a\nb", "a\nb\n", "\na", " a\nb", "a \nb", "a\n\n", "a\n\nb", "a\n b", "\t", "a\tb", "a\rb"],
  ["\u0085", "\u2028", "\ufeffa", "\u202e", "\u{e0001}", "a".repeat(120)],
  ["", "#", "x "].map((start) => `${start} ${"word ".repeat(40)}end`),
  ['args.amount <= 10000.0 || agent_id == "treasury"', `${"word ".repeat(40)}`],
].flat();

/** Any text that a policy may hold, the awkward ones first. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...TRICKY),
  fc.string({ unit: "grapheme" }),
);

const leaf = fc.oneof(
  text,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(0.5, 2.5e-7),
);

/** Maps in maps and lists, no key twice anywhere. */
export const nested: fc.Arbitrary<object> = fc
  .letrec<{ value: unknown; map: object }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", maxDepth: 4 },
      leaf,
      fc.array(tie("value"), { maxLength: 4 }),
      tie("map"),
    ),
    map: fc.array(tie("value"), { minLength: 1, maxLength: 4 }),
  }))
  .map.map((values) => keyed({ n: 0 }, Object.entries({ ...values }), true) as object);

function keyed(
  count: { n: number },
  entries: readonly [string, unknown][],
  isMap: boolean,
): unknown {
  const renamed = entries.map(([, value]): [string, unknown] => {
    const key = `k${count.n++}`;
    if (typeof value !== "object" || value === null) return [key, value];
    // Lists made by `map` and lists alike arrive as arrays: every other one becomes a map.
    return [key, keyed(count, Object.entries(value), count.n % 2 === 0)];
  });
  return isMap ? Object.fromEntries(renamed) : renamed.map(([, value]) => value);
}
