/**
 * One signature for all records that are committed together (receipt.md, `batch`): what one turn of the event loop brings
 * is signed under one Merkle root, and each record gets its own way up to it. A record alone gets a plain `sig`.
 */
import { type Deadline, isOver } from "./deadline.ts";
import { GateError } from "./errors.ts";
import { type MerkleTree, merkleTree, type TreeHash } from "./merkle.ts";
import { type Batch, batchInput, type BodyText, inputOf, leafOf, MAX_BATCH } from "./receipt.ts";
import type { Signer } from "./signer.ts";

/**
 * A record before it is signed, with the text of its body and its record hash. Its signer adds to it what it signs with:
 * nothing is made that only carries signatures from one place to the next.
 */
export interface Unsigned extends BodyText {
  readonly body: { sig?: string; batch?: Batch };
  readonly hash: string;
  /** The canonical text of `batch`, where it has one. */
  batchText: string | undefined;
}

/** Signs the records of one gate under one key. */
export interface RecordSigner {
  readonly keyId: string;
  /**
   * Signs records that may stand in one batch: one record, or an `open` and its decision, in this order. What nobody
   * waits for any more, by then, is not signed.
   * @throws GateError STORE_UNAVAILABLE where the signer fails, to all who wait for that signature and nobody else.
   */
  sign(records: readonly Unsigned[], deadline: Deadline): Promise<void>;
}

/** Signs each record by itself. */
export function createSingleSigner(signer: Signer): RecordSigner {
  return {
    keyId: signer.keyId,
    async sign(records) {
      await Promise.all(records.map((record) => signAlone(signer, record)));
    },
  };
}

interface Job {
  readonly records: readonly Unsigned[];
  readonly deadline: Deadline;
  resolve(): void;
  reject(error: unknown): void;
}

/** Collects the records of one turn of the event loop and signs them at its end. No batch waits for another. */
export function createBatchSigner(signer: Signer, logId: string): RecordSigner {
  let queue: Job[] = [];

  function signAll(): void {
    // INVARIANT: of one sequence only the latest job is not late, so that no batch holds two.
    const now = performance.now();
    const jobs = queue.filter((job) => !turnedAway(job, now));
    queue = [];
    for (const batch of batchesOf(jobs)) void settle(signer, logId, batch);
  }

  return {
    keyId: signer.keyId,
    sign: (records, deadline) =>
      new Promise((resolve, reject) => {
        // After everything that this turn still does: then all of its records are there.
        if (queue.length === 0) setImmediate(signAll);
        queue.push({ records, deadline, resolve, reject });
      }),
  };
}

function turnedAway(job: Job, now: number): boolean {
  const late = isOver(job.deadline, now);
  if (late) job.reject(new GateError("STORE_UNAVAILABLE", "not signed in time"));
  return late;
}

/** As few batches as there can be; the records of one job stay together. */
function batchesOf(jobs: readonly Job[]): readonly (readonly Job[])[] {
  const batches: Job[][] = [];
  let size = MAX_BATCH;
  for (const job of jobs) {
    size += job.records.length;
    if (size > MAX_BATCH) {
      batches.push([]);
      size = job.records.length;
    }
    batches.at(-1)?.push(job);
  }
  return batches;
}

async function settle(signer: Signer, logId: string, jobs: readonly Job[]): Promise<void> {
  try {
    const records = jobs.flatMap((job) => job.records);
    const [first, second] = records;
    if (first !== undefined && second === undefined) await signAlone(signer, first);
    else await signTogether(signer, logId, records);
    for (const job of jobs) job.resolve();
  } catch (error) {
    for (const job of jobs) job.reject(error);
  }
}

async function signAlone(signer: Signer, record: Unsigned): Promise<void> {
  record.body.sig = await signatureOf(signer, inputOf(record));
}

async function signTogether(
  signer: Signer,
  logId: string,
  records: readonly Unsigned[],
): Promise<void> {
  const size = records.length;
  const tree = merkleTree(records.map(({ hash }) => leafOf(hash)));
  const sig = await signatureOf(signer, batchInput(logId, size, tree.root));
  const paths = pathTexts(tree);
  // Of hex and of numbers alone: nothing in it is to be escaped.
  const end = `],"sig":"${sig}","size":${size}}`;
  records.forEach((record, index) => {
    record.body.batch = { size, index, path: tree.path(index), sig };
    record.batchText = `{"index":${index},"path":[${paths[index]}${end}`;
  });
}

async function signatureOf(signer: Signer, input: string): Promise<string> {
  try {
    const made = signer.sign(Buffer.from(input));
    const signature: unknown = made instanceof Uint8Array ? made : await made;
    if (!(signature instanceof Uint8Array) || signature.length !== 64)
      throw new TypeError("an Ed25519 signature has 64 bytes");
    return `ed25519=${Buffer.from(signature).toString("hex")}`;
  } catch (cause) {
    throw new GateError("STORE_UNAVAILABLE", "the receipt could not be signed", { cause });
  }
}

/** Every leaf's path in JSON, without brackets. What lies above a node is one text for all the leaves under it. */
function pathTexts({ levels }: MerkleTree): readonly string[] {
  let texts: readonly string[] = [""];
  for (const level of levels.slice(0, -1).reverse()) {
    const above = texts;
    texts = level.map((_, at) => pathText(level[at ^ 1], above[at >> 1] ?? ""));
  }
  return texts;
}

function pathText(sibling: TreeHash | undefined, above: string): string {
  if (sibling === undefined) return above;
  return above === "" ? `"${sibling}"` : `"${sibling}",${above}`;
}
