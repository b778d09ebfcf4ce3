/**
 * A sequence under {@link RACE_POLICY} as its callers see it, decided one after the other: the sequential model that
 * histories of gates are checked against. Written from decision.md for the checker, apart from core.
 */
import type { SequentialModel } from "./linearizable.ts";

/** A request for a decision. */
export interface DecisionCall {
  readonly function: string;
  readonly action_type: string;
  readonly nonce: string;
}

/** What it was answered, and the place of its receipt. */
export interface DecisionAnswer {
  /** `ALLOW`, or the code of the denial. */
  readonly answer: string;
  readonly seq: number;
}

/** Where a sequence stands. */
interface Progress {
  /** How many kinds of step are behind it: none, `intake`, work, `settle`. */
  readonly phase: 0 | 1 | 2 | 3;
  readonly nonces: readonly string[];
  /** The place of the last receipt that somebody was told. Between two of them outcomes may stand. */
  readonly seq: number;
}

/** A sequence that nobody opened yet, and what requests do to it. */
export const decisionModel: SequentialModel<Progress, DecisionCall, DecisionAnswer> = {
  initial: { phase: 0, nonces: [], seq: -1 },
  step(progress, call, told) {
    if (told !== undefined && told.seq <= progress.seq) return undefined;
    const seq = told?.seq ?? progress.seq;
    if (told?.answer === "STALE_TIMESTAMP") return { ...progress, seq };
    const answer = answerTo(progress, call);
    if (told !== undefined && told.answer !== answer) return undefined;
    if (answer === "REPLAY_NONCE") return told === undefined ? undefined : { ...progress, seq };
    const nonces = [...progress.nonces, call.nonce];
    const phase = answer === "ALLOW" ? PHASE_AFTER[call.function] : progress.phase;
    return { phase: phase ?? progress.phase, nonces, seq };
  },
  key: ({ phase, nonces, seq }) => `${phase} ${seq} ${nonces.toSorted().join()}`,
};

/** Checks 2 to 6 of decision.md, in their order. A stale time-stamp (check 1) burns nothing and may come at any time. */
function answerTo({ phase, nonces }: Progress, call: DecisionCall): string {
  const permitted = ACTIONS[call.function];
  if (nonces.includes(call.nonce)) return "REPLAY_NONCE";
  if (phase === 3) return "SEALED_SEQUENCE";
  if (permitted === undefined) return "NO_POLICY_MATCH";
  if (!(ADMISSIBLE[phase] ?? []).includes(call.function)) return "SEQUENCE_VIOLATION";
  return call.action_type === permitted ? "ALLOW" : "ACTION_NOT_ALLOWED";
}

const WORK = ["lookup", "draft", "transfer", "notify"];
const ADMISSIBLE: readonly (readonly string[])[] = [["intake"], WORK, [...WORK, "settle"], []];
const PHASE_AFTER: Readonly<Record<string, Progress["phase"]>> = {
  intake: 1,
  lookup: 2,
  draft: 2,
  transfer: 2,
  notify: 2,
  settle: 3,
};
const ACTIONS: Readonly<Record<string, string>> = {
  intake: "READ",
  lookup: "READ",
  draft: "READ",
  transfer: "WRITE",
  notify: "SEND",
  settle: "SEAL",
};
