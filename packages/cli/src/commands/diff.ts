/** `stepgate diff`: what one policy allows and another does not, exactly, each with a shortest run that shows it. */
import { callText, diffPolicies, type PolicyChange, type PolicyDiff } from "@stepgate/policy";
import { type Command, Option } from "commander";
import { diffMarkdown } from "../diff-markdown.ts";
import type { ExitCode, Output } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { runTexts } from "../run-text.ts";

interface DiffOptions {
  readonly format: "pretty" | "json" | "markdown";
  readonly failOn: readonly FailOn[];
}

type FailOn = keyof typeof CHANGES;

/** What a change is called on the command line, and where it stands in a comparison. */
const CHANGES = {
  "newly-allowed": "newlyAllowed",
  "newly-denied": "newlyDenied",
  unknown: "unknown",
} as const;

/** Adds the command. */
export function addDiff(program: Command, define: Define): void {
  const command = program
    .command("diff")
    .description("what policy B newly allows and newly denies beside policy A, with shortest runs")
    .argument("<a>", "the policy before")
    .argument("<b>", "the policy after")
    .addOption(
      new Option("--format <format>", "how changes are printed; markdown is for a pull request")
        .choices(["pretty", "json", "markdown"])
        .default("pretty"),
    )
    .addOption(
      new Option(
        "--fail-on <change...>",
        "exit 1 where there is such a change; agents that were not looked at are unknown",
      )
        .choices(Object.keys(CHANGES))
        .default([]),
    );
  define(command, diff);
}

async function diff(output: Output, a: string, b: string, options: DiffOptions): Promise<ExitCode> {
  const [before, after] = [await readPolicyFile(a), await readPolicyFile(b)];
  const found = diffPolicies(before.policy, after.policy);
  if (output.json || options.format === "json") await output.document(found);
  else if (options.format === "markdown")
    await output.line(diffMarkdown(before.policy, after.policy, found).trimEnd());
  else await print(output, found);
  return options.failOn.some((change) => isFound(change, found)) ? 1 : 0;
}

function isFound(change: FailOn, found: PolicyDiff): boolean {
  return found[CHANGES[change]].length > 0 || (change === "unknown" && !found.allAgents);
}

async function print(output: Output, found: PolicyDiff): Promise<void> {
  for (const change of found.newlyAllowed)
    await output.say(`${output.paint("red", "newly allowed")} ${described(change, found)}`);
  for (const change of found.newlyDenied)
    await output.say(
      `${output.paint("yellow", "newly denied")}  ${described(change, found)}; ${change.refusal.code} [${change.refusal.rule}]`,
    );
  for (const { call, agent, reason, changed } of found.unknown)
    await output.say(
      `${output.paint("dim", "unknown")}       ${callText(call)}${by(agent, found)}: ${[reason, ...changed].join(" ")}`,
    );
  if (!found.allAgents)
    await output.say("not every kind of agent was looked at: there are too many");
  const { newlyAllowed, newlyDenied, unknown } = found;
  await output.say(
    `${newlyAllowed.length} newly allowed, ${newlyDenied.length} newly denied, ${unknown.length} unknown`,
  );
}

function described(
  { call, agent, trace, dependsOn = [] }: PolicyChange,
  found: PolicyDiff,
): string {
  const before = runTexts(trace.slice(0, -1));
  const where = before.length === 0 ? "at the beginning" : `after ${before.join(", ")}`;
  const condition = dependsOn.length === 0 ? "" : `, if ${dependsOn.join(", ")} hold`;
  return `${callText(call)}${by(agent, found)} ${where}${condition}`;
}

function by(agent: string | undefined, { byAgent }: PolicyDiff): string {
  if (agent !== undefined) return ` by ${agent}`;
  return byAgent ? " without an agent" : "";
}
