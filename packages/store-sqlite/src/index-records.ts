/** The log's tree in its table: which records have a leaf index, and the nodes over them. */
import type { Indexing, LogEnd, NodePlace } from "@stepgate/core";
import type { LogStatements } from "./append-records.ts";
import { recordsAfter, recordsBetween } from "./read-records.ts";

/** Where the tree ends. Between the two looks others may index more: then what is named here is lost when it is indexed. */
export function logEnd(log: LogStatements, count: number): LogEnd {
  const size = treeSize(log);
  return { size, records: recordsAfter(log, size, count) };
}

/** Gives leaf indexes inside a transaction that holds the file's write lock; what it says holds once that is committed. */
export function indexRecords(
  log: LogStatements,
  { size, leaves, nodes }: Indexing,
): "won" | "lost" {
  const isNext = leaves.every(
    ({ sequence_id, seq }, at) =>
      log.position.get(sequence_id, seq)?.["position"] === size + at + 1,
  );
  if (treeSize(log) !== size || !isNext) return "lost";
  leaves.forEach(({ hash }, at) => log.grow.run(0, size + at, Buffer.from(hash, "hex")));
  for (const { level, index, hash } of nodes) log.grow.run(level, index, Buffer.from(hash, "hex"));
  return "won";
}

/** The hash of one node in hex; `undefined` where it is not full yet. */
export function nodeAt(log: LogStatements, { level, index }: NodePlace): string | undefined {
  const hash = log.node.get(level, index)?.["hash"];
  return hash instanceof Uint8Array ? Buffer.from(hash).toString("hex") : undefined;
}

/** Lines in the order of their leaf indexes, which is that of positions. */
export function indexedLines(log: LogStatements, from: number, count: number): readonly string[] {
  const end = Math.min(from + count, treeSize(log));
  return from >= end ? [] : recordsBetween(log, from, end).map(({ line }) => line);
}

/** The leaf index of a record; `undefined` where it has none, or is not there. */
export function leafOf(log: LogStatements, sequenceId: string, seq: number): number | undefined {
  const position = Number(log.position.get(sequenceId, seq)?.["position"] ?? Infinity);
  return position <= treeSize(log) ? position - 1 : undefined;
}

function treeSize(log: LogStatements): number {
  return Number(log.size.get()?.["size"] ?? 0);
}
