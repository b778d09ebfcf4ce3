/**
 * The tree of a log that only grows (RFC 6962), as stored nodes: every subtree that is full is kept once and never
 * changes, so that neither a larger tree nor a proof hashes again what was hashed before.
 */
import { sha256Hex } from "#platform";
import { nodeHash, type TreeHash } from "./merkle.ts";
import type { NodePlace, TreeNode } from "./store.ts";

/** A tree that takes leaves one after another and remembers a hash for each bit of its size, however large. */
export interface GrowingTree {
  readonly size: number;
  /** Appends a leaf; returns it and every node above it that is full now. */
  add(leaf: TreeHash): readonly TreeNode[];
  /** The RFC 6962 tree hash over all leaves so far; of none, the SHA-256 of nothing. */
  root(): TreeHash;
}

/** Where {@link growingTree} goes on from. */
export interface TreeEdge {
  readonly size: number;
  /** The hashes at the places of {@link edgeOf}`(size)`. */
  readonly hashes: readonly TreeHash[];
}

/** Tells the hashes at these places, in order. Rejects where one is not kept. */
export type ReadNodes = (places: readonly NodePlace[]) => Promise<readonly TreeHash[]>;

/** A tree that goes on from an edge, by default from nothing. `node` hashes two children. */
export function growingTree(edge: TreeEdge = EMPTY, node: typeof nodeHash = nodeHash): GrowingTree {
  const hashes = [...edge.hashes];
  let size = edge.size;
  return {
    get size() {
      return size;
    },
    add(leaf) {
      const full: TreeNode[] = [{ level: 0, index: size, hash: leaf }];
      let top = leaf;
      for (let level = 1, index = size; index % 2 === 1; level++) {
        top = node(hashes.pop() ?? "", top);
        index = (index - 1) / 2;
        full.push({ level, index, hash: top });
      }
      hashes.push(top);
      size++;
      return full;
    },
    root: () => rootOver(hashes, node),
  };
}

const EMPTY: TreeEdge = { size: 0, hashes: [] };

/** The full subtrees that make up a tree of `size` leaves, from left to right, each smaller than the one before. */
export function edgeOf(size: number): readonly NodePlace[] {
  return cover({ begin: 0, end: size });
}

/** The root of the first `size` leaves of a kept tree. */
export async function rootAt(size: number, read: ReadNodes): Promise<TreeHash> {
  return rootOver(await read(edgeOf(size)));
}

/** The audit path of leaf `index` in the tree of the first `size` leaves, its own sibling first (RFC 9162, 2.1.3.1). */
export function inclusionPath(
  index: number,
  size: number,
  read: ReadNodes,
): Promise<readonly TreeHash[]> {
  if (index < 0 || index >= size) throw new RangeError(`the tree has no leaf ${index}`);
  return rootsOver(siblings(index, { begin: 0, end: size }), read);
}

/** Proves that the tree of `size1` leaves begins the tree of `size2` leaves (RFC 9162, 2.1.4.1). */
export function consistencyPath(
  size1: number,
  size2: number,
  read: ReadNodes,
): Promise<readonly TreeHash[]> {
  if (size1 < 1 || size1 > size2)
    throw new RangeError(`no tree of ${size1} begins one of ${size2}`);
  return rootsOver(missing(size1, { begin: 0, end: size2 }, true), read);
}

/** Leaves from `begin` to below `end`: a subtree, whose `begin` is a multiple of the power of two that holds it. */
interface Range {
  readonly begin: number;
  readonly end: number;
}

/** The full subtrees of a range, from left to right. */
function cover({ begin, end }: Range): readonly NodePlace[] {
  const places: NodePlace[] = [];
  for (let at = begin; at < end;) {
    let [level, width] = [0, 1];
    while (at % (width * 2) === 0 && at + width * 2 <= end) [level, width] = [level + 1, width * 2];
    places.push({ level, index: at / width });
    at += width;
  }
  return places;
}

function rootOver(hashes: readonly TreeHash[], node: typeof nodeHash = nodeHash): TreeHash {
  if (hashes.length === 0) return sha256Hex("");
  return hashes.reduceRight((right, left) => node(left, right));
}

/** The root of each range, with one look at the kept nodes. */
async function rootsOver(ranges: readonly Range[], read: ReadNodes): Promise<readonly TreeHash[]> {
  const places = ranges.map(cover);
  const hashes = await read(places.flat());
  let from = 0;
  return places.map(({ length }) => rootOver(hashes.slice(from, (from += length))));
}

/** What stands beside the way from the root to a leaf, the leaf's own sibling first. */
function siblings(index: number, range: Range): readonly Range[] {
  if (range.end - range.begin === 1) return [];
  const [left, right] = halves(range);
  return index < left.end ? [...siblings(index, left), right] : [...siblings(index, right), left];
}

/** RFC 6962 SUBPROOF: `known` while the earlier tree is a whole subtree whose root the verifier has. */
function missing(size1: number, range: Range, known: boolean): readonly Range[] {
  if (size1 === range.end) return known ? [] : [range];
  const [left, right] = halves(range);
  return size1 <= left.end
    ? [...missing(size1, left, known), right]
    : [...missing(size1, right, false), left];
}

/** The left half is the largest full subtree that is not the whole. */
function halves({ begin, end }: Range): readonly [left: Range, right: Range] {
  let width = 1;
  while (width * 2 < end - begin) width *= 2;
  return [
    { begin, end: begin + width },
    { begin: begin + width, end },
  ];
}
