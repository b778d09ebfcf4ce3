/** `stepgate receipts --format in-toto`: attestations that Sigstore's verifier believes, of sound records alone. */
import { readFileSync } from "node:fs";
import { generateSigningKey, importKeySet, recordHash } from "@stepgate/core";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import { describe, expect, test } from "vitest";
import { type Envelope, signEnvelope } from "../src/dsse.ts";
import { stepgate } from "./binary.ts";
import { folderOfReceipts, program } from "./folder-of-receipts.ts";

const linesOf = (text: string): readonly string[] => text.split("\n").slice(0, -1);

/** Sigstore's own verifier with the keys of a JWKS, without its transparency log. */
function verifierFor(jwks: string) {
  const keys = importKeySet(JSON.parse(readFileSync(jwks, "utf8")));
  const none = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
  const trust = toTrustMaterial({ mediaType: "", ...none }, (keyid) => {
    const key = keys.get(keyid)?.key;
    if (key === undefined) throw new Error(`key not found: ${keyid}`);
    return { publicKey: key, validFor: () => true };
  });
  const verifier = new Verifier(trust, {
    tlogThreshold: 0,
    ctlogThreshold: 0,
    timestampThreshold: 0,
  });
  return (envelope: Envelope): void => {
    const bundle = bundleFromJSON({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { publicKey: { hint: envelope.signatures[0].keyid }, tlogEntries: [] },
      dsseEnvelope: envelope,
    });
    verifier.verify(toSignedEntity(bundle));
  };
}

function envelopesOf(text: string): readonly Envelope[] {
  return linesOf(text).map((line) => JSON.parse(line));
}

const payloadOf = ({ payload }: Envelope): string => Buffer.from(payload, "base64").toString();

describe("an export as in-toto", () => {
  test("is an envelope a record, under the export key, as Sigstore's verifier finds", async () => {
    const { inToto, receipts, at } = await folderOfReceipts();
    const { code, stdout, stderr } = await inToto();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const envelopes = envelopesOf(stdout);
    const records = linesOf((await receipts()).stdout);
    expect(envelopes).toHaveLength(records.length);
    const verify = verifierFor(at("export/keys.json"));
    for (const envelope of envelopes) verify(envelope);
    expect(new Set(envelopes.map(({ signatures }) => signatures.length))).toEqual(new Set([1]));
  });

  test("states of each record its hash, and holds the record as it stands, byte for byte", async () => {
    const { inToto, receipts } = await folderOfReceipts();
    const records = linesOf((await receipts()).stdout);
    const kinds = new Set(records.map((line) => JSON.parse(line).kind));
    expect(kinds).toEqual(
      new Set(["policy", "open", "decision", "outcome", "approval", "context", "seal"]),
    );
    expect(records.filter((line) => line.includes('"batch":{'))).toHaveLength(4);
    for (const [index, envelope] of envelopesOf((await inToto()).stdout).entries()) {
      const line = records[index] ?? "";
      const record = JSON.parse(line);
      expect(envelope.payloadType).toBe("application/vnd.in-toto+json");
      expect(JSON.parse(payloadOf(envelope))).toEqual({
        _type: "https://in-toto.io/Statement/v1",
        subject: [
          {
            name: `${record.log_id}/${record.sequence_id}/${record.seq}`,
            digest: { sha256: recordHash(record).replace("sha256:", "") },
            annotations: { mode: "enforce" },
          },
        ],
        predicateType: "https://stepgate.dev/receipt/v1",
        predicate: record,
      });
      expect(payloadOf(envelope)).toContain(`"predicate":${line},`);
    }
  });

  test("marks every record of a shadow run, also those that do not say it themselves", async () => {
    const { inToto } = await folderOfReceipts("shadow");
    const statements = envelopesOf((await inToto()).stdout).map((one) =>
      JSON.parse(payloadOf(one)),
    );
    expect(statements.map(({ predicate }) => predicate.kind)).toContain("outcome");
    for (const { subject } of statements)
      expect(subject[0].annotations).toEqual({ mode: "shadow" });
  });

  test.each<readonly [string, (envelope: Envelope) => Envelope]>([
    [
      "another payload",
      (one) => ({
        ...one,
        payload: Buffer.from(payloadOf(one).replace("stepgate.dev", "stepgate.org")).toString(
          "base64",
        ),
      }),
    ],
    ["another payload type", (one) => ({ ...one, payloadType: "application/json" })],
    ["another key", (one) => ({ ...one, signatures: [{ ...one.signatures[0], keyid: "other" }] })],
  ])("is not believed with %s", async (_, change) => {
    const { inToto, at } = await folderOfReceipts();
    const verify = verifierFor(at("export/keys.json"));
    const [first] = envelopesOf((await inToto()).stdout);
    if (first === undefined) throw new Error("nothing was exported");
    verify(first);
    expect(() => verify(change(first))).toThrow(/verification failed|key not found/);
  });

  test("of one sequence is that sequence alone", async () => {
    const { inToto } = await folderOfReceipts();
    const { code, stdout } = await inToto("--sequence", "b");
    expect(code).toBe(0);
    const names = envelopesOf(stdout).map((one) => JSON.parse(payloadOf(one)).subject[0].name);
    expect(names.map((name) => name.replace(/^[^/]+/, "log"))).toEqual(["log/b/0", "log/b/1"]);
    expect(await inToto("--sequence", "d")).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("there is no sequence 'd'"),
    });
    expect(linesOf((await inToto("--sequence", "@log")).stdout)).toHaveLength(1);
  });

  test("is refused under the gate's signing key and under an approver's, before anything is written", async () => {
    const { receipts, trust, at } = await folderOfReceipts();
    for (const key of [at(".stepgate/signing-key.pem"), at("alice.pem")])
      expect(await receipts("--format", "in-toto", "--key", key, ...trust)).toEqual({
        code: 2,
        stdout: "",
        stderr: expect.stringContaining(`${key}: is a key of the receipts (`),
      });
  });

  test("needs a key, which others cannot read", async () => {
    const { receipts, trust, at } = await folderOfReceipts();
    expect(await receipts("--format", "in-toto", ...trust)).toMatchObject({
      code: 2,
      stderr: "receipts: --format in-toto is signed: name the exporter's private key with --key\n",
    });
    expect(await receipts("--format", "in-toto", "--key", at("none.pem"), ...trust)).toMatchObject({
      code: 2,
      stderr: `${at("none.pem")}: no such file or folder\n`,
    });
    const open = at("export/keys.json");
    expect((await receipts("--format", "in-toto", "--key", open, ...trust)).stderr).toContain(
      "is open to others (mode 0644)",
    );
  });

  test("is refused where a record was changed, one is missing, or a key is: nothing at all is written", async () => {
    const changed = await folderOfReceipts();
    changed.tamper(`UPDATE record SET line = replace(line, '"reason":"over"', '"reason":"Over"')`);
    expect(await changed.inToto()).toEqual({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(
        /: BAD_SIGNATURE \(a #\d+\): .*\n.*: invalid, so nothing was exported as in-toto; see stepgate verify\n$/,
      ),
    });
    // The other sequence is whole, and does not answer for the first.
    expect(await changed.inToto("--sequence", "b")).toMatchObject({ code: 0, stderr: "" });
    const gap = await folderOfReceipts();
    gap.tamper(
      `DELETE FROM record WHERE sequence = (SELECT id FROM sequence WHERE name = 'a') AND seq = 2`,
    );
    expect(await gap.inToto("--json")).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('"code":"GAP"'),
    });
    expect(linesOf((await gap.inToto("--json")).stdout)).toHaveLength(1);
    const { receipts, at } = await folderOfReceipts();
    const key = ["--key", at("export/signing-key.pem"), "--keys", at("export/keys.json")];
    await program("keys", "new", at("other"));
    key[3] = at("other/keys.json");
    expect(await receipts("--format", "in-toto", ...key)).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("undecided, so nothing was exported"),
    });
  });

  test("is refused for one sequence where the log's own chain is not sound", async () => {
    const { inToto, tamper } = await folderOfReceipts();
    tamper(
      `UPDATE record SET line = replace(line, '"active"', '"withdrawn"') WHERE sequence = (SELECT id FROM sequence WHERE name = '@log')`,
    );
    expect(await inToto("--sequence", "b")).toMatchObject({ code: 1, stdout: "" });
  });

  test("takes the trusted keys from the key folder, approvers included, where none are named", async () => {
    const { at } = await folderOfReceipts();
    const key = "export/signing-key.pem";
    const { code, stdout, stderr } = await stepgate(at("."), [
      "receipts",
      "--format",
      "in-toto",
      "--key",
      key,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(
      (await stepgate(at("."), ["receipts", "--format", "in-toto", "--key", key, "--json"])).stdout,
    );
  });
});

describe("an envelope", () => {
  test("is signed over the encoding that DSSE publishes", async () => {
    let signed = "";
    const sign = (input: Uint8Array): Uint8Array => {
      signed = Buffer.from(input).toString();
      return new Uint8Array(64);
    };
    await signEnvelope("http://example.com/HelloWorld", "hello world", { keyId: "k", sign });
    expect(signed).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    await signEnvelope("é", "ü€", { keyId: "k", sign });
    expect(signed).toBe("DSSEv1 2 é 5 ü€");
  });

  test("names its key by the RFC 7638 thumbprint", async () => {
    const key = generateSigningKey();
    const envelope = await signEnvelope("text/plain", "x", key);
    expect(envelope.signatures[0].keyid).toBe(key.publicJwk.kid);
  });
});
