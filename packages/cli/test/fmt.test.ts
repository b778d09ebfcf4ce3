/** `stepgate fmt`: files in the one layout, replaced at once or not at all, and `--check` for continuous integration. */
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { formatPolicy, parsePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const MESSY = `# Ours.\n\n${REFUNDS.replace("  lookup: [READ]", "  lookup:  # first\n    - 'READ'")}`;
const LAID = formatPolicy(MESSY);
const BROKEN = "id: x\nid: y\n";

async function fmt(args: readonly string[], stdin = "") {
  const terminal = inProcess({ stdin });
  const code = await runProgram(["fmt", ...args], terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

describe("files", () => {
  test("are rewritten with their comments and their mode, and a second time nothing happens", async () => {
    expect(LAID).not.toBe(MESSY);
    const cwd = temporaryFolder({ "p.yaml": MESSY });
    chmodSync(join(cwd, "p.yaml"), 0o640);
    const first = await stepgate(cwd, ["fmt", "p.yaml"]);
    expect(first).toEqual({ code: 0, stdout: "laid out p.yaml\n", stderr: "" });
    expect(readFileSync(join(cwd, "p.yaml"), "utf8")).toBe(LAID);
    expect(LAID).toContain("lookup: [READ] # first\n");
    expect(parsePolicy(LAID).digest).toBe(parsePolicy(MESSY).digest);
    expect(statSync(join(cwd, "p.yaml")).mode & 0o777).toBe(0o640);
    expect(readdirSync(cwd)).toEqual(["p.yaml"]);
    const { ino } = statSync(join(cwd, "p.yaml"));
    expect(await fmt([join(cwd, "p.yaml")])).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(statSync(join(cwd, "p.yaml")).ino).toBe(ino);
  });

  test("that a link leads to are rewritten, and the link stays", async () => {
    const cwd = temporaryFolder({ "p.yaml": MESSY });
    symlinkSync("p.yaml", join(cwd, "link.yaml"));
    expect(await fmt([join(cwd, "link.yaml")])).toMatchObject({ code: 0 });
    expect(lstatSync(join(cwd, "link.yaml")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(cwd, "p.yaml"), "utf8")).toBe(LAID);
  });

  test("of JSON stay JSON", async () => {
    const file = join(temporaryFolder({ "p.json": `{"version":"1","id":"x"}` }), "p.json");
    expect(await fmt([file])).toMatchObject({ code: 0 });
    expect(readFileSync(file, "utf8")).toBe(`{\n  "id": "x",\n  "version": "1"\n}\n`);
  });

  test("that cannot be read stay what they are, each fault at its place, and the others are laid out", async () => {
    const cwd = temporaryFolder({ "broken.yaml": BROKEN, "p.yaml": MESSY });
    expect(await stepgate(cwd, ["fmt", "broken.yaml", "p.yaml"])).toEqual({
      code: 1,
      stdout: "laid out p.yaml\n",
      stderr: "broken.yaml:2:1: 'id' stands twice\n",
    });
    expect(readFileSync(join(cwd, "broken.yaml"), "utf8")).toBe(BROKEN);
  });

  test("that are not there are exit 2", async () => {
    expect(await fmt(["/none/such.yaml"])).toEqual({
      code: 2,
      stdout: "",
      stderr: "/none/such.yaml: no such file or folder\n",
    });
  });
});

describe("--check", () => {
  test("names the files that are not in the layout, changes none, and exits 1", async () => {
    const cwd = temporaryFolder({ "a.yaml": MESSY, "b.yaml": LAID });
    expect(await stepgate(cwd, ["fmt", "--check", "a.yaml", "b.yaml"])).toEqual({
      code: 1,
      stdout: "",
      stderr: "a.yaml: is not in the layout; run stepgate fmt a.yaml\n",
    });
    expect(readFileSync(join(cwd, "a.yaml"), "utf8")).toBe(MESSY);
    expect(await stepgate(cwd, ["fmt", "--check", "b.yaml"])).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
  });
});

describe("- is stdin and stdout", () => {
  test("laid out", async () => {
    expect(await fmt(["-"], MESSY)).toEqual({ code: 0, stdout: LAID, stderr: "" });
    expect(await fmt(["-"], LAID)).toEqual({ code: 0, stdout: LAID, stderr: "" });
  });

  test("checked", async () => {
    const stderr = "stdin: is not in the layout; run stepgate fmt -\n";
    expect(await fmt(["--check", "-"], MESSY)).toEqual({ code: 1, stdout: "", stderr });
    expect(await fmt(["--check", "-"], LAID)).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("refused, and then stdout stays empty", async () => {
    const stderr = "stdin:2:1: 'id' stands twice\n";
    expect(await fmt(["-"], BROKEN)).toEqual({ code: 1, stdout: "", stderr });
  });
});

test("--json is one document: what changed, what could not be read, and the text of stdin", async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "a.yaml"), MESSY);
  writeFileSync(join(cwd, "b.yaml"), BROKEN);
  const { code, stdout, stderr } = await fmt(
    ["--json", join(cwd, "a.yaml"), join(cwd, "b.yaml"), "-"],
    LAID,
  );
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(JSON.parse(stdout)).toEqual({
    changed: 1,
    unreadable: 1,
    files: [
      { file: join(cwd, "a.yaml"), changed: true, issues: [] },
      {
        file: join(cwd, "b.yaml"),
        changed: false,
        issues: [{ path: "id", line: 2, column: 1, message: "'id' stands twice" }],
      },
      { file: "-", changed: false, issues: [], text: LAID },
    ],
  });
});
