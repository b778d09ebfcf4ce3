/** Durations of the language: `"300s"`, or whole milliseconds. */

const UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** `"300s"` and `300000` alike as milliseconds; not a safe integer where the text asks for more. */
export function milliseconds(duration: string | number): number {
  if (typeof duration === "number") return duration;
  const unit = duration.replace(/^[0-9]+/, "");
  return Number.parseInt(duration, 10) * (UNITS.get(unit) ?? Number.NaN);
}
