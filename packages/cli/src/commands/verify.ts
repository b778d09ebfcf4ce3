/** `stepgate verify`: receipts in a file against trusted keys; no network, no gate, no store. */
import {
  type CheckpointReport,
  type CompiledPolicy,
  type KeptCheckpoint,
  type SequenceReport,
  type VerificationReport,
  verifyFile,
} from "@stepgate/core";
import { type Command, Option } from "commander";
import { readKeptCheckpoint } from "../checkpoint-file.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { fileChunks } from "../reading.ts";
import { addTrustOptions, append, printFindings, readTrust, type TrustOptions } from "../trust.ts";

interface VerifyOptions extends TrustOptions {
  readonly policy: readonly string[];
  readonly checkpoint: readonly string[];
}

/** Adds the command. */
export function addVerify(program: Command, define: Define): void {
  const command = program
    .command("verify")
    .description("verify receipts; exit 0 sound, 1 invalid, 2 where that cannot be decided")
    .argument("<receipts>", "a file of receipts (JSONL)");
  addTrustOptions(command)
    .addOption(
      new Option("--policy <file>", "recompute decisions under this policy (repeatable)")
        .default([])
        .argParser(append),
    )
    .addOption(
      new Option(
        "--checkpoint <file[@time]>",
        "the log must go on from this checkpoint, which was kept elsewhere; since @time, it covers what was signed under a key that was revoked later (repeatable)",
      )
        .default([])
        .argParser(append),
    );
  define(command, verify);
}

const EXITS: Readonly<Record<VerificationReport["result"], ExitCode>> = {
  sound: 0,
  invalid: 1,
  undecided: 2,
};

async function verify(output: Output, file: string, options: VerifyOptions): Promise<ExitCode> {
  const trust = await readTrust(options);
  const policies: CompiledPolicy[] = [];
  for (const path of options.policy) policies.push((await readPolicyFile(path)).policy);
  const checkpoints: KeptCheckpoint[] = [];
  for (const kept of options.checkpoint)
    checkpoints.push(await readKeptCheckpoint(kept, trust.keys));
  const progress = output.progress("bytes");
  const report = await verifyFile(fileChunks(file), {
    ...trust,
    ...(policies.length === 0 ? {} : { policies }),
    ...(checkpoints.length === 0 ? {} : { checkpoints }),
    progress: progress.at,
  }).finally(progress.end);
  await (output.json ? output.document({ file, ...report }) : print(output, file, report));
  return EXITS[report.result];
}

async function print(output: Output, file: string, report: VerificationReport): Promise<void> {
  printFindings(output, file, report.findings);
  for (const sequence of report.sequences) await printSequence(output, sequence, report);
  for (const checkpoint of report.checkpoints ?? [])
    await printCheckpoint(output, checkpoint, report.records);
  if (!report.recomputed) await output.say("decisions not recomputed: no --policy was given");
  const { records, sequences } = report;
  await output.say(
    `${file}: ${records} records, ${sequences.length} sequences: ${summary(output, report)}`,
  );
}

async function printSequence(
  output: Output,
  sequence: SequenceReport,
  { findings, checkpoints = [] }: VerificationReport,
): Promise<void> {
  const { verdict, sequence_id, records, open_allows } = sequence;
  const first = findings.find((finding) => finding.sequence_id === sequence_id);
  const covered = verdict === "OPEN" && checkpoints.some(({ result }) => result === "HOLDS");
  const meaning = covered ? OPEN_SINCE : MEANINGS[verdict];
  const why = first === undefined ? meaning : `${first.code} in line ${first.line}`;
  const colour = verdict === "SEALED" ? "green" : verdict === "INVALID" ? "red" : "yellow";
  await output.say(
    `${output.paint(colour, verdict.padEnd(10))} ${printable(sequence_id)}: ${records} records; ${why}`,
  );
  for (const hash of open_allows)
    await output.say(`           ALLOW without outcome: ${printable(hash)}`);
}

/** What a verdict says, and what it cannot. */
const MEANINGS: Readonly<Record<SequenceReport["verdict"], string>> = {
  SEALED: "no new action was allowed after the seal",
  OPEN: "sound so far; a missing tail cannot be excluded",
  UNENFORCED: "a shadow run: decisions were recorded, not enforced",
  INVALID: "not sound",
  UNDECIDED: "a key is missing",
};

const OPEN_SINCE = "sound so far; only a tail after the last checkpoint can be missing";

async function printCheckpoint(
  output: Output,
  { origin, size, result }: CheckpointReport,
  records: number,
): Promise<void> {
  const holds = `the log goes on from it; ${records - size} records came after it`;
  const says = {
    HOLDS: holds,
    FORK: "the file says otherwise",
    TRUNCATED: "the file ends before it",
  };
  await output.say(
    `${output.paint(result === "HOLDS" ? "green" : "red", result.padEnd(10))} checkpoint ${printable(origin)}, ${size} records: ${says[result]}`,
  );
}

function summary(output: Output, { result, findings, records }: VerificationReport): string {
  if (result === "sound") return output.paint("green", "sound");
  if (result === "invalid") return output.paint("red", `INVALID, ${findings.length} findings`);
  return output.paint(
    "yellow",
    records === 0 ? "could not decide, there are no records" : "could not decide, a key is missing",
  );
}
