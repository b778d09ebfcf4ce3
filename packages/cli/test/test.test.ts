/** `stepgate test`: what a policy promises of itself, played and told. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const UNTESTED = REFUNDS.slice(
  0,
  REFUNDS.includes("\ntests:") ? REFUNDS.indexOf("\ntests:") + 1 : undefined,
);
const TESTED = `${UNTESTED}tests:
  - name: a refund before the look-up <is> "refused" & no more
    calls:
      - { tool: refund, expect: SEQUENCE_VIOLATION }
  - name: a refund after it is allowed
    calls:
      - { tool: get_order, expect: ALLOW }
      - { tool: refund, expect: ALLOW }
`;
const FAILING = TESTED.replace(
  "{ tool: refund, expect: ALLOW }",
  "{ tool: refund, expect: REPLAY_NONCE }",
);

async function run(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(["test", ...args], terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

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

test("one that fails is told at its line and column, and is exit 1", async () => {
  const file = join(temporaryFolder({ "policy.yaml": FAILING }), "policy.yaml");
  const { code, stdout, stderr } = await run(file);
  expect(code).toBe(1);
  expect(stdout).toContain("1 passed, 1 failed\n");
  const line = FAILING.split("\n").findIndex((text) => text.includes("REPLAY_NONCE")) + 1;
  expect(stderr).toMatch(new RegExp(`^${file}:${line}:\\d+: .*expected REPLAY_NONCE, got ALLOW`));
});

test("--json is one document, with every test of every file", async () => {
  const cwd = temporaryFolder({ "good.yaml": TESTED, "bad.yaml": FAILING, "wrong.yaml": "id: 1" });
  const files = ["good", "bad", "wrong"].map((name) => join(cwd, `${name}.yaml`));
  const { code, stdout } = await run(...files, "--json");
  expect(code).toBe(1);
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({ passed: 3, failed: 1 });
  expect(document.files.map(({ tests }: { tests: unknown[] }) => tests.length)).toEqual([2, 2, 0]);
  expect(document.files[2].issues.length).toBeGreaterThan(0);
});

test("--junit writes a suite a policy, with names escaped and the failure's place", async () => {
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

test("a policy without tests says so and is fine; one that does not load is exit 1, an unreadable one 2", async () => {
  const cwd = temporaryFolder({ "plain.yaml": UNTESTED, "wrong.yaml": "id: 1" });
  expect(await run(join(cwd, "plain.yaml"))).toMatchObject({ code: 0, stderr: "" });
  const wrong = await run(join(cwd, "wrong.yaml"));
  expect(wrong).toMatchObject({ code: 1 });
  expect(wrong.stderr).toMatch(/wrong\.yaml:\d+:\d+: /);
  expect((await run(join(cwd, "none.yaml"))).code).toBe(2);
  expect((await run(join(cwd, "plain.yaml"), "--junit", cwd)).code).toBe(2);
});

test("context, agent and tenant of a test count, and so do arguments, limits and approvals", async () => {
  const cwd = temporaryFolder({ "policy.yaml": LEVEL_2, "wrong.yaml": WRONG });
  expect(await run(join(cwd, "policy.yaml"))).toMatchObject({ code: 0, stderr: "" });
  const { code, stdout, stderr } = await run(join(cwd, "wrong.yaml"));
  expect(code).toBe(1);
  expect(stdout).toContain("2 passed, 3 failed\n");
  const told = stderr.split("\n").filter((line) => line.includes("expected"));
  expect(told.map((line) => /expected (.*?):/.exec(line)?.[1])).toEqual([
    "APPROVAL_REQUIRED, got ARGUMENT_VIOLATION",
    "ALLOW, got ARGUMENT_VIOLATION",
    "LIMIT_EXCEEDED, got ARGUMENT_VIOLATION",
    "ALLOW, got ARGUMENT_VIOLATION",
    "ALLOW, got SEQUENCE_VIOLATION",
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
