/** `stepgate seal`: a person ends a sequence, through a gate, with a signed record. */
import {
  type CompiledPolicy,
  GateError,
  type OpenReceipt,
  receiptLine,
  type SealReceipt,
  type Store,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import type { Command } from "commander";
import { readPublicKeys } from "../key-folder.ts";
import { DEFAULT_KEYS, openGate } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { DEFAULT_STORE, openExistingStore } from "../store-url.ts";

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
    .option("--store <url>", "sqlite:PATH", DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--policy <file>", "only for a store that does not hold the sequence's policy");
  define(command, seal);
}

async function seal(output: Output, options: SealOptions): Promise<ExitCode> {
  // Keys made on the spot would be known to no auditor.
  await readPublicKeys(options.keys);
  const store = openExistingStore(options.store);
  try {
    const receipt = await appendSeal(store, options);
    if (output.json) await output.line(receiptLine(receipt));
    await output.say(
      `sealed ${receipt.sequence_id} (#${receipt.seq}) by ${receipt.by}: ${receipt.reason}`,
    );
    return 0;
  } finally {
    await store.close();
  }
}

async function appendSeal(
  store: Store,
  { sequence, reason, by, keys, policy, store: url }: SealOptions,
): Promise<SealReceipt> {
  const [first] = await store.read(sequence, 0, 1);
  if (first === undefined)
    throw new GateError("NOT_OPENED", `${url}: there is no sequence '${sequence}'`);
  // The store's own record; the gate checks the chain when it folds it.
  const opened = JSON.parse(first) as OpenReceipt;
  const gate = await openGate({
    policy: policy ?? (await keptPolicy(store, opened)),
    store,
    keys,
    mode: opened.mode,
  });
  return gate.seal(sequence, reason, by);
}

/** The policy that the sequence is pinned to, from its normal form in the store. */
async function keptPolicy(
  store: Store,
  { policy_id, policy_digest }: OpenReceipt,
): Promise<CompiledPolicy> {
  const text = await store.document(policy_digest);
  const policy = text === undefined ? undefined : compilePolicy(JSON.parse(text));
  if (policy?.digest !== policy_digest)
    throw new GateError(
      "POLICY_INVALID",
      `the store does not hold policy '${policy_id}' (${policy_digest}); name it with --policy`,
    );
  return policy;
}
