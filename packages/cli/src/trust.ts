/** What a command that reads receipts trusts: public keys, and secrets of MAC keys, from outside the receipts. */
import {
  canonicalize,
  type Finding,
  GateError,
  type KeySet,
  type TrustedKey,
  type VerifyOptions,
} from "@stepgate/core";
import { type Command, Option } from "commander";
import { readKeySet } from "./key-file.ts";
import { type Output, printable } from "./output.ts";
import { readBytes } from "./reading.ts";

/** The options that {@link addTrustOptions} adds. */
export interface TrustOptions {
  readonly keys: readonly string[];
  readonly require: "ed25519" | "hmac";
  readonly hmacKey: readonly string[];
}

/** Adds `--keys`, `--require` and `--hmac-key`; `--keys` must be given unless the command says what it is `otherwise`. */
export function addTrustOptions(command: Command, otherwise?: string): Command {
  const keys = new Option(
    "--keys <jwks>",
    `the public keys that are trusted, the gate's and the approvers', from outside the receipts (repeatable${otherwise === undefined ? "" : `; default: ${otherwise}`})`,
  ).argParser(append);
  return command
    .addOption(otherwise === undefined ? keys.makeOptionMandatory() : keys)
    .addOption(
      new Option("--require <kind>", "what every record must carry")
        .choices(["ed25519", "hmac"])
        .default("ed25519"),
    )
    .addOption(
      new Option(
        "--hmac-key <id=file>",
        "a file whose bytes are the secret of this MAC key (repeatable)",
      )
        .default([])
        .argParser(append),
    );
}

/** For options that may be given several times. */
export function append(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** Reads what the options name. @throws GateError KEY_INVALID or INVALID_INPUT. */
export async function readTrust(
  options: TrustOptions,
): Promise<Required<Pick<VerifyOptions, "keys" | "require" | "hmacKeys">>> {
  const keys = await readTrustedKeys(options.keys);
  const hmacKeys = Object.fromEntries(await Promise.all(options.hmacKey.map(readSecret)));
  return { keys, require: options.require, hmacKeys };
}

/** A finding at its line, on stderr. */
export function printFinding(output: Output, file: string, finding: Finding): void {
  const { line, code, message, sequence_id, seq } = finding;
  const place = sequence_id === undefined ? "" : ` (${printable(sequence_id)} #${seq})`;
  output.error(`${file}:${line}:1: ${code}${place}: ${message}`);
}

/** One set of all files. A key may stand in several, but in the same words. */
async function readTrustedKeys(files: readonly string[]): Promise<KeySet> {
  const all = new Map<string, TrustedKey>();
  for (const file of files) {
    for (const [kid, trusted] of await readKeySet(file)) {
      const known = all.get(kid);
      if (known !== undefined && canonicalize(known.jwk) !== canonicalize(trusted.jwk))
        throw new GateError("KEY_INVALID", `${file}: says otherwise of key ${kid}`);
      all.set(kid, trusted);
    }
  }
  return all;
}

async function readSecret(option: string): Promise<readonly [id: string, secret: Uint8Array]> {
  const [, id, file] = /^([^=]+)=(.+)$/.exec(option) ?? [];
  if (id === undefined || file === undefined)
    throw new GateError("INVALID_INPUT", "--hmac-key: write ID=FILE");
  return [id, await readBytes(file)];
}
