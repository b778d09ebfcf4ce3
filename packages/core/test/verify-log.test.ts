/** A file of receipts against checkpoints that were kept elsewhere: what the operator's own key cannot undo. */
import { sign } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import {
  checkpointLog,
  exportKeySet,
  type FindingCode,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Receipt,
  receiptLine,
  recordHash,
  type Store,
  verifyFile,
  verifyReceipts,
  type VerificationReport,
} from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { originOf, signCheckpoint } from "../src/checkpoint.ts";
import { signingInput } from "../src/receipt.ts";
import { LOAN_APPROVAL } from "./policies.ts";

const key = generateSigningKey();
const keys = importKeySet(exportKeySet([key]));

/** Runs sequences to their first outcome, each in a gate of its own: three records a sequence. */
async function record(store: Store, names: readonly string[], logId = "log-1"): Promise<void> {
  const { gate } = await openTestGate(LOAN_APPROVAL, { signer: key, logId, store });
  const call = { function: "intake", action_type: "CHECK_STATE" };
  for (const sequence_id of names) await gate.enforce({ sequence_id, ...call }, () => "done");
}

/** A log with an earlier checkpoint (10 records: `@log`, a, b, c), a later one (16: and d, e), and f after them. */
async function soundLog() {
  const store = memoryStore();
  await record(store, ["a", "b", "c"]);
  const earlier = await checkpointLog(store, key);
  await record(store, ["d", "e"]);
  const later = await checkpointLog(store, key);
  await record(store, ["f"]);
  const lines = await Array.fromAsync(store.lines());
  expect([earlier.size, later.size, lines.length]).toEqual([10, 16, 19]);
  return { lines, earlier, later, store };
}

const parsed = (line: string): Receipt => JSON.parse(line);
const without = (lines: readonly string[], name: string): string[] =>
  lines.filter((line) => parsed(line).sequence_id !== name);

function verify(lines: readonly string[], ...checkpoints: readonly { readonly note: string }[]) {
  return verifyReceipts(lines, { keys, checkpoints: checkpoints.map(({ note }) => note) });
}

/** Findings of the file as a whole, with their lines. */
function ofFile({ findings }: VerificationReport): readonly (readonly [FindingCode, number])[] {
  return findings
    .filter(({ sequence_id }) => sequence_id === undefined)
    .map(({ code, line }) => [code, line] as const);
}

/** Signs a sequence anew with the operator's own key, each record changed first: every chain holds again. */
function rewritten(lines: readonly string[], name: string, change: (one: Receipt) => Receipt) {
  let prev: string | undefined;
  return lines.map((line) => {
    const one = parsed(line);
    if (one.sequence_id !== name) return line;
    // Here every outcome follows its ALLOW at once.
    const links =
      prev === undefined
        ? {}
        : { prev, ...(one.kind === "outcome" ? { decision_hash: prev } : {}) };
    const { sig: _sig, batch: _batch, ...body } = { ...change(one), ...links };
    const signature = sign(null, Buffer.from(signingInput(body)), key.privateKey);
    const made = { ...body, sig: `ed25519=${signature.toString("hex")}` };
    prev = recordHash(made);
    return receiptLine(made);
  });
}

describe("a log that only grew", () => {
  test("holds against every checkpoint, in whatever order they are given", async () => {
    const { lines, earlier, later } = await soundLog();
    for (const given of [[earlier], [later], [earlier, later], [later, earlier, earlier]]) {
      const report = await verify(lines, ...given);
      expect(report.result).toBe("sound");
      expect(report.findings).toEqual([]);
      expect(report.checkpoints?.map(({ size, result }) => [size, result])).toEqual(
        given.map(({ size }) => [size, "HOLDS"]).toSorted((a, b) => Number(a[0]) - Number(b[0])),
      );
    }
    expect(await verifyReceipts(lines, { keys })).not.toHaveProperty("checkpoints");
  });

  test("holds as a file in chunks of any size, up to the checkpoint's last line", async () => {
    const { lines, later } = await soundLog();
    const bytes = Buffer.from(`${lines.slice(0, later.size).join("\n")}\n`);
    async function* chunks() {
      for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
    }
    const report = await verifyFile(chunks(), { keys, checkpoints: [later.note] });
    expect([report.result, report.records]).toEqual(["sound", 16]);
  });

  test("holds with any order of what came after the last checkpoint, and without it", async () => {
    const { lines, later, store } = await soundLog();
    await record(store, ["g"]);
    const more = await Array.fromAsync(store.lines());
    const [covered, f, g] = [more.slice(0, 16), more.slice(16, 19), more.slice(19)];
    for (const file of [lines, [...covered, ...g, ...f], covered])
      expect((await verify(file, later)).result).toBe("sound");
  });
});

describe("with the operator's own key", () => {
  test("no record can be removed without being missed", async () => {
    const { lines, earlier } = await soundLog();
    for (let at = 0; at < earlier.size; at++) {
      const file = lines.toSpliced(at, 1);
      expect(ofFile(await verify(file, earlier)), `line ${at}`).toEqual([["FORK", 10]]);
      expect(ofFile(await verify(file.slice(0, 9), earlier))).toEqual([["TRUNCATED", 9]]);
    }
  });

  test("no sequence can be removed whole, which the receipts alone do not show", async () => {
    const { lines, earlier, later } = await soundLog();
    for (const name of ["a", "b", "c"]) {
      const file = without(lines, name);
      expect((await verifyReceipts(file, { keys })).result).toBe("sound");
      const report = await verify(file, earlier, later);
      expect(report.result).toBe("invalid");
      expect(ofFile(report)).toEqual([
        ["FORK", 10],
        ["FORK", 16],
      ]);
    }
    const file = without(without(lines, "e"), "f");
    expect((await verify(file, earlier)).result).toBe("sound");
    expect(ofFile(await verify(file, earlier, later))).toEqual([["TRUNCATED", 13]]);
  });

  test("no tail can be cut off, of a sequence or of the log", async () => {
    const { lines, earlier, later } = await soundLog();
    const last = lines.findLastIndex((line) => parsed(line).sequence_id === "c");
    const tailless = lines.toSpliced(last, 1);
    expect((await verifyReceipts(tailless, { keys })).result).toBe("sound");
    expect(ofFile(await verify(tailless, earlier))).toEqual([["FORK", 10]]);
    for (let length = 0; length < later.size; length++) {
      const report = await verify(lines.slice(0, length), later);
      expect(report.result).toBe("invalid");
      expect(ofFile(report)).toEqual([["TRUNCATED", Math.max(length, 1)]]);
    }
  });

  test("no record can be rewritten after the checkpoint", async () => {
    const { lines, earlier, later } = await soundLog();
    for (const name of ["a", "c"]) {
      const file = rewritten(lines, name, (one) => ({ ...one, gate_id: "somebody-else" }));
      expect((await verifyReceipts(file, { keys })).result).toBe("sound");
      expect(ofFile(await verify(file, earlier))).toEqual([["FORK", 10]]);
    }
    const file = rewritten(lines, "d", (one) => ({ ...one, gate_id: "somebody-else" }));
    expect((await verify(file, earlier)).result).toBe("sound");
    expect(ofFile(await verify(file, earlier, later))).toEqual([["FORK", 16]]);
  });

  test("nothing can be put in, doubled or moved before the checkpoint's end", async () => {
    const { lines, earlier } = await soundLog();
    const [late, first] = [lines.slice(16), lines.slice(1, 4)];
    for (const file of [
      [...lines.slice(0, 4), ...late, ...lines.slice(4, 16)],
      [...lines.slice(0, 4), ...first, ...lines.slice(4)],
      [...lines.slice(0, 1), ...lines.slice(4, 7), ...first, ...lines.slice(7)],
      ["", ...lines],
      lines.with(3, "{}"),
    ])
      expect(ofFile(await verify(file, earlier))).toContainEqual(["FORK", 10]);
  });

  test("a signature made again is no rewriting: a record's identity is its hash", async () => {
    const { lines, earlier } = await soundLog();
    const again = lines.map((line) => {
      const { sig: _sig, batch: _batch, ...body } = parsed(line);
      const signature = sign(null, Buffer.from(signingInput(body)), key.privateKey);
      return receiptLine({ ...body, sig: `ed25519=${signature.toString("hex")}` });
    });
    expect(again).not.toEqual(lines);
    expect((await verify(again, earlier)).result).toBe("sound");
  });

  test("two logs of one name are told apart by any checkpoint of the one", async () => {
    const { lines } = await soundLog();
    const other = memoryStore();
    await record(other, ["a", "x"]);
    const checkpoint = await checkpointLog(other, key);
    expect(ofFile(await verify(lines, checkpoint))).toEqual([["FORK", checkpoint.size]]);
  });

  test("two checkpoints of one size that say otherwise need no more to be found", async () => {
    const { lines, later } = await soundLog();
    const other = await signCheckpoint({ ...later, root: "ab".repeat(32) }, key);
    const report = await verify(lines, later, other);
    expect(report.checkpoints?.map(({ result }) => result)).toEqual(["FORK", "FORK"]);
    expect(ofFile(await verify([], later, other)).map(([code]) => code)).toEqual(["FORK", "FORK"]);
  });

  test("a record of another log is named, wherever it stands", async () => {
    const { lines, later } = await soundLog();
    const store = memoryStore();
    await record(store, ["z"], "log-2");
    const strangers = without(await Array.fromAsync(store.lines()), "@log");
    const file = [...lines, ...strangers];
    expect((await verifyReceipts(file, { keys })).result).toBe("sound");
    const { findings, result } = await verify(file, later);
    expect(result).toBe("invalid");
    expect(findings.map(({ code, line, sequence_id }) => [code, line, sequence_id])).toEqual([
      ["FORK", 20, "z"],
      ["FORK", 21, "z"],
      ["FORK", 22, "z"],
    ]);
  });
});

describe("under a key that was revoked", () => {
  const revoked_from = 1_800_000_000;
  const revoked = importKeySet({ keys: [{ ...key.publicJwk, revoked_from }] });

  /** Codes by line, of a file under the revoked key. */
  async function codes(lines: readonly string[], note: string, kept_since?: number) {
    const checkpoint = kept_since === undefined ? note : { note, kept_since };
    const { findings } = await verifyReceipts(lines, { keys: revoked, checkpoints: [checkpoint] });
    return new Map(findings.map(({ line, code }) => [line, code]));
  }

  test("what an older checkpoint covers is believed, and what came after it is not", async () => {
    const { lines, earlier } = await soundLog();
    const found = await codes(lines, earlier.note, revoked_from - 1);
    expect([...found]).toEqual(
      lines.slice(earlier.size).map((_, at) => [earlier.size + at + 1, "KEY_NOT_VALID"]),
    );
    const covered = lines.slice(0, earlier.size);
    expect((await codes(covered, earlier.note, revoked_from - 1)).size).toBe(0);
  });

  test("a checkpoint of which nobody says since when, or kept only since then, covers nothing", async () => {
    const { lines, later } = await soundLog();
    for (const since of [undefined, revoked_from, revoked_from + 1])
      expect((await codes(lines, later.note, since)).size).toBe(lines.length);
  });

  test("who has the key can put nothing under the older checkpoint, nor change a signature there", async () => {
    const { lines, earlier } = await soundLog();
    const covered = lines.slice(0, earlier.size);
    const forged = rewritten(covered, "b", (one) => ({ ...one, gate_id: "a-thief" }));
    expect(await codes(forged, earlier.note, 0)).toEqual(new Map([[earlier.size, "FORK"]]));
    const bent = covered.with(2, (covered[2] ?? "").replace(/ed25519=./, "ed25519=g"));
    expect((await codes(bent, earlier.note, 0)).get(3)).toBe("MALFORMED");
    const last = (text: string, digit: string): string => `${text.slice(0, -1)}${digit}`;
    const other = covered.with(
      2,
      (covered[2] ?? "").replace(/ed25519=[0-9a-f]+/, (sig) =>
        last(sig, sig.endsWith("0") ? "1" : "0"),
      ),
    );
    expect((await codes(other, earlier.note, 0)).get(3)).toBe("BAD_SIGNATURE");
  });
});

describe("a checkpoint that cannot be believed", () => {
  test("is refused, not passed over", async () => {
    const { lines, later } = await soundLog();
    const foreign = await signCheckpoint(later, generateSigningKey());
    const bent = { note: later.note.replace(/\n16\n/, "\n15\n") };
    for (const [checkpoint, code] of [
      [foreign, "KEY_INVALID"],
      [bent, "RECEIPT_INVALID"],
      [{ note: "" }, "INVALID_INPUT"],
    ] as const)
      await expect(verify(lines, checkpoint)).rejects.toMatchObject({ code });
  });

  test("of another log finds every record to be another log's", async () => {
    const { lines, later } = await soundLog();
    const elsewhere = await signCheckpoint({ ...later, origin: originOf("log-2") }, key);
    const { findings } = await verify(lines, elsewhere);
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(["FORK"]));
    expect(findings.length).toBe(lines.length);
  });
});
