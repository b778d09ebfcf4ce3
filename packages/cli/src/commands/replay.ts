/** `stepgate replay`: what another policy would have answered to the requests that receipts tell of. */
import { type Command, Option } from "commander";
import { readDisclosures } from "../disclosures.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import { type PolicyFile, readPolicyFile } from "../policy-file.ts";
import type { Define } from "../program.ts";
import {
  type Change,
  type ChangedCall,
  CHANGES,
  type ReplayReport,
  replayReceipts,
} from "../replayed-receipts.ts";
import { openExistingStore } from "../store-url.ts";
import { addTrustOptions, printFinding, readTrust, type TrustOptions } from "../trust.ts";

interface ReplayOptions extends TrustOptions {
  readonly policy: string;
  readonly args?: string;
  readonly store?: string;
  readonly failOn: readonly Change[];
}

/** Adds the command. */
export function addReplay(program: Command, define: Define): void {
  const command = program
    .command("replay")
    .description("verify receipts, decide each again under another policy, list what changes")
    .argument("<receipts>", "a file of receipts (JSONL)")
    .requiredOption("--policy <file>", "the policy to decide by");
  addTrustOptions(command)
    .option(
      "--args <file>",
      'disclosed arguments: {"decision": HASH, "args": {…}, "args_key": HEX}',
    )
    .option("--store <url>", "the store that the receipts come from, for the trusted contexts")
    .addOption(
      new Option("--fail-on <change...>", "exit 1 where there is such a change")
        .choices(CHANGES)
        .default(CHANGES.filter((change) => change !== "unknown")),
    )
    .addHelpText(
      "after",
      `
Receipts that are not sound are not replayed (exit 1, or 2 where a key is missing). Each sequence goes on under the new
policy's own state: a call that it denies does not advance. A call that hangs on arguments or a context that are not
given is unknown; what comes after it is decided as if it had been answered as recorded, and says so. Times are those of
the records; limits by agent or tenant are counted over this file.`,
    );
  define(command, replay);
}

async function replay(output: Output, file: string, options: ReplayOptions): Promise<ExitCode> {
  const policy = await readPolicyFile(options.policy);
  const trust = await readTrust(options);
  const disclosures = await readDisclosures(options.args);
  const store = options.store === undefined ? undefined : await openExistingStore(options.store);
  const progress = output.progress("records");
  const sources = { file, policy, trust, disclosures, progress: progress.at };
  const { verification, report } = await replayReceipts(
    store === undefined ? sources : { ...sources, store },
  ).finally(async () => {
    progress.end();
    await store?.close();
  });
  const { result, records, findings } = verification;
  if (report === undefined) {
    if (output.json) await output.document({ file, result, findings });
    for (const finding of findings) printFinding(output, file, finding);
    output.error(`${file}: ${result}, so nothing was replayed; see stepgate verify`);
    return result === "invalid" ? 1 : 2;
  }
  const { id, version, digest } = policy.policy;
  if (output.json)
    await output.document({ file, result, records, policy: { id, version, digest }, ...report });
  else await print(output, file, policy, report);
  return report.changed.some(({ change }) => options.failOn.includes(change)) ? 1 : 0;
}

async function print(
  output: Output,
  file: string,
  { policy }: PolicyFile,
  { sequences, calls, changed, left_out }: ReplayReport,
): Promise<void> {
  const bySequence = Map.groupBy(changed, ({ sequence_id }) => sequence_id);
  for (const [sequence, list] of bySequence) {
    await output.say(output.paint("bold", printable(sequence)));
    for (const call of list) await output.say(`  ${changedLine(output, call)}`);
  }
  for (const [id, count] of Object.entries(left_out))
    await output.say(`left out: ${count} sequences of policy '${id}', for this is '${policy.id}'`);
  const counts = CHANGES.map(
    (change) =>
      `${changed.filter((call) => call.change === change).length} ${change.replace("-", " ")}`,
  );
  await output.say(
    `${file}: ${calls} calls of ${sequences} sequences, ${calls - changed.length} as recorded, ${counts.join(", ")}`,
  );
}

const COLOURS = {
  "newly-denied": "yellow",
  "newly-allowed": "red",
  "otherwise-denied": "dim",
  unknown: "dim",
} as const;

function changedLine(output: Output, call: ChangedCall): string {
  const { seq, change, recorded, replayed, at, assumes } = call;
  const name = call.tool ?? call.function ?? "a request";
  const after =
    replayed.decision === "UNKNOWN" ? `unknown: ${replayed.reason}` : answerText(replayed);
  const place = at === undefined ? "" : ` at ${at}`;
  const assumed = assumes === undefined ? "" : `, if ${assumes} unknown before it stay`;
  const word = output.paint(COLOURS[change], change.replace("-", " "));
  return `${word} #${seq} ${printable(name)}: ${answerText(recorded)} -> ${after}${place}${assumed}`;
}

function answerText({
  decision,
  deny_code,
  rule,
}: {
  readonly decision: string;
  readonly deny_code?: string;
  readonly rule?: string;
}): string {
  return deny_code === undefined ? decision : `${decision} ${deny_code} [${rule}]`;
}
