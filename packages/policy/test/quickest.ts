/** Far above what bounded work takes, a tenth of a second, on a machine with other things to do; far below what unbounded work takes. */
export const SOON_MS = 1_000;

/**
 * How long something takes, in milliseconds, when the machine leaves it alone: the best of some tries. It stops trying at
 * what is quick enough, so that only a slow thing, and no busy machine, takes long.
 */
export function quickest(work: () => unknown, enough = 60): number {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 40 && best > enough; tries++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}
