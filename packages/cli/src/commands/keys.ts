/** `stepgate keys`: makes a folder of keys, prints the public set. */
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import type { Command } from "commander";
import { KEY_FILES, makeKeyFolder, readPublicKeys } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";

/** Adds the commands. */
export function addKeys(program: Command, define: Define): void {
  const keys = program.command("keys").description("the gate's keys");
  const create = keys
    .command("new")
    .description("make a signing key, a salt key and the public key set; nothing is overwritten")
    .argument("[folder]", `where (default: ${DEFAULT_KEYS})`)
    .option("--out <folder>", "the same, as an option");
  define(create, newKeys);
  const print = keys
    .command("public")
    .description("print the public key set (JWKS), which auditors need")
    .argument("[folder]", "the folder of keys", DEFAULT_KEYS);
  define(print, publicKeys);
}

async function newKeys(
  output: Output,
  argument: string | undefined,
  { out }: { readonly out?: string },
): Promise<ExitCode> {
  if (argument !== undefined && out !== undefined)
    throw new GateError("INVALID_INPUT", "keys new: name the folder once");
  const folder = out ?? argument ?? DEFAULT_KEYS;
  const { signer } = await makeKeyFolder(folder, Date.now());
  const file = join(folder, KEY_FILES.public);
  if (output.json) await output.document({ folder, key_id: signer.keyId, public: file });
  await output.say(`made ${folder}; the public key set is ${file}\nkey ${signer.keyId}`);
  return 0;
}

async function publicKeys(output: Output, folder: string): Promise<ExitCode> {
  const keys = await readPublicKeys(folder);
  await (output.json ? output.document(keys) : output.line(JSON.stringify(keys, null, 2)));
  return 0;
}
