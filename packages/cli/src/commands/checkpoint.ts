/** `stepgate checkpoint`: signs how far a store's log reaches, for anyone to keep and hold the log to. */
import {
  type Checkpoint,
  checkpointLog,
  GateError,
  proveConsistency,
  type Store,
} from "@stepgate/core";
import type { Command } from "commander";
import { openLogKeys, readCheckpointFile } from "../checkpoint-file.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { DEFAULT_STORE, openExistingStore, STORE_FORMS } from "../store-url.ts";

interface CheckpointOptions {
  readonly store: string;
  readonly keys: string;
  readonly since?: string;
}

/** Adds the command. */
export function addCheckpoint(program: Command, define: Define): void {
  const command = program
    .command("checkpoint")
    .description(
      "sign how far the log reaches (a C2SP checkpoint); keep it elsewhere and give it to `verify`",
    )
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--since <file>", "an earlier checkpoint, which the log must go on from");
  define(command, checkpoint);
}

async function checkpoint(
  output: Output,
  { store: url, keys, since }: CheckpointOptions,
): Promise<ExitCode> {
  const store = await openExistingStore(url);
  const progress = output.progress("records");
  try {
    const { signer, trusted } = await openLogKeys(keys);
    const earlier = since === undefined ? undefined : await readCheckpointFile(since, trusted);
    const made = await checkpointLog(store, signer, progress.at);
    const proof = earlier && (await proofOf(store, earlier, made));
    if (GateError.isInstance(proof)) {
      // Nobody is handed a checkpoint of what is left.
      output.error(`${since}: FORK: ${proof.message}`);
      return 1;
    }
    if (output.json)
      await output.document({ ...made, ...(proof === undefined ? {} : { since, proof }) });
    // The note as it is, so that what stdout is sent to is the checkpoint.
    else await output.line(made.note.slice(0, -1));
    return 0;
  } finally {
    progress.end();
    await store.close();
  }
}

/** The proof that the log goes on from the earlier checkpoint, or why it does not. */
function proofOf(
  store: Store,
  earlier: Checkpoint,
  made: Checkpoint,
): Promise<readonly string[] | GateError> {
  return proveConsistency(store, earlier, made).catch((cause: unknown) => {
    if (GateError.isInstance(cause) && cause.code === "LOG_MISMATCH") return cause;
    throw cause;
  });
}
