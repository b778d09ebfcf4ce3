/** What a stranger can find out from receipts and a public key: each finding has a file that must give it. */
import { createHmac, createPrivateKey, randomBytes, sign } from "node:crypto";
import { openTestGate, type TestGate, sequenceLines } from "@stepgate/contract";
import {
  type CompiledPolicy,
  exportKeySet,
  type FindingCode,
  generateSigningKey,
  importKeySet,
  type KeySet,
  type Receipt,
  receiptLine,
  recordHash,
  type SigningKey,
  verifyFile,
  verifyReceipts,
  type VerifyOptions,
} from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { signingInput } from "../src/receipt.ts";

const document = {
  schema: "stepgate.policy/1",
  id: "refunds",
  version: "1",
  sequence: "lookup+, refund, settle?",
  functions: { lookup: ["READ"], refund: ["WRITE_DB"], settle: ["SEAL_SEQUENCE"] },
  tools: { get_order: { function: "lookup", action: "READ" } },
};
const policy = compilePolicy(document);

/** A run with an ALLOW, a DENY, an interrupted call that came back, outcomes, and a person's seal. */
async function soundRun(
  options: Parameters<typeof openTestGate>[1] = {},
): Promise<TestGate & { readonly chain: readonly Receipt[] }> {
  const made = await openTestGate(document, { clock: () => 1_800_000_000_000, ...options });
  const { gate } = made;
  await gate.open({ sequence_id: "s", agent_id: "a", context: { request: "refund order 17" } });
  const base = { sequence_id: "s", agent_id: "a" };
  await gate.enforce(
    { ...base, tool: "get_order", args: { order: 17 }, nonce: "n1" },
    () => "found",
  );
  await gate.decide({ ...base, function: "settle", action_type: "SEAL_SEQUENCE", nonce: "n2" });
  const call = {
    ...base,
    function: "refund",
    action_type: "WRITE_DB",
    args: { order: 17 },
    nonce: "n3",
  };
  await expect(
    gate.enforce(
      call,
      () => {
        throw new Error("ask a person");
      },
      { interrupted: () => true },
    ),
  ).rejects.toThrow("ask");
  await gate.enforce(call, () => "paid");
  await gate.addContext("s", { note: "checked by phone" });
  await gate.seal("s", "case closed", "ana");
  return { ...made, chain: await made.receipts("s") };
}

function keySet(...keys: readonly SigningKey[]): KeySet {
  return importKeySet(exportKeySet(keys));
}

/** Signs a changed body again, as a thief of the key would. */
function resign(receipt: object, key: SigningKey): Receipt {
  const { sig: _sig, ...body } = { ...receipt, key_id: key.keyId } as Receipt & { sig?: string };
  const signature = sign(null, Buffer.from(signingInput(body as Receipt)), key.privateKey);
  return { ...body, sig: `ed25519=${signature.toString("hex")}` } as Receipt;
}

/** Signs a whole chain again from `from` on, so that `prev` holds: a rewrite by a holder of the key. */
function rewrite(chain: readonly object[], key: SigningKey): Receipt[] {
  const made: Receipt[] = [];
  for (const [seq, record] of chain.entries()) {
    const prev =
      made.at(-1) === undefined ? (record as Receipt).prev : recordHash(made.at(-1) as Receipt);
    made.push(resign({ ...record, seq, prev }, key));
  }
  return made;
}

async function codes(
  lines: readonly (Receipt | string)[],
  keys: KeySet,
  more: Partial<VerifyOptions> = {},
): Promise<FindingCode[]> {
  return (await verifyReceipts(lines, { keys, ...more })).findings.map(({ code }) => code);
}

describe("a sound chain", () => {
  test("has no finding, is SEALED, and its decisions are recomputed under the policy", async () => {
    const { chain, key } = await soundRun();
    const report = await verifyReceipts(chain, { keys: keySet(key), policies: [policy] });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ result: "sound", recomputed: true, records: chain.length });
    expect(report.sequences).toEqual([
      { sequence_id: "s", verdict: "SEALED", records: chain.length, open_allows: [] },
    ]);
    expect(chain.map(({ kind }) => kind)).toEqual([
      "open",
      "decision",
      "outcome",
      "decision",
      "decision",
      "outcome",
      "decision",
      "outcome",
      "context",
      "seal",
    ]);
  });

  test("without its seal is OPEN, never SEALED: a missing tail cannot be excluded", async () => {
    const { chain, key } = await soundRun();
    for (let kept = 1; kept < chain.length; kept++) {
      const report = await verifyReceipts(chain.slice(0, kept), {
        keys: keySet(key),
        policies: [policy],
      });
      expect(report.sequences[0]?.verdict).toBe("OPEN");
      expect(report.result).toBe("sound");
    }
  });

  test("of a shadow gate is UNENFORCED", async () => {
    const { chain, key } = await soundRun({ mode: "shadow" });
    const report = await verifyReceipts(chain, { keys: keySet(key), policies: [policy] });
    expect(report.findings).toEqual([]);
    expect(report.sequences[0]?.verdict).toBe("UNENFORCED");
  });

  test("lists ALLOWs whose outcome nobody recorded", async () => {
    const { chain, key } = await soundRun();
    const report = await verifyReceipts(chain.slice(0, 2), { keys: keySet(key) });
    expect(report.sequences[0]?.open_allows).toEqual([recordHash(chain[1] as Receipt)]);
  });

  test("may be interleaved with others: chains are told apart by their sequence", async () => {
    const made = await soundRun();
    await made.gate.decide({ sequence_id: "other", tool: "get_order" });
    const lines = await sequenceLines(made.store);
    const shuffled = [
      lines[0] as string,
      lines.at(-2) as string,
      ...lines.slice(1, -2),
      lines.at(-1) as string,
    ];
    const report = await verifyReceipts(shuffled, { keys: keySet(made.key), policies: [policy] });
    expect(report.findings).toEqual([]);
    expect(report.sequences.map(({ verdict }) => verdict)).toEqual(["SEALED", "OPEN"]);
  });
});

describe("one line by itself", () => {
  const cases: readonly [FindingCode, string, (line: string) => string | Uint8Array][] = [
    ["UNREADABLE", "an empty line", () => ""],
    ["UNREADABLE", "a byte-order mark", (line) => `\ufeff${line}`],
    ["UNREADABLE", "bytes that are not UTF-8", () => Uint8Array.from([0x7b, 0xff, 0x7d])],
    ["UNREADABLE", "text that is not JSON", (line) => line.slice(0, -1)],
    ["UNREADABLE", "JSON that is no object", () => "[]"],
    ["UNREADABLE", "an endless line", () => " ".repeat(70_000)],
    [
      "DUPLICATE_MEMBER",
      "a member that stands twice",
      (line) => line.replace('{"', '{"decision":"DENY","'),
    ],
    [
      "DUPLICATE_MEMBER",
      "a member that stands twice in escapes",
      (line) => line.replace('{"', '{"\\u0064ecision":"DENY","'),
    ],
    ["NOT_CANONICAL", "white space", (line) => line.replace(",", ", ")],
    ["NOT_CANONICAL", "a carriage return", (line) => `${line}\r`],
    [
      "NOT_CANONICAL",
      "half a character, which has no canonical form",
      (line) => line.replace(',"function"', ',"ext":{"a":"\\ud800"},"function"'),
    ],
    [
      "NOT_CANONICAL",
      "half a character as a name",
      (line) => line.replace(',"function"', ',"ext":{"\\ud800":1},"function"'),
    ],
    [
      "NOT_CANONICAL",
      "an escape where none is needed",
      (line) => line.replace('"ALLOW"', '"\\u0041LLOW"'),
    ],
    [
      "NOT_CANONICAL",
      "members in another order",
      (line) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(line)).reverse())),
    ],
    [
      "UNKNOWN_VERSION",
      "another version",
      (line) => line.replace("stepgate.receipt/1", "stepgate.receipt/2"),
    ],
    [
      "UNKNOWN_VERSION",
      "an unknown kind",
      (line) => line.replace('"kind":"decision"', '"kind":"decisiom"'),
    ],
    [
      "UNKNOWN_MEMBER",
      "a member of no kind",
      (line) => line.replace(',"attempt"', ',"at":1,"attempt"'),
    ],
    [
      "UNKNOWN_MEMBER",
      "a member of another kind",
      (line) => line.replace(',"decision"', ',"by":"ana","decision"'),
    ],
    ["MALFORMED", "a missing member", (line) => line.replace(/"gate_id":"[^"]*",/, "")],
    ["MALFORMED", "null", (line) => line.replace(/"gate_id":"[^"]*"/, '"gate_id":null')],
    ["MALFORMED", "a wrong type", (line) => line.replace(/"seq":1/, '"seq":"1"')],
    [
      "MALFORMED",
      "an ALLOW with a deny code",
      (line) => line.replace(',"function"', ',"deny_code":"REPLAY_NONCE","function"'),
    ],
    [
      "MALFORMED",
      "an ALLOW without its permit's end",
      (line) => line.replace(/"permit_expires_ms":\d+,/, ""),
    ],
    ["MALFORMED", "no argument digest", (line) => line.replace(/"args_digest":"[^"]*",/, "")],
    [
      "MALFORMED",
      "upper-case hex",
      (line) =>
        line.replace(/"sig":"ed25519=[0-9a-f]*"/, (sig) =>
          sig.toUpperCase().replace('"SIG":"ED25519=', '"sig":"ed25519='),
        ),
    ],
    ["WEAK_EVIDENCE", "a stripped signature", (line) => line.replace(/"sig":"[^"]*",/, "")],
    [
      "UNKNOWN_KEY",
      "another key's name",
      (line) =>
        line.replace(/"key_id":"./, (id) => `${id.slice(0, -1)}${id.endsWith("A") ? "B" : "A"}`),
    ],
    [
      "BAD_SIGNATURE",
      "a changed function",
      (line) => line.replace('"function":"lookup"', '"function":"refund"'),
    ],
    ["BAD_SIGNATURE", "a changed time", (line) => line.replace(/"ts_ms":1/, '"ts_ms":2')],
    [
      "BAD_SIGNATURE",
      "a changed signature",
      (line) =>
        line.replace(
          /"sig":"ed25519=(.)/,
          (_, digit) => `"sig":"ed25519=${digit === "0" ? "1" : "0"}`,
        ),
    ],
  ];
  test.each(cases)("%s: %s", async (code, _name, change) => {
    const { chain, key } = await soundRun();
    const line = receiptLine(chain[1] as Receipt);
    const changed = change(line);
    expect(changed).not.toEqual(line);
    const report = await verifyReceipts([chain[0] as Receipt, changed, ...chain.slice(2)], {
      keys: keySet(key),
    });
    expect(report.findings[0]).toMatchObject({ code, line: 2 });
    expect(report.result).not.toBe("sound");
  });

  test("any changed byte of any line is found", async () => {
    const { chain, key } = await soundRun();
    const keys = keySet(key);
    for (const [index, receipt] of chain.entries()) {
      const bytes = Buffer.from(receiptLine(receipt));
      for (let at = 0; at < bytes.length; at += 7) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] as number) ^ (1 << (at % 8));
        const lines = chain.map((one, i) => (i === index ? changed : receiptLine(one)));
        const report = await verifyReceipts(lines, { keys });
        expect(report.findings.length, `byte ${at} of line ${index + 1}`).toBeGreaterThan(0);
      }
    }
  });
});

describe("keys", () => {
  test("a key that is not in the set leaves the file undecided, neither sound nor invalid", async () => {
    const { chain } = await soundRun();
    const report = await verifyReceipts(chain, { keys: keySet(generateSigningKey()) });
    expect(report.result).toBe("undecided");
    expect(report.sequences[0]?.verdict).toBe("UNDECIDED");
  });

  test.each([
    ["before nbf", { nbf: 99_999_999_999 }],
    ["after exp", { exp: 1_000 }],
    ["revoked, whatever time the record claims", { revoked_from: 99_999_999_999 }],
    ["a person's", { roles: ["finance"] }],
  ])("a key that is %s signs nothing", async (_name, window) => {
    const { chain, key } = await soundRun();
    const keys = importKeySet({ keys: [{ ...key.publicJwk, ...window }] });
    expect(new Set(await codes(chain, keys))).toEqual(new Set(["KEY_NOT_VALID"]));
  });

  test("nbf and exp include the first second and exclude the last", async () => {
    const { chain, key } = await soundRun({ clock: () => 5_000_000 });
    expect(
      await codes(chain, importKeySet({ keys: [{ ...key.publicJwk, nbf: 5_000, exp: 5_001 }] })),
    ).toEqual([]);
    expect(
      await codes(chain, importKeySet({ keys: [{ ...key.publicJwk, nbf: 4_000, exp: 5_000 }] })),
    ).not.toEqual([]);
  });

  test("an empty file is undecided", async () => {
    expect((await verifyReceipts([], { keys: keySet(generateSigningKey()) })).result).toBe(
      "undecided",
    );
  });

  test("a MAC holds only with its secret, and convinces nobody who requires a signature", async () => {
    const secret = randomBytes(32);
    const { chain } = await soundRun({
      hmacKey: { id: "mac-1", secret },
      signer: undefined as never,
    });
    const keys = keySet(generateSigningKey());
    expect(chain[0]?.hmac_sig).toBe(
      `sha256=${createHmac("sha256", secret)
        .update(signingInput(chain[0] as Receipt))
        .digest("hex")}`,
    );
    expect(new Set(await codes(chain, keys))).toEqual(new Set(["WEAK_EVIDENCE"]));
    expect(await codes(chain, keys, { require: "hmac", hmacKeys: { "mac-1": secret } })).toEqual(
      [],
    );
    expect(new Set(await codes(chain, keys, { require: "hmac" }))).toEqual(
      new Set(["UNKNOWN_KEY"]),
    );
    expect(
      new Set(
        await codes(chain, keys, { require: "hmac", hmacKeys: { "mac-1": randomBytes(32) } }),
      ),
    ).toEqual(new Set(["BAD_MAC"]));
  });

  test("beside a signature a MAC that can be checked must hold too", async () => {
    const secret = randomBytes(32);
    const { chain, key } = await soundRun({ hmacKey: { id: "mac-1", secret } });
    expect(await codes(chain, keySet(key), { hmacKeys: { "mac-1": secret } })).toEqual([]);
    expect(
      new Set(await codes(chain, keySet(key), { hmacKeys: { "mac-1": randomBytes(32) } })),
    ).toEqual(new Set(["BAD_MAC"]));
  });
});

describe("a chain whose every record is properly signed", () => {
  test("deleting any record in the middle is a GAP", async () => {
    const { chain, key } = await soundRun();
    for (let at = 0; at < chain.length - 1; at++) {
      const found = await codes(
        chain.filter((_, i) => i !== at),
        keySet(key),
      );
      expect(found[0]).toBe("GAP");
    }
  });

  test("a record that stands twice is DUPLICATE_SEQ, one that comes late is OUT_OF_ORDER", async () => {
    const { chain, key } = await soundRun();
    const [a, b, c, d, ...rest] = chain as [Receipt, Receipt, Receipt, Receipt, ...Receipt[]];
    expect(await codes([a, b, b, c, d, ...rest], keySet(key))).toEqual(["DUPLICATE_SEQ"]);
    expect(await codes([a, b, d, c, ...rest], keySet(key))).toEqual(["GAP", "OUT_OF_ORDER"]);
  });

  test("a record of another run at its place is CHAIN_BROKEN, a first one of another log or tenant WRONG_GENESIS", async () => {
    const key = generateSigningKey();
    const one = await soundRun({ signer: key });
    const two = await soundRun({ signer: key });
    expect(await codes([...one.chain.slice(0, 3), two.chain[3] as Receipt], keySet(key))).toEqual([
      "CHAIN_BROKEN",
    ]);
    const moved = resign({ ...one.chain[0], log_id: "another" }, key);
    const claimed = resign({ ...one.chain[0], tenant: "t" }, key);
    expect(await codes([moved], keySet(key))).toEqual(["WRONG_GENESIS"]);
    expect(await codes([claimed], keySet(key))).toEqual(["WRONG_GENESIS"]);
  });

  const rewrites: readonly [
    FindingCode,
    string,
    (chain: readonly Receipt[]) => readonly object[],
  ][] = [
    [
      "CHAIN_BROKEN",
      "time that falls",
      (chain) => [chain[0], { ...chain[1], ts_ms: 1 }] as object[],
    ],
    [
      "CHAIN_BROKEN",
      "a chain without an opening",
      (chain) => [{ ...chain[1], prev: chain[0]?.prev }] as object[],
    ],
    ["CHAIN_BROKEN", "a second opening", (chain) => [chain[0], { ...chain[0] }] as object[]],
    [
      "CHAIN_BROKEN",
      "another owner's decision",
      (chain) => [chain[0], { ...chain[1], agent_id: "b" }] as object[],
    ],
    [
      "CHAIN_BROKEN",
      "a decision without the owner",
      (chain) => [chain[0], without(chain[1], "agent_id")] as object[],
    ],
    [
      "CHAIN_BROKEN",
      "another mode",
      (chain) =>
        [chain[0], without({ ...chain[1], mode: "shadow" }, "permit_expires_ms")] as object[],
    ],
    ["AFTER_SEAL", "an ALLOW after the seal", (chain) => [...chain, { ...chain[1], nonce: "n9" }]],
    ["AFTER_SEAL", "context after the seal", (chain) => [...chain, { ...chain[8] }]],
    ["AFTER_SEAL", "a second seal by a person", (chain) => [...chain, { ...chain[9] }]],
    [
      "DUPLICATE_NONCE",
      "a nonce used twice",
      (chain) => [...chain.slice(0, 3), { ...chain[3], nonce: "n1" }],
    ],
    [
      "OUTCOME_MISMATCH",
      "an outcome of nothing",
      (chain) => [chain[0], { ...chain[2], decision_hash: `sha256:${"0".repeat(64)}` }] as object[],
    ],
    ["OUTCOME_MISMATCH", "a second outcome", (chain) => [...chain.slice(0, 3), { ...chain[2] }]],
    [
      "OUTCOME_MISMATCH",
      "a resume of what was not interrupted",
      (chain) => [...chain.slice(0, 5), { ...chain[5], status: "failed" }, chain[6]] as object[],
    ],
    [
      "OUTCOME_MISMATCH",
      "a resume with other arguments",
      (chain) =>
        [
          ...chain.slice(0, 6),
          {
            ...chain[6],
            args_digest: chain[1] && "args_digest" in chain[1] ? chain[1].args_digest : "",
          },
        ] as object[],
    ],
    [
      "POLICY_MISMATCH",
      "a decision under another policy",
      (chain) => [chain[0], { ...chain[1], policy_digest: `sha256:${"1".repeat(64)}` }] as object[],
    ],
    [
      "DECISION_MISMATCH",
      "an ALLOW that the order refuses",
      (chain) => [chain[0], without({ ...chain[4] }, "resumes")] as object[],
    ],
    [
      "DECISION_MISMATCH",
      "a denial for another reason",
      (chain) => [
        ...chain.slice(0, 3),
        { ...chain[3], deny_code: "ACTION_NOT_ALLOWED", rule: "functions.settle.actions" },
      ],
    ],
    [
      "DECISION_MISMATCH",
      "a denial by another rule",
      (chain) => [...chain.slice(0, 3), { ...chain[3], rule: "constraints.0" }],
    ],
    [
      "DECISION_MISMATCH",
      "a tool that stands for another function",
      (chain) => [chain[0], { ...chain[1], function: "refund", step: "refund" }] as object[],
    ],
    [
      "DECISION_MISMATCH",
      "a seal where the sequence goes on",
      (chain) => [chain[0], { ...chain[1], sealed: true }] as object[],
    ],
  ];
  test.each(rewrites)("%s: %s", async (code, _name, change) => {
    const { chain, key } = await soundRun();
    const forged = rewrite(change(chain), key);
    const found = await codes(forged, keySet(key), { policies: [policy] });
    expect(found).toContain(code);
    expect(found.at(-1)).toBe(code);
  });

  test("the sealing ALLOW may still end, and come back, after its own seal", async () => {
    const { gate, key, receipts } = await openTestGate({
      ...document,
      sequence: "lookup, refund",
      functions: { lookup: ["READ"], refund: ["WRITE_DB"] },
    });
    await gate.decide({ sequence_id: "s", tool: "get_order" });
    const call = { sequence_id: "s", function: "refund", action_type: "WRITE_DB", nonce: "n" };
    await gate
      .enforce(call, () => Promise.reject(new Error("later")), { interrupted: () => true })
      .catch(() => {});
    await gate.enforce(call, () => "done");
    const report = await verifyReceipts(await receipts("s"), { keys: keySet(key) });
    expect(report).toMatchObject({ result: "sound", sequences: [{ verdict: "SEALED" }] });
  });

  test("a policy that is not the pinned one is POLICY_MISMATCH", async () => {
    const { chain, key } = await soundRun();
    const other: CompiledPolicy = compilePolicy({ ...document, version: "2" });
    expect(await codes(chain, keySet(key), { policies: [other] })).toContain("POLICY_MISMATCH");
  });
});

describe("a file", () => {
  test("is read in chunks of any size, and must end in a line feed", async () => {
    const { chain, key } = await soundRun();
    const bytes = Buffer.from(chain.map((receipt) => `${receiptLine(receipt)}\n`).join(""));
    for (const size of [1, 7, 1000, bytes.length]) {
      const report = await verifyFile(chunks(bytes, size), { keys: keySet(key) });
      expect(report).toMatchObject({ result: "sound", records: chain.length });
    }
    const cut = await verifyFile(chunks(bytes.subarray(0, -1), 100), { keys: keySet(key) });
    expect(cut.findings).toEqual([
      expect.objectContaining({ code: "UNREADABLE", line: chain.length }),
    ]);
    // What was not written to its end has no record in it: neither its own finding nor what it would have changed.
    expect(cut.sequences[0]).toMatchObject({ records: chain.length - 1 });
    const padded = await verifyFile(chunks(Buffer.concat([bytes, Buffer.from("\n")]), 100), {
      keys: keySet(key),
    });
    expect(padded.findings).toEqual([
      expect.objectContaining({ code: "UNREADABLE", line: chain.length + 1 }),
    ]);
  });
});

test("a file without line feeds is one unreadable line, however long, and what follows is read again", async () => {
  const { chain, key } = await soundRun();
  const lines = chain.map((receipt) => `${receiptLine(receipt)}\n`).join("");
  const endless = Buffer.from(`${"x".repeat(1_000_000)}\n${lines}`);
  const report = await verifyFile(chunks(endless, 10_000), { keys: keySet(key) });
  expect(report.findings).toEqual([expect.objectContaining({ code: "UNREADABLE", line: 1 })]);
  expect(report.records).toBe(chain.length + 1);
  const unended = await verifyFile(chunks(endless.subarray(0, 900_000), 10_000), {
    keys: keySet(key),
  });
  expect(unended.findings.map(({ code, line }) => [code, line])).toEqual([["UNREADABLE", 1]]);
});

test("a PEM key signs what its JWK verifies", () => {
  const key = generateSigningKey();
  const pem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  expect(createPrivateKey(pem).asymmetricKeyType).toBe("ed25519");
});

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function without(record: object | undefined, member: string): object {
  const { [member]: _, ...rest } = (record ?? {}) as Record<string, unknown>;
  return rest;
}
