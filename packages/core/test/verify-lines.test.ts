/** A file's report, whole: what is told of each line and at the end, and who is told, whichever way the lines come. */
import { createHmac, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { originOf, signCheckpoint } from "../src/checkpoint.ts";
import { genesisHash } from "../src/digest.ts";
import type { Finding } from "../src/finding.ts";
import { importKeySet } from "../src/key-set.ts";
import { merkleTree } from "../src/merkle.ts";
import { leafOf, type Receipt, receiptLine, recordHash, signingInput } from "../src/receipt.ts";
import { checkSignature } from "../src/signature-check.ts";
import { generateSigningKey } from "../src/signing-key.ts";
import { createVerifier, verifyFile, verifyReceipts } from "../src/verify.ts";
import { createChains } from "../src/verify-chains.ts";
import { createLineVerifier, type SequenceReport } from "../src/verify-lines.ts";
import { policyByHand } from "./chain-by-hand.ts";

const NOON = 1_800_000_000_000;
const key = generateSigningKey();
const stranger = generateSigningKey();
const keys = importKeySet({ keys: [key.publicJwk] });
/** The root of a log without records. */
const NOTHING = merkleTree([]).root;
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const pinned = { policy_id: "p", policy_version: "1", policy_digest: digest("1"), mode: "enforce" };

type Draft = object | ((before: string) => object);

/** A chain signed record by record; a draft may ask for the hash of the record before it. */
function chain(sequence_id: string, drafts: readonly Draft[], by = key): readonly Receipt[] {
  let prev = genesisHash({ log_id: "log-1", sequence_id });
  return drafts.map((draft, seq) => {
    const place = { log_id: "log-1", sequence_id, seq, prev, ts_ms: NOON, gate_id: "g" };
    const members = typeof draft === "function" ? draft(prev) : draft;
    const body = { v: "stepgate.receipt/1", ...place, ...members, key_id: by.keyId } as Receipt;
    const signature = sign(null, Buffer.from(signingInput(body)), by.privateKey);
    prev = recordHash(body);
    return { ...body, sig: `ed25519=${signature.toString("hex")}` } as Receipt;
  });
}

const open = { kind: "open", ...pinned };
const allow = {
  kind: "decision",
  decision: "ALLOW",
  ...pinned,
  step: "f",
  function: "f",
  action_type: "DO",
  nonce: "n",
  attempt: "A".repeat(22),
  request_ts_ms: NOON,
  args_digest: `hmac-sha256:${"0".repeat(64)}`,
  permit_expires_ms: NOON + 1,
};
const ended = (decision_hash: string): object => {
  return { kind: "outcome", decision_hash, status: "succeeded" };
};
const seal = { kind: "seal", sealed: true, by: "ana", reason: "done" };

const sealed = chain("sealed", [open, allow, ended, seal]);
const running = chain("running", [open, { ...allow, nonce: "m" }, allow, ended]);
const shadow = chain("shadow", [{ ...open, mode: "shadow" }]);
const unknown = chain("unknown", [open, allow], stranger);
const bent = chain("bent", [open, allow, ended]).with(1, {
  ...(chain("bent", [open, allow])[1] as Receipt),
  ts_ms: NOON + 1,
});
const BAD = { code: "BAD_SIGNATURE", message: "the signature does not belong to this record" };

/** What the last file's report is to be. */
const lines = [...sealed, ...running, ...shadow, ...unknown, ...bent];
const unknownKey = { code: "UNKNOWN_KEY", message: `key '${stranger.keyId}' is not trusted` };
const findings = [
  { ...unknownKey, line: 10, sequence_id: "unknown", seq: 0 },
  { ...unknownKey, line: 11, sequence_id: "unknown", seq: 1 },
  { ...BAD, line: 13, sequence_id: "bent", seq: 1 },
  {
    code: "CHAIN_BROKEN",
    message: "prev is not the record before",
    line: 14,
    sequence_id: "bent",
    seq: 2,
  },
];
const sequences = [
  { sequence_id: "sealed", verdict: "SEALED", records: 4, open_allows: [] },
  {
    sequence_id: "running",
    verdict: "OPEN",
    records: 4,
    open_allows: [recordHash(running[1] as Receipt)],
  },
  { sequence_id: "shadow", verdict: "UNENFORCED", records: 1, open_allows: [] },
  {
    sequence_id: "unknown",
    verdict: "UNDECIDED",
    records: 2,
    open_allows: [recordHash(unknown[1] as Receipt)],
    first_finding: { line: 10, code: "UNKNOWN_KEY" },
  },
  {
    sequence_id: "bent",
    verdict: "INVALID",
    records: 3,
    open_allows: [recordHash(bent[1] as Receipt)],
    first_finding: { line: 13, code: "BAD_SIGNATURE" },
  },
];
const summary = {
  records: 14,
  found: { UNKNOWN_KEY: 2, BAD_SIGNATURE: 1, CHAIN_BROKEN: 1 },
  verdicts: { INVALID: 1, UNDECIDED: 1, UNENFORCED: 1, SEALED: 1, OPEN: 1 },
  open_allows: 3,
  recomputed: false,
  result: "invalid",
};

const bytesOf = (records: readonly Receipt[]): Buffer =>
  Buffer.from(records.map((record) => `${receiptLine(record)}\n`).join(""));

async function* chunks(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("a report", () => {
  test("is the same of records, of lines, of bytes, of a file in chunks, and line by line", async () => {
    const expected = { ...summary, findings, sequences };
    const texts = lines.map((record) => receiptLine(record));
    const one = createVerifier({ keys });
    const told = texts.map((text) => one.line(text));
    for (const report of [
      await verifyReceipts(lines, { keys }),
      await verifyReceipts(texts, { keys }),
      await verifyReceipts(
        texts.map((text) => Buffer.from(text)),
        { keys },
      ),
      await verifyFile(chunks(bytesOf(lines)), { keys }),
      one.report(),
      one.report(),
    ])
      expect(report).toStrictEqual(expected);
    expect(told.filter((finding) => finding !== undefined)).toStrictEqual(findings);
  });

  test("is told one by one to whoever takes it, and then collects nothing", async () => {
    const taken: (Finding | SequenceReport)[] = [];
    const take = {
      finding: (one: Finding) => void taken.push(one),
      sequence: (one: SequenceReport) => void taken.push(one),
    };
    for (const verify of [
      () => verifyReceipts(lines, { keys, ...take }),
      () => verifyFile(chunks(bytesOf(lines)), { keys, ...take }),
    ]) {
      taken.length = 0;
      expect(await verify()).toStrictEqual({ ...summary, findings: [], sequences: [] });
      expect(taken).toStrictEqual([...findings, ...sequences]);
    }
  });

  test("says which records have no finding of their own, with their hashes", async () => {
    const sound: unknown[] = [];
    const record = (receipt: Receipt, hash: string): void => void sound.push([receipt, hash]);
    await verifyReceipts([...bent, "", ...running], { keys, record });
    expect(sound).toEqual([bent[0], ...running].map((one) => [one, recordHash(one as Receipt)]));
  });

  test("is undecided of nothing, and of what only lacks a key", async () => {
    const nothing = await verifyReceipts([], { keys });
    expect(nothing).toMatchObject({ records: 0, result: "undecided", found: {}, sequences: [] });
    expect((await verifyReceipts(unknown, { keys })).result).toBe("undecided");
    expect((await verifyReceipts(sealed, { keys })).result).toBe("sound");
    const last = chain("unknown", [open, allow, ended])[2] as Receipt;
    const both = await verifyReceipts([unknown[0] as Receipt, last], { keys });
    expect([both.result, both.sequences[0]?.verdict]).toEqual(["invalid", "INVALID"]);
  });

  test("names of what cannot be read the line, and of what is no record its place where it has one", async () => {
    const [first = "", second = "", ...rest] = sealed.map((one) => receiptLine(one));
    const nameless = second.replace('"gate_id":"g"', '"gate_id":""');
    const { note } = await signCheckpoint(
      { origin: originOf("log-1"), size: 0, root: NOTHING },
      key,
    );
    for (const checkpoints of [[], [note]])
      expect(
        (await verifyReceipts(["", first, nameless, ...rest], { keys, checkpoints })).findings,
      ).toStrictEqual([
        { code: "UNREADABLE", message: "an empty line", line: 1 },
        {
          code: "MALFORMED",
          message: "'gate_id' has the wrong form",
          line: 3,
          sequence_id: "sealed",
          seq: 1,
        },
        {
          code: "CHAIN_BROKEN",
          message: "prev is not the record before",
          line: 4,
          sequence_id: "sealed",
          seq: 2,
        },
      ]);
  });

  test("is by the MACs whose secrets are given", async () => {
    const secret = Buffer.alloc(32, 7);
    const [body] = chain("mac", [{ ...open, hmac_key_id: "mac-1" }]) as readonly [Receipt];
    const mac = createHmac("sha256", secret).update(signingInput(body)).digest("hex");
    const record = { ...body, hmac_sig: `sha256=${mac}` };
    for (const [hmacKeys, result] of [
      [{ "mac-1": secret }, "sound"],
      [{ "mac-1": Buffer.alloc(32, 8) }, "invalid"],
      [{}, "undecided"],
    ] as const)
      expect((await verifyReceipts([record], { keys, require: "hmac", hmacKeys })).result).toBe(
        result,
      );
  });
});

describe("the last line of a file", () => {
  const halved = {
    code: "UNREADABLE",
    message: "the last line does not end in a line feed",
    line: 4,
  };

  test("must end in a line feed, and is not read where it does not", async () => {
    const bytes = bytesOf(sealed).subarray(0, -1);
    const report = await verifyFile(chunks(bytes), { keys });
    expect(report.findings).toStrictEqual([halved]);
    expect(report).toMatchObject({ records: 4, found: { UNREADABLE: 1 }, result: "invalid" });
    const one = createVerifier({ keys });
    for (const record of sealed.slice(0, 3)) one.line(receiptLine(record));
    expect(one.unterminated()).toStrictEqual(halved);
    expect(one.report()).toStrictEqual(report);
  });

  test("is told how far it is, in bytes", async () => {
    const told: number[] = [];
    const bytes = bytesOf(sealed);
    await verifyFile(chunks(bytes), { keys, progress: (read) => void told.push(read) });
    expect(told).toEqual([1000, 2000, bytes.length].filter((read) => read <= bytes.length));
  });
});

describe("under given policies", () => {
  const policy = policyByHand({ digest: digest("1") });

  test("decisions are decided again, and the report says so", async () => {
    const report = await verifyReceipts(sealed, { keys, policies: [policy] });
    expect(report).toMatchObject({ findings: [], recomputed: true });
    const other = policyByHand({ digest: digest("2") });
    const { findings: found } = await verifyReceipts(sealed, { keys, policies: [other] });
    expect(found[0]).toMatchObject({ code: "POLICY_MISMATCH", line: 1 });
    expect((await verifyReceipts(sealed, { keys, policies: [other, policy] })).findings).toEqual(
      [],
    );
  });
});

describe("where the file has `@log`", () => {
  const active = (policy_digest: string): object => {
    return { kind: "policy", ...pinned, policy_digest, status: "active" };
  };
  const late = {
    code: "POLICY_MISMATCH",
    message: "was opened under a policy that was not active then",
    seq: 0,
  };

  test("a sequence opened under a policy that was not active then is found at the end", async () => {
    const log = chain("@log", [active(digest("2"))]);
    const report = await verifyReceipts([...running, ...log, ...bent], { keys });
    expect(report.findings).toStrictEqual([
      { ...BAD, line: 7, sequence_id: "bent", seq: 1 },
      { ...findings[3], line: 8 },
      { ...late, line: 1, sequence_id: "running" },
      { ...late, line: 6, sequence_id: "bent" },
    ]);
    expect(report.found).toEqual({ BAD_SIGNATURE: 1, CHAIN_BROKEN: 1, POLICY_MISMATCH: 2 });
    const byLines = createVerifier({ keys });
    for (const record of [...running, ...log, ...bent]) byLines.line(receiptLine(record));
    expect(byLines.report()).toStrictEqual(report);
    expect(report.sequences.map(({ verdict, first_finding }) => [verdict, first_finding])).toEqual([
      ["INVALID", { line: 1, code: "POLICY_MISMATCH" }],
      ["INVALID", { line: 7, code: "BAD_SIGNATURE" }],
    ]);
    expect(report.verdicts).toMatchObject({ INVALID: 2, OPEN: 0 });
  });

  test("nothing more is found of one that was active, nor of an opening with a finding of its own", async () => {
    const log = chain("@log", [active(digest("1"))]);
    expect((await verifyReceipts([...log, ...running], { keys })).result).toBe("sound");
    const other = chain("@log", [active(digest("2"))]);
    const report = await verifyReceipts([...other, ...unknown], { keys });
    expect(report.findings.map(({ code }) => code)).toEqual(["UNKNOWN_KEY", "UNKNOWN_KEY"]);
    expect(report.sequences.map(({ verdict }) => verdict)).toEqual(["UNDECIDED"]);
  });

  test("nor of a sequence that was never opened", async () => {
    const other = chain("@log", [active(digest("2"))]);
    const report = await verifyReceipts([...other, running[1] as Receipt], { keys });
    expect(report.findings.map(({ code }) => code)).toEqual(["GAP"]);
    expect(report.sequences).toMatchObject([{ verdict: "INVALID", open_allows: [] }]);
  });

  test("its own findings make no sequence", async () => {
    const report = await verifyReceipts(chain("@log", [active(digest("2"))], stranger), { keys });
    expect(report).toMatchObject({ result: "undecided", sequences: [], found: { UNKNOWN_KEY: 1 } });
  });
});

describe("against checkpoints", () => {
  const { root } = merkleTree(sealed.map((one) => leafOf(recordHash(one))));
  const head = { origin: originOf("log-1"), size: 4, root };

  test("the report says what the file is to each, after all else that is found", async () => {
    const { note } = await signCheckpoint(head, key);
    const twin = await signCheckpoint({ ...head, size: 5 }, key);
    const checkpoints = [note, twin.note];
    const report = await verifyReceipts([...sealed, ...bent.slice(0, 2)], { keys, checkpoints });
    expect(report.checkpoints).toStrictEqual([
      { ...head, result: "HOLDS" },
      { ...head, size: 5, result: "FORK" },
    ]);
    expect(report.findings).toMatchObject([
      { code: "BAD_SIGNATURE", line: 6 },
      { code: "FORK", line: 5 },
    ]);
    expect(report.found).toEqual({ BAD_SIGNATURE: 1, FORK: 1 });
    expect(report.sequences.map(({ verdict }) => verdict)).toEqual(["SEALED", "INVALID"]);
  });

  test("a record of another log makes its sequence invalid", async () => {
    const { note } = await signCheckpoint({ ...head, origin: originOf("log-2") }, key);
    const report = await verifyReceipts(shadow, { keys, checkpoints: [note] });
    expect(report.findings[0]).toMatchObject({ code: "FORK", line: 1, sequence_id: "shadow" });
    expect(report.sequences[0]?.verdict).toBe("INVALID");
  });

  test("an older one believes what was signed by a key that was revoked since, up to its size", async () => {
    const { note } = await signCheckpoint(head, key);
    const revoked = importKeySet({ keys: [{ ...key.publicJwk, revoked_from: 100 }] });
    const codes = async (kept_since: number): Promise<readonly unknown[]> => {
      const given = { keys: revoked, checkpoints: [{ note, kept_since }] };
      const report = await verifyReceipts([...sealed, ...shadow], given);
      return report.findings.map(({ code, line }) => `${line} ${code}`);
    };
    expect(await codes(99)).toEqual(["5 KEY_NOT_VALID"]);
    expect(await codes(100)).toHaveLength(5);
    const { findings: found } = await verifyReceipts(shadow, { keys: revoked });
    expect(found.map(({ code }) => code)).toEqual(["KEY_NOT_VALID"]);
  });
});

test("chains are put aside between lines, and come back as they were", () => {
  const aside = new Map<string, readonly [from: number, packed: string]>();
  const spill = {
    save: (id: string, from: number, packed: string) => void aside.set(id, [from, packed]),
    load: (id: string) => aside.get(id)?.[1],
    all: () =>
      [...aside].sort(([, [a]], [, [b]]) => a - b).map(([id, [, packed]]) => [id, packed] as const),
  };
  const verifier = createLineVerifier(
    { keys },
    (policies) => createChains(policies, spill, 1),
    checkSignature,
  );
  for (const record of [sealed[0], running[0], ...sealed.slice(1), ...running.slice(1)])
    expect(verifier.line(receiptLine(record as Receipt))).toBeUndefined();
  expect([...aside.keys()]).toEqual(["sealed", "running"]);
  expect([...verifier.end()].map((one) => one.kind === "sequence" && one.sequence)).toEqual(
    sequences.slice(0, 2),
  );
});
