/** `stepgate approve`: a person's signed word on one call that waits for it, through a gate, into its chain. */
import { join } from "node:path";
import {
  type DecisionReceipt,
  GateError,
  receiptLine,
  signApproval,
  type SigningKey,
} from "@stepgate/core";
import type { Command } from "commander";
import { type Acting, openActingGate } from "../acting-gate.ts";
import { checkedArguments, findDenial, rolesFor } from "../approval-denial.ts";
import { APPROVERS_FILE } from "../approver-keys.ts";
import { readSigningKey } from "../key-file.ts";
import { durationOf } from "../duration.ts";
import { DEFAULT_KEYS } from "../open-gate.ts";
import { type ExitCode, type Output, printable } from "../output.ts";
import type { Define } from "../program.ts";
import { DEFAULT_STORE, openExistingStore, STORE_FORMS } from "../store-url.ts";

interface ApproveOptions {
  readonly request: string;
  readonly key: string;
  readonly reject?: boolean;
  readonly expires: string;
  readonly sequence?: string;
  readonly args?: string;
  readonly argsKey?: string;
  readonly store: string;
  readonly keys: string;
  readonly approvers?: string;
  readonly policy?: string;
}

/** Adds the command. */
export function addApprove(program: Command, define: Define): void {
  const command = program
    .command("approve")
    .description("approve, or reject, one call that was denied as APPROVAL_REQUIRED")
    .requiredOption("--request <hash>", "the record hash of the denial")
    .requiredOption("--key <file>", "your own private key, of `stepgate keys new --role`")
    .option("--reject", "say no instead: while that stands, nobody's approval counts")
    .option("--expires <duration>", "how long this counts: 90s, 15m, 1h or 2d", "1h")
    .option("--sequence <id>", "the sequence, where that is known")
    .option("--args <file>", "the call's arguments, to be shown and checked")
    .option("--args-key <hex>", "the key that came with them")
    .option("--store <url>", STORE_FORMS, DEFAULT_STORE)
    .option("--keys <folder>", "the gate's keys, which must be there", DEFAULT_KEYS)
    .option("--approvers <jwks>", `whose approvals count (default: ${APPROVERS_FILE} in --keys)`)
    .option("--policy <file>", "only for a store that does not hold the sequence's policy");
  define(command, approve);
}

async function approve(output: Output, options: ApproveOptions): Promise<ExitCode> {
  const lasts = durationOf("--expires", options.expires);
  const key = await readSigningKey(options.key);
  const approvers = options.approvers ?? join(options.keys, APPROVERS_FILE);
  const store = await openExistingStore(options.store);
  try {
    const denial = await findDenial(store, options.request, options.sequence);
    const args = await argumentsOf(denial, options);
    const { sequence_id: sequence } = denial;
    const { keys, policy, store: url } = options;
    const acting = await openActingGate(store, { sequence, url, keys, policy, approvers });
    const roles = mustBeEntitled(acting, denial, key);
    await mustWait(acting, options.request);
    const expires_ms = Date.now() + lasts;
    const statement = {
      log_id: denial.log_id,
      sequence_id: sequence,
      request: options.request,
      verdict: options.reject === true ? "reject" : "approve",
      expires_ms,
    } as const;
    await show(output, denial, args);
    const receipt = await acting.gate.approve(signApproval(statement, key));
    if (output.json) await output.line(receiptLine(receipt));
    const until = new Date(receipt.expires_ms).toISOString();
    const said = receipt.verdict === "approve" ? "approved" : "rejected";
    await output.say(
      `${said} as ${roles.join(", ")} until ${until} (${sequence} #${receipt.seq}), key ${key.keyId}`,
    );
    return 0;
  } finally {
    await store.close();
  }
}

async function argumentsOf(
  denial: DecisionReceipt,
  { args, argsKey }: ApproveOptions,
): Promise<string | undefined> {
  if ((args === undefined) !== (argsKey === undefined))
    throw new GateError("INVALID_INPUT", "--args and --args-key go together");
  return args === undefined || argsKey === undefined
    ? undefined
    : checkedArguments(denial, args, argsKey);
}

/** The roles by which this key may speak on the call. @throws GateError KEY_INVALID, before anything is written. */
function mustBeEntitled(
  { policy, approvers }: Acting,
  denial: DecisionReceipt,
  { keyId }: SigningKey,
): readonly string[] {
  const known = approvers.get(keyId);
  if (known === undefined)
    throw new GateError("KEY_INVALID", `key ${keyId} is not among the approvers`);
  const may = rolesFor(policy, denial);
  const roles = (known.jwk.roles ?? []).filter((role) => may.has(role));
  if (roles.length > 0) return roles;
  const has = (known.jwk.roles ?? []).join(", ");
  throw new GateError(
    "KEY_INVALID",
    `key ${keyId} approves as ${has}; this call needs ${[...may].join(" or ")}`,
  );
}

/** A word on what was answered long ago would look like one that counted. */
async function mustWait({ gate, opened }: Acting, request: string): Promise<void> {
  const { sealed, awaiting } = await gate.state(opened.sequence_id);
  if (sealed) throw new GateError("SEALED_SEQUENCE", "the sequence is sealed");
  if (!awaiting.includes(request))
    throw new GateError("INVALID_INPUT", "--request: the call was allowed since; it waits no more");
}

/** What is signed, in words, before it is. */
async function show(
  output: Output,
  denial: DecisionReceipt,
  args: string | undefined,
): Promise<void> {
  const { tool, function: fn, action_type, policy_id, policy_version, agent_id, tenant } = denial;
  const what = tool === undefined ? `${fn}` : `${tool} (function ${fn})`;
  const who = [
    ...(agent_id === undefined ? [] : [`agent ${agent_id}`]),
    ...(tenant === undefined ? [] : [`tenant ${tenant}`]),
  ];
  const lines = [
    `call       ${what}, ${action_type}, nonce ${denial.nonce}`,
    `arguments  ${args ?? "not shown; --args and --args-key show and check them"}`,
    `policy     ${policy_id} ${policy_version}, ${denial.rule}`,
    `sequence   ${[denial.sequence_id, ...who].join(", ")}`,
    `asked      ${new Date(denial.ts_ms).toISOString()}`,
  ];
  for (const line of lines) await output.say(printable(line));
}
