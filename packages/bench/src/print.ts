/** Prints the report for people; `--json` prints the same as one document. */
import { cpus } from "node:os";
import type { Section } from "./measure.ts";

/** The machine, as far as it explains a figure. */
export function machine(): { readonly node: string; readonly cpu: string; readonly cores: number } {
  const [first] = cpus();
  return { node: process.version, cpu: first?.model ?? "unknown", cores: cpus().length };
}

/** One section as a table: microseconds an operation, and what that is a second. */
export function printSection({ title, timings, ratios }: Section): void {
  console.log(`\n${title}`);
  console.log(
    `  ${"".padEnd(52)}${"µs, median".padStart(12)}${"min … max".padStart(20)}${"a second".padStart(12)}`,
  );
  for (const { name, min, median, max } of timings) {
    const spread = `${min.toFixed(2)} … ${max.toFixed(2)}`;
    const rate = Math.round(1e6 / median).toLocaleString("en");
    console.log(
      `  ${name.padEnd(52)}${median.toFixed(2).padStart(12)}${spread.padStart(20)}${rate.padStart(12)}`,
    );
  }
  for (const { name, value, unit } of ratios)
    console.log(`  → ${name}: ${value.toFixed(2)} ${unit}`);
}
