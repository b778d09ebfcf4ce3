/** Checks 7 to 9: their order, what a condition may give, bindings, sums and counts, and what a denial leaves as it was. */
import { randomBytes } from "node:crypto";
import { openTestGate, type TestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  ActionInput,
  Allow,
  CompiledConditions,
  Condition,
  Decision,
  DecisionReceipt,
  Deny,
  JsonObject,
} from "../src/index.ts";
import { heldClock } from "./held-clock.ts";
import { plant } from "./planted.ts";

const base = {
  schema: "stepgate.policy/1",
  id: "two",
  version: "1",
  sequence: "work*, end",
  functions: {
    work: ["DO"],
    end: ["SEAL"],
    free: { step: "*", actions: ["DO"] },
  },
  tools: { t: { function: "work", action: "DO" }, u: { function: "free", action: "DO" } },
};
const bare = compilePolicy(base);
const saltKey = randomBytes(32);

/** The document with conditions on its tool `t`, and more. */
function onTool(conditions: object, more: object = {}): object {
  return { ...base, tools: { ...base.tools, t: { ...base.tools.t, ...conditions } }, ...more };
}

/** Asks for `t` with these arguments. */
function asker(
  { gate }: Pick<TestGate, "gate">,
  more: Partial<ActionInput> = {},
): (args: object, change?: object) => Promise<Decision> {
  return (args, change = {}) =>
    gate.decide({ sequence_id: "s", tool: "t", ...more, args, ...change } as ActionInput);
}

/** `ALLOW`, or the code and the rule. */
function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : `${decision.deny_code} ${decision.rule}`;
}

function effectsOf(decision: Decision): DecisionReceipt["effects"] {
  return decision.receipt?.effects;
}

const PARTS = ["args", "when", "grounded.a", "grounded.b", "bind.x", "bind.y"] as const;
const LIMITS = ["limits.calls", "limits.sum"] as const;
const CHECKS = [
  ...["functions.work", "tools.t"].flatMap((path) => PARTS.map((part) => `${path}.${part}`)),
  ...["functions.work", "tools.t"].flatMap((path) => LIMITS.map((part) => `${path}.${part}`)),
  ...["functions.work", "tools.t"].map((path) => `${path}.approval`),
];

/** Conditions of which exactly those in `failing` refuse a call with `{ there: 2 }`. */
function failingAt(path: string, failing: ReadonlySet<string>): Partial<CompiledConditions> {
  const holds = (part: string): boolean => !failing.has(`${path}.${part}`);
  const boundTo = (part: string): readonly string[] => [holds(part) ? "there" : "absent"];
  return {
    args: () => (holds("args") ? undefined : "there"),
    when: () => holds("when"),
    grounded: ["a", "b"].map((name) => ({ path: name, holds: () => holds(`grounded.${name}`) })),
    bind: ["x", "y"].map((name) => ({ name, of: boundTo(`bind.${name}`) })),
    calls: { max: holds("limits.calls") ? "1" : "0" },
    sum: { max: holds("limits.sum") ? "2" : "1.9", of: ["there"] },
    approval: { when: () => !holds("approval"), count: 1, by: new Set(["boss"]) },
  };
}

function codeOf(check: string): string {
  if (check.includes(".limits.")) return "LIMIT_EXCEEDED";
  return check.endsWith(".approval") ? "APPROVAL_REQUIRED" : "ARGUMENT_VIOLATION";
}

describe("the order of checks 7, 8 and 9", () => {
  test("of any that fail, the first decides: each part of 7, then limits, then approvals, a function's before a tool's", async () => {
    const subset = fc.subarray(CHECKS);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(subset, fc.constantFrom(...CHECKS.map((one) => [one]))),
        async (list) => {
          const failing = new Set(list);
          const policy = plant(bare, {
            functions: { work: failingAt("functions.work", failing) },
            tools: { t: failingAt("tools.t", failing) },
          });
          const decision = await asker(await openTestGate(policy))({ there: 2 });
          const first = CHECKS.find((check) => failing.has(check));
          expect(said(decision)).toBe(first === undefined ? "ALLOW" : `${codeOf(first)} ${first}`);
          expect(decision.receipt).toMatchObject(
            first === undefined ? { decision: "ALLOW" } : { deny_code: codeOf(first), rule: first },
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a part that fails after the order and the map refused is never looked at", async () => {
    let looked = 0;
    const policy = plant(bare, {
      functions: { end: { when: () => ++looked > 0 } },
      tools: { t: { when: () => ++looked > 0 } },
    });
    const { gate } = await openTestGate(policy);
    const ask = asker({ gate });
    const stale = await ask({}, { ts_ms: 0 });
    expect(said(stale)).toBe("STALE_TIMESTAMP freshness");
    const explicit = (action_type: string): Promise<Decision> =>
      gate.decide({ sequence_id: "s", function: "end", action_type });
    expect(said(await explicit("DO"))).toBe("ACTION_NOT_ALLOWED functions.end.actions");
    expect(looked).toBe(0);
    expect(said(await explicit("SEAL"))).toBe("ALLOW");
    expect(looked).toBe(1);
    expect(said(await ask({}))).toBe("SEALED_SEQUENCE seal");
    expect(looked).toBe(1);
  });

  test("an explicit call is judged by its function, and cannot walk past what stands on a tool", async () => {
    const { gate } = await openTestGate(
      onTool(
        { when: "args.n < 1.0" },
        {
          functions: { ...base.functions, end: { actions: ["SEAL"], when: "args.n < 5.0" } },
        },
      ),
    );
    const explicit = (fn: string, action_type: string, n: number): Promise<Decision> =>
      gate.decide({ sequence_id: "s", function: fn, action_type, args: { n } });
    expect(said(await explicit("work", "DO", 0))).toBe("NO_POLICY_MATCH tools");
    const refused = await explicit("end", "SEAL", 5);
    expect(said(refused)).toBe("ARGUMENT_VIOLATION functions.end.when");
    expect(refused.receipt).not.toHaveProperty("sealed");
    expect(said(await explicit("end", "SEAL", 4))).toBe("ALLOW");
  });

  test("of a tool with several functions the one that passes 4 to 6 brings its conditions, and no other is tried after", async () => {
    const { gate, receipts } = await openTestGate({
      ...base,
      sequence: "draft, archive",
      functions: {
        draft: { actions: ["WRITE"], when: "args.n == 1.0" },
        archive: { actions: ["WRITE"], when: "args.n == 2.0", bind: { n: "args.n" } },
      },
      tools: { save: { function: ["archive", "draft"], action: "WRITE", when: "args.ok" } },
    });
    const save = (n: number, ok = true): Promise<Decision> =>
      gate.decide({ sequence_id: "s", tool: "save", args: { n, ok } });
    expect(said(await save(2))).toBe("ARGUMENT_VIOLATION functions.draft.when");
    expect(said(await save(1, false))).toBe("ARGUMENT_VIOLATION tools.save.when");
    expect(said(await save(1))).toBe("ALLOW");
    expect(said(await save(1))).toBe("ARGUMENT_VIOLATION functions.archive.when");
    expect(said(await save(2))).toBe("ALLOW");
    expect(said(await save(2))).toBe("SEALED_SEQUENCE seal");
    const functions = (await receipts("s")).map((one) => one.kind === "decision" && one.function);
    expect(functions).toEqual([false, "draft", "draft", "draft", "archive", "archive", "archive"]);
  });
});

describe("a tool of several functions", () => {
  const listed = {
    ...base,
    sequence: "draft?, archive*",
    functions: {
      draft: { actions: ["WRITE"], when: "args.n < 5.0" },
      archive: {
        actions: ["WRITE"],
        when: "args.n > 1.0",
        limits: { calls: { max: 1, per: "agent", window: "30d" } },
      },
      end: { step: "*", actions: ["SEAL"] },
    },
    tools: { save: { function: ["draft", "archive"], action: "WRITE" } },
    sealOn: ["SEAL"],
  };

  test("comes back as the function that it was, under the conditions of this one", async () => {
    const { gate } = await openTestGate({ ...listed, sequence: "archive, draft*" });
    const save = { sequence_id: "s", agent_id: "a", tool: "save", nonce: "n", args: { n: 3 } };
    const root = (await gate.decide(save)) as Allow;
    expect(root.receipt.function).toBe("archive");
    await gate.outcome(root, { status: "interrupted" });
    // Now the first of the list would be admissible too.
    const again = await gate.decide(save);
    expect(again.receipt).toMatchObject({ decision: "ALLOW", function: "archive" });
  });

  test("is held to the windowed limits of whichever function it turns out to be", async () => {
    const { gate } = await openTestGate(listed);
    const save = (): Promise<Decision> =>
      gate.decide({ sequence_id: "s", agent_id: "a", tool: "save", args: { n: 2 } });
    expect(said(await save())).toBe("ALLOW");
    expect((await save()).receipt).toMatchObject({ decision: "ALLOW", function: "archive" });
    expect(said(await save())).toBe("LIMIT_EXCEEDED functions.archive.limits.calls");
  });
});

const NO_ANSWER: readonly (readonly [name: string, condition: () => unknown])[] = [
  [
    "throws",
    () => {
      throw new Error("broken");
    },
  ],
  [
    "throws nothing",
    () => {
      throw undefined;
    },
  ],
  [
    "overflows the stack",
    function deep(): unknown {
      return [deep()];
    },
  ],
  ["says error", () => "error"],
  ["gives nothing", () => undefined],
  ["gives null", () => null],
  ["gives 1", () => 1],
  ["gives 0", () => 0],
  ["gives NaN", () => Number.NaN],
  ['gives "true"', () => "true"],
  ['gives "false"', () => "false"],
  ["gives an empty string", () => ""],
  ["gives an object", () => ({ value: true })],
  ["gives a boxed true", () => Object(true)],
  ["gives an error", () => new Error("as a value")],
  ["gives a promise of true", () => Promise.resolve(true)],
];

const PLACES: readonly (readonly [
  part: string,
  of: (condition: Condition) => Partial<CompiledConditions>,
])[] = [
  ["when", (when) => ({ when })],
  ["grounded.to", (holds) => ({ grounded: [{ path: "to", holds }] })],
  ["approval", (when) => ({ approval: { when, count: 1, by: new Set(["boss"]) } })],
];

describe("a condition that gives neither true nor false", () => {
  describe.each(PLACES)("in %s", (part, of) => {
    test.each(NO_ANSWER)(
      "%s: POLICY_ERROR in place of the check, wherever it stands",
      async (_name, gives) => {
        const conditions = of(gives as Condition);
        for (const section of ["functions", "tools"] as const) {
          const name = section === "tools" ? "t" : "work";
          const { gate, receipts } = await openTestGate(
            plant(bare, { [section]: { [name]: conditions } }),
          );
          const rule = `${section}.${name}.${part}`;
          const decision = await asker({ gate })({}, { nonce: "n" });
          expect(said(decision)).toBe(`POLICY_ERROR ${rule}`);
          expect(decision).toMatchObject({ proceed: false });
          // Recorded as any other denial, and its nonce is burnt.
          expect((await receipts("s")).at(-1)).toMatchObject({ deny_code: "POLICY_ERROR", rule });
          expect(said(await asker({ gate })({}, { nonce: "n" }))).toBe("REPLAY_NONCE nonce");
        }
      },
    );
  });

  test("false is no: ARGUMENT_VIOLATION of `when` and `grounded`, and no need of an approval", async () => {
    const answers: string[] = [];
    for (const [, of] of PLACES)
      answers.push(
        said(await asker(await openTestGate(plant(bare, { tools: { t: of(() => false) } })))({})),
      );
    expect(answers).toEqual([
      "ARGUMENT_VIOLATION tools.t.when",
      "ARGUMENT_VIOLATION tools.t.grounded.to",
      "ALLOW",
    ]);
  });

  test("a schema that throws is a POLICY_ERROR too; whatever else it gives but nothing at all, the arguments do not fit", async () => {
    const answers: string[] = [];
    for (const [, gives] of NO_ANSWER) {
      const args = gives as unknown as (args: JsonObject) => string | undefined;
      answers.push(
        said(await asker(await openTestGate(plant(bare, { tools: { t: { args } } })))({})),
      );
    }
    const broken = "POLICY_ERROR tools.t.args";
    const unfit = "ARGUMENT_VIOLATION tools.t.args";
    const others = NO_ANSWER.slice(5).map(() => unfit);
    expect(answers).toEqual([broken, broken, broken, unfit, "ALLOW", ...others]);
  });

  test("CEL and JSON Schema of a document: absent arguments, other types, arithmetic on what is none", async () => {
    const { gate } = await openTestGate(
      onTool({
        args: { type: "object", properties: { n: { type: "number" } } },
        when: "args.n / args.d < 10.0",
      }),
    );
    const ask = asker({ gate });
    expect(said(await ask({ n: "1", d: 1 }))).toBe("ARGUMENT_VIOLATION tools.t.args");
    expect(said(await ask({ n: 1 }))).toBe("POLICY_ERROR tools.t.when");
    expect(said(await ask({ n: 1, d: "1" }))).toBe("POLICY_ERROR tools.t.when");
    expect(said(await ask({ n: 100, d: 1 }))).toBe("ARGUMENT_VIOLATION tools.t.when");
    expect(said(await ask({ n: 1, d: 1 }))).toBe("ALLOW");
  });
});

describe("what a condition is evaluated over", () => {
  test("the decided arguments, the context, and the owner's names; absent ones are empty", async () => {
    const seen: unknown[] = [];
    const when: Condition = (scope) => seen.push(structuredClone(scope)) > 0;
    const { gate } = await openTestGate(plant(bare, { tools: { t: { when } } }));
    await gate.open({ sequence_id: "owned", agent_id: "a", tenant: "x", context: { k: [1] } });
    await gate.decide({
      sequence_id: "owned",
      agent_id: "a",
      tenant: "x",
      tool: "t",
      args: { n: -0 },
    });
    await gate.decide({ sequence_id: "nobody", tool: "t" });
    expect(seen).toEqual([
      { args: { n: 0 }, context: { k: [1] }, agent_id: "a", tenant: "x" },
      { args: {}, context: {}, agent_id: "", tenant: "" },
    ]);
  });

  test("members of a later context replace earlier ones of the same name, also for another gate and an interrupted call", async () => {
    const doc = onTool({ when: "context.level == args.level && context.kept == 1.0" });
    const first = await openTestGate(doc, { saltKey });
    const { gate, store } = first;
    await gate.open({ sequence_id: "s", context: { level: "low", kept: 1 } });
    const ask = asker(first);
    const root = (await ask({ level: "low" }, { nonce: "n" })) as Allow;
    expect(said(root)).toBe("ALLOW");
    await gate.outcome(root, { status: "interrupted" });
    await gate.addContext("s", { level: "high" });
    // The call that comes back is judged by what the application vouches for now.
    const back = await ask({ level: "low" }, { nonce: "n" });
    expect(said(back)).toBe("ARGUMENT_VIOLATION tools.t.when");
    expect(back.receipt).toHaveProperty("resumes");
    expect(said(await ask({ level: "high" }))).toBe("ALLOW");
    await gate.addContext("s", { level: "low" });
    expect(said(await ask({ level: "low" }, { nonce: "n" }))).toBe("ALLOW");
    expect(said(await ask({ level: "high" }))).toBe("ARGUMENT_VIOLATION tools.t.when");
    // A gate that reads all of it from the store judges alike.
    const second = asker(await openTestGate(doc, { saltKey, store }));
    expect(said(await second({ level: "high" }))).toBe("ARGUMENT_VIOLATION tools.t.when");
    expect(said(await second({ level: "low" }))).toBe("ALLOW");
  });

  test("a context that the store lost, or gives otherwise than it took it, is no context: nothing is allowed", async () => {
    for (const [text, answer] of [
      [undefined, "STORE_UNAVAILABLE undefined"],
      ['{"level":"high"}', "STORE_UNAVAILABLE undefined"],
      ['{"level":"low"}', "ALLOW"],
    ] as const) {
      const { gate } = await openTestGate(onTool({ when: "size(context.level) > 0" }), {
        wrapStore: (store) => ({ ...store, document: async () => text }),
      });
      await gate.open({ sequence_id: "s", context: { level: "low" } });
      expect(said(await asker({ gate })({}))).toBe(answer);
    }
  });

  test("a store that fails at contexts or counters denies, and nothing is recorded", async () => {
    const doc = onTool({ when: "true", limits: { calls: { max: 5, per: "agent", window: "1h" } } });
    for (const method of ["document", "counters"] as const) {
      for (const gives of [() => Promise.reject(new Error("gone")), async () => undefined]) {
        const { gate, receipts } = await openTestGate(doc, {
          wrapStore: (store) => ({ ...store, [method]: gives }),
        });
        await gate.open({ sequence_id: "s", agent_id: "a", context: { n: 1 } });
        const decision = await asker({ gate }, { agent_id: "a" })({});
        expect(said(decision)).toBe("STORE_UNAVAILABLE undefined");
        expect(await receipts("s")).toHaveLength(1);
      }
    }
  });
});

describe("bindings", () => {
  test("a name has the value of its first ALLOW ever after, compared by canonical JSON, across tools and functions", async () => {
    const { gate } = await openTestGate({
      ...onTool({ bind: { account: "args.to.account" } }),
      functions: {
        ...base.functions,
        free: { step: "*", actions: ["DO"], bind: { account: "args.account" } },
      },
    });
    const ask = asker({ gate });
    expect(said(await ask({ to: { account: { b: 1, a: [2] } } }))).toBe("ALLOW");
    expect(said(await ask({ to: { account: { a: [2], b: 1 } } }))).toBe("ALLOW");
    expect(said(await ask({ to: { account: { a: ["2"], b: 1 } } }))).toBe(
      "ARGUMENT_VIOLATION tools.t.bind.account",
    );
    expect(said(await ask({ account: { b: 1, a: [2] } }, { tool: "u" }))).toBe("ALLOW");
    expect(said(await ask({ account: 1 }, { tool: "u" }))).toBe(
      "ARGUMENT_VIOLATION functions.free.bind.account",
    );
    expect(said(await ask({ to: { account: 1 } }, { sequence_id: "other" }))).toBe("ALLOW");
  });

  test("an absent argument, a member of no object, an inherited name: nothing is bound, and it is refused", async () => {
    const { gate, receipts } = await openTestGate(
      onTool({ bind: { x: "args.to.account", y: "args.constructor" } }),
    );
    const ask = asker({ gate });
    for (const args of [{}, { to: null }, { to: "account" }, { to: ["account"] }, { to: {} }])
      expect(said(await ask(args))).toBe("ARGUMENT_VIOLATION tools.t.bind.x");
    expect(said(await ask({ to: { account: null } }))).toBe("ARGUMENT_VIOLATION tools.t.bind.y");
    expect(said(await ask({ to: { account: null }, constructor: 1 }))).toBe("ALLOW");
    // null is a value like others.
    expect(said(await ask({ to: { account: 0 }, constructor: 1 }))).toBe(
      "ARGUMENT_VIOLATION tools.t.bind.x",
    );
    expect((await receipts("s")).filter((one) => "effects" in one)).toHaveLength(1);
  });

  test("two names in one call, and one name twice: by function and tool the same value, or it is refused", async () => {
    const policy = compilePolicy({
      ...base,
      functions: {
        ...base.functions,
        work: { actions: ["DO"], bind: { x: "args.a", z: "args.z" } },
      },
      tools: { ...base.tools, t: { ...base.tools.t, bind: { x: "args.b", y: "args.y" } } },
    });
    const { gate } = await openTestGate(policy);
    const ask = asker({ gate });
    expect(said(await ask({ a: 1, b: 2, y: 3, z: 4 }))).toBe("ARGUMENT_VIOLATION tools.t.bind.x");
    const allow = await ask({ a: 1, b: 1, y: 3, z: 1 });
    expect(said(allow)).toBe("ALLOW");
    const binds = effectsOf(allow)?.binds ?? {};
    expect(Object.keys(binds).sort()).toEqual(["x", "y", "z"]);
    // One key a sequence: equal values have equal digests, and no value can be read from them.
    expect(binds["x"]).toBe(binds["z"]);
    expect(binds["x"]).not.toBe(binds["y"]);
    expect(binds["x"]).toMatch(/^hmac-sha256:[0-9a-f]{64}$/);
    expect(said(await ask({ a: 1, b: 1, y: 4, z: 1 }))).toBe("ARGUMENT_VIOLATION tools.t.bind.y");
    expect(said(await ask({ a: 2, b: 2, y: 3, z: 1 }))).toBe(
      "ARGUMENT_VIOLATION functions.work.bind.x",
    );
  });

  test("a denied call binds nothing, whatever denied it", async () => {
    const { gate } = await openTestGate(
      onTool({ bind: { x: "args.x" }, limits: { sum: { of: "args.n", max: 1 } } }),
    );
    const ask = asker({ gate });
    expect(said(await ask({ x: 1, n: 2 }))).toBe("LIMIT_EXCEEDED tools.t.limits.sum");
    expect(said(await ask({ x: 2, n: 1 }))).toBe("ALLOW");
    expect(said(await ask({ x: 1, n: 0 }))).toBe("ARGUMENT_VIOLATION tools.t.bind.x");
  });
});

describe("sums and counts of a sequence", () => {
  test("sums add up as decimals, to exactly the maximum and not a digit beyond", async () => {
    const { gate } = await openTestGate(onTool({ limits: { sum: { of: "args.n", max: 0.3 } } }));
    const ask = asker({ gate });
    expect(effectsOf(await ask({ n: 0.1 }))).toEqual({ totals: { "tools.t.limits.sum": "0.1" } });
    // 0.1 + 0.2 is not 0.3 in binary.
    expect(said(await ask({ n: 0.200000000001 }))).toBe("LIMIT_EXCEEDED tools.t.limits.sum");
    expect(effectsOf(await ask({ n: 0.2 }))).toEqual({ totals: { "tools.t.limits.sum": "0.3" } });
    expect(said(await ask({ n: 5e-324 }))).toBe("LIMIT_EXCEEDED tools.t.limits.sum");
    expect(effectsOf(await ask({ n: 0 }))).toEqual({ totals: { "tools.t.limits.sum": "0.3" } });
  });

  test.each([
    ["negative", { n: -1 }],
    ["a text", { n: "1" }],
    ["null", { n: null }],
    ["a boolean", { n: true }],
    ["a list", { n: [1] }],
    ["absent", {}],
    ["only inherited", { toString: 1 }],
  ])("an amount that is %s exceeds every limit, and nothing is counted", async (_name, args) => {
    const { gate, receipts } = await openTestGate(
      onTool({ limits: { sum: { of: "args.n", max: 10 } } }),
    );
    const ask = asker({ gate });
    expect(said(await ask(args))).toBe("LIMIT_EXCEEDED tools.t.limits.sum");
    expect(effectsOf(await ask({ n: -0 }))).toEqual({ totals: { "tools.t.limits.sum": "0" } });
    expect(effectsOf(await ask({ n: 10 }))).toEqual({ totals: { "tools.t.limits.sum": "10" } });
    expect(await receipts("s")).toHaveLength(4);
  });

  test("NaN and infinite amounts are no JSON: they never come so far", async () => {
    const { gate } = await openTestGate(onTool({ limits: { sum: { of: "args.n", max: 10 } } }));
    for (const n of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(said(await asker({ gate })({ n }))).toBe("INVALID_REQUEST request.args");
  });

  test("large and tiny amounts: no exponent, no trailing zeros, no loss", async () => {
    const { gate } = await openTestGate(onTool({ limits: { sum: { of: "args.n", max: 1e300 } } }));
    const ask = asker({ gate });
    await ask({ n: 1e21 });
    await ask({ n: 1e-7 });
    expect(effectsOf(await ask({ n: 1.5 }))?.totals).toEqual({
      "tools.t.limits.sum": "1000000000000000000001.5000001",
    });
  });

  test("any amounts add up to what big integers say, and the answers follow", async () => {
    const cents = fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cents, fc.integer({ min: 0, max: 20_000 }), async (list, max) => {
        const { gate } = await openTestGate(
          onTool({ limits: { sum: { of: "args.n", max: max / 100 } } }),
        );
        let total = 0;
        for (const amount of list) {
          const fits = total + amount <= max;
          const decision = await asker({ gate })({ n: amount / 100 });
          expect(said(decision)).toBe(fits ? "ALLOW" : "LIMIT_EXCEEDED tools.t.limits.sum");
          if (fits) total += amount;
        }
      }),
      { numRuns: 40 },
    );
  });

  test("calls count ALLOWs of their tool or function, and no others", async () => {
    const { gate } = await openTestGate({
      ...onTool({ limits: { calls: 2 }, when: "args.ok" }),
      functions: { ...base.functions, work: { actions: ["DO"], limits: { calls: 3 } } },
      tools: {
        t: { function: "work", action: "DO", limits: { calls: 2 }, when: "args.ok" },
        v: { function: "work", action: "DO" },
      },
    });
    const ask = asker({ gate });
    expect(said(await ask({ ok: false }))).toBe("ARGUMENT_VIOLATION tools.t.when");
    expect(said(await ask({ ok: true }))).toBe("ALLOW");
    expect(said(await ask({ ok: true }))).toBe("ALLOW");
    expect(said(await ask({ ok: true }))).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    expect(said(await ask({}, { tool: "v" }))).toBe("ALLOW");
    expect(said(await ask({}, { tool: "v" }))).toBe("LIMIT_EXCEEDED functions.work.limits.calls");
    // The function's limits are looked at before the tool's.
    expect(said(await ask({ ok: true }))).toBe("LIMIT_EXCEEDED functions.work.limits.calls");
  });

  test("an interrupted call counts once and sums once: its resumes have no effects, and pass a limit that is used up", async () => {
    const { gate, receipts } = await openTestGate(
      onTool({ bind: { x: "args.n" }, limits: { calls: 1, sum: { of: "args.n", max: 5 } } }),
    );
    const ask = asker({ gate });
    const root = (await ask({ n: 5 }, { nonce: "n" })) as Allow;
    expect(Object.keys(effectsOf(root) ?? {})).toEqual(["binds", "totals"]);
    await gate.outcome(root, { status: "interrupted" });
    const again = (await ask({ n: 5 }, { nonce: "n" })) as Allow;
    expect(said(again)).toBe("ALLOW");
    expect(again.receipt).not.toHaveProperty("effects");
    expect(again.receipt).not.toHaveProperty("sealed");
    await gate.outcome(again, { status: "succeeded" });
    expect(said(await ask({ n: 5 }))).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    expect((await receipts("s")).filter((one) => "effects" in one)).toHaveLength(1);
  });

  test("an interrupted call that sealed seals no second time", async () => {
    const { gate } = await openTestGate({
      ...base,
      functions: { ...base.functions, end: { actions: ["SEAL"], limits: { calls: 1 } } },
    });
    const end = { sequence_id: "s", function: "end", action_type: "SEAL", nonce: "n" } as const;
    const root = (await gate.decide(end)) as Allow;
    expect(root.receipt.sealed).toBe(true);
    await gate.outcome(root, { status: "interrupted" });
    const again = await gate.decide(end);
    expect(said(again)).toBe("ALLOW");
    expect(again.receipt).not.toHaveProperty("sealed");
  });
});

describe("counts by agent and tenant", () => {
  const HOUR = 3_600_000;
  const start = 1_800_000_000_000;
  const doc = (limits: object): object => onTool({ limits }, { freshness: "1h", lifetime: "30d" });

  test("go by fixed windows of the gate's clock, up to the last millisecond, across sequences", async () => {
    expect(start % HOUR).toBe(0);
    const held = heldClock(start);
    const { gate } = await openTestGate(doc({ calls: { max: 2, per: "agent", window: "1h" } }), {
      clock: held.clock,
    });
    const call = (sequence_id: string, agent_id: string): Promise<string> =>
      gate.decide({ sequence_id, agent_id, tool: "t" }).then(said);
    const over = "LIMIT_EXCEEDED tools.t.limits.calls";
    expect(await call("s1", "a")).toBe("ALLOW");
    held.set(start + HOUR - 1);
    expect(await call("s2", "a")).toBe("ALLOW");
    expect(await call("s3", "a")).toBe(over);
    expect(await call("s4", "b")).toBe("ALLOW");
    held.set(start + HOUR);
    expect([await call("s1", "a"), await call("s1", "a"), await call("s2", "a")]).toEqual([
      "ALLOW",
      "ALLOW",
      over,
    ]);
    // By the gate's clock, not by the record's: one that runs back is in the window before again.
    held.set(start + HOUR - 1);
    expect(await call("s1", "a")).toBe(over);
    expect(await call("s4", "b")).toBe("ALLOW");
    expect(await call("s4", "b")).toBe(over);
  });

  test("an agent of one tenant is not the agent of another; a tenant's agents count together", async () => {
    const { gate } = await openTestGate({
      ...base,
      tools: {
        t: { ...base.tools.t, limits: { calls: { max: 1, per: "agent", window: "1h" } } },
        u: {
          ...base.tools.u,
          limits: { sum: { of: "args.n", max: 3, per: "tenant", window: "1h" } },
        },
      },
    });
    let sequence = 0;
    const call = (tool: string, tenant: string, agent_id: string, n = 0): Promise<string> =>
      gate
        .decide({ sequence_id: `s${sequence++}`, tenant, agent_id, tool, args: { n } })
        .then(said);
    expect(await call("t", "x", "a")).toBe("ALLOW");
    expect(await call("t", "y", "a")).toBe("ALLOW");
    expect(await call("t", "x", "a")).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    expect(await call("u", "x", "a", 2)).toBe("ALLOW");
    expect(await call("u", "x", "b", 1.5)).toBe("LIMIT_EXCEEDED tools.u.limits.sum");
    expect(await call("u", "x", "b", 1)).toBe("ALLOW");
    expect(await call("u", "y", "b", 3)).toBe("ALLOW");
  });

  test("without the identifier nothing can be counted, so nothing is allowed", async () => {
    for (const per of ["agent", "tenant"] as const) {
      for (const limits of [
        { calls: { max: 9, per, window: "1h" } },
        { sum: { of: "args.n", max: 9, per, window: "1h" } },
      ]) {
        const { gate } = await openTestGate(doc(limits));
        const other = per === "agent" ? { tenant: "x" } : { agent_id: "a" };
        const rule = `tools.t.limits.${Object.keys(limits)[0]}`;
        const bareCall = { sequence_id: "s", tool: "t", args: { n: 1 } } as const;
        expect(said(await gate.decide(bareCall))).toBe(`LIMIT_EXCEEDED ${rule}`);
        expect(said(await gate.decide({ ...bareCall, ...other, sequence_id: "o" }))).toBe(
          `LIMIT_EXCEEDED ${rule}`,
        );
        expect(
          said(await gate.decide({ ...bareCall, agent_id: "a", tenant: "x", sequence_id: "p" })),
        ).toBe("ALLOW");
      }
    }
  });

  test("neither a denial nor a call that comes back moves a counter; a windowed sum stands in no receipt", async () => {
    const { gate, store } = await openTestGate(
      doc({ sum: { of: "args.n", max: 5, per: "agent", window: "1h" }, calls: 1 }),
      { clock: () => start },
    );
    const stood = async (): Promise<readonly string[]> => {
      const asked = `two\ntools.t.limits.sum\nagent\n${HOUR}\n${start / HOUR}\n\na`;
      return [...(await store.counters([asked])).values()];
    };
    const ask = asker({ gate }, { agent_id: "a" });
    expect(said(await ask({ n: 6 }))).toBe("LIMIT_EXCEEDED tools.t.limits.sum");
    const root = (await ask({ n: 2 }, { nonce: "n" })) as Allow;
    expect(root.receipt).not.toHaveProperty("effects");
    await gate.outcome(root, { status: "interrupted" });
    expect(said(await ask({ n: 2 }, { nonce: "n" }))).toBe("ALLOW");
    expect(said(await ask({ n: 1 }))).toBe("LIMIT_EXCEEDED tools.t.limits.calls");
    expect(await stood()).toEqual(["2"]);
  });

  test("two gates of one store count together, and of many calls at once no more than the limit are allowed", async () => {
    const one = await openTestGate(doc({ calls: { max: 5, per: "agent", window: "30d" } }), {
      deadlineMs: 30_000,
    });
    const two = await openTestGate(one.policy, { store: one.store, deadlineMs: 30_000 });
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        (i % 2 === 0 ? one : two).gate.decide({
          sequence_id: `s${i % 6}`,
          agent_id: "a",
          tool: "t",
        }),
      ),
    );
    expect(answers.map(said).sort()).toEqual([
      ...Array.from({ length: 5 }, () => "ALLOW"),
      ...Array.from({ length: 19 }, () => "LIMIT_EXCEEDED tools.t.limits.calls"),
    ]);
  });
});

describe("what a denial says", () => {
  test("never an argument's value, nor the context's, whichever condition refused", async () => {
    const secret = "s3cr3t-value";
    const policy = compilePolicy({
      ...onTool({
        args: { type: "object", properties: { n: { type: "number" } } },
        when: 'args.secret == context.secret && args.stage != "when"',
        grounded: { to: ["context.payees"] },
        bind: { x: "args.bound" },
        limits: { sum: { of: "args.n", max: 5 } },
        approval: { by: ["boss"] },
      }),
    });
    const { gate } = await openTestGate(policy);
    await gate.open({ sequence_id: "s", context: { secret, payees: [secret] } });
    const args = { secret, to: secret, bound: secret, n: 1, stage: secret };
    const codes: string[] = [];
    for (const change of [
      { n: secret },
      { stage: "when" },
      { to: `${secret}!x` },
      { bound: undefined },
      { n: 98_765.4321 },
      {},
    ]) {
      const asked = Object.entries({ ...args, ...change }).filter(
        ([, value]) => value !== undefined,
      );
      const decision = (await asker({ gate })(Object.fromEntries(asked))) as Deny;
      codes.push(said(decision));
      const { message, rule, next_steps } = decision;
      expect(JSON.stringify({ message, rule, next_steps })).not.toMatch(/s3cr3t|98765\.4321/);
      expect(JSON.stringify(decision.receipt)).not.toMatch(/s3cr3t|98765\.4321/);
    }
    expect(codes).toEqual([
      "ARGUMENT_VIOLATION tools.t.args",
      "ARGUMENT_VIOLATION tools.t.when",
      "ARGUMENT_VIOLATION tools.t.grounded.to",
      "ARGUMENT_VIOLATION tools.t.bind.x",
      "LIMIT_EXCEEDED tools.t.limits.sum",
      "APPROVAL_REQUIRED tools.t.approval",
    ]);
  });
});
