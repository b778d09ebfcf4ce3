/** The thread that writes: owns a connection of its own, and answers batches of writes once they are durable. */
import { parentPort, workerData } from "node:worker_threads";
import { connect } from "./connection.ts";
import { groupCommit, type Job } from "./group-commit.ts";
import { type PackedWrite, unpackWrite } from "./packed-write.ts";
import { perform, type Write, type WriteAnswers } from "./write.ts";

/** What the thread is started with. */
export interface ThreadData {
  /** Absolute. */
  readonly file: string;
}

/** What it is asked: to write, each until a moment on the clock of `sharedNow`, or to close and end. */
export type ThreadQuestion =
  | {
      readonly batch: number;
      readonly writes: readonly PackedWrite[];
      readonly expires: readonly number[];
    }
  | "close";

/** What it says: that it has the log open, or what came of a batch, in its order. */
export type ThreadAnswer =
  | "ready"
  | {
      readonly batch: number;
      readonly results: readonly ThreadResult[];
      /** How long their commit took to reach the disk, in milliseconds. */
      readonly syncMs: number;
    };

/** What came of one write. */
type ThreadResult = WriteAnswers[Write["kind"]] | { readonly fault: string };

if (parentPort === null) throw new TypeError("writer-thread is the file of a worker thread");
const port = parentPort;
const { file } = workerData as ThreadData;
const connection = connect(file);
const commits = groupCommit(connection, { atOnce: true });
port.on("message", (question: ThreadQuestion) => {
  if (question === "close") void close();
  else write(question);
});
say("ready");

function write({ batch, writes, expires }: Exclude<ThreadQuestion, "close">): void {
  const results: ThreadResult[] = Array.from(writes, () => ({ fault: "it was not answered" }));
  let open = writes.length;
  const settle = (index: number, result: ThreadResult): void => {
    results[index] = result;
    if (--open === 0) say({ batch, results, syncMs: commits.syncMs() });
  };
  const jobs = writes.map((packed, index): Job => {
    const one = unpackWrite(packed);
    return {
      expires: expires[index] ?? 0,
      run(log) {
        const answer = perform(log, one);
        return () => settle(index, answer);
      },
      fail: (cause) => settle(index, { fault: reasonOf(cause) }),
    };
  });
  commits.add(jobs);
}

async function close(): Promise<void> {
  await commits.drained();
  connection.close();
  port.close();
}

function say(answer: ThreadAnswer): void {
  port.postMessage(answer);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
