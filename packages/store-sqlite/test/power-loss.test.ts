/** Un-synced bytes are lost, in whatever part: no receipt of an action that ran is among them, and the log opens and verifies. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, type TestContext } from "vitest";
import { sqliteStore } from "@stepgate/store-sqlite";
import { startScript } from "../../contract/src/child-process.ts";
import { drawFault } from "./disk-faults.ts";
import { buildLayer, layerEnvironment, setFailure } from "./file-layer.ts";
import { losePower } from "./lost-power.ts";
import { newLog } from "./new-log.ts";
import { newDisk } from "./power-loss.ts";
import { seededRandom } from "../../contract/src/seeded-random.ts";
import type { StoreAnswer, StoreQuestion } from "./store-process.ts";
import { readTrace } from "./write-trace.ts";

const SEED = 20_261_130;
const MODULES = {
  thread: new URL("store-under-test.ts", import.meta.url).href,
  inline: new URL("inline-store.ts", import.meta.url).href,
};

test.for(["thread", "inline"] as const)(
  "at any moment of a gate's life with the %s writer a loss of power loses no receipt of an action that ran",
  { timeout: 120_000 },
  async (writer, context) => {
    const module = MODULES[writer];
    const library = layerOrSkip(context);
    const { folder } = newLog();
    const report = await losePower({ losses: 20, seed: SEED, library, folder, module });
    expect(report.violations).toEqual([]);
    // There was something to lose: actions ran, and most moments found writes on their way.
    expect(report.executed).toBeGreaterThan(8);
    expect(report.syncs).toBeGreaterThan(8);
    expect(report.unsynced).toBeGreaterThan(10);
  },
);

test(
  "a store whose commits are not synced fails that test",
  { timeout: 120_000 },
  async (context) => {
    const library = layerOrSkip(context);
    const { folder } = newLog();
    const report = await losePower({
      losses: 20,
      seed: SEED,
      library,
      folder,
      module: new URL("unsynced-store.ts", import.meta.url).href,
    });
    expect(report.violations.join("\n")).toContain("executed without a receipt");
  },
);

test.for([1, 2, 3, 4, 5, 6])(
  "a disk that fails and recovers (seed %i): every action that ran has its receipt, also after a loss of power, and the gate goes on by itself",
  { timeout: 120_000 },
  async (seed, context) => {
    const library = layerOrSkip(context);
    const { folder } = newLog();
    const module = seed % 2 === 0 ? MODULES.thread : MODULES.inline;
    const fault = drawFault(seed);
    const report = await losePower({ losses: 4, seed, library, folder, module, fault });
    expect(report.violations).toEqual([]);
    expect(report.executed).toBeGreaterThan(8);
  },
);

test.for([
  ["before it is synced", "sync:1:0"],
  ["told that it could not be synced", "sync:1:-5"],
] as const)(
  "a commit that a dying process left %s is synced before it is read again",
  { timeout: 60_000 },
  async ([, death], context) => {
    const library = layerOrSkip(context);
    const { folder } = newLog();
    const [files, trace, failFile] = ["files", "trace", "failure"].map((name) =>
      join(folder, name),
    );
    if (files === undefined || trace === undefined || failFile === undefined) return;
    mkdirSync(files);
    const path = join(files, "log.db");
    const append = (seq: number) => ({ ask: "append", sequenceId: "s", seq, size: 500 }) as const;
    const start = async () => {
      const script = await startScript<StoreQuestion, StoreAnswer>(
        new URL("store-process.ts", import.meta.url),
        layerEnvironment(library, { folder: files, trace, failFile }),
      );
      onTestFinished(() => void script.process.kill("SIGKILL"));
      await script.ask({ ask: "open", path, logId: "log" });
      return script;
    };
    const first = await start();
    expect(await first.ask(append(0))).toEqual({ result: "won" });
    setFailure(failFile, death);
    await expect(first.ask(append(1))).rejects.toThrow("ended");
    setFailure(failFile, "");
    // Opened, it may be read from, and a gate may answer from what it reads.
    const second = await start();
    const events = readTrace(trace);
    expect(await second.ask(append(1))).toEqual({ result: "won" });
    const disk = newDisk();
    for (const event of events) disk.apply(event);
    const random = seededRandom(SEED);
    for (let loss = 0; loss < 30; loss++) {
      const left = mkdtempSync(join(folder, "left-"));
      disk.crashInto(left, random);
      const store = sqliteStore(join(left, "log.db"));
      expect(await store.read("s", 0)).toHaveLength(2);
      await store.close();
    }
  },
);

function layerOrSkip(context: TestContext): string {
  const layer = buildLayer();
  return "library" in layer ? layer.library : context.skip(layer.missing);
}
