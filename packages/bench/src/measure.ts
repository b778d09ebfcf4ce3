/** Rates measured side by side: every variant once a round, so that a machine that drifts drifts under all of them. */

/** One thing to time. `run` does `count` operations; `inFlight` of them at a time, where that means something. */
export interface Variant {
  readonly name: string;
  /** What each round needs anew, outside of its time. */
  prepare?(): Promise<void> | void;
  run(count: number): Promise<void> | void;
  /** Operations a round; chosen so that a round takes some tens of milliseconds. */
  readonly count: number;
}

/** Microseconds an operation, over the rounds. */
export interface Timing {
  readonly name: string;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** Each round's figure, in order: variants of one round ran under the same conditions. */
  readonly rounds: readonly number[];
}

/** A section of the report: variants that belong together. */
export interface Section {
  readonly title: string;
  readonly timings: readonly Timing[];
  /** What the figures are to be read for, as ratios or differences within this run. */
  readonly ratios: readonly {
    readonly name: string;
    readonly value: number;
    readonly unit: "×" | "µs";
  }[];
}

/** Times the variants in `rounds` interleaved rounds after one that is not counted. */
export async function timeVariants(
  variants: readonly Variant[],
  rounds = 7,
): Promise<readonly Timing[]> {
  const samples = variants.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, variant] of variants.entries()) {
      await variant.prepare?.();
      const started = performance.now();
      await variant.run(variant.count);
      const perOperation = ((performance.now() - started) * 1000) / variant.count;
      if (round > 0) samples[index]?.push(perOperation);
    }
  }
  return variants.map(({ name }, index) => summarise(name, samples[index] ?? []));
}

/** Runs `operation` `count` times with `inFlight` of them under way at once. */
export async function keepInFlight(
  inFlight: number,
  count: number,
  operation: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await operation(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/**
 * The median over the rounds of what `combine` makes of these variants' figures. Round by round, for a machine that was
 * slow in one round was slow for all of them.
 */
export function pairedMedian(
  timings: readonly Timing[],
  names: readonly string[],
  combine: (a: number, b: number, c: number) => number,
): number {
  const columns = names.map((name) => roundsOf(timings, name));
  const [first = []] = columns;
  const combined = first.map((_, round) => {
    const figure = (column: number): number => columns[column]?.[round] ?? Number.NaN;
    return combine(figure(0), figure(1), figure(2));
  });
  return summarise("", combined).median;
}

function roundsOf(timings: readonly Timing[], name: string): readonly number[] {
  const found = timings.find((timing) => timing.name === name);
  if (found === undefined) throw new Error(`nothing was measured as '${name}'`);
  return found.rounds;
}

function summarise(name: string, samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { name, min: at(0), median: at(0.5), max: at(1), rounds: samples };
}
