/**
 * The log of logs (receipt.md) on a store: gives committed records their places in one tree, signs how far it reaches,
 * and proves from the kept nodes what it holds. Nothing is hashed twice, however long the log.
 */
import { type Checkpoint, originOf, signCheckpoint } from "./checkpoint.ts";
import { GateError } from "./errors.ts";
import { formatProof } from "./inclusion-proof.ts";
import {
  consistencyPath,
  edgeOf,
  type GrowingTree,
  growingTree,
  inclusionPath,
  type ReadNodes,
  rootAt,
} from "./log-tree.ts";
import type { TreeHash } from "./merkle.ts";
import { leafOf, type Receipt, receiptLine, recordHash } from "./receipt.ts";
import type { NoteSigner } from "./signed-note.ts";
import type { Indexing, Leaf, Store, Unindexed } from "./store.ts";
import { parseStrictJson } from "./strict-json.ts";

/** How many records one append to the tree takes: as long a store's lock is held, and a gate may wait for it. */
const LEAVES_AT_ONCE = 1_000;
/** Each time another process got ahead. Far more than processes can; a store that never lets one win must not hang it. */
const MAX_LOSSES = 10_000;

/**
 * Gives leaf indexes to all committed records that have none and signs a checkpoint of them all. May run beside gates
 * and beside itself, in any number of processes. Cut off before it signs it has changed nothing that a checkpoint says:
 * the next one goes on from there. `progress` is told how many records have an index.
 *
 * @throws GateError NOT_OPENED where nothing was ever recorded, RECEIPT_INVALID where the store holds a line that is no
 *   record of its log, STORE_UNAVAILABLE.
 * @example
 * const { note } = await checkpointLog(store, signingKey);
 */
export async function checkpointLog(
  store: Store,
  signer: NoteSigner,
  progress: (records: number) => void = () => {},
): Promise<Checkpoint> {
  const logId = await logIdOf(store);
  const size = await indexAll(store, logId, progress);
  const root = await rootAt(size, kept(store));
  return signCheckpoint({ origin: originOf(logId), size, root }, signer);
}

/**
 * Proves that a record is in the tree of a checkpoint of this log: the text of a C2SP `tlog-proof`.
 *
 * @throws GateError LOG_MISMATCH where the store does not hold what the checkpoint says, NOT_OPENED where it has no such
 *   record or the record came after the checkpoint.
 */
export async function proveRecord(
  store: Store,
  { sequence_id, seq }: { readonly sequence_id: string; readonly seq: number },
  checkpoint: Checkpoint,
): Promise<string> {
  await mustHold(store, checkpoint);
  const index = await store.leaf(sequence_id, seq);
  const [line] = index === undefined ? await store.read(sequence_id, seq, 1) : [""];
  if (line === undefined)
    throw new GateError("NOT_OPENED", `there is no record ${seq} of sequence '${sequence_id}'`);
  if (index === undefined || index >= checkpoint.size)
    throw new GateError(
      "NOT_OPENED",
      `record ${seq} of sequence '${sequence_id}' came after the checkpoint of ${checkpoint.size} records`,
    );
  const path = await inclusionPath(index, checkpoint.size, kept(store));
  return formatProof({ index, path, checkpoint: checkpoint.note });
}

/**
 * Proves that the log at the later checkpoint is the log at the earlier one and more: hashes for `isConsistent`.
 *
 * @throws GateError LOG_MISMATCH where the store does not hold what a checkpoint says, or the later one is not later.
 */
export async function proveConsistency(
  store: Store,
  earlier: Checkpoint,
  later: Checkpoint,
): Promise<readonly TreeHash[]> {
  for (const checkpoint of [earlier, later]) await mustHold(store, checkpoint);
  if (earlier.size > later.size)
    throw mismatch(`the checkpoint of ${later.size} records is not the later one`);
  // An empty log begins every log.
  return earlier.size === 0 ? [] : consistencyPath(earlier.size, later.size, kept(store));
}

/** Every record names its log, so that a store's own note of it is believed only where they agree. */
async function logIdOf(store: Store): Promise<string> {
  for await (const line of store.lines()) {
    const { log_id } = recordOf(line);
    if ((await store.setting("log_id", log_id)) === log_id) return log_id;
    throw new GateError("LOG_MISMATCH", `the store holds records of another log, '${log_id}'`);
  }
  throw new GateError("NOT_OPENED", "there are no records yet");
}

/** What is committed while this runs may come in or not; a busy log must not make it endless. */
async function indexAll(
  store: Store,
  logId: string,
  progress: (records: number) => void,
): Promise<number> {
  let tree: GrowingTree | undefined;
  for (let losses = 0; losses < MAX_LOSSES;) {
    const { size, records } = await store.unindexed(LEAVES_AT_ONCE);
    const [first, ...rest] = records.map((record) => asLeaf(record, logId));
    if (first === undefined) return size;
    // After a win it goes on from there. Had others won since, its size would be theirs no more, and the append lost.
    tree ??= await treeAt(store, size);
    const leaves = [first, ...rest] as const;
    if ((await store.index(grown(tree, leaves))) === "lost") {
      losses++;
      // It holds leaves that were not won; whoever won may have put others there.
      tree = undefined;
      continue;
    }
    progress(tree.size);
    if (records.length < LEAVES_AT_ONCE) return tree.size;
  }
  throw new GateError("STORE_UNAVAILABLE", "the store gave its leaf indexes to others every time");
}

async function treeAt(store: Store, size: number): Promise<GrowingTree> {
  return growingTree({ size, hashes: await kept(store)(edgeOf(size)) });
}

function grown(tree: GrowingTree, leaves: Indexing["leaves"]): Indexing {
  const { size } = tree;
  const nodes = leaves.flatMap(({ hash }) => tree.add(hash).slice(1));
  return { size, leaves, nodes };
}

/**
 * The leaf of a record. What is not in its one canonical form would get a place in the tree that no exported line leads
 * to.
 */
function asLeaf({ sequence_id, seq, line }: Unindexed, logId: string): Leaf {
  const record = recordOf(line);
  if (record.log_id !== logId || record.sequence_id !== sequence_id || record.seq !== seq)
    throw notARecord();
  return { sequence_id, seq, hash: leafOf(recordHash(record)) };
}

/** The record that a store's line is, in its one canonical form. @throws GateError RECEIPT_INVALID. */
export function recordOf(line: string): Receipt {
  try {
    const record = parseStrictJson(line) as unknown as Receipt;
    // Whatever else it is, its members spell this very line.
    if (receiptLine(record) === line) return record;
  } catch {
    // Told below, like any other line that is none.
  }
  throw notARecord();
}

function notARecord(): GateError {
  return new GateError("RECEIPT_INVALID", "the store holds a line that is no record of its log");
}

/** The store's nodes, all of which must be there. */
function kept(store: Store): ReadNodes {
  return async (places) => {
    const hashes = await store.nodes(places);
    return places.map(({ level, index }, at) => {
      const hash = hashes[at];
      if (hash !== undefined) return hash;
      throw new GateError("STORE_UNAVAILABLE", `the tree has no node ${index} of level ${level}`);
    });
  };
}

/** A proof against a checkpoint that says otherwise than the store would be worth nothing. */
async function mustHold(store: Store, { origin, size, root }: Checkpoint): Promise<void> {
  const own = originOf(await logIdOf(store));
  if (origin !== own) throw mismatch(`the checkpoint is of '${origin}', the store of '${own}'`);
  const end = await store.unindexed(0);
  if (size > end.size)
    throw mismatch(`the checkpoint has ${size} records, the store only ${end.size}`);
  if ((await rootAt(size, kept(store))) !== root)
    throw mismatch(`the first ${size} records of the store are not those of the checkpoint`);
}

function mismatch(fault: string): GateError {
  return new GateError("LOG_MISMATCH", fault);
}
