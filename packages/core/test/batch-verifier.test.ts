/** Batches as a verifier remembers them: what is asked of a key again, what is forgotten, and who may sit in one batch. */
import { createHash, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { importKeySet, type TrustedKey } from "../src/key-set.ts";
import { merkleTree } from "../src/merkle.ts";
import { type Batch, batchInput } from "../src/receipt.ts";
import { checkSignature } from "../src/signature-check.ts";
import { generateSigningKey } from "../src/signing-key.ts";
import { createBatchVerifier } from "../src/verify-batch.ts";

const key = generateSigningKey();
const another = generateSigningKey();
const keys = importKeySet({ keys: [key.publicJwk, another.publicJwk] });
const trusted = keys.get(key.keyId) as TrustedKey;

const NOT_IN_IT = "the record is not in a batch with this signature";
const ONE_SEQUENCE =
  "a batch holds one record of a sequence, or its open and the decision after it";

type BatchedRecord = Parameters<ReturnType<typeof createBatchVerifier>["fault"]>[0];
type Batched = readonly [record: BatchedRecord, batch: Batch];

/** These records under one signature, in this order. */
function batchOf(records: readonly Partial<BatchedRecord>[], logId = "log-1"): readonly Batched[] {
  const whole = records.map((record, at) => {
    const place = { log_id: logId, gate_id: "g", sequence_id: `s${at}`, seq: 0, kind: "open" };
    const hash = createHash("sha256")
      .update(JSON.stringify([at, record]))
      .digest("hex");
    return { ...place, ...record, hash: `sha256:${hash}` } as BatchedRecord;
  });
  const tree = merkleTree(whole.map(({ hash }) => hash.slice("sha256:".length)));
  const size = records.length;
  const input = batchInput(logId, size, tree.root);
  const sig = `ed25519=${sign(null, Buffer.from(input), key.privateKey).toString("hex")}`;
  return whole.map((record, index) => [record, { size, index, path: tree.path(index), sig }]);
}

/** A batch of this many records, of sequences of its own. */
function named(name: string, size = 2): readonly Batched[] {
  return batchOf(Array.from({ length: size }, (_, at) => ({ sequence_id: `${name}${at}` })));
}

/** A verifier that counts how often it asked a key. */
function counting(capacity?: number) {
  let asked = 0;
  const batches = createBatchVerifier(capacity, (...question) => {
    asked++;
    return checkSignature(...question);
  });
  return {
    /** How often a key was asked until this record was found in its batch. */
    asks([record, batch]: Batched): number {
      const before = asked;
      expect(batches.fault(record, batch, trusted)).toBeUndefined();
      return asked - before;
    },
    fault: batches.fault,
  };
}

describe("a batch", () => {
  test("is verified once, however many of its records come, and other batches between", () => {
    const { asks } = counting();
    const [one, other] = [named("a", 6), named("b", 5)];
    for (const [at, record] of one.entries()) {
      expect(asks(record)).toBe(at === 0 ? 1 : 0);
      if (other[at] !== undefined) expect(asks(other[at])).toBe(at === 0 ? 1 : 0);
    }
  });

  test("holds for its records, its log, its size and its key, whatever was verified before", () => {
    const { asks, fault } = counting();
    const [[record, batch], [sibling, next]] = named("a", 4) as readonly [Batched, Batched];
    for (let round = 0; round < 2; round++) {
      expect(fault(record, next, trusted)).toBe(NOT_IN_IT);
      expect(fault({ ...record, log_id: "log-2" }, batch, trusted)).toBe(NOT_IN_IT);
      expect(fault({ ...record, hash: sibling.hash }, batch, trusted)).toBe(NOT_IN_IT);
      expect(fault(record, { ...batch, size: 3 }, trusted)).toBe(NOT_IN_IT);
      expect(fault(record, batch, keys.get(another.keyId) as TrustedKey)).toBe(NOT_IN_IT);
      expect(fault(record, { ...batch, path: batch.path.toReversed() }, trusted)).toBe(NOT_IN_IT);
      expect(asks([record, batch])).toBe(1 - round);
    }
  });

  test("has no record whose path is not of the length that it gives, whatever a key says", () => {
    const [[record, batch]] = named("a", 4) as readonly [Batched];
    const { fault } = createBatchVerifier(undefined, () => true);
    expect(fault(record, { ...batch, path: batch.path.slice(1) }, trusted)).toBe(NOT_IN_IT);
    const longer = [...batch.path, record.hash.slice("sha256:".length)];
    expect(fault(record, { ...batch, path: longer }, trusted)).toBe(NOT_IN_IT);
    expect(fault(record, batch, trusted)).toBeUndefined();
  });
});

describe("what is remembered", () => {
  test("is bounded: once half of it is new, what was not looked at meanwhile is forgotten", () => {
    const { asks } = counting(4);
    const [[a], [b], [c], [d]] = ["a", "b", "c", "d"].map((name) => named(name)) as [
      readonly [Batched],
      readonly [Batched],
      readonly [Batched],
      readonly [Batched],
    ];
    expect([a, b, c].map(asks)).toEqual([1, 1, 1]);
    expect(asks(a)).toBe(0);
    expect(asks(d)).toBe(1);
    // a was looked at since, and b was not.
    expect([a, b].map(asks)).toEqual([0, 1]);
  });

  test("is not pushed out by one batch that comes again and again", () => {
    const { asks } = counting(4);
    const [[a], [b]] = [named("a"), named("b")] as [readonly [Batched], readonly [Batched]];
    expect([a, b].map(asks)).toEqual([1, 1]);
    for (let i = 0; i < 10; i++) expect(asks(a)).toBe(0);
    expect(asks(b)).toBe(0);
  });

  test("counts the nodes that later records of a batch add to it", () => {
    const { asks } = counting(6);
    const four = named("a", 4) as readonly [Batched, Batched, Batched, Batched];
    expect([asks(four[0]), asks(four[2])]).toEqual([1, 0]);
    for (const name of ["b", "c", "d", "e"]) expect(asks(named(name)[0] as Batched)).toBe(1);
    expect(asks(four[0])).toBe(1);
  });

  test("is some megabytes by default: sixteen thousand nodes since", () => {
    const { asks } = counting();
    const [first] = named("first") as readonly [Batched];
    expect(asks(first)).toBe(1);
    for (let at = 0; at < 20; at++) expect(asks(named(`n${at}`)[0] as Batched)).toBe(1);
    expect(asks(first)).toBe(0);
  });
});

describe("a batch's records", () => {
  /** What is found of them, told in this order. */
  function found(records: readonly Partial<BatchedRecord>[], order: readonly number[]) {
    const { fault } = createBatchVerifier();
    const batched = batchOf(records);
    return order.map((at) => fault(...(batched[at] as Batched), trusted));
  }
  const sound = undefined;
  const open = { sequence_id: "s", seq: 0, kind: "open" } as const;
  const decision = { sequence_id: "s", seq: 1, kind: "decision" } as const;

  test("are of sequences of their own, or an open and the decision after it", () => {
    expect(found([open, { sequence_id: "t" }], [0, 1])).toEqual([sound, sound]);
    expect(found([open, decision], [0, 1])).toEqual([sound, sound]);
    expect(found([open, decision], [1, 0])).toEqual([sound, sound]);
    expect(found([open, { sequence_id: "t" }, decision], [2, 1, 0])).toEqual([sound, sound, sound]);
    expect(found([open, decision], [0, 1, 1, 0, 1])).toEqual(Array(5).fill(sound));
  });

  test.each<[string, readonly Partial<BatchedRecord>[]]>([
    ["two decisions", [{ ...decision, seq: 0 }, decision]],
    ["two openings", [open, { ...open, seq: 1 }]],
    ["an open and context", [open, { ...decision, kind: "context" }]],
    ["an open and a later decision", [open, { ...decision, seq: 2 }]],
    ["a decision before its open", [decision, open]],
  ])("are not %s", (_name, records) => {
    expect(found(records, [0, 1])).toEqual([sound, ONE_SEQUENCE]);
    expect(found(records, [1, 0])).toEqual([sound, ONE_SEQUENCE]);
  });

  test("are no third of a sequence, not even one that might be its second", () => {
    const more = { ...decision, gate_id: "g" };
    expect(found([open, decision, more], [0, 1, 2])).toEqual([sound, sound, ONE_SEQUENCE]);
    expect(found([open, decision, more], [0, 2, 1])).toEqual([sound, sound, ONE_SEQUENCE]);
  });

  test("are of one gate: that of the first that was seen", () => {
    const otherGate = "a batch is of one gate, and this one is of another";
    const records = [open, { sequence_id: "t", gate_id: "h" }];
    expect(found(records, [0, 1])).toEqual([sound, otherGate]);
    expect(found(records, [1, 0])).toEqual([sound, otherGate]);
  });
});
