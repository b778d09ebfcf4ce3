/** Keys over their life: the next one takes over by a record of `@log` that informs, and extends nobody's trust. */
import { createHash, randomBytes, sign as signBytes } from "node:crypto";
import { approversOf, person } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import {
  type Allow,
  type ApprovalRequest,
  createGate,
  type Decision,
  type Deny,
  type GateParts,
  generateSigningKey,
  importKeySet,
  type KeyReceipt,
  type KeySet,
  type LocalGate,
  memoryStore,
  type PublicJwk,
  type PublishedSigner,
  type Receipt,
  receiptLine,
  recordHash,
  type SigningKey,
  type Store,
  verifyReceipts,
} from "../src/index.ts";
import { genesisHash } from "../src/digest.ts";
import { signingInput } from "../src/receipt.ts";
import { faultyStore } from "./faulty-store.ts";
import { heldClock } from "./held-clock.ts";

const DOCUMENT = {
  schema: "stepgate.policy/1",
  id: "p",
  version: "1",
  sequence: "a, b, c",
  functions: { a: ["DO"], b: ["DO"], c: ["DO"] },
};
const PAY = { function: "b", action: "DO", approval: { by: ["finance"] } };
const policy = compilePolicy(DOCUMENT);
const saltKey = randomBytes(32);
const [k1, k2, k3] = [generateSigningKey(), generateSigningKey(), generateSigningKey()];

function gateOn(parts: Partial<GateParts> & { readonly store: Store }): Promise<LocalGate> {
  return createGate({ policies: [policy], signer: k1, saltKey, ...parts });
}

function trusted(...keys: readonly (SigningKey | PublicJwk)[]): KeySet {
  return importKeySet({ keys: keys.map((key) => ("publicJwk" in key ? key.publicJwk : key)) });
}

async function log(gate: LocalGate): Promise<readonly Receipt[]> {
  return Array.fromAsync(gate.receipts("@log"));
}

function ask(gate: LocalGate, sequence_id: string, fn = "a"): Promise<Decision> {
  return gate.decide({ sequence_id, function: fn, action_type: "DO" });
}

function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
}

async function findings(
  records: readonly (Receipt | string)[],
  keys: KeySet,
): Promise<readonly string[]> {
  const report = await verifyReceipts(records, { keys });
  return report.findings.map(({ line, code }) => `${line} ${code}`);
}

async function everything(store: Store): Promise<readonly string[]> {
  return Array.fromAsync(store.lines());
}

/** A `key` record by hand, at the head of a log: whatever may be forged in it. */
function handover(
  signer: SigningKey,
  next: PublicJwk,
  prover: SigningKey,
  change: Readonly<Record<string, unknown>> = {},
): Receipt {
  const { proof_log = "log-1", ...members } = change;
  const proof = `stepgate.key/1\n${String(proof_log)}\n${next.kid}`;
  const { kty, crv, x, kid } = next;
  const body = {
    v: "stepgate.receipt/1",
    kind: "key",
    log_id: "log-1",
    sequence_id: "@log",
    seq: 0,
    prev: genesisHash({ log_id: "log-1", sequence_id: "@log" }),
    ts_ms: 5_000_000,
    gate_id: "g",
    key_id: signer.keyId,
    new_key: { kty, crv, x, kid },
    new_key_sig: `ed25519=${signBytes(null, Buffer.from(proof), prover.privateKey).toString("hex")}`,
    ...members,
  } as unknown as KeyReceipt;
  const sig = signBytes(null, Buffer.from(signingInput(body)), signer.privateKey).toString("hex");
  return { ...body, sig: `ed25519=${sig}` };
}

describe("a rotation", () => {
  test("is a record of @log, signed by the old key and proven by the new; what follows is signed by the new", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    await ask(gate, "s", "a");
    const record = await gate.rotateKey(k2);
    expect(record).toMatchObject({
      kind: "key",
      sequence_id: "@log",
      seq: 1,
      key_id: k1.keyId,
      new_key: k2.publicJwk,
    });
    // The statement of receipt.md, by hand: Ed25519 is deterministic.
    const statement = `stepgate.key/1\n${gate.logId}\n${k2.keyId}`;
    expect(record.new_key_sig).toBe(
      `ed25519=${signBytes(null, Buffer.from(statement), k2.privateKey).toString("hex")}`,
    );
    await ask(gate, "s", "b");
    await gate.withdraw(policy.digest);
    const records = [...(await log(gate)), ...(await Array.fromAsync(gate.receipts("s")))];
    expect(records.map(({ kind, key_id }) => [kind, key_id === k2.keyId ? 2 : 1])).toEqual([
      ["policy", 1],
      ["key", 1],
      ["policy", 2],
      ["open", 1],
      ["decision", 1],
      ["decision", 2],
    ]);
    expect(await findings(records, trusted(k1, k2))).toEqual([]);
    const lines = await everything(store);
    expect(lines.filter((line) => line === receiptLine(record))).toHaveLength(1);
    expect(await findings(lines, trusted(k1, k2))).toEqual([]);
  });

  test("extends no trust: records under the new key are of an unknown key until the key set has it", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await gate.rotateKey(k2);
    await gate.withdraw(policy.digest);
    const records = await log(gate);
    expect(await findings(records, trusted(k1))).toEqual(["3 UNKNOWN_KEY"]);
    expect((await verifyReceipts(records, { keys: trusted(k1) })).result).toBe("undecided");
    expect(await findings(records, trusted(k2))).toEqual(["1 UNKNOWN_KEY", "2 UNKNOWN_KEY"]);
  });

  test("may come at the head of @log, before any policy", async () => {
    expect(await findings([handover(k1, k2.publicJwk, k2)], trusted(k1))).toEqual([]);
  });

  test("goes on over restarts: only the newest key may start the gate", async () => {
    const store = memoryStore();
    await (await gateOn({ store })).rotateKey(k2);
    await expect(gateOn({ store })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining(k2.keyId),
    });
    const again = await gateOn({ store, signer: k2 });
    expect((await ask(again, "s")).receipt?.key_id).toBe(k2.keyId);
    await again.rotateKey(k3);
    expect((await ask(again, "t")).receipt?.key_id).toBe(k3.keyId);
    expect(await findings(await everything(store), trusted(k1, k2, k3))).toEqual([]);
  });

  test("twice at once is one after the other: each record is signed by the key before it", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await Promise.all([gate.rotateKey(k2), gate.rotateKey(k3)]);
    const keyed = (await log(gate)).flatMap((one) =>
      one.kind === "key" ? [[one.key_id, one.new_key.kid]] : [],
    );
    expect(keyed).toEqual([
      [k1.keyId, k2.keyId],
      [k2.keyId, k3.keyId],
    ]);
    expect((await ask(gate, "s")).receipt?.key_id).toBe(k3.keyId);
    expect(await findings(await log(gate), trusted(k1, k2, k3))).toEqual([]);
  });

  test("to the key that signs already is told once, and the record that made it so is the answer", async () => {
    const gate = await gateOn({ store: memoryStore() });
    await expect(gate.rotateKey(k1)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    const made = await Promise.all([gate.rotateKey(k2), gate.rotateKey(k2)]);
    expect(made[1]).toEqual(made[0]);
    expect(await gate.rotateKey(k2)).toEqual(made[0]);
    expect(await log(gate)).toHaveLength(2);
  });

  test("back to an earlier key is a rotation like any other", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    await gate.rotateKey(k2);
    await gate.rotateKey(k1);
    expect((await ask(gate, "s")).receipt?.key_id).toBe(k1.keyId);
    await expect(gateOn({ store, signer: k2 })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    await expect(gateOn({ store, signer: k1 })).resolves.toBeDefined();
  });

  test("while 64 decisions are in flight: all stand, and none asked afterwards is signed by the old key", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store, deadlineMs: 30_000 });
    const before = Array.from({ length: 64 }, (_, i) => ask(gate, `before-${i}`));
    const rotated = gate.rotateKey(k2);
    const during = Array.from({ length: 64 }, (_, i) => ask(gate, `during-${i}`));
    await rotated;
    const after = Array.from({ length: 64 }, (_, i) => ask(gate, `after-${i}`));
    const done = await Promise.all([...before, ...during, ...after]);
    expect(new Set(done.map(said))).toEqual(new Set(["ALLOW"]));
    const late = done.slice(128).map(({ receipt }) => receipt?.key_id);
    expect(new Set(late)).toEqual(new Set([k2.keyId]));
    const lines = await everything(store);
    expect(lines).toHaveLength(2 + 2 * 192);
    expect(await findings(lines, trusted(k1, k2))).toEqual([]);
    // In @log nothing comes under the old key after the record that hands over.
    const signers = (await log(gate)).map(({ key_id }) => key_id);
    await gate.withdraw(policy.digest);
    expect(signers).toEqual([k1.keyId, k1.keyId]);
    expect((await log(gate)).at(-1)?.key_id).toBe(k2.keyId);
  });

  test("among changes of policies at once: from the key record on, @log is the new key's", async () => {
    const gate = await gateOn({ store: memoryStore(), deadlineMs: 30_000 });
    const change = (): Promise<unknown> =>
      gate.withdraw(policy.digest).then(() => gate.activate(policy));
    await Promise.all([change(), change(), gate.rotateKey(k2), change(), change()]);
    await gate.withdraw(policy.digest);
    const records = await log(gate);
    const at = records.findIndex(({ kind }) => kind === "key");
    expect(at).toBeGreaterThan(0);
    expect(new Set(records.slice(0, at + 1).map(({ key_id }) => key_id))).toEqual(
      new Set([k1.keyId]),
    );
    expect(records.length).toBeGreaterThan(at + 1);
    expect(new Set(records.slice(at + 1).map(({ key_id }) => key_id))).toEqual(new Set([k2.keyId]));
    expect(await findings(records, trusted(k1, k2))).toEqual([]);
  });

  test.each(["rejects", "rejects, done", "hangs, done"] as const)(
    "that the store %s may be made again, and stands once",
    async (fault) => {
      const { store, cut, mend } = faultyStore(memoryStore());
      const held = heldClock();
      const gate = await gateOn({ store, clock: held.clock, deadlineMs: 1_000 });
      cut("append", fault);
      await expect(gate.rotateKey(k2)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
      mend();
      expect(await gate.rotateKey(k2)).toMatchObject({ key_id: k1.keyId, seq: 1 });
      expect((await ask(gate, "s")).receipt?.key_id).toBe(k2.keyId);
      expect(await log(gate)).toHaveLength(2);
    },
  );

  test("whose answer was lost is found in the log within a second of the gate's clock", async () => {
    const { store, cut, mend } = faultyStore(memoryStore());
    const held = heldClock();
    const gate = await gateOn({ store, clock: held.clock });
    cut("append", "rejects, done");
    await expect(gate.rotateKey(k2)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    mend();
    held.pass(1_000);
    expect((await ask(gate, "s")).receipt?.key_id).toBe(k2.keyId);
    expect(await findings(await everything(store), trusted(k1, k2))).toEqual([]);
  });

  test.each<readonly [string, unknown, RegExp | string]>([
    ["is nothing", undefined, /./],
    ["has no public key", { keyId: k2.keyId, sign: k2.sign }, "rotateKey"],
    ["has another name", { ...k2, keyId: k3.keyId }, "rotateKey"],
    ["has a public key under another name", { ...k2, publicJwk: k3.publicJwk }, "rotateKey"],
    ["cannot sign", { ...k2, sign: undefined }, "rotateKey"],
    ["signs with another key", { ...k2, sign: k3.sign }, "does not sign with key"],
    ["signs nothing", { ...k2, sign: () => undefined }, "did not sign"],
    ["fails", { ...k2, sign: () => Promise.reject(new Error("HSM")) }, "did not sign"],
    ["is slow for ever", { ...k2, sign: () => new Promise(() => {}) }, "within 1000 ms"],
  ])("to a signer that %s is refused, and nothing is recorded", async (_name, next, message) => {
    const gate = await gateOn({ store: memoryStore(), deadlineMs: 1_000 });
    await expect(gate.rotateKey(next as PublishedSigner)).rejects.toThrow(message);
    expect(await log(gate)).toHaveLength(1);
    expect((await ask(gate, "s")).receipt?.key_id).toBe(k1.keyId);
  });

  test("to an approver's key, and of a gate that signs nothing, is refused", async () => {
    const approver = importKeySet({ keys: [{ ...k2.publicJwk, roles: ["finance"] }] });
    const gate = await gateOn({ store: memoryStore(), approvers: approver });
    await expect(gate.rotateKey(k2)).rejects.toMatchObject({ code: "KEY_INVALID" });
    const mac = await createGate({
      policies: [policy],
      store: memoryStore(),
      saltKey,
      hmacKey: { id: "m", secret: randomBytes(32) },
    });
    await expect(mac.rotateKey(k2)).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });
});

describe("another process with the same key", () => {
  test("takes the successor's signer within a second, or else denies: it never signs with a key that handed over", async () => {
    const store = memoryStore();
    const held = heldClock();
    const one = await gateOn({ store });
    const asked: string[] = [];
    const follower = await gateOn({
      store,
      clock: held.clock,
      successor: (keyId) => {
        asked.push(keyId);
        return k2;
      },
    });
    const stranger = await gateOn({ store, clock: held.clock });
    await one.rotateKey(k2);
    expect((await ask(follower, "s")).receipt?.key_id).toBe(k1.keyId);
    held.pass(1_000);
    expect((await ask(follower, "t")).receipt?.key_id).toBe(k2.keyId);
    expect(asked).toEqual([k2.keyId]);
    expect(said(await ask(stranger, "u"))).toBe("STORE_UNAVAILABLE");
    expect(said(await ask(stranger, "u"))).toBe("STORE_UNAVAILABLE");
    await expect(stranger.seal("s", "stop")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(stranger.rotateKey(k3)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    // Once it is handed the key that took over, it goes on.
    await stranger.rotateKey(k2);
    expect((await ask(stranger, "u")).receipt?.key_id).toBe(k2.keyId);
    expect(await findings(await everything(store), trusted(k1, k2))).toEqual([]);
  });

  test.each<readonly [string, NonNullable<GateParts["successor"]>]>([
    ["gives another key", () => k3],
    ["throws", () => Promise.reject(new Error("the folder is gone"))],
    ["hangs", () => new Promise(() => {})],
  ])("denies where its successor %s, and tries again", async (_name, bad) => {
    const store = memoryStore();
    const held = heldClock();
    const one = await gateOn({ store });
    let successor: NonNullable<GateParts["successor"]> = bad;
    const other = await gateOn({
      store,
      clock: held.clock,
      deadlineMs: 1_000,
      successor: (id) => successor(id),
    });
    await one.rotateKey(k2);
    held.pass(1_000);
    let ran = false;
    await expect(
      other.enforce({ sequence_id: "s", function: "a", action_type: "DO" }, () => (ran = true)),
    ).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(ran).toBe(false);
    successor = () => k2;
    expect((await ask(other, "s")).receipt?.key_id).toBe(k2.keyId);
  });

  test("follows in whatever it signs, so that a late outcome is not signed by a key that has ended", async () => {
    const ann = person("finance");
    const approvable = compilePolicy({ ...DOCUMENT, version: "2", tools: { pay: PAY } });
    type Act = (gate: LocalGate, allow: Allow, denial: Deny) => Promise<Receipt>;
    const acts: readonly Act[] = [
      (gate, allow) => gate.outcome(allow, { status: "succeeded" }),
      (gate) => gate.seal("s", "enough"),
      (gate) => gate.addContext("s", { more: 1 }),
      (gate, _allow, { approval }) => gate.approve(ann.approve(approval as ApprovalRequest)),
    ];
    for (const act of acts) {
      const store = memoryStore();
      const held = heldClock();
      const shared = { store, policies: [approvable], approvers: approversOf(ann) };
      const other = await gateOn({ ...shared, clock: held.clock, successor: () => k2 });
      const allow = (await ask(other, "s")) as Allow;
      const denial = (await other.decide({ sequence_id: "s", tool: "pay", args: {} })) as Deny;
      expect([said(allow), said(denial)]).toEqual(["ALLOW", "APPROVAL_REQUIRED"]);
      await (await gateOn(shared)).rotateKey(k2);
      held.pass(1_000);
      expect((await act(other, allow, denial)).key_id).toBe(k2.keyId);
    }
  });

  test("that missed several handovers needs the last key alone: the ones between may be gone", async () => {
    const store = memoryStore();
    const held = heldClock();
    const one = await gateOn({ store });
    const asked: string[] = [];
    const successor = (keyId: string): SigningKey | undefined => {
      asked.push(keyId);
      return keyId === k3.keyId ? k3 : undefined;
    };
    const other = await gateOn({ store, clock: held.clock, successor });
    await one.rotateKey(k2);
    await one.rotateKey(k3);
    held.pass(1_000);
    expect((await ask(other, "s")).receipt?.key_id).toBe(k3.keyId);
    expect(asked).toEqual([k3.keyId]);
  });

  test("whose successor answers long after it was given up does not go back to that key", async () => {
    const store = memoryStore();
    const held = heldClock();
    const one = await gateOn({ store });
    const signers = new Map([k2, k3].map((key) => [key.keyId, key]));
    const late = Promise.withResolvers<SigningKey>();
    const answers = [(): unknown => late.promise];
    const other = await gateOn({
      store,
      clock: held.clock,
      deadlineMs: 2_000,
      successor: (id) => (answers.pop()?.() ?? signers.get(id)) as SigningKey | undefined,
    });
    await one.rotateKey(k2);
    held.pass(1_000);
    expect(said(await ask(other, "s"))).toBe("STORE_UNAVAILABLE");
    await one.rotateKey(k3);
    expect((await ask(other, "s")).receipt?.key_id).toBe(k3.keyId);
    late.resolve(k2);
    await new Promise((resolve) => setImmediate(resolve));
    expect((await ask(other, "t")).receipt?.key_id).toBe(k3.keyId);
    expect(answers).toEqual([]);
  });

  test("that rotates at the same time: one handover wins, and the other gate is told so", async () => {
    const store = memoryStore();
    const parts = { store, deadlineMs: 30_000 };
    const gates = await Promise.all([gateOn(parts), gateOn(parts)]);
    const results = await Promise.allSettled([gates[0].rotateKey(k2), gates[1].rotateKey(k3)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    const keyed = (await log(gates[0])).filter(({ kind }) => kind === "key");
    expect(keyed).toHaveLength(1);
    expect(keyed[0]?.key_id).toBe(k1.keyId);
  });

  test("a second successor, named by whoever kept the old key, is nobody's", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    await gate.rotateKey(k2);
    const head = (await log(gate)).at(-1) as Receipt;
    const stolen = handover(k1, k3.publicJwk, k3, {
      log_id: gate.logId,
      proof_log: gate.logId,
      seq: 2,
      prev: recordHash(head),
      ts_ms: head.ts_ms,
    });
    const place = { seq: 2, hash: recordHash(stolen), line: receiptLine(stolen) };
    expect(await store.append({ sequence_id: "@log", records: [place], documents: [] })).toBe(
      "won",
    );
    const asked: string[] = [];
    const again = gateOn({
      store,
      successor(keyId) {
        asked.push(keyId);
        return k2;
      },
    });
    expect((await ask(await again, "s")).receipt?.key_id).toBe(k2.keyId);
    expect(asked).toEqual([k2.keyId]);
  });

  test("a handover in the store that the new key did not prove stops the gate", async () => {
    const store = memoryStore();
    const gate = await gateOn({ store });
    const [head] = (await log(gate)) as [Receipt];
    const forged = handover(k1, k2.publicJwk, k3, {
      log_id: gate.logId,
      proof_log: gate.logId,
      seq: 1,
      prev: recordHash(head),
      ts_ms: head.ts_ms,
    });
    const place = { seq: 1, hash: recordHash(forged), line: receiptLine(forged) };
    await store.append({ sequence_id: "@log", records: [place], documents: [] });
    await expect(gateOn({ store, signer: k2 })).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
  });
});

describe("a forged key record", () => {
  const next = k2.publicJwk;

  test.each<readonly [string, Receipt, string]>([
    ["is proven by another key", handover(k1, next, k3), "BAD_SIGNATURE"],
    ["is proven by the old key", handover(k1, next, k1), "BAD_SIGNATURE"],
    ["is proven for another log", handover(k1, next, k2, { proof_log: "log-2" }), "BAD_SIGNATURE"],
    ["was moved to another log", handover(k1, next, k2, { log_id: "log-2" }), "BAD_SIGNATURE"],
    ["is signed by the new key itself", handover(k2, next, k2), "MALFORMED"],
    ["stands in a sequence", handover(k1, next, k2, { sequence_id: "s" }), "MALFORMED"],
    ["names no new key", handover(k1, next, k2, { new_key: undefined }), "MALFORMED"],
    ["has no proof", handover(k1, next, k2, { new_key_sig: undefined }), "MALFORMED"],
    ["tells a policy", handover(k1, next, k2, { policy_id: "p" }), "UNKNOWN_MEMBER"],
    ["is signed by a stranger", handover(k3, next, k2), "UNKNOWN_KEY"],
  ])("that %s is found", async (_name, record, code) => {
    expect(await findings([record], trusted(k1, k2))).toEqual([`1 ${code}`]);
  });

  test.each<readonly [string, object]>([
    ["a private part", { d: "A".repeat(43) }],
    ["a window of its own", { nbf: 1 }],
    ["roles", { roles: ["finance"] }],
    ["another curve", { crv: "X25519" }],
    ["another type", { kty: "EC" }],
    ["another name than its thumbprint", { kid: k3.keyId }],
    ["a point of 31 bytes", { x: next.x.slice(0, 42) }],
  ])("whose new key has %s is malformed", async (_name, members) => {
    const record = handover(k1, next, k2, { new_key: { ...next, ...members } });
    expect(await findings([record], trusted(k1, k2))).toEqual(["1 MALFORMED"]);
  });

  test("whose new key is no point of the curve is found, and nothing throws", async () => {
    const record = handover(k1, jwkOf(Buffer.alloc(32, 0xff).toString("base64url")), k2);
    expect(await findings([record], trusted(k1))).toEqual(["1 BAD_SIGNATURE"]);
  });

  test("whose new key is of small order is found, whatever seems to be signed under it", async () => {
    for (const point of SMALL_ORDER) {
      const x = Buffer.from(point, "hex").toString("base64url");
      const record = handover(k1, jwkOf(x), k2, {
        new_key_sig: `ed25519=${point}${"0".repeat(64)}`,
      });
      expect(await findings([record], trusted(k1)), point).toEqual(["1 BAD_SIGNATURE"]);
    }
  });

  test("is found after any change of one member, proof and new key among them", async () => {
    const record = handover(k1, next, k2) as KeyReceipt;
    const { new_key_sig: sig, new_key } = record;
    const flipped = sig.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    for (const change of [{ new_key_sig: flipped }, { new_key: k3.publicJwk }, { ts_ms: 1 }])
      expect(await findings([{ ...record, ...change }], trusted(k1))).toEqual(["1 BAD_SIGNATURE"]);
    expect(await findings([{ ...record, new_key }], trusted(k1))).toEqual([]);
  });
});

describe("windows of keys", () => {
  const at = (ts_ms: number): Receipt => handover(k1, k2.publicJwk, k2, { ts_ms });

  test.each([
    [{ nbf: 5_000 }, 4_999_999, ["1 KEY_NOT_VALID"]],
    [{ nbf: 5_000 }, 5_000_000, []],
    [{ exp: 5_000 }, 4_999_999, []],
    [{ exp: 5_000 }, 5_000_000, ["1 KEY_NOT_VALID"]],
    [{ nbf: 5_000, exp: 5_000 }, 5_000_000, ["1 KEY_NOT_VALID"]],
    [{ nbf: 5_000, exp: 5_001 }, 5_000_999, []],
    [{ revoked_from: 9_999_999_999 }, 1, ["1 KEY_NOT_VALID"]],
    [{ revoked_from: 0 }, 5_000_000, ["1 KEY_NOT_VALID"]],
  ])("%j at %d ms: %j", async (window, ts_ms, found) => {
    expect(await findings([at(ts_ms)], trusted({ ...k1.publicJwk, ...window }))).toEqual(found);
  });

  test("the successor's window says nothing of the record that hands over to it", async () => {
    const keys = trusted(k1, { ...k2.publicJwk, nbf: 9_999_999_999, revoked_from: 1 });
    expect(await findings([at(5_000_000)], keys)).toEqual([]);
  });
});

describe("a key set", () => {
  test("with the private part of a key is refused, wherever it stands", () => {
    const { d } = k2.privateKey.export({ format: "jwk" });
    expect(() => importKeySet({ keys: [k1.publicJwk, { ...k2.publicJwk, d }] })).toThrow(
      "keys[1]: holds a private key",
    );
  });

  test("holds no key of small order, under which anybody could sign", () => {
    for (const point of SMALL_ORDER)
      for (const sign of [0, 0x80]) {
        const bytes = Buffer.from(point, "hex");
        bytes[31] = (bytes[31] ?? 0) | sign;
        expect(() => importKeySet({ keys: [jwkOf(bytes.toString("base64url"))] }), point).toThrow(
          "not a public Ed25519 key",
        );
      }
  });

  test("knows each key by one name: a point spelt otherwise is refused", () => {
    const { x } = k1.publicJwk;
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const other = x.slice(0, 42) + digits[digits.indexOf(x.at(-1) as string) + 1];
    expect(Buffer.from(other, "base64url")).toEqual(Buffer.from(x, "base64url"));
    const kid = createHash("sha256")
      .update(`{"crv":"Ed25519","kty":"OKP","x":"${other}"}`)
      .digest("base64url");
    expect(() => importKeySet({ keys: [{ ...k1.publicJwk, x: other, kid }] })).toThrow(
      "not a public Ed25519 key",
    );
  });
});

/** Order 4, 1, 8, 8 and 2, then 4 and 1 as they must not be spelt: p and p + 1. */
const SMALL_ORDER: readonly string[] = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
];

function jwkOf(x: string): PublicJwk {
  const kid = createHash("sha256")
    .update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)
    .digest("base64url");
  return { kty: "OKP", crv: "Ed25519", x, kid };
}
