/** What one signature for many records saves: beside a signature each, and beside its own cryptography done bare. */
import { createPublicKey, hash, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import {
  canonicalize,
  createGate,
  createVerifier,
  exportKeySet,
  type Gate,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Store,
} from "@stepgate/core";
import { BENCH_POLICY } from "./decisions.ts";
import { keepInFlight, pairedMedian, type Section, timeVariants, type Variant } from "./measure.ts";

const IN_FLIGHT = 256;
/** Decisions a round: each lane has one sequence of forty. */
const COUNT = 40 * IN_FLIGHT;
const args = { order: 17, currency: "EUR", note: "as agreed" };
const key = generateSigningKey();
const SINGLE = `decide, a signature each, ${IN_FLIGHT} in flight`;
const BATCHED = `decide, a signature a batch, ${IN_FLIGHT} in flight`;
const BARE = `canonical form + hash + batch signature of ${IN_FLIGHT}, bare`;
const BARE_IN_ORDER = `the same of bodies that are in order, by JSON.stringify`;
const VERIFY = "verify, a signature a batch";
const VERIFY_SINGLE = "verify, a signature each";
const VERIFY_BARE = "Ed25519 verification of 900 bytes, bare";

/** Signing decisions in memory, one by one and by the batch. */
export async function batchSigning(): Promise<Section> {
  const lines = await recorded(true);
  const timings = await timeVariants([
    decisions(SINGLE, false),
    decisions(BATCHED, true),
    bare(BARE, lines, canonicalize),
    bare(BARE_IN_ORDER, lines, JSON.stringify),
  ]);
  const share = (floor: string) => ({
    value: pairedMedian(timings, [floor, BATCHED], (bare, batched) => bare / batched),
    unit: "×" as const,
  });
  const ratios = [
    {
      name: "a decision with a signature of its own ÷ one of a batch (to be at least 5)",
      value: pairedMedian(timings, [SINGLE, BATCHED], (single, batched) => single / batched),
      unit: "×" as const,
    },
    { name: "bare ÷ a decision of a batch (to be at least 0.6)", ...share(BARE) },
    { name: "bare, of bodies in order ÷ a decision of a batch", ...share(BARE_IN_ORDER) },
  ];
  return { title: "Batch signatures, decisions in memory", timings, ratios };
}

/** Verifying what was signed so, on one core. */
export async function batchVerification(): Promise<Section> {
  const [batched, single] = [await recorded(true), await recorded(false)];
  const publicKey = createPublicKey(key.privateKey);
  const timings = await timeVariants([
    verification(VERIFY, batched, COUNT),
    verification(VERIFY_SINGLE, single, 1_000),
    bareVerification(publicKey, 1_000),
  ]);
  const ratios = [
    {
      name: "bare ÷ a record with a signature of its own (to be at least 0.8)",
      value: pairedMedian(timings, [VERIFY_BARE, VERIFY_SINGLE], (floor, record) => floor / record),
      unit: "×" as const,
    },
    {
      name: "bare ÷ a record of a batch",
      value: pairedMedian(timings, [VERIFY_BARE, VERIFY], (floor, record) => floor / record),
      unit: "×" as const,
    },
    {
      name: "a record of a batch (to be at most 20)",
      value: pairedMedian(timings, [VERIFY], (record) => record),
      unit: "µs" as const,
    },
  ];
  return { title: "Batch signatures, verification", timings, ratios };
}

/** A gate and a store of its own each round: what grows is the round's own, and not the rounds before. */
function decisions(name: string, batch: boolean): Variant {
  let gate: Gate;
  return {
    name,
    count: COUNT,
    async prepare() {
      gate = await openGate(memoryStore(), batch);
    },
    run: (count) => decideAll(gate, count),
  };
}

function openGate(store: Store, batch: boolean): Promise<Gate> {
  const parts = { policies: [BENCH_POLICY], signer: key, saltKey: randomBytes(32), store, batch };
  return createGate({ ...parts, deadlineMs: 60_000 });
}

function decideAll(gate: Gate, count: number): Promise<void> {
  return keepInFlight(IN_FLIGHT, count, async (index) => {
    const sequence_id = `run-${index % IN_FLIGHT}`;
    const { decision } = await gate.decide({ sequence_id, tool: "read_order", args });
    if (decision !== "ALLOW") throw new Error("the benchmark was denied");
  });
}

/** The lines of a round's decisions. */
async function recorded(batch: boolean): Promise<readonly string[]> {
  const store = memoryStore();
  await decideAll(await openGate(store, batch), COUNT);
  return Array.fromAsync(store.lines());
}

/**
 * What the receipts of a batch cost with nothing around them, as one would write it by hand: canonical form, hash, tree
 * with audit paths, one signature, and the finished lines, kept as the store in memory keeps them. The bodies are there
 * already. `canonical` is RFC 8785 for whatever it is given, as the canonical form is specified; or the platform's own
 * writer, which gives the same for bodies that were put in canonical order beforehand and hold but ASCII and integers.
 */
function bare(
  name: string,
  lines: readonly string[],
  canonical: (body: object) => string,
): Variant {
  const bodies = lines.slice(-IN_FLIGHT).map((line) => {
    const { batch: _batch, sig: _sig, ...body } = JSON.parse(line);
    return body as object;
  });
  let kept: string[] = [];
  return {
    name,
    count: COUNT,
    prepare() {
      kept = [];
    },
    run(count) {
      for (let done = 0; done < count; done += bodies.length)
        kept.push(...signedByHand(bodies.map(canonical)));
    },
  };
}

function signedByHand(bodies: readonly string[]): readonly string[] {
  const size = bodies.length;
  const levels = [bodies.map((body) => hash("sha256", `\0stepgate.receipt/1\n${body}`, "hex"))];
  for (let level = levels[0] ?? []; level.length > 1; level = levels.at(-1) ?? [])
    levels.push(pairsOf(level));
  const input = `stepgate.batch/1\nlog\n${size}\n${levels.at(-1)?.[0]}`;
  const sig = `ed25519=${sign(null, Buffer.from(input), key.privateKey).toString("hex")}`;
  return bodies.map((body, index) => {
    const path = levels.slice(0, -1).map((level, height) => level[(index >> height) ^ 1]);
    const batch = `{"index":${index},"path":["${path.join('","')}"],"sig":"${sig}","size":${size}}`;
    const at = body.indexOf('"decision":');
    return `${body.slice(0, at)}"batch":${batch},${body.slice(at)}`;
  });
}

function pairsOf(level: readonly string[]): string[] {
  const above: string[] = [];
  for (let i = 0; i + 1 < level.length; i += 2)
    above.push(hash("sha256", Buffer.from(`01${level[i]}${level[i + 1]}`, "hex"), "hex"));
  return above;
}

const NONE = Buffer.alloc(0);

function verification(name: string, lines: readonly string[], count: number): Variant {
  const bytes = lines.map((line) => Buffer.from(line));
  const keys = importKeySet(exportKeySet([key]));
  return {
    name,
    count,
    run(operations) {
      const verifier = createVerifier({ keys });
      for (let i = 0; i < operations; i++) {
        const finding = verifier.line(bytes[i] ?? NONE);
        if (finding !== undefined) throw new Error(`the benchmark found ${finding.code}`);
      }
    },
  };
}

function bareVerification(publicKey: KeyObject, count: number): Variant {
  const inputs = Array.from({ length: count }, (_, n) => Buffer.from(`${n}`.padEnd(900, "x")));
  const signatures = inputs.map((input) => sign(null, input, key.privateKey));
  return {
    name: VERIFY_BARE,
    count,
    run(operations) {
      for (let i = 0; i < operations; i++)
        if (!verify(null, inputs[i] ?? NONE, publicKey, signatures[i] ?? NONE))
          throw new Error("the benchmark's own signature does not hold");
    },
  };
}
