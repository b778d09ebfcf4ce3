/** Copying the log out: what an archive holds after any number of cuts, and which logs it refuses to go on from. */
import { openTestGate } from "@stepgate/contract";
import {
  type Archive,
  type ArchiveHead,
  archiveLog,
  type ArchiveSegment,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  memoryStore,
  readCheckpoint,
  type Receipt,
  recordHash,
  type Store,
  verifyFile,
} from "@stepgate/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOAN_APPROVAL } from "./policies.ts";

const signer = generateSigningKey();
const keys = importKeySet(exportKeySet([signer]));
const LOG = { logId: "log-1", signer } as const;

/** Sequences of this log, three records each. */
async function record(store: Store, ...sequences: readonly string[]): Promise<void> {
  const { gate } = await openTestGate(LOAN_APPROVAL, { ...LOG, store });
  const call = { function: "intake", action_type: "CHECK_STATE" };
  for (const sequence_id of sequences) await gate.enforce({ sequence_id, ...call }, () => "done");
}

/** An archive in memory. `cut` is asked before and after each act, and fails it by saying yes. */
function keptArchive(cut: () => boolean = () => false) {
  const segments: ArchiveSegment[] = [];
  let checkpoint: string | undefined;
  const acting = (act: () => void): void => {
    if (cut()) throw new Error("cut off before");
    act();
    if (cut()) throw new Error("cut off after");
  };
  const archive: Archive = {
    head: async (): Promise<ArchiveHead> => ({ size: segments.at(-1)?.to ?? 0, checkpoint }),
    keep: async ({ note }) => acting(() => void (checkpoint = note)),
    put: async (segment) => acting(() => void segments.push(segment)),
  };
  return {
    archive,
    segments,
    text: () => segments.map(({ text }) => text).join(""),
    checkpoint: () => checkpoint ?? "",
  };
}

async function verify(text: string, checkpoint: string) {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  return verifyFile(bytes(), { keys, checkpoints: [checkpoint] });
}

async function logOf(store: Store): Promise<string> {
  return (await Array.fromAsync(store.lines())).map((line) => `${line}\n`).join("");
}

/** A store with the first records of another, as a backup or a replica that fell behind has them. */
async function beginningOf(store: Store, count: number): Promise<Store> {
  const copy = memoryStore();
  await copy.setting("log_id", LOG.logId);
  for (const line of (await Array.fromAsync(store.lines())).slice(0, count)) {
    const receipt = JSON.parse(line) as Receipt;
    const { sequence_id, seq } = receipt;
    await copy.append({ sequence_id, records: [{ seq, hash: recordHash(receipt), line }] });
  }
  return copy;
}

describe("an archive", () => {
  test("is the log in the order of its leaves, and verifies with the checkpoint beside it", async () => {
    const store = memoryStore();
    const kept = keptArchive();
    await record(store, "a", "b");
    const first = await archiveLog({ store, archive: kept.archive, signer, keys });
    expect(kept.text()).toBe(await logOf(store));
    await record(store, "c");
    const made = await archiveLog({ store, archive: kept.archive, signer, keys });
    expect(made.size).toBe(first.size + 3);
    expect(kept.text()).toBe(await logOf(store));
    expect(kept.checkpoint()).toBe(made.note);
    expect(await verify(kept.text(), made.note)).toMatchObject({
      result: "sound",
      checkpoints: [{ size: made.size, result: "HOLDS" }],
    });
  });

  test("of a log that did not grow stays as it is", async () => {
    const store = memoryStore();
    const kept = keptArchive();
    await record(store, "a");
    await archiveLog({ store, archive: kept.archive, signer, keys });
    const before = kept.segments.length;
    await archiveLog({ store, archive: kept.archive, signer, keys });
    expect(kept.segments).toHaveLength(before);
  });

  test("has segments of the size that was asked for, one after another", async () => {
    const store = memoryStore();
    const kept = keptArchive();
    await record(store, "a", "b", "c");
    const told: number[] = [];
    const progress = (records: number): void => void told.push(records);
    await archiveLog({ store, archive: kept.archive, signer, keys, segmentRecords: 4, progress });
    expect(kept.segments.map(({ from, to }) => [from, to])).toEqual([
      [0, 4],
      [4, 8],
      [8, 10],
    ]);
    expect(told).toEqual([4, 8, 10]);
    for (const { from, to, text } of kept.segments)
      expect(text.split("\n")).toHaveLength(to - from + 1);
  });

  test("that is cut off at any moments goes on where it ended: nothing is missing, nothing stands twice", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        async (cuts, segmentRecords) => {
          const store = memoryStore();
          const pending = [...cuts];
          const kept = keptArchive(() => pending.shift() ?? false);
          for (let round = 0; ; round++) {
            if (round < 4) await record(store, `s${round}`);
            const { archive } = kept;
            const done = await archiveLog({ store, archive, signer, keys, segmentRecords }).then(
              () => true,
              () => false,
            );
            // Whatever was cut off, what is there begins the log, and a checkpoint that is there covers it.
            expect((await logOf(store)).startsWith(kept.text())).toBe(true);
            const { size } = await archive.head();
            if (size > 0)
              expect(readCheckpoint(kept.checkpoint(), keys).size).toBeGreaterThanOrEqual(size);
            if (done && round >= 4) break;
          }
          expect(kept.text()).toBe(await logOf(store));
          expect((await verify(kept.text(), kept.checkpoint())).result).toBe("sound");
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("refused, and left as it was, is", () => {
  test("a log that lost its tail, and one that went another way since", async () => {
    const store = memoryStore();
    const kept = keptArchive();
    await record(store, "a", "b");
    const { size } = await archiveLog({ store, archive: kept.archive, signer, keys });
    const before = [kept.text(), kept.checkpoint()];
    const shorter = await beginningOf(store, size - 2);
    const mismatch = { code: "LOG_MISMATCH" };
    await expect(
      archiveLog({ store: shorter, archive: kept.archive, signer, keys }),
    ).rejects.toMatchObject(mismatch);
    await record(shorter, "c", "d");
    await expect(
      archiveLog({ store: shorter, archive: kept.archive, signer, keys }),
    ).rejects.toMatchObject(mismatch);
    expect([kept.text(), kept.checkpoint()]).toEqual(before);
  });

  test("a line that is not the one that was indexed", async () => {
    const inner = memoryStore();
    await record(inner, "a", "b");
    const ways: readonly ((lines: readonly string[]) => readonly string[])[] = [
      (lines) => lines.map((line) => line.replace('"succeeded"', '"failed"')),
      (lines) => lines.toReversed(),
      (lines) => lines.slice(1),
      (lines) => lines.map(() => "not a record"),
      // The same record, and the same hash, in another spelling: no export of it would verify.
      (lines) => lines.map((line) => `${line} `),
    ];
    for (const way of ways) {
      const kept = keptArchive();
      const store = {
        ...inner,
        indexed: async (from: number, n: number) => way(await inner.indexed(from, n)),
      };
      await expect(
        archiveLog({ store, archive: kept.archive, signer, keys }),
      ).rejects.toMatchObject({ code: "RECEIPT_INVALID" });
      expect(kept.segments).toEqual([]);
    }
  });

  test("an archive with records that its checkpoint does not cover, or a checkpoint of nobody's", async () => {
    const store = memoryStore();
    await record(store, "a");
    const kept = keptArchive();
    const { note } = await archiveLog({ store, archive: kept.archive, signer, keys });
    const heads: readonly ArchiveHead[] = [{ size: 1 }, { size: 99, checkpoint: note }];
    for (const head of heads) {
      const archive = { ...kept.archive, head: async () => head };
      await expect(archiveLog({ store, archive, signer, keys })).rejects.toMatchObject({
        code: "LOG_MISMATCH",
      });
    }
    const stranger = importKeySet(exportKeySet([generateSigningKey()]));
    await expect(
      archiveLog({ store, archive: kept.archive, signer, keys: stranger }),
    ).rejects.toThrow();
  });

  test("a segment of no whole number of records", async () => {
    const store = memoryStore();
    await record(store, "a");
    for (const segmentRecords of [0, -1, 1.5, Number.NaN]) {
      const { archive } = keptArchive();
      await expect(archiveLog({ store, archive, signer, keys, segmentRecords })).rejects.toThrow(
        TypeError,
      );
    }
  });
});
