/** What holds of canonical JSON for every value, and takes its time: the npm package's text, the caps on bytes, the numbers. */
import { isDeepStrictEqual } from "node:util";
import canonicalizeOfNpm from "canonicalize";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalize, JsonError } from "../src/index.ts";
import { anyJson, anyName } from "./json-arbitraries.ts";
import { hasVectors, readVector } from "./public-vectors.ts";

describe("for every JSON value", () => {
  test("the text is that of the npm package `canonicalize`", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(canonicalize(value)).toBe(canonicalizeOfNpm(value));
      }),
      { numRuns: 2_000 },
    );
  });

  test("the text is JSON that says the same, and is its own canonical text", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = canonicalize(value);
        expect(isDeepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))).toBe(true);
        expect(canonicalize(JSON.parse(text))).toBe(text);
      }),
    );
  });

  test("the order in which members were set does not matter", () => {
    const members = fc.uniqueArray(fc.tuple(anyName, anyJson), {
      selector: ([name]) => name,
      maxLength: 8,
    });
    fc.assert(
      fc.property(members, fc.infiniteStream(fc.nat()), (list, randoms) => {
        const shuffled = list
          .map((member) => ({ member, rank: randoms.next().value as number }))
          .sort((a, b) => a.rank - b.rank);
        expect(canonicalize(Object.fromEntries(shuffled.map(({ member }) => member)))).toBe(
          canonicalize(Object.fromEntries(list)),
        );
      }),
    );
  });
});

test.skipIf(!hasVectors("jcs/es6numbers10k.txt"))(
  "10,000 numbers are written as ECMAScript prints them",
  () => {
    const wrong: string[] = [];
    let compared = 0;
    for (const line of readVector("jcs/es6numbers10k.txt").trimEnd().split("\n")) {
      const [hex = "", expected] = line.split(",");
      const number = Buffer.from(hex.padStart(16, "0"), "hex").readDoubleBE();
      compared++;
      if (canonicalize(number) !== expected) wrong.push(line);
    }
    expect({ compared, wrong }).toEqual({ compared: 10_000, wrong: [] });
  },
);

test("bytes are those of the canonical UTF-8 text, whatever the characters", () => {
  fc.assert(
    fc.property(anyJson, (value) => {
      const bytes = Buffer.byteLength(canonicalize(value));
      expect(canonicalize(value, { bytes })).toBe(canonicalize(value));
      expect(() => canonicalize(value, { bytes: bytes - 1 })).toThrow(
        new JsonError(`larger than ${bytes - 1} bytes`, ""),
      );
    }),
    { numRuns: 500 },
  );
});

test("the work is bounded for a list within a list within a list: 64 objects that mean 2^64", () => {
  let reads = 0;
  let bomb: unknown = [];
  // Half as deep as allowed, so that an unbounded walk ends within this test.
  for (let i = 0; i < 20; i++)
    bomb = new Proxy([bomb, bomb], {
      get: (target, name, self) => (reads++, Reflect.get(target, name, self)),
    });
  expect(() => canonicalize(bomb, { bytes: 256 * 1024, depth: 64, keys: 10_000 })).toThrow(
    JsonError,
  );
  expect(reads).toBeLessThan(2_000_000);
});
