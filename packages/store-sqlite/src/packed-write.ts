/**
 * Writes as they are handed to the thread. What is copied between threads is copied with the names of its members, which
 * for an append costs several times what they name: so an append goes as a row of values.
 */
import type { Append, CounterStep, PlacedRecord, StoredDocument } from "@stepgate/core";
import type { Write, WriteOf } from "./write.ts";

/** A {@link Write}, packed. */
export type PackedWrite = Exclude<Write, WriteOf<"append">> | PackedAppend;

/** Sequence, documents, counters, and for each record seven values in the order of {@link packRecord}. */
type PackedAppend = readonly [
  sequence_id: string,
  documents: readonly StoredDocument[] | undefined,
  counters: readonly CounterStep[] | undefined,
  ...records: (string | number | undefined)[],
];

const VALUES = 7;

/** The same write, to be handed over. */
export function packWrite(write: Write): PackedWrite {
  if (write.kind !== "append") return write;
  const { sequence_id, records, documents = [], counters = [] } = write.append;
  const packed: [...PackedAppend] = [
    sequence_id,
    documents.length === 0 ? undefined : documents,
    counters.length === 0 ? undefined : counters,
  ];
  for (const record of records) packRecord(packed, record);
  return packed;
}

/** What {@link packWrite} was given. */
export function unpackWrite(packed: PackedWrite): Write {
  if ("kind" in packed) return packed;
  const [sequence_id, documents = [], counters = [], ...values] = packed;
  const records: PlacedRecord[] = [];
  for (let at = 0; at < values.length; at += VALUES) records.push(unpackRecord(values, at));
  // An append has a record.
  const filled = records as readonly PlacedRecord[] as Append["records"];
  return { kind: "append", append: { sequence_id, records: filled, documents, counters } };
}

function packRecord(
  packed: [...PackedAppend],
  { seq, hash, line, nonce, opens, closes }: PlacedRecord,
): void {
  packed.push(seq, hash, line, nonce, opens?.gate_id, opens?.expires_ms, closes);
}

function unpackRecord(values: readonly (string | number | undefined)[], at: number): PlacedRecord {
  const [seq, hash, line, nonce, gate_id, expires_ms, closes] = values.slice(at, at + VALUES);
  return {
    seq: Number(seq),
    hash: String(hash),
    line: String(line),
    ...(nonce === undefined ? {} : { nonce: String(nonce) }),
    ...(gate_id === undefined
      ? {}
      : { opens: { gate_id: String(gate_id), expires_ms: Number(expires_ms) } }),
    ...(closes === undefined ? {} : { closes: String(closes) }),
  };
}
