/** `stepgate diff`: what one policy allows and another does not, exactly, each with a shortest run that shows it. */
import { callText, diffPolicies, type PolicyChange, type PolicyDiff } from "@stepgate/policy";
import { type Command, Option } from "commander";
import type { ExitCode, Output } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";

interface DiffOptions {
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
      new Option("--fail-on <change...>", "exit 1 where there is such a change")
        .choices(Object.keys(CHANGES))
        .default([]),
    );
  define(command, diff);
}

async function diff(output: Output, a: string, b: string, options: DiffOptions): Promise<ExitCode> {
  const [before, after] = [await readPolicyFile(a), await readPolicyFile(b)];
  const found = diffPolicies(before.policy, after.policy);
  if (output.json) await output.document(found);
  else await print(output, found);
  return options.failOn.some((change) => found[CHANGES[change]].length > 0) ? 1 : 0;
}

async function print(output: Output, found: PolicyDiff): Promise<void> {
  for (const change of found.newlyAllowed)
    await output.say(`${output.paint("red", "newly allowed")} ${described(change)}`);
  for (const change of found.newlyDenied)
    await output.say(
      `${output.paint("yellow", "newly denied")}  ${described(change)}; ${change.refusal.code} [${change.refusal.rule}]`,
    );
  for (const { call, agent, reason } of found.unknown)
    await output.say(
      `${output.paint("dim", "unknown")}       ${callText(call)}${by(agent)}: ${reason}`,
    );
  if (!found.allAgents) await output.say("not every kind of agent was looked at");
  const { newlyAllowed, newlyDenied, unknown } = found;
  await output.say(
    `${newlyAllowed.length} newly allowed, ${newlyDenied.length} newly denied, ${unknown.length} unknown`,
  );
}

function described({ call, agent, trace, dependsOn = [] }: PolicyChange): string {
  const before = trace.slice(0, -1).map(callText);
  const where = before.length === 0 ? "at the beginning" : `after ${before.join(", ")}`;
  const condition = dependsOn.length === 0 ? "" : `, if ${dependsOn.join(", ")} hold`;
  return `${callText(call)}${by(agent)} ${where}${condition}`;
}

function by(agent: string | undefined): string {
  return agent === undefined ? "" : ` by ${agent}`;
}
