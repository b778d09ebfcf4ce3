/** Level 2 as the gate gets it: closures that decide as the page says, and tables in an order that no spelling changes. */
import type {
  CallSelector,
  CompiledConditions,
  CompiledPolicy,
  JsonObject,
  Scope,
} from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkPolicy,
  compilePolicy,
  type ConditionEntries,
  diffPolicies,
  parsePolicy,
} from "../src/index.ts";
import { plainPolicy } from "./arbitrary-policy.ts";
import { PAYMENTS } from "./payments.ts";
import { compilePlain, type PlainPolicy } from "./plain-policy.ts";

const BASE = {
  schema: "stepgate.policy/1",
  id: "x",
  version: "1",
  sequence: "a, b",
  functions: { a: ["X"], b: ["Y"], c: { step: "a", actions: ["Z"] } },
} as const;

function scope(args: JsonObject, rest: Partial<Scope> = {}): Scope {
  return { args, context: {}, agent_id: "", tenant: "", ...rest };
}

function onTool(entry: ConditionEntries, more: object = {}): CompiledPolicy {
  return compilePolicy({
    ...BASE,
    tools: { pay: { function: "b", action: "Y", ...entry } },
    ...more,
  });
}

function ofTool(entry: ConditionEntries, more: object = {}): CompiledConditions {
  return must(onTool(entry, more).tools.get("pay")?.conditions);
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("it is not there");
  return value;
}

describe("the example of the page", () => {
  const policy = parsePolicy(PAYMENTS);
  const pay = must(policy.tools.get("transfer_funds")?.conditions);
  const good = { amount: 10, currency: "EUR", to: "GB29NWBK60161331926819", application_id: "a1" };

  test("checks arguments by their schema", () => {
    expect(pay.args?.(good)).toBeUndefined();
    expect(pay.args?.({ ...good, amount: 0 })).toBe("amount");
    expect(pay.args?.({ ...good, amount: "10" })).toBe("amount");
    expect(pay.args?.({ ...good, more: 1 })).toBe("more");
  });

  test("and by its condition", () => {
    expect(pay.when?.(scope(good))).toBe(true);
    expect(pay.when?.(scope({ ...good, amount: 10_001 }))).toBe(false);
    expect(pay.when?.(scope({ ...good, amount: 10_001 }, { agent_id: "treasury" }))).toBe(true);
    expect(pay.when?.(scope({}))).toBe("error");
  });

  test("grounds what it must", () => {
    const [to] = pay.grounded;
    expect(pay.grounded.map(({ path }) => path)).toEqual(["to"]);
    expect(to?.holds(scope(good))).toBe(true);
    expect(to?.holds(scope({ ...good, to: "DE1" }))).toBe(false);
    expect(
      to?.holds(scope({ ...good, to: "DE1" }, { context: { request: "to DE1, please" } })),
    ).toBe(true);
  });

  test("has its tables", () => {
    expect(pay).toMatchObject({
      path: "tools.transfer_funds",
      bind: [{ name: "application", of: ["application_id"] }],
      calls: { max: "20", per: "agent", windowMs: 86_400_000 },
      sum: { max: "50000", of: ["amount"] },
      approval: { count: 1, by: new Set(["finance"]) },
    });
    expect(policy.tools.get("transfer_funds")?.audience).toBe("ledger");
    expect(policy.constraints).toEqual([
      {
        kind: "precedence",
        first: { member: "function", name: "intake" },
        second: { member: "function", name: "lookup" },
      },
      {
        kind: "never",
        first: { member: "action_type", name: "CALL_EXTERNAL_API" },
        second: { member: "action_type", name: "WRITE_DB" },
      },
    ]);
    expect(
      policy.forbid?.map(({ agents, ...rest }) => [rest, agents?.("bot-1"), agents?.("me")]),
    ).toEqual([[{ tools: new Set(["transfer_funds"]) }, true, false]]);
    expect(policy.agents?.map(({ pattern, functions }) => [pattern, functions])).toEqual([
      ["*", new Map()],
      ["bot-*", new Map([["execution", new Set(["CALL_EXTERNAL_API"])]])],
    ]);
    expect(policy.agents?.map((entry) => entry.matches("bot-1"))).toEqual([true, true]);
    expect(policy.agents?.map((entry) => entry.matches("me"))).toEqual([true, false]);
  });
});

describe("a policy without Level 2", () => {
  test("has no conditions, no agents, and nothing to look at", () => {
    const policy = compilePolicy({ ...BASE, tools: { t: { function: "a", action: "X" } } });
    expect(policy.constraints).toEqual([]);
    expect(policy.forbid).toEqual([]);
    expect("agents" in policy).toBe(false);
    const places = [...policy.functions.values(), ...policy.tools.values()];
    expect(places.some((place) => "conditions" in place || "audience" in place)).toBe(false);
  });

  test("nor has one whose conditions are empty", () => {
    const empty = { grounded: {}, bind: {}, limits: {}, ungrounded: ["x"] };
    expect(onTool(empty).tools.get("pay")).toEqual({ name: "pay", functions: ["b"], action: "Y" });
  });

  test("with agents that leave everything as it is still has agents: others may do nothing", () => {
    const { agents } = onTool({}, { agents: { "bot-*": {} } });
    expect(agents?.map(({ pattern }) => pattern)).toEqual(["bot-*"]);
  });
});

describe("a condition", () => {
  test.each<[string, boolean | "error"]>([
    ["args.flag", true],
    ["args.off", false],
    ["args.text", "error"],
    ["args.n", "error"],
    ["args.nothing", "error"],
    ["args.missing", "error"],
    ["args.n + 1 > 0", "error"],
  ])(
    "%s is %s: only a boolean is an answer, in when and in an approval's alike",
    (text, answer) => {
      const { approval, when } = ofTool({ when: text, approval: { by: ["x"], when: text } });
      const call = scope({ flag: true, off: false, text: "true", n: 1, nothing: null });
      expect(when?.(call)).toBe(answer);
      expect(approval?.when?.(call)).toBe(answer);
    },
  );

  test("stands on a function as on a tool, with an audience of its own", () => {
    const { functions } = compilePolicy({
      ...BASE,
      functions: {
        a: ["X"],
        b: { actions: ["Y"], audience: "bank", when: "args.n > 1.0", limits: { calls: 2 } },
      },
    });
    const { audience, conditions } = must(functions.get("b"));
    expect(audience).toBe("bank");
    expect(conditions).toMatchObject({ path: "functions.b", calls: { max: "2" } });
    expect(conditions?.when?.(scope({ n: 2 }))).toBe(true);
    expect(conditions?.when?.(scope({ n: 1 }))).toBe(false);
  });
});

describe("tables", () => {
  test("write limits as decimal text, without rounding", () => {
    const limits = (max: number): string | undefined =>
      ofTool({ limits: { sum: { of: "args.n", max } } }).sum?.max;
    expect(limits(0)).toBe("0");
    expect(limits(0.1)).toBe("0.1");
    expect(limits(50_000)).toBe("50000");
    expect(limits(9_007_199_254_740_991)).toBe("9007199254740991");
    expect(limits(1e-7)).toBe("0.0000001");
  });

  test("split paths at their dots, and names in them are no more than names", () => {
    const { bind, sum } = ofTool({
      bind: { z: "args.order.id", a: "args.toString" },
      limits: { sum: { of: "args.a.b.c", max: 1 } },
    });
    expect(bind).toEqual([
      { name: "a", of: ["toString"] },
      { name: "z", of: ["order", "id"] },
    ]);
    expect(sum?.of).toEqual(["a", "b", "c"]);
  });

  test("are in code-unit order, names that are numbers too", () => {
    const { agents } = onTool({}, { agents: { b: {}, "9": {}, "10": {}, "*": {}, B: {} } });
    expect(agents?.map(({ pattern }) => pattern)).toEqual(["*", "10", "9", "B", "b"]);
    const { grounded } = ofTool({
      grounded: { z: "context.a", "9": "context.a", "10": "context.a" },
    });
    expect(grounded.map(({ path }) => path)).toEqual(["10", "9", "z"]);
  });

  test("of forbid have the selectors that are given and no others", () => {
    const { forbid } = onTool(
      {},
      { forbid: [{ actions: ["Z"] }, { functions: ["c"], steps: ["a"] }] },
    );
    expect(forbid).toEqual([
      { actions: new Set(["Z"]) },
      { functions: new Set(["c"]), steps: new Set(["a"]) },
    ]);
  });

  test("of forbid match an agent by any of the patterns", () => {
    const { forbid } = onTool({}, { forbid: [{ actions: ["Z"], agents: ["bot-*", "*-eu"] }] });
    const [item] = must(forbid);
    expect(["bot-1", "me-eu", "me", ""].map((agent) => item?.agents?.(agent))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test("take names of prototypes for names", () => {
    const policy = onTool(
      {},
      {
        forbid: [{ tools: ["toString"] }],
        constraints: [{ precedence: ["valueOf", "hasOwnProperty"] }],
      },
    );
    expect(policy.forbid).toEqual([{ tools: new Set(["toString"]) }]);
    expect(policy.constraints?.[0]?.first).toEqual({ member: "function", name: "valueOf" });
    expect(policy.tools.get("toString")).toBeUndefined();
  });
});

describe("an argument that equals its schema's default is not grounded", () => {
  const schema = (value: string): JsonObject => ({
    type: "object",
    properties: { to: { type: "string", default: value } },
  });
  const tools = (entries: Readonly<Record<string, object>>): object => ({
    tools: Object.fromEntries(
      Object.entries(entries).map(([name, entry]) => [
        name,
        { function: "b", action: "Y", ...entry },
      ]),
    ),
  });
  const holds = (policy: CompiledPolicy, place: "b" | "pay", to: string): boolean | "error" => {
    const found = place === "b" ? policy.functions.get("b") : policy.tools.get("pay");
    return must(found?.conditions?.grounded[0]).holds(scope({ to }));
  };
  const grounded = { to: "context.request" };
  const fn = (entry: object): object => ({
    functions: { a: ["X"], b: { actions: ["Y"], ...entry } },
  });

  test("by the tool's schema, else by the function's", () => {
    const both = compilePolicy({
      ...BASE,
      ...fn({ args: schema("f") }),
      ...tools({ pay: { args: schema("t"), grounded } }),
    });
    expect(holds(both, "pay", "t")).toBe(true);
    expect(holds(both, "pay", "f")).toBe(false);
    const one = compilePolicy({
      ...BASE,
      ...fn({ args: schema("f") }),
      ...tools({ pay: { grounded } }),
    });
    expect(holds(one, "pay", "f")).toBe(true);
    expect(holds(one, "pay", "x")).toBe(false);
  });

  test("on a function too, where all its tools agree; else it is always checked", () => {
    const one = compilePolicy({
      ...BASE,
      ...fn({ grounded }),
      ...tools({ pay: { args: schema("t") } }),
    });
    expect(holds(one, "b", "t")).toBe(true);
    const two = compilePolicy({
      ...BASE,
      ...fn({ grounded }),
      ...tools({ pay: { args: schema("t") }, other: { args: schema("o") } }),
    });
    expect(holds(two, "b", "t")).toBe(false);
    expect(holds(two, "b", "o")).toBe(false);
  });

  test("of the functions of a tool that can stand for its calls, and no others", () => {
    const policy = compilePolicy({
      ...BASE,
      functions: {
        a: ["X"],
        b: { actions: ["Y"], args: schema("f") },
        c: { step: "a", actions: ["Z"], args: schema("c") },
      },
      tools: { pay: { function: ["c", "b"], action: "Y", grounded } },
    });
    expect(holds(policy, "pay", "f")).toBe(true);
    expect(holds(policy, "pay", "c")).toBe(false);
  });

  test("and a call that no tool stands for has the function's alone", () => {
    const policy = compilePolicy({
      ...BASE,
      ...fn({ actions: ["Y", "Z"], grounded }),
      ...tools({ pay: { args: schema("t") } }),
    });
    expect(holds(policy, "b", "t")).toBe(false);
  });
});

describe("for random policies", () => {
  test("text, limits, constraints, forbid and agents decide like tables written by hand", () => {
    let loaded = 0;
    fc.assert(
      fc.property(plainPolicy, (plain) => {
        const byHand = compilePlain(plain);
        const { policy } = checkPolicy(JSON.stringify(documentOf(plain, byHand)));
        // What can never be completed does not load.
        if (policy === undefined) return;
        loaded += 1;
        const { newlyAllowed, newlyDenied, unknown } = diffPolicies(byHand, policy);
        expect([...newlyAllowed, ...newlyDenied, ...unknown]).toEqual([]);
        expect(policy.constraints).toEqual(byHand.constraints);
        expect(policy.agents?.map(({ functions, pattern }) => [pattern, functions])).toEqual(
          byHand.agents?.map(({ functions, pattern }) => [pattern, functions]),
        );
      }),
      { numRuns: 150 },
    );
    expect(loaded).toBeGreaterThan(20);
  });
});

/** The policy as it would be written. */
function documentOf(plain: PlainPolicy, { normalForm }: CompiledPolicy): object {
  const conditions = ({ max, when }: { readonly max?: number; readonly when?: string }) => ({
    ...(max !== undefined && { limits: { calls: max } }),
    ...(when !== undefined && { when }),
  });
  const selector = ({ member, name }: CallSelector) => ({
    [member === "action_type" ? "action" : member]: name,
  });
  const agents = Object.entries(plain.agents ?? {}).map(([pattern, functions]) => [
    pattern,
    { functions },
  ]);
  return {
    schema: "stepgate.policy/1",
    id: "plain",
    version: "1",
    sequence: JSON.parse(normalForm).sequence,
    functions: Object.fromEntries(
      plain.functions.map(({ name, step, actions, ...rest }) => [
        name,
        { step, actions, ...conditions(rest) },
      ]),
    ),
    tools: Object.fromEntries(
      plain.tools.map(({ name, functions, action, ...rest }) => [
        name,
        { function: functions, action, ...conditions(rest) },
      ]),
    ),
    constraints: plain.constraints.map(({ kind, first, second }) => ({
      [kind]: [selector(first), selector(second)],
    })),
    forbid: plain.forbid,
    ...(plain.agents && { agents: Object.fromEntries(agents) }),
    sealOn: plain.sealOn,
  };
}
