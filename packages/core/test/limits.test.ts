/** Limits that are counted in the store: what they rest on, what they count, and what becomes of a store that cannot. */
import { openTestGate, type TestGate, type TestGateOptions } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  createGate,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  memoryStore,
  verifyReceipts,
} from "../src/index.ts";
import { compilePolicy } from "@stepgate/policy";
import { faultyStore, type StoreFault } from "./faulty-store.ts";
import { heldClock } from "./held-clock.ts";
import { NOON } from "./reference/walk.ts";

const HOUR = 3_600_000;

const POLICY = {
  schema: "stepgate.policy/1",
  id: "payments",
  version: "1",
  sequence: "settle",
  functions: {
    settle: ["SEAL"],
    look: { step: "*", actions: ["READ"] },
    pay: {
      step: "*",
      actions: ["WRITE"],
      limits: { sum: { of: "args.amount", max: 1, per: "agent", window: "1h" } },
    },
    post: {
      step: "*",
      actions: ["WRITE"],
      limits: { calls: { max: 2, per: "tenant", window: "1h" } },
    },
    order: {
      step: "*",
      actions: ["WRITE"],
      bind: { order: "args.order" },
      limits: { calls: 3, sum: { of: "args.amount", max: 0.3 } },
    },
  },
} as const;

/** Says the same of every counter. */
class Saying extends Map<string, unknown> {
  readonly #say: () => unknown;
  constructor(say: () => unknown) {
    super();
    this.#say = say;
  }
  override get(): unknown {
    return this.#say();
  }
}

describe("a store that cannot count", () => {
  test("is refused before a policy is activated on it, by the name of what it lacks", async () => {
    const parts = {
      policies: [compilePolicy(POLICY)],
      signer: generateSigningKey(),
      saltKey: new Uint8Array(32),
    };
    for (const method of Object.keys(memoryStore())) {
      const store = { ...memoryStore(), [method]: undefined };
      await expect(createGate({ ...parts, store: store as never })).rejects.toThrow(
        new TypeError(`createGate: store must be a Store; it has no ${method}()`),
      );
    }
    expect(Object.keys(memoryStore())).toContain("counters");
  });

  test.each<[string, StoreFault]>([
    ["throws", "throws"],
    ["rejects", "rejects"],
    ["hangs", "hangs"],
    ["says nothing", { says: undefined, done: false }],
    ["says an object", { says: {}, done: false }],
    ["says a list", { says: [], done: false }],
    ["says numbers", { says: new Saying(() => 0), done: false }],
    ["says what is no decimal", { says: new Saying(() => "1e0"), done: false }],
    ["says less than stands, for ever", { says: new Map(), done: false }],
  ])(
    "allows nothing while `counters` %s, records nothing, and counts on afterwards",
    async (_name, fault) => {
      const line = faultyStore(memoryStore());
      const { gate } = await open({ store: line.store, deadlineMs: 250 });
      expect(await codes(gate, pay("s", 1))).toEqual(["ALLOW"]);
      const before = await Array.fromAsync(line.store.lines());
      line.cut("counters", fault);
      const refused = await codes(gate, pay("s", 1), pay("t", 0.5));
      expect(refused).toEqual(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]);
      expect(await Array.fromAsync(line.store.lines())).toEqual(before);
      // What counts nothing is not held up.
      expect(
        await codes(gate, { sequence_id: "u", function: "look", action_type: "READ" }),
      ).toEqual(["ALLOW"]);
      line.mend();
      expect(await codes(gate, pay("s", 0), pay("s", 0.1))).toEqual(["ALLOW", "LIMIT_EXCEEDED"]);
    },
  );
});

describe("a window", () => {
  test("is fixed by the gate's clock: the first millisecond of the next one counts from 0", async () => {
    const { clock, set } = heldClock(500_000 * HOUR);
    const { gate } = await open({ clock });
    expect(await codes(gate, pay("s", 0.7), pay("t", 0.4), pay("t", 0.3))).toEqual([
      "ALLOW",
      "LIMIT_EXCEEDED",
      "ALLOW",
    ]);
    set(500_001 * HOUR - 1);
    expect(await codes(gate, pay("s", 0.1))).toEqual(["LIMIT_EXCEEDED"]);
    set(500_001 * HOUR);
    expect(await codes(gate, pay("s", 1), pay("s", 0.1))).toEqual(["ALLOW", "LIMIT_EXCEEDED"]);
  });

  test("counts an agent within its tenant, a tenant over its agents, and nobody for another", async () => {
    const { gate } = await open();
    const agents = [
      pay("a", 1),
      pay("b", 0.1),
      pay("c", 1, { agent_id: "other" }),
      pay("d", 1, { tenant: "north" }),
      pay("e", 0.1, { tenant: "north" }),
    ];
    expect(await codes(gate, ...agents)).toEqual([
      "ALLOW",
      "LIMIT_EXCEEDED",
      "ALLOW",
      "ALLOW",
      "LIMIT_EXCEEDED",
    ]);
    const tenants = [
      post("f", { agent_id: "one", tenant: "north" }),
      post("g", { agent_id: "two", tenant: "north" }),
      post("h", { tenant: "north" }),
      post("i", { tenant: "south" }),
    ];
    expect(await codes(gate, ...tenants)).toEqual(["ALLOW", "ALLOW", "LIMIT_EXCEEDED", "ALLOW"]);
  });

  test("without the identifier that it counts by allows nothing", async () => {
    const { gate } = await open();
    const { agent_id: _, ...nobodys } = pay("s", 0);
    expect(await codes(gate, nobodys, post("t"))).toEqual(["LIMIT_EXCEEDED", "LIMIT_EXCEEDED"]);
  });

  test("counts what came back after an interruption once, and a retry of the same attempt once", async () => {
    const { gate } = await open();
    const call = { ...pay("s", 0.6), nonce: "n" };
    const first = await gate.decide(call);
    if (first.decision !== "ALLOW") throw new Error("denied");
    await gate.outcome(first, { status: "interrupted" });
    expect(await codes(gate, call)).toEqual(["ALLOW"]);
    const again = { ...pay("s", 0.3), nonce: "m", attempt: "a".repeat(22), ts_ms: NOON };
    expect(await codes(gate, again, again)).toEqual(["ALLOW", "ALLOW"]);
    expect(await codes(gate, pay("s", 0.2), pay("s", 0.1))).toEqual(["LIMIT_EXCEEDED", "ALLOW"]);
  });
});

test("what a call binds and adds up stands in its receipt, and the receipts verify", async () => {
  const { gate, store, key, policy } = await open();
  const order = (amount: unknown, id = "o-1") => ({
    sequence_id: "s",
    function: "order",
    action_type: "WRITE",
    args: { amount, order: id },
  });
  const calls = [order(0.1), order(0.1, "o-2"), order(-1), order("0.1"), order(0.2), order(0)];
  expect(await codes(gate, ...calls, order(0))).toEqual([
    "ALLOW",
    "ARGUMENT_VIOLATION",
    "LIMIT_EXCEEDED",
    "LIMIT_EXCEEDED",
    "ALLOW",
    "ALLOW",
    "LIMIT_EXCEEDED",
  ]);
  const receipts = await Array.fromAsync(gate.receipts("s"));
  const totals = receipts.flatMap((receipt) =>
    receipt.kind === "decision" && receipt.effects !== undefined
      ? [[receipt.effects.totals, Object.keys(receipt.effects.binds ?? {})]]
      : [],
  );
  const total = (sum: string) => [{ "functions.order.limits.sum": sum }, ["order"]];
  expect(totals).toEqual([total("0.1"), total("0.3"), total("0.3")]);
  const keys = importKeySet(exportKeySet([key]));
  const report = await verifyReceipts(store.lines(), { keys, policies: [policy] });
  expect([report.result, report.findings]).toEqual(["sound", []]);
});

type Input = Parameters<TestGate["gate"]["decide"]>[0];

function open(options: TestGateOptions = {}): Promise<TestGate> {
  return openTestGate(POLICY, { clock: () => NOON, ...options });
}

/** One after the other: the code of each denial, or ALLOW. */
async function codes(
  gate: TestGate["gate"],
  ...inputs: readonly object[]
): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const input of inputs) {
    const answer = await gate.decide(input as Input);
    answers.push(answer.decision === "ALLOW" ? "ALLOW" : answer.deny_code);
  }
  return answers;
}

function pay(sequence: string, amount: number, owner: object = {}) {
  const call = { function: "pay", action_type: "WRITE", args: { amount } };
  return { sequence_id: sequence, agent_id: "bot", ...call, ...owner };
}

function post(sequence_id: string, owner: object = {}) {
  return { sequence_id, function: "post", action_type: "WRITE", ...owner };
}
