/** Which policies a gate holds, which of them is active, and the chain `@log` that tells every change of it. */
import { type CompiledPolicy, isCompiledPolicy } from "./compiled-policy.ts";
import { askStore } from "./deadline.ts";
import { GateError } from "./errors.ts";
import type { GateKey } from "./gate-key.ts";
import { provesKey } from "./key-proof.ts";
import type { Ledger } from "./ledger.ts";
import {
  type KeyReceipt,
  LOG_CHAIN,
  type Mode,
  type PolicyReceipt,
  type Receipt,
} from "./receipt.ts";
import type { Draft } from "./record-writer.ts";
import type { Head, SequenceState } from "./sequence-state.ts";
import type { Store } from "./store.ts";

/** What `@log` says after its records so far. */
export interface LogState {
  head: Head;
  /** Digest of the active policy, by id. */
  readonly active: Map<string, string>;
  readonly withdrawn: Set<string>;
  /** Thumbprint of the key that took over, by that of the key that handed over to it. Never a circle. */
  readonly replaced: Map<string, string>;
}

/** A policy as this gate knows it. */
export interface PolicyStatus {
  readonly id: string;
  readonly version: string;
  readonly digest: string;
  /** `held`: it serves the sequences that were opened under it, and opens no new ones. */
  readonly status: "active" | "held" | "withdrawn";
}

/** The policies of one gate. */
export interface PolicyBook {
  /** Every policy that was ever given, to fold and to verify by. */
  readonly held: ReadonlyMap<string, CompiledPolicy>;
  /** The policy that this state was folded by, to decide by; `undefined` where it was not held then or was withdrawn. */
  pinned(state: Pick<SequenceState, "policy">): CompiledPolicy | undefined;
  /** The active policy of this id, or the only active one. */
  active(id?: string): CompiledPolicy | undefined;
  /** Makes a policy the active one of its id, also an older one again; running sequences keep theirs. */
  activate(policy: CompiledPolicy): Promise<PolicyReceipt>;
  /** Nothing is decided under it any more, running sequences included, until it is activated again. */
  withdraw(digest: string): Promise<PolicyReceipt>;
  list(): readonly PolicyStatus[];
  /** `ts_ms` of the newest record that was taken in: what is opened under it comes after it, whatever the clock says. */
  headMs(): number;
  /**
   * Takes in what other gates of this log changed, once a second of this clock, and where that stands still every five
   * seconds; `undefined` where nothing is to be read.
   * @throws GateError STORE_UNAVAILABLE.
   */
  follow(clock: number): Promise<void> | undefined;
}

/** How long a change through one gate may take, in milliseconds, to reach another gate of the same log. */
const FOLLOW_MS = 1_000;
/** The same where the gate's clock stands still, by one that never does. */
const FOLLOW_ANYWAY_MS = 5_000;

/** What a policy book is made of. */
export interface PolicyBookParts {
  readonly policies: readonly CompiledPolicy[];
  readonly earlier: readonly CompiledPolicy[];
  readonly ledger: Ledger<LogState>;
  readonly key: GateKey;
  readonly store: Store;
  readonly mode: Mode;
  readonly deadlineMs: number;
  readonly clock: () => number;
}

/** Folds one record of `@log`; `undefined` for what cannot stand there. */
export function foldLog(
  state: LogState | undefined,
  receipt: Receipt,
  hash: string,
): LogState | undefined {
  const head = { seq: receipt.seq, hash, ts_ms: receipt.ts_ms };
  const folded = state ?? emptyLog(head);
  folded.head = head;
  if (receipt.kind === "policy") applyPolicy(folded, receipt);
  else if (receipt.kind === "key" && provesKey(receipt)) applyKey(folded, receipt);
  else return undefined;
  return folded;
}

function emptyLog(head: Head): LogState {
  return { head, active: new Map(), withdrawn: new Set(), replaced: new Map() };
}

function applyPolicy(log: LogState, { policy_id, policy_digest, status }: PolicyReceipt): void {
  if (status === "active") {
    log.active.set(policy_id, policy_digest);
    log.withdrawn.delete(policy_digest);
  } else {
    log.withdrawn.add(policy_digest);
    if (log.active.get(policy_id) === policy_digest) log.active.delete(policy_id);
  }
}

/** The first successor stands: whoever holds a replaced key cannot name another. A key that is handed back to signs again. */
function applyKey({ replaced }: LogState, { key_id, new_key }: KeyReceipt): void {
  if (key_id === undefined || replaced.has(key_id)) return;
  replaced.set(key_id, new_key.kid);
  replaced.delete(new_key.kid);
}

/** Opens the book: keeps the policies' normal forms, and records as active what was not. */
export async function openPolicyBook(parts: PolicyBookParts): Promise<PolicyBook> {
  const { ledger, key, store, mode, deadlineMs } = parts;
  const held = new Map<string, CompiledPolicy>();
  let state: Pick<LogState, "active" | "withdrawn"> = { active: new Map(), withdrawn: new Set() };
  /** Ids that this gate opens sequences under; the log may have others active, which are other gates' business. */
  const opens = new Set(parts.policies.map(({ id }) => id));
  let headMs = 0;
  let followed = parts.clock();
  let followedAt = performance.now();
  let following: Promise<void> | undefined;

  async function hold(policies: readonly CompiledPolicy[]): Promise<void> {
    await askStore(deadlineMs, () =>
      store.keep(policies.map(({ digest, normalForm }) => ({ digest, text: normalForm }))),
    );
    for (const policy of policies) held.set(policy.digest, policy);
  }

  /** Appends what `choose` makes of the log, and follows the log to its new head. */
  async function change(
    choose: (log: LogState | undefined) => readonly CompiledPolicy[],
    status: "active" | "withdrawn",
  ): Promise<PolicyReceipt | undefined> {
    return ledger.transact(
      LOG_CHAIN,
      async (log) => {
        await key.follow(log);
        return {
          drafts: choose(log).map((policy) => draftOf(policy, status, mode, log)),
          answer(receipts, after) {
            if (after !== undefined) {
              state = { active: new Map(after.active), withdrawn: new Set(after.withdrawn) };
              headMs = after.head.ts_ms;
            }
            return receipts.at(-1) as PolicyReceipt | undefined;
          },
        };
      },
      // Freshly read: what another gate changed since decides on what is to be recorded.
      { fresh: true },
    );
  }

  /** Everyone waits for the same reading; after one that failed the next decision tries again. */
  async function takeIn(clock: number): Promise<void> {
    try {
      await change(() => [], "active");
      followed = clock;
      followedAt = performance.now();
    } finally {
      following = undefined;
    }
  }

  const active = (id?: string): CompiledPolicy | undefined => {
    const ids = id === undefined ? [...opens] : opens.has(id) ? [id] : [];
    const mine = ids.flatMap((one) => held.get(state.active.get(one) ?? "") ?? []);
    return mine.length === 1 ? mine[0] : undefined;
  };

  await hold([...parts.earlier, ...parts.policies]);
  await change(
    (log) =>
      latestOfEach(parts.policies).filter(
        ({ id, digest }) => log?.active.get(id) !== digest && !log?.withdrawn.has(digest),
      ),
    "active",
  );

  return {
    held,
    pinned: ({ policy }) =>
      policy !== undefined && state.withdrawn.size > 0 && state.withdrawn.has(policy.digest)
        ? undefined
        : policy,
    active,
    async activate(policy) {
      if (!isCompiledPolicy(policy))
        throw new TypeError("activate: the policy must be compiled, by @stepgate/policy");
      await hold([policy]);
      opens.add(policy.id);
      const receipt = await change(
        (log) => (log?.active.get(policy.id) === policy.digest ? [] : [policy]),
        "active",
      );
      return receipt ?? lastOf(ledger, ofPolicy(policy.digest), `policy ${policy.digest}`);
    },
    async withdraw(digest) {
      const policy = held.get(digest);
      if (policy === undefined)
        throw new GateError("INVALID_INPUT", `this gate holds no policy ${digest}`);
      const receipt = await change(
        (log) => (log?.withdrawn.has(digest) ? [] : [policy]),
        "withdrawn",
      );
      return receipt ?? lastOf(ledger, ofPolicy(digest), `policy ${digest}`);
    },
    list: () =>
      [...held.values()].map(({ id, version, digest }) => {
        const status = state.withdrawn.has(digest)
          ? "withdrawn"
          : state.active.get(id) === digest
            ? "active"
            : "held";
        return { id, version, digest, status };
      }),
    headMs: () => headMs,
    follow(clock) {
      const isRecent = Math.abs(clock - followed) < FOLLOW_MS;
      if (isRecent && performance.now() - followedAt < FOLLOW_ANYWAY_MS) return following;
      return (following ??= takeIn(clock));
    },
  };
}

/** Of several policies with one id the last is meant to be active. */
function latestOfEach(policies: readonly CompiledPolicy[]): readonly CompiledPolicy[] {
  return [...new Map(policies.map((policy) => [policy.id, policy])).values()];
}

function draftOf(
  policy: CompiledPolicy,
  status: "active" | "withdrawn",
  mode: Mode,
  log: LogState | undefined,
): Draft {
  const previous = log?.active.get(policy.id);
  return {
    kind: "policy",
    mode,
    policy_id: policy.id,
    policy_version: policy.version,
    policy_digest: policy.digest,
    status,
    ...(previous === undefined || previous === policy.digest ? {} : { previous }),
  };
}

/** The record that made it so, where nothing had to be recorded. @throws GateError INVALID_INPUT where there is none. */
export async function lastOf<R extends Receipt>(
  ledger: Ledger<LogState>,
  is: (receipt: Receipt) => receipt is R,
  what: string,
): Promise<R> {
  const head = await ledger.transact(LOG_CHAIN, (log) => ({
    drafts: [],
    answer: () => log?.head.seq ?? -1,
  }));
  for (let seq = head; seq >= 0; seq--) {
    const record = await ledger.record(LOG_CHAIN, seq);
    if (is(record)) return record;
  }
  throw new GateError("INVALID_INPUT", `the log has no record of ${what}`);
}

function ofPolicy(digest: string): (receipt: Receipt) => receipt is PolicyReceipt {
  return (receipt): receipt is PolicyReceipt =>
    receipt.kind === "policy" && receipt.policy_digest === digest;
}
