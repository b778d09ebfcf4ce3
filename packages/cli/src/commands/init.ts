/** `stepgate init`: a commented policy with its first tests, first requests, and keys, ready to run. */
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CompiledPolicy, GateError } from "@stepgate/core";
import { parsePolicy, policyFromEnv } from "@stepgate/policy";
import type { Command } from "commander";
import { EXAMPLE_POLICY, EXAMPLE_REQUESTS } from "../example-policy.ts";
import { KEY_FILES, openKeyFolder } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import type { ExitCode, Output, Terminal } from "../output.ts";
import { printPolicy } from "../print-policy.ts";
import type { Define } from "../program.ts";
import { errorCode, reasonOf, unreadable } from "../reading.ts";

/** Adds the command. */
export function addInit(
  program: Command,
  define: Define,
  environment: Terminal["environment"],
): void {
  const command = program
    .command("init")
    .description("write a commented policy, first requests and keys; nothing is overwritten")
    .argument("[folder]", "where", ".")
    .option("--from-env", "the policy of STEPGATE_STEP_ORDER and STEPGATE_ACTION_MAP");
  define(command, (output, folder: string, { fromEnv }: { readonly fromEnv?: boolean }) =>
    init(output, folder, fromEnv ? environment : undefined),
  );
}

/** The files of a beginning, by name. */
type Draft = Readonly<Record<"policy.yaml" | "request.json" | "requests.jsonl", string>>;

async function init(
  output: Output,
  folder: string,
  environment: Terminal["environment"] | undefined,
): Promise<ExitCode> {
  const draft =
    environment === undefined
      ? draftOf(EXAMPLE_POLICY, EXAMPLE_REQUESTS)
      : draftFromEnvironment(environment);
  const names = Object.keys(draft);
  for (const name of names) await mustBeFree(join(folder, name));
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw unreadable(folder, reasonOf(cause), cause);
  });
  const { signer } = await openKeyFolder(join(folder, DEFAULT_KEYS), Date.now());
  for (const [name, content] of Object.entries(draft)) await writeNew(join(folder, name), content);
  const files = [...names, join(DEFAULT_KEYS, KEY_FILES.public)].map((name) => join(folder, name));
  const { id, version, digest } = parsePolicy(draft["policy.yaml"]);
  if (output.json)
    await output.document({
      folder,
      files,
      policy: { id, version, digest },
      key_id: signer.keyId,
      next: NEXT,
    });
  await output.say(
    `made ${files.join(", ")}\n\nNow${folder === "." ? "" : ` in ${folder}`}:\n${NEXT.map((line) => `  ${line}`).join("\n")}`,
  );
  return 0;
}

const NEXT: readonly string[] = [
  "stepgate check policy.yaml",
  "stepgate explain policy.yaml --request request.json",
  "stepgate decide --policy policy.yaml < requests.jsonl",
  "stepgate receipts > receipts.jsonl",
  `stepgate verify receipts.jsonl --keys ${DEFAULT_KEYS}/${KEY_FILES.public} --policy policy.yaml`,
];

/** The last request comes too early when it comes first: that is what there is to explain. */
function draftOf(policy: string, requests: readonly object[]): Draft {
  return {
    "policy.yaml": policy,
    "request.json": `${JSON.stringify(requests.at(-1), null, 2)}\n`,
    "requests.jsonl": requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
  };
}

function draftFromEnvironment(environment: Terminal["environment"]): Draft {
  const policy = policyFromEnv({ env: environment });
  return draftOf(
    printPolicy(policy),
    policy.steps.map((step) => firstCall(policy, step)),
  );
}

function firstCall(policy: CompiledPolicy, step: string): object {
  const fn = [...policy.functions.values()].find((candidate) => candidate.step === step);
  return { sequence_id: "first-run", function: fn?.name, action_type: [...(fn?.actions ?? [])][0] };
}

async function mustBeFree(file: string): Promise<void> {
  const taken = await access(file).then(
    () => true,
    (cause: unknown) => errorCode(cause) !== "ENOENT",
  );
  if (taken) throw occupied(file);
}

async function writeNew(file: string, content: string): Promise<void> {
  await writeFile(file, content, { flag: "wx" }).catch((cause: unknown) => {
    throw errorCode(cause) === "EEXIST" ? occupied(file) : unreadable(file, reasonOf(cause), cause);
  });
}

function occupied(file: string): GateError {
  return unreadable(file, "is there already; init overwrites nothing");
}
