/** Bodies of ALLOWs are filled into the form of the last one: byte for byte what the general writer gives, for any life of a gate. */
import type { DecisionReceipt } from "@stepgate/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createAllowWriter } from "../src/allow-text.ts";
import { bodyText, lineOf, RECEIPT_VERSION } from "../src/receipt.ts";

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const sha256 = hex(64).map((digits) => `sha256:${digits}`);
/** Few names, so that forms come again; with every character that an identifier may have. */
const name = fc.constantFrom("a", "b", "A.b_c:d-9");
const identifier = fc.constantFrom("a", "team/agent@1.2:x_y-z");
const time = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });

const decision: fc.Arbitrary<DecisionReceipt> = fc
  .record({
    v: fc.constant(RECEIPT_VERSION),
    kind: fc.constant("decision" as const),
    decision: fc.constantFrom("ALLOW" as const, "ALLOW" as const, "DENY" as const),
    log_id: fc.constantFrom("log-1", "log-2"),
    gate_id: identifier,
    sequence_id: identifier,
    seq: fc.nat({ max: 10_000 }),
    prev: sha256,
    ts_ms: time,
    mode: fc.constantFrom("enforce" as const, "shadow" as const),
    policy_id: identifier,
    // What a person wrote: any text.
    policy_version: fc.constantFrom("1", 'say "2"', "\\ ü 🜁 \n"),
    policy_digest: sha256,
    action_type: optional(name),
    function: optional(name),
    step: optional(name),
    tool: optional(name),
    audience: optional(identifier),
    tenant: optional(identifier),
    agent_id: optional(identifier),
    nonce: fc.string({ minLength: 1, maxLength: 12 }),
    attempt: fc.constantFrom("AAAAAAAAAAAAAAAAAAAAAA", "zzzzzzzzzzzzzzzzzzz_-w"),
    request_ts_ms: time,
    args_digest: optional(hex(64).map((digits) => `hmac-sha256:${digits}`)),
    permit_expires_ms: optional(time),
    key_id: optional(name),
    hmac_key_id: optional(name),
    resumes: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, sha256),
    sealed: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.constant(true as const)),
    unrecorded: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.nat()),
    effects: fc.oneof(
      { weight: 9, arbitrary: fc.constant(undefined) },
      fc.constant({ binds: { order: "hmac-sha256:0" } }),
    ),
    ext: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.constant({ build: 7 })),
  })
  // Drafts leave out what there is not.
  .map((all) => {
    const there = Object.entries(all).filter(([, value]) => value !== undefined);
    return Object.fromEntries(there) as unknown as DecisionReceipt;
  });

test("whatever a gate allowed before, a body and its places are those of the general writer", () => {
  fc.assert(
    fc.property(fc.array(decision, { minLength: 1, maxLength: 20 }), (life) => {
      const write = createAllowWriter();
      for (const one of life) {
        const text = write(one);
        expect(text).toEqual(bodyText(one));
        const signed = { sig: `ed25519=${"0".repeat(128)}`, hmac_sig: `sha256=${"1".repeat(64)}` };
        expect(JSON.parse(lineOf(text, signed))).toEqual({ ...one, ...signed });
      }
    }),
    { numRuns: 500 },
  );
});
