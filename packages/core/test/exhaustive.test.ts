/**
 * Every cell of the exhaustive product: each state of a contract, open and sealed × every call (each step, function and
 * action type, one unknown name of each sort, each tool) × every history of the nonce × fresh and stale. Each is decided
 * by `decide`, by a whole gate, and by the reference, which shares nothing with them.
 */
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import type { CallForm } from "../src/action-request.ts";
import { decide, type Verdict } from "../src/decide.ts";
import { stepsAfter } from "../src/sequence.ts";
import {
  type CompiledPolicy,
  type DecisionReceipt,
  type Gate,
  type Receipt,
  recordHash,
} from "../src/index.ts";
import { applyReceipt, openState, type SequenceState } from "../src/sequence-state.ts";
import { LOAN_APPROVAL, RESEARCH } from "./policies.ts";
import { loanApproval, research } from "./reference/contracts.ts";
import {
  admissibleNow,
  type Call,
  type Contract,
  type Event,
  judge,
  type Judgement,
  type Moment,
  type Request,
} from "./reference/judge.ts";
import { type Act, imagine, inputOf, live, NOON, wordsOf } from "./reference/walk.ts";

/** What may have become of a nonce before. Each history holds one of each, as far as it has calls for it. */
const NONCES = [
  "new",
  "of a denial",
  "of a stale request",
  "of an ALLOW that succeeded",
  "of an ALLOW that was interrupted",
  "of an ALLOW that was interrupted, with other arguments",
] as const;
/** Exactly at the edge of freshness, and one millisecond beyond it. */
const AGES = ["fresh", "stale"] as const;

interface Suite {
  readonly document: object;
  readonly contract: Contract;
  readonly histories: readonly (readonly Act[])[];
  readonly calls: readonly Call[];
  /** The number of cells, written by hand. */
  readonly cells: number;
  /** Of the denials each how-manyth is also decided by a whole gate; of the ALLOWs all are. */
  readonly every: number;
}

const loanSuite: Suite = {
  document: LOAN_APPROVAL,
  contract: loanApproval,
  histories: traces(loanApproval, 8).flatMap((trace) =>
    historiesOf(
      trace.map((step) => ({ function: step, action_type: firstAction(loanApproval, step) })),
    ),
  ),
  calls: callsOf(loanApproval),
  // 9 states, open and sealed × (10 steps × 9 functions × 8 action types + 1 unknown tool) × 6 nonces × fresh and stale
  cells: 9 * 2 * (10 * 9 * 8 + 1) * 6 * 2,
  every: 11,
};

const AS_CALLED: Readonly<Record<string, Call>> = {
  intake: { function: "intake", action_type: "READ_INPUT" },
  search: { tool: "fetch" },
  draft: { tool: "save" },
  review: { function: "review", action_type: "READ_INPUT", step: "review" },
  publish: { tool: "announce" },
  archive: { tool: "save" },
};
const researchTraces = traces(research, 5).map((trace) =>
  trace.map((step) => AS_CALLED[step] ?? {}),
);
const finished = researchTraces
  .map((trace) => [...trace, { tool: "finish" }])
  .filter((trace) => lastAnswer(research, trace) === "ALLOW");

const researchSuite: Suite = {
  document: RESEARCH,
  contract: research,
  histories: [...researchTraces, ...finished].flatMap(historiesOf),
  calls: callsOf(research),
  // 27 traces and 9 of them finished, open and sealed × (8 steps × 9 functions × 6 action types + 6 tools) × 6 × 2
  cells: (27 + 9) * 2 * (8 * 9 * 6 + 6) * 6 * 2,
  every: 29,
};

describe.each([
  ["the eight steps of the loan approval", loanSuite],
  ["a contract with branches, loops, tools and sealOn", researchSuite],
] as const)("%s", (_name, suite) => {
  test(
    "the pure decision agrees with the reference in every cell",
    { timeout: 60_000 },
    async () => {
      const { policy, bases } = await prepare(suite);
      const wrong: unknown[] = [];
      const answers = new Map<string, number>();
      let compared = 0;
      for (const base of bases) {
        const before = JSON.stringify([...base.fold().nonces]);
        const state = base.fold();
        for (const cell of cellsOf(suite, base)) {
          const expected = judge(suite.contract, base.moment, cell);
          const verdict = decide(
            policy,
            state,
            {
              call: cell.call as CallForm,
              nonce: cell.nonce,
              args_digest: base.digestOf(cell),
              ts_ms: cell.ts_ms,
            },
            { clock: NOON, record: NOON },
            undefined,
          );
          compared++;
          answers.set(expected.answer, (answers.get(expected.answer) ?? 0) + 1);
          if (!isSame(verdict, expected, base))
            wrong.push({ acts: base.acts, cell, expected, verdict });
          if (
            expected.answer === "ALLOW" &&
            !leadsAlike(suite, policy, base, cell, verdict, expected)
          )
            wrong.push({ acts: base.acts, cell, verdict, after: "steps" });
        }
        // Pure: nothing of the state was changed by deciding.
        expect(JSON.stringify([...state.nonces])).toBe(before);
      }
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(compared).toBe(suite.cells);
      // Each of the codes of checks 1 to 6, and ALLOW, was the right answer somewhere.
      expect([...answers.keys()].sort()).toEqual([
        "ACTION_NOT_ALLOWED",
        "ALLOW",
        "NO_POLICY_MATCH",
        "REPLAY_NONCE",
        "SEALED_SEQUENCE",
        "SEQUENCE_VIOLATION",
        "STALE_TIMESTAMP",
      ]);
    },
  );

  test(
    "a whole gate agrees too: every ALLOW, and a sample of the denials",
    { timeout: 60_000 },
    async () => {
      const { gate, bases } = await prepare(suite);
      const wrong: unknown[] = [];
      let compared = 0;
      let index = 0;
      for (const base of bases) {
        const denials = `${base.sequenceId}.denials`;
        await live(gate, denials, base.acts, base.moment);
        const before = await gate.state(denials);
        for (const cell of cellsOf(suite, base)) {
          const expected = judge(suite.contract, base.moment, cell);
          const allowed = expected.answer === "ALLOW";
          if (!allowed && index++ % suite.every !== 0) continue;
          compared++;
          const sequenceId = allowed ? `${base.sequenceId}.${compared}` : denials;
          if (allowed) await live(gate, sequenceId, base.acts, base.moment);
          const decision = await gate.decide(
            inputOf(sequenceId, await unspent(gate, sequenceId, base, cell, compared)),
          );
          const { resumes, ...words } = expected;
          const agrees =
            JSON.stringify(sorted(wordsOf(decision))) === JSON.stringify(sorted(words)) &&
            (decision.receipt?.resumes === undefined) === (resumes === undefined);
          const next = allowed ? (await gate.state(sequenceId)).next_steps : [];
          const follows =
            !allowed ||
            JSON.stringify(next) ===
              JSON.stringify(admissibleNow(suite.contract, after(base.moment, cell, expected)));
          if (!agrees || !follows) wrong.push({ acts: base.acts, cell, expected, decision, next });
        }
        // A DENY advances nothing, however many there were.
        expect(await gate.state(denials)).toEqual(before);
      }
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(compared).toBeGreaterThan(suite.cells / suite.every);
    },
  );
});

test(
  "the traces of the research contract reach every state of its automaton",
  { timeout: 60_000 },
  async () => {
    const { policy, bases } = await prepare(researchSuite);
    expect(new Set(bases.map((base) => base.fold().position)).size).toBe(policy.automaton.states);
  },
);

interface Base {
  readonly acts: readonly Act[];
  readonly moment: Moment;
  readonly sequenceId: string;
  /** A new state from the receipts that a gate wrote. */
  fold(): SequenceState;
  digestOf(request: Request): string;
  hashOf(event: Event): string;
}

async function prepare(suite: Suite): Promise<{
  readonly gate: Gate;
  readonly policy: CompiledPolicy;
  readonly bases: readonly Base[];
}> {
  const { gate, policy, receipts } = await openTestGate(suite.document, {
    clock: () => NOON,
    maxDenialsPerSecond: 1_000_000,
    deadlineMs: 60_000,
  });
  const bases: Base[] = [];
  for (const [index, acts] of suite.histories.entries()) {
    const moment = imagine(suite.contract, acts);
    await live(gate, `base-${index}`, acts, moment);
    bases.push(baseOf(policy, `base-${index}`, acts, moment, await receipts(`base-${index}`)));
  }
  return { gate, policy, bases };
}

function baseOf(
  policy: CompiledPolicy,
  sequenceId: string,
  acts: readonly Act[],
  moment: Moment,
  receipts: readonly Receipt[],
): Base {
  const [opened, ...rest] = receipts;
  if (opened?.kind !== "open") throw new Error("a chain begins with `open`");
  const decisions = rest.filter((receipt) => receipt.kind === "decision");
  const judged = moment.events.filter((event) => event.what === "decision");
  return {
    acts,
    moment,
    sequenceId,
    fold() {
      const state = openState(opened, recordHash(opened), policy);
      for (const receipt of rest) applyReceipt(state, receipt, recordHash(receipt));
      return state;
    },
    digestOf: ({ nonce, args }) =>
      (args === "as before"
        ? decisions.find((receipt) => receipt.nonce === nonce)?.args_digest
        : undefined) ?? "hmac-sha256:of-others",
    hashOf(event) {
      const receipt = decisions[judged.indexOf(event as Event & { what: "decision" })];
      if (receipt === undefined) throw new Error("no receipt for this event");
      return recordHash(receipt);
    },
  };
}

/** The calls of a trace, with a nonce of each sort, open and sealed by a person. */
function historiesOf(calls: readonly Call[]): readonly (readonly Act[])[] {
  const before: readonly Act[] = [
    { do: "call", call: { function: "nobody", action_type: "NOTHING" }, nonce: "of a denial" },
    {
      do: "call",
      call: { function: "intake", action_type: "READ_INPUT" },
      nonce: "of a stale request",
      ts_ms: 0,
    },
  ];
  const walked = calls.map((call, i): Act => {
    if (i === calls.length - 1)
      return {
        do: "call",
        call,
        nonce: "of an ALLOW that was interrupted",
        outcome: "interrupted",
      };
    return {
      do: "call",
      call,
      nonce: i === 0 ? "of an ALLOW that succeeded" : `other ${i}`,
      outcome: "succeeded",
    };
  });
  return [
    [...before, ...walked],
    [...before, ...walked, { do: "seal" }],
  ];
}

function* cellsOf(suite: Suite, _base: Base): Generator<Request> {
  for (const call of suite.calls)
    for (const kind of NONCES)
      for (const age of AGES) {
        const [nonce = kind, other] = kind.split(", ");
        const ts_ms =
          age === "fresh"
            ? NOON - suite.contract.freshnessMs
            : NOON + suite.contract.freshnessMs + 1;
        yield { call, nonce, args: other === undefined ? "as before" : "others", ts_ms };
      }
}

/** Every spelling of a call: each name of each sort, one that is unknown, and for the step none. */
function callsOf(contract: Contract): readonly Call[] {
  const actions = new Set([...contract.functions.values()].flatMap((fn) => fn.actions));
  const steps = [undefined, "no_such_step", ...contract.order.steps];
  const explicit = steps.flatMap((step) =>
    ["no_such_function", ...contract.functions.keys()].flatMap((name) =>
      ["NO_SUCH_ACTION", ...actions].map((action_type) => ({
        function: name,
        action_type,
        ...(step === undefined ? {} : { step }),
      })),
    ),
  );
  return [...explicit, ...["no_such_tool", ...contract.tools.keys()].map((tool) => ({ tool }))];
}

/** Every beginning of a run, of at most so many steps. */
function traces(contract: Contract, longest: number): readonly (readonly string[])[] {
  const found: (readonly string[])[] = [[]];
  for (const trace of found)
    if (trace.length < longest)
      for (const step of contract.order.steps)
        if (contract.order.begun([...trace, step])) found.push([...trace, step]);
  return found;
}

function firstAction(contract: Contract, name: string): string {
  return contract.functions.get(name)?.actions[0] ?? "";
}

function lastAnswer(contract: Contract, calls: readonly Call[]): string | undefined {
  const last = imagine(
    contract,
    calls.map((call, i) => ({ do: "call", call, nonce: `${i}` })),
  ).events.at(-1);
  return last?.what === "decision" ? last.judgement.answer : undefined;
}

function isSame(verdict: Verdict, expected: Judgement, base: Base): boolean {
  const resumes = expected.resumes === undefined ? undefined : base.hashOf(expected.resumes);
  return (
    (verdict.refusal?.code ?? "ALLOW") === expected.answer &&
    verdict.refusal?.rule === expected.rule &&
    verdict.seals === expected.seals &&
    verdict.resumes === resumes &&
    JSON.stringify(sorted(verdict.call)) === JSON.stringify(sorted(expected.call))
  );
}

/** True where the ALLOW leads to the same next steps, once its record is folded. */
function leadsAlike(
  suite: Suite,
  policy: CompiledPolicy,
  base: Base,
  cell: Request,
  verdict: Verdict,
  expected: Judgement,
): boolean {
  const state = base.fold();
  const record = {
    ...state.opened,
    ...verdict.call,
    kind: "decision",
    seq: state.head.seq + 1,
    nonce: cell.nonce,
    args_digest: base.digestOf(cell),
    decision: "ALLOW",
    ...(verdict.resumes === undefined ? {} : { resumes: verdict.resumes }),
    ...(verdict.seals ? { sealed: true } : {}),
  } as DecisionReceipt;
  applyReceipt(state, record, "sha256:new");
  return (
    JSON.stringify(stepsAfter(policy, state)) ===
    JSON.stringify(admissibleNow(suite.contract, after(base.moment, cell, expected)))
  );
}

/** Many cells share a sequence, so a nonce that its history did not use up gets a name of this cell alone. */
async function unspent(
  gate: Gate,
  sequenceId: string,
  base: Base,
  cell: Request,
  number: number,
): Promise<Request> {
  const used = base.moment.events.some(
    (event) =>
      event.what === "decision" &&
      event.request.nonce === cell.nonce &&
      event.judgement.answer !== "STALE_TIMESTAMP",
  );
  if (used) return cell;
  const own = { ...cell, nonce: `${cell.nonce} ${number}` };
  if (cell.nonce === "of a stale request")
    expect(wordsOf(await gate.decide(inputOf(sequenceId, { ...own, ts_ms: 0 }))).answer).toBe(
      "STALE_TIMESTAMP",
    );
  return own;
}

function after(moment: Moment, request: Request, judgement: Judgement): Moment {
  return { ...moment, events: [...moment.events, { what: "decision", request, judgement }] };
}

/** Objects with their members in one order, to be compared as texts. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, member]) => [name, sorted(member)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
