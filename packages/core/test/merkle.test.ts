/** RFC 6962 trees: the public proofs, the recursive definition, and every way to bend a proof. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  climb,
  decodeHash,
  encodeHash,
  isConsistent,
  merkleTree,
  nodeHash,
  pathLength,
  rootFromPath,
} from "../src/merkle.ts";
import { hasVectors, readVector, vectorNames } from "./public-vectors.ts";

const FOLDER = "rfc6962/testdata";

describe("the public proofs of transparency-dev/merkle", () => {
  const inclusion = filesUnder(`${FOLDER}/inclusion`);
  const consistency = filesUnder(`${FOLDER}/consistency`);

  test.skipIf(!hasVectors(FOLDER))("are all there: 98 of inclusion, 98 of consistency", () => {
    expect([inclusion.length, consistency.length]).toEqual([98, 98]);
  });

  test.skipIf(!hasVectors(FOLDER))("inclusion: what is to hold holds, and nothing else", () => {
    const wrong = inclusion.filter((file) => {
      const { leafHash, leafIdx, treeSize, proof, root, wantErr } = JSON.parse(readVector(file));
      const found = rootFromPath(hex(leafHash), leafIdx, treeSize, (proof ?? []).map(hex));
      return (found === undefined || found !== hex(root)) !== wantErr;
    });
    expect(wrong).toEqual([]);
  });

  test.skipIf(!hasVectors(FOLDER))("consistency: what is to hold holds, and nothing else", () => {
    const wrong = consistency.filter((file) => {
      const { size1, size2, root1, root2, proof, wantErr } = JSON.parse(readVector(file));
      const earlier = { size: size1, root: hex(root1) };
      const later = { size: size2, root: hex(root2) };
      return isConsistent(earlier, later, (proof ?? []).map(hex)) === wantErr;
    });
    expect(wrong).toEqual([]);
  });
});

const sizes = fc.integer({ min: 1, max: 70 });
const place = sizes.chain((size) =>
  fc.tuple(fc.integer({ min: 0, max: size - 1 }), fc.constant(size)),
);

describe("a tree of any size", () => {
  test("its root and its paths are those of the RFC's recursive definition", () => {
    fc.assert(
      fc.property(place, ([index, size]) => {
        const tree = merkleTree(leaves(size));
        expect(tree.root).toBe(rootByDefinition(leaves(size)));
        expect(tree.path(index)).toEqual(pathByDefinition(index, leaves(size)));
        expect(tree.path(index)).toHaveLength(pathLength(index, size));
      }),
    );
  });

  test("each leaf's path leads to the root, from its own place in a tree of its own size alone", () => {
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17]) {
      const all = leaves(size);
      const tree = merkleTree(all);
      for (const [index, leaf] of all.entries()) {
        const path = tree.path(index);
        const lead: string[] = [];
        // A size tells itself only by the shape of the path, which is why it is signed beside the root.
        for (let at = 0; at <= size; at++)
          if (rootFromPath(leaf, at, size, path) === tree.root) lead.push(`${at}`);
        expect(lead).toEqual([`${index}`]);
      }
    }
  });

  test("a path that is longer, shorter, or changed in any hash or in the order leads elsewhere", () => {
    fc.assert(
      fc.property(place, fc.nat(), ([index, size], pick) => {
        const all = leaves(size);
        const tree = merkleTree(all);
        const path = tree.path(index);
        const leaf = all[index] as string;
        expect(rootFromPath(leaf, index, size, [...path, leaf])).toBeUndefined();
        if (path.length === 0) return;
        expect(rootFromPath(leaf, index, size, path.slice(1))).toBeUndefined();
        expect(rootFromPath(leaf, index, size, path.slice(0, -1))).toBeUndefined();
        const bent = path.map((item, at) => (at === pick % path.length ? flip(item) : item));
        expect(rootFromPath(leaf, index, size, bent)).not.toBe(tree.root);
        if (path.length > 1)
          expect(rootFromPath(leaf, index, size, path.toReversed())).not.toBe(tree.root);
      }),
    );
  });

  test("an earlier tree begins it, by the RFC's proof and no other", () => {
    fc.assert(
      fc.property(place, fc.nat(), ([index, size], pick) => {
        const all = leaves(size);
        const earlier = { size: index + 1, root: merkleTree(all.slice(0, index + 1)).root };
        const later = { size, root: merkleTree(all).root };
        const proof = consistencyByDefinition(index + 1, all);
        expect(isConsistent(earlier, later, proof)).toBe(true);
        expect(isConsistent(earlier, later, [...proof, later.root])).toBe(false);
        expect(isConsistent(earlier, { ...later, root: flip(later.root) }, proof)).toBe(false);
        expect(isConsistent({ ...earlier, root: flip(earlier.root) }, later, proof)).toBe(false);
        if (proof.length === 0) return;
        expect(isConsistent(earlier, later, proof.slice(1))).toBe(false);
        const bent = proof.map((item, at) => (at === pick % proof.length ? flip(item) : item));
        expect(isConsistent(earlier, later, bent)).toBe(false);
        expect(isConsistent(later, earlier, proof)).toBe(false);
      }),
    );
  });
});

test("sizes beyond 32 bits have paths of their own length", () => {
  expect(pathLength(0, 2 ** 40)).toBe(40);
  expect(pathLength(2 ** 40, 2 ** 40 + 1)).toBe(1);
  const [leaf = "", sibling = ""] = leaves(2);
  expect(rootFromPath(leaf, 2 ** 40, 2 ** 40 + 1, [sibling])).toBe(nodeHash(sibling, leaf));
});

test("the empty tree's root is the hash of nothing, and it has no leaf", () => {
  const { root, path } = merkleTree([]);
  expect(root).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(() => path(0)).toThrow(RangeError);
});

test("a proof that an earlier tree begins it is none where there is nothing to prove, or more than a tree has", () => {
  const [one, two, three] = [1, 2, 3].map((size) => ({
    size,
    root: merkleTree(leaves(size)).root,
  })) as [Head, Head, Head];
  const proof = consistencyByDefinition(2, leaves(3));
  expect(isConsistent(two, three, proof)).toBe(true);
  for (const size of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
    expect(isConsistent({ ...one, size }, { ...one, size }, [])).toBe(false);
    expect(isConsistent({ ...two, size }, three, proof)).toBe(false);
    expect(isConsistent(two, { ...three, size }, proof)).toBe(false);
  }
  // Half a leaf more than one, with a proof that would lead from the first leaf to the root.
  expect(isConsistent({ ...one, size: 1.5 }, three, leaves(3))).toBe(false);
  // What would be a proof of sizes that stand the other way round.
  expect(isConsistent({ ...three, size: 4 }, { ...three, size: 3 }, [])).toBe(false);
  expect(isConsistent({ ...one, size: 2 }, { ...one, size: 1 }, [])).toBe(false);
  expect(isConsistent({ size: 3, root: three.root }, { size: 4, root: three.root }, [])).toBe(
    false,
  );
  for (const bad of ["", "0".repeat(63), "g".repeat(64)]) {
    expect(isConsistent({ ...two, root: bad }, three, proof)).toBe(false);
    expect(isConsistent(two, { ...three, root: bad }, proof)).toBe(false);
    expect(isConsistent(two, three, [bad])).toBe(false);
    expect(isConsistent(two, three, [...proof, bad])).toBe(false);
  }
});

test("a leaf that is not there, and what is no hash, are named", () => {
  expect(() => merkleTree(leaves(2)).path(2)).toThrow("the tree has no leaf 2");
  expect(() => nodeHash("", "")).toThrow("a tree hash is 64 hex digits");
});

test("a hash in base64 is the same hash, and 32 bytes alone are one", () => {
  for (const leaf of leaves(4)) {
    expect(encodeHash(leaf)).toBe(Buffer.from(leaf, "hex").toString("base64"));
    expect(decodeHash(encodeHash(leaf))).toBe(leaf);
  }
  for (const bad of ["", "0".repeat(62), "0".repeat(66), "g".repeat(64)])
    expect(() => encodeHash(bad)).toThrow(new TypeError("a tree hash is 64 hex digits"));
  for (const bad of ["", "AAAA", "?", Buffer.alloc(31).toString("base64")])
    expect(decodeHash(bad)).toBeUndefined();
});

test("whoever hashes the nodes is told their level and their index in it, leaves being of level 0", () => {
  const told: string[] = [];
  for (const [index, leaf] of leaves(5).entries())
    climb(leaf, index, 5, merkleTree(leaves(5)).path(index), (left, right, level, at) => {
      told.push(`${index}: ${at} of ${level}`);
      return nodeHash(left, right);
    });
  expect(told).toEqual(
    ["0: 0 of 1", "0: 0 of 2", "0: 0 of 3", "1: 0 of 1", "1: 0 of 2", "1: 0 of 3"].concat([
      "2: 1 of 1",
      "2: 0 of 2",
      "2: 0 of 3",
      "3: 1 of 1",
      "3: 0 of 2",
      "3: 0 of 3",
      "4: 0 of 3",
    ]),
  );
});

test("an interior node is hashed once, however many leaves' paths go through it", () => {
  const nodes = new Set<string>();
  const tree = merkleTree(leaves(32));
  let hashed = 0;
  const remember = (left: string, right: string): string => {
    const key = left + right;
    if (!nodes.has(key)) hashed++;
    nodes.add(key);
    return nodeHash(left, right);
  };
  for (const [index, leaf] of leaves(32).entries())
    expect(climb(leaf, index, 32, tree.path(index), remember)).toBe(tree.root);
  expect(hashed).toBe(31);
});

describe("what is no hash leads nowhere", () => {
  const [leaf = "", sibling = ""] = leaves(2);
  for (const bad of ["", leaf.slice(1), `${leaf}0`, leaf.toUpperCase(), `g${leaf.slice(1)}`]) {
    test(`'${bad.slice(0, 4)}…' of ${bad.length}`, () => {
      expect(rootFromPath(leaf, 0, 2, [bad])).toBeUndefined();
      expect(rootFromPath(bad, 0, 2, [sibling])).toBeUndefined();
      expect(isConsistent({ size: 1, root: leaf }, { size: 2, root: bad }, [sibling])).toBe(false);
      if (bad !== leaf.toUpperCase()) expect(() => nodeHash(leaf, bad)).toThrow(TypeError);
      if (bad !== leaf.toUpperCase()) expect(() => nodeHash(bad, leaf)).toThrow(TypeError);
    });
  }

  test("nor does a place that is none", () => {
    for (const [index, size] of [
      [2, 2],
      [-1, 2],
      [0.5, 2],
      [0, 0],
      [0, Number.NaN],
    ] as const)
      expect(rootFromPath(leaf, index, size, [sibling])).toBeUndefined();
  });
});

interface Head {
  readonly size: number;
  readonly root: string;
}

function leaves(size: number): string[] {
  return Array.from({ length: size }, (_, n) => sha256(Buffer.from(`\0leaf ${n}`)));
}

/** RFC 6962, section 2.1: MTH. */
function rootByDefinition(all: readonly string[]): string {
  if (all.length === 0) return sha256(Buffer.alloc(0));
  if (all.length === 1) return all[0] as string;
  const k = split(all.length);
  return nodeByHand(rootByDefinition(all.slice(0, k)), rootByDefinition(all.slice(k)));
}

/** RFC 6962, section 2.1.1: PATH. */
function pathByDefinition(m: number, all: readonly string[]): readonly string[] {
  if (all.length === 1) return [];
  const k = split(all.length);
  return m < k
    ? [...pathByDefinition(m, all.slice(0, k)), rootByDefinition(all.slice(k))]
    : [...pathByDefinition(m - k, all.slice(k)), rootByDefinition(all.slice(0, k))];
}

/** RFC 6962, section 2.1.2: PROOF and SUBPROOF. */
function consistencyByDefinition(
  m: number,
  all: readonly string[],
  whole = true,
): readonly string[] {
  if (m === all.length) return whole ? [] : [rootByDefinition(all)];
  const k = split(all.length);
  return m <= k
    ? [...consistencyByDefinition(m, all.slice(0, k), whole), rootByDefinition(all.slice(k))]
    : [...consistencyByDefinition(m - k, all.slice(k), false), rootByDefinition(all.slice(0, k))];
}

/** The largest power of two below `n`. */
function split(n: number): number {
  return 2 ** (Math.ceil(Math.log2(n)) - 1);
}

function nodeByHand(left: string, right: string): string {
  return sha256(
    Buffer.concat([Buffer.from([1]), Buffer.from(left, "hex"), Buffer.from(right, "hex")]),
  );
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function flip(item: string): string {
  return `${item.startsWith("0") ? "1" : "0"}${item.slice(1)}`;
}

function hex(base64: string): string {
  return Buffer.from(base64, "base64").toString("hex");
}

function filesUnder(folder: string): readonly string[] {
  return vectorNames(folder).flatMap((name) =>
    name.endsWith(".json") ? [`${folder}/${name}`] : filesUnder(`${folder}/${name}`),
  );
}
