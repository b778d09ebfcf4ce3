/** `stepgate archive`: copies the log to files, in order, once or for as long as it runs. */
import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Archiving, archiveLog, type Checkpoint, GateError } from "@stepgate/core";
import type { Command } from "commander";
import { archiveFolder } from "../archive-folder.ts";
import { openLogKeys } from "../checkpoint-file.ts";
import { durationOf } from "../duration.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { reasonOf } from "../reading.ts";
import { DEFAULT_STORE, openExistingStore, STORE_FORMS } from "../store-url.ts";

interface ArchiveOptions {
  readonly store: string;
  readonly keys: string;
  readonly records: string;
  readonly follow?: boolean;
  readonly every: string;
}

/** Adds the command. */
export function addArchive(program: Command, define: Define): void {
  const command = program
    .command("archive")
    .description("copy what is new in the log to files of a folder, in order, with a checkpoint")
    .argument("<folder>", "where to; made where it is not there, and gone on from where it is")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--records <n>", "the most records of one file", "10000")
    .option("--follow", "go on until it is stopped (SIGINT or SIGTERM)")
    .option("--every <duration>", "of --follow: how often", "60s")
    .addHelpText(
      "after",
      `
The files one after another are the log, and verify with the checkpoint beside them:
  cat FOLDER/*.jsonl | stepgate verify /dev/stdin --keys JWKS --checkpoint FOLDER/checkpoint.txt`,
    );
  define(command, archive);
}

async function archive(output: Output, folder: string, options: ArchiveOptions): Promise<ExitCode> {
  const segmentRecords = recordsOf(options.records);
  const pause = durationOf("--every", options.every);
  const store = await openExistingStore(options.store);
  try {
    const { signer, trusted: keys } = await openLogKeys(options.keys);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const archiving = { store, archive: archiveFolder(folder), signer, keys, segmentRecords };
    if (options.follow !== true) return await once(output, folder, archiving);
    return await follow(output, folder, archiving, pause);
  } finally {
    await store.close();
  }
}

function recordsOf(text: string): number {
  if (/^[1-9][0-9]{0,6}$/.test(text)) return Number(text);
  throw new GateError("INVALID_INPUT", `--records ${text}: write a whole number from 1 to 9999999`);
}

async function once(output: Output, folder: string, archiving: Archiving): Promise<ExitCode> {
  const progress = output.progress("records");
  try {
    const { size: before } = await archiving.archive.head();
    const made = await archiveLog({ ...archiving, progress: progress.at });
    await tell(output, folder, made, before);
    return 0;
  } catch (error) {
    if (!isFinding(error)) throw error;
    output.error(`${folder}: ${error.code}: ${error.message}`);
    return 1;
  } finally {
    progress.end();
  }
}

/** What the archive, or the log, was found to be; not a fault of this machine. */
function isFinding(error: unknown): error is GateError {
  return (
    GateError.isInstance(error) &&
    (error.code === "LOG_MISMATCH" || error.code === "RECEIPT_INVALID")
  );
}

async function tell(
  output: Output,
  folder: string,
  { size, note }: Checkpoint,
  before: number,
): Promise<void> {
  if (output.json) return output.document({ folder, added: size - before, records: size, note });
  return output.say(`${folder}: ${size - before} records added, ${size} in all`);
}

/** A store or disk that fails is tried again at the next turn; a log that was rewritten ends it. */
async function follow(
  output: Output,
  folder: string,
  archiving: Archiving,
  pause: number,
): Promise<ExitCode> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    for (;;) {
      const exit = await once(output, folder, archiving).catch((error: unknown) => {
        output.error(`${folder}: ${reasonOf(error)}; tried again in ${pause / 1000} s`);
        return 0 as const;
      });
      if (exit !== 0 || stop.signal.aborted) return exit;
      await sleep(pause, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return 0;
    }
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}
