/** The chains that a ledger has at hand: the state of each as it was last known, and whose turn it is to append to it. */

/** One chain, for as long as its state is at hand or somebody wants it. Changed by its {@link Chains} alone. */
export interface Chain<S> {
  readonly id: string;
  /** After the last record that this ledger saw; `undefined`: to be read. */
  state: S | undefined;
  /** How many records the state is the fold of. */
  weight: number;
  /** Wanted again since states were last let go. */
  used: boolean;
  holder: Ticket | undefined;
  readonly waiting: { readonly ticket: Ticket; readonly begin: () => void }[];
}

/** Stands for one piece of work: the same object to enter and to leave with. */
type Ticket = object;

/** See the top of this file. */
export interface Chains<S> {
  of(id: string): Chain<S>;
  /** Takes the turn, where the chain is free; else resolves when all who entered before have left. */
  enter(chain: Chain<S>, ticket: Ticket): Promise<void> | undefined;
  /**
   * Gives the turn to who is next. Work that was `abandoned` may still do anything: what was known of the chain is not
   * relied on any more.
   */
  leave(chain: Chain<S>, ticket: Ticket, abandoned: boolean): void;
  /** What the chain's state is now, a fold of `weight` records. */
  keep(chain: Chain<S>, state: S, weight: number): void;
  /** Whatever was known of the chain, it is to be read. */
  forget(chain: Chain<S>): void;
}

/** Keeps states at hand that are folds of at most `capacity` records together; of one chain, of any number. */
export function createChains<S>(capacity: number): Chains<S> {
  const chains = new Map<string, Chain<S>>();
  let total = 0;

  function added(id: string): Chain<S> {
    const chain = { id, state: undefined, weight: 0, used: false, holder: undefined, waiting: [] };
    chains.set(id, chain);
    return chain;
  }

  function weigh(chain: Chain<S>, state: S | undefined, weight: number): void {
    total += weight - chain.weight;
    chain.state = state;
    chain.weight = weight;
  }

  /** A second chance for what was used since the last time. INVARIANT: a chain that has a holder stays, or it would get two. */
  function letGo(kept: Chain<S>): void {
    let looks = 2 * chains.size;
    for (const chain of chains.values()) {
      if (total <= capacity || looks-- === 0) return;
      const stays = chain.used || chain.holder !== undefined || chain === kept;
      chain.used = false;
      chains.delete(chain.id);
      if (stays) chains.set(chain.id, chain);
      else weigh(chain, undefined, 0);
    }
  }

  return {
    of(id) {
      const known = chains.get(id);
      if (known === undefined) return added(id);
      known.used = true;
      return known;
    },
    enter(chain, ticket) {
      if (chain.holder !== undefined)
        return new Promise((begin) => {
          chain.waiting.push({ ticket, begin });
        });
      chain.holder = ticket;
      return undefined;
    },
    leave(chain, ticket, abandoned) {
      if (abandoned) weigh(chain, undefined, 0);
      if (chain.holder !== ticket) {
        const place = chain.waiting.findIndex((one) => one.ticket === ticket);
        if (place >= 0) chain.waiting.splice(place, 1);
        return;
      }
      const next = chain.waiting.shift();
      chain.holder = next?.ticket;
      next?.begin();
      if (next === undefined && chain.state === undefined) chains.delete(chain.id);
    },
    keep(chain, state, weight) {
      weigh(chain, state, weight);
      if (total > capacity) letGo(chain);
    },
    forget: (chain) => weigh(chain, undefined, 0),
  };
}
