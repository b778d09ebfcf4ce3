/** `stepgate graph`: the order as a picture on stdout or in a file, and as data. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { graphPolicy, parsePolicy } from "@stepgate/policy";
import { expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const policy = parsePolicy(REFUNDS);

async function graph(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(["graph", ...args], terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

test("is plain text unless another format is asked for", async () => {
  const cwd = temporaryFolder({ "policy.yaml": REFUNDS });
  expect(await stepgate(cwd, ["graph", "policy.yaml"])).toEqual({
    code: 0,
    stdout: graphPolicy(policy, "ascii"),
    stderr: "",
  });
});

test.each(["ascii", "mermaid", "svg"] as const)("--format %s is that format", async (format) => {
  const file = join(temporaryFolder({ "policy.yaml": REFUNDS }), "policy.yaml");
  expect(await graph(file, "--format", format)).toEqual({
    code: 0,
    stdout: `${graphPolicy(policy, format).trimEnd()}\n`,
    stderr: "",
  });
});

test("a single step, what seals, and what is outside the order can be read", async () => {
  const text = `schema: stepgate.policy/1
id: one
version: "1"
sequence: only
functions: { only: [DO], look: { step: "*", actions: [READ] } }
sealOn: [DO]
`;
  const file = join(temporaryFolder({ "one.yaml": text }), "one.yaml");
  expect((await graph(file)).stdout).toBe(`one 1
only

  (start)
    v
+-------------------+
| only  1x  [seals] |
| DO (seals)        |
+-------------------+
    v
  (end)

at any time
  look: READ
`);
});

test.each([
  ["picture.svg", "svg"],
  ["picture.mmd", "mermaid"],
  ["picture.MERMAID", "mermaid"],
  ["picture.txt", "ascii"],
] as const)("-o %s is written as its name says", async (name, format) => {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const [file, target] = [join(folder, "policy.yaml"), join(folder, name)];
  expect(await graph(file, "-o", target)).toEqual({
    code: 0,
    stdout: `wrote ${target}\n`,
    stderr: "",
  });
  expect(readFileSync(target, "utf8")).toBe(graphPolicy(policy, format));
});

test("--format goes before the file's name", async () => {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const target = join(folder, "picture.svg");
  await graph(join(folder, "policy.yaml"), "-o", target, "--format", "mermaid");
  expect(readFileSync(target, "utf8")).toBe(graphPolicy(policy, "mermaid"));
});

test("--json is what the picture shows, as one document, beside the file", async () => {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const target = join(folder, "picture.svg");
  const { code, stdout } = await graph(join(folder, "policy.yaml"), "--json", "-o", target);
  expect(code).toBe(0);
  const document = JSON.parse(stdout);
  expect(Object.keys(document)).toEqual(["policy", "order", "nodes", "edges", "free", "notes"]);
  expect(document.policy).toEqual({ id: "refunds", version: "1", digest: policy.digest });
  expect(document.nodes[0]).toEqual({ kind: "start", name: "start", times: "", lines: [] });
  expect(document.edges[0]).toEqual({ from: 0, to: 1 });
  expect(readFileSync(target, "utf8")).toBe(graphPolicy(policy, "svg"));
});

test("what cannot be read, written or drawn is exit 2, and nothing is written", async () => {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS, "wrong.yaml": "id: x\n" });
  const target = join(folder, "picture.svg");
  expect(await graph(join(folder, "wrong.yaml"), "-o", target)).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(/^.*wrong\.yaml:1:1: /),
  });
  expect(existsSync(target)).toBe(false);
  const nowhere = join(folder, "none", "picture.svg");
  expect(await graph(join(folder, "policy.yaml"), "-o", nowhere)).toMatchObject({
    code: 2,
    stdout: "",
    stderr: `${nowhere}: no such file or folder\n`,
  });
  expect((await graph(join(folder, "policy.yaml"), "--format", "png")).code).toBe(2);
});
