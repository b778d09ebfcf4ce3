/** Several processes on one file, and a process whose writes fail. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { sqliteStore } from "@stepgate/store-sqlite";
import { expect, onTestFinished, test } from "vitest";
import { type ScriptProcess, startScript } from "../../contract/src/child-process.ts";
import { newLog } from "./new-log.ts";
import type { StoreAnswer, StoreQuestion } from "./store-process.ts";

test("processes that open a new file at once make one log of it, and none is turned away", async () => {
  const { folder } = newLog();
  const processes = await Promise.all(Array.from({ length: 6 }, start));
  // Often, for the moment in which SQLite turns one of them away is short.
  for (let round = 0; round < 30; round++) {
    const path = join(folder, `log-${round}.db`);
    const open = (index: number) => ({ ask: "open", path, logId: `log-${index}` }) as const;
    const answers = await Promise.all(processes.map(({ ask }, index) => ask(open(index))));
    const settings = answers.map((answer) => answer.setting);
    expect(new Set(settings).size).toBe(1);
    expect(settings[0]).toMatch(/^log-\d$/);
  }
  const append = { ask: "append", sequenceId: "s", seq: 0, size: 10 } as const;
  const appends = await Promise.all(processes.map(({ ask }) => ask(append)));
  // The same bytes from each: the first is won and counts, and so is every retry of it, which does not.
  expect(new Set(appends.map(({ result }) => result))).toEqual(new Set(["won"]));
  const store = sqliteStore(join(folder, "log-29.db"));
  expect(await store.counters(["appends"])).toEqual(new Map([["appends", "1"]]));
  await store.close();
}, 60_000);

test("a process on this store warns of nothing", async () => {
  const { path } = newLog();
  const script = await start();
  await script.ask({ ask: "open", path, logId: "log" });
  await script.ask({ ask: "close" });
  expect(await script.end()).toBe("");
});

test("where the disk takes no more, an append is unknown and leaves nothing; with room again the store goes on by itself", async (context) => {
  if (spawnSync(PRLIMIT, ["--version"]).error !== undefined)
    return context.skip(`${PRLIMIT} of util-linux is not there`);
  const { path, open } = newLog();
  const { ask } = await start();
  await ask({ ask: "open", path, logId: "log" });
  expect(await ask({ ask: "append", sequenceId: "s", seq: 0, size: 100 })).toEqual({
    result: "won",
  });
  await ask({ ask: "limit", path, bytes: 20_000 });
  expect(await ask({ ask: "append", sequenceId: "s", seq: 1, size: 400_000 })).toEqual({
    result: "unknown",
  });
  expect(await ask({ ask: "append", sequenceId: "t", seq: 0, size: 400_000 })).toEqual({
    result: "unknown",
  });
  const store = open();
  expect([await store.read("s", 1), await store.read("t", 0)]).toEqual([[], []]);
  expect(await store.counters(["appends"])).toEqual(new Map([["appends", "1"]]));
  await ask({ ask: "limit", path, bytes: -1 });
  expect(await ask({ ask: "append", sequenceId: "s", seq: 1, size: 400_000 })).toEqual({
    result: "won",
  });
  expect(await store.read("s", 0)).toHaveLength(2);
  expect(await store.counters(["appends"])).toEqual(new Map([["appends", "2"]]));
});

const PRLIMIT = "prlimit";

async function start(): Promise<ScriptProcess<StoreQuestion, StoreAnswer>> {
  const script = await startScript<StoreQuestion, StoreAnswer>(
    new URL("store-process.ts", import.meta.url),
  );
  onTestFinished(() => void script.process.kill());
  return script;
}
