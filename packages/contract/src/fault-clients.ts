/**
 * Clients of a gate that faults are done to: they ask for decisions as a seed has it, execute what is allowed by a durable
 * line in a log of their own, and note every call before it is made and every answer after it came.
 */
import { randomBytes } from "node:crypto";
import { fsyncSync, openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Decision, type Gate, GateError, recordHash } from "@stepgate/core";
import type { DecisionCall } from "./decision-model.ts";
import { seededRandom } from "./seeded-random.ts";

/** The work of all clients of one process. */
export interface FaultWork {
  /** Begins the names of the sequences, which other processes work on too. */
  readonly run: string;
  readonly sequences: number;
  readonly clients: number;
  readonly seed: number;
  /** Notes of calls and answers; one JSON object a line. Not synced: what kills a process loses no writes. */
  readonly notesPath: string;
  /** One line an executed action, synced before the next call: `sequence_id seq record_hash`. */
  readonly executedPath: string;
}

/** A line of the notes. */
export type Note =
  | ({
      readonly note: "call";
      readonly attempt: string;
      readonly sequence_id: string;
      readonly at: string;
    } & DecisionCall)
  | {
      readonly note: "answer";
      readonly attempt: string;
      readonly at: string;
      /** `ALLOW`, or the code of the denial. */
      readonly answer: string;
      readonly seq?: number;
      readonly hash?: string;
    }
  /** Something that no client may ever see. */
  | { readonly note: "complaint"; readonly says: string };

/** Clients at work. */
export interface Working {
  /** Lets each finish the call that it is at, and resolves when all have. */
  rest(): Promise<void>;
}

/** After a denial that a fault made, a client waits a moment, as any would. */
const PAUSE_MS = 25;

/** Starts the clients; they work until they are told to rest, or the process ends. */
export function startFaultClients(gate: Gate, work: FaultWork): Working {
  const notes = openSync(work.notesPath, "a");
  const executed = openSync(work.executedPath, "a");
  const generations = Array.from({ length: work.sequences }, () => 0);
  let resting = false;

  function note(one: Note): void {
    writeSync(notes, `${JSON.stringify(one)}\n`);
  }

  async function client(nth: number): Promise<void> {
    const random = seededRandom(work.seed * 1_000 + nth);
    while (!resting) {
      const at = Math.floor(random() * work.sequences);
      const sequence_id = `${work.run}/${at}.${generations[at]}`;
      const call = callOf(random, () => `${work.seed}-${nth}-${random()}`);
      const answer = await ask(sequence_id, call);
      if (answer === "SEALED_SEQUENCE" && sequence_id.endsWith(`.${generations[at]}`))
        generations[at] = (generations[at] ?? 0) + 1;
      await sleep(answer === "STORE_UNAVAILABLE" ? PAUSE_MS : random() * 4);
    }
  }

  async function ask(sequence_id: string, call: DecisionCall): Promise<string> {
    const attempt = randomBytes(16).toString("base64url");
    note({ note: "call", attempt, sequence_id, at: `${process.hrtime.bigint()}`, ...call });
    const decision = await gate.decide({ sequence_id, attempt, ...call });
    const at = `${process.hrtime.bigint()}`;
    const { receipt } = decision;
    const told = receipt === undefined ? {} : { seq: receipt.seq, hash: recordHash(receipt) };
    const answer = decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
    note({ note: "answer", attempt, at, answer, ...told });
    await execute(decision);
    return answer;
  }

  /** The action: a line that is durable before anything else is done, and then its outcome. */
  async function execute(decision: Decision): Promise<void> {
    if (decision.decision !== "ALLOW") return;
    const { receipt } = decision;
    writeSync(executed, `${receipt.sequence_id} ${receipt.seq} ${recordHash(receipt)}\n`);
    fsyncSync(executed);
    try {
      await gate.outcome(decision, { status: "succeeded" });
    } catch (error) {
      // It may not be known; then the ALLOW stays open until a gate closes it.
      if (!GateError.isInstance(error) || error.code !== "STORE_UNAVAILABLE")
        note({ note: "complaint", says: `outcome: ${String(error)}` });
    }
  }

  const lanes = Array.from({ length: work.clients }, (_, nth) =>
    client(nth).catch((error: unknown) =>
      note({ note: "complaint", says: `a client was thrown at: ${String(error)}` }),
    ),
  );
  return {
    async rest() {
      resting = true;
      await Promise.all(lanes);
    },
  };
}

/** Mostly work, sometimes out of order, with a wrong action, or with a nonce that others use too; seldom the end. */
function callOf(random: () => number, fresh: () => string): DecisionCall {
  const nonce = random() < 0.15 ? `shared-${Math.floor(random() * 12)}` : fresh();
  const kind = random();
  if (kind < 0.12) return { function: "intake", action_type: "READ", nonce };
  if (kind < 0.15) return { function: "settle", action_type: "SEAL", nonce };
  if (kind < 0.22) return { function: "transfer", action_type: "READ", nonce };
  const [name, action_type] = WORK[Math.floor(random() * WORK.length)] ?? WORK[0];
  return { function: name, action_type, nonce };
}

const WORK = [
  ["lookup", "READ"],
  ["draft", "READ"],
  ["transfer", "WRITE"],
  ["notify", "SEND"],
] as const;
