/** A followed chain as text and back: what a verifier reads of it again, each string once. */
import type { DenyCode } from "./decision.ts";
import type { FindingCode } from "./finding.ts";
import type { CallMembers, OpenReceipt, OutcomeStatus } from "./receipt.ts";
import { type ApprovalVote, type NonceUse, type SequenceState } from "./sequence-state.ts";
import { type Gap, type HeldPolicies, judgedState } from "./verify-chain.ts";
import type { FollowedChain } from "./verify-chains.ts";

/** The place of a string in the list of all strings of a chain. */
type Word = number;
/** 0 stands for what is not there. */
type Maybe = Word | 0;

/** Written by {@link packChain} and by nobody else. */
interface Packed {
  readonly words: readonly string[];
  readonly followed: readonly [from: number, records: number, faults: FindingCode[]];
  readonly first?: NonNullable<FollowedChain["first"]>;
  readonly chain: readonly [next: number, prev: string | null, ts_ms: number, readonly Gap[]];
  readonly state?: PackedState;
}

interface PackedState {
  readonly opened: OpenReceipt;
  readonly head: SequenceState["head"];
  readonly position: number;
  readonly sealed?: NonNullable<SequenceState["sealed"]>;
  readonly context: SequenceState["context"];
  readonly uses: readonly PackedUse[];
  readonly nonces: readonly (readonly [nonce: Word, use: number])[];
  readonly allows: readonly (readonly [hash: Word, use: number, status: Maybe, seq: number])[];
  readonly awaiting: readonly (readonly [hash: Word, use: number])[];
  readonly approvals: readonly (readonly [
    string,
    readonly (readonly [string, ApprovalVote[]])[],
  ])[];
  /** Indexes of the constraints that saw the first of their two calls. */
  readonly fired: readonly number[];
  readonly binds: readonly (readonly [string, string])[];
  readonly totals: readonly (readonly [string, string])[];
  readonly calls: readonly (readonly [string, number])[];
}

type PackedUse = readonly [
  hash: Word,
  seq: number,
  root: Maybe,
  allowedAs: Maybe,
  deny_code: Maybe,
  rule: Maybe,
  step: Maybe,
  fn: Maybe,
  action_type: Maybe,
  tool: Maybe,
  audience: Maybe,
  args_digest: Word,
  latest: Maybe,
  status: Maybe,
  resumed: number,
];

/** The text of a chain. `attempts`, `contexts` and `denials` are the gate's and no verifier's business: they are left out. */
export function packChain({ from, records, first, faults, chain }: FollowedChain): string {
  const words = createWords();
  const { next, prev, ts_ms, gaps, state } = chain;
  const packed: Packed = {
    words: words.list,
    followed: [from, records, [...faults]],
    ...(first === undefined ? {} : { first }),
    chain: [next, prev ?? null, ts_ms, gaps],
    ...(state === undefined ? {} : { state: packState(state, words) }),
  };
  return JSON.stringify(packed);
}

/** The chain of a text that {@link packChain} made; the policies are those that it was followed with. */
export function unpackChain(text: string, policies: HeldPolicies): FollowedChain {
  const { words, followed, first, chain, state } = JSON.parse(text) as Packed;
  const [from, records, faults] = followed;
  const [next, prev, ts_ms, gaps] = chain;
  return {
    from,
    records,
    ...(first === undefined ? {} : { first }),
    faults: new Set(faults),
    chain: {
      next,
      prev: prev ?? undefined,
      ts_ms,
      gaps: [...gaps],
      state: state && unpackState(state, words, policies),
      policies: [],
    },
  };
}

interface Words {
  readonly list: string[];
  of(text: string): Word;
  maybe(text: string | undefined): Maybe;
}

function createWords(): Words {
  const list = [""];
  const places = new Map<string, Word>();
  const of = (text: string): Word => {
    let place = places.get(text);
    if (place === undefined) places.set(text, (place = list.push(text) - 1));
    return place;
  };
  return { list, of, maybe: (text) => (text === undefined ? 0 : of(text)) };
}

function packState(state: SequenceState, words: Words): PackedState {
  const { opened, head, position, sealed, context } = state;
  const uses = new Map<NonceUse, number>();
  const useOf = (use: NonceUse): number => {
    let place = uses.get(use);
    if (place === undefined) uses.set(use, (place = uses.size));
    return place;
  };
  return {
    opened,
    head,
    position,
    ...(sealed === undefined ? {} : { sealed }),
    context,
    nonces: [...state.nonces].map(([nonce, use]) => [words.of(nonce), useOf(use)]),
    allows: [...state.allows].map(([hash, { use, outcome }]) => {
      return [words.of(hash), useOf(use), words.maybe(outcome?.status), outcome?.seq ?? 0];
    }),
    awaiting: [...state.awaiting].map(([hash, use]) => [words.of(hash), useOf(use)]),
    approvals: [...state.approvals].map(([denial, votes]) => [denial, [...votes]]),
    fired: state.fired.flatMap((fired, index) => (fired ? [index] : [])),
    binds: [...state.binds],
    totals: [...state.totals],
    calls: [...state.calls],
    uses: [...uses.keys()].map((use) => packUse(use, words)),
  };
}

function packUse(use: NonceUse, { of, maybe }: Words): PackedUse {
  const { step, function: fn, action_type, tool, audience } = use.call;
  return [
    of(use.hash),
    use.seq,
    maybe(use.root),
    maybe(use.allowedAs),
    maybe(use.deny_code),
    maybe(use.rule),
    maybe(step),
    maybe(fn),
    maybe(action_type),
    maybe(tool),
    maybe(audience),
    of(use.args_digest),
    maybe(use.latest),
    maybe(use.status),
    use.resumed,
  ];
}

function unpackState(
  packed: PackedState,
  words: readonly string[],
  policies: HeldPolicies,
): SequenceState {
  const { opened, head, position, sealed, context } = packed;
  const word = (place: Word): string => words[place] ?? "";
  const uses = packed.uses.map((use) => unpackUse(use, word));
  const useOf = (place: number): NonceUse => uses[place] as NonceUse;
  const state = judgedState(opened, head.hash, policies);
  for (const [nonce, use] of packed.nonces) state.nonces.set(word(nonce), useOf(use));
  for (const [hash, use, status, seq] of packed.allows)
    state.allows.set(word(hash), {
      use: useOf(use),
      ...(status === 0 ? {} : { outcome: { status: word(status) as OutcomeStatus, seq } }),
    });
  for (const [hash, use] of packed.awaiting) state.awaiting.set(word(hash), useOf(use));
  for (const [denial, votes] of packed.approvals)
    state.approvals.set(denial, new Map(votes.map(([key, cast]) => [key, cast])));
  for (const index of packed.fired) state.fired[index] = true;
  return Object.assign(state, {
    head,
    position,
    context,
    ...(sealed === undefined ? {} : { sealed }),
    binds: new Map(packed.binds),
    totals: new Map(packed.totals),
    calls: new Map(packed.calls),
  });
}

function unpackUse(packed: PackedUse, word: (place: Word) => string): NonceUse {
  const [hash, seq, root, allowedAs, deny_code, rule, ...rest] = packed;
  const [step, fn, action_type, tool, audience, args_digest, latest, status, resumed] = rest;
  const call: CallMembers = {
    ...(step === 0 ? {} : { step: word(step) }),
    ...(fn === 0 ? {} : { function: word(fn) }),
    ...(action_type === 0 ? {} : { action_type: word(action_type) }),
    ...(tool === 0 ? {} : { tool: word(tool) }),
    ...(audience === 0 ? {} : { audience: word(audience) }),
  };
  return {
    hash: word(hash),
    seq,
    ...(root === 0 ? {} : { root: word(root) }),
    ...(allowedAs === 0 ? {} : { allowedAs: word(allowedAs) }),
    ...(deny_code === 0 ? {} : { deny_code: word(deny_code) as DenyCode }),
    ...(rule === 0 ? {} : { rule: word(rule) }),
    call,
    args_digest: word(args_digest),
    ...(latest === 0 ? {} : { latest: word(latest) }),
    ...(status === 0 ? {} : { status: word(status) as OutcomeStatus }),
    resumed,
  };
}
