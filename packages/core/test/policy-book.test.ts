/** Versions: several policies in one gate, one active an id, sequences pinned, every change a signed record of `@log`. */
import { randomBytes } from "node:crypto";
import { sequenceLines } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type CompiledPolicy,
  createGate,
  type Decision,
  exportKeySet,
  type GateParts,
  generateSigningKey,
  importKeySet,
  type LocalGate,
  memoryStore,
  type Receipt,
  receiptLine,
  recordHash,
  type Store,
  verifyReceipts,
} from "../src/index.ts";
import type { PolicyReceipt } from "../src/receipt.ts";
import { wasActive } from "../src/verify-chain.ts";
import { faultyStore } from "./faulty-store.ts";
import { type HeldClock, heldClock } from "./held-clock.ts";

function version(n: number, change: object = {}): CompiledPolicy {
  return compilePolicy({
    schema: "stepgate.policy/1",
    id: "p",
    version: `${n}`,
    sequence: "a, b, c",
    functions: { a: ["DO"], b: ["DO"], c: ["DO"] },
    ...change,
  });
}

const v1 = version(1);
const v2 = version(2, { functions: { a: ["DO", "MORE"], b: ["DO"], c: ["DO"] } });
const other = version(1, { id: "q" });
const key = generateSigningKey();
const saltKey = randomBytes(32);
const keys = importKeySet(exportKeySet([key]));

function gateOn(parts: Partial<GateParts> & { readonly store: Store }): Promise<LocalGate> {
  return createGate({ policies: [v1], signer: key, saltKey, ...parts });
}

async function log(gate: LocalGate): Promise<readonly Receipt[]> {
  return Array.fromAsync(gate.receipts("@log"));
}

/** `active 1`, `withdrawn 2`, with the version before. */
function told(records: readonly Receipt[]): readonly string[] {
  const versions = new Map(
    [v1, v2, other].map(({ digest, id, version: of }) => [digest, `${id}${of}`]),
  );
  return records.map((record) => {
    if (record.kind !== "policy") return record.kind;
    const before = record.previous === undefined ? "" : ` after ${versions.get(record.previous)}`;
    return `${record.status} ${versions.get(record.policy_digest)}${before}`;
  });
}

function ask(
  gate: LocalGate,
  sequence_id: string,
  fn: string,
  more: object = {},
): Promise<Decision> {
  return gate.decide({ sequence_id, function: fn, action_type: "DO", ...more });
}

function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
}

function statuses(gate: LocalGate): readonly string[] {
  return gate.policies().map(({ id, version: of, status }) => `${id}${of} ${status}`);
}

describe("the chain @log", () => {
  test("tells each activation, rollback and withdrawal in a signed record, with what was active before", async () => {
    const gate = await gateOn({ store: memoryStore() });
    const second = await gate.activate(v2);
    expect(second).toMatchObject({
      kind: "policy",
      sequence_id: "@log",
      seq: 1,
      mode: "enforce",
      status: "active",
      policy_id: "p",
      policy_version: "2",
      policy_digest: v2.digest,
      previous: v1.digest,
    });
    await gate.activate(v1);
    await gate.withdraw(v2.digest);
    await gate.withdraw(v1.digest);
    await gate.activate(other);
    await gate.activate(v2);
    expect(told(await log(gate))).toEqual([
      "active p1",
      "active p2 after p1",
      "active p1 after p2",
      "withdrawn p2 after p1",
      "withdrawn p1",
      "active q1",
      "active p2",
    ]);
    expect(statuses(gate)).toEqual(["p1 withdrawn", "p2 active", "q1 active"]);
    const report = await verifyReceipts(await log(gate), { keys });
    expect(report).toMatchObject({ result: "sound", sequences: [], records: 7 });
  });

  test("what is so already is not told again, and the record that made it so is the answer", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    const first = (await log(gate))[0];
    expect(await gate.activate(v1)).toEqual(first);
    const made = await gate.activate(v2);
    const gone = await gate.withdraw(v1.digest);
    expect(await gate.activate(v2)).toEqual(made);
    expect(await gate.withdraw(v1.digest)).toEqual(gone);
    expect(await log(gate)).toHaveLength(3);
  });

  test("a gate that starts with the same policy tells nothing anew; one that was withdrawn stays so", async () => {
    const store = memoryStore();
    const first = await gateOn({ store, policies: [v1, other] });
    expect(told(await log(first))).toEqual(["active p1", "active q1"]);
    await gateOn({ store, policies: [v1, other] });
    await gateOn({ store, policies: [other, v1] });
    expect(await log(first)).toHaveLength(2);
    await first.withdraw(v1.digest);
    const again = await gateOn({ store, policies: [v1, other] });
    expect(told(await log(again))).toEqual(["active p1", "active q1", "withdrawn p1"]);
    expect(statuses(again)).toEqual(["p1 withdrawn", "q1 active"]);
    expect(said(await ask(again, "s", "a"))).toBe("ALLOW");
    expect((await Array.fromAsync(again.receipts("s")))[0]).toMatchObject({ policy_id: "q" });
  });

  test("of several policies with one id the last becomes active, and all normal forms are kept", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store, policies: [v1, other, v2] });
    expect(statuses(gate)).toEqual(["p1 held", "q1 active", "p2 active"]);
    expect(told(await log(gate))).toEqual(["active p2", "active q1"]);
    for (const policy of [v1, v2, other])
      expect(await store.document(policy.digest)).toBe(policy.normalForm);
  });

  test("many changes at once through two gates: one chain, and both gates end with what it says last", async () => {
    const store = memoryStore();
    const held = heldClock();
    const parts = { store, clock: held.clock, deadlineMs: 30_000 };
    const gates = await Promise.all([gateOn(parts), gateOn(parts)]);
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => gates[i % 2]?.activate(i % 3 === 0 ? v1 : v2)),
    );
    const records = await log(gates[0]);
    const report = await verifyReceipts(records, { keys });
    expect(report.findings).toEqual([]);
    // Each record names the one before as previous: none was written on an old head, and none says what was so already.
    const digests = records.map((record) => (record.kind === "policy" ? record.policy_digest : ""));
    const previous = records.map((record) => record.kind === "policy" && record.previous);
    expect(previous.slice(1)).toEqual(digests.slice(0, -1));
    held.pass(1_000);
    for (const gate of gates) {
      await ask(gate, "any", "a");
      expect(gate.policies().find(({ status }) => status === "active")?.digest).toBe(
        digests.at(-1),
      );
    }
  });

  test("is no sequence: nobody opens it, asks in it, adds to it, seals or approves in it", async () => {
    const gate = await gateOn({ store: memoryStore() });
    const before = await log(gate);
    expect(said(await ask(gate, "@log", "a"))).toBe("INVALID_REQUEST");
    await expect(gate.open({ sequence_id: "@log" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    await expect(gate.addContext("@log", { a: 1 })).rejects.toThrow();
    await expect(gate.seal("@log", "stop")).rejects.toThrow();
    expect(await log(gate)).toEqual(before);
  });
});

describe("sequences are pinned", () => {
  test("to the digest that they began with, whatever becomes active later", async () => {
    const gate = await gateOn({ store: memoryStore() });
    expect(said(await ask(gate, "old", "a"))).toBe("ALLOW");
    await gate.activate(v2);
    expect(said(await ask(gate, "new", "a", { action_type: "MORE" }))).toBe("ALLOW");
    expect(said(await ask(gate, "old", "b", { action_type: "MORE" }))).toBe("ACTION_NOT_ALLOWED");
    expect(said(await ask(gate, "old", "b"))).toBe("ALLOW");
    const digests = async (id: string): Promise<unknown[]> =>
      (await Array.fromAsync(gate.receipts(id))).map(
        (one) => "policy_digest" in one && one.policy_digest,
      );
    expect(new Set(await digests("old"))).toEqual(new Set([v1.digest]));
    expect(new Set(await digests("new"))).toEqual(new Set([v2.digest]));
  });

  test("of several active policies the opening says which; without saying, and for one that is not active, nothing opens", async () => {
    const gate = await gateOn({ store: memoryStore(), policies: [v1, v2, other] });
    expect(await gate.open({ sequence_id: "s", policy_id: "q" })).toMatchObject({
      policy_digest: other.digest,
    });
    expect(await gate.open({ sequence_id: "t", policy_id: "p" })).toMatchObject({
      policy_digest: v2.digest,
    });
    for (const opening of [{ sequence_id: "u" }, { sequence_id: "u", policy_id: "none" }])
      await expect(gate.open(opening)).rejects.toMatchObject({ code: "POLICY_UNAVAILABLE" });
    const decision = await ask(gate, "u", "a");
    expect(decision).toMatchObject({ deny_code: "POLICY_UNAVAILABLE", rule: "policy" });
    expect(decision).not.toHaveProperty("receipt");
    expect(await Array.fromAsync(gate.receipts("u"))).toEqual([]);
  });

  test("an unknown digest cannot be withdrawn, and what no compiler made cannot be activated: nothing is told of it", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await expect(gate.withdraw(v2.digest)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(
      gate.activate({ ...v2, automaton: undefined } as unknown as CompiledPolicy),
    ).rejects.toThrow(TypeError);
    await expect(gate.activate(undefined as unknown as CompiledPolicy)).rejects.toThrow(TypeError);
    expect(await log(gate)).toHaveLength(1);
    expect(statuses(gate)).toEqual(["p1 active"]);
  });
});

describe("a withdrawn policy", () => {
  test("decides nothing more, in running sequences too; each refusal is recorded and burns no nonce", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await ask(gate, "s", "a");
    await gate.withdraw(v1.digest);
    const refused = await ask(gate, "s", "b", { nonce: "n", step: "b", args: { secret: 1 } });
    expect(refused).toMatchObject({
      deny_code: "POLICY_UNAVAILABLE",
      rule: "policy",
      proceed: false,
    });
    expect(refused.receipt).toMatchObject({
      nonce: "n",
      function: "b",
      step: "b",
      action_type: "DO",
      policy_digest: v1.digest,
    });
    expect(refused.receipt).not.toHaveProperty("args_digest");
    // Before all other checks but the form: stale or not.
    expect(said(await ask(gate, "s", "b", { ts_ms: 0 }))).toBe("POLICY_UNAVAILABLE");
    expect(said(await ask(gate, "s", "b", { nonce: "" }))).toBe("INVALID_REQUEST");
    expect(await gate.state("s")).toMatchObject({
      opened: true,
      next_steps: [],
      permitted_tools: [],
    });
    await expect(gate.open({ sequence_id: "t" })).rejects.toMatchObject({
      code: "POLICY_UNAVAILABLE",
    });
    expect(said(await ask(gate, "t", "a"))).toBe("POLICY_UNAVAILABLE");
    expect(await gate.open({ sequence_id: "s" })).toMatchObject({ seq: 0 });

    await gate.activate(v1);
    expect(said(await ask(gate, "s", "b", { nonce: "n", args: { secret: 1 } }))).toBe("ALLOW");
    expect(said(await ask(gate, "t", "a"))).toBe("ALLOW");
    const report = await verifyReceipts(
      [...(await log(gate)), ...(await Array.fromAsync(gate.receipts("s")))],
      { keys, policies: [v1] },
    );
    expect(report.findings).toEqual([]);
  });

  test("brings back no older one by itself: a rollback is said", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await gate.activate(v2);
    await gate.withdraw(v2.digest);
    expect(statuses(gate)).toEqual(["p1 held", "p2 withdrawn"]);
    await expect(gate.open({ sequence_id: "s" })).rejects.toMatchObject({
      code: "POLICY_UNAVAILABLE",
    });
    await gate.activate(v1);
    expect(await gate.open({ sequence_id: "s" })).toMatchObject({ policy_digest: v1.digest });
  });
});

describe("a policy that this gate came to hold late", () => {
  /** A sequence that advanced through one gate, and was looked at by another that does not hold its policy. */
  async function lookedAt(
    held: HeldClock,
  ): Promise<{ readonly old: LocalGate; readonly young: LocalGate }> {
    const store = memoryStore();
    const old = await gateOn({ store, clock: held.clock });
    expect(said(await ask(old, "s", "a"))).toBe("ALLOW");
    const young = await gateOn({ store, policies: [v2], clock: held.clock });
    expect(said(await ask(young, "s", "b"))).toBe("POLICY_UNAVAILABLE");
    expect(await young.state("s")).toMatchObject({ opened: true, next_steps: [] });
    return { old, young };
  }

  test("decides by the whole history, also where the state was read before: no step comes twice", async () => {
    const { young } = await lookedAt(heldClock());
    await young.activate(v1);
    expect(await young.state("s")).toMatchObject({ next_steps: ["b"] });
    expect(said(await ask(young, "s", "a"))).toBe("SEQUENCE_VIOLATION");
    expect(said(await ask(young, "s", "b"))).toBe("ALLOW");
    const chain = await Array.fromAsync(young.receipts("s"));
    expect((await verifyReceipts(chain, { keys, policies: [v1] })).findings).toEqual([]);
  });

  test("also where a decision was under way while it came", async () => {
    const { young } = await lookedAt(heldClock());
    const [decision] = await Promise.all([ask(young, "s", "a"), young.activate(v1)]);
    expect(["SEQUENCE_VIOLATION", "POLICY_UNAVAILABLE"]).toContain(said(decision));
  });

  test("and while the chain was being read", async () => {
    const store = memoryStore();
    const old = await gateOn({ store });
    expect(said(await ask(old, "s", "a"))).toBe("ALLOW");
    let reading: (() => Promise<unknown>) | undefined;
    const slow: Store = {
      ...store,
      async read(id, from, count) {
        const lines = await store.read(id, from, count);
        if (id === "s") await reading?.();
        return lines;
      },
    };
    const young = await gateOn({ store: slow, policies: [v2] });
    reading = () => young.activate(v1);
    expect(said(await ask(young, "s", "a"))).toBe("SEQUENCE_VIOLATION");
  });
});

describe("another gate of the same store", () => {
  test("follows every change within a second of its clock, and asks no more often", async () => {
    const store = memoryStore();
    const held = heldClock();
    let reads = 0;
    const counting: Store = {
      ...store,
      read(id, from, count) {
        if (id === "@log") reads++;
        return store.read(id, from, count);
      },
    };
    const one = await gateOn({ store, policies: [v1, v2] });
    const two = await gateOn({ store: counting, policies: [v1, v2], clock: held.clock });
    expect(said(await ask(two, "s", "a"))).toBe("ALLOW");
    const before = reads;
    await one.withdraw(v2.digest);
    held.pass(999);
    expect(said(await ask(two, "s", "b"))).toBe("ALLOW");
    expect(reads).toBe(before);
    held.pass(1);
    expect(said(await ask(two, "s", "c"))).toBe("POLICY_UNAVAILABLE");
    expect(reads).toBe(before + 1);
    await ask(two, "s", "c");
    expect(reads).toBe(before + 1);
    await one.activate(v1);
    held.pass(1_000);
    expect(await two.open({ sequence_id: "t" })).toMatchObject({ policy_digest: v1.digest });
    // A clock that was put back is no reason to look away.
    await one.activate(v2);
    held.pass(-5_000);
    expect(said(await ask(two, "s", "c"))).toBe("ALLOW");
  });

  test("follows within five seconds where its clock stands still", async () => {
    const store = memoryStore();
    const one = await gateOn({ store, policies: [v2] });
    const two = await gateOn({ store, policies: [v2], clock: heldClock().clock });
    expect(said(await ask(two, "s", "a"))).toBe("ALLOW");
    await one.withdraw(v2.digest);
    const now = performance.now();
    const time = vi.spyOn(performance, "now").mockReturnValue(now + 5_000);
    onTestFinished(() => time.mockRestore());
    expect(said(await ask(two, "s", "b"))).toBe("POLICY_UNAVAILABLE");
  });

  test("that does not hold what became active opens nothing, and goes on with what it holds", async () => {
    const store = memoryStore();
    const held = heldClock();
    const one = await gateOn({ store });
    const two = await gateOn({ store, clock: held.clock });
    await ask(two, "s", "a");
    await one.activate(v2);
    held.pass(1_000);
    expect(said(await ask(two, "s", "b"))).toBe("ALLOW");
    expect(said(await ask(two, "t", "a"))).toBe("POLICY_UNAVAILABLE");
    expect(statuses(two)).toEqual(["p1 held"]);
  });

  test("withdraws nothing that it does not hold, though the log knows it", async () => {
    const store = memoryStore();
    const one = await gateOn({ store });
    const held = heldClock();
    const two = await gateOn({ store, clock: held.clock });
    await one.activate(v2);
    held.pass(1_000);
    expect(said(await ask(two, "s", "a"))).toBe("POLICY_UNAVAILABLE");
    await expect(two.withdraw(v2.digest)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(statuses(one)).toEqual(["p1 held", "p2 active"]);
  });

  test("denies while it cannot read what was changed, and decides again once it can", async () => {
    const held = heldClock();
    const { store, cut, mend } = faultyStore(memoryStore());
    const gate = await gateOn({ store, clock: held.clock });
    expect(said(await ask(gate, "s", "a"))).toBe("ALLOW");
    held.pass(1_000);
    cut("read", "rejects");
    expect(said(await ask(gate, "s", "b"))).toBe("STORE_UNAVAILABLE");
    await expect(gate.open({ sequence_id: "t" })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    mend();
    expect(said(await ask(gate, "s", "b"))).toBe("ALLOW");
  });

  test("many decisions that find the second over wait for one reading", async () => {
    const store = memoryStore();
    const held = heldClock();
    let reads = 0;
    const gate = await gateOn({
      store: {
        ...store,
        read(id, from, count) {
          if (id === "@log") reads++;
          return store.read(id, from, count);
        },
      },
      clock: held.clock,
    });
    const before = reads;
    held.pass(1_000);
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(gate, `s${i}`, "a")));
    expect(answers.map(said)).toEqual(Array.from({ length: 8 }, () => "ALLOW"));
    expect(reads).toBe(before + 1);
  });
});

describe("a store that fails", () => {
  test.each([
    ["keep", "rejects"],
    ["append", "rejects"],
    ["append", "throws"],
    ["append", { says: "unknown", done: false }],
    ["append", { says: "lost", done: false }],
    ["read", "rejects"],
  ] as const)("at %s (%o) leaves the last good policy active", async (method, fault) => {
    const { store, cut, mend } = faultyStore(memoryStore());
    const gate = await gateOn({ store });
    cut(method, fault);
    await expect(gate.activate(v2)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    if (method !== "keep")
      await expect(gate.withdraw(v1.digest)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    mend();
    expect(statuses(gate).filter((one) => !one.endsWith("held"))).toEqual(["p1 active"]);
    expect(await gate.open({ sequence_id: "s" })).toMatchObject({ policy_digest: v1.digest });
    expect(told(await log(gate))).toEqual(["active p1"]);
    await gate.activate(v2);
    expect(await gate.open({ sequence_id: "t" })).toMatchObject({ policy_digest: v2.digest });
  });

  test("an activation that was written although nobody heard of it is found within a second", async () => {
    const held = heldClock();
    const { store, cut, mend } = faultyStore(memoryStore());
    const gate = await gateOn({ store, clock: held.clock });
    cut("append", { says: "unknown", done: true });
    await expect(gate.activate(v2)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    mend();
    expect(await gate.open({ sequence_id: "s" })).toMatchObject({ policy_digest: v1.digest });
    held.pass(1_000);
    expect(await gate.open({ sequence_id: "t" })).toMatchObject({ policy_digest: v2.digest });
    expect(told(await log(gate))).toEqual(["active p1", "active p2 after p1"]);
  });

  test("at start opens no gate", async () => {
    for (const method of ["setting", "keep", "append", "read"] as const) {
      const { store, cut } = faultyStore(memoryStore());
      cut(method, "rejects");
      await expect(gateOn({ store })).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(await sequenceLines(store)).toEqual([]);
    }
  });

  test("a log that was changed in the store is followed no further", async () => {
    const { store, garble, mend } = faultyStore(memoryStore());
    const held = heldClock();
    const gate = await gateOn({ store, clock: held.clock });
    await gate.activate(v2);
    const forged = (lines: readonly string[]): readonly string[] =>
      lines.map((line) => line.replace('"status":"active"', '"status":"withdrawn"'));
    garble(forged);
    await expect(gateOn({ store })).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    mend();
    await gateOn({ store });
  });
});

test("a record of another kind in @log opens no gate, however well it is linked", async () => {
  const store = memoryStore();
  const [first] = await log(await gateOn({ store }));
  if (first === undefined) throw new Error("the log begins with a record");
  const { v, log_id, sequence_id, ts_ms, gate_id } = first;
  const prev = recordHash(first);
  const seal: Receipt = {
    v,
    kind: "seal",
    log_id,
    sequence_id,
    seq: 1,
    prev,
    ts_ms,
    gate_id,
    sealed: true,
    by: "ana",
    reason: "stop",
  };
  const record = { seq: 1, hash: recordHash(seal), line: receiptLine(seal) };
  expect(await store.append({ sequence_id: "@log", records: [record] })).toBe("won");
  await expect(gateOn({ store })).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});

describe("shadow gates", () => {
  test("have a log of their own: a store of the other mode is refused, both ways, and left as it was", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    await expect(gateOn({ store, mode: "shadow", policies: [v2] })).rejects.toMatchObject({
      code: "LOG_MISMATCH",
    });
    expect(told(await log(gate))).toEqual(["active p1"]);
    const shadows = memoryStore();
    const shadow = await gateOn({ store: shadows, mode: "shadow" });
    await expect(gateOn({ store: shadows })).rejects.toMatchObject({ code: "LOG_MISMATCH" });
    expect((await log(shadow))[0]).toMatchObject({ kind: "policy", mode: "shadow" });
    expect(shadow.logId).not.toBe(gate.logId);
  });
});

describe("the verifier", () => {
  /** v1, a sequence, v2, a sequence, each step a second after the one before. */
  async function run(): Promise<{
    readonly gate: LocalGate;
    readonly records: readonly Receipt[];
    readonly chain: (id: string) => readonly Receipt[];
  }> {
    const held = heldClock();
    const store = memoryStore();
    const gate = await gateOn({ store, clock: held.clock });
    const step = async (work: () => Promise<unknown>): Promise<void> => {
      held.pass(1_000);
      await work();
    };
    await step(() => ask(gate, "one", "a"));
    await step(() => gate.activate(v2));
    await step(() => ask(gate, "two", "a"));
    await step(() => gate.withdraw(v2.digest));
    await step(() => gate.activate(v1));
    await step(() => ask(gate, "three", "a"));
    const records = (await Array.fromAsync(store.lines())).map(
      (line) => JSON.parse(line) as Receipt,
    );
    return { gate, records, chain: (id) => records.filter((one) => one.sequence_id === id) };
  }

  test("finds each sequence opened under what was active then, wherever @log stands in the file", async () => {
    const { records, chain } = await run();
    const rest = records.filter(({ sequence_id }) => sequence_id !== "@log");
    for (const file of [records, [...chain("@log"), ...rest], [...rest, ...chain("@log")]]) {
      const report = await verifyReceipts(file, { keys, policies: [v1, v2] });
      expect(report.findings).toEqual([]);
      expect(report.sequences.map(({ verdict }) => verdict)).toEqual(["OPEN", "OPEN", "OPEN"]);
    }
  });

  test("finds POLICY_MISMATCH where @log, cut or whole, had another policy active", async () => {
    const { records, chain } = await run();
    const rest = records.filter(({ sequence_id }) => sequence_id !== "@log");
    const found = async (told_: readonly Receipt[]): Promise<readonly unknown[]> =>
      (await verifyReceipts([...told_, ...rest], { keys })).findings.map(
        ({ code, sequence_id, line }) => `${code} ${sequence_id} ${line}`,
      );
    expect(await found(chain("@log"))).toEqual([]);
    expect(await found(chain("@log").slice(0, 1))).toEqual(["POLICY_MISMATCH two 4"]);
    expect(await found(chain("@log").slice(0, 2))).toEqual(["POLICY_MISMATCH three 7"]);
    expect(await found(chain("@log").slice(0, 3))).toEqual(["POLICY_MISMATCH three 8"]);
    // Another fault further on in the sequence hides nothing of its opening.
    const twice = await verifyReceipts([...chain("@log").slice(0, 1), ...rest, ...chain("two")], {
      keys,
    });
    expect(twice.findings.map(({ code, line }) => `${code} ${line}`)).toContain(
      "POLICY_MISMATCH 4",
    );
  });

  test.each([
    ["before it was active", 999, false],
    ["in the millisecond in which it became active", 1_000, true],
    ["while it was active", 1_500, true],
    ["in the millisecond in which another became active", 2_000, true],
    ["while another was active", 2_500, false],
    ["when it was active again", 3_500, true],
    ["in the millisecond in which it was withdrawn", 4_000, true],
    ["after it was withdrawn", 4_500, false],
  ])(
    "takes a sequence that was opened %s (%i) for one under an active policy: %o",
    async (_name, ts_ms, active) => {
      const record = async (
        policy: CompiledPolicy,
        status: string,
        at: number,
      ): Promise<PolicyReceipt> => {
        const [told_] = await log(await gateOn({ store: memoryStore(), policies: [policy] }));
        return { ...told_, status, ts_ms: at } as PolicyReceipt;
      };
      const gate = await gateOn({ store: memoryStore() });
      const opened = await gate.open({ sequence_id: "s" });
      const told_ = [
        await record(v1, "active", 1_000),
        await record(other, "active", 1_200),
        await record(v2, "active", 2_000),
        await record(v1, "active", 3_000),
        await record(other, "withdrawn", 3_200),
        await record(v1, "withdrawn", 4_000),
      ];
      expect(wasActive(told_, { ...opened, ts_ms })).toBe(active);
      expect(wasActive([], { ...opened, ts_ms })).toBe(false);
    },
  );

  test("finds one that changes a record of @log", async () => {
    const { chain } = await run();
    const lines = chain("@log");
    const changed = lines.with(1, { ...(lines[1] as Receipt), status: "withdrawn" } as Receipt);
    const { findings } = await verifyReceipts(changed, { keys });
    expect(findings.map(({ code }) => code)).toEqual(["BAD_SIGNATURE", "CHAIN_BROKEN"]);
    expect(recordHash(changed[1] as Receipt)).not.toBe(recordHash(lines[1] as Receipt));
  });
});
