/** `stepgate test`: plays the tests that stand in policies, through the gate's own engine. */
import { writeFile } from "node:fs/promises";
import { formatIssue, PolicyError, type PolicyIssue } from "@stepgate/policy";
import type { Command } from "commander";
import type { ExitCode, Output } from "../output.ts";
import { locateIssue, readPolicyFile } from "../policy-file.ts";
import { playTests } from "../policy-tests.ts";
import type { Define } from "../program.ts";
import { reasonOf, unreadable } from "../reading.ts";

interface TestOptions {
  readonly junit?: string;
}

/** A policy's tests, played; one that does not load has played none. */
interface TestedFile {
  readonly file: string;
  readonly tests: readonly { readonly name: string; readonly issues: readonly PolicyIssue[] }[];
  /** Why the policy does not load. */
  readonly issues: readonly PolicyIssue[];
}

/** Adds the command. */
export function addTest(program: Command, define: Define): void {
  const command = program
    .command("test")
    .description("play the tests that stand in policies; exit 1 where one fails")
    .argument("<policy...>", "policy files")
    .option("--junit <file>", "also write the results as JUnit XML");
  define(command, test);
}

async function test(
  output: Output,
  paths: readonly string[],
  { junit }: TestOptions,
): Promise<ExitCode> {
  const files: TestedFile[] = [];
  for (const path of paths) files.push(await testFile(path));
  const tests = files.flatMap((file) => file.tests);
  const failed = tests.filter(({ issues }) => issues.length > 0).length;
  const unloaded = files.filter(({ issues }) => issues.length > 0).length;
  if (output.json) await output.document({ passed: tests.length - failed, failed, files });
  for (const file of files) await printFile(output, file);
  await output.say(`${tests.length - failed} passed, ${failed} failed`);
  if (junit !== undefined) await writeJunit(junit, files);
  return failed + unloaded === 0 ? 0 : 1;
}

async function testFile(path: string): Promise<TestedFile> {
  try {
    const { file, text, policy } = await readPolicyFile(path);
    const tests = (await playTests(policy)).map(({ name, issues }) => ({
      name,
      issues: issues.map((issue) => locateIssue(issue, text)),
    }));
    return { file, tests, issues: [] };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { file: path, tests: [], issues: error.issues };
  }
}

async function printFile(output: Output, { file, tests, issues }: TestedFile): Promise<void> {
  for (const issue of issues) output.error(formatIssue(issue, file));
  for (const { name, issues: faults } of tests) {
    const passed = faults.length === 0;
    const word = passed ? output.paint("green", "ok") : output.paint("red", "failed");
    await output.say(`${word} ${file}: ${name}`);
    for (const fault of faults) output.error(formatIssue(fault, file));
  }
  if (tests.length === 0 && issues.length === 0) await output.say(`${file}: no tests`);
}

/** JUnit's XML, as continuous-integration servers read it: a suite a policy, a case a test. */
async function writeJunit(target: string, files: readonly TestedFile[]): Promise<void> {
  const suites = files.map(({ file, tests, issues }) => {
    const cases = [
      ...(issues.length === 0 ? [] : [junitCase("loads", issues, file)]),
      ...tests.map(({ name, issues: faults }) => junitCase(name, faults, file)),
    ];
    const failures = cases.filter((one) => one.includes("<failure")).length;
    const counts = `tests="${cases.length}" failures="${failures}"`;
    return `  <testsuite name="${xml(file)}" ${counts}>\n${cases.join("")}  </testsuite>\n`;
  });
  const document = `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("")}</testsuites>\n`;
  await writeFile(target, document).catch((cause: unknown) => {
    throw unreadable(target, reasonOf(cause), cause);
  });
}

function junitCase(name: string, issues: readonly PolicyIssue[], file: string): string {
  const head = `    <testcase name="${xml(name)}" classname="${xml(file)}"`;
  if (issues.length === 0) return `${head}/>\n`;
  const lines = issues.map((issue) => formatIssue(issue, file));
  return `${head}>\n      <failure message="${xml(lines[0] ?? "")}">${xml(lines.join("\n"))}</failure>\n    </testcase>\n`;
}

/** Text as XML 1.0 can hold it. */
function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "?")
    .replace(/[&<>"]/g, (character) => entities[character] ?? character);
}
