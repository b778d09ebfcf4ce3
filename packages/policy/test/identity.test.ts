/** One contract, one digest: the golden vectors, and the laws behind them. */
import { readFileSync } from "node:fs";
import { canonicalize } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import {
  compilePolicy,
  type ConditionEntries,
  definePolicy,
  parsePolicy,
  type PolicyDocument,
  policyFromEnv,
} from "../src/index.ts";
import { parseSequence, printSequence } from "../src/sequence-grammar.ts";
import { CASES, sample } from "./arbitrary-sequence.ts";
import { PAYMENTS } from "./payments.ts";
import { respelled } from "./respelled.ts";

interface Vector {
  readonly name: string;
  readonly normal_form: string;
  readonly digest: string;
  readonly spellings: readonly {
    readonly text?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly value?: unknown;
  }[];
}

const vectors = parse(
  readFileSync(new URL("vectors/identity.yaml", import.meta.url), "utf8"),
) as readonly Vector[];

describe.each(vectors)("$name", ({ normal_form, digest, spellings }) => {
  test.each(spellings.map((spelling, index) => ({ spelling, index })))(
    "spelling $index has the golden normal form and digest",
    ({ spelling }) => {
      const policy =
        spelling.env === undefined
          ? spelling.text === undefined
            ? compilePolicy(spelling.value)
            : parsePolicy(spelling.text)
          : policyFromEnv({ env: spelling.env });
      expect(policy.normalForm).toBe(normal_form);
      expect(policy.digest).toBe(digest);
    },
  );

  test("the normal form is itself a policy, and of the same digest", () => {
    expect(parsePolicy(normal_form).digest).toBe(digest);
    expect(canonicalize(JSON.parse(normal_form))).toBe(normal_form);
  });
});

test("definePolicy gives the golden digest too", () => {
  const policy = definePolicy({
    schema: "stepgate.policy/1",
    id: "payments",
    version: "3 – März",
    sequence: ["intake", { step: "execution", max: 3 }, "settle{2,4}"],
    functions: {
      intake: ["CHECK_STATE"],
      execution: ["WRITE_DB", "CALL_EXTERNAL_API"],
      repair: { step: "execution", actions: ["WRITE_DB"] },
      nothing: { step: "execution", actions: [] },
      settle: ["SEAL_SEQUENCE", "WRITE_SUMMARY"],
      lookup: { step: "*", actions: ["READ_INPUT"] },
    },
    tools: {
      "transfer/funds": {
        function: ["repair", "execution"],
        action: "WRITE_DB",
        audience: "ledger",
      },
      get_application: { function: "lookup", action: "READ_INPUT" },
    },
    sealOn: ["SEAL_SEQUENCE", "WRITE_DB"],
    freshness: "90s",
    lifetime: "2d",
  });
  expect(policy.digest).toBe(vectors[2]?.digest);
});

describe("what is decided differently has another digest", () => {
  const base: PolicyDocument = {
    schema: "stepgate.policy/1",
    id: "x",
    version: "1",
    sequence: "a, b",
    functions: { a: ["X"], b: ["Y"], c: { step: "a", actions: ["X"] } },
    tools: { t: { function: ["a", "c"], action: "X" } },
  };
  const tool = (
    conditions: ConditionEntries,
    ofFunction: ConditionEntries = {},
  ): Partial<PolicyDocument> => ({
    functions: {
      ...base.functions,
      ...(Object.keys(ofFunction).length > 0 && {
        c: { step: "a", actions: ["X"], ...ofFunction },
      }),
    },
    tools: { t: { function: ["a", "c"], action: "X", ...conditions } },
  });
  const order = (...pairs: readonly [string, string][]): Partial<PolicyDocument> => ({
    constraints: pairs.map((never) => ({ never })),
  });

  test.each<[string, Partial<PolicyDocument>]>([
    ["another id", { id: "y" }],
    ["another version", { version: "2" }],
    ["another order", { sequence: "a, b?" }],
    ["a step that may repeat", { sequence: "a+, b" }],
    ["another action", { functions: { ...base.functions, b: ["Z"] } }],
    ["an action more", { functions: { ...base.functions, b: ["Y", "Z"] } }],
    ["none", { functions: { ...base.functions, c: { step: "a", actions: [] } } }],
    ["a function more", { functions: { ...base.functions, d: { step: "a", actions: [] } } }],
    [
      "another step of a function",
      { functions: { ...base.functions, c: { step: "*", actions: ["X"] } } },
    ],
    ["no tools", { tools: {} }],
    [
      "another order of a tool's functions",
      { tools: { t: { function: ["c", "a"], action: "X" } } },
    ],
    ["an audience", { tools: { t: { function: ["a", "c"], action: "X", audience: "z" } } }],
    ["sealOn", { sealOn: ["Y"] }],
    ["freshness", { freshness: 300_001 }],
    ["lifetime", { lifetime: "1h" }],
    ["agents, though their entry says nothing", { agents: { "*": {} } }],
    ["a forbidden call", { forbid: [{ actions: ["X"], functions: ["c"] }] }],
    ["a constraint", { constraints: [{ precedence: ["a", "b"] }] }],
    ["an audience on a function", tool({}, { audience: "z" })],
    ["a schema", tool({ args: {} })],
    ["a condition", tool({ when: "true" })],
    ["a source", tool({ grounded: { to: "context.request" } })],
    ["what needs no source", tool({ ungrounded: ["to"] })],
    ["a bound name", tool({ bind: { id: "args.id" } })],
    ["a limit", tool({ limits: { calls: 1 } })],
    ["an approval", tool({ approval: { by: ["finance"] } })],
    ["a condition on the function in place of the tool", tool({}, { when: "true" })],
  ])("%s", (_, change) => {
    expect(compilePolicy({ ...base, ...change }).digest).not.toBe(compilePolicy(base).digest);
  });

  test.each<[string, Partial<PolicyDocument>, Partial<PolicyDocument>]>([
    ["the order of constraints", order(["a", "c"], ["c", "a"]), order(["c", "a"], ["a", "c"])],
    [
      "the kind of a constraint",
      { constraints: [{ precedence: ["a", "c"] }] },
      { constraints: [{ never: ["b", "c"] }] },
    ],
    [
      "the member that a selector looks at",
      { constraints: [{ precedence: ["a", "b"] }] },
      { constraints: [{ precedence: ["a", { step: "b" }] }] },
    ],
    [
      "a list of an agent's that is empty",
      { agents: { "*": { functions: { c: [] } } } },
      { agents: { "*": {} } },
    ],
    [
      "white space within a condition",
      tool({ when: "true&&true" }),
      tool({ when: "true && true" }),
    ],
    [
      "how sources are compared",
      tool({ grounded: { to: { from: "context.a", match: "host" } } }),
      tool({ grounded: { to: "context.a" } }),
    ],
    [
      "the order of sources",
      tool({ grounded: { to: ["context.a", "context.b"] } }),
      tool({ grounded: { to: ["context.b", "context.a"] } }),
    ],
    ["a literal's type", tool({ grounded: { to: [["1"]] } }), tool({ grounded: { to: [[1]] } })],
    [
      "a window",
      tool({ limits: { calls: { max: 1, per: "agent", window: "1h" } } }),
      tool({ limits: { calls: 1 } }),
    ],
    [
      "how many approve",
      tool({ approval: { by: ["finance"], count: 2 } }),
      tool({ approval: { by: ["finance"] } }),
    ],
  ])("%s", (_, one, other) => {
    expect(compilePolicy({ ...base, ...one }).digest).not.toBe(
      compilePolicy({ ...base, ...other }).digest,
    );
  });

  test.each<[string, Partial<PolicyDocument>]>([
    ["tests", { tests: [{ name: "t", calls: [{ tool: "t", expect: "ALLOW" }] }] }],
    ["the default freshness", { freshness: "5m" }],
    ["the default lifetime", { lifetime: "1d" }],
    ["empty lists", { sealOn: [], constraints: [], forbid: [] }],
    ["empty conditions", tool({ grounded: {}, ungrounded: [], bind: {}, limits: {} })],
    [
      "a function's own step",
      { functions: { ...base.functions, b: { step: "b", actions: ["Y", "Y"] } } },
    ],
  ])("but not %s", (_, change) => {
    expect(compilePolicy({ ...base, ...change }).digest).toBe(compilePolicy(base).digest);
  });
});

describe("laws", () => {
  test("printing a sequence and reading it again changes nothing, however it was spelled", () => {
    fc.assert(
      fc.property(sample, ({ text }) => {
        const printed = print(text);
        expect(print(printed), text).toBe(printed);
      }),
      { numRuns: CASES },
    );
  });

  test("the normal form has no more parentheses than it needs: each pair that is dropped changes the order or is refused", () => {
    fc.assert(
      fc.property(sample, ({ text }) => {
        const printed = print(text);
        for (const open of printed.matchAll(/\(/g))
          expect(dropPair(printed, open.index), text).not.toBe(printed);
      }),
      { numRuns: CASES },
    );
  });

  test("the order of members, white space and the spelling as JSON or YAML leave the digest alone", () => {
    const document: PolicyDocument = {
      schema: "stepgate.policy/1",
      id: "x",
      version: "1",
      sequence: "a, (b | c)*, d",
      functions: {
        a: ["X", "Y"],
        b: { actions: ["Z"] },
        c: { step: "c", actions: ["X"] },
        d: ["S"],
        e: { step: "*", actions: ["R"] },
      },
      tools: {
        t: { function: "a", action: "X" },
        u: { function: ["e", "b"], action: "R", audience: "z" },
      },
      sealOn: ["S"],
      lifetime: "2h",
    };
    const { digest } = compilePolicy(document);
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(1_000_000)), fc.nat(4), (numbers, indent) => {
        const text = JSON.stringify(shuffled(document, numbers), null, indent);
        expect(parsePolicy(text).digest).toBe(digest);
      }),
      { numRuns: 200 },
    );
  });

  test("nor does any spelling of a contract of Level 2, in YAML, in JSON or as a value", () => {
    const document = parse(PAYMENTS.replace("24h } }", "86400000 } }")) as PolicyDocument;
    const rich = {
      ...document,
      freshness: 60_000,
      lifetime: 7_200_000,
      functions: { ...document.functions, execution: { ...RICH, actions: ["WRITE_DB"] } },
      agents: { "bot-*": { functions: { execution: [], settle: ["SEAL_SEQUENCE"] } }, "*": {} },
    };
    const { digest } = compilePolicy(rich);
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(1_000_000)), fc.nat(2), (numbers, how) => {
        const spelled = respelled(rich, (below) => numbers.next().value % below);
        const policy =
          how === 0
            ? compilePolicy(spelled)
            : parsePolicy(how === 1 ? JSON.stringify(spelled, null, 1) : stringify(spelled));
        expect(policy.digest).toBe(digest);
      }),
      { numRuns: 200 },
    );
  });
});

/** Conditions of a function, beside those of the example's tool. */
const RICH: ConditionEntries = {
  audience: "bank",
  when: "args.amount < 5.0",
  grounded: {
    to: "context.request",
    cc: ["context.request", "context.payees", [1, "b"]],
    url: { from: ["context.urls"], match: "host" },
  },
  ungrounded: ["a", "b.c"],
  limits: { calls: 3, sum: { of: "args.amount", max: 5.5, per: "tenant", window: 3_600_000 } },
  approval: { by: ["legal", "finance"] },
};

function print(text: string): string {
  const parsed = parseSequence(text);
  if ("fault" in parsed) throw new Error(`${text}: ${parsed.fault.message}`);
  return printSequence(parsed.tree);
}

/** The normal form of the text without one pair of parentheses, or nothing where that is no sequence. */
function dropPair(text: string, open: number): string | undefined {
  let depth = 0;
  let close = open;
  do depth += text[close] === "(" ? 1 : text[close] === ")" ? -1 : 0;
  while (depth > 0 && close++ < text.length);
  const parsed = parseSequence(
    text.slice(0, open) + text.slice(open + 1, close) + text.slice(close + 1),
  );
  return "fault" in parsed ? undefined : printSequence(parsed.tree);
}

/** The same JSON value with the members of its objects, and the items of its set-like lists, in another order. */
function shuffled(value: unknown, numbers: fc.Stream<number>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value))
    return value.every((item) => /^[A-Z]$/.test(item)) ? mixed(value, numbers) : value;
  return Object.fromEntries(
    mixed(Object.entries(value), numbers).map(([name, member]) => [
      name,
      shuffled(member, numbers),
    ]),
  );
}

function mixed<T>(items: readonly T[], numbers: fc.Stream<number>): T[] {
  const keyed = items.map((item) => ({ item, key: numbers.next().value }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}
