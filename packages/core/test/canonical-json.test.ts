/** RFC 8785: one value, one text; what JSON cannot say is refused, never coerced. */
import canonicalizeOfNpm from "canonicalize";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalCopy, canonicalString, setMember } from "../src/canonical-json.ts";
import { canonicalize, type Json, JsonError } from "../src/index.ts";
import { anyJson, anyText } from "./json-arbitraries.ts";
import { hasVectors, readVector, vectorNames } from "./public-vectors.ts";

describe("the public vectors of RFC 8785", () => {
  test.skipIf(!hasVectors("jcs/testdata/input"))("are all there", () => {
    expect(vectorNames("jcs/testdata/input")).toEqual([
      "arrays.json",
      "french.json",
      "structures.json",
      "unicode.json",
      "values.json",
      "weird.json",
    ]);
  });

  for (const name of ["arrays", "french", "structures", "unicode", "values", "weird"]) {
    test.skipIf(!hasVectors(`jcs/testdata/input/${name}.json`))(
      `${name} comes out byte for byte`,
      () => {
        const written = canonicalize(JSON.parse(readVector(`jcs/testdata/input/${name}.json`)));
        expect(Buffer.from(written).toString("hex")).toBe(
          readVector(`jcs/testdata/outhex/${name}.txt`).replaceAll(/\s/g, ""),
        );
        expect(written).toBe(readVector(`jcs/testdata/output/${name}.json`));
      },
    );
  }
});

test("members are sorted by UTF-16 code units, not by code points and not as numbers", () => {
  expect(canonicalize({ "\ufb33": 1, "\u{1f600}": 2, "2": 3, "10": 4 })).toBe(
    '{"10":4,"2":3,"\u{1f600}":2,"\ufb33":1}',
  );
});

test("members are sorted, however many there are", () => {
  for (const count of [2, 3, 40, 64, 65, 200]) {
    const sorted = Array.from({ length: count }, (_, at) => `n${100 + at}`);
    // 7 has no divisor in common with these counts.
    const mixed = sorted.map((_, at) => sorted[(at * 7) % count] as string);
    for (const names of [sorted, sorted.toReversed(), mixed])
      expect(canonicalize(Object.fromEntries(names.map((name) => [name, 1])))).toBe(
        `{${sorted.map((name) => `"${name}":1`).join(",")}}`,
      );
  }
});

test("`__proto__` is a member like any other", () => {
  expect(canonicalize(JSON.parse('{"b":1,"__proto__":{"a":2}}'))).toBe(
    '{"__proto__":{"a":2},"b":1}',
  );
});

test("-0 becomes 0", () => {
  expect(canonicalize([-0, { a: -0 }])).toBe('[0,{"a":0}]');
});

test("an object without a prototype is an object", () => {
  expect(canonicalize(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
});

describe("what JSON cannot say is refused with its path", () => {
  class Money {
    readonly amount = 1;
  }
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const sparse: unknown[] = [1];
  sparse[2] = 1;
  const refused: readonly (readonly [name: string, value: unknown, path: string])[] = [
    ["undefined", { a: [0, undefined] }, "a[1]"],
    ["a hole in an array", { a: sparse }, "a[1]"],
    ["a function", { a: () => 1 }, "a"],
    ["a symbol", { a: Symbol("s") }, "a"],
    ["a BigInt", { a: { b: 1n } }, "a.b"],
    ["NaN", { a: Number.NaN }, "a"],
    ["Infinity", { a: Number.POSITIVE_INFINITY }, "a"],
    ["-Infinity", { a: Number.NEGATIVE_INFINITY }, "a"],
    ["a Date", { a: new Date(0) }, "a"],
    ["a Map", { a: new Map() }, "a"],
    ["a Set", { a: new Set() }, "a"],
    ["a RegExp", { a: /x/ }, "a"],
    ["a boxed string", { a: Object("x") }, "a"],
    ["a class instance", { a: new Money() }, "a"],
    ["a Uint8Array", { a: new Uint8Array(2) }, "a"],
    ["an Error", { a: new Error("no") }, "a"],
    ["a promise", { a: Promise.resolve(1) }, "a"],
    ["a toJSON method", { a: { toJSON: () => 1 } }, "a.toJSON"],
    ["a lone high surrogate", { a: "x\ud800" }, "a"],
    ["a lone low surrogate", { a: "\udc00x" }, "a"],
    ["swapped surrogates", { a: "\udc00\ud800" }, "a"],
    ["a lone surrogate in a name", { "\ud800": 1 }, "\ud800"],
  ];
  for (const [name, value, path] of refused) {
    test(name, () =>
      expect(errorOf(() => canonicalize(value))).toMatchObject({ name: "JsonError", path }),
    );
  }

  test("a cycle", () => {
    expect(errorOf(() => canonicalize(cyclic)).message).toContain("cycle");
  });

  test("a lone surrogate anywhere in any text", () => {
    const lone = fc.tuple(
      anyText,
      fc.integer({ min: 0xd800, max: 0xdfff }),
      fc.string({ unit: "binary-ascii" }),
    );
    fc.assert(
      fc.property(lone, ([before, unit, after]) => {
        const text = `${before}\n${String.fromCharCode(unit)}\n${after}`;
        expect(errorOf(() => canonicalize({ a: [text] })).path).toBe("a[0]");
        expect(errorOf(() => canonicalize({ [text]: 1 }))).toBeInstanceOf(JsonError);
      }),
    );
  });

  test("a long path is cut short", () => {
    let value: unknown = undefined;
    for (let i = 0; i < 20; i++) value = { a: value };
    expect(errorOf(() => canonicalize(value)).path).toBe("a.a.a.a.a.a.a.a…");
  });
});

describe("the work that a value can cause is bounded", () => {
  const limits = { bytes: 256 * 1024, depth: 64, keys: 10_000 };

  test.each([
    ["arrays", () => [] as unknown[]],
    ["objects", () => ({})],
  ])("by the cap on bytes, for empty %s as well", (_name, empty) => {
    let reads = 0;
    const list = new Proxy([], {
      get: (_target, name) => (name === "length" ? 1_000_000 : (reads++, empty())),
    });
    expect(() => canonicalize({ list }, limits)).toThrow(JsonError);
    expect(reads).toBeLessThan(256 * 1024);
  });

  test("and a value of exactly the cap is within it, however deep", () => {
    for (let depth = 1; depth < 60; depth++) {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = depth % 2 === 0 ? [value] : { a: value };
      const text = JSON.stringify([value, "last"]);
      expect(canonicalize([value, "last"], { bytes: text.length })).toBe(text);
    }
  });
});

describe("limits", () => {
  test("{} has depth 1, and what lies deeper than the limit is refused", () => {
    expect(canonicalize({}, { depth: 1 })).toBe("{}");
    expect(canonicalize([[1]], { depth: 2 })).toBe("[[1]]");
    expect(errorOf(() => canonicalize({ a: [] }, { depth: 1 })).message).toContain("deeper than 1");
    expect(errorOf(() => canonicalize([[{}]], { depth: 2 })).path).toBe("[0][0]");
  });

  test("without a limit depth ends at 1,000, long before the stack does", () => {
    expect(canonicalize(nested(1000))).toBe(`${"[".repeat(1000)}${"]".repeat(1000)}`);
    expect(errorOf(() => canonicalize(nested(1001)))).toBeInstanceOf(JsonError);
    expect(errorOf(() => canonicalize(nested(1001), { depth: 5_000 }))).toBeInstanceOf(JsonError);
    expect(errorOf(() => canonicalize(nested(200_000)))).toBeInstanceOf(JsonError);
  });

  test("keys are those of all objects together", () => {
    const value = { a: { b: 1, c: 2 }, d: [{ e: 3 }] };
    expect(canonicalize(value, { keys: 5 })).toBe('{"a":{"b":1,"c":2},"d":[{"e":3}]}');
    expect(errorOf(() => canonicalize(value, { keys: 4 })).message).toContain(
      "more than 4 members",
    );
  });

  test("safeIntegers refuses integers whose digits a double loses, and no others", () => {
    const strict = { safeIntegers: true };
    for (const fine of [2 ** 53 - 1, -(2 ** 53 - 1), 0.5, 1e21, -1.5e300])
      expect(canonicalize(fine, strict)).toBe(canonicalizeOfNpm(fine));
    for (const lossy of [2 ** 53, -(2 ** 53), 123456789012345680000]) {
      expect(canonicalize(lossy)).toBe(canonicalizeOfNpm(lossy));
      expect(errorOf(() => canonicalize([lossy], strict)).path).toBe("[0]");
    }
  });
});

describe("what is refused is named", () => {
  test("by its path and the reason, or by the reason alone where the value itself is at fault", () => {
    const inside = errorOf(() => canonicalize({ items: [1, { when: undefined }] }));
    expect([inside.path, inside.reason]).toEqual(["items[1].when", "undefined is not JSON"]);
    expect(inside.message).toBe("items[1].when: undefined is not JSON");
    expect(errorOf(() => canonicalize(undefined)).message).toBe("undefined is not JSON");
    expect(inside.offset).toBeUndefined();
    expect(new JsonError("not JSON", "", 7).offset).toBe(7);
  });

  test("after the members before it, of which no trace is in its path", () => {
    expect(errorOf(() => canonicalize({ a: [1, 2], b: { c: 1 }, d: NaN })).message).toBe(
      "d: NaN is not JSON",
    );
  });

  test("whatever it is", () => {
    class Money {}
    const nameless = Object.create(Object.create(Object.create(null)));
    const unnamed = new (class {
      readonly a = 1;
    })();
    const anonymous = Object.create({ constructor: { name: "" } });
    for (const [value, message] of [
      [10n, "bigint is not JSON"],
      [-Infinity, "-Infinity is not JSON"],
      ["\ud800", "a lone surrogate is not text"],
      [new Date(0), "a Date is not JSON"],
      [new Money(), "a Money is not JSON"],
      [nameless, "a class instance is not JSON"],
      [anonymous, "a class instance is not JSON"],
    ] as const)
      expect(errorOf(() => canonicalize(value)).message).toBe(message);
    expect(errorOf(() => canonicalize(unnamed)).message).toContain("is not JSON");
    expect(errorOf(() => canonicalize(2 ** 53, { safeIntegers: true })).message).toBe(
      "an integer beyond ±(2^53 − 1) loses digits; send it as a string",
    );
  });

  test("without the name of a place, where the whole is too large", () => {
    const { path, message } = errorOf(() => canonicalize({ a: "long" }, { bytes: 5 }));
    expect([path, message]).toEqual(["", "larger than 5 bytes"]);
  });

  test("by eight parts of its path at most, and 64 characters of each", () => {
    const deep = (parts: number): unknown =>
      Array.from({ length: parts }).reduce<unknown>((value) => ({ a: value }), undefined);
    expect(errorOf(() => canonicalize(deep(8))).path).toBe("a.a.a.a.a.a.a.a");
    expect(errorOf(() => canonicalize(deep(9))).path).toBe("a.a.a.a.a.a.a.a…");
    expect(errorOf(() => canonicalize({ ["n".repeat(65)]: undefined })).path).toBe("n".repeat(64));
  });
});

describe("a canonical copy", () => {
  test("is the value that the text says, member by member and item by item", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const { text, copy } = canonicalCopy(value);
        expect(copy).toEqual(JSON.parse(text));
        expect(canonicalize(copy)).toBe(text);
      }),
    );
  });

  test("has 0 where the value has -0, and the numbers that the value has", () => {
    const copy = canonicalCopy([-0, 0, 1.5, -7]).copy as readonly number[];
    expect(copy.map((number) => Object.is(number, -0))).toEqual([false, false, false, false]);
    expect(copy).toEqual([0, 0, 1.5, -7]);
  });

  test("says what the text says of a member that says something else each time", () => {
    let reads = 0;
    const value = {
      get a() {
        return ++reads;
      },
    };
    expect(canonicalCopy(value)).toEqual({ text: '{"a":1}', copy: { a: 1 } });
    expect(reads).toBe(1);
  });
});

test("a member of any name is set as a plain member, `__proto__` too", () => {
  for (const name of ["a", "__proto__", "constructor", ""]) {
    const object: Record<string, Json> = {};
    setMember(object, name, { b: 1 });
    expect(Object.getOwnPropertyDescriptor(object, name)).toEqual({
      value: { b: 1 },
      enumerable: true,
      configurable: true,
      writable: true,
    });
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
  }
});

test("a string is written as it is within any value, and a lone surrogate is no string", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(canonicalString(text)).toBe(canonicalize([text]).slice(1, -1));
    }),
  );
  for (const text of ["", "plain ~", '"', "\\", "\u0000", "\u001f", "\u007f", "é", "a\nb"])
    expect(canonicalString(text)).toBe(JSON.stringify(text));
  const { path, message } = errorOf(() => canonicalString("\udc00"));
  expect([path, message]).toEqual(["", "a lone surrogate is not text"]);
});

describe("what exceeds a cap on bytes is not read on", () => {
  /** A list or an object whose members count how many of them were read. */
  function counting(value: string, names: readonly string[], list: boolean) {
    let reads = 0;
    const members: unknown = list ? [] : {};
    for (const name of names)
      Object.defineProperty(members, name, {
        enumerable: true,
        get: () => (reads++, value),
      });
    return { members, reads: () => reads };
  }
  const numbered = (count: number, name = ""): string[] =>
    Array.from({ length: count }, (_, at) => `${name}${at}`);

  test.each([
    ["a list of 100 items by its brackets and commas", true, 100, 101],
    ["an object of 100 members by its braces, commas, colons and first name", false, 100, 204],
  ])("%s", (_name, list, count, least) => {
    const { members, reads } = counting("", numbered(count), list);
    expect(() => canonicalize(members, { bytes: least - 1 })).toThrow(JsonError);
    expect(reads()).toBe(0);
    expect(() => canonicalize(members, { bytes: least })).toThrow(JsonError);
    expect(reads()).toBeGreaterThan(0);
  });

  test.each([
    ["plain", "x".repeat(50), 52],
    ["escaped", "\n".repeat(10), 22],
    ["of three bytes each", "€".repeat(10), 32],
  ])("a list by its items, their characters %s", (_name, item, each) => {
    for (const [bytes, read] of [
      [11 + 2 * each, 3],
      [11 + 2 * each - 1, 2],
    ] as const) {
      const { members, reads } = counting(item, numbered(10), true);
      expect(() => canonicalize(members, { bytes })).toThrow(JsonError);
      expect(reads()).toBe(read);
    }
  });

  test("an object by its names", () => {
    const object = counting("", numbered(10, "x".repeat(50)), false);
    expect(() => canonicalize(object.members, { bytes: 21 + 2 * (53 + 2) })).toThrow(JsonError);
    expect(object.reads()).toBe(2);
  });

  test("a text whose escaped form no string could hold", () => {
    expect(() => canonicalize("\u0001".repeat(2 ** 27), { bytes: 1_000 })).toThrow(JsonError);
  });
});

test("the cap on bytes is exact for a value of any kind", () => {
  for (const value of [-12.5, true, false, null, "a", [], {}, [1, true], { a: null, b: [] }]) {
    const text = JSON.stringify(value);
    expect(canonicalize(value, { bytes: text.length })).toBe(text);
    expect(errorOf(() => canonicalize(value, { bytes: text.length - 1 })).message).toContain(
      "larger than",
    );
  }
});

test("the cap on bytes counts one, two, three and four of them where UTF-8 has as many", () => {
  for (const text of [
    "\u007f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\u{10000}",
    "\u{10ffff}",
  ]) {
    const bytes = Buffer.byteLength(text) + 2;
    expect(canonicalize(text, { bytes })).toBe(JSON.stringify(text));
    expect(errorOf(() => canonicalize(text, { bytes: bytes - 1 })).message).toContain(
      "larger than",
    );
  }
});

function nested(depth: number): unknown {
  let value: unknown[] = [];
  for (let i = 1; i < depth; i++) value = [value];
  return value;
}

function errorOf(work: () => unknown): JsonError {
  try {
    work();
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
