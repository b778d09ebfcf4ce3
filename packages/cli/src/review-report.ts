/** What a branch changes for agents, in Markdown: for the pull request and the job's summary. */
import type { CompiledPolicy } from "@stepgate/core";
import { diffPolicies, formatIssue } from "@stepgate/policy";
import type { ChangedPolicy, PolicySide } from "./changed-policies.ts";
import { diffMarkdown, markdownCode } from "./diff-markdown.ts";

/** Changes by kind; a policy that is new or gone counts as one, and so do agents that were not looked at. */
export interface ChangeCounts {
  readonly newlyAllowed: number;
  readonly newlyDenied: number;
  readonly unknown: number;
}

/** What is said of one policy that differs. */
export interface PolicyReview extends ChangeCounts {
  readonly markdown: string;
}

/** Compares both sides of a policy, or says which one is missing. */
export function reviewPolicy({ before, after }: ChangedPolicy): PolicyReview {
  if (after === undefined)
    return said(headed(before, "is gone"), "Whatever it allowed is newly denied.", {
      newlyDenied: 1,
    });
  const now = after.check.policy;
  if (now === undefined) {
    const faults = after.check.issues.map((issue) => markdownCode(formatIssue(issue, after.file)));
    return said(headed(after, "does not load"), faults.slice(0, MOST).join("  \n"), {});
  }
  if (before === undefined)
    return said(headed(after, "is new"), permissions(now), { newlyAllowed: 1 });
  const earlier = before.check.policy;
  // Nothing can be said of what it allowed before, so all that it allows is new.
  if (earlier === undefined)
    return said(headed(after, "loads now"), permissions(now), { newlyAllowed: 1 });
  const moved = before.file === after.file ? "" : `, before in ${markdownCode(before.file)}`;
  return compared(`${markdownCode(after.file)}${moved}`, earlier, now);
}

/** Names and faults that are listed of one policy. */
const MOST = 20;

function compared(where: string, before: CompiledPolicy, after: CompiledPolicy): PolicyReview {
  const diff = diffPolicies(before, after);
  return {
    markdown: `${where}:\n\n${diffMarkdown(before, after, diff)}`,
    newlyAllowed: diff.newlyAllowed.length,
    newlyDenied: diff.newlyDenied.length,
    unknown: diff.unknown.length + (diff.allAgents ? 0 : 1),
  };
}

/** `2 newly allowed, 1 newly denied, 0 unknown`. */
export function countText({ newlyAllowed, newlyDenied, unknown }: ChangeCounts): string {
  return `**${newlyAllowed} newly allowed, ${newlyDenied} newly denied**, ${unknown} unknown`;
}

function permissions({ id, version, steps, tools }: CompiledPolicy): string {
  const known = (names: readonly string[]): string =>
    names.length === 0
      ? "none"
      : names.slice(0, MOST).map(markdownCode).join(", ") +
        (names.length > MOST ? `, and ${names.length - MOST} more` : "");
  return `${markdownCode(id)} ${markdownCode(version)}: all that it allows is newly allowed. Steps: ${known(steps)}. Tools: ${known([...tools.keys()])}.`;
}

function headed({ file }: PolicySide, what: string): string {
  return `${markdownCode(file)} ${what}`;
}

function said(heading: string, body: string, counts: Partial<ChangeCounts>): PolicyReview {
  return {
    markdown: `### ${heading}\n\n${body}\n`,
    newlyAllowed: 0,
    newlyDenied: 0,
    unknown: 0,
    ...counts,
  };
}
