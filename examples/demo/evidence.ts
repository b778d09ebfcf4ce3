/** What a run leaves behind, and what a stranger can make of it: receipts and a public key, nothing else. */
import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { sqliteStore } from "@stepgate/store-sqlite";
import { importKeySet, type VerificationReport, verifyFile } from "stepgate";
import { say } from "./narrator.ts";

/** Writes `receipts.jsonl` from the store and `keys.json`, the public keys, beside it. */
export async function leaveEvidence(from: {
  readonly store: string;
  readonly keys: string;
  readonly out: string;
}): Promise<void> {
  const store = sqliteStore(from.store.slice("sqlite:".length));
  try {
    const lines = Readable.from(terminated(store.lines()));
    await pipeline(lines, createWriteStream(`${from.out}/receipts.jsonl`));
  } finally {
    await store.close();
  }
  await copyFile(`${from.keys}/keys.json`, `${from.out}/keys.json`);
}

/** Verifies the two files, as an auditor would who has nothing else. */
export async function verifyEvidence(out: string): Promise<VerificationReport> {
  say(`What a stranger can verify from ${out}/receipts.jsonl and ${out}/keys.json alone`);
  const report = await verify(`${out}/receipts.jsonl`, out);
  for (const { sequence_id, verdict, records } of report.sequences) {
    console.log(`  ${sequence_id.padEnd(12)} ${verdict.padEnd(8)} ${records} records`);
  }
  console.log(`  ${report.records} records, ${report.findings.length} findings: ${report.result}`);
  return report;
}

/** Changes one byte of the record, verifies again, and says what was found; false where it was not. */
export async function showTampering(out: string): Promise<boolean> {
  const bytes = await readFile(`${out}/receipts.jsonl`);
  const marker = '"args_digest":"hmac-sha256:';
  const at = bytes.indexOf(marker) + marker.length;
  say("Somebody changes one byte: the arguments of the first decision");
  const changed = Buffer.from(bytes);
  changed.write(changed.toString("latin1", at, at + 1) === "0" ? "1" : "0", at);
  await writeFile(`${out}/tampered.jsonl`, changed);
  const report = await verify(`${out}/tampered.jsonl`, out);
  for (const { line, code, message } of report.findings) {
    console.log(`  ${out}/tampered.jsonl:${line}: ${code}: ${message}`);
  }
  console.log(`  ${report.result}`);
  return report.result === "invalid";
}

async function verify(file: string, out: string): Promise<VerificationReport> {
  const keys = importKeySet(JSON.parse(await readFile(`${out}/keys.json`, "utf8")));
  return verifyFile(createReadStream(file), { keys });
}

async function* terminated(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}
