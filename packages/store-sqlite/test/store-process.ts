/** A process with a store of its own: opens a log, appends and counts, meets the limit on its file size, and says what it was told. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import type { AppendResult, Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { answerQuestions } from "../../contract/src/child-process.ts";
import { counting, sampleRecord } from "../../contract/src/sample-record.ts";

/** What it may be asked. */
export type StoreQuestion =
  | { readonly ask: "open"; readonly path: string; readonly logId: string }
  | {
      readonly ask: "append";
      readonly sequenceId: string;
      readonly seq: number;
      readonly size: number;
    }
  /** Further bytes that the write-ahead log may grow by; -1: without limit. */
  | { readonly ask: "limit"; readonly path: string; readonly bytes: number }
  | { readonly ask: "close" };

/** What it answers. */
export interface StoreAnswer {
  readonly setting?: string;
  readonly result?: AppendResult;
}

let store: Store | undefined;
// Its default would end the process; without it a write beyond the limit fails with EFBIG, as on a full disk.
process.on("SIGXFSZ", () => {});
answerQuestions(answer);

async function answer(question: StoreQuestion): Promise<StoreAnswer> {
  switch (question.ask) {
    case "open":
      await store?.close();
      store = sqliteStore(question.path);
      return { setting: await store.setting("log_id", question.logId) };
    case "append":
      return append(question.sequenceId, question.seq, "x".repeat(question.size));
    case "limit":
      limitFileSize(
        question.bytes === -1 ? undefined : statSync(`${question.path}-wal`).size + question.bytes,
      );
      return {};
    case "close":
      await store?.close();
      return {};
  }
}

async function append(sequenceId: string, seq: number, content: string): Promise<StoreAnswer> {
  const result = await store?.append({
    sequence_id: sequenceId,
    records: [sampleRecord(sequenceId, seq, content)],
    counters: counting("appends", "1", "9"),
  });
  return result === undefined ? {} : { result };
}

/** Of util-linux. */
const PRLIMIT = "prlimit";

/** The soft limit of this very process; the hard one stays, so that it can be lifted again. */
function limitFileSize(bytes: number | undefined): void {
  execFileSync(PRLIMIT, ["--pid", String(process.pid), `--fsize=${bytes ?? "unlimited"}:`]);
}
