/**
 * A store that is wrong on purpose: it looks whether the place is free, waits, and then inserts. The negative control of
 * every race: a race that this store passes proves nothing.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Append, type AppendResult, movedCounters, type Store } from "@stepgate/core";
import { chainsStore } from "./chains-store.ts";

/** Keeps records in memory without atomicity; `pause` is what lies between its check and its insert. */
export function checkThenInsertStore(pause: () => Promise<unknown> = () => nextTurn()): Store {
  const chains = new Map<string, Append["records"][number][]>();
  const totals = new Map<string, string>();

  async function append({ sequence_id, records, counters = [] }: Append): Promise<AppendResult> {
    const chain = chains.get(sequence_id) ?? [];
    chains.set(sequence_id, chain);
    if (records.every(({ seq, line }) => chain[seq]?.line === line)) return "won";
    if (records[0].seq !== chain.length) return "lost";
    const nonces = new Set(chain.map(({ nonce }) => nonce));
    if (records.some(({ nonce }) => nonce !== undefined && nonces.has(nonce))) return "replay";
    const moved = movedCounters(counters, (counter) => totals.get(counter));
    if (moved === undefined) return "limited";
    await pause();
    for (const record of records) chain[record.seq] = record;
    for (const [counter, total] of moved) totals.set(counter, total);
    return "won";
  }

  return chainsStore(chains, totals, append);
}
