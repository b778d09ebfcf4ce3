/** The compiled order against two independent readings of the same expression, and against hostile ones. */
import type { Automaton } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileSequence, MAX_STATES } from "../src/sequence-automaton.ts";
import { parseSequence, type Sequence, stepNames } from "../src/sequence-grammar.ts";
import { CASES, sample, trace } from "./arbitrary-sequence.ts";
import { quickest, SOON_MS } from "./quickest.ts";

function treeOf(text: string): Sequence {
  const parsed = parseSequence(text);
  if ("fault" in parsed)
    throw new Error(`${parsed.fault.message} at ${parsed.fault.offset} in ${text}`);
  return parsed.tree;
}

function compiled(text: string): {
  readonly automaton: Automaton;
  readonly steps: readonly string[];
} {
  const tree = treeOf(text);
  const steps = stepNames(tree);
  const result = compileSequence(tree, steps);
  if ("fault" in result) throw new Error(result.fault);
  return { automaton: result.automaton, steps };
}

function fault(text: string): string | undefined {
  const tree = treeOf(text);
  const result = compileSequence(tree, stepNames(tree));
  return "fault" in result ? result.fault : undefined;
}

/** The verdict on each prefix: is it admissible so far, and may the order end here? */
function walk(
  { automaton, steps }: ReturnType<typeof compiled>,
  calls: readonly string[],
): readonly string[] {
  let state = 0;
  const verdicts = [automaton.accepting[state] === 1 ? "complete" : "open"];
  for (const call of calls) {
    const step = steps.indexOf(call);
    const next = step === -1 ? -1 : (automaton.next[state * steps.length + step] ?? -1);
    if (next === -1) return [...verdicts, "refused"];
    state = next;
    verdicts.push(automaton.accepting[state] === 1 ? "complete" : "open");
  }
  return verdicts;
}

/** Brzozowski's derivatives, straight from the definition: slow and with nothing in common with positions and subsets. */
type Language =
  | "none"
  | "empty"
  | { readonly step: string }
  | { readonly op: "cat" | "or"; readonly a: Language; readonly b: Language }
  | { readonly star: Language };

function language(tree: Sequence): Language {
  switch (tree.kind) {
    case "step":
      return { step: tree.name };
    case "list":
      return tree.items
        .map(language)
        .reduceRight((rest, item) => cat(item, rest), "empty" as Language);
    case "choice":
      return tree.items.map(language).reduce((a, b) => or(a, b), "none" as Language);
    case "repeat": {
      const item = language(tree.item);
      let tail: Language = tree.max === undefined ? { star: item } : "empty";
      for (let round = tree.min; round < (tree.max ?? tree.min); round++)
        tail = or("empty", cat(item, tail));
      for (let round = 0; round < tree.min; round++) tail = cat(item, tail);
      return tail;
    }
  }
}

function cat(a: Language, b: Language): Language {
  if (a === "none" || b === "none") return "none";
  return a === "empty" ? b : b === "empty" ? a : { op: "cat", a, b };
}

function or(a: Language, b: Language): Language {
  if (a === "none" || JSON.stringify(a) === JSON.stringify(b)) return b;
  return b === "none" ? a : { op: "or", a, b };
}

function nullable(of: Language): boolean {
  if (typeof of === "string") return of === "empty";
  if ("step" in of) return false;
  if ("star" in of) return true;
  return of.op === "or" ? nullable(of.a) || nullable(of.b) : nullable(of.a) && nullable(of.b);
}

function derive(of: Language, step: string): Language {
  if (typeof of === "string") return "none";
  if ("step" in of) return of.step === step ? "empty" : "none";
  if ("star" in of) return cat(derive(of.star, step), of);
  if (of.op === "or") return or(derive(of.a, step), derive(of.b, step));
  const first = cat(derive(of.a, step), of.b);
  return nullable(of.a) ? or(first, derive(of.b, step)) : first;
}

/** Every language of this grammar but "none" holds a word, so "not none" is "admissible". */
function walkByDerivatives(start: Language, calls: readonly string[]): readonly string[] {
  let rest = start;
  const verdicts = [nullable(rest) ? "complete" : "open"];
  for (const call of calls) {
    rest = derive(rest, call);
    if (rest === "none") return [...verdicts, "refused"];
    verdicts.push(nullable(rest) ? "complete" : "open");
  }
  return verdicts;
}

/** Traces that each expression is tried with: 108,000 by the three tests below. */
const TRACES = 12;

function several<T>(one: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> {
  return fc.array(one, { minLength: TRACES, maxLength: TRACES });
}

const walkChoices = fc.array(fc.nat(1000), { maxLength: 20 });

describe("the automaton agrees", () => {
  test("with JavaScript's regular expressions on where an order is complete", () => {
    fc.assert(
      fc.property(sample, several(trace), ({ text, pattern }, traces) => {
        const order = compiled(text);
        const oracle = new RegExp(`^(?:${pattern})$`);
        for (const calls of traces) {
          const verdicts = walk(order, calls);
          const prefixes = Array.from({ length: calls.length + 1 }, (_, length) =>
            calls.slice(0, length).join(""),
          );
          expect(
            prefixes.map((_, length) => verdicts[length] === "complete"),
            `${text} on ${calls.join()}`,
          ).toEqual(prefixes.map((prefix) => oracle.test(prefix)));
        }
      }),
      { numRuns: CASES },
    );
  });

  test("with Brzozowski's derivatives on every prefix: refused, open or complete", () => {
    fc.assert(
      fc.property(sample, several(trace), ({ text }, traces) => {
        const [order, start] = [compiled(text), language(treeOf(text))];
        for (const calls of traces) {
          expect(walk(order, calls), text).toEqual(walkByDerivatives(start, calls));
        }
      }),
      { numRuns: CASES },
    );
  });

  test("with itself: words that it admits, found by walking it at random, are admitted by the derivatives", () => {
    fc.assert(
      fc.property(sample, several(walkChoices), ({ text }, walks) => {
        const [order, start] = [compiled(text), language(treeOf(text))];
        for (const choices of walks) {
          const calls = wordOf(order, choices);
          expect(walkByDerivatives(start, calls), text).toEqual(walk(order, calls));
        }
      }),
      { numRuns: CASES },
    );
  });
});

/** A word of the order: at each state one of the steps that it admits. */
function wordOf(
  { automaton, steps }: ReturnType<typeof compiled>,
  choices: readonly number[],
): readonly string[] {
  const calls: string[] = [];
  let state = 0;
  for (const choice of choices) {
    const next = automaton.next.subarray(state * steps.length, (state + 1) * steps.length);
    const open = steps.filter((_, step) => next[step] !== -1);
    const step = open[choice % Math.max(1, open.length)];
    if (step === undefined) break;
    calls.push(step);
    state = next[steps.indexOf(step)] ?? -1;
  }
  return calls;
}

describe("the table", () => {
  test("of a comma list has one state before each step and one at the end", () => {
    const { automaton, steps } = compiled("intake, execution, settle");
    expect(steps).toEqual(["intake", "execution", "settle"]);
    expect(automaton.states).toBe(4);
    expect([...automaton.next]).toEqual([1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1]);
    expect([...automaton.accepting]).toEqual([0, 0, 0, 1]);
  });

  test("numbers steps in order of first appearance", () => {
    expect(compiled("b, (c | a), b").steps).toEqual(["b", "c", "a"]);
  });

  test("gives every state a way to be reached and a way to the end", () => {
    fc.assert(
      fc.property(sample, ({ text }) => {
        const { automaton, steps } = compiled(text);
        const rows = Array.from({ length: automaton.states }, (_, state) => [
          ...automaton.next.subarray(state * steps.length, (state + 1) * steps.length),
        ]);
        const reached = new Set([0]);
        for (const state of reached)
          for (const target of rows[state] ?? []) if (target !== -1) reached.add(target);
        const ending = new Set(rows.keys().filter((state) => automaton.accepting[state] === 1));
        for (const end of ending)
          rows.forEach((row, state) => row.includes(end) && ending.add(state));
        expect([reached.size, ending.size], text).toEqual([automaton.states, automaton.states]);
      }),
      { numRuns: CASES / 5 },
    );
  });
});

describe("what is too large is refused at once", () => {
  test.each([
    [
      "4,096 states are the most: one more is refused",
      "a{1000}, b{1000}, c{1000}, d{1000}, e{96}",
      "the order has more than 4096 states",
    ],
    [
      "a subset construction that doubles with each step",
      "(a | b)*, a, (a | b){900}",
      "the order has more than 4096 states",
    ],
    [
      "the same below a loop",
      "((a | b)*, a, (a | b){300}, c)+",
      "the order has more than 4096 states",
    ],
    [
      "counters that multiply",
      `(${"a | ".repeat(99)}a){1000}`,
      "the order has more than 65536 steps once its counters are written out",
    ],
    [
      "ambiguity without end",
      "(a*, b*){1000}",
      "the order is too ambiguous to compile: too many ways to read one history",
    ],
    [
      "the same without counters",
      `${"(a?, b?), ".repeat(5000)}c`,
      "the order is too ambiguous to compile: too many ways to read one history",
    ],
    ["loops in a counter", "((a | b)+){1000}, (c*){1000}, (d{2,}){0,500}", undefined],
    ["a choice of one name, a thousand times over", `(${"a? | ".repeat(60)}a){1000}`, undefined],
    [
      "optional steps in thousands",
      "(a?){1000}, (b?){1000}, (c?){1000}, (d?){1000}, (e?){90}",
      undefined,
    ],
  ])("%s", (_, text, message) => {
    expect(fault(text)).toBe(message);
    const most = message === undefined ? 5 * SOON_MS : SOON_MS;
    expect(quickest(() => fault(text), most)).toBeLessThan(most);
  });

  test("4,096 states, the start included, are accepted", () => {
    expect(compiled("a{1000}, b{1000}, c{1000}, d{1000}, e{95}").automaton.states).toBe(MAX_STATES);
  });

  test("a thousand alternatives, repeated, cost one row for each", () => {
    const names = Array.from({ length: 1000 }, (_, index) => `n${index}`);
    expect(compiled(`(${names.join(" | ")})*`).automaton.states).toBe(1001);
  });
});
