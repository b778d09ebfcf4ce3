/** How a sequence begins, whose it is, what it is pinned to, and how trusted context is added. */
import { openTestGate, sequenceLines } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type Append,
  createGate,
  exportKeySet,
  type Gate,
  GateError,
  type GateParts,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Opening,
  type Store,
  verifyReceipts,
} from "../src/index.ts";
import { heldClock } from "./held-clock.ts";
import { LOAN_APPROVAL, REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const OWNER = { agent_id: "bot-7", tenant: "acme" } as const;
const GET_ORDER = { sequence_id: "s", tool: "get_order" } as const;

describe("opening", () => {
  test("is idempotent for equal content: the same record, written once", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const opening = { sequence_id: "s", policy_id: "refunds", context: { b: 1, a: [2] }, ...OWNER };
    const first = await gate.open(opening);
    expect(await gate.open({ ...opening, context: { a: [2], b: 1 } })).toEqual(first);
    const { policy_id: _, ...unnamed } = opening;
    expect(await gate.open(unnamed)).toEqual(first);
    expect(await receipts("s")).toEqual([first]);
  });

  test("many at once write one record", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    const opened = await Promise.all(
      Array.from({ length: 20 }, () => gate.open({ sequence_id: "s" })),
    );
    expect(new Set(opened).size).toBe(1);
    expect(await receipts("s")).toHaveLength(1);
  });

  test("through two gates at once is one record, and of two contents one is a CONFLICT", async () => {
    const parts = { store: memoryStore(), saltKey: new Uint8Array(32) };
    const gates = [
      (await openTestGate(REFUNDS, parts)).gate,
      (await openTestGate(REFUNDS, parts)).gate,
    ];
    const [a, b] = await Promise.all(
      gates.map((gate) => gate.open({ sequence_id: "s", ...OWNER })),
    );
    expect(a).toEqual(b);
    const results = await Promise.allSettled(
      gates.map((gate, i) => gate.open({ sequence_id: "t", agent_id: `bot-${i}` })),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(results.find((result) => result.status === "rejected")?.reason).toMatchObject({
      code: "CONFLICT",
    });
    expect(await sequenceLines(parts.store)).toHaveLength(2);
  });

  test.each<[string, Partial<Opening>]>([
    ["agent_id", { agent_id: "bot-8" }],
    ["tenant", { tenant: "other" }],
    ["context", { context: { a: 2 } }],
    ["policy_id", { policy_id: "loan-approval" }],
  ])("with another %s it is a CONFLICT that changes nothing", async (member, other) => {
    const { gate, receipts } = await gateOfBoth();
    await gate.open({ sequence_id: "s", policy_id: "refunds", context: { a: 1 }, ...OWNER });
    await expect(
      gate.open({ sequence_id: "s", policy_id: "refunds", context: { a: 1 }, ...OWNER, ...other }),
    ).rejects.toMatchObject({
      code: "CONFLICT",
      message: expect.stringContaining(member),
    });
    expect(await receipts("s")).toHaveLength(1);
  });

  test.each<[string, Opening]>([
    ["agent_id", { sequence_id: "s", tenant: "acme", context: { a: 1 } }],
    ["tenant", { sequence_id: "s", agent_id: "bot-7", context: { a: 1 } }],
    ["context", { sequence_id: "s", ...OWNER }],
  ])("without its %s it is a CONFLICT as well", async (_member, without) => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s", context: { a: 1 }, ...OWNER });
    await expect(gate.open(without)).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("a sequence is unique in its log, whatever the tenant", async () => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s", tenant: "a" });
    await expect(gate.open({ sequence_id: "s", tenant: "b" })).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  test.each<[string, unknown]>([
    ["sequence_id", {}],
    ["sequence_id", { sequence_id: "@log" }],
    ["sequence_id", { sequence_id: "s\n" }],
    ["sequence_id", { sequence_id: "x".repeat(201) }],
    ["policy_id", { sequence_id: "s", policy_id: "" }],
    ["agent_id", { sequence_id: "s", agent_id: "" }],
    ["agent_id", { sequence_id: "s", agent_id: undefined }],
    ["tenant", { sequence_id: "s", tenant: 5 }],
    ["mode", { sequence_id: "s", mode: "shadow" }],
    ["context", { sequence_id: "s", context: null }],
    ["context", { sequence_id: "s", context: [] }],
    ["context", { sequence_id: "s", context: { at: new Date(0) } }],
    ["context", { sequence_id: "s", context: { n: 2 ** 60 } }],
    ["context", { sequence_id: "s", context: { text: "x".repeat(64 * 1024) } }],
    ["context", { sequence_id: "s", context: nested(17) }],
    ["opening", null],
  ])("with a bad %s it is INVALID_INPUT", async (member, opening) => {
    const { gate, store } = await openTestGate(REFUNDS);
    await expect(gate.open(opening as Opening)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining(`${member}:`),
    });
    expect(await sequenceLines(store)).toEqual([]);
  });

  test("context may be 64 KiB and 16 levels deep", async () => {
    const { gate } = await openTestGate(REFUNDS);
    await gate.open({
      sequence_id: "large",
      context: { text: "x".repeat(64 * 1024 - '{"text":""}'.length) },
    });
    await gate.open({ sequence_id: "deep", context: nested(16) });
  });

  test("the store keeps the bytes of the context under its digest", async () => {
    const { gate, store } = await openTestGate(REFUNDS);
    const { context_digest = "" } = await gate.open({
      sequence_id: "s",
      context: { z: 1, a: "é" },
    });
    expect(await store.document(context_digest)).toBe('{"a":"é","z":1}');
  });
});

describe("whose it is", () => {
  test.each<[string, object]>([
    ["agent_id", { agent_id: "bot-8", tenant: "acme" }],
    ["agent_id", { tenant: "acme" }],
    ["tenant", { agent_id: "bot-7", tenant: "other" }],
    ["tenant", { agent_id: "bot-7" }],
    ["agent_id", {}],
  ])(
    "another's request is INVALID_REQUEST, request.%s, and leaves no record in the chain",
    async (member, who) => {
      const { gate, receipts } = await openTestGate(REFUNDS);
      await gate.open({ sequence_id: "s", ...OWNER });
      const decision = await gate.decide({ ...GET_ORDER, ...who });
      expect(decision).toMatchObject({
        decision: "DENY",
        deny_code: "INVALID_REQUEST",
        rule: `request.${member}`,
        proceed: false,
      });
      expect(decision.receipt).toBeUndefined();
      expect(await receipts("s")).toHaveLength(1);
      expect(JSON.stringify(decision)).not.toMatch(/bot-7|acme/);
    },
  );

  test("a malformed request of another's leaves no record either, one of the owner's does", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.open({ sequence_id: "s", ...OWNER });
    const bad = { ...GET_ORDER, args: [] as never };
    for (const who of [{}, { agent_id: "bot-8" }, { agent_id: "", tenant: "acme" }])
      expect((await gate.decide({ ...bad, ...who })).receipt).toBeUndefined();
    expect(await receipts("s")).toHaveLength(1);
    expect((await gate.decide({ ...bad, ...OWNER })).receipt).toMatchObject({
      deny_code: "INVALID_REQUEST",
      rule: "request.args",
      ...OWNER,
    });
    expect(await receipts("s")).toHaveLength(2);
  });

  test("receipts bear exactly the owner of the opening", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    await gate.decide({ ...GET_ORDER, tenant: "acme" });
    await gate.addContext("s", { a: 1 });
    for (const receipt of await receipts("s")) {
      expect(receipt).toMatchObject({ tenant: "acme" });
      expect(receipt).not.toHaveProperty("agent_id");
    }
  });
});

describe("autoOpen", () => {
  test("lets the first request open its sequence, allowed or not, in one append with the decision", async () => {
    for (const [tool, answer] of [
      ["get_order", "ALLOW"],
      ["refund", "SEQUENCE_VIOLATION"],
      ["nothing", "NO_POLICY_MATCH"],
    ] as const) {
      const appends: Append[] = [];
      const { gate, receipts } = await openTestGate(REFUNDS, {
        wrapStore: (store) => ({
          ...store,
          append: (append) => (appends.push(append), store.append(append)),
        }),
      });
      await gate.decide({ sequence_id: "s", tool, ...OWNER });
      expect(summary(await receipts("s"))).toEqual(["open", answer]);
      expect(
        appends
          .filter(({ sequence_id }) => sequence_id === "s")
          .map(({ records }) => records.length),
      ).toEqual([2]);
      expect((await receipts("s"))[0]).toMatchObject({ ...OWNER, seq: 0, policy_id: "refunds" });
      expect((await receipts("s"))[0]).not.toHaveProperty("context_digest");
    }
  });

  test("is nothing for a request that is not well formed", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS);
    expect(await gate.decide({ ...GET_ORDER, nonce: "" })).toMatchObject({
      deny_code: "INVALID_REQUEST",
      rule: "request.nonce",
    });
    expect(await receipts("s")).toEqual([]);
  });

  test("off: an unopened sequence is INVALID_REQUEST, request.sequence_id, without a record", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS, { autoOpen: false });
    expect(await gate.decide(GET_ORDER)).toMatchObject({
      deny_code: "INVALID_REQUEST",
      rule: "request.sequence_id",
      proceed: false,
    });
    expect(await receipts("s")).toEqual([]);
    await gate.open({ sequence_id: "s" });
    expect(await gate.decide(GET_ORDER)).toMatchObject({ decision: "ALLOW" });
  });

  test("with several active policies it cannot choose: POLICY_UNAVAILABLE, without a record", async () => {
    const { gate, receipts } = await gateOfBoth();
    const decision = await gate.decide(GET_ORDER);
    expect(decision).toMatchObject({
      deny_code: "POLICY_UNAVAILABLE",
      rule: "policy",
      proceed: false,
    });
    expect(decision.receipt).toBeUndefined();
    expect(await receipts("s")).toEqual([]);
    await expect(gate.open({ sequence_id: "s" })).rejects.toMatchObject({
      code: "POLICY_UNAVAILABLE",
    });
    await expect(gate.open({ sequence_id: "s", policy_id: "no-such" })).rejects.toMatchObject({
      code: "POLICY_UNAVAILABLE",
    });
    await gate.open({ sequence_id: "s", policy_id: "refunds" });
    expect(await gate.decide(GET_ORDER)).toMatchObject({ decision: "ALLOW" });
  });
});

describe("the pinned policy", () => {
  const first = compilePolicy(REFUNDS);
  const second = compilePolicy({
    ...REFUNDS,
    version: "2",
    sequence: "lookup, close",
    functions: { lookup: ["READ"], close: ["SEAL"] },
    tools: { get_order: { function: "lookup", action: "READ" } },
  });
  const keys = { signer: generateSigningKey(), saltKey: randomBytes(32) };

  test("of several policies with one id the last is active; the others serve the sequences that are pinned to them", async () => {
    const store = memoryStore();
    const before = await createGate({ ...keys, store, policies: [first] });
    await before.open({ sequence_id: "old" });
    const gate = await createGate({ ...keys, store, policies: [first, second] });
    expect(await gate.open({ sequence_id: "old" })).toMatchObject({ policy_version: "1" });
    expect(await gate.open({ sequence_id: "new" })).toMatchObject({
      policy_version: "2",
      policy_digest: second.digest,
    });
    expect(await gate.decide({ ...GET_ORDER, sequence_id: "old" })).toMatchObject({
      decision: "ALLOW",
      receipt: { policy_digest: first.digest, policy_version: "1" },
    });
    expect((await gate.state("old")).next_steps).toEqual(["refund"]);
    expect(await gate.decide({ ...GET_ORDER, sequence_id: "new" })).toMatchObject({
      decision: "ALLOW",
      receipt: { policy_digest: second.digest, policy_version: "2" },
    });
    expect((await gate.state("new")).next_steps).toEqual(["close"]);
  });

  test("that this gate does not hold is POLICY_UNAVAILABLE: recorded as sent, without a digest; burns no nonce, advances nothing", async () => {
    const store = memoryStore();
    const holder = await createGate({ ...keys, store, policies: [first] });
    await holder.open({ sequence_id: "s" });
    const other = await createGate({ ...keys, store, policies: [second] });
    const asked = { ...GET_ORDER, nonce: "n", attempt: "A".repeat(22) };
    // Between 0 and 1: though it is stale as well.
    const decision = await other.decide({ ...asked, ts_ms: 0 });
    expect(decision).toMatchObject({
      deny_code: "POLICY_UNAVAILABLE",
      rule: "policy",
      proceed: false,
      next_steps: [],
      receipt: { policy_digest: first.digest, tool: "get_order", nonce: "n" },
    });
    expect(decision.receipt).not.toHaveProperty("args_digest");
    expect(decision.receipt).not.toHaveProperty("function");
    // The same attempt is no answer to return again, either.
    expect((await other.decide({ ...asked, ts_ms: 0 })).receipt?.seq).toBe(2);
    expect(await other.state("s")).toEqual({
      opened: true,
      sealed: false,
      next_steps: [],
      permitted_tools: [],
      awaiting: [],
    });
    expect(await holder.decide(asked)).toMatchObject({ decision: "ALLOW", receipt: { seq: 3 } });
  });

  test("is kept by the store in its normal form", async () => {
    const store = memoryStore();
    await createGate({ ...keys, store, policies: [first, second] });
    expect(await store.document(first.digest)).toBe(first.normalForm);
    expect(await store.document(second.digest)).toBe(second.normalForm);
  });
});

describe("adding context", () => {
  test("that another gate replaced meanwhile is a record again", async () => {
    const parts = { store: memoryStore(), saltKey: new Uint8Array(32) };
    const { gate: a } = await openTestGate(REFUNDS, parts);
    const { gate: b } = await openTestGate(REFUNDS, parts);
    await a.open({ sequence_id: "s" });
    await b.addContext("s", { request: "first" });
    await a.addContext("s", { request: "second" });
    expect(await b.addContext("s", { request: "first" })).toMatchObject({ seq: 3 });
  });

  test("comes after the record that made it active, even by a clock that an hour was taken from", async () => {
    const store = memoryStore();
    const signer = generateSigningKey();
    const policy = compilePolicy(REFUNDS);
    let now = 1_800_000_000_000;
    const parts = { store, signer, saltKey: randomBytes(32), policies: [policy] };
    const gate = await createGate({ ...parts, clock: () => now });
    now -= 3_600_000;
    await gate.open({ sequence_id: "opened" });
    expect(await gate.decide({ ...GET_ORDER, args: { order_id: "A1" } })).toHaveProperty("receipt");
    const keys = importKeySet(exportKeySet([signer]));
    const report = await verifyReceipts(store.lines(), { keys, policies: [policy] });
    expect([report.result, report.findings]).toEqual(["sound", []]);
    now += 3_600_000;
    await gate.open({ sequence_id: "later" });
    const last = (await Array.fromAsync(gate.receipts("later"))).map(({ ts_ms }) => ts_ms);
    expect(last).toEqual([now]);
  });

  test("and opening copy what they are given before the first `await`", async () => {
    const { gate, store } = await openTestGate(REFUNDS);
    const opening: { sequence_id: string; agent_id: string } = {
      sequence_id: "s",
      agent_id: "bot-7",
    };
    const opened = gate.open(opening);
    opening.agent_id = "not an identifier";
    expect(await opened).toMatchObject({ agent_id: "bot-7" });
    await gate.open({ sequence_id: "t" });
    const { gate: fresh } = await openTestGate(REFUNDS, { store });
    const context: Record<string, string> = { request: "pay 5" };
    const added = fresh.addContext("t", context);
    context["request"] = "pay 5000";
    expect(await store.document((await added).context_digest ?? "")).toBe('{"request":"pay 5"}');
  });

  test("is a record with its digest; what stands already is not recorded again", async () => {
    const { gate, store, receipts } = await openTestGate(REFUNDS);
    const opened = await gate.open({ sequence_id: "s", context: { a: 1 } });
    expect(await gate.addContext("s", { a: 1 })).toEqual(opened);
    const added = await gate.addContext("s", { b: 2 });
    expect(added).toMatchObject({ kind: "context", mode: "enforce", seq: 1 });
    expect(await gate.addContext("s", { b: 2 })).toEqual(added);
    expect(await store.document(added.context_digest ?? "")).toBe('{"b":2}');
    expect(summary(await receipts("s"))).toEqual(["open", "context"]);
  });

  test("after a seal is refused: such a record would make the chain unsound", async () => {
    for (const seal of ["person", "natural end"] as const) {
      const { gate, key, receipts } = await openTestGate(REFUNDS);
      await gate.open({ sequence_id: "s", context: { a: 1 } });
      if (seal === "person") await gate.seal("s", "stop");
      else
        for (const tool of ["get_order", "refund", "close"])
          await gate.decide({ sequence_id: "s", tool });
      const error = await gate.addContext("s", { b: 2 }).catch((reason: unknown) => reason);
      const report = await verifyReceipts(await receipts("s"), {
        keys: importKeySet(exportKeySet([key])),
      });
      expect(report.findings).toEqual([]);
      expect(GateError.isInstance(error)).toBe(true);
      // What stands already may be said again.
      expect(await gate.addContext("s", { a: 1 })).toMatchObject({ kind: "open" });
    }
  });

  test("to an unopened sequence is NOT_OPENED, of no JSON object INVALID_INPUT", async () => {
    const { gate, store } = await openTestGate(REFUNDS);
    await expect(gate.addContext("s", { a: 1 })).rejects.toMatchObject({ code: "NOT_OPENED" });
    await gate.open({ sequence_id: "s" });
    for (const bad of [null, [], "text", { at: new Date(0) }, { a: undefined }, nested(17)])
      await expect(gate.addContext("s", bad as never)).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
    expect(await sequenceLines(store)).toHaveLength(1);
  });
});

describe("where a sequence stands", () => {
  test("is told before it is opened, as it goes, and after its end", async () => {
    const clock = heldClock();
    const { gate } = await openTestGate(REFUNDS, { clock: clock.clock });
    const open = { opened: true, sealed: false, awaiting: [] };
    expect(await gate.state("s")).toEqual({
      ...open,
      opened: false,
      next_steps: ["lookup"],
      permitted_tools: ["get_order"],
    });
    await gate.open({ sequence_id: "s" });
    expect(await gate.state("s")).toEqual({
      ...open,
      next_steps: ["lookup"],
      permitted_tools: ["get_order"],
    });
    await gate.decide(GET_ORDER);
    expect(await gate.state("s")).toEqual({
      ...open,
      next_steps: ["refund"],
      permitted_tools: ["refund"],
    });
    await gate.decide({ ...GET_ORDER, tool: "refund" });
    expect(await gate.state("s")).toEqual({
      ...open,
      next_steps: ["refund", "close"],
      permitted_tools: ["close", "refund"],
    });
    clock.pass(3_600_000);
    expect((await gate.state("s")).sealed).toBe(false);
    clock.pass(1);
    expect(await gate.state("s")).toEqual({
      ...open,
      sealed: true,
      next_steps: [],
      permitted_tools: [],
    });
  });

  test("of an unopened sequence nothing is next where requests open none", async () => {
    const { gate } = await openTestGate(REFUNDS, { autoOpen: false });
    expect(await gate.state("s")).toEqual({
      opened: false,
      sealed: false,
      next_steps: [],
      permitted_tools: [],
      awaiting: [],
    });
  });
});

describe("a gate is refused", () => {
  const SALT = randomBytes(32);
  const parts: GateParts = {
    policies: [compilePolicy(REFUNDS)],
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: SALT,
  };

  test.each<[string, object]>([
    ["without policies", { policies: [] }],
    ["with a policy that was not compiled", { policies: [REFUNDS] }],
    ["with no policy at all", { policies: [undefined] }],
    ["without a store", { store: undefined }],
    ["without a signer and without a MAC key", { signer: undefined }],
    ["without a salt key", { saltKey: undefined }],
    ["with a short salt key", { saltKey: new Uint8Array(31) }],
    ["with a short MAC key", { hmacKey: { id: "k", secret: new Uint8Array(31) } }],
    ["with a MAC key without a name", { hmacKey: { id: "", secret: new Uint8Array(32) } }],
    ["with a bad gateId", { gateId: "a b" }],
    ["with a bad logId", { logId: "a/b" }],
    ["with an unknown mode", { mode: "observe" }],
    ["with no time to answer", { deadlineMs: 0 }],
    ["with half a millisecond to answer", { deadlineMs: 0.5 }],
    ["with no room for records", { maxRecords: -1 }],
    ["with NaN denials a second", { maxDenialsPerSecond: Number.NaN }],
    ["with a signer without a key id", { signer: { sign: () => new Uint8Array(64) } }],
    ["with a signer that cannot sign", { signer: { keyId: "k" } }],
    ["with a clock that is a number", { clock: 5 }],
    ["with randomness that is a number", { random: 4 }],
    ["with one secret for two purposes", { hmacKey: { id: "k", secret: SALT } }],
    ["with a deadline that no timer can hold", { deadlineMs: 2 ** 31 }],
    ["with a store of one method", { store: { append: async () => "won" } }],
  ])("%s (TypeError)", async (_name, change) => {
    await expect(createGate({ ...parts, ...change } as GateParts)).rejects.toThrow(TypeError);
  });

  test("on a store of another log, or of another mode (LOG_MISMATCH)", async () => {
    const store = memoryStore();
    await createGate({ ...parts, store, logId: "log-a" });
    await createGate({ ...parts, store });
    await expect(createGate({ ...parts, store, logId: "log-b" })).rejects.toMatchObject({
      code: "LOG_MISMATCH",
    });
    await expect(createGate({ ...parts, store, mode: "shadow" })).rejects.toMatchObject({
      code: "LOG_MISMATCH",
    });
  });
});

test("close closes the store", async () => {
  let closed = 0;
  const closing = (store: Store): Store => ({
    ...store,
    close: async () => {
      closed++;
    },
  });
  const { gate } = await openTestGate(REFUNDS, { wrapStore: closing });
  await gate.close();
  expect(closed).toBe(1);
});

async function gateOfBoth(): Promise<{
  readonly gate: Gate;
  receipts(id: string): Promise<readonly unknown[]>;
}> {
  const policies = [compilePolicy(REFUNDS), compilePolicy(LOAN_APPROVAL)];
  const gate = await createGate({
    policies,
    store: memoryStore(),
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
  });
  return { gate, receipts: (id) => Array.fromAsync(gate.receipts(id)) };
}

function nested(depth: number): { readonly [name: string]: never } {
  let value = {};
  for (let i = 1; i < depth; i++) value = { a: value };
  return value;
}
