/**
 * The chains of one gate: keeps the state of sequences at hand, makes drafts into signed receipts, appends them.
 *
 * INVARIANT: within one ledger at most one append of a sequence is in flight. A signed record leaves this room only after
 * it won its place; what lost is dropped unseen and decided again on the new head.
 */
import { type Chain, createChains } from "./chains.ts";
import { askStore, createDeadlines, type Deadline, isOver } from "./deadline.ts";
import { burnsNonce } from "./decision.ts";
import { genesisHash } from "./digest.ts";
import { GateError } from "./errors.ts";
import { type Receipt, recordHash } from "./receipt.ts";
import {
  createRecordWriter,
  type Draft,
  type RecordWriterParts,
  type WrittenRecord,
} from "./record-writer.ts";
import type { Head, SequenceState } from "./sequence-state.ts";
import type { Append, CounterStep, PlacedRecord, Store, StoredDocument } from "./store.ts";

/** The gate's clock, and the `ts_ms` that a record written now would carry; in milliseconds. */
export interface Now {
  readonly clock: number;
  readonly record: number;
}

/** What is known of a chain after its records so far. */
export interface ChainState {
  readonly head: Head;
}

/** Folds one more record into a chain's state; `undefined`: this record cannot stand there. */
export type Fold<S extends ChainState> = (
  state: S | undefined,
  receipt: Receipt,
  hash: string,
) => S | undefined;

/** What to append to a chain, and what to answer once it stands. */
export interface Plan<T, S = SequenceState> {
  readonly drafts: readonly Draft[];
  readonly documents?: readonly StoredDocument[];
  /** Counters across sequences that move with the records or not at all. */
  readonly counters?: readonly CounterStep[];
  /** Without drafts: the plan stands only on the store's own head, which is read once more before its answer. */
  readonly onHead?: boolean;
  /** Called with the records in the order of the drafts, and the state after them. */
  answer(receipts: readonly Receipt[], state: S | undefined): T | Promise<T>;
}

/** Makes a plan from the state of a chain; called again on the new head when another writer came first. */
type Planner<T, S = SequenceState> = (
  state: S | undefined,
  now: Now,
) => Plan<T, S> | Promise<Plan<T, S>>;

/** What a ledger is made of. */
export interface LedgerParts extends RecordWriterParts {
  readonly store: Store;
  readonly clock: () => number;
  /** No chain begins before this, in milliseconds, whatever the clock says. Default: 0. */
  readonly beginsAfter?: () => number;
  readonly permitTtlMs: number;
  readonly deadlineMs: number;
  /** How many records' worth of state is kept at hand. */
  readonly cachedRecords: number;
}

/** See the top of this file. */
export interface Ledger<S = SequenceState> {
  /**
   * Plans and appends, one at a time a chain. `fresh` reads the head first, for an answer that appends nothing.
   * @throws GateError STORE_UNAVAILABLE where nothing durable came of it in time.
   */
  transact<T>(
    sequenceId: string,
    plan: Planner<T, S>,
    options?: { readonly fresh?: boolean },
  ): Promise<T>;
  /** Records of a chain from `from` on, at most `count`. @throws GateError STORE_UNAVAILABLE. */
  records(sequenceId: string, from: number, count: number): Promise<readonly Receipt[]>;
  /** One record of a chain. @throws GateError STORE_UNAVAILABLE, also where there is none. */
  record(sequenceId: string, seq: number): Promise<Receipt>;
}

/** How often a decision is made again because another writer came first; the deadline usually ends it before. */
const MAX_ROUNDS = 1000;
const PAGE = 1000;
const NOTHING: readonly never[] = [];

/** Opens the chains of `store` for one gate. A state that is outdated is folded anew from the beginning. */
export function createLedger<S extends ChainState>(
  parts: LedgerParts,
  foldRecord: Fold<S>,
  isOutdated: (state: S) => boolean = () => false,
): Ledger<S> {
  const chains = createChains<S>(parts.cachedRecords);
  const writer = createRecordWriter(parts);
  const inTime = createDeadlines(parts.deadlineMs);

  async function transact<T>(
    chain: Chain<S>,
    plan: Planner<T, S>,
    deadline: Deadline,
    fresh: boolean,
  ): Promise<T> {
    if (fresh) await catchUp(chain, chain.state, deadline);
    let onHead = fresh;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const known = chain.state;
      const atHand = known !== undefined && !isOutdated(known);
      const state = atHand ? known : await catchUp(chain, undefined, deadline);
      onHead ||= !atHand;
      const clock = readClock(parts.clock);
      const before = state?.head.ts_ms ?? parts.beginsAfter?.() ?? 0;
      const now = { clock, record: Math.max(clock, before) };
      const planned = plan(state, now);
      // Most plans are made at once; waiting for what is there costs a turn of the queue of promises.
      const made = planned instanceof Promise ? await planned : planned;
      if (made.drafts.length === 0) {
        if (onHead || made.onHead !== true) return made.answer([], state);
        await catchUp(chain, state, deadline);
        onHead = true;
        continue;
      }
      const place = { sequence_id: chain.id, head: state?.head, ts_ms: now.record };
      const written = await writer.write(place, made.drafts, deadline);
      mustBeInTime(deadline);
      let result: string;
      try {
        result = await parts.store.append(appendOf(chain.id, written, made));
      } catch (cause) {
        chains.forget(chain);
        throw new GateError("STORE_UNAVAILABLE", "the store failed", { cause });
      }
      // Whatever it was, the answer was given already; the next decision reads the head.
      if (deadline.abandoned) throw late();
      if (result === "won")
        return made.answer(receiptsOf(written), keep(chain, fold(chain.id, state, written)));
      await giveWay(chain, state, result, deadline);
      mustBeInTime(deadline);
    }
    throw new GateError("STORE_UNAVAILABLE", "other writers came first every time");
  }

  function appendOf(
    sequence_id: string,
    written: readonly WrittenRecord[],
    { documents = NOTHING, counters = NOTHING }: Pick<Plan<unknown, S>, "documents" | "counters">,
  ): Append {
    const records = written.map((one) => placed(one, parts));
    if (!isFilled(records)) throw new TypeError("there is nothing to append");
    return counters.length === 0
      ? { sequence_id, records, documents }
      : { sequence_id, records, documents, counters };
  }

  /** Another writer, or another count, came first: makes ready to decide again. @throws GateError where nobody can say. */
  async function giveWay(
    chain: Chain<S>,
    state: S | undefined,
    result: string,
    deadline: Deadline,
  ): Promise<void> {
    if (result === "limited") return;
    if (result === "lost" && state !== undefined) {
      await catchUp(chain, state, deadline);
      return;
    }
    // Where the store knows of a burnt nonce that this fold does not, all is read again.
    chains.forget(chain);
    if (result !== "lost" && result !== "replay")
      throw new GateError(
        "STORE_UNAVAILABLE",
        "the store cannot say whether the record was written",
      );
  }

  function keep(chain: Chain<S>, state: S | undefined): S | undefined {
    if (state !== undefined) chains.keep(chain, state, state.head.seq + 1);
    return state;
  }

  /** Folds what the store has beyond `known`. @throws GateError where the store's chain does not hold together. */
  async function catchUp(
    chain: Chain<S>,
    known: S | undefined,
    deadline: Deadline,
  ): Promise<S | undefined> {
    // A fold that fails half way must not be found again.
    chains.forget(chain);
    let state = known;
    for (;;) {
      const lines = await readLines(chain.id, (state?.head.seq ?? -1) + 1, PAGE);
      mustBeInTime(deadline);
      state = fold(chain.id, state, lines.map(reread));
      if (lines.length < PAGE) return keep(chain, state);
    }
  }

  async function readLines(
    sequenceId: string,
    from: number,
    count: number,
  ): Promise<readonly string[]> {
    try {
      return await parts.store.read(sequenceId, from, count);
    } catch (cause) {
      throw new GateError("STORE_UNAVAILABLE", "the store failed", { cause });
    }
  }

  function fold(
    sequenceId: string,
    state: S | undefined,
    records: readonly { readonly receipt: Receipt; readonly hash: string }[],
  ): S | undefined {
    let folded = state;
    for (const { receipt, hash } of records) {
      const own = receipt.sequence_id === sequenceId && receipt.log_id === parts.logId;
      if (!own || !isNext(folded?.head, receipt)) throw brokenChain();
      folded = foldRecord(folded, receipt, hash);
      if (folded === undefined) throw brokenChain();
    }
    return folded;
  }

  return {
    transact(sequenceId, plan, { fresh = false } = {}) {
      const chain = chains.of(sequenceId);
      return inTime(
        (deadline) => {
          const turn = chains.enter(chain, deadline);
          if (turn === undefined) return transact(chain, plan, deadline, fresh);
          return turn.then(() => {
            mustBeInTime(deadline);
            return transact(chain, plan, deadline, fresh);
          });
        },
        // Settled or abandoned, the next one has its turn: what hangs must not hold its sequence.
        (deadline) => chains.leave(chain, deadline, deadline.abandoned),
      );
    },
    async records(sequenceId, from, count) {
      const lines = await askStore(parts.deadlineMs, () => readLines(sequenceId, from, count));
      return lines.map((line) => reread(line).receipt);
    },
    async record(sequenceId, seq) {
      const [line] = await readLines(sequenceId, seq, 1);
      if (line === undefined) throw brokenChain();
      return reread(line).receipt;
    },
  };
}

function isFilled(records: readonly PlacedRecord[]): records is Append["records"] {
  return records.length > 0;
}

function receiptsOf(written: readonly WrittenRecord[]): readonly Receipt[] {
  return written.map(({ receipt }) => receipt);
}

function mustBeInTime(deadline: Deadline): void {
  if (isOver(deadline)) throw late();
}

function late(): GateError {
  return new GateError("STORE_UNAVAILABLE", "no durable answer in time");
}

/** A clock that shows no time stops the gate: nothing may be recorded under it. */
function readClock(clock: () => number): number {
  const now = clock();
  if (Number.isSafeInteger(now) && now >= 0) return now;
  throw new GateError("STORE_UNAVAILABLE", "the gate's clock shows no time");
}

/** The record that follows this head; without one, the first record, which follows nothing. */
function isNext(head: Head | undefined, receipt: Receipt): boolean {
  if (head !== undefined) return receipt.seq === head.seq + 1 && receipt.prev === head.hash;
  return receipt.seq === 0 && receipt.prev === genesisHash(receipt);
}

/** What the store may index without parsing the line. */
function placed({ receipt, hash, line }: WrittenRecord, parts: LedgerParts): PlacedRecord {
  const { seq } = receipt;
  if (receipt.kind === "outcome") return { seq, hash, line, closes: receipt.decision_hash };
  if (receipt.kind !== "decision") return { seq, hash, line };
  const nonce = burnsNonce(receipt) ? receipt.nonce : undefined;
  if (receipt.decision !== "ALLOW")
    return nonce === undefined ? { seq, hash, line } : { seq, hash, line, nonce };
  const { ts_ms, permit_expires_ms: expires_ms = ts_ms + parts.permitTtlMs } = receipt;
  const opens = { gate_id: parts.gateId, expires_ms };
  return nonce === undefined ? { seq, hash, line, opens } : { seq, hash, line, nonce, opens };
}

function reread(line: string): { readonly receipt: Receipt; readonly hash: string } {
  try {
    // Its own store, its own records: the hash is computed anew, so that a changed line breaks the chain here.
    const receipt = Object.freeze(JSON.parse(line) as Receipt);
    return { receipt, hash: recordHash(receipt) };
  } catch {
    throw brokenChain();
  }
}

function brokenChain(): GateError {
  return new GateError(
    "STORE_UNAVAILABLE",
    "the store returned a chain that does not hold together",
  );
}
