/** A bound on how long an answer may take: a store that hangs is a DENY in time, never a hang. */
import { GateError } from "./errors.ts";

/** Tells work whether anybody still waits for it. */
export interface Deadline {
  /** The time is over; looked at by the clock itself, for a busy event loop fires no timer. */
  readonly expired: boolean;
  /** The answer was given without this work: what it still does must change nothing that others see. */
  readonly abandoned: boolean;
}

/** Resolves as `work` does, or rejects with STORE_UNAVAILABLE after `ms`; then calls `abandoned`. Work that throws rejects. */
export function withDeadline<T>(
  ms: number,
  work: (deadline: Deadline) => Promise<T>,
  abandoned: () => void = () => {},
): Promise<T> {
  const end = performance.now() + ms;
  const deadline = {
    abandoned: false,
    get expired(): boolean {
      return this.abandoned || performance.now() >= end;
    },
  };
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      deadline.abandoned = true;
      abandoned();
      reject(new GateError("STORE_UNAVAILABLE", `no durable answer within ${ms} ms`));
    }, ms);
    const settled = (): void => clearTimeout(timer);
    try {
      Promise.resolve(work(deadline)).then(resolve, reject).then(settled);
    } catch (error) {
      settled();
      reject(error);
    }
  });
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
