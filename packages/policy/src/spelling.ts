/** "did you mean": the nearest of the known names, if it is near enough to be a slip of the keyboard. */

/** Bounds the time for a hint, whatever the policy: a longer name, or one among more, gets none. */
const LONGEST = 64;
const MOST = 1000;

/** `did you mean 'intake'?`, or nothing where no known name is near. Ties go to the first. */
export function didYouMean(
  name: string,
  known: Iterable<string>,
): { readonly hint: string } | undefined {
  if (name.length > LONGEST) return undefined;
  let best: string | undefined;
  // One slip for every three letters: of a shorter name only the case can be wrong.
  let bestDistance = Math.floor(name.length / 3) + 1;
  for (const candidate of Iterator.from(known).take(MOST)) {
    const distance = nearness(name, candidate, bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? undefined : { hint: `did you mean '${best}'?` };
}

/** A name in another case is nearer than any typing error. */
function nearness(name: string, candidate: string, limit: number): number {
  if (name.toLowerCase() === candidate.toLowerCase()) return 0;
  return Math.abs(name.length - candidate.length) >= limit ? limit : distance(name, candidate);
}

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours count one each. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(above, j) + 1, at(row, j - 1) + 1, at(above, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, at(before, j - 2) + 1);
      row.push(least);
    }
    [before, above] = [above, row];
  }
  return at(above, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
