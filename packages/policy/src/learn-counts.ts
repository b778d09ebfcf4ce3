/** Counts over the values of an argument, which is all that is learned by; and how people are told. */
import type { Json, JsonObject } from "@stepgate/core/compiler";

/** A value as a call of some run gave it, with the context that the call had. */
export interface ArgumentUse {
  readonly run: number;
  readonly value: Json;
  readonly context: JsonObject;
}

/** Each value once, in the order in which they first appear. */
export function distinct(values: readonly Json[]): readonly Json[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** How many different runs there are. */
export function runsOf(calls: readonly { readonly run: number }[]): number {
  return new Set(calls.map(({ run }) => run)).size;
}

/** How many values only one run has, and how many several have. */
function recurrence(uses: readonly ArgumentUse[]): {
  readonly single: number;
  readonly several: number;
} {
  const groups = [...Map.groupBy(uses, ({ value }) => JSON.stringify(value)).values()];
  const several = groups.filter((of) => runsOf(of) > 1).length;
  return { single: groups.length - several, several };
}

/** Longer lists nobody reads. */
const MOST_LISTED = 50;

/** Whether the runs have probably shown all values there are: half of them or more came back in another run. */
export function isClosed(uses: readonly ArgumentUse[]): boolean {
  const { several, single } = recurrence(uses);
  return several > 0 && single <= several && single + several <= MOST_LISTED;
}

/** `1 in several runs, 2 in one run`. */
export function recurrenceText(uses: readonly ArgumentUse[]): string {
  const { several, single } = recurrence(uses);
  return `${several} in several runs${single > 0 ? `, ${single} in one run` : ""}`;
}

/** `1 call`, `2 calls`. */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
