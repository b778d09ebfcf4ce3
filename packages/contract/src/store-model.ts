/** A store against a model of it: what a store is, in the plainest words, and random histories that both live through. */
import { hash } from "node:crypto";
import fc from "fast-check";
import {
  type Append,
  type AppendResult,
  type CounterStep,
  type OpenAllow,
  type PlacedRecord,
  type Store,
} from "@stepgate/core";
import { counterSteps, modelCount, toldOf, type Counts } from "./counter-model.ts";
import { expect } from "vitest";
import { sampleRecord } from "./sample-record.ts";

/** The reference: every promise of the `Store` interface as an obviously right statement about lists and maps. */
export interface StoreModel {
  /** Sequence and record in the order of the appends. */
  readonly log: { readonly sequence_id: string; readonly record: PlacedRecord }[];
  readonly documents: Map<string, string>;
  readonly settings: Map<string, string>;
  readonly counts: Counts;
  /** Sequence and `seq` of the records with a leaf index, in order of it. */
  readonly leaves: string[];
}

/** The store under test; `reopen` puts another object in its place. */
interface RealStore {
  store: Store;
  readonly reopen?: () => Promise<Store>;
}

type StoreCommand = fc.AsyncCommand<StoreModel, RealStore>;

/** A model of an empty store. */
export function emptyModel(): StoreModel {
  return { log: [], documents: new Map(), settings: new Map(), counts: new Map(), leaves: [] };
}

/** Random histories: appends right, late, early, repeated and replayed, reads of every kind, and new starts. */
export function storeCommands(): fc.Arbitrary<Iterable<StoreCommand>> {
  const word = fc.constantFrom("a", "A", "__proto__", "é", "e\u0301", " ", "'; --");
  return fc.commands(
    [
      appendArbitrary().map(appendCommand),
      fc
        .tuple(sequenceArbitrary(), fc.nat(4), fc.option(fc.nat(3), { nil: undefined }))
        .map((call) => readCommand(...call)),
      fc.tuple(word, word).map((call) => settingCommand(...call)),
      word.map((digest) => keepCommand(digest)),
      fc.tuple(fc.integer({ min: 1, max: 4 }), fc.boolean()).map((call) => indexCommand(...call)),
      fc.constant(lookCommand()),
      fc.constant(reopenCommand()),
    ],
    { maxCommands: 60 },
  );
}

/** What an append must answer; where it is `won`, the model takes it in. */
export function modelAppend(
  model: StoreModel,
  { sequence_id, records, documents = [], counters = [] }: Append,
): AppendResult {
  const chain = chainOf(model, sequence_id);
  if (records.every(({ seq, line }) => chain[seq]?.line === line)) return "won";
  if (records.some(({ seq }, index) => seq !== chain.length + index)) return "lost";
  const nonces = [...chain, ...records].flatMap(({ nonce }) => nonce ?? []);
  if (new Set(nonces).size < nonces.length) return "replay";
  if (!modelCount(model.counts, counters)) return "limited";
  model.log.push(...records.map((record) => ({ sequence_id, record })));
  for (const { digest, text } of documents) keepOnce(model.documents, digest, text);
  return "won";
}

/** The records of one sequence. */
export function chainOf(model: StoreModel, sequenceId: string): readonly PlacedRecord[] {
  return model.log
    .filter(({ sequence_id }) => sequence_id === sequenceId)
    .map(({ record }) => record);
}

interface RandomRecord {
  readonly content: string;
  readonly nonce: string | undefined;
  readonly opens: boolean;
  /** Which earlier record of the log it closes, counted from the newest. */
  readonly closes: number | undefined;
}

interface RandomAppend {
  readonly sequenceId: string;
  /** Beside the next free place. */
  readonly offset: number;
  /** Repeats what stands at the place instead of writing something of its own. */
  readonly again: boolean;
  readonly records: readonly RandomRecord[];
  readonly gap: boolean;
  readonly counters: readonly CounterStep[];
}

function sequenceArbitrary(): fc.Arbitrary<string> {
  return fc.constantFrom("s", "S", "constructor", "@log", `${"x".repeat(199)}y`, "x".repeat(200));
}

function appendArbitrary(): fc.Arbitrary<RandomAppend> {
  const record = fc.record({
    content: fc.constantFrom("one", "two", "\u2028\u{1F600}"),
    nonce: fc.option(fc.constantFrom("n", "N", "__proto__", " n", "n "), { nil: undefined }),
    opens: fc.boolean(),
    closes: fc.option(fc.nat(5), { nil: undefined }),
  });
  return fc.record({
    sequenceId: sequenceArbitrary(),
    offset: fc.oneof(
      { weight: 6, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: -3, max: 2 }) },
    ),
    again: fc.oneof(
      { weight: 4, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    records: fc.array(record, { minLength: 1, maxLength: 3 }),
    gap: fc.oneof(
      { weight: 9, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    counters: counterSteps(),
  });
}

/** A random append made concrete on the model as it is when its turn comes. */
function concrete(model: StoreModel, random: RandomAppend): Append {
  const { sequenceId, offset, again, records, gap, counters } = random;
  const chain = chainOf(model, sequenceId);
  const start = Math.max(0, chain.length + offset - (again ? records.length : 0));
  const [first, ...rest] = records.map(({ content, nonce, opens, closes }, index) => {
    const seq = start + index + (gap && index > 0 ? 1 : 0);
    const standing = chain[seq];
    if (again && standing !== undefined) return standing;
    const closed = closes === undefined ? undefined : model.log.at(-1 - closes)?.record.hash;
    return sampleRecord(sequenceId, seq, content, {
      ...(nonce === undefined ? {} : { nonce }),
      ...(opens ? { opens: { gate_id: "g", expires_ms: 1_800_000_000_000 + seq } } : {}),
      ...(closed === undefined ? {} : { closes: closed }),
    });
  });
  if (first === undefined) throw new TypeError("an append has at least one record");
  return {
    sequence_id: sequenceId,
    records: [first, ...rest],
    documents: [{ digest: `doc ${start}`, text: `text ${start}` }],
    counters,
  };
}

function appendCommand(random: RandomAppend): StoreCommand {
  return command(`append(${JSON.stringify(random)})`, async (model, { store }) => {
    const append = concrete(model, random);
    expect(await store.append(append)).toBe(modelAppend(model, append));
  });
}

function readCommand(sequenceId: string, from: number, count: number | undefined): StoreCommand {
  return command(`read(${sequenceId}, ${from}, ${count})`, async (model, { store }) => {
    const expected = chainOf(model, sequenceId).slice(
      from,
      from + (count ?? Number.POSITIVE_INFINITY),
    );
    expect(await store.read(sequenceId, from, count)).toEqual(expected.map(({ line }) => line));
  });
}

function settingCommand(name: string, value: string): StoreCommand {
  return command(`setting(${name}, ${value})`, async ({ settings }, { store }) => {
    keepOnce(settings, name, value);
    expect(await store.setting(name, value)).toBe(settings.get(name));
  });
}

function keepCommand(digest: string): StoreCommand {
  return command(`keep(${digest})`, async ({ documents }, { store }) => {
    expect(await store.document(digest)).toBe(documents.get(digest));
    keepOnce(documents, digest, `the text of ${digest}`);
    await store.keep([{ digest, text: `the text of ${digest}` }]);
    expect(await store.document(digest)).toBe(documents.get(digest));
  });
}

/** Indexes what the store names; at a stale size it must be refused. */
function indexCommand(count: number, stale: boolean): StoreCommand {
  return command(`index(${count}, ${stale})`, async ({ log, leaves }, { store }) => {
    const { size, records } = await store.unindexed(count);
    expect([size, records.length]).toEqual([
      leaves.length,
      Math.min(count, log.length - leaves.length),
    ]);
    const [first, ...rest] = records.map(({ sequence_id, seq, line }) => {
      return { sequence_id, seq, hash: hash("sha256", line) };
    });
    if (first === undefined) return;
    const indexing = {
      size: stale ? size + 1 : size,
      leaves: [first, ...rest],
      nodes: [],
    } as const;
    expect(await store.index(indexing)).toBe(stale ? "lost" : "won");
    if (!stale) leaves.push(...records.map(({ sequence_id, seq }) => `${sequence_id} ${seq}`));
  });
}

function lookCommand(): StoreCommand {
  return command("look", async (model, { store }) => {
    expect(await Array.fromAsync(store.lines())).toEqual(
      model.log.map(({ record }) => record.line),
    );
    for (const { sequence_id, record } of model.log) {
      const leaf = model.leaves.indexOf(`${sequence_id} ${record.seq}`);
      expect(await store.leaf(sequence_id, record.seq)).toBe(leaf < 0 ? undefined : leaf);
    }
    expect((await Array.fromAsync(store.openAllows())).toSorted(byHash)).toEqual(
      openAllowsOf(model).toSorted(byHash),
    );
    const names = [...model.counts.keys(), "unheard of"];
    expect(await store.counters(names)).toEqual(toldOf(model.counts));
  });
}

function reopenCommand(): StoreCommand {
  return command("reopen", async (_model, real) => {
    if (real.reopen === undefined) return;
    await real.store.close();
    real.store = await real.reopen();
  });
}

function openAllowsOf({ log }: StoreModel): OpenAllow[] {
  const open = new Map<string, OpenAllow>();
  for (const { sequence_id, record } of log) {
    if (record.opens !== undefined)
      open.set(record.hash, { sequence_id, hash: record.hash, ...record.opens });
    if (record.closes !== undefined) open.delete(record.closes);
  }
  return [...open.values()];
}

function keepOnce(map: Map<string, string>, key: string, value: string): void {
  if (!map.has(key)) map.set(key, value);
}

function byHash(a: OpenAllow, b: OpenAllow): number {
  return a.hash < b.hash ? -1 : 1;
}

function command(name: string, run: StoreCommand["run"]): StoreCommand {
  return { check: () => true, run, toString: () => name };
}
