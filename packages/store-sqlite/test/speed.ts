/**
 * Decisions a second on SQLite beside this machine's own floors: `node packages/store-sqlite/test/speed.ts [seconds a cell]`.
 * Rounds of all cells are interleaved, so that a busy minute of the machine falls on all of them; printed are medians.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGate, type Gate, generateSigningKey, memoryStore, type Store } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { RACE_POLICY } from "../../contract/src/gate-races.ts";
import { sampleRecord } from "../../contract/src/sample-record.ts";
import { openStore } from "../src/sqlite-store.ts";

const IN_FLIGHT = [1, 8, 64, 512];
const ROUNDS = 5;
const CALLS_A_SEQUENCE = 50;
const RECORD_BYTES = 900;
const seconds = Number(process.argv[2] ?? "1");

const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
const threaded = openStore({ path: join(folder, "thread.db") }, 0);
const inline = openStore({ path: join(folder, "inline.db"), writer: "inline" });
const parts = {
  policies: [compilePolicy(RACE_POLICY)],
  signer: generateSigningKey(),
  saltKey: randomBytes(32),
};
const onThread = await createGate({ ...parts, store: threaded });
const onInline = await createGate({ ...parts, store: inline });
const inMemory = await createGate({ ...parts, store: memoryStore() });

const WRITERS = [
  ["thread", threaded, onThread],
  ["inline", inline, onInline],
] as const;

const cells: readonly (readonly [name: string, measure: () => Promise<number>])[] = [
  ["floor: write 900 bytes + fdatasync", async () => syncedWrites()],
  ...IN_FLIGHT.flatMap((lanes) =>
    WRITERS.map(
      ([writer, store]) =>
        [
          `store only (${writer}), appends of 900 bytes, ${lanes} in flight`,
          () => perSecond(lanes, appends(store, lanes)),
        ] as const,
    ),
  ),
  ...IN_FLIGHT.flatMap((lanes) =>
    WRITERS.map(
      ([writer, , gate]) =>
        [
          `gate on SQLite (${writer}), signed decisions, ${lanes} in flight`,
          () => perSecond(lanes, decisions(gate)),
        ] as const,
    ),
  ),
  ...IN_FLIGHT.map(
    (lanes) =>
      [
        `gate in memory, signed decisions, ${lanes} in flight`,
        () => perSecond(lanes, decisions(inMemory)),
      ] as const,
  ),
];
const results = cells.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, [, measure]] of cells.entries()) results[index]?.push(await measure());
}
for (const [index, [name]] of cells.entries())
  console.log(
    `${name.padEnd(62)}${median(results[index] ?? [])
      .toFixed(0)
      .padStart(8)}/s`,
  );
await onThread.close();
await onInline.close();
rmSync(folder, { recursive: true });

/** How often `step` ends in a second, with so many under way at any time. */
async function perSecond(
  lanes: number,
  step: (lane: number, count: number) => Promise<unknown>,
): Promise<number> {
  const started = performance.now();
  let done = 0;
  const work = async (_: unknown, lane: number): Promise<void> => {
    for (let count = 0; performance.now() - started < seconds * 1000; count++) {
      await step(lane, count);
      done++;
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return (done * 1000) / (performance.now() - started);
}

/** A fresh sequence every {@link CALLS_A_SEQUENCE} calls; its first call opens it and is counted like the others. */
function decisions(gate: Gate): (lane: number, count: number) => Promise<unknown> {
  const run = randomBytes(4).toString("hex");
  return async (lane, count) => {
    const sequence_id = `${run}-${lane}-${Math.floor(count / CALLS_A_SEQUENCE)}`;
    const name = count % CALLS_A_SEQUENCE === 0 ? "intake" : "lookup";
    const { decision } = await gate.decide({
      sequence_id,
      function: name,
      action_type: "READ",
      args: { query: "a", limit: 10 },
    });
    if (decision !== "ALLOW") throw new Error("a call of the benchmark was denied");
  };
}

function appends(to: Store, lanes: number): (lane: number, count: number) => Promise<unknown> {
  const run = `${lanes}-${randomBytes(4).toString("hex")}`;
  return async (lane, count) => {
    const sequence_id = `${run}-${lane}-${Math.floor(count / CALLS_A_SEQUENCE)}`;
    const seq = count % CALLS_A_SEQUENCE;
    const answer = await to.append({
      sequence_id,
      records: [
        sampleRecord(sequence_id, seq, "x".repeat(RECORD_BYTES - 90), { nonce: `${count}` }),
      ],
    });
    if (answer !== "won") throw new Error(`an append of the benchmark was ${answer}`);
  };
}

function syncedWrites(): number {
  const file = openSync(join(folder, "floor"), "w");
  const bytes = Buffer.alloc(RECORD_BYTES);
  const started = performance.now();
  let done = 0;
  for (; performance.now() - started < seconds * 1000; done++) {
    writeSync(file, bytes, 0, bytes.length, done * bytes.length);
    fdatasyncSync(file);
  }
  closeSync(file);
  return (done * 1000) / (performance.now() - started);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
