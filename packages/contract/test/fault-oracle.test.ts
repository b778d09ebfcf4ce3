/** The judge of faults, by itself: what clients of a sound gate note is accepted, and each thing that must not be is found. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryStore, type Store } from "@stepgate/core";
import { expect, onTestFinished, test } from "vitest";
import { batchedInsertStore } from "../src/batched-insert-store.ts";
import { checkThenInsertStore } from "../src/check-then-insert-store.ts";
import { type Note, startFaultClients } from "../src/fault-clients.ts";
import { judgeFault, type Witness } from "../src/fault-oracle.ts";
import { openRacingGates } from "../src/gate-races.ts";

/** A busy machine is no fault of the gate's here. */
const TERMS = { withinMs: 5_000, codes: [] };
const ENOUGH_NOTES = 120;

test("what clients of two gates on one atomic store note is accepted", async () => {
  const { judge, witnesses } = await work(memoryStore());
  const found = await judge(witnesses);
  expect(found.violations).toEqual([]);
  expect(found.executed).toBe(found.allowed);
  expect(found.calls).toBeGreaterThan(50);
  expect(found.unknown).toBe(0);
});

test("two gates on either broken store are found out", async () => {
  for (const store of [checkThenInsertStore(), batchedInsertStore()]) {
    const { judge, witnesses } = await work(store);
    const { violations } = await judge(witnesses);
    expect(violations.some((found) => found.includes("not linearizable"))).toBe(true);
    expect(violations.some((found) => /is not in the log|executed without/.test(found))).toBe(true);
  }
});

test("a log that lost its last record is found out: by the action, and by whoever was told of the receipt", async () => {
  const store = memoryStore();
  const { judge, witnesses } = await work(store);
  const read = store.read;
  const forgetful: Store = {
    ...store,
    read: async (sequenceId, from) => (await read(sequenceId, from)).slice(0, -4),
  };
  const { violations } = await judge(witnesses, forgetful);
  expect(violations.some((found) => found.startsWith("executed without a receipt"))).toBe(true);
  expect(violations.some((found) => found.includes("is not in the log"))).toBe(true);
});

test("an answer that came late, never, without a code that it may have, or without a receipt is found out", async () => {
  const { judge, witnesses } = await work(memoryStore());
  const [witness, ...others] = witnesses;
  if (witness === undefined) throw new Error("no witness");
  const last = witness.notes.findLastIndex(({ note }) => note === "answer");
  const altered = async (change: (note: Note) => Note | undefined) => {
    const notes = witness.notes.flatMap((note, at) => (at === last ? (change(note) ?? []) : note));
    return (await judge([{ ...witness, notes }, ...others])).violations.join("\n");
  };
  const late = (note: Note) => ({ ...note, at: `${process.hrtime.bigint() + 10n ** 10n}` });
  expect(await altered(late)).toMatch(/ after \d{5} ms$/);
  expect(await altered(() => undefined)).toMatch(/: never answered$/);
  expect(await altered((note) => ({ ...note, answer: "OVERLOADED" }) as Note)).toMatch(
    /: answered OVERLOADED/,
  );
  const bare = (note: Note) =>
    (note.note === "answer" ? { ...note, seq: undefined } : note) as Note;
  expect(await altered(bare)).toMatch(/ without a receipt$/m);
  const complaint = { note: "complaint", says: "thrown at" } as const;
  expect(await altered(() => complaint)).toMatch(/^thrown at/);
});

test("what a killed or a stopped process left unanswered is nobody's fault", async () => {
  const { judge, witnesses } = await work(memoryStore());
  const [witness, ...others] = witnesses;
  if (witness === undefined) throw new Error("no witness");
  const last = witness.notes.findLastIndex(({ note }) => note === "answer");
  const killed = {
    ...witness,
    notes: witness.notes.filter((_, at) => at !== last),
    killed: true,
  };
  const found = await judge([killed, ...others]);
  expect([found.violations, found.unknown]).toEqual([[], 1]);
  const now = process.hrtime.bigint();
  const late = witness.notes.map((note, at) =>
    at === last ? ({ ...note, at: `${now + 10n ** 10n}` } as Note) : note,
  );
  const pauses = [[now, now + 10n ** 10n]] as const;
  expect((await judge([{ ...witness, notes: late, pauses }, ...others])).violations).toEqual([]);
});

test("an action that was executed twice is found out", async () => {
  const { judge, witnesses } = await work(memoryStore());
  const twice = witnesses.map((witness) => ({
    ...witness,
    executed: [...witness.executed, ...witness.executed.slice(0, 1)],
  }));
  expect((await judge(twice)).violations).toEqual(["an action was executed twice"]);
});

function lines(path: string): readonly string[] {
  return readFileSync(path, "utf8").split("\n").slice(0, -1);
}

/** Two gates at work on a store for a while, and what their clients noted. */
async function work(store: Store) {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { gates, trust } = await openRacingGates([store, store]);
  const paths = gates.map((_, nth) => ({
    notesPath: join(folder, `notes-${nth}`),
    executedPath: join(folder, `executed-${nth}`),
  }));
  const common = { run: "run", sequences: 2, clients: 4 };
  const working = gates.flatMap((gate, nth) => {
    const own = paths[nth];
    return own === undefined ? [] : startFaultClients(gate, { ...common, seed: nth, ...own });
  });
  const noted = (): number => paths.flatMap(({ notesPath }) => lines(notesPath)).length;
  do await sleep(20);
  while (noted() < ENOUGH_NOTES);
  await Promise.all(working.map(({ rest }) => rest()));
  const witnesses: readonly Witness[] = paths.map(({ notesPath, executedPath }) => ({
    notes: lines(notesPath).map((line) => JSON.parse(line) as Note),
    executed: lines(executedPath),
    pauses: [],
    killed: false,
  }));
  const judge = (told: readonly Witness[], from: Store = store) =>
    judgeFault(told, from, trust, TERMS);
  return { witnesses, judge };
}
