/** Writing in the thread that asks: the event loop stands still for one fsync a batch. */
import type { Connection } from "./connection.ts";
import { groupCommit } from "./group-commit.ts";
import { sharedNow } from "./patience.ts";
import { perform, type Write, type WriteAnswers, type WriteOf, type Writer } from "./write.ts";

/** Writes through a connection that others may read through; the connection stays open when it is closed. */
export function inlineWriter(connection: Connection, busyTimeoutMs: number): Writer {
  const commits = groupCommit(connection);
  return {
    submit<K extends Write["kind"]>(write: WriteOf<K>): Promise<WriteAnswers[K]> {
      // `perform` answers each kind of write with its own kind of answer.
      const work = (log: Parameters<typeof perform>[0]) => perform(log, write) as WriteAnswers[K];
      return commits.submit(work, sharedNow() + busyTimeoutMs);
    },
    close: () => commits.drained(),
  };
}
