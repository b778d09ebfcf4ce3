/** Races between four processes on one log: each has a gate and a store of its own, and they share a log and keys. */
import type { ActionInput } from "@stepgate/core";
import { type ScriptProcess, startScript } from "./child-process.ts";
import type { GateAnswer, GateQuestion } from "./gate-process.ts";
import {
  openRacingGates,
  RACE_DEADLINE_MS,
  RACE_POLICY,
  type RaceKind,
  raceGates,
} from "./gate-races.ts";
import { LIMIT_KINDS, LIMIT_POLICY, raceLimits, watchCounters } from "./limit-races.ts";
import { type LogPlace, openLog } from "./store-under-test.ts";

const PROCESSES = 4;

/** What came of a race. */
export interface ProcessRaceReport {
  readonly violations: readonly string[];
  /** How many submissions of each process were allowed. */
  readonly allowed: readonly number[];
}

/** Runs `rounds` of 64 submissions, 16 from each of four processes, on an empty log. */
export async function raceProcesses(
  kind: RaceKind,
  rounds: number,
  log: LogPlace,
): Promise<ProcessRaceReport> {
  const race = await openProcesses(RACE_POLICY, log);
  return race.end(await raceGates({ kind, rounds, ...race.parts }));
}

/** The same for limits: `rounds` of each kind, one kind after the other. */
export async function raceProcessesForLimits(
  rounds: number,
  log: LogPlace,
): Promise<ProcessRaceReport> {
  const race = await openProcesses(LIMIT_POLICY, log);
  const violations: string[] = [];
  for (const kind of LIMIT_KINDS)
    violations.push(...(await raceLimits({ kind, rounds, ...race.parts })));
  return race.end(violations);
}

async function openProcesses(document: object, log: LogPlace) {
  const store = watchCounters(await openLog(log, { patienceMs: RACE_DEADLINE_MS }));
  const { gates, key, saltKey, trust } = await openRacingGates([store], "ed25519", document);
  const [gate] = gates;
  if (gate === undefined) throw new Error("no gate");
  const privateKey = String(key.privateKey.export({ type: "pkcs8", format: "pem" }));
  const processes = await Promise.all(
    Array.from({ length: PROCESSES }, () =>
      startScript<GateQuestion, GateAnswer>(new URL("gate-process.ts", import.meta.url)),
    ),
  );
  const question = {
    ask: "open",
    log,
    privateKey,
    saltKey: Buffer.from(saltKey).toString("hex"),
    deadlineMs: RACE_DEADLINE_MS,
    document,
  } as const;
  await Promise.all(processes.map(({ ask }) => ask(question)));
  const allowed = processes.map(() => 0);
  const submit = async (inputs: readonly ActionInput[]) => {
    const told = await Promise.all(processes.map((one, index) => submitShare(one, index, inputs)));
    for (const [index, answers] of told.entries())
      allowed[index] = (allowed[index] ?? 0) + allows(answers);
    return told.flat();
  };
  return {
    parts: { gate, store, trust, submit },
    /** Ends the processes; what they complained of is a violation too. */
    async end(violations: readonly string[]): Promise<ProcessRaceReport> {
      const errors = await Promise.all(processes.map(({ end }) => end()));
      await gate.close();
      return { violations: [...violations, ...errors.filter((text) => text !== "")], allowed };
    },
  };
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
