/** Lives one sequence twice: in a real gate, and as the list of events that the reference judges by. */
import { expect } from "vitest";
import type { ActionInput, Decision, Gate } from "../../src/index.ts";
import {
  type Call,
  type Contract,
  type Event,
  judge,
  type Judgement,
  type Moment,
  type Request,
} from "./judge.ts";

/** The instant at which every walk happens. */
export const NOON = 1_800_000_000_000;

/** What happens in a sequence. */
export type Act =
  | {
      readonly do: "call";
      readonly call: Call;
      readonly nonce: string;
      readonly ts_ms?: number;
      readonly outcome?: "succeeded" | "interrupted";
    }
  | { readonly do: "seal" };

/** The arguments that a request text stands for. */
function argumentsOf(text: string): { readonly text: string } {
  return { text };
}

/** The request as a host hands it to a gate. */
export function inputOf(sequence_id: string, { call, nonce, args, ts_ms }: Request): ActionInput {
  return { sequence_id, ...call, nonce, ts_ms, args: argumentsOf(args) } as ActionInput;
}

/** The decision in the reference's words; the caller looks up which event `resumes` names. */
export function wordsOf(decision: Decision): Pick<Judgement, "answer" | "rule" | "call" | "seals"> {
  const { receipt } = decision;
  const { tool, audience, function: fn, step, action_type } = receipt ?? {};
  const rule = decision.decision === "DENY" ? decision.rule : undefined;
  return {
    answer: decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code,
    ...(rule === undefined ? {} : { rule }),
    call: Object.fromEntries(
      Object.entries({ tool, audience, function: fn, step, action_type }).filter(
        ([, value]) => value !== undefined,
      ),
    ),
    seals: receipt?.sealed === true,
  };
}

/** A history for the reference alone: what the acts lead to by its own judgement. */
export function imagine(contract: Contract, acts: readonly Act[]): Moment {
  let moment: Moment = { openedAt: NOON, events: [], clock: NOON, recordTime: NOON };
  for (const act of acts) {
    if (act.do === "seal") {
      moment = { ...moment, events: [...moment.events, { what: "seal of a person" }] };
      continue;
    }
    const request: Request = {
      call: act.call,
      nonce: act.nonce,
      args: "as before",
      ts_ms: act.ts_ms ?? NOON,
    };
    const event: Event = { what: "decision", request, judgement: judge(contract, moment, request) };
    moment = {
      ...moment,
      events: [
        ...moment.events,
        event,
        ...(act.outcome === undefined
          ? []
          : [{ what: "outcome", of: event, status: act.outcome } as const]),
      ],
    };
  }
  return moment;
}

/** The same acts in a gate; each decision must be the reference's. */
export async function live(
  gate: Gate,
  sequence_id: string,
  acts: readonly Act[],
  { events }: Moment,
): Promise<void> {
  const judged = events.filter((event) => event.what === "decision");
  await gate.open({ sequence_id });
  for (const act of acts) {
    if (act.do === "seal") {
      await gate.seal(sequence_id, "a person ends it");
      continue;
    }
    const expected = judged.shift();
    if (expected === undefined) throw new Error("more calls than judgements");
    const decision = await gate.decide(inputOf(sequence_id, expected.request));
    const { resumes: _, ...words } = expected.judgement;
    expect(wordsOf(decision)).toEqual(words);
    if (act.outcome !== undefined && decision.decision === "ALLOW")
      await gate.outcome(decision, { status: act.outcome });
  }
}
