/** What the GitHub Action does: checks and tests the policies of a branch, and tells what it changes for agents. */
import { appendFile } from "node:fs/promises";
import {
  type ChangedPolicy,
  baseCommit,
  changedPolicies,
  policyFiles,
} from "./changed-policies.ts";
import { type Git, openGit } from "./git.ts";
import { createOutput, type ExitCode, type Output, type Terminal } from "./output.ts";
import { comment, type PullRequest } from "./pull-request-comment.ts";
import { runProgram } from "./program.ts";
import { reasonOf, unreadable } from "./reading.ts";
import { type ChangeCounts, countText, reviewPolicy } from "./review-report.ts";

/** What is reviewed, and where it is told. */
export interface ReviewOptions {
  /** The root of the repository's working tree. */
  readonly root: string;
  /** Git's pathspecs: where policies and files of tests lie. */
  readonly paths: readonly string[];
  /** A branch, tag or commit to compare with; without one nothing is compared. */
  readonly base?: string;
  readonly failOn: readonly FailOn[];
  /** Where JUnit's XML is written to. */
  readonly junit: string;
  /** A file to which the report is added: the job's summary. */
  readonly summary?: string;
  /** Without one there is no comment. */
  readonly pullRequest?: PullRequest;
}

/** As `stepgate diff --fail-on`. */
export type FailOn = "newly-allowed" | "newly-denied" | "unknown";

const FAIL_ON: Readonly<Record<FailOn, keyof ChangeCounts>> = {
  "newly-allowed": "newlyAllowed",
  "newly-denied": "newlyDenied",
  unknown: "unknown",
};

/** True for what `fail-on` may name. */
export function isFailOn(text: string): text is FailOn {
  return Object.hasOwn(FAIL_ON, text);
}

/**
 * Reviews a branch. 1: a policy does not load, a test fails, or there is a change of `failOn`. A comment that cannot be
 * written fails nothing: the summary has the same.
 *
 * @throws GateError INVALID_INPUT where there is nothing to look at, or git fails.
 */
export async function review(options: ReviewOptions, terminal: Terminal): Promise<ExitCode> {
  const output = createOutput(terminal, false);
  const git = openGit(options.root);
  const base = options.base === undefined ? undefined : await baseCommit(git, options.base);
  const changed =
    base === undefined ? [] : await changedPolicies(git, options.root, base, options.paths);
  const codes = await checkAndTest(git, options, changed, terminal);
  const report = reportOf(changed, base, codes);
  await output.line(report.markdown);
  if (options.summary !== undefined) await addTo(options.summary, report.markdown);
  if (options.pullRequest !== undefined && base !== undefined)
    await tell(output, options.pullRequest, report.markdown, changed.length > 0);
  const tooMuch = options.failOn.filter((kind) => report.counts[FAIL_ON[kind]] > 0);
  if (tooMuch.length > 0) await output.line(`::error::fail-on: there is ${tooMuch.join(", ")}`);
  return codes.check === 0 && codes.test === 0 && tooMuch.length === 0 ? 0 : 1;
}

interface Codes {
  readonly check: ExitCode;
  readonly test: ExitCode;
}

async function checkAndTest(
  git: Git,
  { paths, junit }: ReviewOptions,
  changed: readonly ChangedPolicy[],
  terminal: Terminal,
): Promise<Codes> {
  const { policies, tests } = await policyFiles(git, paths);
  if (policies.length + tests.length === 0) {
    // A branch may take the last one away; a path that never had one is a slip.
    if (changed.length > 0) return { check: 0, test: 0 };
    throw unreadable(paths.join(", "), "git knows no policy here");
  }
  const format = ["--format", "github"];
  const check =
    policies.length === 0 ? 0 : await runProgram(["check", ...format, "--", ...policies], terminal);
  const all = ["test", ...format, "--junit", junit, "--", ...policies, ...tests];
  return { check, test: await runProgram(all, terminal) };
}

interface Report {
  readonly markdown: string;
  readonly counts: ChangeCounts;
}

function reportOf(
  changed: readonly ChangedPolicy[],
  base: string | undefined,
  { check, test }: Codes,
): Report {
  const reviews = changed.map(reviewPolicy);
  const sum = (kind: keyof ChangeCounts): number =>
    reviews.reduce((total, review) => total + review[kind], 0);
  const counts = {
    newlyAllowed: sum("newlyAllowed"),
    newlyDenied: sum("newlyDenied"),
    unknown: sum("unknown"),
  };
  const compared =
    base === undefined
      ? "Nothing to compare with."
      : changed.length === 0
        ? `No policy differs from ${base.slice(0, 12)}.`
        : `${countText(counts)}, compared with ${base.slice(0, 12)}.`;
  const markdown = [
    "## Stepgate: what changes for agents",
    compared,
    ...(check === 0 ? [] : ["**A policy does not load.** The annotations say where."]),
    ...(test === 0 ? [] : ["**A test fails.** The annotations say where."]),
    ...reviews.map((review) => review.markdown),
  ].join("\n\n");
  return { markdown, counts };
}

async function addTo(file: string, markdown: string): Promise<void> {
  await appendFile(file, `${markdown}\n`).catch((cause: unknown) => {
    throw unreadable(file, reasonOf(cause), cause);
  });
}

async function tell(
  output: Output,
  target: PullRequest,
  markdown: string,
  worthSaying: boolean,
): Promise<void> {
  try {
    const done = await comment(target, markdown, worthSaying);
    const told =
      done === "refused"
        ? "::notice::no comment: this job's token may not write to the pull request; see the summary"
        : `comment: ${done}`;
    await output.line(told);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await output.line(`::warning::no comment: ${reason.replace(/[\r\n]+/g, " ")}`);
  }
}
