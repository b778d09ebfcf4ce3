/** The thread that writes: owns a connection of its own, and answers batches of writes once they are durable. */
import { parentPort, workerData } from "node:worker_threads";
import { connect } from "./connection.ts";
import { groupCommit } from "./group-commit.ts";
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
      readonly writes: readonly { readonly write: Write; readonly expires: number }[];
    }
  | "close";

/** What it says: that it has the log open, or what came of a batch, in its order. */
export type ThreadAnswer =
  | "ready"
  | {
      readonly batch: number;
      readonly results: readonly (
        | { readonly answer: WriteAnswers[Write["kind"]] }
        | { readonly fault: string }
      )[];
    };

if (parentPort === null) throw new TypeError("writer-thread is the file of a worker thread");
const port = parentPort;
const { file } = workerData as ThreadData;
const connection = connect(file);
const commits = groupCommit(connection);
port.on("message", (question: ThreadQuestion) => {
  void (question === "close" ? close() : write(question));
});
say("ready");

async function write({ batch, writes }: Exclude<ThreadQuestion, "close">): Promise<void> {
  const results = await Promise.all(
    writes.map(({ write: one, expires }) =>
      commits
        .submit((log) => perform(log, one), expires)
        .then(
          (answer) => ({ answer }),
          (cause: unknown) => ({ fault: cause instanceof Error ? cause.message : String(cause) }),
        ),
    ),
  );
  say({ batch, results });
}

async function close(): Promise<void> {
  await commits.drained();
  connection.close();
  port.close();
}

function say(answer: ThreadAnswer): void {
  port.postMessage(answer);
}
