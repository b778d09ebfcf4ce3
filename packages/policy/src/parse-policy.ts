/** The ways in: text or a plain value to a compiled policy, or one error with every fault. */
import { canonicalCopy, type CompiledPolicy, JsonError } from "@stepgate/core/compiler";
import { analyse, analyseErrors } from "./analysis.ts";
import type { PolicyFinding } from "./analysis-finding.ts";
import { type Analysis, checkDocument, type Checked, MAX_FAULTS } from "./check-document.ts";
import { type Finding, isWithin, type Path, pathText } from "./finding.ts";
import { literalSpellingFault } from "./grounding.ts";
import { PolicyError, type PolicyIssue, type PolicyWarning } from "./policy-error.ts";
import { FORBIDDEN_KEYS, MAX_TEXT, readDocument, type SourceDocument } from "./source-document.ts";

/** Where a text came from; errors are printed with it. */
export interface ParseOptions {
  readonly file?: string;
}

/** What `checkPolicy` found: a policy exactly where there are no issues. Warnings may stand beside issues, and explain them. */
export interface PolicyCheck {
  readonly policy?: CompiledPolicy;
  readonly file?: string;
  readonly issues: readonly PolicyIssue[];
  readonly warnings: readonly PolicyWarning[];
}

/**
 * Parses, checks and compiles a policy in YAML or JSON. Whether it can ever be completed and sealed is decided in some
 * 100 ms; where that is too little, it loads, and `checkPolicy` may find out.
 *
 * @throws PolicyError with every fault that was found, each with its line and column.
 * @example const policy = parsePolicy(await readFile("policy.yaml", "utf8"), { file: "policy.yaml" });
 */
export function parsePolicy(text: string, options: ParseOptions = {}): CompiledPolicy {
  const { policy, issues } = check(text, options, analyseErrors);
  if (policy === undefined) throw new PolicyError(issues, options);
  return policy;
}

/** Checks and compiles a policy that is a plain value. @throws PolicyError with every fault, by its path. */
export function compilePolicy(document: unknown): CompiledPolicy {
  const { policy, faults } = checkValue(document);
  if (policy === undefined) throw new PolicyError(faults.map((fault) => toIssue(fault, undefined)));
  return policy;
}

/**
 * Like `parsePolicy`, with faults and everything that analysis finds as data: what `stepgate check` prints. It may take
 * seconds. No text makes it throw.
 */
export function checkPolicy(text: string, options: ParseOptions = {}): PolicyCheck {
  return check(text, options, analyse);
}

function check(text: string, options: ParseOptions, analysis: Analysis): PolicyCheck {
  if (typeof text !== "string") throw new TypeError("the text of a policy must be a string");
  const { source, findings, unreadable } = readDocument(text, spellingFault);
  const named = options.file === undefined ? {} : { file: options.file };
  const checked: Checked =
    source === undefined ? { faults: [], warnings: [] } : checkDocument(source.value, analysis);
  const faults = [
    ...findings,
    ...checked.faults.filter((fault) => !unreadable.some((path) => isWithin(fault.path, path))),
  ];
  const issues = toIssues(faults, source);
  const warnings = inOrder(
    checked.warnings.map((warning) => ({ ...toIssue(warning, source), code: warning.code })),
  );
  if (issues.length > 0 || checked.policy === undefined) return { ...named, issues, warnings };
  return { ...named, policy: checked.policy, issues, warnings };
}

/** Of a literal in `grounded` the digits count as they are written: only here can `007` be told from 7. */
function spellingFault([section, , member]: Path, written: string): string | undefined {
  const isLiteral = (section === "tools" || section === "functions") && member === "grounded";
  return isLiteral ? literalSpellingFault(written) : undefined;
}

function checkValue(document: unknown): Checked {
  try {
    // A private copy: what is checked is what is compiled, whatever getters the caller's object has.
    const limits = { bytes: MAX_TEXT, depth: 64, keys: 100_000, safeIntegers: true };
    const { copy } = canonicalCopy(document, limits);
    const forbidden = forbiddenKeys(copy, []);
    return forbidden.length > 0
      ? { faults: forbidden, warnings: [] }
      : checkDocument(copy, analyseErrors);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return {
      faults: [{ path: [], message: `a policy is plain JSON: ${error.message}` }],
      warnings: [],
    };
  }
}

function forbiddenKeys(value: unknown, path: Finding["path"]): readonly Finding[] {
  if (typeof value !== "object" || value === null) return [];
  const list = Array.isArray(value);
  return Object.entries(value).flatMap(([key, member]) => {
    const here = [...path, list ? Number(key) : key];
    return !list && FORBIDDEN_KEYS.has(key)
      ? [{ path: here, message: `'${key}' is not allowed as a key` }]
      : forbiddenKeys(member, here);
  });
}

/** Findings as issues, from top to bottom; of very many the first. */
export function toIssues(
  findings: readonly (Finding | PolicyFinding)[],
  source: SourceDocument | undefined,
): readonly PolicyIssue[] {
  return inOrder(findings.slice(0, MAX_FAULTS).map((finding) => toIssue(finding, source)));
}

function toIssue(
  finding: Finding | PolicyFinding,
  source: SourceDocument | undefined,
): PolicyIssue {
  const { path, message, hint, offset } = finding;
  const position = source?.locate(finding) ?? finding.position;
  const where = position === undefined && offset !== undefined ? ` (character ${offset + 1})` : "";
  return {
    path: pathText(path),
    ...position,
    message: message + where,
    ...(hint !== undefined && { hint }),
    ...("certainty" in finding && exampleOf(finding)),
  };
}

function exampleOf({ code, certainty, trace, agent, dependsOn }: PolicyFinding) {
  return {
    code,
    certainty,
    ...(trace !== undefined && { trace }),
    ...(agent !== undefined && { agent }),
    ...(dependsOn !== undefined && { dependsOn }),
  };
}

/** From top to bottom, as one reads. */
function inOrder<T extends PolicyIssue>(issues: readonly T[]): readonly T[] {
  return issues.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}
