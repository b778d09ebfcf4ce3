/** The GitHub Action: what it finds in a branch, and when it fails. */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { validateAction } from "@action-validator/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { REFUNDS, temporaryFolder } from "./binary.ts";
import {
  ACTION,
  act,
  action,
  commit,
  git,
  installed,
  NARROWER,
  repository,
  TESTED,
  WIDER,
} from "./github-job.ts";

describe("action.yml", () => {
  test("is what GitHub's schema asks for", () => {
    expect(validateAction(ACTION).errors).toEqual([]);
    expect(
      validateAction(ACTION.replace("using: composite", "using: composit")).errors,
    ).not.toEqual([]);
  });

  test("has no expression in a script: names of branches and files reach it by environment alone", () => {
    const scripts = action.runs.steps.flatMap(({ run: script }) => script ?? []);
    expect(scripts).toHaveLength(2);
    for (const script of scripts) expect(script).not.toContain("${{");
  });
});

describe("a pull request", () => {
  test("fails by fail-on only for the changes that it names", async () => {
    const cwd = await repository({ "refunds.yaml": REFUNDS }, { "refunds.yaml": WIDER });
    const off = { comment: "false" };
    expect((await act(cwd, { inputs: { ...off, "fail-on": "newly-denied unknown" } })).code).toBe(
      0,
    );
    const { code, stdout } = await act(cwd, {
      inputs: { ...off, "fail-on": "unknown, newly-allowed" },
    });
    expect(code).toBe(1);
    expect(stdout).toContain("::error::fail-on: there is newly-allowed\n");
    expect(await act(cwd, { inputs: { "fail-on": "newly-alowed" } })).toMatchObject({
      code: 2,
      stderr: "fail-on: 'newly-alowed' is not newly-allowed, newly-denied or unknown\n",
    });
  });

  test("with a policy that is new, or gone, is told of it, and fail-on counts it", async () => {
    const cwd = await repository(
      { "old.yaml": REFUNDS },
      { "old.yaml": undefined, "new.yaml": REFUNDS.replace("id: refunds", "id: other") },
    );
    const { code, summary } = await act(cwd, {
      inputs: { "fail-on": "newly-allowed", comment: "false" },
    });
    expect(code).toBe(1);
    expect(summary).toContain(
      "### `new.yaml` is new\n\n`other` `1`: all that it allows is newly allowed.",
    );
    expect(summary).toContain("### `old.yaml` is gone\n\nWhatever it allowed is newly denied.");
    expect(summary).toContain("**1 newly allowed, 1 newly denied**");
    await commit(cwd, { "new.yaml": undefined });
    const gone = await act(cwd, { inputs: { "fail-on": "newly-allowed", comment: "false" } });
    expect(gone).toMatchObject({ code: 0, summary: expect.stringContaining("`old.yaml` is gone") });
  });

  test("that moves a policy is compared with where it was", async () => {
    const cwd = await repository(
      { "old.yaml": REFUNDS },
      { "old.yaml": undefined, "new.yaml": WIDER },
    );
    const { summary } = await act(cwd, { inputs: { comment: "false" } });
    expect(summary).toContain(
      "`new.yaml`, before in `old.yaml`:\n\n### Policy `refunds` `1` → `refunds` `1`\n\n**1 newly allowed, 0 newly denied, 0 unknown**",
    );
  });

  test("that breaks a policy or a test fails, with annotations at the lines, and the report says so", async () => {
    const cwd = await repository(
      { "a.yaml": TESTED, "b.yaml": TESTED },
      {
        "a.yaml": TESTED.replace("lookup, refund", "lookup?, refund"),
        "b.yaml": TESTED.replace("id:", "idd:"),
      },
    );
    const { code, stdout, summary, junit, junitFile } = await act(cwd, {
      inputs: { comment: "false" },
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^::error file=b\.yaml,line=2,col=1,title=invalid-policy::unknown key 'idd'/m,
    );
    expect(stdout).toMatch(
      /^::error file=a\.yaml,line=15,col=\d+,title=test-failed::test 'a look-up comes first'/m,
    );
    expect(summary).toContain("**A test fails.**");
    expect(summary).toContain("**A policy does not load.**");
    expect(summary).toContain("### `b.yaml` does not load\n\n`b.yaml:");
    expect(junit).toContain("expected SEQUENCE_VIOLATION, got ALLOW");
    expect(junitFile).toMatch(/stepgate-junit\.xml$/);
  });

  test("is compared with where it left its base, not with what the base did since", async () => {
    const cwd = await repository({ "refunds.yaml": REFUNDS }, {});
    await git(cwd, "switch", "--quiet", "main");
    await commit(cwd, { "refunds.yaml": NARROWER });
    await git(cwd, "switch", "--quiet", "change");
    const { summary } = await act(cwd, { inputs: { comment: "false" } });
    expect(summary).toContain("No policy differs from ");
  });

  test("plays files of tests, wherever under the policies they lie, and takes paths as git does", async () => {
    const beside =
      "policy: ../p/refunds.yaml\ntests: [{ name: t, calls: [{ tool: refund, expect: ALLOW }] }]\n";
    const files = { "p/refunds.yaml": REFUNDS, "t/a.policy-test.yaml": beside };
    const cwd = await repository(files, {});
    expect((await act(cwd)).stdout).toContain("::error file=t/a.policy-test.yaml,line=2,");
    expect((await act(cwd, { inputs: { policies: "p/*.yaml\n\n  README.md" } })).code).toBe(0);
    expect(await act(cwd, { inputs: { policies: "q" } })).toMatchObject({
      code: 2,
      stderr: "q: git knows no policy here\n",
    });
  });
});

test("a base that the clone lacks is fetched, and one that cannot be is exit 2 with the way out", async () => {
  const origin = await repository({ "refunds.yaml": REFUNDS }, { "refunds.yaml": WIDER });
  const cwd = temporaryFolder();
  await git(cwd, "clone", "--quiet", "--depth=1", "--branch=change", `file://${origin}`, "clone");
  const clone = join(cwd, "clone");
  const inputs = { comment: "false" };
  const { code, summary } = await act(clone, { inputs: { ...inputs, base: "main" } });
  expect({ code, summary }).toEqual({
    code: 0,
    summary: expect.stringContaining("**1 newly allowed"),
  });
  renameSync(origin, `${origin}-gone`);
  onTestFinished(() => rmSync(`${origin}-gone`, { recursive: true }));
  const lost = await act(clone, { inputs: { ...inputs, base: "--upload-pack=touch pwned" } });
  expect(lost.code).toBe(2);
  expect(lost.stderr).toContain("is not in this clone (check it out too, with `fetch-depth: 0`)");
});

test("without a base, on a push, policies are checked and tested and nothing is compared", async () => {
  const cwd = await repository({ "a.yaml": TESTED }, {});
  const { code, stdout } = await act(cwd, { inputs: { base: "" } });
  expect(code).toBe(0);
  expect(stdout).toContain("1 passed, 0 failed\n");
  expect(stdout).toContain("Nothing to compare with.");
});

test("installs what its program needs, from nothing but its own checkout", async (context) => {
  const { code, stdout, stderr, actionPath } = await installed();
  const isUnknown = /ENOTCACHED|ERR_PNPM_NO_OFFLINE/.test(stdout + stderr);
  context.skip(
    code !== 0 && isUnknown,
    "this machine has not downloaded pnpm and the packages yet",
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const cwd = await repository({ "refunds.yaml": REFUNDS }, { "refunds.yaml": WIDER });
  const { code: reviewed, summary } = await act(cwd, { actionPath, inputs: { comment: "false" } });
  expect({ reviewed, summary }).toEqual({
    reviewed: 0,
    summary: expect.stringContaining("**1 newly allowed"),
  });
});
