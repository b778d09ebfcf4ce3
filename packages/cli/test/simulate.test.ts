/** `stepgate simulate`: recorded calls, one answer for each, deny and go on. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const PAYMENTS = `schema: stepgate.policy/1
id: payments
version: "1"
sequence: work*, end
functions:
  work: [READ, PAY]
  end: [END]
tools:
  read_file: { function: work, action: READ }
  send_money:
    function: work
    action: PAY
    grounded:
      recipient: [context.request, context.payees]
    limits: { sum: { of: args.amount, max: 100 } }
`;

const CALLS = [
  { sequence_id: "s1", group: "pay", context: { request: "Pay UK12 its bill" } },
  { sequence_id: "s1", tool: "read_file", args: { file_path: "bill.txt" } },
  { sequence_id: "s2", tool: "send_money", args: { recipient: "UK12", amount: 1 } },
  { sequence_id: "s1", tool: "send_money", args: { recipient: "US99", amount: 98.7 } },
  { sequence_id: "s1", context: { payees: ["US99"] } },
  { sequence_id: "s1", tool: "send_money", args: { recipient: "US99", amount: 98.7 } },
  { sequence_id: "s1", tool: "send_money", args: { recipient: "UK12", amount: 1.4 } },
  { sequence_id: "s1", function: "work", action_type: "READ" },
  { sequence_id: "s1", tool: "read file" },
];

const jsonl = (lines: readonly unknown[]): string =>
  lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("");

async function simulate(
  files: Readonly<Record<string, string>>,
  args: readonly string[],
  isTTY = false,
) {
  const folder = temporaryFolder(files);
  const terminal = inProcess({ isTTY });
  const line = args.map((arg) => (/\.(yaml|jsonl)$|^\.$/.test(arg) ? join(folder, arg) : arg));
  const code = await runProgram(["simulate", ...line], terminal);
  const { stdout, stderr } = terminal;
  return { folder, code, stdout: stdout.text, stderr: stderr.text.replaceAll(`${folder}/`, "") };
}

const ARGS = ["--policy", "policy.yaml", "--calls", "calls.jsonl"];
const answers = (stdout: string): readonly unknown[] =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("every call has an answer in its order, counted within its sequence", async () => {
  const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl(CALLS) };
  const { code, stdout, stderr } = await simulate(files, [...ARGS, "--json"]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  const DENY = { decision: "DENY" };
  const ungrounded = {
    ...DENY,
    deny_code: "ARGUMENT_VIOLATION",
    rule: "tools.send_money.grounded.recipient",
  };
  const limit = { ...DENY, deny_code: "LIMIT_EXCEEDED", rule: "tools.send_money.limits.sum" };
  const explicit = { ...DENY, deny_code: "NO_POLICY_MATCH", rule: "tools" };
  expect(answers(stdout)).toEqual([
    { sequence_id: "s1", index: 0, tool: "read_file", decision: "ALLOW" },
    { sequence_id: "s2", index: 0, tool: "send_money", ...ungrounded },
    { sequence_id: "s1", index: 1, tool: "send_money", ...ungrounded },
    { sequence_id: "s1", index: 2, tool: "send_money", decision: "ALLOW" },
    { sequence_id: "s1", index: 3, tool: "send_money", ...limit },
    { sequence_id: "s1", index: 4, function: "work", action_type: "READ", ...explicit },
    {
      sequence_id: "s1",
      index: 5,
      tool: "read file",
      ...DENY,
      deny_code: "INVALID_REQUEST",
      rule: "request.tool",
    },
  ]);
});

test("the members of an answer stand in the order of the specification", async () => {
  const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl(CALLS.slice(0, 3)) };
  const { stdout } = await simulate(files, [...ARGS, "--json"]);
  expect(stdout).toBe(
    `{"sequence_id":"s1","index":0,"tool":"read_file","decision":"ALLOW"}\n{"sequence_id":"s2","index":0,"tool":"send_money","decision":"DENY","deny_code":"ARGUMENT_VIOLATION","rule":"tools.send_money.grounded.recipient"}\n`,
  );
});

test("nothing denied is exit 0", async () => {
  const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl(CALLS.slice(0, 2)) };
  expect(await simulate(files, ARGS)).toMatchObject({
    code: 0,
    stdout: "1 calls of 1 sequences: 0 denied in 0 sequences\n",
  });
});

test("people get counts by sequence, tool, rule and code, a rule with its line", async () => {
  const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl(CALLS) };
  const { code, folder, stdout } = await simulate(files, ARGS);
  expect(code).toBe(1);
  expect(stdout.replaceAll(`${folder}/`, "")).toBe(`denied by sequence
       4  s1
       1  s2
denied by tool
       3  send_money
       1  work
       1  read file
denied by rule
       2  tools.send_money.grounded.recipient at policy.yaml:14:7
       1  tools.send_money.limits.sum at policy.yaml:15:15
       1  tools at policy.yaml:8:1
       1  request.tool
denied by code
       2  ARGUMENT_VIOLATION
       1  LIMIT_EXCEEDED
       1  NO_POLICY_MATCH
       1  INVALID_REQUEST
7 calls of 2 sequences: 5 denied in 2 sequences
`);
});

describe("a folder of policies", () => {
  const files = {
    "pay.yaml": PAYMENTS,
    "refund.yaml": REFUNDS,
    "calls.jsonl": jsonl([
      { sequence_id: "a", group: "pay" },
      { sequence_id: "b", group: "refund" },
      { sequence_id: "a", tool: "read_file" },
      { sequence_id: "b", tool: "read_file" },
      { sequence_id: "b", tool: "get_order" },
      { sequence_id: "c", group: "other" },
      { sequence_id: "c", tool: "get_order" },
      { sequence_id: "d", group: "other", tool: "get_order" },
      { sequence_id: "e", tool: "get_order" },
      { sequence_id: "f", group: "../pay", tool: "read_file" },
    ]),
  };

  test("gives each sequence the policy of its group, and denies what has none", async () => {
    const found = await simulate(files, ["--policy", ".", "--calls", "calls.jsonl", "--json"]);
    const { code, stdout, stderr } = found;
    expect(code).toBe(1);
    expect(answers(stdout)).toMatchObject([
      { sequence_id: "a", decision: "ALLOW" },
      { sequence_id: "b", deny_code: "NO_POLICY_MATCH" },
      { sequence_id: "b", decision: "ALLOW" },
      { sequence_id: "c", deny_code: "POLICY_UNAVAILABLE", rule: "policy" },
      { sequence_id: "d", deny_code: "POLICY_UNAVAILABLE" },
      { sequence_id: "e", deny_code: "POLICY_UNAVAILABLE" },
      { sequence_id: "f", deny_code: "POLICY_UNAVAILABLE" },
    ]);
    // Once a group, and on stderr.
    expect(stderr.split("\n").map((line) => line.split(":").slice(0, 3).join(":"))).toEqual([
      "calls.jsonl:6:1",
      "calls.jsonl:9:1",
      "calls.jsonl:10:1",
      "",
    ]);
  });

  test("one of its policies that does not load ends the command", async () => {
    const broken = {
      ...files,
      "refund.yaml": REFUNDS.replace("get_order: {", "get_order: { x: 1,"),
    };
    const found = await simulate(broken, ["--policy", ".", "--calls", "calls.jsonl"]);
    expect(found.code).toBe(2);
    expect(found.stderr).toContain("refund.yaml:11:16: unknown key 'x'");
  });
});

describe("what is no recorded call ends the command, at its place", () => {
  test.each<readonly [string, string, string]>([
    ["no JSON", '{"sequence_id":"s",}', "calls.jsonl:2:20: not JSON"],
    [
      "a member twice",
      '{"sequence_id":"s","tool":"a","tool":"b"}',
      "calls.jsonl:2:31: tool: a member stands twice",
    ],
    ["no object", "[]", "calls.jsonl:2:1: a recorded call is a JSON object"],
    ["no sequence", '{"tool":"read_file"}', "calls.jsonl:2:1: sequence_id must be an identifier"],
    ["an unknown member", '{"sequence_id":"s","tol":"x"}', "calls.jsonl:2:1: unknown member 'tol'"],
    [
      "a context that is none",
      '{"sequence_id":"s","context":[]}',
      "calls.jsonl:2:1: context must be a JSON object",
    ],
    [
      "a group that is none",
      '{"sequence_id":"s","group":1}',
      "calls.jsonl:2:1: group must be a string",
    ],
    [
      "another group",
      '{"sequence_id":"s1","group":"b"}',
      "calls.jsonl:2:1: the sequence was opened with no group",
    ],
    [
      "an agent that is none",
      '{"sequence_id":"s","agent_id":""}',
      "calls.jsonl:2:1: agent_id must be an identifier",
    ],
    [
      "a context too large",
      JSON.stringify({ sequence_id: "s1", context: { a: "x".repeat(70_000) } }),
      "calls.jsonl:2:1: context: larger than 65536 bytes",
    ],
    [
      "an integer that loses digits",
      '{"sequence_id":"s1","args":{"n":9007199254740993}}',
      "calls.jsonl:2:33: an integer",
    ],
  ])("%s", async (_, line, message) => {
    const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl([CALLS[1], line]) };
    const { code, stderr } = await simulate(files, ARGS);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  test("no call at all, no file", async () => {
    const files = { "policy.yaml": PAYMENTS, "calls.jsonl": jsonl([CALLS[0]]) };
    expect(await simulate(files, ARGS)).toMatchObject({
      code: 2,
      stderr: "calls.jsonl: holds no call\n",
    });
    expect(await simulate({ "policy.yaml": PAYMENTS }, ARGS)).toMatchObject({
      code: 2,
      stderr: "calls.jsonl: no such file or folder\n",
    });
  });
});

test("each agent has its own permissions, and is the owner of its sequence", async () => {
  const policy = `${PAYMENTS}agents:\n  "bot-*": { functions: { work: [READ] } }\n  "*": {}\n`;
  const lines = [
    { sequence_id: "a", agent_id: "bot-1", context: { request: "UK12" } },
    {
      sequence_id: "a",
      agent_id: "bot-1",
      tool: "send_money",
      args: { recipient: "UK12", amount: 1 },
    },
    { sequence_id: "a", tool: "send_money", args: { recipient: "UK12", amount: 1 } },
    { sequence_id: "a", agent_id: "anna", tool: "read_file" },
    { sequence_id: "b", tool: "read_file" },
  ];
  const files = { "policy.yaml": policy, "calls.jsonl": jsonl(lines) };
  expect(answers((await simulate(files, [...ARGS, "--json"])).stdout)).toMatchObject([
    { rule: "agents.bot-*" },
    { rule: "agents.bot-*" },
    { rule: "request.agent_id" },
    { rule: "agents" },
  ]);
});

test("a compressed file is read as what it holds", async () => {
  const folder = temporaryFolder({ "policy.yaml": PAYMENTS });
  const file = join(folder, "calls.jsonl.gz");
  writeFileSync(file, gzipSync(jsonl(CALLS)));
  const line = ["simulate", "--policy", join(folder, "policy.yaml"), "--calls", file, "--json"];
  const terminal = inProcess();
  expect(await runProgram(line, terminal)).toBe(1);
  expect(answers(terminal.stdout.text)).toHaveLength(7);
  writeFileSync(file, gzipSync(jsonl(CALLS)).subarray(0, 60));
  const broken = inProcess();
  expect(await runProgram(line, broken)).toBe(2);
  expect(broken.stderr.text).toMatch(/calls\.jsonl\.gz: /);
});
