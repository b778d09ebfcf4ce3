/** What a file is to checkpoints, line by line: by hashes alone, of which nobody asks what they are of. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Checkpoint, originOf, signCheckpoint } from "../src/checkpoint.ts";
import { importKeySet } from "../src/key-set.ts";
import { merkleTree } from "../src/merkle.ts";
import { generateSigningKey } from "../src/signing-key.ts";
import { createLogCheck, type LogCheck } from "../src/verify-log.ts";

const key = generateSigningKey();
const keys = importKeySet({ keys: [key.publicJwk] });
const leaves = Array.from({ length: 9 }, (_, at) =>
  createHash("sha256").update(`${at}`).digest("hex"),
);

/** The checkpoint of the first `size` records; or one that says otherwise. */
function checkpoint(size: number, change: Partial<Checkpoint> = {}): Promise<Checkpoint> {
  const { root } = merkleTree(leaves.slice(0, size));
  return signCheckpoint({ origin: originOf("log-1"), size, root, ...change }, key);
}

/** A check of these, which is told so many records. */
async function told(
  checkpoints: readonly Promise<Checkpoint>[],
  lines: readonly (string | undefined)[],
): Promise<LogCheck> {
  const notes = (await Promise.all(checkpoints)).map(({ note }) => note);
  const check = createLogCheck(notes, keys);
  for (const leaf of lines) tell(check, leaf);
  return check;
}

function tell(check: LogCheck, leaf: string | undefined): void {
  expect(check.line(leaf && `sha256:${leaf}`, "log-1")).toBeUndefined();
}

/** Each checkpoint's size and what the file is to it. */
function results(check: LogCheck): readonly string[] {
  return check.report().checkpoints.map(({ size, result }) => `${size} ${result}`);
}

describe("a file that goes on from a checkpoint", () => {
  test("holds against each, of whatever size and in whatever order they are given", async () => {
    const sizes = [5, 0, 1, 8, 9, 3];
    const check = await told(
      sizes.map((size) => checkpoint(size)),
      leaves,
    );
    expect(check.report().faults).toEqual([]);
    expect(check.report().checkpoints).toEqual(
      [0, 1, 3, 5, 8, 9].map((size) => {
        const { root } = merkleTree(leaves.slice(0, size));
        return { origin: "stepgate/log-1", size, root, result: "HOLDS" };
      }),
    );
  });

  test("may end where it ends, and be empty where there was nothing", async () => {
    expect(results(await told([checkpoint(3)], leaves.slice(0, 3)))).toEqual(["3 HOLDS"]);
    expect(results(await told([checkpoint(0)], []))).toEqual(["0 HOLDS"]);
    expect((await told([], leaves)).report()).toEqual({ checkpoints: [], faults: [] });
  });
});

describe("a file that does not", () => {
  const forked =
    "lines are not the records of the checkpoint: some were removed, rewritten or moved since";

  test("ends before it, or says otherwise, at the line where that shows", async () => {
    const check = await told([checkpoint(3), checkpoint(5), checkpoint(9)], leaves.slice(1, 6));
    expect(check.report().faults).toEqual([
      { code: "FORK", message: `the first 3 ${forked}`, line: 3 },
      { code: "FORK", message: `the first 5 ${forked}`, line: 5 },
      { code: "TRUNCATED", message: "ends after 5 records, and the checkpoint has 9", line: 5 },
    ]);
    expect(results(check)).toEqual(["3 FORK", "5 FORK", "9 TRUNCATED"]);
    expect((await told([checkpoint(2)], [])).report().faults).toEqual([
      { code: "TRUNCATED", message: "ends after 0 records, and the checkpoint has 2", line: 1 },
    ]);
    const nothing = await told([checkpoint(0, { root: leaves[0] as string })], leaves);
    expect(nothing.report().faults).toEqual([
      { code: "FORK", message: `the first 0 ${forked}`, line: 1 },
    ]);
  });

  test("has a line that is no record: from there on nothing holds, not even a root of fewer leaves", async () => {
    const lines = [...leaves.slice(0, 2), undefined, ...leaves.slice(2)];
    const check = await told([checkpoint(2), checkpoint(3), checkpoint(9)], lines);
    expect(results(check)).toEqual(["2 HOLDS", "3 FORK", "9 FORK"]);
    const oneLeafForTwo = checkpoint(2, { root: leaves[0] as string });
    expect(results(await told([oneLeafForTwo], [undefined, leaves[0]]))).toEqual(["2 FORK"]);
    expect(results(await told([oneLeafForTwo], [leaves[0], undefined]))).toEqual(["2 FORK"]);
  });

  test("is told from another by two checkpoints of one log and size with two roots, and by no others", async () => {
    const twin = checkpoint(3, { root: leaves[0] as string });
    const message = "two checkpoints of 3 records were signed with different roots";
    for (const lines of [leaves, []])
      expect((await told([checkpoint(3), twin], lines)).report().faults).toEqual(
        [3, 3].map((line) => ({ code: "FORK", message, line })),
      );
    const elsewhere = checkpoint(3, { root: leaves[0] as string, origin: originOf("log-2") });
    expect(results(await told([checkpoint(3), elsewhere], leaves))).toEqual(["3 HOLDS", "3 FORK"]);
    expect(results(await told([checkpoint(3), checkpoint(3)], leaves))).toEqual([
      "3 HOLDS",
      "3 HOLDS",
    ]);
    expect(results(await told([checkpoint(3), checkpoint(4)], leaves))).toEqual([
      "3 HOLDS",
      "4 HOLDS",
    ]);
  });
});

test("a line of a log that no checkpoint is of is named, where there are checkpoints and a log", async () => {
  const hash = `sha256:${leaves[0]}`;
  const check = await told([checkpoint(3)], []);
  expect(check.line(hash, "log-2")).toEqual({
    code: "FORK",
    message: "is of log 'log-2', of which no checkpoint is",
  });
  expect(check.line(hash, "log-1")).toBeUndefined();
  expect(check.line(hash, undefined)).toBeUndefined();
  expect(createLogCheck([], keys).line(hash, "log-2")).toBeUndefined();
});

describe("a checkpoint that was kept before a revocation", () => {
  test("covers the lines up to its size, and none where nobody says since when it was kept", async () => {
    const { note } = await checkpoint(2);
    const later = (await checkpoint(3)).note;
    const check = createLogCheck([{ note, kept_since: 100 }, later, { note: later }], keys);
    const covers = (): readonly boolean[] => [99, 100, 101].map((from) => check.covers(from));
    for (const covered of [true, true, false]) {
      expect(covers()).toEqual([false, false, covered]);
      tell(check, leaves[0]);
    }
    expect(createLogCheck([], keys).covers(101)).toBe(false);
  });

  test("is read like any other", async () => {
    const { note, size, root } = await checkpoint(2);
    const check = createLogCheck([{ note, kept_since: 100 }], keys);
    for (const leaf of leaves) tell(check, leaf);
    expect(check.report().checkpoints).toEqual([
      { origin: "stepgate/log-1", size, root, result: "HOLDS" },
    ]);
  });
});

test("a checkpoint that cannot be believed is refused, however it is kept", async () => {
  const { note } = await checkpoint(2);
  const bent = note.replace("\n2\n", "\n3\n");
  for (const one of [bent, { note: bent, kept_since: 1 }])
    expect(() => createLogCheck([one], keys)).toThrow(
      expect.objectContaining({ code: "RECEIPT_INVALID" }),
    );
  expect(() => createLogCheck([note, ""], keys)).toThrow(
    expect.objectContaining({ code: "INVALID_INPUT" }),
  );
});
