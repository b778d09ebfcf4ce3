/** Batch signatures as a verifier sees them: a batch is verified once, and what is known of its tree is remembered. */
import type { TrustedKey } from "./key-set.ts";
import { nodeHash, rootFromPath, type TreeHash } from "./merkle.ts";
import { type Batch, batchInput, leafOf } from "./receipt.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";

/** Tells whether records stand in the batches that they claim. */
export interface BatchVerifier {
  /** Whether `batch`, of the right form, leads from this record to a root of its log and size that the key signed. */
  holds(
    record: { readonly log_id: string; readonly hash: string },
    batch: Batch,
    trusted: TrustedKey,
  ): boolean;
}

/** An interior node, and what it is the hash of. */
interface KnownNode {
  readonly left: TreeHash;
  readonly right: TreeHash;
  readonly hash: TreeHash;
}

/** What was signed, and what is known of its tree, by place. A node is a fact of its own, whoever claims it. */
interface KnownBatch {
  readonly input: string;
  readonly nodes: Map<number, KnownNode>;
}

/** More than the nodes of any level. */
const LEVEL = 4096;

/** A verifier that remembers the latest batches that held, with at most `capacity` nodes of theirs: some 20 megabytes. */
export function createBatchVerifier(
  capacity = 65_536,
  holds: SignatureCheck = checkSignature,
): BatchVerifier {
  let young = new Map<string, KnownBatch>();
  let old = new Map<string, KnownBatch>();
  let added = 0;

  /** Once half of what may be remembered is new, what was not looked at meanwhile is forgotten. */
  function keep(signed: string, batch: KnownBatch, nodes: number): void {
    if (added + nodes > capacity / 2) [old, young, added] = [young, new Map(), 0];
    added += nodes;
    young.set(signed, batch);
  }

  function known(signed: string): KnownBatch | undefined {
    const batch = young.get(signed);
    if (batch !== undefined) return batch;
    const older = old.get(signed);
    if (older !== undefined) keep(signed, older, older.nodes.size);
    return older;
  }

  function remember(
    signed: string,
    batch: KnownBatch,
    nodes: ReadonlyMap<number, KnownNode>,
  ): void {
    for (const [place, node] of nodes) batch.nodes.set(place, node);
    keep(signed, batch, nodes.size);
  }

  return {
    holds({ log_id, hash }, { size, index, path, sig }, trusted) {
      const signed = `${trusted.jwk.kid}${sig}`;
      const batch = known(signed);
      const fresh = new Map<number, KnownNode>();
      const root = rootFromPath(leafOf(hash), index, size, path, (left, right, level, at) => {
        const place = level * LEVEL + at;
        const node = batch?.nodes.get(place);
        if (node?.left === left && node.right === right) return node.hash;
        const made = nodeHash(left, right);
        fresh.set(place, { left, right, hash: made });
        return made;
      });
      if (root === undefined) return false;
      const input = batchInput(log_id, size, root);
      if (batch?.input !== input && !holds(trusted, input, sig)) return false;
      if (fresh.size > 0 || batch === undefined)
        remember(signed, batch ?? { input, nodes: new Map() }, fresh);
      return true;
    },
  };
}
