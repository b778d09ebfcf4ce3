/** A gate under a steady load of new sequences for a long time: its memory and its latency as samples over time. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createGate,
  exportKeySet,
  type Gate,
  generateSigningKey,
  type Store,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";

/** How much, and for how long. */
export interface Soak {
  readonly store: Store;
  readonly sequences: number;
  /** Over so many milliseconds, or as long as it takes where the machine is slower. */
  readonly overMs: number;
  /** How often a sample is taken. */
  readonly everyMs: number;
  /** Sequences at work at once. */
  readonly lanes: number;
  /** Collects all garbage, so that a sample counts what is held. */
  readonly collectGarbage: () => void;
  readonly onSample?: (sample: SoakSample) => void;
}

/** What was measured since the sample before. */
export interface SoakSample {
  readonly elapsedMs: number;
  /** Over all so far. */
  readonly sequences: number;
  readonly decisionsPerSecond: number;
  /** Of one decision, its durable append among it, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** After garbage was collected, in bytes. */
  readonly heap: number;
  readonly rss: number;
}

/** What came of it. */
export interface SoakReport {
  readonly samples: readonly SoakSample[];
  /** Denials and errors: of lawful calls, there must be none. */
  readonly violations: readonly string[];
  /** What the log is verified with. */
  readonly keys: ReturnType<typeof exportKeySet>;
}

/** Each sequence is two calls, with their outcomes: five records. */
export const RECORDS_A_SEQUENCE = 5;
const CALLS = [
  { function: "work", action_type: "READ" },
  { function: "end", action_type: "SEAL" },
] as const;
/** A soaked machine may be slow now and then; that is measured, and no denial. */
const DEADLINE_MS = 30_000;

/** Runs it to its end; the store stays open. */
export async function runSoak(soak: Soak): Promise<SoakReport> {
  const { gate, keys } = await openSoakGate(soak.store);
  const run = { ...soak, gate, began: performance.now(), begun: 0, done: 0 };
  const meter = startMeter(run);
  const violations: string[] = [];
  const lanes = Array.from({ length: soak.lanes }, () => lane(run, meter.latency, violations));
  await Promise.all(lanes);
  return { samples: await meter.stop(), violations, keys };
}

interface Run extends Soak {
  readonly gate: Gate;
  readonly began: number;
  begun: number;
  done: number;
}

/** Its policy, of which the order alone matters. */
export const SOAK_POLICY = {
  schema: "stepgate.policy/1",
  id: "soak",
  version: "1",
  sequence: "work, end",
  functions: { work: ["READ"], end: ["SEAL"] },
} as const;

async function openSoakGate(store: Store) {
  const policies = [compilePolicy(SOAK_POLICY)];
  const signer = generateSigningKey();
  const saltKey = Buffer.alloc(32, 7);
  const gate = await createGate({ policies, store, signer, saltKey, deadlineMs: DEADLINE_MS });
  return { gate, keys: exportKeySet([signer]) };
}

/** Takes one sequence after the other, none before it is due. */
async function lane(run: Run, latency: RecordableHistogram, violations: string[]): Promise<void> {
  while (run.begun < run.sequences) {
    const nth = run.begun++;
    const due = run.began + (run.overMs * nth) / run.sequences;
    const early = due - performance.now();
    if (early > 1) await sleep(early);
    const wrong = await sequence(run.gate, `soak-${nth}`, latency);
    if (wrong !== undefined && violations.length < 100) violations.push(wrong);
    run.done++;
  }
}

async function sequence(
  gate: Gate,
  sequence_id: string,
  latency: RecordableHistogram,
): Promise<string | undefined> {
  for (const call of CALLS) {
    const began = performance.now();
    const decision = await gate.decide({ sequence_id, ...call });
    latency.record(Math.max(1, Math.round((performance.now() - began) * 1000)));
    if (decision.decision === "DENY")
      return `${sequence_id}: ${call.function} was denied with ${decision.deny_code}`;
    await gate.outcome(decision, { status: "succeeded" });
  }
  return undefined;
}

/** Takes samples until it is stopped, the last one then. */
function startMeter(run: Run) {
  const latency = createHistogram();
  const samples: SoakSample[] = [];
  let last = { at: run.began, decisions: 0 };
  const take = (): void => {
    const now = performance.now();
    const decisions = run.done * CALLS.length;
    run.collectGarbage();
    const { heapUsed, rss } = process.memoryUsage();
    const sample: SoakSample = {
      elapsedMs: Math.round(now - run.began),
      sequences: run.done,
      decisionsPerSecond: Math.round((1000 * (decisions - last.decisions)) / (now - last.at)),
      p50Ms: latency.percentile(50) / 1000,
      p99Ms: latency.percentile(99) / 1000,
      heap: heapUsed,
      rss,
    };
    latency.reset();
    last = { at: performance.now(), decisions };
    samples.push(sample);
    run.onSample?.(sample);
  };
  const timer = setInterval(take, run.everyMs);
  return {
    latency,
    async stop(): Promise<readonly SoakSample[]> {
      clearInterval(timer);
      take();
      return samples;
    },
  };
}

/** What grew that must stay as it was, in words: the last quarter of the samples against the second, by their medians. */
export function growthOf(samples: readonly SoakSample[]): readonly string[] {
  const quarter = Math.floor(samples.length / 4);
  // The first quarter fills caches, and warms up.
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  if (quarter < 2) return ["there are fewer than eight samples: too few to say what grew"];
  return BOUNDS.flatMap(({ name, of, factor, slack, unit }) => {
    const [before, after] = [median(early.map(of)), median(late.map(of))];
    return after <= before * factor + slack
      ? []
      : [`${name} grew from ${before.toFixed(1)} to ${after.toFixed(1)} ${unit}`];
  });
}

const MIB = 2 ** 20;
const BOUNDS: readonly {
  readonly name: string;
  readonly of: (sample: SoakSample) => number;
  readonly factor: number;
  /** What may come and go on any machine. */
  readonly slack: number;
  readonly unit: string;
}[] = [
  { name: "the heap", of: ({ heap }) => heap / MIB, factor: 1.1, slack: 8, unit: "MiB" },
  { name: "the process", of: ({ rss }) => rss / MIB, factor: 1.2, slack: 32, unit: "MiB" },
  { name: "the median latency", of: ({ p50Ms }) => p50Ms, factor: 1.5, slack: 2, unit: "ms" },
  { name: "the 99th percentile", of: ({ p99Ms }) => p99Ms, factor: 2, slack: 20, unit: "ms" },
];

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
