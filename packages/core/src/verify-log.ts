/** A file of receipts against checkpoints: is what a log once signed still there, whole and in its order? */
import { type Checkpoint, originOf, readCheckpoint, type TreeHead } from "./checkpoint.ts";
import { type Fault, fault } from "./finding.ts";
import { growingTree } from "./log-tree.ts";
import type { TreeHash } from "./merkle.ts";
import type { KeySet } from "./key-set.ts";
import { checkSignature, type SignatureCheck } from "./signature-check.ts";

/** What a file is to a checkpoint: it goes on from it (or is it), says otherwise, or ends before it. */
export interface CheckpointReport extends TreeHead {
  readonly result: "HOLDS" | "FORK" | "TRUNCATED";
}

/** What a file is to all checkpoints. */
interface LogReport {
  readonly checkpoints: readonly CheckpointReport[];
  /** One for each checkpoint that does not hold, at the line where it showed. */
  readonly faults: readonly (Fault & { readonly line: number })[];
}

/**
 * A checkpoint, and since when its keeper has had it, in seconds since the epoch. No checkpoint says when it was made; who
 * keeps it knows, and only a checkpoint that is older than a revocation shows what the revoked key signed in its time.
 */
export interface KeptCheckpoint {
  readonly note: string;
  readonly kept_since?: number;
}

/** Takes the lines of a file in order. Memory grows with the number of checkpoints, not of lines. */
export interface LogCheck {
  /** The next line: the hash of its record and the log that this names, as far as they could be read. */
  line(hash: string | undefined, logId: string | undefined): Fault | undefined;
  /**
   * Whether a checkpoint that was kept before this second covers the next line. Should that checkpoint not hold in the
   * end, its own finding says so.
   */
  covers(revokedFrom: number): boolean;
  report(): LogReport;
}

/**
 * A check against signed notes, in any order.
 *
 * @throws GateError as `readCheckpoint`: a checkpoint that cannot be believed must not be passed over.
 */
export function createLogCheck(
  kept: readonly (string | KeptCheckpoint)[],
  keys: KeySet,
  holds: SignatureCheck = checkSignature,
): LogCheck {
  const checkpoints = kept
    .map((one): Checkpoint & Pick<KeptCheckpoint, "kept_since"> =>
      typeof one === "string"
        ? readCheckpoint(one, keys, holds)
        : { ...one, ...readCheckpoint(one.note, keys, holds) },
    )
    .sort((a, b) => a.size - b.size);
  const origins = new Set(checkpoints.map(({ origin }) => origin));
  const roots = new Map<number, TreeHash | undefined>(
    checkpoints.map(({ size }) => [size, undefined]),
  );
  const tree = growingTree();
  let lines = 0;
  const look = (): void => {
    // A line that is no record is no leaf: after it no root is known.
    if (roots.has(lines) && tree.size === lines) roots.set(lines, tree.root());
  };
  look();

  return {
    line(hash, logId) {
      if (hash !== undefined) tree.add(hash.slice("sha256:".length));
      lines++;
      look();
      return logId === undefined || origins.size === 0 || origins.has(originOf(logId))
        ? undefined
        : fault("FORK", `is of log '${logId}', of which no checkpoint is`);
    },
    covers: (revokedFrom) =>
      checkpoints.some(
        ({ size, kept_since = Infinity }) => lines < size && kept_since < revokedFrom,
      ),
    report() {
      const found = checkpoints.map((one) => faultOf(one, checkpoints, roots.get(one.size), lines));
      return {
        checkpoints: checkpoints.map(({ origin, size, root }, at) => {
          return { origin, size, root, result: found[at]?.code ?? "HOLDS" };
        }),
        faults: found.filter((one) => one !== undefined),
      };
    },
  };
}

interface FileFault extends Fault {
  readonly code: "FORK" | "TRUNCATED";
  readonly line: number;
}

function faultOf(
  { origin, size, root }: Checkpoint,
  all: readonly Checkpoint[],
  found: TreeHash | undefined,
  lines: number,
): FileFault | undefined {
  // Needs no file: whoever signed both told two stories.
  const twin = all.find((one) => one.origin === origin && one.size === size && one.root !== root);
  if (twin !== undefined)
    return fork(size, `two checkpoints of ${size} records were signed with different roots`);
  if (size > lines)
    return {
      code: "TRUNCATED",
      message: `ends after ${lines} records, and the checkpoint has ${size}`,
      line: Math.max(lines, 1),
    };
  if (found === root) return undefined;
  return fork(
    size,
    `the first ${size} lines are not the records of the checkpoint: some were removed, rewritten or moved since`,
  );
}

function fork(size: number, message: string): FileFault {
  return { code: "FORK", message, line: Math.max(size, 1) };
}
