/** One run of tests: every test of some files, played, with what they exercised of each policy. */
import { resolve } from "node:path";
import type { CompiledPolicy } from "@stepgate/core";
import {
  checkPolicy,
  type DecidedCall,
  formatIssue,
  policyCoverage,
  type PolicyCoverage,
  type PolicyIssue,
  policyTests,
  type PolicyTest,
} from "@stepgate/policy";
import { locateIssue } from "./policy-file.ts";
import { playTests, type TestFault } from "./policy-tests.ts";
import type { TestSource } from "./test-sources.ts";

/** The tests of one file, played; one that does not load has played none. */
export interface TestedFile {
  readonly file: string;
  readonly tests: readonly { readonly name: string; readonly issues: readonly TestFault[] }[];
  /** Why the policy, or the file of tests, does not load. */
  readonly issues: readonly PolicyIssue[];
}

/** A policy, and what all tests of the run together exercised of it. */
export interface CoveredPolicy {
  readonly file: string;
  readonly text: string;
  readonly coverage: PolicyCoverage;
}

/** What a run came to. */
export interface TestRun {
  readonly files: readonly TestedFile[];
  readonly policies: readonly CoveredPolicy[];
}

/** Plays the tests of files. `onPlayed` is called after each test. */
export async function runTests(
  sources: readonly TestSource[],
  onPlayed: () => void,
): Promise<TestRun> {
  const policies: Policies = new Map();
  const files: TestedFile[] = [];
  for (const source of sources) files.push(await runFile(source, policies, onPlayed));
  return { files, policies: [...policies.values()].flatMap(covered) };
}

interface TriedPolicy {
  readonly file: string;
  readonly text: string;
  readonly policy?: CompiledPolicy;
  readonly issues: readonly PolicyIssue[];
  /** The calls of each test. */
  readonly sequences: (readonly DecidedCall[])[];
}

/** By absolute path: a policy may have tests in several files. */
type Policies = Map<string, TriedPolicy>;

function covered({ file, text, policy, sequences }: TriedPolicy): readonly CoveredPolicy[] {
  return policy === undefined ? [] : [{ file, text, coverage: policyCoverage(policy, sequences) }];
}

function runFile(
  source: TestSource,
  policies: Policies,
  onPlayed: () => void,
): Promise<TestedFile> {
  return source.kind === "policy"
    ? runPolicy(source, policies, onPlayed)
    : runBeside(source, policies, onPlayed);
}

async function runPolicy(
  { file, text }: TestSource,
  policies: Policies,
  onPlayed: () => void,
): Promise<TestedFile> {
  const tried = tryPolicy(file, text, policies);
  if (tried.policy === undefined) return { file, tests: [], issues: tried.issues };
  const tests = await play(tried, tried.policy, policyTests(tried.policy), text, onPlayed);
  return { file, tests, issues: [] };
}

async function runBeside(
  { file, text, check, policy: named }: TestSource & { readonly kind: "tests" },
  policies: Policies,
  onPlayed: () => void,
): Promise<TestedFile> {
  const { document, issues } = check;
  if (document === undefined || named === undefined) return { file, tests: [], issues };
  const fault = (why: string): TestedFile => {
    const message = `policy '${document.policy}': ${why}`;
    return { file, tests: [], issues: [locateIssue({ path: "policy", message }, text)] };
  };
  if ("fault" in named) return fault(named.fault);
  const tried = tryPolicy(named.file, named.text, policies);
  const [first] = tried.issues;
  if (tried.policy === undefined)
    return fault(
      `does not load${first === undefined ? "" : `; ${formatIssue(first, named.file)}`}`,
    );
  const tests = await play(tried, tried.policy, document.tests, text, onPlayed);
  return { file, tests, issues: [] };
}

function tryPolicy(file: string, text: string, policies: Policies): TriedPolicy {
  const key = resolve(file);
  const known = policies.get(key);
  if (known !== undefined) return known;
  const { policy, issues } = checkPolicy(text, { file });
  const tried = { file, text, issues, sequences: [], ...(policy === undefined ? {} : { policy }) };
  policies.set(key, tried);
  return tried;
}

async function play(
  { sequences }: TriedPolicy,
  policy: CompiledPolicy,
  tests: readonly PolicyTest[],
  text: string,
  onPlayed: () => void,
): Promise<TestedFile["tests"]> {
  const played = await playTests(policy, tests, onPlayed);
  sequences.push(...played.map(({ calls }) => calls));
  return played.map(({ name, issues }) => ({
    name,
    issues: issues.map((issue) => locateFault(issue, text)),
  }));
}

/** The fault with the line and column of what was expected. */
function locateFault(fault: TestFault, text: string): TestFault {
  return { ...fault, ...locateIssue(fault, text) };
}
