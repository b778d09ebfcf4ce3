/** JSON text is parsed strictly: what two parsers could read differently is refused. */
import { inspect, isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalize, type Json, JsonError, parseStrictJson } from "../src/index.ts";
import { anyJson, anyText } from "./json-arbitraries.ts";
import { hasVectors, readVector } from "./public-vectors.ts";

describe("the public vectors of strict parsing", () => {
  const present = hasVectors("jcs-parse/duplicate_members.json");
  const vectors = present
    ? (JSON.parse(readVector("jcs-parse/duplicate_members.json")) as Record<
        "accept" | "reject",
        Record<string, string>
      >)
    : { accept: {}, reject: {} };

  test.skipIf(!present)("hold three texts to accept and five to refuse", () => {
    expect([Object.keys(vectors.accept).length, Object.keys(vectors.reject).length]).toEqual([
      3, 5,
    ]);
  });
  test.skipIf(!present)("sound texts are read", () => {
    for (const [name, base64] of Object.entries(vectors.accept)) {
      const text = Buffer.from(base64, "base64").toString();
      expect(parseStrictJson(text), name).toEqual(JSON.parse(text));
    }
  });
  test.skipIf(!present)("duplicate members are refused", () => {
    for (const [name, base64] of Object.entries(vectors.reject)) {
      expect(refusal(Buffer.from(base64, "base64").toString()), name).toContain("stands twice");
    }
  });
});

/** A JSON text of our own making, what it says, and whether one of its objects repeats a name. */
interface Written {
  readonly text: string;
  readonly value: Json;
  readonly twice: boolean;
}

const space = fc.constantFrom("", "", " ", "\n\t", "\r\n  ");
/** One spelling of a string literal: each unit plain where that is allowed, or escaped. */
const literal = (text: string): fc.Arbitrary<string> =>
  fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }).map((escapes) => {
    const spell = (unit: string, i: number): string => {
      // A surrogate pair is spelt plain: half a pair is no text.
      if (/[\ud800-\udfff]/.test(unit)) return unit;
      return escapes[i] || JSON.stringify(unit).length > 3
        ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
        : unit;
    };
    return `"${text.split("").map(spell).join("")}"`;
  });
// None is a backslash: see `anyName`.
const fewNames = fc.constantFrom(
  "a",
  "b",
  "__proto__",
  "é",
  "\u{1f600}",
  "",
  '"',
  "{",
  "}",
  ":",
  ",",
  "[",
);
const scalar: fc.Arbitrary<Written> = fc.oneof(
  fc
    .oneof(anyText, fewNames)
    .chain((value) => literal(value).map((text) => ({ text, value, twice: false }))),
  fc
    .constantFrom<readonly [string, Json]>(
      ["0", 0],
      ["1.5e3", 1500],
      ["-12", -12],
      ["true", true],
      ["null", null],
    )
    .map(([text, value]) => ({ text, value, twice: false })),
);
const name = fewNames.chain((value) => literal(value).map((text) => ({ text, value })));

const written: fc.Arbitrary<Written> = fc.letrec<{ value: Written }>((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    scalar,
    fc.tuple(fc.array(tie("value"), { maxLength: 3 }), space).map(([items, gap]) => ({
      text: `[${gap}${items.map((item) => item.text).join(`,${gap}`)}${gap}]`,
      value: items.map((item) => item.value),
      twice: items.some((item) => item.twice),
    })),
    fc
      .tuple(fc.array(fc.tuple(name, tie("value")), { maxLength: 4 }), space)
      .map(([members, gap]) => ({
        text: `{${gap}${members.map(([member, value]) => `${member.text}${gap}:${gap}${value.text}`).join(`${gap},${gap}`)}${gap}}`,
        value: Object.fromEntries(members.map(([member, { value }]) => [member.value, value])),
        twice:
          members.some(([, value]) => value.twice) ||
          new Set(members.map(([member]) => member.value)).size < members.length,
      })),
  ),
})).value;

describe("for every JSON text", () => {
  test("a text is refused exactly where one of its objects repeats a name, however it is spelt", () => {
    const seen = { refused: 0, read: 0 };
    fc.assert(
      fc.property(written, ({ text, value, twice }) => {
        seen[twice ? "refused" : "read"]++;
        if (twice) expect(refusal(text)).toContain("stands twice");
        else expectSame(parseStrictJson(text), value);
      }),
      { numRuns: 3_000 },
    );
    // Neither half of the property may be empty.
    expect(Math.min(seen.refused, seen.read)).toBeGreaterThan(100);
  });

  test("what JSON.stringify wrote is read as JSON.parse reads it", () => {
    fc.assert(
      fc.property(anyJson, fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        fc.pre(!/\d{16}/.test(text));
        expectSame(parseStrictJson(text), JSON.parse(text));
      }),
    );
  });

  test("whatever JSON.parse refuses is refused, and always with a JsonError", () => {
    fc.assert(
      fc.property(
        written,
        fc.nat(),
        fc.constantFrom("", '"', "\\", "{", "}", ",", ":", "\u0000", "'", "01", "NaN", "/**/"),
        ({ text }, at, splice) => {
          const cut = at % (text.length + 1);
          const broken = text.slice(0, cut) + splice + text.slice(cut + 1);
          if (parses(broken)) return;
          expect(refusal(broken)).toMatch(
            /not JSON|stands twice|loses digits|lone surrogate|nested deeper/,
          );
        },
      ),
    );
  });
});

describe("duplicate members", () => {
  test("the member is named", () => {
    expect(refusal('{"x":{"amount":1,"to":"a","amount":2}}')).toBe("amount: a member stands twice");
  });
  test("an escaped name is the same name", () => {
    expect(refusal(String.raw`{"a":1,"\u0061":2}`)).toContain("stands twice");
  });
  test("`__proto__` may stand once, as its own member", () => {
    const value = parseStrictJson('{"__proto__":{"admin":true}}') as Record<string, Json>;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(value["admin"]).toBeUndefined();
    expect(refusal('{"__proto__":1,"__proto__":1}')).toContain("stands twice");
  });
  test("equal names of different objects, and equal strings in a list, are fine", () => {
    const text = '{"a":{"id":"a"},"b":[{"id":"a"},{"id":"a"},"id","id"],"id":"id"}';
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
  });
});

describe("names that V8 misreads (nodejs/node#63785)", () => {
  // Having read `x\\`, JSON.parse of Node 24 reads `x\n` and `x"` as `x\\` where they follow the same members.
  const NAMES = ["\n", '"', "\\", "\u0001"];

  test("are read as they are written", () => {
    for (const [i, name] of NAMES.entries()) {
      parseStrictJson(`{"q${i}":0,"to\\\\":1}`);
      const text = JSON.stringify({
        [`q${i}`]: 0,
        [`to${name}`]: [true, null, -1.5e3, { __proto__: null, "": [] }],
      });
      expect(canonicalize(parseStrictJson(text))).toBe(text);
    }
    expect(
      Object.keys(parseStrictJson('{"\\u005f_proto__":{"a":1},"b":"\\\\"}') as object),
    ).toEqual(["__proto__", "b"]);
  });
});

describe("numbers", () => {
  test.each([
    "9007199254740992",
    "-9007199254740992",
    "[1,9007199254740993]",
    '{"a":123456789012345678901234567890}',
    "9007199254740993.0",
    "9007199254740993e0",
  ])("%s loses digits and is refused", (text) => expect(refusal(text)).toContain("loses digits"));
  test.each(["9007199254740991", "-9007199254740991", "1e21", "0.1", "1E5", '"9007199254740993"'])(
    "%s is read",
    (text) => {
      expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    },
  );
  test("negative zero is read as zero", () => {
    expect(parseStrictJson("-0.0")).toBe(0);
  });
  test("-0 is 0", () => {
    expect(parseStrictJson("[-0, -0.0, -0e5]")).toEqual([0, 0, 0]);
  });
  test("a number beyond the range of doubles is refused", () => {
    expect(refusal("1e400")).toContain("Infinity");
  });
});

test.each([
  String.raw`"\ud800"`,
  String.raw`{"\udc00":1}`,
  String.raw`["\ud800\ud800"]`,
  '"\ud800"',
])("the lone surrogate of %s is refused", (text) => {
  expect(refusal(text)).toContain("lone surrogate");
});

test.each(["", " ", "\ufeff{}", "{} {}", "{'a':1}", "[1,]", "01", "undefined", "NaN", "\u0000"])(
  "%j is not JSON",
  (text) => {
    expect(refusal(text)).toContain("not JSON");
  },
);

describe("limits", () => {
  test("bytes are those of the canonical text: white space may pad it to twice as much, not beyond", () => {
    expect(parseStrictJson(" [1]", { bytes: 3 })).toEqual([1]);
    expect(refusal('["ab"]', { bytes: 5 })).toContain("larger than 5 bytes");
    expect(refusal(`[1]${" ".repeat(4)}`, { bytes: 3 })).toContain("larger than 3 bytes");
  });
  test("depth and keys", () => {
    expect(parseStrictJson('[{"a":1}]', { depth: 2, keys: 1 })).toEqual([{ a: 1 }]);
    expect(refusal('[{"a":1}]', { depth: 1 })).toContain("deeper than 1");
    expect(refusal('[{"a":1,"b":2}]', { keys: 1 })).toContain("more than 1 members");
  });
  test("a text of 20 MB is read, or refused with a JsonError", { timeout: 60_000 }, () => {
    const text = JSON.stringify("a".repeat(20_000_000));
    expect((parseStrictJson(text) as string).length).toBe(20_000_000);
    expect(() => parseStrictJson(`{"a":${text},"a":1}`)).toThrow(JsonError);
  });
  test("a million brackets are refused, not a stack overflow", () => {
    expect(refusal("[".repeat(1e6) + "]".repeat(1e6))).toContain("nested deeper");
    expect(refusal('{"a":'.repeat(1e6))).toMatch(/not JSON|nested deeper/);
  });
});

/** `toEqual` takes own members called `__proto__` for prototypes. */
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    expect(inspect(actual, { depth: 20 })).toBe(inspect(expected, { depth: 20 }));
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function refusal(text: string, limits = {}): string {
  try {
    parseStrictJson(text, limits);
  } catch (error) {
    if (error instanceof JsonError) return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}
