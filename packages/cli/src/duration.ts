/** Durations on the command line: `90s`, `15m`, `1h`, `2d`. */
import { GateError } from "@stepgate/core";

const UNITS: ReadonlyMap<string, number> = new Map([
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** A longer one than anything here needs, and still a time that a date can hold. */
const MAX_MS = 366 * 86_400_000;

/** The milliseconds that an option was given. @throws GateError INVALID_INPUT, naming the option. */
export function durationOf(option: string, text: string): number {
  const [, count, unit = ""] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS.get(unit) ?? Number.NaN);
  if (ms <= MAX_MS) return ms;
  throw new GateError("INVALID_INPUT", `${option} ${text}: write 90s, 15m, 1h or 2d; at most 366d`);
}
