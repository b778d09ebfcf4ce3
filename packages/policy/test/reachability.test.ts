/** What a policy can never do is found when it is loaded: exactly, and with a shortest way there. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkPolicy, compilePolicy, type PolicyDocument } from "../src/index.ts";
import { explore, type Reachability } from "../src/reachability.ts";

const HEAD = { schema: "stepgate.policy/1", id: "x", version: "1" } as const;

/** Errors and warnings, without their lines. */
function findings(document: Partial<PolicyDocument>): readonly string[] {
  const { issues, warnings } = checkPolicy(JSON.stringify({ ...HEAD, ...document }));
  return [
    ...issues.map(({ message }) => message),
    ...warnings.map(({ code, message }) => `${code}: ${message}`),
  ];
}

const NEVER_COMPLETED =
  "this policy can never be completed: no run of allowed calls reaches the end of the order";
const NEVER_SEALED = "this policy can never be sealed: no run of allowed calls ends it";

describe("a policy does not load", () => {
  test.each<[string, Partial<PolicyDocument>, string]>([
    [
      "if a step of its order permits nothing",
      { sequence: "a, b", functions: { a: ["X"], b: [] } },
      NEVER_COMPLETED,
    ],
    [
      "if a step may only seal, but not where it stands",
      { sequence: "a, b, c", functions: { a: ["X"], b: ["S"], c: ["S"] }, sealOn: ["S"] },
      NEVER_COMPLETED,
    ],
    [
      "if a repeated step may only seal before its time",
      { sequence: "settle{2,4}", functions: { settle: ["SEAL"] }, sealOn: ["SEAL"] },
      NEVER_COMPLETED,
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
      NEVER_COMPLETED,
    ],
    [
      "if its last step may always come again",
      { sequence: "a, settle+", functions: { a: ["X"], settle: ["S"] } },
      NEVER_SEALED,
    ],
    [
      "if it goes round for ever",
      { sequence: "(a, b)*", functions: { a: ["X"], b: ["Y"] } },
      NEVER_SEALED,
    ],
    [
      "if the sealing action is a read that the tool never stands for",
      {
        sequence: "a+",
        functions: { a: ["X"], r: { step: "*", actions: ["X"] }, s: { step: "*", actions: [] } },
        sealOn: [],
      },
      NEVER_SEALED,
    ],
  ])("%s", (_, document, message) => {
    expect(findings(document)).toEqual([message]);
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
  });
});

describe("lint warns of", () => {
  test.each<[string, Partial<PolicyDocument>, readonly string[]]>([
    [
      "an empty list",
      { sequence: "a", functions: { a: ["X"], b: { step: "a", actions: [] } } },
      ["empty-actions: function 'b' permits no action type"],
    ],
    [
      "a step that can never be passed, and a branch that leads nowhere",
      { sequence: "(a, b) | c", functions: { a: ["X"], b: [], c: ["X"] } },
      [
        "unreachable-step: step 'b' can never be passed",
        "dead-end: after a the order can no longer be completed",
        "empty-actions: function 'b' permits no action type",
      ],
    ],
    [
      "a step behind one that always seals",
      { sequence: "a, b?", functions: { a: ["S"], b: ["X"] }, sealOn: ["S"] },
      [
        "unreachable-step: step 'b' can never be passed",
        "unused-function: no call to function 'b' can ever be allowed",
      ],
    ],
    [
      "a function whose only tool always stands for an earlier one",
      {
        sequence: "a",
        functions: { a: ["X"], r: { step: "*", actions: ["X"] }, q: { step: "*", actions: ["X"] } },
        tools: { t: { function: ["r", "q"], action: "X" } },
      },
      ["unused-function: no call to function 'q' can ever be allowed"],
    ],
    [
      "the nearest dead end, by its steps",
      {
        sequence: "a, (b, b, stuck | (c, stuck)), d | e",
        functions: { a: ["X"], b: ["X"], c: ["X"], d: ["X"], e: ["X"], stuck: [] },
      },
      [
        "unreachable-step: step 'stuck' can never be passed",
        "unreachable-step: step 'd' can never be passed",
        "dead-end: after a the order can no longer be completed",
        "unused-function: no call to function 'd' can ever be allowed",
        "empty-actions: function 'stuck' permits no action type",
      ],
    ],
  ])("%s", (_, document, expected) => {
    expect(findings(document)).toEqual(expected);
  });

  test("with line and column, from top to bottom", () => {
    const { warnings } = checkPolicy(
      'schema: stepgate.policy/1\nid: x\nversion: "1"\nsequence: a\nfunctions:\n  a: [X]\n  b: { step: a, actions: [] }\n',
    );
    expect(warnings).toEqual([
      {
        code: "empty-actions",
        path: "functions.b",
        line: 7,
        column: 3,
        message: "function 'b' permits no action type",
      },
    ]);
  });
});

test("the answers agree with trying every run, on random policies", () => {
  const names = ["a", "b", "c"] as const;
  const actions = fc.subarray(["X", "Y", "S"]);
  const policy = fc.record({
    sequence: fc.constantFrom(
      "a, b, c",
      "a, b?, c",
      "a, (b | c)",
      "a, b* , c",
      "(a | b), c+",
      "a{2}, b, c?",
      "(a, b)*, c",
      "a, (b, c){1,2}",
      "a | (b, c)",
    ),
    functions: fc.record({
      a: actions,
      b: actions,
      c: actions,
      r: actions.map((list) => ({ step: "*", actions: list })),
    }),
    tools: fc.dictionary(
      fc.constantFrom("t", "u"),
      fc.record({
        function: fc.subarray(["r", ...names], { minLength: 1 }),
        action: fc.constantFrom("X", "Y", "S"),
      }),
    ),
    sealOn: fc.subarray(["Y", "S"]),
  });
  fc.assert(
    fc.property(policy, (document) => {
      const compiled = compileAnyway({ ...HEAD, ...document });
      fc.pre(compiled !== undefined);
      const { deadEnd, ...answers } = explore(compiled);
      expect({ ...answers, stepsToDeadEnd: deadEnd?.length }).toEqual(byTrying(compiled));
    }),
    { numRuns: 2000 },
  );
});

type Compiled = Parameters<typeof explore>[0];

/** Policies that do not load for what they can never do are what is looked for: two functions more make them load. */
function compileAnyway(document: PolicyDocument): Compiled | undefined {
  try {
    const open = compilePolicy({
      ...document,
      functions: {
        ...document.functions,
        ...Object.fromEntries(
          ["a", "b", "c"].map((step) => [`any_${step}`, { step, actions: ["ANY"] }]),
        ),
        seal: { step: "*", actions: ["END"] },
      },
      sealOn: [...(document.sealOn ?? []), "END"],
    });
    const functions = new Map(
      [...open.functions].filter(([name]) => !name.startsWith("any_") && name !== "seal"),
    );
    return { ...open, functions };
  } catch {
    return undefined;
  }
}

/** Straight from decision.md: from each state every call with every action type, by the checks in their order. */
function byTrying(
  policy: Compiled,
): Omit<Reachability, "deadEnd"> & { readonly stepsToDeadEnd: number | undefined } {
  const { automaton, steps } = policy;
  const next = (state: number, step: number): number =>
    step === -1 ? state : (automaton.next[state * steps.length + step] ?? -1);
  const ends = (state: number): boolean =>
    automaton.accepting[state] === 1 && steps.every((_, step) => next(state, step) === -1);
  const used = new Set<string>();
  const passed = new Set<number>();
  let canSeal = false;
  const after = (state: number): readonly (number | "sealed")[] => {
    const results: (number | "sealed")[] = [];
    const requests = [
      ...[...policy.functions.values()].flatMap((fn) =>
        [...fn.actions]
          .filter((action) => !policy.toolPairs.has(`${fn.name}\n${action}`))
          .map((action) => ({ functions: [fn.name], action })),
      ),
      ...policy.tools.values(),
    ];
    for (const { functions, action } of requests) {
      const admitted = functions.find((name) => {
        const fn = policy.functions.get(name);
        const target = fn === undefined ? -1 : next(state, fn.stepIndex);
        return (
          fn?.actions.has(action) === true &&
          target !== -1 &&
          (!policy.sealOn.has(action) || automaton.accepting[target] === 1)
        );
      });
      const step = admitted === undefined ? undefined : policy.functions.get(admitted)?.stepIndex;
      if (admitted === undefined || step === undefined) continue;
      used.add(admitted);
      if (step !== -1) passed.add(step);
      const target = next(state, step);
      const seals = policy.sealOn.has(action) || (step !== -1 && ends(target));
      canSeal ||= seals;
      results.push(seals ? "sealed" : target);
    }
    return results;
  };
  const runs = runsFrom(0, after);
  const isEnd = (state: number | "sealed"): boolean =>
    state === "sealed" || automaton.accepting[state] === 1;
  const stuck = [...runs].filter(([state]) => ![...runsFrom(state, after).keys()].some(isEnd));
  return {
    canComplete: [...runs.keys()].some(isEnd),
    canSeal,
    stepsToDeadEnd:
      stuck.length === 0 ? undefined : Math.min(...stuck.map(([, distance]) => distance)),
    unreachableSteps: steps.filter((_, step) => !passed.has(step)),
    unusedFunctions: [...policy.functions.keys()].filter((name) => !used.has(name)),
  };
}

/** Every state that can be reached, and by how many calls at least. */
function runsFrom(
  start: number | "sealed",
  after: (state: number) => readonly (number | "sealed")[],
): ReadonlyMap<number | "sealed", number> {
  const found = new Map<number | "sealed", number>([[start, 0]]);
  for (const [state, distance] of found) {
    for (const target of state === "sealed" ? [] : after(state))
      if (!found.has(target)) found.set(target, distance + 1);
  }
  return found;
}
