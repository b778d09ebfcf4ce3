/** Random numbers that a seed makes again: what a failing run prints is enough to run it once more. */

/** The next number, from 0 on and below 1. */
export type Random = () => number;

/** Numbers of one seed; mulberry32: small, good enough to pick moments. */
export function seededRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
