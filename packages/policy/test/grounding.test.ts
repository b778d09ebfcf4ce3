/** Grounding: what occurs in a trusted source, what does not, what an entry may say, and how long the answer may take. */
import type { Condition, Json, JsonObject, Scope } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileGrounding,
  type GroundingEntry,
  groundingFindings,
  type GroundingMatch,
  literalSpellingFault,
  normalGrounding,
} from "../src/grounding.ts";
import { PolicyError } from "../src/policy-error.ts";
import { type GroundingCase, GROUNDING_TABLE } from "./grounding-table.ts";

const CASES = Number(process.env["STEPGATE_CASES"] ?? 1000);

function scope(args: JsonObject, context: JsonObject): Scope {
  return { args, context, agent_id: "", tenant: "" };
}

function entryOf(from: string | readonly (string | number)[], match?: GroundingMatch) {
  return match === undefined ? [from] : { from: [from], match };
}

/** Whether `value` is grounded by `source`, which stands in the context. */
function grounds(source: Json | undefined, value: Json, match?: GroundingMatch): boolean | "error" {
  const condition = compileGrounding("value", entryOf("context.trusted.source", match));
  const trusted = source === undefined ? {} : { source };
  return condition(scope({ value }, { trusted }));
}

describe.each(Object.entries(GROUNDING_TABLE))("%s", (_, cases) => {
  test.each(cases)("$name: $grounded", ({ value, source, match, grounded }) => {
    expect(grounds(source, value, match)).toBe(grounded);
  });
});

test("the table has no two cases that ask the same", () => {
  const questions = Object.values(GROUNDING_TABLE)
    .flat()
    .map(({ value, source, match }) => JSON.stringify([value, source ?? "(none)", match]));
  expect(questions.length).toBeGreaterThan(400);
  expect(new Set(questions).size).toBe(questions.length);
});

test("a literal list decides as the same list in the context does", () => {
  const cases = Object.values(GROUNDING_TABLE).flat().filter(isLiteral);
  expect(cases.length).toBeGreaterThan(50);
  for (const { value, source, match, grounded, name } of cases) {
    const condition = compileGrounding("value", entryOf(source, match));
    expect(condition(scope({ value }, {})), name).toBe(grounded);
  }
});

function isLiteral(
  row: GroundingCase,
): row is GroundingCase & { readonly source: readonly (string | number)[] } {
  const { source } = row;
  return (
    Array.isArray(source) &&
    source.length > 0 &&
    source.every((item) => typeof item === "string" || Number.isSafeInteger(item))
  );
}

describe("an argument", () => {
  const pay = compileGrounding("payment.to", ["context.request"]);
  const request = { request: "pay bob" };

  test("is found by its dotted path", () => {
    expect(pay(scope({ payment: { to: "bob" } }, request))).toBe(true);
    expect(pay(scope({ payment: { to: "eve" } }, request))).toBe(false);
  });

  test("that is absent is not checked, nor is one whose parent is absent", () => {
    expect(pay(scope({ payment: { amount: 5 } }, request))).toBe(true);
    expect(pay(scope({}, request))).toBe(true);
    expect(pay(scope({}, {}))).toBe(true);
  });

  test("that lies in a list or a scalar is not taken for absent", () => {
    expect(pay(scope({ payment: [{ to: "eve" }] }, request))).toBe(false);
    expect(pay(scope({ payment: "eve" }, request))).toBe(false);
    expect(pay(scope({ payment: null }, request))).toBe(false);
  });

  test("is an own member: what every object has is absent", () => {
    const condition = compileGrounding("constructor", ["context.request"]);
    expect(condition(scope({}, request))).toBe(true);
    expect(condition(scope(parse('{"constructor":"eve"}'), request))).toBe(false);
    const proto = compileGrounding("__proto__", ["context.request"]);
    expect(proto(scope(parse('{"__proto__":"eve"}'), request))).toBe(false);
    expect(proto(scope(parse('{"__proto__":"bob"}'), request))).toBe(true);
  });

  test("that equals its schema's default is not checked, and any other value is", () => {
    const currency = compileGrounding("currency", ["context.request"], { default: "EUR" });
    expect(currency(scope({ currency: "EUR" }, request))).toBe(true);
    expect(currency(scope({ currency: "eur" }, request))).toBe(false);
    expect(currency(scope({ currency: "USD" }, request))).toBe(false);
    expect(currency(scope({ currency: "pay" }, request))).toBe(true);
  });

  test("may have a default of any type, which is compared as JSON", () => {
    const byDefault = (standard: Json, value: Json) =>
      compileGrounding("v", ["context.request"], { default: standard })(
        scope({ v: value }, request),
      );
    expect(byDefault({ a: [1, null], b: false }, { b: false, a: [1, null] })).toBe(true);
    expect(byDefault({ a: [1, null] }, { a: [null, 1] })).toBe(false);
    expect(byDefault(null, null)).toBe(true);
    expect(byDefault(false, 0)).toBe(false);
    expect(byDefault("1", 1)).toBe(false);
    expect(byDefault([], [])).toBe(true);
  });
});

describe("a source", () => {
  test("is any of those listed, for each leaf another one", () => {
    const condition = compileGrounding("to", ["context.request", "context.payees", ["carol", 7]]);
    const context = { request: "pay bob", payees: ["Alice Jones"] };
    expect(condition(scope({ to: ["bob", "alice jones", "carol", 7] }, context))).toBe(true);
    expect(condition(scope({ to: ["bob", "alice"] }, context))).toBe(false);
    expect(condition(scope({ to: "carol" }, {}))).toBe(true);
  });

  test("is found among own members only, and not inside lists", () => {
    const ask = (path: string, value: Json, context: JsonObject) =>
      compileGrounding("v", [path])(scope({ v: value }, context));
    expect(ask("context.constructor.name", "Object", {})).toBe(false);
    expect(ask("context.__proto__.x", "x", {})).toBe(false);
    expect(ask("context.list.length", 2, { list: ["a", "b"] })).toBe(false);
    expect(ask("context.list.0", "a", { list: ["a", "b"] })).toBe(false);
    expect(ask("context.text.length", 1, { text: "a" })).toBe(false);
    expect(ask("context.a", "x", Object.create({ a: "x" }) as JsonObject)).toBe(false);
    expect(ask("context.a.b", "x", { a: { b: "x" } })).toBe(true);
    expect(ask("context.a.b", "x", { "a.b": "x" })).toBe(false);
  });

  test("may stand alone, in a list, or in from", () => {
    const entries: readonly GroundingEntry[] = [
      "context.request",
      ["context.request"],
      { from: ["context.request"] },
      { from: "context.request" },
      { from: ["context.request"], match: "text" },
    ];
    for (const entry of entries) {
      const condition = compileGrounding("to", entry);
      expect(condition(scope({ to: "bob" }, { request: "pay bob" }))).toBe(true);
      expect(condition(scope({ to: "eve" }, { request: "pay bob" }))).toBe(false);
    }
  });

  test("is another one in another context, and is read the same by entries that match otherwise", () => {
    const whole = compileGrounding("to", ["context.list"]);
    const texts = compileGrounding("to", { from: ["context.list"], match: "text" });
    const context = { list: ["pay bob"] };
    expect(whole(scope({ to: "bob" }, context))).toBe(false);
    expect(texts(scope({ to: "bob" }, context))).toBe(true);
    expect(whole(scope({ to: "bob" }, context))).toBe(false);
    expect(texts(scope({ to: "bob" }, { list: ["pay eve"] }))).toBe(false);
    expect(whole(scope({ to: "bob" }, { list: ["bob"] }))).toBe(true);
  });
});

test("a context is read once, however many calls are decided by it", () => {
  let reads = 0;
  const context: JsonObject = Object.defineProperty({}, "source", {
    get: () => {
      reads += 1;
      return "pay bob";
    },
  });
  const condition = compileGrounding("to", ["context.source"]);
  const other = compileGrounding("name", ["context.source"]);
  expect(condition(scope({ to: "bob" }, context))).toBe(true);
  expect(condition(scope({ to: "eve" }, context))).toBe(false);
  expect(other(scope({ name: "pay bob" }, context))).toBe(true);
  expect(reads).toBe(1);
});

describe("an entry is refused at load", () => {
  const faults = (entry: unknown, path = "to") =>
    [...groundingFindings(path, entry, ["grounded", path])].map(
      ({ path: at, message, hint }) => `${at.join(".")}: ${message}${hint ? `; ${hint}` : ""}`,
    );

  test.each<[string, unknown, readonly string[]]>([
    ["no sources", [], ["grounded.to: an empty list of sources grounds nothing"]],
    [
      "no sources in from",
      { from: [] },
      ["grounded.to.from: an empty list of sources grounds nothing"],
    ],
    [
      "an empty literal list",
      ["context.a", []],
      ["grounded.to.1: an empty list of literals grounds nothing"],
    ],
    [
      "a literal that stands among the sources",
      ["context.a", "GB29"],
      [
        "grounded.to.1: 'GB29' is no source: a source is a path such as context.request; a literal stands in a list of its own: [[…]]",
      ],
    ],
    [
      "a path into the arguments, which are the model's own",
      ["args.to"],
      [
        "grounded.to.0: 'args.to' is no source: a source is a path such as context.request; a literal stands in a list of its own: [[…]]",
      ],
    ],
    [
      "a misspelled context",
      "contxt.request",
      [
        "grounded.to: 'contxt.request' is no source: a source is a path such as context.request; did you mean 'context'?",
      ],
    ],
    ...["context", "context.", "context.a.", "context..a", "context.a..b"].map(
      (origin): [string, unknown, readonly string[]] => [
        `the path '${origin}'`,
        [origin],
        [`grounded.to.0: '${origin}' is no source: a source is a path such as context.request`],
      ],
    ),
    [
      "a source that is no path and no list",
      [42, null, true, { from: [] }],
      [0, 1, 2, 3].map(
        (index) =>
          `grounded.to.${index}: a source is a path such as context.request, or a list of literals`,
      ),
    ],
    [
      "a literal that is neither a string nor a number",
      [["a", null, true, ["b"], {}]],
      [1, 2, 3, 4].map(
        (index) => `grounded.to.0.${index}: a literal is a string or a whole number`,
      ),
    ],
    [
      "a number that is no safe whole number",
      [[1, 1.5, 2 ** 53, -(2 ** 53), Number.NaN, -0]],
      [1, 2, 3, 4, 5].map(
        (index) =>
          `grounded.to.0.${index}: a number must be whole and within ±(2^53 − 1): quote it`,
      ),
    ],
    [
      "an unknown match",
      { from: ["context.a"], match: "hosts" },
      ["grounded.to.match: match: must be host, under or text; did you mean 'host'?"],
    ],
    [
      "a match that is no string",
      { from: ["context.a"], match: null },
      ["grounded.to.match: match: must be host, under or text"],
    ],
    [
      "an unknown key",
      { from: ["context.a"], mach: "host" },
      ["grounded.to.mach: unknown key 'mach'; did you mean 'match'?"],
    ],
    ["an object without from", { match: "host" }, ["grounded.to: 'from' is missing"]],
    ["a null", null, ["grounded.to: must be a source, a list of sources, or { from, match }"]],
    [
      "a from that is an object",
      { from: { from: "context.a" } },
      ["grounded.to.from: must be a source, a list of sources, or { from, match }"],
    ],
    [
      "several faults, each at its place",
      { from: ["context.a", "b", [1.5]], match: "x" },
      [
        "grounded.to.from.1: 'b' is no source: a source is a path such as context.request; a literal stands in a list of its own: [[…]]",
        "grounded.to.from.2.0: a number must be whole and within ±(2^53 − 1): quote it",
        "grounded.to.match: match: must be host, under or text",
      ],
    ],
  ])("%s", (_, entry, expected) => {
    expect(faults(entry)).toEqual(expected);
    // What is not the type must not compile either, whoever calls.
    expect(() => compileGrounding("to", entry as GroundingEntry)).toThrow(PolicyError);
  });

  test.each([
    ["", "grounded.: a key of grounded is a dotted path under args"],
    [
      "a\u0007b",
      "grounded.a\u0007b: a key of grounded has at most 200 characters, none of them a control character",
    ],
    [
      "k".repeat(201),
      `grounded.${"k".repeat(201)}: a key of grounded has at most 200 characters, none of them a control character`,
    ],
    ["to.", "grounded.to.: a key of grounded is a dotted path under args"],
    [".to", "grounded..to: a key of grounded is a dotted path under args"],
    ["args.to", "grounded.args.to: a key of grounded is under args already; write 'to'"],
  ])("the key '%s'", (path, expected) => {
    expect(faults(["context.a"], path)).toEqual([expected]);
  });

  test("and the error has every fault with its path", () => {
    const entry = { from: ["b", []], match: "host" } as const;
    const error = thrownBy(() => compileGrounding("to", entry));
    expect(error).toBeInstanceOf(PolicyError);
    expect((error as PolicyError).issues.map(({ path }) => path)).toEqual([
      "grounded.to.from.0",
      "grounded.to.from.1",
    ]);
  });

  test("but not a key named args, nor names of any letters", () => {
    expect(faults(["context.a-b.c d.é", ["", "x", 0, -5, 2 ** 53 - 1]], "args")).toEqual([]);
  });
});

test.each([
  ["0", undefined],
  ["7", undefined],
  ["-7", undefined],
  ["9007199254740991", undefined],
  ["-9007199254740991", undefined],
  ["9007199254740992", "9007199254740992 is beyond 2^53 − 1 and would lose digits: quote it"],
  ["9007199254740993", "9007199254740993 is beyond 2^53 − 1 and would lose digits: quote it"],
  ["007", "007 is no whole number in its plain spelling: quote it"],
  ["-0", "-0 is no whole number in its plain spelling: quote it"],
  ["+7", "+7 is no whole number in its plain spelling: quote it"],
  ["1e3", "1e3 is no whole number in its plain spelling: quote it"],
  ["7.0", "7.0 is no whole number in its plain spelling: quote it"],
  ["0x10", "0x10 is no whole number in its plain spelling: quote it"],
  ["0o17", "0o17 is no whole number in its plain spelling: quote it"],
])("the literal %s, as the text of a policy spells it", (written, expected) => {
  expect(literalSpellingFault(written)).toBe(expected);
});

test("short forms are written out", () => {
  expect(normalGrounding("context.a")).toEqual(["context.a"]);
  expect(normalGrounding(["context.a", ["b"]])).toEqual(["context.a", ["b"]]);
  expect(normalGrounding({ from: "context.a" })).toEqual(["context.a"]);
  expect(normalGrounding({ from: [["b"]] })).toEqual([["b"]]);
  expect(normalGrounding({ from: "context.a", match: "host" })).toEqual({
    from: ["context.a"],
    match: "host",
  });
});

describe("for any value and source", () => {
  const word = fc.stringMatching(/^[A-Za-z0-9]{1,4}$/);
  const around = fc.constantFrom("", "", '"', "'", "(", ")", ",", ".", "...", "!", "“", "'s", "-");
  const piece = fc.tuple(around, word, around).map((parts) => parts.join(""));
  const space = fc.constantFrom(" ", "  ", "\n", "\u00a0");
  const sentence = fc
    .array(fc.tuple(piece, space), { maxLength: 8 })
    .map((parts) => parts.flat().join(""));
  const leaf: fc.Arbitrary<Json> = fc.oneof(
    sentence,
    word,
    fc.integer({ min: -200, max: 200 }),
    fc.constantFrom(0.5, 1e21, "https://a.example/b", "2026-02-22", "/a/b", true, null, ""),
  );
  const value: fc.Arbitrary<Json> = fc.letrec<{ json: Json }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie("json"), { maxLength: 3 }),
      fc.dictionary(word, tie("json"), { maxKeys: 3 }),
    ),
  })).json;
  const match = fc.constantFrom<(GroundingMatch | undefined)[]>(undefined, "host", "under", "text");
  /** A source that grounds something now and then: made of the value's own leaves. */
  const pair = fc
    .tuple(value, fc.array(leaf, { maxLength: 4 }), fc.boolean())
    .map(([given, others, isText]): readonly [Json, Json] => {
      const parts = [...leavesAndKeys(given), ...others].filter(
        (part) => typeof part === "string" || typeof part === "number",
      );
      return [given, isText ? parts.map(String).join(" ") : parts];
    });

  test("a text is grounded only by a source that has its letters and digits", () => {
    fc.assert(
      fc.property(sentence, fc.oneof(sentence, fc.array(sentence)), match, (text, source, how) => {
        if (grounds(source, text, how) !== true) return;
        const core = alphanumeric(text);
        const texts = [source].flat().map(alphanumeric);
        expect(texts.some((whole) => whole.includes(core))).toBe(true);
        expect(text.trim()).not.toBe("");
      }),
      { numRuns: CASES },
    );
  });

  test("a text is grounded by a text exactly where its words are a run of that text's words", () => {
    fc.assert(
      fc.property(sentence, sentence, fc.nat(8), fc.nat(8), (mine, theirs, from, to) => {
        // Often a part of the source itself, or such a part with one word more.
        const part = theirs.split(/\s+/).slice(from, to).join("  ");
        for (const text of [mine, part, `${part} ${mine}`]) {
          const expected = isRun(plainWords(text), plainWords(theirs));
          expect(grounds(theirs, text)).toBe(expected);
        }
      }),
      { numRuns: CASES },
    );
  });

  test("another source never takes away what is grounded", () => {
    fc.assert(
      fc.property(pair, leaf, match, ([given, source], other, how) => {
        const context = { a: source, b: other };
        const both = ["context.a", "context.b"];
        const alone = compileGrounding(
          "v",
          how ? { from: ["context.a"], match: how } : ["context.a"],
        );
        const more = compileGrounding("v", how ? { from: both, match: how } : both);
        if (alone(scope({ v: given }, context)) === true)
          expect(more(scope({ v: given }, context))).toBe(true);
      }),
      { numRuns: CASES },
    );
  });

  test("a value is grounded exactly where each of its leaves and keys is", () => {
    const seen = new Set<unknown>();
    fc.assert(
      fc.property(pair, match, ([given, source], how) => {
        const parts = leavesAndKeys(given);
        const each = parts.every((part) => grounds(source, part, how) === true);
        const answer = grounds(source, given, how);
        expect(answer).toBe(each);
        seen.add(`${answer} ${typeof given}`);
      }),
      { numRuns: CASES },
    );
    expect(seen).toContain("true object");
    expect(seen).toContain("false object");
  });

  test("the answer does not depend on what was asked before", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 5 }), sentence, match, (values, source, how) => {
        const entry = entryOf("context.source", how);
        const condition = compileGrounding("v", entry);
        const context = { source };
        for (const v of [...values, ...values]) {
          const fresh = compileGrounding("v", entry)(scope({ v }, { source }));
          expect(condition(scope({ v }, context))).toBe(fresh);
        }
      }),
      { numRuns: Math.ceil(CASES / 5) },
    );
  });
});

// What would not be linear takes minutes; a busy machine takes some hundreds of milliseconds.
describe("no arguments and no context take time out of proportion", () => {
  const list = <T>(length: number, item: (index: number) => T): T[] =>
    Array.from({ length }, (_, index) => item(index));
  const text = (length: number, item: (index: number) => string) => list(length, item).join(" ");
  const marks = "\u0301\u0323";
  // Arguments up to 256 KiB, contexts up to 64 KiB.
  test.each<[string, Json, Json, boolean, GroundingMatch?]>([
    ["10,000 words", list(10_000, (i) => `w${i % 9000}`), text(9000, (i) => `w${i}`), true],
    ["40,000 numbers", list(40_000, (i) => (i % 9000) + 0.5), text(9000, (i) => `${i}.5`), true],
    ["words in a list", list(10_000, (i) => `w${i % 6000}`), list(6000, (i) => `w${i}`), true],
    [
      "phrases of one word again and again",
      list(500, (i) => "a ".repeat(i + 1)),
      "a ".repeat(32_000),
      true,
    ],
    [
      "phrases that differ at their end",
      list(500, (i) => `${"a ".repeat(i)}b`),
      `${"a ".repeat(31_999)}b`,
      true,
    ],
    [
      "phrases of two words by turns",
      list(300, (i) => "a b ".repeat(i + 1)),
      "a b ".repeat(16_000),
      true,
    ],
    ["pairs of words", list(9000, (i) => `x${i} x${i + 1}`), text(9002, (i) => `x${i}`), true],
    [
      "addresses",
      list(3000, (i) => `https://a.com/${i}`),
      text(3000, (i) => `https://a.com/${i}`),
      true,
    ],
    ["a path of 100,000 segments", `${"a/".repeat(100_000)}b`, "a/".repeat(30_000), true, "under"],
    ["a path that turns 50,000 times", `${"a/../".repeat(50_000)}b/c`, "b/c", true],
    ["a number of 65,000 digits that is none", 5, `${"1".repeat(65_000)}x`, false],
    ["a number of 16,000 commas that is none", 5, `1${",111".repeat(16_000)}x`, false],
    ["combining marks out of order", `a${marks.repeat(60_000)}`, "a", false],
    ["combining marks out of order in the source", "a", `a${marks.repeat(15_000)}`, false],
    ["as many combining marks as are allowed", `a${marks.repeat(15)}`.repeat(4000), "a", false],
    ["quotes only", "'".repeat(60_000), "'".repeat(60_000), false],
    ["possessives only", `a${"'s".repeat(60_000)}`, `a${"'s".repeat(30_000)}`, true],
    ["dots before a slash", `${".".repeat(100_000)}/x`, `${".".repeat(60_000)}/x`, false],
    [
      "colons in a host",
      `http://${":".repeat(200_000)}`,
      `http://${":1".repeat(30_000)}`,
      false,
      "host",
    ],
    ["white space before www", `${" ".repeat(200_000)}www.a`, "www.a", false],
    ["days", "2026-02-22", "22 Feb, ".repeat(8000), true],
    ["days whose year is far", "2026-02-22", "Feb 22 of the year of ".repeat(2900), true],
    [
      "sigmas, whose case depends on what follows",
      "Σ.".repeat(60_000),
      "Σ.'".repeat(16_000),
      false,
    ],
  ])("%s", (_, value, source, expected, match) => {
    const condition = compileGrounding("v", entryOf("context.source", match));
    // A fresh context each time, so that its reading is measured; the best of three, for the machine may be busy.
    const times = [1, 2, 3].map(() =>
      measure(condition, scope({ v: value }, { source }), expected),
    );
    expect(Math.min(...times)).toBeLessThan(2_000);
  });

  function measure(condition: Condition, given: Scope, expected: boolean): number {
    const start = performance.now();
    const answer = condition(given);
    const time = performance.now() - start;
    expect(answer).toBe(expected);
    return time;
  }

  test("and arguments of any depth do not exhaust the stack", () => {
    let deep: Json = "bob";
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(grounds("bob", deep)).toBe(true);
    expect(grounds(deep, "bob")).toBe(true);
  });
});

function parse(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Scalars, empty lists and objects, and keys. */
function leavesAndKeys(value: Json): readonly Json[] {
  if (typeof value !== "object" || value === null) return [value];
  const members: readonly Json[] = Array.isArray(value)
    ? value
    : Object.entries(value as JsonObject).flatMap(([key, member]) => [key, member]);
  return members.length === 0 ? [value] : members.flatMap(leavesAndKeys);
}

function alphanumeric(text: string): string {
  return plainWords(text)
    .join("")
    .replace(/[^a-z0-9]/g, "");
}

/** The page's rule for ASCII and curly quotes, in the plainest way: one strip after another, until nothing changes. */
function plainWords(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .map((piece) => {
      let before: string;
      let word = piece;
      do {
        before = word;
        word = word.replace(/^['"“(),!]|^\.(?![a-z0-9])/, "").replace(/(?:['"“(),!.]|'s)$/, "");
      } while (word !== before);
      return word;
    })
    .filter((word) => word !== "");
}

function isRun(run: readonly string[], words: readonly string[]): boolean {
  if (run.length === 0) return false;
  return words.some((_, start) => run.every((word, i) => words[start + i] === word));
}
