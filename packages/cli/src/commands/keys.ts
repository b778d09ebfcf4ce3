/** `stepgate keys`: makes a gate's folder of keys or a person's key, rotates and revokes, prints the public set. */
import { join } from "node:path";
import { GateError } from "@stepgate/core";
import { type Command, Option } from "commander";
import { APPROVERS_FILE, makeApproverKey } from "../approver-keys.ts";
import { durationOf } from "../duration.ts";
import { KEY_FILES, makeKeyFolder, readPublicKeys } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output } from "../output.ts";
import type { Define } from "../program.ts";
import { revokeKey, timeText } from "../revoke-key.ts";
import { type Rotation, rotateKeys } from "../rotate-keys.ts";
import { openExistingStore, STORE_FORMS } from "../store-url.ts";

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
  const rotate = keys
    .command("rotate")
    .description("make a new signing key that takes over; the old private key is destroyed")
    .argument("[folder]", "the folder of keys", DEFAULT_KEYS)
    .option("--store <url>", `whose log is to tell of it: ${STORE_FORMS}`)
    .option(
      "--overlap <duration>",
      "how long gates that have not taken the new key may use the old one: 90s, 15m, 1h or 2d",
      "1h",
    );
  define(rotate, rotateFolder);
  const revoke = keys
    .command("revoke")
    .description("say in the public set that a key is not to be believed; never taken back")
    .argument("<kid>", "the key's thumbprint; one that begins with '-' after --")
    .argument("[folder]", "the folder of keys", DEFAULT_KEYS)
    .option("--from <time>", "ISO 8601 with its zone, or seconds since the epoch (default: now)");
  define(revoke, revokeListed);
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

async function rotateFolder(
  output: Output,
  folder: string,
  { store: url, overlap }: { readonly store?: string; readonly overlap: string },
): Promise<ExitCode> {
  const overlapSeconds = durationOf("--overlap", overlap) / 1000;
  const store = url === undefined ? undefined : await openExistingStore(url);
  try {
    const made = await rotateKeys(folder, {
      nowMs: Date.now(),
      overlapSeconds,
      ...(store === undefined ? {} : { store }),
    });
    const { from, to, file, exp, told, resumed } = made;
    if (output.json) await output.document({ folder, from, to, file, exp, told, resumed });
    await output.say(rotationText(folder, made));
    return 0;
  } finally {
    await store?.close();
  }
}

function rotationText(folder: string, made: Rotation): string {
  const { from, to, file, exp, told, resumed } = made;
  const until = `before ${timeText(exp)}`;
  const running = {
    yes: "the log tells of it: gates that were opened on this folder take the new key within a second",
    "no store": `no log tells of it, for no --store was named: restart this folder's gates ${until}`,
    "not valid":
      "the old key is revoked or expired, so the log does not tell of it: restart this folder's gates",
  } as const;
  return [
    `${resumed ? "ended the rotation that was under way" : "rotated"}: key ${from}`,
    `hands over to ${to} (${file})`,
    `records under the old key are believed ${until}; its private file is destroyed`,
    running[told],
    `give auditors the new ${join(folder, KEY_FILES.public)}`,
  ].join("\n");
}

async function revokeListed(
  output: Output,
  kid: string,
  folder: string,
  { from }: { readonly from?: string },
): Promise<ExitCode> {
  const seconds = from === undefined ? Math.floor(Date.now() / 1000) : secondsOf(from);
  await revokeKey(folder, kid, seconds);
  if (output.json) await output.document({ folder, key_id: kid, revoked_from: seconds });
  await output.say(
    `revoked ${kid} from ${timeText(seconds)} on\n` +
      "no gate starts with it any more; one that runs is yours to stop (stepgate keys rotate makes the next key)\n" +
      `give auditors the new ${join(folder, KEY_FILES.public)}: under this key they believe only what an older checkpoint covers`,
  );
  return 0;
}

function secondsOf(time: string): number {
  if (/^[0-9]{1,12}$/.test(time)) return Number(time);
  const zoned = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(time);
  const ms = zoned ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms))
    throw new GateError(
      "INVALID_INPUT",
      `keys revoke: --from ${time}: a time such as 2026-02-22T09:00:00Z, or seconds since the epoch`,
    );
  return Math.floor(ms / 1000);
}
