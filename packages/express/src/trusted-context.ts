/** Hands the application's context to the gate before the decision: opens the sequence with it, or adds what is new. */
import { type Agent, type Context, type Gate, GateError } from "@stepgate/core";

/**
 * Afterwards the sequence knows `context`, unless it is sealed or another's: those the decision refuses, with their code.
 * @throws GateError where the gate cannot take it.
 */
export async function vouch(
  gate: Gate,
  sequenceId: string,
  owner: Agent,
  context: Context,
): Promise<void> {
  const status = await gate.state(sequenceId);
  if (status.sealed) return;
  if (!status.opened && (await openWith(gate, sequenceId, owner, context))) return;
  // `addContext` names no owner, so the owner is looked at here: nobody may vouch in another's sequence.
  if (await isOwner(gate, sequenceId, owner)) await gate.addContext(sequenceId, context);
}

/** False where another request opened it in between with other content. */
async function openWith(
  gate: Gate,
  sequenceId: string,
  owner: Agent,
  context: Context,
): Promise<boolean> {
  try {
    await gate.open({ sequence_id: sequenceId, ...owner, context });
    return true;
  } catch (error) {
    if (GateError.isInstance(error) && error.code === "CONFLICT") return false;
    throw error;
  }
}

async function isOwner(gate: Gate, sequenceId: string, owner: Agent): Promise<boolean> {
  for await (const first of gate.receipts(sequenceId)) {
    return (
      first.kind === "open" && first.agent_id === owner.agent_id && first.tenant === owner.tenant
    );
  }
  return false;
}
