/** What tests exercised of a policy, told: a count a kind, and what is missing at its line. */
import {
  type CoverageCount,
  type CoverageItem,
  type CoverageKind,
  locateRule,
  locateStep,
  type Position,
} from "@stepgate/policy";
import type { Output } from "./output.ts";
import type { CoveredPolicy } from "./test-run.ts";

/** Missing items that are printed of one policy; JSON has all. */
const MOST = 200;

const NAMES: Readonly<Record<CoverageKind, string>> = {
  transitions: "transitions of the order",
  actions: "actions of functions",
  tools: "functions of tools",
  conditions: "conditions, held and refused",
};

/** A table a policy, and below it what no test exercised. */
export async function printCoverage(
  output: Output,
  { file, text, coverage }: CoveredPolicy,
): Promise<void> {
  await output.say(`\n${output.paint("bold", file)}: ${shareText(coverage)} exercised`);
  for (const [kind, name] of Object.entries(NAMES)) {
    const count = coverage.kinds[kind as CoverageKind];
    if (count.total > 0) await output.say(`  ${name.padEnd(30)} ${shareText(count)}`);
  }
  const missing = missingItems(text, coverage.items);
  for (const { item, line, column } of missing.slice(0, MOST))
    await output.say(
      `  ${output.paint("yellow", "missing")} ${file}:${line}:${column}: ${missingText(item)}`,
    );
  if (missing.length > MOST)
    await output.say(`  and ${missing.length - MOST} more; --json has them all`);
}

/** The same as data, each item with its line and column. */
export function coverageDocument({ file, text, coverage }: CoveredPolicy): object {
  const locate = locator(text);
  const items = coverage.items.map((item) => ({ ...item, ...locate(item) }));
  return { file, percent: percentOf(coverage), ...coverage, items };
}

/** Per cent, rounded down to one decimal: 100 is all. Of nothing, all was exercised. */
export function percentOf({ covered, total }: CoverageCount): number {
  return total === 0 ? 100 : Math.floor((covered / total) * 1000) / 10;
}

function shareText(count: CoverageCount): string {
  return `${count.covered} of ${count.total} (${percentOf(count)}%)`;
}

interface MissingItem extends Position {
  readonly item: CoverageItem;
}

/** From top to bottom, as one reads. */
function missingItems(text: string, items: readonly CoverageItem[]): readonly MissingItem[] {
  const locate = locator(text);
  return items
    .filter((item) => !item.covered)
    .map((item) => ({ item, ...(locate(item) ?? { line: 1, column: 1 }) }))
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

function missingText({ kind, rule, what }: CoverageItem): string {
  if (kind === "transitions") return `never taken: ${what}`;
  if (kind === "conditions")
    return `${rule}: never ${what === "holds" ? "seen to hold" : "refused"}`;
  return `never allowed: ${what}`;
}

/** Many items share a rule, and a text is read anew for each question: so each is asked once. */
function locator(text: string): (item: CoverageItem) => Position | undefined {
  const known = new Map<string, Position | undefined>();
  return ({ rule, step }) => {
    const key = `${rule} ${step ?? ""}`;
    const place = known.has(key)
      ? known.get(key)
      : ((step === undefined ? undefined : locateStep(text, step)) ?? locateRule(text, rule));
    known.set(key, place);
    return place;
  };
}
