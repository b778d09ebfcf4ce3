/** What the decision itself costs, without reading, receipt or store: by what the policy looks at, and by the history. */
import {
  applyReceipt,
  type CallForm,
  type CompiledPolicy,
  decide,
  type DecisionReceipt,
  type Grounds,
  type JsonObject,
  type OpenReceipt,
  openState,
  type SequenceState,
} from "@stepgate/core";
import { compilePolicy, policyFromEnv } from "@stepgate/policy";
import { pairedMedian, type Section, timeVariants, type Variant } from "./measure.ts";

const NOON = 1_800_000_000_000;
const TIME = { clock: NOON, record: NOON };
const HISTORIES = [10, 100_000] as const;
const args: JsonObject = { amount: 99.5, currency: "EUR", to: "GB29NWBK60161331926819" };
const schema = {
  type: "object",
  required: ["amount", "currency", "to"],
  properties: {
    amount: { type: "number", exclusiveMinimum: 0 },
    currency: { enum: ["EUR", "USD"] },
    to: { type: "string", maxLength: 40 },
  },
  additionalProperties: false,
};

/** One `decide` that ends in ALLOW, by what it had to look at, after 10 and after 100,000 earlier calls. */
export async function pureDecisions(): Promise<Section> {
  const cases: readonly (readonly [string, CompiledPolicy, string | undefined])[] = [
    ["Level 0, explicit form", levelZero(), undefined],
    ["Level 1, tool form", withTool({}), "pay"],
    ["JSON Schema", withTool({ args: schema }), "pay"],
    ["one CEL condition", withTool({ when: "args.amount <= 100.0 && agent_id != 'bot'" }), "pay"],
    ["limits: calls and sum", withTool({ limits: LIMITS }), "pay"],
    ["grounded argument", withTool({ grounded: { to: [["GB29NWBK60161331926819"]] } }), "pay"],
  ];
  const variants = cases.flatMap(([name, policy, tool]) =>
    HISTORIES.map((length) => decisions(`${name}, after ${length}`, policy, tool, length)),
  );
  const timings = await timeVariants([lookUps(), ...variants]);
  const ratios = cases.flatMap(([name]) => {
    const [short, long] = HISTORIES.map((length) => `${name}, after ${length}`);
    return {
      name: `${name}: after 100,000 ÷ after 10`,
      value: pairedMedian(timings, [long ?? "", short ?? ""], (after, before) => after / before),
      unit: "×" as const,
    };
  });
  return { title: "The decision alone (no receipt)", timings, ratios };
}

const LIMITS = { calls: { max: 1_000_000 }, sum: { of: "args.amount", max: 1_000_000_000 } };

function levelZero(): CompiledPolicy {
  const env = {
    STEPGATE_STEP_ORDER: "intake,settle",
    STEPGATE_ACTION_MAP: '{"intake":["READ_INPUT"],"settle":["SEAL_SEQUENCE"]}',
  };
  return policyFromEnv({ env });
}

function withTool(conditions: object): CompiledPolicy {
  return compilePolicy({
    schema: "stepgate.policy/1",
    id: "bench",
    version: "1",
    sequence: "intake*, settle",
    functions: { intake: ["READ_INPUT", "PAY"], settle: ["SEAL_SEQUENCE"] },
    tools: { pay: { function: "intake", action: "PAY", ...conditions } },
  });
}

function decisions(
  name: string,
  policy: CompiledPolicy,
  tool: string | undefined,
  history: number,
): Variant {
  const call = tool === undefined ? { function: "intake", action_type: "READ_INPUT" } : { tool };
  const state = stateAfter(policy, call, history);
  const grounds: Grounds = {
    args,
    context: {},
    counted: new Map(),
    bindDigest: (value) => value,
    rolesOf: () => [],
  };
  // Nonces of a length as adapters make them, none of which the history holds.
  const nonces = Array.from({ length: 1024 }, (_, n) => `run-0123456789:call-${n}-fresh`);
  return {
    name,
    count: 20_000,
    run(count) {
      for (let i = 0; i < count; i++) {
        const nonce = nonces[i & 1023] ?? "";
        const input = { call, nonce, args_digest: "", ts_ms: NOON };
        if (decide(policy, state, input, TIME, grounds).refusal !== undefined)
          throw new Error("the benchmark was denied");
      }
    },
  };
}

/** So many earlier calls: allowed ones, and denied ones where the order is plain and admits each step once. */
function stateAfter(policy: CompiledPolicy, call: CallForm, length: number): SequenceState {
  const state = openState(opening(policy), "sha256:open", policy);
  const answer =
    call.tool === undefined
      ? { decision: "DENY" as const, deny_code: "SEQUENCE_VIOLATION" as const, rule: "sequence" }
      : { decision: "ALLOW" as const, function: "intake", step: "intake", action_type: "PAY" };
  for (let seq = 1; seq <= length; seq++) {
    const nonce = `run-0123456789:call-${seq}`;
    const request = { nonce, attempt: `${seq}`, args_digest: "", request_ts_ms: NOON };
    const record: DecisionReceipt = {
      ...opening(policy),
      kind: "decision",
      ...request,
      ...call,
      ...answer,
      seq,
    };
    applyReceipt(state, record, `sha256:${seq}`);
  }
  return state;
}

function opening({ id, version, digest }: CompiledPolicy): OpenReceipt {
  return {
    v: "stepgate.receipt/1",
    kind: "open",
    mode: "enforce",
    log_id: "bench",
    gate_id: "bench",
    sequence_id: "s",
    seq: 0,
    prev: "",
    ts_ms: NOON,
    policy_id: id,
    policy_version: version,
    policy_digest: digest,
  };
}

/** The least that a decision could be: four look-ups by text, and one in the automaton's table. */
function lookUps(): Variant {
  const map = new Map(Array.from({ length: 64 }, (_, n) => [`name-${n}`, n]));
  const names = [...map.keys()];
  const table = new Int32Array(64);
  let sum = 0;
  return {
    name: "four look-ups in a Map, one in a table",
    count: 20_000,
    run(count) {
      for (let i = 0; i < count; i++)
        for (let k = 0; k < 4; k++) sum += table[map.get(names[(i + k) & 63] ?? "") ?? 0] ?? 0;
      if (sum < 0) throw new Error("unreachable, but the engine must not know");
    },
  };
}
