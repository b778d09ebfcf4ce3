/** A copy that is made while the log is written to: a log of its own, and a beginning of the one it was made of. */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { sqliteStore } from "@stepgate/store-sqlite";
import { openRacingGates } from "@stepgate/contract";
import { verifyReceipts } from "@stepgate/core";
import { expect, test } from "vitest";
import { newLog, one } from "./new-log.ts";

test("a copy that is made under load verifies, and is a beginning of the log", async () => {
  const { folder, open } = newLog();
  const store = open({ busyTimeoutMs: 10_000 });
  const { gates, trust } = await openRacingGates([store]);
  let working = true;
  let decided = 0;
  const lanes = Array.from({ length: 16 }, async (_, lane) => {
    for (let call = 0; working; call++) {
      const name = call === 0 ? "intake" : "lookup";
      await gates[0]?.decide({ sequence_id: `lane-${lane}`, function: name, action_type: "READ" });
      decided++;
    }
  });
  const copies = [];
  for (let n = 0; n < 3; n++) {
    const seen: number[] = [];
    // Three small copies may be made before a busy machine takes a decision.
    const before = decided;
    while (decided < before + 16) await setImmediate();
    copies.push(
      await store.backupTo(join(folder, `copy-${n}.db`), {
        progress: ({ pagesCopied, pagesTotal }) => seen.push(pagesCopied / pagesTotal),
      }),
    );
    expect(seen.every((share) => share >= 0 && share <= 1)).toBe(true);
  }
  working = false;
  await Promise.all(lanes);
  const lines = await Array.fromAsync(store.lines());
  for (const { path, records } of copies) {
    const copy = sqliteStore(path);
    const copied = await Array.fromAsync(copy.lines());
    await copy.close();
    expect(copied).toEqual(lines.slice(0, records));
    expect((await verifyReceipts(copied, trust)).result).toBe("sound");
    expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
  }
  // Each went on where the log had come to by then.
  const counts = copies.map(({ records }) => records);
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  expect(counts.at(-1)).toBeGreaterThan(counts[0] ?? Infinity);
  expect(lines.length).toBeGreaterThan(counts.at(-1) ?? Infinity);
});

test("a file that is there is not overwritten, and a copy that fails leaves nothing", async () => {
  const { folder, open } = newLog();
  const store = open();
  for (let seq = 0; seq < 9; seq++) await store.append(one("s", seq));
  const there = join(folder, "there.db");
  writeFileSync(there, "mine");
  await expect(store.backupTo(there)).rejects.toMatchObject({ code: "INVALID_INPUT" });
  expect(statSync(there).size).toBe(4);
  const stop = new Error("stop");
  const fails = store.backupTo(join(folder, "copy.db"), {
    progress: () => {
      throw stop;
    },
  });
  const settled = await fails.then(
    () => "made",
    () => "failed",
  );
  const left = readdirSync(folder).filter((name) => name.startsWith("copy"));
  expect(left).toEqual(settled === "made" ? ["copy.db"] : []);
  await expect(store.backupTo(join(folder, "nowhere", "copy.db"))).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
  await store.close();
  await expect(store.backupTo(join(folder, "late.db"))).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
});
