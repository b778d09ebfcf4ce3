/** The APPROVAL_REQUIRED denial that a person speaks on, found in a store by its record hash. */
import {
  argsDigest,
  canonicalize,
  type CompiledPolicy,
  type DecisionReceipt,
  GateError,
  neededApproval,
  type Receipt,
  recordHash,
  type Store,
} from "@stepgate/core";
import { readJson, readText, unreadable } from "./reading.ts";

/** Finds the denial, in one sequence where that is known. @throws GateError INVALID_INPUT where there is none. */
export async function findDenial(
  store: Store,
  request: string,
  sequence: string | undefined,
): Promise<DecisionReceipt> {
  if (!/^sha256:[0-9a-f]{64}$/.test(request))
    throw new GateError(
      "INVALID_INPUT",
      `--request ${request}: a record hash is sha256: and 64 hex digits`,
    );
  for await (const line of store.lines()) {
    // Its canonical text has this member in these bytes; all other lines need not be parsed.
    if (!line.includes('"deny_code":"APPROVAL_REQUIRED"')) continue;
    const record = JSON.parse(line) as Receipt;
    if (record.kind !== "decision" || recordHash(record) !== request) continue;
    if (sequence === undefined || record.sequence_id === sequence) return record;
  }
  const where = sequence === undefined ? "" : ` in sequence '${sequence}'`;
  throw new GateError("INVALID_INPUT", `--request: no APPROVAL_REQUIRED denial ${request}${where}`);
}

/** Roles that may approve the call. @throws GateError POLICY_INVALID where the policy asks for no approval of it. */
export function rolesFor(policy: CompiledPolicy, denial: DecisionReceipt): ReadonlySet<string> {
  const needed = neededApproval(policy, denial, denial.rule ?? "");
  if (needed === undefined)
    throw new GateError("POLICY_INVALID", `the policy asks for no approval by ${denial.rule}`);
  return needed.by;
}

/**
 * The arguments in a file, as canonical text, once they are those that were decided.
 *
 * @throws GateError INVALID_INPUT where they are others, or the key is another call's.
 */
export async function checkedArguments(
  denial: DecisionReceipt,
  file: string,
  key: string,
): Promise<string> {
  if (!/^[0-9a-f]{64}$/.test(key))
    throw new GateError("INVALID_INPUT", "--args-key: write 64 hex digits");
  const text = canonicalize(readJson(await readText(file), file));
  if (argsDigest(key, text) !== denial.args_digest)
    throw unreadable(file, "these are not the arguments that were decided, by --args-key");
  return text;
}
