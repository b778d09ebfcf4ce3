/** Conditions: what they decide, what is refused at load and where, and that nothing can hang or fool them. */
import type { Condition, Json, JsonObject } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileCel } from "../src/cel-condition.ts";
import type { CelIssue } from "../src/cel-syntax.ts";
import { args as anyArgs, print, tree, verdict } from "./arbitrary-condition.ts";
import { quickest, SOON_MS } from "./quickest.ts";

function condition(source: string): Condition {
  const compiled = compileCel(source);
  if ("issues" in compiled)
    throw new Error(`${source}: ${compiled.issues.map(({ message }) => message).join("; ")}`);
  return compiled.condition;
}

interface Call {
  readonly context?: JsonObject;
  readonly agent_id?: string;
  readonly tenant?: string;
}

function decide(source: string, args: JsonObject = {}, call: Call = {}): boolean | "error" {
  return condition(source)({ args, context: {}, agent_id: "", tenant: "", ...call });
}

function issuesOf(source: string): readonly CelIssue[] {
  const compiled = compileCel(source);
  if ("condition" in compiled) throw new Error(`${source} was accepted`);
  return compiled.issues;
}

/** `line:column message; hint` of the first issue. */
function refusal(source: string): string {
  const [issue] = issuesOf(source);
  if (issue === undefined) throw new Error("refused without a reason");
  const hint = issue.hint === undefined ? "" : `; ${issue.hint}`;
  return `${issue.line}:${issue.column} ${issue.message}${hint}`;
}

const MANY = Array.from({ length: 1000 }, (_, index) => index);
const TOO_MANY = [...MANY, 1000];

describe("a condition", () => {
  test("looks at the arguments, the context, the agent and the tenant", () => {
    const source =
      'args.amount <= 10000.0 && context.user == "ann" && agent_id == "bot" && tenant == "eu"';
    const call = { context: { user: "ann" }, agent_id: "bot", tenant: "eu" };
    expect(decide(source, { amount: 10000 }, call)).toBe(true);
    expect(decide(source, { amount: 10000.01 }, call)).toBe(false);
    expect(decide(source, { amount: 1 }, { ...call, tenant: "us" })).toBe(false);
  });

  test("sees an absent agent and an absent tenant as the empty string", () => {
    expect(decide('agent_id == "" && tenant == ""')).toBe(true);
  });

  test("compares JSON numbers with integer literals, also in lists and as an index", () => {
    expect(decide("args.n <= 100 && args.n == 100 && 100 in [args.n]", { n: 100 })).toBe(true);
    expect(decide("args.n in [1, 2, 3]", { n: 2 })).toBe(true);
    expect(decide("args.list[args.i] == 7 && args.list[0] == 6", { list: [6, 7], i: 1 })).toBe(
      true,
    );
  });

  test("is an error where it adds an integer to a JSON number", () => {
    expect(decide("args.n + 1 > 0", { n: 1 })).toBe("error");
    expect(decide("args.n + 1.0 > 0.0", { n: 1 })).toBe(true);
    expect(decide("int(args.n) + 1 > 0", { n: 1 })).toBe(true);
  });

  test.each<[string, JsonObject]>([
    ["args.flag", { flag: "true" }],
    ["args.flag", { flag: 1 }],
    ["args.flag", { flag: {} }],
    ["args.flag", { flag: [] }],
    ["args.flag", { flag: null }],
    ["args.absent", {}],
    ["args.absent > 1", {}],
    ["args.a.b.c == 1", { a: { b: 1 } }],
    ['args.n > "1"', { n: 1 }],
    ["!args.n", { n: 1 }],
    ["args.n && true", { n: 1 }],
    ["args.n ? true : true", { n: 1 }],
    ["args.list[3] == 1", { list: [1] }],
    ["args.list[-1] == 1", { list: [1] }],
    ["args.list[0.5] == 1", { list: [1] }],
    ['args.list["length"] == 1', { list: [1] }],
    ["args.n.exists(x, true)", { n: 1 }],
    ["args.n.startsWith('a')", { n: 1 }],
    ["1 / 0 == 1", {}],
    ["9223372036854775807 + 1 > 0", {}],
    ["args.list.all(x, x)", { list: [true, 1] }],
    ["true ? args.flag : false", { flag: "yes" }],
  ])("%s of %j is an error, never a truthy object", (source, args) => {
    expect(decide(source, args)).toBe("error");
  });

  test("decides where one side of && or || decides alone, whatever the other is", () => {
    expect(decide("args.absent > 1 || true")).toBe(true);
    expect(decide("args.absent > 1 && false")).toBe(false);
  });

  test("finds a member that is null, and tells it from one that is absent", () => {
    for (const source of ["has(args.x)", '"x" in args', "args.x == null"])
      expect(decide(source, { x: null })).toBe(true);
    expect(decide("has(args.x)")).toBe(false);
    expect(decide('"x" in args')).toBe(false);
    expect(decide("args.x == null")).toBe("error");
  });

  test("has all, exists, exists_one, over lists and over the keys of objects", () => {
    const items = { items: [{ price: 1 }, { price: 20 }] };
    expect(decide("args.items.all(i, i.price <= 20.0)", items)).toBe(true);
    expect(decide("args.items.exists(i, i.price > 20.0)", items)).toBe(false);
    expect(decide("args.items.exists_one(i, i.price == 1)", items)).toBe(true);
    expect(decide('args.all(name, name in ["a", "b"])', { a: 1, b: 2 })).toBe(true);
    expect(decide('args.all(name, name in ["a", "b"])', { a: 1, c: 2 })).toBe(false);
  });

  test("counts characters, not UTF-16 units", () => {
    expect(decide("size(args.s) == 3 && args.s.size() == 3", { s: "a😀é" })).toBe(true);
  });

  test("converts only what is written like a number", () => {
    for (const text of [
      "",
      " ",
      "0x10",
      "1e1",
      "1.5",
      "12abc",
      "٣",
      "9223372036854775808",
      "1_000",
    ])
      expect(decide("int(args.s) >= 0 || true == true && false", { s: text })).toBe("error");
    for (const text of ["", " ", "0x10", "NaN", "Infinity", "1e999", "abc", " 1", "1,5"])
      expect(decide("double(args.s) <= 1.0", { s: text })).toBe("error");
    expect(decide("int(args.s) == -16", { s: "-16" })).toBe(true);
    expect(decide("double(args.s) == 1.5e3", { s: "1.5e3" })).toBe(true);
    expect(decide('string(args.n) == "5" && string(true) == "true"', { n: 5 })).toBe(true);
  });

  test("takes a comment, also behind the expression", () => {
    expect(decide("args.a // the flag\n  && true // always", { a: true })).toBe(true);
  });

  test("keeps nothing: the same call gives the same answer, in any order", () => {
    const holds = condition("args.list.exists(x, x == args.n)");
    const scope = (n: number) => ({
      args: { list: [1, 2], n },
      context: {},
      agent_id: "",
      tenant: "",
    });
    expect([1, 3, 1, 3].map((n) => holds(scope(n)))).toEqual([true, false, true, false]);
  });

  test("is an error where the scope itself is broken", () => {
    const holds = condition("has(args.a)");
    expect(holds({} as Parameters<Condition>[0])).toBe("error");
    const trap = new Proxy(
      {},
      {
        getOwnPropertyDescriptor: () => {
          throw new Error("no");
        },
      },
    );
    expect(holds({ args: trap, context: {}, agent_id: "", tenant: "" })).toBe("error");
  });
});

describe("names that every JavaScript object has", () => {
  const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype", "valueOf"];

  test.each(NAMES)("%s is absent unless the arguments have it", (name) => {
    expect(decide(`has(args.${name})`)).toBe(false);
    expect(decide(`"${name}" in args`)).toBe(false);
    expect(decide(`args.${name} == 1`)).toBe("error");
    expect(decide(`args["${name}"] == 1`)).toBe("error");
  });

  test.each(NAMES)("%s is a member like others where the arguments have it", (name) => {
    const args = JSON.parse(`{ "${name}": 1 }`) as JsonObject;
    expect(decide(`has(args.${name}) && args.${name} == 1`, args)).toBe(true);
    expect(decide(`"${name}" in args && args["${name}"] == 1`, args)).toBe(true);
    expect(decide("args.a.x == 1", { a: { ...args, x: 1 } })).toBe(true);
  });

  test("an argument that calls itself a protobuf message stays an object", () => {
    const message = { $typeName: "google.protobuf.Int32Value", value: 5 };
    expect(decide("args.m == 5", { m: message })).toBe(false);
    expect(decide("args.m.value == 5", { m: message })).toBe(true);
    const struct = { $typeName: "google.protobuf.Struct", fields: {}, $unknown: [] };
    expect(decide("size(args.m) == 3", { m: struct })).toBe(true);
  });

  test("an object without a prototype is an object", () => {
    const bare = Object.assign(Object.create(null) as Record<string, Json>, { a: 1 });
    expect(decide("args.o.a == 1", { o: bare })).toBe(true);
  });
});

describe("an expression is refused when it is loaded", () => {
  test.each([
    ["arg.amount <= 100", "1:1 'arg' is no variable; did you mean 'args'?"],
    ["true &&\n  contxt.user == 'a'", "2:3 'contxt' is no variable; did you mean 'context'?"],
    ["agentid == 'a'", "1:1 'agentid' is no variable; did you mean 'agent_id'?"],
    ["args.ok == True", "1:12 'True' is no variable; did you mean 'true'?"],
    ["args.a.exists(item, itm > 1)", "1:21 'itm' is no variable; did you mean 'item'?"],
    [
      "args.s.startswith('a')",
      "1:8 there is no function 'startswith' here; did you mean 'startsWith'?",
    ],
    ["args.s . endWith('a')", "1:10 there is no function 'endWith' here; did you mean 'endsWith'?"],
    [
      "lenght(args.s) > 1",
      "1:1 there is no function 'lenght' here; the functions are size, int, double, string, startsWith, endsWith, contains, matches, has, all, exists, exists_one",
    ],
    [
      "args.a.map(x, x) == []",
      "1:8 there is no function 'map' here; use all, exists or exists_one",
    ],
    [
      "args.a.filter(x, x > 1) == []",
      "1:8 there is no function 'filter' here; use exists(x, …) or all(x, …)",
    ],
    [
      "args.a.existsOne(x, x > 1)",
      "1:8 there is no function 'existsOne' here; did you mean 'exists_one'?",
    ],
    ["args.a.exist(x, true)", "1:8 there is no function 'exist' here; did you mean 'exists'?"],
    [
      "timestamp(args.t) > 1",
      "1:1 there is no function 'timestamp' here; a condition has no clock; windows belong to limits",
    ],
    [
      "duration('1h') > 1",
      "1:1 there is no function 'duration' here; a condition has no clock; windows belong to limits",
    ],
    [
      "type(args.a) == 1",
      "1:1 there is no function 'type' here; the JSON Schema in args says what type an argument has",
    ],
    [
      "dyn(args.a) == 1",
      "1:1 there is no function 'dyn' here; leave it out: arguments have no static type",
    ],
    ["bytes(args.a) == 1", "1:1 there is no function 'bytes' here; there are no bytes in JSON"],
    ["uint(args.a) == 1", "1:1 there is no function 'uint' here; did you mean 'int'?"],
    ["b'a' == args.b", "1:1 there are no bytes in JSON; write a string"],
    ["startsWith(args.s, 'a')", "1:1 'startsWith' is written text.startsWith(prefix)"],
    ["args.n.int() == 1", "1:8 'int' is written int(x)"],
    ["size(args.a, args.b) == 1", "1:1 'size' is written size(x) or x.size()"],
    ["has(args)", "1:1 'has' is written has(args.name); or \"name\" in args"],
    ["has(args['a'])", "1:1 'has' is written has(args.name); or \"name\" in args"],
    ["args.a.all(x > 1)", "1:8 'all' is written list.all(x, x > 0.0)"],
    ["args.a.all(args, true)", "1:8 'args' is a variable; name the member otherwise"],
    ["google.protobuf.Struct{} == args", "1:1 there is no type 'google.protobuf.Struct' here"],
    ["args.amount = 5", "1:13 unexpected '='; did you mean '=='?"],
    ["args.a and args.b", "1:8 unexpected 'and'; did you mean '&&'?"],
    ["args.a OR args.b", "1:8 unexpected 'OR'; did you mean '||'?"],
    ["args.a & args.b", "1:8 unexpected '&'; did you mean '&&'?"],
    ["not args.a", "1:5 unexpected 'args'; did you mean '!'?"],
    ["args.a not in [1]", "1:8 unexpected 'not'; did you mean '!'?"],
    ["args.a == ", "1:11 the expression ends too early after '=='"],
    ["(args.a", "1:8 the expression ends too early"],
    ["args.a)", "1:7 unexpected ')'"],
    ["args.a == 'x", "1:11 the string has no end"],
    ["", "1:1 the expression is empty"],
    ["  // nothing", "1:1 the expression is empty"],
    ["99999999999999999999 > 1", "1:1 the integer does not fit into 64 bits"],
    ["args.n < 1e999", "1:10 the number is too large for a double"],
    ["args.s.matches('(a')", "1:16 not a regular expression of RE2: missing closing ): `(a`"],
    [
      "args.s.matches('a(?=b)')",
      "1:16 not a regular expression of RE2: invalid or unsupported Perl syntax: `(?=`; look-around and back-references do not run in linear time",
    ],
  ])("%j: %s", (source, message) => {
    expect(refusal(source)).toBe(message);
  });

  test.each([
    ["size(args.a)", "an int"],
    ["1 + 1", "an int"],
    ["'yes'", "a string"],
    ["[args.a]", "a list"],
    ["{'a': 1}", "a map"],
    ["null", "a null"],
    ["args.n + 1.0", "a double"],
    ["args.a ? 'x' : 'y'", "a string"],
  ])("%s, which can only be %s", (source, kind) => {
    expect(refusal(source)).toMatch(new RegExp(`a condition is true or false; this is ${kind}$`));
  });

  test("all of its faults are reported, each where it stands", () => {
    const issues = issuesOf("arg.a > 1 && args.s.startswith('x') && contex.b");
    expect(issues.map(({ offset }) => offset)).toEqual([0, 20, 39]);
  });

  test("more than 500 nodes of the expanded tree", () => {
    // Each comparison has four nodes (a path of two, a literal, the comparison), each && one.
    const comparisons = (count: number) => Array(count).fill("args.n > 1").join(" && ");
    expect(decide(comparisons(100), { n: 2 })).toBe(true);
    expect(refusal(comparisons(101))).toMatch(/more than 500 nodes/);
    // A macro of five tokens is expanded to more.
    expect(refusal(Array(50).fill("args.l.all(x, x > 1)").join(" && "))).toMatch(/500 nodes/);
  });

  test("a comprehension anywhere inside another: its body, its range, a branch", () => {
    for (const source of [
      "args.a.all(x, args.b.exists(y, y == x))",
      "args.a.all(x, x.b.all(y, y))",
      "[args.a.exists(x, x)].all(y, y)",
      "args.a.all(x, x == 1 ? true : args.b.exists_one(y, y))",
    ])
      expect(refusal(source)).toMatch(/stands inside another comprehension/);
    expect(decide("args.a.all(x, x == 1) && args.a.exists(x, x == 1)", { a: [1] })).toBe(true);
  });
});

describe("more members than may be gone over", () => {
  test.each([
    "args.list.all(x, x >= 0)",
    "args.list.exists(x, x == 0)",
    "args.list.exists_one(x, x == 0)",
    "0 in args.list",
    '"k0" in args.map',
    'args.map.exists(k, k == "k0")',
  ])("%s: 1,000 are decided, 1,001 are an error", (source) => {
    const map = (list: readonly number[]) => Object.fromEntries(list.map((n) => [`k${n}`, n]));
    expect(decide(source, { list: MANY, map: map(MANY) })).toBe(true);
    expect(decide(source, { list: TOO_MANY, map: map(TOO_MANY) })).toBe("error");
  });

  test("an error that no || and no ?: swallows", () => {
    const args = { list: TOO_MANY };
    expect(decide("args.list.all(x, x >= 0) || true", args)).toBe("error");
    expect(decide("true ? (0 in args.list || true) : false", args)).toBe("error");
    expect(decide("!(0 in args.list && false)", args)).toBe("error");
  });

  test("which does not concern what is not looked through", () => {
    const args = { list: TOO_MANY };
    expect(decide("size(args.list) == 1001 && args.list[1000] == 1000", args)).toBe(true);
    expect(decide("true || 0 in args.list", args)).toBe(true);
    expect(decide("args.list + [] == args.list", args)).toBe(true);
  });
});

describe("nothing hostile takes long", () => {
  const LONG = "a".repeat(250_000);
  const hostileArgs: readonly (readonly [string, string, JsonObject])[] = [
    ["a catastrophic pattern", "args.s.matches('^(a+)+$')", { s: `${LONG}!` }],
    ["a pattern of many states", "args.s.matches('a[ab]{200}c|(a?){200}b')", { s: LONG }],
    ["a pattern that comes with the call", "args.s.matches(args.p)", { s: LONG, p: "(a|aa)+$" }],
    ["one that is huge", "args.s.matches(args.p)", { s: "a", p: "(a{1000}b{1000})".repeat(9000) }],
    ["one that nests", "args.s.matches(args.p)", { s: "a", p: "(".repeat(100_000) }],
    ["texts in a list", "args.l.all(x, args.s.contains(x))", { l: Array(1000).fill("a"), s: LONG }],
    ["texts that are counted", "args.l.all(x, size(args.s) > 1)", { l: MANY, s: LONG }],
    [
      "texts that grow",
      `args.l.all(x, ${Array(60).fill("args.s").join("+")} != "")`,
      { l: MANY, s: LONG },
    ],
    [
      "texts that are compared",
      `args.l.all(x, ${Array(60).fill("args.s <= args.t").join("&&")})`,
      { l: MANY, s: `${LONG}a`, t: `${LONG}b` },
    ],
    [
      "many that come with the call",
      "args.l.all(x, args.s.matches(x) || true)",
      { l: Array(60).fill("(".repeat(4000)), s: "a" },
    ],
    ["a long body", `args.l.all(x, ${Array(120).fill("x < 1e9").join("&&")})`, { l: MANY }],
    ["lists in lists", "args.l.all(x, x in args.l)", { l: MANY }],
    [
      "lists that are compared",
      "args.a == args.b",
      { a: Array(60_000).fill([]), b: Array(60_000).fill([]) },
    ],
    [
      "lists that are compared often",
      "args.l.all(x, args.a == args.a)",
      { l: MANY, a: Array(60_000).fill(1) },
    ],
    [
      "lists that grow",
      `${Array(100).fill("args.a").join("+")} == args.a`,
      { a: Array(60_000).fill(1) },
    ],
    [
      "lists that nest",
      `args.l.all(x, 1.5 in (${["args.l", ...Array(50).fill("args.e")].join("+")}) || true)`,
      { l: MANY, e: [] },
    ],
    ["a huge number", "int(args.s) > 1", { s: "9".repeat(250_000) }],
  ];

  test.each(hostileArgs)("%s: %s", (_, source, args) => {
    const holds = condition(source);
    const scope = { args, context: {}, agent_id: "", tenant: "" };
    expect(quickest(() => holds(scope))).toBeLessThan(SOON_MS);
    expect([true, false, "error"]).toContain(holds(scope));
  });

  test("and what is too much work is an error, also where it would have come out true", () => {
    const verdicts = hostileArgs.map(([name, source, args]) => [name, decide(source, args)]);
    expect(Object.fromEntries(verdicts)).toEqual({
      "a catastrophic pattern": false,
      "a pattern of many states": "error",
      "a pattern that comes with the call": "error",
      "one that is huge": "error",
      "one that nests": "error",
      "many that come with the call": "error",
      "texts in a list": "error",
      "texts that are counted": "error",
      "texts that grow": "error",
      "texts that are compared": "error",
      "a long body": "error",
      "lists in lists": "error",
      "lists that are compared": "error",
      "lists that are compared often": "error",
      "lists that grow": "error",
      "lists that nest": "error",
      "a huge number": "error",
    });
    expect(decide("args.l.all(x, size(args.s) > 1) || true", { l: MANY, s: LONG })).toBe("error");
  });

  test.each([
    ["brackets", "(".repeat(5000)],
    ["fewer brackets", "(".repeat(400)],
    ["brackets that match", "(".repeat(3000) + "1" + ")".repeat(3000)],
    ["lists", "[".repeat(5000)],
    ["maps", "{1:".repeat(3000)],
    ["an endless sum", Array(5000).fill("args.a").join("+")],
    ["a megabyte", "a".repeat(1_000_000)],
    ["a megabyte of strings", `args.a in [${Array(100_000).fill("'abc'").join(",")}]`],
    ["quotes", "'".repeat(16_000)],
    ["open comments", "/".repeat(16_001)],
    ["white space", " ".repeat(16_000)],
    ["ternaries", "true?".repeat(2000)],
    ["negations", `${"!".repeat(10_000)}true`],
    ["nested macros", `${"[1].all(x, ".repeat(300)}true${")".repeat(300)}`],
    ["patterns", Array(150).fill("args.s.matches('(a{30}b{30}){9}')").join("&&")],
    ["a pattern", `args.s.matches('${"a{1000}".repeat(1000)}')`],
    ["names of Unicode", `args.s.matches('(?i)${"\\\\pL".repeat(2000)}')`],
  ])("an expression of %s is refused", (_, source) => {
    expect(quickest(() => issuesOf(source))).toBeLessThan(SOON_MS);
  });

  test("arguments as deep as they may be are decided", () => {
    let args: JsonObject = { a: 1 };
    for (let depth = 1; depth < 64; depth++) args = { a: args };
    expect(decide(`args${".a".repeat(64)} == 1`, args)).toBe(true);
    expect(decide("args == args && args.a != args", args)).toBe(true);
  });
});

describe("for whatever comes", () => {
  test("a condition gives what a second evaluator gives, written from the specification", () => {
    let decided = 0;
    fc.assert(
      fc.property(tree, anyArgs, (node, args) => {
        const source = print(node);
        const compiled = compileCel(source);
        if ("issues" in compiled) return;
        const scope = { args, context: {}, agent_id: "", tenant: "" };
        const result = compiled.condition(scope);
        if (result !== "error") decided += 1;
        expect([source, result]).toEqual([source, verdict(node, { args })]);
      }),
      { numRuns: 5000 },
    );
    // Otherwise it compared errors only.
    expect(decided).toBeGreaterThan(500);
  });

  test("any text is refused or compiled, and neither throws", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ..."args context agent_id . ( ) [ ] { } , ? : + - * / % == != < <= && || ! in has all exists x 1 1.0 'a' \" ' // \n true null matches size".split(
          " ",
        ),
        "args.a",
        ".all(x, ",
        "\n",
      ),
      fc.string({ unit: "binary", maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), anyArgs, (pieces, args) => {
        const source = pieces.join(" ");
        const compiled = compileCel(source);
        if ("issues" in compiled) {
          expect(compiled.issues.length).toBeGreaterThan(0);
          for (const { column, line, offset } of compiled.issues) {
            expect(offset).toBeGreaterThanOrEqual(0);
            expect(offset).toBeLessThanOrEqual(source.length);
            expect(source.split("\n")[line - 1]?.length).toBeGreaterThanOrEqual(column - 1);
          }
        } else {
          const scope = { args, context: {}, agent_id: "", tenant: "" };
          expect([true, false, "error"]).toContain(compiled.condition(scope));
        }
      }),
      { numRuns: 3000 },
    );
  });
});
