/** An order that generalises runs: what always came in one order stays in it, what was mixed may be mixed. */

/** Steps that came in any order among one another, and all after those of the blocks before. */
export interface OrderBlock {
  readonly steps: readonly string[];
  /** Runs that have one of them. */
  readonly runs: number;
  /** Of these, runs that have a step of an earlier block too. */
  readonly after: number;
}

/** Runs that have to show an order before it is kept. */
const ENOUGH_RUNS = 2;

/**
 * The finest chain of blocks that every run follows. Two steps stand in an order where two runs or more have them in it and
 * none, also by way of others, has them the other way round; steps that nothing puts in an order share a block.
 */
export function orderOf(runs: readonly (readonly string[])[]): readonly OrderBlock[] {
  const steps = [...new Set(runs.flat())];
  const seen = precedences(runs, steps, 1);
  const shown = precedences(runs, steps, ENOUGH_RUNS);
  const comesBefore = (a: string, b: string): boolean =>
    shown.get(a)?.has(b) === true && seen.get(b)?.has(a) !== true;
  const ordered = (a: string, b: string): boolean => comesBefore(a, b) || comesBefore(b, a);
  const blocks: (readonly string[])[] = [];
  for (let left = new Set(steps); left.size > 0;) {
    const [seed] = left;
    const block = new Set(seed === undefined ? [] : [seed]);
    // A set grows while it is iterated: whatever cannot be told from a member joins.
    for (const member of block)
      for (const other of left) if (!ordered(member, other)) block.add(other);
    blocks.push([...block]);
    left = new Set([...left].filter((step) => !block.has(step)));
  }
  return blocks
    .toSorted(([a = ""], [b = ""]) => (comesBefore(a, b) ? -1 : 1))
    .map((block, index, all) => withSupport(block, all.slice(0, index).flat(), runs));
}

/** What came after what in so many runs, or after something that did. */
function precedences(
  runs: readonly (readonly string[])[],
  steps: readonly string[],
  fewest: number,
): ReadonlyMap<string, ReadonlySet<string>> {
  const follows = (a: string, b: string): boolean =>
    runs.filter((run) => run.includes(a) && run.lastIndexOf(b) > run.indexOf(a)).length >= fewest;
  const after = new Map(steps.map((a) => [a, new Set(steps.filter((b) => follows(a, b)))]));
  for (const reached of after.values())
    for (const step of reached) for (const next of after.get(step) ?? []) reached.add(next);
  return after;
}

function withSupport(
  steps: readonly string[],
  earlier: readonly string[],
  runs: readonly (readonly string[])[],
): OrderBlock {
  const having = runs.filter((run) => run.some((step) => steps.includes(step)));
  const after = having.filter((run) => run.some((step) => earlier.includes(step)));
  return { steps, runs: having.length, after: after.length };
}
