/** Random JSON for property tests: every kind of string, number and member name that JSON can carry. */
import fc from "fast-check";
import type { Json } from "../src/index.ts";

/** Text of any code points, and names that trip over prototypes or sorting by code point. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "__proto__",
      "constructor",
      "toString",
      "\u20ac",
      "\u{1f600}",
      "\ufb33",
      "\r",
      "\\",
      '"',
      "1",
      "10",
      "2",
    ),
  },
);

/**
 * Names of members. None ends in a backslash: having seen one that does, `JSON.parse` of some versions of V8 misreads other
 * names (nodejs/node#63785), and what a test expects is often read with it.
 */
export const anyName: fc.Arbitrary<string> = anyText.filter((text) => !text.endsWith("\\"));

/** Finite doubles, with the edges where ECMAScript changes its notation. */
const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    1e21,
    1e-7,
    999999999999999900000,
    5e-324,
    1.7976931348623157e308,
    2 ** 53,
    -(2 ** 53),
  ),
);

/** Any JSON value, of any of these leaves, some levels deep. */
export const anyJson: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    anyNumber,
    anyText,
    fc.array(tie("value"), { maxLength: 6 }),
    fc
      .array(fc.tuple(anyName, tie("value")), { maxLength: 6 })
      .map((members) => Object.fromEntries(members)),
  ),
})).value;
