/** `stepgate seal`: a person ends a sequence, through a gate, with a signed record. */
import { receiptLine } from "@stepgate/core";
import type { Command } from "commander";
import { openActingGate } from "../acting-gate.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { DEFAULT_STORE, openExistingStore, STORE_FORMS } from "../store-url.ts";

interface SealOptions {
  readonly store: string;
  readonly sequence: string;
  readonly reason: string;
  readonly by?: string;
  readonly keys: string;
  readonly policy?: string;
}

/** Adds the command. */
export function addSeal(program: Command, define: Define): void {
  const command = program
    .command("seal")
    .description("end a sequence by a person's decision: nothing further is allowed in it")
    .requiredOption("--sequence <id>", "the sequence")
    .requiredOption("--reason <text>", "why: at most 200 printable ASCII characters")
    .option("--by <who>", "who decided it (default: host)")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--policy <file>", "only for a store that does not hold the sequence's policy");
  define(command, seal);
}

async function seal(output: Output, options: SealOptions): Promise<ExitCode> {
  const { sequence, reason, by, keys, policy, store: url } = options;
  const store = await openExistingStore(url);
  try {
    const { gate } = await openActingGate(store, { sequence, url, keys, policy });
    const receipt = await gate.seal(sequence, reason, by);
    if (output.json) await output.line(receiptLine(receipt));
    await output.say(
      `sealed ${receipt.sequence_id} (#${receipt.seq}) by ${receipt.by}: ${receipt.reason}`,
    );
    return 0;
  } finally {
    await store.close();
  }
}
