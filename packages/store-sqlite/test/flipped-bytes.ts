/** A log in which bytes fall over, one at a time: it is refused, or whatever it answers is what was written. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GateError, type Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { counting, sampleRecord } from "../../contract/src/sample-record.ts";
import { type Random, seededRandom } from "../../contract/src/seeded-random.ts";

/** How many bytes, one after the other, and from which seed. */
export interface FlippedBytes {
  readonly flips: number;
  readonly seed: number;
  /** Empty. */
  readonly folder: string;
  /** The file whose bytes fall over: the database, its write-ahead log, or the mark. */
  readonly suffix: "" | "-wal" | "-mark";
}

/** What was found. */
export interface FlippedBytesReport {
  readonly violations: readonly string[];
  /** Logs that were refused when they were opened. */
  readonly refused: number;
  /** Logs that opened, and of which some answer was an error. */
  readonly surfaced: number;
  /** Logs that answered everything as it was written. */
  readonly unharmed: number;
}

/** Everything that a store answers, by a name for each question. */
type Answers = ReadonlyMap<string, unknown>;

const SUFFIXES = ["", "-wal", "-mark"] as const;
const SEQUENCES = 12;
const RECORDS = 6;

/** Makes a log, half of it in its write-ahead log unless that is not of interest, and looks at copies of it. */
export async function flipBytes(options: FlippedBytes): Promise<FlippedBytesReport> {
  const { flips, seed, folder, suffix } = options;
  const { files, answers } = await makeLog(folder, suffix === "");
  const random = seededRandom(seed);
  const violations: string[] = [];
  const counts = { refused: 0, surfaced: 0, unharmed: 0 };
  for (let flip = 0; flip < flips; flip++) {
    const copy = mkdtempSync(join(folder, "copy-"));
    const at = writeFlipped(copy, files, suffix, random);
    const { fate, wrong } = await judge(join(copy, "log.db"), answers);
    rmSync(copy, { recursive: true });
    counts[fate]++;
    violations.push(...wrong.map((text) => `seed ${seed}, log.db${suffix} at ${at}: ${text}`));
  }
  return { violations, ...counts };
}

/** The bytes of a log's files, by suffix, and what it answers while nothing is wrong with them. */
async function makeLog(folder: string, isClosed: boolean) {
  const path = join(folder, "log.db");
  const store = sqliteStore({ path, writer: "inline" });
  await store.setting("log_id", "the log");
  for (let seq = 0; seq < RECORDS; seq++) {
    if (seq === RECORDS / 2) checkpoint(path);
    for (let n = 0; n < SEQUENCES; n++) await store.append(append(n, seq));
  }
  const answers = new Map<string, unknown>();
  for (const [name, ask] of questions(store)) answers.set(name, await ask());
  if (isClosed) await store.close();
  const suffixes = isClosed ? (["", "-mark"] as const) : SUFFIXES;
  const files = new Map(suffixes.map((one) => [one, readFileSync(`${path}${one}`)]));
  await store.close();
  return { files, answers };
}

function append(n: number, seq: number) {
  const opens = { gate_id: "gate", expires_ms: 1_900_000_000_000 + n };
  const index = seq === 1 ? { nonce: `nonce-${n}`, opens } : { nonce: `nonce-${n}-${seq}` };
  return {
    sequence_id: `sequence-${n}`,
    records: [sampleRecord(`sequence-${n}`, seq, "x".repeat(300), index)] as const,
    counters: counting(`counter-${n % 3}`, "1.5", "1000"),
    documents: [],
  };
}

/** Everything so far moves into the database, and the write-ahead log goes on from its beginning. */
function checkpoint(path: string): void {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA wal_checkpoint(RESTART)");
  database.close();
}

function questions(store: Store): ReadonlyMap<string, () => Promise<unknown>> {
  const names = Array.from({ length: SEQUENCES }, (_, n) => `sequence-${n}`);
  return new Map<string, () => Promise<unknown>>([
    ["all lines", () => Array.fromAsync(store.lines())],
    ["what has no leaf index", () => store.unindexed(1000)],
    ["counters", () => store.counters(["counter-0", "counter-1", "counter-2"])],
    ...names.map((name) => [`the lines of ${name}`, () => store.read(name, 0)] as const),
    ...names.map((name, n) => [`the next place of ${name}`, () => probe(store, name, n)] as const),
  ]);
}

/** Told from answers alone: the last place is held, and its nonce is burnt. */
async function probe(store: Store, name: string, n: number): Promise<readonly string[]> {
  const again = sampleRecord(name, RECORDS - 1, "another");
  const replayed = sampleRecord(name, RECORDS, "replayed", { nonce: `nonce-${n}` });
  return [
    await store.append({ sequence_id: name, records: [again] }),
    await store.append({ sequence_id: name, records: [replayed] }),
  ];
}

/** Returns the place of the byte. */
function writeFlipped(
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  suffix: string,
  random: Random,
): number {
  let at = -1;
  for (const [one, bytes] of files) {
    const copy = Buffer.from(bytes);
    if (one === suffix) {
      at = Math.floor(random() * copy.length);
      copy.writeUInt8((copy.readUInt8(at) ^ (1 << Math.floor(random() * 8))) & 0xff, at);
    }
    writeFileSync(join(folder, `log.db${one}`), copy);
  }
  return at;
}

interface Judgement {
  readonly fate: "refused" | "surfaced" | "unharmed";
  /** What it answered that was not written. */
  readonly wrong: readonly string[];
}

async function judge(path: string, answers: Answers): Promise<Judgement> {
  let store: Store;
  try {
    store = sqliteStore({ path, writer: "inline" });
  } catch (error) {
    const wrong = isUnavailable(error) ? [] : [`opening it failed as ${String(error)}`];
    return { fate: "refused", wrong };
  }
  const wrong: string[] = [];
  let fate: Judgement["fate"] = "unharmed";
  for (const [name, ask] of questions(store)) {
    try {
      const answer = await ask();
      if (isUnknown(answer)) fate = "surfaced";
      else if (!isSame(answer, answers.get(name))) wrong.push(`${name} came back otherwise`);
    } catch (error) {
      fate = "surfaced";
      if (!isUnavailable(error)) wrong.push(`${name} failed as ${String(error)}`);
    }
  }
  await store.close();
  return { fate, wrong };
}

function isUnavailable(error: unknown): boolean {
  return GateError.isInstance(error) && error.code === "STORE_UNAVAILABLE";
}

/** What an append is told where the log cannot be trusted: a DENY. */
function isUnknown(answer: unknown): boolean {
  return Array.isArray(answer) && answer.includes("unknown");
}

function isSame(one: unknown, other: unknown): boolean {
  const text = (value: unknown): string =>
    JSON.stringify(value instanceof Map ? [...value] : value);
  return text(one) === text(other);
}
