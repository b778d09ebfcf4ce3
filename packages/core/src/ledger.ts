/**
 * The chains of one gate: keeps the state of sequences at hand, makes drafts into signed receipts, appends them.
 *
 * INVARIANT: within one ledger at most one append of a sequence is in flight. A signed record leaves this room only after
 * it won its place; what lost is dropped unseen and decided again on the new head.
 */
import type { KeyObject } from "node:crypto";
import { hmacHex } from "#platform";
import type { RecordSigner, Signature } from "./batch-signer.ts";
import { askStore, type Deadline, withDeadline } from "./deadline.ts";
import { burnsNonce } from "./decision.ts";
import { genesisHash, sha256 } from "./digest.ts";
import { GateError } from "./errors.ts";
import {
  bodyText,
  type BodyText,
  lineOf,
  type Receipt,
  RECEIPT_VERSION,
  recordHash,
  inputOf,
} from "./receipt.ts";
import type { Head, SequenceState } from "./sequence-state.ts";
import type { CounterStep, PlacedRecord, Store, StoredDocument } from "./store.ts";

/** What the ledger adds to a draft. */
type Added =
  | "v"
  | "log_id"
  | "sequence_id"
  | "seq"
  | "prev"
  | "ts_ms"
  | "gate_id"
  | "key_id"
  | "sig"
  | "batch"
  | "hmac_key_id"
  | "hmac_sig";
type DraftOf<R> = R extends Receipt ? Omit<R, Added> : never;
/** A record before it has a place. */
export type Draft = DraftOf<Receipt>;

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

/** How records are authenticated: a signature, a MAC, or both. */
interface Authenticators {
  /** The signer of the next records, which may be another than that of the last. @throws GateError STORE_UNAVAILABLE. */
  readonly signer: () => RecordSigner | undefined;
  readonly hmacKey?: { readonly id: string; readonly key: KeyObject };
}

/** What a ledger is made of. */
export interface LedgerParts extends Authenticators {
  readonly store: Store;
  readonly logId: string;
  readonly gateId: string;
  readonly clock: () => number;
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

/** Opens the chains of `store` for one gate. A state that is outdated is folded anew from the beginning. */
export function createLedger<S extends ChainState>(
  parts: LedgerParts,
  foldRecord: Fold<S>,
  isOutdated: (state: S) => boolean = () => false,
): Ledger<S> {
  const cache = stateCache<S>(parts.cachedRecords);
  const queue = serialQueue();

  async function transact<T>(
    sequenceId: string,
    plan: Planner<T, S>,
    deadline: Deadline,
    fresh: boolean,
  ): Promise<T> {
    if (fresh) await catchUp(sequenceId, cache.get(sequenceId), deadline);
    let onHead = fresh;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      mustBeInTime(deadline);
      const known = cache.get(sequenceId);
      const atHand = known !== undefined && !isOutdated(known);
      const state = atHand ? known : await catchUp(sequenceId, undefined, deadline);
      onHead ||= !atHand;
      const clock = readClock(parts.clock);
      const now = { clock, record: Math.max(clock, state?.head.ts_ms ?? 0) };
      const made = await plan(state, now);
      if (made.drafts.length === 0) {
        if (onHead || made.onHead !== true) return made.answer([], state);
        await catchUp(sequenceId, state, deadline);
        onHead = true;
        continue;
      }
      const signed = await sign(sequenceId, state, made.drafts, now, deadline);
      mustBeInTime(deadline);
      const after = await append(sequenceId, state, signed, made, deadline);
      if (after !== undefined) {
        const receipts = signed.map(({ receipt }) => receipt);
        return made.answer(receipts, after);
      }
    }
    throw new GateError("STORE_UNAVAILABLE", "other writers came first every time");
  }

  /** The state after the append; `undefined` where another writer, or another count, came first. */
  async function append(
    sequenceId: string,
    state: S | undefined,
    signed: readonly Signed[],
    { documents = [], counters = [] }: Pick<Plan<unknown, S>, "documents" | "counters">,
    deadline: Deadline,
  ): Promise<S | undefined> {
    const [first, ...rest] = signed.map((one) => placed(one, parts));
    if (first === undefined) return undefined;
    let result: string;
    try {
      result = await parts.store.append({
        sequence_id: sequenceId,
        records: [first, ...rest],
        documents,
        ...(counters.length === 0 ? {} : { counters }),
      });
    } catch (cause) {
      cache.delete(sequenceId);
      throw new GateError("STORE_UNAVAILABLE", "the store failed", { cause });
    }
    // Whatever it was, the answer was given already; the next decision reads the head.
    if (deadline.abandoned) throw late();
    if (result === "won") return keep(sequenceId, fold(sequenceId, state, signed), deadline);
    if (result === "limited") return undefined;
    // Lost, or the store knows of a burnt nonce that this fold does not: read again, from the beginning if need be.
    if (result === "lost" && state !== undefined) {
      await catchUp(sequenceId, state, deadline);
      return undefined;
    }
    cache.delete(sequenceId);
    if (result === "lost" || result === "replay") return undefined;
    throw new GateError("STORE_UNAVAILABLE", "the store cannot say whether the record was written");
  }

  function keep(sequenceId: string, state: S | undefined, deadline: Deadline): S | undefined {
    if (state !== undefined && !deadline.abandoned) cache.set(sequenceId, state);
    return state;
  }

  /** Folds what the store has beyond `known`. @throws GateError where the store's chain does not hold together. */
  async function catchUp(
    sequenceId: string,
    known: S | undefined,
    deadline: Deadline,
  ): Promise<S | undefined> {
    // A fold that fails half way must not be found again.
    cache.delete(sequenceId);
    let state = known;
    for (;;) {
      const lines = await readLines(sequenceId, (state?.head.seq ?? -1) + 1, PAGE);
      mustBeInTime(deadline);
      state = fold(sequenceId, state, lines.map(reread));
      if (lines.length < PAGE) return keep(sequenceId, state, deadline);
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

  async function sign(
    sequenceId: string,
    state: S | undefined,
    drafts: readonly Draft[],
    now: Now,
    deadline: Deadline,
  ): Promise<readonly Signed[]> {
    const linked: Linked[] = [];
    let seq = (state?.head.seq ?? -1) + 1;
    let prev = state?.head.hash ?? genesisOf(sequenceId, drafts[0]);
    const signer = parts.signer();
    for (const draft of drafts) {
      const one = link({ draft, sequenceId, seq, prev, ts_ms: now.record }, signer);
      linked.push(one);
      prev = one.hash;
      seq++;
    }
    const signatures = signer && (await signaturesOf(signer, linked, deadline));
    return linked.map((one, index) => authenticate(one, signatures?.[index]));
  }

  function genesisOf(sequence_id: string, first: Draft | undefined): string {
    const tenant = first?.kind === "open" ? first.tenant : undefined;
    return genesisHash({ log_id: parts.logId, tenant, sequence_id });
  }

  function link(
    { draft, sequenceId, seq, prev, ts_ms }: Place,
    signer: RecordSigner | undefined,
  ): Linked {
    const { hmacKey, logId, gateId } = parts;
    const added = { v: RECEIPT_VERSION, log_id: logId, sequence_id: sequenceId, seq, prev, ts_ms };
    const body = Object.assign({ ...draft, ...added, gate_id: gateId } as Receipt, {
      ...(signer === undefined ? {} : { key_id: signer.keyId }),
      ...(hmacKey === undefined ? {} : { hmac_key_id: hmacKey.id }),
    });
    const text = bodyText(body);
    return { body, text, hash: sha256(text.preimage) };
  }

  /** Adds its authenticators to a body that nobody else has seen. */
  function authenticate({ body, text, hash }: Linked, signature: Signature | undefined): Signed {
    const { hmacKey } = parts;
    const mac =
      hmacKey === undefined
        ? undefined
        : { hmac_sig: `sha256=${hmacHex(hmacKey.key, inputOf(text))}` };
    const receipt = Object.freeze(Object.assign(body, signature, mac));
    return { receipt, hash, line: lineOf(text, receipt) };
  }

  return {
    transact: (sequenceId, plan, { fresh = false } = {}) =>
      queue(sequenceId, (turn) =>
        withDeadline(
          parts.deadlineMs,
          (deadline) =>
            turn === undefined
              ? transact(sequenceId, plan, deadline, fresh)
              : turn.then(() => transact(sequenceId, plan, deadline, fresh)),
          () => cache.delete(sequenceId),
        ),
      ),
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

/** A batch holds at most one record of a sequence, but for an `open` and the decision appended with it. */
function signaturesOf(
  signer: RecordSigner,
  linked: readonly Linked[],
  deadline: Deadline,
): Promise<readonly Signature[]> {
  const isLate = (): boolean => deadline.expired;
  const kinds = linked.map(({ body }) => body.kind).join();
  if (linked.length === 1 || kinds === "open,decision") return signer.sign(linked, isLate);
  return signApart(signer, linked, isLate);
}

async function signApart(
  signer: RecordSigner,
  linked: readonly Linked[],
  isLate: () => boolean,
): Promise<readonly Signature[]> {
  const signatures: Signature[] = [];
  for (const one of linked) signatures.push(...(await signer.sign([one], isLate)));
  return signatures;
}

function mustBeInTime(deadline: Deadline): void {
  if (deadline.expired) throw late();
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

interface Place {
  readonly draft: Draft;
  readonly sequenceId: string;
  readonly seq: number;
  readonly prev: string;
  readonly ts_ms: number;
}

/** A record that has its place, and no authenticators yet. */
interface Linked {
  readonly body: Receipt;
  readonly text: BodyText;
  readonly hash: string;
}

interface Signed {
  readonly receipt: Receipt;
  readonly hash: string;
  readonly line: string;
}

/** What the store may index without parsing the line. */
function placed({ receipt, hash, line }: Signed, parts: LedgerParts): PlacedRecord {
  const place = { seq: receipt.seq, hash, line };
  if (receipt.kind === "outcome") return { ...place, closes: receipt.decision_hash };
  if (receipt.kind !== "decision") return place;
  const opens = {
    gate_id: parts.gateId,
    expires_ms: receipt.permit_expires_ms ?? receipt.ts_ms + parts.permitTtlMs,
  };
  return {
    ...place,
    ...(burnsNonce(receipt) && receipt.nonce !== undefined ? { nonce: receipt.nonce } : {}),
    ...(receipt.decision === "ALLOW" ? { opens } : {}),
  };
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

/** The most recently used states, bounded by the number of records that they fold. */
function stateCache<S extends ChainState>(
  capacity: number,
): Pick<Map<string, S>, "get" | "delete"> & {
  set(id: string, state: S): void;
} {
  const states = new Map<string, { readonly state: S; readonly weight: number }>();
  let total = 0;
  const remove = (id: string): boolean => {
    total -= states.get(id)?.weight ?? 0;
    return states.delete(id);
  };
  return {
    get(id) {
      const entry = states.get(id);
      if (entry === undefined) return undefined;
      states.delete(id);
      states.set(id, entry);
      return entry.state;
    },
    set(id, state) {
      remove(id);
      states.set(id, { state, weight: state.head.seq + 1 });
      total += state.head.seq + 1;
      for (const oldest of states.keys()) {
        if (total <= capacity || states.size === 1) break;
        remove(oldest);
      }
    },
    delete: remove,
  };
}

/** Gives work of one key its turn one after another, work of different keys side by side. */
function serialQueue(): <T>(
  key: string,
  work: (turn: Promise<unknown> | undefined) => Promise<T>,
) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const run = work(tails.get(key));
    // Settled or abandoned, the next one has its turn: what hangs must not hold its sequence.
    const tail: Promise<void> = run.then(release, release);
    function release(): void {
      if (tails.get(key) === tail) tails.delete(key);
    }
    tails.set(key, tail);
    return run;
  };
}
