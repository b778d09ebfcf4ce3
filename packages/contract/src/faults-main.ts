/** `pnpm faults`: scenarios of faults on one kind of store, each made again by its seed. */
import { runCommand, wholeNumber } from "./command-line.ts";
import { startCluster } from "./fault-cluster.ts";
import { type FaultKind, planFault } from "./fault-plan.ts";
import { faultKinds, type FaultReport, judgeWholeLog, runFault } from "./fault-run.ts";
import { storeNamed } from "./store-named.ts";
import { type LogUnderTest, onNewLog, type StoreUnderTest } from "./store-under-test.ts";

const HELP = `pnpm faults [options]

Two gates in processes of their own decide on the same sequences of one log, while something goes wrong: a gate or the
server is killed or stopped, the network is slow, cut, reset in the midst of a commit, or silent, a clock is an hour
off, there are too many open files. After each run everything is judged: every executed action has its durable receipt,
no fork, no gap, no second ALLOW, every denial has a code and came in time, each gate allows again by itself, and every
sequence's history is linearizable. The whole log is verified every ${"RUNS_A_LOG"} runs and at the end.

  --store NAME     sqlite, postgres or redis (default sqlite)
  --runs N         scenarios (default 20)
  --seed N         the first one's seed; each further run takes the next (default 1)
  --only KIND      one kind of fault, e.g. server-killed; default: each in turn
  --margin MS      what an answer may take beyond the gate's deadline of a second (default 750)
  --json           one JSON object a run instead of a line
  --help

A run that fails prints its seed: 'pnpm faults --store NAME --seed THAT --runs 1' does the same to the same processes at
the same moments (--only, where it was given); how far they have come by then is the machine's affair.
Exits 1 where a promise was broken. DATABASE_URL and REDIS_URL name a server of your own, which is not killed.`;

/** One log grows over so many runs, and is verified whole. */
const RUNS_A_LOG = 20;

await runCommand(
  HELP.replace("RUNS_A_LOG", `${RUNS_A_LOG}`),
  { store: "sqlite", runs: "20", seed: "1", only: "", margin: "750" },
  async ({ values, json }) => {
    const store = await storeNamed(values.store);
    const runs = wholeNumber("runs", values.runs);
    const first = wholeNumber("seed", values.seed, 0);
    const margin = wholeNumber("margin", values.margin, 0);
    let failed = 0;
    for (let done = 0; done < runs; done += RUNS_A_LOG) {
      const seeds = Array.from(
        { length: Math.min(RUNS_A_LOG, runs - done) },
        (_, nth) => first + done + nth,
      );
      failed += await runOnLog(store, seeds, { only: values.only, margin, json });
    }
    if (!json) console.log(`${runs} runs on ${store.name}: ${failed} broke a promise`);
    return failed === 0 ? 0 : 1;
  },
);

interface Options {
  readonly only: string;
  readonly margin: number;
  readonly json: boolean;
}

/** Resolves to how many runs broke a promise; the whole log counts as one more. */
async function runOnLog(
  store: StoreUnderTest,
  seeds: readonly number[],
  options: Options,
): Promise<number> {
  let left = seeds;
  let failed = 0;
  while (left.length > 0) {
    const done = await onNewLog(store, (log) => runOnCluster(store, log, left, options));
    failed += done.failed;
    left = left.slice(done.runs);
  }
  return failed;
}

/** Runs until all are done, or one leaves no cluster to go on with: a gate that ended by itself broke its promise. */
async function runOnCluster(
  store: StoreUnderTest,
  log: LogUnderTest,
  seeds: readonly number[],
  options: Options,
): Promise<{ readonly runs: number; readonly failed: number }> {
  const kinds = kindsOf(log, options.only);
  const cluster = await startCluster(store, log);
  let [runs, failed] = [0, 0];
  for (const seed of seeds) {
    runs++;
    const plan = planFault(seed, kinds);
    try {
      const report = await runFault(cluster, plan, options.margin);
      tell(store.name, report, options.json);
      if (report.violations.length > 0) failed++;
    } catch (error) {
      console.error(`seed ${seed} ${plan.kind}: ${String(error)}`);
      await cluster.abandon();
      return { runs, failed: failed + 1 };
    }
  }
  const whole = [...(await judgeWholeLog(cluster)), ...(await cluster.close())];
  for (const violation of whole)
    console.error(`seeds ${seeds[0]} to ${seeds.at(-1)}: ${violation}`);
  return { runs, failed: failed + (whole.length === 0 ? 0 : 1) };
}

function kindsOf(log: LogUnderTest, only: string): readonly FaultKind[] {
  const all = faultKinds(log);
  const kinds = only === "" ? all : all.filter((kind) => kind === only);
  if (kinds.length > 0) return kinds;
  throw new TypeError(`--only is one of ${all.join(", ")}, not '${only}'`);
}

function tell(store: string, report: FaultReport, json: boolean): void {
  if (json) return console.log(JSON.stringify({ store, ...report }));
  const { plan, calls, allowed, unknown, executed, slowestDenialMs, recoveredMs, violations } =
    report;
  const what = `seed ${plan.seed} ${plan.kind} ${plan.lastsMs} ms`.padEnd(42);
  console.log(
    `${what} ${calls} calls, ${allowed} allowed, ${executed} executed, ${unknown} unknown; slowest denial ${slowestDenialMs} ms, recovered in ${recoveredMs} ms; ${violations.length} violations`,
  );
  for (const violation of violations.slice(0, 10)) console.error(`  ${violation}`);
}
