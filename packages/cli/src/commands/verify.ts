/** `stepgate verify`: receipts in a file against trusted keys; no network, no gate, no store. */
import {
  canonicalize,
  type CompiledPolicy,
  GateError,
  type KeySet,
  type SequenceReport,
  type TrustedKey,
  type VerificationReport,
  verifyFile,
} from "@stepgate/core";
import { type Command, Option } from "commander";
import { readKeySet } from "../key-file.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import { readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import { fileChunks, readBytes } from "../reading.ts";

interface VerifyOptions {
  readonly keys: readonly string[];
  readonly policy: readonly string[];
  readonly require: "ed25519" | "hmac";
  readonly hmacKey: readonly string[];
}

/** Adds the command. */
export function addVerify(program: Command, define: Define): void {
  const command = program
    .command("verify")
    .description("verify receipts; exit 0 sound, 1 invalid, 2 where that cannot be decided")
    .argument("<receipts>", "a file of receipts (JSONL)")
    .addOption(
      new Option(
        "--keys <jwks>",
        "the public keys that are trusted, the gate's and the approvers', from outside the receipts (repeatable)",
      )
        .argParser(append)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--policy <file>", "recompute decisions under this policy (repeatable)")
        .default([])
        .argParser(append),
    )
    .addOption(
      new Option("--require <kind>", "what every record must carry")
        .choices(["ed25519", "hmac"])
        .default("ed25519"),
    )
    .addOption(
      new Option(
        "--hmac-key <id=file>",
        "a file whose bytes are the secret of this MAC key (repeatable)",
      )
        .default([])
        .argParser(append),
    );
  define(command, verify);
}

function append(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

const EXITS: Readonly<Record<VerificationReport["result"], ExitCode>> = {
  sound: 0,
  invalid: 1,
  undecided: 2,
};

async function verify(output: Output, file: string, options: VerifyOptions): Promise<ExitCode> {
  const keys = await readTrustedKeys(options.keys);
  const policies: CompiledPolicy[] = [];
  for (const path of options.policy) policies.push((await readPolicyFile(path)).policy);
  const hmacKeys = Object.fromEntries(await Promise.all(options.hmacKey.map(readSecret)));
  const progress = output.progress("bytes");
  const report = await verifyFile(fileChunks(file), {
    keys,
    require: options.require,
    hmacKeys,
    ...(policies.length === 0 ? {} : { policies }),
    progress: progress.at,
  }).finally(progress.end);
  await (output.json ? output.document({ file, ...report }) : print(output, file, report));
  return EXITS[report.result];
}

/** One set of all files. A key may stand in several, but in the same words. */
async function readTrustedKeys(files: readonly string[]): Promise<KeySet> {
  const all = new Map<string, TrustedKey>();
  for (const file of files) {
    for (const [kid, trusted] of await readKeySet(file)) {
      const known = all.get(kid);
      if (known !== undefined && canonicalize(known.jwk) !== canonicalize(trusted.jwk))
        throw new GateError("KEY_INVALID", `${file}: says otherwise of key ${kid}`);
      all.set(kid, trusted);
    }
  }
  return all;
}

async function readSecret(option: string): Promise<readonly [id: string, secret: Uint8Array]> {
  const [, id, file] = /^([^=]+)=(.+)$/.exec(option) ?? [];
  if (id === undefined || file === undefined)
    throw new GateError("INVALID_INPUT", "--hmac-key: write ID=FILE");
  return [id, await readBytes(file)];
}

async function print(output: Output, file: string, report: VerificationReport): Promise<void> {
  for (const { line, code, message, sequence_id, seq } of report.findings) {
    const place = sequence_id === undefined ? "" : ` (${printable(sequence_id)} #${seq})`;
    output.error(`${file}:${line}:1: ${code}${place}: ${message}`);
  }
  for (const sequence of report.sequences) await printSequence(output, sequence, report);
  if (!report.recomputed) await output.say("decisions not recomputed: no --policy was given");
  const { records, sequences } = report;
  await output.say(
    `${file}: ${records} records, ${sequences.length} sequences: ${summary(output, report)}`,
  );
}

async function printSequence(
  output: Output,
  sequence: SequenceReport,
  { findings }: VerificationReport,
): Promise<void> {
  const { verdict, sequence_id, records, open_allows } = sequence;
  const first = findings.find((finding) => finding.sequence_id === sequence_id);
  const why = first === undefined ? MEANINGS[verdict] : `${first.code} in line ${first.line}`;
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

function summary(output: Output, { result, findings, records }: VerificationReport): string {
  if (result === "sound") return output.paint("green", "sound");
  if (result === "invalid") return output.paint("red", `INVALID, ${findings.length} findings`);
  return output.paint(
    "yellow",
    records === 0 ? "could not decide, there are no records" : "could not decide, a key is missing",
  );
}
