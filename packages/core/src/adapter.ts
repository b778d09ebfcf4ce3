/** What every adapter does alike (adapters.md, “What every adapter maps”): nonces, trusted context, believing an answer. */
import { hash } from "node:crypto";
import { isNonce } from "./action-request.ts";
import { type Decision, type Deny, DENY_CODES, type DenyCode } from "./decision.ts";
import { GateError } from "./errors.ts";
import type { Agent, Context, Gate } from "./gate.ts";

/** A framework's id of a call as nonce: itself, or `sha256:` and hex of it where it is outside the grammar of nonces. */
export function toNonce(id: string): string {
  return isNonce(id) ? id : `sha256:${hash("sha256", id, "hex")}`;
}

/**
 * Hands the application's context to the gate before a decision: opens the sequence with it, or adds what is new.
 * Afterwards the sequence knows it, unless it is sealed or another's: those the decision refuses, with their code.
 *
 * @throws GateError where the gate cannot take it.
 */
export async function vouch(
  gate: Pick<Gate, "state" | "open" | "addContext">,
  sequenceId: string,
  owner: Agent,
  context: Context,
): Promise<void> {
  let status = await gate.state(sequenceId);
  if (!status.opened) {
    if (await openedNow(gate, { ...owner, sequence_id: sequenceId, context })) return;
    status = await gate.state(sequenceId);
  }
  const own = status.agent_id === owner.agent_id && status.tenant === owner.tenant;
  if (own && !status.sealed) await gate.addContext(sequenceId, context);
}

/** True for an answer that says in every member what it is: anything else is no decision, and nothing may run on it. */
export function isDecision(answer: unknown): answer is Decision {
  if (typeof answer !== "object" || answer === null) return false;
  const { decision, proceed, args, deny_code, receipt } = answer as Partial<
    Record<string, unknown>
  >;
  const runnable = isObject(args);
  if (decision === "ALLOW") return proceed === true && runnable && isObject(receipt);
  const known = DENY_CODES.some((code) => code === deny_code);
  return decision === "DENY" && known && (proceed === false || (proceed === true && runnable));
}

/** A refusal that an adapter makes itself, where no gate could be asked. */
export function refusal(deny_code: DenyCode, message: string, rule?: string): Deny {
  return {
    decision: "DENY",
    proceed: false,
    deny_code,
    message,
    ...(rule === undefined ? {} : { rule }),
  };
}

/** False where somebody else opened it in between, with other content. */
async function openedNow(
  gate: Pick<Gate, "open">,
  opening: Parameters<Gate["open"]>[0],
): Promise<boolean> {
  try {
    await gate.open(opening);
    return true;
  } catch (error) {
    if (GateError.isInstance(error) && error.code === "CONFLICT") return false;
    throw error;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
