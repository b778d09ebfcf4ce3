/** The order of names in whatever must come out alike: by UTF-16 code unit, as RFC 8785 sorts members. */

/** Compares two names, for `toSorted`. */
export function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sorted, each once. */
export function asSet(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted(byCodeUnit);
}

/** The members of an object in order, also where names are numbers, which an object would put first. */
export function sortedEntries<T>(
  members: Readonly<Record<string, T>> | undefined,
): readonly (readonly [name: string, member: T])[] {
  return Object.entries(members ?? {}).toSorted(([a], [b]) => byCodeUnit(a, b));
}

/** The same object with other values. */
export function mapMembers<T, U>(
  members: Readonly<Record<string, T>> | undefined,
  change: (member: T, name: string) => U,
): Readonly<Record<string, U>> {
  return Object.fromEntries(
    sortedEntries(members).map(([name, member]) => [name, change(member, name)]),
  );
}
