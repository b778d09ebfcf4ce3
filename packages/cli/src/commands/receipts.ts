/** `stepgate receipts`: the records of a store as JSONL, in order, byte for byte as they were signed. */
import { GateError } from "@stepgate/core";
import type { Command } from "commander";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { chainOf, DEFAULT_STORE, openExistingStore } from "../store-url.ts";

interface ReceiptsOptions {
  readonly store: string;
  readonly sequence?: string;
}

/** Adds the command. */
export function addReceipts(program: Command, define: Define): void {
  const command = program
    .command("receipts")
    .description("export receipts as JSONL, in order")
    .option("--store <url>", "sqlite:PATH", DEFAULT_STORE)
    .option("--sequence <id>", "of this sequence alone");
  define(command, exportReceipts);
}

async function exportReceipts(
  output: Output,
  { store: url, sequence }: ReceiptsOptions,
): Promise<ExitCode> {
  const store = openExistingStore(url);
  const progress = output.progress("records");
  try {
    let records = 0;
    for await (const line of sequence === undefined ? store.lines() : chainOf(store, sequence)) {
      await output.line(line);
      progress.at(++records);
    }
    if (records === 0 && sequence !== undefined)
      throw new GateError("NOT_OPENED", `${url}: there is no sequence '${sequence}'`);
    return 0;
  } finally {
    progress.end();
    await store.close();
  }
}
