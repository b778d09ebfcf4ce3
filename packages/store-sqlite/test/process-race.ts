/** The race between four processes on one file: each has a gate and a store of its own, and they share a log and keys. */
import { join } from "node:path";
import type { ActionInput } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { openRacingGates, RACE_DEADLINE_MS, type RaceKind, raceGates } from "@stepgate/contract";
import { type ScriptProcess, startScript } from "./child-process.ts";
import type { GateAnswer, GateQuestion } from "./gate-process.ts";

const PROCESSES = 4;

/** What came of a race. */
export interface ProcessRaceReport {
  readonly violations: readonly string[];
  /** How many rounds each process was allowed in. */
  readonly allowed: readonly number[];
}

/** Runs `rounds` of 64 submissions, 16 from each of four processes, on a new log in `folder`. */
export async function raceProcesses(
  kind: RaceKind,
  rounds: number,
  folder: string,
): Promise<ProcessRaceReport> {
  const path = join(folder, "race.db");
  const store = sqliteStore({ path, busyTimeoutMs: RACE_DEADLINE_MS });
  const { gates, key, saltKey, trust } = await openRacingGates([store]);
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  const privateKey = String(key.privateKey.export({ type: "pkcs8", format: "pem" }));
  const processes = await Promise.all(
    Array.from({ length: PROCESSES }, () =>
      startScript<GateQuestion, GateAnswer>("gate-process.ts"),
    ),
  );
  const question = {
    ask: "open",
    path,
    privateKey,
    saltKey: Buffer.from(saltKey).toString("hex"),
    deadlineMs: RACE_DEADLINE_MS,
  } as const;
  await Promise.all(processes.map(({ ask }) => ask(question)));
  const allowed = processes.map(() => 0);
  const submit = async (inputs: readonly ActionInput[]) => {
    const told = await Promise.all(processes.map((one, index) => submitShare(one, index, inputs)));
    for (const [index, answers] of told.entries())
      allowed[index] = (allowed[index] ?? 0) + allows(answers);
    return told.flat();
  };
  const violations = await raceGates({ kind, rounds, gate, store, trust, submit });
  const errors = await Promise.all(processes.map(({ end }) => end()));
  await gate.close();
  return { violations: [...violations, ...errors.filter((text) => text !== "")], allowed };
}

/** Every fourth input, so that each process asks for every step. */
async function submitShare(
  { ask }: ScriptProcess<GateQuestion, GateAnswer>,
  index: number,
  inputs: readonly ActionInput[],
) {
  const share = inputs.filter((_, racer) => racer % PROCESSES === index);
  return (await ask({ ask: "submit", inputs: share })).answers;
}

function allows(answers: GateAnswer["answers"]): number {
  return answers.filter(({ decision }) => decision === "ALLOW").length;
}
