/** Durable decisions of a gate on one engine beside what the engine does bare, cell by cell in interleaved rounds. */
import { randomUUID } from "node:crypto";
import type { Gate } from "@stepgate/core";
import { benchGate } from "./decisions.ts";
import type { Engine } from "./store-engines.ts";

/** How long and how often a cell is measured. */
export interface Pace {
  readonly inFlight: readonly number[];
  /** Of one cell in one round, in milliseconds. */
  readonly cellMs: number;
  readonly rounds: number;
}

/** Medians over the rounds. */
interface StoreRate {
  readonly inFlight: number;
  /** Durable decisions a second, and how long one took in milliseconds. */
  readonly decisions: number;
  readonly p50: number;
  readonly p99: number;
  /** Bare inserts a second: rows one by one with as many in flight, and rows by the group of as many. */
  readonly single: number;
  readonly grouped: number;
  /** Decisions ÷ the quicker of the two floors, by the round. */
  readonly ratio: number;
}

/** What an engine did. */
export interface EngineRates {
  readonly engine: string;
  readonly durability: string;
  /** Of the rows that were inserted bare: the median receipt of the decisions. */
  readonly rowBytes: number;
  readonly rates: readonly StoreRate[];
}

/** Measures one engine; `progress` is told how many cells are done, of how many. */
export async function measureEngine(
  engine: Engine,
  { inFlight, cellMs, rounds }: Pace,
  progress: (done: number, all: number) => void,
): Promise<EngineRates> {
  const store = await engine.openStore();
  const gate = await benchGate(store);
  try {
    // Warms up what will be measured, and shows how large the rows are.
    await decideFor(gate, 64, cellMs);
    const row = await medianLine(store.lines());
    const cells = inFlight.map((lanes): Cell => ({ lanes, samples: [] }));
    let done = 0;
    for (let round = 0; round < rounds; round++) {
      for (const { lanes, samples } of cells) {
        const single = await insertFor(engine, row, lanes, 1, cellMs);
        const grouped = await insertFor(engine, row, 1, lanes, cellMs);
        const gated = await decideFor(gate, lanes, cellMs);
        samples.push({ single, grouped, ...gated });
        progress(++done, rounds * cells.length);
      }
    }
    const { name, durability } = engine;
    return { engine: name, durability, rowBytes: row.length, rates: cells.map(rateOf) };
  } finally {
    await gate.close();
  }
}

interface Sample {
  readonly single: number;
  readonly grouped: number;
  readonly decisions: number;
  readonly p50: number;
  readonly p99: number;
}

interface Cell {
  readonly lanes: number;
  readonly samples: Sample[];
}

function rateOf({ lanes, samples }: Cell): StoreRate {
  const of = (figure: (sample: Sample) => number): number => median(samples.map(figure));
  return {
    inFlight: lanes,
    decisions: of(({ decisions }) => decisions),
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    single: of(({ single }) => single),
    grouped: of(({ grouped }) => grouped),
    ratio: of(({ decisions, single, grouped }) => decisions / Math.max(single, grouped)),
  };
}

/** Calls of one sequence before the next: chains stay short, and an opening is one call in so many. */
const CALLS_A_SEQUENCE = 50;
const args = { order: 17, currency: "EUR", note: "as agreed" };

async function decideFor(
  gate: Gate,
  lanes: number,
  ms: number,
): Promise<Pick<Sample, "decisions" | "p50" | "p99">> {
  const took: number[] = [];
  const run = randomUUID();
  const seconds = await keepBusy(lanes, ms, async (lane, turn) => {
    const sequence_id = `${run}-${lane}-${Math.floor(turn / CALLS_A_SEQUENCE)}`;
    const began = performance.now();
    const { decision } = await gate.decide({ sequence_id, tool: "read_order", args });
    took.push(performance.now() - began);
    if (decision !== "ALLOW") throw new Error("the benchmark was denied");
  });
  const sorted = took.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? 0;
  return { decisions: took.length / seconds, p50: at(0.5), p99: at(0.99) };
}

/** Rows a second. */
async function insertFor(
  engine: Engine,
  row: string,
  lanes: number,
  rows: number,
  ms: number,
): Promise<number> {
  const group = Array.from({ length: rows }, () => row);
  let inserted = 0;
  const seconds = await keepBusy(lanes, ms, async () => {
    await engine.insert(group);
    inserted += rows;
  });
  return inserted / seconds;
}

/** Keeps so many steps under way for so long; resolves to the seconds that it took in all. */
async function keepBusy(
  lanes: number,
  ms: number,
  step: (lane: number, turn: number) => Promise<void>,
): Promise<number> {
  const began = performance.now();
  const work = async (_: unknown, lane: number): Promise<void> => {
    for (let turn = 0; performance.now() - began < ms; turn++) await step(lane, turn);
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return (performance.now() - began) / 1000;
}

async function medianLine(lines: AsyncIterable<string>): Promise<string> {
  const all = await Array.fromAsync(lines);
  return all.toSorted((a, b) => a.length - b.length)[Math.floor(all.length / 2)] ?? "";
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}
