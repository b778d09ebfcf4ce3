/** The log of logs on a store: what a checkpoint covers, what its proofs prove, and what it costs. */
import { openTestGate } from "@stepgate/contract";
import {
  checkpointLog,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  isConsistent,
  memoryStore,
  type NoteSigner,
  parseProof,
  proveConsistency,
  proveRecord,
  readCheckpoint,
  type Receipt,
  receiptLine,
  recordHash,
  type Store,
  verifyProof,
} from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { merkleTree } from "../src/merkle.ts";
import { LOAN_APPROVAL } from "./policies.ts";

const key = generateSigningKey();
const trusted = importKeySet(exportKeySet([key]));
const LOG = { logId: "log-1", signer: key } as const;

/** Sequences of this log, three records each, and what stands in `@log` before them. */
async function record(store: Store, ...sequences: readonly string[]): Promise<void> {
  const { gate } = await openTestGate(LOAN_APPROVAL, { ...LOG, store });
  const call = { function: "intake", action_type: "CHECK_STATE" };
  for (const sequence_id of sequences) await gate.enforce({ sequence_id, ...call }, () => "done");
}

async function recordsOf(store: Store): Promise<readonly Receipt[]> {
  return (await Array.fromAsync(store.lines())).map((line) => JSON.parse(line));
}

async function rootOf(store: Store, size: number): Promise<string> {
  const hashes = (await recordsOf(store)).map((one) => recordHash(one).slice("sha256:".length));
  return merkleTree(hashes.slice(0, size)).root;
}

describe("a checkpoint", () => {
  test("covers every committed record, in the order in which the log is exported from then on", async () => {
    const store = memoryStore();
    await record(store, "a", "b");
    const first = await checkpointLog(store, key);
    const before = await Array.fromAsync(store.lines());
    expect(first).toMatchObject({ origin: "stepgate/log-1", size: before.length });
    expect(first.root).toBe(await rootOf(store, first.size));
    expect(readCheckpoint(first.note, trusted)).toEqual(first);
    await record(store, "c");
    expect((await Array.fromAsync(store.lines())).slice(0, first.size)).toEqual(before);
    const second = await checkpointLog(store, key);
    expect(second.size).toBe(first.size + 3);
    expect(second.root).toBe(await rootOf(store, second.size));
    for (const [index, { sequence_id, seq }] of (await recordsOf(store)).entries())
      expect(await store.leaf(sequence_id, seq)).toBe(index);
  });

  test("of a log that did not grow is the same again, byte for byte", async () => {
    const store = memoryStore();
    await record(store, "a");
    expect(await checkpointLog(store, key)).toEqual(await checkpointLog(store, key));
  });

  test("of a log without records is none", async () => {
    await expect(checkpointLog(memoryStore(), key)).rejects.toMatchObject({ code: "NOT_OPENED" });
  });

  test("is not signed over what is no record of the log", async () => {
    const line = receiptLine(plainRecord("a", 0));
    const wrong: readonly (readonly [code: string, line: string, seq?: number])[] = [
      ["RECEIPT_INVALID", "not JSON"],
      ["RECEIPT_INVALID", "null"],
      ["RECEIPT_INVALID", `${line} `],
      ["RECEIPT_INVALID", line.replace('"kind"', '"unknown":1,"kind"')],
      ["RECEIPT_INVALID", receiptLine(plainRecord("b", 0))],
      ["RECEIPT_INVALID", receiptLine(plainRecord("a", 1))],
      ["RECEIPT_INVALID", receiptLine({ ...plainRecord("a", 0), log_id: "log-2" })],
    ];
    for (const [code, bad] of wrong) {
      const store = memoryStore();
      await record(store, "s");
      const size = (await checkpointLog(store, key)).size;
      const records = [{ seq: 0, hash: "sha256:", line: bad }] as const;
      expect(await store.append({ sequence_id: "a", records })).toBe("won");
      await expect(checkpointLog(store, key), bad).rejects.toMatchObject({ code });
      expect((await store.unindexed(0)).size).toBe(size);
    }
  });

  test("is not signed where the store's own note names another log than its records", async () => {
    const store = memoryStore();
    await store.setting("log_id", "log-2");
    const records = [{ seq: 0, hash: "sha256:", line: receiptLine(plainRecord("a", 0)) }] as const;
    await store.append({ sequence_id: "a", records });
    await expect(checkpointLog(store, key)).rejects.toMatchObject({ code: "LOG_MISMATCH" });
  });

  test("that is cut off between its indexes and its signature leaves a sound log, which the next one covers", async () => {
    const store = memoryStore();
    await record(store, "a", "b");
    const cutOff: NoteSigner = {
      ...key,
      sign: () => Promise.reject(new Error("the power went")),
    };
    await expect(checkpointLog(store, cutOff)).rejects.toThrow("the power went");
    const { size } = await store.unindexed(0);
    expect(size).toBe((await recordsOf(store)).length);
    await record(store, "c");
    const checkpoint = await checkpointLog(store, key);
    expect(checkpoint.size).toBe(size + 3);
    expect(checkpoint.root).toBe(await rootOf(store, checkpoint.size));
  });

  test("whose append to the tree failed, though it happened or because it did not, is made again", async () => {
    for (const happened of [true, false]) {
      const store = memoryStore();
      await record(store, "a", "b");
      const failing: Store = {
        ...store,
        async index(indexing) {
          if (happened) await store.index(indexing);
          throw new Error("the line is cut");
        },
      };
      await expect(checkpointLog(failing, key)).rejects.toThrow("the line is cut");
      const checkpoint = await checkpointLog(store, key);
      expect(checkpoint.root).toBe(await rootOf(store, (await recordsOf(store)).length));
    }
  });

  test("ends where the store lets it win never", async () => {
    const store = memoryStore();
    await record(store, "a");
    const greedy: Store = { ...store, index: async () => "lost" };
    await expect(checkpointLog(greedy, key)).rejects.toThrow("to others every time");
  });

  test("is refused where the store lost a node of the tree", async () => {
    const store = memoryStore();
    await record(store, "a");
    await checkpointLog(store, key);
    await record(store, "b");
    const forgetful: Store = { ...store, nodes: async (places) => places.map(() => undefined) };
    await expect(checkpointLog(forgetful, key)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
  });
});

describe("many at once", () => {
  test("give every record one index while records are being added, and all tell one story", async () => {
    const store = memoryStore();
    await record(store, "first");
    const work = Array.from({ length: 40 }, (_, n) =>
      n % 4 === 0 ? checkpointLog(store, key) : record(store, `s${n}`),
    );
    const checkpoints = (await Promise.all(work)).filter((made) => made !== undefined);
    checkpoints.push(await checkpointLog(store, key));
    const last = checkpoints.at(-1);
    expect(last?.size).toBe((await recordsOf(store)).length);
    for (const { size, root } of checkpoints) expect(root).toBe(await rootOf(store, size));
  });
});

test.for(["before", "after"])(
  "a checkpoint that another gets ahead of %s its own append goes on from what is there",
  async (moment) => {
    const store = memoryStore();
    await appendPlain(store, 0, 2_100);
    // The other gives ten indexes at a time, and ends.
    const other: Store = { ...store, unindexed: (count) => store.unindexed(Math.min(count, 10)) };
    const shared: Store = {
      ...store,
      async index(indexing) {
        if (moment === "before" && indexing.size < 20) await checkpointLog(other, key);
        const answer = await store.index(indexing);
        if (moment === "after" && indexing.size === 0) await checkpointLog(other, key);
        return answer;
      },
    };
    const { size, root } = await checkpointLog(shared, key);
    expect([size, root]).toEqual([2_100, await rootOf(store, 2_100)]);
  },
);

describe("a proof", () => {
  test("of each record holds against its checkpoint, and for no other record", async () => {
    const store = memoryStore();
    await record(store, "a", "b", "c");
    const checkpoint = await checkpointLog(store, key);
    await record(store, "d");
    await checkpointLog(store, key);
    const records = (await recordsOf(store)).slice(0, checkpoint.size);
    for (const [index, one] of records.entries()) {
      const proof = await proveRecord(store, one, checkpoint);
      expect(parseProof(proof)).toMatchObject({ index, checkpoint: checkpoint.note });
      expect(verifyProof(recordHash(one), proof, trusted)).toEqual(checkpoint);
      const other = records[(index + 1) % records.length] ?? one;
      expect(() => verifyProof(recordHash(other), proof, trusted)).toThrow("is not of record");
      expect(() => verifyProof(recordHash({ ...one, gate_id: "g" }), proof, trusted)).toThrow();
    }
  });

  test("is not made of what came after the checkpoint, or is not there", async () => {
    const store = memoryStore();
    await record(store, "a");
    const checkpoint = await checkpointLog(store, key);
    await record(store, "b");
    const refusal = (sequence_id: string, seq: number) =>
      expect(proveRecord(store, { sequence_id, seq }, checkpoint)).rejects;
    await refusal("b", 0).toThrow("came after the checkpoint");
    await checkpointLog(store, key);
    await refusal("b", 0).toThrow("came after the checkpoint");
    await refusal("a", 9).toThrow("there is no record 9 of sequence 'a'");
    await refusal("unheard of", 0).toMatchObject({ code: "NOT_OPENED" });
  });

  test("is not made against a checkpoint that says otherwise than the store", async () => {
    const [store, twin, short] = [memoryStore(), memoryStore(), memoryStore()];
    await record(store, "a", "b");
    await record(twin, "b", "a");
    await record(short, "a");
    const checkpoint = await checkpointLog(store, key);
    await checkpointLog(twin, key);
    await checkpointLog(short, key);
    const place = { sequence_id: "a", seq: 0 };
    for (const [other, fault] of [
      [twin, "are not those of the checkpoint"],
      [short, "the store only"],
    ] as const)
      await expect(proveRecord(other, place, checkpoint)).rejects.toMatchObject({
        code: "LOG_MISMATCH",
        message: expect.stringContaining(fault),
      });
    const elsewhere = { ...checkpoint, origin: "stepgate/log-2" };
    await expect(proveRecord(store, place, elsewhere)).rejects.toThrow("of 'stepgate/log-2'");
  });

  test("of consistency holds between any two checkpoints of one log, and between no others", async () => {
    const store = memoryStore();
    const checkpoints = [];
    for (const name of ["a", "b", "c", "d", "e"]) {
      await record(store, name);
      checkpoints.push(await checkpointLog(store, key));
    }
    for (const [at, later] of checkpoints.entries())
      for (const earlier of checkpoints.slice(0, at + 1)) {
        const proof = await proveConsistency(store, earlier, later);
        expect(isConsistent(earlier, later, proof)).toBe(true);
        expect(isConsistent({ ...earlier, root: "0".repeat(64) }, later, proof)).toBe(false);
        if (earlier !== later)
          await expect(proveConsistency(store, later, earlier)).rejects.toMatchObject({
            code: "LOG_MISMATCH",
          });
      }
  });
});

test("of 100,000 records the second checkpoint, 1,000 records later, costs what the 1,000 cost", async () => {
  const { store, counts } = counting(memoryStore());
  await appendPlain(store, 0, 100_000);
  const first = await checkpointLog(store, key);
  expect(first.size).toBe(100_000);
  expect(counts.hashed).toBe(100_000 - ones(100_000));
  await appendPlain(store, 100_000, 1_000);
  Object.assign(counts, { hashed: 0, named: 0, read: 0, exported: 0 });
  const second = await checkpointLog(store, key);
  expect(second.size).toBe(101_000);
  // Each new record is read and hashed once; interior nodes that became full were hashed once each.
  expect(counts.named).toBe(1_000);
  expect(counts.hashed).toBe(1_000 - ones(101_000) + ones(100_000));
  // Beyond that, the edge of the old tree, the edge of the new one, and the name of the log.
  expect(counts.read).toBe(ones(100_000) + ones(101_000));
  expect(counts.exported).toBe(1);
  // A proof reads along one way from the root, however long the log.
  counts.read = 0;
  const proof = await proveRecord(store, { sequence_id: "s70000", seq: 0 }, second);
  expect(counts.read).toBeLessThan(3 * 17);
  expect(verifyProof(recordHash(plainRecord("s70000", 0)), proof, trusted)).toEqual(second);
  counts.read = 0;
  expect(isConsistent(first, second, await proveConsistency(store, first, second))).toBe(true);
  expect(counts.read).toBeLessThan(5 * 17);
});

/** Every node above the leaves that a store is given was hashed once to be given; nothing else is hashed but the edge. */
function counting(inner: Store) {
  const counts = { hashed: 0, named: 0, read: 0, exported: 0 };
  const store: Store = {
    ...inner,
    async unindexed(count) {
      const end = await inner.unindexed(count);
      counts.named += end.records.length;
      return end;
    },
    index(indexing) {
      counts.hashed += indexing.nodes.length;
      return inner.index(indexing);
    },
    nodes(places) {
      counts.read += places.length;
      return inner.nodes(places);
    },
    async *lines() {
      for await (const line of inner.lines()) {
        counts.exported++;
        yield line;
      }
    },
  };
  return { store, counts };
}

async function appendPlain(store: Store, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) {
    const sequence_id = `s${n}`;
    const records = [
      { seq: 0, hash: `sha256:${n}`, line: receiptLine(plainRecord(sequence_id, 0)) },
    ] as const;
    await store.append({ sequence_id, records });
  }
}

/** A record of the log in its canonical form; the tree asks for no more. */
function plainRecord(sequence_id: string, seq: number): Receipt {
  return {
    v: "stepgate.receipt/1",
    kind: "seal",
    log_id: "log-1",
    sequence_id,
    seq,
    prev: `sha256:${"0".repeat(64)}`,
    ts_ms: 1_800_000_000_000,
    gate_id: "gate-1",
    sealed: true,
    by: "host",
    reason: "done",
  };
}

/** How many full subtrees make up a tree of this size: the ones in its binary form. */
function ones(size: number): number {
  return size.toString(2).replaceAll("0", "").length;
}
