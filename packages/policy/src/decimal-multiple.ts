/** `multipleOf` on decimals as they are written: 19.99 is a multiple of 0.01, which the quotient of two doubles denies. */

/** True where `value` is an integer times `divisor`, both taken as the decimals that they are printed as. */
export function isMultipleOf(value: number, divisor: number): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(divisor)) return value % divisor === 0;
  const [a, b] = [decimal(value), decimal(divisor)];
  if (a === undefined || b === undefined || b.digits === 0n) return false;
  const scale = Math.min(a.exponent, b.exponent);
  const whole = a.digits * 10n ** BigInt(a.exponent - scale);
  return whole % (b.digits * 10n ** BigInt(b.exponent - scale)) === 0n;
}

interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

function decimal(value: number): Decimal | undefined {
  const match = /^(-?[0-9]+)(?:\.([0-9]+))?(?:e([+-][0-9]+))?$/.exec(String(value));
  if (match === null) return undefined;
  const [, whole = "", fraction = "", exponent = "0"] = match;
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}
