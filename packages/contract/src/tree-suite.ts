/** The tree of the log of logs, in every store: who gets which leaf index, and what is kept of it. */
import { hash } from "node:crypto";
import type { Indexing, Leaf, Store, TreeNode } from "@stepgate/core";
import { expect } from "vitest";
import { sampleRecord } from "./sample-record.ts";
import type { StoreTest } from "./store-suite.ts";

/** Registers the tests. */
export function treeTests(storeTest: StoreTest): void {
  storeTest("no record has a leaf index until it is given one", async ({ store }) => {
    expect(await store.unindexed(10)).toEqual({ size: 0, records: [] });
    await appendTo(store, "a", 2);
    await appendTo(store, "b", 1);
    const { size, records } = await store.unindexed(10);
    expect(size).toBe(0);
    expect(records.filter(({ sequence_id }) => sequence_id === "a").map(({ seq }) => seq)).toEqual([
      0, 1,
    ]);
    expect(records).toHaveLength(3);
    expect(records[0]?.line).toBe((await store.read(records[0]?.sequence_id ?? "", 0, 1))[0]);
    expect((await store.unindexed(2)).records).toHaveLength(2);
    expect((await store.unindexed(0)).records).toEqual([]);
    expect(await store.leaf("a", 0)).toBeUndefined();
    expect(await store.nodes([{ level: 0, index: 0 }])).toEqual([undefined]);
  });
  storeTest(
    "what is indexed gets the next indexes, and stands first in the log",
    async ({ store }) => {
      await appendTo(store, "a", 2);
      await appendTo(store, "b", 2);
      const first = await nextOf(store, 3);
      expect(await store.index(first)).toBe("won");
      const rest = await store.unindexed(10);
      expect([rest.size, rest.records.length]).toEqual([3, 1]);
      await appendTo(store, "c", 1);
      const second = await nextOf(store, 10);
      expect(await store.index(second)).toBe("won");
      await appendTo(store, "a", 1, 2);
      const all = [...first.leaves, ...second.leaves];
      for (const [index, { sequence_id, seq }] of all.entries())
        expect(await store.leaf(sequence_id, seq)).toBe(index);
      expect(await store.leaf("a", 2)).toBeUndefined();
      expect(await store.leaf("unheard of", 0)).toBeUndefined();
      const inOrder = [...all, { sequence_id: "a", seq: 2 }];
      const lines = await Promise.all(inOrder.map((at) => store.read(at.sequence_id, at.seq, 1)));
      expect(await Array.fromAsync(store.lines())).toEqual(lines.flat());
      expect(await store.indexed(0, 100)).toEqual(lines.flat().slice(0, 5));
      expect(await store.indexed(1, 3)).toEqual(lines.flat().slice(1, 4));
      expect(await store.indexed(4, 3)).toEqual(lines.flat().slice(4, 5));
      expect(await store.indexed(5, 3)).toEqual([]);
      expect(await store.indexed(0, 0)).toEqual([]);
    },
  );
  storeTest("an index is given once: for a tree of another size it is lost", async ({ store }) => {
    await appendTo(store, "a", 4);
    const first = await nextOf(store, 2);
    expect(await store.index({ ...first, size: 1 })).toBe("lost");
    expect(await store.index(first)).toBe("won");
    expect(await store.index(first)).toBe("lost");
    const second = await nextOf(store, 2);
    expect(await store.index({ ...second, size: 0 })).toBe("lost");
    expect(await store.index({ ...second, size: 3 })).toBe("lost");
    expect((await store.unindexed(10)).records).toHaveLength(2);
    expect(await store.nodes([{ level: 0, index: 2 }])).toEqual([undefined]);
    expect(await store.index(second)).toBe("won");
  });
  storeTest("records that are not to be indexed now are lost, all together", async ({ store }) => {
    await appendTo(store, "a", 3);
    const indexed = await nextOf(store, 1);
    await store.index(indexed);
    const next = await nextOf(store, 2);
    const wrong: readonly Indexing["leaves"][] = [
      [indexed.leaves[0], next.leaves[0]],
      [next.leaves[0], leafOf("a", 3)],
      [next.leaves[0], leafOf("b", 0)],
      [leafOf("a", 2), leafOf("a", 1)],
      [next.leaves[0], next.leaves[0]],
    ];
    for (const leaves of wrong) {
      expect(await store.index({ ...next, leaves, nodes: [] })).toBe("lost");
      expect((await store.unindexed(10)).size).toBe(1);
    }
    expect(await store.index(next)).toBe("won");
  });
  storeTest(
    "nodes come back as they were kept, in the order that is asked for",
    async ({ store }) => {
      await appendTo(store, "a", 8);
      const indexing = await nextOf(store, 8);
      const nodes: readonly TreeNode[] = [
        { level: 1, index: 0, hash: sample("1/0") },
        { level: 1, index: 3, hash: sample("1/3") },
        { level: 40, index: 2 ** 40, hash: sample("far") },
      ];
      expect(await store.index({ ...indexing, nodes })).toBe("won");
      const places = [nodes[2], { level: 0, index: 7 }, nodes[0], { level: 1, index: 1 }, nodes[1]];
      expect(await store.nodes(places.filter((place) => place !== undefined))).toEqual([
        sample("far"),
        indexing.leaves[7]?.hash,
        sample("1/0"),
        undefined,
        sample("1/3"),
      ]);
      expect(await store.nodes([])).toEqual([]);
    },
  );
  storeTest(
    "of many that index at once, each record gets one index, and no index is left out",
    async ({ store, another }) => {
      const stores = another === undefined ? [store] : [store, await another(), await another()];
      await appendTo(store, "a", 30);
      await appendTo(store, "b", 30);
      const late = appendTo(store, "c", 30);
      const told = await Promise.all(
        Array.from({ length: 9 }, (_, n) => indexAll(stores[n % stores.length] ?? store)),
      );
      await late;
      told.push(await indexAll(store));
      const given = told.flat().toSorted((one, other) => one.index - other.index);
      expect(given.map(({ index }) => index)).toEqual(given.map((_, at) => at));
      expect(new Set(given.map(({ place }) => place)).size).toBe(90);
      for (const name of ["a", "b", "c"]) {
        const own = given.filter(({ place }) => place.startsWith(name));
        expect(own.map(({ place }) => place)).toEqual(own.map((_, seq) => `${name} ${seq}`));
      }
    },
  );
  storeTest(
    "the tree is there again after the store was closed and opened",
    async ({ store, reopen }, context) => {
      if (reopen === undefined) return context.skip("this store keeps nothing beyond its object");
      await appendTo(store, "a", 3);
      const indexing = await nextOf(store, 2);
      const node = { level: 1, index: 0, hash: sample("node") };
      await store.index({ ...indexing, nodes: [node] });
      await store.close();
      const again = await reopen();
      expect((await again.unindexed(10)).size).toBe(2);
      expect(await again.leaf("a", 1)).toBe(1);
      expect(await again.nodes([node])).toEqual([node.hash]);
    },
  );
}

async function appendTo(store: Store, name: string, count: number, from = 0): Promise<void> {
  for (let seq = from; seq < from + count; seq++) {
    const answer = await store.append({
      sequence_id: name,
      records: [sampleRecord(name, seq, "x")],
    });
    expect(answer).toBe("won");
  }
}

/** What the store names next as leaves, with the hashes of its own bytes. */
async function nextOf(store: Store, count: number): Promise<Indexing> {
  const { size, records } = await store.unindexed(count);
  const [first, ...rest] = records.map(({ sequence_id, seq }) => leafOf(sequence_id, seq));
  if (first === undefined) throw new Error("there is nothing to index");
  return { size, leaves: [first, ...rest], nodes: [] };
}

function leafOf(sequence_id: string, seq: number): Leaf {
  return { sequence_id, seq, hash: sample(`${sequence_id} ${seq}`) };
}

function sample(text: string): string {
  return hash("sha256", text);
}

/** Indexes a few at a time until there is nothing left; returns what it won. */
async function indexAll(
  store: Store,
): Promise<{ readonly index: number; readonly place: string }[]> {
  const given: { readonly index: number; readonly place: string }[] = [];
  while ((await store.unindexed(1)).records.length > 0) {
    const { size, records } = await store.unindexed(7);
    const [first, ...rest] = records.map(({ sequence_id, seq }) => leafOf(sequence_id, seq));
    if (first === undefined) break;
    if ((await store.index({ size, leaves: [first, ...rest], nodes: [] })) === "lost") continue;
    for (const [at, { sequence_id, seq }] of records.entries())
      given.push({ index: size + at, place: `${sequence_id} ${seq}` });
  }
  return given;
}
