/** A sample of the mutants of the sound file of 5,000 records; `node packages/contract/src/mutants-main.ts` judges them all. */
import { beforeAll, describe, expect, test } from "vitest";
import { judge, mutantJudge } from "../src/judge-mutants.ts";
import { type Attack, bytesOf } from "../src/mutant.ts";
import { receiptMutants, type Soundness, soundness } from "../src/receipt-mutants.ts";

// A prime: eight bits of each byte and 25 records of each sequence all have their turn.
const SAMPLED = 61;
const ATTACKS: readonly Attack[] = [
  "bit flipped",
  "record deleted",
  "tail cut off",
  "sequence deleted",
  "records swapped",
  "record doubled",
  "splice between sequences",
  "splice between logs",
  "form broken",
  "key substituted",
  "algorithm or version changed",
  "signature stripped",
  "batch path or index changed",
  "rewritten with the MAC's secret",
  "rewritten under a rotated key",
  "rewritten under a revoked key",
  "rewritten under the gate's key",
  "appended after the seal",
  "outcome forged",
  "approval forged",
  "decision or opening forged",
  "policy record forged",
  "key record forged",
  "nothing, under other keys",
];
let sound: Soundness;

beforeAll(async () => {
  sound = await soundness();
}, 120_000);

describe("two verifiers that share no code", () => {
  test("find nothing in 5,000 records of 200 sequences, and give them one verdict", () => {
    const { file } = sound;
    expect(file.lines.filter((line) => !line.includes('"@log"'))).toHaveLength(5_000);
    const { core, second } = judge(bytesOf(file.lines), { keys: file.keys, secrets: file.secrets });
    expect([core.result, core.findings, second.findings]).toEqual(["sound", [], []]);
    expect(new Set(second.verdicts.values())).toEqual(new Set(["OPEN", "SEALED"]));
    expect(core.sequences.map(({ sequence_id, verdict }) => [sequence_id, verdict])).toEqual([
      ...second.verdicts,
    ]);
  });

  test("say of every mutant what was done to it, and agree in each finding after it", () => {
    const { file } = sound;
    const judged = mutantJudge({ keys: file.keys, secrets: file.secrets });
    let made = 0;
    const attacks = new Set<Attack>();
    const faults: string[] = [];
    const offset = 5;
    for (const mutant of receiptMutants(sound)) {
      attacks.add(mutant.attack);
      if (made++ % SAMPLED !== offset) continue;
      const { fault } = judged(mutant);
      if (fault !== undefined) faults.push(fault);
    }
    expect(made).toBeGreaterThan(10_000);
    expect([...attacks].toSorted()).toEqual(ATTACKS.toSorted());
    expect(faults).toEqual([]);
  }, 900_000);
});
