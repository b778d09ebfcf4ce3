/** A process that checkpoints a log that it shares, as often as it is asked, and may end in the midst of it. */
import { createPrivateKey } from "node:crypto";
import { checkpointLog, type NoteSigner, signingKey, type Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { answerQuestions } from "../../contract/src/child-process.ts";

/** What it may be asked. */
export interface CheckpointQuestion {
  readonly path: string;
  readonly privateKey: string;
  readonly times: number;
  /** Where it is to end as by `kill -9`: within its first append to the tree, after that, or before it signs. */
  readonly dies?: "indexing" | "indexed" | "signing";
}

/** What it answers. */
export interface CheckpointAnswer {
  readonly notes: readonly string[];
  /** The leaf indexes that it won: from, and how many. */
  readonly won: readonly (readonly [from: number, count: number])[];
}

answerQuestions<CheckpointQuestion, CheckpointAnswer>(async (question) => {
  const { path, privateKey, times, dies } = question;
  const key = signingKey(createPrivateKey(privateKey));
  const inner = sqliteStore({ path, busyTimeoutMs: 30_000 });
  const won: [number, number][] = [];
  const store: Store = {
    ...inner,
    async index(indexing) {
      if (dies === "indexing") setImmediate(die);
      const answer = await inner.index(indexing);
      if (dies === "indexed") die();
      if (answer === "won") won.push([indexing.size, indexing.leaves.length]);
      return answer;
    },
  };
  const signer: NoteSigner = {
    ...key,
    sign: (input) => (dies === "signing" ? die() : key.sign(input)),
  };
  const notes: string[] = [];
  for (let time = 0; time < times; time++) notes.push((await checkpointLog(store, signer)).note);
  await inner.close();
  return { notes, won };
});

function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("is dead");
}
