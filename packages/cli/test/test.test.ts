/** `stepgate test`: what a policy promises of itself, played and told. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { runInProcess } from "./in-process.ts";

const UNTESTED = REFUNDS.slice(
  0,
  REFUNDS.includes("\ntests:") ? REFUNDS.indexOf("\ntests:") + 1 : undefined,
);
const TESTS = `tests:
  - name: a refund before the look-up <is> "refused" & no more
    calls:
      - { tool: refund, expect: SEQUENCE_VIOLATION }
  - name: a refund after it is allowed
    calls:
      - { tool: get_order, expect: ALLOW }
      - { tool: refund, expect: ALLOW }
`;
const TESTED = `${UNTESTED}${TESTS}`;
const FAILING = TESTED.replace(
  "{ tool: refund, expect: ALLOW }",
  "{ tool: refund, expect: REPLAY_NONCE }",
);
const BESIDE = `policy: ./policy.yaml\n${TESTS}`;

const run = (...args: readonly string[]) => runInProcess("test", ...args);

test("tests that pass are told by name, with a count, and exit 0", async () => {
  const cwd = temporaryFolder({ "policy.yaml": TESTED });
  expect(await stepgate(cwd, ["test", "policy.yaml"])).toEqual({
    code: 0,
    stdout:
      'ok policy.yaml: a refund before the look-up <is> "refused" & no more\n' +
      "ok policy.yaml: a refund after it is allowed\n2 passed, 0 failed\n",
    stderr: "",
  });
});

describe("one that fails", () => {
  const lineOf = (text: string, part: string): number =>
    text.split("\n").findIndex((line) => line.includes(part)) + 1;

  test("says which test and call, what was expected, the answer with its rule and reason, at its place", async () => {
    const text = `${UNTESTED}tests:
  - name: settles at once
    calls:
      - { tool: get_order, expect: ALLOW }
      - { tool: settle, expect: ALLOW }
`;
    const file = join(temporaryFolder({ "policy.yaml": text }), "policy.yaml");
    const { code, stdout, stderr } = await run(file);
    expect(code).toBe(1);
    expect(stdout).toBe(`failed ${file}: settles at once\n0 passed, 1 failed\n`);
    const line = lineOf(text, "{ tool: settle, expect");
    expect(stderr).toBe(
      `${file}:${line}:25: test 'settles at once', call 2 (settle): expected ALLOW, got SEQUENCE_VIOLATION [sequence]: 'settle' is not admissible now; next: refund.\n`,
    );
  });

  test("by an unexpected ALLOW says so", async () => {
    const file = join(temporaryFolder({ "policy.yaml": FAILING }), "policy.yaml");
    const { code, stderr } = await run(file);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `${file}:${lineOf(FAILING, "REPLAY_NONCE")}:25: test 'a refund after it is allowed', call 2 (refund): expected REPLAY_NONCE, got ALLOW: allowed; next: settle.`,
    );
  });

  test.each([
    [
      "{ tool: get_ordr, expect: ALLOW }",
      "the policy has no tool 'get_ordr'.; did you mean 'get_order'?",
    ],
    [
      "{ function: reprt, action_type: EMIT_EVENT, expect: ALLOW }",
      "call 1 (reprt EMIT_EVENT): expected ALLOW, got NO_POLICY_MATCH [functions]: the policy has no function 'reprt'.; did you mean 'report'?",
    ],
  ])(
    "for a name that the policy does not know, %s, hears the likely one",
    async (call, message) => {
      const text = `${UNTESTED}tests: [{ name: t, calls: [${call}] }]\n`;
      const { stderr } = await run(join(temporaryFolder({ "policy.yaml": text }), "policy.yaml"));
      expect(stderr).toContain(message);
    },
  );

  test("cannot rewrite what a terminal, or a log of GitHub, shows", async () => {
    const text = `${UNTESTED}tests: [{ name: "a\\n::error::b\\e[2J", calls: [{ tool: refund, expect: ALLOW }] }]\n`;
    const { stdout, stderr } = await run(
      join(temporaryFolder({ "policy.yaml": text }), "policy.yaml"),
    );
    expect(`${stdout}${stderr}`).not.toMatch(/^::/m);
    expect(`${stdout}${stderr}`).not.toContain("\u001b");
  });
});

test("--json is one document, with every test of every file", async () => {
  const cwd = temporaryFolder({ "good.yaml": TESTED, "bad.yaml": FAILING, "wrong.yaml": "id: 1" });
  const files = ["good", "bad", "wrong"].map((name) => join(cwd, `${name}.yaml`));
  const { code, stdout } = await run(...files, "--json");
  expect(code).toBe(1);
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({ passed: 3, failed: 1 });
  expect(document.files.map(({ tests }: { tests: unknown[] }) => tests.length)).toEqual([2, 2, 0]);
  expect(document.files[1].tests[1].issues).toEqual([
    expect.objectContaining({
      path: "tests.1.calls.1.expect",
      call: 2,
      expected: "REPLAY_NONCE",
      got: "ALLOW",
    }),
  ]);
  expect(document.files[2].issues.length).toBeGreaterThan(0);
  expect(document).not.toHaveProperty("coverage");
});

test("--junit writes a suite a file, with names escaped and the failure's place", async () => {
  const cwd = temporaryFolder({ "good.yaml": TESTED, "bad.yaml": FAILING, "wrong.yaml": "id: 1" });
  const target = join(cwd, "results.xml");
  const files = ["good", "bad", "wrong"].map((name) => join(cwd, `${name}.yaml`));
  expect((await run(...files, "--junit", target)).code).toBe(1);
  const xml = readFileSync(target, "utf8");
  expect(xml.match(/<testsuite /g)).toHaveLength(3);
  expect(xml.match(/<testcase /g)).toHaveLength(5);
  expect(xml.match(/<failure /g)).toHaveLength(2);
  expect(xml).toContain("&lt;is&gt; &quot;refused&quot; &amp; no more");
  expect(xml).toMatch(/bad\.yaml:\d+:\d+: .*expected REPLAY_NONCE/);
});

test("--format github annotates the lines of failing tests and of what does not load", async () => {
  const cwd = temporaryFolder({ "bad.yaml": FAILING, "wrong.yaml": "id: 1" });
  const { code, stdout } = await stepgate(cwd, [
    "test",
    "bad.yaml",
    "wrong.yaml",
    "--format",
    "github",
  ]);
  expect(code).toBe(1);
  const lines = stdout.trim().split("\n");
  expect(lines[0]).toMatch(
    /^::error file=bad\.yaml,line=\d+,col=25,title=test-failed::test 'a refund/,
  );
  expect(lines[1]).toMatch(/^::error file=wrong\.yaml,line=1,col=\d+,title=does-not-load::/);
});

test("a policy without tests says so and is fine; one that does not load is exit 1, an unreadable one 2", async () => {
  const cwd = temporaryFolder({ "plain.yaml": UNTESTED, "wrong.yaml": "id: 1" });
  expect(await run(join(cwd, "plain.yaml"))).toMatchObject({ code: 0, stderr: "" });
  const wrong = await run(join(cwd, "wrong.yaml"));
  expect(wrong).toMatchObject({ code: 1 });
  expect(wrong.stderr).toMatch(/wrong\.yaml:\d+:\d+: /);
  expect((await run(join(cwd, "none.yaml"))).code).toBe(2);
  expect((await run(join(cwd, "plain.yaml"), "--junit", cwd)).code).toBe(2);
});

describe("a file of tests", () => {
  test("is played with the policy that it stands beside, by its own name, and once", async () => {
    const cwd = temporaryFolder({ "policy.yaml": UNTESTED, "more.policy-test.yaml": BESIDE });
    const told = "ok more.policy-test.yaml: a refund after it is allowed\n";
    for (const paths of [["policy.yaml"], ["policy.yaml", "more.policy-test.yaml"], ["."], []]) {
      const { code, stdout } = await stepgate(cwd, ["test", ...paths]);
      expect(code).toBe(0);
      expect(stdout.split(told)).toHaveLength(2);
      expect(stdout).toContain("2 passed, 0 failed\n");
      expect(stdout).toContain("policy.yaml: no tests\n");
    }
    const { stdout } = await stepgate(cwd, ["test", "./more.policy-test.yaml"]);
    expect(stdout.split("\n")).toHaveLength(4);
  });

  test("is left alone where it is about another policy, and not where it does not say", async () => {
    const cwd = temporaryFolder({
      "policy.yaml": UNTESTED,
      "other.policy-test.yaml": BESIDE.replace("./policy", "./other"),
    });
    expect((await run(join(cwd, "policy.yaml"))).code).toBe(0);
    writeFileSync(join(cwd, "x.policy-test.yml"), BESIDE.replace("policy:", "polcy:"));
    const { code, stderr } = await run(join(cwd, "policy.yaml"));
    expect(code).toBe(1);
    expect(stderr).toContain("x.policy-test.yml:1:1: unknown key 'polcy'; did you mean 'policy'?");
  });

  test("that fails is told at its own line", async () => {
    const bad = BESIDE.replace("expect: SEQUENCE_VIOLATION", "expect: ACTION_NOT_ALLOWED");
    const cwd = temporaryFolder({ "policy.yaml": UNTESTED, "a.policy-test.yaml": bad });
    const { code, stderr } = await run(join(cwd, "a.policy-test.yaml"));
    expect(code).toBe(1);
    expect(stderr).toContain(
      `${join(cwd, "a.policy-test.yaml")}:5:25: test 'a refund before the look-up <is> "refused" & no more', call 1 (refund): expected ACTION_NOT_ALLOWED, got SEQUENCE_VIOLATION [sequence]: `,
    );
  });

  test("whose policy is missing or does not load says so where it names it", async () => {
    const cwd = temporaryFolder({
      "a.policy-test.yaml": BESIDE.replace("./policy", "./none"),
      "b.policy-test.yaml": BESIDE,
      "policy.yaml": UNTESTED.replace("sequence:", "sequense:"),
    });
    const { code, stderr } = await run(
      join(cwd, "a.policy-test.yaml"),
      join(cwd, "b.policy-test.yaml"),
    );
    expect(code).toBe(1);
    const [none, broken] = stderr.split("\n");
    expect(none).toBe(
      `${join(cwd, "a.policy-test.yaml")}:1:1: policy './none.yaml': ${join(cwd, "none.yaml")}: no such file or folder`,
    );
    expect(broken).toMatch(
      /b\.policy-test\.yaml:1:1: policy '\.\/policy\.yaml': does not load; .*policy\.yaml:1:1: /,
    );
  });
});

describe("a folder", () => {
  test("stands for the policies and files of tests in it at any depth, not for what else there is", async () => {
    const cwd = temporaryFolder({
      "compose.yaml": "services: {}\n",
      "broken.yaml": ": : :",
      "data.json": "[1]",
    });
    for (const folder of ["a/b", "node_modules/x", ".git"])
      mkdirSync(join(cwd, folder), { recursive: true });
    writeFileSync(
      join(cwd, "a", "policy.json"),
      JSON.stringify({
        schema: "stepgate.policy/1",
        id: "j",
        version: "1",
        sequence: "a",
        functions: { a: ["A"] },
      }),
    );
    writeFileSync(join(cwd, "a", "b", "policy.yaml"), TESTED);
    writeFileSync(join(cwd, "node_modules", "x", "policy.yaml"), FAILING);
    writeFileSync(join(cwd, ".git", "policy.yaml"), FAILING);
    const { code, stdout } = await run(cwd);
    expect({ code, files: stdout.match(/\S+\.(yaml|json)(?=:)/g) }).toEqual({
      code: 0,
      files: [
        join(cwd, "a", "b", "policy.yaml"),
        join(cwd, "a", "b", "policy.yaml"),
        join(cwd, "a", "policy.json"),
      ],
    });
  });

  test("holds a policy also where the member that says so is misspelt", async () => {
    const cwd = temporaryFolder({ "policy.yaml": TESTED.replace("schema:", "shema:") });
    expect(await run(cwd)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        "policy.yaml:1:1: unknown key 'shema'; did you mean 'schema'?",
      ),
    });
  });

  test("with nothing to play is exit 2: a run of no tests must not look like one that passed", async () => {
    const cwd = temporaryFolder({ "compose.yaml": "services: {}\n" });
    expect(await run(cwd)).toEqual({
      code: 2,
      stdout: "",
      stderr: `${cwd}: holds no policy and no *.policy-test.yaml\n`,
    });
  });
});

describe("--coverage", () => {
  const covered = async (files: Readonly<Record<string, string>>, ...args: readonly string[]) => {
    const cwd = temporaryFolder(files);
    return stepgate(cwd, ["test", ...args]);
  };

  test("counts by kind, and says what is missing at its line, from top to bottom", async () => {
    const { code, stdout } = await covered({ "policy.yaml": TESTED }, "--coverage");
    expect(code).toBe(0);
    expect(stdout.slice(stdout.indexOf("\n\n") + 2)).toBe(`policy.yaml: 6 of 10 (60%) exercised
  transitions of the order       2 of 3 (66.6%)
  actions of functions           2 of 4 (50%)
  functions of tools             2 of 3 (66.6%)
  missing policy.yaml:4:27: never taken: settle after lookup, refund
  missing policy.yaml:8:3: never allowed: settle WRITE_SUMMARY (settle)
  missing policy.yaml:9:24: never allowed: report EMIT_EVENT
  missing policy.yaml:13:3: never allowed: settle as settle
`);
  });

  test("adds up the tests of a policy and of the files beside it", async () => {
    const { stdout } = await covered(
      { "policy.yaml": UNTESTED, "a.policy-test.yaml": BESIDE },
      "--coverage",
      "--json",
    );
    const { coverage } = JSON.parse(stdout);
    expect(coverage).toHaveLength(1);
    expect(coverage[0]).toMatchObject({
      file: "policy.yaml",
      kinds: { transitions: { covered: 2, total: 3 }, tools: { covered: 2, total: 3 } },
    });
    expect(coverage[0].items).toContainEqual({
      kind: "transitions",
      rule: "sequence",
      what: "settle after lookup, refund",
      step: "settle",
      covered: false,
      line: 4,
      column: 27,
    });
  });

  test("tells of conditions that were never seen to hold, or never refused", async () => {
    const text = `schema: stepgate.policy/1
id: pay
version: "1"
sequence: pay+, end
functions: { pay: [WRITE], end: [END] }
tools:
  transfer:
    function: pay
    action: WRITE
    when: args.amount < 10.0
    limits: { calls: 2 }
forbid: [{ tools: [transfer], agents: ["bot-*"] }]
tests:
  - name: too much
    calls:
      - { tool: transfer, args: { amount: 10 }, expect: ARGUMENT_VIOLATION }
      - { tool: transfer, args: { amount: 1 }, expect: ALLOW }
`;
    const { stdout } = await covered({ "p.yaml": text }, "--coverage");
    expect(stdout).toContain("conditions, held and refused   4 of 6 (66.6%)");
    expect(stdout.split("\n").filter((line) => line.includes("never refused"))).toEqual([
      "  missing p.yaml:11:15: tools.transfer.limits.calls: never refused",
      "  missing p.yaml:12:10: forbid.0: never refused",
    ]);
  });

  test("--min makes less a finding, for each policy by itself", async () => {
    const files = { "a.yaml": TESTED, "b.yaml": UNTESTED };
    expect(await covered(files, "a.yaml", "--min", "50")).toMatchObject({ code: 0, stderr: "" });
    expect(await covered(files, "--min", "50")).toMatchObject({
      code: 1,
      stderr: "b.yaml: 0% exercised, less than 50%\n",
    });
    expect((await covered(files, "--min", "101")).code).toBe(2);
    expect((await covered(files, "--min", "most")).code).toBe(2);
  });
});

test("context, agent and tenant of a test count, and so do arguments, limits and approvals", async () => {
  const cwd = temporaryFolder({ "policy.yaml": LEVEL_2, "wrong.yaml": WRONG });
  expect(await run(join(cwd, "policy.yaml"))).toMatchObject({ code: 0, stderr: "" });
  const { code, stdout, stderr } = await run(join(cwd, "wrong.yaml"));
  expect(code).toBe(1);
  expect(stdout).toContain("2 passed, 3 failed\n");
  const told = stderr.split("\n").filter((line) => line.includes("expected"));
  expect(told.map((line) => /expected (.*?):/.exec(line)?.[1])).toEqual([
    "APPROVAL_REQUIRED, got ARGUMENT_VIOLATION [tools.refund.grounded.order]",
    "ALLOW, got ARGUMENT_VIOLATION [tools.refund.grounded.order]",
    "LIMIT_EXCEEDED, got ARGUMENT_VIOLATION [tools.refund.grounded.order]",
    "ALLOW, got ARGUMENT_VIOLATION [tools.refund.grounded.order]",
    "ALLOW, got SEQUENCE_VIOLATION [sequence]",
    "ARGUMENT_VIOLATION, got ALLOW",
    "ACTION_NOT_ALLOWED, got ALLOW",
  ]);
});

const LEVEL_2 = `schema: stepgate.policy/1
id: refunds
version: "1"
sequence: look, refund{1,2}, close
functions:
  look: [READ]
  refund: [WRITE]
  close: [SEAL]
tools:
  get_order: { function: look, action: READ }
  refund:
    function: refund
    action: WRITE
    args: { type: object, required: [order, amount], properties: { order: { type: string }, amount: { type: number } }, additionalProperties: false }
    when: args.amount < 1000.0 && tenant == "eu"
    grounded: { order: context.request }
    ungrounded: [amount]
    bind: { order: args.order }
    limits: { sum: { of: args.amount, max: 150 } }
    approval: { when: args.amount > 100.0, by: [finance] }
agents: { "desk-*": {}, "intern-*": { functions: { refund: [] } } }
tests:
  - name: what the customer asked for is refunded
    agent_id: desk-1
    tenant: eu
    context: { request: refund order A17 please }
    calls:
      - { tool: refund, args: { order: A17, amount: 5 }, expect: SEQUENCE_VIOLATION }
      - { tool: get_order, expect: ALLOW }
      - { tool: refund, args: { order: A18, amount: 5 }, expect: ARGUMENT_VIOLATION }
      - { tool: refund, args: { order: A17, amount: 101 }, expect: APPROVAL_REQUIRED }
      - { tool: refund, args: { order: A17, amount: 100 }, expect: ALLOW }
      - { tool: refund, args: { order: A17, amount: 51 }, expect: LIMIT_EXCEEDED }
      - { tool: refund, args: { order: A17, amount: 50 }, expect: ALLOW }
      - { function: close, action_type: SEAL, expect: ALLOW }
  - name: nowhere but in Europe
    agent_id: desk-1
    tenant: us
    context: { request: refund order A17 please }
    calls:
      - { tool: get_order, expect: ALLOW }
      - { tool: refund, args: { order: A17, amount: 5 }, expect: ARGUMENT_VIOLATION }
  - name: an intern looks only
    agent_id: intern-2
    tenant: eu
    context: { request: refund order A17 please }
    calls:
      - { tool: get_order, expect: ALLOW }
      - { tool: refund, args: { order: A17, amount: 5 }, expect: ACTION_NOT_ALLOWED }
  - name: no one without a name
    calls: [{ tool: get_order, expect: ACTION_NOT_ALLOWED }]
  - name: another agent's call is none of this sequence
    agent_id: desk-1
    calls: [{ tool: get_order, agent_id: desk-2, expect: INVALID_REQUEST }]
`;

/** The same without the words of the customer, in Europe, and with no intern. */
const WRONG = LEVEL_2.replace("refund order A17 please", "refund something please")
  .replace("tenant: us", "tenant: eu")
  .replace("agent_id: intern-2", "agent_id: desk-2");
