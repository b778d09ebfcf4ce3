/** Several gates on one log, whose calls of the store are made and answered in an order that a scheduler picks. */
import fc from "fast-check";
import { createVerifier, type Gate, type Store } from "@stepgate/core";
import { type DecisionAnswer, type DecisionCall, decisionModel } from "./decision-model.ts";
import { openRacingGates, submitTo } from "./gate-races.ts";
import { checkLinearizable, type Operation } from "./linearizable.ts";

/** One request, and through which of the gates it goes. */
export interface Submission extends DecisionCall {
  readonly gate: number;
}

const GATES = 3;
const SEQUENCE = "interleaved";

/** Requests that meet: for the same step, with the same nonce at the same, another, or a later step. */
export function submissions(): fc.Arbitrary<readonly Submission[]> {
  const call = fc.constantFrom(
    { function: "intake", action_type: "READ" },
    { function: "intake", action_type: "READ" },
    { function: "lookup", action_type: "READ" },
    { function: "transfer", action_type: "WRITE" },
    { function: "settle", action_type: "SEAL" },
  );
  return fc.array(
    fc
      .tuple(call, fc.constantFrom("a", "b", "c", "d"), fc.nat(GATES - 1))
      .map(([asked, nonce, gate]) => ({ ...asked, nonce, gate })),
    { minLength: 2, maxLength: 7 },
  );
}

/** Opens the gates in whatever order, then submits everything at once, and resolves to all that must not be, in words. */
export async function runInterleaved(
  store: Store,
  scheduler: fc.Scheduler,
  asked: readonly Submission[],
): Promise<readonly string[]> {
  let held = false;
  const { gates, trust } = await openRacingGates(
    Array.from({ length: GATES }, () => scheduledStore(store, scheduler, () => held)),
    "hmac",
  );
  held = true;
  const history = await scheduler.waitFor(Promise.all(asked.map((one) => submit(gates, one))));
  const lines = await store.read(SEQUENCE, 0);
  const verifier = createVerifier(trust);
  for (const line of lines) verifier.line(line);
  const { result, findings } = verifier.report();
  const explained = checkLinearizable(history, decisionModel).linearizable;
  const lost = history.filter(({ line }) => line === undefined || !lines.includes(line));
  return [
    ...(result === "sound" ? [] : [`verifies as ${result}: ${JSON.stringify(findings[0])}`]),
    ...(explained
      ? []
      : [`not linearizable: ${JSON.stringify(history.map(({ output }) => output))}`]),
    ...(lost.length === 0 ? [] : [`${lost.length} receipts are not in the chain`]),
  ];
}

/** The same store, each call of which is made, and answered, when the scheduler says so, as long as it is held. */
export function scheduledStore(
  store: Store,
  scheduler: fc.Scheduler,
  held: () => boolean = () => true,
): Store {
  const later = async <T>(call: () => Promise<T>, label: string): Promise<T> => {
    if (!held()) return call();
    await scheduler.schedule(Promise.resolve(), `call ${label}`);
    return scheduler.schedule(call(), `answer ${label}`);
  };
  return {
    ...store,
    append: (request) => later(() => store.append(request), "append"),
    read: (sequenceId, from, count) => later(() => store.read(sequenceId, from, count), "read"),
  };
}

async function submit(
  gates: readonly Gate[],
  { gate, ...input }: Submission,
): Promise<Operation<DecisionCall, DecisionAnswer> & { readonly line: string | undefined }> {
  const called = process.hrtime.bigint();
  const through = gates[gate];
  const [answer] = await submitTo(through === undefined ? [] : [through])([
    { sequence_id: SEQUENCE, ...input },
  ]);
  const returned = process.hrtime.bigint();
  const line = answer?.line;
  // A denial without a receipt is of no place: no order explains it, and here nothing makes one.
  const seq = line === undefined ? -1 : placeOf(line);
  const output = { answer: answer?.deny_code ?? answer?.decision ?? "none", seq };
  return { input, output, called, returned, line };
}

function placeOf(line: string): number {
  // Canonical bytes of our own gate: the receipt was data a moment ago.
  const { seq } = JSON.parse(line) as { readonly seq: number };
  return seq;
}
