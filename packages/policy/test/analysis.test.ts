/** What a policy can never do is found exactly, each finding with a shortest example. */
import type { CompiledPolicy } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analyse, analyseErrors } from "../src/analysis.ts";
import { agentClasses } from "../src/analysis-agents.ts";
import { callText } from "../src/analysis-calls.ts";
import type { PolicyFinding } from "../src/analysis-finding.ts";
import { buildSpace } from "../src/analysis-model.ts";
import { findStuck } from "../src/analysis-stuck.ts";
import type { Path } from "../src/finding.ts";
import { plainPolicy } from "./arbitrary-policy.ts";
import {
  type Allowed,
  attemptsOf,
  compilePlain,
  decidePlain,
  historyText,
  isBeforeLimits,
  isComplete,
  isOneOf,
  action,
  fn,
  plainCalls,
  type PlainPolicy,
  policyOf,
  stepsOf,
} from "./plain-policy.ts";
import { quickest, SOON_MS } from "./quickest.ts";

const RUNS = Number(process.env["STEPGATE_CASES"] ?? 2000);
/** Milliseconds; the reference is slow. */
const TIMEOUT = 60_000 + 50 * RUNS;

/** `severity code path: example` of each finding. */
function told(policy: CompiledPolicy): readonly string[] {
  return analyse(policy).map(line);
}

function line({ severity, code, path, trace, agent, certainty }: PolicyFinding): string {
  const shown = trace === undefined ? "" : `: ${trace.map(callText).join(", ")}`;
  const whose = agent === undefined ? "" : ` (${agent})`;
  return `${severity} ${code} ${path.join(".")}${shown}${whose}${certainty === "unknown" ? " ?" : ""}`;
}

describe("errors", () => {
  test.each<[string, CompiledPolicy, readonly string[]]>([
    [
      "a step that permits nothing",
      policyOf("a, b", { a: ["X"], b: [] }),
      [
        "error never-completable sequence",
        "warning unreachable-step sequence",
        "warning empty-actions functions.b",
      ],
    ],
    [
      "a constraint that the order contradicts",
      policyOf(
        "a, b",
        { a: ["X"], b: ["X"] },
        { constraints: [{ kind: "precedence", first: fn("b"), second: fn("a") }] },
      ),
      [
        "error never-completable constraints.0",
        "warning unreachable-step sequence",
        "warning unreachable-step sequence",
        "warning unused-function functions.a",
        "warning unused-function functions.b",
        "warning constraint-always-fires constraints.0: a X",
      ],
    ],
    [
      "a limit that is smaller than what the order asks for",
      policyOf("a{3}", { a: { max: 2 } }),
      [
        "error never-completable functions.a.limits.calls",
        "warning budget functions.a.limits.calls: a X, a X, a X",
      ],
    ],
    [
      "a `forbid` for everybody",
      policyOf("a, b", { a: ["X"], b: ["Y"] }, { forbid: [{ actions: ["Y"] }] }),
      [
        "error never-completable forbid.0",
        "warning unreachable-step sequence",
        "warning unused-function functions.b",
      ],
    ],
    [
      "an order that goes round for ever",
      policyOf("a, b+", { a: ["X"], b: ["X"] }),
      ["error never-sealable sequence"],
    ],
    [
      "a sealing action that is taken away",
      policyOf(
        "a+",
        { a: ["X", "S"] },
        { sealOn: ["S"], forbid: [{ functions: ["a"], actions: ["S"] }] },
      ),
      ["error never-sealable forbid.0"],
    ],
    [
      "an agent that may do more than the policy permits",
      policyOf("a", { a: ["X"] }, { agents: { "bot-*": { a: ["X", "Y"] } } }),
      ["error agents-widening agents.bot-*.functions.a: a Y"],
    ],
  ])("%s", (_, policy, expected) => {
    expect(told(policy)).toEqual(expected);
  });
});

describe("warnings", () => {
  test.each<[string, CompiledPolicy, readonly string[]]>([
    ["none for a policy that ends", policyOf("a, b?, c", { a: ["X"], b: ["X"], c: ["X"] }), []],
    [
      "a branch that leads nowhere",
      policyOf("(a, b) | c", { a: ["X"], b: [], c: ["X"] }),
      [
        "warning unreachable-step sequence",
        "warning empty-actions functions.b",
        "warning dead-end sequence: a X",
      ],
    ],
    [
      "a dead end that a constraint makes",
      policyOf(
        "intake, disruption?, settle",
        { intake: ["X"], disruption: ["X"], settle: ["X"] },
        { constraints: [{ kind: "never", first: fn("disruption"), second: fn("settle") }] },
      ),
      ["warning dead-end constraints.0: intake X, disruption X"],
    ],
    [
      "a budget that an earlier part of the order can use up",
      policyOf(
        "(a | b)*, go, c{2}",
        { a: ["X"], b: ["X"], go: ["X"], c: ["X"] },
        {
          tools: [{ name: "t", functions: ["a", "c"], action: "X", max: 3 }],
        },
      ),
      ["warning dead-end tools.t.limits.calls: t, t"],
    ],
    [
      "a run that can be completed, and never sealed",
      policyOf("(a, b+) | c", { a: ["X"], b: ["X"], c: ["X"] }),
      ["warning unsealable sequence: a X"],
    ],
    [
      "a run that can neither be completed nor sealed as a dead end alone",
      policyOf(
        "(a, b+) | c",
        { a: ["X"], b: ["X"], c: ["X"] },
        { constraints: [{ kind: "precedence", first: fn("c"), second: fn("b") }] },
      ),
      [
        "warning unreachable-step sequence",
        "warning unused-function functions.b",
        "warning dead-end constraints.0: a X",
        "warning constraint-always-fires constraints.0: a X, b X",
      ],
    ],
    [
      "a tool that always stands for another function",
      policyOf(
        "a",
        { a: ["X"], "*r": ["X"], "*q": ["X"] },
        {
          tools: [
            { name: "t", functions: ["r", "q"], action: "X" },
            { name: "u", functions: ["q"], action: "Z" },
          ],
        },
      ),
      ["warning unused-function functions.q", "warning unused-tool tools.u"],
    ],
    [
      "a constraint that the order sees to already",
      policyOf(
        "a, b",
        { a: ["X"], b: ["X"] },
        {
          constraints: [{ kind: "precedence", first: fn("a"), second: fn("b") }],
        },
      ),
      ["warning constraint-never-fires constraints.0"],
    ],
    [
      "a constraint that always refuses",
      policyOf(
        "a, b",
        { a: ["X"], b: ["X", "Y"] },
        {
          constraints: [{ kind: "never", first: fn("a"), second: action("Y") }],
        },
      ),
      ["warning constraint-always-fires constraints.0: a X, b Y"],
    ],
    [
      "a limit below what the order says",
      policyOf("a, b{1,5}, c", { a: ["X"], b: { max: 3 }, c: ["X"] }),
      ["warning budget functions.b.limits.calls: a X, b X, b X, b X, b X"],
    ],
    [
      "limits that are too small together",
      policyOf(
        "a{1,3}, b?",
        { a: ["X", "Y"], b: ["X"] },
        {
          tools: [
            { name: "t", functions: ["a"], action: "X", max: 1 },
            { name: "u", functions: ["a"], action: "Y", max: 1 },
          ],
        },
      ),
      ["warning budget sequence: t, u, t"],
    ],
    ["none for a limit on a loop", policyOf("a, b*, c", { a: ["X"], b: { max: 2 }, c: ["X"] }), []],
    [
      "an agent that can begin and not finish",
      policyOf("a, b", { a: ["X"], b: ["X"] }, { agents: { "bot-*": { b: [] }, "*": {} } }),
      ["warning dead-end agents.bot-*:  (bot-x)"],
    ],
    [
      "no agent that is not meant to begin",
      policyOf(
        "a, b",
        { a: ["X"], b: ["X"], "*r": ["X"] },
        { agents: { "bot-*": { a: [] }, "*": {} } },
      ),
      [],
    ],
    [
      "an agent that two patterns leave nothing",
      policyOf(
        "a, b",
        { a: ["X"], b: ["X", "Y"] },
        {
          agents: { "bot-*": { b: ["X"] }, "*-eu": { b: ["Y"] } },
        },
      ),
      ["warning dead-end agents.*-eu:  (bot-eu)"],
    ],
    [
      "what depends on arguments as unknown",
      policyOf("(a, b) | c", { a: { when: "args.n < 1.0" }, b: [], c: ["X"] }),
      [
        "warning unreachable-step sequence",
        "warning empty-actions functions.b",
        "warning dead-end sequence: a X ?",
      ],
    ],
    [
      "a longer example that is certain before a shorter one that is not",
      policyOf(
        "(a | (c, d)), b?, e",
        { a: { when: "args.n < 1.0" }, b: ["X"], c: ["X"], d: ["X"], e: ["X"] },
        {
          constraints: [{ kind: "never", first: fn("b"), second: fn("e") }],
        },
      ),
      ["warning dead-end constraints.0: c X, d X, b X"],
    ],
    [
      "the agent for whom an example is certain, where for another one it is not",
      policyOf(
        "b, d",
        { b: { actions: ["X", "Y"], when: "args.n < 1.0" }, d: ["X"], "*r": ["X"] },
        {
          tools: [{ name: "u", functions: ["r", "b"], action: "X" }],
          constraints: [{ kind: "never", first: { member: "tool", name: "u" }, second: fn("d") }],
          forbid: [{ functions: ["r"], agents: ["bot-*"] }],
          agents: { "bot-*": {}, "*": {} },
        },
      ),
      ["warning dead-end constraints.0: u (other)"],
    ],
  ])("%s", (_, policy, expected) => {
    expect(told(policy)).toEqual(expected);
  });
});

test("limits that play no part cost nothing, however many there are", () => {
  const names = Array.from({ length: 40 }, (_, index) => `tool_${index}`);
  const policy = policyOf(
    "start, work*, end",
    { start: ["X"], work: ["Y"], end: ["X"] },
    {
      tools: names.map((name) => ({ name, functions: ["work"], action: "Y", max: 20 })),
      constraints: names.slice(1).map((name) => ({
        kind: "precedence",
        first: { member: "tool", name: "tool_0" },
        second: { member: "tool", name },
      })),
    },
  );
  expect(analyse(policy, { states: 2000, work: 100_000 })).toEqual([]);
});

test("what comes after the part that limits decide on is not looked at for each of their counts", () => {
  const tools = Array.from({ length: 12 }, (_, index) => ({
    name: `tool_${index}`,
    functions: ["a", "b"],
    action: "Y",
    max: 2,
  }));
  const functions = { a: ["Y"], b: ["Y"], end: ["X"] };
  const space = buildSpace([policyOf("a{10}, b*, end", functions, { tools })], undefined);
  expect(findStuck(space, "complete", { states: 10_000, work: 15_000 })).toBe("none");
});

test("no error is claimed before all agents were looked at", () => {
  const policy = policyOf(
    "a, b",
    { a: ["X", "Y"], b: ["X", "Y"] },
    { agents: { one: { b: [] }, two: { b: [] }, zoe: {} } },
  );
  for (let work = 0; work < 300; work++)
    expect(analyseErrors(policy, { work }).map(({ severity }) => severity)).not.toContain("error");
  expect(analyseErrors(policy)).toEqual([]);
});

test("no error is claimed where there are more kinds of agent than are looked at", () => {
  const patterns = Array.from({ length: 12 }, (_, index) => `*${index}*`);
  const policy = policyOf(
    "a, b",
    { a: ["X", "Y"], b: ["X", "Y"] },
    { agents: Object.fromEntries(patterns.map((pattern) => [pattern, { b: [] }])) },
  );
  const certainties = [analyse(policy), analyseErrors(policy)].map((findings) =>
    findings.map(({ severity, certainty }) => `${severity} ${certainty}`),
  );
  for (const found of certainties) {
    expect(found).toContain("warning unknown");
    expect(found).not.toContain("error proved");
  }
});

describe("errors are looked for in a moment, and what takes longer is said to be undecided", () => {
  const names = (count: number, letter: string): readonly string[] =>
    Array.from({ length: count }, (_, index) => `${letter}${index}`);
  const tools = (count: number, max: number) =>
    names(count, "t").map((name) => ({ name, functions: ["a"], action: "X", max }));
  const counted = [..."abcdefgh"];

  test.each<[string, () => CompiledPolicy]>([
    [
      "hundreds of kinds of agent, and thousands of tools",
      () =>
        policyOf(
          "a*, b",
          { a: ["X"], b: [] },
          {
            tools: tools(2000, 3),
            agents: Object.fromEntries(names(200, "n").map((name) => [`${name}-*`, { a: ["X"] }])),
          },
        ),
    ],
    [
      "patterns that overlap",
      () =>
        policyOf(
          "a, b",
          { a: ["X"], b: [] },
          { agents: Object.fromEntries(names(3000, "n").map((name) => [`*${name}*`, {}])) },
        ),
    ],
    [
      "hundreds that may be to blame, and thousands of limits",
      () =>
        policyOf(
          "a*, d",
          { a: ["X"], d: ["X"] },
          {
            tools: tools(3000, 3),
            forbid: [...names(300, "t").map((name) => ({ tools: [name] })), { functions: ["d"] }],
          },
        ),
    ],
    [
      "counts that multiply",
      () =>
        policyOf(`(${counted.join(" | ")}){50}, z`, {
          ...Object.fromEntries(counted.map((name) => [name, { max: 6 }])),
          z: ["X"],
        }),
    ],
  ])("%s", (_, make) => {
    const policy = make();
    let found: readonly PolicyFinding[] = [];
    const look = (): void => {
      found = analyseErrors({ ...policy });
    };
    expect(quickest(look, 5 * SOON_MS)).toBeLessThan(5 * SOON_MS);
    expect(found.map(({ code }) => code)).toEqual([expect.stringMatching(/undecided|never-/)]);
  });
});

test("however little work is allowed, nothing is said that more work would take back", () => {
  fc.assert(
    fc.property(plainPolicy, fc.integer({ min: 0, max: 600 }), (plain, work) => {
      const policy = compilePlain(plain);
      const all = analyse(policy).map(({ code, path }) => `${code} ${path.join(".")}`);
      const some = analyse(policy, { work });
      for (const { code, path, certainty } of some)
        if (code === "undecided") expect(certainty).toBe("unknown");
        // Of several items that are each to blame, another may be named.
        else if (SHARED.has(code) || path[0] === "sequence")
          expect(all.some((one) => one.startsWith(`${code} `))).toBe(true);
        else expect(all).toContain(`${code} ${path.join(".")}`);
      const missed = all.length > some.length;
      expect(!missed || some.some(({ code }) => code === "undecided")).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("what is too large is said to be undecided, and nothing is claimed of it", () => {
  const steps = Array.from({ length: 12 }, (_, index) => `s${String.fromCharCode(97 + index)}`);
  const policy = policyOf(
    `(${steps.join(" | ")})*, end`,
    {
      ...Object.fromEntries(steps.map((step) => [step, { max: 3 }])),
      end: ["X"],
    },
    {
      constraints: steps.map((step) => ({
        kind: "precedence",
        first: fn(step),
        second: fn("end"),
      })),
    },
  );
  const findings = analyse(policy, { states: 500 });
  expect(findings.map(({ code, certainty }) => [code, certainty])).toContainEqual([
    "undecided",
    "unknown",
  ]);
  expect(
    findings.filter(({ code }) => code === "dead-end" || code === "never-completable"),
  ).toEqual([]);
});

test("the same policy gives the same findings, in the same order", () => {
  fc.assert(
    fc.property(plainPolicy, (plain) => {
      expect(analyse(compilePlain(plain))).toEqual(analyse(compilePlain(plain)));
    }),
    { numRuns: 200 },
  );
});

/** Findings that come from one item or another. */
const SHARED: ReadonlySet<string> = new Set([
  "never-completable",
  "never-sealable",
  "dead-end",
  "unsealable",
]);

/** What is compared: paths of what a finding comes from are left out where several items may be to blame. */
function comparable(finding: PolicyFinding): string {
  const { code, path, trace = [] } = finding;
  if (code === "budget") return `budget ${path.join(".")}`;
  return line({ ...finding, path: SHARED.has(code) ? [] : path, trace });
}

test(
  "findings agree with trying every run, on random policies",
  () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const compiled = compilePlain(plain);
        const expected = byTrying(plain, compiled);
        fc.pre(expected !== undefined);
        const findings = analyse(compiled);
        expect(findings.map(comparable).toSorted()).toEqual(expected.toSorted());
        for (const finding of findings) {
          checkExample(plain, finding);
          seen.set(finding.code, (seen.get(finding.code) ?? 0) + 1);
        }
      }),
      { numRuns: RUNS },
    );
    // The comparison is worth nothing if nothing is found.
    if (RUNS < 1000) return;
    for (const code of FOUND)
      expect([code, seen.get(code) ?? 0]).toEqual([
        code,
        expect.toSatisfy((n: number) => n > RUNS / 50),
      ]);
  },
  TIMEOUT,
);

const FOUND = [
  "never-completable",
  "never-sealable",
  "unreachable-step",
  "dead-end",
  "unsealable",
  "unused-function",
  "unused-tool",
  "empty-actions",
  "constraint-never-fires",
  "constraint-always-fires",
  "budget",
] as const;

/** Every call of an example is allowed, but for the last where the message says that it is refused. */
function checkExample(policy: PlainPolicy, { code, path, trace = [], agent }: PolicyFinding): void {
  const history: Allowed[] = [];
  // A limit is shown as if it were the only one.
  const isAlone = code === "budget" && path[0] !== "sequence";
  const plain = isAlone ? withLimitAt(policy, path.slice(0, 2).join(".")) : policy;
  for (const [index, call] of trace.entries()) {
    const decided = decidePlain(plain, agent, history, callText(call));
    const isLast = index === trace.length - 1;
    if (isLast && code === "budget") expect(decided).toMatch(/^LIMIT_EXCEEDED/);
    // Refused as one function, the call of a tool may still stand for the next.
    else if (isLast && code === "constraint-always-fires") continue;
    else if (typeof decided === "string") expect.fail(`${callText(call)} is refused: ${decided}`);
    else history.push(decided);
  }
}

interface Run {
  readonly history: readonly Allowed[];
  readonly next: { readonly to: number; readonly allowed: Allowed }[];
}

/** All runs of one agent that differ in what may follow, shortest first; `undefined` if there are too many. */
function runsOf(
  plain: PlainPolicy,
  agent: string | undefined,
  extra: (history: readonly Allowed[]) => unknown = () => "",
): readonly Run[] | undefined {
  const calls = plainCalls(plain);
  const runs: Run[] = [{ history: [], next: [] }];
  const numbers = new Map([[historyText(plain, []) + String(extra([])), 0]]);
  for (const { history, next } of runs) {
    if (runs.length > 1500) return undefined;
    for (const call of calls) {
      const allowed = decidePlain(plain, agent, history, call);
      if (typeof allowed === "string") continue;
      const after = [...history, allowed];
      const key = historyText(plain, after) + String(extra(after));
      const to = numbers.get(key) ?? runs.push({ history: after, next: [] }) - 1;
      numbers.set(key, to);
      next.push({ to, allowed });
    }
  }
  return runs;
}

function byTrying(plain: PlainPolicy, compiled: CompiledPolicy): readonly string[] | undefined {
  const { agents } = agentClasses([compiled]);
  const all = agents.map((agent) => ({ agent, runs: runsOf(plain, agent) }));
  const known = all.flatMap(({ agent, runs }) => (runs === undefined ? [] : [{ agent, runs }]));
  const budgets = budgetsByTrying(plain, compiled, agents);
  if (known.length < all.length || budgets === undefined) return undefined;
  const allowed = known.flatMap(({ runs }) =>
    runs.flatMap(({ next }) => next.map((one) => one.allowed)),
  );
  const canComplete = known.some(({ runs }) => runs.some((run) => ends(plain, run, "dead-end")));
  const canSeal = allowed.some(({ sealed }) => sealed);
  const unused = (code: string, path: string): string => `warning ${code} ${path}: `;
  return [
    ...(canComplete ? [] : ["error never-completable : "]),
    ...(canComplete && !canSeal ? ["error never-sealable : "] : []),
    ...stepsOf(plain.order)
      .filter((step) => !allowed.some((one) => one.step === step))
      .map(() => unused("unreachable-step", "sequence")),
    ...plain.functions.flatMap(({ name, actions }) => {
      if (actions.length === 0) return [unused("empty-actions", `functions.${name}`)];
      const isUsed = allowed.some((one) => one.function === name);
      return isUsed ? [] : [unused("unused-function", `functions.${name}`)];
    }),
    ...plain.tools
      .filter(({ name }) => !allowed.some(({ tool }) => tool === name))
      .map(({ name }) => unused("unused-tool", `tools.${name}`)),
    ...(canSeal
      ? oneEach(known.flatMap(({ agent, runs }) => stuckByTrying(plain, agent, runs)))
      : []),
    ...plain.constraints.flatMap((_, index) => constraintByTrying(plain, known, index)),
    ...budgets,
  ];
}

/** One example is enough, whoever the agent; a certain one where there is one. */
function oneEach(lines: readonly string[]): readonly string[] {
  const groups = Map.groupBy(lines, (one) => one.replace(/( \([^()]*\))?( \?)?$/, ""));
  return [...groups.values()].flatMap(
    (group) => group.find((one) => !one.endsWith(" ?")) ?? group.slice(0, 1),
  );
}

/** Whether a run is over, in the sense that what is looked for is done. */
function ends(plain: PlainPolicy, { history }: Run, code: "dead-end" | "unsealable"): boolean {
  const isSealed = history.at(-1)?.sealed === true;
  return isSealed || (code === "dead-end" && isComplete(plain, history));
}

function stuckByTrying(
  plain: PlainPolicy,
  agent: string | undefined,
  runs: readonly Run[],
): readonly string[] {
  const completes = backwards(runs, (run) => ends(plain, run, "dead-end"));
  const seals = backwards(runs, (run) => ends(plain, run, "unsealable"));
  const canBegin = runs.some(({ next }) => next.some(({ allowed }) => allowed.step !== undefined));
  return (["dead-end", "unsealable"] as const).flatMap((code) => {
    const isStuck = (number: number): boolean =>
      code === "dead-end" ? !completes.has(number) : !seals.has(number) && completes.has(number);
    const found = nearest(runs, isStuck, true) ?? nearest(runs, isStuck, false);
    if (found === undefined || (found.length === 0 && !canBegin)) return [];
    const calls = found.map(({ call }) => call).join(", ");
    const isCertain = found.every(({ conditions }) => conditions.length === 0);
    return [
      `warning ${code} : ${calls}${agent === undefined ? "" : ` (${agent})`}${isCertain ? "" : " ?"}`,
    ];
  });
}

function backwards(runs: readonly Run[], isEnd: (run: Run) => boolean): ReadonlySet<number> {
  const found = new Set(
    runs.keys().filter((number) => isEnd(runs[number] ?? { history: [], next: [] })),
  );
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const [number, { next }] of runs.entries())
      if (next.some(({ to }) => found.has(to))) found.add(number);
  }
  return found;
}

/** The first in breadth-first order, over calls that arguments have no say in, or over all. */
function nearest(
  runs: readonly Run[],
  isWanted: (number: number) => boolean,
  certainOnly: boolean,
): readonly Allowed[] | undefined {
  const queue: { readonly number: number; readonly trace: readonly Allowed[] }[] = [
    { number: 0, trace: [] },
  ];
  const met = new Set([0]);
  for (const { number, trace } of queue) {
    if (isWanted(number)) return trace;
    for (const { to, allowed } of runs[number]?.next ?? []) {
      if (met.has(to) || (certainOnly && allowed.conditions.length > 0)) continue;
      met.add(to);
      queue.push({ number: to, trace: [...trace, allowed] });
    }
  }
  return undefined;
}

function constraintByTrying(
  plain: PlainPolicy,
  known: readonly { readonly agent: string | undefined; readonly runs: readonly Run[] }[],
  index: number,
): readonly string[] {
  let refused: string | undefined;
  let admits = false;
  for (const { agent, runs } of known)
    for (const { history } of runs) {
      if (history.at(-1)?.sealed === true) continue;
      for (const call of plainCalls(plain)) {
        const attempts = attemptsOf(plain, agent, history, call);
        for (const { against, looking } of typeof attempts === "string" ? [] : attempts) {
          const others = against.filter(
            (one) => isBeforeLimits(one) && !one.startsWith("SEQUENCE_VIOLATION constraints"),
          );
          if (others.length === 0 && looking.includes(index)) {
            if (!against.includes(`SEQUENCE_VIOLATION constraints.${index}`)) admits = true;
            else {
              const conditions = history.flatMap((one) => one.conditions);
              const calls = [...history.map((one) => one.call), call].join(", ");
              const whose = agent === undefined ? "" : ` (${agent})`;
              refused ??= `${calls}${whose}${conditions.length > 0 ? " ?" : ""}`;
            }
          }
          if (!against.some(isBeforeLimits)) break;
        }
      }
    }
  if (refused === undefined) return [`warning constraint-never-fires constraints.${index}: `];
  return admits ? [] : [`warning constraint-always-fires constraints.${index}: ${refused}`];
}

/** Transitions of the automaton that can be taken without limits, and not with them. */
function budgetsByTrying(
  plain: PlainPolicy,
  { automaton, steps }: CompiledPolicy,
  agents: readonly (string | undefined)[],
): readonly string[] | undefined {
  const positionOf = (history: readonly Allowed[]): number => {
    let state = 0;
    for (const { step } of history)
      if (step !== undefined)
        state = automaton.next[state * steps.length + steps.indexOf(step)] ?? -1;
    return state;
  };
  const taken = (variant: PlainPolicy): ReadonlySet<string> | undefined => {
    const transitions = new Set<string>();
    for (const agent of agents) {
      const runs = runsOf(variant, agent, positionOf);
      if (runs === undefined) return undefined;
      for (const { history, next } of runs)
        for (const { allowed } of next)
          if (allowed.step !== undefined) transitions.add(`${positionOf(history)} ${allowed.step}`);
    }
    return transitions;
  };
  const paths = [
    ...plain.functions.flatMap(({ name, max }) => (max === undefined ? [] : [`functions.${name}`])),
    ...plain.tools.flatMap(({ name, max }) => (max === undefined ? [] : [`tools.${name}`])),
  ];
  const [free, limited] = [taken(withLimitAt(plain, undefined)), taken(plain)];
  const alone = paths.map((path) => ({ path, transitions: taken(withLimitAt(plain, path)) }));
  if (free === undefined || limited === undefined) return undefined;
  if (alone.some(({ transitions }) => transitions === undefined)) return undefined;
  const missing = [...free].filter((one) => !limited.has(one));
  const lost = alone.map(({ path, transitions }) => ({
    path,
    lost: missing.filter((one) => transitions?.has(one) === false),
  }));
  const isJoint = missing.some((one) => !lost.some((part) => part.lost.includes(one)));
  return [
    ...lost.flatMap((part) => (part.lost.length === 0 ? [] : [`budget ${part.path}.limits.calls`])),
    ...(isJoint ? ["budget sequence"] : []),
  ];
}

/** The policy with that limit alone, or with none. */
function withLimitAt(plain: PlainPolicy, path: string | undefined): PlainPolicy {
  return {
    ...plain,
    functions: plain.functions.map((one) =>
      path === `functions.${one.name}` ? one : withoutMax(one),
    ),
    tools: plain.tools.map((one) => (path === `tools.${one.name}` ? one : withoutMax(one))),
  };
}

function withoutMax<T extends { readonly max?: number }>(limit: T): Omit<T, "max"> {
  const { max: _max, ...rest } = limit;
  return rest;
}

test("loading looks for the errors alone, and finds the same", () => {
  fc.assert(
    fc.property(plainPolicy, (plain) => {
      const policy = compilePlain(plain);
      const errors = analyse(policy).filter(({ severity }) => severity === "error");
      expect(analyseErrors(policy)).toEqual(errors);
    }),
    { numRuns: 500 },
  );
});

test("without the item that is to blame, the policy can be completed", () => {
  const blamed = new Set<string | number | undefined>();
  fc.assert(
    fc.property(plainPolicy, (plain) => {
      const [error] = analyseErrors(compilePlain(plain));
      fc.pre(error !== undefined && error.path[0] !== "sequence");
      blamed.add(error?.path[0]);
      const left = analyseErrors(compilePlain(withoutItem(plain, error?.path ?? [])));
      expect(left.map(({ code }) => code)).not.toContain(error?.code);
    }),
    { numRuns: 300 },
  );
  expect([...blamed]).toEqual(expect.arrayContaining(["constraints", "functions"]));
});

function withoutItem(plain: PlainPolicy, path: Path): PlainPolicy {
  const [section, name] = path;
  const others = <T>(list: readonly T[]): readonly T[] => list.filter((_, index) => index !== name);
  switch (section) {
    case "constraints":
      return { ...plain, constraints: others(plain.constraints) };
    case "forbid":
      return { ...plain, forbid: others(plain.forbid) };
    case "functions":
      return {
        ...plain,
        functions: plain.functions.map((one) => (one.name === name ? withoutMax(one) : one)),
      };
    case "tools":
      return {
        ...plain,
        tools: plain.tools.map((one) => (one.name === name ? withoutMax(one) : one)),
      };
    default:
      return { ...plain, agents: { ...plain.agents, [String(name)]: {} } };
  }
}

describe("agents", () => {
  const pattern = fc.string({
    unit: fc.constantFrom("a", "b", "-", "*"),
    minLength: 1,
    maxLength: 4,
  });
  const withPatterns = (patterns: readonly string[]): CompiledPolicy =>
    policyOf("a", { a: ["X"] }, { agents: Object.fromEntries(patterns.map((one) => [one, {}])) });
  const matched = (patterns: readonly string[], name: string): string =>
    patterns.filter((one) => isOneOf([one], name)).join(" ");

  test("every name is treated like exactly one of those that are looked at", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(pattern, { minLength: 1, maxLength: 4 }),
        fc.stringMatching(/^[ab0][ab0-]{0,6}$/),
        (patterns, name) => {
          const { agents, complete } = agentClasses([withPatterns(patterns)]);
          const names = agents.flatMap((agent) => agent ?? []);
          expect(complete).toBe(true);
          expect(agents[0]).toBe(undefined);
          expect(
            names.filter((one) => matched(patterns, one) === matched(patterns, name)),
          ).toHaveLength(1);
          expect(names.every((one) => /^[A-Za-z0-9][A-Za-z0-9._:@/-]*$/.test(one))).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("one name stands for each pattern, and one for none", () => {
    const { agents } = agentClasses([withPatterns(["bot-*", "treasury"])]);
    expect(agents).toEqual([undefined, "bot-x", "other", "treasury"]);
  });

  test("where nothing looks at the agent, there is one kind", () => {
    expect(agentClasses([policyOf("a", { a: ["X"] })]).agents).toEqual([undefined]);
  });

  test("patterns that overlap in too many ways are not all looked at, and it is said", () => {
    const patterns = Array.from({ length: 12 }, (_, index) => `*${index}*`);
    expect(agentClasses([withPatterns(patterns)]).complete).toBe(false);
    expect(analyse(withPatterns(patterns)).map(({ code }) => code)).toContain("undecided");
  });
});
