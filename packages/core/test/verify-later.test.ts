/** `@stepgate/core/verify` beside the synchronous verifier: receipts, policies, streams and callbacks. */
import { openTestGate } from "@stepgate/contract";
import {
  exportKeySet,
  importKeySet,
  type Receipt,
  receiptLine,
  verifyFile as verifyFileNow,
  verifyReceipts as verifyNow,
} from "@stepgate/core";
import { type ByteStream, verifyFile, verifyReceipts } from "@stepgate/core/verify";
import { beforeAll, describe, expect, test } from "vitest";
import { REFUNDS } from "./policies.ts";

const NOTES = 1_200;
const AT_ONCE = 100;
let receipts: readonly Receipt[];
let trust: Pick<Required<Parameters<typeof verifyReceipts>[1]>, "keys" | "policies">;

/** One sequence, of more records than are asked about at once. */
beforeAll(async () => {
  const { gate, key, policy, receipts: of } = await openTestGate(REFUNDS);
  const call = { sequence_id: "a", function: "note", action_type: "READ" };
  for (let notes = 0; notes < NOTES; notes += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, () => gate.decide(call)));
  receipts = await of("a");
  trust = { keys: importKeySet(exportKeySet([key])), policies: [policy] };
});

/** The receipts with one that says otherwise than was signed, in the second thousand. */
function bent(): readonly Receipt[] {
  return receipts.map((one, at) =>
    at === 1_100 && one.kind === "decision" ? { ...one, gate_id: "another" } : one,
  );
}

function bytesOf(all: readonly Receipt[]): Buffer {
  return Buffer.from(all.map((one) => `${receiptLine(one)}\n`).join(""));
}

describe("receipts", () => {
  test("as objects, lines or bytes get the report that they get at once, recomputed by policies", async () => {
    expect(receipts.length).toBeGreaterThan(1_024);
    for (const all of [receipts, bent(), receipts.slice(0, 1_024), []]) {
      const report = await verifyNow(all, trust);
      expect(await verifyReceipts(all, trust)).toEqual(report);
      expect(await verifyReceipts(all.map(receiptLine), trust)).toEqual(report);
      const lines = all.map((one) => Buffer.from(receiptLine(one)));
      expect(await verifyReceipts(lines, trust)).toEqual(report);
      expect(report.recomputed).toBe(true);
    }
    expect(
      (await verifyReceipts(bent(), trust)).findings.map(({ code, line }) => [code, line]),
    ).toEqual([
      ["BAD_SIGNATURE", 1_101],
      ["CHAIN_BROKEN", 1_102],
    ]);
  });

  test("are recomputed: a policy of the same name that never allowed them is found", async () => {
    const { policy } = await openTestGate({ ...REFUNDS, version: "2" });
    const others = { ...trust, policies: [policy] };
    const report = await verifyReceipts(receipts.slice(0, 3), others);
    expect(report).toEqual(await verifyNow(receipts.slice(0, 3), others));
    expect(report.found).toEqual({ POLICY_MISMATCH: 1 });
  });
});

describe("a stream", () => {
  /** As in a browser whose streams cannot be iterated. */
  function streamOf(chunks: readonly Uint8Array[]): ByteStream & { readonly cancelled: boolean } {
    const left = [...chunks];
    const stream = {
      cancelled: false,
      getReader: () => ({
        read: async () => {
          const value = left.shift();
          return value === undefined ? { done: true } : { done: false, value };
        },
        cancel: async () => void (stream.cancelled = true),
      }),
    };
    return stream;
  }

  function chunked(bytes: Buffer, size: number): readonly Uint8Array[] {
    const count = Math.ceil(bytes.length / size);
    return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
  }

  test("of any chunks is read to its end, also where it can only be read and not iterated", async () => {
    const bytes = bytesOf(bent());
    for (const size of [997, bytes.length]) {
      const expected = await verifyFileNow(streamable(chunked(bytes, size)), trust);
      expect(await verifyFile(streamOf(chunked(bytes, size)), trust)).toEqual(expected);
      expect(await verifyFile(new Blob([bytes]).stream(), trust)).toEqual(expected);
    }
    const cut = bytes.subarray(0, -1);
    expect(await verifyFile(streamOf([cut]), trust)).toEqual(
      await verifyFileNow(streamable([cut]), trust),
    );
  });

  test("that is of no more interest is cancelled, and what a callback throws is thrown", async () => {
    const stream = streamOf(chunked(bytesOf(bent()), 10_000));
    const finding = async (): Promise<void> => {
      throw new RangeError("enough");
    };
    await expect(verifyFile(stream, { ...trust, finding })).rejects.toThrow("enough");
    expect(stream.cancelled).toBe(true);
  });

  test("hands findings and sequences to callbacks, one after another, and collects none", async () => {
    const told: string[] = [];
    const slowly = async (text: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      told.push(text);
    };
    const report = await verifyFile(streamOf([bytesOf(bent())]), {
      ...trust,
      finding: ({ code, line }) => slowly(`${code} ${line}`),
      sequence: ({ sequence_id, verdict }) => slowly(`${sequence_id} ${verdict}`),
    });
    expect(told).toEqual(["BAD_SIGNATURE 1101", "CHAIN_BROKEN 1102", "a INVALID"]);
    expect([report.findings, report.sequences]).toEqual([[], []]);
    expect(report.found).toEqual({ BAD_SIGNATURE: 1, CHAIN_BROKEN: 1 });
  });
});

async function* streamable(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
