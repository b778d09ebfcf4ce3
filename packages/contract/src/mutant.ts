/** A mutant of a sound file, and the means to write one: cut to its sequences, and signed anew where the forger has a key. */
import { createHmac } from "node:crypto";
import type { SigningKey } from "@stepgate/core";
import { canonicalText, type Json, type JsonObject, readJson } from "./second-json.ts";
import { recordHash, signedInput } from "./second-proofs.ts";
import type { SecondTrust } from "./second-verifier.ts";
import { GATE_KEY, type SoundFile } from "./sound-receipts.ts";

/**
 * What a verifier must say: its first finding, one of `codes` at one of `lines`; or exactly these `findings`, as `line code`; or
 * no finding and these verdicts of the sequences, for nobody can know without a checkpoint; `gone` where no sequence is left to
 * tell of.
 */
export type Expected =
  | { readonly lines: readonly number[]; readonly codes: readonly string[] }
  | { readonly findings: readonly string[] }
  | { readonly verdict: string }
  | "gone";

/** What was done, by the page's and the list of what must not pass. */
export type Attack =
  | "bit flipped"
  | "record deleted"
  | "tail cut off"
  | "sequence deleted"
  | "records swapped"
  | "record doubled"
  | "splice between sequences"
  | "splice between logs"
  | "form broken"
  | "key substituted"
  | "algorithm or version changed"
  | "signature stripped"
  | "batch path or index changed"
  | "rewritten with the MAC's secret"
  | "rewritten under a rotated key"
  | "rewritten under a revoked key"
  | "rewritten under the gate's key"
  | "appended after the seal"
  | "outcome forged"
  | "approval forged"
  | "decision or opening forged"
  | "policy record forged"
  | "key record forged"
  | "nothing, under other keys";

/** A file that was tampered with, and what is to be found in it. */
export interface Mutant {
  readonly attack: Attack;
  readonly name: string;
  readonly file: Buffer;
  readonly expected: Expected;
  /** Where the readers are given something else than the sound file's keys and secrets. */
  readonly trust?: Partial<SecondTrust>;
}

/** One sequence's lines, with those of `@log`. */
export interface SequenceLines {
  readonly log: readonly string[];
  readonly records: readonly string[];
}

/** A record being forged. */
export type Draft = { readonly [member: string]: Json | undefined };

/** The file's sequences, in the order in which they were opened. */
export function sequencesOf(file: SoundFile): readonly SequenceLines[] {
  const grouped = Map.groupBy(file.lines, (line) => String(parsed(line)["sequence_id"]));
  const log = grouped.get("@log") ?? [];
  grouped.delete("@log");
  return [...grouped.values()].map((records) => ({ log, records }));
}

/** Lines as a file. */
export function bytesOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\n`).join(""));
}

/** The verdict of a sound sequence that was not opened in the shadow. */
export function verdictOf(records: readonly string[]): string {
  return records.some((line) => line.includes('"sealed":true')) ? "SEALED" : "OPEN";
}

/** The record of a line of a sound file. */
export function parsed(line: string | undefined): JsonObject {
  const value = readJson(line ?? "")?.value;
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as JsonObject;
  throw new TypeError("the sound file holds a line that is no record");
}

/** The canonical line; members that are undefined are left out. */
export function written(draft: Draft): string {
  return canonicalText(plain(draft)) ?? "";
}

/** A line that this key signed by itself, under its own name or another's. */
export function signedLine(
  draft: Draft,
  key: SigningKey = GATE_KEY,
  keyId: string = key.keyId,
): string {
  const { batch: _batch, sig: _sig, hmac_sig: _mac, hmac_key_id: _id, ...body } = draft;
  const record = plain({ ...body, key_id: keyId });
  const sig = Buffer.from(key.sign(signedInput(record)) as Uint8Array).toString("hex");
  return written({ ...record, sig: `ed25519=${sig}` });
}

/** A line with the MAC of who holds the secret, and nothing else. */
export function macLine(draft: Draft, id: string, secret: Uint8Array): string {
  const { batch: _batch, sig: _sig, key_id: _key, hmac_sig: _mac, ...body } = draft;
  const record = plain({ ...body, hmac_key_id: id });
  const mac = createHmac("sha256", secret).update(signedInput(record)).digest("hex");
  return written({ ...record, hmac_sig: `sha256=${mac}` });
}

/** The hash of a line's record. */
export function hashOf(line: string | undefined): string {
  return recordHash(parsed(line));
}

function plain(draft: Draft): JsonObject {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value !== undefined));
}
