/** One line by itself: what is wrong with it, where it claims to stand, and what makes it believable. */
import { createHmac, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { canonicalize } from "../src/canonical-json.ts";
import { importKeySet, type PublicJwk } from "../src/key-set.ts";
import { proveKey } from "../src/key-proof.ts";
import { secretKey } from "../src/platform-node.ts";
import { merkleTree } from "../src/merkle.ts";
import {
  batchInput,
  leafOf,
  LOG_CHAIN,
  type Receipt,
  recordHash,
  signingInput,
} from "../src/receipt.ts";
import { checkSignature } from "../src/signature-check.ts";
import { generateSigningKey } from "../src/signing-key.ts";
import { createBatchVerifier } from "../src/verify-batch.ts";
import { type Evidence, MAX_LINE, readInFull, readLine } from "../src/verify-record.ts";

const NOON = 1_800_000_000_000;
const key = generateSigningKey();
const secret = Buffer.alloc(32, 7);
const hash = `sha256:${"0".repeat(64)}`;

/** An outcome, in form, without an authenticator. */
const body = {
  v: "stepgate.receipt/1",
  kind: "outcome",
  log_id: "log-1",
  sequence_id: "s",
  seq: 3,
  prev: hash,
  ts_ms: NOON,
  gate_id: "gate-1",
  decision_hash: hash,
  status: "succeeded",
};
const record = signed(body);
const line = canonicalize(record);

/** An ALLOW with these values bound, in form, without an authenticator. */
function allowing(binds: object): object {
  const { decision_hash: _hash, status: _status, ...rest } = body;
  return {
    ...rest,
    kind: "decision",
    mode: "shadow",
    policy_id: "p",
    policy_version: "1",
    policy_digest: hash,
    function: "f",
    action_type: "A",
    nonce: "n",
    attempt: "A".repeat(22),
    request_ts_ms: NOON,
    args_digest: `hmac-sha256:${"0".repeat(64)}`,
    decision: "ALLOW",
    effects: { binds },
  };
}

function signed(members: object): Receipt {
  const named = { ...members, key_id: key.keyId } as Receipt;
  const signature = sign(null, Buffer.from(signingInput(named)), key.privateKey);
  return { ...named, sig: `ed25519=${signature.toString("hex")}` };
}

function withMac(members: object, id = "mac-1"): Receipt {
  const named = { ...members, hmac_key_id: id } as Receipt;
  const mac = createHmac("sha256", secret).update(signingInput(named)).digest("hex");
  return { ...named, hmac_sig: `sha256=${mac}` };
}

function evidence(change: Partial<Evidence> = {}, jwk: Partial<PublicJwk> = {}): Evidence {
  return {
    keys: importKeySet({ keys: [{ ...key.publicJwk, ...jwk }] }),
    hmacKeys: new Map(),
    require: "ed25519",
    holds: checkSignature,
    batches: createBatchVerifier(),
    covers: () => false,
    ...change,
  };
}

/** `CODE: message`, or nothing. */
function faultOf(one: string | Uint8Array | object, by: Evidence = evidence()): string | undefined {
  const text = typeof one === "string" || one instanceof Uint8Array ? one : canonicalize(one);
  const { fault } = readLine(text, by);
  return fault && `${fault.code}: ${fault.message}`;
}

test("a sound line is its record at its place, as text and as bytes, written plainly and not", () => {
  const place = { sequence_id: "s", seq: 3, hash: recordHash(record) };
  for (const one of [line, Buffer.from(line)])
    expect(readLine(one, evidence())).toStrictEqual({ place, receipt: record });
  expect(readInFull(Buffer.from(line), evidence())).toStrictEqual({ place, receipt: record });
  const more = signed({ ...body, ext: { größe: 1 } });
  expect(readLine(canonicalize(more), evidence())).toStrictEqual({
    place: { ...place, hash: recordHash(more) },
    receipt: more,
  });
});

describe("what cannot be read has no place", () => {
  test.each<[string, string | Uint8Array, string]>([
    ["an empty line", "", "an empty line"],
    ["a byte-order mark", `\ufeff${line}`, "begins with a byte-order mark"],
    ["bytes that are not UTF-8", Uint8Array.from([0x7b, 0xff, 0x7d]), "not UTF-8"],
    ["half a character", line.replace("gate-1", "gate-\ud800"), "not UTF-8"],
    ["half a line", line.slice(0, -1), "not a JSON object"],
    ["a byte-order mark behind", `${line}\ufeff`, "not a JSON object"],
    ["a list", "[]", "not a JSON object"],
    ["null", "null", "not a JSON object"],
    ["a number", "5", "not a JSON object"],
    ["a text", '"open"', "not a JSON object"],
    ["a truth", "true", "not a JSON object"],
  ])("%s", (_name, one, message) => {
    expect(readLine(one, evidence())).toStrictEqual({ fault: { code: "UNREADABLE", message } });
  });

  test("65,536 bytes are read, and one more is not", () => {
    const binds = (count: number, last: string): object =>
      Object.fromEntries(
        Array.from({ length: count }, (_, at) => [
          at === count - 1 ? `z${last}` : `b${1000 + at}`,
          `hmac-sha256:${"0".repeat(64)}`,
        ]),
      );
    const allow = (last: string): Receipt => signed(allowing(binds(700, last)));
    const room = MAX_LINE - canonicalize(allow("")).length;
    expect(MAX_LINE).toBe(65_536);
    expect(faultOf(allow("a".repeat(room)))).toBeUndefined();
    const longer = "UNREADABLE: longer than 65536 bytes";
    expect(faultOf(allow("a".repeat(room + 1)))).toBe(longer);
    expect(faultOf(" ".repeat(MAX_LINE + 1))).toBe(longer);
    expect(faultOf("é".repeat(MAX_LINE / 2 + 1))).toBe(longer);
  });
});

describe("what is not written as it must be is named, and what can be read of it is read", () => {
  const place = { sequence_id: "s", seq: 3, hash: recordHash(record) };
  const fault = (code: string, message: string): object => ({ fault: { code, message } });
  const notCanonical = fault("NOT_CANONICAL", "the line is not the canonical form of its record");

  test("white space", () => {
    expect(readLine(` ${line}`, evidence())).toStrictEqual({
      ...notCanonical,
      place,
      receipt: record,
    });
  });

  test("a member that stands twice, named by 64 characters at most", () => {
    expect(readLine(line.replace("{", '{"seq":1,'), evidence())).toStrictEqual({
      ...fault("DUPLICATE_MEMBER", "'seq' stands twice"),
      place,
      receipt: record,
    });
    const long = "n".repeat(65);
    expect(faultOf(line.replace("{", `{"${long}":1,"${long}":1,`))).toBe(
      `DUPLICATE_MEMBER: '${"n".repeat(64)}' stands twice`,
    );
  });

  test("half a character, of which there is no hash and so no place", () => {
    const bound = canonicalize({
      ...body,
      effects: { binds: { a: `hmac-sha256:${"0".repeat(64)}` } },
    });
    for (const one of [
      line.replace(',"gate_id"', ',"ext":{"a":"\\ud800"},"gate_id"'),
      bound.replace('"a":', '"\\ud800":'),
      canonicalize(allowing({ here: `hmac-sha256:${"0".repeat(64)}` })).replace(
        '"here":',
        '"\\ud800":',
      ),
    ])
      expect(readLine(one, evidence())).toStrictEqual(notCanonical);
  });
});

describe("a line whose form is not right", () => {
  const bent = (change: object): object => ({ ...record, gate_id: "", ...change });
  const malformed = { code: "MALFORMED", message: "'gate_id' has the wrong form" };

  test("has a place by its hash as it was parsed, without its authenticators", () => {
    const expected = {
      fault: malformed,
      place: {
        sequence_id: "s",
        seq: 3,
        hash: recordHash({ ...record, gate_id: "" } as Receipt),
      },
    };
    for (const one of [bent({}), bent({ sig: `ed25519=${"1".repeat(128)}` })])
      expect(readLine(canonicalize(one), evidence())).toStrictEqual(expected);
    const first = readLine(canonicalize(bent({ seq: 0 })), evidence());
    expect(first.place?.seq).toBe(0);
  });

  test.each<[string, object]>([
    ["a sequence that is no text", { sequence_id: 7 }],
    ["a place as text", { seq: "3" }],
    ["half a place", { seq: 0.5 }],
    ["a place below 0", { seq: -1 }],
  ])("has no place for %s", (_name, change) => {
    expect(readLine(canonicalize(bent(change)), evidence())).toStrictEqual({ fault: malformed });
  });
});

describe("the evidence that every record must carry", () => {
  const hmacKeys = new Map([["mac-1", secretKey(secret)]]);
  const byMac = evidence({ require: "hmac", hmacKeys });

  test("is a signature, or a MAC where that is asked for", () => {
    expect(faultOf(body)).toBe("WEAK_EVIDENCE: carries no ed25519 authenticator");
    expect(faultOf(withMac(body), evidence({ hmacKeys }))).toBe(
      "WEAK_EVIDENCE: carries no ed25519 authenticator",
    );
    expect(faultOf(record, byMac)).toBe("WEAK_EVIDENCE: carries no hmac authenticator");
    expect(faultOf(withMac(body), byMac)).toBeUndefined();
  });

  test("is by a key that is known, and what is beside it too where it is a signature", () => {
    const stranger = { ...record, key_id: generateSigningKey().keyId };
    const unknown = `UNKNOWN_KEY: key '${stranger.key_id}' is not trusted`;
    expect(faultOf(stranger)).toBe(unknown);
    expect(faultOf(withMac(stranger), byMac)).toBe(unknown);
    expect(faultOf(withMac(body, "mac-2"), byMac)).toBe(
      "UNKNOWN_KEY: MAC key 'mac-2' is not known",
    );
  });

  test("holds: the signature, and the MAC where its secret is known", () => {
    expect(faultOf({ ...record, status: "failed" })).toBe(
      "BAD_SIGNATURE: the signature does not belong to this record",
    );
    const both = { ...withMac({ ...body, key_id: key.keyId }), sig: "" };
    const { sig } = signed({ ...body, hmac_key_id: "mac-1" });
    const sound = { ...both, sig };
    const bad = { ...sound, hmac_sig: `sha256=${"0".repeat(64)}` };
    expect(faultOf(sound, evidence({ hmacKeys }))).toBeUndefined();
    expect(faultOf(bad, evidence({ hmacKeys }))).toBe(
      "BAD_MAC: the MAC does not belong to this record",
    );
    expect(faultOf(bad)).toBeUndefined();
    expect(faultOf({ ...withMac(body), status: "failed" }, byMac)).toBe(
      "BAD_MAC: the MAC does not belong to this record",
    );
  });

  test("is not what names a key and has no MAC", () => {
    const named = signed({ ...body, hmac_key_id: "mac-1" });
    expect(faultOf(named, evidence({ hmacKeys }))).toBeUndefined();
  });
});

describe("a record of a batch", () => {
  const bodies = ["s", "t"].map((sequence_id) => {
    return { ...body, sequence_id, key_id: key.keyId } as Receipt;
  });
  const tree = merkleTree(bodies.map((one) => leafOf(recordHash(one))));
  const input = batchInput("log-1", 2, tree.root);
  const sig = `ed25519=${sign(null, Buffer.from(input), key.privateKey).toString("hex")}`;
  const batched = bodies.map((one, index) => {
    return { ...one, batch: { size: 2, index, path: tree.path(index), sig } };
  });

  test("is signed by its batch, and by no other record's", () => {
    for (const one of batched) expect(faultOf(one)).toBeUndefined();
    expect(faultOf({ ...batched[0], batch: batched[1]?.batch })).toBe(
      "BAD_SIGNATURE: the record is not in a batch with this signature",
    );
    expect(faultOf({ ...batched[0], status: "failed" })).toContain("BAD_SIGNATURE");
  });

  test("is told to whoever remembers batches by its place and its hash", () => {
    const told: unknown[] = [];
    const batches = { fault: (one: unknown) => void told.push(one) };
    for (const one of batched) expect(faultOf(one, evidence({ batches }))).toBeUndefined();
    expect(told).toEqual(
      batched.map(({ sequence_id }, at) => {
        const place = { log_id: "log-1", gate_id: "gate-1", sequence_id, seq: 3, kind: "outcome" };
        return { ...place, hash: recordHash(bodies[at] as Receipt) };
      }),
    );
  });
});

describe("a key is believed", () => {
  const at = NOON / 1000;
  test.each<[string, Partial<PublicJwk>, string | undefined]>([
    ["from its first second", { nbf: at }, undefined],
    ["not before it", { nbf: at + 1 }, "the key was not valid yet"],
    ["up to its last second", { exp: at + 1 }, undefined],
    ["not after it", { exp: at }, "the key was not valid any more"],
    ["not where it is a person's", { roles: [] }, "a person's key signs no receipts"],
    [
      "not once it was revoked",
      { revoked_from: at + 9 },
      "the key was revoked, and no older checkpoint covers the record",
    ],
  ])("%s", (_name, jwk, message) => {
    expect(faultOf(record, evidence({}, jwk))).toBe(message && `KEY_NOT_VALID: ${message}`);
  });

  test("though it was revoked, where a checkpoint from before that covers the record", () => {
    const asked: number[] = [];
    const covers = (revokedFrom: number): boolean => asked.push(revokedFrom) > 0;
    expect(faultOf(record, evidence({ covers }, { revoked_from: at }))).toBeUndefined();
    expect(asked).toEqual([at]);
  });
});

test("a key hands over to one that proves itself for this log, by a record whose own signature comes after", async () => {
  const { decision_hash: _hash, status: _status, ...rest } = body;
  const handover = async (logId: string): Promise<object> => ({
    ...rest,
    sequence_id: LOG_CHAIN,
    ...(await proveKey(logId, generateSigningKey())),
  });
  expect(faultOf(signed(await handover("log-1")))).toBeUndefined();
  const elsewhere = signed(await handover("log-2"));
  const unproved = "BAD_SIGNATURE: new_key_sig does not prove the new key for this log";
  expect(faultOf(elsewhere)).toBe(unproved);
  expect(faultOf({ ...elsewhere, ts_ms: 1 })).toBe(unproved);
});
