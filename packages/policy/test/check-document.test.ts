/** What a policy can never do is found where it is loaded and checked: at its line, with a shortest run that shows it. */
import { describe, expect, test } from "vitest";
import {
  callText,
  checkPolicy,
  compilePolicy,
  parsePolicy,
  type PolicyDocument,
  PolicyError,
  type PolicyIssue,
} from "../src/index.ts";
import { quickest, SOON_MS } from "./quickest.ts";

const HEAD = { schema: "stepgate.policy/1", id: "x", version: "1" } as const;

/** Codes with the paths that they stand at, errors first. */
function findings(document: Partial<PolicyDocument>): readonly string[] {
  const { issues, warnings } = checkPolicy(JSON.stringify({ ...HEAD, ...document }));
  return [...issues, ...warnings].map(({ code, path }) => `${code} ${path}`);
}

function issuesOf(load: () => unknown): readonly PolicyIssue[] {
  try {
    load();
  } catch (error) {
    if (error instanceof PolicyError) return error.issues;
    throw error;
  }
  return [];
}

describe("a policy does not load", () => {
  test.each<[string, Partial<PolicyDocument>, string]>([
    [
      "if a step of its order permits nothing",
      { sequence: "a, b", functions: { a: ["X"], b: [] } },
      "never-completable",
    ],
    [
      "if a step may only seal, but not where it stands",
      { sequence: "a, b, c", functions: { a: ["X"], b: ["S"], c: ["S"] }, sealOn: ["S"] },
      "never-completable",
    ],
    [
      "if a repeated step may only seal before its time",
      { sequence: "settle{2,4}", functions: { settle: ["SEAL"] }, sealOn: ["SEAL"] },
      "never-completable",
    ],
    [
      "if the only tool for a step always stands for another function",
      {
        sequence: "(a | b), c",
        functions: { r: { step: "*", actions: ["X"] }, a: ["X"], b: ["X"], c: ["X"] },
        tools: {
          t: { function: ["r", "a"], action: "X" },
          u: { function: ["r", "b"], action: "X" },
        },
      },
      "never-completable",
    ],
    [
      "if its last step may always come again",
      { sequence: "a, settle+", functions: { a: ["X"], settle: ["S"] } },
      "never-sealable",
    ],
    [
      "if it goes round for ever",
      { sequence: "(a, b)*", functions: { a: ["X"], b: ["Y"] } },
      "never-sealable",
    ],
  ])("%s", (_, document, code) => {
    const whole = { ...HEAD, ...document };
    expect(findings(document)[0]).toBe(`${code} sequence`);
    const text = issuesOf(() => parsePolicy(JSON.stringify(whole)));
    expect(text).toEqual([expect.objectContaining({ code, line: 1, certainty: "proved" })]);
    expect(issuesOf(() => compilePolicy(whole))).toEqual([expect.objectContaining({ code })]);
  });
});

describe("a policy loads without a warning", () => {
  test.each<[string, Partial<PolicyDocument>]>([
    ["if it ends", { sequence: "a, b?, c", functions: { a: ["X"], b: ["X"], c: ["X"] } }],
    [
      "if a step that may come again can seal",
      { sequence: "a, settle+", functions: { a: ["X"], settle: ["S", "X"] }, sealOn: ["S"] },
    ],
    [
      "if it goes round for ever, and a function outside the order seals",
      {
        sequence: "a*",
        functions: { a: ["X"], end: { step: "*", actions: ["S"] } },
        sealOn: ["S"],
      },
    ],
    [
      "if a step may be passed without sealing before its time",
      { sequence: "a, b, c", functions: { a: ["X"], b: ["S", "X"], c: ["S"] }, sealOn: ["S"] },
    ],
    [
      "if a tool stands for the second function where the first is not admissible",
      {
        sequence: "a, b",
        functions: { a: ["X"], b: ["X"] },
        tools: { t: { function: ["a", "b"], action: "X" } },
      },
    ],
  ])("%s", (_, document) => {
    expect(findings(document)).toEqual([]);
    expect(issuesOf(() => compilePolicy({ ...HEAD, ...document }))).toEqual([]);
  });
});

describe("a warning", () => {
  test.each<[string, Partial<PolicyDocument>, readonly string[]]>([
    [
      "of an empty list",
      { sequence: "a", functions: { a: ["X"], b: { step: "a", actions: [] } } },
      ["empty-actions functions.b"],
    ],
    [
      "of a branch that leads nowhere, and the step that it stops at",
      { sequence: "(a, b) | c", functions: { a: ["X"], b: [], c: ["X"] } },
      ["dead-end sequence", "unreachable-step sequence", "empty-actions functions.b"],
    ],
    [
      "of a step behind one that always seals",
      { sequence: ["a", "b?"], functions: { a: ["S"], b: ["X"] }, sealOn: ["S"] },
      ["unreachable-step sequence.1", "unused-function functions.b"],
    ],
    [
      "of a function whose only tool always stands for an earlier one",
      {
        sequence: "a",
        functions: { a: ["X"], r: { step: "*", actions: ["X"] }, q: { step: "*", actions: ["X"] } },
        tools: { t: { function: ["r", "q"], action: "X" } },
      },
      ["unused-function functions.q"],
    ],
  ])("%s", (_, document, expected) => {
    expect(findings(document)).toEqual(expected);
    expect(issuesOf(() => compilePolicy({ ...HEAD, ...document }))).toEqual([]);
  });

  test("has line, column and shortest run, from top to bottom", () => {
    const text = `schema: stepgate.policy/1
id: x
version: "1"
sequence: a, (b, stuck | c)
functions:
  a: [X]
  b: [X]
  stuck: []
  c: [X]
`;
    expect(checkPolicy(text).warnings).toEqual([
      {
        code: "dead-end",
        path: "sequence",
        line: 4,
        column: 11,
        message: "a run can get stuck: the order can no longer be completed",
        certainty: "proved",
        trace: [
          { function: "a", action_type: "X" },
          { function: "b", action_type: "X" },
        ],
      },
      {
        code: "unreachable-step",
        path: "sequence",
        line: 4,
        column: 18,
        message: "step 'stuck' can never be passed",
        certainty: "proved",
      },
      {
        code: "empty-actions",
        path: "functions.stuck",
        line: 8,
        column: 3,
        message: "function 'stuck' permits no action type",
        certainty: "proved",
      },
    ]);
  });

  test("of a step in a list stands at the item that names it, longer names aside", () => {
    const text = `schema: stepgate.policy/1
id: x
version: "1"
sequence:
  - a
  - { step: b, optional: true }
  - b.2?, b-2?, c
functions: { a: [X], b: [], b.2: [], b-2: [], c: [X] }
`;
    const places = checkPolicy(text).warnings.flatMap(({ code, message, line, column }) =>
      code === "unreachable-step" ? [`${line}:${column} ${message}`] : [],
    );
    expect(places).toEqual([
      "6:13 step 'b' can never be passed",
      "7:5 step 'b.2' can never be passed",
      "7:11 step 'b-2' can never be passed",
    ]);
  });
});

test("warnings explain an error that stands beside them", () => {
  expect(findings({ sequence: "a, b", functions: { a: ["X"], b: [] } })).toEqual([
    "never-completable sequence",
    "unreachable-step sequence",
    "empty-actions functions.b",
  ]);
});

describe("what stands beside the order is pointed at", () => {
  const text = (order: string, rest: string): string => `schema: stepgate.policy/1
id: x
version: "1"
sequence: ${order}
functions:
  a: [X]
  b:
    actions: [X, Y]
    limits:
      calls: 3
${rest}`;

  test.each<[string, string, readonly string[]]>([
    [
      "a constraint that the order contradicts",
      text("a, b", "constraints:\n  - precedence: [a, b]\n  - precedence: [b, a]\n"),
      ["13:5 error never-completable", "13:5 constraint-always-fires: a X"],
    ],
    [
      "a constraint that never refuses",
      text("a, b", "constraints:\n  - precedence: [a, b]\n"),
      ["12:5 constraint-never-fires"],
    ],
    [
      "a limit that is smaller than what the order asks for",
      text("a, b{4}", ""),
      ["10:14 error never-completable", "10:14 budget: a X, b X, b X, b X, b X"],
    ],
    [
      "a limit that leaves a part of the order out of reach",
      text("a, b{1,5}", "sealOn: [Y]\n"),
      ["10:14 budget: a X, b X, b X, b X, b X"],
    ],
    [
      "what is forbidden to everybody",
      text("a, b", "forbid:\n  - { actions: [Y] }\n  - { functions: [b] }\n"),
      ["13:5 error never-completable", "4:14 unreachable-step", "7:3 unused-function"],
    ],
    [
      "what an agent cannot get to",
      text("a, b", 'agents:\n  "bot-*": { functions: { b: [] } }\n  "clerk": {}\n'),
      ["12:12 dead-end (bot-x)"],
    ],
  ])("%s", (_, policy, expected) => {
    const { issues, warnings } = checkPolicy(policy);
    const shown = ({ line, column, code, trace = [], agent }: PolicyIssue): string => {
      const run = trace.length === 0 ? "" : `: ${trace.map(callText).join(", ")}`;
      return `${code}${run}${agent === undefined ? "" : ` (${agent})`}|${line}:${column}`;
    };
    const told = [
      ...issues.map((issue) => `error ${shown(issue)}`),
      ...warnings.map((warning) => shown(warning)),
    ].map((one) => one.split("|").toReversed().join(" "));
    for (const one of expected) expect(told).toContain(one);
  });

  test("an example that passes by a condition is not proved, and says so", () => {
    const { warnings } = checkPolicy(`schema: stepgate.policy/1
id: x
version: "1"
sequence: a, (b, stuck | c)
functions:
  a: { actions: [X], when: args.n > 1.0 }
  b: [X]
  stuck: []
  c: [X]
`);
    expect(warnings.find(({ code }) => code === "dead-end")).toMatchObject({
      certainty: "unknown",
      dependsOn: ["functions.a.when"],
    });
  });

  test("what is too large to be analysed loads, and it is said that nothing is proved", () => {
    const patterns = Array.from({ length: 12 }, (_, index) => [`*${index}*`, {}] as const);
    const large = {
      ...HEAD,
      sequence: "a",
      functions: { a: ["X"] },
      agents: Object.fromEntries(patterns),
    };
    expect(issuesOf(() => compilePolicy(large))).toEqual([]);
    const { policy, warnings } = checkPolicy(JSON.stringify(large));
    expect(policy).toBeDefined();
    expect(warnings.map(({ code, certainty }) => `${code} ${certainty}`)).toEqual([
      "undecided unknown",
    ]);
  });
});

describe("a policy as large as may be", () => {
  const names = Array.from({ length: 8000 }, (_, index) => `f${index}`);
  const free = Object.fromEntries(names.map((name) => [name, { step: "*", actions: ["X"] }]));

  test.each<[string, PolicyDocument, string | undefined]>([
    [
      "of thousands of functions is decided",
      { ...HEAD, sequence: "a, b", functions: { ...free, a: ["X"], b: [] } },
      "never-completable",
    ],
    [
      "of thousands of tools is decided",
      {
        ...HEAD,
        sequence: "a+",
        functions: { a: ["X"] },
        tools: Object.fromEntries(names.map((name) => [name, { function: "a", action: "X" }])),
      },
      "never-sealable",
    ],
    [
      "of thousands of states is decided",
      {
        ...HEAD,
        sequence: "a{1000}, b{1000}, c{1000}, d{1000}, e{95}",
        functions: { a: ["X"], b: ["X"], c: ["X"], d: ["X"], e: [] },
      },
      "never-completable",
    ],
  ])("%s, in the time that it takes to compile", (_, document, code) => {
    let issues: readonly PolicyIssue[] = [];
    const load = (): void => {
      issues = issuesOf(() => compilePolicy(document));
    };
    expect(quickest(load, 5 * SOON_MS)).toBeLessThan(5 * SOON_MS);
    expect(issues.map((issue) => issue.code)).toEqual([code]);
  });
});
