/** A policy in a file, compiled, with its text at hand for pointing into. */
import { type CompiledPolicy, GateError } from "@stepgate/core";
import { locateRule, parsePolicy, type PolicyIssue } from "@stepgate/policy";
import { fileName, readText } from "./reading.ts";

/** A policy and where it came from. */
export interface PolicyFile {
  readonly file: string;
  readonly text: string;
  readonly policy: CompiledPolicy;
}

/** Reads and compiles a policy file. @throws PolicyError with `file:line:column`, GateError INVALID_INPUT. */
export async function readPolicyFile(path: string | URL): Promise<PolicyFile> {
  if (path instanceof URL && path.protocol !== "file:")
    throw new GateError("INVALID_INPUT", `policy ${path.protocol}: only file: URLs are read`);
  const file = fileName(path);
  const text = await readText(path);
  return { file, text, policy: parsePolicy(text, { file }) };
}

/** An issue with the line and column of the member that its path names, or of the nearest one above it. */
export function locateIssue(issue: PolicyIssue, text: string): PolicyIssue {
  return { ...issue, ...locateRule(text, issue.path) };
}

/** `file:line:column` of rules, where they stand in the policy. Each is looked up once, however often it is asked for. */
export function rulePlaces({ file, text }: PolicyFile): (rule: string) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (rule) => {
    if (known.has(rule)) return known.get(rule);
    const place = locateRule(text, rule);
    const at = place === undefined ? undefined : `${file}:${place.line}:${place.column}`;
    known.set(rule, at);
    return at;
  };
}
