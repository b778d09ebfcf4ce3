/** A process whose disk can be made slow: appends, and says what it was told, how long that took, and whether its event loop went on. */
import type { AppendResult, Store } from "@stepgate/core";
import { answerQuestions } from "../../contract/src/child-process.ts";
import { sampleRecord } from "../../contract/src/sample-record.ts";
import { openStore } from "../src/sqlite-store.ts";

/** What it may be asked. */
export type SlowDiskQuestion =
  | {
      readonly ask: "open";
      readonly path: string;
      readonly writer: "thread" | "inline";
      readonly busyTimeoutMs: number;
    }
  | { readonly ask: "append"; readonly seq: number }
  /** Answered once a thread that was started has the log open. */
  | { readonly ask: "thread" };

/** What it answers. */
export interface SlowDiskAnswer {
  readonly result?: AppendResult;
  readonly tookMs?: number;
  /** Turns of the event loop meanwhile, of at least {@link TURN_MS} each. */
  readonly turns?: number;
}

const TURN_MS = 5;
let store: Store | undefined;

const thread = Promise.withResolvers<void>();
process.on("worker", (worker) => worker.once("message", () => setTimeout(thread.resolve, 20)));

answerQuestions<SlowDiskQuestion, SlowDiskAnswer>(async (question) => {
  if (question.ask === "open") {
    const { path, writer, busyTimeoutMs } = question;
    store = openStore({ path, writer, busyTimeoutMs }, 0);
    return {};
  }
  if (question.ask === "thread") {
    await thread.promise;
    return {};
  }
  let turns = 0;
  const ticker = setInterval(() => turns++, TURN_MS);
  const began = performance.now();
  const record = sampleRecord("s", question.seq, "x");
  const result = await store?.append({ sequence_id: "s", records: [record] });
  clearInterval(ticker);
  return {
    ...(result === undefined ? {} : { result }),
    tookMs: performance.now() - began,
    turns,
  };
});
