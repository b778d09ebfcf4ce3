/** Level 2 written to hang or to break the program that reads it: refused at once, and never by an exception. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkPolicy, parsePolicy } from "../src/index.ts";
import { PAYMENTS } from "./payments.ts";
import { quickest, SOON_MS } from "./quickest.ts";

const HEAD = `schema: stepgate.policy/1\nid: x\nversion: "1"\nsequence: a\n`;

function tool(members: string): string {
  return `${HEAD}functions: { a: [X] }\ntools:\n  t: { function: a, action: X, ${members} }\n`;
}

const pattern = (source: string): string =>
  tool(`args: { type: object, properties: { s: { type: string, pattern: "${source}" } } }`);

describe("is refused soon", () => {
  test.each([
    ["a pattern of schemas that needs back-tracking", pattern("(?=(a+)+$)(a+)+b")],
    ["a pattern of schemas that explodes", pattern("((((a{1,100}){1,100}){1,100}){1,100})")],
    [
      "a pattern of CEL that explodes",
      tool(`when: 'args.s.matches("((a{1,900}){1,900}){1,900}")'`),
    ],
    ["a back-reference", tool(String.raw`when: 'args.s.matches("(a*)\\1")'`)],
    ["comprehensions within comprehensions", tool(`when: '${nested(8)}'`)],
    ["thirty of them", tool(`when: '${nested(30)}'`)],
    ["five thousand brackets", tool(`when: '${"(".repeat(5000)}1${")".repeat(5000)}'`)],
    ["sixteen thousand negations", tool(`when: '${"!".repeat(16_000)}true'`)],
    ["a conjunction of two thousand", tool(`when: '${"args.a && ".repeat(1600)}true'`)],
    ["a schema that contains only itself", tool('args: { $ref: "#" }')],
    ["a schema of two hundred levels", tool(`args: ${"{ not: ".repeat(200)}{}${"}".repeat(200)}`)],
    [
      "a schema of a thousand schemas",
      tool(`args: { anyOf: [${"{ type: string }, ".repeat(1000)}] }`),
    ],
    ["aliases in a schema", tool("args: &a { anyOf: [*a, *a] }")],
    ["names of prototypes", tool("args: { type: object, properties: { __proto__: {} } }")],
    [
      "a thousand items that forbid everything",
      `${HEAD}functions: { a: [X] }\nforbid: [${"{}, ".repeat(1000)}]\n`,
    ],
    [
      "a thousand constraints without a kind",
      `${HEAD}functions: { a: [X] }\nconstraints: [${"{ nver: [a, a] }, ".repeat(1000)}]\n`,
    ],
    [
      "a thousand functions that agents are given",
      `${HEAD}functions: { a: [X] }\nagents: { x: { functions: {${Array.from({ length: 1000 }, (_, n) => ` f${n}: []`).join()} } } }\n`,
    ],
    [
      "a thousand action types that agents are given",
      `${HEAD}functions: { a: [X] }\nagents: { x: { functions: { a: [${Array.from({ length: 1000 }, (_, n) => `Y${n}`).join()}] } } }\n`,
    ],
    [
      "a thousand numbers that are not spelled out",
      tool(`grounded: { to: [[${Array.from({ length: 1000 }, (_, n) => `0${n}`).join()}]] }`),
    ],
    ["a million members", `{${Array.from({ length: 1_000_000 }, (_, n) => `"${n}":1`).join()}}`],
  ])("%s", (_, text) => {
    const { policy, issues } = checkPolicy(text);
    expect(policy).toBeUndefined();
    expect(issues.length).toBeGreaterThan(0);
    expect(issues.length).toBeLessThanOrEqual(100);
    expect(quickest(() => checkPolicy(text))).toBeLessThan(SOON_MS);
  });
});

function nested(depth: number): string {
  const open = Array.from({ length: depth }, (_, n) => `args.l.all(x${n}, `).join("");
  return `${open}true${")".repeat(depth)}`;
}

describe("is decided soon", () => {
  const deciding = (members: string) => parsePolicy(tool(members)).tools.get("t")?.conditions;
  const call = (args: { readonly s?: string; readonly l?: readonly number[] }) => ({
    args,
    context: { l: args.l ?? [] },
    agent_id: "",
    tenant: "",
  });

  test("a pattern that hangs other engines, on the text that it hangs on", () => {
    const s = `${"a".repeat(20_000)}!`;
    const conditions = deciding(
      `args: { type: object, properties: { s: { type: string, pattern: "^(a+)+$" } } }, when: 'args.s.matches("^(a|aa)+$")'`,
    );
    expect(conditions?.args?.({ s })).toBe("s");
    expect(conditions?.when?.(call({ s }))).toBe(false);
    expect(quickest(() => conditions?.args?.({ s }))).toBeLessThan(SOON_MS);
    expect(quickest(() => conditions?.when?.(call({ s })))).toBeLessThan(SOON_MS);
  });

  test("a list of more than a thousand members", () => {
    const conditions = deciding(`when: 'args.l.all(x, x in context.l)'`);
    const members = (length: number): readonly number[] => Array.from({ length }, (_, n) => n);
    expect(conditions?.when?.(call({ l: members(500) }))).toBe(true);
    expect(conditions?.when?.(call({ l: members(1001) }))).toBe("error");
    expect(quickest(() => conditions?.when?.(call({ l: members(1000) })))).toBeLessThan(SOON_MS);
    expect(quickest(() => conditions?.when?.(call({ l: members(50_000) })))).toBeLessThan(SOON_MS);
  });
});

test("whatever becomes of the example's text, there is a policy or an issue with its place, and no exception", () => {
  const lines = PAYMENTS.split("\n");
  const scrap = fc.constantFrom(
    "args",
    "5",
    "{}",
    "[]",
    "null",
    "''",
    "true",
    "-1",
    "args.",
    "{ max: 1 }",
    "[[1]]",
    "*",
    "a.b",
    "[a, a]",
    "07",
  );
  const change = fc.record({ line: fc.nat(lines.length - 1), how: fc.nat(4), scrap });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const spoilt = [...lines];
      for (const { line, how, scrap: text } of changes)
        spoilt[line] = spoil(spoilt[line] ?? "", how, text);
      const { policy, issues } = checkPolicy(spoilt.join("\n"));
      expect(policy === undefined).toBe(issues.length > 0);
      for (const { line, column } of issues)
        expect((line ?? 0) >= 1 && (column ?? 0) >= 1).toBe(true);
    }),
    { numRuns: Number(process.env["STEPGATE_CASES"] ?? 500) },
  );
});

/** Another value, another key, a value of another shape inside, a line less, or white space of its own. */
function spoil(line: string, how: number, scrap: string): string {
  if (how === 0) return line.replace(/: .*$/, `: ${scrap}`);
  if (how === 1) return line.replace(/\w+:/, (key) => `${key.slice(0, 1)}x:`);
  if (how === 2) return line.replace(/(\w+): [^{[]+?([,}])/, `$1: ${scrap}$2`);
  return how === 3 ? "" : line.replace(/\[[^\]]*\]/, scrap);
}
