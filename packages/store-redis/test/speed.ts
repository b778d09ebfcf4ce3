/**
 * Appends and decisions a second on Redis beside the floor of the same server through the same client:
 * `node packages/store-redis/test/speed.ts [seconds a cell] [rounds]`. Rounds of all cells are interleaved, so that a busy
 * minute of the machine falls on all of them; printed are medians, and shares of the floor with as many in flight.
 */
import { randomBytes } from "node:crypto";
import { createClient } from "@redis/client";
import { RACE_POLICY, sampleRecord } from "@stepgate/contract";
import { createGate, generateSigningKey, type Store } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { floorOf } from "./floor.ts";
import { newPrefix, openStore, removeLog, removeSharedServer, sharedServer } from "./new-log.ts";

const IN_FLIGHT = [1, 8, 64, 512];
const CALLS_A_SEQUENCE = 50;
const RECORD_BYTES = 900;
const [seconds = 1, rounds = 5] = process.argv.slice(2).map(Number);

const url = await sharedServer();
const prefix = newPrefix();
const store = openStore(url, { prefix });
const gate = await createGate({
  policies: [compilePolicy(RACE_POLICY)],
  signer: generateSigningKey(),
  saltKey: randomBytes(32),
  store,
  deadlineMs: 10_000,
});
const client = createClient({ url });
await client.connect();
const floor = floorOf(client, prefix);

type Step = (lane: number, count: number) => Promise<unknown>;
const kinds: readonly (readonly [name: string, step: () => Step])[] = [
  ["floor: XADD of 900 bytes", () => () => floor("x".repeat(RECORD_BYTES))],
  ["store: appends of 900 bytes", () => appends(store)],
  ["gate: signed decisions", decisions],
];
const results = new Map<string, number[]>();
for (let round = 0; round < rounds; round++) {
  for (const lanes of IN_FLIGHT)
    for (const [name, step] of kinds) {
      const key = `${name}, ${lanes} in flight`;
      results.set(key, [...(results.get(key) ?? []), await perSecond(lanes, step())]);
    }
}
for (const lanes of IN_FLIGHT) {
  const rates = kinds.map(([name]) => median(results.get(`${name}, ${lanes} in flight`) ?? []));
  for (const [at, [name]] of kinds.entries())
    console.log(
      `${`${name}, ${lanes} in flight`.padEnd(48)}${(rates[at] ?? 0).toFixed(0).padStart(8)}/s ${((rates[at] ?? 0) / (rates[0] ?? 1)).toFixed(2)}`,
    );
}
await gate.close();
await client.close();
await removeLog(url, prefix);
await removeSharedServer();

/** How often `step` ends in a second, with so many under way at any time. */
async function perSecond(lanes: number, step: Step): Promise<number> {
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
function decisions(): Step {
  const run = randomBytes(4).toString("hex");
  return async (lane, count) => {
    const sequence_id = `${run}-${lane}-${Math.floor(count / CALLS_A_SEQUENCE)}`;
    const name = count % CALLS_A_SEQUENCE === 0 ? "intake" : "lookup";
    const args = { query: "a", limit: 10 };
    const { decision } = await gate.decide({
      sequence_id,
      function: name,
      action_type: "READ",
      args,
    });
    if (decision !== "ALLOW") throw new Error("a call of the benchmark was denied");
  };
}

function appends(to: Store): Step {
  const run = randomBytes(4).toString("hex");
  return async (lane, count) => {
    const sequence_id = `${run}-${lane}-${Math.floor(count / CALLS_A_SEQUENCE)}`;
    const seq = count % CALLS_A_SEQUENCE;
    const content = "x".repeat(RECORD_BYTES - 90);
    const records = [sampleRecord(sequence_id, seq, content, { nonce: `${count}` })] as const;
    const answer = await to.append({ sequence_id, records });
    if (answer !== "won") throw new Error(`an append of the benchmark was ${answer}`);
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
