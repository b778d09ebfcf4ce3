/**
 * `stepgate receipts`: the records of a store as they were signed, in the order of the log (first what a checkpoint
 * covers, by leaf index, then the rest), or verified and said again in another format.
 */
import { join } from "node:path";
import { GateError, type KeySet, LOG_CHAIN, type SigningKey, type Store } from "@stepgate/core";
import { type Command, Option } from "commander";
import { APPROVERS_FILE } from "../approver-keys.ts";
import { attest } from "../in-toto.ts";
import { invalidKey, isThere, readSigningKey } from "../key-file.ts";
import { KEY_FILES } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import { logsLines, otelLogRecord } from "../otel-log.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import {
  type RecordSource,
  type SoundRecord,
  type Soundness,
  verifySource,
} from "../sound-records.ts";
import {
  chainOf,
  DEFAULT_STORE,
  openExistingStore,
  shownStore,
  STORE_FORMS,
} from "../store-url.ts";
import { addTrustOptions, printFinding, readTrust, type TrustOptions } from "../trust.ts";

interface ReceiptsOptions extends Omit<TrustOptions, "keys"> {
  readonly store: string;
  readonly sequence?: string;
  readonly format: "jsonl" | "in-toto" | "otel";
  readonly key?: string;
  readonly keys?: readonly string[];
}

/** Adds the command. */
export function addReceipts(program: Command, define: Define): void {
  const command = program
    .command("receipts")
    .description("export receipts, in order: as JSONL, byte for byte, or in another format")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--sequence <id>", "of this sequence alone")
    .addOption(
      new Option("--format <format>", "the records themselves, attestations, or log records (OTLP)")
        .choices(["jsonl", "in-toto", "otel"])
        .default("jsonl"),
    )
    .option(
      "--key <file>",
      "of in-toto: the exporter's private key, which signs nothing else (stepgate keys new FOLDER makes one)",
    );
  addTrustOptions(command, `${KEY_FILES.public} and ${APPROVERS_FILE} in ${DEFAULT_KEYS}`);
  command.addHelpText(
    "after",
    `
Other formats than jsonl are written only where all that is exported verifies (exit 1, or 2 where a key is missing).`,
  );
  define(command, exportReceipts);
}

async function exportReceipts(
  output: Output,
  options: ReceiptsOptions,
  command: Command,
): Promise<ExitCode> {
  const stray = strayOption(options.format, command);
  if (stray !== undefined) throw new GateError("INVALID_INPUT", `receipts: ${stray}`);
  const store = await openExistingStore(options.store);
  const progress = output.progress("records");
  try {
    return await (options.format === "jsonl"
      ? copyLines(output, store, options, progress.at)
      : exportSound(output, store, options, progress.at));
  } finally {
    progress.end();
    await store.close();
  }
}

/** An option that would not be heeded is refused: somebody relies on it. */
function strayOption(format: ReceiptsOptions["format"], command: Command): string | undefined {
  const given = (name: string): boolean => command.getOptionValueSource(name) === "cli";
  if (format === "in-toto" && !given("key"))
    return "--format in-toto is signed: name the exporter's private key with --key";
  if (format !== "in-toto" && given("key")) return "--key goes with --format in-toto";
  if (format === "jsonl" && ["keys", "require", "hmacKey"].some(given))
    return "JSONL is not verified by its export: write it to a file, and use stepgate verify";
  return undefined;
}

async function copyLines(
  output: Output,
  store: Store,
  options: ReceiptsOptions,
  progress: (records: number) => void,
): Promise<ExitCode> {
  let records = 0;
  for await (const line of linesOf(store, options.sequence)) {
    await output.line(line);
    progress(++records);
  }
  mustBeThere(options, records);
  return 0;
}

async function exportSound(
  output: Output,
  store: Store,
  options: ReceiptsOptions,
  progress: (records: number) => void,
): Promise<ExitCode> {
  const trust = await readTrust({ ...options, keys: options.keys ?? (await keysOfFolder()) });
  const key = options.key === undefined ? undefined : await readExportKey(options.key, trust.keys);
  const soundness = await verifySource(sourceOf(store, options.sequence), trust, progress);
  mustBeThere(options, soundness.count);
  if (soundness.records === undefined) return refuse(output, options, soundness);
  const records = soundness.records();
  if (key === undefined) await writeLogs(output, records);
  else for await (const record of records) await output.document(await attest(record, key));
  return 0;
}

/** Of two things that one key says, neither can be told from the other; so no trusted key signs exports. */
async function readExportKey(file: string, trusted: KeySet): Promise<SigningKey> {
  const key = await readSigningKey(file);
  // What is exported was signed and approved under trusted keys alone, so that these are all there are to confuse it with.
  if (trusted.has(key.keyId))
    throw invalidKey(
      file,
      `is a key of the receipts (${key.keyId}); exports are signed with a key of their own, which stepgate keys new FOLDER makes`,
    );
  return key;
}

async function writeLogs(output: Output, records: AsyncIterable<SoundRecord>): Promise<void> {
  const now = Date.now();
  async function* logRecords() {
    for await (const record of records) yield otelLogRecord(record, now);
  }
  for await (const line of logsLines(logRecords())) await output.line(line);
}

/** A signature over an unsound record would launder it. */
async function refuse(
  output: Output,
  { store, format }: ReceiptsOptions,
  { report: { result, findings, records } }: Soundness,
): Promise<ExitCode> {
  const shown = shownStore(store);
  if (output.json) await output.document({ store: shown, result, findings });
  for (const finding of findings) printFinding(output, shown, finding);
  const why = records === 0 ? "there are no records" : result;
  output.error(`${shown}: ${why}, so nothing was exported as ${format}; see stepgate verify`);
  return result === "invalid" ? 1 : 2;
}

function linesOf(store: Store, sequence: string | undefined): AsyncIterable<string> {
  return sequence === undefined ? store.lines() : chainOf(store, sequence);
}

function sourceOf(store: Store, sequence: string | undefined): RecordSource {
  const lines = (): AsyncIterable<string> => linesOf(store, sequence);
  return sequence === undefined || sequence === LOG_CHAIN
    ? { lines }
    : // There stands which policies were active.
      { lines, beside: () => chainOf(store, LOG_CHAIN) };
}

function mustBeThere({ store, sequence }: ReceiptsOptions, records: number): void {
  if (records === 0 && sequence !== undefined)
    throw new GateError("NOT_OPENED", `${shownStore(store)}: there is no sequence '${sequence}'`);
}

async function keysOfFolder(): Promise<readonly string[]> {
  const approvers = join(DEFAULT_KEYS, APPROVERS_FILE);
  const keys = join(DEFAULT_KEYS, KEY_FILES.public);
  return (await isThere(approvers)) ? [keys, approvers] : [keys];
}
