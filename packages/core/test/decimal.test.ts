/** Decimals are exact, have one spelling, and cost little whatever the exponent. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { movedCounters } from "../src/counters.ts";
import { addDecimals, compareDecimals, isDecimal, toDecimal } from "../src/decimal.ts";

/** No double has more digits behind the point. */
const PLACES = 1074;

test("numbers become what their canonical text means", () => {
  const rows = [
    [0, "0"],
    [-0, "0"],
    [0.1, "0.1"],
    [100, "100"],
    [1e21, "1000000000000000000000"],
    [1.5e21, "1500000000000000000000"],
    [1e-7, "0.0000001"],
    [1.25e-7, "0.000000125"],
    [123456.789, "123456.789"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [5e-324, `0.${"0".repeat(323)}5`],
    [1e308, `1${"0".repeat(308)}`],
    [Number.MAX_VALUE, `17976931348623157${"0".repeat(292)}`],
  ] as const;
  for (const [number, decimal] of rows) expect(toDecimal(number)).toBe(decimal);
});

test("a tenth and two tenths are three tenths, and not a bit more", () => {
  expect(addDecimals("0.1", "0.2")).toBe("0.3");
  expect(compareDecimals(addDecimals(toDecimal(0.1), toDecimal(0.2)), toDecimal(0.3))).toBe(0);
  expect(addDecimals("0.5", "0.5")).toBe("1");
  expect(addDecimals("99.99", "0.01")).toBe("100");
  expect(compareDecimals("10", "9")).toBeGreaterThan(0);
  expect(compareDecimals("0.09", "0.1")).toBeLessThan(0);
});

test("the largest number and the smallest add up without loss", () => {
  const sum = addDecimals(toDecimal(Number.MAX_VALUE), toDecimal(5e-324));
  expect(sum).toBe(`17976931348623157${"0".repeat(292)}.${"0".repeat(323)}5`);
  expect(compareDecimals(sum, toDecimal(Number.MAX_VALUE))).toBeGreaterThan(0);
});

test("every finite number from 0 on has one short spelling, which reads back as the number", () => {
  fc.assert(
    fc.property(amount(), (number) => {
      const decimal = toDecimal(number);
      expect(isDecimal(decimal)).toBe(true);
      expect(decimal.length).toBeLessThanOrEqual(326);
      expect(Number(decimal)).toBe(Math.abs(number));
      expect(scaled(decimal)).toBe(scaledNumber(number));
    }),
    { numRuns: 500 },
  );
});

test("sums and comparisons are those of whole numbers of the smallest place", () => {
  fc.assert(
    fc.property(decimal(), decimal(), (a, b) => {
      const sum = addDecimals(a, b);
      expect(isDecimal(sum)).toBe(true);
      expect(scaled(sum)).toBe(scaled(a) + scaled(b));
      const difference = scaled(a) - scaled(b);
      const sign = difference < 0n ? -1 : difference > 0n ? 1 : 0;
      expect(Math.sign(compareDecimals(a, b))).toBe(sign);
      expect(compareDecimals(a, b) === 0).toBe(a === b);
    }),
    { numRuns: 500 },
  );
});

test("the order of additions changes nothing, not even a character", () => {
  fc.assert(
    fc.property(fc.array(decimal(), { maxLength: 8 }), (amounts) => {
      const forwards = amounts.reduce(addDecimals, "0");
      expect(amounts.toReversed().reduce(addDecimals, "0")).toBe(forwards);
    }),
    { numRuns: 200 },
  );
});

test("what has another spelling, or is no amount, is no decimal and is never counted", () => {
  const others = [
    "",
    " ",
    "1 ",
    "-0",
    "-1",
    "+1",
    "00",
    "01",
    "1.",
    ".5",
    "1.0",
    "1.50",
    "0.0",
  ].concat([
    "1e3",
    "1E3",
    "1e999999999",
    "0x10",
    "1_000",
    "1,5",
    "1.2.3",
    "NaN",
    "Infinity",
    "١",
    "1\n",
  ]);
  for (const other of others) {
    expect([other, isDecimal(other)]).toEqual([other, false]);
    expect(() => addDecimals("1", other)).toThrow(RangeError);
    expect(() => compareDecimals(other, "1")).toThrow(RangeError);
  }
  for (const other of [1, 1n, null, undefined, ["1"]]) expect(isDecimal(other)).toBe(false);
  for (const number of [-1, -5e-324, Number.NaN, Number.POSITIVE_INFINITY, -Infinity])
    expect(() => toDecimal(number)).toThrow(RangeError);
});

test("a million digits are told apart from a decimal, or added, without a hang", () => {
  const nines = "9".repeat(100_000);
  const started = performance.now();
  expect(isDecimal(`0.${"0".repeat(1_000_000)}`)).toBe(false);
  expect(isDecimal(`${"1".repeat(1_000_000)}e5`)).toBe(false);
  expect(addDecimals(nines, "1")).toBe(`1${"0".repeat(100_000)}`);
  expect(addDecimals(`0.${nines}`, `0.${"0".repeat(99_999)}1`)).toBe("1");
  expect(addDecimals(`0.${"0".repeat(99_999)}1`, `0.${"0".repeat(99_999)}1`)).toMatch(/^0\.0+2$/);
  expect(performance.now() - started).toBeLessThan(5_000);
});

test("counters move together, or none does", () => {
  const step = (counter: string, add: string, max: string) => ({
    counter,
    add,
    max,
    at_ms: 0,
    until_ms: 1,
  });
  const standing = new Map([["c", "0.1"]]);
  const moved = movedCounters([step("c", "0.2", "0.3"), step("d", "1", "1")], (name) =>
    standing.get(name),
  );
  expect(moved).toEqual(
    new Map([
      ["c", "0.3"],
      ["d", "1"],
    ]),
  );
  expect(
    movedCounters([step("d", "1", "1"), step("c", "0.3", "0.3")], (name) => standing.get(name)),
  ).toBeUndefined();
  expect(standing).toEqual(new Map([["c", "0.1"]]));
});

/** Doubles of all magnitudes, and such as people write. */
function amount(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: 0, max: 10_000_000 }).map((cents) => cents / 100),
    fc.maxSafeNat(),
    fc.constantFrom(0, 5e-324, Number.MAX_VALUE, 1e21, 1e-7, 2 ** 53),
  );
}

/** Amounts of numbers, and digits that no number has. */
function decimal(): fc.Arbitrary<string> {
  const digits = fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 40n }), fc.integer({ min: 0, max: 60 }))
    .map(([units, places]) => spelled(units, places));
  return fc.oneof(amount().map(toDecimal), digits);
}

function spelled(units: bigint, places: number): string {
  const text = `${units}`.padStart(places + 1, "0");
  const [whole, fraction] = [text.slice(0, text.length - places), text.slice(text.length - places)];
  const kept = fraction.split("").toReversed().join("").replace(/^0+/, "");
  return kept === "" ? whole : `${whole}.${kept.split("").toReversed().join("")}`;
}

function scaled(text: string): bigint {
  const [whole = "", fraction = ""] = text.split(".");
  return BigInt(whole) * 10n ** BigInt(PLACES) + BigInt(fraction.padEnd(PLACES, "0"));
}

/** By the number's digits and exponent in scientific notation, which `toDecimal` does not ask for. */
function scaledNumber(number: number): bigint {
  const [digits = "", exponent = ""] = number.toExponential().split("e");
  const [whole = "", fraction = ""] = digits.split(".");
  return BigInt(whole + fraction) * 10n ** BigInt(PLACES + Number(exponent) - fraction.length);
}
