/** Batch signatures as a verifier sees them: a batch is verified once, and what was hashed on the way is remembered. */
import { nodeHash, rootFromPath, type TreeHash } from "./merkle.ts";
import { type Batch, batchInput, leafOf } from "./receipt.ts";
import { type TrustedKey, verifyText } from "./signing-key.ts";

/** Tells whether records stand in the batches that they claim. */
export interface BatchVerifier {
  /** Whether `batch` leads from this record to a root of its log and size that `key` signed. */
  holds(
    record: { readonly log_id: string; readonly hash: string },
    batch: Batch,
    key: TrustedKey,
  ): boolean;
}

/** A verifier that remembers the latest `capacity` batches that held, and eight interior nodes for each: some 20 megabytes. */
export function createBatchVerifier(capacity = 8_192): BatchVerifier {
  const nodes = recentOf<TreeHash>(8 * capacity);
  const inputs = recentOf<string>(capacity);

  /** A function of its arguments alone, so that remembering it changes no answer. */
  function node(left: TreeHash, right: TreeHash): TreeHash {
    const both = left + right;
    return nodes.get(both) ?? nodes.set(both, nodeHash(left, right));
  }

  return {
    holds({ log_id, hash }, { size, index, path, sig }, trusted) {
      const root = rootFromPath(leafOf(hash), index, size, path, node);
      if (root === undefined) return false;
      const input = batchInput(log_id, size, root);
      const signed = `${trusted.jwk.kid}\n${sig}`;
      if (inputs.get(signed) === input) return true;
      if (!verifyText(trusted.key, input, sig)) return false;
      inputs.set(signed, input);
      return true;
    },
  };
}

/** A map of at most `capacity` entries, which forgets the older half of them at once. */
function recentOf<V>(capacity: number): {
  get(key: string): V | undefined;
  set(key: string, value: V): V;
} {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  return {
    get: (key) => young.get(key) ?? old.get(key),
    set(key, value) {
      if (young.size >= capacity / 2) [old, young] = [young, new Map()];
      young.set(key, value);
      return value;
    },
  };
}
