/** The smallest store: everything in this process's memory, gone with it. For tests, demonstrations and benchmarks. */
import { movedCounters } from "./counters.ts";
import {
  type Append,
  type AppendResult,
  type CounterStep,
  type Indexing,
  type Leaf,
  type LogEnd,
  type OpenAllow,
  type PlacedRecord,
  repeatsNonce,
  type Store,
  type StoredDocument,
} from "./store.ts";

interface Chain {
  readonly records: PlacedRecord[];
  readonly nonces: Set<string>;
}

/** A store that keeps nothing beyond the process. Its appends are atomic: each happens within one turn. */
export function memoryStore(): Store {
  const settings = new Map<string, string>();
  const documents = new Map<string, string>();
  const chains = new Map<string, Chain>();
  /** In the order of commits, which is that of leaf indexes: side by side the records and their sequences. */
  const log: PlacedRecord[] = [];
  const sequences: string[] = [];
  const leaves = new Map<PlacedRecord | undefined, number>();
  const levels: string[][] = [[]];
  const counters = new Map<string, string>();

  function append({
    sequence_id,
    records,
    documents: kept,
    counters: steps,
  }: Append): AppendResult {
    const known = chains.get(sequence_id);
    const chain = known ?? { records: [], nonces: new Set<string>() };
    if (!isNext(chain, records)) return stands(chain, records) ? "won" : "lost";
    if (burnsTwice(chain, records)) return "replay";
    if (steps !== undefined && !move(steps)) return "limited";
    if (known === undefined) chains.set(sequence_id, chain);
    for (const record of records) place(sequence_id, chain, record);
    if (kept !== undefined) keep(kept);
    return "won";
  }

  /** False, and nothing moved, where one would exceed its maximum. */
  function move(steps: readonly CounterStep[]): boolean {
    const moved = movedCounters(steps, (counter) => counters.get(counter));
    for (const [counter, total] of moved ?? []) counters.set(counter, total);
    return moved !== undefined;
  }

  function place(sequence_id: string, chain: Chain, record: PlacedRecord): void {
    if (record.nonce !== undefined) chain.nonces.add(record.nonce);
    chain.records.push(record);
    log.push(record);
    sequences.push(sequence_id);
  }

  /** Looked for when they are asked for, which is when a gate starts: no append keeps a list of them. */
  function* openAllows(): Generator<OpenAllow> {
    const closed = new Set(log.map(({ closes }) => closes));
    for (const [place, { hash, opens }] of log.entries())
      if (opens !== undefined && !closed.has(hash))
        yield { sequence_id: sequences[place] ?? "", hash, ...opens };
  }

  function unindexed(count: number): LogEnd {
    const size = levels[0]?.length ?? 0;
    const records = log.slice(size, size + count).map(({ seq, line }, at) => {
      return { sequence_id: sequences[size + at] ?? "", seq, line };
    });
    return { size, records };
  }

  function index({ size, leaves: next, nodes }: Indexing): "won" | "lost" {
    const [bottom = []] = levels;
    const isNext = ({ sequence_id, seq }: Leaf, at: number): boolean =>
      sequences[size + at] === sequence_id && log[size + at]?.seq === seq;
    if (bottom.length !== size || !next.every(isNext)) return "lost";
    for (const { hash } of next) {
      leaves.set(log[bottom.length], bottom.length);
      bottom.push(hash);
    }
    for (const node of nodes) (levels[node.level] ??= [])[node.index] = node.hash;
    return "won";
  }

  function keep(texts: readonly StoredDocument[]): void {
    for (const { digest, text } of texts) if (!documents.has(digest)) documents.set(digest, text);
  }

  return {
    async setting(name, value) {
      if (!settings.has(name)) settings.set(name, value);
      return settings.get(name) ?? value;
    },
    append: async (request) => append(request),
    async read(sequenceId, from, count = Number.POSITIVE_INFINITY) {
      const records = chains.get(sequenceId)?.records ?? [];
      return records.slice(from, from + count).map(({ line }) => line);
    },
    async *lines() {
      for (let i = 0; i < log.length; i++) yield (log[i] as PlacedRecord).line;
    },
    async keep(texts) {
      keep(texts);
    },
    document: async (digest) => documents.get(digest),
    async counters(names) {
      return new Map(
        names.flatMap((name) => {
          const total = counters.get(name);
          return total === undefined ? [] : [[name, total] as const];
        }),
      );
    },
    async *openAllows() {
      yield* openAllows();
    },
    unindexed: async (count) => unindexed(count),
    index: async (indexing) => index(indexing),
    nodes: async (places) => places.map((place) => levels[place.level]?.[place.index]),
    async indexed(from, count) {
      const end = Math.min(levels[0]?.length ?? 0, from + count);
      return log.slice(from, end).map(({ line }) => line);
    },
    leaf: async (sequenceId, seq) => leaves.get(chains.get(sequenceId)?.records[seq]),
    async close() {},
  };
}

function isNext(chain: Chain, records: readonly PlacedRecord[]): boolean {
  return records.every(({ seq }, index) => seq === chain.records.length + index);
}

/** True where these very records stand at their places already: a retry is idempotent. */
function stands(chain: Chain, records: readonly PlacedRecord[]): boolean {
  return records.every(({ seq, line }) => chain.records[seq]?.line === line);
}

function burnsTwice(chain: Chain, records: Append["records"]): boolean {
  const isBurnt = ({ nonce }: PlacedRecord): boolean =>
    nonce !== undefined && chain.nonces.has(nonce);
  return repeatsNonce(records) || records.some(isBurnt);
}
