/** Text to policy: every fault with its line and column, all of them at once, and nothing accepted that two parsers could read differently. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkPolicy,
  compilePolicy,
  formatIssue,
  loadPolicy,
  parsePolicy,
  PolicyError,
  policyTests,
} from "../src/index.ts";

const HEAD = `schema: stepgate.policy/1\nid: x\nversion: "1"\n`;
const BODY = `sequence: a, b\nfunctions:\n  a: [X]\n  b: [Y]\n`;

/** `line:column message; hint`, from top to bottom. */
function faults(text: string): readonly string[] {
  return checkPolicy(text).issues.map((issue) =>
    formatIssue(issue, "p").replace(/^p:(\d+:\d+):/, "$1"),
  );
}

describe("a policy", () => {
  test("becomes tables: steps, automaton, functions, tools, times", () => {
    const policy = parsePolicy(`${HEAD}sequence: intake, execution{1,3}, settle
functions:
  settle: [SEAL_SEQUENCE]
  lookup: { step: "*", actions: [READ_INPUT] }
  execution: [WRITE_DB, CALL_EXTERNAL_API]
  repair: { step: execution, actions: [WRITE_DB] }
  intake: [CHECK_STATE]
tools:
  transfer: { function: [repair, execution], action: WRITE_DB, audience: ledger }
  read: { function: lookup, action: READ_INPUT }
sealOn: [SEAL_SEQUENCE]
freshness: 90s
lifetime: 1500
`);
    expect(policy).toMatchObject({
      id: "x",
      version: "1",
      steps: ["intake", "execution", "settle"],
      freshnessMs: 90_000,
      lifetimeMs: 1500,
    });
    expect([...policy.functions.values()]).toEqual([
      {
        name: "execution",
        step: "execution",
        stepIndex: 1,
        actions: new Set(["CALL_EXTERNAL_API", "WRITE_DB"]),
      },
      { name: "intake", step: "intake", stepIndex: 0, actions: new Set(["CHECK_STATE"]) },
      { name: "lookup", stepIndex: -1, actions: new Set(["READ_INPUT"]) },
      { name: "repair", step: "execution", stepIndex: 1, actions: new Set(["WRITE_DB"]) },
      { name: "settle", step: "settle", stepIndex: 2, actions: new Set(["SEAL_SEQUENCE"]) },
    ]);
    expect([...policy.tools.values()]).toEqual([
      { name: "read", functions: ["lookup"], action: "READ_INPUT" },
      {
        name: "transfer",
        functions: ["repair", "execution"],
        action: "WRITE_DB",
        audience: "ledger",
      },
    ]);
    expect(policy.toolPairs).toEqual(
      new Set(["lookup\nREAD_INPUT", "repair\nWRITE_DB", "execution\nWRITE_DB"]),
    );
    expect(policy.sealOn).toEqual(new Set(["SEAL_SEQUENCE"]));
    expect(policy.automaton.states).toBe(6);
    expect(Object.isFrozen(policy)).toBe(true);
  });

  test("has the defaults of the page where it says nothing", () => {
    const policy = parsePolicy(HEAD + BODY);
    expect(policy).toMatchObject({
      freshnessMs: 300_000,
      lifetimeMs: 86_400_000,
      sealOn: new Set(),
      tools: new Map(),
      toolPairs: new Set(),
    });
  });

  test("carries its tests, which are no part of the contract", () => {
    const text = `${HEAD}${BODY}tests:\n  - name: first\n    agent_id: me\n    calls: [{ function: a, action_type: X, args: { n: 1 }, expect: ALLOW }]\n`;
    const policy = parsePolicy(text);
    expect(policyTests(policy)).toEqual([
      {
        name: "first",
        agent_id: "me",
        calls: [{ function: "a", action_type: "X", args: { n: 1 }, expect: "ALLOW" }],
      },
    ]);
    expect(policy.digest).toBe(parsePolicy(HEAD + BODY).digest);
    expect(policyTests(parsePolicy(HEAD + BODY))).toEqual([]);
  });

  test("is read from a file, whose name stands in its errors", async () => {
    const file = join(tmpdir(), `stepgate-policy-${process.pid}.yaml`);
    writeFileSync(file, HEAD + BODY);
    expect((await loadPolicy(file)).digest).toBe(parsePolicy(HEAD + BODY).digest);
    writeFileSync(file, `${HEAD}sequence: a,\nfunctions: { a: [X] }\n`);
    await expect(loadPolicy(file)).rejects.toThrow(
      `${file}:4:13: expected a step name or '(', found the end`,
    );
    rmSync(file);
    await expect(loadPolicy(file)).rejects.toThrow("ENOENT");
  });
});

describe("an error", () => {
  const text = `schema: stepgate.policy/2
id: x
version: 1
sequence: intake, exection, settle
functions:
  intake: [CHECK STATE]
  execution: [WRITE_DB]
  settle: { action: [SEAL] }
tools:
  pay: { function: exectuion, action: WRITE_DB }
  note: { function: execution, action: WRITE_BD }
sealon: [SEAL]
freshness: 5 minutes
`;

  test("has every fault, with line and column, from top to bottom", () => {
    expect(faults(text)).toEqual([
      "1:9 schema: must be 'stepgate.policy/1'",
      "3:10 version: must be a string; write it in quotes",
      "4:11 step 'exection' has no function: it could never be passed; did you mean 'execution'?",
      "6:12 functions.intake.0: a name is 1 to 128 of A-Z a-z 0-9 . _ : -",
      "7:3 function 'execution' has no step of its name in the sequence; did you mean 'exection'?",
      "8:3 'actions' is missing",
      "8:13 unknown key 'action'; did you mean 'actions'?",
      "10:20 'exectuion' is no function of this policy; did you mean 'execution'?",
      "11:40 function 'execution' does not permit 'WRITE_BD'; did you mean 'WRITE_DB'?",
      "12:1 unknown key 'sealon'; did you mean 'sealOn'?",
      "13:12 freshness: must be a duration such as '300s' (ms, s, m, h, d)",
    ]);
  });

  test("is one PolicyError that prints file:line:column for each", () => {
    let thrown: unknown;
    try {
      parsePolicy(text, { file: "policy.yaml" });
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof PolicyError)) throw new Error("no PolicyError");
    expect(GateError.isInstance(thrown)).toBe(true);
    expect(thrown).toMatchObject({
      name: "PolicyError",
      code: "POLICY_INVALID",
      file: "policy.yaml",
    });
    expect(thrown.message.split("\n")).toEqual(
      faults(text).map((fault) => `policy.yaml:${fault.replace(/^(\d+:\d+)/, "$1:")}`),
    );
    expect(thrown.issues[7]).toEqual({
      path: "tools.pay.function",
      line: 10,
      column: 20,
      message: "'exectuion' is no function of this policy",
      hint: "did you mean 'execution'?",
    });
  });

  test("for a value has paths instead of lines", () => {
    const compile = (): unknown =>
      compilePolicy({
        schema: "stepgate.policy/1",
        id: "x",
        version: "1",
        sequence: ["a", "b{2"],
        functions: { a: ["X"], b: 5 },
      });
    expect(compile).toThrow("policy: functions.b: functions.b: must be a list");
    expect(compile).toThrow("policy: sequence.1: expected '}', found the end (character 4)");
  });
});

describe("a fault in a sequence is shown at its character, in every style of YAML", () => {
  test.each([
    ["plain", "sequence: a, b{0}, c", "4:15"],
    ["plain over two lines", "sequence: a,\n  b{0},\n  c", "5:4"],
    ["double-quoted", 'sequence: "a, b{0}"', "4:16"],
    ["single-quoted over two lines", "sequence: 'a,\n\n    b{0}'", "6:6"],
    ["folded", "sequence: >- # the order\n  a,\n  b{0}", "6:4"],
    ["literal", "sequence: |\n  a,\n   b{0}\n", "6:5"],
    ["at its end", "sequence: 'a, '", "4:14"],
    ["with an escape, where only the beginning is known", 'sequence: "\\x61, b{0}"', "4:11"],
    ["an item of a list", "sequence:\n  - a\n  - b, c{0}", "6:9"],
    ["a counted item", "sequence:\n  - { step: a, min: 3, max: 2 }", "5:29"],
  ])("%s", (_, sequence, position) => {
    const [first] = faults(`${HEAD}${sequence}\nfunctions: { a: [X], b: [X], c: [X] }\n`);
    expect(first).toMatch(new RegExp(`^${position} `));
  });
});

describe("a list is another spelling of the order", () => {
  test.each([
    ["{ step: a, optional: true, min: 2 }", "5:26 'optional: true' contradicts 'min: 2'"],
    ["{ step: a, optional: false, min: 0 }", "5:26 'optional: false' contradicts 'min: 0'"],
    ["{ step: a, max: 0 }", "5:21 a step that may never occur: the upper bound is 0"],
    [
      "{ step: a, optional: true, max: 0 }",
      "5:37 a step that may never occur: the upper bound is 0",
    ],
    ["{ step: a, max: 1001 }", "5:21 a counter above 1000"],
    ["{ step: a, min: 1001 }", "5:21 a counter above 1000"],
    ["{ step: 'a, b' }", "5:13 a step name is a letter or _, then up to 127 of A-Z a-z 0-9 _ . -"],
    ["{ step: a, min: 1.5 }", "5:21 sequence.0.min: must be a whole number"],
    ["{ step: a, mni: 1 }", "5:16 unknown key 'mni'; did you mean 'min'?"],
    ["{ min: 1 }", "5:5 'step' is missing"],
    ["[a]", "5:5 sequence.0: must be an expression, or { step, optional, min, max }"],
    ['""', "5:6 expected a step name or '(', found the end"],
  ])("%s", (item, expected) => {
    const text = `${HEAD}sequence:\n  - ${item}\nfunctions: { a: [X] }\n`;
    expect(faults(text)).toContain(expected);
  });

  test("in which a choice that stands beside others needs parentheses, and so counts as one level", () => {
    const list = (item: string, more: string): string =>
      `${HEAD}sequence:\n  - ${item}\n${more}functions: { a: [X], b: [X] }\n`;
    expect(faults(list("(((a, b)?, b)?, a) | b", ""))).toEqual([]);
    expect(faults(list("(((a, b)?, b)?, a), b", "  - a\n"))).toEqual([]);
    expect(faults(list("(((a, b)?, b)?, a) | b", "  - a\n"))).toEqual([
      "5:5 parentheses deeper than 3: a choice in a list stands in parentheses of its own",
    ]);
  });

  test("and may not be empty", () => {
    expect(faults(`${HEAD}sequence: []\nfunctions: { a: [X] }\n`)).toContain(
      "4:11 sequence: must not be empty",
    );
  });
});

describe("YAML is held to what every parser reads alike", () => {
  const list = (member: string): string => HEAD + BODY + member;
  test.each([
    ["an anchor", list("sealOn: &s [Y]\n"), "8:9 anchors are not allowed"],
    [
      "an alias",
      `${HEAD}sequence: a, b\nfunctions:\n  a: [X]\n  b: *x\n`,
      "7:6 aliases are not allowed; write the value out",
    ],
    ["a tag", `${HEAD}${BODY}sealOn: !!seq [Y]\n`, "8:9 tags are not allowed"],
    ["a tag of one's own", `${HEAD}${BODY}lifetime: !days 3\n`, "8:11 tags are not allowed"],
    ["the empty tag", `${HEAD}${BODY}lifetime: ! 3\n`, "8:11 tags are not allowed"],
    ["a merge key", list("<<: { sealOn: [X] }\n"), "8:1 merge keys (<<) are not allowed"],
    ["a quoted merge key", list('"<<": { sealOn: [X] }\n'), "8:1 merge keys (<<) are not allowed"],
    [
      "a directive",
      `%YAML 1.2\n---\n${HEAD}${BODY}`,
      "1:1 directives such as %YAML are not allowed",
    ],
    [
      "an unknown directive",
      `%FOO bar\n---\n${HEAD}${BODY}`,
      "1:1 directives such as %YAML are not allowed",
    ],
    [
      "a second document",
      `${HEAD}${BODY}---\nid: y\n`,
      "8:1 a file holds one document; here a second one begins",
    ],
    [
      "a second document after an end",
      `${HEAD}${BODY}...\nid: y\n`,
      "9:1 a file holds one document; here a second one begins",
    ],
    ["infinity", list("lifetime: .inf\n"), "8:11 a number must be finite"],
    ["not a number", list("lifetime: .NaN\n"), "8:11 a number must be finite"],
    ["a number beyond every double", list("lifetime: 1e999\n"), "8:11 a number must be finite"],
    [
      "an integer that loses digits",
      list("lifetime: 9007199254740993\n"),
      "8:11 an integer beyond ±(2^53 − 1) loses digits; write it in quotes",
    ],
    [
      "a key that is a number",
      `${HEAD}sequence: a, b\nfunctions:\n  a: [X]\n  b: [Y]\n  1: [Z]\n`,
      '8:3 keys must be strings; write "1" in quotes',
    ],
    [
      "a key that is a boolean",
      list("true: x\n"),
      '8:1 keys must be strings; write "true" in quotes',
    ],
    ["a key that is nothing", list("~: x\n"), '8:1 keys must be strings; write "~" in quotes'],
    ["a key that is a list", list("? [a]\n: x\n"), "8:3 keys must be strings"],
    ["a key twice", list("id: y\n"), "8:1 'id' stands twice"],
    [
      "a key twice in a flow",
      `${HEAD}sequence: a\nfunctions: { a: [X], "a": [Y] }\n`,
      "5:22 'a' stands twice",
    ],
    [
      "an unclosed list",
      list("sealOn: [Y\n"),
      "9:1 Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    [
      "wrong indentation",
      `${HEAD}functions:\n  a: [X]\n b: [X]\n`,
      "6:1 All mapping items must start at the same column",
    ],
    [
      "a value twice",
      `${HEAD}sequence: a: b\n`,
      "4:11 Nested mappings are not allowed in compact mappings",
    ],
    ["nothing at all", "", "1:1 the document is empty"],
    ["a comment only", "# a policy\n", "1:1 the document is empty"],
    ["a list", "- a\n", "1:1 the document must be an object"],
    ["a text", "hello\n", "1:1 the document must be an object"],
    ["half a surrogate pair in a key", list('"\\ud800": x\n'), "8:1 a lone surrogate is not text"],
    [
      "half a surrogate pair",
      `${HEAD}${BODY}sealOn: ["\\ud800"]\n`,
      "8:10 a lone surrogate is not text",
    ],
  ])("%s is refused", (_, text, expected) => {
    expect(faults(text)).toEqual([expected]);
  });

  test("an anchor and its alias are two faults, and what they stand for is none", () => {
    const text = `${HEAD}sequence: a, b\nfunctions:\n  a: &x [X]\n  b: *x\n`;
    expect(faults(text)).toEqual([
      "6:6 anchors are not allowed",
      "7:6 aliases are not allowed; write the value out",
    ]);
  });

  test.each(["__proto__", "prototype", "constructor"])(
    "%s is refused as a key wherever it stands, in YAML and in JSON",
    (key) => {
      expect(faults(`${HEAD}${BODY}${key}: {}\n`)).toEqual([
        `8:1 '${key}' is not allowed as a key`,
      ]);
      expect(
        faults(`${HEAD}sequence: a, b\nfunctions:\n  a: [X]\n  b: [Y]\n  ${key}: [Z]\n`),
      ).toEqual([`8:3 '${key}' is not allowed as a key`]);
      expect(
        faults(
          `${HEAD}${BODY}tests:\n  - { name: t, calls: [{ tool: t, expect: ALLOW, args: { a: [{ ${key}: 1 }] } }] }\n`,
        ),
      ).toEqual([`9:64 '${key}' is not allowed as a key`]);
      const json = `{"schema":"stepgate.policy/1","id":"x","version":"1","sequence":"a","functions":{"a":["X"]},\n"${key}":{}}`;
      expect(faults(json)).toEqual([`2:1 '${key}' is not allowed as a key`]);
      expect(
        faults(json.replace(key, `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`)),
      ).toEqual([`2:1 '${key}' is not allowed as a key`]);
      expect(() => compilePolicy(JSON.parse(json))).toThrow(
        `policy: ${key}: '${key}' is not allowed as a key`,
      );
    },
  );

  test("a start of a document, its end and a byte-order mark are no fault", () => {
    expect(faults(`\uFEFF---\n${HEAD}${BODY}...\n# the end\n`)).toEqual([]);
  });
});

describe("JSON", () => {
  const json = JSON.stringify({
    schema: "stepgate.policy/1",
    id: "x",
    version: "1",
    sequence: "a, b",
    functions: { a: ["X"], b: ["Y"] },
  });

  test.each([
    ["indented by tabs", JSON.stringify(JSON.parse(json), null, "\t")],
    ["with Windows line ends", JSON.stringify(JSON.parse(json), null, 2).replaceAll("\n", "\r\n")],
    [
      "with colons on lines of their own",
      json.replaceAll(":", "\n:\n").replaceAll("stepgate.policy/1", "stepgate.policy\\/1"),
    ],
    ["with white space around", `\n\t ${json} \n`],
  ])("%s gives the same policy", (_, text) => {
    expect(JSON.parse(text)).toEqual(JSON.parse(json));
    expect(parsePolicy(text).digest).toBe(parsePolicy(HEAD + BODY).digest);
  });

  test("with a member twice is refused, also where one is spelled with an escape", () => {
    expect(
      faults('{\n"schema":"stepgate.policy/1",\n"\\u0073chema":"stepgate.policy/2"}'),
    ).toContain("3:1 'schema' stands twice");
  });

  test("is read as YAML reads it: any JSON value comes out as JSON.parse has it", () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 3, noUnicodeString: false }),
        fc.constantFrom("", "\t", "  "),
        (value, indent) => {
          const args = { value: [value] };
          const document = {
            ...JSON.parse(json),
            tests: [{ name: "t", calls: [{ tool: "t", args, expect: "ALLOW" }] }],
          };
          const { policy, issues } = checkPolicy(JSON.stringify(document, null, indent));
          // Some values are refused on purpose; what is accepted must be equal, but for the sign of zero.
          if (policy === undefined) {
            const reasons = issues.map(({ message }) => message).join();
            expect(reasons).toMatch(/loses digits|lone surrogate|not allowed as a key|merge keys/);
          } else
            expect(JSON.stringify(policyTests(policy)[0]?.calls[0]?.args)).toBe(
              JSON.stringify(args),
            );
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("a plain value", () => {
  const good = {
    schema: "stepgate.policy/1",
    id: "x",
    version: "1",
    sequence: "a",
    functions: { a: ["X"] },
  };

  test.each([
    [
      "a class instance",
      { ...good, functions: new Map([["a", ["X"]]]) },
      "functions: a Map is not JSON",
    ],
    ["undefined", { ...good, tools: undefined }, "tools: undefined is not JSON"],
    ["a function", { ...good, id: () => "x" }, "id: function is not JSON"],
    ["null", null, "policy: the document must be an object"],
    [
      "a string, which is what parsePolicy is for",
      "schema: x",
      "policy: the document must be an object",
    ],
    ["nothing", undefined, "undefined is not JSON"],
  ])("is no policy if it holds %s", (_, value, message) => {
    expect(() => compilePolicy(value)).toThrow(message);
  });

  test("is copied before it is looked at, so a getter cannot show two faces", () => {
    let reads = 0;
    const sly = { ...good, functions: { a: [] as string[] } };
    Object.defineProperty(sly.functions, "a", {
      enumerable: true,
      get: () => (reads++ === 0 ? ["X"] : ["X", "DELETE_DB"]),
    });
    const policy = compilePolicy(sly);
    expect([...(policy.functions.get("a")?.actions ?? [])]).toEqual(["X"]);
    expect(reads).toBe(1);
  });

  test("with a cycle is refused", () => {
    const cyclic: Record<string, unknown> = { ...good };
    cyclic["tools"] = cyclic;
    expect(() => compilePolicy(cyclic)).toThrow(PolicyError);
  });
});

describe("members are checked", () => {
  const doc = (members: string): string => HEAD + members;
  test.each([
    [
      "a step without a function",
      doc("sequence: a, b\nfunctions: { a: [X] }\n"),
      "4:11 step 'b' has no function: it could never be passed",
    ],
    [
      "a function without a step",
      doc("sequence: a\nfunctions: { a: [X], lookup: [R] }\n"),
      "5:22 function 'lookup' has no step of its name in the sequence; say which step it belongs to, or step: \"*\"",
    ],
    [
      "a step that is not in the order",
      doc("sequence: a\nfunctions:\n  a: [X]\n  r: { step: aa, actions: [R] }\n"),
      "7:14 'aa' is no step of the sequence",
    ],
    [
      "a step that is no name",
      doc("sequence: a\nfunctions:\n  a: [X]\n  r: { step: '**', actions: [R] }\n"),
      "7:14 functions.r.step: must be a step's name, or '*'",
    ],
    [
      "a step that is a number",
      doc("sequence: a\nfunctions:\n  a: [X]\n  r: { step: 5, actions: [R] }\n"),
      "7:14 functions.r.step: must be a step's name, or '*'",
    ],
    [
      "a name with a space",
      doc('sequence: a\nfunctions: { a: [X], "b c": { step: a, actions: [X] } }\n'),
      "5:22 a name is 1 to 128 of A-Z a-z 0-9 . _ : -",
    ],
    [
      "an action type that is no name",
      doc("sequence: a\nfunctions: { a: [5] }\n"),
      "5:18 functions.a.0: must be a name",
    ],
    [
      "a function that is null",
      doc("sequence: a\nfunctions:\n  a:\n"),
      "6:5 functions.a: must be a list of action types, or { actions, step }",
    ],
    [
      "no functions",
      doc("sequence: a\nfunctions: {}\n"),
      "4:11 step 'a' has no function: it could never be passed",
    ],
    [
      "functions as a list",
      doc("sequence: a\nfunctions: [a]\n"),
      "5:12 functions: must be an object: function names and what each permits",
    ],
    [
      "a tool with an unknown function in its list",
      doc("sequence: a\nfunctions: { a: [X] }\ntools: { t: { function: [a, b], action: X } }\n"),
      "6:29 'b' is no function of this policy",
    ],
    [
      "a tool that names a function twice",
      doc("sequence: a\nfunctions: { a: [X] }\ntools: { t: { function: [a, a], action: X } }\n"),
      "6:29 function 'a' stands twice",
    ],
    [
      "a tool without functions",
      doc("sequence: a\nfunctions: { a: [X] }\ntools: { t: { function: [], action: X } }\n"),
      "6:25 tools.t.function: must name at least one function",
    ],
    [
      "a tool with an action of another function",
      doc(
        "sequence: a, b\nfunctions: { a: [X], b: [Y] }\ntools: { t: { function: a, action: Y } }\n",
      ),
      "6:36 function 'a' does not permit 'Y'",
    ],
    [
      "a tool whose functions all lack the action",
      doc(
        "sequence: a, b\nfunctions: { a: [READ], b: [WRITE] }\ntools: { t: { function: [a, b], action: RAED } }\n",
      ),
      "6:41 none of its functions permits 'RAED'; did you mean 'READ'?",
    ],
    [
      "a tool's name with a space",
      doc('sequence: a\nfunctions: { a: [X] }\ntools: { "t u": { function: a, action: X } }\n'),
      "6:10 a tool name is 1 to 128 of A-Z a-z 0-9 . _ : / -",
    ],
    [
      "an audience that is no identifier",
      doc(
        "sequence: a\nfunctions: { a: [X] }\ntools: { t: { function: a, action: X, audience: -x } }\n",
      ),
      "6:49 tools.t.audience: an identifier is 1 to 200 of A-Z a-z 0-9 . _ : @ / -, with a letter or digit first",
    ],
    [
      "a sealOn that nothing permits",
      doc("sequence: a\nfunctions: { a: [SEAL] }\nsealOn: [SEEL]\n"),
      "6:10 no function permits 'SEEL'; did you mean 'SEAL'?",
    ],
    [
      "a duration of nothing",
      `${HEAD}${BODY}freshness: 0s\n`,
      "8:12 freshness: must be a duration such as '300s' (ms, s, m, h, d)",
    ],
    ["zero milliseconds", `${HEAD}${BODY}freshness: 0\n`, "8:12 freshness: must be at least 1 ms"],
    [
      "half a millisecond",
      `${HEAD}${BODY}freshness: 0.5\n`,
      "8:12 freshness: must be a duration such as '300s', or whole milliseconds",
    ],
    [
      "a duration beyond all counting",
      `${HEAD}${BODY}lifetime: 999999999999d\n`,
      "8:11 lifetime: is longer than 2^53 − 1 milliseconds",
    ],
    [
      "an id that is no identifier",
      `schema: stepgate.policy/1\nid: "a b"\nversion: "1"\n${BODY}`,
      "2:5 id: an identifier is 1 to 200 of A-Z a-z 0-9 . _ : @ / -, with a letter or digit first",
    ],
    [
      "an empty version",
      `schema: stepgate.policy/1\nid: x\nversion: ""\n${BODY}`,
      "3:10 version: must be 1 to 200 characters without control characters",
    ],
    [
      "a test without calls",
      `${HEAD}${BODY}tests: [{ name: t, calls: [] }]\n`,
      "8:27 tests.0.calls: a test needs a call",
    ],
    [
      "a test that expects an unknown code",
      `${HEAD}${BODY}tests: [{ name: t, calls: [{ tool: t, expect: DENY }] }]\n`,
      "8:47 tests.0.calls.0.expect: must be ALLOW or a deny code",
    ],
    [
      "a test's call in both forms",
      `${HEAD}${BODY}tests: [{ name: t, calls: [{ tool: t, function: a, expect: ALLOW }] }]\n`,
      "8:28 tests.0.calls.0: a call names a tool, or a function and an action_type",
    ],
    [
      "a test's call in neither form",
      `${HEAD}${BODY}tests: [{ name: t, calls: [{ expect: ALLOW }] }]\n`,
      "8:28 tests.0.calls.0: a call names a tool, or a function and an action_type",
    ],
  ])("%s is refused", (_, text, expected) => {
    expect(faults(text)).toEqual([expected]);
  });

  test("what follows from a fault is not said again", () => {
    const text = doc(
      "sequence: a\nfunctions: { a: [X, 5] }\ntools: { t: { function: a, action: Y } }\nsealOn: [Z]\n",
    );
    expect(faults(text)).toEqual(["5:21 functions.a.1: must be a name"]);
  });

  test("nor is it said of a name that is no name that it has no step", () => {
    const text = doc('sequence: a\nfunctions: { a: [X], "b c": [X] }\n');
    expect(faults(text)).toEqual(["5:22 a name is 1 to 128 of A-Z a-z 0-9 . _ : -"]);
  });

  test("a tool of a function that permits nothing is no typing error: its list is empty on purpose", () => {
    const text = doc(
      "sequence: a\nfunctions: { a: [X], off: { step: a, actions: [] } }\ntools: { t: { function: off, action: X } }\n",
    );
    expect(faults(text)).toEqual([]);
  });

  test("`__proto__` as a step cannot become a function, and does no harm", () => {
    expect(faults(doc("sequence: __proto__\nfunctions: { a: [X] }\n"))).toContain(
      "4:11 step '__proto__' has no function: it could never be passed",
    );
  });
});

describe("hostile text is refused quickly", () => {
  test.each([
    ["ten thousand brackets", "[".repeat(10_000)],
    ["ten thousand nested maps", "{a: ".repeat(10_000)],
    [
      "ten thousand nested keys",
      Array.from({ length: 3000 }, (_, depth) => `${" ".repeat(depth % 900)}a:`).join("\n"),
    ],
    ["thirty thousand equal keys", "a: 1\n".repeat(30_000)],
    [
      "twenty thousand functions without a step",
      `${HEAD}sequence: a\nfunctions:\n${Array.from({ length: 20_000 }, (_, n) => `  f${n}: [X]\n`).join("")}`,
    ],
    [
      "an order that explodes",
      `${HEAD}sequence: (a | b)*, a, (a | b){999}\nfunctions: { a: [X], b: [X] }\n`,
    ],
    [
      "two hundred functions that are numbers",
      `${HEAD}sequence: a\nfunctions:\n${Array.from({ length: 200 }, (_, n) => `  f${n}: ${n}\n`).join("")}`,
    ],
    ["binary", String.fromCharCode(...Array.from({ length: 5000 }, (_, n) => (n * 7919) % 65_536))],
  ])("%s", (_, text) => {
    const begin = performance.now();
    const { policy, issues } = checkPolicy(text);
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(policy).toBeUndefined();
    expect(issues.length).toBeGreaterThan(0);
    expect(issues.length).toBeLessThanOrEqual(100);
  });

  test("text over a mebibyte is not looked at", () => {
    const text = `${HEAD}${BODY}#`;
    expect(faults(text.padEnd(1_048_576, "#"))).toEqual([]);
    expect(checkPolicy(text.padEnd(1_048_577, "#")).issues).toEqual([
      { path: "", message: "longer than 1048576 characters" },
    ]);
  });

  test("whatever the text, there is a policy or an issue, and no exception", () => {
    const seeds = [
      HEAD,
      BODY,
      "tools:\n",
      "  t: { function: a, action: X }\n",
      "&a",
      "*a",
      "!!x",
      "{",
      "}",
      "[",
      "]",
      ": ",
      "- ",
      "'",
      '"',
      "|\n",
      ">\n",
      "%",
      "#",
      "\n",
      "?",
      "\t",
      "__proto__",
    ];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...seeds), fc.string({ unit: "binary", maxLength: 4 })), {
          maxLength: 12,
        }),
        (parts) => {
          const { policy, issues } = checkPolicy(parts.join(""));
          expect(policy === undefined).toBe(issues.length > 0);
          for (const issue of issues)
            expect(
              [issue.line, issue.column].every((number) => number !== undefined && number >= 1),
            ).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

test("what is no text is a TypeError", () => {
  // @ts-expect-error: bytes must be decoded first
  expect(() => parsePolicy(Buffer.from(HEAD + BODY))).toThrow(TypeError);
});

test("the README's policy compiles", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const text = /```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  expect(faults(text)).toEqual([]);
});
