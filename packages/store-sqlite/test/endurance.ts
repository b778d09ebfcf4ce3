/**
 * The long versions of this store's own faults: `pnpm --filter @stepgate/store-sqlite endurance power|disk|flips [runs] [seed]`.
 * Exits 1 where a promise was broken; what it prints names the seed. Races and kills: `pnpm endurance`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawFault } from "./disk-faults.ts";
import { buildLayer } from "./file-layer.ts";
import { flipBytes } from "./flipped-bytes.ts";
import { losePower } from "./lost-power.ts";

const MODULES = [
  new URL("inline-store.ts", import.meta.url).href,
  new URL("store-under-test.ts", import.meta.url).href,
] as const;
const LOSSES_A_LIFE = 10;

const [command, count = "200", seed = "1"] = process.argv.slice(2);
const violations = await run(Number(count), Number(seed));
for (const violation of violations) console.error(violation);
process.exitCode = violations.length === 0 ? 0 : 1;

async function run(runs: number, first: number): Promise<readonly string[]> {
  if (command === "power") return lives(runs, first, () => undefined);
  if (command === "disk") return lives(runs, first, drawFault);
  if (command === "flips") return flips(runs, first);
  throw new TypeError("say power [lives] [seed], disk [lives] [seed] or flips [bytes] [seed]");
}

/** Each life of a gate has a seed of its own, loses power at ten moments, and may meet a failing disk. */
async function lives(
  runs: number,
  first: number,
  faultOf: (seed: number) => string | undefined,
): Promise<readonly string[]> {
  const layer = buildLayer();
  if (!("library" in layer)) throw new Error(layer.missing);
  const found: string[] = [];
  let executed = 0;
  let unsynced = 0;
  for (let life = first; life < first + runs; life++) {
    const fault = faultOf(life);
    const module = MODULES[life % 2] ?? MODULES[0];
    const options = { losses: LOSSES_A_LIFE, seed: life, library: layer.library, module };
    const report = await inNewFolder((folder) =>
      losePower({ ...options, folder, ...(fault === undefined ? {} : { fault }) }),
    );
    executed += report.executed;
    unsynced += report.unsynced;
    found.push(...report.violations.map((text) => `${fault ?? "no failure"}: ${text}`));
    if (process.stderr.isTTY) process.stderr.write(`\r${life - first + 1} of ${runs} lives`);
  }
  console.log(
    `${runs} lives from seed ${first}, each losing power ${LOSSES_A_LIFE} times: ${executed} actions executed, ${unsynced} losses with writes on their way; ${found.length} violations`,
  );
  return found;
}

async function flips(count: number, from: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (const suffix of ["", "-wal", "-mark"] as const) {
    const { violations: wrong, ...figures } = await inNewFolder((folder) =>
      flipBytes({ flips: count, seed: from, folder, suffix }),
    );
    console.log(
      `${count} bits of log.db${suffix} from seed ${from}: ${figures.refused} refused at opening, ${figures.surfaced} as errors of answers, ${figures.unharmed} without effect; ${wrong.length} violations`,
    );
    found.push(...wrong);
  }
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
