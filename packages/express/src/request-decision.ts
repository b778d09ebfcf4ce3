/** From an Express request to the gate's decision on it. Whatever goes wrong on the way is a DENY; nothing here throws. */
import {
  type ActionInput,
  type Agent,
  type Decision,
  type Deny,
  type Gate,
  GateError,
  isDecision,
  isIdentifier,
  refusal,
  toNonce,
  vouch,
  warn,
} from "@stepgate/core";
import type { Request } from "express";
import { type Awaitable, callOf, type GuardOptions } from "./guard-options.ts";

/** Reads the request by the guard's options, hands its context to the gate, and asks. Never rejects. */
export async function decideRequest<A>(options: GuardOptions<A>, req: Request): Promise<Decision> {
  try {
    const sequenceId = await read("sequenceId", options.sequenceId, req);
    if (sequenceId === undefined)
      return refusal(
        "INVALID_REQUEST",
        "the request belongs to no sequence.",
        "request.sequence_id",
      );
    const agent = await agentOf(options, req);
    const nonce = await nonceOf(options, req);
    const args = await argsOf(options, req);
    const input: ActionInput = {
      ...callOf(options),
      ...agent,
      ...nonce.member,
      sequence_id: sequenceId,
      args: args.member,
    };
    const fault = args.fault ?? nonce.fault;
    if (fault !== undefined) return await refuseMalformed(options.gate, input, fault);
    const context = options.context && (await read("context", options.context, req));
    if (context !== undefined && isIdentifier(sequenceId))
      await vouch(options.gate, sequenceId, agent, context);
    const answer: unknown = await options.gate.decide(input);
    if (isDecision(answer)) return answer;
    throw new TypeError("the gate answered neither ALLOW nor DENY");
  } catch (error) {
    warn("a request could not be decided and was denied", error);
    // Only opening and adding context throw this: an agent or a context that no gate takes, however often it is sent.
    if (GateError.isInstance(error) && error.code === "INVALID_INPUT")
      return refusal("INVALID_REQUEST", "the gate takes no such agent or context.", "request");
    return refusal("GATE_UNAVAILABLE", "the gate could not decide this request.");
  }
}

/** Why a request cannot be put to the gate: the member at fault, and one sentence for the client. */
interface Fault {
  readonly rule: string;
  readonly message: string;
}

async function read<T>(
  name: string,
  option: (req: Request) => Awaitable<T>,
  req: Request,
): Promise<T> {
  try {
    return await option(req);
  } catch (cause) {
    throw new Error(
      `option '${name}' threw ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

/** The agent's own two members; a member that is `undefined` is handed on, for the gate to refuse. */
async function agentOf<A>(options: GuardOptions<A>, req: Request): Promise<Agent> {
  const agent = options.agent && (await read("agent", options.agent, req));
  if (agent === undefined) return {};
  return {
    ...("agent_id" in agent ? { agent_id: agent.agent_id } : {}),
    ...("tenant" in agent ? { tenant: agent.tenant } : {}),
  } as Agent;
}

interface NonceMember {
  readonly member: { readonly nonce?: string };
  readonly fault?: Fault;
}

async function nonceOf<A>(options: GuardOptions<A>, req: Request): Promise<NonceMember> {
  if (typeof options.nonce === "function")
    return asNonce(await read("nonce", options.nonce, req), "the nonce");
  // `req.get` would join two headers to one nonce that was never used before.
  const given = req.headersDistinct["stepgate-nonce"] ?? [];
  if (given.length > 1) return badNonce("Stepgate-Nonce was given more than once.");
  if (given.length === 0 && options.nonce === "required")
    return badNonce("Stepgate-Nonce is required.");
  return asNonce(given[0], "Stepgate-Nonce");
}

/** Absent: random. Outside the grammar of nonces: its SHA-256, as in every adapter. */
function asNonce(nonce: unknown, name: string): NonceMember {
  if (nonce === undefined) return { member: {} };
  if (typeof nonce !== "string" || nonce === "") return badNonce(`${name} is empty or no text.`);
  return { member: { nonce: toNonce(nonce) } };
}

function badNonce(message: string): NonceMember {
  return { member: { nonce: "" }, fault: { rule: "request.nonce", message } };
}

async function argsOf<A>(
  options: GuardOptions<A>,
  req: Request,
): Promise<{ readonly member: object; readonly fault?: Fault }> {
  const message = "the arguments could not be read from the request.";
  const none = { member: [], fault: { rule: "request.args", message } };
  try {
    const args: unknown = await options.args(req);
    return typeof args === "object" && args !== null ? { member: args } : none;
  } catch {
    // A body that no parser read, or one of another shape: the client's fault far more often than the route's.
    return none;
  }
}

/**
 * The gate is asked all the same, with a member that it must refuse, so that the refusal leaves its receipt where the
 * sequence is open. Whatever it answers, this request is refused.
 */
async function refuseMalformed(gate: Gate, input: ActionInput, fault: Fault): Promise<Deny> {
  const answer = await gate.decide(input);
  const receipt =
    answer.decision === "DENY" && answer.deny_code === "INVALID_REQUEST"
      ? answer.receipt
      : undefined;
  return {
    ...refusal("INVALID_REQUEST", fault.message, fault.rule),
    ...(receipt === undefined ? {} : { receipt }),
  };
}
