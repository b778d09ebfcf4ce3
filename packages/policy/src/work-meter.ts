/** How much work one evaluation may do, counted in units and not in time, so that the same call always ends the same way. */

/** What is left for the evaluation that runs now. Below zero it has failed, whatever it goes on to say. */
export interface WorkMeter {
  left: number;
}

/** Units of one evaluation. A unit is 25 to 40 ns on a small server, so that the whole is less than a tenth of a second. */
export const MAX_WORK = 2_500_000;

/** The evaluation would take too long. */
export class WorkExceeded extends Error {
  override readonly name = "WorkExceeded";

  constructor() {
    super("the arguments are too large for this policy");
  }
}

/** A full meter. */
export function createMeter(): WorkMeter {
  return { left: MAX_WORK };
}

/** Counts work before it is done. @throws WorkExceeded */
export function spend(meter: WorkMeter, units: number): void {
  meter.left -= units;
  if (meter.left < 0) throw new WorkExceeded();
}

/** Fails the evaluation for good: no `||` and no `?:` can turn it into an answer any more. @throws WorkExceeded */
export function exhaust(meter: WorkMeter): never {
  meter.left = -1;
  throw new WorkExceeded();
}
