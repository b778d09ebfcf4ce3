/** The fixed shape of records: what is written without sorting is what is written with it, byte for byte. */
import canonicalizeOfNpm from "canonicalize";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bodyText,
  lineOf,
  type Receipt,
  receiptLine,
  recordHash,
  signingInput,
} from "../src/receipt.ts";
import { anyJson, anyText } from "./json-arbitraries.ts";
import { hashByHand, inputByHand } from "./receipt-by-hand.ts";

/** The members of receipt.md, of the kinds that are written today, copied from its table. */
const TEXTS = [
  "v",
  "kind",
  "log_id",
  "sequence_id",
  "prev",
  "gate_id",
  "tenant",
  "agent_id",
  "mode",
  "policy_id",
  "policy_version",
  "policy_digest",
  "context_digest",
  "step",
  "function",
  "action_type",
  "tool",
  "audience",
  "nonce",
  "attempt",
  "args_digest",
  "decision",
  "deny_code",
  "rule",
  "resumes",
  "decision_hash",
  "status",
  "result_digest",
  "by",
  "reason",
  "new_key_sig",
  "key_id",
  "sig",
  "hmac_key_id",
  "hmac_sig",
] as const;
const INTEGERS = [
  "seq",
  "ts_ms",
  "request_ts_ms",
  "permit_expires_ms",
  "unrecorded",
  "duration_ms",
] as const;

const integers = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, -0));
const hex = fc.stringMatching(/^[0-9a-f]{1,64}$/);
const anyBatch = fc.record({ size: integers, index: integers, path: fc.array(hex), sig: anyText });
const anyReceipt = fc
  .record(
    {
      ...Object.fromEntries(TEXTS.map((name) => [name, anyText])),
      v: anyText,
      ...Object.fromEntries(INTEGERS.map((name) => [name, integers])),
      sealed: fc.constant(true),
      // Of the right shape, and of none: what is read is untrusted.
      batch: fc.oneof(anyBatch, fc.record({ path: fc.array(anyText) }), anyJson),
      ext: fc.dictionary(anyText, fc.oneof(anyText, integers), { maxKeys: 4 }),
      new_key: fc.dictionary(anyText, anyText, { maxKeys: 4 }),
    },
    { requiredKeys: ["v"] },
  )
  .map((members) => Object.entries(members))
  .chain((entries) => fc.shuffledSubarray(entries, { minLength: entries.length }))
  .map((entries) => Object.fromEntries(entries) as unknown as Receipt);

describe("the fixed shape", () => {
  test("its line is the general canonical text, for any members in any order", () => {
    fc.assert(
      fc.property(anyReceipt, (receipt) => {
        expect(receiptLine(receipt)).toBe(canonicalizeOfNpm(receipt));
      }),
    );
  });

  test("its input is the version line and the general canonical text without signature and MAC", () => {
    fc.assert(
      fc.property(anyReceipt, (receipt) => {
        expect(signingInput(receipt)).toBe(inputByHand(receipt));
        expect(recordHash(receipt)).toBe(hashByHand(receipt));
      }),
    );
  });

  test("a member of no kind is left out, whatever its name", () => {
    const record = { v: "a", seq: 1, sig: "b" } as unknown as Receipt;
    for (const name of ["undefined", "aa", "zz"]) {
      const more = { ...record, [name]: 1 } as Receipt;
      expect([receiptLine(more), recordHash(more)]).toEqual([
        '{"seq":1,"sig":"b","v":"a"}',
        recordHash(record),
      ]);
    }
  });

  test("a batch whose text is written already is not written again, and nothing else has that text", () => {
    const batch = { size: 2, index: 0, path: ["a"], sig: "b" };
    const record = { v: "a", batch, hmac_sig: "c", sig: "d" } as unknown as Receipt;
    expect(lineOf(bodyText(record), record, '{"written":"before"}')).toBe(
      '{"batch":{"written":"before"},"hmac_sig":"c","sig":"d","v":"a"}',
    );
  });

  test("every member that is signed changes the record's hash; the authenticators do not", () => {
    const whole = Object.fromEntries([
      ...TEXTS.map((name) => [name, "a"]),
      ...INTEGERS.map((name) => [name, 1]),
      ["sealed", true],
      ["batch", { size: 2, index: 0, path: ["a"], sig: "a" }],
      ["ext", { a: 1 }],
      ["new_key", { x: "a" }],
    ]) as unknown as Receipt;
    for (const name of [...TEXTS, ...INTEGERS, "sealed", "batch", "ext", "new_key"]) {
      const without = Object.fromEntries(
        Object.entries(whole).filter(([member]) => member !== name),
      ) as unknown as Receipt;
      const same = recordHash(without) === recordHash(whole);
      expect([name, same]).toEqual([name, ["sig", "batch", "hmac_sig"].includes(name)]);
    }
  });
});
