/** A process with a gate of its own on a log that it shares: decides what it is asked, all of it at once. */
import { createPrivateKey } from "node:crypto";
import { type ActionInput, createGate, type Gate, signingKey } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { answerQuestions } from "./child-process.ts";
import { type RaceAnswer, submitTo } from "./gate-races.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

/** What it may be asked; the first question opens the gate. */
export type GateQuestion =
  | {
      readonly ask: "open";
      readonly log: LogPlace;
      readonly privateKey: string;
      readonly saltKey: string;
      readonly deadlineMs: number;
      /** The policy of the race, as a document. */
      readonly document: object;
    }
  | { readonly ask: "submit"; readonly inputs: readonly ActionInput[] };

/** What it answers. */
export interface GateAnswer {
  readonly answers: readonly RaceAnswer[];
}

const gates: Gate[] = [];
// Nobody asks any more: a pool's idle connections would keep the process for ten seconds.
process.once("disconnect", () => gates.forEach((gate) => void gate.close()));
answerQuestions<GateQuestion, GateAnswer>(async (question) => {
  if (question.ask === "submit") return { answers: await submitTo(gates)(question.inputs) };
  const gate = await createGate({
    policies: [compilePolicy(question.document)],
    store: await openLog(question.log, { patienceMs: question.deadlineMs }),
    signer: signingKey(createPrivateKey(question.privateKey)),
    saltKey: Buffer.from(question.saltKey, "hex"),
    deadlineMs: question.deadlineMs,
  });
  gates.push(gate);
  return { answers: [] };
});
