/** One recorded sequence on the gate's own engine: its lines in order, and what the gate would have answered to them. */
import {
  type Agent,
  type CompiledPolicy,
  JsonError,
  type SimulatedDecision,
  type SimulatedSequence,
  type Simulation,
} from "@stepgate/core";
import { unreadable } from "./reading.ts";
import type { RecordedLine } from "./recorded-calls.ts";

/** A sequence that its first line opened. */
export interface RecordedSequence {
  /**
   * Takes the next line in: its context, then its call, whose answer this is. A call that does not say who acts is its
   * sequence's owner's.
   * @throws GateError INVALID_INPUT with `file:line:column`.
   */
  take(line: RecordedLine): SimulatedDecision | undefined;
}

/** Opens a sequence under a policy, for whoever its first line says acts; that line is still to be taken. */
export function openRecorded(
  simulation: Simulation,
  policy: CompiledPolicy | undefined,
  { agent_id, group, tenant }: RecordedLine,
): RecordedSequence {
  const owner: Agent = {
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(tenant === undefined ? {} : { tenant }),
  };
  const sequence = simulation.open(policy, owner);
  return {
    take(line) {
      if (line.group !== undefined && line.group !== group)
        throw unreadable(line.at, `the sequence was opened with ${group ?? "no"} group`);
      addContext(sequence, line);
      return line.call === undefined ? undefined : sequence.decide({ ...owner, ...line.call });
    },
  };
}

function addContext(sequence: SimulatedSequence, { at, context }: RecordedLine): void {
  if (context === undefined) return;
  try {
    sequence.addContext(context);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw unreadable(at, `context: ${cause.message}`, cause);
  }
}
