/** Approvals: whose word counts, for which call, until when; and that an approved call runs once (receipt.md, Approvals). */
import { randomBytes } from "node:crypto";
import { openTestGate, type TestGate, type TestGateOptions } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type ActionInput,
  type Allow,
  type Approval,
  createGate,
  type Decision,
  type Deny,
  importKeySet,
  type Receipt,
  recordHash,
  verifyReceipts,
} from "../src/index.ts";
import { type HeldClock, heldClock } from "./held-clock.ts";
import { keySetOf, person, statement } from "./people.ts";
import { summary } from "./summary.ts";

const NOON_S = 1_800_000_000;
const anna = person({ roles: ["finance"] });
const ben = person({ roles: ["finance"] });
const carl = person({ roles: ["legal"] });
const dora = person({ roles: ["legal", "finance"] });
const nobody = person({ roles: [] });
const visitor = person({});
const late = person({ roles: ["finance"], nbf: NOON_S + 10 });
const gone = person({ roles: ["finance"], exp: NOON_S + 10 });
const revoked = person({ roles: ["finance"], revoked_from: NOON_S + 10 });
const everyone = [anna, ben, carl, dora, nobody, visitor, late, gone, revoked];
const stranger = person({ roles: ["finance"] });

const document = {
  schema: "stepgate.policy/1",
  id: "pay",
  version: "1",
  sequence: "pay{0,3}, end?",
  functions: { pay: ["DO"], end: ["SEAL"], note: { step: "*", actions: ["DO"] } },
  tools: {
    pay: {
      function: "pay",
      action: "DO",
      bind: { to: "args.to" },
      limits: { sum: { of: "args.n", max: 100 } },
      approval: { when: "args.n >= 10.0", by: ["finance"] },
    },
    note: { function: "note", action: "DO", approval: { by: ["finance"], count: 2 } },
  },
  sealOn: ["SEAL"],
};

interface Bench extends TestGate {
  readonly held: HeldClock;
  /** Asks `pay` for 50, as `more` changes it. */
  ask(more?: object): Promise<Decision>;
  chain(): Promise<readonly string[]>;
  /** Findings of a stranger who has the public keys, with and without the policy. */
  findings(): Promise<readonly string[]>;
}

const CALL = { sequence_id: "s", tool: "pay", args: { n: 50, to: "x" }, nonce: "n" };

async function bench(doc: object = document, options: TestGateOptions = {}): Promise<Bench> {
  const held = heldClock(NOON_S * 1000);
  const made = await openTestGate(doc, {
    clock: held.clock,
    approvers: keySetOf(everyone),
    ...options,
  });
  const { gate, policy, key } = made;
  const keys = importKeySet({ keys: [key.publicJwk, ...everyone.map(({ jwk }) => jwk)] });
  return {
    ...made,
    held,
    ask: (more = {}) => gate.decide({ ...CALL, ...more } as ActionInput),
    chain: async () => summary(await made.receipts("s")),
    async findings() {
      const records = await made.receipts("s");
      const reports = await Promise.all([
        verifyReceipts(records, { keys }),
        verifyReceipts(records, { keys, policies: [policy] }),
      ]);
      return reports.flatMap((report) =>
        report.findings.map(({ code, message }) => `${code} ${message}`),
      );
    },
  };
}

function said(decision: Decision): string {
  return decision.decision === "ALLOW" ? "ALLOW" : `${decision.deny_code} ${decision.rule}`;
}

const REQUIRED = "APPROVAL_REQUIRED tools.pay.approval";

describe("an approved call", () => {
  test("is allowed once: it names the denial, counts and binds, and is a replay ever after", async () => {
    const { gate, ask, chain, findings, receipts } = await bench();
    expect(said(await ask({ args: { n: 9, to: "x" }, nonce: "small" }))).toBe("ALLOW");
    const denial = await ask();
    expect(said(denial)).toBe(REQUIRED);
    expect(denial.message).toContain("1 of finance");
    expect(denial.receipt).not.toHaveProperty("effects");
    const hash = recordHash(denial.receipt as Receipt);
    expect((await gate.state("s")).awaiting).toEqual([hash]);
    const given = statement(denial, anna);
    const recorded = await gate.approve(given);
    expect(recorded).toMatchObject({
      kind: "approval",
      request: hash,
      verdict: "approve",
      approver_key_id: anna.key.keyId,
      approver_sig: given.approver_sig,
    });
    const allow = (await ask()) as Allow;
    expect(said(allow)).toBe("ALLOW");
    expect(allow.receipt).toMatchObject({
      resumes: hash,
      effects: { totals: { "tools.pay.limits.sum": "59" } },
    });
    expect(allow.earlier).toEqual({ decision_hash: hash, deny_code: "APPROVAL_REQUIRED" });
    expect((await gate.state("s")).awaiting).toEqual([]);
    expect(said(await ask())).toBe("REPLAY_NONCE nonce");
    await gate.outcome(allow, { status: "succeeded" });
    expect(said(await ask())).toBe("REPLAY_NONCE nonce");
    // The same statement again changes nothing of that.
    expect(await gate.approve(given)).toEqual(recorded);
    expect(said(await ask())).toBe("REPLAY_NONCE nonce");
    expect(await chain()).toEqual([
      "open",
      "ALLOW",
      "APPROVAL_REQUIRED",
      "approval",
      "ALLOW",
      "REPLAY_NONCE",
      "outcome succeeded",
      "REPLAY_NONCE",
      "REPLAY_NONCE",
    ]);
    expect((await receipts("s")).filter((one) => "effects" in one)).toHaveLength(2);
    expect(await findings()).toEqual([]);
  });

  test("of many that ask for it at once, through two gates, one is allowed", async () => {
    const options = { saltKey: randomBytes(32), deadlineMs: 30_000 };
    const one = await bench(document, options);
    const two = await bench(document, { ...options, store: one.store });
    const denial = await one.ask();
    // The other gate has read the sequence before the approval came.
    expect(said(await two.ask())).toBe(REQUIRED);
    await one.gate.approve(statement(denial, anna));
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? one : two).ask()),
    );
    expect(answers.map(said).sort()).toEqual([
      "ALLOW",
      ...Array.from({ length: 11 }, () => "REPLAY_NONCE nonce"),
    ]);
  });

  test.each([
    ["other arguments", { args: { n: 50, to: "y" } }],
    ["an argument more", { args: { n: 50, to: "x", why: "" } }],
    ["another tool", { tool: "note" }],
    ["the explicit form", { tool: undefined, function: "pay", action_type: "DO" }],
  ])("with %s is a replay, approved or not", async (_name, change) => {
    const { gate, ask, findings } = await bench();
    const asked = (): Promise<Decision> => {
      const members = Object.entries({ ...CALL, ...change }).filter(
        ([, value]) => value !== undefined,
      );
      return gate.decide(Object.fromEntries(members) as unknown as ActionInput);
    };
    const denial = await ask();
    expect(said(await asked())).toBe("REPLAY_NONCE nonce");
    await gate.approve(statement(denial, anna));
    expect(said(await asked())).toBe("REPLAY_NONCE nonce");
    expect(said(await ask())).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("in another sequence, or under another nonce, needs an approval of its own", async () => {
    const { gate, ask } = await bench();
    await gate.approve(statement(await ask(), anna));
    expect(said(await ask({ sequence_id: "t" }))).toBe(REQUIRED);
    expect(said(await ask({ nonce: "m" }))).toBe(REQUIRED);
    expect(said(await ask())).toBe("ALLOW");
  });

  test("passes all other checks once more: order, limits, freshness, seal; each denial names what it answers", async () => {
    const { gate, ask, chain, findings } = await bench();
    const denial = await ask();
    const hash = recordHash(denial.receipt as Receipt);
    await gate.approve(statement(denial, anna));
    const stale = await ask({ ts_ms: 0 });
    expect(said(stale)).toBe("STALE_TIMESTAMP freshness");
    for (const nonce of ["1", "2", "3"]) {
      const other = await ask({ nonce, args: { n: nonce === "1" ? 60 : 1, to: "x" } });
      if (nonce === "1") {
        await gate.approve(statement(other, ben));
        expect(said(await ask({ nonce, args: { n: 60, to: "x" } }))).toBe("ALLOW");
        const limited = await ask();
        expect(said(limited)).toBe("LIMIT_EXCEEDED tools.pay.limits.sum");
        expect(limited.receipt).toMatchObject({ resumes: hash });
      }
    }
    const late_ = await ask();
    expect(said(late_)).toBe("SEQUENCE_VIOLATION sequence");
    expect(late_.receipt).toMatchObject({ resumes: hash });
    await gate.decide({ sequence_id: "s", function: "end", action_type: "SEAL" });
    expect(said(await ask())).toBe("SEALED_SEQUENCE seal");
    expect((await gate.state("s")).awaiting).toEqual([]);
    expect(await chain()).toContain("LIMIT_EXCEEDED");
    expect(await findings()).toEqual([]);
  });

  test("that a bound value has overtaken is refused, whoever approved it", async () => {
    const { gate, ask } = await bench();
    const denial = await ask();
    await gate.approve(statement(denial, anna));
    expect(said(await ask({ nonce: "m", args: { n: 1, to: "elsewhere" } }))).toBe("ALLOW");
    expect(said(await ask())).toBe("ARGUMENT_VIOLATION tools.pay.bind.to");
  });
});

describe("asked again without an approval", () => {
  test("the first denial is the answer, nothing is recorded, however often and through whichever gate", async () => {
    const saltKey = randomBytes(32);
    const { ask, chain, store, policy, key } = await bench(document, { saltKey });
    const first = (await ask()) as Deny;
    const again = (await ask()) as Deny;
    expect(again.receipt).toEqual(first.receipt);
    expect({ ...again, receipt: 0, earlier: 0 }).toEqual({ ...first, receipt: 0, earlier: 0 });
    expect(again.earlier).toEqual({
      decision_hash: recordHash(first.receipt as Receipt),
      deny_code: "APPROVAL_REQUIRED",
    });
    const clock = (): number => NOON_S * 1000;
    const restarted = await createGate({ policies: [policy], store, saltKey, signer: key, clock });
    expect((await restarted.decide(CALL)).receipt).toEqual(first.receipt);
    expect(await chain()).toEqual(["open", "APPROVAL_REQUIRED"]);
  });

  test("and where the context has changed so that none is needed, it is allowed", async () => {
    const { gate, ask, findings } = await bench({
      ...document,
      tools: {
        pay: {
          function: "pay",
          action: "DO",
          approval: { when: "!context.known", by: ["finance"] },
        },
      },
    });
    await gate.open({ sequence_id: "s", context: { known: false } });
    expect(said(await ask())).toBe(REQUIRED);
    await gate.addContext("s", { known: true });
    expect(said(await ask())).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });
});

test("a tool that has come to stand for another function needs what this one needs", async () => {
  const { gate, ask, findings } = await bench({
    ...document,
    sequence: "pay?, end?",
    functions: { ...document.functions, pay: { actions: ["DO"], approval: { by: ["finance"] } } },
    tools: { pay: { function: ["pay", "note"], action: "DO" } },
  });
  const denial = await ask();
  expect(said(denial)).toBe("APPROVAL_REQUIRED functions.pay.approval");
  await gate.approve(statement(await ask({ nonce: "m" }), anna));
  expect(said(await ask({ nonce: "m" }))).toBe("ALLOW");
  const allow = await ask();
  expect(allow.receipt).toMatchObject({ decision: "ALLOW", function: "note" });
  expect(await findings()).toEqual([]);
});

describe("whose word counts", () => {
  test("so many different keys as the policy says, each once, of people in its roles", async () => {
    const { gate, ask, findings } = await bench();
    const call = { tool: "note", nonce: "m", args: {} };
    const denial = await ask(call);
    expect(denial.message).toContain("2 of finance");
    const still = async (): Promise<void> =>
      expect(said(await ask(call))).toBe("APPROVAL_REQUIRED tools.note.approval");
    await gate.approve(statement(denial, carl));
    await gate.approve(statement(denial, nobody));
    await still();
    await gate.approve(statement(denial, anna));
    await gate.approve(statement(denial, anna, { expires_ms: NOON_S * 1000 + 60_000 }));
    await still();
    await gate.approve(statement(denial, dora));
    expect(said(await ask(call))).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("of function and tool both, each from its own roles; one denial is what all of them approve", async () => {
    const { gate, ask, findings } = await bench({
      ...document,
      functions: { ...document.functions, pay: { actions: ["DO"], approval: { by: ["legal"] } } },
    });
    const denial = await ask();
    expect(said(denial)).toBe("APPROVAL_REQUIRED functions.pay.approval");
    await gate.approve(statement(denial, anna));
    expect(said(await ask())).toBe("APPROVAL_REQUIRED functions.pay.approval");
    await gate.approve(statement(denial, carl));
    expect(said(await ask())).toBe("ALLOW");
    const other = await ask({ nonce: "m" });
    await gate.approve(statement(other, dora));
    expect(said(await ask({ nonce: "m" }))).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("until it expires, by the time of the asking", async () => {
    const { gate, ask, held, findings } = await bench();
    const denial = await ask();
    const end = NOON_S * 1000 + 5_000;
    await gate.approve(statement(denial, anna, { expires_ms: end }));
    held.set(end);
    expect(said(await ask({ ts_ms: end }))).toBe(REQUIRED);
    // The same person may say it anew.
    await gate.approve(statement(denial, anna, { expires_ms: end + 5_000 }));
    expect(said(await ask({ ts_ms: end }))).toBe("ALLOW");
    held.set(end - 1);
    const other = await ask({ nonce: "m" });
    await gate.approve(statement(other, anna, { expires_ms: end + 1 }));
    held.set(end);
    expect(said(await ask({ nonce: "m" }))).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("while their key is valid: from `nbf` until `exp`, never once it was revoked", async () => {
    const { gate, ask, held } = await bench();
    const denial = await ask();
    const refused = async (by: typeof anna): Promise<void> =>
      expect(gate.approve(statement(denial, by))).rejects.toMatchObject({
        code: "INVALID_INPUT",
        message: expect.stringContaining("not valid now"),
      });
    await refused(late);
    await refused(revoked);
    held.set(NOON_S * 1000 + 9_999);
    await refused(late);
    await gate.approve(statement(denial, gone));
    held.pass(1);
    // Given while the key was valid, asked for when it no longer is.
    expect(said(await ask())).toBe(REQUIRED);
    await refused(gone);
    await refused(revoked);
    await gate.approve(statement(denial, late));
    expect(said(await ask())).toBe("ALLOW");
  });

  test("as the gate's key set has them: roles that a person lost since count no more", async () => {
    const saltKey = randomBytes(32);
    const { gate, ask, store, policy, key, held } = await bench(document, { saltKey });
    await gate.approve(statement(await ask(), anna));
    const parts = { policies: [policy], store, saltKey, signer: key, clock: held.clock };
    for (const jwk of [
      { ...anna.jwk, roles: ["sales"] },
      { ...anna.jwk, revoked_from: NOON_S },
      anna.key.publicJwk,
    ]) {
      const later = await createGate({ ...parts, approvers: importKeySet({ keys: [jwk] }) });
      expect(said(await later.decide(CALL))).toBe(REQUIRED);
    }
    expect(said(await (await createGate(parts)).decide(CALL))).toBe(REQUIRED);
    expect(said(await ask())).toBe("ALLOW");
  });
});

describe("a rejection", () => {
  test("wins over any number of approvals, until the same person approves later", async () => {
    const { gate, ask, findings } = await bench();
    const denial = await ask();
    await gate.approve(statement(denial, anna));
    await gate.approve(statement(denial, ben, { verdict: "reject" }));
    expect(said(await ask())).toBe(REQUIRED);
    await gate.approve(statement(denial, dora));
    expect(said(await ask())).toBe(REQUIRED);
    await gate.approve(statement(denial, ben, { expires_ms: NOON_S * 1000 + 1_000 }));
    expect(said(await ask())).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("of somebody in no such role changes nothing, for the gate and for a stranger", async () => {
    const { gate, ask, findings } = await bench();
    const denial = await ask();
    await gate.approve(statement(denial, carl, { verdict: "reject" }));
    await gate.approve(statement(denial, anna));
    expect(said(await ask())).toBe("ALLOW");
    expect(await findings()).toEqual([]);
  });

  test("does not expire, and is not undone by the approval that its author gave before", async () => {
    const { gate, ask, held, chain } = await bench();
    const denial = await ask();
    const before = statement(denial, anna);
    await gate.approve(before);
    await gate.approve(
      statement(denial, anna, { verdict: "reject", expires_ms: NOON_S * 1000 + 1_000 }),
    );
    await expect(gate.approve(before)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    held.pass(2_000);
    expect(said(await ask())).toBe(REQUIRED);
    await gate.approve(statement(denial, ben));
    expect(said(await ask())).toBe(REQUIRED);
    expect(await chain()).toEqual([
      "open",
      "APPROVAL_REQUIRED",
      "approval",
      "approval",
      "approval",
    ]);
  });
});

describe("a statement counts for nothing", () => {
  const forged: readonly (readonly [
    name: string,
    forge: (given: Approval, denial: Decision) => unknown,
  ])[] = [
    ["under a key that nobody trusts", (_given, denial) => statement(denial, stranger)],
    ["under a trusted key without roles", (_given, denial) => statement(denial, visitor)],
    ["signed by another than it says", (given) => ({ ...given, approver_key_id: ben.key.keyId })],
    ["for another log", (_given, denial) => statement(denial, anna, { log_id: "other" })],
    ["with another log named", (given) => ({ ...given, log_id: "other" })],
    ["for another sequence", (_given, denial) => statement(denial, anna, { sequence_id: "t" })],
    [
      "signed for another sequence",
      (_given, denial) => ({
        ...statement(denial, anna, { sequence_id: "t" }),
        sequence_id: "s",
      }),
    ],
    [
      "on what is no denial",
      (_given, denial) => statement(denial, anna, { request: `sha256:${"0".repeat(64)}` }),
    ],
    [
      "on another denial than signed",
      (given) => ({ ...given, request: `sha256:${"0".repeat(64)}` }),
    ],
    ["with a verdict turned round", (given) => ({ ...given, verdict: "reject" })],
    ["with an expiry moved", (given) => ({ ...given, expires_ms: given.expires_ms - 1 })],
    [
      "with a verdict that is none",
      (_given, denial) => statement(denial, anna, { verdict: "yes" as "approve" }),
    ],
    [
      "with an expiry that is no time",
      (_given, denial) => statement(denial, anna, { expires_ms: NOON_S * 1000 + 5_000.5 }),
    ],
    ["with a negative expiry", (_given, denial) => statement(denial, anna, { expires_ms: -1 })],
    [
      "with a signature of another form",
      (given) => ({ ...given, approver_sig: given.approver_sig.toUpperCase() }),
    ],
    [
      "with a signature cut short",
      (given) => ({ ...given, approver_sig: given.approver_sig.slice(0, -2) }),
    ],
    ["without signature", (given) => ({ ...given, approver_sig: undefined })],
    ["without author", (given) => ({ ...given, approver_key_id: undefined })],
    ["without sequence", (given) => ({ ...given, sequence_id: undefined })],
    ["without request", (given) => ({ ...given, request: undefined })],
    ["that is nothing", () => undefined],
    ["that is null", () => null],
    ["that is a text", () => "approve"],
  ];
  test.each(forged)("%s: it is refused and not recorded", async (_name, forge) => {
    const { gate, ask, receipts } = await bench();
    const denial = await ask();
    await ask({ sequence_id: "t" });
    const made = forge(statement(denial, anna), denial) as Approval;
    await expect(gate.approve(made)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(said(await ask())).toBe(REQUIRED);
    for (const id of ["s", "t"])
      expect((await receipts(id)).map(({ kind }) => kind)).toEqual(["open", "decision"]);
  });

  test("on an ALLOW, on another denial, on a sequence that was never opened", async () => {
    const { gate, ask } = await bench();
    const allow = await ask({ nonce: "a", args: { n: 1, to: "x" } });
    const replay = await ask({ nonce: "a" });
    expect(said(replay)).toBe("REPLAY_NONCE nonce");
    for (const decision of [allow, replay])
      await expect(gate.approve(statement(decision, anna))).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
    await expect(
      gate.approve(statement(allow, anna, { sequence_id: "never" })),
    ).rejects.toMatchObject({ code: "NOT_OPENED" });
  });

  test("changed by its giver while it is looked at, it is what it was", async () => {
    const { gate, ask, receipts } = await bench();
    const denial = await ask();
    const given = { ...statement(denial, carl) };
    const pending = gate.approve(given);
    Object.assign(given, statement(denial, anna));
    await pending;
    expect((await receipts("s")).at(-1)).toMatchObject({ approver_key_id: carl.key.keyId });
    expect(said(await ask())).toBe(REQUIRED);
  });
});

describe("after the seal", () => {
  test("nothing is approved any more, whoever sealed", async () => {
    for (const seal of [
      ({ gate }: Bench) => gate.seal("s", "stop"),
      ({ gate }: Bench) => gate.decide({ sequence_id: "s", function: "end", action_type: "SEAL" }),
    ]) {
      const made = await bench();
      const denial = await made.ask();
      await seal(made);
      await expect(made.gate.approve(statement(denial, anna))).rejects.toMatchObject({
        code: "SEALED_SEQUENCE",
      });
      expect(said(await made.ask())).toBe("SEALED_SEQUENCE seal");
      expect((await made.receipts("s")).map(({ kind }) => kind)).not.toContain("approval");
      expect(await made.findings()).toEqual([]);
    }
  });

  test("what was approved before it is refused after it", async () => {
    const { gate, ask, findings } = await bench();
    await gate.approve(statement(await ask(), anna));
    await gate.seal("s", "stop");
    expect(said(await ask())).toBe("SEALED_SEQUENCE seal");
    expect(await findings()).toEqual([]);
  });

  test("a sequence with no places left takes no approval", async () => {
    const { gate, ask } = await bench(document, { maxRecords: 102 });
    const denial = await ask();
    await expect(gate.approve(statement(denial, anna))).rejects.toMatchObject({
      code: "OVERLOADED",
    });
  });
});

describe("an approved call that is interrupted", () => {
  test("comes back under the same approval, and counts once", async () => {
    const { gate, ask, findings } = await bench();
    const denial = await ask();
    await gate.approve(statement(denial, anna));
    const root = (await ask()) as Allow;
    await gate.outcome(root, { status: "interrupted" });
    const again = (await ask()) as Allow;
    expect(said(again)).toBe("ALLOW");
    expect(again.receipt.resumes).toBe(recordHash(root.receipt));
    expect(again.receipt).not.toHaveProperty("effects");
    await gate.outcome(again, { status: "succeeded" });
    expect(said(await ask())).toBe("REPLAY_NONCE nonce");
    expect(await findings()).toEqual([]);
  });

  test("is judged by its approvals again: expired or rejected since, it waits for another word", async () => {
    const { gate, ask, held, findings } = await bench();
    const denial = await ask();
    await gate.approve(statement(denial, anna, { expires_ms: NOON_S * 1000 + 1_000 }));
    const root = (await ask()) as Allow;
    await gate.outcome(root, { status: "interrupted" });
    held.pass(1_000);
    const refused = await ask();
    expect(said(refused)).toBe(REQUIRED);
    expect(refused.receipt).toMatchObject({ resumes: recordHash(root.receipt) });
    await gate.approve(statement(denial, ben));
    const again = (await ask()) as Allow;
    expect(said(again)).toBe("ALLOW");
    await gate.outcome(again, { status: "interrupted" });
    await gate.approve(statement(denial, dora, { verdict: "reject" }));
    expect(said(await ask())).toBe(REQUIRED);
    expect(await findings()).toEqual([]);
  });
});

describe("through two gates of one store", () => {
  test("one denies, the other takes the approval although it knew the sequence from before, either allows", async () => {
    const options = { saltKey: randomBytes(32) };
    const one = await bench(document, options);
    const two = await bench(document, { ...options, store: one.store });
    expect(said(await two.ask({ nonce: "a", args: { n: 1, to: "x" } }))).toBe("ALLOW");
    const denial = await one.ask();
    await two.gate.approve(statement(denial, anna));
    await one.gate.approve(statement(denial, ben, { verdict: "reject" }));
    // The other gate has the approval at hand, and must not decide by it alone.
    expect(said(await two.ask())).toBe(REQUIRED);
    await two.gate.approve(statement(denial, ben, { expires_ms: NOON_S * 2000 }));
    // And this one the rejection: it would ask for ever, for nothing that it answers is recorded.
    expect(said(await one.ask())).toBe("ALLOW");
    expect(said(await two.ask())).toBe("REPLAY_NONCE nonce");
  });
});

describe("in a shadow gate", () => {
  test("a call that lacks its approval is denied on record and runs all the same", async () => {
    const { ask, gate } = await bench(document, { mode: "shadow" });
    const denial = await ask();
    expect(denial).toMatchObject({
      decision: "DENY",
      deny_code: "APPROVAL_REQUIRED",
      proceed: true,
    });
    await gate.approve(statement(denial, anna));
    const allow = await ask();
    expect(said(allow)).toBe("ALLOW");
    expect(allow.receipt).not.toHaveProperty("permit_expires_ms");
  });
});

test("a tool that was denied as one function and allowed as another comes back as the other", async () => {
  const { gate } = await openTestGate({
    schema: "stepgate.policy/1",
    id: "several",
    version: "1",
    sequence: "a?, c{1,6}",
    functions: {
      a: { actions: ["X"], approval: { by: ["finance"] } },
      other: { step: "a", actions: ["Y"] },
      c: ["X"],
    },
    tools: { u: { function: ["a", "c"], action: "X" } },
  });
  const asked = { sequence_id: "s", tool: "u", nonce: "n" };
  expect(await gate.decide(asked)).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
  await gate.decide({ sequence_id: "s", function: "other", action_type: "Y" });
  const allowed = await gate.decide(asked);
  expect(allowed).toMatchObject({ decision: "ALLOW", receipt: { function: "c" } });
  if (allowed.decision !== "ALLOW") return;
  await gate.outcome(allowed, { status: "interrupted" });
  expect(await gate.decide(asked)).toMatchObject({
    decision: "ALLOW",
    receipt: { function: "c", resumes: recordHash(allowed.receipt) },
  });
});
