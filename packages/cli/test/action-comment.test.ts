/** The GitHub Action: its comment on the pull request. */
import { describe, expect, test } from "vitest";
import { REFUNDS } from "./binary.ts";
import {
  act,
  type Comment,
  commit,
  git,
  gitHub,
  MARKER,
  NARROWER,
  repository,
  WIDER,
} from "./github-job.ts";

const ALLOWED =
  "#### Newly allowed\n\n| call | after | was refused by |\n| --- | --- | --- |\n| `refund` | *the beginning* | SEQUENCE_VIOLATION `sequence` |\n";

describe("the comment", () => {
  const change = () => repository({ "refunds.yaml": REFUNDS }, { "refunds.yaml": WIDER });
  const bot = { login: "github-actions[bot]", type: "Bot" };

  test("tells what changes, and each run brings the one that is there up to date", async () => {
    const cwd = await repository({ "p/refunds.yaml": REFUNDS }, { "p/refunds.yaml": WIDER });
    const { url, comments } = await gitHub();
    const first = await act(cwd, { api: url });
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(comments).toHaveLength(1);
    expect(comments[0]?.body).toMatch(/^<!-- stepgate: .* -->\n## Stepgate/);
    expect(comments[0]?.body).toContain("`p/refunds.yaml`:\n\n### Policy `refunds` `1`");
    expect(comments[0]?.body).toContain(ALLOWED);
    expect(comments[0]?.body).toContain("**1 newly allowed, 0 newly denied**, 0 unknown");
    expect(first.summary).toContain(ALLOWED);
    await commit(cwd, { "p/refunds.yaml": NARROWER });
    expect((await act(cwd, { api: url })).stdout).toContain("comment: updated\n");
    expect(comments).toHaveLength(1);
    expect(comments[0]?.body).not.toContain("Newly allowed");
    expect(comments[0]?.body).toContain(
      "#### Newly denied\n\n| call | after | is refused by |\n| --- | --- | --- |\n| `report EMIT_EVENT` | *the beginning* | NO_POLICY_MATCH `functions` |",
    );
    await commit(cwd, { "p/refunds.yaml": REFUNDS });
    await act(cwd, { api: url });
    expect(comments[0]?.body).toContain("No policy differs from ");
  });

  test("is not begun where no policy changes", async () => {
    const cwd = await repository({ "refunds.yaml": REFUNDS }, {});
    const { url, comments } = await gitHub();
    const { code, stdout } = await act(cwd, { api: url });
    expect({ code, comments }).toEqual({ code: 0, comments: [] });
    expect(stdout).toContain("comment: not needed\n");
  });

  test("of a fork, whose token may not write, is left out without failing the job", async () => {
    const { url, comments } = await gitHub();
    const { code, stdout, summary } = await act(await change(), { api: url, token: "reader" });
    expect({ code, comments }).toEqual({ code: 0, comments: [] });
    expect(stdout).toContain("::notice::no comment: this job's token may not write");
    expect(summary).toContain("newly allowed");
  });

  test("fails nothing where GitHub cannot be reached, and says so", async () => {
    const { code, stdout } = await act(await change());
    expect(code).toBe(0);
    expect(stdout).toContain("::warning::no comment: ");
  });

  test("is found on a later page, and never taken from somebody who wrote the marker", async () => {
    const user = { login: "mallory", type: "User" };
    const others = Array.from({ length: 120 }, (_, index): Comment => ({
      id: index + 1,
      body: index === 3 ? `${MARKER}\nall is well` : "x",
      user,
    }));
    const { url, comments } = await gitHub([
      ...others,
      { id: 500, body: `${MARKER}\nold`, user: bot },
    ]);
    await act(await change(), { api: url });
    expect(comments).toHaveLength(121);
    expect(comments[3]?.body).toBe(`${MARKER}\nall is well`);
    expect(comments[120]?.body).toContain("newly allowed");
  });

  test("has none of a hostile file's name as Markdown, as a command or as a script", async () => {
    const name = "`x` | $(touch pwned)\n::error::<img src=x>.yaml";
    const cwd = await repository({ [name]: REFUNDS }, { [name]: WIDER });
    await git(cwd, "branch", "--force", "main;touch${IFS}pwned", "main");
    const { url, comments } = await gitHub();
    const { code, stdout } = await act(cwd, {
      api: url,
      inputs: { base: "main;touch${IFS}pwned" },
    });
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/^::error/m);
    expect(comments[0]?.body).toContain(
      "\n`` `x` | $(touch pwned)\ufffd::error::<img src=x>.yaml ``:\n",
    );
    expect(await git(cwd, "status", "--porcelain")).toBe("");
  });
});
