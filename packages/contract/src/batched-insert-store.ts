/**
 * The second store that is wrong on purpose: a group commit as one writes it first. Appends that come in one turn are
 * one `INSERT … ON CONFLICT DO NOTHING RETURNING sequence_id, seq`, and whoever finds his keys among those returned takes
 * his rows for inserted. Two appends for one place in one batch both find them. Races between objects never show it:
 * the racers must share one.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type Append,
  type AppendResult,
  movedCounters,
  type PlacedRecord,
  type Store,
} from "@stepgate/core";
import { chainsStore } from "./chains-store.ts";

/** Keeps records in memory; only who inserted what is mistaken, the rows themselves never fork. */
export function batchedInsertStore(): Store {
  const chains = new Map<string, PlacedRecord[]>();
  const totals = new Map<string, string>();
  let batch: Append[] = [];
  let flush: Promise<ReadonlySet<string>> | undefined;

  async function append(request: Append): Promise<AppendResult> {
    const { sequence_id, records, counters = [] } = request;
    const before = chains.get(sequence_id) ?? [];
    if (records.every(({ seq, line }) => before[seq]?.line === line)) return "won";
    if (movedCounters(counters, (counter) => totals.get(counter)) === undefined) return "limited";
    batch.push(request);
    flush ??= nextTurn().then(insertBatch);
    const returned = await flush;
    // The mistake: a key that was returned may be that of another caller's row.
    if (records.every(({ seq }) => returned.has(keyOf(sequence_id, seq)))) return "won";
    return records.some(({ nonce }) => isBurnt(sequence_id, nonce)) ? "replay" : "lost";
  }

  /** The one statement: inserts whatever conflicts with nothing, and returns the keys of those rows. */
  function insertBatch(): ReadonlySet<string> {
    const returned = new Set<string>();
    for (const { sequence_id, records, counters = [] } of batch) {
      const chain = chains.get(sequence_id) ?? [];
      chains.set(sequence_id, chain);
      const moved = movedCounters(counters, (counter) => totals.get(counter));
      const conflicts = records.some(({ nonce }) => isBurnt(sequence_id, nonce));
      if (records[0].seq !== chain.length || conflicts || moved === undefined) continue;
      chain.push(...records);
      for (const [counter, total] of moved) totals.set(counter, total);
      for (const { seq } of records) returned.add(keyOf(sequence_id, seq));
    }
    batch = [];
    flush = undefined;
    return returned;
  }

  function isBurnt(sequenceId: string, nonce: string | undefined): boolean {
    const chain = chains.get(sequenceId) ?? [];
    return nonce !== undefined && chain.some((record) => record.nonce === nonce);
  }

  return chainsStore(chains, totals, append);
}

function keyOf(sequenceId: string, seq: number): string {
  return `${sequenceId} ${seq}`;
}
