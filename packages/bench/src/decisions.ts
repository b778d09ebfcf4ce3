/** What a decision costs, beside what its cryptography costs bare and what the same engine does without a gate. */
import { createHmac, generateKeyPairSync, hash, randomBytes, sign } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  type CompiledPolicy,
  createGate,
  type Gate,
  generateSigningKey,
  memoryStore,
  type Store,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { sqliteStore } from "@stepgate/store-sqlite";
import { keepInFlight, pairedMedian, type Section, timeVariants, type Variant } from "./measure.ts";

/** A function outside the order, by which a sequence goes on for ever. */
export const BENCH_POLICY: CompiledPolicy = compilePolicy({
  schema: "stepgate.policy/1",
  id: "bench",
  version: "1",
  sequence: "intake, settle",
  functions: {
    read: { step: "*", actions: ["READ"] },
    intake: ["READ_INPUT"],
    settle: ["SEAL_SEQUENCE"],
  },
  tools: { read_order: { function: "read", action: "READ" } },
});

/** Calls of one run, before the next run begins: chains stay short and every state fits at hand. */
const CALLS_A_RUN = 200;
const args = { order: 17, currency: "EUR", note: "as agreed" };

/** A gate with keys of its own on this store. */
export async function benchGate(store: Store): Promise<Gate> {
  const parts = {
    policies: [BENCH_POLICY],
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    store,
  };
  return createGate({ ...parts, deadlineMs: 60_000 });
}

/** Decisions in memory: signature, chain and all, at rising concurrency. */
export async function memoryDecisions(): Promise<Section> {
  const gate = await benchGate(memoryStore());
  const floor = bareReceipt();
  const variants = [
    floor,
    ...[1, 64, 256].map((inFlight) => decisions(gate, "memory", inFlight, 2_000)),
  ];
  const timings = await timeVariants(variants);
  const ratios = [1, 64, 256].map((inFlight) => ({
    name: `bare cryptography ÷ a decision, ${inFlight} in flight`,
    value: pairedMedian(
      timings,
      [floor.name, `decide, memory, ${inFlight} in flight`],
      (bare, decision) => bare / decision,
    ),
    unit: "×" as const,
  }));
  return { title: "Decisions in memory", timings, ratios };
}

/** Durable decisions on SQLite, beside bare inserts of rows of the same size by the same driver. */
export async function sqliteDecisions(): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), "stepgate-bench-"));
  try {
    const gate = await benchGate(sqliteStore(join(folder, "gate.db")));
    const floors = [1, 64].map((rows) => bareInserts(join(folder, `floor-${rows}.db`), rows));
    const gated = [1, 8, 64].map((inFlight) =>
      decisions(gate, "SQLite", inFlight, inFlight === 1 ? 100 : 640),
    );
    const timings = await timeVariants([...floors, ...gated]);
    await gate.close();
    const ratios = [1, 64].map((n) => ({
      name: `bare insert ÷ a durable decision, ${n} at a time`,
      value: pairedMedian(
        timings,
        [`insert of 900 bytes, ${n} a transaction`, `decide, SQLite, ${n} in flight`],
        (bare, decision) => bare / decision,
      ),
      unit: "×" as const,
    }));
    return { title: "Durable decisions on SQLite (WAL, synchronous=FULL)", timings, ratios };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function decisions(gate: Gate, where: string, inFlight: number, count: number): Variant {
  let made = 0;
  return {
    name: `decide, ${where}, ${inFlight} in flight`,
    count,
    run: (operations) =>
      keepInFlight(inFlight, operations, async () => {
        const index = made++;
        // Each lane has a run of its own: within one sequence decisions queue behind each other on purpose.
        const sequence_id = `${where}-${inFlight}-${index % inFlight}-${Math.floor(index / inFlight / CALLS_A_RUN)}`;
        const { decision } = await gate.decide({ sequence_id, tool: "read_order", args });
        if (decision !== "ALLOW") throw new Error("the benchmark was denied");
      }),
  };
}

/** What the digests and the signature of one receipt cost without anything around them. */
function bareReceipt(): Variant {
  const { privateKey } = generateKeyPairSync("ed25519");
  const salt = randomBytes(32);
  const text = "x".repeat(700);
  return {
    name: "2 HMAC + SHA-256 + Ed25519 of 700 bytes, bare",
    count: 2_000,
    run(count) {
      for (let i = 0; i < count; i++) {
        const key = createHmac("sha256", salt).update(`${i}`).digest();
        createHmac("sha256", key).update("{}").digest("hex");
        hash("sha256", text, "hex");
        sign(null, Buffer.from(text), privateKey).toString("hex");
      }
    },
  };
}

function bareInserts(file: string, rowsEach: number): Variant {
  const database = new DatabaseSync(file);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE row (id INTEGER PRIMARY KEY, line TEXT)",
  );
  const insert = database.prepare("INSERT INTO row (line) VALUES (?)");
  const line = "x".repeat(900);
  return {
    name: `insert of 900 bytes, ${rowsEach} a transaction`,
    count: rowsEach === 1 ? 100 : 640,
    run(count) {
      for (let done = 0; done < count; done += rowsEach) {
        database.exec("BEGIN IMMEDIATE");
        for (let i = 0; i < rowsEach; i++) insert.run(line);
        database.exec("COMMIT");
      }
    },
  };
}
