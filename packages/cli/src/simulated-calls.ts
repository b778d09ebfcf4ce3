/** Recorded calls, decided one after the other: who asked for what, and what the gate would have answered. */
import {
  type Agent,
  createSimulation,
  JsonError,
  type SimulatedDecision,
  type SimulatedSequence,
} from "@stepgate/core";
import type { PolicyFile } from "./policy-file.ts";
import { unreadable } from "./reading.ts";
import { type RecordedLine, readRecordedCalls } from "./recorded-calls.ts";

/** One call and its answer. */
export interface SimulatedCall {
  readonly sequence_id: string;
  /** Counts the calls of the sequence, from 0. */
  readonly index: number;
  /** As it was asked for; absent where that is no text. */
  readonly tool?: string;
  /** In place of `tool` for a call that names no tool. */
  readonly function?: string;
  readonly action_type?: string;
  readonly answer: SimulatedDecision;
  /** The policy that answered. */
  readonly policy: PolicyFile | undefined;
}

interface Run {
  readonly sequence: SimulatedSequence;
  readonly policy: PolicyFile | undefined;
  readonly group: string | undefined;
  /** Who the line that opened it says acts; a call that says nothing of it is theirs. */
  readonly owner: Agent;
  calls: number;
}

/**
 * Decides the calls of a file in its order. `policyOf` is asked once a sequence, with the line that opens it.
 *
 * @throws GateError INVALID_INPUT with `file:line:column` for what is no recorded call.
 */
export async function* simulateCalls(
  file: string,
  policyOf: (line: RecordedLine) => Promise<PolicyFile | undefined>,
): AsyncGenerator<SimulatedCall> {
  const simulation = createSimulation();
  const runs = new Map<string, Run>();
  for await (const line of readRecordedCalls(file)) {
    let run = runs.get(line.sequence_id);
    if (run === undefined) {
      const policy = await policyOf(line);
      const owner = ownerOf(line);
      const sequence = simulation.open(policy?.policy, owner);
      runs.set(line.sequence_id, (run = { sequence, policy, group: line.group, owner, calls: 0 }));
    }
    addToRun(run, line);
    if (line.call !== undefined) yield decideCall(run, line, line.call);
  }
}

function ownerOf({ agent_id, tenant }: RecordedLine): Agent {
  return {
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

function addToRun({ sequence, group }: Run, line: RecordedLine): void {
  if (line.group !== undefined && line.group !== group)
    throw unreadable(line.at, `the sequence was opened with ${group ?? "no"} group`);
  if (line.context === undefined) return;
  try {
    sequence.addContext(line.context);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw unreadable(line.at, `context: ${cause.message}`, cause);
  }
}

function decideCall(
  run: Run,
  { sequence_id }: RecordedLine,
  call: NonNullable<RecordedLine["call"]>,
): SimulatedCall {
  const { tool, function: fn, action_type } = call;
  return {
    sequence_id,
    index: run.calls++,
    ...(typeof tool === "string" ? { tool } : {}),
    ...(typeof fn === "string" ? { function: fn } : {}),
    ...(typeof action_type === "string" ? { action_type } : {}),
    answer: run.sequence.decide({ ...run.owner, ...call }),
    policy: run.policy,
  };
}
