/** `pnpm endurance`: the long versions of the races between processes and of the killing, on any kind of store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand, wholeNumber } from "./command-line.ts";
import { raceProcesses, raceProcessesForLimits } from "./process-race.ts";
import { killRepeatedly } from "./repeated-kill.ts";
import { storeNamed } from "./store-named.ts";
import { type LogPlace, onNewLog, type StoreUnderTest } from "./store-under-test.ts";

const HELP = `pnpm endurance race|limits|kill [options]

  race      64 submissions of one step, then with one nonce, from four processes: exactly one ALLOW a round
  limits    64 submissions against each kind of limit from four processes: as many ALLOWs as it has room for
  kill      kill -9 of a process that decides under load, again and again on one log

  --store NAME     sqlite, postgres or redis (default sqlite)
  --rounds N       rounds of each race, or kills (default 1000)
  --seed N         draws the moments of the kills (default 1)
  --json           one JSON object a line instead of sentences
  --help

Exits 1 where a promise was broken, 2 where the command is wrong or the store is not on this machine.
DATABASE_URL and REDIS_URL name a server of your own (CONTRIBUTING.md).`;

/** What one run tells. */
interface Finding {
  readonly says: string;
  readonly violations: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

await runCommand(
  HELP,
  { store: "sqlite", rounds: "1000", seed: "1" },
  async ({ values, json, words: [command] }) => {
    const rounds = wholeNumber("rounds", values.rounds);
    const store = await storeNamed(values.store);
    const found = await run(command, store, rounds, wholeNumber("seed", values.seed, 0));
    for (const { says, violations, figures } of found) {
      console.log(json ? JSON.stringify({ store: store.name, ...figures, violations }) : says);
      if (!json) for (const violation of violations) console.error(violation);
    }
    return found.some(({ violations }) => violations.length > 0) ? 1 : 0;
  },
);

async function run(
  command: string | undefined,
  store: StoreUnderTest,
  rounds: number,
  seed: number,
): Promise<readonly Finding[]> {
  const onLog = <T>(work: (log: LogPlace) => Promise<T>): Promise<T> =>
    onNewLog(store, (_log, place) => work(place));
  switch (command) {
    case "race":
      return [
        await onLog((log) => race("step", rounds, log)),
        await onLog((log) => race("nonce", rounds, log)),
      ];
    case "limits":
      return [await onLog((log) => limits(rounds, log))];
    case "kill":
      return [await onLog((log) => kill(rounds, seed, log))];
    default:
      throw new TypeError("say race, limits or kill");
  }
}

async function race(kind: "step" | "nonce", rounds: number, log: LogPlace): Promise<Finding> {
  const { violations, allowed } = await raceProcesses(kind, rounds, log);
  const says = `${rounds} rounds of 64 submissions of one ${kind} from four processes: ${violations.length} violations; rounds in which each process was allowed: ${allowed.join(", ")}`;
  return { says, violations, figures: { race: kind, rounds, allowed } };
}

async function limits(rounds: number, log: LogPlace): Promise<Finding> {
  const { violations, allowed } = await raceProcessesForLimits(rounds, log);
  const says = `${rounds} rounds of 64 submissions against each kind of limit from four processes: ${violations.length} violations; submissions of each process that were allowed: ${allowed.join(", ")}`;
  return { says, violations, figures: { race: "limits", rounds, allowed } };
}

async function kill(kills: number, seed: number, log: LogPlace): Promise<Finding> {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  const { violations, ...figures } = await killRepeatedly({ kills, seed, log, folder });
  rmSync(folder, { recursive: true });
  const { executed, records, closedAsUnknown } = figures;
  const says = `${kills} kills (--seed ${seed}): ${executed} actions executed, ${records} records, ${closedAsUnknown} ALLOWs closed as unknown; ${violations.length} violations`;
  return { says, violations, figures: { kills, seed, ...figures } };
}
