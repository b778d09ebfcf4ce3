/**
 * Group commit, for reads too: what is asked for while a batch is under way goes with the next, so that one round trip
 * (and one fsync) serves many decisions.
 *
 * INVARIANT: of calls with one key at most one is under way. An answer is known by its place in the batch, never looked up
 * by what was asked, which two calls may have in common.
 */

/** Calls, many at a time. */
export interface Group<Call, Answer> {
  /** Answers within the time-out, or rejects; what was under way by then may happen yet. */
  submit(call: Call): Promise<Answer>;
  /** Resolves when everything that was submitted is answered and nothing is under way. */
  drained(): Promise<void>;
}

/** How batches are made of calls. */
export interface Grouping<Call, Answer> {
  /** Resolves to one answer for each call, in order; it may reject. */
  run(batch: readonly Call[]): Promise<readonly Answer[]>;
  readonly timeoutMs: number;
  /** How many batches may be under way. */
  readonly lanes: number;
  /** How much of a batch a call takes up, of at most {@link FULL}. */
  sizeOf(call: Call): number;
  /** Calls that must not be under way together have one key. */
  keyOf?(call: Call): string;
  /** What a waiting call of the same key can be told, now that another has been answered; `undefined` where it must ask. */
  foregone?(call: Call, answer: Answer, waiting: Call): Answer | undefined;
}

/** The size of a batch: more would keep the others waiting. */
export const FULL = 1_000_000;

interface Waiting<Call, Answer> {
  readonly call: Call;
  readonly key: string | undefined;
  readonly expires: number;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** Begins with nothing under way. */
export function group<Call, Answer>(grouping: Grouping<Call, Answer>): Group<Call, Answer> {
  const { run, timeoutMs, lanes, sizeOf, keyOf, foregone } = grouping;
  /** In the order in which they expire. */
  const unanswered = new Set<Waiting<Call, Answer>>();
  let queue: Waiting<Call, Answer>[] = [];
  const busy = new Set<string>();
  let underWay = 0;
  let scheduled = false;
  let timer: NodeJS.Timeout | undefined;
  let idle: PromiseWithResolvers<void> | undefined;

  function submit(call: Call): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const expires = performance.now() + timeoutMs;
    const waiting = { call, key: keyOf?.(call), expires, resolve, reject };
    unanswered.add(waiting);
    queue.push(waiting);
    timer ??= setTimeout(expire, timeoutMs);
    schedule();
    return promise;
  }

  /** At the end of the turn, when everybody who is about to submit has. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (underWay < lanes) {
        const batch = take();
        if (batch.length === 0) break;
        void send(batch);
      }
      if (underWay === 0 && queue.length === 0) idle?.resolve();
    });
  }

  /** The next calls whose keys are free, in the order in which they came. */
  function take(): readonly Waiting<Call, Answer>[] {
    const batch: Waiting<Call, Answer>[] = [];
    const left: Waiting<Call, Answer>[] = [];
    let size = 0;
    for (const waiting of queue) {
      const { call, key } = waiting;
      if (!unanswered.has(waiting)) continue; // It expired before it was sent.
      if (size >= FULL || (key !== undefined && busy.has(key))) {
        left.push(waiting);
        continue;
      }
      if (key !== undefined) busy.add(key);
      batch.push(waiting);
      size += sizeOf(call);
    }
    queue = left;
    return batch;
  }

  async function send(batch: readonly Waiting<Call, Answer>[]): Promise<void> {
    underWay++;
    try {
      const answers = await run(batch.map(({ call }) => call));
      for (const [nth, waiting] of batch.entries()) {
        const answer = answers[nth];
        if (answer === undefined) settle(waiting, ({ reject }) => reject(new Error("no answer")));
        else settle(waiting, ({ resolve }) => resolve(answer));
      }
      tellForegone(batch, answers);
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const waiting of batch) settle(waiting, ({ reject }) => reject(reason));
    }
    for (const { key } of batch) if (key !== undefined) busy.delete(key);
    underWay--;
    schedule();
  }

  function tellForegone(batch: readonly Waiting<Call, Answer>[], answers: readonly Answer[]): void {
    if (foregone === undefined || queue.length === 0) return;
    const answered = new Map(batch.map(({ key }, nth) => [key, nth]));
    queue = queue.filter((waiting) => {
      const nth = answered.get(waiting.key) ?? -1;
      const [other, answer] = [batch[nth], answers[nth]];
      if (other === undefined || answer === undefined) return true;
      const known = foregone(other.call, answer, waiting.call);
      if (known === undefined) return true;
      settle(waiting, ({ resolve }) => resolve(known));
      return false;
    });
  }

  function settle(
    waiting: Waiting<Call, Answer>,
    tell: (waiting: Waiting<Call, Answer>) => void,
  ): void {
    if (unanswered.delete(waiting)) tell(waiting);
    // Nobody waits any more: what is left of the time must keep no process alive.
    if (unanswered.size === 0) {
      clearTimeout(timer);
      timer = undefined;
    }
  }

  function expire(): void {
    const now = performance.now();
    timer = undefined;
    for (const waiting of unanswered) {
      if (waiting.expires > now) {
        timer = setTimeout(expire, waiting.expires - now);
        return;
      }
      settle(waiting, ({ reject }) => reject(new Error(`no answer within ${timeoutMs} ms`)));
    }
  }

  async function drained(): Promise<void> {
    if (underWay === 0 && queue.length === 0) return;
    idle ??= Promise.withResolvers();
    schedule();
    await idle.promise;
  }

  return { submit, drained };
}
