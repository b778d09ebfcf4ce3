/** What a change of a policy newly allows and denies, as Markdown for a comment on a pull request. */
import {
  callText,
  type PolicyCall,
  type PolicyChange,
  type PolicyDiff,
  type UndecidedChange,
} from "@stepgate/policy";
import { runTexts } from "./run-text.ts";

/** What people call a policy. */
interface Label {
  readonly id: string;
  readonly version: string;
}

/** The numbers, a table for each kind of change that there is, and what the answer does not cover. */
export function diffMarkdown(before: Label, after: Label, found: PolicyDiff): string {
  const { newlyAllowed, newlyDenied, unknown, byAgent, allAgents } = found;
  const parts = [
    `### Policy ${labelText(before)} → ${labelText(after)}`,
    `**${newlyAllowed.length} newly allowed, ${newlyDenied.length} newly denied, ${unknown.length} unknown**`,
    ...table("Newly allowed", newlyAllowed.map(changeCells("was refused by", byAgent))),
    ...table("Newly denied", newlyDenied.map(changeCells("is refused by", byAgent))),
    ...table(
      "Unknown",
      unknown.map((one) => ({
        ...callCells(one, byAgent),
        why: [one.reason, ...one.changed.map(markdownCode)].join(" "),
      })),
    ),
    ...(allAgents ? [] : ["**Not every kind of agent was looked at: there are too many.**"]),
    `<sub>${COVERED}${byAgent ? " An agent is one name for all that both policies treat like it." : ""}</sub>`,
  ];
  return `${parts.join("\n\n")}\n`;
}

const COVERED =
  "Exact for the order, constraints, agents and limits of a sequence; what arguments, time or other sequences decide is unknown.";

/** One row of a table: cells by heading. A column that is empty in each row is left out. */
type Row = Readonly<Record<string, string>>;

function callCells({ call, agent, trace }: UndecidedChange | PolicyChange, byAgent: boolean): Row {
  const who = agent === undefined ? "*none*" : markdownCode(agent);
  return {
    call: markdownCode(callText(call)),
    agent: byAgent ? who : "",
    after: trace === undefined ? "" : runText(trace.slice(0, -1)),
  };
}

function changeCells(refused: string, byAgent: boolean): (change: PolicyChange) => Row {
  return (change) => ({
    ...callCells(change, byAgent),
    [refused]: `${change.refusal.code} ${markdownCode(change.refusal.rule)}`,
    "only if these hold": (change.dependsOn ?? []).map(markdownCode).join(", "),
  });
}

function runText(calls: readonly PolicyCall[]): string {
  const texts = runTexts(calls);
  return texts.length === 0 ? "*the beginning*" : texts.map(markdownCode).join(", ");
}

function labelText({ id, version }: Label): string {
  return `${markdownCode(id)} ${markdownCode(version)}`;
}

/** Letters of one table at most: a comment on GitHub holds some 65,000. */
const MAX_TABLE = 18_000;

function table(title: string, rows: readonly Row[]): readonly string[] {
  const heads = Object.keys(rows[0] ?? {}).filter((head) => rows.some((row) => row[head] !== ""));
  if (heads.length === 0) return [];
  const lines = [line(heads), line(heads.map(() => "---"))];
  let room = MAX_TABLE;
  for (const row of rows) {
    const text = line(heads.map((head) => row[head] ?? ""));
    if ((room -= text.length) < 0) break;
    lines.push(text);
  }
  const left = rows.length - (lines.length - 2);
  return [
    `#### ${title}`,
    lines.join("\n"),
    ...(left === 0 ? [] : [`… and ${left} more, which \`stepgate diff --json\` tells`]),
  ];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** Text as it is, as code. A version may hold anything but control characters; names hold nothing that ends a table's cell. */
export function markdownCode(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(longest + 1);
  return longest === 0 ? `${fence}${plain}${fence}` : `${fence} ${plain} ${fence}`;
}
