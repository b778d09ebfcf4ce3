/** The README keeps its word: its program runs and prints what it says, and its links lead somewhere. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkPolicy } from "stepgate";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const [program = "", output = ""] = [...readme.matchAll(/```(?:ts)?\n(.*?)```/gs)].map(
  ([, block]) => block,
);

test("the README's first program is this example, to the letter", () => {
  expect(program).toBe(readFileSync(join(import.meta.dirname, "main.ts"), "utf8"));
});

test("it prints what the README says, twice in one folder too, and leaves receipts and keys", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "stepgate-quickstart-"));
  try {
    for (let run = 0; run < 2; run++) {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [join(import.meta.dirname, "main.ts")],
        { cwd },
      );
      expect(stdout).toBe(output);
    }
    expect(existsSync(join(cwd, "stepgate.db"))).toBe(true);
    expect(existsSync(join(cwd, ".stepgate/keys.json"))).toBe(true);
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test("the README's contract loads without a finding", () => {
  const [, contract = ""] = /```yaml\n(.*?)```/s.exec(readme) ?? [];
  const { issues, warnings } = checkPolicy(contract);
  expect([...issues, ...warnings]).toEqual([]);
});

test.each(
  [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/guide/README.md",
    "packages/policy/REFERENCE.md",
    ...packagesWithReadme(),
  ].map((file) => [file]),
)("every relative link of %s leads to a file", (file) => {
  const links = [
    ...readFileSync(join(root, file), "utf8").matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g),
  ].map(([, link = ""]) => link);
  const missing = links.filter(
    (link) => !link.includes("://") && !existsSync(join(root, file, "..", link)),
  );
  expect(missing).toEqual([]);
});

function packagesWithReadme(): readonly string[] {
  return ["ai-sdk", "cli", "core", "express", "langchain", "policy", "store-sqlite"].map(
    (name) => `packages/${name}/README.md`,
  );
}
