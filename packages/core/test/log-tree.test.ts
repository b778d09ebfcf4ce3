/** The tree that only grows: the same roots and proofs as a tree that is built anew each time, from kept nodes alone. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  consistencyPath,
  edgeOf,
  growingTree,
  inclusionPath,
  type ReadNodes,
  rootAt,
} from "../src/log-tree.ts";
import { isConsistent, merkleTree, nodeHash, rootFromPath } from "../src/merkle.ts";
import { sha256 } from "../src/digest.ts";

const leaves = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => sha256(`leaf ${n}`).slice("sha256:".length));
const rootOf = (count: number): string => merkleTree(leaves(count)).root;

/** All nodes that a tree of this many leaves leaves behind, to be read like a store. */
function keptNodes(count: number): { readonly read: ReadNodes; readonly places: string[] } {
  const tree = growingTree();
  const nodes = leaves(count).flatMap((leaf) => tree.add(leaf));
  const kept = new Map(nodes.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
  expect(kept.size).toBe(nodes.length);
  const places: string[] = [];
  const read: ReadNodes = async (asked) =>
    asked.map(({ level, index }) => {
      places.push(`${level}/${index}`);
      const hash = kept.get(`${level}/${index}`);
      if (hash === undefined) throw new Error(`node ${level}/${index} is not kept`);
      return hash;
    });
  return { read, places };
}

const upTo = fc.integer({ min: 1, max: 140 });
const pair = upTo.chain((size) => fc.tuple(fc.integer({ min: 1, max: size }), fc.constant(size)));

describe("a growing tree", () => {
  test("has after each leaf the root of the tree that is built anew", () => {
    const tree = growingTree();
    expect(tree.root()).toBe(rootOf(0));
    for (const [at, leaf] of leaves(130).entries()) {
      tree.add(leaf);
      expect([tree.size, tree.root()]).toEqual([at + 1, rootOf(at + 1)]);
    }
  });

  test("goes on from the edge of any smaller one, and names each node once, when it is full", async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ([begun, size]) => {
        const { read } = keptNodes(size);
        const tree = growingTree({ size: begun, hashes: await read(edgeOf(begun)) });
        const named = leaves(size)
          .slice(begun)
          .flatMap((leaf) => tree.add(leaf));
        expect(tree.root()).toBe(rootOf(size));
        for (const node of named) expect(await read([node])).toEqual([node.hash]);
        const known = new Set(keptPlaces(begun));
        expect(named.map(({ level, index }) => `${level}/${index}`).toSorted()).toEqual(
          keptPlaces(size)
            .filter((place) => !known.has(place))
            .toSorted(),
        );
      }),
    );
  });

  test("hashes for each leaf less than twice on the average, and remembers a hash for each bit of its size", () => {
    let hashed = 0;
    const tree = growingTree({ size: 0, hashes: [] }, (left, right) => {
      hashed++;
      return nodeHash(left, right);
    });
    for (const leaf of leaves(1_000)) tree.add(leaf);
    expect(hashed).toBe(1_000 - 6);
    expect(edgeOf(1_000)).toHaveLength(6);
    expect(edgeOf(2 ** 52 + 1)).toEqual([
      { level: 52, index: 0 },
      { level: 0, index: 2 ** 52 },
    ]);
  });
});

describe("kept nodes", () => {
  test("give the root of every earlier size", async () => {
    const { read } = keptNodes(140);
    for (let size = 0; size <= 140; size++) expect(await rootAt(size, read)).toBe(rootOf(size));
  });

  test("give the audit path of every leaf at every size, as the whole tree does", async () => {
    await fc.assert(
      fc.asyncProperty(pair, fc.nat(40), async ([size, all], more) => {
        const { read, places } = keptNodes(all + more);
        for (const index of new Set([0, size - 1, Math.floor(size / 2)])) {
          places.length = 0;
          const path = await inclusionPath(index, size, read);
          expect(path).toEqual(merkleTree(leaves(size)).path(index));
          expect(rootFromPath(leaves(size)[index] ?? "", index, size, path)).toBe(rootOf(size));
          // A look at each level, and along the right edge.
          expect(places.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(size + 1)));
        }
      }),
    );
  });

  test("prove every earlier tree to begin every later one, and no other tree", async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ([earlier, later]) => {
        const { read } = keptNodes(later);
        const proof = await consistencyPath(earlier, later, read);
        const [begin, end] = [earlier, later].map((size) => ({ size, root: rootOf(size) }));
        if (begin === undefined || end === undefined) throw new Error("two sizes");
        expect(isConsistent(begin, end, proof)).toBe(true);
        expect(isConsistent({ ...begin, root: rootOf(earlier + 1) }, end, proof)).toBe(false);
        expect(isConsistent(begin, { ...end, root: rootOf(later + 1) }, proof)).toBe(false);
      }),
    );
  });

  test("prove nothing of leaves that are not there", () => {
    const { read } = keptNodes(4);
    for (const [index, size] of [
      [4, 4],
      [-1, 4],
      [0, 0],
    ] as const)
      expect(() => inclusionPath(index, size, read)).toThrow(RangeError);
    for (const [earlier, later] of [
      [0, 4],
      [5, 4],
    ] as const)
      expect(() => consistencyPath(earlier, later, read)).toThrow(RangeError);
  });
});

/** The places of all full subtrees of a tree of this size. */
function keptPlaces(size: number): readonly string[] {
  const places: string[] = [];
  for (let level = 0, width = 1; width <= size; level++, width *= 2)
    for (let index = 0; (index + 1) * width <= size; index++) places.push(`${level}/${index}`);
  return places;
}
