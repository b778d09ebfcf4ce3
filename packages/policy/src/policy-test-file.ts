/** A file of tests beside a policy: text to checked tests, or every fault with its place. */
import { MAX_FAULTS } from "./check-document.ts";
import { isWithin } from "./finding.ts";
import { toIssues } from "./parse-policy.ts";
import type { PolicyIssue } from "./policy-error.ts";
import type { PolicyTestDocument } from "./policy-document.ts";
import { policyTestSchema } from "./policy-schema.ts";
import { schemaFindings } from "./schema-findings.ts";
import { readDocument } from "./source-document.ts";

/** What a file of tests says. Where there are issues there is no document. */
export interface PolicyTestCheck {
  readonly document?: PolicyTestDocument;
  /** The policy that it names, where that much could be read. */
  readonly policy?: string;
  readonly issues: readonly PolicyIssue[];
}

/** Reads `policy: ./payments.yaml` and `tests: [...]`, YAML or JSON. No text makes it throw. */
export function checkPolicyTests(text: string): PolicyTestCheck {
  if (typeof text !== "string") throw new TypeError("the text of tests must be a string");
  const { source, findings, unreadable } = readDocument(text);
  const shape =
    source === undefined
      ? []
      : [...schemaFindings(policyTestSchema, source.value).take(MAX_FAULTS)];
  const faults = [
    ...findings,
    ...shape.filter((fault) => !unreadable.some((path) => isWithin(fault.path, path))),
  ];
  const issues = toIssues(faults, source);
  const policy = nameOfPolicy(source?.value);
  const named = policy === undefined ? {} : { policy };
  if (issues.length > 0) return { ...named, issues };
  // No findings means that it has the schema's type.
  return { ...named, document: source?.value as PolicyTestDocument, issues };
}

function nameOfPolicy(value: unknown): string | undefined {
  const isNamed = typeof value === "object" && value !== null && "policy" in value;
  return isNamed && typeof value.policy === "string" ? value.policy : undefined;
}
