/** What can be written, as data, so that a thread can be asked for it; done inside a transaction that holds the write lock. */
import type { Append, AppendResult, Indexing, StoredDocument } from "@stepgate/core";
import { appendRecords, type LogStatements } from "./append-records.ts";
import { indexRecords } from "./index-records.ts";

/** One write. */
export type Write =
  | { readonly kind: "append"; readonly append: Append }
  | { readonly kind: "index"; readonly indexing: Indexing }
  | { readonly kind: "keep"; readonly documents: readonly StoredDocument[] }
  | { readonly kind: "settle"; readonly name: string; readonly value: string };

/** What each kind of write is answered with. */
export interface WriteAnswers {
  readonly append: Exclude<AppendResult, "unknown">;
  readonly index: "won" | "lost";
  readonly keep: "kept";
  /** The value that stands. */
  readonly settle: string;
}

/** A write of one kind. */
export type WriteOf<K extends Write["kind"]> = Extract<Write, { readonly kind: K }>;

/** Makes writes durable. */
export interface Writer {
  /** Resolves once it is durable; rejects where it was undone, or may have been, or may still come. */
  submit<K extends Write["kind"]>(write: WriteOf<K>): Promise<WriteAnswers[K]>;
  /** Resolves when everything that was submitted is settled, and nothing of the writer's own is open any more. */
  close(): Promise<void>;
}

/** Writes, or says why not; what it says holds once the transaction is committed. */
export function perform(log: LogStatements, write: Write): WriteAnswers[Write["kind"]] {
  switch (write.kind) {
    case "append":
      return appendRecords(log, write.append);
    case "index":
      return indexRecords(log, write.indexing);
    case "keep":
      return keep(log, write.documents);
    case "settle":
      log.settle.run(write.name, write.value);
      return String(log.setting.get(write.name)?.["value"]);
  }
}

function keep(log: LogStatements, documents: readonly StoredDocument[]): "kept" {
  for (const { digest, text } of documents) log.keep.run(digest, text);
  return "kept";
}
