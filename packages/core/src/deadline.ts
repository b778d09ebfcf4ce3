/** A bound on how long an answer may take: a store that hangs is a DENY in time, never a hang. */
import { GateError } from "./errors.ts";

/** Tells work that is still queued whether anybody waits for it. */
export interface Deadline {
  readonly expired: boolean;
}

/** Resolves as `work` does, or rejects with STORE_UNAVAILABLE after `ms`. Work that goes on is told by `expired`. */
export function withDeadline<T>(ms: number, work: (deadline: Deadline) => Promise<T>): Promise<T> {
  const deadline = { expired: false };
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      deadline.expired = true;
      reject(new GateError("STORE_UNAVAILABLE", `no durable answer within ${ms} ms`));
    }, ms);
    work(deadline)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}
