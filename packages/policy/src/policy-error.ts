/** What is wrong with a policy, and where: one issue for each fault, all of them in one error. */
import { GateError } from "@stepgate/core/compiler";
import type { AnalysisCode, PolicyFinding } from "./analysis-finding.ts";
import type { LintCode } from "./finding.ts";

/**
 * One fault. `line` and `column` count from 1 and are there whenever the policy came as text. What analysis found has its
 * code, stable for filters and SARIF, and the shortest example that shows it.
 */
export interface PolicyIssue extends Partial<
  Pick<PolicyFinding, "certainty" | "trace" | "agent" | "dependsOn">
> {
  readonly code?: AnalysisCode | LintCode;
  /** The member at fault, such as `functions.intake.step`. */
  readonly path: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
  /** A nearer spelling, or the way out. */
  readonly hint?: string;
}

/** A finding that does not stop the policy from loading. */
export interface PolicyWarning extends PolicyIssue {
  readonly code: AnalysisCode | LintCode;
}

/**
 * A policy that must not be loaded. `message` has one line for each fault, `file:line:column: what is wrong`;
 * `issues` has the same as data.
 */
export class PolicyError extends GateError<"POLICY_INVALID"> {
  override readonly name = "PolicyError";
  readonly issues: readonly PolicyIssue[];
  /** The name of the file or of the environment variable; absent for a value. */
  readonly file?: string;

  constructor(
    issues: readonly PolicyIssue[],
    options: { readonly file?: string; readonly cause?: unknown } = {},
  ) {
    const text = issues.map((issue) => formatIssue(issue, options.file)).join("\n");
    super("POLICY_INVALID", text, options.cause === undefined ? {} : { cause: options.cause });
    this.issues = issues;
    if (options.file !== undefined) this.file = options.file;
  }
}

/** One line for an issue: `file:line:column: message`, or `path: message` where there is no text to point into. */
export function formatIssue(issue: PolicyIssue, file?: string): string {
  const message = issue.hint === undefined ? issue.message : `${issue.message}; ${issue.hint}`;
  const name = file ?? "policy";
  if (issue.line !== undefined) return `${name}:${issue.line}:${issue.column ?? 1}: ${message}`;
  return issue.path === "" ? `${name}: ${message}` : `${name}: ${issue.path}: ${message}`;
}
