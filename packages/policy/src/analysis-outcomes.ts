/**
 * What a call may come to, where some of what happened before is remembered and the rest is not. What is not remembered
 * may be either way: each outcome says what it takes for granted.
 */
import { type Order, SEALED, stepFrom } from "./analysis-order.ts";
import type { CallRefusal } from "./analysis-calls.ts";
import type { Candidate, Check, Side } from "./analysis-model.ts";

/** The value of a monitor, or -1 where it is not remembered. */
export type Memory = (monitor: number) => number;

/** What is taken for granted of monitors that are not remembered. */
export interface Guess {
  /** Ranges that hold, one for each monitor. */
  readonly ranges: readonly Check[];
  /** Something more was taken for granted, which ranges cannot say. */
  readonly loose: boolean;
}

/** One way that a call may go: an ALLOW as a function, or a refusal. */
export interface Outcome {
  readonly candidate?: Candidate;
  /** The state that an ALLOW leads to. */
  readonly next: number;
  readonly guess: Guess;
}

/** A function that a call is tried as, since every one before it was refused. */
export interface Trial {
  readonly candidate: Candidate;
  readonly next: number;
  /** What the refusals before take for granted. */
  readonly before: Guess;
  /** The constraint that refuses it for sure. */
  readonly broken?: Check;
  /** Constraints that may hold or not. */
  readonly open: readonly Check[];
}

const SURE: Guess = { ranges: [], loose: false };

/** The ways that a call may go; exactly one where everything is remembered. */
export function outcomesOf(
  side: Side,
  state: number,
  call: number,
  memory: Memory,
): readonly Outcome[] {
  const outcomes: Outcome[] = [];
  let rest: Guess | undefined = SURE;
  for (const trial of trialsOf(side, state, call, memory)) {
    rest = trial.before;
    if (trial.broken !== undefined) continue;
    const passed = assume(trial.before, trial.open);
    if (passed !== undefined) outcomes.push(...withLimits(trial, passed, memory));
    rest = fail(trial.before, trial.open);
  }
  if (rest !== undefined) outcomes.push({ next: state, guess: rest });
  return outcomes;
}

/** The functions that a call is tried as, in order, up to one that surely stands. */
export function* trialsOf(
  side: Side,
  state: number,
  call: number,
  memory: Memory,
): Generator<Trial> {
  let before: Guess | undefined = SURE;
  if (state === SEALED) return;
  for (const candidate of side.candidates[call] ?? []) {
    const next =
      candidate.denied === undefined ? stateAfter(side.order, state, candidate) : undefined;
    if (next === undefined) continue;
    const { broken, open } = look(candidate.gates, memory);
    yield { candidate, next, before, open, ...(broken !== undefined && { broken }) };
    if (broken !== undefined) continue;
    before = fail(before, open);
    if (before === undefined) return;
  }
}

/** Why a side refuses a call, where everything is remembered: as the gate says it, by the first of the functions. */
export function refusalOf(side: Side, state: number, call: number, memory: Memory): CallRefusal {
  if (state === SEALED) return { code: "SEALED_SEQUENCE", rule: "seal" };
  const unknown = side.unknown[call];
  if (unknown !== undefined) return unknown;
  const standing = [...trialsOf(side, state, call, memory)].find(
    ({ broken }) => broken === undefined,
  );
  if (standing !== undefined) {
    const { limits, blocked } = standing.candidate;
    const rule = look(limits, memory).broken?.rule ?? blocked?.rule ?? "";
    return { code: "LIMIT_EXCEEDED", rule };
  }
  const [first] = side.candidates[call] ?? [];
  const next = first === undefined ? undefined : stateAfter(side.order, state, first);
  if (first === undefined || next === undefined)
    return { code: "SEQUENCE_VIOLATION", rule: "sequence" };
  const { broken } = look(first.gates, memory);
  return broken === undefined && first.denied !== undefined
    ? first.denied
    : { code: "SEQUENCE_VIOLATION", rule: broken?.rule ?? "sequence" };
}

/** The functions as which a call passes everything but a limit in the sequence. */
export function* limitRefusals(
  side: Side,
  state: number,
  call: number,
  memory: Memory,
): Generator<{ readonly candidate: Candidate; readonly guess: Guess }> {
  for (const { candidate, before, broken, open } of trialsOf(side, state, call, memory)) {
    const passed = broken === undefined ? assume(before, open) : undefined;
    if (passed === undefined) continue;
    const limits = look(candidate.limits, memory);
    if (limits.broken !== undefined || candidate.blocked !== undefined)
      yield { candidate, guess: passed };
    for (const limit of limits.open) {
      const guess = assume(passed, [opposite(limit)]);
      if (guess !== undefined) yield { candidate, guess };
    }
  }
}

/** Both guesses at once; `undefined` where they contradict each other. */
export function both(a: Guess, b: Guess): Guess | undefined {
  const joined = assume(a, b.ranges);
  return joined && { ranges: joined.ranges, loose: a.loose || b.loose };
}

/** The state that an ALLOW leads to; `undefined` where the order refuses. */
function stateAfter(order: Order, state: number, { step, seals }: Candidate): number | undefined {
  const next = step < 0 ? state : stepFrom(order, state, step);
  if (next < 0 || (seals && order.accepting[next] !== 1)) return undefined;
  return seals || (step >= 0 && order.natural[next] === 1) ? SEALED : next;
}

function look(
  checks: readonly Check[],
  memory: Memory,
): { readonly broken?: Check; readonly open: readonly Check[] } {
  const broken = checks.find(
    (check) => memory(check.monitor) >= 0 && !holds(check, memory(check.monitor)),
  );
  const open = checks.filter(({ monitor }) => memory(monitor) < 0);
  return broken === undefined ? { open } : { broken, open };
}

/** True where the value is in the range. */
export function holds({ from, below }: Check, value: number): boolean {
  return value >= from && value < below;
}

/** An ALLOW, unless a limit refuses it; a call that its limit refuses is tried as no other function. */
function withLimits({ candidate, next }: Trial, passed: Guess, memory: Memory): readonly Outcome[] {
  const { broken, open } = look(candidate.limits, memory);
  if (broken !== undefined || candidate.blocked !== undefined) return [{ next, guess: passed }];
  const allowed = assume(passed, open);
  const refusals = open.flatMap((limit) => assume(passed, [opposite(limit)]) ?? []);
  return [
    ...(allowed === undefined ? [] : [{ candidate, next, guess: allowed }]),
    ...refusals.map((guess) => ({ next, guess })),
  ];
}

/** That all checks hold. */
function assume(guess: Guess, checks: readonly Check[]): Guess | undefined {
  if (checks.length === 0) return guess;
  const ranges = new Map(guess.ranges.map((range) => [range.monitor, range]));
  for (const check of checks) {
    const known = ranges.get(check.monitor);
    const from = Math.max(known?.from ?? 0, check.from);
    const below = Math.min(known?.below ?? Number.POSITIVE_INFINITY, check.below);
    if (from >= below) return undefined;
    ranges.set(check.monitor, { ...check, from, below });
  }
  return { ranges: [...ranges.values()], loose: guess.loose };
}

/** That one of the checks fails; with several nobody knows which. */
function fail(guess: Guess, checks: readonly Check[]): Guess | undefined {
  const [only, ...others] = checks;
  if (only === undefined) return undefined;
  return others.length === 0 ? assume(guess, [opposite(only)]) : { ...guess, loose: true };
}

/** That the check fails: every one looks at one end only, from something on or below it. */
export function opposite(check: Check): Check {
  return check.from === 0
    ? { ...check, from: check.below, below: Number.POSITIVE_INFINITY }
    : { ...check, from: 0, below: check.from };
}
