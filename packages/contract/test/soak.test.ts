/** The soak in small: every sequence is decided, samples are taken, what grows is told, and the log verifies. */
import { importKeySet, memoryStore, verifyReceipts } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { expect, test } from "vitest";
import {
  growthOf,
  RECORDS_A_SEQUENCE,
  runSoak,
  SOAK_POLICY,
  type SoakSample,
} from "../src/soak.ts";

test("a thousand sequences through one gate are allowed, in samples, and the log verifies", async () => {
  const store = memoryStore();
  const heard: SoakSample[] = [];
  let collected = 0;
  const { samples, violations, keys } = await runSoak({
    store,
    sequences: 1_000,
    overMs: 600,
    everyMs: 100,
    lanes: 16,
    collectGarbage: () => collected++,
    onSample: (sample) => heard.push(sample),
  });
  expect(violations).toEqual([]);
  expect(samples).toEqual(heard);
  expect(samples.length).toBe(collected);
  expect(samples.length).toBeGreaterThan(1);
  expect(samples.at(-1)).toMatchObject({ sequences: 1_000 });
  expect(samples.at(-1)?.elapsedMs).toBeGreaterThan(550);
  for (const { p50Ms, p99Ms, heap, rss } of samples) {
    expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
    expect(rss).toBeGreaterThan(heap);
  }
  const lines = await Array.fromAsync(store.lines());
  expect(lines).toHaveLength(1 + 1_000 * RECORDS_A_SEQUENCE);
  const trust = { keys: importKeySet(keys), policies: [compilePolicy(SOAK_POLICY)] };
  expect((await verifyReceipts(lines, trust)).result).toBe("sound");
});

test("what grows after the first quarter is told, and what comes and goes is not", () => {
  const flat = (nth: number): SoakSample => ({
    elapsedMs: nth * 1_000,
    sequences: nth,
    decisionsPerSecond: 100,
    p50Ms: 5 + (nth % 2),
    p99Ms: 30 + 10 * (nth % 3),
    // It fills its caches first.
    heap: (nth < 10 ? nth * 10 : 100 + (nth % 4)) * 2 ** 20,
    rss: (nth < 10 ? 200 + nth * 10 : 300 + (nth % 4) * 5) * 2 ** 20,
  });
  const samples = Array.from({ length: 40 }, (_, nth) => flat(nth));
  expect(growthOf(samples)).toEqual([]);
  expect(growthOf(samples.slice(0, 7))[0]).toMatch(/too few/);
  const growing = (change: (sample: SoakSample, nth: number) => Partial<SoakSample>) =>
    growthOf(samples.map((sample, nth) => ({ ...sample, ...change(sample, nth) })));
  expect(growing(({ heap }, nth) => ({ heap: heap + nth * 2 ** 20 }))).toEqual([
    expect.stringMatching(/^the heap grew from 11\d\.\d to 13\d\.\d MiB$/),
  ]);
  expect(growing(({ rss }, nth) => ({ rss: rss + nth * 8 * 2 ** 20 }))).toEqual([
    expect.stringMatching(/^the process grew/),
  ]);
  expect(growing((_, nth) => ({ p50Ms: 1 + nth }))).toEqual([
    expect.stringMatching(/^the median latency grew/),
  ]);
  expect(growing((_, nth) => ({ p99Ms: 10 * nth }))).toEqual([
    expect.stringMatching(/^the 99th percentile grew/),
  ]);
});
