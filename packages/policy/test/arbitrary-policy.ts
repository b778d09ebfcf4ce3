/** Random small policies: an order of at most four steps, functions, tools, constraints, `forbid`, limits and agents. */
import type { CallSelector } from "@stepgate/core";
import fc from "fast-check";
import { type PlainOrder, type PlainPolicy, stepsOf } from "./plain-policy.ts";

const STEPS = ["a", "b", "c", "d"] as const;
const ACTIONS = ["X", "Y", "S"] as const;
const TOOLS = ["t", "u"] as const;
const PATTERNS = ["bot-*", "*-eu", "*"] as const;

const step = fc.constantFrom(...STEPS).map((name): PlainOrder => ({ kind: "step", name }));

const order: fc.Arbitrary<PlainOrder> = level(2);

function level(depth: number): fc.Arbitrary<PlainOrder> {
  if (depth === 0) return step;
  const inner = level(depth - 1);
  const several = fc.array(inner, { minLength: 2, maxLength: 3 });
  return fc.oneof(
    { weight: 2, arbitrary: step },
    { weight: 4, arbitrary: several.map((items): PlainOrder => ({ kind: "list", items })) },
    { weight: 2, arbitrary: several.map((items): PlainOrder => ({ kind: "choice", items })) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          inner,
          fc.constantFrom([0, 1], [0, Infinity], [1, Infinity], [1, 2], [2, 3], [1, 4] as const),
        )
        .map(([item, [min = 0, max = 1]]): PlainOrder => ({ kind: "repeat", item, min, max })),
    },
  );
}

/** Once in so many times. */
const oneIn = <T>(times: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const conditions = fc.record({
  max: oneIn(4, fc.constantFrom(0, 1, 1, 1, 2, 2, 2, 3, 3)),
  when: oneIn(6, fc.constantFrom("args.n < 1.0", "args.n < 2.0")),
});

const selector: fc.Arbitrary<CallSelector> = fc.oneof(
  fc.constantFrom("a", "b", "c", "d", "r").map((name) => ({ member: "function" as const, name })),
  fc.constantFrom(...STEPS).map((name) => ({ member: "step" as const, name })),
  fc.constantFrom(...ACTIONS).map((name) => ({ member: "action_type" as const, name })),
  fc.constantFrom(...TOOLS).map((name) => ({ member: "tool" as const, name })),
);

const actions = fc.subarray([...ACTIONS], { minLength: 0 });

/** A policy, whether it would load or not. Functions are named after their steps; `r` is outside the order. */
export const plainPolicy: fc.Arbitrary<PlainPolicy> = order.chain((tree) => {
  const names = [...stepsOf(tree), "r"];
  return fc
    .record({
      order: fc.constant(tree),
      functions: fc.tuple(...names.map((name) => functionOf(name))),
      tools: fc
        .subarray([...TOOLS])
        .chain((tools) => fc.tuple(...tools.map((name) => toolOf(name, names)))),
      constraints: fc.array(
        fc.record({
          kind: fc.constantFrom("precedence", "never"),
          first: selector,
          second: selector,
        }),
        { maxLength: 3 },
      ),
      forbid: oneIn(4, forbidden(names)).map((item) => (item === undefined ? [] : [item])),
      agents: oneIn(
        3,
        fc.dictionary(
          fc.constantFrom(...PATTERNS),
          fc.dictionary(fc.constantFrom(...names), actions, { maxKeys: 2, noNullPrototype: true }),
          { minKeys: 1, maxKeys: 2, noNullPrototype: true },
        ),
      ),
      sealOn: fc.subarray(["S"]),
    })
    .map(({ agents, ...rest }) => ({
      ...rest,
      ...(agents && { agents: narrowed(agents, rest.functions) }),
    }));
});

type Functions = PlainPolicy["functions"];

function functionOf(name: string): fc.Arbitrary<Functions[number]> {
  return fc
    .tuple(
      fc.oneof(
        { weight: 12, arbitrary: fc.subarray([...ACTIONS], { minLength: 2 }) },
        { weight: 1, arbitrary: actions },
      ),
      conditions,
    )
    .map(([list, { max, when }]) => ({
      name,
      step: name === "r" ? "*" : name,
      actions: list,
      ...(max !== undefined && { max }),
      ...(when !== undefined && { when }),
    }));
}

function toolOf(
  name: string,
  functions: readonly string[],
): fc.Arbitrary<PlainPolicy["tools"][number]> {
  return fc
    .tuple(
      fc.shuffledSubarray([...functions], {
        minLength: 1,
        maxLength: Math.min(3, functions.length),
      }),
      fc.constantFrom(...ACTIONS),
      conditions,
    )
    .map(([list, action, { max, when }]) => ({
      name,
      functions: list,
      action,
      ...(max !== undefined && { max }),
      ...(when !== undefined && { when }),
    }));
}

function forbidden(names: readonly string[]): fc.Arbitrary<PlainPolicy["forbid"][number]> {
  return fc
    .record(
      {
        actions: fc.constantFrom(...ACTIONS).map((name) => [name]),
        functions: fc.constantFrom(...names).map((name) => [name]),
        tools: fc.constantFrom(...TOOLS).map((name) => [name]),
        agents: fc.constantFrom(...PATTERNS).map((name) => [name]),
      },
      { requiredKeys: [] },
    )
    .filter((item) => Object.keys(item).length > 0);
}

/** What an agent is left is never more than the function has: anything else does not load. */
function narrowed(
  agents: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>,
  functions: Functions,
): NonNullable<PlainPolicy["agents"]> {
  return Object.fromEntries(
    Object.entries(agents).map(([pattern, entries]) => [
      pattern,
      Object.fromEntries(
        Object.entries(entries).map(([name, list]) => [
          name,
          list.filter((action) =>
            functions.find((fn) => fn.name === name)?.actions.includes(action),
          ),
        ]),
      ),
    ]),
  );
}

/** A policy and a change of it: now and then another one altogether. */
export const plainPair: fc.Arbitrary<readonly [PlainPolicy, PlainPolicy]> = fc
  .tuple(plainPolicy, plainPolicy, fc.integer({ min: 0, max: 7 }))
  .map(([a, b, part]) => [a, mixed(a, b, part)]);

/** Takes one part of the second policy into the first. */
function mixed(a: PlainPolicy, b: PlainPolicy, part: number): PlainPolicy {
  const has = (name: string): boolean => a.functions.some((fn) => fn.name === name);
  switch (part) {
    case 0:
      return b;
    case 1:
      return { ...a, constraints: b.constraints };
    case 2:
      return { ...a, forbid: b.forbid };
    case 3:
      return { ...a, sealOn: b.sealOn };
    case 4:
      return {
        ...a,
        tools: b.tools.filter(({ functions }) => functions.every(has)),
      };
    case 5: {
      const { agents: _, ...rest } = a;
      return b.agents === undefined ? rest : { ...a, agents: narrowed(b.agents, a.functions) };
    }
    default: {
      const functions = a.functions.map(
        (fn) => b.functions.find(({ name }) => name === fn.name) ?? fn,
      );
      return { ...a, functions, ...(a.agents && { agents: narrowed(a.agents, functions) }) };
    }
  }
}
