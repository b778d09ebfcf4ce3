/** Records as OpenTelemetry log records (OTLP, JSON encoding): for the search and alarms of an operator, not as evidence. */
import type { Receipt } from "@stepgate/core";
import type { SoundRecord } from "./sound-records.ts";

/** A value of OTLP; integers are decimal strings, as Protocol Buffers' JSON writes 64 bits. */
type AnyValue =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly boolValue: boolean };

/** One log record of OTLP. */
export interface OtelLogRecord {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly eventName: string;
  readonly body: AnyValue;
  readonly attributes: readonly { readonly key: string; readonly value: AnyValue }[];
  readonly traceId?: string;
  readonly spanId?: string;
}

/**
 * One record as a log record: its time, WARN for a denial and INFO for all else, `stepgate.*` for its members. The body is
 * the record's own line, so that what was signed can be taken out again and verified. `observedMs`: when it is exported.
 */
export function otelLogRecord(record: SoundRecord, observedMs: number): OtelLogRecord {
  const { receipt, line } = record;
  const denied = receipt.kind === "decision" && receipt.decision === "DENY";
  return {
    timeUnixNano: nanoseconds(receipt.ts_ms),
    observedTimeUnixNano: nanoseconds(observedMs),
    severityNumber: denied ? 13 : 9,
    severityText: denied ? "WARN" : "INFO",
    eventName: `stepgate.${receipt.kind}`,
    body: { stringValue: line },
    attributes: attributesOf(record),
    ...traceOf(receipt),
  };
}

/**
 * Lines of OTLP's JSON (`LogsData`, which is also the body of a request to `/v1/logs`), each of as many log records as
 * keep it well below the MiB at which the collector's file receivers cut a line.
 */
export async function* logsLines(records: AsyncIterable<OtelLogRecord>): AsyncGenerator<string> {
  let batch: string[] = [];
  let size = 0;
  for await (const record of records) {
    const text = JSON.stringify(record);
    if (size > 0 && size + text.length > MAX_BATCH) {
      yield logsLine(batch);
      batch = [];
      size = 0;
    }
    batch.push(text);
    size += text.length;
  }
  if (batch.length > 0) yield logsLine(batch);
}

/** Of ASCII, as receipts are but for `ext`. */
const MAX_BATCH = 256 * 1024;

function logsLine(records: readonly string[]): string {
  return `{"resourceLogs":[{"resource":${RESOURCE},"scopeLogs":[{"scope":${SCOPE},"logRecords":[${records.join(",")}]}]}]}`;
}

const RESOURCE = JSON.stringify({ attributes: [attribute("service.name", "stepgate")] });
const SCOPE = JSON.stringify({ name: "stepgate.receipt", version: "1" });

/** Milliseconds beyond 2^53 nanoseconds: as text, exactly. */
function nanoseconds(ms: number): string {
  return `${BigInt(ms) * 1_000_000n}`;
}

/** Signatures say nothing to a search, and hold over the body's text alone; what is nested stands there too. */
const LEFT_TO_BODY: ReadonlySet<string> = new Set(["sig", "hmac_sig"]);

function attributesOf({ receipt, hash, mode }: SoundRecord): OtelLogRecord["attributes"] {
  const members: Readonly<Record<string, unknown>> = { ...receipt, record_hash: hash, mode };
  const own = Object.entries(members)
    .filter(([name, value]) => !LEFT_TO_BODY.has(name) && isScalar(value))
    .map(([name, value]) => attribute(`stepgate.${name}`, value));
  const extra = Object.entries(receipt.ext ?? {}).map(([name, value]) =>
    attribute(`stepgate.ext.${name}`, value),
  );
  return [...own, ...extra, ...genAiOf(receipt)];
}

/**
 * OpenTelemetry's conventions for generative AI, which are in development and may still change. `gen_ai.operation.name` is
 * not among them: `execute_tool` would count calls that were denied, and never executed.
 */
function genAiOf(receipt: Receipt): OtelLogRecord["attributes"] {
  const tool = receipt.kind === "decision" ? receipt.tool : undefined;
  const agent = "agent_id" in receipt ? receipt.agent_id : undefined;
  return [
    ...(tool === undefined ? [] : [attribute("gen_ai.tool.name", tool)]),
    ...(agent === undefined ? [] : [attribute("gen_ai.agent.id", agent)]),
  ];
}

/** `trace_id` and `span_id` of `ext`, where they are what W3C Trace Context calls valid. */
function traceOf({ ext }: Receipt): Pick<OtelLogRecord, "traceId" | "spanId"> {
  const traceId = identifier(ext?.["trace_id"], 32);
  const spanId = identifier(ext?.["span_id"], 16);
  if (traceId === undefined) return {};
  return spanId === undefined ? { traceId } : { traceId, spanId };
}

function identifier(value: unknown, digits: number): string | undefined {
  if (typeof value !== "string" || value.length !== digits) return undefined;
  return /^[0-9a-f]+$/.test(value) && !/^0+$/.test(value) ? value : undefined;
}

function isScalar(value: unknown): value is string | number | boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}

function attribute(key: string, value: unknown): OtelLogRecord["attributes"][number] {
  return { key, value: anyValue(value) };
}

function anyValue(value: unknown): AnyValue {
  if (typeof value === "boolean") return { boolValue: value };
  return typeof value === "number" ? { intValue: `${value}` } : { stringValue: String(value) };
}
