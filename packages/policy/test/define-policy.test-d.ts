/** What `definePolicy` promises at compile time: a name that is misspelt does not compile. */
import type { CompiledPolicy } from "@stepgate/core";
import { expectTypeOf, test } from "vitest";
import { definePolicy } from "../src/index.ts";

const head = { schema: "stepgate.policy/1", id: "refunds", version: "1" } as const;

test("the first program compiles without `as const`", () => {
  const policy = definePolicy({
    schema: "stepgate.policy/1",
    id: "refunds",
    version: "1",
    sequence: "lookup, refund",
    functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
    tools: {
      get_order: { function: "lookup", action: "READ" },
      refund: { function: "refund", action: "WRITE_DB" },
    },
  });
  expectTypeOf(policy).toEqualTypeOf<CompiledPolicy>();
});

test("the whole grammar is understood", () => {
  definePolicy({
    ...head,
    sequence: "intake, ((review | check?), note)*, execution{1,3}, wait {2} , (a|b)+,\n settle{1,}",
    functions: {
      intake: ["A"],
      review: { actions: ["A"] },
      check: [],
      note: ["A"],
      execution: ["W"],
      wait: ["A"],
      a: ["A"],
      b: ["A"],
      settle: ["SEAL"],
      extra: { step: "execution", actions: ["W"] },
      lookup: { step: "*", actions: ["R"] },
    },
    tools: {
      one: { function: ["extra", "lookup"], action: "R", audience: "ledger" },
      // Nothing is permitted for `check`: every call of it is denied, and no name of an action is wrong.
      none: { function: "check", action: "WHATEVER" },
    },
    sealOn: ["SEAL"],
    freshness: "300s",
    lifetime: 5,
  });
});

test("a sequence may be a list", () => {
  definePolicy({
    ...head,
    sequence: ["intake | skip", { step: "work", min: 2 }, "settle"],
    functions: { intake: ["A"], skip: ["A"], work: ["A"], settle: ["A"] },
  });
  definePolicy({
    ...head,
    sequence: ["intake", { step: "wrok" }],
    // @ts-expect-error: `wrok` has no function
    functions: { intake: ["A"], work: ["A"] },
  });
});

test("a sequence that is no literal is left to the check at run time", () => {
  const sequence: string = "a, b";
  definePolicy({ ...head, sequence, functions: { a: ["A"], b: ["A"] } });
});

test("a misspelt step, function or action type does not compile", () => {
  definePolicy({
    ...head,
    sequence: "lookup, refnud",
    // @ts-expect-error: no function for `refnud`
    functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
  });
  definePolicy({
    ...head,
    sequence: "lookup, refund",
    // @ts-expect-error: `lokup` is no step
    functions: { lokup: ["READ"], lookup: ["READ"], refund: ["WRITE_DB"] },
  });
  definePolicy({
    ...head,
    sequence: "lookup, refund",
    functions: {
      lookup: ["READ"],
      refund: ["WRITE_DB"],
      // @ts-expect-error: `refnud` is no step
      extra: { actions: ["READ"], step: "refnud" },
    },
  });
  definePolicy({
    ...head,
    sequence: "lookup",
    functions: { lookup: ["READ"] },
    tools: {
      // @ts-expect-error: `lokup` is no function
      get_order: { function: "lokup", action: "READ" },
    },
  });
  definePolicy({
    ...head,
    sequence: "lookup, refund",
    functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
    tools: {
      get_order: {
        function: "lookup",
        // @ts-expect-error: `lookup` does not permit it, though another function does
        action: "WRITE_DB",
      },
    },
  });
  definePolicy({
    ...head,
    sequence: "lookup",
    functions: { lookup: ["READ"] },
    // @ts-expect-error: no function permits it
    sealOn: ["REED"],
  });
});

test("an unknown member does not compile, at any depth", () => {
  definePolicy({
    ...head,
    sequence: "lookup",
    functions: { lookup: ["READ"] },
    // @ts-expect-error: it is called `freshness`
    freshnes: "300s",
  });
  definePolicy({
    ...head,
    sequence: "lookup",
    functions: {
      lookup: {
        actions: ["READ"],
        // @ts-expect-error: it is called `step`
        stp: "lookup",
      },
    },
  });
  definePolicy({
    ...head,
    sequence: "lookup",
    functions: { lookup: ["READ"] },
    tools: {
      get_order: {
        function: "lookup",
        action: "READ",
        // @ts-expect-error: it is called `audience`
        audiense: "ledger",
      },
    },
  });
});

test("required members and durations are typed", () => {
  // @ts-expect-error: no version
  definePolicy({ schema: "stepgate.policy/1", id: "x", sequence: "a", functions: { a: ["A"] } });
  // @ts-expect-error: another language
  definePolicy({ ...head, schema: "stepgate.policy/2", sequence: "a", functions: { a: ["A"] } });
  // @ts-expect-error: no unit called `sec`
  definePolicy({ ...head, sequence: "a", functions: { a: ["A"] }, freshness: "300sec" });
});

/** A policy with everything, of which the tests below spoil one thing each. */
const contract = {
  ...head,
  sequence: "intake, execution{1,3}, settle",
  functions: {
    lookup: { step: "*", actions: ["READ"], limits: { calls: 3 } },
    intake: ["CHECK"],
    execution: { actions: ["WRITE_DB", "CALL_API"], audience: "ledger", when: "args.n < 5.0" },
    settle: ["SEAL"],
  },
  tools: {
    get_order: { function: "lookup", action: "READ" },
    pay: { function: "execution", action: "WRITE_DB" },
  },
} as const;

test("Level 2 compiles without `as const`", () => {
  definePolicy({
    schema: "stepgate.policy/1",
    id: "payments",
    version: "1",
    sequence: "intake, execution{1,3}, settle",
    functions: {
      lookup: { step: "*", actions: ["READ"], limits: { calls: 3 } },
      intake: ["CHECK"],
      execution: {
        actions: ["WRITE_DB", "CALL_API"],
        audience: "ledger",
        approval: { by: ["finance"], when: "args.n > 5.0" },
      },
      settle: ["SEAL"],
    },
    tools: {
      get_order: { function: "lookup", action: "READ" },
      pay: {
        function: "execution",
        action: "WRITE_DB",
        args: {
          type: "object",
          properties: { n: { type: "number" } },
          additionalProperties: false,
        },
        when: "args.n <= 100.0",
        grounded: {
          to: "context.request",
          cc: ["context.request", ["x", 5]],
          url: { from: ["context.urls"], match: "host" },
        },
        ungrounded: ["n"],
        bind: { order: "args.id" },
        limits: {
          calls: { max: 20, per: "agent", window: "24h" },
          sum: { of: "args.n", max: 500, per: "tenant", window: 1000 },
        },
        approval: { when: "args.n > 5.0", count: 2, by: ["finance", "legal"] },
      },
    },
    constraints: [
      { precedence: ["intake", "lookup"] },
      { never: [{ action: "CALL_API" }, { tool: "pay" }] },
      { precedence: [{ step: "intake" }, { function: "settle" }] },
    ],
    forbid: [
      { tools: ["pay"], agents: ["bot-*"] },
      { actions: ["CALL_API"], steps: ["execution"] },
    ],
    agents: {
      "bot-*": { functions: { execution: ["CALL_API"], settle: { actions: [] } } },
      "*": {},
    },
    tests: [
      {
        name: "reads",
        context: { request: "x" },
        agent_id: "me",
        tenant: "us",
        calls: [
          { tool: "get_order", args: { id: 1 }, expect: "ALLOW" },
          { function: "intake", action_type: "CHECK", step: "intake", expect: "ALLOW" },
          { function: "intake", action_type: "OTHER", expect: "ACTION_NOT_ALLOWED" },
          { tool: "drop_table", expect: "NO_POLICY_MATCH" },
          { function: "lookup", action_type: "READ", step: "nowhere", expect: "NO_POLICY_MATCH" },
        ],
      },
    ],
  });
});

test("a name that is misspelt in constraints, forbid, agents or tests does not compile", () => {
  // @ts-expect-error: `intaek` is no function
  definePolicy({ ...contract, constraints: [{ precedence: ["intaek", "lookup"] }] });
  // @ts-expect-error: `intaek` is no step
  definePolicy({ ...contract, constraints: [{ never: [{ step: "intaek" }, "lookup"] }] });
  // @ts-expect-error: no function permits it
  definePolicy({ ...contract, constraints: [{ never: [{ action: "WRITE" }, "lookup"] }] });
  // @ts-expect-error: `pya` is no tool
  definePolicy({ ...contract, constraints: [{ never: [{ tool: "pya" }, "lookup"] }] });
  // @ts-expect-error: `pya` is no tool
  definePolicy({ ...contract, forbid: [{ tools: ["pya"] }] });
  // @ts-expect-error: no function permits it
  definePolicy({ ...contract, forbid: [{ actions: ["WRITE"] }] });
  // @ts-expect-error: `exection` is no function
  definePolicy({ ...contract, forbid: [{ functions: ["exection"] }] });
  // @ts-expect-error: `exection` is no step
  definePolicy({ ...contract, forbid: [{ steps: ["exection"] }] });
  // @ts-expect-error: `exection` is no function
  definePolicy({ ...contract, agents: { "*": { functions: { exection: [] } } } });
  // @ts-expect-error: `settle` does not permit it: agents may only narrow
  definePolicy({ ...contract, agents: { "*": { functions: { settle: ["READ"] } } } });
  // @ts-expect-error: nor in the long form
  definePolicy({ ...contract, agents: { "*": { functions: { settle: { actions: ["READ"] } } } } });
  definePolicy({
    ...contract,
    // @ts-expect-error: `pya` is no tool
    tests: [{ name: "t", calls: [{ tool: "pya", expect: "ALLOW" }] }],
  });
  definePolicy({
    ...contract,
    // @ts-expect-error: no function permits it
    tests: [{ name: "t", calls: [{ function: "intake", action_type: "CHEK", expect: "ALLOW" }] }],
  });
  definePolicy({
    ...contract,
    tests: [
      {
        name: "t",
        // @ts-expect-error: `intaek` is no function, and that is not what the test expects
        calls: [{ function: "intaek", action_type: "X", expect: "ACTION_NOT_ALLOWED" }],
      },
    ],
  });
  // @ts-expect-error: no such code
  definePolicy({ ...contract, tests: [{ name: "t", calls: [{ tool: "pay", expect: "DENY" }] }] });
});

test("without tools no tool can be named", () => {
  const { tools: _, ...rest } = contract;
  // @ts-expect-error: there are no tools
  definePolicy({ ...rest, forbid: [{ tools: ["pay"] }] });
});

test("a constraint has one kind and two selectors, a selector one member, an item of forbid one at least", () => {
  definePolicy({
    ...contract,
    // @ts-expect-error: two kinds
    constraints: [{ never: ["intake", "settle"], precedence: ["intake", "settle"] }],
  });
  // @ts-expect-error: one selector
  definePolicy({ ...contract, constraints: [{ never: ["intake"] }] });
  definePolicy({
    ...contract,
    // @ts-expect-error: two members
    constraints: [{ never: [{ tool: "pay", step: "intake" }, "intake"] }],
  });
  // @ts-expect-error: empty
  definePolicy({ ...contract, constraints: [{}] });
  // @ts-expect-error: empty
  definePolicy({ ...contract, forbid: [{}] });
  // @ts-expect-error: an empty list
  definePolicy({ ...contract, forbid: [{ tools: [] }] });
  // @ts-expect-error: it is called `tools`
  definePolicy({ ...contract, forbid: [{ tool: ["pay"] }] });
  // @ts-expect-error: an entry holds `functions` only
  definePolicy({ ...contract, agents: { "*": { actions: [] } } });
});

test("an unknown member of a condition, or one of the wrong shape, does not compile", () => {
  const pay = { function: "execution", action: "WRITE_DB" } as const;
  // @ts-expect-error: it is called `when`
  definePolicy({ ...contract, tools: { pay: { ...pay, whne: "true" } } });
  // @ts-expect-error: a text
  definePolicy({ ...contract, tools: { pay: { ...pay, when: true } } });
  // @ts-expect-error: it is called `calls`
  definePolicy({ ...contract, tools: { pay: { ...pay, limits: { clals: 3 } } } });
  // @ts-expect-error: it is called `max`
  definePolicy({ ...contract, tools: { pay: { ...pay, limits: { calls: { mxa: 3 } } } } });
  definePolicy({
    ...contract,
    // @ts-expect-error: calls are not summed
    tools: { pay: { ...pay, limits: { calls: { max: 3, of: "args.n" } } } },
  });
  definePolicy({
    ...contract,
    // @ts-expect-error: a window is missing
    tools: { pay: { ...pay, limits: { calls: { max: 3, per: "agent" } } } },
  });
  definePolicy({
    ...contract,
    // @ts-expect-error: by whom is missing
    tools: { pay: { ...pay, limits: { sum: { of: "args.n", max: 3, window: "1h" } } } },
  });
  // @ts-expect-error: roles are missing
  definePolicy({ ...contract, tools: { pay: { ...pay, approval: {} } } });
  // @ts-expect-error: it is called `by`
  definePolicy({ ...contract, tools: { pay: { ...pay, approval: { by: ["x"], roles: ["x"] } } } });
  definePolicy({
    ...contract,
    // @ts-expect-error: there is no such comparison
    tools: { pay: { ...pay, grounded: { to: { from: ["context.a"], match: "hots" } } } },
  });
  definePolicy({
    ...contract,
    // @ts-expect-error: it is called `match`
    tools: { pay: { ...pay, grounded: { to: { from: ["context.a"], mtach: "host" } } } },
  });
  definePolicy({
    ...contract,
    functions: {
      ...contract.functions,
      // @ts-expect-error: it is called `when`, on functions too
      execution: { actions: ["WRITE_DB", "CALL_API"], whne: "true" },
    },
  });
});
