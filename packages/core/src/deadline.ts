/** A bound on how long an answer may take: a store that hangs is a DENY in time, never a hang. */
import { GateError } from "./errors.ts";

/** Tells work whether anybody still waits for it. */
export interface Deadline {
  /** When the time is over, on the clock of `performance.now()`. */
  readonly end: number;
  /** The answer was given without this work: what it still does must change nothing that others see. */
  readonly abandoned: boolean;
}

/** True once the time is over. Looked at by the clock itself, for a busy event loop fires no timer. */
export function isOver({ end, abandoned }: Deadline, now: number = performance.now()): boolean {
  return abandoned || now >= end;
}

/**
 * Resolves as `work` does, or rejects with STORE_UNAVAILABLE when its time is over. Work that throws rejects. Either way
 * `over` is called once, right before, with the deadline that the work was given.
 */
export type InTime = <T>(
  work: (deadline: Deadline) => Promise<T>,
  over?: (deadline: Deadline) => void,
) => Promise<T>;

/**
 * Bounds any amount of work to `ms` milliseconds each. What began first ends first, so that one timer serves all of it:
 * a timer for each would cost more than most of them wait for.
 */
export function createDeadlines(ms: number): InTime {
  const beginning: Link = { after: undefined };
  let newest = beginning;
  let timer: NodeJS.Timeout | undefined;

  function begin(reject: Waiting["reject"], over: Waiting["over"]): Waiting {
    const end = performance.now() + ms;
    const waiting: Waiting = {
      end,
      abandoned: false,
      reject,
      over,
      before: newest,
      after: undefined,
    };
    timer ??= setTimeout(abandonLate, ms);
    newest.after = waiting;
    newest = waiting;
    return waiting;
  }

  function settled(waiting: Waiting): void {
    const { before, after, over } = waiting;
    before.after = after;
    if (after === undefined) newest = before;
    else after.before = before;
    // What lies in the old space already must not hold on to what came after it, nor to what was waited for.
    waiting.before = beginning;
    waiting.after = undefined;
    waiting.over = undefined;
    waiting.reject = nobodyWaits;
    // Nobody waits any more: what is left of the time must keep no process alive.
    if (newest === beginning) stop();
    over?.(waiting);
  }

  function stop(): void {
    clearTimeout(timer);
    timer = undefined;
  }

  function abandonLate(): void {
    timer = undefined;
    const now = performance.now();
    for (let oldest = beginning.after; oldest !== undefined; oldest = beginning.after) {
      if (oldest.end > now) {
        timer = setTimeout(abandonLate, Math.ceil(oldest.end - now));
        return;
      }
      const { reject } = oldest;
      oldest.abandoned = true;
      settled(oldest);
      reject(new GateError("STORE_UNAVAILABLE", `no durable answer within ${ms} ms`));
    }
  }

  return (work, over) =>
    new Promise((resolve, reject) => {
      const waiting = begin(reject, over);
      const fail = (error: unknown): void => {
        if (!waiting.abandoned) settled(waiting);
        reject(error);
      };
      try {
        Promise.resolve(work(waiting)).then((result) => {
          if (!waiting.abandoned) settled(waiting);
          resolve(result);
        }, fail);
      } catch (error) {
        fail(error);
      }
    });
}

/** {@link createDeadlines} for one piece of work. */
export function withDeadline<T>(ms: number, work: (deadline: Deadline) => Promise<T>): Promise<T> {
  return createDeadlines(ms)(work);
}

/** What a store is asked outside of a decision: in time, and its faults as the gate's. @throws GateError STORE_UNAVAILABLE. */
export async function askStore<T>(ms: number, question: () => Promise<T>): Promise<T> {
  try {
    return await withDeadline(ms, question);
  } catch (cause) {
    if (GateError.isInstance(cause)) throw cause;
    throw new GateError("STORE_UNAVAILABLE", "the store failed", { cause });
  }
}

interface Link {
  after: Waiting | undefined;
}

/** Work that is waited for, between what began before it and after it. */
interface Waiting extends Link {
  readonly end: number;
  abandoned: boolean;
  reject: (late: GateError) => void;
  over: ((deadline: Deadline) => void) | undefined;
  before: Link;
}

function nobodyWaits(): void {}
