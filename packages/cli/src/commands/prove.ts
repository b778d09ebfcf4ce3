/** `stepgate prove`: the proof that one record is in the log, for whoever has the record and the public keys. */
import { checkpointLog, GateError, parseProof, proveRecord } from "@stepgate/core";
import type { Command } from "commander";
import { openLogKeys, readCheckpointFile } from "../checkpoint-file.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { DEFAULT_STORE, openExistingStore, STORE_FORMS } from "../store-url.ts";

interface ProveOptions {
  readonly store: string;
  readonly sequence: string;
  readonly seq: string;
  readonly keys: string;
  readonly checkpoint?: string;
}

/** Adds the command. */
export function addProve(program: Command, define: Define): void {
  const command = program
    .command("prove")
    .description("prove that a record is in the log (a C2SP tlog-proof)")
    .requiredOption("--sequence <id>", "its sequence")
    .requiredOption("--seq <n>", "its place in there, from 0")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--checkpoint <file>", "prove it against this one, instead of a new one");
  define(command, prove);
}

async function prove(output: Output, options: ProveOptions): Promise<ExitCode> {
  const { store: url, sequence, seq, keys, checkpoint: file } = options;
  if (!/^(0|[1-9][0-9]{0,14})$/.test(seq))
    throw new GateError("INVALID_INPUT", "--seq: write the place as a whole number, from 0");
  const store = await openExistingStore(url);
  try {
    const { signer, trusted } = await openLogKeys(keys);
    const checkpoint =
      file === undefined
        ? await checkpointLog(store, signer)
        : await readCheckpointFile(file, trusted);
    const place = { sequence_id: sequence, seq: Number(seq) };
    const proof = await proveRecord(store, place, checkpoint);
    if (output.json) await output.document({ ...place, ...parseProof(proof) });
    // The proof as it is, so that what stdout is sent to is a `.tlog-proof` file.
    else await output.line(proof.slice(0, -1));
    return 0;
  } finally {
    await store.close();
  }
}
