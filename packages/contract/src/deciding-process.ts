/** A process that decides under load until it is killed: 16 sequences at once, each allowed action writes a line of its own. */
import { createPrivateKey } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { createGate, DeniedError, type Gate, recordHash, signingKey } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { answerQuestions } from "./child-process.ts";
import { RACE_POLICY } from "./gate-races.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

/** The deadline is a second; a busy machine may need more to fire a timer. */
const LATE_MS = 2500;

/** Begins the load. */
export interface LifeQuestion {
  readonly log: LogPlace;
  readonly gateId: string;
  readonly privateKey: string;
  readonly saltKey: string;
  /** Each executed action appends `sequence_id seq record_hash` to this file. */
  readonly executedPath: string;
  readonly sequences: readonly string[];
}

/** The first decision of this life, or why there is none. */
export interface LifeAnswer {
  readonly decided: string;
}

answerQuestions<LifeQuestion, LifeAnswer>(async (question) => {
  const gate = await createGate({
    policies: [compilePolicy(RACE_POLICY)],
    store: await openLog(question.log),
    signer: signingKey(createPrivateKey(question.privateKey)),
    saltKey: Buffer.from(question.saltKey, "hex"),
    gateId: question.gateId,
  });
  const executed = openSync(question.executedPath, "a");
  const firsts = question.sequences.map(async (sequenceId) => {
    const decided = await beginSequence(gate, sequenceId);
    void work(gate, sequenceId, executed);
    return decided;
  });
  return { decided: await Promise.race(firsts) };
});

/** Opens the sequence, or is denied where an earlier life has. */
async function beginSequence(gate: Gate, sequence_id: string): Promise<string> {
  const decision = await gate.decide({ sequence_id, function: "intake", action_type: "READ" });
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
}

/** Every fourth call is one that the policy denies. */
async function work(gate: Gate, sequence_id: string, executed: number): Promise<void> {
  for (let call = 1; ; call++) {
    const action_type = call % 4 === 0 ? "WRITE" : "READ";
    const began = performance.now();
    try {
      await gate.enforce({ sequence_id, function: "lookup", action_type }, (_args, allow) => {
        if (allow !== undefined)
          writeSync(executed, `${sequence_id} ${allow.receipt.seq} ${recordHash(allow.receipt)}\n`);
      });
    } catch (error) {
      if (!DeniedError.isInstance(error)) throw error;
    }
    const took = performance.now() - began;
    if (took > LATE_MS) console.error(`an answer took ${took.toFixed(0)} ms`);
  }
}
