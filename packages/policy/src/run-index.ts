/** Looks up runs of words in a long list of words: one sorting of its suffixes, then a binary search for each run. */

/** Whether a run of at least one word occurs in `words`. Time: n log n once, then the run's length times log n. */
export function indexRuns(words: readonly string[]): (run: readonly string[]) => boolean {
  const numbers = new Map<string, number>();
  const text = Int32Array.from(words, (word) => {
    let number = numbers.get(word);
    if (number === undefined) numbers.set(word, (number = numbers.size));
    return number;
  });
  let suffixes: Int32Array | undefined;
  return (run) => {
    const pattern = run.map((word) => numbers.get(word) ?? -1);
    if (pattern.includes(-1)) return false;
    if (pattern.length === 1) return true;
    suffixes ??= sortSuffixes(text, numbers.size);
    return occurs(pattern, text, suffixes);
  };
}

/** The suffixes in order, by doubling the length that is compared and one counting sort for each doubling. */
function sortSuffixes(text: Int32Array, alphabet: number): Int32Array {
  const count = text.length;
  let ranks = Int32Array.from(text);
  let suffixes = countingSort(Int32Array.from(text.keys()), ranks, alphabet);
  let classes = alphabet;
  for (let length = 1; length < count; length *= 2) {
    suffixes = countingSort(shifted(suffixes, length), ranks, classes);
    const next = new Int32Array(count);
    let rank = 0;
    for (let i = 1; i < count; i++) {
      if (!isEqual(at(suffixes, i - 1), at(suffixes, i), length, ranks)) rank += 1;
      next[at(suffixes, i)] = rank;
    }
    ranks = next;
    classes = rank + 1;
    if (classes === count) break;
  }
  return suffixes;
}

/** The suffixes in the order of what begins `length` behind their beginning: those that end before it come first. */
function shifted(suffixes: Int32Array, length: number): Int32Array {
  const order = new Int32Array(suffixes.length);
  let filled = 0;
  for (let i = suffixes.length - length; i < suffixes.length; i++) order[filled++] = i;
  for (const suffix of suffixes) if (suffix >= length) order[filled++] = suffix - length;
  return order;
}

/** Stable. */
function countingSort(items: Int32Array, ranks: Int32Array, classes: number): Int32Array {
  const starts = new Int32Array(classes + 1);
  for (const rank of ranks) starts[rank + 1] = at(starts, rank + 1) + 1;
  for (let i = 1; i <= classes; i++) starts[i] = at(starts, i) + at(starts, i - 1);
  const sorted = new Int32Array(items.length);
  for (const item of items) {
    const rank = at(ranks, item);
    const place = at(starts, rank);
    sorted[place] = item;
    starts[rank] = place + 1;
  }
  return sorted;
}

function isEqual(a: number, b: number, length: number, ranks: Int32Array): boolean {
  if (at(ranks, a) !== at(ranks, b)) return false;
  return (ranks[a + length] ?? -1) === (ranks[b + length] ?? -1);
}

function occurs(pattern: readonly number[], text: Int32Array, suffixes: Int32Array): boolean {
  let low = 0;
  let high = suffixes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compare(pattern, text, at(suffixes, middle));
    if (order === 0) return true;
    if (order > 0) low = middle + 1;
    else high = middle;
  }
  return false;
}

/** Below, equal to the beginning of, or above the suffix. */
function compare(pattern: readonly number[], text: Int32Array, suffix: number): number {
  for (let i = 0; i < pattern.length; i++) {
    const difference = (pattern[i] ?? -1) - (text[suffix + i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Within bounds by construction. */
function at(array: Int32Array, index: number): number {
  return array[index] ?? 0;
}
