/** Runs of words: the index answers as looking at every place does. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { indexRuns } from "../src/run-index.ts";

test("a run is found exactly where it stands at some place of the list", () => {
  // Few words, so that lists repeat themselves and runs agree far before they differ.
  const words = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 40 });
  const run = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(words, run, fc.nat(40), (list, other, from) => {
      const hasRun = indexRuns(list);
      const part = list.slice(from, from + other.length);
      for (const asked of part.length > 0 ? [other, part] : [other]) {
        const expected = list.some((_, start) =>
          asked.every((word, i) => list[start + i] === word),
        );
        expect(hasRun(asked)).toBe(expected);
      }
    }),
    { numRuns: 5000 },
  );
});

test("a run may be the whole list, and not longer", () => {
  for (const length of [1, 2, 3, 4, 7, 8, 9, 64, 100]) {
    const list = Array.from({ length }, () => "a");
    expect(indexRuns(list)(list)).toBe(true);
    expect(indexRuns(list)([...list, "a"])).toBe(false);
  }
});

test("nothing is in an empty list", () => {
  expect(indexRuns([])(["a"])).toBe(false);
});
