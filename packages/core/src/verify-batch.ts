/** Batch signatures as a verifier sees them: a batch is verified once, and what is known of it is remembered. */
import type { TrustedKey } from "./key-set.ts";
import { climb, nodeHash, type TreeHash } from "./merkle.ts";
import { type Batch, batchInput, leafOf, type Receipt } from "./receipt.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";

/** What of a record says where it may stand. */
type BatchedRecord = Pick<Receipt, "log_id" | "gate_id" | "sequence_id" | "seq" | "kind"> & {
  readonly hash: string;
};

/** Tells whether records stand in the batches that they claim. */
export interface BatchVerifier {
  /**
   * Why the record is not in `batch`, which is of the right form; `undefined` where its path leads to a root of its log and size
   * that the key signed, and what is remembered of that batch leaves room for it.
   */
  fault(record: BatchedRecord, batch: Batch, trusted: TrustedKey): string | undefined;
}

/** An interior node, and what it is the hash of. */
interface KnownNode {
  readonly left: TreeHash;
  readonly right: TreeHash;
  readonly hash: TreeHash;
}

/** What was signed, and what is known of its tree, by place. A node is a fact of its own, whoever claims it. */
interface KnownBatch {
  /** Of the key and the signature. */
  readonly id: string;
  readonly trusted: TrustedKey;
  readonly sig: string;
  readonly input: string;
  readonly nodes: Map<number, KnownNode>;
  /** The gate of its records. */
  readonly gate_id: string;
  /** The records that were seen of each sequence: one, or an `open` and the decision appended with it. */
  readonly seats: Map<string, readonly [Seat, ...Seat[]]>;
}

type Seat = Pick<Batch, "index"> & Pick<BatchedRecord, "kind" | "seq">;

/** More than the nodes of any level. */
const LEVEL = 4096;

/** A verifier that remembers the latest batches that held, with at most `capacity` nodes of theirs: some 10 megabytes. */
export function createBatchVerifier(
  capacity = 32_768,
  holds: SignatureCheck = checkSignature,
): BatchVerifier {
  let young = new Map<string, KnownBatch>();
  let old = new Map<string, KnownBatch>();
  let latest: KnownBatch | undefined;
  let added = 0;

  /** Once half of what may be remembered is new, what was not looked at meanwhile is forgotten. */
  function keep(batch: KnownBatch, nodes: number): void {
    if (added + nodes > capacity / 2) [old, young, added] = [young, new Map(), 0];
    added += nodes;
    young.set(batch.id, batch);
  }

  function known(trusted: TrustedKey, sig: string): KnownBatch | undefined {
    // Records of one batch mostly follow one another.
    if (latest?.sig === sig && latest.trusted === trusted) return latest;
    const id = idOf(trusted, sig);
    const batch = young.get(id);
    if (batch !== undefined) return batch;
    const older = old.get(id);
    if (older !== undefined) keep(older, older.nodes.size);
    return older;
  }

  return {
    fault(record, { size, index, path, sig }, trusted) {
      const batch = known(trusted, sig);
      const fresh: (readonly [place: number, node: KnownNode])[] = [];
      const leaf = leafOf(record.hash);
      const root = climb(leaf, index, size, path, (left, right, level, at) => {
        const place = level * LEVEL + at;
        const node = batch?.nodes.get(place);
        if (node?.left === left && node.right === right) return node.hash;
        const hash = nodeHash(left, right);
        fresh.push([place, { left, right, hash }]);
        return hash;
      });
      if (root === undefined) return NOT_IN_IT;
      const input = batchInput(record.log_id, size, root);
      const verified = batch?.input === input;
      if (!verified && !holds(trusted, input, sig)) return NOT_IN_IT;
      const { gate_id } = record;
      latest = verified
        ? batch
        : newBatch({ id: idOf(trusted, sig), trusted, sig, input, gate_id });
      for (const [place, node] of fresh) latest.nodes.set(place, node);
      keep(latest, fresh.length);
      return seat(latest, record, index);
    },
  };
}

function newBatch(signed: Omit<KnownBatch, "nodes" | "seats">): KnownBatch {
  return { ...signed, nodes: new Map(), seats: new Map() };
}

const NOT_IN_IT = "the record is not in a batch with this signature";

function idOf({ jwk }: TrustedKey, sig: string): string {
  return `${jwk.kid}${sig}`;
}

/** Gives a record its place in a batch; why there is none for it (receipt.md, `batch`). */
function seat(batch: KnownBatch, record: BatchedRecord, index: number): string | undefined {
  const { gate_id, sequence_id, kind, seq } = record;
  if (gate_id !== batch.gate_id) return "a batch is of one gate, and this one is of another";
  const seats = batch.seats.get(sequence_id);
  const own = { index, kind, seq };
  if (seats === undefined) batch.seats.set(sequence_id, [own]);
  // The tree has one record at an index: it is this very one again.
  else if (!seats.some((one) => one.index === index)) {
    const [other, ...more] = seats;
    if (more.length > 0 || !(isOpening(other, own) || isOpening(own, other)))
      return "a batch holds one record of a sequence, or its open and the decision after it";
    batch.seats.set(sequence_id, [other, own]);
  }
  return undefined;
}

/** An `open` and the decision that was appended with it, in this order. */
function isOpening(open: Seat, decision: Seat): boolean {
  return (
    open.kind === "open" &&
    decision.kind === "decision" &&
    decision.seq === 1 &&
    open.index < decision.index
  );
}
