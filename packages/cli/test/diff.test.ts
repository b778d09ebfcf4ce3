/** `stepgate diff`: what a change of a policy newly allows and newly denies, for people and for continuous integration. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const BEFORE = `schema: stepgate.policy/1
id: refunds
version: "1"
sequence: look_up, refund, settle
functions: { look_up: [READ], refund: [WRITE_DB], settle: [WRITE_SUMMARY] }
tools:
  get_order: { function: look_up, action: READ }
  pay_back: { function: refund, action: WRITE_DB }
`;
// The look-up may be left out, and settling needs no summary of this kind any more.
const AFTER = BEFORE.replace("look_up, refund", "look_up?, refund").replace(
  "WRITE_SUMMARY",
  "READ",
);

function files(): readonly [cwd: string, before: string, after: string] {
  const cwd = temporaryFolder({ "a.yaml": BEFORE, "b.yaml": AFTER });
  return [cwd, join(cwd, "a.yaml"), join(cwd, "b.yaml")];
}

async function diff(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(["diff", ...args], terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

test("each change is told once, with the shortest run that both policies allow before it", async () => {
  const [cwd] = files();
  expect(await stepgate(cwd, ["diff", "a.yaml", "b.yaml"])).toEqual({
    code: 0,
    stdout: [
      "newly allowed pay_back at the beginning",
      "newly allowed settle READ after get_order, pay_back",
      "newly denied  settle WRITE_SUMMARY after get_order, pay_back; ACTION_NOT_ALLOWED [functions.settle.actions]",
      "2 newly allowed, 1 newly denied, 0 unknown",
      "",
    ].join("\n"),
    stderr: "",
  });
});

test("--fail-on makes a change a finding, and only the kind that it names", async () => {
  const [, a, b] = files();
  expect((await diff(a, b, "--fail-on", "newly-allowed")).code).toBe(1);
  expect((await diff(a, b, "--fail-on", "unknown")).code).toBe(0);
  expect((await diff(a, b, "--fail-on", "unknown", "newly-denied")).code).toBe(1);
  expect((await diff(a, a, "--fail-on", "newly-allowed", "newly-denied")).code).toBe(0);
  expect((await diff(a, b, "--fail-on", "everything")).code).toBe(2);
});

test("--json is the comparison as one document", async () => {
  const [, a, b] = files();
  const { stdout } = await diff(b, a, "--json");
  const document = JSON.parse(stdout);
  expect(document.newlyDenied.map(({ call }: { call: unknown }) => call)).toContainEqual({
    tool: "pay_back",
  });
  expect(document.newlyAllowed).toEqual([
    expect.objectContaining({ call: { function: "settle", action_type: "WRITE_SUMMARY" } }),
  ]);
});

test("a policy that does not load is exit 2, with its place", async () => {
  const cwd = temporaryFolder({
    "a.yaml": BEFORE,
    "wrong.yaml": BEFORE.replace("sequence", "sequense"),
  });
  const { code, stderr } = await diff(join(cwd, "a.yaml"), join(cwd, "wrong.yaml"));
  expect(code).toBe(2);
  expect(stderr).toMatch(/wrong\.yaml:4:1: unknown key 'sequense'/);
});

describe("agents", () => {
  const AGENTS = `${BEFORE}agents:\n  "bot-*": { functions: { refund: [] } }\n  "*": {}\n`;

  test("a change is told of each kind of agent, and of calls without one", async () => {
    const cwd = temporaryFolder({ "a.yaml": BEFORE, "b.yaml": AGENTS });
    const { stdout } = await diff(join(cwd, "a.yaml"), join(cwd, "b.yaml"));
    expect(stdout.split("\n").slice(0, 3)).toEqual([
      "newly denied  get_order without an agent at the beginning; ACTION_NOT_ALLOWED [agents]",
      "newly denied  pay_back by bot-x after get_order; ACTION_NOT_ALLOWED [agents.bot-*]",
      "0 newly allowed, 2 newly denied, 0 unknown",
    ]);
  });

  test("that were not all looked at are unknown", async () => {
    const patterns = Array.from({ length: 12 }, (_, index) => `  "*${index}*": {}\n`).join("");
    const cwd = temporaryFolder({ "a.yaml": `${BEFORE}agents:\n${patterns}` });
    const a = join(cwd, "a.yaml");
    const { code, stdout } = await diff(a, a, "--fail-on", "unknown");
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout:
        "not every kind of agent was looked at: there are too many\n0 newly allowed, 0 newly denied, 0 unknown\n",
    });
    expect((await diff(a, a, "--fail-on", "newly-allowed")).code).toBe(0);
    expect((await diff(a, a, "--format", "markdown")).stdout).toContain(
      "**Not every kind of agent was looked at: there are too many.**",
    );
  });
});

test("where arguments decide it is unknown, with the conditions that differ", async () => {
  const before = BEFORE.replace("WRITE_DB }", "WRITE_DB, when: args.amount < 100.0 }");
  const after = before.replace("100.0", "200.0");
  const cwd = temporaryFolder({ "a.yaml": before, "b.yaml": after });
  const { code, stdout } = await diff(
    join(cwd, "a.yaml"),
    join(cwd, "b.yaml"),
    "--fail-on",
    "unknown",
  );
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout:
      "unknown       pay_back: its conditions differ tools.pay_back.when\n0 newly allowed, 0 newly denied, 1 unknown\n",
  });
});

describe("--format", () => {
  test("json is what --json is", async () => {
    const [, a, b] = files();
    expect(await diff(a, b, "--format", "json")).toEqual(await diff(a, b, "--json"));
  });

  test("markdown is a comment for a pull request", async () => {
    const [, a, b] = files();
    const { code, stdout } = await diff(a, b, "--format", "markdown", "--fail-on", "newly-denied");
    expect(code).toBe(1);
    expect(stdout).toBe(`### Policy \`refunds\` \`1\` → \`refunds\` \`1\`

**2 newly allowed, 1 newly denied, 0 unknown**

#### Newly allowed

| call | after | was refused by |
| --- | --- | --- |
| \`pay_back\` | *the beginning* | SEQUENCE_VIOLATION \`sequence\` |
| \`settle READ\` | \`get_order\`, \`pay_back\` | ACTION_NOT_ALLOWED \`functions.settle.actions\` |

#### Newly denied

| call | after | is refused by |
| --- | --- | --- |
| \`settle WRITE_SUMMARY\` | \`get_order\`, \`pay_back\` | ACTION_NOT_ALLOWED \`functions.settle.actions\` |

<sub>Exact for the order, constraints, agents and limits of a sequence; what arguments, time or other sequences decide is unknown.</sub>
`);
  });

  test("markdown of no change is its numbers", async () => {
    const [, a] = files();
    const { stdout } = await diff(a, a, "--format", "markdown");
    expect(stdout).toContain("**0 newly allowed, 0 newly denied, 0 unknown**");
    expect(stdout).not.toContain("####");
  });

  test("markdown shows a version as it is, whatever it holds", async () => {
    const after = BEFORE.replace('version: "1"', 'version: "`2`` @team [x](y) <b>"');
    const cwd = temporaryFolder({ "a.yaml": BEFORE, "b.yaml": after });
    const { stdout } = await diff(join(cwd, "a.yaml"), join(cwd, "b.yaml"), "--format", "markdown");
    expect(stdout.split("\n")[0]).toBe(
      "### Policy `refunds` `1` → `refunds` ``` `2`` @team [x](y) <b> ```",
    );
  });

  test("markdown of a great many changes fits a comment, and says what it leaves out", async () => {
    const tools = Array.from(
      { length: 2000 },
      (_, index) => `  tool_${index}_with_a_long_name: { function: look_up, action: READ }\n`,
    ).join("");
    const cwd = temporaryFolder({ "a.yaml": BEFORE, "b.yaml": BEFORE + tools });
    const { stdout } = await diff(join(cwd, "a.yaml"), join(cwd, "b.yaml"), "--format", "markdown");
    expect(stdout.length).toBeLessThan(65_000);
    expect(stdout).toMatch(/\n… and 1\d\d\d more, which `stepgate diff --json` tells\n/);
  });
});
