/** How a run of tests is told: to people, to GitHub, as JUnit's XML. */
import { formatIssue } from "@stepgate/policy";
import { type CheckedFile, toGithub } from "./findings-format.ts";
import { type Output, printable } from "./output.ts";
import type { TestFault } from "./policy-tests.ts";
import type { TestedFile } from "./test-run.ts";

/** How many tests passed and failed, and how many files did not load. */
export function countTests(files: readonly TestedFile[]): {
  readonly passed: number;
  readonly failed: number;
  readonly unloaded: number;
} {
  const tests = files.flatMap((file) => file.tests);
  const failed = tests.filter(({ issues }) => issues.length > 0).length;
  const unloaded = files.filter(({ issues }) => issues.length > 0).length;
  return { passed: tests.length - failed, failed, unloaded };
}

/** Every test by name, faults at their lines, and the count. */
export async function printTests(output: Output, files: readonly TestedFile[]): Promise<void> {
  for (const { file, tests, issues } of files) {
    for (const issue of issues) output.error(formatIssue(issue, file));
    for (const { name, issues: faults } of tests) {
      const word =
        faults.length === 0 ? output.paint("green", "ok") : output.paint("red", "failed");
      await output.say(printable(`${word} ${file}: ${name}`));
      for (const fault of faults) output.error(formatIssue(fault, file));
    }
    if (tests.length === 0 && issues.length === 0) await output.say(`${file}: no tests`);
  }
  await output.say(countText(files));
}

/** Workflow commands, which GitHub shows beside the lines of a pull request, and the count. */
export async function printForGithub(output: Output, files: readonly TestedFile[]): Promise<void> {
  for (const line of githubLines(files)) await output.line(line);
  await output.line(countText(files));
}

function countText(files: readonly TestedFile[]): string {
  const { passed, failed } = countTests(files);
  return `${passed} passed, ${failed} failed`;
}

function githubLines(files: readonly TestedFile[]): readonly string[] {
  const found = files.map(({ file, tests, issues }): CheckedFile => {
    const faults = tests.flatMap((test) => test.issues);
    const error = <T>(issue: T, code: string) => ({ ...issue, severity: "error", code }) as const;
    return {
      file,
      findings: [
        ...issues.map((issue) => error(issue, "does-not-load")),
        ...faults.map((issue: TestFault) => error(issue, "test-failed")),
      ],
    };
  });
  return toGithub(found);
}

/** JUnit's XML, as continuous-integration servers read it: a suite a file, a case a test. */
export function junitOf(files: readonly TestedFile[]): string {
  const suites = files.map(({ file, tests, issues }) => {
    const cases = [
      ...(issues.length === 0 ? [] : [junitCase("loads", issues, file)]),
      ...tests.map(({ name, issues: faults }) => junitCase(name, faults, file)),
    ];
    const failures = cases.filter((one) => one.includes("<failure")).length;
    const counts = `tests="${cases.length}" failures="${failures}"`;
    return `  <testsuite name="${xml(file)}" ${counts}>\n${cases.join("")}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("")}</testsuites>\n`;
}

function junitCase(name: string, issues: TestedFile["issues"], file: string): string {
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
