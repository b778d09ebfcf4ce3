/** Laws of the language, on random policies and runs: decided by the gate's own pure engine, and by the comparison of policies. */
import type { CompiledPolicy } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import {
  callText,
  compilePolicy,
  type ConditionEntries,
  diffPolicies,
  parsePolicy,
  policyFromEnv,
  type PolicyCall,
  type PolicyDocument,
} from "../src/index.ts";
import { plainPolicy } from "./arbitrary-policy.ts";
import { compileDocument, documentOf, type MadeCall, play } from "./plain-document.ts";
import { type Allowed, decidePlain, plainCalls, type PlainPolicy } from "./plain-policy.ts";

const RUNS = Number(process.env["STEPGATE_CASES"] ?? 400);
const AGENTS = [undefined, "bot-1", "bot-eu", "clerk-eu", "clerk"] as const;

/** Values that some conditions let pass and others do not. */
const args = fc.constantFrom<MadeCall["args"]>({}, { n: 0 }, { n: 1 }, { n: 2 }, { n: "1" });
const action = fc.constantFrom("X", "Y", "S");

/** Calls that a policy may know, each by a number: most of them it does. */
function callsOf(plain: PlainPolicy): readonly PolicyCall[] {
  return [...plainCalls(plain), "r X", "a Y", "no_tool", "none X"].map((text) => {
    const [name = "", action_type] = text.split(" ");
    return action_type === undefined ? { tool: name } : { function: name, action_type };
  });
}

const run = fc.array(fc.tuple(fc.nat(1000), args), { maxLength: 12 });

/** Neighbours are tried as well: most calls are denied. */
function made(
  plain: PlainPolicy,
  picks: readonly (readonly [number, MadeCall["args"]])[],
): readonly MadeCall[] {
  const calls = callsOf(plain);
  return picks.flatMap(([pick, given]) =>
    [0, 1, 2, 3].map((next) => ({
      call: calls[(pick + next) % calls.length] ?? { tool: "t" },
      args: given,
    })),
  );
}

test("the gate decides as the reference of the analysis does, code and rule", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(plainPolicy, fc.constantFrom(...AGENTS), run, (plain, agent, picks) => {
      const policy = compileDocument(documentOf(plain));
      fc.pre(policy !== undefined);
      const history: Allowed[] = [];
      // Arguments that every condition here lets pass, as the reference takes them to do.
      const calls = made(plain, picks).map(({ call }) => ({ call, args: { n: 0 } }));
      for (const { made: one, code, rule, function: fn } of play(policy, agent, calls)) {
        const expected = decidePlain(plain, agent, history, callText(one.call));
        seen.add(code);
        if (typeof expected === "string") expect(`${code} ${rule}`).toBe(expected);
        else {
          expect([code, fn]).toEqual(["ALLOW", expected.function]);
          history.push(expected);
        }
      }
    }),
    { numRuns: RUNS },
  );
  expect([...seen].toSorted()).toEqual([
    "ACTION_NOT_ALLOWED",
    "ALLOW",
    "LIMIT_EXCEEDED",
    "NO_POLICY_MATCH",
    "SEALED_SEQUENCE",
    "SEQUENCE_VIOLATION",
  ]);
});

/** Takes something away from a policy. */
type Narrowing = (document: PolicyDocument) => PolicyDocument;

const selector = fc.oneof(
  fc.constantFrom("a", "b", "r").map((name) => ({ function: name })),
  fc.constantFrom("a", "b").map((name) => ({ step: name })),
  action.map((name) => ({ action: name })),
  fc.constantFrom("t", "u").map((name) => ({ tool: name })),
);

const addForbid: fc.Arbitrary<Narrowing> = fc
  .record(
    {
      actions: action.map((name) => [name]),
      functions: fc.constantFrom("a", "b", "r").map((name) => [name]),
      steps: fc.constantFrom("a", "b").map((name) => [name]),
      tools: fc.constantFrom("t", "u").map((name) => [name]),
      agents: fc.constantFrom("bot-*", "*-eu", "*").map((name) => [name]),
    },
    { requiredKeys: [] },
  )
  .map((item) => Object.fromEntries(Object.entries(item).slice(0, 2)))
  .filter((item) => Object.keys(item).length > 0)
  .map((item) => (document) => ({ ...document, forbid: [...(document.forbid ?? []), item] }));

const addConstraint: fc.Arbitrary<Narrowing> = fc
  .tuple(fc.constantFrom("precedence", "never"), selector, selector)
  .map(([kind, first, second]) => (document) => ({
    ...document,
    constraints: [...(document.constraints ?? []), { [kind]: [first, second] }],
  }));

/** `agents` where there are none, or less for the agents of a pattern. A further pattern would be no narrowing. */
const narrowAgents: fc.Arbitrary<Narrowing> = fc
  .tuple(fc.nat(10), fc.nat(10), fc.constantFrom("bot-*", "*"))
  .map(([at, to, pattern]) => (document) => {
    const { agents = { [pattern]: {} }, functions } = document;
    const names = Object.keys(functions);
    const name = names[at % names.length] ?? "a";
    const [chosen = pattern, entry = {}] =
      Object.entries(agents)[to % Object.keys(agents).length] ?? [];
    const left = entry.functions?.[name] ?? functions[name] ?? [];
    const actions = "actions" in left ? left.actions : left;
    const narrower = { ...entry.functions, [name]: actions.slice(1) };
    return { ...document, agents: { ...agents, [chosen]: { ...entry, functions: narrower } } };
  });

const CONDITIONS: readonly ConditionEntries[] = [
  { when: "args.n == 0.0" },
  { when: "args.m == 1.0" },
  { args: { type: "object", properties: { n: { type: "number" } }, required: ["n"] } },
  { args: false },
  { grounded: { n: ["context.request"] } },
  { bind: { same: "args.n" } },
  { limits: { calls: 1 } },
  { limits: { sum: { of: "args.n", max: 1 } } },
  { approval: { by: ["boss"], when: "args.n > 0.0" } },
];

/** A condition of a kind that is not there yet, on a function or a tool. */
const addCondition: fc.Arbitrary<Narrowing> = fc
  .tuple(fc.constantFrom(...CONDITIONS), fc.nat(10))
  .map(([condition, at]) => (document) => {
    const { functions, tools = {} } = document;
    const places = [...Object.keys(functions), ...Object.keys(tools)];
    const place = at % places.length;
    const name = places[place] ?? "a";
    const tool = tools[name];
    const fn = functions[name];
    if (place >= Object.keys(functions).length && tool !== undefined)
      return { ...document, tools: { ...tools, [name]: { ...condition, ...tool } } };
    if (fn === undefined || !("actions" in fn)) return document;
    return { ...document, functions: { ...functions, [name]: { ...condition, ...fn } } };
  });

/** Tools of several functions stand for another one where the first is taken away; these have one each. */
function withoutLists(plain: PlainPolicy): PlainPolicy {
  return {
    ...plain,
    tools: plain.tools.map((tool) => ({ ...tool, functions: tool.functions.slice(0, 1) })),
  };
}

describe("what is allowed is never more after adding", () => {
  const kinds: readonly [string, fc.Arbitrary<Narrowing>, (plain: PlainPolicy) => PlainPolicy][] = [
    ["a forbid, where each tool is one function", addForbid, withoutLists],
    ["a constraint, where each tool is one function", addConstraint, withoutLists],
    ["less for an agent, where each tool is one function", narrowAgents, withoutLists],
    ["a condition", addCondition, (plain) => plain],
  ];

  test.each(kinds)("%s: of every run that the narrower policy allows", (_, narrowing, shape) => {
    const seen = { allowed: 0, narrowed: 0 };
    fc.assert(
      fc.property(
        plainPolicy.map(shape),
        narrowing,
        fc.constantFrom(...AGENTS),
        run,
        (plain, narrow, agent, picks) => {
          const [wide, narrower] = pairOf(plain, narrow);
          const answers = play(narrower, agent, made(plain, picks));
          const allowed = answers.filter(({ code }) => code === "ALLOW");
          // What was denied left no trace, so the run is that of the ALLOWs alone.
          const again = play(
            wide,
            agent,
            allowed.map((one) => one.made),
          );
          expect(again.map(({ code, rule }) => rule ?? code)).toEqual(allowed.map(() => "ALLOW"));
          seen.allowed += allowed.length;
          const free = play(wide, agent, made(plain, picks));
          if (free.filter(({ code }) => code === "ALLOW").length > allowed.length)
            seen.narrowed += 1;
        },
      ),
      { numRuns: RUNS },
    );
    // Laws of policies that allow nothing, or of nothing taken away, would say little.
    expect(seen.allowed).toBeGreaterThan(RUNS);
    expect(seen.narrowed).toBeGreaterThan(RUNS / 50);
  });

  test.each(kinds)("%s: by the comparison of both", (_, narrowing, shape) => {
    let denied = 0;
    fc.assert(
      fc.property(plainPolicy.map(shape), narrowing, (plain, narrow) => {
        const [wide, narrower] = pairOf(plain, narrow);
        const { newlyAllowed, newlyDenied, unknown, allAgents } = diffPolicies(wide, narrower);
        expect(newlyAllowed).toEqual([]);
        expect(allAgents).toBe(true);
        denied += newlyDenied.length + unknown.length;
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    );
    expect(denied).toBeGreaterThan(RUNS / 50);
  });

  /** Both policies; those that have another fault are left out. */
  function pairOf(
    plain: PlainPolicy,
    narrow: Narrowing,
  ): readonly [CompiledPolicy, CompiledPolicy] {
    const document = documentOf(plain);
    const [wide, narrower] = [compileDocument(document), compileDocument(narrow(document))];
    fc.pre(wide !== undefined && narrower !== undefined);
    return [wide, narrower];
  }

  test("but a tool of several functions may come to stand for the next, and the comparison says so", () => {
    const wide: PolicyDocument = {
      schema: "stepgate.policy/1",
      id: "x",
      version: "1",
      sequence: "a | b, c",
      functions: { a: ["X"], b: ["X"], c: ["X"] },
      tools: { t: { function: ["a", "b"], action: "X" } },
    };
    const narrower = { ...wide, forbid: [{ functions: ["a"] }] };
    const { newlyAllowed } = diffPolicies(compilePolicy(wide), compilePolicy(narrower));
    expect(newlyAllowed.map(({ trace }) => trace.map(callText))).toEqual([["t", "c X"]]);
  });

  test("and a further pattern lets in agents that no pattern matched before, and the comparison says so", () => {
    const wide: PolicyDocument = {
      schema: "stepgate.policy/1",
      id: "x",
      version: "1",
      sequence: "a",
      functions: { a: ["X"] },
      agents: { "bot-*": {} },
    };
    const more = { ...wide, agents: { ...wide.agents, "*": {} } };
    const { newlyAllowed } = diffPolicies(compilePolicy(wide), compilePolicy(more));
    expect(newlyAllowed).toEqual([expect.objectContaining({ agent: "other" })]);
  });
});

describe("one contract has one digest", () => {
  const numbers = fc.infiniteStream(fc.nat(1_000_000));

  test("whatever the order of members, short or long forms, YAML or JSON", () => {
    const digests = new Set<string>();
    let respelled = 0;
    fc.assert(
      fc.property(plainPolicy, addCondition, numbers, (plain, add, stream) => {
        const document = add(documentOf(plain));
        const digest = compileDocument(document)?.digest;
        fc.pre(digest !== undefined);
        digests.add(digest);
        const other = spelled(document, stream);
        if (JSON.stringify(other) !== JSON.stringify(document)) respelled += 1;
        expect(compileDocument(other)?.digest).toBe(digest);
        for (const text of [stringify(other), JSON.stringify(other, null, 2)])
          expect(digestOf(text) ?? digest).toBe(digest);
      }),
      { numRuns: Math.ceil(RUNS / 4) },
    );
    expect(respelled).toBeGreaterThan(RUNS / 8);
    expect(digests.size).toBeGreaterThan(RUNS / 8);
  });

  /** Nothing for a text that does not load, as one that can never be completed. */
  function digestOf(text: string): string | undefined {
    try {
      return parsePolicy(text).digest;
    } catch {
      return undefined;
    }
  }

  /** The same contract, written otherwise. */
  function spelled(document: PolicyDocument, stream: fc.Stream<number>): PolicyDocument {
    const flip = (): boolean => stream.next().value % 2 === 0;
    const shorter = (value: unknown): unknown => {
      if (typeof value !== "object" || value === null) return value;
      if (Array.isArray(value)) return value.map(shorter);
      return Object.fromEntries(
        mixed(Object.entries(value), stream).map(([name, member]) => [
          name,
          shortMember(name, shorter(member), flip, stream),
        ]),
      );
    };
    const shuffled = shorter(document) as PolicyDocument;
    return {
      ...shuffled,
      sequence: flip() ? [`(${document.sequence})`] : ` (\n${document.sequence}) `,
      functions: Object.fromEntries(
        Object.entries(shuffled.functions).map(([name, entry]) => [
          name,
          "actions" in entry ? shortFunction(name, entry, flip) : entry,
        ]),
      ),
    };
  }

  function shortMember(
    name: string,
    member: unknown,
    flip: () => boolean,
    stream: fc.Stream<number>,
  ): unknown {
    if (Array.isArray(member)) {
      if (name === "function" && member.length === 1 && flip()) return member[0];
      if (name === "actions" || name === "sealOn" || name === "functions" || name === "tools")
        return mixed(flip() ? [...member, ...member.slice(0, 1)] : member, stream);
      if (name === "precedence" || name === "never")
        return member.map((one) => (isBare(one) && flip() ? one.function : one));
    }
    if (name === "calls" && isLimit(member) && flip()) return member.max;
    return member;
  }

  function isBare(value: unknown): value is { readonly function: string } {
    return typeof value === "object" && value !== null && "function" in value;
  }

  function isLimit(value: unknown): value is { readonly max: number } {
    return (
      typeof value === "object" &&
      value !== null &&
      "max" in value &&
      Object.keys(value).length === 1
    );
  }

  function shortFunction(
    name: string,
    entry: Exclude<PolicyDocument["functions"][string], readonly string[]>,
    flip: () => boolean,
  ): PolicyDocument["functions"][string] {
    const { step, ...rest } = entry;
    const shorter = step === name && flip() ? rest : entry;
    return Object.keys(shorter).length === 1 && flip() ? shorter.actions : shorter;
  }

  function mixed<T>(items: readonly T[], stream: fc.Stream<number>): T[] {
    const keyed = items.map((item) => ({ item, key: stream.next().value }));
    return keyed.toSorted((one, other) => one.key - other.key).map(({ item }) => item);
  }
});

test("a policy of Level 0 never asks about arguments, limits or approvals", () => {
  const seen = new Set<string>();
  const names = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1 });
  const actions = fc.uniqueArray(action, { minLength: 1 });
  fc.assert(
    fc.property(
      names.chain((order) => fc.tuple(fc.constant(order), fc.tuple(...order.map(() => actions)))),
      fc.constantFrom(...AGENTS),
      fc.array(
        fc.tuple(
          fc.oneof(
            fc.record({ function: fc.constantFrom("a", "b", "c", "d"), action_type: action }),
            fc.record({ tool: fc.constantFrom("a", "t") }),
          ),
          args,
        ),
        { maxLength: 12 },
      ),
      ([order, lists], agent, calls) => {
        const policy = policyFromEnv({
          env: {
            STEPGATE_STEP_ORDER: order.join(","),
            STEPGATE_ACTION_MAP: JSON.stringify(
              Object.fromEntries(order.map((name, index) => [name, lists[index]])),
            ),
          },
        });
        const played = play(
          policy,
          agent,
          calls.map(([call, given]) => ({ call, args: given })),
        );
        for (const { code } of played) seen.add(code);
      },
    ),
    { numRuns: RUNS },
  );
  expect([...seen].toSorted()).toEqual([
    "ACTION_NOT_ALLOWED",
    "ALLOW",
    "NO_POLICY_MATCH",
    "SEALED_SEQUENCE",
    "SEQUENCE_VIOLATION",
  ]);
});
