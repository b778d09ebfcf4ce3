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
