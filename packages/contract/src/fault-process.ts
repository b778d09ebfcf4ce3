/** A process with a gate that faults are done to, and its clients. Its clock can be set. */
import { createPrivateKey } from "node:crypto";
import { createGate, type Gate, GateError, signingKey } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { answerQuestions } from "./child-process.ts";
import { type FaultWork, startFaultClients, type Working } from "./fault-clients.ts";
import { RACE_POLICY } from "./gate-races.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

/** How a clock goes: right, an hour off, or not at all. */
export type ClockFault = "right" | "forward" | "backward" | "frozen";

/** What it may be asked. */
export type FaultQuestion =
  | {
      /** `open-another`: one more gate of this process, under another id, which is closed at once. */
      readonly ask: "open" | "open-another";
      readonly log: LogPlace;
      readonly gateId: string;
      readonly privateKey: string;
      readonly saltKey: string;
      readonly deadlineMs: number;
    }
  | ({ readonly ask: "work" } & FaultWork)
  | { readonly ask: "clock"; readonly clock: ClockFault }
  /** One decision on a new sequence. */
  | { readonly ask: "probe"; readonly sequenceId: string }
  | { readonly ask: "rest" }
  | { readonly ask: "close" };

/** What a gate is opened with. */
export type Opening = Extract<FaultQuestion, { readonly log: LogPlace }>;

/** What it answers: how long it took by a monotonic clock, and `ALLOW`, or the code of a denial or an error. */
export interface FaultAnswer {
  readonly ms: number;
  readonly answer: string;
}

const HOUR_MS = 3_600_000;
let clock: () => number = Date.now;
let gate: Gate | undefined;
let working: Working | undefined;

answerQuestions<FaultQuestion, FaultAnswer>(async (question) => {
  const began = performance.now();
  const answer = await obey(question).catch(codeOf);
  return { ms: performance.now() - began, answer };
});

async function obey(question: FaultQuestion): Promise<string> {
  switch (question.ask) {
    case "open":
      gate = await open(question);
      return "ALLOW";
    case "open-another":
      await (await open({ ...question, gateId: `${question.gateId}-another` })).close();
      return "ALLOW";
    case "work":
      working = startFaultClients(opened(), question);
      return "ALLOW";
    case "clock":
      clock = clockOf(question.clock);
      return "ALLOW";
    case "probe": {
      const { sequenceId: sequence_id } = question;
      const call = { function: "intake", action_type: "READ" };
      const decision = await opened().decide({ sequence_id, ...call });
      return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
    }
    case "rest":
      await working?.rest();
      return "ALLOW";
    case "close":
      await gate?.close();
      return "ALLOW";
  }
}

/** A store whose gate could not be made is closed again: a supervisor tries anew, and must not pile them up. */
async function open(question: Opening): Promise<Gate> {
  const store = await openLog(question.log);
  try {
    return await createGate({
      policies: [compilePolicy(RACE_POLICY)],
      store,
      signer: signingKey(createPrivateKey(question.privateKey)),
      saltKey: Buffer.from(question.saltKey, "hex"),
      gateId: question.gateId,
      deadlineMs: question.deadlineMs,
      maxDenialsPerSecond: 100_000,
      clock: () => clock(),
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}

function opened(): Gate {
  if (gate === undefined) throw new TypeError("the gate was not opened");
  return gate;
}

function clockOf(fault: ClockFault): () => number {
  const now = Date.now();
  switch (fault) {
    case "right":
      return Date.now;
    case "forward":
      return () => Date.now() + HOUR_MS;
    case "backward":
      return () => Date.now() - HOUR_MS;
    case "frozen":
      return () => now;
  }
}

/** Everything that is thrown at a host must have a code. */
function codeOf(error: unknown): string {
  return GateError.isInstance(error) ? error.code : `without a code: ${String(error)}`;
}
