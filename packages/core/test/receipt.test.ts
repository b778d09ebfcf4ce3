/** Receipts, byte for byte: every hash, MAC, signature and digest is computed here again by hand, with node:crypto alone. */
import {
  createHash,
  createHmac,
  createPublicKey,
  createSecretKey,
  randomBytes,
  verify,
} from "node:crypto";
import canonicalizeOfNpm from "canonicalize";
import { openTestGate } from "@stepgate/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { argsDigest, type Receipt } from "../src/index.ts";
import { hmacHex } from "../src/platform-node.ts";
import { heldClock } from "./held-clock.ts";
import { anyText } from "./json-arbitraries.ts";
import { REFUNDS } from "./policies.ts";
import { hashByHand, inputByHand } from "./receipt-by-hand.ts";

describe("a chain of a real gate, recomputed by hand", () => {
  const saltKey = randomBytes(32);
  const hmacSecret = randomBytes(32);

  async function chain() {
    const clock = heldClock();
    const opened = await openTestGate(REFUNDS, {
      saltKey,
      hmacKey: { id: "mac-1", secret: hmacSecret },
      logId: "log-1",
      gateId: "gate-1",
      clock: clock.clock,
    });
    const { gate } = opened;
    const owner = { agent_id: "bot-7", tenant: "acme" };
    await gate.open({ sequence_id: "s-1", context: { request: "Réfund 17" }, ...owner });
    const allow = await gate.decide({
      sequence_id: "s-1",
      tool: "get_order",
      args: { order: 17, a: "é" },
      nonce: "n 1",
      ...owner,
    });
    const deny = await gate.decide({ sequence_id: "s-1", tool: "close", nonce: "n 2", ...owner });
    if (allow.decision !== "ALLOW") throw new Error(allow.message);
    clock.pass(250);
    await gate.outcome(allow, { status: "succeeded", result: { found: true }, duration_ms: 7 });
    await gate.addContext("s-1", { payees: ["x"] });
    await gate.seal("s-1", "the customer left", "alice");
    return {
      ...opened,
      allow,
      deny,
      receipts: await opened.receipts("s-1"),
      lines: await opened.store.read("s-1", 0),
    };
  }

  test("every line is the canonical bytes of its record", async () => {
    const { receipts, lines } = await chain();
    expect(lines).toEqual(receipts.map((receipt) => canonicalizeOfNpm(receipt)));
    expect(receipts.map(({ kind }) => kind)).toEqual([
      "open",
      "decision",
      "decision",
      "outcome",
      "context",
      "seal",
    ]);
  });

  test("the genesis binds the chain to its log, tenant and sequence; each `prev` is the hash of the record before", async () => {
    const { receipts } = await chain();
    const genesis = `sha256:${createHash("sha256").update("stepgate.genesis/1\nlog-1\nacme\ns-1").digest("hex")}`;
    expect(receipts.map(({ prev }) => prev)).toEqual([
      genesis,
      ...receipts.slice(0, -1).map(hashByHand),
    ]);
    expect(receipts.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("without a tenant the genesis has an empty one", async () => {
    const { gate } = await openTestGate(REFUNDS, { logId: "log-1" });
    const { prev } = await gate.open({ sequence_id: "s-1" });
    expect(prev).toBe(
      `sha256:${createHash("sha256").update("stepgate.genesis/1\nlog-1\n\ns-1").digest("hex")}`,
    );
  });

  test("`sig` is Ed25519 over the input, by the key that `key_id` names", async () => {
    const { receipts, key } = await chain();
    const publicKey = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: key.publicJwk.x },
      format: "jwk",
    });
    const thumbprint = createHash("sha256")
      .update(`{"crv":"Ed25519","kty":"OKP","x":"${key.publicJwk.x}"}`)
      .digest("base64url");
    for (const receipt of receipts) {
      expect(receipt.key_id).toBe(thumbprint);
      expect(receipt.sig).toMatch(/^ed25519=[0-9a-f]{128}$/);
      const signature = Buffer.from(receipt.sig?.slice("ed25519=".length) ?? "", "hex");
      expect(verify(null, Buffer.from(inputByHand(receipt)), publicKey, signature)).toBe(true);
      expect(
        verify(
          null,
          Buffer.from(inputByHand({ ...receipt, ts_ms: receipt.ts_ms + 1 })),
          publicKey,
          signature,
        ),
      ).toBe(false);
    }
  });

  test("`hmac_sig` is HMAC-SHA-256 over the same input, beside the signature", async () => {
    const { receipts } = await chain();
    for (const receipt of receipts) {
      expect(receipt.hmac_key_id).toBe("mac-1");
      expect(receipt.hmac_sig).toBe(
        `sha256=${createHmac("sha256", hmacSecret).update(inputByHand(receipt)).digest("hex")}`,
      );
    }
  });

  test("a gate with a MAC key alone signs nothing", async () => {
    const { gate, receipts } = await openTestGate(REFUNDS, {
      signer: undefined as never,
      hmacKey: { id: "mac-1", secret: hmacSecret },
    });
    await gate.decide({ sequence_id: "s", tool: "get_order" });
    for (const receipt of await receipts("s")) {
      expect(Object.keys(receipt)).not.toContain("sig");
      expect(Object.keys(receipt)).not.toContain("key_id");
      expect(receipt.hmac_sig).toBe(
        `sha256=${createHmac("sha256", hmacSecret).update(inputByHand(receipt)).digest("hex")}`,
      );
    }
  });

  test("arguments are digested under a key of their call, which the caller gets with its ALLOW and no receipt holds", async () => {
    const { allow, deny, lines } = await chain();
    const keyOf = (nonce: string): Buffer =>
      createHmac("sha256", saltKey).update(`stepgate.args/1\nlog-1\nacme\ns-1\n${nonce}`).digest();
    expect(allow.args_key).toBe(keyOf("n 1").toString("hex"));
    expect(allow.receipt.args_digest).toBe(digest(keyOf("n 1"), '{"a":"é","order":17}'));
    expect(deny.receipt?.args_digest).toBe(digest(keyOf("n 2"), "{}"));
    expect(lines.join("\n")).not.toContain(allow.args_key);
    expect(lines.join("\n")).not.toContain("é");
  });

  test("whatever the key and the text, the digest is HMAC-SHA-256 as the platform makes it", () => {
    const anyKey = fc.uint8Array({ minLength: 1, maxLength: 200 });
    const long = fc.integer({ min: 300, max: 400 }).map((length) => "é".repeat(length));
    fc.assert(
      fc.property(anyKey, fc.oneof(anyText, long), (bytes, text) => {
        const key = Buffer.from(bytes);
        expect(argsDigest(key.toString("hex"), text)).toBe(digest(key, text));
        const secret = createSecretKey(key);
        // The second time with what was kept of the key.
        for (let i = 0; i < 2; i++)
          expect(`hmac-sha256:${hmacHex(secret, text)}`).toBe(digest(key, text));
      }),
    );
  });

  test("context and result are digested likewise, the context without the nonce", async () => {
    const { receipts } = await chain();
    const contextKey = createHmac("sha256", saltKey)
      .update("stepgate.context/1\nlog-1\nacme\ns-1")
      .digest();
    const resultKey = createHmac("sha256", saltKey)
      .update("stepgate.result/1\nlog-1\nacme\ns-1\nn 1")
      .digest();
    expect(receipts[0]).toMatchObject({
      context_digest: digest(contextKey, '{"request":"Réfund 17"}'),
    });
    expect(receipts[3]).toMatchObject({
      result_digest: digest(resultKey, '{"found":true}'),
      decision_hash: hashByHand(receipts[1] as Receipt),
    });
    expect(receipts[4]).toMatchObject({ context_digest: digest(contextKey, '{"payees":["x"]}') });
  });

  test("each kind has exactly the members of receipt.md", async () => {
    const { receipts } = await chain();
    const common = [
      "v",
      "kind",
      "log_id",
      "sequence_id",
      "seq",
      "prev",
      "ts_ms",
      "gate_id",
      "key_id",
      "sig",
      "hmac_key_id",
      "hmac_sig",
    ];
    const owner = ["tenant", "agent_id"];
    const pinned = ["mode", "policy_id", "policy_version", "policy_digest"];
    const call = [
      "step",
      "function",
      "action_type",
      "tool",
      "nonce",
      "attempt",
      "request_ts_ms",
      "args_digest",
      "decision",
    ];
    const expected = [
      [...common, ...owner, ...pinned, "context_digest"],
      [...common, ...owner, ...pinned, ...call, "permit_expires_ms"],
      [...common, ...owner, ...pinned, ...call, "deny_code", "rule"],
      [...common, "decision_hash", "status", "result_digest", "duration_ms"],
      [...common, ...owner, "mode", "context_digest"],
      [...common, "sealed", "by", "reason"],
    ];
    expect(receipts.map((receipt) => Object.keys(receipt).sort())).toEqual(
      expected.map((members) => members.sort()),
    );
  });

  test("a receipt cannot be changed by who holds it", async () => {
    const { allow } = await chain();
    expect(Object.isFrozen(allow.receipt)).toBe(true);
  });
});

test("`ts_ms` never falls, though the clock goes back; a permit counts from the record", async () => {
  const clock = heldClock();
  const { gate, receipts } = await openTestGate(REFUNDS, {
    clock: clock.clock,
    permitTtlMs: 5_000,
  });
  await gate.open({ sequence_id: "s" });
  const start = clock.clock();
  clock.pass(-30_000);
  const allow = await gate.decide({ sequence_id: "s", tool: "get_order" });
  clock.pass(30_001);
  await gate.decide({ sequence_id: "s", tool: "close" });
  expect((await receipts("s")).map(({ ts_ms }) => ts_ms - start)).toEqual([0, 0, 1]);
  expect(allow.receipt).toMatchObject({
    request_ts_ms: start - 30_000,
    permit_expires_ms: start + 5_000,
  });
});

function digest(key: Buffer, text: string): string {
  return `hmac-sha256:${createHmac("sha256", key).update(text).digest("hex")}`;
}
