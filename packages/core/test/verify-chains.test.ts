/** Chains that are put aside: a verifier says the same, however often it puts them away and takes them up again. */
import { sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { openTestGate } from "@stepgate/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ChainSpill,
  type CompiledPolicy,
  exportKeySet,
  type Finding,
  importKeySet,
  LOG_CHAIN,
  receiptLine,
  type SequenceReport,
  verifyFile,
  verifyReceipts,
  type VerifyOptions,
} from "../src/index.ts";
import { packChain, unpackChain } from "../src/packed-chain.ts";
import { signingInput } from "../src/receipt.ts";
import { type Chains, createChains, type FollowedChain } from "../src/verify-chains.ts";
import { createLineVerifier } from "../src/verify-lines.ts";
import { REFUNDS } from "./policies.ts";
import { acts, contract, record } from "./recorded-runs.ts";

type Policies = ReadonlyMap<string, CompiledPolicy> | undefined;

/** A spill in memory that counts how often it is asked. */
function countedSpill(): ChainSpill & { readonly used: { saved: number; loaded: number } } {
  const kept = new Map<string, { readonly from: number; readonly packed: string }>();
  const used = { saved: 0, loaded: 0 };
  return {
    used,
    save(id, from, packed) {
      used.saved++;
      kept.set(id, { from, packed });
    },
    load(id) {
      const packed = kept.get(id)?.packed;
      if (packed !== undefined) used.loaded++;
      return packed;
    },
    *all() {
      const ordered = [...kept].sort(([, one], [, other]) => one.from - other.from);
      for (const [id, { packed }] of ordered) yield [id, packed] as const;
    },
  };
}

/** Chains of which none is at hand for longer than a line. */
function forgetful(policies: Policies): Chains {
  const all = createChains(policies);
  const packed = new Map<string, string>();
  let current: readonly [string, FollowedChain] | undefined;
  return {
    ...all,
    follow(id, line) {
      if (id === LOG_CHAIN) return all.follow(id, line);
      const text = packed.get(id);
      const followed = text === undefined ? all.follow(id, line) : unpackChain(text, policies);
      if (text !== undefined) followed.records++;
      current = [id, followed];
      return followed;
    },
    settle() {
      if (current !== undefined) packed.set(current[0], packChain(current[1]));
      current = undefined;
    },
    *all() {
      for (const [id, text] of packed) yield [id, unpackChain(text, policies)] as const;
    },
  };
}

function told(
  lines: readonly (string | Uint8Array)[],
  options: VerifyOptions,
  chainsOf?: (policies: Policies) => Chains,
): unknown {
  const verifier = createLineVerifier(options, chainsOf);
  const findings = lines.map((line) => verifier.line(line));
  const rest: unknown[] = [];
  const ending = verifier.end();
  let step = ending.next();
  for (; !step.done; step = ending.next()) rest.push(step.value);
  return { findings, rest, summary: step.value };
}

const folder = new URL("vectors/", import.meta.url);
const read = (path: string): Buffer => readFileSync(new URL(path, folder));
const vectorKeys = JSON.parse(read("keys.json").toString()) as object;
const hmacKeys = Object.fromEntries(
  Object.entries(JSON.parse(read("hmac-secrets.json").toString()) as Record<string, string>).map(
    ([id, hex]) => [id, Buffer.from(hex, "hex")],
  ),
);

describe("chains that are put aside after every record", () => {
  test("change nothing of what is said of any vector", () => {
    const published = read("expected.jsonl").toString().trim().split("\n");
    const files = published.map((line) => JSON.parse(line) as { file: string; trust?: object });
    for (const { file, trust } of [{ file: "sound.jsonl" }, ...files]) {
      const given = { keys: vectorKeys, ...trust } as { keys: object; require?: "hmac" };
      const options = { ...given, keys: importKeySet(given.keys), hmacKeys };
      const lines = read(file).toString("latin1").split("\n");
      const bytes = lines.map((line) => Buffer.from(line, "latin1"));
      expect(told(bytes, options, forgetful), file).toEqual(told(bytes, options));
    }
  });

  test("change nothing of random runs under their policies, tampered with or not", async () => {
    await fc.assert(
      fc.asyncProperty(contract, acts, fc.nat(), async (document, list, at) => {
        const { receipts, keys, policy } = await record(document, list);
        const lines = receipts.map(({ receipt }) => receiptLine(receipt));
        const without = lines.toSpliced(at % lines.length, 1);
        for (const file of [lines, without, [...without, ...lines]])
          for (const options of [{ keys }, { keys, policies: [policy] }])
            expect(told(file, options, forgetful)).toEqual(told(file, options));
      }),
      { numRuns: 40 },
    );
  });
});

describe("chains beyond those that may be at hand", () => {
  const ids = Array.from({ length: 12 }, (_, n) => `s${n}`);

  /** Records of twelve sequences, those of each call side by side, and a second outcome at the end. */
  async function interleaved() {
    const { gate, store, key } = await openTestGate(REFUNDS);
    for (const sequence_id of ids) await gate.open({ sequence_id });
    for (const n of [1, 2, 3])
      for (const sequence_id of ids)
        await gate.decide({ sequence_id, tool: "get_order", args: { order: n }, nonce: `n${n}` });
    const lines = await Array.fromAsync(store.lines());
    return { lines, options: { keys: importKeySet(exportKeySet([key])) } };
  }

  test("wait in the spill, and are told in the order in which they began", async () => {
    const { lines, options } = await interleaved();
    const spill = countedSpill();
    const twice = [...lines, lines[5] ?? ""];
    const report = told(twice, options, (policies) => createChains(policies, spill, 8));
    expect(report).toEqual(told(twice, options));
    expect(report).toMatchObject({
      rest: ids.map((sequence_id) => ({ sequence: { sequence_id, records: expect.any(Number) } })),
      summary: { found: { DUPLICATE_SEQ: 1 }, verdicts: { INVALID: 1, OPEN: 11 } },
    });
    expect(spill.used.loaded).toBeGreaterThan(24);
  });

  test("need no spill while they are few", async () => {
    const { lines, options } = await interleaved();
    const spill = countedSpill();
    await verifyReceipts(lines, { ...options, spill });
    expect(spill.used).toEqual({ saved: 0, loaded: 0 });
  });
});

describe("a report that is handed on", () => {
  test("holds figures alone, and callbacks get each finding and sequence before reading goes on", async () => {
    const { gate, key, store } = await openTestGate(REFUNDS);
    for (const sequence_id of ["a", "b"]) {
      await gate.open({ sequence_id });
      await gate.decide({ sequence_id, tool: "get_order", args: {}, nonce: "n" });
    }
    const [head = "", ...rest] = await Array.fromAsync(store.lines());
    const lines = [head, ...rest, "x", head];
    const options = { keys: importKeySet(exportKeySet([key])) };
    const whole = await verifyReceipts(lines, options);
    const findings: Finding[] = [];
    const sequences: SequenceReport[] = [];
    let waiting = 0;
    const slowly = async <T>(list: T[], one: T): Promise<void> => {
      expect(waiting++).toBe(0);
      await new Promise((resolve) => setImmediate(resolve));
      list.push(one);
      waiting--;
    };
    const callbacks = {
      finding: (one: Finding) => slowly(findings, one),
      sequence: (one: SequenceReport) => slowly(sequences, one),
    };
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const chunks = async function* () {
      yield bytes;
    };
    for (const verify of [
      () => verifyReceipts(lines, { ...options, ...callbacks }),
      () => verifyFile(chunks(), { ...options, ...callbacks }),
    ]) {
      expect(await verify()).toEqual({ ...whole, findings: [], sequences: [] });
      expect(findings.splice(0)).toEqual(whole.findings);
      expect(sequences.splice(0)).toEqual(whole.sequences);
    }
    expect(whole).toMatchObject({
      found: { UNREADABLE: 1, DUPLICATE_SEQ: 1 },
      verdicts: { INVALID: 0, UNDECIDED: 0, UNENFORCED: 0, SEALED: 0, OPEN: 2 },
      open_allows: 2,
    });
  });
});

test("a chain remembers its latest thousand gaps, and takes a record of an older one for a second", async () => {
  const { gate, key } = await openTestGate(REFUNDS);
  const open = await gate.open({ sequence_id: "s" });
  const { sig: _sig, batch: _batch, ...body } = open as typeof open & { batch?: object };
  const signed = (seq: number): string => {
    const record = { ...body, seq };
    const sig = sign(null, Buffer.from(signingInput(record)), key.privateKey).toString("hex");
    return receiptLine({ ...record, sig: `ed25519=${sig}` });
  };
  const verifier = createLineVerifier({ keys: importKeySet(exportKeySet([key])) });
  verifier.line(receiptLine(open));
  for (let gap = 0; gap < 1001; gap++) expect(verifier.line(signed(2 + 2 * gap))?.code).toBe("GAP");
  expect(verifier.line(signed(1))?.code).toBe("DUPLICATE_SEQ");
  expect(verifier.line(signed(3))?.code).toBe("OUT_OF_ORDER");
});
