/** One chain: which records follow which, and what is found of those that do not, word by word. */
import { describe, expect, test } from "vitest";
import { approvalInput } from "../src/approval.ts";
import { genesisHash } from "../src/digest.ts";
import { importKeySet } from "../src/key-set.ts";
import type { OpenReceipt, Receipt } from "../src/receipt.ts";
import { checkSignature } from "../src/signature-check.ts";
import { generateSigningKey } from "../src/signing-key.ts";
import {
  followRecord,
  judgedState,
  newChain,
  type PolicyChange,
  skipRecord,
  wasActive,
} from "../src/verify-chain.ts";
import {
  allowed,
  denied,
  type Drafted,
  ended,
  faultsOf,
  held,
  linked,
  opened,
  policyByHand,
  sealing,
} from "./chain-by-hand.ts";

const BROKEN = "CHAIN_BROKEN:";

/** The record at `at` changed. */
function changed(records: readonly Receipt[], at: number, change: object): readonly Receipt[] {
  return records.with(at, { ...records[at], ...change } as Receipt);
}

const sound = linked(
  opened(),
  allowed("n1"),
  ended(1),
  { kind: "context", mode: "enforce", agent_id: "a", context_digest: "c" },
  denied("n2", "NO_POLICY_MATCH", "functions"),
  sealing("n3"),
);

test("a sound chain has no fault, with its policy and without", () => {
  expect(faultsOf(sound)).toEqual([]);
  const known = linked(opened(), allowed("n1"), ended(1), sealing("n2"), ended(3));
  expect(faultsOf(known, held())).toEqual([]);
});

test("a chain of which nothing was read is empty", () => {
  expect(newChain()).toStrictEqual({
    next: 0,
    prev: undefined,
    ts_ms: 0,
    gaps: [],
    state: undefined,
    policies: [],
  });
});

describe("the place of a record", () => {
  test("begins with the genesis of its log, tenant and sequence", () => {
    const wrong = "0 WRONG_GENESIS: does not begin the chain of this log, tenant and sequence";
    for (const change of [
      { tenant: "t" },
      { log_id: "log-2" },
      { sequence_id: "z" },
      { prev: "x" },
    ])
      expect(faultsOf(changed(sound.slice(0, 1), 0, change))).toEqual([wrong]);
    // A first record that is no opening has no tenant.
    const first = changed(linked(allowed("n1")), 0, { tenant: "t" });
    expect(faultsOf(first)).toEqual([`0 ${BROKEN} open stands exactly at seq 0`]);
    // One that comes late is not at the beginning.
    expect(
      faultsOf([...sound.slice(1, 2), ...changed(sound.slice(0, 1), 0, { prev: "x" })]),
    ).toEqual(["0 GAP: seq 0 is missing", "1 OUT_OF_ORDER: seq 0 comes after 1"]);
  });

  test("is the next one: what is missing, late or there already is named", () => {
    const at = (...seqs: readonly number[]): readonly string[] =>
      faultsOf(
        seqs.map((seq) => ({ ...sound[4], kind: "outcome", seq }) as unknown as Receipt),
      ).filter((one) => !one.includes(BROKEN) && !one.includes("GENESIS"));
    expect(at(0, 1)).toEqual([]);
    expect(at(0, 2)).toEqual(["1 GAP: seq 1 is missing"]);
    expect(at(0, 3)).toEqual(["1 GAP: seq 1 to 2 is missing"]);
    expect(at(0, 4, 0)).toEqual([
      "1 GAP: seq 1 to 3 is missing",
      "2 DUPLICATE_SEQ: seq 0 stands twice",
    ]);
    for (const late of [1, 2, 3])
      expect(at(0, 4, late)[1]).toBe(`2 OUT_OF_ORDER: seq ${late} comes after 4`);
    expect(at(0, 4, 4)[1]).toBe("2 DUPLICATE_SEQ: seq 4 stands twice");
  });

  test("in the past changes nothing of the chain", () => {
    const chain = newChain();
    faultsOf(sound.slice(0, 3), {}, chain);
    const before = structuredClone(chain);
    expect(faultsOf(changed(sound, 1, { nonce: "other" }).slice(1, 2), {}, chain)).toHaveLength(1);
    skipRecord(chain, { seq: 2, hash: "another" });
    expect(chain).toEqual(before);
    expect([chain.next, chain.prev, chain.ts_ms, chain.gaps]).toEqual([3, "hash 2", 1000, []]);
  });

  test("counts, where nothing else of the record can be read", () => {
    const chain = newChain();
    faultsOf(sound.slice(0, 1), {}, chain);
    skipRecord(chain, { seq: 1, hash: "hash 0" });
    expect([chain.next, chain.prev, chain.ts_ms, chain.gaps]).toEqual([2, "hash 0", 1000, []]);
    skipRecord(chain, { seq: 4, hash: "hash 4" });
    expect([chain.next, chain.prev, chain.gaps]).toEqual([5, "hash 4", [{ from: 2, to: 3 }]]);
  });

  test("is remembered of a thousand gaps: what comes late for an older one stands twice", () => {
    const chain = newChain();
    const code = (seq: number): string | undefined =>
      followRecord(chain, { ...sound[2], seq } as Receipt, "hash", {
        policies: undefined,
        keys: new Map(),
        holds: checkSignature,
      })?.code;
    for (let gap = 0; gap < 1000; gap++) skipRecord(chain, { seq: 2 * gap + 1, hash: "hash" });
    expect([code(0), code(2)]).toEqual(["OUT_OF_ORDER", "OUT_OF_ORDER"]);
    skipRecord(chain, { seq: 2001, hash: "hash" });
    expect([code(0), code(2), code(2000)]).toEqual([
      "DUPLICATE_SEQ",
      "OUT_OF_ORDER",
      "OUT_OF_ORDER",
    ]);
  });
});

describe("the link of a record", () => {
  test.each<[string, number, object]>([
    ["prev is not the record before", 1, { prev: "another" }],
    ["ts_ms is below the record before", 1, { ts_ms: 999 }],
    ["open stands exactly at seq 0", 1, { ...opened(), nonce: undefined }],
    ["comes from another log", 2, { log_id: "log-2" }],
    ["has another mode than its opening", 1, { mode: "shadow" }],
    ["has another mode than its opening", 3, { mode: "shadow" }],
    ["belongs to another owner", 1, { agent_id: "b" }],
    ["belongs to another owner", 1, { tenant: "t" }],
    ["belongs to another owner", 3, { agent_id: "b" }],
    ["belongs to another owner", 3, { tenant: "t" }],
  ])("%s, at %s", (message, at, change) => {
    expect(faultsOf(changed(sound, at, change).slice(0, at + 1))).toEqual([
      `${at} ${BROKEN} ${message}`,
    ]);
  });

  test("is to the record before as it was read, and time may stand still or go on", () => {
    const later = changed(changed(sound, 1, { ts_ms: 1001 }), 2, { ts_ms: 1001 }).slice(0, 3);
    expect(faultsOf(later)).toEqual([]);
    expect(faultsOf([...later, ...sound.slice(3, 4)])).toEqual([
      `3 ${BROKEN} ts_ms is below the record before`,
    ]);
  });

  test("is not compared after a gap, and is again after that", () => {
    const at = sound.filter(({ seq }) => seq !== 1);
    expect(faultsOf(at.slice(0, 3))).toEqual([
      "1 GAP: seq 1 is missing",
      `2 ${BROKEN} prev is not the record before`,
    ]);
  });

  test("of `@log` needs no opening, and a second opening changes no state", () => {
    const prev = genesisHash({ log_id: "log-1", sequence_id: "@log" });
    const log = linked({ kind: "key", prev }, { kind: "key" }).map((one) => {
      return { ...one, sequence_id: "@log" };
    });
    expect(faultsOf(log)).toEqual([]);
    const chain = newChain();
    faultsOf(
      [...sound.slice(0, 1), ...linked(opened(), opened({ agent_id: "b" })).slice(1)],
      {},
      chain,
    );
    expect(chain.state?.opened.agent_id).toBe("a");
  });
});

describe("the state of a chain", () => {
  test("is that of an opening at its beginning, and of nothing else", () => {
    const stateAfter = (...drafts: readonly Drafted[]): unknown => {
      const chain = newChain();
      faultsOf(linked(...drafts), {}, chain);
      return chain.state;
    };
    expect(stateAfter(opened())).toMatchObject({ head: { seq: 0, hash: "hash 0" } });
    expect(stateAfter(allowed("n"))).toBeUndefined();
    expect(stateAfter(allowed("n"), opened())).toBeUndefined();
  });

  test("has no authenticators, no attempts, and the policy that is held", () => {
    const [first] = linked(opened({ sig: "s", batch: "b", hmac_sig: "m" })) as [OpenReceipt];
    const state = judgedState(first, "hash 0", held().policies);
    expect(Object.keys(state.opened)).not.toEqual(expect.arrayContaining(["sig"]));
    expect(state.opened).toEqual(linked(opened())[0]);
    expect([state.attempts, state.policy?.id]).toEqual([undefined, "p"]);
    expect(judgedState(first, "hash 0", undefined).policy).toBeUndefined();
  });

  test("has the changes of policies, and no others", () => {
    const chain = newChain();
    const change = { policy_id: "p", policy_digest: "d", status: "active" };
    faultsOf(linked({ kind: "policy", ...change, mode: "enforce" }, { kind: "key" }), {}, chain);
    expect(chain.policies).toEqual([{ ...change, ts_ms: 1000 }]);
  });
});

describe("an opening", () => {
  const [first] = linked(opened());
  test.each<[string, object, string | undefined]>([
    ["of the policy that is given", {}, undefined],
    ["of another", { policy_digest: "d" }, "was opened under a policy that is not given"],
    ["by another id", { policy_id: "q" }, "names the policy otherwise than it names itself"],
    [
      "by another version",
      { policy_version: "2" },
      "names the policy otherwise than it names itself",
    ],
  ])("%s", (_name, change, message) => {
    const records = [{ ...first, ...change } as Receipt];
    expect(faultsOf(records, held())).toEqual(
      message === undefined ? [] : [`0 POLICY_MISMATCH: ${message}`],
    );
    expect(faultsOf(records)).toEqual([]);
  });
});

describe("after the seal", () => {
  const last = sealing("n1");
  const seal = { kind: "seal", sealed: true, by: "ana", reason: "done" };
  const context = { kind: "context", mode: "enforce", agent_id: "a", context_digest: "c" };
  const back = { ...last, sealed: undefined, resumes: "hash 1" };
  const found = (...drafts: readonly Drafted[]): readonly string[] =>
    faultsOf(linked(opened(), ...drafts));
  const after = (at: number): string => `${at} AFTER_SEAL: nothing new may follow the seal`;

  test("the sealing ALLOW may end and come back, denials may follow, and one seal of a person's", () => {
    expect(found(last, ended(1, "interrupted"), back, ended(3))).toEqual([]);
    expect(found(last, denied("n2", "SEALED_SEQUENCE", "seal"), seal)).toEqual([]);
    expect(found(seal, denied("n2", "SEALED_SEQUENCE", "seal"))).toEqual([]);
    expect(found(allowed("n1"), seal, ended(1))).toEqual([]);
  });

  test("nothing is allowed, not even again, and nothing is added", () => {
    expect(found(last, allowed("n2"))).toEqual([after(2)]);
    expect(found(last, context)).toEqual([after(2)]);
    const other = allowed("n0", { resumes: "hash 1" });
    expect(found(allowed("n0"), ended(1, "interrupted"), last, other)).toEqual([after(4)]);
    expect(found(seal, seal)).toEqual([after(2)]);
    expect(found(last, seal, seal)).toEqual([after(3)]);
    expect(found(last, ended(1, "interrupted"), seal, back)).toEqual([after(4)]);
    const resumed = allowed("n0", { resumes: "hash 1" });
    expect(found(allowed("n0"), ended(1, "interrupted"), seal, resumed)).toEqual([after(4)]);
  });
});

test("an outcome is that of one ALLOW before it, and its first", () => {
  const found = (...drafts: readonly Drafted[]): readonly string[] =>
    faultsOf(linked(opened(), allowed("n1"), ...drafts));
  expect(found(ended(1))).toEqual([]);
  expect(found(ended(2))).toEqual(["2 OUTCOME_MISMATCH: is the outcome of no ALLOW before it"]);
  expect(found(ended(1), ended(1, "failed"))).toEqual([
    "3 OUTCOME_MISMATCH: is a second outcome of one ALLOW",
  ]);
});

describe("an approval", () => {
  const person = generateSigningKey();
  const keys = importKeySet({ keys: [{ ...person.publicJwk, roles: ["r"], exp: 2 }] });
  const asked = denied("n1", "APPROVAL_REQUIRED", "functions.f.approval");

  function approval(change: object = {}): Drafted {
    const statement = {
      log_id: "log-1",
      sequence_id: "s",
      request: "hash 1",
      verdict: "approve" as const,
      expires_ms: 5000,
      ...change,
    };
    const signature = person.sign(new TextEncoder().encode(approvalInput(statement))) as Uint8Array;
    const approver_sig = `ed25519=${Buffer.from(signature).toString("hex")}`;
    return { kind: "approval", ...statement, approver_key_id: person.keyId, approver_sig };
  }
  const found = (...drafts: readonly Drafted[]): readonly string[] =>
    faultsOf(linked(opened(), asked, ...drafts), { keys });

  test("is of a denial that asked for one, by a key that is trusted and valid, said once", () => {
    expect(found(approval())).toEqual([]);
    expect(found(approval(), approval({ verdict: "reject" }))).toEqual([]);
    expect(found(approval(), approval({ expires_ms: 6000 }))).toEqual([]);
  });

  test.each<[string, readonly Drafted[]]>([
    ["3 APPROVAL_MISMATCH: says again what its approver said before", [approval(), approval()]],
    [
      "2 APPROVAL_MISMATCH: approves no denial that asked for it",
      [approval({ request: "hash 0" })],
    ],
    [
      "2 APPROVAL_MISMATCH: counts for nothing: its key is not valid now",
      [{ ...approval(), ts_ms: 2000 }],
    ],
    [
      "2 APPROVAL_MISMATCH: counts for nothing: its signature does not hold",
      [{ ...approval(), expires_ms: 9000 }],
    ],
    [
      "2 UNKNOWN_KEY: approver's key 'another' is not trusted",
      [{ ...approval(), approver_key_id: "another" }],
    ],
  ])("%s", (fault, drafts) => {
    expect(found(...drafts)).toEqual([fault]);
  });
});

test("a decision is judged by what stood before it, and by the policy that is held", () => {
  const twice = linked(opened(), allowed("n1"), allowed("n1"));
  expect(faultsOf(twice)).toEqual(["2 DUPLICATE_NONCE: its nonce was used before"]);
  const unknown = linked(opened(), allowed("n1", { function: "g" }));
  expect(faultsOf(unknown)).toEqual([]);
  expect(faultsOf(unknown, held(policyByHand()))[0]).toContain("1 DECISION_MISMATCH");
});

describe("a policy was active at an opening", () => {
  const [first] = linked(opened({ policy_id: "p", policy_digest: "d", ts_ms: 10 })) as [
    OpenReceipt,
  ];
  const at = (
    ts_ms: number,
    status: "active" | "withdrawn",
    digest = "d",
    id = "p",
  ): PolicyChange => {
    return { policy_id: id, policy_digest: digest, status, ts_ms };
  };
  test.each<[string, boolean, readonly PolicyChange[]]>([
    ["by nothing at all", false, []],
    ["activated before", true, [at(9, "active")]],
    ["activated in that very millisecond", true, [at(10, "active")]],
    ["activated after", false, [at(11, "active")]],
    ["another of its name", false, [at(9, "active", "e")]],
    ["followed by another before", false, [at(8, "active"), at(9, "active", "e")]],
    ["followed by another in that millisecond", true, [at(8, "active"), at(10, "active", "e")]],
    ["followed by another after", true, [at(8, "active"), at(11, "active", "e")]],
    ["withdrawn before", false, [at(8, "active"), at(9, "withdrawn")]],
    ["withdrawn in that millisecond", true, [at(8, "active"), at(10, "withdrawn")]],
    ["withdrawn after", true, [at(8, "active"), at(11, "withdrawn")]],
    ["withdrawn and activated again", true, [at(7, "active"), at(8, "withdrawn"), at(9, "active")]],
    ["where another was withdrawn", true, [at(8, "active"), at(9, "withdrawn", "e")]],
    ["where nothing but a withdrawal is on record", false, [at(9, "withdrawn")]],
    ["where one of another name has its digest", false, [at(9, "active", "d", "q")]],
    ["where one of another name was activated", true, [at(8, "active"), at(9, "active", "e", "q")]],
    ["where it came back after", false, [at(8, "active", "e"), at(11, "active"), at(12, "active")]],
    [
      "for one millisecond, which is that of the opening",
      true,
      [at(8, "active", "e"), at(10, "active"), at(10, "active", "e")],
    ],
  ])("%s: %s", (_name, active, log) => {
    expect(wasActive(log, first)).toBe(active);
  });
});
