/** The log of logs in an SQLite file: many processes give its leaf indexes while gates decide, and some of them die. */
import {
  checkpointLog,
  createGate,
  exportKeySet,
  generateSigningKey,
  type Gate,
  importKeySet,
  readCheckpoint,
  type Store,
  verifyReceipts,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { expect, onTestFinished, test } from "vitest";
import { startScript } from "../../contract/src/child-process.ts";
import type { CheckpointAnswer, CheckpointQuestion } from "./checkpoint-process.ts";
import { newLog } from "./new-log.ts";

const key = generateSigningKey();
const keys = importKeySet(exportKeySet([key]));
const privateKey = String(key.privateKey.export({ type: "pkcs8", format: "pem" }));
const policies = [
  compilePolicy({
    schema: "stepgate.policy/1",
    id: "work",
    version: "1",
    sequence: "work+, end",
    functions: { work: ["READ"], end: ["SEAL"] },
  }),
];

function openGate(store: Store): Promise<Gate> {
  return createGate({
    policies,
    store,
    signer: key,
    saltKey: Buffer.alloc(32, 7),
    deadlineMs: 30_000,
  });
}

/** Sequences of two calls each, many at a time; every one must be allowed. */
async function work(gate: Gate, name: string, sequences: number): Promise<void> {
  const call = { function: "work", action_type: "READ" };
  for (let n = 0; n < sequences; n += 10) {
    const burst = Array.from({ length: 10 }, async (_, at) => {
      for (let time = 0; time < 2; time++)
        await gate.enforce({ sequence_id: `${name}-${n + at}`, ...call }, () => "done");
    });
    await Promise.all(burst);
  }
}

async function start() {
  const script = await startScript<CheckpointQuestion, CheckpointAnswer>(
    new URL("checkpoint-process.ts", import.meta.url),
  );
  onTestFinished(() => void script.process.kill());
  return script;
}

test("processes that checkpoint at once while two gates decide give each record one index, and tell one story", async () => {
  const { path, open } = newLog();
  const busyTimeoutMs = 30_000;
  const [store, second] = [open({ busyTimeoutMs }), open({ busyTimeoutMs })];
  const gates = [await openGate(store), await openGate(second)];
  const processes = await Promise.all([start(), start(), start()]);
  const answers: CheckpointAnswer[] = [];
  let working = true;
  const checkpointing = processes.map(async ({ ask }) => {
    do answers.push(await ask({ path, privateKey, times: 3 }));
    while (working);
  });
  await Promise.all(gates.map((gate, at) => work(gate, `gate-${at}`, 60)));
  working = false;
  await Promise.all(checkpointing);
  const last = await checkpointLog(store, key);
  const lines = await Array.fromAsync(store.lines());
  expect([lines.length, last.size]).toEqual([1 + 2 * 60 * 5, lines.length]);

  // Indexes were won here and there, each once and none left out.
  const won = answers.flatMap((answer) => answer.won).toSorted((a, b) => a[0] - b[0]);
  let next = 0;
  for (const [from, count] of won) {
    expect(from).toBe(next);
    next = from + count;
  }
  expect(next).toBeGreaterThan(0);
  expect(next).toBeLessThanOrEqual(last.size);

  // Every checkpoint that anybody was handed holds against the one log that there is.
  const notes = [...new Set([...answers.flatMap((answer) => answer.notes), last.note])];
  expect(notes.length).toBeGreaterThan(1);
  const report = await verifyReceipts(lines, { keys, checkpoints: notes });
  expect(report.findings).toEqual([]);
  expect(new Set(report.checkpoints?.map(({ result }) => result))).toEqual(new Set(["HOLDS"]));
  for (const answer of answers) {
    const sizes = answer.notes.map((note) => readCheckpoint(note, keys).size);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
  }
}, 60_000);

test.for(["indexing", "indexed", "signing"] as const)(
  "a process that dies while it is %s leaves a log that the next checkpoint covers",
  { timeout: 60_000 },
  async (dies) => {
    const { path, open } = newLog();
    const store = open();
    const gate = await openGate(store);
    await work(gate, "before", 10);
    const earlier = await checkpointLog(store, key);
    await work(gate, "after", 220);
    const mortal = await start();
    await expect(mortal.ask({ path, privateKey, times: 1, dies })).rejects.toThrow("ended");
    const { size } = await store.unindexed(0);
    // 1,000 at a time: whole appends to the tree, of which the first may or may not have come to be.
    if (dies === "indexing") expect([51, 1_051]).toContain(size);
    else expect(size).toBe(dies === "indexed" ? 1_051 : 1_151);
    await work(gate, "later", 10);
    const later = await checkpointLog(open(), key);
    expect(later.size).toBe(1_201);
    const lines = await Array.fromAsync(store.lines());
    const report = await verifyReceipts(lines, { keys, checkpoints: [earlier.note, later.note] });
    expect(report.findings).toEqual([]);
  },
);
