/** Far above what bounded work takes, a tenth of a second, on a machine with other things to do; far below what unbounded work takes. */
export const SOON_MS = 1_000;

/** How long something takes in milliseconds: the best of some tries, and no further one where it is quick enough. */
export function quickest(work: () => unknown, enough = SOON_MS): number {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 5 && best >= enough; tries++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}
