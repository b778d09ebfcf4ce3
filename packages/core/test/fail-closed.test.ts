/** Whatever breaks, nothing runs that was not allowed and recorded: every fault is a DENY with a code, in time, and passes when it is mended. */
import { openTestGate } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Allow,
  type CompiledPolicy,
  createGate,
  DENY_CODES,
  type Gate,
  GateError,
  type GateParts,
  generateSigningKey,
  importKeySet,
  exportKeySet,
  memoryStore,
  recordHash,
  type Signer,
  type Store,
  verifyReceipts,
} from "../src/index.ts";
import { APPEND_FAULTS, type FaultyStore, faultyStore, type StoreFault } from "./faulty-store.ts";
import { REFUNDS } from "./policies.ts";
import { summary } from "./summary.ts";

const DEADLINE = 250;
/** Milliseconds within which an answer must have come, on a machine that does other things too. */
const IN_TIME = 3_000;
const NOON = 1_800_000_000_000;
const NOTE = { sequence_id: "s", function: "note", action_type: "READ" } as const;

interface Fixture {
  readonly gate: Gate;
  readonly line: FaultyStore;
  readonly parts: GateParts;
  /** Record hashes of what ran. */
  readonly ran: string[];
  /** `enforce`, with an action that notes that it ran; the code of a denial, or `ran`. */
  run(input?: ActionInput): Promise<string>;
  /** Nothing ran without its record in the real store, and all chains are sound. */
  audit(): Promise<void>;
}

/** The key of every gate here, so that one audit can believe them all. */
const KEY = generateSigningKey();

/** A gate on a store whose line can be cut. A second one on the same `store` notes what ran in the same list. */
async function fixture(options: Partial<GateParts> = {}, ran: string[] = []): Promise<Fixture> {
  const real = options.store ?? memoryStore();
  const line = faultyStore(real);
  const parts: GateParts = {
    policies: [compilePolicy(REFUNDS)],
    signer: KEY,
    saltKey: randomBytes(32),
    deadlineMs: DEADLINE,
    ...options,
    store: line.store,
  };
  const gate = await createGate(parts);
  return {
    gate,
    line,
    parts,
    ran,
    async run(input = NOTE) {
      const started = performance.now();
      const answer = await gate
        .enforce(
          input,
          (_args, allow) => {
            ran.push(allow === undefined ? "no receipt" : recordHash(allow.receipt));
            return "ran";
          },
          { onOutcomeError: () => {} },
        )
        .catch((error: unknown) =>
          error instanceof GateError ? error.code : `threw ${String(error)}`,
        );
      expect(performance.now() - started).toBeLessThan(IN_TIME);
      return answer;
    },
    async audit() {
      const lines = await Array.fromAsync(real.lines());
      const allows = new Set(
        lines
          .map((text) => JSON.parse(text))
          .filter((receipt) => receipt.decision === "ALLOW")
          .map(recordHash),
      );
      expect(ran.filter((hash) => !allows.has(hash))).toEqual([]);
      const report = await verifyReceipts(lines, {
        keys: importKeySet(exportKeySet([KEY])),
        policies: parts.policies,
      });
      expect(report.findings).toEqual([]);
    },
  };
}

describe.each([
  ["of which the gate knows the state", true],
  ["that the gate has not seen", false],
] as const)("a sequence %s", (_name, warm) => {
  test.each(APPEND_FAULTS)(
    "an append that %s: STORE_UNAVAILABLE, nothing runs, and it passes",
    async (_fault, fault) => {
      const { line, run, ran, audit } = await fixture();
      if (warm) expect(await run()).toBe("ran");
      line.cut("append", fault);
      for (let i = 0; i < 3; i++) expect(await run()).toBe("STORE_UNAVAILABLE");
      expect(ran).toHaveLength(warm ? 1 : 0);
      line.mend();
      expect(await run()).toBe("ran");
      await audit();
    },
  );

  test.each<[string, StoreFault]>([
    ["hangs", "hangs"],
    ["hangs though it wrote", "hangs, done"],
  ])(
    "an append that %s: STORE_UNAVAILABLE in time, and other sequences go on",
    async (_fault, fault) => {
      const { line, run, ran, audit } = await fixture();
      if (warm) await run();
      line.cut("append", fault);
      expect(await Promise.all([run(), run(), run()])).toEqual([
        "STORE_UNAVAILABLE",
        "STORE_UNAVAILABLE",
        "STORE_UNAVAILABLE",
      ]);
      expect(ran).toHaveLength(warm ? 1 : 0);
      line.mend();
      expect(await run({ ...NOTE, sequence_id: "other" })).toBe("ran");
      await audit();
    },
  );
});

describe("reading", () => {
  test.each<[string, StoreFault]>([
    ["throws", "throws"],
    ["rejects", "rejects"],
    ["gives nothing", { says: undefined, done: false }],
    ["gives null", { says: null, done: false }],
    ["gives a text", { says: "[]", done: false }],
    ["gives a list of no texts", { says: [1, null], done: false }],
  ])("that %s: STORE_UNAVAILABLE, nothing runs, and it passes", async (_fault, fault) => {
    const { line, run, ran, audit } = await fixture();
    line.cut("read", fault);
    expect(await run()).toBe("STORE_UNAVAILABLE");
    expect(ran).toEqual([]);
    line.mend();
    expect(await run()).toBe("ran");
    await audit();
  });

  test("that hangs: STORE_UNAVAILABLE in time, and other sequences go on", async () => {
    const { line, run, ran } = await fixture();
    line.cut("read", "hangs");
    expect(await run()).toBe("STORE_UNAVAILABLE");
    expect(ran).toEqual([]);
    line.mend();
    expect(await run({ ...NOTE, sequence_id: "other" })).toBe("ran");
  });
});

describe("a chain that does not hold together", () => {
  const swap = (
    lines: readonly string[],
    i: number,
    change: (record: Record<string, unknown>) => object,
  ): readonly string[] =>
    lines.map((text, at) => (at === i ? JSON.stringify(change(JSON.parse(text))) : text));

  const garbled: readonly (readonly [string, (lines: readonly string[]) => unknown])[] = [
    ["without its first record", (lines) => lines.slice(1)],
    ["with a gap", (lines) => lines.filter((_, i) => i !== 2)],
    [
      "with two records in the wrong order",
      (lines) => [lines[0], lines[2], lines[1], ...lines.slice(3)],
    ],
    ["with a record twice", (lines) => [lines[0], lines[1], ...lines.slice(1)]],
    ["with the opening twice", (lines) => [lines[0], ...lines]],
    ["without its tail", (lines) => lines.slice(0, -2)],
    ["empty", () => []],
    [
      "with a denial made an ALLOW",
      (lines) => swap(lines, 2, (record) => ({ ...record, decision: "ALLOW" })),
    ],
    [
      "with another policy in its opening",
      (lines) =>
        swap(lines, 0, (record) => ({ ...record, policy_digest: `sha256:${"0".repeat(64)}` })),
    ],
    [
      "with another owner in its opening",
      (lines) => swap(lines, 0, (record) => ({ ...record, tenant: "thief" })),
    ],
    ["with another seq", (lines) => swap(lines, 3, (record) => ({ ...record, seq: 7 }))],
    [
      "with a record of a kind that opens nothing first",
      (lines) => swap(lines, 0, (record) => ({ ...record, kind: "seal" })),
    ],
    [
      "with a line that is no JSON",
      (lines) => lines.map((text, i) => (i === 1 ? text.slice(0, -1) : text)),
    ],
    ["with an empty line", (lines) => ["", ...lines.slice(1)]],
    ["with null for a record", (lines) => ["null", ...lines.slice(1)]],
    ["with a number for a record", (lines) => [lines[0], "5", ...lines.slice(2)]],
    ["with a list for a record", (lines) => ["[]", ...lines.slice(1)]],
  ];

  test.each(garbled)(
    "%s: STORE_UNAVAILABLE for every question, nothing runs, nothing is written, and it passes",
    async (_name, change) => {
      const store = memoryStore();
      const writer = await fixture({ store });
      await writer.run();
      await writer.gate.decide({ sequence_id: "s", tool: "close" });
      await writer.run();
      const before = await Array.fromAsync(store.lines());

      const { line, run, ran, gate, audit } = await fixture({ ...writer.parts, store });
      line.garble(change);
      expect(await run()).toBe("STORE_UNAVAILABLE");
      expect(await run({ sequence_id: "s", tool: "get_order" })).toBe("STORE_UNAVAILABLE");
      await expect(gate.seal("s", "stop")).rejects.toMatchObject({
        code: expect.stringMatching(/^(STORE_UNAVAILABLE|NOT_OPENED)$/),
      });
      expect(ran).toEqual([]);
      expect(await Array.fromAsync(store.lines())).toEqual(before);

      line.mend();
      expect(await run()).toBe("ran");
      const words = summary(await Array.fromAsync(gate.receipts("s")));
      expect(words).toEqual([
        "open",
        "ALLOW",
        "outcome succeeded",
        "SEQUENCE_VIOLATION",
        "ALLOW",
        "outcome succeeded",
        "ALLOW",
        "outcome succeeded",
      ]);
      await audit();
    },
  );
});

describe("an answer that was lost on the way", () => {
  const asked = { ...NOTE, nonce: "n", attempt: "A".repeat(22), ts_ms: 1_800_000_000_000 };
  const clock = (): number => 1_800_000_000_000;

  test.each(["rejects, done", { says: "unknown", done: true }] as const)(
    "is had again with the same attempt, where the store had written it (%o)",
    async (fault) => {
      const { line, gate, audit } = await fixture({ clock });
      line.cut("append", fault);
      expect(await gate.decide(asked)).toMatchObject({
        deny_code: "STORE_UNAVAILABLE",
        proceed: false,
      });
      line.mend();
      expect(await gate.decide(asked)).toMatchObject({
        decision: "ALLOW",
        receipt: { seq: 1, nonce: "n" },
      });
      expect(summary(await Array.fromAsync(gate.receipts("s")))).toEqual(["open", "ALLOW"]);
      await audit();
    },
  );

  test("is decided now, where it had not", async () => {
    const { line, gate } = await fixture({ clock });
    line.cut("append", { says: "unknown", done: false });
    await gate.decide(asked);
    line.mend();
    expect(await gate.decide(asked)).toMatchObject({ decision: "ALLOW", receipt: { seq: 1 } });
    expect(summary(await Array.fromAsync(gate.receipts("s")))).toEqual(["open", "ALLOW"]);
  });

  test("is a replay with another attempt: the head is read again before the next decision", async () => {
    const { line, gate } = await fixture({ clock });
    line.cut("append", { says: "unknown", done: true });
    await gate.decide(asked);
    line.mend();
    expect(await gate.decide({ ...asked, attempt: "B".repeat(22) })).toMatchObject({
      deny_code: "REPLAY_NONCE",
    });
  });
});

describe("the signer", () => {
  const good = generateSigningKey();
  let sign: Signer["sign"] = good.sign;
  const signer: Signer = { keyId: good.keyId, sign: (input) => sign(input) };
  const faults: readonly (readonly [string, Signer["sign"]])[] = [
    [
      "throws",
      () => {
        throw new Error("the HSM is gone");
      },
    ],
    ["rejects", () => Promise.reject(new Error("the KMS is gone"))],
    ["returns too few bytes", () => new Uint8Array(63)],
    ["returns too many bytes", async () => new Uint8Array(65)],
    ["returns nothing", () => undefined as never],
    ["returns nothing in the end", async () => null as never],
    ["returns a number", () => 64 as never],
  ];

  test.each(faults)(
    "that %s: STORE_UNAVAILABLE, nothing runs, nothing is written, and it passes",
    async (_name, fault) => {
      const { run, ran, gate } = await fixture({ signer });
      sign = fault;
      expect(await run()).toBe("STORE_UNAVAILABLE");
      expect(await Array.fromAsync(gate.receipts("s"))).toEqual([]);
      expect(ran).toEqual([]);
      sign = good.sign;
      expect(await run()).toBe("ran");
    },
  );

  test("that hangs: STORE_UNAVAILABLE in time, and other sequences go on", async () => {
    const { run, ran } = await fixture({ signer });
    sign = () => new Promise(() => {});
    expect(await run()).toBe("STORE_UNAVAILABLE");
    expect(ran).toEqual([]);
    sign = good.sign;
    expect(await run({ ...NOTE, sequence_id: "other" })).toBe("ran");
  });

  test("that takes its time is waited for; what comes after the deadline is not written", async () => {
    const { run, gate } = await fixture({ signer });
    sign = async (input) => (await pause(5), good.sign(input));
    expect(await run()).toBe("ran");
    sign = async (input) => (await pause(DEADLINE * 3), good.sign(input));
    expect(await run()).toBe("STORE_UNAVAILABLE");
    sign = good.sign;
    await pause(DEADLINE * 4);
    expect(summary(await Array.fromAsync(gate.receipts("s")))).toEqual([
      "open",
      "ALLOW",
      "outcome succeeded",
    ]);
    expect(await run()).toBe("ran");
  });
});

describe("randomness that throws", () => {
  test("is a DENY with a code; a request that needs none is decided", async () => {
    let works = true;
    const random = (size: number): Uint8Array => {
      if (!works) throw new Error("no entropy");
      return randomBytes(size);
    };
    const { run, ran, gate } = await fixture({ random });
    works = false;
    expect(DENY_CODES).toContain(await run());
    expect(ran).toEqual([]);
    expect(await run({ ...NOTE, nonce: "n", attempt: "A".repeat(22) })).toBe("ran");
    works = true;
    expect(await run()).toBe("ran");
    expect(summary(await Array.fromAsync(gate.receipts("s")))).toHaveLength(5);
  });

  test.each([0, 1, 15, 17, 64])("of %d bytes for 16 is a DENY with a code", async (size) => {
    const { run, ran } = await fixture({
      random: () => new Uint8Array(size),
      gateId: "gate-1",
      logId: "log-1",
    });
    expect(DENY_CODES).toContain(await run());
    expect(ran).toEqual([]);
  });

  test("that is always the same allows one call once", async () => {
    const { run, ran, audit } = await fixture({ random: (size) => new Uint8Array(size) });
    await run();
    await run({ ...NOTE, args: { other: 1 } });
    expect(ran).toHaveLength(1);
    await audit();
  });
});

describe("a store that hangs", () => {
  const never = (): Promise<never> => new Promise(() => {});

  test("over its open ALLOWs makes no gate, and says so in time", async () => {
    const hanging = {
      ...memoryStore(),
      openAllows: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
    };
    await expect(openTestGate(REFUNDS, { store: hanging, deadlineMs: 50 })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
  });

  test("over a chain ends its reading with an error, in time", async () => {
    let hangs = false;
    const real = memoryStore();
    const store: Store = { ...real, read: (...asked) => (hangs ? never() : real.read(...asked)) };
    const { gate } = await openTestGate(REFUNDS, { store, deadlineMs: 50 });
    await gate.open({ sequence_id: "s" });
    hangs = true;
    await expect(Array.fromAsync(gate.receipts("s"))).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
  });
});

describe("a policy that breaks while it is asked", () => {
  const sound = compilePolicy(REFUNDS);
  const broken = (change: Partial<CompiledPolicy>): CompiledPolicy => ({ ...sound, ...change });
  const boom = new Proxy(new Map(), {
    get() {
      throw new Error("a policy's secret");
    },
  });
  test.each<[string, CompiledPolicy]>([
    ["its tools throw", broken({ tools: boom })],
    ["its functions throw", broken({ functions: boom })],
    ["its tools are gone", broken({ tools: undefined as never })],
    [
      "its tables are empty",
      broken({ automaton: { states: 0, next: new Int32Array(0), accepting: new Uint8Array(0) } }),
    ],
    ["its tables are NaN", broken({ freshnessMs: Number.NaN, lifetimeMs: Number.NaN })],
    ["its freshness is gone", broken({ freshnessMs: undefined as never })],
  ])("%s: a DENY with a code, and nobody learns why", async (_name, policy) => {
    const { gate, run, ran } = await fixture({ policies: [policy] });
    const decision = await gate.decide({ sequence_id: "s", tool: "get_order" });
    expect(decision).toMatchObject({ decision: "DENY", proceed: false });
    expect(JSON.stringify(decision)).not.toContain("secret");
    expect(DENY_CODES).toContain(await run({ sequence_id: "s", tool: "get_order" }));
    expect(ran).toEqual([]);
  });
});

describe("the other methods", () => {
  const calls: readonly (readonly [string, (gate: Gate) => Promise<unknown>])[] = [
    ["open", (gate) => gate.open({ sequence_id: "s" })],
    ["addContext", (gate) => gate.addContext("s", { a: 1 })],
    ["seal", (gate) => gate.seal("s", "stop")],
    ["state", (gate) => gate.state("s")],
  ];
  for (const [fault, how] of [
    ["rejects", "rejects"],
    ["hangs", "hangs"],
  ] as const)
    test.each(calls)(
      `%s rejects with STORE_UNAVAILABLE where reading ${how}`,
      async (_name, call) => {
        const { gate, line } = await fixture();
        line.cut("read", fault);
        const started = performance.now();
        const error = await call(gate).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
        expect(GateError.isInstance(error)).toBe(true);
        expect(performance.now() - started).toBeLessThan(IN_TIME);
      },
    );

  test("an outcome that cannot be written rejects with STORE_UNAVAILABLE, and can be written later", async () => {
    const { gate, line } = await fixture();
    const allow = await gate.decide(NOTE);
    if (allow.decision !== "ALLOW") throw new Error(allow.message);
    line.cut("append", "rejects");
    await expect(gate.outcome(allow, { status: "succeeded" })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    line.mend();
    expect(await gate.outcome(allow, { status: "succeeded" })).toMatchObject({
      status: "succeeded",
      seq: 2,
    });
  });
});

describe("a clock that fails", () => {
  test("by throwing is a DENY with a code, never a rejection of `decide`", async () => {
    let works = true;
    const clock = (): number => {
      if (!works) throw new Error("no clock");
      return NOON;
    };
    const { gate } = await openTestGate(REFUNDS, { clock });
    works = false;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "DENY", proceed: false });
    works = true;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW" });
  });

  test.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    "1800000000000",
    NOON + 0.5,
    2 ** 60,
    -1,
  ])("by saying %o writes no record with it, and is over once it is mended", async (wrong) => {
    let now: unknown = NOON;
    const { gate, key, store } = await openTestGate(REFUNDS, { clock: () => now as number });
    await gate.open({ sequence_id: "s" });
    now = wrong;
    for (const request of [NOTE, { ...NOTE, ts_ms: NOON }])
      expect(await gate.decide(request)).toMatchObject({ decision: "DENY", proceed: false });
    await expect(gate.open({ sequence_id: "t" })).rejects.toThrow();
    now = NOON;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW", receipt: { ts_ms: NOON } });
    const report = await verifyReceipts(await Array.fromAsync(store.lines()), {
      keys: importKeySet(exportKeySet([key])),
    });
    expect(report.findings).toEqual([]);
  });
});

describe("what never comes back does not hold its sequence for ever", () => {
  test.each(["append", "read"] as const)("a store whose %s hung once", async (method) => {
    const line = faultyStore(memoryStore());
    const gate = await createGate({ ...PARTS, store: line.store });
    if (method === "append") await allowed(gate);
    line.cut(method, "hangs");
    expect(
      await gate.decide({ ...NOTE, sequence_id: method === "append" ? "s" : "new" }),
    ).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    line.mend();
    expect(
      await gate.decide({ ...NOTE, sequence_id: method === "append" ? "s" : "new" }),
    ).toMatchObject({ decision: "ALLOW" });
  });

  test("an append that was abandoned and lands late is either in the chain, or lost: never a fork", async () => {
    const real = memoryStore();
    let late: (() => Promise<unknown>) | undefined;
    const store: Store = {
      ...real,
      append: (append) => {
        if (late !== undefined || append.sequence_id === "@log") return real.append(append);
        return new Promise((resolve) => {
          late = async () => resolve(await real.append(append));
        });
      },
    };
    const gate = await createGate({ ...PARTS, store });
    expect(await gate.decide({ ...NOTE, nonce: "late" })).toMatchObject({
      deny_code: "STORE_UNAVAILABLE",
    });
    await allowed(gate, { ...NOTE, nonce: "next" });
    await late?.();
    await allowed(gate, { ...NOTE, nonce: "last" });
    const report = await verifyReceipts(await Array.fromAsync(real.lines()), {
      keys: importKeySet(exportKeySet([PARTS.signer])),
    });
    expect(report).toMatchObject({ findings: [], result: "sound" });
  });

  test("a signer that hung once", async () => {
    let hangs = false;
    const signer = {
      keyId: PARTS.signer.keyId,
      sign: (input: Uint8Array) =>
        hangs ? new Promise<never>(() => {}) : PARTS.signer.sign(input),
    };
    const gate = await createGate({ ...PARTS, signer, store: memoryStore() });
    hangs = true;
    expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
    hangs = false;
    expect(await gate.decide(NOTE)).toMatchObject({ decision: "ALLOW" });
  });

  test(
    "a store that calls every append a replay is answered for within the deadline, however long the chain",
    { timeout: 60_000 },
    async () => {
      const line = faultyStore(memoryStore());
      const gate = await createGate({ ...PARTS, store: line.store });
      for (let i = 0; i < 300; i++) await gate.decide({ ...NOTE, nonce: `${i}` });
      line.cut("append", { says: "replay", done: false });
      const started = performance.now();
      expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
      expect(performance.now() - started).toBeLessThan(1_500);
    },
  );
});

describe("a chain that is sound, but another", () => {
  /** In `s` nothing was looked up yet; by the chain that the store returns for it, it was. */
  async function refusedBy(read: Store["read"], real: Store, logId: string): Promise<void> {
    // The chain `@log` is what it was: whoever reads another one there holds no gate at all.
    const lies: Store["read"] = (id, ...page) =>
      (id === "@log" ? real : { read }).read(id, ...page);
    const gate = await createGate({ ...PARTS, store: { ...real, read: lies }, logId });
    const before = await real.read("s", 0);
    expect(await gate.decide({ sequence_id: "s", tool: "refund" })).toMatchObject({
      deny_code: "STORE_UNAVAILABLE",
    });
    expect(await real.read("s", 0)).toEqual(before);
  }

  async function written(logId: string): Promise<Store> {
    const store = memoryStore();
    const writer = await createGate({ ...PARTS, store, logId });
    for (const sequence_id of ["s", "t"]) await writer.open({ sequence_id });
    await allowed(writer, { sequence_id: "t", tool: "get_order" });
    await writer.decide({ sequence_id: "s", tool: "close" });
    return store;
  }

  test("of another sequence: nothing is decided by it", async () => {
    const real = await written("log-a");
    await refusedBy((_id, from, count) => real.read("t", from, count), real, "log-a");
  });

  test("of another log: nothing is decided by it", async () => {
    const real = await written("log-a");
    const other = memoryStore();
    const elsewhere = await createGate({ ...PARTS, store: other, logId: "log-b" });
    await allowed(elsewhere, { sequence_id: "s", tool: "get_order" });
    await refusedBy((id, from, count) => other.read(id, from, count), real, "log-a");
  });

  test("of another genesis: nothing is decided by it", async () => {
    const { line, gate, run, ran } = await fixture();
    await gate.open({ sequence_id: "s", tenant: "acme" });
    const again = await fixture({ store: line.store });
    again.line.garble((lines) => lines.map((text) => text.replace(/"tenant":"acme",/, "")));
    expect(await again.run()).toBe("STORE_UNAVAILABLE");
    expect(await run({ ...NOTE, tenant: "acme" })).toBe("ran");
    expect(ran).toHaveLength(1);
  });
});

test("a signer that returns 64 characters returned no signature", async () => {
  let short = false;
  const signer = {
    keyId: PARTS.signer.keyId,
    sign: (input: Uint8Array) => (short ? ("x".repeat(64) as never) : PARTS.signer.sign(input)),
  };
  const gate = await createGate({ ...PARTS, signer, store: memoryStore() });
  short = true;
  expect(await gate.decide(NOTE)).toMatchObject({ deny_code: "STORE_UNAVAILABLE" });
  await expect(createGate({ ...PARTS, signer, store: memoryStore() })).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
});

test("what rejects where the store fails rejects with a GateError", async () => {
  const line = faultyStore(memoryStore());
  const gate = await createGate({ ...PARTS, store: line.store });
  const allow = await allowed(gate);
  await gate.outcome(allow, { status: "succeeded" });
  await gate.seal("s", "stop");
  line.cut("read", "rejects");
  for (const work of [
    () => Array.fromAsync(gate.receipts("s")),
    () => gate.outcome(allow, { status: "failed" }),
    () => gate.seal("s", "again"),
  ])
    await expect(work()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});

test("a decision that must learn first what other gates changed still answers within one deadline", async () => {
  const real = memoryStore();
  let lateMs = 0;
  const late = async <T>(call: () => Promise<T>): Promise<T> => {
    await new Promise((resolve) => setTimeout(resolve, lateMs));
    return call();
  };
  const store: Store = {
    ...real,
    append: (append) => late(() => real.append(append)),
    read: (...place) => late(() => real.read(...place)),
  };
  let now = 1_800_000_000_000;
  const gate = await createGate({ ...PARTS, store, deadlineMs: 400, clock: () => now });
  lateMs = 300;
  now += 2_000;
  const began = performance.now();
  const answer = await gate.decide(NOTE);
  const took = performance.now() - began;
  expect(answer).toMatchObject({ decision: "DENY", deny_code: "STORE_UNAVAILABLE" });
  // Alone, each of the two would have been in time, or nearly so.
  expect(took).toBeGreaterThan(390);
  expect(took).toBeLessThan(600);
});

test("a gate that its store keeps waiting, or fails, is STORE_UNAVAILABLE in time", async () => {
  for (const method of ["setting", "keep"] as const)
    for (const fault of ["rejects", "throws", "hangs"] as const) {
      const line = faultyStore(memoryStore());
      line.cut(method, fault);
      const error = await Promise.race([
        createGate({ ...PARTS, store: line.store }).catch((reason: unknown) => reason),
        new Promise((resolve) => setTimeout(() => resolve("still waiting"), 500)),
      ]);
      expect([method, fault, error]).toEqual([
        method,
        fault,
        expect.objectContaining({ code: "STORE_UNAVAILABLE" }),
      ]);
    }
});

test("a gate that cannot join its log is none: it rejects, and works once the store does", async () => {
  const line = faultyStore(memoryStore());
  const open = () => openTestGate(REFUNDS, { wrapStore: () => line.store });
  for (const method of ["setting", "keep"] as const) {
    line.cut(method, "rejects");
    await expect(open()).rejects.toThrow();
    line.mend();
  }
  expect(await (await open()).gate.decide(NOTE)).toMatchObject({ decision: "ALLOW" });
});

test(
  "through any run of faults: a code for every denial, no action without its record, sound chains, and an ALLOW once all is mended",
  { timeout: 60_000 },
  async () => {
    const faults: readonly (StoreFault | undefined)[] = [
      ...Array.from({ length: 15 }, () => undefined),
      ...APPEND_FAULTS.map(([, fault]) => fault),
    ];
    const event = fc.record({
      fault: fc.constantFrom(...faults),
      method: fc.constantFrom("append" as const, "append" as const, "read" as const),
      tool: fc.constantFrom("get_order", "refund", "close", undefined),
      sequence: fc.constantFrom("s", "t"),
      nonce: fc.constantFrom("1", "2", "3", undefined),
      restart: fc.boolean(),
    });
    let ranAtAll = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 15 }), async (events) => {
        const store = memoryStore();
        let now = await fixture({ store });
        for (const { fault, method, tool, sequence, nonce, restart } of events) {
          if (restart) now = await fixture({ ...now.parts, store }, now.ran);
          // What a reader pretends to have read has tests of its own.
          if (fault !== undefined)
            now.line.cut(
              method,
              typeof fault === "object" && method === "read" ? "rejects" : fault,
            );
          const call = tool === undefined ? { function: "note", action_type: "READ" } : { tool };
          const answer = await now.run({
            sequence_id: sequence,
            ...call,
            ...(nonce === undefined ? {} : { nonce }),
          } as ActionInput);
          if (answer !== "ran") expect(DENY_CODES).toContain(answer);
          now.line.mend();
        }
        expect(await now.run({ ...NOTE, sequence_id: "fresh" })).toBe("ran");
        await now.audit();
        ranAtAll += now.ran.length;
      }),
      { numRuns: 40 },
    );
    // The property says nothing where nothing ran.
    expect(ranAtAll).toBeGreaterThan(60);
  },
);

/** The parts of a gate with little time. */
const PARTS = {
  policies: [compilePolicy(REFUNDS)],
  signer: KEY,
  saltKey: randomBytes(32),
  deadlineMs: DEADLINE,
};

async function allowed(
  gate: { decide(input: ActionInput): Promise<unknown> },
  input: ActionInput = NOTE,
): Promise<Allow> {
  const decision = (await gate.decide(input)) as Allow;
  if (decision.decision !== "ALLOW") throw new Error("denied");
  return decision;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
