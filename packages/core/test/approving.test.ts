/** Approvals by people: what a denial tells an approver, which statements let its call run, and which run nothing. */
import { approversOf, openTestGate, type Person, person } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Approval,
  argsDigest,
  canonicalize,
  type Decision,
  generateSigningKey,
  importKeySet,
  type KeySet,
  memoryStore,
  recordHash,
  verifyReceipts,
} from "../src/index.ts";
import { heldClock } from "./held-clock.ts";
import { NOON } from "./reference/walk.ts";
import { summary } from "./summary.ts";

const PAYMENTS = {
  schema: "stepgate.policy/1",
  id: "payments",
  version: "1",
  sequence: "pay{1,5}, close",
  functions: { pay: ["WRITE_DB"], close: ["SEAL"] },
  tools: {
    pay: {
      function: "pay",
      action: "WRITE_DB",
      approval: { when: "args.amount >= 500.0", by: ["finance"] },
    },
    close: { function: "close", action: "SEAL" },
  },
};
const twoMust = (version: string): typeof PAYMENTS => {
  const pay = { ...PAYMENTS.tools.pay, approval: { count: 2, by: ["finance", "board"] } };
  return { ...PAYMENTS, version, tools: { ...PAYMENTS.tools, pay } } as never;
};

const ALICE = person("finance");
const BOB = person("board", "finance");
const MALLORY = person("support");
const PEOPLE = approversOf(ALICE, BOB, MALLORY);
const PAY = {
  sequence_id: "s",
  tool: "pay",
  nonce: "n1",
  args: { amount: 900, to: "bob" },
} as const;

/** A gate that answered APPROVAL_REQUIRED to {@link PAY}. */
async function asked(document: object = PAYMENTS, approvers: KeySet = PEOPLE) {
  const held = heldClock();
  const opened = await openTestGate(document, { clock: held.clock, approvers });
  const again = (change: Partial<ActionInput> = {}): Promise<Decision> =>
    opened.gate.decide({ ...PAY, ...change } as ActionInput);
  const denial = await again();
  if (denial.decision !== "DENY" || denial.approval === undefined)
    throw new Error("no approval was asked for");
  const { approval: request } = denial;
  return {
    ...opened,
    held,
    denial,
    request,
    again,
    story: async () => summary(await opened.receipts("s")),
  };
}

describe("an APPROVAL_REQUIRED denial", () => {
  test("tells who may approve, what is approved, and the key that its digest is checked by", async () => {
    const { denial, request } = await asked();
    expect(request).toEqual({
      log_id: denial.receipt?.log_id,
      sequence_id: "s",
      request: denial.receipt && recordHash(denial.receipt),
      count: 1,
      roles: ["finance"],
      args: { amount: 900, to: "bob" },
      args_key: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(argsDigest(request.args_key, canonicalize(request.args))).toBe(
      denial.receipt?.args_digest,
    );
    expect(denial).toMatchObject({ proceed: false, rule: "tools.pay.approval" });
  });

  test("is the same when it is asked again, and other denials ask nobody", async () => {
    const { denial, request, again, story } = await asked();
    expect(await again()).toMatchObject({ approval: request, receipt: denial.receipt });
    expect(await again({ tool: "none", nonce: "n2" })).not.toHaveProperty("approval");
    expect(await story()).toEqual(["open", "APPROVAL_REQUIRED", "NO_POLICY_MATCH"]);
  });

  test("is not given where the condition on the arguments does not hold", async () => {
    const { again } = await asked();
    expect(await again({ nonce: "n2", args: { amount: 499.5 } })).toMatchObject({
      decision: "ALLOW",
    });
  });
});

describe("an approval", () => {
  test("lets its call run once, with `resumes`, and the chain verifies with the approvers' keys", async () => {
    const { gate, key, policy, request, again, story, receipts } = await asked();
    expect((await gate.state("s")).awaiting).toEqual([request.request]);
    expect(await gate.approve(ALICE.approve(request))).toMatchObject({
      kind: "approval",
      request: request.request,
      verdict: "approve",
      approver_key_id: ALICE.key.keyId,
    });
    const allowed = await again();
    expect(allowed).toMatchObject({
      decision: "ALLOW",
      args: PAY.args,
      receipt: { resumes: request.request, nonce: "n1" },
      earlier: { decision_hash: request.request, deny_code: "APPROVAL_REQUIRED" },
    });
    expect((await gate.state("s")).awaiting).toEqual([]);
    expect(await again()).toMatchObject({ deny_code: "REPLAY_NONCE" });
    expect(await story()).toEqual([
      "open",
      "APPROVAL_REQUIRED",
      "approval",
      "ALLOW",
      "REPLAY_NONCE",
    ]);
    const trusted = importKeySet({
      keys: [key.publicJwk, ...[...PEOPLE.values()].map(({ jwk }) => jwk)],
    });
    const chain = await receipts("s");
    expect(await verifyReceipts(chain, { keys: trusted, policies: [policy] })).toMatchObject({
      result: "sound",
    });
    const gateAlone = importKeySet({ keys: [key.publicJwk] });
    expect(await verifyReceipts(chain, { keys: gateAlone, policies: [policy] })).toMatchObject({
      result: "undecided",
      findings: [{ code: "UNKNOWN_KEY" }],
    });
  });

  test("is not undone by a rejection in another role, neither at the gate nor for a verifier", async () => {
    const { gate, key, policy, request, again, receipts } = await asked();
    await gate.approve(MALLORY.approve(request, REJECT));
    await gate.approve(ALICE.approve(request));
    expect(await again()).toMatchObject({ decision: "ALLOW" });
    const keys = importKeySet({
      keys: [key.publicJwk, ...[...PEOPLE.values()].map(({ jwk }) => jwk)],
    });
    for (const options of [{ keys }, { keys, policies: [policy] }])
      expect(await verifyReceipts(await receipts("s"), options)).toMatchObject({ result: "sound" });
  });

  test("that is said again is the same record", async () => {
    const { gate, request, story } = await asked();
    const approval = ALICE.approve(request);
    expect(await gate.approve(approval)).toEqual(await gate.approve(approval));
    expect(await story()).toEqual(["open", "APPROVAL_REQUIRED", "approval"]);
  });

  test("taken by another gate on the same store is found by the gate that asked, and the other way round", async () => {
    const store = memoryStore();
    const saltKey = new Uint8Array(32).fill(7);
    const parts = { store, saltKey, approvers: PEOPLE };
    const { gate: one } = await openTestGate(PAYMENTS, parts);
    const { gate: other } = await openTestGate(PAYMENTS, parts);
    const { approval: first } = (await one.decide(PAY)) as { approval?: never };
    await other.approve(ALICE.approve(first ?? neverAsked()));
    expect(await one.decide(PAY)).toMatchObject({ decision: "ALLOW" });
    // The other one has seen the sequence before the second denial.
    const second = await one.decide({ ...PAY, nonce: "n2" });
    expect(second).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    await other.approve(ALICE.approve((second as { approval?: never }).approval ?? neverAsked()));
    expect(await one.decide({ ...PAY, nonce: "n2" })).toMatchObject({ decision: "ALLOW" });
  });

  test("of two people that must approve: one is not enough, nor one twice", async () => {
    const { gate, request, again } = await asked(twoMust("1"));
    expect(request).toMatchObject({ count: 2, roles: ["board", "finance"] });
    await gate.approve(ALICE.approve(request));
    await gate.approve(ALICE.approve(request, { expires_ms: 4_102_444_800_001 }));
    expect(await again()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    await gate.approve(BOB.approve(request));
    expect(await again()).toMatchObject({ decision: "ALLOW" });
  });
});

describe("nothing runs on", () => {
  test.each<[string, (request: never) => Approval]>([
    ["a forged signature", (request) => ({ ...ALICE.approve(request), ...stolen(request) })],
    ["a statement changed after it was signed", (r) => ({ ...ALICE.approve(r), expires_ms: 9e12 })],
    ["a reject that was turned into an approval", (r) => turned(ALICE.approve(r, REJECT))],
    ["a key that nobody trusts", (request) => person("finance").approve(request)],
    ["an approval for another log", (request) => ALICE.approve(request, { log_id: "other" })],
    ["an approval for another sequence", (r) => ALICE.approve(r, { sequence_id: "t" })],
    [
      "an approval for another denial",
      (r) => ALICE.approve(r, { request: `sha256:${"0".repeat(64)}` }),
    ],
    ["an approval that has expired", (r) => ALICE.approve(r, { expires_ms: NOON })],
    ["another verdict", (r) => ALICE.approve(r, { verdict: "maybe" as never })],
    ["no approval at all", () => true as never],
    ["nothing", () => undefined as never],
  ])("%s: it is refused, and not recorded", async (_name, make) => {
    const { gate, request, again, story } = await asked();
    await gate.open({ sequence_id: "t" });
    await expect(gate.approve(make(request as never))).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    expect(await again()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    expect(await story()).toEqual(["open", "APPROVAL_REQUIRED"]);
  });

  test("an approval in another role", async () => {
    const { gate, request, again } = await asked();
    await gate.approve(MALLORY.approve(request));
    expect(await again()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
  });

  test("an approver's key without roles, nor one that is not valid yet, any more, or revoked", async () => {
    const now = heldClock().clock() / 1000;
    const { publicJwk } = ALICE.key;
    for (const jwk of [
      publicJwk,
      { ...publicJwk, roles: [] },
      { ...publicJwk, roles: ["finance"], nbf: now + 1 },
      { ...publicJwk, roles: ["finance"], exp: now },
      { ...publicJwk, roles: ["finance"], revoked_from: now + 1000 },
    ]) {
      const { gate, request, again } = await asked(PAYMENTS, importKeySet({ keys: [jwk] }));
      await gate.approve(ALICE.approve(request)).catch(() => undefined);
      expect(await again()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    }
  });

  test("the gate's own key: a gate that lists it as an approver's does not open", async () => {
    const signer = generateSigningKey();
    const approvers = importKeySet({ keys: [{ ...signer.publicJwk, roles: ["finance"] }] });
    await expect(openTestGate(PAYMENTS, { signer, approvers })).rejects.toThrow(
      "approvers must not hold the gate's own key",
    );
  });

  test("an approval that expired between its record and the question", async () => {
    const { gate, request, again, held } = await asked();
    await gate.approve(ALICE.approve(request, { expires_ms: held.clock() + 1000 }));
    held.pass(1000);
    const late = { ts_ms: held.clock() };
    expect(await again(late)).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    await gate.approve(ALICE.approve(request, { expires_ms: held.clock() + 1000 }));
    expect(await again(late)).toMatchObject({ decision: "ALLOW" });
  });

  test("an approval that its author, or another one who may, has taken back", async () => {
    for (const other of [ALICE, BOB]) {
      const { gate, request, again } = await asked();
      await gate.approve(ALICE.approve(request));
      await gate.approve(other.approve(request, REJECT));
      expect(await again()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    }
  });

  test("an approval of this call for another nonce, other arguments, or another tool", async () => {
    const { gate, request, again } = await asked();
    await gate.approve(ALICE.approve(request));
    expect(await again({ nonce: "n2" })).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    expect(await again({ args: { amount: 901, to: "bob" } })).toMatchObject({
      deny_code: "REPLAY_NONCE",
    });
    expect(await again({ tool: "close" })).toMatchObject({ deny_code: "REPLAY_NONCE" });
  });

  test("an approval under another version of the policy, for the same call in another sequence", async () => {
    const { gate, request, store } = await asked();
    await gate.approve(ALICE.approve(request));
    const next = await openTestGate(twoMust("2"), { approvers: PEOPLE, store });
    const call = { ...PAY, sequence_id: "t" };
    expect(await next.gate.decide(call)).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    const moved = ALICE.approve(request, { sequence_id: "t" });
    await expect(next.gate.approve(moved)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await next.gate.decide(call)).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
  });

  test("an approval after the seal, or of a sequence that is not there", async () => {
    const { gate, request, again } = await asked();
    await gate.seal("s", "over");
    await expect(gate.approve(ALICE.approve(request))).rejects.toMatchObject({
      code: "SEALED_SEQUENCE",
    });
    expect(await again()).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
    await expect(
      gate.approve(ALICE.approve(request, { sequence_id: "none" })),
    ).rejects.toMatchObject({ code: "NOT_OPENED" });
  });

  test("an approval before the seal, when it is asked again after it", async () => {
    const { gate, request, again } = await asked();
    await gate.approve(ALICE.approve(request));
    await gate.seal("s", "over");
    expect(await again()).toMatchObject({ deny_code: "SEALED_SEQUENCE" });
  });
});

describe("a verifier, which trusts its own set of people, finds", () => {
  /** A chain in which a gate with other ideas of who may do what allowed the call. */
  async function allowedBy(gateTrusts: KeySet, ...approvals: [Person, Partial<Approval>?][]) {
    const { gate, key, policy, request, again, receipts } = await asked(PAYMENTS, gateTrusts);
    for (const [who, change] of approvals) await gate.approve(who.approve(request, change));
    expect(await again()).toMatchObject({ decision: "ALLOW" });
    const keys = importKeySet({
      keys: [key.publicJwk, ...[...PEOPLE.values()].map(({ jwk }) => jwk)],
    });
    return verifyReceipts(await receipts("s"), { keys, policies: [policy] });
  }
  const inRole = ({ key }: Person, role: string) => ({ ...key.publicJwk, roles: [role] });

  test("a call that was allowed on the word of a person in another role", async () => {
    const loose = importKeySet({ keys: [inRole(MALLORY, "finance")] });
    expect(await allowedBy(loose, [MALLORY])).toMatchObject({
      result: "invalid",
      findings: [{ code: "APPROVAL_MISMATCH", seq: 3 }],
    });
  });

  test("a call that was allowed although somebody who may has rejected it", async () => {
    const deaf = importKeySet({ keys: [inRole(ALICE, "finance"), inRole(BOB, "support")] });
    expect(await allowedBy(deaf, [ALICE], [BOB, REJECT])).toMatchObject({
      result: "invalid",
      findings: [{ code: "APPROVAL_MISMATCH", seq: 4 }],
    });
  });

  test("a statement under a key that was revoked, or is the gate's", async () => {
    const { gate, key, policy, request, receipts } = await asked();
    await gate.approve(ALICE.approve(request));
    const revoked = { ...inRole(ALICE, "finance"), revoked_from: 1 };
    for (const jwk of [revoked, ALICE.key.publicJwk]) {
      const keys = importKeySet({ keys: [key.publicJwk, jwk] });
      expect(await verifyReceipts(await receipts("s"), { keys, policies: [policy] })).toMatchObject(
        {
          result: "invalid",
          findings: [{ code: "APPROVAL_MISMATCH", seq: 2 }],
        },
      );
    }
  });
});

const REJECT = { verdict: "reject" } as const;

/** A signature that somebody else made, under a key that is trusted. */
function stolen(request: never): Pick<Approval, "approver_sig"> {
  return { approver_sig: MALLORY.approve(request).approver_sig };
}

function turned(approval: Approval): Approval {
  return { ...approval, verdict: "approve" };
}

function neverAsked(): never {
  throw new Error("no approval was asked for");
}
