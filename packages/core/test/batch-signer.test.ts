/** One signature for what one turn of the event loop brings: who shares it, who does not, and who suffers when it fails. */
import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import {
  createGate,
  type Decision,
  exportKeySet,
  type Gate,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Receipt,
  receiptLine,
  recordHash,
  type Signer,
  type SigningKey,
  verifyReceipts,
} from "../src/index.ts";
import { createBatchSigner, type Unsigned } from "../src/batch-signer.ts";
import type { Deadline } from "../src/deadline.ts";
import { sha256 } from "../src/digest.ts";
import { REFUNDS } from "./policies.ts";

const NOTE = { function: "note", action_type: "READ" } as const;

/** A key whose signatures are made, or not, as `how` says of the n-th call; it notes what it was asked to sign. */
function watchedKey(
  how: (call: number, sign: () => Uint8Array) => Uint8Array | Promise<Uint8Array> = (_, sign) =>
    sign(),
): SigningKey & { readonly inputs: string[] } {
  const key = generateSigningKey();
  const inputs: string[] = [];
  const sign = (input: Uint8Array): Uint8Array | Promise<Uint8Array> => {
    inputs.push(Buffer.from(input).toString());
    return how(inputs.length, () => key.sign(input) as Uint8Array);
  };
  return { ...key, inputs, sign };
}

/** A gate whose sequences `s0`, `s1`, … are open, one after another. */
async function openedGate(count: number, signer: Signer, deadlineMs = 60_000) {
  const made = await openTestGate(REFUNDS, { signer, deadlineMs });
  for (let i = 0; i < count; i++) await made.gate.open({ sequence_id: `s${i}` });
  return made;
}

function decideAll(gate: Gate, count: number): Promise<readonly Decision[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => gate.decide({ sequence_id: `s${i}`, ...NOTE })),
  );
}

describe("what is decided in one turn", () => {
  test.each([2, 3, 5, 8, 13])("%d records share one signature, and each holds alone", async (n) => {
    const key = watchedKey();
    const { gate } = await openedGate(n, key);
    key.inputs.length = 0;
    const receipts = (await decideAll(gate, n)).map(({ receipt }) => receipt as Receipt);
    expect(key.inputs).toHaveLength(1);
    expect(receipts.map(({ sig, batch }) => [sig, batch?.size, batch?.index])).toEqual(
      Array.from({ length: n }, (_, index) => [undefined, n, index]),
    );
    const publicKey = createPublicKey({ key: { ...key.publicJwk }, format: "jwk" });
    for (const receipt of receipts) {
      const { size, sig } = receipt.batch ?? { size: 0, sig: "" };
      const input = `stepgate.batch/1\n${receipt.log_id}\n${size}\n${rootByHand(receipt)}`;
      const bytes = Buffer.from(sig.replace("ed25519=", ""), "hex");
      expect(verify(null, Buffer.from(input), publicKey, bytes)).toBe(true);
    }
  });

  test("a record alone has a signature of its own: without concurrency nothing is batched", async () => {
    const { gate, receipts, key } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s" });
    await gate.enforce({ sequence_id: "s", tool: "get_order" }, () => "found");
    await gate.decide({ sequence_id: "s", tool: "close" });
    await gate.seal("s", "done", "ana");
    const chain = await receipts("s");
    expect(chain.map(({ sig, batch }) => [typeof sig, batch])).toEqual(
      chain.map(() => ["string", undefined]),
    );
    expect(chain).toHaveLength(5);
    expect(await findings(chain, key)).toEqual([]);
  });

  test("an `open` and the decision that is appended with it share one, in this order", async () => {
    const key = watchedKey();
    const { gate, receipts } = await openTestGate(REFUNDS, { signer: key });
    key.inputs.length = 0;
    await gate.decide({ sequence_id: "s", ...NOTE });
    expect(key.inputs).toHaveLength(1);
    const chain = await receipts("s");
    expect(chain.map(({ kind, batch }) => [kind, batch?.size, batch?.index])).toEqual([
      ["open", 2, 0],
      ["decision", 2, 1],
    ]);
    expect(await findings(chain, key)).toEqual([]);
  });

  test("policies that are recorded together are signed one by one: they are of one chain", async () => {
    const store = memoryStore();
    const key = watchedKey();
    const policies = ["a", "b", "c"].map((id) => compilePolicy({ ...REFUNDS, id }));
    await createGate({ policies, signer: key, saltKey: randomBytes(32), store });
    const log = await store.read("@log", 0);
    expect(log.map((line) => JSON.parse(line).batch)).toEqual([undefined, undefined, undefined]);
    expect(key.inputs).toHaveLength(3);
  });

  test("whatever comes together, no batch holds two records of a sequence but an `open` and its decision", async () => {
    const { gate, store, key } = await openTestGate(REFUNDS);
    const jobs = Array.from({ length: 400 }, (_, i) => {
      const sequence_id = `s${i % 37}`;
      if (i % 5 === 0) return gate.enforce({ sequence_id, ...NOTE }, () => "ran");
      if (i % 7 === 0) return gate.addContext(sequence_id, { note: `${i}` }).catch(() => {});
      return gate.decide({ sequence_id, ...NOTE });
    });
    await Promise.all(jobs);
    const lines = await Array.fromAsync(store.lines());
    const batches = Map.groupBy(
      lines.map((line) => JSON.parse(line) as Receipt).filter(({ batch }) => batch !== undefined),
      ({ batch }) => batch?.sig ?? "",
    );
    let shared = 0;
    for (const records of batches.values()) {
      for (const [, own] of Map.groupBy(records, ({ sequence_id }) => sequence_id)) {
        if (own.length === 1) continue;
        shared++;
        expect(own.map(({ kind }) => kind)).toEqual(["open", "decision"]);
        expect(own[1]?.batch?.index).toBe((own[0]?.batch?.index ?? 0) + 1);
      }
    }
    expect(shared).toBe(37);
    expect(Math.max(...[...batches.values()].map(({ length }) => length))).toBeGreaterThan(30);
    expect(await findings(lines, key)).toEqual([]);
  });

  test("a MAC beside it stays each record's own", async () => {
    const hmacKey = { id: "mac-1", secret: randomBytes(32) };
    const { gate, store, key } = await openTestGate(REFUNDS, { hmacKey });
    await decideAll(gate, 3);
    const lines = await Array.fromAsync(store.lines());
    const macs = lines.map((line) => (JSON.parse(line) as Receipt).hmac_sig);
    expect(new Set(macs).size).toBe(lines.length);
    const hmacKeys = { "mac-1": hmacKey.secret };
    const report = await verifyReceipts(lines, { keys: keysOf(key), hmacKeys, require: "hmac" });
    expect(report.findings).toEqual([]);
  });

  test("with `batch: false` each record is signed by itself", async () => {
    const { gate, store, key } = await openTestGate(REFUNDS, { batch: false });
    await decideAll(gate, 5);
    const lines = await Array.fromAsync(store.lines());
    expect(lines.filter((line) => line.includes('"batch"'))).toEqual([]);
    expect(await findings(lines, key)).toEqual([]);
    await expect(openTestGate(REFUNDS, { batch: 0 as never })).rejects.toThrow("batch must be");
  });
});

describe("the size of a batch", () => {
  const records = (count: number, from = 0) =>
    Array.from({ length: count }, (_, i) => unsigned(`${from + i}`));
  const sizesOf = async (groups: readonly number[]): Promise<readonly (readonly number[])[]> => {
    const signer = createBatchSigner(generateSigningKey(), "log");
    const signed = groups.map((count, at) => records(count, 2 * at));
    await Promise.all(signed.map((own) => signer.sign(own, WAITING)));
    return signed.map((own) => own.map(({ body }) => body.batch?.size ?? 1));
  };

  test("is at most 4096; one record too many has a signature of its own", async () => {
    const sizes = (await sizesOf(Array.from({ length: 4097 }, () => 1))).flat();
    expect([sizes.filter((size) => size === 4096).length, sizes.at(-1)]).toEqual([4096, 1]);
  });

  test("is smaller where a pair would be torn apart", async () => {
    const sizes = await sizesOf([...Array.from({ length: 4095 }, () => 1), 2, 1]);
    expect([sizes[0], sizes[4094], sizes[4095], sizes[4096]]).toEqual([
      [4095],
      [4095],
      [3, 3],
      [3],
    ]);
  });
});

describe("a signer that fails", () => {
  const failures: readonly (readonly [string, () => Uint8Array | Promise<Uint8Array>])[] = [
    [
      "throws",
      () => {
        throw new Error("the HSM is gone");
      },
    ],
    ["rejects", () => Promise.reject(new Error("the KMS is gone"))],
    ["returns too little", () => new Uint8Array(63)],
    ["returns nothing", () => undefined as never],
  ];

  test.each(failures)("and %s denies the records of that batch, and no other", async (_, fail) => {
    let failing = false;
    const key = watchedKey((_call, sign) => (failing ? fail() : sign()));
    const { gate, receipts } = await openedGate(6, key);
    failing = true;
    const denied = decideAll(gate, 3);
    await nextTurn();
    failing = false;
    const decided = await Promise.all(
      [3, 4, 5].map((i) => gate.decide({ sequence_id: `s${i}`, ...NOTE })),
    );
    expect((await denied).map(codeOf)).toEqual(Array(3).fill("STORE_UNAVAILABLE"));
    expect(decided.map(codeOf)).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
    for (const i of [0, 1, 2]) expect(await receipts(`s${i}`)).toHaveLength(1);
    expect((await decideAll(gate, 3)).map(codeOf)).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
  });

  test("and hangs holds up its own batch alone, until the deadline, and its late answer changes nothing", async () => {
    let answer = (): void => {};
    let hang = false;
    const key = watchedKey((_call, sign) => {
      if (!hang) return sign();
      hang = false;
      return new Promise((resolve) => (answer = () => resolve(sign())));
    });
    const { gate, receipts, store } = await openedGate(6, key, 400);
    hang = true;
    let settled = 0;
    const held = decideAll(gate, 3).finally(() => settled++);
    await nextTurn();
    const others = [3, 4, 5].map((i) => gate.decide({ sequence_id: `s${i}`, ...NOTE }));
    expect((await Promise.all(others)).map(codeOf)).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
    expect(settled).toBe(0);
    expect((await held).map(codeOf)).toEqual(Array(3).fill("STORE_UNAVAILABLE"));
    answer();
    await nextTurn();
    for (const i of [0, 1, 2]) expect(await receipts(`s${i}`)).toHaveLength(1);
    expect((await decideAll(gate, 3)).map(codeOf)).toEqual(["ALLOW", "ALLOW", "ALLOW"]);
    expect(await findings(await Array.fromAsync(store.lines()), key)).toEqual([]);
  });

  test("is not asked for what nobody waits for any more", async () => {
    const key = watchedKey();
    const signer = createBatchSigner(key, "log");
    const late = signer.sign([unsigned("late")], { ...WAITING, end: performance.now() });
    const given = signer.sign([unsigned("given up")], { ...WAITING, abandoned: true });
    const inTime = unsigned("in time");
    const signed = signer.sign([inTime], WAITING);
    await expect(late).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(given).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    // These are no siblings either: of what is left there is but one.
    await signed;
    expect(inTime.body).toEqual({ sig: expect.any(String) });
    expect(key.inputs).toEqual(["in time"]);
  });
});

test("gates that race for the same places leave sound chains: losers are siblings that nobody sees", async () => {
  const store = memoryStore();
  const key = watchedKey();
  const parts = { signer: key, store, saltKey: randomBytes(32), deadlineMs: 60_000 };
  const one = await openTestGate(REFUNDS, parts);
  const two = await openTestGate(REFUNDS, parts);
  for (let round = 0; round < 5; round++)
    await Promise.all([decideAll(one.gate, 6), decideAll(two.gate, 12)]);
  const lines = await Array.fromAsync(store.lines());
  const records = lines.map((line) => JSON.parse(line) as Receipt);
  expect(records.filter(({ kind }) => kind === "decision")).toHaveLength(5 * (6 + 12));
  const batches = Map.groupBy(records, ({ batch }) => batch?.sig);
  batches.delete(undefined);
  const gaps = [...batches.values()].filter((own) => own.length < (own[0]?.batch?.size ?? 0));
  expect(gaps.length).toBeGreaterThan(0);
  expect(await findings(lines, key)).toEqual([]);
});

/** Somebody waits, for however long. */
const WAITING: Deadline = { end: Number.POSITIVE_INFINITY, abandoned: false };

function unsigned(input: string): Unsigned {
  const preimage = `\0${input}`;
  return { body: {}, preimage, places: [], hash: sha256(preimage), batchText: undefined };
}

function codeOf(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
}

function keysOf(key: SigningKey) {
  return importKeySet(exportKeySet([key]));
}

async function findings(lines: readonly (Receipt | string)[], key: SigningKey) {
  const texts = lines.map((line) => (typeof line === "string" ? line : receiptLine(line)));
  return (await verifyReceipts(texts, { keys: keysOf(key) })).findings;
}

/** After everything that the turn still does, its batch too. */
function nextTurn(): Promise<unknown> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** RFC 9162, section 2.1.3.2, step by step. */
function rootByHand(receipt: Receipt): string {
  const { size, index, path } = receipt.batch ?? { size: 0, index: 0, path: [] };
  let [fn, sn] = [index, size - 1];
  let r: Buffer = Buffer.from(recordHash(receipt).replace("sha256:", ""), "hex");
  for (const item of path) {
    expect(sn).not.toBe(0);
    const p = Buffer.from(item, "hex");
    if (fn % 2 === 1 || fn === sn) {
      r = nodeByHand(p, r);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1];
    } else r = nodeByHand(r, p);
    [fn, sn] = [fn >> 1, sn >> 1];
  }
  expect(sn).toBe(0);
  return r.toString("hex");
}

function nodeByHand(left: Buffer, right: Buffer): Buffer {
  return createHash("sha256")
    .update(Buffer.from([1]))
    .update(left)
    .update(right)
    .digest();
}
