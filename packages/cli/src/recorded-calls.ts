/** Files of recorded calls (commands.md): one line a call, and lines that open a sequence or add to its context. */
import { isIdentifier, type Json, type JsonObject } from "@stepgate/core";
import { decodeText, fileChunks, isObject, readJson, readLines, unreadable } from "./reading.ts";

/** One line. A line may both open, or add context, and be a call. */
export interface RecordedLine {
  readonly sequence_id: string;
  /** Where it stands, for messages: `file:line:1`. */
  readonly at: string;
  /** Which of several policies the sequence runs under; on its opening line. */
  readonly group?: string;
  readonly context?: JsonObject;
  readonly agent_id?: string;
  readonly tenant?: string;
  /** The request, where the line is a call: as it was recorded, and not looked into. */
  readonly call?: JsonObject;
}

/** The lines of a file, or of one that is compressed (`.gz`). @throws GateError INVALID_INPUT with `file:line:column`. */
export async function* readRecordedCalls(file: string): AsyncGenerator<RecordedLine> {
  for await (const { bytes, number } of readLines(fileChunks(file), file)) {
    const at = `${file}:${number}:1`;
    if (bytes.length > 0) yield recordedLine(readJson(decodeText(bytes, at), file, number), at);
  }
}

/** What makes a line a call. */
const CALL_MEMBERS = ["tool", "function", "action_type", "step", "args"] as const;
const MEMBERS: ReadonlySet<string> = new Set([
  "sequence_id",
  "group",
  "context",
  "agent_id",
  "tenant",
  ...CALL_MEMBERS,
]);

function recordedLine(value: Json, at: string): RecordedLine {
  if (!isObject(value)) throw unreadable(at, "a recorded call is a JSON object");
  const unknown = Object.keys(value).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined)
    throw unreadable(at, `unknown member '${unknown}'; a line has ${[...MEMBERS].join(", ")}`);
  const { group, context, ...request } = value;
  const { sequence_id, agent_id, tenant } = request;
  if (!isIdentifier(sequence_id)) throw unreadable(at, "sequence_id must be an identifier");
  if (group !== undefined && typeof group !== "string")
    throw unreadable(at, "group must be a string");
  if (context !== undefined && !isObject(context))
    throw unreadable(at, "context must be a JSON object");
  return {
    sequence_id,
    at,
    ...(group === undefined ? {} : { group }),
    ...(context === undefined ? {} : { context }),
    ...identifier("agent_id", agent_id, at),
    ...identifier("tenant", tenant, at),
    ...(CALL_MEMBERS.some((name) => Object.hasOwn(request, name)) ? { call: request } : {}),
  };
}

function identifier(
  name: "agent_id" | "tenant",
  value: Json | undefined,
  at: string,
): { readonly [member in "agent_id" | "tenant"]?: string } {
  if (value === undefined) return {};
  if (!isIdentifier(value)) throw unreadable(at, `${name} must be an identifier`);
  return { [name]: value };
}
