/** Checks 5 and 6 of Level 2: constraints beside the order, what is forbidden, and what an agent's patterns leave of the map. */
import { openTestGate, type TestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import type { ActionInput, Allow, Decision } from "../src/index.ts";

const base = {
  schema: "stepgate.policy/1",
  id: "beside",
  version: "1",
  sequence: "(read | write | send)*, end?",
  functions: {
    read: ["LOOK", "LIST"],
    write: ["PUT", "DROP"],
    send: ["MAIL"],
    end: ["SEAL"],
    free: { step: "*", actions: ["LOOK"] },
    quick: { step: "read", actions: ["LOOK"] },
  },
  tools: {
    find: { function: "read", action: "LIST" },
    store: { function: ["write", "send"], action: "PUT" },
  },
} as const;

/** `read.LOOK`, a tool as `@find`; then `ALLOW`, or the code and the rule. */
function caller(
  { gate }: Pick<TestGate, "gate">,
  owner: object = {},
): (call: string, more?: object) => Promise<Decision> {
  return (call, more = {}) => {
    const [fn = "", action_type] = call.split(".");
    const form = fn.startsWith("@") ? { tool: fn.slice(1) } : { function: fn, action_type };
    return gate.decide({ sequence_id: "s", ...owner, ...form, ...more } as ActionInput);
  };
}

function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : `${decision.deny_code} ${decision.rule}`;
}

/** What a run of calls is answered, one after another. */
async function run(
  document: object,
  calls: readonly string[],
  owner: object = {},
): Promise<readonly string[]> {
  const call = caller(await openTestGate(document), owner);
  const answers: string[] = [];
  for (const one of calls) answers.push(said(await call(one)));
  return answers;
}

const V0 = "SEQUENCE_VIOLATION constraints.0";
const V1 = "SEQUENCE_VIOLATION constraints.1";

test("a denial says what the constraint asks for", async () => {
  const constraints = [
    { precedence: [{ tool: "find" }, "write"] },
    { never: [{ action: "LOOK" }, "send"] },
  ];
  const call = caller(await openTestGate({ ...base, constraints }));
  const early = await call("write.DROP");
  expect(early.message).toBe(
    "'write' is not admissible now; only after tool 'find' (constraints.0).",
  );
  await call("free.LOOK");
  const late = await call("send.MAIL");
  expect(late.message).toBe(
    "'send' is not admissible now; no more after action type 'LOOK' (constraints.1).",
  );
});

describe("precedence", () => {
  test("admits the second only after the first was allowed", async () => {
    const constraints = [{ precedence: ["read", "write"] }];
    expect(
      await run({ ...base, constraints }, [
        "write.DROP",
        "read.NONE",
        "write.DROP",
        "read.LOOK",
        "write.DROP",
        "write.DROP",
      ]),
    ).toEqual([V0, "ACTION_NOT_ALLOWED functions.read.actions", V0, "ALLOW", "ALLOW", "ALLOW"]);
  });

  test("is not served by the same ALLOW: a call that is both waits for an earlier one", async () => {
    const constraints = [{ precedence: [{ step: "read" }, { action: "LOOK" }] }];
    expect(
      await run({ ...base, constraints }, [
        "read.LOOK",
        "free.LOOK",
        "@find",
        "read.LOOK",
        "free.LOOK",
      ]),
    ).toEqual([V0, V0, "ALLOW", "ALLOW", "ALLOW"]);
  });
});

describe("never", () => {
  test("refuses the second once the first was allowed, and what is both at its second time", async () => {
    const constraints = [
      { never: [{ action: "MAIL" }, { function: "write" }] },
      { never: ["read", "read"] },
    ];
    expect(
      await run({ ...base, constraints }, [
        "write.DROP",
        "send.MAIL",
        "write.DROP",
        "@store",
        "read.LOOK",
        "read.LOOK",
        "quick.LOOK",
        "send.MAIL",
      ]),
    ).toEqual(["ALLOW", "ALLOW", V0, V0, "ALLOW", V1, "ALLOW", "ALLOW"]);
  });
});

describe("constraints", () => {
  test("select by function, step, action type and tool, each by what the policy makes of the call", async () => {
    const second = { action: "MAIL" };
    for (const [first, serves, not] of [
      [{ function: "quick" }, "quick.LOOK", "read.LOOK"],
      [{ step: "read" }, "quick.LOOK", "free.LOOK"],
      [{ action: "LOOK" }, "free.LOOK", "@find"],
      [{ tool: "find" }, "@find", "read.LOOK"],
      ["free", "free.LOOK", "read.LOOK"],
    ] as const) {
      const document = { ...base, constraints: [{ precedence: [first, second] }] };
      expect(await run(document, [not, "send.MAIL", serves, "send.MAIL"])).toEqual([
        "ALLOW",
        V0,
        "ALLOW",
        "ALLOW",
      ]);
    }
  });

  test("come after the order, before the map, and the first of several that refuse is named", async () => {
    const constraints = [
      { precedence: ["free", "end"] },
      { precedence: ["read", "end"] },
      { precedence: ["read", "write"] },
    ];
    expect(
      await run({ ...base, constraints }, [
        "end.SEAL",
        "free.LOOK",
        "end.SEAL",
        "write.NONE",
        "read.LOOK",
        "end.SEAL",
        "end.SEAL",
      ]),
    ).toEqual([
      V0,
      "ALLOW",
      V1,
      "SEQUENCE_VIOLATION constraints.2",
      "ALLOW",
      "ALLOW",
      "SEALED_SEQUENCE seal",
    ]);
    const ordered = {
      ...base,
      sequence: "read, write",
      functions: { read: ["LOOK"], write: ["DROP"] },
      tools: {},
    };
    expect(
      await run({ ...ordered, constraints: [{ never: ["write", "write"] }] }, ["write.DROP"]),
    ).toEqual(["SEQUENCE_VIOLATION sequence"]);
  });

  test("are not moved by denials, whatever denied; nor by a tool's other functions", async () => {
    const document = {
      ...base,
      functions: { ...base.functions, read: { actions: ["LOOK", "LIST"], when: "args.ok" } },
      constraints: [{ precedence: ["read", "send"] }, { never: ["send", "write"] }],
    };
    const call = caller(await openTestGate(document));
    expect(said(await call("read.LOOK", { args: { ok: false } }))).toBe(
      "ARGUMENT_VIOLATION functions.read.when",
    );
    expect(said(await call("send.MAIL"))).toBe(V0);
    expect(said(await call("read.LOOK", { args: { ok: true } }))).toBe("ALLOW");
    expect(said(await call("@store"))).toBe("ALLOW");
    expect(said(await call("send.MAIL"))).toBe("ALLOW");
    expect(said(await call("@store"))).toBe(V1);
  });

  test("choose among a tool's functions: the first that they admit", async () => {
    const document = {
      ...base,
      functions: { ...base.functions, send: ["MAIL", "PUT"] },
      constraints: [{ never: ["write", "write"] }],
    };
    const call = caller(await openTestGate(document));
    const functions: unknown[] = [];
    for (let i = 0; i < 3; i++) functions.push((await call("@store")).receipt?.function);
    expect(functions).toEqual(["write", "send", "send"]);
  });

  test("are not looked at again for a call that comes back, which serves once", async () => {
    const document = { ...base, constraints: [{ never: ["read", "read"] }] };
    const { gate } = await openTestGate(document);
    const call = caller({ gate });
    const root = (await call("read.LOOK", { nonce: "n" })) as Allow;
    await gate.outcome(root, { status: "interrupted" });
    expect(said(await call("read.LOOK", { nonce: "n" }))).toBe("ALLOW");
    expect(said(await call("read.LOOK", { nonce: "m" }))).toBe(V0);
  });
});

describe("forbid", () => {
  const F0 = "ACTION_NOT_ALLOWED forbid.0";
  test.each([
    [{ actions: ["LOOK"] }, ["read.LOOK", "free.LOOK", "@find"], [F0, F0, "ALLOW"]],
    [{ functions: ["read"] }, ["read.LOOK", "@find", "quick.LOOK"], [F0, F0, "ALLOW"]],
    [{ steps: ["read"] }, ["quick.LOOK", "@find", "free.LOOK"], [F0, F0, "ALLOW"]],
    [{ tools: ["find"] }, ["@find", "read.LOOK"], [F0, "ALLOW"]],
    [{ agents: ["a*"] }, ["read.LOOK", "@find"], [F0, F0]],
    [{ agents: ["b", "a"] }, ["read.LOOK"], [F0]],
    [{ agents: ["b"] }, ["read.LOOK"], ["ALLOW"]],
    [
      { actions: ["LOOK"], functions: ["read"] },
      ["quick.LOOK", "read.LOOK", "@find"],
      ["ALLOW", F0, "ALLOW"],
    ],
    [{ actions: ["LOOK", "LIST"], agents: ["b"] }, ["read.LOOK"], ["ALLOW"]],
    [
      { actions: ["LOOK"], agents: ["*"], steps: ["read"] },
      ["free.LOOK", "quick.LOOK"],
      ["ALLOW", F0],
    ],
  ] as const)("%o: all selectors that are given must match", async (item, calls, answers) => {
    expect(await run({ ...base, forbid: [item] }, calls, { agent_id: "a" })).toEqual(answers);
  });

  test("names the first item that matches, before the agent's patterns and the map", async () => {
    const forbid = [{ actions: ["MAIL"] }, { functions: ["read"] }, { actions: ["NONE", "LOOK"] }];
    const agents = { "*": { functions: { read: [], free: [] } } };
    expect(
      await run(
        { ...base, forbid, agents },
        ["read.NONE", "read.LOOK", "free.LOOK", "free.LIST", "send.MAIL"],
        {
          agent_id: "a",
        },
      ),
    ).toEqual([
      "ACTION_NOT_ALLOWED forbid.1",
      "ACTION_NOT_ALLOWED forbid.1",
      "ACTION_NOT_ALLOWED forbid.2",
      "ACTION_NOT_ALLOWED agents.*",
      F0,
    ]);
  });

  test("of agents by name is no matter of callers without one, but `*` is any name, none too", async () => {
    const by = (agents: readonly string[]): object => ({
      ...base,
      forbid: [{ agents, steps: ["read"] }],
    });
    expect(await run(by(["bot-*"]), ["read.LOOK"])).toEqual(["ALLOW"]);
    expect(await run(by(["*"]), ["read.LOOK"])).toEqual([F0]);
    expect(await run(by(["bot-*"]), ["read.LOOK"], { agent_id: "bot-1" })).toEqual([F0]);
    expect(await run(by(["bot-*"]), ["read.LOOK"], { agent_id: "Bot-1" })).toEqual(["ALLOW"]);
  });

  test("chooses among a tool's functions: the first that it leaves", async () => {
    const document = {
      ...base,
      functions: { ...base.functions, send: ["MAIL", "PUT"] },
      forbid: [{ functions: ["write"] }],
    };
    const call = caller(await openTestGate(document));
    expect((await call("@store")).receipt).toMatchObject({ decision: "ALLOW", function: "send" });
    expect(said(await call("write.DROP"))).toBe(F0);
  });
});

describe("agents", () => {
  const agents = {
    "*": { functions: { write: ["PUT", "DROP"] } },
    "bot-*": { functions: { write: ["PUT"], end: [] } },
    "bot-*-a": { functions: { write: { actions: ["DROP"] }, send: ["MAIL"] } },
  };
  const NARROW = "ACTION_NOT_ALLOWED agents.bot-*";
  const CALLS = ["write.DROP", "write.PUT", "read.LOOK", "send.MAIL", "end.SEAL"];

  test.each([
    ["ana", ["ALLOW", "NO_POLICY_MATCH tools", "ALLOW", "ALLOW", "ALLOW"]],
    ["bot-1", [NARROW, "NO_POLICY_MATCH tools", "ALLOW", "ALLOW", NARROW]],
    ["bot-1-a", [NARROW, "NO_POLICY_MATCH tools", "ALLOW", "ALLOW", NARROW]],
  ] as const)("%s has what all patterns that match leave", async (agent_id, answers) => {
    expect(await run({ ...base, agents }, CALLS, { agent_id })).toEqual(answers);
  });

  test("two patterns that leave nothing in common forbid, and the first by code unit is named", async () => {
    expect(await run({ ...base, agents }, ["@store", "@store"], { agent_id: "bot-1-a" })).toEqual([
      "ACTION_NOT_ALLOWED agents.bot-*-a",
      "ACTION_NOT_ALLOWED agents.bot-*-a",
    ]);
    const named = {
      ...base,
      agents: { "a*": { functions: { read: [] } }, "*a": { functions: { read: [] } } },
    };
    expect(await run(named, ["read.LOOK"], { agent_id: "aa" })).toEqual([
      "ACTION_NOT_ALLOWED agents.*a",
    ]);
  });

  test("where some are named, an agent that none matches may do nothing, nor a caller without a name", async () => {
    const some = { ...base, agents: { "bot-*": {} } };
    expect(await run(some, ["read.LOOK", "free.LOOK", "@find"], { agent_id: "ana" })).toEqual(
      Array.from({ length: 3 }, () => "ACTION_NOT_ALLOWED agents"),
    );
    expect(await run(some, ["read.LOOK"])).toEqual(["ACTION_NOT_ALLOWED agents"]);
    expect(await run({ ...base, agents: { "*": {} } }, ["read.LOOK"])).toEqual([
      "ACTION_NOT_ALLOWED agents",
    ]);
    // No document says this, for nothing could be done under it.
    const nobody = { ...compilePolicy(base), agents: [] };
    expect(await run(nobody, ["read.LOOK"], { agent_id: "ana" })).toEqual([
      "ACTION_NOT_ALLOWED agents",
    ]);
    expect(await run(base, ["read.LOOK"])).toEqual(["ALLOW"]);
  });

  test("never widen: what the map does not permit stays refused by the map", async () => {
    expect(await run({ ...base, agents: { "*": {} } }, ["read.MAIL"], { agent_id: "a" })).toEqual([
      "ACTION_NOT_ALLOWED functions.read.actions",
    ]);
  });

  test("decide which tools are said to be permitted", async () => {
    const { gate } = await openTestGate({
      ...base,
      agents: { "bot-*": { functions: { read: [] } } },
    });
    await gate.open({ sequence_id: "s", agent_id: "bot-1" });
    expect((await gate.state("s")).permitted_tools).toEqual(["store"]);
  });
});
