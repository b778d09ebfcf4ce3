/** Random contracts of Level 2, as the reference knows them and as documents; and random lives of their sequences. */
import fc from "fast-check";
import type { Asked, Conditions, ContractTwo, Limit, Selector } from "./judge-two.ts";
import type { StepOrder } from "./step-order.ts";

/** The windows of every windowed limit. */
const WINDOW_MS = 10_000;

/** Orders as the language writes them, what begins a run, and what is a whole one. */
const ORDERS: readonly (readonly [text: string, order: StepOrder])[] = [
  ["(a | b | c)*", orderOf(/^[abc]*$/, /^[abc]*$/)],
  ["a+, b?, c", orderOf(/^(a+b?c?)?$/, /^a+b?c$/)],
  ["(a | b)*, c", orderOf(/^[ab]*c?$/, /^[ab]*c$/)],
  ["a?, (b | c){1,6}", orderOf(/^a?[bc]{0,6}$/, /^a?[bc]{1,6}$/)],
];

function orderOf(begun: RegExp, complete: RegExp): StepOrder {
  return {
    steps: ["a", "b", "c"],
    begun: (trace) => begun.test(trace.join("")),
    complete: (trace) => complete.test(trace.join("")),
  };
}

const ACTIONS = ["X", "Y"];
const FUNCTIONS = ["a", "b", "c", "a2", "free"];
const TOOLS = ["t", "u"];

const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });

const limit = (max: fc.Arbitrary<number>): fc.Arbitrary<Limit> =>
  fc.record({ max, window: fc.constant(WINDOW_MS) }, { requiredKeys: ["max"] });

const whole: fc.Arbitrary<Required<Conditions>> = fc.record({
  typed: fc.constant(true),
  below: fc.constantFrom(2, 5),
  grounded: fc.constant(true),
  bind: fc.dictionary(fc.constantFrom("p", "q"), fc.constantFrom("k", "m"), { minKeys: 1 }),
  calls: limit(fc.constantFrom(1, 2)),
  sum: limit(fc.constantFrom(0.3, 3, 5)),
  approval: fc.record(
    {
      from: fc.constantFrom(1, 2.5),
      count: fc.constantFrom(1, 1, 2),
      by: fc.constantFrom(["finance"], ["finance"], ["legal"], ["finance", "legal"]),
    },
    { requiredKeys: ["count", "by"] },
  ),
});
const PARTS = ["typed", "below", "grounded", "bind", "calls", "sum", "approval", "approval"];
/** One or two at once: a call that everything refuses tells little. */
const few: fc.Arbitrary<Conditions> = fc
  .tuple(whole, fc.array(fc.constantFrom(...PARTS), { minLength: 1, maxLength: 2 }))
  .map(([all, kept]) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => kept.includes(name))),
  );

const selector: fc.Arbitrary<Selector> = fc.oneof(
  fc.constantFrom(...FUNCTIONS).map((name) => ({ function: name })),
  fc.constantFrom("a", "b", "c").map((step) => ({ step })),
  fc.constantFrom(...ACTIONS).map((action) => ({ action })),
  fc.constantFrom(...TOOLS).map((tool) => ({ tool })),
);

const listed = (names: readonly string[]): fc.Arbitrary<readonly string[]> =>
  fc.subarray([...names], { minLength: 1, maxLength: 2 });

/** A contract and its document. */
export interface Drawn {
  readonly contract: ContractTwo;
  readonly document: object;
}

/** Any contract. */
export const anyContract: fc.Arbitrary<Drawn> = fc
  .record({
    order: fc.constantFrom(...ORDERS, ...ORDERS.slice(0, 1), ...ORDERS.slice(0, 1)),
    actions: fc.tuple(...FUNCTIONS.map(() => fc.subarray(ACTIONS, { minLength: 1 }))),
    onFunctions: fc.tuple(...FUNCTIONS.map(() => some(few))),
    tools: fc.tuple(
      ...TOOLS.map(() => fc.tuple(listed(FUNCTIONS), fc.constantFrom(...ACTIONS), some(few))),
    ),
    constraints: fc.array(
      fc.record({
        kind: fc.constantFrom("never" as const, "precedence" as const),
        of: fc.tuple(selector, selector),
      }),
      { maxLength: 2 },
    ),
    forbid: fc.array(
      fc.record(
        {
          actions: listed(ACTIONS),
          functions: listed(FUNCTIONS),
          steps: listed(["a", "b", "c"]),
          tools: listed(TOOLS),
          agents: listed(["ana", "bot-*", "*a*"]),
        },
        { requiredKeys: [] },
      ),
      { maxLength: 1 },
    ),
    agents: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 3 },
      {
        arbitrary: fc.dictionary(
          fc.constantFrom("ana", "*", "*", "bot-*", "*-1"),
          fc.dictionary(fc.constantFrom(...FUNCTIONS), fc.subarray(ACTIONS)),
          { maxKeys: 3 },
        ),
        weight: 1,
      },
    ),
    sealOn: fc.constantFrom(["END"], ["END"], ["END", "Y"]),
  })
  .map(
    ({
      order: [sequence, order],
      actions,
      onFunctions,
      tools,
      constraints,
      forbid,
      agents,
      sealOn,
    }) => {
      const drawn = Object.fromEntries(
        FUNCTIONS.map((name, i) => {
          const step = name === "a2" ? "a" : name === "free" ? "*" : name;
          const list = name === "a" ? ACTIONS : (actions[i] ?? ACTIONS);
          return [name, { step, actions: list, ...onFunctions[i] }];
        }),
      );
      // Whatever the order is: a way to end, or the policy does not load.
      const functions = { ...drawn, stop: { step: "*", actions: ["END"] } };
      // Widening is refused at load: what a pattern leaves is a part of the list.
      const narrowed =
        agents &&
        mapped(agents, (left) =>
          mapped(left, (list, name) => list.filter((one) => drawn[name]?.actions.includes(one))),
        );
      const contract: ContractTwo = {
        order,
        functions,
        tools: Object.fromEntries(
          TOOLS.map((name, i) => {
            const [list = [], action = "X", of] = tools[i] ?? [];
            // A tool's functions permit its action, or the policy does not load.
            const able = list.filter((one) => drawn[one]?.actions.includes(action));
            return [name, { functions: able.length > 0 ? able : ["a"], action, ...of }];
          }),
        ),
        constraints,
        forbid: forbid.filter((item) => Object.keys(item).length > 0),
        ...(narrowed && { agents: narrowed }),
        sealOn,
        freshnessMs: 60_000,
        lifetimeMs: 200_000,
      };
      return { contract, document: documentOf(contract, sequence) };
    },
  );

function mapped<T, U>(
  object: Readonly<Record<string, T>>,
  to: (value: T, name: string) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, to(value, name)]));
}

function documentOf(contract: ContractTwo, sequence: string): object {
  return {
    schema: "stepgate.policy/1",
    id: "drawn",
    version: "1",
    sequence,
    functions: mapped(contract.functions, ({ step, actions, ...of }) => ({
      step,
      actions,
      ...written(of),
    })),
    tools: mapped(contract.tools, ({ functions, action, ...of }) => ({
      function: functions,
      action,
      ...written(of),
    })),
    constraints: contract.constraints.map(({ kind, of }) => ({ [kind]: of })),
    forbid: contract.forbid,
    ...(contract.agents && { agents: mapped(contract.agents, (functions) => ({ functions })) }),
    sealOn: contract.sealOn,
    freshness: contract.freshnessMs,
    lifetime: contract.lifetimeMs,
  };
}

function written({ typed, below, grounded, bind, calls, sum, approval }: Conditions): object {
  const per = ({ window }: Limit): object => (window === undefined ? {} : { per: "agent", window });
  const limits = {
    ...(calls && { calls: { max: calls.max, ...per(calls) } }),
    ...(sum && { sum: { of: "args.n", max: sum.max, ...per(sum) } }),
  };
  return {
    ...(typed && { args: { type: "object", properties: { n: { type: "number" } } } }),
    ...(below !== undefined && { when: `args.n < ${below}.0` }),
    ...(grounded && { grounded: { s: ["context.words"] } }),
    ...(bind && { bind: mapped(bind, (argument) => `args.${argument}`) }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(approval && {
      approval: {
        ...(approval.from !== undefined && { when: `args.n >= ${approval.from.toFixed(1)}` }),
        count: approval.count,
        by: approval.by,
      },
    }),
  };
}

/** What happens next; numbers choose among what there is. */
export type Act =
  | {
      readonly do: "ask";
      readonly sequence: number;
      readonly call: Asked["call"];
      readonly reuses: boolean;
      readonly args: Asked["args"];
      readonly stale: boolean;
    }
  | { readonly do: "ask again"; readonly which: number }
  | { readonly do: "end"; readonly which: number; readonly status: "succeeded" | "interrupted" }
  | {
      readonly do: "state";
      readonly which: number;
      /** One after another. */
      readonly people: readonly (typeof PEOPLE)[number][];
      readonly verdict: "approve" | "reject";
      readonly lasts: number;
    }
  | { readonly do: "vouch"; readonly sequence: number; readonly words: readonly string[] }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "seal"; readonly sequence: number }
  | { readonly do: "restart" };

const PEOPLE = ["anna", "ben", "carl", "dora", "eve"] as const;
const which = fc.nat({ max: 1_000 });
const sequence = fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4, 5);
const call: fc.Arbitrary<Asked["call"]> = fc.oneof(
  {
    arbitrary: fc.constantFrom(...TOOLS, ...TOOLS, ...TOOLS, "none").map((tool) => ({ tool })),
    weight: 10,
  },
  {
    arbitrary: fc.record({
      function: fc.constantFrom(...FUNCTIONS, ...FUNCTIONS, "none"),
      action_type: fc.constantFrom(...ACTIONS),
    }),
    weight: 10,
  },
  { arbitrary: fc.constant({ function: "stop", action_type: "END" }), weight: 1 },
);
const args = fc.record(
  {
    n: fc.constantFrom<unknown>(0, 0.1, 0.2, 1, 1, 2.5, 4, -1, "1"),
    k: fc.constantFrom(1, 1, 2),
    m: fc.constantFrom(1, 1, 2),
    s: fc.constantFrom("red", "red", "blue", ""),
  },
  { requiredKeys: [] },
);
const full = args.map((given) => ({ n: 1, k: 1, m: 1, ...given }));

/** One act of a life. */
export const anyAct: fc.Arbitrary<Act> = fc.oneof(
  {
    arbitrary: fc.record({
      do: fc.constant("ask" as const),
      sequence,
      call,
      /** One in eight is that of an earlier call. */
      reuses: fc.nat({ max: 7 }).map((n) => n === 0),
      args: fc.oneof({ arbitrary: full, weight: 4 }, { arbitrary: args, weight: 1 }),
      stale: fc.nat({ max: 40 }).map((n) => n === 0),
    }),
    weight: 12,
  },
  { arbitrary: fc.record({ do: fc.constant("ask again" as const), which }), weight: 7 },
  {
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which,
      status: fc.constantFrom("succeeded" as const, "interrupted" as const, "interrupted" as const),
    }),
    weight: 4,
  },
  {
    arbitrary: fc.record({
      do: fc.constant("state" as const),
      which,
      people: fc.subarray([...PEOPLE], { minLength: 1, maxLength: 4 }),
      verdict: fc.nat({ max: 7 }).map((n) => (n === 0 ? "reject" : "approve")),
      lasts: fc.constantFrom(3_000, 50_000, 50_000),
    }),
    weight: 6,
  },
  {
    arbitrary: fc.record({
      do: fc.constant("vouch" as const),
      sequence,
      words: fc.subarray(["red", "blue"]),
    }),
    weight: 2,
  },
  {
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(1, 1, 2_000, 9_999, 30_000),
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ do: fc.constant("restart" as const) }), weight: 1 },
  {
    arbitrary: fc.record({ do: fc.constant("seal" as const), sequence: fc.constantFrom(1, 3) }),
    weight: 1,
  },
);
