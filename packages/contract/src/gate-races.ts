/** Races between submissions to gates: of 64 for one step, or with one nonce, exactly one may be allowed. */
import { randomBytes } from "node:crypto";
import {
  type ActionInput,
  createGate,
  createVerifier,
  type DenyCode,
  exportKeySet,
  type Gate,
  generateSigningKey,
  importKeySet,
  receiptLine,
  type SigningKey,
  type Store,
  type VerifyOptions,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";

/** `step`: everybody asks for the one next step. `nonce`: everybody uses one nonce, for different steps that may come next. */
export type RaceKind = "step" | "nonce";

/** The policy of all races: only its order stops a second `intake`, and only the nonce a second call after it. */
export const RACE_POLICY = {
  schema: "stepgate.policy/1",
  id: "race",
  version: "1",
  sequence: "intake, (lookup | draft | transfer | notify)+, settle",
  functions: {
    intake: ["READ"],
    lookup: ["READ"],
    draft: ["READ"],
    transfer: ["WRITE"],
    notify: ["SEND"],
    settle: ["SEAL"],
  },
} as const;

const LOSING_CODE = { step: "SEQUENCE_VIOLATION", nonce: "REPLAY_NONCE" } as const;

const CALLS = [
  { function: "lookup", action_type: "READ" },
  { function: "draft", action_type: "READ" },
  { function: "transfer", action_type: "WRITE" },
  { function: "notify", action_type: "SEND" },
] as const;

/** What one submission was answered; plain data, so that it can come from another process. */
export interface RaceAnswer {
  readonly decision: "ALLOW" | "DENY";
  readonly deny_code?: string;
  /** The canonical line of its receipt. */
  readonly line?: string;
}

/** Rounds of a race, each on sequences of its own. */
export interface Rounds<Kind extends string> {
  readonly kind: Kind;
  readonly rounds: number;
  /** Begins the names of the sequences; races on one log need different ones. Default `race`. */
  readonly name?: string;
  /** How many rounds run at the same time. Default 16. */
  readonly abreast?: number;
  /** Submits a round's inputs, all at once, through however many gates and processes. */
  readonly submit: (inputs: readonly ActionInput[]) => Promise<readonly RaceAnswer[]>;
  /** A gate on the same log, which makes the calls that come before the race, or after it. */
  readonly gate: Gate;
  readonly trust: VerifyOptions;
}

/** A race on one sequence a round. */
export interface GateRace extends Rounds<RaceKind> {
  /** Where the receipts are looked for. */
  readonly store: Store;
}

/** Runs the rounds and resolves to everything that must not be, in words; empty where every round was right. */
export function raceGates(race: GateRace): Promise<readonly string[]> {
  return runRounds(race, (round) => runRound(race, round));
}

/** Runs each round under a name of its own, some of them abreast; what it finds says in which round. */
export async function runRounds<Kind extends string>(
  race: Rounds<Kind>,
  runRound: (name: string) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const violations: string[] = [];
  const rounds = Array.from(
    { length: race.rounds },
    (_, round) => `${race.name ?? "race"}-${race.kind}-${round}`,
  ).values();
  const lane = async (): Promise<void> => {
    for (const name of rounds) {
      for (const found of await runRound(name)) violations.push(`${name}: ${found}`);
    }
  };
  await Promise.all(Array.from({ length: race.abreast ?? 16 }, lane));
  return violations;
}

/** Gates for races on one log, all with the same keys, and what their receipts are verified with. */
export interface RacingGates {
  readonly gates: readonly Gate[];
  readonly trust: VerifyOptions;
  readonly key: SigningKey;
  readonly saltKey: Uint8Array;
}

/** Far beyond what a round takes: a slow machine must not turn a race into STORE_UNAVAILABLE. */
export const RACE_DEADLINE_MS = 60_000;

/**
 * One gate for each of `stores`, which may be one store several times. `hmac` instead of a signature makes a round cheap,
 * and proves as much about the store.
 */
export async function openRacingGates(
  stores: readonly Store[],
  authenticator: "ed25519" | "hmac" = "ed25519",
  document: unknown = RACE_POLICY,
): Promise<RacingGates> {
  const policy = compilePolicy(document);
  const key = generateSigningKey();
  const [saltKey, secret] = [randomBytes(32), randomBytes(32)];
  const authenticators =
    authenticator === "hmac" ? { hmacKey: { id: "race", secret } } : { signer: key };
  const parts = { policies: [policy], ...authenticators, saltKey, deadlineMs: RACE_DEADLINE_MS };
  const gates = await Promise.all(stores.map((store) => createGate({ ...parts, store })));
  const keys = importKeySet(exportKeySet([key]));
  return {
    gates,
    key,
    saltKey,
    trust: { keys, policies: [policy], require: authenticator, hmacKeys: { race: secret } },
  };
}

/** Submits inputs in one turn, spread evenly over gates in this process. */
export function submitTo(gates: readonly Gate[]): Rounds<string>["submit"] {
  return (inputs) =>
    Promise.all(inputs.map((input, racer) => submitOne(gates[racer % gates.length], input)));
}

async function submitOne(gate: Gate | undefined, input: ActionInput): Promise<RaceAnswer> {
  if (gate === undefined) throw new TypeError("a race needs a gate");
  const answer = await gate.decide(input);
  const code = answer.decision === "DENY" ? { deny_code: answer.deny_code } : {};
  return {
    decision: answer.decision,
    ...code,
    ...(answer.receipt === undefined ? {} : { line: receiptLine(answer.receipt) }),
  };
}

/** Submissions of one round. */
export const RACERS = 64;

async function runRound(race: GateRace, sequenceId: string): Promise<readonly string[]> {
  const intake = { sequence_id: sequenceId, function: "intake", action_type: "READ" };
  if (race.kind === "nonce") await race.gate.decide({ ...intake, nonce: "before" });
  const before = (await race.store.read(sequenceId, 0)).length;
  const answers = await race.submit(
    Array.from({ length: RACERS }, (_, racer) =>
      race.kind === "step"
        ? { ...intake, nonce: `racer ${racer}` }
        : { sequence_id: sequenceId, ...callOf(racer), nonce: "contested" },
    ),
  );
  const lines = await race.store.read(sequenceId, 0);
  // What the race found, or its first submission brings along (the opening).
  const records = Math.max(before, 1) + RACERS;
  return judge({ answers, lines, allowed: 1, code: LOSING_CODE[race.kind], records }, race.trust);
}

/** Neighbours ask for different steps through every gate, however the racers are spread. */
function callOf(racer: number): (typeof CALLS)[number] {
  return CALLS[Math.floor(racer / 16) as 0 | 1 | 2 | 3];
}

/** What came of a round, and what must have come of it. */
export interface Round {
  readonly answers: readonly RaceAnswer[];
  /** Every record of the sequences that were raced on, those of one sequence in their order. */
  readonly lines: readonly string[];
  readonly allowed: number;
  /** What everybody else is denied with. */
  readonly code: DenyCode;
  /** How many lines there must be. */
  readonly records: number;
}

/** Everything about a round that must not be, in words. */
export function judge(
  { answers, lines, allowed, code, records }: Round,
  trust: VerifyOptions,
): readonly string[] {
  const violations: string[] = [];
  const allows = answers.filter(({ decision }) => decision === "ALLOW").length;
  if (allows !== allowed) violations.push(`${allows} submissions were allowed`);
  const codes = new Set(answers.flatMap(({ deny_code }) => deny_code ?? []));
  codes.delete(code);
  if (codes.size > 0) violations.push(`denied with ${[...codes].join(", ")}`);
  const receipts = new Set(answers.flatMap(({ line }) => line ?? []));
  if (receipts.size !== answers.length)
    violations.push(`${answers.length} submissions got ${receipts.size} receipts`);
  if (lines.length !== records) violations.push(`the chain has ${lines.length} records`);
  const standing = new Set(lines);
  const missing = [...receipts].filter((line) => !standing.has(line)).length;
  if (missing > 0) violations.push(`${missing} receipts are not in the chain`);
  const verifier = createVerifier(trust);
  for (const line of lines) verifier.line(line);
  const { result, findings } = verifier.report();
  if (result !== "sound") violations.push(`verified as ${result}: ${JSON.stringify(findings[0])}`);
  return violations;
}
