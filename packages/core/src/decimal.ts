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
  const text = `${value}`;
  if (DECIMAL.test(text)) return text;
  const [digits = "0", exponent = "0"] = text.split("e");
  const [whole = "0", fraction = ""] = digits.split(".");
  const shift = Number(exponent) - fraction.length;
  const units = BigInt(whole + fraction);
  return shift >= 0 ? `${units * 10n ** BigInt(shift)}` : print(`${units}`, -shift);
}

/** The exact sum. @throws RangeError for what is no decimal. */
export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const { x, y, scale } = align(a, b);
  const sum = areShort(x, y) ? `${Number(x) + Number(y)}` : `${BigInt(x) + BigInt(y)}`;
  return print(sum, scale);
}

/** Below 0, 0 or above 0 as `a` is less than, equal to or greater than `b`. @throws RangeError for what is no decimal. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const { x, y } = align(a, b);
  const [left, right] = areShort(x, y) ? [Number(x), Number(y)] : [BigInt(x), BigInt(y)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Both in digits of the same unit, `scale` of them behind the point. */
function align(
  a: Decimal,
  b: Decimal,
): { readonly x: string; readonly y: string; readonly scale: number } {
  const [left, right] = [places(a), places(b)];
  const scale = Math.max(left, right);
  return { x: digitsOf(a, scale - left), y: digitsOf(b, scale - right), scale };
}

/** How many digits stand behind the point. */
function places(text: Decimal): number {
  if (!isDecimal(text)) throw new RangeError("not a decimal in its one spelling");
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

function digitsOf(text: Decimal, zeros: number): string {
  return text.replace(".", "") + "0".repeat(zeros);
}

/** True where numbers hold both, and their sum, exactly: below 10^15. They are many times quicker than big integers. */
function areShort(x: string, y: string): boolean {
  return x.length <= 15 && y.length <= 15;
}

function print(units: string, scale: number): Decimal {
  if (scale === 0) return units;
  const digits = units.padStart(scale + 1, "0");
  const point = digits.length - scale;
  let end = digits.length;
  // A regular expression for zeros at the end would try at every zero.
  while (end > point && digits[end - 1] === "0") end--;
  return end === point
    ? digits.slice(0, point)
    : `${digits.slice(0, point)}.${digits.slice(point, end)}`;
}
