/** `stepgate simulate`: recorded calls through the gate's own engine, to see what a policy would have denied. */
import type { Command } from "commander";
import { denialCounts } from "../denial-counts.ts";
import { groupPolicies } from "../group-policies.ts";
import type { ExitCode, Output } from "../output.ts";
import type { PolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { unreadable } from "../reading.ts";
import { type SimulatedCall, simulateCalls } from "../simulated-calls.ts";

interface SimulateOptions {
  readonly policy: string;
  readonly calls: string;
}

/** Adds the command. */
export function addSimulate(program: Command, define: Define): void {
  const command = program
    .command("simulate")
    .description(
      "decide recorded calls one by one, deny and go on; exit 1 where anything was denied",
    )
    .requiredOption("--policy <file>", "a policy, or a folder with <group>.yaml for each group")
    .requiredOption("--calls <file>", "recorded calls (JSONL, may be compressed: .gz)")
    .addHelpText(
      "after",
      `
One line a call, in order; a line with "context" opens a sequence with trusted context, a later one adds to it:
  {"sequence_id":"s1","group":"pay-bill","context":{"request":"Pay the bill to UK12"}}
  {"sequence_id":"s1","tool":"send_money","args":{"recipient":"UK12","amount":98.7}}
A sequence whose group has no policy is denied: POLICY_UNAVAILABLE. Calls have no times: none is stale, all lie in one
window of a limit. Nobody approves anything.`,
    );
  define(command, simulate);
}

async function simulate(output: Output, { policy, calls }: SimulateOptions): Promise<ExitCode> {
  const policies = await groupPolicies(policy);
  const missing = new Set<string | undefined>();
  const policyOf = async (line: {
    readonly group?: string;
    readonly at: string;
  }): Promise<PolicyFile | undefined> => {
    const found = await policies(line.group);
    if (found === undefined && !missing.has(line.group))
      output.error(`${line.at}: ${noPolicy(policy, line.group)}`);
    if (found === undefined) missing.add(line.group);
    return found;
  };
  const counts = denialCounts();
  const progress = output.progress("calls");
  const lines = batch(output);
  try {
    for await (const call of simulateCalls(calls, policyOf)) {
      counts.count(call);
      if (output.json) await lines.add(documentOf(call));
      if (counts.calls % 1000 === 0) progress.at(counts.calls);
    }
    if (counts.calls === 0) throw unreadable(calls, "holds no call");
  } finally {
    progress.end();
    await lines.end();
  }
  if (!output.json) await counts.print(output);
  return counts.denied > 0 ? 1 : 0;
}

function noPolicy(folder: string, group: string | undefined): string {
  return group === undefined
    ? `the sequence has no group, so no policy of ${folder} is meant`
    : `no policy ${folder}/${group}.yaml for this group`;
}

function documentOf({ answer, policy: _policy, ...call }: SimulatedCall): string {
  return JSON.stringify({ ...call, ...answer });
}

const BATCH_UNITS = 64 * 1024;

/** Lines for stdout, written many at a time: one by one they would cost more than the decisions. */
function batch(output: Output): { add(line: string): Promise<void> | void; end(): Promise<void> } {
  let text = "";
  const end = async (): Promise<void> => {
    const lines = text;
    text = "";
    if (lines !== "") await output.line(lines);
  };
  return {
    add(line) {
      text += text === "" ? line : `\n${line}`;
      return text.length > BATCH_UNITS ? end() : undefined;
    },
    end,
  };
}
