/** What a verifier makes of a bent batch: each game with size, index, path and signature has its finding. */
import { createHash, sign } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import { beforeAll, describe, expect, test } from "vitest";
import {
  exportKeySet,
  type FindingCode,
  generateSigningKey,
  importKeySet,
  type KeySet,
  type Receipt,
  receiptLine,
  recordHash,
  type SigningKey,
  verifyReceipts,
} from "../src/index.ts";
import { merkleTree, nodeHash } from "../src/merkle.ts";
import { type Batch, batchInput, leafOf } from "../src/receipt.ts";
import { REFUNDS } from "./policies.ts";

type Batched = Receipt & { readonly batch: Batch };

let key: SigningKey;
let keys: KeySet;
/** The first records of six sequences, in a batch of six; and those of six others, in another. */
let file: readonly Batched[];
let others: readonly Batched[];

beforeAll(async () => {
  const made = await openTestGate(REFUNDS);
  key = made.key;
  keys = importKeySet(exportKeySet([key]));
  const openSix = (from: string): Promise<readonly Receipt[]> =>
    Promise.all([0, 1, 2, 3, 4, 5].map((i) => made.gate.open({ sequence_id: `${from}${i}` })));
  file = (await openSix("a")) as readonly Batched[];
  others = (await openSix("b")) as readonly Batched[];
});

async function findingsOf(records: readonly (object | string)[]) {
  const lines = records.map((one) => (typeof one === "string" ? one : receiptLine(one as Receipt)));
  return (await verifyReceipts(lines, { keys })).findings;
}

/** The record at `index` with its batch changed. */
function bent(index: number, change: object): object {
  const record = file[index] as Batched;
  return { ...record, batch: { ...record.batch, ...change } };
}

function ed25519(input: string, by: SigningKey = key): string {
  return `ed25519=${sign(null, Buffer.from(input), by.privateKey).toString("hex")}`;
}

function rootOf(records: readonly Receipt[]): string {
  return merkleTree(records.map((record) => leafOf(recordHash(record)))).root;
}

test("a file of batches is sound, each record of it alone, and in any selection", async () => {
  expect(file.map(({ batch }) => [batch.size, batch.index])).toEqual(
    [0, 1, 2, 3, 4, 5].map((index) => [6, index]),
  );
  expect(await findingsOf([...file, ...others])).toEqual([]);
  for (const record of file) expect(await findingsOf([record])).toEqual([]);
  expect(await findingsOf([file[4] as object, others[0] as object, file[1] as object])).toEqual([]);
});

describe("a bent batch", () => {
  const batchOf = (index: number): Batch => (file[index] as Batched).batch;
  const cases: readonly (readonly [FindingCode, string, () => object])[] = [
    ["BAD_SIGNATURE", "the index of a sibling", () => bent(0, { index: 1 })],
    ["BAD_SIGNATURE", "the path of a sibling", () => bent(0, { path: batchOf(1).path })],
    ["BAD_SIGNATURE", "index and path of a sibling", () => bent(0, { ...batchOf(1) })],
    ["BAD_SIGNATURE", "moved to another batch", () => bent(0, { ...others[0]?.batch })],
    [
      "BAD_SIGNATURE",
      "the signature of another batch",
      () => bent(0, { sig: others[0]?.batch.sig }),
    ],
    ["BAD_SIGNATURE", "a size more", () => bent(0, { size: 7 })],
    ["BAD_SIGNATURE", "a size less", () => bent(0, { size: 5 })],
    ["MALFORMED", "a size whose path is shorter", () => bent(0, { size: 4 })],
    ["MALFORMED", "a size whose path is longer", () => bent(0, { size: 9 })],
    [
      "MALFORMED",
      "a size that the index of the last does not reach",
      () => bent(0, { index: 5, size: 5 }),
    ],
    ["MALFORMED", "a path that is shorter", () => bent(0, { path: batchOf(0).path.slice(1) })],
    [
      "MALFORMED",
      "a path that is longer",
      () => bent(0, { path: [...batchOf(0).path, "0".repeat(64)] }),
    ],
    ["BAD_SIGNATURE", "a path reversed", () => bent(0, { path: batchOf(0).path.toReversed() })],
    [
      "BAD_SIGNATURE",
      "a path with one hash changed",
      () => bent(0, { path: batchOf(0).path.map((item, i) => (i === 1 ? "0".repeat(64) : item)) }),
    ],
    [
      "MALFORMED",
      "a path in upper case",
      () => bent(0, { path: batchOf(0).path.map((item) => item.toUpperCase()) }),
    ],
    ["MALFORMED", "a path that is no list", () => bent(0, { path: batchOf(0).path.join("") })],
    ["MALFORMED", "a path of numbers", () => bent(0, { path: [1, 2, 3] })],
    ["MALFORMED", "an index below 0", () => bent(0, { index: -1 })],
    ["MALFORMED", "an index that is no integer", () => bent(0, { index: 0.5 })],
    ["MALFORMED", "an index as text", () => bent(0, { index: "0" })],
    ["MALFORMED", "an index that is the size", () => bent(0, { index: 6 })],
    ["MALFORMED", "a signature without its name", () => bent(0, { sig: batchOf(0).sig.slice(8) })],
    ["MALFORMED", "one member more", () => bent(0, { root: rootOf(file) })],
    [
      "MALFORMED",
      "a signature that is a number",
      () => ({ ...file[0], batch: { ...batchOf(0), sig: 1 } }),
    ],
    [
      "MALFORMED",
      "only three members",
      () => ({ ...file[0], batch: { size: 6, index: 0, path: batchOf(0).path } }),
    ],
    ["MALFORMED", "null", () => ({ ...file[0], batch: null })],
    ["MALFORMED", "a list", () => ({ ...file[0], batch: [] })],
    ["MALFORMED", "text", () => ({ ...file[0], batch: "batch" })],
    ["MALFORMED", "a signature of its own beside it", () => ({ ...file[0], sig: batchOf(0).sig })],
    ["MALFORMED", "no key_id", () => without("key_id")],
    ["WEAK_EVIDENCE", "stripped", () => without("batch")],
    [
      "BAD_SIGNATURE",
      "its signature as the record's own",
      () => ({ ...without("batch"), sig: batchOf(0).sig }),
    ],
    ["BAD_SIGNATURE", "a changed record", () => ({ ...file[0], ts_ms: 1 })],
    ["BAD_SIGNATURE", "a changed log", () => ({ ...file[0], log_id: "another" })],
    ["BAD_SIGNATURE", "a sibling's body", () => ({ ...file[1], batch: batchOf(0) })],
  ];

  test.each(cases)("%s: %s", async (code, _name, change) => {
    const others = file.slice(1).filter(({ sequence_id }) => sequence_id !== "a1");
    const found = await findingsOf([change(), ...others]);
    expect(found.map((finding) => [finding.code, finding.line])).toEqual([[code, 1]]);
    // Nor does it help that the honest batch was verified and is remembered.
    const after = await findingsOf([...others, change()]);
    expect(after.map((finding) => [finding.code, finding.line])).toEqual([[code, 5]]);
  });

  function without(member: string): object {
    return Object.fromEntries(Object.entries(file[0] ?? {}).filter(([name]) => name !== member));
  }

  test("any changed byte of its line is found", async () => {
    const bytes = Buffer.from(receiptLine(file[2] as Receipt));
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      const lines = [receiptLine(file[0] as Receipt), changed];
      const { findings } = await verifyReceipts(lines, { keys });
      expect(findings.length, `byte ${at}`).toBe(1);
    }
  });
});

describe("what only a holder of the key can make", () => {
  /** Sequences' first records, signed together over whatever is given. */
  function signedBatch(size: number, input: (root: string) => string, by = key): readonly object[] {
    const bodies = file.slice(0, size).map(({ batch: _batch, ...body }) => body as Receipt);
    const tree = merkleTree(bodies.map((body) => leafOf(recordHash(body))));
    const sig = ed25519(input(tree.root), by);
    return bodies.map((body, index) => ({
      ...body,
      batch: { size, index, path: tree.path(index), sig },
    }));
  }
  const log = (): string => file[0]?.log_id ?? "";

  test("a batch as it is to be is sound: the cases below differ from it in one thing", async () => {
    expect(await findingsOf(signedBatch(4, (root) => batchInput(log(), 4, root)))).toEqual([]);
  });

  test.each<[string, number, (root: string) => string]>([
    ["for another log", 4, (root) => batchInput("another", 4, root)],
    ["for another size", 4, (root) => batchInput(log(), 3, root)],
    ["over the bare root", 4, (root) => root],
    ["over another root", 4, (root) => batchInput(log(), 4, nodeHash(root, root))],
    ["in another context", 4, (root) => batchInput(log(), 4, root).replace("batch", "receipt")],
  ])("a batch signed %s does not hold", async (_name, size, input) => {
    const found = await findingsOf(signedBatch(size, input));
    expect(found.map(({ code }) => code)).toEqual(Array(size).fill("BAD_SIGNATURE"));
  });

  test("a batch of one is none", async () => {
    const found = await findingsOf(signedBatch(1, (root) => batchInput(log(), 1, root)));
    expect(found.map(({ code }) => code)).toEqual(["MALFORMED"]);
  });

  test("a batch of more than 4096 is none", async () => {
    const [first] = file.map(({ batch: _batch, ...body }) => body as Receipt);
    const leaf = leafOf(recordHash(first as Receipt));
    for (const [size, codes] of [
      [4096, []],
      [4097, ["MALFORMED"]],
    ] as const) {
      const leaves = Array.from({ length: size - 1 }, (_, n) =>
        createHash("sha256").update(`${n}`).digest("hex"),
      );
      const tree = merkleTree([leaf, ...leaves]);
      const sig = ed25519(batchInput(log(), size, tree.root));
      const found = await findingsOf([
        { ...first, batch: { size, index: 0, path: tree.path(0), sig } },
      ]);
      expect(found.map(({ code }) => code)).toEqual(codes);
    }
  });

  test("another's key is no evidence, whatever key the records name", async () => {
    const stranger = generateSigningKey();
    const found = await findingsOf(signedBatch(4, (root) => batchInput(log(), 4, root), stranger));
    expect(found.map(({ code }) => code)).toEqual(Array(4).fill("BAD_SIGNATURE"));
    const named = file.map((record) => ({ ...record, key_id: stranger.keyId }));
    expect((await findingsOf(named)).map(({ code }) => code)).toEqual(Array(6).fill("UNKNOWN_KEY"));
  });
});

describe("the make-up of a batch", () => {
  type Body = Receipt & { readonly batch?: never };
  const bodies = (): readonly Body[] =>
    file.map(({ batch: _batch, ...body }) => body as unknown as Body);

  /** The denial that follows a record in its chain. */
  function denied(before: Body): Body {
    const { context_digest: _, ...kept } = before as Body & { readonly context_digest?: string };
    const place = { seq: before.seq + 1, prev: recordHash(before) };
    const decision = {
      kind: "decision",
      decision: "DENY",
      deny_code: "INVALID_REQUEST",
      rule: "x",
    };
    return { ...kept, ...decision, ...place } as unknown as Body;
  }

  /** These records under one signature, in this order; told in the order of `lines`. */
  async function batchOf(
    records: readonly Body[],
    lines: readonly number[],
  ): Promise<readonly (readonly [FindingCode, number])[]> {
    const tree = merkleTree(records.map((record) => leafOf(recordHash(record))));
    const size = records.length;
    const sig = ed25519(batchInput(file[0]?.log_id ?? "", size, tree.root));
    const signed = lines.map((index) => {
      return { ...records[index], batch: { size, index, path: tree.path(index), sig } };
    });
    return (await findingsOf(signed)).map(({ code, line }) => [code, line]);
  }

  test("may be an open and the decision appended with it, among records of other sequences", async () => {
    const [open, other, last] = bodies() as readonly [Body, Body, Body];
    const decision = denied(open);
    expect(await batchOf([other, open, decision, last], [0, 1, 2, 3])).toEqual([]);
    expect(await batchOf([open, other, decision], [1, 0, 2])).toEqual([]);
  });

  test("has them in this order, and no third, and no others of one sequence", async () => {
    const [open, other] = bodies() as readonly [Body, Body];
    const decision = denied(open);
    const third = denied(decision);
    expect(await batchOf([decision, open], [1, 0])).toEqual([["BAD_SIGNATURE", 2]]);
    expect(await batchOf([open, decision, third], [0, 1, 2])).toEqual([["BAD_SIGNATURE", 3]]);
    expect(await batchOf([open, third], [0, 1])).toEqual([["BAD_SIGNATURE", 2]]);
    expect(await batchOf([other, decision, third], [1, 0, 2])).toEqual([
      ["GAP", 1],
      ["BAD_SIGNATURE", 3],
    ]);
  });

  test("is of one gate", async () => {
    const [open, other] = bodies() as readonly [Body, Body];
    const another = { ...other, gate_id: "gate-b" };
    expect(await batchOf([open, another], [0, 1])).toEqual([["BAD_SIGNATURE", 2]]);
    expect(await batchOf([open, another], [1, 0])).toEqual([["BAD_SIGNATURE", 2]]);
  });

  test("is not broken by a record that stands twice in the file", async () => {
    const [open, other] = bodies() as readonly [Body, Body];
    expect(await batchOf([open, other], [0, 1, 0])).toEqual([["DUPLICATE_SEQ", 3]]);
    expect(await batchOf([open, denied(open)], [0, 1, 1, 0])).toEqual([
      ["DUPLICATE_SEQ", 3],
      ["DUPLICATE_SEQ", 4],
    ]);
  });
});
