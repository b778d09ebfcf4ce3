/** A clock that stands until a test moves it, forwards or back. */
import { NOON } from "./reference/walk.ts";

/** Milliseconds since the epoch, as the test says. */
export interface HeldClock {
  readonly clock: () => number;
  pass(ms: number): void;
  set(ms: number): void;
}

/** Stands at noon at first. */
export function heldClock(start: number = NOON): HeldClock {
  let now = start;
  return {
    clock: () => now,
    pass(ms) {
      now += ms;
    },
    set(ms) {
      now = ms;
    },
  };
}
