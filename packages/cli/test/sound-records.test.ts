/** Records that are verified before they are said again: all or nothing, and exactly the lines that were verified. */
import {
  canonicalize,
  createGate,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Mode,
  type Receipt,
  recordHash,
} from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { type RecordSource, type SoundRecord, verifySource } from "../src/sound-records.ts";
import { REFUNDS } from "./binary.ts";

const signer = generateSigningKey();
const keys = importKeySet({ keys: [signer.publicJwk] });

/** The lines of a log of so many sequences, each an ALLOW, its outcome and a denial; the first is sealed by a person. */
async function decided(mode: Mode, sequences = 2): Promise<readonly string[]> {
  const store = memoryStore();
  const policies = [parsePolicy(REFUNDS)];
  const gate = await createGate({ policies, store, signer, saltKey: Buffer.alloc(32), mode });
  for (let n = 0; n < sequences; n++) {
    const sequence_id = n === 0 ? "a" : `b${n}`;
    await gate.enforce({ sequence_id, tool: "get_order" }, () => "done");
    await gate.decide({ sequence_id, tool: "settle" });
  }
  await gate.seal("a", "over", "alice");
  await gate.close();
  return Array.fromAsync(store.lines());
}

/** A source that gives these lines, and others from its second reading on. */
function source(lines: readonly string[], later = lines): RecordSource {
  let readings = 0;
  return { lines: () => from(readings++ === 0 ? lines : later) };
}

async function* from(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

const verified = (of: RecordSource) => verifySource(of, { keys }, () => {});

async function exported(of: RecordSource): Promise<readonly SoundRecord[]> {
  const { records } = await verified(of);
  return records === undefined ? [] : Array.fromAsync(records());
}

/** The line of a record under the gate's own key: what only a gate could have written. */
function signed(members: object): string {
  const body = {
    v: "stepgate.receipt/1",
    gate_id: "g",
    log_id: "l",
    ...members,
    key_id: signer.keyId,
  };
  const input = Buffer.from(`stepgate.receipt/1\n${canonicalize(body)}`);
  const sig = `ed25519=${Buffer.from(signer.sign(input) as Uint8Array).toString("hex")}`;
  return canonicalize({ ...body, sig });
}

describe("sound records", () => {
  test("are every line again, in order, with its hash and its record", async () => {
    const lines = await decided("enforce");
    const records = await exported(source(lines));
    expect(records.map(({ line }) => line)).toEqual(lines);
    for (const { receipt, hash, line } of records) {
      expect(canonicalize(receipt)).toBe(line);
      expect(hash).toBe(recordHash(receipt));
    }
    expect(new Set(records.map(({ receipt }) => receipt.kind))).toEqual(
      new Set(["policy", "open", "decision", "outcome", "seal"]),
    );
  });

  test.each<Mode>(["enforce", "shadow"])(
    "carry the mode of their sequence (%s), also where they do not say it themselves",
    async (mode) => {
      const records = await exported(source(await decided(mode)));
      expect(records.filter(({ receipt }) => !("mode" in receipt))).not.toEqual([]);
      expect(records.map((record) => record.mode)).toEqual(records.map(() => mode));
    },
  );

  test("are none where the last line is not sound", async () => {
    const lines = await decided("enforce");
    const last = (lines.at(-1) ?? "").replace('"reason":"over"', '"reason":"Over"');
    const { report, records } = await verified(source(lines.with(-1, last)));
    expect(records).toBeUndefined();
    expect(report.findings.map(({ code, line }) => [code, line])).toEqual([
      ["BAD_SIGNATURE", lines.length],
    ]);
  });

  test("are none where a record in the middle is missing", async () => {
    const lines = await decided("enforce");
    const first = lines.findIndex((line) => line.includes('"kind":"outcome"'));
    const { report, records } = await verified(source(lines.toSpliced(first, 1)));
    expect(records).toBeUndefined();
    expect(report.findings[0]?.code).toBe("GAP");
  });

  test("are none where only the end of the log proves the beginning wrong", async () => {
    const lines = await decided("enforce");
    const [policy, open] = ["policy", "open"].map((kind) => {
      const line = lines.find((one) => one.includes(`"kind":"${kind}"`)) ?? "";
      const { sig: _sig, batch: _batch, key_id: _key, ...members } = JSON.parse(line) as Receipt;
      return members;
    });
    const other = signed({ ...policy, policy_digest: `sha256:${"0".repeat(64)}` });
    const { report, records } = await verified(source([signed({ ...open }), other]));
    expect(records).toBeUndefined();
    expect(report.findings.map(({ code }) => code)).toEqual(["POLICY_MISMATCH"]);
  });

  test("are none where a key is missing, and where there are no records", async () => {
    const none = await verifySource(
      source(await decided("enforce")),
      { keys: new Map() },
      () => {},
    );
    expect([none.records, none.report.result]).toEqual([undefined, "undecided"]);
    const empty = await verified(source([]));
    expect([empty.records, empty.report.result, empty.count]).toEqual([undefined, "undecided", 0]);
  });

  test("are those that were verified and no others, when the store goes on meanwhile", async () => {
    const lines = await decided("enforce");
    const records = await exported(source(lines.slice(0, 4), lines));
    expect(records.map(({ line }) => line)).toEqual(lines.slice(0, 4));
  });

  test("end where the lines are no longer those that were verified", async () => {
    const lines = await decided("enforce", 300);
    expect(lines.length).toBeGreaterThan(1000);
    const swapped = lines.with(1001, lines[1002] ?? "");
    for (const later of [swapped, lines.slice(0, 1000), lines.toSpliced(1001, 1)]) {
      const { records } = await verified(source(lines, later));
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { line } of records?.() ?? []) seen.push(line);
      })();
      await expect(reading).rejects.toMatchObject({ code: "RECEIPT_INVALID" });
      expect(seen).toEqual(lines.slice(0, 1000));
    }
  });

  test("do not include what is only verified beside them", async () => {
    const lines = await decided("enforce");
    const [own, log] = [
      lines.filter((line) => !line.includes('"@log"')),
      lines.filter((line) => line.includes('"@log"')),
    ];
    const both = { ...source(own), beside: () => from(log) };
    expect((await exported(both)).map(({ line }) => line)).toEqual(own);
    const wrong = log.map((line) => line.replace('"status":"active"', '"status":"withdrawn"'));
    expect((await verified({ ...both, beside: () => from(wrong) })).records).toBeUndefined();
    const alone = await verified({ lines: () => from([]), beside: () => from(log) });
    expect(await Array.fromAsync(alone.records?.() ?? [])).toEqual([]);
  });
});
