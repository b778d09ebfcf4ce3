/** `stepgate verify`: receipts in a file against trusted keys; no network, no gate, no store. */
import { setFlagsFromString } from "node:v8";
import {
  type CompiledPolicy,
  type KeptCheckpoint,
  type VerificationReport,
  verifyFile,
} from "@stepgate/core";
import { type Command, Option } from "commander";
import { createSpill } from "../chain-spill.ts";
import { readKeptCheckpoint } from "../checkpoint-file.ts";
import type { ExitCode, Output } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { fileChunks, fileSize } from "../reading.ts";
import { addTrustOptions, append, readTrust, type TrustOptions } from "../trust.ts";
import { jsonReport, textReport } from "../verification-report.ts";

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
  keepHeapSmall();
  const writer = output.json ? jsonReport(output, file) : textReport(output, file);
  const progress = output.progress("bytes", await fileSize(file));
  const spill = createSpill();
  try {
    const {
      findings: _,
      sequences: __,
      ...summary
    } = await verifyFile(fileChunks(file), {
      ...trust,
      ...(policies.length === 0 ? {} : { policies }),
      ...(checkpoints.length === 0 ? {} : { checkpoints }),
      spill,
      finding: (finding) => writer.finding(finding),
      sequence: (sequence) => writer.sequence(sequence),
      progress: progress.at,
    }).finally(progress.end);
    await writer.end(summary);
    return EXITS[summary.result];
  } finally {
    spill.close();
  }
}

/**
 * What is put aside leaves garbage, and V8 would let that grow to four times of what is in use, and the space for new objects to 64
 * megabytes twice, before it collects: memory that a file of millions of records does not need.
 */
function keepHeapSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=50");
}
