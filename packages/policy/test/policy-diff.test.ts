/** What changes between two policies: found exactly, each call once, with the shortest trace. */
import type { CompiledConditions, CompiledPolicy } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { agentClasses } from "../src/analysis-agents.ts";
import { callText } from "../src/analysis-calls.ts";
import { diffPolicies, type PolicyChange } from "../src/policy-diff.ts";
import { plainPair } from "./arbitrary-policy.ts";
import {
  type Allowed,
  compilePlain,
  decidePlain,
  historyText,
  plainCalls,
  type PlainPolicy,
  policyOf,
  fn,
} from "./plain-policy.ts";

const RUNS = Number(process.env["STEPGATE_CASES"] ?? 2000);
/** Milliseconds; the reference is slow. */
const TIMEOUT = 60_000 + 50 * RUNS;

test(
  "differences agree with trying every run, on random pairs of policies",
  () => {
    const seen = { changes: 0, none: 0, longest: 0, unknown: 0 };
    fc.assert(
      fc.property(plainPair, ([a, b]) => {
        const [before, after] = [compilePlain(a), compilePlain(b)];
        const found = diffPolicies(before, after);
        const { agents } = agentClasses([before, after]);
        const tried = agents.map((agent) => byTrying(a, b, agent));
        fc.pre(tried.every((one) => one !== undefined));
        const expected = tried.flatMap((one) => one ?? []).toSorted();
        const actual = [
          ...found.newlyAllowed.map((change) => lineOf("allowed", change)),
          ...found.newlyDenied.map((change) => lineOf("denied", change)),
          ...found.unknown.map(({ trace = [], call, ...rest }) =>
            lineOf("differs", { ...rest, call, trace }),
          ),
        ].toSorted();
        expect(actual).toEqual(expected);
        seen.changes += expected.length;
        seen.none += expected.length === 0 ? 1 : 0;
        seen.unknown += found.unknown.length;
        for (const { trace } of found.newlyAllowed)
          seen.longest = Math.max(seen.longest, trace.length);
      }),
      { numRuns: RUNS },
    );
    // The comparison is worth nothing if nothing differs, or nothing but at the first call.
    if (RUNS < 1000) return;
    expect(seen.changes).toBeGreaterThan(RUNS);
    expect(seen.none).toBeGreaterThan(RUNS / 10);
    expect(seen.unknown).toBeGreaterThan(RUNS / 10);
    expect(seen.longest).toBeGreaterThan(4);
  },
  TIMEOUT,
);

function lineOf(event: string, { call, agent, trace, refusal, dependsOn = [] }: Told): string {
  const why = refusal === undefined ? "" : `${refusal.code} ${refusal.rule}`;
  return `${event} ${agent ?? "-"} ${callText(call)}: ${trace.map(callText).join(", ")}; ${why}; ${dependsOn.join()}`;
}

type Told = Pick<PolicyChange, "call" | "agent" | "trace" | "dependsOn"> & Partial<PolicyChange>;

/** Runs that both allow, shortest first and in code-unit order; each is the whole list of what was allowed. */
function byTrying(
  a: PlainPolicy,
  b: PlainPolicy,
  agent: string | undefined,
): readonly string[] | undefined {
  const calls = [...new Set([...plainCalls(a), ...plainCalls(b)])].toSorted();
  const found = new Map<string, string>();
  const queue: { readonly mine: readonly Allowed[]; readonly theirs: readonly Allowed[] }[] = [
    { mine: [], theirs: [] },
  ];
  const met = new Set<string>();
  for (const { mine, theirs } of queue) {
    if (queue.length > 4000) return undefined;
    for (const call of calls) {
      const before = decidePlain(a, agent, mine, call);
      const after = decidePlain(b, agent, theirs, call);
      const event = eventOf(a, b, before, after);
      const line = `${event} ${agent ?? "-"} ${call}`;
      if (event !== undefined && !found.has(line)) {
        const trace = [...mine.map((one) => one.call), call].join(", ");
        const refusal = [before, after].find((one) => typeof one === "string") ?? "";
        const depends = [...mine, ...theirs, before, after].flatMap((one) =>
          typeof one === "string" || event === "differs" ? [] : one.conditions,
        );
        found.set(
          line,
          `${line}: ${trace}; ${refusal}; ${[...new Set(depends)].toSorted().join()}`,
        );
      }
      if (typeof before === "string" || typeof after === "string") continue;
      const next = { mine: [...mine, before], theirs: [...theirs, after] };
      const key = `${historyText(a, next.mine)} ${historyText(b, next.theirs)}`;
      if (!met.has(key)) queue.push(next);
      met.add(key);
    }
  }
  return [...found.values()];
}

function eventOf(
  a: PlainPolicy,
  b: PlainPolicy,
  before: Allowed | string,
  after: Allowed | string,
): "allowed" | "denied" | "differs" | undefined {
  if (typeof before === "string") return typeof after === "string" ? undefined : "allowed";
  if (typeof after === "string") return "denied";
  return whensOf(a, before) === whensOf(b, after) ? undefined : "differs";
}

function whensOf(plain: PlainPolicy, { function: name, tool }: Allowed): string {
  const fn = plain.functions.find((one) => one.name === name);
  const standing = plain.tools.find((one) => one.name === tool);
  return JSON.stringify([
    fn?.when === undefined ? [] : [name, fn.when],
    standing?.when === undefined ? [] : [tool, standing.when],
  ]);
}

/** `+` newly allowed, `-` newly denied, `?` unknown: agent, then the trace. */
function told(before: CompiledPolicy, after: CompiledPolicy): readonly string[] {
  const { newlyAllowed, newlyDenied, unknown } = diffPolicies(before, after);
  const text = (sign: string, { agent, trace = [] }: Partial<PolicyChange>): string =>
    `${sign} ${agent === undefined ? "" : `(${agent}) `}${trace.map(callText).join(", ")}`;
  return [
    ...newlyAllowed.map((change) => {
      const depends = change.dependsOn === undefined ? "" : ` if ${change.dependsOn.join()}`;
      return `${text("+", change)}: was ${change.refusal.code} ${change.refusal.rule}${depends}`;
    }),
    ...newlyDenied.map(
      (change) => `${text("-", change)}: ${change.refusal.code} ${change.refusal.rule}`,
    ),
    ...unknown.map((change) => `${text("?", change)}: ${change.changed.join()}`),
  ];
}

const three = { intake: ["READ"], review: ["READ"], execution: ["WRITE"] };
const strict = policyOf("intake, review, execution", three);

describe("what changes", () => {
  test.each<[string, CompiledPolicy, CompiledPolicy, readonly string[]]>([
    ["nothing between equal policies", strict, policyOf("intake, review, execution", three), []],
    [
      "nothing where the order is spelled in another way",
      policyOf("intake, review?, execution", three),
      policyOf("(intake, execution) | (intake, review, execution)", three),
      [],
    ],
    [
      "a step that may be left out",
      strict,
      policyOf("intake, review?, execution", three),
      ["+ intake READ, execution WRITE: was SEQUENCE_VIOLATION sequence"],
    ],
    [
      "what may follow where one policy has sealed",
      policyOf("intake, review", { intake: ["READ"], review: ["READ"] }),
      policyOf("intake, review+", { intake: ["READ"], review: ["READ"] }),
      ["+ intake READ, review READ, review READ: was SEALED_SEQUENCE seal"],
    ],
    [
      "an action type, a function and a tool that are new or gone",
      policyOf("a", { a: ["X"], "*r": ["X"] }),
      policyOf(
        "a",
        { a: ["X", "Y"], "*q": ["X"] },
        {
          tools: [{ name: "t", functions: ["a"], action: "X" }],
        },
      ),
      [
        "+ a Y: was ACTION_NOT_ALLOWED functions.a.actions",
        "+ q X: was NO_POLICY_MATCH functions",
        "+ t: was NO_POLICY_MATCH tools",
        "- a X: NO_POLICY_MATCH tools",
        "- r X: NO_POLICY_MATCH functions",
      ],
    ],
    [
      "a limit that is raised, by the call that it refused",
      policyOf("a, b*", { a: ["X"], b: { max: 2 } }),
      policyOf("a, b*", { a: ["X"], b: { max: 4 } }),
      ["+ a X, b X, b X, b X: was LIMIT_EXCEEDED functions.b.limits.calls"],
    ],
    [
      "a constraint, by the shortest trace that it refuses",
      policyOf("(a | b)*, c", { a: ["X"], b: ["X"], c: ["X"] }),
      policyOf(
        "(a | b)*, c",
        { a: ["X"], b: ["X"], c: ["X"] },
        {
          constraints: [
            { kind: "precedence", first: fn("a"), second: fn("c") },
            { kind: "never", first: fn("b"), second: fn("a") },
          ],
        },
      ),
      ["- b X, a X: SEQUENCE_VIOLATION constraints.1", "- c X: SEQUENCE_VIOLATION constraints.0"],
    ],
    [
      "agents, each kind once",
      policyOf("a, b", { a: ["X"], b: ["X", "Y"] }),
      policyOf(
        "a, b",
        { a: ["X"], b: ["X", "Y"] },
        {
          agents: { "*": {}, "bot-*": { b: ["Y"] } },
        },
      ),
      ["- a X: ACTION_NOT_ALLOWED agents", "- (bot-x) a X, b X: ACTION_NOT_ALLOWED agents.bot-*"],
    ],
    [
      "an agent that none of the patterns means",
      policyOf("a", { a: ["X"] }),
      policyOf("a", { a: ["X"] }, { agents: { "bot-*": {} } }),
      ["- a X: ACTION_NOT_ALLOWED agents", "- (other) a X: ACTION_NOT_ALLOWED agents"],
    ],
    [
      "conditions that differ, as unknown, with what changed",
      policyOf(
        "a, b",
        { a: ["X"], b: { when: "args.n < 1.0" } },
        {
          tools: [{ name: "t", functions: ["a"], action: "X", when: "args.n < 1.0" }],
        },
      ),
      policyOf(
        "a, b",
        { a: ["X"], b: { when: "args.n < 2.0" } },
        {
          tools: [{ name: "t", functions: ["a"], action: "X" }],
        },
      ),
      ["? t, b X: functions.b.when", "? t: tools.t.when"],
    ],
    [
      "a change that stands behind a condition, which it then depends on",
      policyOf("a, b", { a: { when: "args.n < 1.0" }, b: ["X"] }),
      policyOf("a, b", { a: { when: "args.n < 1.0" }, b: ["X", "Y"] }),
      ["+ a X, b Y: was ACTION_NOT_ALLOWED functions.b.actions if functions.a.when"],
    ],
  ])("%s", (_, before, after, expected) => {
    expect(told(before, after)).toEqual(expected);
  });

  test("among traces of one length the first in code-unit order is shown", () => {
    const before = policyOf("(B | a | b), c", { B: ["X"], a: ["X"], b: ["X"], c: ["X"] });
    const after = policyOf("(B | a | b), c", { B: ["X"], a: ["X"], b: ["X"], c: ["X", "Y"] });
    expect(told(before, after)).toEqual(["+ B X, c Y: was ACTION_NOT_ALLOWED functions.c.actions"]);
  });
});

describe("limits that other sequences count towards", () => {
  const perAgent = (max: number): CompiledPolicy =>
    withConditions(policyOf("a", { a: ["X"] }), "a", {
      calls: { max: `${max}`, per: "agent", windowMs: 1000 },
    });

  test("a change of one is unknown, with its rule", () => {
    expect(told(perAgent(1), perAgent(2))).toEqual(["? (other) a X: functions.a.limits.calls"]);
  });

  test("a limit per agent refuses a call without one", () => {
    expect(told(policyOf("a", { a: ["X"] }), perAgent(1))).toEqual([
      "- a X: LIMIT_EXCEEDED functions.a.limits.calls",
      "? (other) a X: functions.a.limits.calls",
    ]);
  });

  test("a sum is unknown, and what counts towards it is part of it", () => {
    const summed = (tools: PlainPolicy["tools"]): CompiledPolicy =>
      withConditions(policyOf("a", { a: ["X", "Y"], "*r": ["Y"] }, { tools }), "a", {
        sum: { max: "10", of: ["n"] },
      });
    const t = { name: "t", functions: ["a"], action: "X" };
    expect(told(summed([t]), summed([t]))).toEqual([]);
    expect(
      told(summed([t]), policyOf("a", { a: ["X", "Y"], "*r": ["Y"] }, { tools: [t] })),
    ).toEqual(["? a Y: functions.a.limits.sum", "? t: functions.a.limits.sum"]);
    expect(told(summed([t]), summed([t, { name: "u", functions: ["a"], action: "Y" }]))).toEqual([
      "+ u: was NO_POLICY_MATCH tools if functions.a.limits.sum",
      "- a Y: NO_POLICY_MATCH tools",
      "? t: functions.a.limits.sum",
    ]);
  });

  test("a name that another call binds as well makes its conditions differ", () => {
    const bound = (other: boolean): CompiledPolicy => {
      const policy = withConditions(policyOf("a, b", { a: ["X"], b: ["X"] }), "a", {
        bind: [{ name: "account", of: ["id"] }],
      });
      return other
        ? withConditions(policy, "b", { bind: [{ name: "account", of: ["id"] }] })
        : policy;
    };
    expect(told(bound(false), bound(true))).toEqual([
      "? a X: functions.a.bind",
      "? a X, b X: functions.b.bind",
    ]);
  });
});

test("what is too large to compare is said to be unknown, and the rest is compared", () => {
  const steps = Array.from({ length: 8 }, (_, index) => `s${index}`);
  const large = (...actions: readonly string[]): CompiledPolicy =>
    policyOf(`(${steps.join(" | ")}){14}, end`, {
      ...Object.fromEntries(steps.map((step) => [step, { max: 2 }])),
      end: actions,
      "*read": actions,
    });
  const changed = [large("X"), large("X", "Y")] as const;
  const { newlyAllowed, unknown } = diffPolicies(...changed, { states: 100 });
  expect(newlyAllowed.map(({ call }) => callText(call))).toEqual(["read Y"]);
  expect(unknown.map(({ call, reason }) => `${callText(call)}: ${reason}`)).toContain(
    "end Y: too many states to compare them all",
  );
  expect(diffPolicies(...changed).newlyAllowed.map(({ call }) => callText(call))).toEqual([
    "end Y",
    "read Y",
  ]);
});

/** A function with conditions of its own, in the tables and in the normal form. */
function withConditions(
  policy: CompiledPolicy,
  name: string,
  conditions: Partial<CompiledConditions>,
): CompiledPolicy {
  const entry = policy.functions.get(name);
  if (entry === undefined) throw new TypeError(`no function '${name}'`);
  const path = `functions.${name}`;
  const form = JSON.parse(policy.normalForm);
  const { bind, calls, sum } = conditions;
  form.functions[name] = { bind, limits: { calls, sum } };
  return {
    ...policy,
    normalForm: JSON.stringify(form),
    functions: new Map(policy.functions).set(name, {
      ...entry,
      conditions: { path, grounded: [], bind: [], ...conditions },
    }),
  };
}

test("kinds of agent that there is no work left for are said to be left out", () => {
  const names = Array.from({ length: 50 }, (_, index) => `n${index}-*`);
  const make = (left: readonly string[]): CompiledPolicy =>
    policyOf(
      "a, b",
      { a: ["X"], b: ["X"] },
      { agents: Object.fromEntries(names.map((name) => [name, { b: left }])) },
    );
  const [all, none] = [make(["X"]), make([])];
  const whole = diffPolicies(none, all);
  expect(whole).toMatchObject({ byAgent: true, allAgents: true });
  expect(new Set(whole.newlyAllowed.map(({ agent }) => agent)).size).toBe(50);
  const some = diffPolicies(none, all, { work: 200 });
  expect(some.allAgents).toBe(false);
  expect(some.newlyAllowed.length).toBeLessThan(50);
  for (const change of some.newlyAllowed) expect(whole.newlyAllowed).toContainEqual(change);
  expect(diffPolicies(policyOf("a", { a: ["X"] }), policyOf("a", { a: ["X"] }))).toMatchObject({
    byAgent: false,
    allAgents: true,
  });
});
