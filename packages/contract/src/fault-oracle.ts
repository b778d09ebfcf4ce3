/** What must hold after a fault, whichever it was: judged from the clients' notes and the log alone. */
import {
  createVerifier,
  type Receipt,
  recordHash,
  type Store,
  type VerifyOptions,
} from "@stepgate/core";
import { type DecisionAnswer, type DecisionCall, decisionModel } from "./decision-model.ts";
import type { Note } from "./fault-clients.ts";
import { checkLinearizable, type Operation } from "./linearizable.ts";

/** What one process left behind. */
export interface Witness {
  readonly notes: readonly Note[];
  /** Lines of the log of executed actions. */
  readonly executed: readonly string[];
  /** While it was stopped by a signal, nobody could answer in time. In nanoseconds of the monotonic clock. */
  readonly pauses: readonly (readonly [from: bigint, to: bigint])[];
  /** True for a process that was killed: what it was at has no answer. */
  readonly killed: boolean;
}

/** What was found. */
export interface FaultFindings {
  readonly violations: readonly string[];
  readonly calls: number;
  readonly allowed: number;
  /** Calls whose outcome the caller was not told. */
  readonly unknown: number;
  readonly executed: number;
  readonly slowestDenialMs: number;
}

/** What is asked of the answers. */
export interface Terms {
  /** How long an answer may take, in milliseconds. */
  readonly withinMs: number;
  /** Codes beside those of the policy's order that this fault may bring. */
  readonly codes: readonly string[];
}

/** Everything that must not be, in words; empty where every promise was kept. */
export async function judgeFault(
  witnesses: readonly Witness[],
  store: Store,
  trust: VerifyOptions,
  terms: Terms,
): Promise<FaultFindings> {
  const calls = witnesses.flatMap(callsOf);
  const sequences = [...new Set(calls.map(({ sequence_id }) => sequence_id))];
  const chains = new Map<string, readonly Standing[]>();
  const violations = witnesses.flatMap(complaintsOf);
  for (const sequence of sequences) {
    const lines = await store.read(sequence, 0);
    violations.push(...unsound(sequence, lines, trust));
    chains.set(sequence, lines.map(standingOf));
  }
  const executed = witnesses.flatMap((witness) => witness.executed);
  violations.push(
    ...faultyAnswers(calls, terms),
    ...untrue(calls, chains),
    ...withoutReceipt(executed, chains),
    ...inexplicable(calls, chains),
  );
  const denials = calls.filter(({ answer }) => answer !== undefined && answer !== "ALLOW");
  return {
    violations,
    calls: calls.length,
    allowed: calls.filter(({ answer }) => answer === "ALLOW").length,
    unknown: calls.filter(({ seq }) => seq === undefined).length,
    executed: executed.length,
    slowestDenialMs: Math.round(Math.max(0, ...denials.map(({ tookMs }) => tookMs))),
  };
}

/** A call and what became of it. */
interface Call extends DecisionCall {
  readonly attempt: string;
  readonly sequence_id: string;
  readonly called: bigint;
  readonly returned: bigint | undefined;
  readonly answer: string | undefined;
  readonly seq: number | undefined;
  readonly hash: string | undefined;
  /** Not counting what its process was stopped for. */
  readonly tookMs: number;
  readonly killed: boolean;
}

interface Standing {
  readonly receipt: Receipt;
  readonly hash: string;
}

function callsOf({ notes, pauses, killed }: Witness): readonly Call[] {
  const answers = new Map(
    notes.flatMap((note) => (note.note === "answer" ? [[note.attempt, note] as const] : [])),
  );
  return notes.flatMap((note): readonly Call[] => {
    if (note.note !== "call") return [];
    const { note: _, at, ...call } = note;
    const answer = answers.get(note.attempt);
    const called = BigInt(at);
    const returned = answer === undefined ? undefined : BigInt(answer.at);
    const took = returned === undefined ? 0n : returned - called - paused(pauses, called, returned);
    const { seq, hash } = answer ?? {};
    return [
      {
        ...call,
        called,
        returned,
        answer: answer?.answer,
        seq,
        hash,
        tookMs: Number(took) / 1e6,
        killed,
      },
    ];
  });
}

function paused(pauses: Witness["pauses"], called: bigint, returned: bigint): bigint {
  return pauses.reduce((sum, [from, to]) => {
    const overlap = (to < returned ? to : returned) - (from > called ? from : called);
    return overlap > 0n ? sum + overlap : sum;
  }, 0n);
}

function complaintsOf({ notes }: Witness): readonly string[] {
  return notes.flatMap((note) => (note.note === "complaint" ? [note.says] : []));
}

function standingOf(line: string): Standing {
  // Verified as a chain just before; here it is only looked through.
  const receipt = JSON.parse(line) as Receipt;
  return { receipt, hash: recordHash(receipt) };
}

/** No fork, no gap, nothing that a verifier refuses: places, links, signatures, and each decision decided again. */
function unsound(
  sequence: string,
  lines: readonly string[],
  trust: VerifyOptions,
): readonly string[] {
  if (lines.length === 0) return [];
  const verifier = createVerifier(trust);
  for (const line of lines) verifier.line(line);
  const { result, findings } = verifier.report();
  return result === "sound"
    ? []
    : [`${sequence} verifies as ${result}: ${JSON.stringify(findings[0])}`];
}

/** Every call was answered, in time, with a receipt or with a code that says why there is none. */
function faultyAnswers(calls: readonly Call[], terms: Terms): readonly string[] {
  const violations: string[] = [];
  for (const { answer, tookMs, seq, killed, ...call } of calls) {
    const said = `${call.function} on ${call.sequence_id}`;
    if (answer === undefined) {
      if (!killed) violations.push(`${said}: never answered`);
      continue;
    }
    if (tookMs > terms.withinMs)
      violations.push(`${said}: ${answer} after ${Math.round(tookMs)} ms`);
    const known = ORDINARY_ANSWERS.includes(answer) || terms.codes.includes(answer);
    if (!known) violations.push(`${said}: answered ${answer}`);
    if (seq === undefined && answer !== "STORE_UNAVAILABLE")
      violations.push(`${said}: ${answer} without a receipt`);
  }
  return violations;
}

const ORDINARY_ANSWERS = [
  "ALLOW",
  "REPLAY_NONCE",
  "SEALED_SEQUENCE",
  "SEQUENCE_VIOLATION",
  "ACTION_NOT_ALLOWED",
];

/** What a caller was told with a receipt stands in the chain, at its place, byte for byte. */
function untrue(
  calls: readonly Call[],
  chains: ReadonlyMap<string, readonly Standing[]>,
): readonly string[] {
  return calls.flatMap(({ sequence_id, seq, hash, answer }) =>
    seq === undefined || chains.get(sequence_id)?.[seq]?.hash === hash
      ? []
      : [`${sequence_id}: the receipt of a ${answer} at ${seq} is not in the log`],
  );
}

/** No executed action without its ALLOW in the log, and none executed twice. */
function withoutReceipt(
  executed: readonly string[],
  chains: ReadonlyMap<string, readonly Standing[]>,
): readonly string[] {
  const allows = new Set(
    [...chains].flatMap(([sequence, chain]) =>
      chain.flatMap(({ receipt, hash }, seq) =>
        receipt.kind === "decision" && receipt.decision === "ALLOW"
          ? [`${sequence} ${seq} ${hash}`]
          : [],
      ),
    ),
  );
  const violations = executed
    .filter((line) => !allows.has(line))
    .map((line) => `executed without a receipt: ${line}`);
  if (new Set(executed).size < executed.length) violations.push("an action was executed twice");
  return violations;
}

/** Each sequence's history has an order. What the caller does not know, the log does: it happened, or it never did. */
function inexplicable(
  calls: readonly Call[],
  chains: ReadonlyMap<string, readonly Standing[]>,
): readonly string[] {
  return [...Map.groupBy(calls, ({ sequence_id }) => sequence_id)].flatMap(([sequence, own]) => {
    const verdict = checkLinearizable(historyOf(own, chains.get(sequence) ?? []), decisionModel);
    if (verdict.linearizable) return [];
    const { input, output } = verdict.stuck;
    return [
      `${sequence}: not linearizable; no order of its ${own.length} calls explains that ${JSON.stringify(input)} was answered ${JSON.stringify(output)}`,
    ];
  });
}

function historyOf(
  calls: readonly Call[],
  chain: readonly Standing[],
): readonly Operation<DecisionCall, DecisionAnswer>[] {
  const byAttempt = new Map(
    chain.flatMap(({ receipt }) =>
      receipt.kind === "decision" ? [[receipt.attempt, receipt] as const] : [],
    ),
  );
  return calls.flatMap((call) => {
    const { called, returned, answer, seq } = call;
    const input = { function: call.function, action_type: call.action_type, nonce: call.nonce };
    if (answer !== undefined && seq !== undefined)
      return [{ input, output: { answer, seq }, called, returned }];
    const receipt = byAttempt.get(call.attempt);
    if (receipt === undefined) return [];
    const stands = receipt.deny_code ?? receipt.decision;
    return [{ input, output: { answer: stands, seq: receipt.seq }, called, returned: undefined }];
  });
}
