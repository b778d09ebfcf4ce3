/** Races for limits: of 64 submissions exactly as many are allowed as the limit has room for, whichever they are. */
import { type ActionInput, type DecisionReceipt, type Store } from "@stepgate/core";
import { judge, type RaceAnswer, RACERS, type Rounds, runRounds } from "./gate-races.ts";

/** What is counted: calls or amounts, of one sequence, or of an agent or tenant over many. Each is a function's name. */
export type LimitKind = (typeof LIMIT_KINDS)[number];

/** All kinds of limit that there are. */
export const LIMIT_KINDS = [
  "calls",
  "sum",
  "agent_calls",
  "agent_sum",
  "tenant_calls",
  "tenant_sum",
] as const;

const AMOUNT = 0.1;
/** Three tenths, which three tenths added up as binary fractions exceed. */
const SUM = { of: "args.amount", max: 0.3 };
const CALLS = { max: 10 };
/** So long that none ends while the tests of this century run. */
const WINDOW = "36500d";

/** The policy of these races: outside the order there is one function a kind, which nothing but its limit stops. */
export const LIMIT_POLICY: object = {
  schema: "stepgate.policy/1",
  id: "limits",
  version: "1",
  sequence: "settle",
  functions: {
    settle: ["SEAL"],
    calls: limited({ calls: CALLS }),
    sum: limited({ sum: SUM }),
    agent_calls: limited({ calls: { ...CALLS, per: "agent", window: WINDOW } }),
    agent_sum: limited({ sum: { ...SUM, per: "agent", window: WINDOW } }),
    tenant_calls: limited({ calls: { ...CALLS, per: "tenant", window: WINDOW } }),
    tenant_sum: limited({ sum: { ...SUM, per: "tenant", window: WINDOW } }),
  },
};

function limited(limits: object): object {
  return { step: "*", actions: ["WRITE"], limits };
}

/** A store, and every counter that a gate asked it for. */
export interface WatchedStore extends Store {
  readonly asked: ReadonlySet<string>;
}

/** The same store; notes the names of counters, which are the gates' own affair. */
export function watchCounters(store: Store): WatchedStore {
  const asked = new Set<string>();
  return {
    ...store,
    asked,
    counters(names) {
      for (const name of names) asked.add(name);
      return store.counters(names);
    },
  };
}

/** A race on one sequence a round, or on sixteen of one agent or tenant. */
export interface LimitRace extends Rounds<LimitKind> {
  /** The store of `gate`; receipts and totals are looked for in it. */
  readonly store: WatchedStore;
}

/** Runs the rounds and resolves to everything that must not be, in words; empty where every round was right. */
export function raceLimits(race: LimitRace): Promise<readonly string[]> {
  return runRounds(race, (round) => runRound(race, round));
}

const SEQUENCES = 16;

async function runRound(race: LimitRace, round: string): Promise<readonly string[]> {
  // The full stop keeps the first round's name from beginning the tenth's.
  const owner = `${round}.`;
  const inputs = Array.from({ length: RACERS }, (_, racer) => inputOf(race.kind, owner, racer));
  const answers = await race.submit(inputs);
  const late = await race.gate.decide(inputOf(race.kind, owner, RACERS));
  const sequences = [...new Set(inputs.map(({ sequence_id }) => sequence_id))];
  const chains = await Promise.all(sequences.map((id) => race.store.read(id, 0)));
  const room = isSum(race.kind) ? 3 : 10;
  const records = sequences.length + RACERS + 1;
  const expected = { allowed: room, code: "LIMIT_EXCEEDED", records } as const;
  return [
    ...judge({ answers, lines: chains.flat(), ...expected }, race.trust),
    ...(late.decision === "DENY" ? [] : ["after the race one more was allowed"]),
    ...faultyTotals(race.kind, answers),
    ...(await faultyCounters(race, owner, isSum(race.kind) ? "0.3" : `${room}`)),
  ];
}

/** Four neighbours ask for one sequence, so that each of four gates has calls of every sequence. */
function inputOf(
  kind: LimitKind,
  owner: string,
  racer: number,
): ActionInput & { sequence_id: string } {
  const nth = Math.floor(racer / 4) % SEQUENCES;
  const one = {
    function: kind,
    action_type: "WRITE",
    args: { amount: AMOUNT },
    nonce: `racer ${racer}`,
  };
  if (kind.startsWith("agent")) return { ...one, sequence_id: `${owner}-${nth}`, agent_id: owner };
  if (kind.startsWith("tenant"))
    return { ...one, sequence_id: `${owner}-${nth}`, agent_id: `agent-${nth}`, tenant: owner };
  return { ...one, sequence_id: owner };
}

function isSum(kind: LimitKind): boolean {
  return kind.endsWith("sum");
}

/** A sum within one sequence stands in its receipts, each ALLOW with the total after it. */
function faultyTotals(kind: LimitKind, answers: readonly RaceAnswer[]): readonly string[] {
  const told = answers
    .flatMap(({ line }) => (line === undefined ? [] : [readReceipt(line)]))
    .flatMap(({ effects }) => Object.values(effects?.totals ?? {}))
    .toSorted();
  const expected = kind === "sum" ? ["0.1", "0.2", "0.3"] : [];
  return told.join() === expected.join() ? [] : [`the totals are ${told.join(", ")}`];
}

function readReceipt(line: string): DecisionReceipt {
  // Canonical bytes of our own gate: the receipt was data a moment ago.
  return JSON.parse(line) as DecisionReceipt;
}

/** A count over sequences stands in one counter, which says what was allowed. */
async function faultyCounters(
  { kind, store }: LimitRace,
  owner: string,
  expected: string,
): Promise<readonly string[]> {
  const names = [...store.asked].filter((name) => name.includes(owner));
  const totals = [...(await store.counters(names)).values()];
  const right = kind.includes("_") ? [expected] : [];
  return totals.join() === right.join() ? [] : [`the counters stand at ${totals.join(", ")}`];
}
