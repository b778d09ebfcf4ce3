/** Real disks that are full or read-only, and a process that may open no more files; what a layer only plays is real here. */
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { sqliteStore } from "@stepgate/store-sqlite";
import { sampleRecord } from "@stepgate/contract";
import { expect, onTestFinished, test, type TestContext } from "vitest";
import { openStore } from "../src/sqlite-store.ts";
import { newLog, one } from "./new-log.ts";

/** Of util-linux. */
const [MOUNT, UNMOUNT, PRLIMIT] = ["mount", "umount", "prlimit"] as const;

test.for(["thread", "inline"] as const)(
  "on a disk that is full appends are unknown and leave nothing, and with room again they are won (%s)",
  { timeout: 60_000 },
  async (writer, context) => {
    const disk = smallDisk(context);
    const store = openStore({ path: join(disk, "log.db"), writer }, 0);
    onTestFinished(() => store.close());
    const large = (seq: number) => ({
      sequence_id: "s",
      records: [sampleRecord("s", seq, "x".repeat(100_000))] as const,
    });
    expect(await store.append(large(0))).toBe("won");
    const filler = join(disk, "filler");
    fill(filler);
    const told = await Promise.all([1, 2, 3].map((seq) => store.append(large(seq))));
    expect(new Set(told)).toEqual(new Set(["unknown"]));
    expect(await store.read("s", 0)).toHaveLength(1);
    rmSync(filler);
    for (const seq of [1, 2, 3]) expect(await store.append(large(seq))).toBe("won");
    expect(await store.read("s", 0)).toHaveLength(4);
  },
);

test("on a disk that is read-only no store opens, and once it can be written to it does", async (context) => {
  const disk = smallDisk(context);
  const path = join(disk, "log.db");
  const store = sqliteStore(path);
  await store.append(one("s", 0));
  await store.close();
  execFileSync(MOUNT, ["-o", "remount,ro", disk]);
  expect(() => sqliteStore(path)).toThrow(expect.objectContaining({ code: "STORE_UNAVAILABLE" }));
  expect(() => sqliteStore(join(disk, "new.db"))).toThrow(
    expect.objectContaining({ code: "STORE_UNAVAILABLE" }),
  );
  execFileSync(MOUNT, ["-o", "remount,rw", disk]);
  const again = sqliteStore(path);
  expect(await again.append(one("s", 1))).toBe("won");
  await again.close();
});

test("where a process may open no more files no store opens, and the next attempt does", async (context) => {
  if (spawnSync(PRLIMIT, ["--version"]).error !== undefined)
    return context.skip("prlimit of util-linux is not there");
  const { path, open } = newLog();
  await open().close();
  const held: number[] = [];
  const limit = (soft: string) =>
    execFileSync(PRLIMIT, ["--pid", String(process.pid), `--nofile=${soft}:`]);
  const before = execFileSync(PRLIMIT, [
    "--pid",
    String(process.pid),
    "--nofile",
    "--noheadings",
    "--output=SOFT",
  ])
    .toString()
    .trim();
  limit("256");
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch {
    // None is left: for as long as nothing is awaited, that holds for the store alone.
  }
  try {
    expect(() => sqliteStore(path)).toThrow(expect.objectContaining({ code: "STORE_UNAVAILABLE" }));
  } finally {
    for (const descriptor of held) closeSync(descriptor);
    limit(before);
  }
  expect(await open().append(one("s", 0))).toBe("won");
});

/** A disk of 2 MB, in memory, for those who may mount one. */
function smallDisk(context: TestContext): string {
  const disk = join(newLog().folder, "disk");
  mkdirSync(disk);
  const mounted = spawnSync(MOUNT, ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]);
  if (mounted.error !== undefined || mounted.status !== 0)
    return context.skip("this user may not mount a disk of 2 MB (mount -t tmpfs)");
  onTestFinished(() => void execFileSync(UNMOUNT, ["-l", disk]));
  return disk;
}

function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch {
    // It is full.
  } finally {
    closeSync(file);
  }
}
