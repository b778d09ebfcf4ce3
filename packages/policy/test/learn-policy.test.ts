/** A policy from benign runs: it allows them, permits nothing that none did, and says what each choice rests on. */
import { type CompiledPolicy, createSimulation, type JsonObject } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  checkPolicy,
  formatPolicy,
  learnPolicy,
  type LearnOptions,
  parsePolicy,
  type RecordedCall,
  type RecordedRun,
} from "../src/index.ts";

const NONE: JsonObject = {};

function call(tool: string, args: JsonObject = {}, context: JsonObject = NONE): RecordedCall {
  return { tool, args, context };
}

/** The codes of a run under a policy, `ALLOW` where nothing stands in its way. */
function answers(text: string, run: RecordedRun): readonly string[] {
  return answersUnder(parsePolicy(text), run);
}

function answersUnder(policy: CompiledPolicy, run: RecordedRun): readonly string[] {
  const sequence = createSimulation().open(policy);
  return run.map(({ context, ...request }) => {
    sequence.addContext(context);
    const answer = sequence.decide({ sequence_id: "s", ...request });
    return answer.decision === "ALLOW" ? "ALLOW" : `${answer.deny_code} ${answer.rule}`;
  });
}

function learn(runs: readonly RecordedRun[], options: Partial<LearnOptions> = {}): string {
  return learnPolicy(runs, { id: "learned", ...options });
}

function expectSound(text: string, runs: readonly RecordedRun[]): void {
  const policy = parsePolicy(text);
  expect(formatPolicy(text)).toBe(text);
  for (const run of runs) expect(answersUnder(policy, run)).toEqual(run.map(() => "ALLOW"));
}

/** A bill in each run: what is paid to whom stands in the request, the note is the agent's own. */
const BILLS: readonly RecordedRun[] = ["UK10 98.5", "UK11 20", "UK12 7", "UK13 55"].map(
  (words, index) => {
    const [recipient = "", amount = ""] = words.split(" ");
    const context = { request: `Pay ${amount} euros to ${recipient}`, user: "emma" };
    return [
      call("read_file", { path: `bill-${index}.txt` }, context),
      ...(index % 2 === 0 ? [call("get_balance", {}, context)] : []),
      call("login", { otp: `${482_913 + index * 7717}` }, context),
      call(
        "send_money",
        {
          recipient,
          amount: Number(amount),
          currency: "EUR",
          note: `your bill of day ${index}, with thanks`,
        },
        context,
      ),
    ];
  },
);

describe("what is learned", () => {
  const text = learn(BILLS);
  const context = { request: "Pay 1,250 euros to DE99" };
  const pay = { recipient: "DE99", amount: 1250, currency: "EUR", note: "anything" };
  const login = call("login", { otp: "000000" }, context);

  test("is sound, and allows the runs", () => {
    expectSound(text, BILLS);
    expect(checkPolicy(text).warnings).toEqual([]);
  });

  test("generalises to another run of the same kind", () => {
    expect(answers(text, [login, call("send_money", pay, context), call("get_balance")])).toEqual(
      Array.from({ length: 3 }, () => "ALLOW"),
    );
  });

  test.each([
    ["a recipient from elsewhere", { recipient: "US66" }, "grounded.recipient"],
    ["an amount from elsewhere", { amount: 1251 }, "grounded.amount"],
    ["another currency", { currency: "USD" }, "args"],
    ["an argument that none gave", { urgent: true }, "args"],
    ["a type that none had", { note: 7 }, "args"],
  ])("refuses %s", (_, change, rule) => {
    expect(answers(text, [login, call("send_money", { ...pay, ...change }, context)])).toEqual([
      "ALLOW",
      `ARGUMENT_VIOLATION tools.send_money.${rule}`,
    ]);
  });

  test("refuses what has another form, another order, another tool, or comes too often", () => {
    const paid = call("send_money", pay, context);
    expect(answers(text, [call("login", { otp: "1234567" })])).toEqual([
      "ARGUMENT_VIOLATION tools.login.args",
    ]);
    expect(answers(text, [paid, login])).toEqual(["ALLOW", "SEQUENCE_VIOLATION sequence"]);
    expect(answers(text, [call("send_email")])).toEqual(["NO_POLICY_MATCH tools"]);
    expect(answers(text, [paid, paid, paid])).toEqual([
      "ALLOW",
      "ALLOW",
      "LIMIT_EXCEEDED tools.send_money.limits.calls",
    ]);
  });

  test("every choice says what it rests on", () => {
    for (const line of [
      "# Learned by `stepgate learn` from 4 runs with 14 calls, all of them taken for benign.",
      "  - login* # in 4 of 4 runs",
      "  - send_money* # in 4 of 4 runs; after what is above in 4 of 4",
      "  get_balance: # 2 calls in 2 of 4 runs",
      "  send_money: # 4 calls in 4 of 4 runs",
      "      recipient: [context.request] # 4 of 4 values in context.request, in 4 of 4 runs",
      "        currency: { type: string, enum: [EUR] } # 1 value, 1 in several runs, in 4 of 4 runs",
      "        note: { type: string } # free text: 4 values, in 4 of 4 runs",
      "        recipient: { type: string } # grounded, below",
      '        otp: { type: string, pattern: "^[0-9]{6}$" } # the form of 4 values, in 4 of 4 runs',
      "    ungrounded: [currency, note]",
      "    limits: { calls: 2 } # at most 1 in each of 4 runs, and 1 more",
    ])
      expect(text.split("\n")).toContain(line);
  });
});

describe("the order", () => {
  const order = (...runs: readonly (readonly string[])[]): unknown =>
    (parse(learn(runs.map((run) => run.map((tool) => call(tool))))) as { sequence: unknown })
      .sequence;

  test("what came in one order stays in it, also by way of others", () => {
    expect(order(["a", "b"], ["b", "c", "c"], ["a", "b"], ["b", "c"])).toEqual([
      "a*",
      "b*",
      "c*",
      "done",
    ]);
  });

  test("what was mixed may be mixed, with all that stands between", () => {
    expect(order(["x", "a", "b", "c", "a"], ["x", "a", "b", "c"])).toEqual([
      "x*",
      "(a | b | c)*",
      "done",
    ]);
  });

  test("what never came together, or in one run alone, has no order", () => {
    expect(order(["a"], ["b"])).toEqual(["(a | b)*", "done"]);
    expect(order(["a", "b"])).toEqual(["(a | b)*", "done"]);
  });

  test("a tool may have the name of the end", () => {
    const runs = [[call("done"), call("lookup/x"), call("get_done")]];
    expectSound(learn(runs), runs);
  });
});

describe("values", () => {
  const listing = (values: readonly (readonly string[])[]): readonly RecordedRun[] =>
    values.map((run) => run.map((url) => call("post", { url }, { request: "post it" })));
  const grounded = (text: string): unknown =>
    (parse(text) as { tools: { post: { grounded?: unknown } } }).tools.post.grounded;

  test("addresses that come back in other runs are listed, and equal ones pass", () => {
    const text = learn(listing([["www.a.com"], ["www.a.com"], ["www.a.com", "www.a.com/in"]]));
    expect(grounded(text)).toEqual({ url: [["www.a.com", "www.a.com/in"]] });
    const [again] = listing([["https://www.a.com/", "https://a.com.evil.org"]]);
    expect(answers(text, again ?? [])).toEqual([
      "ALLOW",
      "ARGUMENT_VIOLATION tools.post.grounded.url",
    ]);
  });

  test("what is new in each run is neither listed nor grounded", () => {
    expect(grounded(learn(listing([["www.a.com"], ["www.b.com"], ["www.c.com"]])))).toBeUndefined();
  });

  test("nor where more values stand in one run alone than in several, or nobody would read the list", () => {
    const runs = listing([["www.a.com", "www.b.com"], ["www.a.com"], ["www.c.com"]]);
    expect(grounded(learn(runs))).toBeUndefined();
    const many = (n: number) => Array.from({ length: n }, (_, index) => `www.site${index}.com`);
    expect(grounded(learn(listing([many(50), many(50)])))).toBeDefined();
    expect(grounded(learn(listing([many(51), many(51)])))).toBeUndefined();
  });

  test("two runs are not enough for an enumeration", () => {
    const [one = [], two = [], three = []] = listing([["EUR"], ["EUR"], ["EUR"]]);
    expect(learn([one, two])).not.toContain("enum:");
    expect(learn([one, two, three])).toContain("enum: [EUR]");
  });

  test("what is read is free, but for addresses, which also send", () => {
    const runs = Array.from({ length: 3 }, () => [
      call("get_rate", { currency: "EUR" }),
      call("read_file", { path: "/docs/a.txt" }),
      call("browse", { url: "www.a.com" }),
    ]);
    const text = learn(runs);
    const others = [
      call("get_rate", { currency: "USD" }),
      call("read_file", { path: "/docs/b.txt" }),
      call("browse", { url: "www.b.com/?secret" }),
    ];
    expect(answers(text, others)).toEqual([
      "ALLOW",
      "ALLOW",
      "ARGUMENT_VIOLATION tools.browse.grounded.url",
    ]);
  });

  test("words have no form, and what no path can name is not grounded", () => {
    const words = learn(listing([["alpha"], ["gamma"]]));
    expect(words).not.toContain("pattern");
    const dotted = ["UK1", "UK2"].map((to) => [call("pay", { "a.to": to }, { request: to })]);
    expect(learn(dotted)).not.toContain("grounded:");
  });

  test("a context whose member no path can name grounds nothing", () => {
    const runs = ["UK1x", "UK2y"].map((url) => [call("post", { url }, { "a\nrequest": url })]);
    expectSound(learn(runs), runs);
    expect(grounded(learn(runs))).toBeUndefined();
  });

  test("days are not listed: the next one is as good", () => {
    expect(grounded(learn(listing([["2024-05-19"], ["2024-05-19"]])))).toBeUndefined();
  });

  test("words of the request are no evidence before there are three of them", () => {
    const runs = (words: readonly string[]) =>
      words.map((url) => [call("post", { url }, { request: "buy blue shoes or red hats" })]);
    expect(grounded(learn(runs(["shoes", "hats"])))).toBeUndefined();
    expect(grounded(learn(runs(["shoes", "hats", "blue shoes"])))).toEqual({
      url: ["context.request"],
    });
  });

  test("the context is that of the time of the call", () => {
    const runs = ["UK1", "UK2"].map((url) => [
      call("post", { url: "UK0" }, { request: "UK0" }),
      call("post", { url }, { request: `then ${url}` }),
    ]);
    const text = learn(runs);
    expect(grounded(text)).toEqual({ url: ["context.request"] });
    expect(answers(text, [call("post", { url: "UK0" }, { request: "UK1" })])).toEqual([
      "ARGUMENT_VIOLATION tools.post.grounded.url",
    ]);
  });
});

describe("the schemas of the tools", () => {
  const MAIL = {
    name: "send_email",
    action_type: "SEND_MESSAGE",
    parameters: {
      type: "object",
      required: ["to"],
      properties: {
        to: { type: "array", items: { type: "string" } },
        bcc: {
          anyOf: [{ type: "array", items: { type: "string" } }, { type: "null" }],
          default: null,
        },
        priority: { type: "integer" },
      },
    },
  };
  const send = (args: JsonObject): RecordedCall => call("send_email", { to: ["x"], ...args });

  test("an argument that no call gave may only be said to be absent", () => {
    const text = learn([[send({})]], { tools: [MAIL] });
    expect(text).toContain("action: SEND_MESSAGE");
    const passes = (args: JsonObject): string | undefined => answers(text, [send(args)])[0];
    for (const args of [{}, { bcc: null }, { bcc: [] }]) expect(passes(args)).toBe("ALLOW");
    for (const args of [{ bcc: ["evil@x.com"] }, { priority: 1 }])
      expect(passes(args)).toBe("ARGUMENT_VIOLATION tools.send_email.args");
  });

  test("what a schema refuses of the calls has the shape of the calls", () => {
    const runs = [[send({ priority: "high" }), send({ priority: 1 })], [call("send_email", {})]];
    for (const part of [runs.slice(0, 1), runs]) expectSound(learn(part, { tools: [MAIL] }), part);
    const text = learn(runs.slice(0, 1), { tools: [MAIL] });
    expect(answers(text, [send({ priority: true })])).toEqual([
      "ARGUMENT_VIOLATION tools.send_email.args",
    ]);
  });

  test("what calls gave beside the schema is permitted, and the rest of the schema stays", () => {
    const runs = [[send({ urgent: true }), call("send_email", { urgent: false })]];
    const text = learn(runs, { tools: [MAIL] });
    expectSound(text, runs);
    expect(text).toContain(
      "args: # its own schema; but 2 arguments otherwise, by the shape of the calls",
    );
    expect(answers(text, [send({ urgent: 1 }), send({ to: "x" }), send({ bcc: null })])).toEqual([
      "ARGUMENT_VIOLATION tools.send_email.args",
      "ARGUMENT_VIOLATION tools.send_email.args",
      "ALLOW",
    ]);
  });

  test("a schema that cannot take a pattern stays as it is", () => {
    const otp = { anyOf: [{ type: "string" }, { type: "null" }] };
    const tool = { name: "login", parameters: { type: "object", properties: { otp } } };
    const runs = ["482913", "571034"].map((code) => [call("login", { otp: code })]);
    const text = learn(runs, { tools: [tool] });
    expectSound(text, runs);
    expect(text).toContain("# free: the form of 2 values, in 2 of 2 runs");
  });

  test("a tool that no run calls is not permitted", () => {
    const text = learn([[call("ping")]], { tools: [MAIL] });
    expect(answers(text, [send({})])).toEqual(["NO_POLICY_MATCH tools"]);
  });
});

test("what runs of other groups only read may be read, and nothing else of them", () => {
  const elsewhere = [[call("get_day"), call("refund", { id: "7" })]];
  const text = learn([[call("pay")]], { elsewhere });
  expectSound(text, [[call("pay"), call("get_day")]]);
  expect(text).toContain(
    "  get_day: # 0 calls in 0 of 1 run; a read: 1 call in 1 run of other groups",
  );
  expect(answers(text, [call("refund", { id: "7" })])).toEqual(["NO_POLICY_MATCH tools"]);
});

test("functions that are called by their names keep their steps and action types", () => {
  const explicit = (fn: string, action_type: string, step?: string): RecordedCall => ({
    function: fn,
    action_type,
    ...(step !== undefined && { step }),
    args: {},
    context: NONE,
  });
  const runs = Array.from({ length: 2 }, () => [
    explicit("intake", "CHECK_STATE", "first"),
    explicit("done", "WRITE_DB"),
    explicit("done", "EMIT_EVENT"),
  ]);
  const text = learn(runs);
  expectSound(text, runs);
  expect(answers(text, [explicit("done", "WRITE_DB"), explicit("intake", "CHECK_STATE")])).toEqual([
    "ALLOW",
    "SEQUENCE_VIOLATION sequence",
  ]);
  expect(answers(text, [explicit("done", "READ")])[0]).toMatch(/^ACTION_NOT_ALLOWED/);
});

const value = fc.oneof(
  { depthSize: "small" },
  fc.constantFrom("UK12", "www.a.com", "/docs/a.txt", "EUR", "ORDER-17", "ORDER-18", "2024-05-19"),
  fc.constantFrom<JsonObject[string]>(
    0,
    1,
    98.7,
    null,
    true,
    "",
    [],
    {},
    ["UK12", "x y"],
    [{ a: 1 }],
  ),
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }),
);
const name = fc.oneof(
  fc.constantFrom("to", "amount", "args.x", "a.b", "__proto__x", "items"),
  fc.string({ maxLength: 6 }),
);
const anyArgs = fc
  .array(fc.tuple(name, value), { maxLength: 3 })
  .map((members): JsonObject => Object.fromEntries(members.filter(([key]) => key !== "__proto__")));
const anyContext = fc.record({
  request: fc.constantFrom("Pay 98.7 to UK12", "see www.a.com and /docs/a.txt", "ORDER-17 x y"),
});
const anyCall = fc.oneof(
  fc.record({
    tool: fc.constantFrom("read_file", "pay", "mail/send", "done", "2fa", "get_x"),
    args: anyArgs,
    context: anyContext,
  }),
  fc.record({
    function: fc.constantFrom("lookup", "pay", "settle"),
    action_type: fc.constantFrom("READ", "WRITE"),
    args: anyArgs,
    context: anyContext,
  }),
);
const anyRuns = fc.array(fc.array(anyCall, { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 5,
});
const anyTools = fc.subarray([
  { name: "pay", action_type: "PAY", parameters: { properties: { to: { type: "string" } } } },
  {
    name: "read_file",
    parameters: { type: "object", properties: { to: {}, items: { type: "array" } } },
  },
  { name: "mail/send" },
]);

test("whatever the runs, the policy is sound and allows every call of them", () => {
  fc.assert(
    fc.property(anyRuns, anyRuns, anyTools, (runs, elsewhere, tools) => {
      const text = learn(runs, { elsewhere, tools });
      expectSound(text, runs);
      expect(learn(runs, { elsewhere, tools })).toBe(text);
    }),
    { numRuns: 40 },
  );
});
