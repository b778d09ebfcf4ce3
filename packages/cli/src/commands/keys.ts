/** `stepgate keys`: makes a gate's folder of keys or a person's key, prints the public set. */
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import { type Command, Option } from "commander";
import { APPROVERS_FILE, makeApproverKey } from "../approver-keys.ts";
import { KEY_FILES, makeKeyFolder, readPublicKeys } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";

interface NewOptions {
  readonly out?: string;
  readonly role: readonly string[];
  readonly approvers?: string;
}

/** Adds the commands. */
export function addKeys(program: Command, define: Define): void {
  const keys = program.command("keys").description("the gate's keys, and those of people");
  const create = keys
    .command("new")
    .description(
      "make a gate's folder of keys, or with --role a person's key; nothing is overwritten",
    )
    .argument(
      "[path]",
      `the folder (default: ${DEFAULT_KEYS}), or the person's private file (default: in there)`,
    )
    .option("--out <path>", "the same, as an option")
    .addOption(
      new Option("--role <role>", "make a key of a person who approves in this role (repeatable)")
        .default([])
        .argParser((value, earlier: readonly string[]) => [...earlier, value]),
    )
    .option(
      "--approvers <jwks>",
      `with --role: the set that gets the public key (default: ${APPROVERS})`,
    );
  define(create, newKeys);
  const print = keys
    .command("public")
    .description("print the public key set (JWKS), which auditors need")
    .argument("[folder]", "the folder of keys", DEFAULT_KEYS);
  define(print, publicKeys);
}

const APPROVERS = join(DEFAULT_KEYS, APPROVERS_FILE);

async function newKeys(
  output: Output,
  argument: string | undefined,
  { out, role, approvers }: NewOptions,
): Promise<ExitCode> {
  if (argument !== undefined && out !== undefined)
    throw new GateError("INVALID_INPUT", "keys new: name the folder once");
  const path = out ?? argument;
  if (role.length > 0) return newApproverKey(output, path, role, approvers ?? APPROVERS);
  if (approvers !== undefined)
    throw new GateError("INVALID_INPUT", "keys new: --approvers goes with --role");
  const folder = path ?? DEFAULT_KEYS;
  const { signer } = await makeKeyFolder(folder, Date.now());
  const file = join(folder, KEY_FILES.public);
  if (output.json) await output.document({ folder, key_id: signer.keyId, public: file });
  await output.say(`made ${folder}; the public key set is ${file}\nkey ${signer.keyId}`);
  return 0;
}

async function newApproverKey(
  output: Output,
  path: string | undefined,
  roles: readonly string[],
  approvers: string,
): Promise<ExitCode> {
  const file = path ?? join(DEFAULT_KEYS, `approver-${roles.join("-").replaceAll(":", "_")}.pem`);
  const { keyId } = await makeApproverKey(file, approvers, roles);
  if (output.json) await output.document({ file, key_id: keyId, roles, approvers });
  await output.say(
    `made ${file}, which only its owner may hold; ${approvers} lists the public key\nkey ${keyId}: ${roles.join(", ")}`,
  );
  return 0;
}

async function publicKeys(output: Output, folder: string): Promise<ExitCode> {
  const keys = await readPublicKeys(folder);
  await (output.json ? output.document(keys) : output.line(JSON.stringify(keys, null, 2)));
  return 0;
}
