/** Races between appends, as plain functions: they report what happened, so that a broken store can be shown to fail them. */
import type { AppendResult, Store } from "@stepgate/core";
import { counting, sampleRecord } from "./sample-record.ts";

/** A race on one sequence that is new to the stores; racers are spread evenly over `stores`, which share one log. */
export interface Race {
  readonly stores: readonly Store[];
  readonly sequenceId: string;
  /** Default 64. */
  readonly racers?: number;
}

/** What the racers were told, and what stands afterwards. */
export interface RaceReport {
  readonly answers: readonly AppendResult[];
  /** How many racers were told that their record, with the contested place or nonce, stands. */
  readonly won: number;
  readonly lines: readonly string[];
  /** What a store must not do, in words; empty where it kept its promises. */
  readonly violations: readonly string[];
}

/** Everybody appends another record at place 0, in one turn: exactly one may be told `won`. */
export async function raceForOnePlace(race: Race): Promise<RaceReport> {
  const records = Array.from({ length: race.racers ?? 64 }, (_, racer) =>
    sampleRecord(race.sequenceId, 0, `racer ${racer}`),
  );
  const answers = await Promise.all(
    records.map((record, racer) =>
      storeOf(race, racer).append({ sequence_id: race.sequenceId, records: [record] }),
    ),
  );
  const winner = records[answers.indexOf("won")];
  return report(race, answers, winner === undefined ? [] : [winner.line]);
}

/**
 * Everybody appends a record that burns one nonce at the next free place, and one that burns none after being told
 * `replay`, as a gate does: exactly one may burn it, and every racer's record stands in one chain.
 */
export async function raceForOneNonce(race: Race): Promise<RaceReport> {
  const standing: string[] = [];
  const answers = await Promise.all(
    Array.from({ length: race.racers ?? 64 }, async (_, racer) => {
      const store = storeOf(race, racer);
      const burning = await appendAtHead(store, race.sequenceId, `racer ${racer}`, "contested");
      const last =
        burning.answer === "replay"
          ? await appendAtHead(store, race.sequenceId, `denial ${racer}`)
          : burning;
      standing[last.seq] = last.line;
      return burning.answer;
    }),
  );
  return report(race, answers, standing);
}

/**
 * Everybody adds 0.1 to one counter of at most 0.3, with a record in a sequence of its own: exactly three may be told
 * `won`, and nobody else's record stands.
 */
export async function raceForOneLimit(race: Race): Promise<RaceReport> {
  const counter = `limit of ${race.sequenceId}`;
  const appends = Array.from({ length: race.racers ?? 64 }, (_, racer) => {
    const sequence_id = `${race.sequenceId}-${racer}`;
    const records = [sampleRecord(sequence_id, 0, "counted")] as const;
    return { sequence_id, records, counters: counting(counter, "0.1", "0.3") };
  });
  const answers = await Promise.all(
    appends.map((append, racer) => storeOf(race, racer).append(append)),
  );
  const read = appends.map(({ sequence_id }) => storeOf(race, 0).read(sequence_id, 0));
  const lines = (await Promise.all(read)).flat();
  const winners = appends.filter((_, racer) => answers[racer] === "won");
  const expected = winners.map(({ records: [record] }) => record.line);
  const total = (await storeOf(race, 0).counters([counter])).get(counter);
  const violations = violationsOf({ answers, lines, expected, wins: 3 });
  if (total !== "0.3") violations.push(`the counter stands at ${total}`);
  return { answers, won: winners.length, lines, violations };
}

async function appendAtHead(store: Store, sequenceId: string, content: string, nonce?: string) {
  for (;;) {
    const seq = (await store.read(sequenceId, 0)).length;
    const record = sampleRecord(sequenceId, seq, content, nonce === undefined ? {} : { nonce });
    const answer = await store.append({ sequence_id: sequenceId, records: [record] });
    if (answer !== "lost") return { answer, seq, line: record.line };
  }
}

function storeOf({ stores }: Race, racer: number): Store {
  const store = stores[racer % stores.length];
  if (store === undefined) throw new TypeError("a race needs a store");
  return store;
}

async function report(
  { stores: [store], sequenceId }: Race,
  answers: readonly AppendResult[],
  expected: readonly string[],
): Promise<RaceReport> {
  const lines = (await store?.read(sequenceId, 0)) ?? [];
  const won = answers.filter((answer) => answer === "won").length;
  return { answers, won, lines, violations: violationsOf({ answers, lines, expected, wins: 1 }) };
}

function violationsOf(race: {
  readonly answers: readonly AppendResult[];
  readonly lines: readonly string[];
  readonly expected: readonly string[];
  readonly wins: number;
}): string[] {
  const { answers, lines, expected, wins } = race;
  const won = answers.filter((answer) => answer === "won").length;
  const violations: string[] = [];
  if (won !== wins) violations.push(`${won} racers were told that they won`);
  if (answers.includes("unknown"))
    violations.push("a racer was told unknown, and nothing was wrong with the store");
  if (lines.length !== expected.length || lines.some((line, seq) => line !== expected[seq])) {
    violations.push(
      "the records in the store are not those whose writers were told that they stand",
    );
  }
  return violations;
}
