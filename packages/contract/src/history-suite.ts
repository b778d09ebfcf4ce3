/** Histories of clients in several processes as tests, for every kind of store that keeps more than an object. */
import { expect } from "vitest";
import type { ClientsAnswer, ClientsQuestion } from "./append-process.ts";
import { judgeAppends } from "./append-clients.ts";
import { startScript } from "./child-process.ts";
import { logTest } from "./race-suite.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const PROCESSES = 4;
const CLIENTS = 4;
const SEQUENCES = ["s0", "s1", "s2"];
const CALLS = 60;

/** Registers the test: appends and reads of 16 clients in four processes, judged by a checker that knows no store. */
export function testHistories(storeUnderTest: StoreUnderTest, seed = 20_261_201): void {
  const title = `what ${PROCESSES * CLIENTS} clients in ${PROCESSES} processes were told is linearizable, sequence by sequence`;
  logTest(storeUnderTest, title, async (log) => {
    const script = new URL("append-process.ts", import.meta.url);
    const processes = await Promise.all(
      Array.from({ length: PROCESSES }, () => startScript<ClientsQuestion, ClientsAnswer>(script)),
    );
    const answers = await Promise.all(
      processes.map(({ ask }, nth) => {
        const clients = Array.from({ length: CLIENTS }, (_, at) => `p${nth}c${at}`);
        return ask({ log, clients, sequences: SEQUENCES, calls: CALLS, seed: seed + 100 * nth });
      }),
    );
    for (const { end } of processes) expect(await end()).toBe("");
    const notes = answers.flatMap((answer) => answer.notes);
    expect(notes).toHaveLength(PROCESSES * CLIENTS * CALLS);
    expect(judgeAppends(notes)).toEqual([]);
    // They met: some were late, some found the nonce burnt, and nothing was wrong with the store.
    const told = new Set(notes.map(({ output }) => (Array.isArray(output) ? "read" : output)));
    expect(told).toEqual(new Set(["read", "won", "lost", "replay"]));
  });
}
