/** The write-ahead log stays short while it is written to and read from without a pause, and is cut where it was kept from it. */
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Store } from "@stepgate/core";
import { sampleRecord } from "@stepgate/contract";
import { expect, onTestFinished, test } from "vitest";
import { openStore } from "../src/sqlite-store.ts";
import { newLog } from "./new-log.ts";

const MEGABYTE = 1 << 20;
/** Where the store sets in, and what it lets stand. */
const LONG_BYTES = 16 * MEGABYTE;
const KEPT_BYTES = 8 * MEGABYTE;

test("under a store that writes without a pause, and readers of whom there is always one, it stays below 48 MB", async () => {
  const { path } = newLog();
  const store = openStore({ path, busyTimeoutMs: 20_000 }, 0);
  onTestFinished(() => store.close());
  await write(store, "before", 1);
  // Each reads a state for 30 ms, and the next one has begun before it ends.
  const readers: DatabaseSync[] = [];
  const reading = setInterval(() => {
    readers.push(reader(path));
    if (readers.length > 2) readers.shift()?.close();
  }, 15);
  let longest = 0;
  const watch = setInterval(() => (longest = Math.max(longest, walBytes(path))), 2);
  await write(store, "meanwhile", 50);
  clearInterval(watch);
  clearInterval(reading);
  for (const one of readers) one.close();
  expect(longest).toBeGreaterThan(KEPT_BYTES);
  expect(longest).toBeLessThan(3 * LONG_BYTES);
}, 120_000);

test("while somebody reads an old state it grows, and once that ends it is cut by itself", async () => {
  const { path, open } = newLog();
  const store = open({ writer: "inline" });
  await write(store, "before", 1);
  const old = reader(path);
  await write(store, "meanwhile", 12);
  expect(walBytes(path)).toBeGreaterThan(LONG_BYTES);
  old.close();
  await write(store, "after", 2);
  expect(walBytes(path)).toBeLessThanOrEqual(KEPT_BYTES);
}, 120_000);

/** So many turns of 64 appends, some 2 MB of the write-ahead log each. Returns how many records were won. */
async function write(store: Store, name: string, turns: number): Promise<number> {
  let won = 0;
  for (let turn = 0; turn < turns; turn++) {
    const appends = Array.from({ length: 64 }, (_, lane) =>
      store.append({
        sequence_id: `${name}-${turn}-${lane}`,
        records: [sampleRecord(name, 0, "x".repeat(20_000))],
      }),
    );
    for (const result of await Promise.all(appends)) if (result === "won") won++;
  }
  return won;
}

/** Another program's connection, which reads the state of this moment until it is closed. */
function reader(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true });
  database.exec("BEGIN; SELECT count(*) FROM record");
  return database;
}

function walBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}
