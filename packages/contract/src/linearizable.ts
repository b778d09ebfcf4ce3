/**
 * Whether a history of concurrent calls can be explained by calls that happened one after the other, each at some moment
 * between its call and its answer: the search of Wing & Gong (1993) with the memory of Lowe (2017). It knows nothing of
 * stores and gates, and shares no code with them or with their models.
 */

/** One call of one client. Times are of one monotonic clock, e.g. `process.hrtime.bigint()` of processes on one host. */
export interface Operation<Input, Output> {
  readonly input: Input;
  /** `undefined`: nobody knows. It may have happened at any time after its call, or not at all. */
  readonly output: Output | undefined;
  readonly called: bigint;
  /** `undefined`: nobody was told. With an `output` it did happen (something shows it), at whatever time after its call. */
  readonly returned: bigint | undefined;
}

/** What the calls would do one after the other. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after `input` was answered with `output`, or with whatever fits where that is `undefined`. Returns
   * `undefined` where it cannot have been answered so, and where a call without a known answer would change nothing.
   */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal for equal states, and only for them. */
  key(state: State): string;
}

/** The verdict on a history. */
export type Linearizability<Input, Output> =
  | { readonly linearizable: true }
  /** The best try explained so many operations, and then no order of the rest answered `stuck` as it was answered. */
  | {
      readonly linearizable: false;
      readonly stuck: Operation<Input, Output>;
      readonly explained: number;
    };

/** Searches for one order that explains the whole history. Exponential at worst; fast where answers say much. */
export function checkLinearizable<State, Input, Output>(
  history: readonly Operation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
): Linearizability<Input, Output> {
  const timeline = timelineOf(history);
  const tries: Try<State, Input, Output>[] = [];
  const isNew = newPlaces();
  let [state, taken] = [model.initial, 0n];
  let owed = history.filter(isKnown).length;
  let best = { stuck: history[0], explained: -1 };
  for (let entry = timeline.next; owed > 0;) {
    if (entry?.kind === "call") {
      const { input, output } = entry.operation;
      const after = model.step(state, input, output);
      const including = taken | (1n << entry.id);
      if (after === undefined || !isNew(including, model.key(after))) {
        entry = entry.next;
        continue;
      }
      tries.push({ entry, state, taken });
      [state, taken] = [after, including];
      if (isKnown(entry.operation)) owed--;
      lift(entry);
      entry = timeline.next;
      continue;
    }
    // At an answer whose call has no place yet, or at the end: the last choice was wrong.
    if (tries.length > best.explained)
      best = { stuck: entry?.operation ?? firstLeft(timeline), explained: tries.length };
    const last = tries.pop();
    if (last === undefined) return refused(best);
    ({ state, taken } = last);
    if (isKnown(last.entry.operation)) owed++;
    putBack(last.entry);
    entry = last.entry.next;
  }
  return { linearizable: true };
}

/** A call that was given the next place, and what was before it. */
interface Try<State, Input, Output> {
  readonly entry: Entry<Input, Output>;
  readonly state: State;
  /** One bit for each operation that has its place. */
  readonly taken: bigint;
}

function isKnown({ output }: Operation<unknown, unknown>): boolean {
  return output !== undefined;
}

/** Whether the search was never here before: the same operations done, and the same state after them. */
function newPlaces(): (taken: bigint, state: string) => boolean {
  const seen = new Set<string>();
  return (taken, state) => seen.size < seen.add(`${taken.toString(36)} ${state}`).size;
}

function firstLeft<Input, Output>(
  timeline: Link<Input, Output>,
): Operation<Input, Output> | undefined {
  for (let entry = timeline.next; entry !== undefined; entry = entry.next)
    if (isKnown(entry.operation)) return entry.operation;
  return undefined;
}

function refused<Input, Output>(best: {
  readonly stuck: Operation<Input, Output> | undefined;
  readonly explained: number;
}): Linearizability<Input, Output> {
  if (best.stuck === undefined) throw new Error("an empty history is always linearizable");
  return { linearizable: false, stuck: best.stuck, explained: best.explained };
}

/** A moment in a doubly linked list of all calls and answers, in order of time. */
interface Entry<Input, Output> {
  readonly kind: "call" | "return";
  readonly id: bigint;
  readonly operation: Operation<Input, Output>;
  /** Of a call: its answer, where it has one. */
  readonly answer?: Entry<Input, Output>;
  before: Link<Input, Output>;
  next: Entry<Input, Output> | undefined;
}

interface Link<Input, Output> {
  next: Entry<Input, Output> | undefined;
}

function timelineOf<Input, Output>(
  history: readonly Operation<Input, Output>[],
): Link<Input, Output> {
  const head: Link<Input, Output> = { next: undefined };
  const moments = history.flatMap((operation, index): readonly Moment<Input, Output>[] => {
    const { output, called, returned } = operation;
    const common = { id: BigInt(index), operation, before: head, next: undefined };
    if (output === undefined || returned === undefined)
      return [{ at: called, entry: { ...common, kind: "call" } }];
    const answer: Entry<Input, Output> = { ...common, kind: "return" };
    const call: Entry<Input, Output> = { ...common, kind: "call", answer };
    return [
      { at: called, entry: call },
      { at: returned, entry: answer },
    ];
  });
  let last = head;
  for (const { entry } of moments.toSorted(inTime)) {
    entry.before = last;
    last.next = entry;
    last = entry;
  }
  return head;
}

interface Moment<Input, Output> {
  readonly at: bigint;
  readonly entry: Entry<Input, Output>;
}

/** Calls before answers of the same moment: then the two may have overlapped. */
function inTime(a: Moment<unknown, unknown>, b: Moment<unknown, unknown>): number {
  if (a.at !== b.at) return a.at < b.at ? -1 : 1;
  return a.entry.kind === b.entry.kind ? 0 : a.entry.kind === "call" ? -1 : 1;
}

/** Takes a call and its answer out of the list; they keep their own links for {@link putBack}. */
function lift<Input, Output>(call: Entry<Input, Output>): void {
  for (const entry of [call, call.answer]) {
    if (entry === undefined) continue;
    entry.before.next = entry.next;
    if (entry.next !== undefined) entry.next.before = entry.before;
  }
}

/** The reverse of {@link lift}, for the call that was taken out last. */
function putBack<Input, Output>(call: Entry<Input, Output>): void {
  for (const entry of [call.answer, call]) {
    if (entry === undefined) continue;
    entry.before.next = entry;
    if (entry.next !== undefined) entry.next.before = entry;
  }
}
