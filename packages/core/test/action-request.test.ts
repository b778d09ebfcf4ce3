/** Untrusted input: whatever is handed to `decide` is a request, or INVALID_REQUEST with the first member at fault, quickly. */
import { inspect, isDeepStrictEqual } from "node:util";
import { openTestGate, sequenceLines } from "@stepgate/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ARGS_LIMITS, isInvalid, readActionRequest } from "../src/action-request.ts";
import {
  type ActionInput,
  canonicalize,
  DENY_CODES,
  type Deny,
  type Gate,
  JsonError,
  parseStrictJson,
} from "../src/index.ts";
import { anyJson, anyName, anyText } from "./json-arbitraries.ts";
import { REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const NOW = 1_800_000_000_000;
const SOUND = {
  sequence_id: "s",
  tool: "get_order",
  args: { order: 17 },
  nonce: "n",
  ts_ms: NOW,
  attempt: "A".repeat(22),
  agent_id: "bot-7",
  tenant: "acme",
};
const EXPLICIT = { ...without(SOUND, "tool"), function: "note", action_type: "READ" };
const FILLING = { now: NOW, random: () => "R".repeat(22) };

/** The member that is named, or `sound`. */
function fault(input: unknown): string {
  const read = readActionRequest(input, FILLING);
  return isInvalid(read) ? `request${read.member === "" ? "" : `.${read.member}`}` : "sound";
}

describe("a well-formed request", () => {
  test("is read in both forms", () => {
    expect(readActionRequest(SOUND, FILLING)).toEqual({
      ...without(SOUND, "tool"),
      call: { tool: "get_order" },
      argsText: '{"order":17}',
    });
    expect(readActionRequest({ ...EXPLICIT, step: "note" }, FILLING)).toMatchObject({
      call: { function: "note", action_type: "READ", step: "note" },
    });
  });

  test("has nonce, attempt and time filled in, each by itself, and `{}` for arguments", () => {
    let drawn = 0;
    const read = readActionRequest(
      { sequence_id: "s", tool: "t" },
      { now: NOW, random: () => `${drawn++}`.repeat(22) },
    );
    expect(read).toEqual({
      sequence_id: "s",
      call: { tool: "t" },
      args: {},
      argsText: "{}",
      nonce: "0".repeat(22),
      attempt: "1".repeat(22),
      ts_ms: NOW,
    });
  });

  test.each<[string, object]>([
    ["the shortest names", { sequence_id: "0", tool: "/", nonce: " " }],
    [
      "the longest names",
      {
        sequence_id: `a${"@".repeat(199)}`,
        tool: "t".repeat(128),
        nonce: "~".repeat(200),
        agent_id: "a".repeat(200),
        tenant: "b".repeat(200),
      },
    ],
    ["every character of an identifier", { sequence_id: "aZ09._:@/-" }],
    ["every character of a tool", { tool: "aZ09._:/-" }],
    ["every character of an attempt", { attempt: "aZ09_-aZ09_-aZ09_-aZ09" }],
    ["the limits of time", { ts_ms: Number.MAX_SAFE_INTEGER }],
    ["a negative time", { ts_ms: -Number.MAX_SAFE_INTEGER }],
    [
      "an object without prototype for arguments",
      { args: Object.assign(Object.create(null), { a: 1 }) },
    ],
    [
      "names that trip over prototypes",
      { sequence_id: "constructor", tool: "__proto__", nonce: "__proto__", agent_id: "toString" },
    ],
  ])("may have %s", (_name, change) => {
    expect(fault({ ...SOUND, ...change })).toBe("sound");
  });

  test("may be an object of any kind whose own members are right", () => {
    class Call {
      readonly sequence_id = "s";
      readonly tool = "t";
    }
    expect(fault(new Call())).toBe("sound");
    expect(fault(Object.assign(Object.create(null), { sequence_id: "s", tool: "t" }))).toBe(
      "sound",
    );
    expect(fault(Object.create({ sequence_id: "s", tool: "t" }))).toBe("request.sequence_id");
  });
});

describe("each member has its grammar", () => {
  const names = ["", "é", "a b", "a\n", "a\0", "x".repeat(129), "a\ud800", "a,b"];
  const identifiers = ["", "é", "a b", "a\n", "-a", ".a", "@log", "x".repeat(201), "a\ud800"];
  const noStrings: readonly unknown[] = [
    undefined,
    null,
    5,
    5n,
    true,
    ["a"],
    { toString: () => "a" },
    Object("a"),
    Symbol("a"),
    () => "a",
    Number.NaN,
  ];
  const bad: Readonly<Record<string, readonly unknown[]>> = {
    sequence_id: [...identifiers, ...noStrings],
    tool: [...names, ...noStrings],
    nonce: ["", "é", "a\n", "\x7f", "\x1f", "x".repeat(201), ...noStrings],
    ts_ms: [
      undefined,
      null,
      "1800000000000",
      1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      -(2 ** 53),
      5n,
      new Date(NOW),
      Object(NOW),
      true,
      [NOW],
    ],
    attempt: [
      "",
      "A".repeat(21),
      "A".repeat(23),
      `${"A".repeat(21)}=`,
      `${"A".repeat(21)}+`,
      ...noStrings,
    ],
    agent_id: [...identifiers, ...noStrings],
    tenant: [...identifiers, ...noStrings],
    args: [
      undefined,
      null,
      [],
      "{}",
      5,
      () => ({}),
      new Date(NOW),
      new Map(),
      new Set(),
      /x/,
      new Error("x"),
      Promise.resolve({}),
      new Uint8Array(1),
      Object("x"),
      Symbol("a"),
      5n,
    ],
  };
  for (const [member, values] of Object.entries(bad))
    test.each(values.map((value) => [inspect(value), value]))(
      `${member} is not %s`,
      (_text, value) => {
        expect(fault({ ...SOUND, [member]: value })).toBe(`request.${member}`);
      },
    );

  const badNames = [...names, "a/b", ...noStrings];
  for (const member of ["function", "action_type", "step"])
    test.each(badNames.map((value) => [inspect(value), value]))(
      `${member} is not %s`,
      (_text, value) => {
        expect(fault({ ...EXPLICIT, [member]: value })).toBe(`request.${member}`);
      },
    );
});

describe("arguments that JSON cannot say are refused, never coerced", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["a"] = { b: [cyclic] };
  test.each<[string, unknown]>([
    ["undefined", undefined],
    ["NaN", Number.NaN],
    ["Infinity", Number.NEGATIVE_INFINITY],
    ["a BigInt", 1n],
    ["a Date", new Date(0)],
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a boxed number", Object(1)],
    ["a class instance", new (class Money {})()],
    ["an error", new Error("x")],
    ["a buffer", Buffer.from("x")],
    ["a toJSON method", { toJSON: () => "x" }],
    ["a hole in an array", Object.assign<unknown[], object>([], { length: 1 })],
    ["a cycle", cyclic],
    ["a lone surrogate", "\ud800"],
    ["a lone surrogate in a name", { "\udfff": 1 }],
    ["an integer beyond 2^53", 2 ** 53],
    ["a negative integer beyond 2^53", -(2 ** 53)],
  ])("%s", (_name, value) => {
    for (const args of [{ deep: [{ value }] }, { value }])
      expect(fault({ ...SOUND, args })).toBe("request.args");
  });

  test("a member name that is a symbol, or not enumerable, is no member", () => {
    const args = Object.defineProperty({ a: 1, [Symbol("s")]: 2 }, "hidden", { value: 3 });
    expect(readActionRequest({ ...SOUND, args }, FILLING)).toMatchObject({ argsText: '{"a":1}' });
  });

  test("the message names the path, and not the value", async () => {
    const { gate } = await openTestGate(REFUNDS);
    const decision = (await gate.decide({
      sequence_id: "s",
      tool: "get_order",
      args: { list: [{ when: new Date(0) }] } as never,
    })) as Deny;
    expect(decision.message).toMatch(/list\[0\]\.when/);
  });

  test("-0 becomes 0, and what was decided is what was digested", () => {
    expect(readActionRequest({ ...SOUND, args: { b: -0, a: [1.0] } }, FILLING)).toMatchObject({
      args: { a: [1], b: 0 },
      argsText: '{"a":[1],"b":0}',
    });
  });

  test("for any JSON arguments the copy says the same as its canonical text", () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyJson, { maxKeys: 5 }), (args) => {
        const text = canonicalText(args);
        const read = readActionRequest({ ...SOUND, args }, FILLING);
        if (text === undefined) expect(isInvalid(read)).toBe(true);
        else
          expect(
            [read].map(
              (request) =>
                "args" in request && [
                  request.argsText,
                  isDeepStrictEqual(request.args, JSON.parse(text)),
                ],
            ),
          ).toEqual([[text, true]]);
      }),
    );
  });
});

describe("the caps on arguments", () => {
  test("256 KiB of canonical UTF-8", () => {
    const frame = '{"text":""}'.length;
    expect(fault({ ...SOUND, args: { text: "x".repeat(256 * 1024 - frame) } })).toBe("sound");
    expect(fault({ ...SOUND, args: { text: "x".repeat(256 * 1024 - frame + 1) } })).toBe(
      "request.args",
    );
    // Three bytes a character.
    expect(fault({ ...SOUND, args: { text: "€".repeat((256 * 1024 - frame) / 3) } })).toBe("sound");
    expect(fault({ ...SOUND, args: { text: "€".repeat((256 * 1024 - frame) / 3 + 1) } })).toBe(
      "request.args",
    );
  });

  test("depth 64, where `{}` has depth 1", () => {
    expect(fault({ ...SOUND, args: nested(64) })).toBe("sound");
    expect(fault({ ...SOUND, args: nested(65) })).toBe("request.args");
  });

  test("10,000 keys of all objects together", () => {
    const keys = (count: number): object =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
    expect(fault({ ...SOUND, args: { a: keys(4_999), b: [keys(4_999)] } })).toBe("sound");
    expect(fault({ ...SOUND, args: { a: keys(5_000), b: [keys(4_999)] } })).toBe("request.args");
  });
});

describe("the first fault in the table's order is named", () => {
  const MEMBERS = [
    "sequence_id",
    "function",
    "action_type",
    "step",
    "tool",
    "args",
    "nonce",
    "ts_ms",
    "attempt",
    "agent_id",
    "tenant",
  ] as const;

  test("whichever members are at fault, in whatever order they were set", () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...MEMBERS], { minLength: 1 }),
        fc.boolean(),
        (faulty, stranger) => {
          const base = faulty.includes("tool") ? {} : { function: "f", action_type: "a" };
          const input = {
            ...(stranger ? { aaa: 1 } : {}),
            ...Object.fromEntries(faulty.map((name) => [name, null])),
            ...without({ sequence_id: "s", ...base }, ...faulty),
          };
          expect(fault(input)).toBe(`request.${MEMBERS.find((name) => faulty.includes(name))}`);
        },
      ),
    );
  });

  test("unknown members come after all others, by code unit", () => {
    expect(fault({ ...SOUND, zeta: 1, alpha: 1, Zeta: 1 })).toBe("request.Zeta");
    expect(fault({ ...SOUND, alpha: 1, tenant: "" })).toBe("request.tenant");
    expect(fault({ ...SOUND, alpha: undefined })).toBe("request.alpha");
    expect(fault(JSON.parse(`{"__proto__":{"tool":"x"},"sequence_id":"s","tool":"t"}`))).toBe(
      "request.__proto__",
    );
    expect(fault({ ...SOUND, toString: 1 })).toBe("request.toString");
  });

  test("an unknown name is told in ASCII, and cut short", () => {
    expect(fault({ ...SOUND, "ключ\n": 1 })).toBe("request.?????");
    expect(fault({ ...SOUND, ["x".repeat(500)]: 1 })).toBe(`request.${"x".repeat(64)}`);
  });

  test.each<[string, object, string]>([
    ["neither form", {}, "request.function"],
    ["a step alone", { step: "a" }, "request.function"],
    ["an action type alone", { action_type: "a" }, "request.function"],
    ["a function alone", { function: "f" }, "request.action_type"],
    ["both forms", { tool: "t", function: "f", action_type: "a" }, "request.tool"],
    ["a tool and a function", { tool: "t", function: "f" }, "request.tool"],
    ["a tool and an action type", { tool: "t", action_type: "a" }, "request.tool"],
    ["a tool and a step", { tool: "t", step: "a" }, "request.tool"],
    ["a tool and a bad step", { tool: "t", step: "" }, "request.step"],
    ["a bad tool and a function", { tool: "", function: "f" }, "request.tool"],
  ])("%s", (_name, call, expected) => {
    expect(fault({ sequence_id: "s", ...call })).toBe(expected);
  });

  test.each(
    [undefined, null, "text", 5, true, [], [SOUND], Symbol("s"), () => SOUND, 5n].map((value) => [
      inspect(value),
      value,
    ]),
  )("%s is no request at all", (_text, input) => {
    expect(fault(input)).toBe("request");
  });
});

describe("hostile objects", () => {
  const boom = (): never => {
    throw new Error("secret in an error");
  };
  test.each<[string, () => unknown]>([
    [
      "a getter that throws",
      () => Object.defineProperty({ ...SOUND }, "tool", { get: boom, enumerable: true }),
    ],
    [
      "a getter that throws among the arguments",
      () => ({ ...SOUND, args: Object.defineProperty({}, "a", { get: boom, enumerable: true }) }),
    ],
    [
      "a proxy that throws on everything",
      () =>
        new Proxy(
          {},
          { ownKeys: boom, get: boom, getPrototypeOf: boom, getOwnPropertyDescriptor: boom },
        ),
    ],
    [
      "such a proxy among the arguments",
      () => ({
        ...SOUND,
        args: { a: new Proxy({}, { ownKeys: boom, get: boom, getPrototypeOf: boom }) },
      }),
    ],
    ["a revoked proxy", () => revoked({})],
    ["a revoked proxy for arguments", () => ({ ...SOUND, args: revoked({}) })],
    ["a revoked array among the arguments", () => ({ ...SOUND, args: { a: revoked([]) } })],
    [
      "a getter that throws nothing",
      () =>
        Object.defineProperty({ ...SOUND }, "nonce", {
          get: () => {
            throw undefined;
          },
          enumerable: true,
        }),
    ],
    [
      "a getter that calls itself",
      () =>
        Object.defineProperty({ ...SOUND }, "nonce", {
          get(this: { nonce: string }) {
            return this.nonce;
          },
          enumerable: true,
        }),
    ],
    [
      "a class instance whose constructor's name throws",
      () => ({
        ...SOUND,
        args: {
          a: Object.create(
            Object.create(Object.prototype, { constructor: { get: boom } }) as object,
          ) as object,
        },
      }),
    ],
  ])("%s is INVALID_REQUEST, and nobody learns its error", async (_name, make) => {
    const { gate } = await openTestGate(REFUNDS);
    const decision = (await gate.decide(make() as ActionInput)) as Deny;
    expect(decision).toMatchObject({
      decision: "DENY",
      deny_code: "INVALID_REQUEST",
      proceed: false,
    });
    expect(JSON.stringify(decision)).not.toContain("secret");
  });

  test("each member is read once: a getter that changes its answer gets one answer", () => {
    let asked = 0;
    const flip = {
      ...SOUND,
      get tool() {
        return asked++ === 0 ? "get_order" : "close";
      },
    };
    expect(readActionRequest(flip, FILLING)).toMatchObject({ call: { tool: "get_order" } });
    expect(asked).toBe(1);
    let read = 0;
    const args = {
      get amount() {
        return ++read;
      },
    };
    expect(readActionRequest({ ...SOUND, args }, FILLING)).toMatchObject({
      args: { amount: 1 },
      argsText: '{"amount":1}',
    });
    expect(read).toBe(1);
  });

  test("a proxy that answers honestly is an object like any other", () => {
    expect(readActionRequest(new Proxy(SOUND, {}), FILLING)).toMatchObject({
      call: { tool: "get_order" },
    });
  });

  test(
    "whatever is handed in, the answer is a decision with a code",
    { timeout: 60_000 },
    async () => {
      const { gate } = await openTestGate(REFUNDS);
      const anything = fc.oneof(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withNullPrototype: true,
          withSparseArray: true,
          withObjectString: true,
        }),
        fc.record(
          {
            sequence_id: fc.constantFrom("s", "t", ""),
            tool: fc.constantFrom("get_order", "refund", 5),
            args: fc.anything(),
            nonce: fc.oneof(anyText, fc.constant("n")),
            ts_ms: fc.anything(),
            agent_id: fc.anything(),
            step: fc.constantFrom("a", null),
          },
          { requiredKeys: ["sequence_id"] },
        ),
      );
      await fc.assert(
        fc.asyncProperty(anything, async (input) => {
          const decision = await gate.decide(input as ActionInput);
          if (decision.decision === "ALLOW") expect(decision.receipt.decision).toBe("ALLOW");
          else expect(DENY_CODES).toContain(decision.deny_code);
        }),
        { numRuns: 500 },
      );
    },
  );
});

/** Milliseconds, generous for a busy machine: what is bounded takes a fraction of it, what is not takes for ever. */
const QUICKLY = 5_000;

describe("huge input is refused without being walked to its end", () => {
  test.each<[string, () => unknown]>([
    [
      "an array of a million numbers",
      () => ({ ...SOUND, args: { list: Array.from({ length: 1_000_000 }, () => 1) } }),
    ],
    [
      "an array of a million empty strings",
      () => ({ ...SOUND, args: { list: Array.from({ length: 1_000_000 }, () => "") } }),
    ],
    [
      "an array with a length and nothing in it",
      () => ({ ...SOUND, args: { list: Object.assign([], { length: 4_294_967_295 }) } }),
    ],
    ["200,000 keys", () => ({ ...SOUND, args: manyKeys(200_000) })],
    ["a text of 200 MB", () => ({ ...SOUND, args: { text: "x".repeat(200_000_000) } })],
    ["a nonce of 200 MB", () => ({ ...SOUND, nonce: "x".repeat(200_000_000) })],
    ["a nest of 100,000 arrays", () => ({ ...SOUND, args: { list: deepArray(100_000) } })],
    [
      "an array that never ends",
      () => ({
        ...SOUND,
        args: {
          list: new Proxy([], {
            get: (_target, name) => (name === "length" ? Number.MAX_SAFE_INTEGER : 1),
          }),
        },
      }),
    ],
    ["an object in an object without end", () => ({ ...SOUND, args: endless() })],
  ])("%s", { timeout: 60_000 }, async (_name, make) => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s", agent_id: "bot-7", tenant: "acme" });
    const input = make() as ActionInput;
    const started = performance.now();
    const decision = await gate.decide(input);
    expect(performance.now() - started).toBeLessThan(QUICKLY);
    expect(decision).toMatchObject({ deny_code: "INVALID_REQUEST", proceed: false });
  });
});

test("of an endless array no more is read than the cap can hold", () => {
  let reads = 0;
  const list = new Proxy([], {
    get: (_target, name) => (name === "length" ? Number.MAX_SAFE_INTEGER : reads++ && 1),
  });
  expect(fault({ ...SOUND, args: { list } })).toBe("request.args");
  expect(reads).toBeLessThan(256 * 1024 + 2);
});

test("of members that no request has no value is read", () => {
  let reads = 0;
  const input = new Proxy(
    Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, 1])),
    { get: () => reads++ },
  );
  expect(readActionRequest(input, FILLING)).toMatchObject({
    member: "sequence_id",
  });
  expect(reads).toBeLessThan(20);
});

test("of too many arguments no value is read", () => {
  let reads = 0;
  const args = new Proxy(manyKeys(10_001), { get: () => reads++ });
  expect(fault({ ...SOUND, args })).toBe("request.args");
  expect(reads).toBe(0);
});

describe("INVALID_REQUEST is recorded only where `sequence_id` names an opened sequence of the caller", () => {
  const who = { agent_id: "bot-7", tenant: "acme" };
  const cases: readonly (readonly [string, object, boolean])[] = [
    ["the owner's", { ...SOUND, nonce: "" }, true],
    ["the owner's, with members that nobody knows", { ...SOUND, extra: 1 }, true],
    ["of another sequence", { ...SOUND, sequence_id: "t", nonce: "" }, false],
    ["of no sequence", { ...without(SOUND, "sequence_id"), nonce: "" }, false],
    ["of a malformed sequence", { ...SOUND, sequence_id: "s s" }, false],
    ["of another agent", { ...SOUND, agent_id: "bot-8", nonce: "" }, false],
    ["of nobody", { ...without(SOUND, "agent_id", "tenant"), nonce: "" }, false],
    ["of a malformed agent", { ...SOUND, agent_id: "" }, false],
    ["of a malformed tenant", { ...SOUND, tenant: 5 }, false],
    ["no object", [SOUND], false],
  ];
  for (const sealed of [false, true])
    test.each(cases)(`%s${sealed ? ", once sealed" : ""}`, async (_name, input, recorded) => {
      const { gate, store, receipts } = await openTestGate(REFUNDS);
      await gate.open({ sequence_id: "s", ...who });
      if (sealed) await gate.seal("s", "stop");
      const before = (await receipts("s")).length;
      const decision = await gate.decide(input as ActionInput);
      expect(decision).toMatchObject({ deny_code: "INVALID_REQUEST", proceed: false });
      expect(decision.receipt !== undefined).toBe(recorded);
      expect(await sequenceLines(store)).toHaveLength(before + (recorded ? 1 : 0));
    });

  test("a malformed owner is nobody's, of a sequence without owner too", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s" });
    for (const bad of [{ agent_id: "" }, { tenant: null }, { agent_id: 5, nonce: "" }])
      expect(
        await gate.decide({ sequence_id: "s", tool: "get_order", ...bad } as never),
      ).not.toHaveProperty("receipt");
    expect(await receipts("s")).toHaveLength(1);
  });

  test("the record has the members that were well formed, as sent, and no digest", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s", ...who });
    await gate.decide({
      ...SOUND,
      function: "lookup",
      args: { order: 2 ** 60 },
      nonce: "",
      ts_ms: NOW,
    } as never);
    const record = (await receipts("s"))[1];
    expect(record).toMatchObject({
      decision: "DENY",
      deny_code: "INVALID_REQUEST",
      rule: "request.tool",
      tool: "get_order",
      function: "lookup",
      attempt: SOUND.attempt,
      request_ts_ms: NOW,
      ...who,
    });
    for (const member of ["args_digest", "nonce", "step", "action_type", "permit_expires_ms"])
      expect(record).not.toHaveProperty(member);
  });

  test("it burns no nonce and advances nothing", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS, { clock: () => NOW });
    await gate.open({ sequence_id: "s", ...who });
    await gate.decide({ ...SOUND, args: null as never });
    await gate.decide(SOUND);
    expect(summary(await receipts("s"))).toEqual(["open", "INVALID_REQUEST", "ALLOW"]);
  });

  test("it comes before freshness, nonce, seal and policy", async () => {
    const { gate } = await openTestGate(REFUNDS, { clock: () => NOW });
    await gate.open({ sequence_id: "s", ...who });
    await gate.decide(SOUND);
    await gate.seal("s", "stop");
    expect(
      await gate.decide({ ...SOUND, ts_ms: 0, tool: "nothing", args: null as never }),
    ).toMatchObject({ deny_code: "INVALID_REQUEST", rule: "request.args" });
  });
});

describe("requests as text (the wire's form)", () => {
  const limits = { ...ARGS_LIMITS, bytes: 512 * 1024 };
  async function decideText(gate: Gate, text: string): Promise<string> {
    try {
      return (
        ((await gate.decide(parseStrictJson(text, limits) as never)) as Deny).rule ?? "allowed"
      );
    } catch (error) {
      if (error instanceof JsonError) return "request";
      throw error;
    }
  }
  test.each<[string, string, string]>([
    ["a sound one", JSON.stringify(without(SOUND, "ts_ms")), "allowed"],
    ["a duplicate member", '{"sequence_id":"s","tool":"get_order","tool":"close"}', "request"],
    [
      "a duplicate member by escape",
      String.raw`{"sequence_id":"s","tool":"get_order","\u0074ool":"close"}`,
      "request",
    ],
    [
      "a duplicate argument",
      '{"sequence_id":"s","tool":"get_order","args":{"a":1,"a":2}}',
      "request",
    ],
    [
      "a lone surrogate",
      String.raw`{"sequence_id":"s","tool":"get_order","args":{"a":"\ud800"}}`,
      "request",
    ],
    [
      "a long integer",
      '{"sequence_id":"s","tool":"get_order","args":{"a":9007199254740993}}',
      "request",
    ],
    ["a text that ends early", '{"sequence_id":"s"', "request"],
    [
      "`__proto__` for a member",
      '{"sequence_id":"s","tool":"get_order","__proto__":{"tool":"x"}}',
      "request.__proto__",
    ],
    [
      "`__proto__` for an argument",
      '{"sequence_id":"s","tool":"get_order","args":{"__proto__":1}}',
      "allowed",
    ],
  ])("%s: %s", async (_name, text, rule) => {
    const { gate } = await openTestGate(REFUNDS);
    expect(await decideText(gate, text)).toBe(rule);
  });
});

function without<T extends object>(value: T, ...names: readonly string[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([name]) => !names.includes(name)),
  ) as Partial<T>;
}

function canonicalText(value: unknown): string | undefined {
  try {
    return canonicalize(value, ARGS_LIMITS);
  } catch {
    return undefined;
  }
}

function nested(depth: number): object {
  let value = {};
  for (let i = 1; i < depth; i++) value = { a: value };
  return value;
}

function deepArray(depth: number): unknown {
  let value: unknown[] = [];
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

function manyKeys(count: number): object {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
}

function endless(): object {
  return new Proxy(
    {},
    {
      ownKeys: () => ["a"],
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
      get: () => endless(),
    },
  );
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}
