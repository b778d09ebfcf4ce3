/**
 * What a gate asks of a store, and what every store guarantees.
 *
 * A store keeps records; it never decides. The state of a sequence is the fold of its records, so the one thing a store
 * must get right is this: **of any two appends for the same place (`sequence_id`, `seq`), at most one is won**, whether
 * they come through one object, several, or several processes. An append is all or nothing and, once `won`, durable.
 * Records are never changed and never removed.
 *
 * A store also keeps the tree of the log of logs (receipt.md), of which it knows nothing but this: **each record gets at
 * most one leaf index, indexes are given from 0 on without a gap, and what was given stands.** They are not given at
 * append, for where commits are concurrent nobody knows an order of them; `index` gives them later, under a lock.
 */

/** One record at its place: the canonical line that was signed, and what a store may index without parsing it. */
export interface PlacedRecord {
  readonly seq: number;
  /** The record hash (`sha256:` + hex): its identity. */
  readonly hash: string;
  /** The record's canonical JSON, without a line feed. */
  readonly line: string;
  /** The nonce that this record burns; a second record of the sequence that burns it is a `replay`. */
  readonly nonce?: string;
  /** On an ALLOW that still has no outcome: which gate closes it after a crash, and when its permit ends. */
  readonly opens?: { readonly gate_id: string; readonly expires_ms: number };
  /** On an outcome: the hash of the ALLOW that it closes. */
  readonly closes?: string;
}

/** A text kept under its digest: a policy's normal form, or a sequence's context. */
export interface StoredDocument {
  readonly digest: string;
  readonly text: string;
}

/**
 * A count across sequences: `add` to what stands under `counter`, which may not exceed `max` afterwards. Both are exact
 * decimals from 0 on, of any length (`isDecimal`). Several steps on one counter add up, each held to its own `max`.
 */
export interface CounterStep {
  readonly counter: string;
  readonly add: string;
  readonly max: string;
  /** When the gate counted, by its clock in milliseconds. */
  readonly at_ms: number;
  /** The end of the counter's window on that clock; {@link FORGOTTEN_AFTER_MS} later a store may forget the counter. */
  readonly until_ms: number;
}

/**
 * A store may forget a counter once some step's `at_ms` is a day past the counter's `until_ms`. A window that ended is
 * asked for only by a gate whose clock is behind, and clocks that are a day apart keep no windows at all.
 */
export const FORGOTTEN_AFTER_MS = 86_400_000;

/** Records of one sequence for contiguous places, appended together or not at all. */
export interface Append {
  readonly sequence_id: string;
  readonly records: readonly [PlacedRecord, ...PlacedRecord[]];
  readonly documents?: readonly StoredDocument[];
  /** Moved with the records or not at all. */
  readonly counters?: readonly CounterStep[];
}

/** True where these records would burn one nonce twice: for a store, whose own table shows none of them yet. */
export function repeatsNonce(records: Append["records"]): boolean {
  if (records.length === 1) return false;
  const nonces = records.flatMap(({ nonce }) => nonce ?? []);
  return new Set(nonces).size < nonces.length;
}

/**
 * - `won`: durable at these places: it survives the end of every process, and whatever else the store says it survives.
 *   Appending the same bytes again is `won` again, from whichever object, as often as one likes, and adds nothing: a
 *   retry is idempotent.
 * - `lost`: another record holds a place, or the place before is empty. Read the head and decide again.
 * - `replay`: the places were free, but a nonce was burnt already, at whatever place of the sequence.
 * - `limited`: the places were free, but a counter would exceed its maximum. Read the counters and decide again.
 * - `unknown`: it may have happened, may happen yet (a frozen server applies what it was sent when it goes on), or never
 *   will. The caller denies, and reads the head before it goes on: an append that comes late can only still win the
 *   place that it was made for.
 *
 * Lost, replayed or limited leaves no trace: no record, no nonce, no count, no document, no open ALLOW. A record that was
 * signed and lost was never said, and nobody finds it later.
 */
export type AppendResult = "won" | "lost" | "replay" | "limited" | "unknown";

/** An ALLOW whose outcome nobody has recorded yet. */
export interface OpenAllow {
  readonly sequence_id: string;
  readonly hash: string;
  readonly gate_id: string;
  readonly expires_ms: number;
}

/** A committed record that has no leaf index. */
export interface Unindexed {
  readonly sequence_id: string;
  readonly seq: number;
  readonly line: string;
}

/** Where the log's tree ends. */
export interface LogEnd {
  /** How many records have a leaf index. */
  readonly size: number;
  /** Records that have none; those of one sequence without a gap and in order of `seq`. */
  readonly records: readonly Unindexed[];
}

/** The place of a node: the `index`-th subtree of 2^`level` leaves, both from 0. Leaves are of level 0. */
export interface NodePlace {
  readonly level: number;
  readonly index: number;
}

/** The root of a subtree that is full, and therefore never changes. */
export interface TreeNode extends NodePlace {
  /** 64 lower-case hex digits. */
  readonly hash: string;
}

/** A record as a leaf. */
export interface Leaf {
  readonly sequence_id: string;
  readonly seq: number;
  /** The record hash without its prefix: 64 lower-case hex digits. */
  readonly hash: string;
}

/** The next leaves of the tree, and every node above level 0 that is full with them. */
export interface Indexing {
  /** The size of the tree that they follow. */
  readonly size: number;
  readonly leaves: readonly [Leaf, ...Leaf[]];
  readonly nodes: readonly TreeNode[];
}

/** See the top of this file for the promises. Methods reject only when the store cannot be used at all. */
export interface Store {
  /** Keeps `value` under `name` unless one is kept already, and resolves to the one that stands. Atomic. */
  setting(name: string, value: string): Promise<string>;
  append(append: Append): Promise<AppendResult>;
  /** Lines of one sequence in order of `seq`, from `from` on, at most `count`; empty where there is none. */
  read(sequenceId: string, from: number, count?: number): Promise<readonly string[]>;
  /**
   * Every line of the log: first those with a leaf index, in its order, then the others, sequences interleaved as they
   * were committed. A sequence's own are always in order of `seq`.
   */
  lines(): AsyncIterable<string>;
  /** Keeps documents by digest; keeping one again changes nothing. */
  keep(documents: readonly StoredDocument[]): Promise<void>;
  document(digest: string): Promise<string | undefined>;
  /** What counters stand at; one that nothing moved yet is left out. */
  counters(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Every ALLOW without an outcome. */
  openAllows(): AsyncIterable<OpenAllow>;
  /** Where the log's tree ends, and at most `count` of the records to index next. */
  unindexed(count: number): Promise<LogEnd>;
  /**
   * Gives leaf indexes from `size` on and keeps the nodes, all or nothing. `won`: durable. `lost`: the tree is not of
   * that size any more, or these are not records that {@link Store.unindexed} names now; ask it again. Of any two for one
   * size, at most one is won. A rejection may come after the fact: the size tells.
   */
  index(indexing: Indexing): Promise<"won" | "lost">;
  /** The hashes of nodes, leaves among them; `undefined` for one that is not kept. In the order of the places. */
  nodes(places: readonly NodePlace[]): Promise<readonly (string | undefined)[]>;
  /** Lines of records that have a leaf index, in its order, from `from` on, at most `count`: nothing comes in between later. */
  indexed(from: number, count: number): Promise<readonly string[]>;
  /** The leaf index of a record; `undefined` where it has none yet, or there is no such record. */
  leaf(sequenceId: string, seq: number): Promise<number | undefined>;
  close(): Promise<void>;
}
