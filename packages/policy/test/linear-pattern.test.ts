/** Patterns: linear in the text, bounded before they are compiled, and counted. */
import { describe, expect, test } from "vitest";
import { compilePattern, createPatternSet, type LinearPattern } from "../src/linear-pattern.ts";
import { createMeter, MAX_WORK, WorkExceeded } from "../src/work-meter.ts";
import { quickest, SOON_MS } from "./quickest.ts";

function compiled(source: string): LinearPattern {
  const pattern = compilePattern(source);
  if ("fault" in pattern) throw new Error(pattern.fault.message);
  return pattern;
}

describe("a pattern", () => {
  test("is looked for anywhere, and anchors hold", () => {
    expect(compiled("b+").test("abbc", createMeter())).toBe(true);
    expect(compiled("^b+$").test("abbc", createMeter())).toBe(false);
    expect(compiled("^[A-Z]{2}[0-9]{2}$").test("GB29\n", createMeter())).toBe(false);
  });

  test("gives the same answer however often it was asked before", () => {
    const pattern = compiled("a[ab]{10}c");
    const texts = ["abababababac", "bbbbbbbbbbbb", "aaaaaaaaaaaaaaac"];
    const first = texts.map((text) => pattern.test(text, createMeter()));
    expect(first).toEqual([true, false, true]);
    for (let i = 0; i < 100; i++)
      expect(texts.map((text) => pattern.test(text, createMeter()))).toEqual(first);
  });

  test("takes the time of its size on a text that would fill the memory of a DFA", () => {
    let text = "";
    for (let i = 0, x = 1; i < 5000; i++, x = (x * 16_807) % 2_147_483_647)
      text += x % 2 === 0 ? "a" : "b";
    const test = () => compiled("(a|b)*a(a|b){100}(c|d)").test(text, createMeter());
    expect(quickest(test)).toBeLessThan(SOON_MS);
  });

  test("counts the text times the size of its program", () => {
    const pattern = compiled("a{100}");
    const meter = createMeter();
    pattern.test("b".repeat(999), meter);
    expect(MAX_WORK - meter.left).toBe(pattern.size * 1000);
    expect(() => pattern.test("b".repeat(MAX_WORK / 100), meter)).toThrow(WorkExceeded);
  });

  test("of a thousand characters can be tested on a text of that length", () => {
    expect(compiled("^.{1,1000}$").test("x".repeat(1000), createMeter())).toBe(true);
  });

  test.each([
    "a{1000}".repeat(100),
    "(?:a{100}){100}",
    "((((a{8}){8}){8}){8}){8}",
    "(a?){1000}(b?){1000}(c?){1000}(d?){1000}",
    "(?:[a-z]{1,100}\\.){1,100}",
    "[\\pL]".repeat(700),
    "x".repeat(5000),
    "(".repeat(4000),
    "(?:a{2}){1000000000}",
  ])("that is huge is refused at once: %s", (source) => {
    expect(compilePattern(source)).toHaveProperty("fault");
    expect(quickest(() => compilePattern(source))).toBeLessThan(SOON_MS);
  });

  test.each([
    "^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}\\.[A-Za-z]{2,63}$",
    "^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$",
    "^[\\p{L}\\p{M}' .-]{1,200}$",
    "[[:alpha:]]{3}[^]]\\{2}\\[",
    "^(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(\\.(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})){3}$",
    "(?i)confidential|secret",
  ])("of the usual kind is taken: %s", (source) => {
    expect(compiled(source).size).toBeGreaterThan(1);
  });
});

describe("a set of patterns", () => {
  test("refuses what would be too much together, and compiles each once", () => {
    const set = createPatternSet("re2");
    const first = set.compile("^a$");
    expect(set.compile("^a$")).toBe(first);
    const results = Array.from({ length: 20 }, (_, i) => set.compile(`(?:a{30}b{30}){30}${i}`));
    expect(results.some((result) => "test" in result)).toBe(true);
    expect(results.at(-1)).toEqual({ fault: { message: "the patterns are too large together" } });
  });

  test("reads the spelling of JSON Schema, and not in conditions", () => {
    const json = createPatternSet("ecmascript").compile("^\\u0041(?<n>b)$");
    expect("test" in json && json.test("Ab", createMeter())).toBe(true);
    expect(createPatternSet("re2").compile("^\\u0041$")).toHaveProperty("fault");
  });
});
