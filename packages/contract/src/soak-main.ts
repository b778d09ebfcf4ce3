/** `pnpm soak`: a million sequences through one gate, with a table of memory and latency, and the whole log verified at the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { runCommand, wholeNumber } from "./command-line.ts";
import {
  growthOf,
  RECORDS_A_SEQUENCE,
  runSoak,
  SOAK_POLICY,
  type SoakReport,
  type SoakSample,
} from "./soak.ts";
import { storeNamed } from "./store-named.ts";
import { onNewLog, type StoreUnderTest } from "./store-under-test.ts";

const HELP = `pnpm soak [options]

Sequences of two calls each, with their outcomes, through one gate in this process, spread evenly over the time, or as
fast as the machine can. Prints a line a sample: heap (after garbage was collected) and process, decisions a second, and
the latency of a decision. At the end, memory and latency must be what they were in the second quarter (the first
fills caches), and the whole log is verified.

  --store NAME     sqlite, postgres or redis (default sqlite)
  --minutes N      spread over so many minutes (default 30)
  --sequences N    (default 1000000); a million take some 15 GB of disk on SQLite
  --lanes N        sequences at work at once (default 64)
  --json           one JSON object a sample instead of a table, and one at the end
  --help

Exits 1 where something grew, a lawful call was denied, or the log does not verify.`;

const SAMPLES = 60;

await runCommand(
  HELP,
  { store: "sqlite", minutes: "30", sequences: "1000000", lanes: "64" },
  async ({ values, json }) => {
    const store = await storeNamed(values.store);
    const overMs = Number(values.minutes) * 60_000;
    if (!(overMs > 0))
      throw new TypeError(`--minutes is a number above 0, not '${values.minutes}'`);
    const size = {
      overMs,
      sequences: wholeNumber("sequences", values.sequences),
      lanes: wholeNumber("lanes", values.lanes),
    };
    const violations = await soakOnLog(store, size, json);
    if (json) console.log(JSON.stringify({ store: store.name, ...size, violations }));
    else for (const violation of violations) console.error(violation);
    return violations.length === 0 ? 0 : 1;
  },
);

interface Size {
  readonly overMs: number;
  readonly sequences: number;
  readonly lanes: number;
}

function soakOnLog(kind: StoreUnderTest, size: Size, json: boolean): Promise<readonly string[]> {
  return onNewLog(kind, async (log) => {
    const store = await kind.open(log.place, { patienceMs: 30_000 });
    if (!json) console.log(header(size));
    const report = await runSoak({
      store,
      ...size,
      everyMs: Math.max(250, size.overMs / SAMPLES),
      collectGarbage: garbageCollector(),
      onSample: (sample) => console.log(json ? JSON.stringify(sample) : row(sample)),
    });
    if (!json) console.log("verifying the whole log …");
    const found = [...report.violations, ...growthOf(report.samples)];
    const expected = 1 + size.sequences * RECORDS_A_SEQUENCE;
    const { verdict, count } = await verifyAll(store.lines(), report.keys);
    await store.close();
    if (!json) console.log(verdict);
    if (!/\bsound$/.test(verdict)) found.push(verdict);
    return count === expected ? found : [...found, `${count} records instead of ${expected}`];
  });
}

/** By `stepgate verify`, in a process of its own that needs the same memory for any number of sequences. */
async function verifyAll(lines: AsyncIterable<string>, keys: SoakReport["keys"]) {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-soak-"));
  try {
    const at = (name: string): string => join(folder, name);
    writeFileSync(at("keys.json"), JSON.stringify(keys));
    writeFileSync(at("policy.yaml"), JSON.stringify(SOAK_POLICY));
    const count = await writeLines(lines, at("receipts.jsonl"));
    const main = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
    const trust = ["--keys", at("keys.json"), "--policy", at("policy.yaml")];
    const child = spawn(process.execPath, [main, "verify", at("receipts.jsonl"), ...trust], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "close");
    let verdict = "";
    // A line for each sequence, and the verdict last.
    for await (const line of createInterface(child.stdout)) verdict = line;
    const [code] = await ended;
    return { verdict: code === 0 ? verdict : `${verdict} (exit ${String(code)})`, count };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function writeLines(lines: AsyncIterable<string>, file: string): Promise<number> {
  let count = 0;
  async function* withFeeds() {
    for await (const line of lines) {
      count++;
      yield `${line}\n`;
    }
  }
  await pipeline(Readable.from(withFeeds()), createWriteStream(file));
  return count;
}

/** V8's own, which only a flag shows: it can be set at any time before it is asked for. */
function garbageCollector(): () => void {
  setFlagsFromString("--expose_gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node cannot collect garbage on demand");
  return () => void collect();
}

function header({ sequences, overMs, lanes }: Size): string {
  return `${sequences} sequences over ${overMs / 60_000} min, ${lanes} at once
  minute  sequences  decisions/s   p50 ms   p99 ms  heap MiB   rss MiB`;
}

function row({ elapsedMs, sequences, decisionsPerSecond, ...sample }: SoakSample): string {
  const cells: readonly (readonly [text: string, width: number])[] = [
    [(elapsedMs / 60_000).toFixed(2), 8],
    [`${sequences}`, 11],
    [`${decisionsPerSecond}`, 13],
    [sample.p50Ms.toFixed(2), 9],
    [sample.p99Ms.toFixed(2), 9],
    [(sample.heap / 2 ** 20).toFixed(1), 10],
    [(sample.rss / 2 ** 20).toFixed(1), 10],
  ];
  return cells.map(([text, width]) => text.padStart(width)).join("");
}
