/** Histories of concurrent clients: those of an atomic store can be explained, those of either broken store cannot. */
import { memoryStore, type Store } from "@stepgate/core";
import { expect, test } from "vitest";
import { appendClient, judgeAppends, type NotedCall } from "../src/append-clients.ts";
import { batchedInsertStore } from "../src/batched-insert-store.ts";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { seededRandom } from "../src/seeded-random.ts";

test("histories of sixteen clients on an atomic store are linearizable, also where its answers come late", async () => {
  for (const store of [memoryStore(), late(memoryStore())]) {
    const notes = await history(store);
    expect(judgeAppends(notes)).toEqual([]);
    const answers = new Set(notes.map(({ output }) => (typeof output === "object" ? "" : output)));
    expect(answers).toEqual(new Set(["", "won", "lost", "replay"]));
  }
});

test("histories on a store that checks and then inserts are refused", async () => {
  const found = judgeAppends(await history(checkThenInsertStore()));
  expect(found).toHaveLength(3);
  expect(found[0]).toMatch(/^s\d: not linearizable; no order of its \d+ calls explains that /);
});

test("histories on a store that matches a batch by its returned keys are refused", async () => {
  expect(judgeAppends(await history(batchedInsertStore()))).toHaveLength(3);
});

test("histories on a store that forgets what it answered, or reads what is stale, are refused", async () => {
  const store = memoryStore();
  const first: Promise<readonly string[]>[] = [];
  const stale: Store = {
    ...store,
    read: (sequenceId, from) => {
      // Every reader sees what the reader before the last saw.
      first.push(store.read(sequenceId, from));
      return first.at(-3) ?? store.read(sequenceId, from);
    },
  };
  expect(judgeAppends(await history(stale, ["s0"], 4))).toHaveLength(1);
  const lossy: Store = {
    ...store,
    append: async (append) => (append.records[0].seq === 7 ? "won" : store.append(append)),
  };
  expect(judgeAppends(await history(lossy, ["t0"], 4))).toHaveLength(1);
});

test("an append that was told unknown may have happened, or not, and the history is explained either way", async () => {
  for (const happens of [true, false]) {
    const store = memoryStore();
    let count = 0;
    const unsure: Store = {
      ...store,
      async append(append) {
        if (count++ % 5 !== 0) return store.append(append);
        if (happens) await store.append(append);
        return "unknown";
      },
    };
    const notes = await history(unsure);
    expect(notes.filter(({ output }) => output === undefined).length).toBeGreaterThan(50);
    expect(judgeAppends(notes)).toEqual([]);
  }
});

async function history(
  store: Store,
  sequences: readonly string[] = ["s0", "s1", "s2"],
  count = 16,
): Promise<readonly NotedCall[]> {
  const clients = Array.from({ length: count }, (_, nth) =>
    appendClient({ store, name: `c${nth}`, sequences, calls: 40, seed: nth }),
  );
  return (await Promise.all(clients)).flat();
}

/** The same store, each call of which comes late, and is answered late. */
function late(store: Store): Store {
  const random = seededRandom(1);
  const wait = () => new Promise((resolve) => setTimeout(resolve, random() * 3));
  return {
    ...store,
    async append(append) {
      await wait();
      const answer = await store.append(append);
      await wait();
      return answer;
    },
    async read(sequenceId, from) {
      await wait();
      const lines = await store.read(sequenceId, from);
      await wait();
      return lines;
    },
  };
}
