/** Files of many receipts, quickly: one gate, many runs at once, batch signatures. */
import { createGate, exportKeySet, generateSigningKey, memoryStore } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { testSecret } from "./test-keys.ts";

/** A sound file, and whom to believe. */
export interface ManyReceipts {
  readonly file: Buffer;
  readonly records: number;
  /** All of them open. */
  readonly sequences: number;
  readonly keys: ReturnType<typeof exportKeySet>;
}

const POLICY = {
  schema: "stepgate.policy/1",
  id: "many",
  version: "1",
  sequence: "close",
  functions: { look: { step: "*", actions: ["READ"] }, close: ["SEAL"] },
};
const A_SEQUENCE = 25;
const AT_ONCE = 250;

/** At least so many records, in sequences of 25. */
export async function recordMany(records: number): Promise<ManyReceipts> {
  const [key, store] = [generateSigningKey(), memoryStore()];
  const gate = await createGate({
    store,
    signer: key,
    policies: [compilePolicy(POLICY)],
    saltKey: testSecret("salt"),
    deadlineMs: 60_000,
  });
  const call = { function: "look", action_type: "READ" };
  const run = async (sequence_id: string): Promise<void> => {
    for (let calls = 1; calls < A_SEQUENCE; calls++) await gate.decide({ sequence_id, ...call });
  };
  const sequences = Math.ceil(records / A_SEQUENCE);
  for (let from = 0; from < sequences; from += AT_ONCE) {
    const some = Math.min(AT_ONCE, sequences - from);
    await Promise.all(Array.from({ length: some }, (_, at) => run(`run-${from + at}`)));
  }
  const lines = await Array.fromAsync(store.lines());
  const file = Buffer.from(lines.map((line) => `${line}\n`).join(""));
  return { file, records: lines.length, sequences, keys: exportKeySet([key]) };
}
