/** Merkle trees over leaf hashes: RFC 6962 roots and audit paths, and the verification of RFC 9162 (2.1.3.2, 2.1.4.2). */
import { fromBase64, fromHex, sha256Hex, sha256OfHex, toBase64, toHex } from "#platform";

/** A hash in a tree: 64 lower-case hex digits. A record hash without its `sha256:` is a leaf. */
export type TreeHash = string;

/** The tree over a list of leaf hashes. */
export interface MerkleTree {
  /** Of no leaves: the SHA-256 of nothing. */
  readonly root: TreeHash;
  /** Its nodes, from the leaves up to the root alone; a last one without a pair stands in the level above too. */
  readonly levels: readonly (readonly TreeHash[])[];
  /** The audit path of one leaf, its own sibling first. @throws RangeError for a leaf that is not there. */
  path(index: number): readonly TreeHash[];
}

/** The tree over these leaf hashes; each interior node is hashed once, whatever paths are asked for. */
export function merkleTree(leaves: readonly TreeHash[]): MerkleTree {
  const levels = levelsOver(leaves);
  return {
    root: levels.at(-1)?.[0] ?? sha256Hex(""),
    levels,
    path(index) {
      if (leaves[index] === undefined) throw new RangeError(`the tree has no leaf ${index}`);
      const path: TreeHash[] = [];
      let at = index;
      for (const level of levels) {
        const sibling = level[at % 2 === 0 ? at + 1 : at - 1];
        if (sibling !== undefined) path.push(sibling);
        at = half(at);
      }
      return path;
    },
  };
}

/** The hash of an interior node: SHA-256(0x01 ‖ left ‖ right). @throws TypeError for what is no hash. */
export function nodeHash(left: TreeHash, right: TreeHash): TreeHash {
  const hash = sha256OfHex(`01${left}${right}`);
  if (left.length !== 64 || right.length !== 64 || hash === undefined)
    throw new TypeError("a tree hash is 64 hex digits");
  return hash;
}

/** A hash as checkpoints and proofs spell it: base64. @throws TypeError for what is no hash. */
export function encodeHash(hash: TreeHash): string {
  const bytes = fromHex(hash);
  if (bytes?.length !== 32) throw new TypeError("a tree hash is 64 hex digits");
  return toBase64(bytes);
}

/** The hash of its base64; `undefined` for other text. */
export function decodeHash(text: string): TreeHash | undefined {
  const bytes = fromBase64(text);
  return bytes?.length === 32 ? toHex(bytes) : undefined;
}

/** How many hashes the audit path of leaf `index` in a tree of `size` leaves has. */
export function pathLength(index: number, size: number): number {
  let length = 0;
  for (let at = index, last = size - 1; last > 0; at = half(at), last = half(last))
    if (at % 2 === 1 || at < last) length++;
  return length;
}

/**
 * The root that a leaf and its audit path lead to; `undefined` where `index` is not below `size`, or the path has not the
 * very length that they give. The caller compares it with a root that it believes.
 */
export function rootFromPath(
  leaf: TreeHash,
  index: number,
  size: number,
  path: readonly TreeHash[],
): TreeHash | undefined {
  if (!isIndex(index) || !isIndex(size) || index >= size) return undefined;
  return [leaf, ...path].every(isTreeHash) ? climb(leaf, index, size, path, nodeHash) : undefined;
}

/**
 * {@link rootFromPath} for an index and hashes whose form was looked at. `node` may know what it is to hash: it is told the
 * new node's level, leaves being 0, and its index there.
 */
export function climb(
  leaf: TreeHash,
  index: number,
  size: number,
  path: readonly TreeHash[],
  node: (left: TreeHash, right: TreeHash, level: number, at: number) => TreeHash,
): TreeHash | undefined {
  let root = leaf;
  let used = 0;
  let level = 0;
  for (let at = index, last = size - 1; last > 0; at = half(at), last = half(last)) {
    level++;
    // The last node of an odd level has no sibling: it rises as it is.
    if (at % 2 === 0 && at === last) continue;
    const sibling = path[used++];
    if (sibling === undefined) return undefined;
    root =
      at % 2 === 1 ? node(sibling, root, level, half(at)) : node(root, sibling, level, half(at));
  }
  return used === path.length ? root : undefined;
}

/**
 * Whether the tree of `size1` leaves with `root1` is a beginning of the tree of `size2` leaves with `root2`. False for
 * `size1` 0: an empty tree begins every tree, and proves nothing.
 */
export function isConsistent(
  earlier: { readonly size: number; readonly root: TreeHash },
  later: { readonly size: number; readonly root: TreeHash },
  proof: readonly TreeHash[],
): boolean {
  if (!isIndex(earlier.size) || !isIndex(later.size)) return false;
  if (earlier.size === 0 || earlier.size > later.size) return false;
  if (earlier.size === later.size) return proof.length === 0 && earlier.root === later.root;
  if (![earlier.root, later.root, ...proof].every(isTreeHash)) return false;
  let at = earlier.size - 1;
  let last = later.size - 1;
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  // Where the earlier tree is one whole subtree of the later one, its root is known and not in the proof.
  const [first, ...rest] = at === 0 ? [earlier.root, ...proof] : proof;
  if (first === undefined) return false;
  let [root1, root2] = [first, first];
  let used = 0;
  for (; last > 0; [at, last] = [half(at), half(last)]) {
    if (at % 2 === 0 && at === last) continue;
    const sibling = rest[used++];
    if (sibling === undefined) return false;
    if (at % 2 === 1) root1 = nodeHash(sibling, root1);
    root2 = at % 2 === 1 ? nodeHash(sibling, root2) : nodeHash(root2, sibling);
  }
  return used === rest.length && root1 === earlier.root && root2 === later.root;
}

/** Pairs are hashed level by level; a last one without a pair rises as it is, which is the tree of RFC 6962. */
function levelsOver(leaves: readonly TreeHash[]): readonly (readonly TreeHash[])[] {
  const levels = [leaves];
  for (let below = leaves; below.length > 1;) {
    const level: TreeHash[] = [];
    for (let i = 0; i < below.length; i += 2) {
      const [left, right] = [below[i] ?? "", below[i + 1]];
      level.push(right === undefined ? left : nodeHash(left, right));
    }
    levels.push(level);
    below = level;
  }
  return levels;
}

function isTreeHash(text: TreeHash): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Shifts right by one, also beyond 32 bits. */
function half(value: number): number {
  return Math.floor(value / 2);
}
