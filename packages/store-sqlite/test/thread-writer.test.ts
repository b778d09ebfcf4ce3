/** Commits in a thread of their own: the event loop goes on, answers are in time, and whatever becomes of the thread is made good. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { expect, onTestFinished, test, type TestContext } from "vitest";
import { startScript } from "../../contract/src/child-process.ts";
import { openStore } from "../src/sqlite-store.ts";
import { buildLayer, layerEnvironment, setFailure } from "./file-layer.ts";
import { newLog, one } from "./new-log.ts";
import type { SlowDiskAnswer, SlowDiskQuestion } from "./slow-disk-process.ts";

const SYNC_MS = 400;

test("while the disk syncs the event loop goes on, and with the inline writer it stands still", async (context) => {
  const turns: Record<string, number> = {};
  for (const writer of ["thread", "inline"] as const) {
    const { ask, slow } = await slowDisk(context);
    await ask({ ask: "open", path: "log.db", writer, busyTimeoutMs: 5_000 });
    expect((await ask({ ask: "append", seq: 0 })).result).toBe("won");
    if (writer === "thread") await ask({ ask: "thread" });
    slow(SYNC_MS);
    const append = await ask({ ask: "append", seq: 1 });
    expect(append.result).toBe("won");
    expect(append.tookMs).toBeGreaterThanOrEqual(SYNC_MS);
    turns[writer] = append.turns ?? 0;
  }
  expect(turns["thread"]).toBeGreaterThan(10);
  expect(turns["inline"]).toBeLessThan(5);
});

test("a sync that does not come back is answered in time, and the store goes on by itself once it has", async (context) => {
  const { ask, slow } = await slowDisk(context);
  await ask({ ask: "open", path: "log.db", writer: "thread", busyTimeoutMs: 200 });
  expect((await ask({ ask: "append", seq: 0 })).result).toBe("won");
  await ask({ ask: "thread" });
  slow(3_000);
  const append = await ask({ ask: "append", seq: 1 });
  expect(append.result).toBe("unknown");
  expect(append.tookMs).toBeLessThan(1_000);
  slow(0);
  // The sync that was under way still ends, and with it the commit: the same bytes are won, or were.
  await expect
    .poll(async () => (await ask({ ask: "append", seq: 1 })).result, { timeout: 20_000 })
    .toBe("won");
  expect((await ask({ ask: "append", seq: 2 })).result).toBe("won");
});

test("where the thread dies its appends are unknown, none after it fails, and another thread takes over", async () => {
  const { path } = newLog();
  const threads = watchThreads();
  const store = openStore({ path }, 0);
  onTestFinished(() => store.close());
  await store.append(one("s", 0));
  for (let round = 0; round < 5; round++) {
    // It is started by a write, some time after the one before it was.
    for (let n = 0; threads.length === round && n < 400; n++) {
      await store.append(one(`before ${round}-${n}`, 0));
      await sleep(50);
    }
    expect(threads).toHaveLength(round + 1);
    await threads[round]?.isReady;
    const appends = Array.from({ length: 40 }, (_, n) => store.append(one(`r${round}-${n}`, 0)));
    await sleep(Math.random() * 4);
    await threads[round]?.worker.terminate();
    const told = await Promise.all(appends);
    expect(new Set([...told, "won", "unknown"]).size).toBe(2);
    for (let n = 0; n < 40; n++) {
      const lines = await store.read(`r${round}-${n}`, 0);
      if (told[n] === "won") expect(lines).toHaveLength(1);
      expect(await store.append(one(`r${round}-${n}`, 0))).toBe("won");
    }
    expect(await store.append(one("s", round + 1))).toBe("won");
  }
}, 120_000);

test("a store that writes a little starts no thread", async () => {
  const { open } = newLog();
  const threads = watchThreads();
  const store = open();
  for (let seq = 0; seq < 32; seq++) expect(await store.append(one("s", seq))).toBe("won");
  await store.close();
  expect(threads).toEqual([]);
});

test("appends go over to the thread in their order", async () => {
  const { path } = newLog();
  const threads = watchThreads();
  const store = openStore({ path }, 0);
  onTestFinished(() => store.close());
  const told: Promise<string>[] = [];
  // Never awaited one by one: each is won only if the one before it came first.
  for (let seq = 0; seq < 400; seq++) {
    told.push(store.append(one("s", seq)));
    if (seq % 4 === 0) await sleep(1);
  }
  expect(new Set(await Promise.all(told))).toEqual(new Set(["won"]));
  expect(threads).toHaveLength(1);
});

test("where no thread may be started commits are made inline", () => {
  const { path } = newLog();
  const source = new URL("../src/index.ts", import.meta.url).href;
  const permission = ["--permission", "--allow-fs-read=*", "--allow-fs-write=*"];
  expect(runProgram(source, path, permission)).toEqual({ told: ["won"], threads: 0 });
});

test("a program ends by itself, though its store was left open with a thread", () => {
  const { path } = newLog();
  const source = new URL("../src/index.ts", import.meta.url).href;
  expect(runProgram(source, path)).toEqual({ told: ["won"], threads: 1 });
});

test("the built package finds its thread", (context) => {
  const built = new URL("../dist/index.js", import.meta.url);
  if (!existsSync(built)) return context.skip("nothing is built (pnpm build)");
  expect(runProgram(built.href, newLog().path)).toEqual({ told: ["won"], threads: 1 });
});

/** A hundred appends, the last of them through whatever writer there is by then; never closed. */
function runProgram(module: string, path: string, flags: readonly string[] = []): unknown {
  const program = `
    import { sqliteStore } from ${JSON.stringify(module)};
    let threads = 0;
    process.on("worker", () => threads++);
    const store = sqliteStore(process.argv[1]);
    const told = new Set();
    for (let seq = 0; seq < 100; seq++) {
      if (seq === 90) await new Promise((resolve) => setTimeout(resolve, 1500));
      const record = { seq, hash: "sha256:" + String(seq).padStart(64, "0"), line: "{}" };
      told.add(await store.append({ sequence_id: "s", records: [record] }));
    }
    console.log(JSON.stringify({ told: [...told], threads }));
  `;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const args = [...flags, "--no-warnings", "--input-type=module", "-e", program, path];
  return JSON.parse(execFileSync(process.execPath, args, { env, timeout: 30_000 }).toString());
}

interface Thread {
  readonly worker: Worker;
  /** Its first message says that it has the log open; from the next turn on it is given what is appended. */
  readonly isReady: Promise<void>;
}

/** Every thread that is started from now on. */
function watchThreads(): readonly Thread[] {
  const threads: Thread[] = [];
  const watch = (worker: Worker): void => {
    const isReady = new Promise((resolve) => worker.once("message", resolve)).then(() => sleep(5));
    threads.push({ worker, isReady });
  };
  process.on("worker", watch);
  onTestFinished(() => void process.off("worker", watch));
  return threads;
}

type Ask = (question: SlowDiskQuestion) => Promise<SlowDiskAnswer>;

/** A process on a disk that can be made slow while it runs. */
async function slowDisk(context: TestContext): Promise<{ ask: Ask; slow(ms: number): void }> {
  const layer = buildLayer();
  if (!("library" in layer)) return context.skip(layer.missing);
  const { folder } = newLog();
  const [files, failFile] = [join(folder, "files"), join(folder, "failure")];
  mkdirSync(files);
  const script = await startScript<SlowDiskQuestion, SlowDiskAnswer>(
    new URL("slow-disk-process.ts", import.meta.url),
    layerEnvironment(layer.library, { folder: files, failFile }),
  );
  onTestFinished(() => void script.process.kill("SIGKILL"));
  return {
    ask: (question) =>
      script.ask(
        question.ask === "open" ? { ...question, path: join(files, question.path) } : question,
      ),
    slow: (ms) => setFailure(failFile, `delay:${ms}`),
  };
}
