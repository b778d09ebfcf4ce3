/** `stepgate learn`: draft policies from recorded calls, one for each group. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const TOOLS = [
  {
    name: "send_money",
    description: "Pays.",
    action_type: "PAY",
    parameters: {
      type: "object",
      properties: { recipient: { type: "string" }, amount: { type: "number" } },
      required: ["recipient", "amount"],
    },
  },
];

const BILLS = ["UK12", "UK13", "UK14"].flatMap((recipient, index) => [
  {
    sequence_id: `pay-${index}`,
    group: "pay",
    agent_id: `bot-${index % 2}`,
    context: { request: `Pay ${index + 3} to ${recipient}`, team: "red" },
  },
  {
    sequence_id: `pay-${index}`,
    agent_id: `bot-${index % 2}`,
    tool: "read_file",
    args: { path: "a.txt" },
  },
  {
    sequence_id: `pay-${index}`,
    agent_id: `bot-${index % 2}`,
    tool: "send_money",
    args: { recipient, amount: index + 3 },
  },
]);
const NOTES = [
  { sequence_id: "note-1", group: "note", context: { request: "Note it", team: "blue" } },
  { sequence_id: "note-1", tool: "write_note", args: { text: "milk and bread" } },
];

const jsonl = (lines: readonly unknown[]): string =>
  lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("");

async function run(folder: string, ...args: readonly string[]) {
  const terminal = inProcess();
  const line = args.map((arg) =>
    /^(out|.*\.(jsonl|gz|json|yaml))$/.test(arg) ? join(folder, arg) : arg,
  );
  const code = await runProgram(line, terminal);
  const plain = (text: string): string => text.replaceAll(`${folder}/`, "");
  return { code, stdout: plain(terminal.stdout.text), stderr: plain(terminal.stderr.text) };
}

const LEARN = ["learn", "--calls", "calls.jsonl", "-o", "out"];

function folderOf(lines: readonly unknown[]): string {
  return temporaryFolder({ "calls.jsonl": jsonl(lines), "tools.json": JSON.stringify(TOOLS) });
}

test("each group gets a policy that checks, is laid out, and denies nothing of what it was learned from", async () => {
  const folder = folderOf([...BILLS, ...NOTES]);
  expect(await run(folder, ...LEARN, "--tools", "tools.json")).toEqual({
    code: 0,
    stdout: "out/pay.yaml: from 3 runs, 6 calls\nout/note.yaml: from 1 run, 1 call\n",
    stderr: "",
  });
  expect(readdirSync(join(folder, "out")).toSorted()).toEqual(["note.yaml", "pay.yaml"]);
  for (const file of ["out/pay.yaml", "out/note.yaml"]) {
    expect(await run(folder, "check", file)).toMatchObject({ code: 0, stderr: "" });
    expect(await run(folder, "fmt", "--check", file)).toMatchObject({ code: 0 });
  }
  const simulated = ["simulate", "--policy", "out", "--calls", "calls.jsonl"];
  expect(await run(folder, ...simulated)).toMatchObject({
    code: 0,
    stdout: "7 calls of 4 sequences: 0 denied in 0 sequences\n",
  });
});

test("the policies decide: each for its group, with the action types and schemas of the tools", async () => {
  const folder = folderOf([...BILLS, ...NOTES]);
  await run(folder, ...LEARN, "--tools", "tools.json");
  const pay = { tool: "send_money", args: { recipient: "UK99", amount: 4 } };
  const lines = [
    { sequence_id: "a", group: "pay", context: { request: "Pay 4 to UK99" }, ...pay },
    { sequence_id: "b", group: "pay", context: { request: "Pay 4 to UK98" }, ...pay },
    { sequence_id: "c", group: "note", ...pay },
    { sequence_id: "c", tool: "read_file", args: { path: "b.txt" } },
  ];
  writeFileSync(join(folder, "others.jsonl"), jsonl(lines));
  const { stdout } = await run(
    folder,
    "simulate",
    "--policy",
    "out",
    "--calls",
    "others.jsonl",
    "--json",
  );
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toMatchObject([
    { decision: "ALLOW" },
    { deny_code: "ARGUMENT_VIOLATION", rule: "tools.send_money.grounded.recipient" },
    { deny_code: "NO_POLICY_MATCH" },
    { decision: "ALLOW" },
  ]);
  expect(readFileSync(join(folder, "out/pay.yaml"), "utf8")).toContain("action: PAY");
});

test("without groups there is one policy", async () => {
  const folder = folderOf(BILLS.map(({ ...line }) => ({ ...line, group: undefined })));
  expect(await run(folder, ...LEARN)).toMatchObject({
    code: 0,
    stdout: "out/policy.yaml: from 3 runs, 6 calls\n",
  });
});

test.each([
  ["agent_id", ["bot-0", "bot-1"]],
  ["context.team", ["red"]],
])("--group %s groups by something else", async (key, groups) => {
  const folder = folderOf(BILLS);
  expect(await run(folder, ...LEARN, "--group", key)).toMatchObject({ code: 0 });
  expect(readdirSync(join(folder, "out")).toSorted()).toEqual(groups.map((name) => `${name}.yaml`));
});

test("a call that names no agent is its run's owner's, as for simulate", async () => {
  const [named, bare] = [folderOf(BILLS), folderOf(BILLS.map(withoutAgent))];
  for (const folder of [named, bare])
    expect(await run(folder, ...LEARN)).toMatchObject({ code: 0, stderr: "" });
  const drafts = [named, bare].map((folder) => readFileSync(join(folder, "out/pay.yaml"), "utf8"));
  expect(drafts[1]).toBe(drafts[0]);
});

function withoutAgent(line: (typeof BILLS)[number]) {
  const { agent_id: _agent, ...call } = line;
  return "tool" in line ? call : line;
}

test("a compressed file serves, and --json says what was made", async () => {
  const folder = folderOf([]);
  writeFileSync(join(folder, "calls.jsonl.gz"), gzipSync(jsonl(NOTES)));
  const { code, stdout } = await run(
    folder,
    "learn",
    "--calls",
    "calls.jsonl.gz",
    "-o",
    "out",
    "--json",
  );
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    policies: [
      {
        group: "note",
        file: "out/note.yaml",
        policy: { id: "note", version: "1", digest: expect.stringMatching(/^sha256:/) },
        runs: 1,
        calls: 1,
      },
    ],
  });
});

test("nothing is overwritten, and then nothing is written", async () => {
  const folder = folderOf(NOTES);
  await run(folder, ...LEARN);
  writeFileSync(join(folder, "out/note.yaml"), "mine");
  writeFileSync(join(folder, "calls.jsonl"), jsonl([...BILLS, ...NOTES]));
  expect(await run(folder, ...LEARN)).toEqual({
    code: 2,
    stdout: "",
    stderr: "out/note.yaml: is there already; learn overwrites nothing\n",
  });
  expect(readdirSync(join(folder, "out"))).toEqual(["note.yaml"]);
  expect(readFileSync(join(folder, "out/note.yaml"), "utf8")).toBe("mine");
});

const [OPENING = {}, ...CALLS] = BILLS;

test.each<readonly [string, readonly unknown[], string]>([
  ["what is no JSON", [OPENING, '{"sequence_id": x}'], "calls.jsonl:2:17: "],
  [
    "a member that a line has not",
    [{ sequence_id: "a", tol: "x" }],
    "calls.jsonl:1:1: unknown member 'tol'",
  ],
  [
    "a call that no gate would read",
    [{ sequence_id: "a", tool: "x", args: 7 }],
    "calls.jsonl:1:1: no gate would read this call: request.args is at fault",
  ],
  [
    "another agent in the same run",
    [OPENING, { sequence_id: "pay-0", agent_id: "other", tool: "x" }],
    "calls.jsonl:2:1: no gate would read this call: request.agent_id",
  ],
  [
    "a second group of a run",
    [OPENING, { sequence_id: "pay-0", group: "other" }],
    "calls.jsonl:2:1: the sequence was opened with pay group",
  ],
  [
    "runs of which some have no group",
    [...BILLS, { sequence_id: "x", tool: "y" }],
    "calls.jsonl:10:1: the sequence has no group, and others have one",
  ],
  [
    "a group that is no file name",
    [{ sequence_id: "x", group: "../../up", tool: "y" }],
    "calls.jsonl:1:1: the group '../../up' cannot be the name of a file",
  ],
  ["a file without calls", [OPENING], "calls.jsonl: holds no call"],
  [
    "a call that no policy allows",
    [{ sequence_id: "x", tool: "y", args: { constructor: 1 } }],
    "calls.jsonl:1:1: no policy allows this call beside the others: ARGUMENT_VIOLATION at tools.y.args",
  ],
  [
    "a function in two steps",
    [
      { sequence_id: "x", function: "f", action_type: "A", step: "s" },
      { sequence_id: "x", function: "f", action_type: "A", step: "t" },
    ],
    "calls.jsonl:2:1: no policy allows this call beside the others: NO_POLICY_MATCH at functions.f.step",
  ],
])("refuses %s, and writes nothing", async (_, lines, message) => {
  const folder = folderOf(lines);
  const { code, stderr, stdout } = await run(folder, ...LEARN);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(message);
  expect(existsSync(join(folder, "out"))).toBe(false);
});

test("faults of the tools and of --group are named", async () => {
  const folder = folderOf([OPENING, ...CALLS]);
  writeFileSync(join(folder, "bad.json"), '[{ "nam": "x" }]');
  expect(await run(folder, ...LEARN, "--tools", "bad.json")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^bad\.json:1:\d+: .*did you mean 'name'/s),
  });
  expect(await run(folder, ...LEARN, "--group", "colour")).toMatchObject({
    code: 2,
    stderr: "--group: 'colour' is none of group, agent_id, tenant, context.<name>\n",
  });
  expect(await run(folder, ...LEARN, "--group", "context.request.deep")).toMatchObject({ code: 0 });
});

test("--help says what is written and how to go on", async () => {
  const { code, stdout } = await run("/nowhere", "learn", "--help");
  expect(code).toBe(0);
  expect(stdout).toContain("<group>.yaml for each group");
  expect(stdout).toContain("stepgate simulate --policy");
});
