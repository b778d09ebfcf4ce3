/** Patterns of agents: `*` is any run of characters, the whole name counts, case too, and no pattern takes long. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matchesPattern } from "../src/agent-pattern.ts";
import { isOneOf } from "./plain-policy.ts";
import { quickest, SOON_MS } from "./quickest.ts";

describe("a pattern", () => {
  test.each([
    ["bot-*", "bot-1", true],
    ["bot-*", "bot-", true],
    ["bot-*", "bot", false],
    ["bot-*", "a-bot-1", false],
    ["bot-*", "Bot-1", false],
    ["*-eu", "bot-eu", true],
    ["*-eu", "bot-eu-1", false],
    ["a*b*c", "abc", true],
    ["a*b*c", "axbxbxc", true],
    ["a*b*c", "acb", false],
    ["ab*ba", "aba", false],
    ["a*a*a", "aa", false],
    ["*", "", true],
    ["*", "anyone", true],
    ["**", "", true],
    ["a", "a", true],
    ["a", "aa", false],
    ["a.c", "abc", false],
    ["*bc*", "abbc", true],
    ["", "", true],
    ["", "a", false],
  ])("%s and %s: %s", (pattern, agent, matches) => {
    expect(matchesPattern(pattern, agent)).toBe(matches);
  });

  test("agrees with a regular expression on random patterns and names", () => {
    const letters = (more: readonly string[]): fc.Arbitrary<string> =>
      fc.string({ unit: fc.constantFrom("a", "b", "-", ".", ...more), maxLength: 9 });
    fc.assert(
      fc.property(letters(["*", "*"]), letters([]), (pattern, agent) => {
        expect(matchesPattern(pattern, agent)).toBe(isOneOf([pattern], agent));
      }),
      { numRuns: 5000 },
    );
  });

  test("of the worst kind is decided at once", () => {
    const pattern = "*a".repeat(100);
    const agent = `${"a".repeat(99)}b`.repeat(2);
    expect(quickest(() => matchesPattern(pattern, agent))).toBeLessThan(SOON_MS);
  });
});
