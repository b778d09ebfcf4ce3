/** Recorded calls, decided one after the other: who asked for what, and what the gate would have answered. */
import { createSimulation, type SimulatedDecision } from "@stepgate/core";
import type { PolicyFile } from "./policy-file.ts";
import { type RecordedLine, readRecordedCalls } from "./recorded-calls.ts";
import { openRecorded, type RecordedSequence } from "./recorded-sequence.ts";

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
  readonly sequence: RecordedSequence;
  readonly policy: PolicyFile | undefined;
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
      const sequence = openRecorded(simulation, policy?.policy, line);
      runs.set(line.sequence_id, (run = { sequence, policy, calls: 0 }));
    }
    const answer = run.sequence.take(line);
    if (line.call !== undefined && answer !== undefined)
      yield simulatedCall(run, line, line.call, answer);
  }
}

function simulatedCall(
  run: Run,
  { sequence_id }: RecordedLine,
  call: NonNullable<RecordedLine["call"]>,
  answer: SimulatedDecision,
): SimulatedCall {
  const { tool, function: fn, action_type } = call;
  return {
    sequence_id,
    index: run.calls++,
    ...(typeof tool === "string" ? { tool } : {}),
    ...(typeof fn === "string" ? { function: fn } : {}),
    ...(typeof action_type === "string" ? { action_type } : {}),
    answer,
    policy: run.policy,
  };
}
