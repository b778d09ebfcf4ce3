/** `multipleOf` on decimals. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { isMultipleOf } from "../src/decimal-multiple.ts";

test.each([
  [19.99, 0.01, true],
  [4.35, 0.01, true],
  [1.1, 0.1, true],
  [0.3, 0.1, true],
  [-0.07, 0.01, true],
  [0, 5, true],
  [-0, 0.5, true],
  [9, 3, true],
  [10, 3, false],
  [19.999, 0.01, false],
  [1e-7, 0.01, false],
  [1e21, 7e20, false],
  [1.4e21, 7e20, true],
  [2 ** 53, 2, true],
  [5e-324, 5e-324, true],
])("%d is a multiple of %d: %s", (value, divisor, expected) => {
  expect(isMultipleOf(value, divisor)).toBe(expected);
});

test("an integer of cents is a multiple of a cent, however it is written", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 8 }), (cents, places) => {
      const value = Number(`${cents}e-${places}`);
      expect(isMultipleOf(value, Number(`1e-${places}`))).toBe(true);
      expect(isMultipleOf(Number(`${cents}5e-${places + 1}`), Number(`1e-${places}`))).toBe(false);
    }),
  );
});

test("what no divisor divides is no multiple", () => {
  expect(isMultipleOf(5, 0)).toBe(false);
  expect(isMultipleOf(Number.NaN, 1)).toBe(false);
  expect(isMultipleOf(Number.POSITIVE_INFINITY, 1)).toBe(false);
});
