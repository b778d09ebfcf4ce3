/** `stepgate check`: faults at their places, in every format, and warnings that do not fail. */
import { join } from "node:path";
import sarif from "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json" with { type: "json" };
import { parsePolicy } from "@stepgate/policy";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const WRONG = REFUNDS.replace("function: refund,", "function: refnd,").replace(
  "sequence:",
  "sequense:",
);
const WARNED = REFUNDS.replace(
  '  report: { step: "*", actions: [EMIT_EVENT] }',
  '  report: { step: "*", actions: [] }',
);

const STUCK = `schema: stepgate.policy/1
id: refunds
version: "1"
sequence: look_up, (refund, audit | settle)
functions:
  look_up: [READ]
  refund: [WRITE_DB]
  audit: []
  settle: [SEAL]
tools:
  get_order: { function: look_up, action: READ }
`;
const NEVER = STUCK.replace(" | settle)", ")").replace("  settle: [SEAL]\n", "");

// What the schema was written in says `id` where ajv's says `$id`; nothing else in it differs.
const { id: _id, $schema: _dialect, ...schema } = sarif;
const isSarif = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false }).compile(
  schema,
);

async function check(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(["check", ...args], terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

describe("pretty", () => {
  test("a policy that loads is ok, with its digest", async () => {
    const cwd = temporaryFolder({ "policy.yaml": REFUNDS });
    expect(await stepgate(cwd, ["check", "policy.yaml"])).toEqual({
      code: 0,
      stdout: `ok policy.yaml: refunds 1 ${parsePolicy(REFUNDS).digest}\n`,
      stderr: "",
    });
  });

  test("every fault of every file is on stderr as file:line:column, and the exit code is 1", async () => {
    const cwd = temporaryFolder({ "good.yaml": REFUNDS, "wrong.yaml": WRONG });
    const { code, stdout, stderr } = await stepgate(cwd, ["check", "good.yaml", "wrong.yaml"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ok good\.yaml: /);
    expect(stdout).not.toContain("wrong.yaml");
    const lines = stderr.trim().split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) expect(line).toMatch(/^wrong\.yaml:\d+:\d+: /);
    expect(lines).toContainEqual(
      expect.stringMatching(/^wrong\.yaml:4:1: unknown key 'sequense'; did you mean 'sequence'/),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^wrong\.yaml:12:23: .*'refnd'.*'refund'/));
  });

  test("a warning is shown and does not fail", async () => {
    const file = join(temporaryFolder({ "policy.yaml": WARNED }), "policy.yaml");
    const { code, stdout, stderr } = await check(file);
    expect(code).toBe(0);
    expect(stdout).toContain(`ok ${file}`);
    expect(stderr).toBe(
      `${file}:9:3: warning: function 'report' permits no action type (empty-actions)\n`,
    );
  });

  test("below a finding stands the shortest run that shows it", async () => {
    const file = join(temporaryFolder({ "stuck.yaml": STUCK }), "stuck.yaml");
    const { code, stderr } = await check(file);
    expect(code).toBe(0);
    expect(stderr.split("\n")).toEqual([
      `${file}:4:11: warning: a run can get stuck: the order can no longer be completed (dead-end)`,
      "    shortest run: get_order, refund WRITE_DB",
      `${file}:4:29: warning: step 'audit' can never be passed (unreachable-step)`,
      `${file}:8:3: warning: function 'audit' permits no action type (empty-actions)`,
      "",
    ]);
  });

  test("a policy that can never be completed is exit 1, and its warnings say why", async () => {
    const file = join(temporaryFolder({ "never.yaml": NEVER }), "never.yaml");
    const { code, stdout, stderr } = await check(file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const lines = stderr.split("\n");
    expect(lines[0]).toMatch(
      /never\.yaml:4:11: this policy can never be completed: .*\(never-completable\); a step/,
    );
    expect(lines).toContain(
      `${file}:8:3: warning: function 'audit' permits no action type (empty-actions)`,
    );
  });

  test("of a long run both ends are shown", async () => {
    const text = STUCK.replace("look_up, (", "look_up{30}, (");
    const file = join(temporaryFolder({ "long.yaml": text }), "long.yaml");
    const run = `${"get_order, ".repeat(6)}… 20 more …, ${"get_order, ".repeat(4)}refund WRITE_DB`;
    expect((await check(file)).stderr).toContain(`\n    shortest run: ${run}\n`);
  });

  test("a file that cannot be read is exit 2", async () => {
    expect(await check("/none/such.yaml")).toMatchObject({
      code: 2,
      stdout: "",
      stderr: "/none/such.yaml: no such file or folder\n",
    });
  });
});

describe("for programs", () => {
  const folder = (): string => temporaryFolder({ "wrong.yaml": WRONG, "warned.yaml": WARNED });

  test("--json is one document, and stderr is silent", async () => {
    const at = folder();
    const { code, stdout, stderr } = await check(
      join(at, "wrong.yaml"),
      join(at, "warned.yaml"),
      "--json",
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ warnings: 1 });
    expect(document.errors).toBe(document.files[0].findings.length);
    expect(document.files[0]).toMatchObject({ file: join(at, "wrong.yaml") });
    expect(document.files[0].policy).toBeUndefined();
    expect(document.files[0].findings).toContainEqual(
      expect.objectContaining({ severity: "error", code: "invalid-policy", line: 4, column: 1 }),
    );
    expect(document.files[1]).toMatchObject({
      policy: { id: "refunds", digest: parsePolicy(WARNED).digest },
      findings: [{ severity: "warning", code: "empty-actions", line: 9, column: 3 }],
    });
    expect(
      await check(join(at, "wrong.yaml"), join(at, "warned.yaml"), "--format", "json"),
    ).toEqual({ code, stdout, stderr });
  });

  test("--format github annotates lines", async () => {
    const at = folder();
    const { code, stdout } = await check(
      join(at, "wrong.yaml"),
      join(at, "warned.yaml"),
      "--format",
      "github",
    );
    expect(code).toBe(1);
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toMatch(
      new RegExp(`^::error file=${at}/wrong\\.yaml,line=\\d+,col=\\d+,title=invalid-policy::`),
    );
    expect(lines.at(-1)).toBe(
      `::warning file=${at}/warned.yaml,line=9,col=3,title=empty-actions::function 'report' permits no action type`,
    );
  });

  test("--format github escapes what would begin another command or property", async () => {
    const file = join(temporaryFolder({ "a,b:c%.yaml": 'id: "a\\nb"\n' }), "a,b:c%.yaml");
    const { stdout } = await check(file, "--format", "github");
    expect(stdout).toContain("/a%2Cb%3Ac%25.yaml,line=");
    for (const line of stdout.trim().split("\n")) expect(line).toMatch(/^::error /);
  });

  test("--format json has a shortest run as data, and how certain it is", async () => {
    const file = join(temporaryFolder({ "stuck.yaml": STUCK }), "stuck.yaml");
    const document = JSON.parse((await check(file, "--format", "json")).stdout);
    expect(document.files[0].findings[0]).toEqual({
      severity: "warning",
      code: "dead-end",
      path: "sequence",
      line: 4,
      column: 11,
      message: "a run can get stuck: the order can no longer be completed",
      certainty: "proved",
      trace: [{ tool: "get_order" }, { function: "refund", action_type: "WRITE_DB" }],
    });
  });

  test("--format github has the run in the annotation", async () => {
    const file = join(temporaryFolder({ "stuck.yaml": STUCK }), "stuck.yaml");
    expect((await check(file, "--format", "github")).stdout.split("\n")[0]).toBe(
      `::warning file=${file},line=4,col=11,title=dead-end::a run can get stuck: the order can no longer be completed%0Ashortest run: get_order, refund WRITE_DB`,
    );
  });

  test.each([
    ["none", REFUNDS],
    ["faults of form", WRONG],
    ["a run that gets stuck", STUCK],
    ["an error of the whole policy", NEVER],
  ])("--format sarif is valid by the schema of SARIF 2.1.0: %s", async (_, text) => {
    const file = join(temporaryFolder({ "a b,c.yaml": text }), "a b,c.yaml");
    const document: unknown = JSON.parse((await check(file, "--format", "sarif")).stdout);
    isSarif(document);
    expect(isSarif.errors).toBe(null);
    // The schema is one that can say no.
    expect(isSarif({ ...(document as object), version: "2.0" })).toBe(false);
  });

  test("--format sarif has a run as a code flow", async () => {
    const file = join(temporaryFolder({ "stuck.yaml": STUCK }), "stuck.yaml");
    const document = JSON.parse((await check(file, "--format", "sarif")).stdout);
    expect(document.runs[0].results[0]).toMatchObject({
      ruleId: "dead-end",
      codeFlows: [
        {
          threadFlows: [
            {
              locations: [
                { location: { message: { text: "get_order" } } },
                { location: { message: { text: "refund WRITE_DB" } } },
              ],
            },
          ],
        },
      ],
      properties: { certainty: "proved" },
    });
  });

  test("--format sarif is SARIF 2.1.0 with a region for each finding", async () => {
    const at = folder();
    const { code, stdout } = await check(join(at, "warned.yaml"), "--format", "sarif");
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({
      version: "2.1.0",
      runs: [{ tool: { driver: { name: "stepgate", rules: [{ id: "empty-actions" }] } } }],
    });
    expect(document.runs[0].results).toEqual([
      {
        ruleId: "empty-actions",
        level: "warning",
        message: { text: "function 'report' permits no action type" },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: `${at}/warned.yaml` },
              region: { startLine: 9, startColumn: 3 },
            },
          },
        ],
        properties: { certainty: "proved" },
      },
    ]);
  });
});
