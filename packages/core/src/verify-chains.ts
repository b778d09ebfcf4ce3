/** The chains of a file: at hand while their records come, and put aside where too many are, so that memory has a bound. */
import type { FindingCode } from "./finding.ts";
import { packChain, unpackChain } from "./packed-chain.ts";
import { LOG_CHAIN } from "./receipt.ts";
import { type Chain, type HeldPolicies, newChain } from "./verify-chain.ts";

/** A chain, and what was found of it so far. */
export interface FollowedChain {
  /** The line that its first record stood on. */
  readonly from: number;
  readonly chain: Chain;
  records: number;
  /** The first finding of its records. */
  first?: { readonly line: number; readonly code: FindingCode };
  readonly faults: Set<FindingCode>;
}

/** Where chains wait that had no record lately: a temporary file. Nobody else writes to it meanwhile. */
export interface ChainSpill {
  /** Keeps a chain; the same id again, which comes with the same `from`, replaces what was kept. */
  save(sequenceId: string, from: number, packed: string): void;
  load(sequenceId: string): string | undefined;
  /** Everything that is kept, by ascending `from`. */
  all(): Iterable<readonly [sequenceId: string, packed: string]>;
}

/** The chains that a verifier follows. */
export interface Chains {
  /** The chain of this id, which begins with this line unless it is known: one more record is its. */
  follow(sequenceId: string, line: number): FollowedChain;
  /** Told after each line: no chain is being changed now. */
  settle(): void;
  /** The chain `@log`, where the file has one; it is always at hand. */
  log(): Chain | undefined;
  /** Every sequence so far, by its first line. */
  all(): Iterable<readonly [sequenceId: string, followed: FollowedChain]>;
}

/** How many records the chains at hand may have together: some 30 megabytes of what is known of them. */
const AT_HAND = 30_000;
/** A chain costs as much as so many records before it has any. */
const CHAIN_WEIGHT = 4;

/** Chains in memory, and in `spill` what is more than `atHand` records of them; without it all stay in memory. */
export function createChains(
  policies: HeldPolicies,
  spill?: ChainSpill,
  atHand: number = AT_HAND,
): Chains {
  /** By when they were touched, the longest ago first. */
  const hand = new Map<string, FollowedChain>();
  let log: FollowedChain | undefined;
  let weight = 0;
  let spilled = false;

  function takeUp(sequenceId: string, line: number): FollowedChain {
    const packed = spilled ? spill?.load(sequenceId) : undefined;
    const followed = packed === undefined ? begin(line) : unpackChain(packed, policies);
    weight += CHAIN_WEIGHT + followed.records;
    return followed;
  }

  /** All but the latest that are so many records together, and `chains` at least. */
  function putAside(to: ChainSpill, records: number, chains: number): void {
    for (const [sequenceId, followed] of hand) {
      if (weight <= records || hand.size <= chains) return;
      to.save(sequenceId, followed.from, packChain(followed));
      spilled = true;
      hand.delete(sequenceId);
      weight -= CHAIN_WEIGHT + followed.records;
    }
  }

  return {
    follow(sequenceId, line) {
      if (sequenceId === LOG_CHAIN) return (log = counted(log ?? begin(line)));
      const known = hand.get(sequenceId);
      if (known !== undefined) hand.delete(sequenceId);
      const followed = known ?? takeUp(sequenceId, line);
      hand.set(sequenceId, followed);
      weight++;
      return counted(followed);
    },
    settle() {
      // One chain stays, however long it is.
      if (spill !== undefined && weight > atHand) putAside(spill, atHand, 1);
    },
    log: () => log?.chain,
    *all() {
      if (spill !== undefined && spilled) {
        putAside(spill, 0, 0);
        for (const [sequenceId, packed] of spill.all())
          yield [sequenceId, unpackChain(packed, policies)] as const;
      } else yield* [...hand].sort(([, a], [, b]) => a.from - b.from);
    },
  };
}

function counted(followed: FollowedChain): FollowedChain {
  followed.records++;
  return followed;
}

function begin(line: number): FollowedChain {
  return { from: line, chain: newChain(), records: 0, faults: new Set() };
}
