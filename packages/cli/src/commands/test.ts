/** `stepgate test`: plays the tests of policies through the gate's own engine. */
import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { coverageDocument, percentOf, printCoverage } from "../coverage-report.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { reasonOf, unreadable } from "../reading.ts";
import { countTests, junitOf, printForGithub, printTests } from "../test-report.ts";
import { runTests, type TestRun } from "../test-run.ts";
import { findTestSources, type TestSources } from "../test-sources.ts";
import { watchTests } from "../watch-tests.ts";

interface TestOptions {
  readonly junit?: string;
  readonly format: "pretty" | "github";
  readonly coverage?: boolean;
  readonly min?: number;
  readonly watch?: boolean;
}

const HELP = `
A folder stands for every policy and every *.policy-test.yaml in it, a policy also for the files of
tests beside it. Such a file holds tests of the same shape as a policy's own:

  policy: ./payments.yaml
  tests:
    - name: a payment before intake is refused
      calls: [{ tool: transfer_funds, args: { amount: 1 }, expect: SEQUENCE_VIOLATION }]
`;

/** Adds the command. */
export function addTest(program: Command, define: Define): void {
  const command = program
    .command("test")
    .description("play the tests of policies; exit 1 where one fails")
    .argument("[path...]", "policies, *.policy-test.yaml files, folders with both", ["."])
    .option("--junit <file>", "also write the results as JUnit XML")
    .addOption(
      new Option("--format <format>", "how results are printed")
        .choices(["pretty", "github"])
        .default("pretty"),
    )
    .option("--coverage", "tell what of each policy no test exercised, and where it stands")
    .addOption(
      new Option(
        "--min <percent>",
        "exit 1 where less of a policy was exercised; implies --coverage",
      ).argParser(percent),
    )
    .option("--watch", "play again whenever a policy or a file of tests changes; Ctrl-C ends")
    .addHelpText("after", HELP);
  define(command, test);
}

function percent(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value <= 100) return value;
  throw new InvalidArgumentError("It must be a number from 0 to 100.");
}

async function test(
  output: Output,
  paths: readonly string[],
  options: TestOptions,
): Promise<ExitCode> {
  const play = (sources: TestSources): Promise<ExitCode> =>
    playOnce(output, paths, sources, options);
  if (options.watch === true) return watchTests(output, () => findTestSources(paths), play);
  return play(await findTestSources(paths));
}

async function playOnce(
  output: Output,
  paths: readonly string[],
  { files }: TestSources,
  { junit, format, coverage, min }: TestOptions,
): Promise<ExitCode> {
  // A run that plays nothing must not look like one that passed.
  if (files.length === 0)
    throw unreadable(paths.join(", "), "holds no policy and no *.policy-test.yaml");
  const run = await played(output, files);
  const isCovering = coverage === true || min !== undefined;
  if (output.json) await output.document(documentOf(run, isCovering));
  else if (format === "github") await printForGithub(output, run.files);
  else await printTests(output, run.files);
  if (isCovering && format === "pretty")
    for (const policy of run.policies) await printCoverage(output, policy);
  if (junit !== undefined) await writeJunit(junit, run);
  const { failed, unloaded } = countTests(run.files);
  return isEnough(output, run, min) && failed + unloaded === 0 ? 0 : 1;
}

async function played(output: Output, files: TestSources["files"]): Promise<TestRun> {
  const progress = output.progress("tests");
  let count = 0;
  try {
    return await runTests(files, () => progress.at(++count));
  } finally {
    progress.end();
  }
}

function documentOf(run: TestRun, isCovering: boolean): object {
  const { passed, failed } = countTests(run.files);
  const coverage = isCovering ? { coverage: run.policies.map(coverageDocument) } : {};
  return { passed, failed, files: run.files, ...coverage };
}

function isEnough(output: Output, { policies }: TestRun, min = 0): boolean {
  const short = policies.filter(({ coverage }) => percentOf(coverage) < min);
  for (const { file, coverage } of short)
    output.error(`${file}: ${percentOf(coverage)}% exercised, less than ${min}%`);
  return short.length === 0;
}

async function writeJunit(target: string, run: TestRun): Promise<void> {
  await writeFile(target, junitOf(run.files)).catch((cause: unknown) => {
    throw unreadable(target, reasonOf(cause), cause);
  });
}
