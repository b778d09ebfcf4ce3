/** What every adapter does alike: nonces from ids, trusted context, and believing only what is a decision. */
import { createHash } from "node:crypto";
import { openTestGate } from "@stepgate/contract";
import { expect, test } from "vitest";
import { isDecision, refusal, toNonce, vouch } from "../src/index.ts";
import { REFUNDS } from "./policies.ts";

const OWNER = { agent_id: "bot-7", tenant: "acme" };

test("an id is its own nonce, and hashed where nonces cannot be so", () => {
  expect(toNonce("call_1")).toBe("call_1");
  for (const id of ["", "é", "x".repeat(201), "a\nb"])
    expect(toNonce(id)).toBe(`sha256:${createHash("sha256").update(id).digest("hex")}`);
});

test("context opens a sequence, is added on a later turn, and is not recorded twice", async () => {
  const { gate, receipts } = await openTestGate(REFUNDS);
  await vouch(gate, "s", OWNER, { request: "refund 17" });
  await vouch(gate, "s", OWNER, { request: "refund 17" });
  await vouch(gate, "s", OWNER, { request: "and 18" });
  expect((await receipts("s")).map(({ kind }) => kind)).toEqual(["open", "context"]);
  expect((await receipts("s"))[0]).toMatchObject(OWNER);
});

test("two turns that vouch at once both reach the sequence", async () => {
  const { gate, receipts } = await openTestGate(REFUNDS);
  const contexts = ["one", "two", "three"].map((request) => ({ request }));
  await Promise.all(contexts.map((context) => vouch(gate, "s", OWNER, context)));
  expect((await receipts("s")).map(({ kind }) => kind)).toEqual(["open", "context", "context"]);
});

test("nobody vouches in another's sequence, nor in one that is sealed", async () => {
  const { gate, receipts } = await openTestGate(REFUNDS);
  await vouch(gate, "s", OWNER, { request: "mine" });
  for (const stranger of [{}, { agent_id: "bot-7" }, { ...OWNER, tenant: "other" }])
    await vouch(gate, "s", stranger, { request: "pay me" });
  await gate.seal("s", "done");
  await vouch(gate, "s", OWNER, { request: "late" });
  expect((await receipts("s")).map(({ kind }) => kind)).toEqual(["open", "seal"]);
});

test("what the gate cannot take is the caller's error", async () => {
  const { gate } = await openTestGate(REFUNDS);
  await expect(vouch(gate, "s", OWNER, { at: undefined } as never)).rejects.toMatchObject({
    code: "INVALID_INPUT",
  });
});

test("an answer of the gate is a decision; nothing that only looks like one is", async () => {
  const { gate } = await openTestGate(REFUNDS);
  const allow = await gate.decide({ sequence_id: "s", tool: "get_order" });
  const deny = await gate.decide({ sequence_id: "s", tool: "nothing" });
  for (const decision of [allow, deny, refusal("GATE_UNAVAILABLE", "down", "policy")])
    expect(isDecision(decision)).toBe(true);
  const wrong: readonly unknown[] = [
    undefined,
    null,
    "ALLOW",
    true,
    {},
    { ...allow, decision: "allow" },
    { ...allow, proceed: "true" },
    { ...allow, proceed: false },
    { ...allow, args: undefined },
    { ...allow, args: [] },
    { ...allow, receipt: undefined },
    { ...deny, deny_code: "NO_SUCH_CODE" },
    { ...deny, deny_code: undefined },
    { ...deny, proceed: undefined },
    { ...deny, proceed: true },
    { ...deny, decision: "ERROR" },
  ];
  expect(wrong.map(isDecision)).toEqual(wrong.map(() => false));
});
