/** `stepgate init`: a commented policy with its first tests, first requests, and keys, ready to run. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CompiledPolicy } from "@stepgate/core";
import { draftPolicy, formatPolicy, parsePolicy, policyFromEnv, readTools } from "@stepgate/policy";
import { type Command, Option } from "commander";
import { modeline, placeSchema } from "../editor-schema.ts";
import { EXAMPLE_POLICY, EXAMPLE_REQUESTS } from "../example-policy.ts";
import { KEY_FILES, openKeyFolder } from "../key-folder.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import { mustBeFree, writeNew } from "../new-file.ts";
import { type ExitCode, type Output, printable, type Terminal } from "../output.ts";
import { mustPassItsTests } from "../policy-tests.ts";
import { printPolicy } from "../print-policy.ts";
import type { Define } from "../program.ts";
import { readText, reasonOf, unreadable } from "../reading.ts";

interface InitOptions {
  readonly from?: string;
  readonly fromEnv?: boolean;
}

/** Adds the command. */
export function addInit(
  program: Command,
  define: Define,
  environment: Terminal["environment"],
): void {
  const command = program
    .command("init")
    .description("write a commented policy with its tests, first requests and keys, ready to run")
    .argument("[folder]", "where; no policy, request or key in it is overwritten", ".")
    .addOption(
      new Option(
        "--from <tools.json>",
        "a policy for these tools: [{ name, description, parameters, action_type }], or as frameworks print them",
      ).conflicts("fromEnv"),
    )
    .option("--from-env", "the policy of STEPGATE_STEP_ORDER and STEPGATE_ACTION_MAP");
  define(command, async (output, folder: string, { from, fromEnv }: InitOptions) => {
    if (from !== undefined) return init(output, folder, await draftFromTools(from));
    return init(
      output,
      folder,
      fromEnv ? draftFromEnvironment(environment) : draftOf(EXAMPLE_POLICY, EXAMPLE_REQUESTS),
    );
  });
}

/** The files of a beginning. */
interface Draft {
  readonly policy: string;
  readonly requests: readonly object[];
  /** What was changed of what the user gave, a line each. */
  readonly notes: readonly string[];
}

async function init(output: Output, folder: string, draft: Draft): Promise<ExitCode> {
  const schema = await placeSchema(folder);
  // The layout of `fmt`, whatever wrote it.
  const policy = formatPolicy(`${modeline(schema.reference)}\n\n${draft.policy}`);
  const contents = {
    "policy.yaml": policy,
    "request.json": `${JSON.stringify(draft.requests.at(-1), null, 2)}\n`,
    "requests.jsonl": draft.requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
  };
  const { id, version, digest } = await soundPolicy(policy);
  const names = Object.keys(contents);
  for (const name of names) await mustBeFree(join(folder, name), "init");
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw unreadable(folder, reasonOf(cause), cause);
  });
  const { signer } = await openKeyFolder(join(folder, DEFAULT_KEYS), Date.now());
  await schema.write();
  for (const [name, content] of Object.entries(contents))
    await writeNew(join(folder, name), content, "init");
  const files = [...names, join(DEFAULT_KEYS, KEY_FILES.public), ...schema.made].map((name) =>
    join(folder, name),
  );
  const { notes } = draft;
  if (output.json)
    await output.document({
      folder,
      files,
      policy: { id, version, digest },
      key_id: signer.keyId,
      notes,
      next: NEXT,
    });
  for (const note of notes) await output.say(printable(note));
  await output.say(
    `made ${files.join(", ")}\n\nNow${folder === "." ? "" : ` in ${folder}`}:\n${NEXT.map((line) => `  ${line}`).join("\n")}`,
  );
  return 0;
}

const NEXT: readonly string[] = [
  "stepgate check policy.yaml",
  "stepgate test policy.yaml",
  "stepgate explain policy.yaml --request request.json",
  "stepgate decide --policy policy.yaml < requests.jsonl",
  "stepgate receipts > receipts.jsonl",
  `stepgate verify receipts.jsonl --keys ${DEFAULT_KEYS}/${KEY_FILES.public} --policy policy.yaml`,
];

/** Nothing is written that would not load, or would fail its own tests. */
async function soundPolicy(text: string): Promise<CompiledPolicy> {
  const policy = parsePolicy(text, { file: "policy.yaml" });
  await mustPassItsTests(policy, { file: "policy.yaml", text });
  return policy;
}

/** The last request comes too early when it comes first: that is what there is to explain. */
function draftOf(policy: string, requests: readonly object[]): Draft {
  return { policy, requests, notes: [] };
}

function draftFromEnvironment(environment: Terminal["environment"]): Draft {
  const policy = policyFromEnv({ env: environment });
  return draftOf(
    printPolicy(policy),
    policy.steps.map((step) => firstCall(policy, step)),
  );
}

async function draftFromTools(file: string): Promise<Draft> {
  const { text, notes, calls } = draftPolicy(readTools(await readText(file), { file }));
  return {
    policy: text,
    requests: calls.map((call) => ({ sequence_id: FIRST_RUN, ...call })),
    notes: notes.map(({ tool, message }) => `rewritten: ${tool}: ${message}`),
  };
}

const FIRST_RUN = "first-run";

function firstCall(policy: CompiledPolicy, step: string): object {
  const fn = [...policy.functions.values()].find((candidate) => candidate.step === step);
  return { sequence_id: FIRST_RUN, function: fn?.name, action_type: [...(fn?.actions ?? [])][0] };
}
