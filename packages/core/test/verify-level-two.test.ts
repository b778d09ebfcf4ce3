/** What a stranger can find out from a run under Level 2: approvals, bindings, totals, conditions; and what stays not recomputed. */
import { sign } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import { describe, expect, test } from "vitest";
import {
  type Allow,
  type CompiledPolicy,
  type Decision,
  importKeySet,
  type KeySet,
  type Receipt,
  recordHash,
  signApproval,
  type SigningKey,
  verifyReceipts,
  type VerifyOptions,
} from "../src/index.ts";
import { formFault } from "../src/receipt-form.ts";
import { type ApprovalReceipt, signingInput } from "../src/receipt.ts";
import { heldClock } from "./held-clock.ts";
import { keySetOf, person, statement } from "./people.ts";
import { summary } from "./summary.ts";

const NOON = 1_800_000_000_000;
const anna = person({ roles: ["finance"] });
const ben = person({ roles: ["finance"], exp: NOON / 1000 + 10 });
const carl = person({ roles: ["legal"] });
const stranger = person({ roles: ["finance"] });
const people = [anna, ben, carl];

const document = {
  schema: "stepgate.policy/1",
  id: "pay",
  version: "1",
  sequence: "pay*, end?",
  functions: { pay: ["DO"], end: ["SEAL"], note: { step: "*", actions: ["DO"] } },
  tools: {
    pay: {
      function: "pay",
      action: "DO",
      args: { type: "object", properties: { n: { type: "number" } } },
      when: "args.n < 1000.0",
      grounded: { who: ["context.people"] },
      bind: { account: "args.account" },
      limits: { sum: { of: "args.n", max: 100 }, calls: 3 },
      approval: { when: "args.n >= 10.0", by: ["finance"] },
    },
    note: { function: "note", action: "DO", approval: { by: ["finance"] } },
  },
  constraints: [{ never: ["note", "end"] }],
};

interface Run {
  readonly chain: readonly Receipt[];
  readonly policy: CompiledPolicy;
  readonly key: SigningKey;
  readonly keys: KeySet;
}

/** Every code of checks 7 to 9, bound and summed calls, an approval that led to a call that was interrupted and came back. */
async function soundRun(): Promise<Run> {
  const made = await openTestGate(document, {
    clock: heldClock(NOON).clock,
    approvers: keySetOf(people),
  });
  const { gate, policy, key } = made;
  await gate.open({ sequence_id: "s", context: { people: ["ana"] } });
  const pay = (nonce: string, n: unknown, who = "ana", account = "x"): Promise<Decision> => {
    const args = { ...(n === undefined ? {} : { n }), who, account };
    return gate.decide({ sequence_id: "s", tool: "pay", nonce, args });
  };
  await pay("args", "1");
  await pay("when", 2000);
  await pay("grounded", 1, "bob");
  await pay("error", undefined);
  await gate.outcome((await pay("first", 1)) as Allow, { status: "succeeded" });
  await pay("bind", 1, "ana", "y");
  const denial = await pay("big", 50);
  await gate.approve(statement(denial, carl, { verdict: "reject" }));
  await gate.approve(statement(denial, anna));
  await gate.outcome((await pay("big", 50)) as Allow, { status: "interrupted" });
  await pay("big", 50);
  await pay("sum", 50);
  const note = { sequence_id: "s", tool: "note", nonce: "note" } as const;
  await gate.approve(statement(await gate.decide(note), ben));
  await gate.decide(note);
  const keys = importKeySet({ keys: [key.publicJwk, ...people.map(({ jwk }) => jwk)] });
  return { chain: await made.receipts("s"), policy, key, keys };
}

/** What the records are, by their places. */
const AT = {
  grounded: 3,
  first: 5,
  bind: 7,
  asked: 8,
  carl: 9,
  anna: 10,
  root: 11,
  resumed: 13,
  sum: 14,
  noteAsked: 15,
  ben: 16,
  note: 17,
} as const;
type Place = keyof typeof AT;

/** Puts other records in the places of some; none takes a record away. */
type Changes = Partial<Record<Place, (record: Receipt) => readonly Receipt[]>>;

/** Members to change in one record. */
function set(change: object): (record: Receipt) => readonly Receipt[] {
  return (record) => {
    const members = Object.entries({ ...record, ...change }).filter(
      ([, value]) => value !== undefined,
    );
    return [Object.fromEntries(members) as unknown as Receipt];
  };
}

const removed = (): readonly Receipt[] => [];

/** What a holder of the gate's key could write: changed, linked and signed anew; references follow, and people sign again. */
function rewrite({ chain, key }: Run, changes: Changes): readonly Receipt[] {
  const made: Receipt[] = [];
  const renamed = new Map<unknown, unknown>();
  for (const [index, original] of chain.entries()) {
    const place = (Object.keys(AT) as Place[]).find((name) => AT[name] === index);
    const change = place === undefined ? undefined : changes[place];
    for (const changed of change === undefined ? [original] : change(original)) {
      const referring = Object.fromEntries(
        Object.entries(changed).map(([name, value]) => [name, renamed.get(value) ?? value]),
      ) as unknown as Receipt;
      const before = made.at(-1);
      const prev = before === undefined ? original.prev : recordHash(before);
      const placed = { ...referring, seq: made.length, prev };
      const signed = resign(placed.kind === "approval" ? statedAnew(placed) : placed, key);
      renamed.set(recordHash(original), recordHash(signed));
      made.push(signed);
    }
  }
  return made;
}

/** Stated by its approver once more, for the denial has another hash; as it stands where its author is none of these. */
function statedAnew(receipt: ApprovalReceipt): ApprovalReceipt {
  const author = [...people, stranger].find(({ key }) => key.keyId === receipt.approver_key_id);
  if (author === undefined || receipt.approver_sig === NO_SIGNATURE) return receipt;
  const { approver_sig } = signApproval(receipt, author.key);
  return { ...receipt, approver_sig };
}

const NO_SIGNATURE = `ed25519=${"0".repeat(128)}`;

function resign(receipt: Receipt, key: SigningKey): Receipt {
  const { sig: _sig, ...body } = receipt;
  const signature = sign(null, Buffer.from(signingInput(body as Receipt)), key.privateKey);
  return { ...body, sig: `ed25519=${signature.toString("hex")}` } as Receipt;
}

/** `CODE place` of each finding. */
async function found(
  { keys, policy }: Run,
  records: readonly Receipt[],
  more: Partial<VerifyOptions> = {},
): Promise<readonly string[]> {
  const { findings } = await verifyReceipts(records, { keys, policies: [policy], ...more });
  return findings.map(({ code, seq }) => `${code} ${seq}`);
}

/** The same, without the policy. */
async function foundWithout(
  { keys }: Run,
  records: readonly Receipt[],
): Promise<readonly string[]> {
  const { findings } = await verifyReceipts(records, { keys });
  return findings.map(({ code, seq }) => `${code} ${seq}`);
}

describe("a sound run under Level 2", () => {
  test("has every code of 7 to 9 and no finding, for a stranger with public keys alone, with the policy and without", async () => {
    const run = await soundRun();
    expect(summary(run.chain)).toEqual([
      "open",
      "ARGUMENT_VIOLATION",
      "ARGUMENT_VIOLATION",
      "ARGUMENT_VIOLATION",
      "POLICY_ERROR",
      "ALLOW",
      "outcome succeeded",
      "ARGUMENT_VIOLATION",
      "APPROVAL_REQUIRED",
      "approval",
      "approval",
      "ALLOW",
      "outcome interrupted",
      "ALLOW",
      "LIMIT_EXCEEDED",
      "APPROVAL_REQUIRED",
      "approval",
      "ALLOW",
    ]);
    expect(await found(run, run.chain)).toEqual([]);
    expect(await foundWithout(run, run.chain)).toEqual([]);
    expect(await found(run, rewrite(run, {}))).toEqual([]);
    const report = await verifyReceipts(run.chain, { keys: run.keys, policies: [run.policy] });
    expect(report).toMatchObject({ result: "sound", recomputed: true });
    expect(report.sequences[0]).toMatchObject({
      verdict: "OPEN",
      open_allows: [expect.any(String), expect.any(String)],
    });
  });

  test("without the approvers' keys cannot be decided", async () => {
    const run = await soundRun();
    const keys = importKeySet({ keys: [run.key.publicJwk] });
    const report = await verifyReceipts(run.chain, { keys });
    expect(report.result).toBe("undecided");
    expect(new Set(report.findings.map(({ code }) => code))).toEqual(new Set(["UNKNOWN_KEY"]));
  });

  test("of arguments whose names are no ASCII is of known form too", async () => {
    const made = await openTestGate({
      ...document,
      tools: { pay: { function: "pay", action: "DO", grounded: { größe: ["context.sizes"] } } },
      constraints: [],
    });
    await made.gate.open({ sequence_id: "s", context: { sizes: [] } });
    await made.gate.decide({ sequence_id: "s", tool: "pay", args: { größe: 1 } });
    const run = {
      ...made,
      chain: await made.receipts("s"),
      keys: importKeySet({ keys: [made.key.publicJwk] }),
    };
    expect(run.chain[1]).toMatchObject({ rule: "tools.pay.grounded.größe" });
    expect(await found(run, run.chain)).toEqual([]);
  });
});

const byCarl = { approver_key_id: carl.key.keyId, verdict: "approve" };

describe("approvals that a holder of the gate's key forged", () => {
  const M = "APPROVAL_MISMATCH";
  const cases: readonly (readonly [
    name: string,
    changes: Changes,
    withPolicy: readonly string[],
    without: readonly string[],
  ])[] = [
    ["none at all", { carl: removed, anna: removed }, [`${M} 9`, `${M} 11`], [`${M} 9`, `${M} 11`]],
    [
      "none but in the wrong role",
      { carl: set(byCarl), anna: removed },
      [`${M} 10`, `${M} 12`],
      [],
    ],
    [
      "rejected by whom it takes",
      { anna: set({ verdict: "reject" }) },
      [`${M} 11`, `${M} 13`],
      [`${M} 11`, `${M} 13`],
    ],
    [
      "expired before the call",
      { anna: set({ expires_ms: NOON }) },
      [`${M} 11`, `${M} 13`],
      [`${M} 11`, `${M} 13`],
    ],
    [
      "by a stranger",
      { anna: set({ approver_key_id: stranger.key.keyId }) },
      ["UNKNOWN_KEY 10"],
      ["UNKNOWN_KEY 10"],
    ],
    [
      "with a signature that is none",
      { anna: set({ approver_sig: NO_SIGNATURE }) },
      [`${M} 10`],
      [`${M} 10`],
    ],
    [
      "of what was never denied",
      { anna: set({ request: `sha256:${"1".repeat(64)}` }) },
      [`${M} 10`, `${M} 11`, `${M} 13`],
      [`${M} 10`, `${M} 11`, `${M} 13`],
    ],
    [
      "of a denial that asked for none",
      { carl: removed, anna: removed, bind: (record) => [record, approvalOf(record)] },
      [`${M} 8`, `${M} 10`, `${M} 12`],
      [`${M} 8`, `${M} 10`, `${M} 12`],
    ],
    ["given twice", { anna: (record) => [record, record] }, [`${M} 11`], [`${M} 11`]],
    [
      "undone by the statement before it",
      { anna: (record) => [record, ...set({ verdict: "reject" })(record), record] },
      [`${M} 12`],
      [`${M} 12`],
    ],
    [
      "valid no more when it was used",
      { note: set({ ts_ms: NOON + 10_000 }) },
      [`${M} 17`],
      [`${M} 17`],
    ],
    [
      "valid no more when it was given",
      { ben: set({ ts_ms: NOON + 10_000 }), note: set({ ts_ms: NOON + 10_000 }) },
      [`${M} 16`, `${M} 17`],
      [`${M} 16`, `${M} 17`],
    ],
  ];

  /** A statement on a denial, in the shape of another approval record. */
  function approvalOf(denial: Receipt): Receipt {
    const { v, log_id, sequence_id, seq, prev, ts_ms, gate_id, key_id = "" } = denial;
    return {
      v,
      kind: "approval",
      log_id,
      sequence_id,
      seq,
      prev,
      ts_ms,
      gate_id,
      key_id,
      request: recordHash(denial),
      verdict: "approve",
      expires_ms: NOON * 2,
      approver_key_id: anna.key.keyId,
      approver_sig: `ed25519=${"1".repeat(128)}`,
    };
  }

  test.each(cases)("%s", async (_name, changes, withPolicy, without) => {
    const run = await soundRun();
    const records = rewrite(run, changes);
    expect(await found(run, records)).toEqual(withPolicy);
    expect(await foundWithout(run, records)).toEqual(without);
  });

  test("its own key approves nothing", async () => {
    const run = await soundRun();
    const own = set({ approver_key_id: run.key.keyId, approver_sig: NO_SIGNATURE });
    expect(await found(run, rewrite(run, { anna: own }))).toEqual([
      `${M} 10`,
      `${M} 11`,
      `${M} 13`,
    ]);
  });

  test("a call that always needs one, without a denial before it: the policy tells, and nothing else does", async () => {
    const run = await soundRun();
    const records = rewrite(run, {
      noteAsked: removed,
      ben: removed,
      note: set({ resumes: undefined }),
    });
    expect(await found(run, records)).toEqual([`${M} 15`]);
    expect(await foundWithout(run, records)).toEqual([]);
  });

  test("after the seal", async () => {
    const run = await soundRun();
    const { v, log_id, sequence_id, gate_id, key_id, prev } = run.chain[1] as Receipt;
    const seal = {
      v,
      log_id,
      sequence_id,
      gate_id,
      key_id,
      prev,
      seq: 0,
      ts_ms: NOON,
      kind: "seal",
      sealed: true,
      by: "ana",
      reason: "stop",
    };
    const records = rewrite(run, { ben: (record) => [seal as Receipt, record], note: removed });
    expect(await found(run, records)).toEqual(["AFTER_SEAL 17"]);
  });
});

describe("decisions that do not follow", () => {
  const M = "DECISION_MISMATCH";
  test.each([
    ["ARGUMENT_VIOLATION", "tools.pay.grounded.other"],
    ["ARGUMENT_VIOLATION", "tools.pay.bind.other"],
    ["ARGUMENT_VIOLATION", "tools.pay.limits.sum"],
    ["ARGUMENT_VIOLATION", "functions.pay.when"],
    ["LIMIT_EXCEEDED", "tools.note.limits.calls"],
    ["LIMIT_EXCEEDED", "tools.pay.when"],
    ["APPROVAL_REQUIRED", "functions.pay.approval"],
    ["POLICY_ERROR", "tools.pay.limits.sum"],
    ["POLICY_ERROR", "functions.pay.when"],
    ["SEQUENCE_VIOLATION", "sequence"],
    ["SEQUENCE_VIOLATION", "constraints.0"],
    ["ACTION_NOT_ALLOWED", "forbid.0"],
    ["ACTION_NOT_ALLOWED", "agents"],
  ])("a denial %s by %s, where the policy has none", async (deny_code, rule) => {
    const run = await soundRun();
    expect(await found(run, rewrite(run, { grounded: set({ deny_code, rule }) }))).toEqual([
      `${M} 3`,
    ]);
  });

  test.each([
    ["ARGUMENT_VIOLATION", "tools.pay.args"],
    ["ARGUMENT_VIOLATION", "tools.pay.when"],
    ["ARGUMENT_VIOLATION", "tools.pay.bind.account"],
    ["LIMIT_EXCEEDED", "tools.pay.limits.calls"],
    ["POLICY_ERROR", "tools.pay.approval"],
    ["POLICY_ERROR", "tools.pay.args"],
    ["APPROVAL_REQUIRED", "tools.pay.approval"],
  ])(
    "a denial %s by %s is believed: what took arguments is not recomputed",
    async (deny_code, rule) => {
      const run = await soundRun();
      expect(await found(run, rewrite(run, { grounded: set({ deny_code, rule }) }))).toEqual([]);
    },
  );

  test("a denial by a condition of what had come to its end before", async () => {
    const run = await soundRun();
    const resumedDenied = set({
      decision: "DENY",
      permit_expires_ms: undefined,
      deny_code: "LIMIT_EXCEEDED",
      rule: "tools.pay.limits.sum",
    });
    expect(await found(run, rewrite(run, { resumed: resumedDenied }))).toEqual([`${M} 13`]);
    const approvalGone = set({
      decision: "DENY",
      permit_expires_ms: undefined,
      deny_code: "APPROVAL_REQUIRED",
      rule: "tools.pay.approval",
    });
    expect(await found(run, rewrite(run, { resumed: approvalGone }))).toEqual([]);
  });

  test("an ALLOW against a constraint", async () => {
    const run = await soundRun();
    const end = set({
      function: "end",
      action_type: "SEAL",
      step: "end",
      tool: undefined,
      resumes: undefined,
      nonce: "end",
      effects: undefined,
      sealed: true,
    });
    const records = rewrite(run, { note: (record) => [record, ...end(record)] });
    expect(await found(run, records)).toEqual([`${M} 18`]);
    expect(await foundWithout(run, records)).toEqual([]);
  });
});

describe("effects", () => {
  const M = "DECISION_MISMATCH";
  const digest = (digit: string): string => `hmac-sha256:${digit.repeat(64)}`;
  const SUM = "tools.pay.limits.sum";
  const effects = (binds: object | undefined, totals: object | undefined) =>
    set({ effects: { ...(binds && { binds }), ...(totals && { totals }) } });

  async function boundIn(run: Run): Promise<string> {
    const record = run.chain[AT.first];
    if (record?.kind !== "decision") throw new Error("an ALLOW");
    return record.effects?.binds?.["account"] ?? "";
  }

  test.each([
    ["none, where the policy has some", () => set({ effects: undefined })],
    ["no binds", () => effects(undefined, { [SUM]: "51" })],
    ["no totals", (account: string) => effects({ account }, undefined)],
    [
      "another name bound",
      (account: string) => effects({ account, other: account }, { [SUM]: "51" }),
    ],
    ["another name instead", (account: string) => effects({ other: account }, { [SUM]: "51" })],
    [
      "a total of what is not summed",
      (account: string) => effects({ account }, { [SUM]: "51", other: "1" }),
    ],
    ["a name bound to another value", () => effects({ account: digest("0") }, { [SUM]: "51" })],
    ["a total below the one before", (account: string) => effects({ account }, { [SUM]: "0.999" })],
    [
      "a total above the maximum",
      (account: string) => effects({ account }, { [SUM]: "100.0000001" }),
    ],
  ] as const)("%s: they cannot follow", async (_name, forge) => {
    const run = await soundRun();
    const records = rewrite(run, { root: forge(await boundIn(run)) });
    expect(await found(run, records)).toEqual([`${M} 11`]);
    expect(await foundWithout(run, records)).toEqual([]);
  });

  test("a total, or a digest, that could be is not recomputed: arguments are not known", async () => {
    const run = await soundRun();
    const account = await boundIn(run);
    for (const total of ["1", "1.5", "51", "99.99", "100"])
      expect(
        await found(run, rewrite(run, { root: effects({ account }, { [SUM]: total }) })),
      ).toEqual([]);
    const other = effects({ account: digest("0") }, { [SUM]: "1" });
    expect(await found(run, rewrite(run, { first: other }))).toEqual([`${M} 11`]);
  });

  test("of what has none", async () => {
    const run = await soundRun();
    expect(
      await found(run, rewrite(run, { note: effects({ account: digest("0") }, undefined) })),
    ).toEqual([`${M} 17`]);
  });

  test("counted again by a call that came back", async () => {
    const run = await soundRun();
    const again = effects({ account: await boundIn(run) }, { [SUM]: "100" });
    expect(await found(run, rewrite(run, { resumed: again }))).toEqual(["OUTCOME_MISMATCH 13"]);
    expect(await foundWithout(run, rewrite(run, { resumed: again }))).toEqual([
      "OUTCOME_MISMATCH 13",
    ]);
  });

  test("one call more than the policy counts", async () => {
    const run = await soundRun();
    const more = (count: number): Changes => ({
      first: (record) => [
        record,
        ...Array.from({ length: count }, (_, i) =>
          set({
            nonce: `more-${i}`,
            effects: { binds: { account: digest("0") }, totals: { [SUM]: "1" } },
          })(record),
        ).flat(),
      ],
    });
    const account = await boundIn(run);
    const bound = (changes: Changes): Changes => ({
      first: (record) =>
        (changes.first?.(record) ?? []).map(
          (one) => ({ ...one, effects: { binds: { account }, totals: { [SUM]: "1" } } }) as Receipt,
        ),
    });
    // The outcome is of the last copy; it is of an ALLOW all the same.
    expect(await found(run, rewrite(run, bound(more(1))))).toEqual([]);
    expect(await found(run, rewrite(run, bound(more(2))))).toEqual([`${M} 13`]);
  });
});

describe("the form of records", () => {
  test.each([
    ["null", null],
    ["empty", {}],
    ["a list", []],
    ["a text", "binds"],
    ["empty binds", { binds: {} }],
    ["empty totals", { totals: {} }],
    ["an unknown part", { counts: { a: "1" } }],
    ["an unknown part beside a known one", { totals: { a: "1" }, counts: { a: "1" } }],
    ["binds in a list", { binds: [] }],
    ["a bind without key", { binds: { a: "sha256:".padEnd(71, "0") } }],
    ["a bind in capitals", { binds: { a: `hmac-sha256:${"A".repeat(64)}` } }],
    ["a total as a number", { totals: { a: 1 } }],
    ["a total with a zero behind", { totals: { a: "1.0" } }],
    ["a total with a point behind", { totals: { a: "1." } }],
    ["a total with a zero before", { totals: { a: "01" } }],
    ["a total without whole part", { totals: { a: ".5" } }],
    ["a negative total", { totals: { a: "-1" } }],
    ["a total with an exponent", { totals: { a: "1e5" } }],
    ["a total that is no number", { totals: { a: "NaN" } }],
    ["an empty total", { totals: { a: "" } }],
  ])("effects: %s is MALFORMED", async (_name, effects) => {
    const run = await soundRun();
    const record = run.chain[AT.first] as Receipt;
    expect(formFault({ ...record })).toBeUndefined();
    expect(formFault({ ...record, effects })).toMatchObject({ code: "MALFORMED" });
  });

  test("effects stand on an ALLOW alone, and on no other kind", async () => {
    const run = await soundRun();
    const effects = { totals: { a: "1" } };
    expect(formFault({ ...run.chain[AT.bind], effects })).toMatchObject({ code: "MALFORMED" });
    expect(formFault({ ...run.chain[AT.anna], effects })).toMatchObject({ code: "UNKNOWN_MEMBER" });
    expect(formFault({ ...run.chain[0], effects })).toMatchObject({ code: "UNKNOWN_MEMBER" });
  });

  test.each([
    ["verdict", "maybe"],
    ["verdict", "APPROVE"],
    ["expires_ms", -1],
    ["expires_ms", 1.5],
    ["expires_ms", "1"],
    ["approver_key_id", "anna"],
    ["approver_sig", `ed25519=${"A".repeat(128)}`],
    ["approver_sig", `ed25519=${"0".repeat(126)}`],
    ["request", "0".repeat(64)],
    ["sequence_id", "@log"],
  ])("an approval with %s %o is MALFORMED, and without it too", async (member, value) => {
    const run = await soundRun();
    const { [member]: _gone, ...without } = { ...run.chain[AT.anna] } as Record<string, unknown>;
    expect(formFault({ ...without, [member]: value })).toMatchObject({ code: "MALFORMED" });
    expect(formFault(without)).toMatchObject({ code: "MALFORMED" });
  });

  test("an approval has no members of others", async () => {
    const run = await soundRun();
    for (const member of ["reason", "by", "agent_id", "mode", "nonce", "roles", "status"])
      expect(formFault({ ...run.chain[AT.anna], [member]: "x" })).toMatchObject({
        code: "UNKNOWN_MEMBER",
      });
  });

  test("a policy record is of @log alone, with a status of its own; an outcome has none of these", async () => {
    const made = await openTestGate(document);
    const [record] = await Array.fromAsync(made.gate.receipts("@log"));
    const run = await soundRun();
    const outcome = run.chain[AT.first + 1];
    expect(formFault({ ...record })).toBeUndefined();
    for (const change of [
      { sequence_id: "s" },
      { status: "succeeded" },
      { status: "interrupted" },
      { status: undefined },
      { previous: "0".repeat(64) },
      { previous: null },
      { mode: "test" },
      { policy_digest: "sha256:0" },
    ])
      expect(formFault({ ...record, ...change })).toMatchObject({ code: "MALFORMED" });
    expect(formFault({ ...record, agent_id: "a" })).toMatchObject({ code: "UNKNOWN_MEMBER" });
    for (const status of ["active", "withdrawn"])
      expect(formFault({ ...outcome, status })).toMatchObject({ code: "MALFORMED" });
    for (const one of [run.chain[0], run.chain[1], outcome])
      expect(formFault({ ...one, sequence_id: "@log" })).toMatchObject({ code: "MALFORMED" });
  });
});
