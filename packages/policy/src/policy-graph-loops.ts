/** Finds the loops of an order: which arrows lead back to a beginning, and which lead on. */
import { componentsOf } from "./policy-graph-components.ts";

/** Each of the sources may be followed by each of the targets, where the loop begins again. */
export interface Loop {
  readonly sources: readonly number[];
  readonly targets: readonly number[];
}

interface Arrow {
  readonly from: number;
  readonly to: number;
}

/** The arrows that lead on, which never come back, and the rest as loops. Node 0 is the start. */
export function splitLoops<T extends Arrow>(
  count: number,
  arrows: readonly T[],
): { readonly forward: readonly T[]; readonly loops: readonly Loop[] } {
  let forward = arrows;
  const loops: Loop[] = [];
  for (;;) {
    const back = arrowsBack(count, forward);
    if (back.size === 0) return { forward, loops };
    forward = forward.filter((arrow) => !back.has(arrow));
    loops.push(...grouped([...back]));
  }
}

/** Within each component, what leads to where it is entered. */
function arrowsBack(count: number, arrows: readonly Arrow[]): ReadonlySet<Arrow> {
  const targets = Map.groupBy(arrows, ({ from }) => from);
  const components = componentsOf(count, (node) => (targets.get(node) ?? []).map(({ to }) => to));
  const isInside = ({ from, to }: Arrow): boolean => components[from] === components[to];
  const entries = new Set(arrows.filter((arrow) => !isInside(arrow)).map(({ to }) => to));
  return new Set(arrows.filter((arrow) => isInside(arrow) && entries.has(arrow.to)));
}

/** Sources that lead back to the same targets are one loop. */
function grouped(back: readonly Arrow[]): readonly Loop[] {
  const targets = Map.groupBy(back, ({ from }) => from);
  const bySet = Map.groupBy([...targets], ([, arrows]) =>
    arrows
      .map(({ to }) => to)
      .toSorted((a, b) => a - b)
      .join(),
  );
  return [...bySet].map(([key, members]) => ({
    sources: members.map(([source]) => source),
    targets: key.split(",").map(Number),
  }));
}
