/** `stepgate diff`: what a change of a policy newly allows and newly denies, for people and for continuous integration. */
import { join } from "node:path";
import { expect, test } from "vitest";
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
