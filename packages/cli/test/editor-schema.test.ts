/** What an editor shows of a policy that `init` wrote, by the language server that editors run. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { policyJsonSchema } from "@stepgate/policy";
import { expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";
import { startEditor } from "./language-server.ts";

const INSTALLED = "node_modules/@stepgate/policy/dist/policy.schema.json";

async function begun(folder: string): Promise<string> {
  expect(await runProgram(["init", folder], inProcess())).toBe(0);
  return readFileSync(join(folder, "policy.yaml"), "utf8");
}

test("a sound policy has no faults, a misspelt member is marked at its line, and members are offered", async () => {
  const folder = temporaryFolder();
  const text = await begun(folder);
  expect(text).toMatch(/^# yaml-language-server: \$schema=\.\/\.stepgate\/policy\.schema\.json\n/);
  const editor = await startEditor(folder);
  expect(await editor.open("policy.yaml", text)).toEqual([]);
  const wrong = text
    .replace("\nlifetime:", "\nlifetme:")
    .replace("function: intake", "functoin: x");
  const line = (part: string): number =>
    wrong.split("\n").findIndex((row) => row.includes(part)) + 1;
  const faults = await editor.open("wrong.yaml", wrong);
  expect(faults).toContainEqual({
    line: line("lifetme"),
    message: "Property lifetme is not allowed.",
  });
  expect(faults).toContainEqual({
    line: line("functoin"),
    message: "Property functoin is not allowed.",
  });
  await editor.open("more.yaml", `${text}\nse`);
  const offered = await editor.complete();
  expect(offered).toContain("sealOn");
  expect(offered).toContain("constraints");
  expect(offered).not.toContain("sequence");
}, 60_000);

test("the schema is that of the language, and an older one makes way", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, ".stepgate"), { mode: 0o700 });
  writeFileSync(join(folder, ".stepgate/policy.schema.json"), "{}");
  await begun(folder);
  const written = readFileSync(join(folder, ".stepgate/policy.schema.json"), "utf8");
  expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())));
});

test("where the package is installed its own schema is named, and none is written", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, dirname(INSTALLED)), { recursive: true });
  writeFileSync(join(folder, INSTALLED), JSON.stringify(policyJsonSchema()));
  const text = await begun(folder);
  expect(text.split("\n")[0]).toBe(`# yaml-language-server: $schema=./${INSTALLED}`);
  expect(readdirSync(join(folder, ".stepgate"))).not.toContain("policy.schema.json");
  const editor = await startEditor(folder);
  const faults = await editor.open("policy.yaml", text.replace("\nversion:", "\nverison:"));
  expect(faults.map(({ message }) => message)).toContain("Property verison is not allowed.");
}, 60_000);
