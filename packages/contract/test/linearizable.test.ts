/** The checker of histories, by itself: what it must accept and refuse, and against every order that there is. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decisionModel } from "../src/decision-model.ts";
import { checkLinearizable, type Operation, type SequentialModel } from "../src/linearizable.ts";
import { type RegisterAnswer, type RegisterCall, registerModel } from "../src/register-model.ts";

describe("appends and reads of one sequence", () => {
  test("calls one after the other are linearizable where each is answered by the one before it", () => {
    expect(
      verdict(
        [0, 1, append(0, "a"), "won"],
        [2, 3, append(1, "b"), "won"],
        [4, 5, READ, ["a", "b"]],
      ),
    ).toBe(true);
    expect(verdict([0, 1, append(0, "a"), "won"], [2, 3, READ, []])).toBe(false);
  });
  test("of two appends for one place that overlap, either may be first, but not both", () => {
    expect(verdict([0, 3, append(0, "a"), "lost"], [1, 2, append(0, "b"), "won"])).toBe(true);
    expect(verdict([0, 3, append(0, "a"), "won"], [1, 2, append(0, "b"), "won"])).toBe(false);
    expect(verdict([0, 3, append(0, "a"), "lost"], [1, 2, append(0, "b"), "lost"])).toBe(false);
  });
  test("a record that was read cannot be gone again, not even for another reader", () => {
    const slow = [0, 9, append(0, "a"), "won"] as const;
    expect(verdict(slow, [1, 2, READ, []], [3, 4, READ, ["a"]])).toBe(true);
    expect(verdict(slow, [1, 2, READ, ["a"]], [3, 4, READ, []])).toBe(false);
  });
  test("a nonce is burnt once, and the same bytes are won again", () => {
    const first = [0, 1, append(0, "a", "n"), "won"] as const;
    expect(verdict(first, [2, 3, append(1, "b", "n"), "replay"])).toBe(true);
    expect(verdict(first, [2, 3, append(1, "b", "n"), "won"])).toBe(false);
    expect(verdict(first, [2, 3, append(0, "a", "n"), "won"], [4, 5, READ, ["a"]])).toBe(true);
    expect(verdict(first, [2, 3, append(1, "b", "m"), "replay"])).toBe(false);
  });
  test("what nobody knows may have happened late, or never, but not before its call", () => {
    const unknown = [2, 3, append(0, "a"), undefined] as const;
    expect(verdict(unknown, [4, 5, READ, []], [6, 7, READ, ["a"]])).toBe(true);
    expect(verdict(unknown, [4, 5, append(0, "b"), "won"], [6, 7, READ, ["b"]])).toBe(true);
    expect(verdict([0, 1, READ, ["a"]], unknown)).toBe(false);
    expect(verdict(unknown, [4, 5, READ, ["a"]], [6, 7, READ, []])).toBe(false);
  });
  test("what did happen, though nobody was told, has its place at any time after its call", () => {
    const shown = [2, undefined, append(0, "a"), "won"] as const;
    expect(verdict(shown, [4, 5, READ, []], [6, 7, READ, ["a"]])).toBe(true);
    expect(verdict(shown, [4, 5, append(0, "b"), "won"])).toBe(false);
    expect(verdict([0, 1, READ, ["a"]], shown)).toBe(false);
  });
  test("says at which answer it was stuck", () => {
    const history = historyOf<RegisterCall, RegisterAnswer>(
      [0, 1, append(0, "a"), "won"],
      [2, 3, READ, []],
    );
    expect(checkLinearizable(history, registerModel)).toEqual({
      linearizable: false,
      stuck: history[1],
      explained: 1,
    });
  });
});

describe("decisions on one sequence", () => {
  const decide = (name: string, nonce: string, action_type = "READ") => ({
    function: name,
    action_type,
    nonce,
  });
  const judge = (
    ...rows: readonly Row<ReturnType<typeof decide>, { answer: string; seq: number }>[]
  ) => checkLinearizable(historyOf(...rows), decisionModel).linearizable;
  const intake = [0, 1, decide("intake", "a"), { answer: "ALLOW", seq: 1 }] as const;

  test("one of two that ask for one step is allowed, in whichever order, and never both", () => {
    const allow = { answer: "ALLOW", seq: 1 };
    const deny = { answer: "SEQUENCE_VIOLATION", seq: 2 };
    expect(judge([0, 3, decide("intake", "a"), deny], [1, 2, decide("intake", "b"), allow])).toBe(
      true,
    );
    expect(
      judge(
        [0, 3, decide("intake", "a"), { ...allow, seq: 2 }],
        [1, 2, decide("intake", "b"), allow],
      ),
    ).toBe(false);
  });
  test("one nonce is allowed once, at whatever step", () => {
    const first = [2, 3, decide("lookup", "n"), { answer: "ALLOW", seq: 2 }] as const;
    const again = decide("transfer", "n", "WRITE");
    expect(judge(intake, first, [4, 5, again, { answer: "REPLAY_NONCE", seq: 3 }])).toBe(true);
    expect(judge(intake, first, [4, 5, again, { answer: "ALLOW", seq: 3 }])).toBe(false);
  });
  test("receipts stand in the order of their places", () => {
    const lookup = decide("lookup", "b");
    expect(judge(intake, [2, 3, lookup, { answer: "ALLOW", seq: 4 }])).toBe(true);
    expect(judge(intake, [2, 3, lookup, { answer: "ALLOW", seq: 1 }])).toBe(false);
  });
  test("a denial burns its nonce, and the end is the end", () => {
    const wrong = [
      2,
      3,
      decide("lookup", "b", "WRITE"),
      { answer: "ACTION_NOT_ALLOWED", seq: 2 },
    ] as const;
    expect(judge(intake, wrong, [4, 5, decide("lookup", "b"), { answer: "ALLOW", seq: 3 }])).toBe(
      false,
    );
    const rest = [
      [6, 7, decide("lookup", "c"), { answer: "ALLOW", seq: 3 }],
      [8, 9, decide("settle", "d", "SEAL"), { answer: "ALLOW", seq: 4 }],
      [10, 11, decide("lookup", "e"), { answer: "SEALED_SEQUENCE", seq: 5 }],
    ] as const;
    expect(judge(intake, wrong, ...rest)).toBe(true);
    expect(judge(...rest)).toBe(false);
  });
  test("a decision that nobody was told may be what made the next step admissible", () => {
    const lookup = [2, 3, decide("lookup", "b"), { answer: "ALLOW", seq: 2 }] as const;
    expect(judge(lookup)).toBe(false);
    expect(judge([0, 1, decide("intake", "a"), undefined], lookup)).toBe(true);
  });
});

test("it agrees with the trial of every order, on small histories of a register", () => {
  const verdicts = { true: 0, false: 0 };
  fc.assert(
    fc.property(smallHistory(), (history) => {
      const { linearizable } = checkLinearizable(history, cellModel);
      verdicts[`${linearizable}`]++;
      expect(linearizable).toBe(someOrderExplains(history, cellModel));
    }),
    { numRuns: 3_000 },
  );
  // Both verdicts were tried, often.
  expect(Math.min(verdicts.true, verdicts.false)).toBeGreaterThan(300);
});

test("a history of a thousand operations of sixteen clients is checked in no time", () => {
  const history = Array.from({ length: 1_000 }, (_, at) => ({
    input: append(at, `r${at}`),
    output: "won" as const,
    called: BigInt(Math.max(0, at - (at % 16))),
    returned: BigInt(at + 16),
  }));
  expect(checkLinearizable(history, registerModel).linearizable).toBe(true);
});

type Row<Input, Output> = readonly [
  called: number,
  returned: number | undefined,
  input: Input,
  output: Output | undefined,
];

const READ = { call: "read" } as const;

function append(seq: number, id: string, nonce?: string): RegisterCall {
  return { call: "append", seq, id, ...(nonce === undefined ? {} : { nonce }) };
}

function verdict(...rows: readonly Row<RegisterCall, RegisterAnswer>[]): boolean {
  return checkLinearizable(historyOf(...rows), registerModel).linearizable;
}

function historyOf<Input, Output>(
  ...rows: readonly Row<Input, Output>[]
): readonly Operation<Input, Output>[] {
  return rows.map(([called, returned, input, output]) => ({
    input,
    output,
    called: BigInt(called),
    returned: returned === undefined ? undefined : BigInt(returned),
  }));
}

/** One cell that is read, written, and compared and set. */
type CellCall =
  | { readonly do: "read" }
  | { readonly do: "write"; readonly value: number }
  | { readonly do: "cas"; readonly from: number; readonly value: number };

const cellModel: SequentialModel<number, CellCall, number> = {
  initial: 0,
  step(cell, call, answer) {
    if (call.do === "read") return answer === cell ? cell : undefined;
    if (call.do === "write") return call.value;
    const done = cell === call.from;
    if (answer === undefined) return done ? call.value : undefined;
    if (answer !== (done ? 1 : 0)) return undefined;
    return done ? call.value : cell;
  },
  key: String,
};

function smallHistory(): fc.Arbitrary<readonly Operation<CellCall, number>[]> {
  const value = fc.nat(2);
  const call: fc.Arbitrary<CellCall> = fc.oneof(
    fc.constant({ do: "read" } as const),
    fc.record({ do: fc.constant("write" as const), value }),
    fc.record({ do: fc.constant("cas" as const), from: value, value }),
  );
  const output = fc.oneof(
    { weight: 5, arbitrary: fc.nat(2) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
  const lasts = fc.option(fc.nat(5), { freq: 5 });
  const operation = fc
    .record({ input: call, output, called: fc.nat(8), lasts })
    .map(({ called, lasts, ...rest }) => ({
      ...rest,
      called: BigInt(called),
      returned: lasts === null ? undefined : BigInt(called + lasts),
    }));
  return fc.array(operation, { minLength: 1, maxLength: 6 });
}

/** Every order of every choice among the calls without an answer. Slow, and obviously right. */
function someOrderExplains<State, Input, Output>(
  left: readonly Operation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
  state: State = model.initial,
): boolean {
  if (left.every(({ output }) => output === undefined)) return true;
  return left.some((next, index) => {
    const others = left.filter((_, at) => at !== index);
    const overdue = ({ output, returned }: Operation<Input, Output>): boolean =>
      output !== undefined && returned !== undefined && returned < next.called;
    if (others.some(overdue)) return false;
    const after = model.step(state, next.input, next.output);
    return after !== undefined && someOrderExplains(others, model, after);
  });
}
