/**
 * The long versions of the race between processes and of the killing, for as many rounds as one likes:
 * `node packages/store-sqlite/test/endurance.ts race [rounds]`, `… limits [rounds of each kind]`,
 * `… kill [kills] [seed]`. Exits 1 where a promise was broken.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { raceProcesses, raceProcessesForLimits } from "./process-race.ts";
import { killRepeatedly } from "./repeated-kill.ts";

const [command, count = "1000", seed = "1"] = process.argv.slice(2);
const violations = await run();
for (const violation of violations) console.error(violation);
process.exitCode = violations.length === 0 ? 0 : 1;

async function run(): Promise<readonly string[]> {
  if (command === "race") return [...(await race("step")), ...(await race("nonce"))];
  if (command === "limits") return limits();
  if (command === "kill") return kill();
  throw new TypeError("say race [rounds], limits [rounds of each kind] or kill [kills] [seed]");
}

async function race(kind: "step" | "nonce"): Promise<readonly string[]> {
  const { violations: found, allowed } = await inNewFolder((folder) =>
    raceProcesses(kind, Number(count), folder),
  );
  console.log(
    `${count} rounds of 64 submissions of one ${kind} from four processes: ${found.length} violations;`,
  );
  console.log(`  rounds in which each process was allowed: ${allowed.join(", ")}`);
  return found;
}

async function limits(): Promise<readonly string[]> {
  const { violations: found, allowed } = await inNewFolder((folder) =>
    raceProcessesForLimits(Number(count), folder),
  );
  console.log(
    `${count} rounds of 64 submissions against each kind of limit from four processes: ${found.length} violations;`,
  );
  console.log(`  submissions of each process that were allowed: ${allowed.join(", ")}`);
  return found;
}

async function kill(): Promise<readonly string[]> {
  const report = await inNewFolder((folder) =>
    killRepeatedly({ kills: Number(count), seed: Number(seed), folder }),
  );
  const { executed, records, closedAsUnknown, violations: found } = report;
  console.log(
    `${count} kills: ${executed} actions executed, ${records} records, ${closedAsUnknown} ALLOWs closed as unknown; ${found.length} violations`,
  );
  return found;
}

async function inNewFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
