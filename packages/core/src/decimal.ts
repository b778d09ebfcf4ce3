/** Exact decimals: sums of JSON numbers add up as they are written, not as binary fractions do. */

/** An amount of at least 0 in digits: no exponent, no leading or trailing zeros, so that equal amounts are equal texts. */
export type Decimal = string;

const DECIMAL = /^(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/;

/** True for the one spelling that a {@link Decimal} has. */
export function isDecimal(value: unknown): value is Decimal {
  return typeof value === "string" && DECIMAL.test(value);
}

/**
 * The decimal of a finite number from 0 on, as its canonical text writes it: `0.1` is one tenth exactly. At most 326
 * characters, whatever the exponent.
 * @throws RangeError for any other number.
 */
export function toDecimal(value: number): Decimal {
  if (!Number.isFinite(value) || value < 0)
    throw new RangeError("only finite numbers from 0 on are counted");
  const [digits = "0", exponent = "0"] = `${value}`.split("e");
  const [whole = "0", fraction = ""] = digits.split(".");
  const shift = Number(exponent) - fraction.length;
  const units = BigInt(whole + fraction);
  return shift >= 0 ? `${units * 10n ** BigInt(shift)}` : print({ units, scale: -shift });
}

/** The exact sum. @throws RangeError for what is no decimal. */
export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const [left, right] = align(parse(a), parse(b));
  return print({ units: left.units + right.units, scale: left.scale });
}

/** Below 0, 0 or above 0 as `a` is less than, equal to or greater than `b`. @throws RangeError for what is no decimal. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const [left, right] = align(parse(a), parse(b));
  return left.units < right.units ? -1 : left.units > right.units ? 1 : 0;
}

interface Scaled {
  readonly units: bigint;
  /** Digits behind the point. */
  readonly scale: number;
}

function parse(text: Decimal): Scaled {
  if (!isDecimal(text)) throw new RangeError("not a decimal in its one spelling");
  const [whole = "0", fraction = ""] = text.split(".");
  return { units: BigInt(whole + fraction), scale: fraction.length };
}

function align(a: Scaled, b: Scaled): readonly [Scaled, Scaled] {
  const scale = Math.max(a.scale, b.scale);
  return [rescale(a, scale), rescale(b, scale)];
}

function rescale({ units, scale }: Scaled, to: number): Scaled {
  return { units: units * 10n ** BigInt(to - scale), scale: to };
}

function print({ units, scale }: Scaled): Decimal {
  if (scale === 0) return `${units}`;
  const digits = `${units}`.padStart(scale + 1, "0");
  const point = digits.length - scale;
  let end = digits.length;
  // A regular expression for zeros at the end would try at every zero.
  while (end > point && digits[end - 1] === "0") end--;
  return end === point
    ? digits.slice(0, point)
    : `${digits.slice(0, point)}.${digits.slice(point, end)}`;
}
