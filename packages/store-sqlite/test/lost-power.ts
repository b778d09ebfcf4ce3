/** A gate decides under load, and loses power at many moments: each time, what may be on the disk is opened and looked at. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryStore, verifyReceipts } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { startScript } from "../../contract/src/child-process.ts";
import type { LifeAnswer, LifeQuestion } from "../../contract/src/deciding-process.ts";
import { openRacingGates, type RacingGates } from "../../contract/src/gate-races.ts";
import { judgeLife, linesOf } from "../../contract/src/repeated-kill.ts";
import { type Random, seededRandom } from "../../contract/src/seeded-random.ts";
import { layerEnvironment, setFailure } from "./file-layer.ts";
import { type Disk, newDisk } from "./power-loss.ts";
import { type FileEvent, readTrace } from "./write-trace.ts";

/** How often, from which seed, and on what. */
export interface LostPower {
  /** Losses of power, at as many moments of one gate's life. */
  readonly losses: number;
  readonly seed: number;
  readonly library: string;
  /** Empty. */
  readonly folder: string;
  /** The module of the kind of store. */
  readonly module: string;
  /** A failure, as shim.c takes it, that comes over the gate while it decides, and goes again. */
  readonly fault?: string;
}

/** What was found. */
export interface LostPowerReport {
  readonly violations: readonly string[];
  /** Actions that had run at the last moment, and what was done to files until then. */
  readonly executed: number;
  readonly syncs: number;
  readonly events: number;
  /** Losses at which something had been written that was not synced. */
  readonly unsynced: number;
}

const DECIDING = new URL("../../contract/src/deciding-process.ts", import.meta.url);
const LIFE_MS = 300;
const SEQUENCES = Array.from({ length: 8 }, (_, lane) => `lane-${lane}`);
const LOG = "log.db";
const EXECUTED = "executed";
const FILES = "files";
const TRACE = "trace";
/** What runs before anything may fail. */
const ACTIONS = 40;
const PATIENCE_MS = 10_000;

/** Lets the gate live once, and takes the power from it at moments between its files' first event and their last. */
export async function losePower(options: LostPower): Promise<LostPowerReport> {
  const keys = await openRacingGates([memoryStore()]);
  const random = seededRandom(options.seed);
  const violations = [...(await live(options, keys, random))];
  const events = readTrace(join(options.folder, TRACE));
  const moments = Array.from({ length: options.losses }, () =>
    Math.floor(random() * (events.length + 1)),
  ).toSorted((a, b) => a - b);
  const disk = newDisk();
  const executed: string[] = [];
  let unsynced = 0;
  for (let at = 0, loss = 0; loss < moments.length; at++) {
    for (; moments[loss] === at; loss++) {
      const found = await judgeLoss(disk, { ...options, random, keys, executed });
      violations.push(
        ...found.map((text) => `seed ${options.seed}, loss ${loss}, event ${at}: ${text}`),
      );
      if (disk.hasUnsynced()) unsynced++;
    }
    const event = events[at];
    if (event === undefined) break;
    if (event.file === `/${EXECUTED}`) executed.push(...ranIn(event));
    else disk.apply(event);
  }
  violations.push(...(await judgeLog(join(options.folder, FILES), keys, executed)));
  const syncs = events.filter(({ call }) => call === "sync").length;
  return { violations, executed: executed.length, syncs, events: events.length, unsynced };
}

/** Resolves to what was wrong with that life. */
async function live(
  { folder, library, module, fault }: LostPower,
  { key, saltKey }: RacingGates,
  random: Random,
): Promise<readonly string[]> {
  const files = join(folder, FILES);
  const failFile = join(folder, "failure");
  mkdirSync(files);
  const mortal = await startScript<LifeQuestion, LifeAnswer>(DECIDING, {
    ...layerEnvironment(library, { folder: files, trace: join(folder, TRACE), failFile }),
    // A gate that cannot record an outcome says so, as it must.
    NODE_NO_WARNINGS: "1",
  });
  const executedPath = join(files, EXECUTED);
  await mortal.ask({
    log: { module, place: join(files, LOG) },
    executedPath,
    gateId: "mortal",
    privateKey: String(key.privateKey.export({ type: "pkcs8", format: "pem" })),
    saltKey: Buffer.from(saltKey).toString("hex"),
    sequences: SEQUENCES,
  });
  const violations: string[] = [];
  if (!(await runs(executedPath, ACTIONS))) violations.push("it hardly did anything");
  await sleep(random() * LIFE_MS);
  if (fault !== undefined) {
    setFailure(failFile, fault);
    await sleep(random() * LIFE_MS);
    setFailure(failFile, "");
    if (!(await goesOn(executedPath))) violations.push("it never allowed anything again");
  }
  mortal.process.kill("SIGKILL");
  const errors = await mortal.end();
  return errors === "" ? violations : [...violations, errors];
}

/** True once more has run than had a moment after the failure went. */
async function goesOn(executedPath: string): Promise<boolean> {
  await sleep(20);
  return runs(executedPath, linesOf(readFileSync(executedPath, "utf8")).length + 1);
}

async function runs(executedPath: string, actions: number): Promise<boolean> {
  for (let waited = 0; waited < PATIENCE_MS; waited += 20) {
    if (linesOf(readFileSync(executedPath, "utf8")).length >= actions) return true;
    await sleep(20);
  }
  return false;
}

function ranIn(event: FileEvent): readonly string[] {
  return event.call === "write" ? linesOf(event.bytes.toString("utf8")) : [];
}

interface Loss extends LostPower {
  readonly random: Random;
  readonly keys: RacingGates;
  /** What had run by then. */
  readonly executed: readonly string[];
}

/** What may be left is written to a folder of its own, and looked at. */
async function judgeLoss(
  disk: Disk,
  { folder, random, keys, executed }: Loss,
): Promise<readonly string[]> {
  const left = mkdtempSync(join(folder, "left-"));
  try {
    disk.crashInto(left, random);
    return await judgeLog(left, keys, executed);
  } finally {
    rmSync(left, { recursive: true });
  }
}

/** The log opens, holds a receipt for everything that ran, and verifies. */
async function judgeLog(
  folder: string,
  { trust }: RacingGates,
  executed: readonly string[],
): Promise<readonly string[]> {
  try {
    const store = sqliteStore(join(folder, LOG));
    const found = [...(await judgeLife(store, SEQUENCES, executed))];
    const lines = await Array.fromAsync(store.lines());
    await store.close();
    const { result, findings } = await verifyReceipts(lines, trust);
    if (lines.length > 0 && result !== "sound")
      found.push(`it verifies as ${result}: ${JSON.stringify(findings[0])}`);
    return found;
  } catch (error) {
    return [String(error)];
  }
}
