/** `stepgate learn`: draft policies from benign recorded calls, one for each group, to read, edit and sign. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type CompiledPolicy, createSimulation } from "@stepgate/core";
import { learnPolicy, parsePolicy, readTools, type ToolDescription } from "@stepgate/policy";
import type { Command } from "commander";
import { groupFile } from "../group-policies.ts";
import { mustBeFree, writeNew } from "../new-file.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import type { Define } from "../program.ts";
import { readText, reasonOf, unreadable } from "../reading.ts";
import { groupBy, readRuns, type RecordedRun, type RunGroup } from "../recorded-runs.ts";

interface LearnOptions {
  readonly calls: string;
  readonly tools?: string;
  readonly group: string;
  readonly output: string;
}

/** Adds the command. */
export function addLearn(program: Command, define: Define): void {
  const command = program
    .command("learn")
    .description("draft policies from benign recorded calls, to read, edit and sign")
    .requiredOption("--calls <file>", "recorded calls (JSONL, may be compressed: .gz), all benign")
    .option(
      "--tools <file>",
      "[{ name, description, parameters, action_type? }], or as frameworks print them",
    )
    .option(
      "--group <key>",
      "what makes a group: group, agent_id, tenant, or context.<name>",
      "group",
    )
    .requiredOption("-o, --output <folder>", "where the policies go; no file in it is overwritten")
    .addHelpText(
      "after",
      `
Writes <group>.yaml for each group, or policy.yaml where the calls have none. What no call did is not permitted, and
every call is allowed by what was learned from it. Comments say what each choice rests on ("in 7 of 7 runs").
Then: stepgate simulate --policy <folder> --calls <other calls>`,
    );
  define(command, learn);
}

async function learn(output: Output, options: LearnOptions): Promise<ExitCode> {
  const tools = options.tools === undefined ? [] : await toolsOf(options.tools);
  const groups = await readRuns(options.calls, groupBy(options.group));
  const drafts = groups.map((group) => draftOf(group, groups, tools, options.output));
  for (const { file } of drafts) await mustBeFree(file, "learn");
  await mkdir(options.output, { recursive: true }).catch((cause: unknown) => {
    throw unreadable(options.output, reasonOf(cause), cause);
  });
  for (const { file, text } of drafts) await writeNew(file, text, "learn");
  if (output.json)
    await output.document({
      policies: drafts.map(({ calls, file, group, policy: { digest, id, version }, runs }) => ({
        ...(group !== undefined && { group }),
        file,
        policy: { id, version, digest },
        runs,
        calls,
      })),
    });
  for (const { calls, file, runs } of drafts)
    await output.say(printable(`${file}: from ${count(runs, "run")}, ${count(calls, "call")}`));
  return 0;
}

async function toolsOf(file: string): Promise<readonly ToolDescription[]> {
  return readTools(await readText(file), { file });
}

interface Draft {
  readonly group: string | undefined;
  readonly file: string;
  readonly text: string;
  readonly policy: CompiledPolicy;
  readonly runs: number;
  readonly calls: number;
}

function draftOf(
  { group, runs }: RunGroup,
  groups: readonly RunGroup[],
  tools: readonly ToolDescription[],
  folder: string,
): Draft {
  const [first] = runs;
  const file = group === undefined ? join(folder, "policy.yaml") : groupFile(folder, group);
  if (file === undefined)
    throw unreadable(first?.at ?? folder, `the group '${group}' cannot be the name of a file`);
  const recorded = runs.map(({ calls }) => calls);
  const elsewhere = groups.flatMap((other) =>
    other.group === group ? [] : other.runs.map(({ calls }) => calls),
  );
  const text = learnPolicy(recorded, { id: idOf(group), tools, elsewhere });
  const policy = parsePolicy(text, { file });
  for (const run of runs) mustBeAllowed(run, policy);
  const calls = recorded.reduce((sum, { length }) => sum + length, 0);
  return { group, file, text, policy, runs: runs.length, calls };
}

/** An identifier, which a group need not be. */
function idOf(group = "learned"): string {
  return group.replace(/[^A-Za-z0-9._:@/-]/g, "_").replace(/^(?![A-Za-z0-9])/, "policy");
}

/** INVARIANT: nothing is written that denies what it was learned from. */
function mustBeAllowed({ calls, sequence_id }: RecordedRun, policy: CompiledPolicy): void {
  const sequence = createSimulation().open(policy);
  for (const { at, context, ...call } of calls) {
    sequence.addContext(context);
    const answer = sequence.decide({ sequence_id, ...call });
    if (answer.decision === "DENY")
      throw unreadable(
        at,
        `no policy allows this call beside the others: ${answer.deny_code} at ${answer.rule}`,
      );
  }
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
