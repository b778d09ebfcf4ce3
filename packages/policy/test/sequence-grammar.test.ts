/** What the sequence grammar accepts and refuses, to the character. */
import { describe, expect, test } from "vitest";
import { parseSequence, printSequence } from "../src/sequence-grammar.ts";

function printed(text: string): string {
  const parsed = parseSequence(text);
  return "fault" in parsed
    ? `${parsed.fault.offset}: ${parsed.fault.message}`
    : printSequence(parsed.tree);
}

describe("an expression is printed in its normal form", () => {
  test.each([
    ["intake,disruption,settle", "intake, disruption, settle"],
    ["a", "a"],
    [" a\t,\r\n b ", "a, b"],
    ["((a))", "a"],
    ["(a, (b, (c, d)))", "a, b, c, d"],
    ["a | (b | (c | d))", "a | b | c | d"],
    ["a, b | c, d", "a, b | c, d"],
    ["a, (b | c), d", "a, (b | c), d"],
    ["(a, b) | c", "a, b | c"],
    ["(a)?, (b)*, (c)+", "a?, b*, c+"],
    ["a{0,1}, a{0,}, a{1,}, a{1,1}, a{1}", "a?, a*, a+, a, a"],
    ["a{2}, a{2,}, a{0,2}, a{2,3}", "a{2,2}, a{2,}, a{0,2}, a{2,3}"],
    ["(a, b){1,1}, c", "a, b, c"],
    ["(a | b){1}, c", "(a | b), c"],
    ["(a{1,1})?", "a?"],
    ["(a?)?", "(a?)?"],
    ["a, a, a", "a, a, a"],
    ["a.b-c_1, _x", "a.b-c_1, _x"],
    ["a | a", "a | a"],
    ["a{ 1 , 3 }", "a{1,3}"],
    ["a {2}", "a{2,2}"],
    ["(((a | b)?, c)*, d)+", "(((a | b)?, c)*, d)+"],
    ["(a{10}){100}", "(a{10,10}){100,100}"],
    ["(a{1000,}){1,}", "(a{1000,})+"],
    ["((a*){1000})*", "((a*){1000,1000})*"],
  ])("%j becomes %j", (text, expected) => {
    expect(printed(text)).toBe(expected);
  });
});

describe("what is no sequence is refused where it goes wrong", () => {
  test.each([
    ["", "0: expected a step name or '(', found the end"],
    ["   ", "3: expected a step name or '(', found the end"],
    [",a", "0: expected a step name or '(', found ','"],
    ["a,", "2: expected a step name or '(', found the end"],
    ["a,,b", "2: expected a step name or '(', found ','"],
    ["a b", "2: expected ',', '|' or the end, found 'b'"],
    ["a | | b", "4: expected a step name or '(', found '|'"],
    ["a; b", "1: ';' has no meaning in a sequence"],
    ["a, b → c", "5: '→' has no meaning in a sequence"],
    ["a, 1b", "3: expected a step name or '(', found '1'"],
    ["()", "1: expected a step name or '(', found ')'"],
    ["(a, b", "0: this '(' is never closed"],
    ["a)", "1: expected ',', '|' or the end, found ')'"],
    ["(a b)", "3: expected ',', '|' or ')', found 'b'"],
    ["?", "0: expected a step name or '(', found '?'"],
    ["a??", "2: a step or group takes one suffix, found a second: '?'"],
    ["a{2}{3}", "4: a step or group takes one suffix, found a second: '{'"],
    ["a{0}", "1: a step that may never occur: the upper bound is 0"],
    ["a{0,0}", "1: a step that may never occur: the upper bound is 0"],
    ["a, b{3,2}", "4: the lower bound 3 is above the upper bound 2"],
    ["a{}", "2: expected a number, found '}'"],
    ["a{,2}", "2: expected a number, found ','"],
    ["a{-1}", "2: '-' has no meaning in a sequence"],
    ["a{1", "3: expected '}', found the end"],
    ["a{1,2,3}", "5: expected '}', found ','"],
    ["a{01}", "2: '01' has a leading zero"],
    ["a{1001}", "1: counters within one another multiply to 1001, above 1000"],
    ["a{1001,}", "1: counters within one another multiply to 1001, above 1000"],
    ["a{99999999999999999999}", "2: a counter above 1000"],
    ["b, (a{10,11}, c){2,100}", "5: counters within one another multiply to 1100, above 1000"],
    ["((a{10,}){101})*", "3: counters within one another multiply to 1010, above 1000"],
    ["((a | (b, (c | (d)))))", "10: parentheses deeper than 3"],
    ["((((a))))", "3: parentheses deeper than 3"],
    [`${"a".repeat(129)}`, "0: a step name has at most 128 characters"],
    ["(".repeat(100_000), "3: parentheses deeper than 3"],
  ])("%j: %s", (text, expected) => {
    expect(printed(text)).toBe(expected);
  });

  test("with a way out for a second suffix", () => {
    expect(parseSequence("a?*")).toMatchObject({
      fault: { hint: "put parentheses around the first" },
    });
  });
});

test("128 characters are a name, and 1,000 a counter", () => {
  expect(printed("a".repeat(128))).toBe("a".repeat(128));
  expect(printed("a{1000}")).toBe("a{1000,1000}");
});
