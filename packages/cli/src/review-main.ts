/** The GitHub Action's program: reads what `action.yml` passes by environment, so that nothing is ever part of a script. */
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import { isFailOn, review, type ReviewOptions } from "./review.ts";

const { stdin, stdout, stderr, env } = process;

try {
  process.exitCode = await review(optionsFrom(env), { stdin, stdout, stderr, environment: env });
} catch (error) {
  if (!GateError.isInstance(error)) throw error;
  stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}

type Environment = Readonly<Record<string, string | undefined>>;

function optionsFrom(environment: Environment): ReviewOptions {
  const given = (name: string): string | undefined => environment[name] || undefined;
  const [base, summary] = [given("STEPGATE_BASE"), given("GITHUB_STEP_SUMMARY")];
  const failOn = (given("STEPGATE_FAIL_ON") ?? "").split(/[\s,]+/).filter((word) => word !== "");
  const wrong = failOn.find((word) => !isFailOn(word));
  if (wrong !== undefined)
    throw new GateError(
      "INVALID_INPUT",
      `fail-on: '${wrong}' is not newly-allowed, newly-denied or unknown`,
    );
  const pullRequest = pullRequestFrom(given);
  return {
    root: ".",
    paths: (given("STEPGATE_POLICIES") ?? ".")
      .split("\n")
      .map((path) => path.trim())
      .filter((path) => path !== ""),
    failOn: failOn.filter(isFailOn),
    junit: given("STEPGATE_JUNIT") ?? join(given("RUNNER_TEMP") ?? ".", "stepgate-junit.xml"),
    ...(base === undefined ? {} : { base }),
    ...(summary === undefined ? {} : { summary }),
    ...(pullRequest === undefined ? {} : { pullRequest }),
  };
}

function pullRequestFrom(
  given: (name: string) => string | undefined,
): ReviewOptions["pullRequest"] {
  const [number, token] = [given("STEPGATE_PULL_REQUEST"), given("STEPGATE_TOKEN")];
  const [api, repository] = [given("GITHUB_API_URL"), given("GITHUB_REPOSITORY")];
  if (given("STEPGATE_COMMENT") !== "true" || number === undefined) return undefined;
  if (token === undefined || api === undefined || repository === undefined) return undefined;
  return { api, repository, number, token };
}
