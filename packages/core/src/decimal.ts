/** Exact decimals: sums of JSON numbers add up as they are written, not as binary fractions do. */

/** A sum so far, or one number: JCS text without exponent and without trailing zeros. */
export type Decimal = string;

interface Scaled {
  readonly units: bigint;
  /** Digits behind the point. */
  readonly scale: number;
}

/** The decimal of a finite JSON number, as its canonical text writes it: `0.1` is one tenth exactly. */
export function toDecimal(value: number): Decimal {
  return print(parse(`${value}`));
}

/** The exact sum. */
export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const [left, right] = align(parse(a), parse(b));
  return print({ units: left.units + right.units, scale: left.scale });
}

/** Below 0, 0 or above 0 as `a` is less than, equal to or greater than `b`. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const [left, right] = align(parse(a), parse(b));
  return left.units < right.units ? -1 : left.units > right.units ? 1 : 0;
}

function parse(text: string): Scaled {
  const [digits = "0", exponent = "0"] = text.split("e");
  const [whole = "0", fraction = ""] = digits.split(".");
  const shift = Number(exponent) - fraction.length;
  const units = BigInt(whole + fraction);
  return shift >= 0 ? { units: units * 10n ** BigInt(shift), scale: 0 } : { units, scale: -shift };
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
  const negative = units < 0n ? "-" : "";
  const digits = `${units < 0n ? -units : units}`.padStart(scale + 1, "0");
  const fraction = digits.slice(-scale).replace(/0+$/, "");
  return `${negative}${digits.slice(0, -scale)}${fraction === "" ? "" : `.${fraction}`}`;
}
