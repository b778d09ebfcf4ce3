/** Recorded calls as the runs of groups: what `learn` learns each policy from. */
import { createSimulation, type Json, type JsonObject } from "@stepgate/core";
import type { RecordedCall } from "@stepgate/policy";
import { isObject, unreadable } from "./reading.ts";
import { type RecordedLine, readRecordedCalls } from "./recorded-calls.ts";
import { openRecorded, type RecordedSequence } from "./recorded-sequence.ts";

/** The runs of one group, each with at least one call. */
export interface RunGroup {
  /** Absent where no sequence of the file has one. */
  readonly group?: string;
  readonly runs: readonly RecordedRun[];
}

/** One sequence, and where it begins. */
export interface RecordedRun {
  readonly sequence_id: string;
  readonly at: string;
  readonly calls: readonly PlacedCall[];
}

/** A call, and its line: `file:line:1`. */
interface PlacedCall extends RecordedCall {
  readonly at: string;
}

/** The group of a sequence, by the line that opens it. */
export type GroupOf = (line: RecordedLine) => string | undefined;

/**
 * `group`, `agent_id`, `tenant`, or a dotted path under `context`, which must lead to a string.
 * @throws GateError INVALID_INPUT for any other key.
 */
export function groupBy(key: string): GroupOf {
  if (key === "group" || key === "agent_id" || key === "tenant") return (line) => line[key];
  const [root, ...names] = key.split(".");
  if (root !== "context" || names.length === 0 || names.includes(""))
    throw unreadable("--group", `'${key}' is none of group, agent_id, tenant, context.<name>`);
  return ({ at, context }) => {
    const value = names.reduce<Json | undefined>(member, context);
    if (value === undefined || typeof value === "string") return value;
    throw unreadable(at, `${key} must be a string to group by`);
  };
}

function member(value: Json | undefined, name: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/**
 * Reads all runs of a file. Either every sequence has a group or none has.
 *
 * @throws GateError INVALID_INPUT with `file:line:column`, also for a call that no gate would read.
 */
export async function readRuns(file: string, groupOf: GroupOf): Promise<readonly RunGroup[]> {
  const runs = new Map<string, OpenRun>();
  const simulation = createSimulation();
  for await (const line of readRecordedCalls(file)) {
    let run = runs.get(line.sequence_id);
    if (run === undefined) {
      const { at, sequence_id } = line;
      const sequence = openRecorded(simulation, undefined, line);
      run = { sequence_id, at, group: groupOf(line), sequence, context: {}, calls: [] };
      runs.set(sequence_id, run);
    }
    addLine(run, line);
  }
  const made = [...runs.values()].filter(({ calls }) => calls.length > 0);
  const [first] = made;
  if (first === undefined) throw unreadable(file, "holds no call");
  const odd = made.find(({ group }) => (group === undefined) !== (first.group === undefined));
  if (odd !== undefined)
    throw unreadable(
      odd.at,
      `the sequence has ${odd.group === undefined ? "no" : "a"} group, and others have ${odd.group === undefined ? "one" : "none"}`,
    );
  return [...Map.groupBy(made, ({ group }) => group)].map(([group, of]) => ({
    ...(group !== undefined && { group }),
    runs: of.map(({ at, calls, sequence_id }) => ({ sequence_id, at, calls })),
  }));
}

interface OpenRun {
  readonly sequence_id: string;
  readonly at: string;
  readonly group: string | undefined;
  /** Knows what is a request and what a context, and decides nothing. */
  readonly sequence: RecordedSequence;
  readonly calls: PlacedCall[];
  context: JsonObject;
}

function addLine(run: OpenRun, line: RecordedLine): void {
  const answer = run.sequence.take(line);
  const { at, call, context } = line;
  if (context !== undefined) run.context = { ...run.context, ...context };
  if (call === undefined) return;
  if (answer?.decision === "DENY" && answer.deny_code === "INVALID_REQUEST")
    throw unreadable(at, `no gate would read this call: ${answer.rule} is at fault`);
  run.calls.push({ at, ...namesOf(call), args: argsOf(call), context: run.context });
}

function namesOf(call: JsonObject): Omit<RecordedCall, "args" | "context"> {
  const { tool, function: fn, action_type, step } = call;
  return {
    ...(typeof tool === "string" && { tool }),
    ...(typeof fn === "string" && { function: fn }),
    ...(typeof action_type === "string" && { action_type }),
    ...(typeof step === "string" && { step }),
  };
}

/** A request that a gate reads has an object there, or nothing. */
function argsOf({ args }: JsonObject): JsonObject {
  return isObject(args) ? args : {};
}
