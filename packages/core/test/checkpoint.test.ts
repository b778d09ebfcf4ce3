/** Signed notes, checkpoints and proofs of inclusion, as C2SP has them: the public examples, and every way to bend one. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkpointText, parseHead, readCheckpoint, signCheckpoint } from "../src/checkpoint.ts";
import { formatProof, parseProof, verifyProof } from "../src/inclusion-proof.ts";
import { generateSigningKey, importKeySet, type KeySet, type PublicJwk } from "../src/index.ts";
import { merkleTree } from "../src/merkle.ts";
import { noteKeyId, openNote, parseNote, signNote } from "../src/signed-note.ts";
import { hasVectors, readVector } from "./public-vectors.ts";

const NOTES = "c2sp-notes";
const key = generateSigningKey();
const other = generateSigningKey();
const trusted = keySet(key.publicJwk);
const head = { origin: "stepgate/log-1", size: 3, root: "ab".repeat(32) };

describe("the public examples of C2SP", () => {
  test.skipIf(!hasVectors(NOTES))(
    "the signed note verifies under its key, by name and key id",
    () => {
      const { vkey, signed_note } = JSON.parse(readVector(`${NOTES}/signed-note-example.json`));
      const [, name = "", id = "", encoded = ""] = /^(.+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
      const bytes = Buffer.from(encoded, "base64");
      expect(bytes[0]).toBe(1);
      const jwk = jwkOf(bytes.subarray(1));
      expect(noteKeyId(name, jwk)).toBe(id);
      expect(openNote(signed_note, name, keySet(jwk))).toBe("This is an example message.\n");
      expect(() =>
        openNote(signed_note.replace("example m", "examp1e m"), name, keySet(jwk)),
      ).toThrow("does not belong to this note");
      expect(() => openNote(signed_note, name, trusted)).toThrow("no trusted key");
    },
  );

  test.skipIf(!hasVectors(NOTES))("the checkpoint is read, and written back to the byte", () => {
    const examples = JSON.parse(readVector(`${NOTES}/checkpoint-examples.json`));
    const { checkpoint, origin, size } = examples[0];
    const { text, signatures } = parseNote(checkpoint);
    expect(parseHead(text)).toMatchObject({ origin, size });
    expect(checkpointText(parseHead(text))).toBe(text);
    expect(signatures.map(({ name }) => name)).toEqual([origin]);
    expect(examples[1].cosigned_message.endsWith(text)).toBe(true);
    expect(() => readCheckpoint(checkpoint, trusted)).toThrow("no trusted key");
  });

  test.skipIf(!hasVectors(NOTES))("the smallest proof is written and read to the byte", () => {
    const [text] = JSON.parse(readVector(`${NOTES}/checkpoint-examples.json`))[2]
      .tlog_proof_marshal;
    const proof = { index: 0, path: [], checkpoint: "checkpoint\n" };
    expect(formatProof(proof)).toBe(text);
    expect(parseProof(text)).toEqual(proof);
  });
});

describe("a signed note", () => {
  test("is its text, an empty line, and a signature line of name, key id and signature", async () => {
    const note = await signNote("one\n\ntwo\n", "a/b", key);
    const [line = ""] = note.split("\n").slice(-2);
    expect(note).toBe(`one\n\ntwo\n\n${line}\n`);
    const [dash, name, encoded = ""] = line.split(" ");
    expect([dash, name]).toEqual(["\u2014", "a/b"]);
    const bytes = Buffer.from(encoded, "base64");
    expect(bytes.subarray(0, 4).toString("hex")).toBe(noteKeyId("a/b", key.publicJwk));
    expect(bytes).toHaveLength(68);
    expect(openNote(note, "a/b", trusted)).toBe("one\n\ntwo\n");
  });

  test("is not signed where it could not be read again", async () => {
    for (const [text, name] of [
      ["no line feed", "a"],
      ["tab\t\n", "a"],
      ["lone \ud800\n", "a"],
      ["fine\n", ""],
      ["fine\n", "a b"],
      ["fine\n", "a+b"],
      ["fine\n", "a\u00a0b"],
    ] as const)
      await expect(signNote(text, name, key)).rejects.toThrow(TypeError);
  });

  test("holds under any one trusted key, whatever strangers signed it too", async () => {
    const note = await signNote("text\n", "a", key);
    const stranger = (await signNote("text\n", "a", other)).split("\n").at(-2) ?? "";
    const witness = `\u2014 witness.example ${Buffer.alloc(80).toString("base64")}`;
    const all = `${note}${stranger}\n${witness}\n`;
    expect(openNote(all, "a", trusted)).toBe("text\n");
    expect(openNote(all, "a", keySet(key.publicJwk, other.publicJwk))).toBe("text\n");
    expect(() => openNote(all, "b", trusted)).toThrow("no trusted key signed it as 'b'");
    expect(() => openNote(all, "a", new Map())).toThrow("no trusted key");
  });

  test("does not hold where one of the trusted keys did not sign this text", async () => {
    const [ours, theirs] = [
      await signNote("text\n", "a", key),
      await signNote("else\n", "a", other),
    ];
    const both = `${ours}${theirs.split("\n").at(-2)}\n`;
    expect(openNote(both, "a", trusted)).toBe("text\n");
    expect(() => openNote(both, "a", keySet(key.publicJwk, other.publicJwk))).toThrow(
      expect.objectContaining({ code: "RECEIPT_INVALID" }),
    );
  });

  test("is none of a person's key", async () => {
    const note = await signNote("text\n", "a", key);
    expect(() => openNote(note, "a", keySet({ ...key.publicJwk, roles: ["owner"] }))).toThrow(
      expect.objectContaining({ code: "KEY_INVALID" }),
    );
  });

  test("with any one character changed, left out or doubled does not hold", async () => {
    const note = await signNote("stepgate/log\n12\n", "a", key);
    for (let at = 0; at < note.length; at++) {
      const [before, after] = [note.slice(0, at), note.slice(at + 1)];
      const was = note[at] ?? "";
      const flipped = String.fromCharCode(was.charCodeAt(0) ^ 1);
      for (const bent of [before + flipped + after, before + after, before + was + was + after])
        if (bent !== note) expect(() => openNote(bent, "a", trusted), `at ${at}`).toThrow();
    }
  });

  test.for([
    ["", "no empty line"],
    ["text\n", "no empty line"],
    ["text\n\n", "a signature line is"],
    ["text\n\n\u2014 a AAAAAAAA", "does not end in a line feed"],
    ["text\n\n- a AAAAAAAA\n", "a signature line is"],
    ["text\n\n\u2014 a AAAAAAAA x\n", "a signature line is"],
    ["text\n\n\u2014 a+b AAAAAAAA\n", "a signature line is"],
    ["text\n\n\u2014 a\n", "is not base64"],
    ["text\n\n\u2014 a AAAA\n", "is not base64"],
    ["text\n\n\u2014 a AAAAAAB=\n", "is not base64"],
    ["text\n\n\u2014 a AAAAAAA-\n", "is not base64"],
    ["te\rxt\n\n\u2014 a AAAAAAAA\n", "control characters"],
  ])("%#: %j is none", ([source = "", fault]) => {
    expect(() => parseNote(source)).toThrow(
      expect.objectContaining({
        code: "INVALID_INPUT",
        message: expect.stringContaining(fault ?? ""),
      }),
    );
  });
});

test("a text longer than any note is none", () => {
  expect(() => parseNote(`${"x".repeat(300_000)}\n`)).toThrow("longer than");
});

describe("a checkpoint", () => {
  test("says origin, size and root, signed under its origin", async () => {
    const checkpoint = await signCheckpoint(head, key);
    const root = Buffer.from(head.root, "hex").toString("base64");
    expect(checkpoint.note.startsWith(`stepgate/log-1\n3\n${root}\n\n\u2014 stepgate/log-1 `)).toBe(
      true,
    );
    expect(readCheckpoint(checkpoint.note, trusted)).toEqual(checkpoint);
  });

  test("signed under another name, or by a key that is not trusted, is not believed", async () => {
    const renamed = await signNote(checkpointText(head), "stepgate/log-2", key);
    const foreign = (await signCheckpoint(head, other)).note;
    for (const note of [renamed, foreign])
      expect(() => readCheckpoint(note, trusted)).toThrow(
        expect.objectContaining({ code: "KEY_INVALID" }),
      );
  });

  test("may carry extension lines, which mean nothing here", async () => {
    const note = await signNote(`${checkpointText(head)}more\n`, head.origin, key);
    expect(readCheckpoint(note, trusted)).toEqual({ ...head, note });
  });

  test.for([
    ["\n3\nAAAA\n", "origin"],
    ["a\n03\nAAAA\n", "tree size"],
    ["a\n-1\nAAAA\n", "tree size"],
    ["a\n1e3\nAAAA\n", "tree size"],
    ["a\n9007199254740993\nAAAA\n", "tree size"],
    ["a\n3\nAAAA\n", "root hash"],
    ["a\n3\n", "root hash"],
    [`a\n3\n${Buffer.alloc(32).toString("base64url")}\n`, "root hash"],
    [`a\n3\n${Buffer.alloc(32).toString("base64")}\n\nx\n`, "empty line"],
  ])("%#: %j is none", async ([text = "", fault = ""]) => {
    const note = await signNote(text, "a", key);
    expect(() => readCheckpoint(note, trusted)).toThrow(
      expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(fault) }),
    );
  });
});

describe("a proof of inclusion", () => {
  const leaves = ["a", "b", "c", "d", "e"].map((text) =>
    createHash("sha256").update(text).digest("hex"),
  );
  const tree = merkleTree(leaves);

  async function proofOf(index: number): Promise<string> {
    const { note } = await signCheckpoint({ origin: head.origin, size: 5, root: tree.root }, key);
    return formatProof({ index, path: tree.path(index), checkpoint: note });
  }

  test("proves its own record and no other", async () => {
    for (const [index, leaf] of leaves.entries()) {
      const proof = await proofOf(index);
      expect(verifyProof(`sha256:${leaf}`, proof, trusted)).toMatchObject({
        size: 5,
        root: tree.root,
      });
      for (const wrong of leaves.filter((one) => one !== leaf))
        expect(() => verifyProof(`sha256:${wrong}`, proof, trusted)).toThrow(
          expect.objectContaining({ code: "RECEIPT_INVALID" }),
        );
    }
  });

  test("is read with extra data, which it does not authenticate", async () => {
    const proof = await proofOf(2);
    const extra = proof.replace("\n", `\nextra ${Buffer.from("more").toString("base64")}\n`);
    expect(parseProof(extra)).toEqual(parseProof(proof));
    expect(verifyProof(`sha256:${leaves[2]}`, extra, trusted).size).toBe(5);
  });

  test("with any one character changed or left out does not prove it", async () => {
    const proof = await proofOf(1);
    for (let at = 0; at < proof.length; at++) {
      const [before, after] = [proof.slice(0, at), proof.slice(at + 1)];
      const flipped = String.fromCharCode((proof.charCodeAt(at) ?? 0) ^ 1);
      for (const bent of [before + flipped + after, before + after])
        expect(() => verifyProof(`sha256:${leaves[1]}`, bent, trusted), `at ${at}`).toThrow();
    }
  });

  test.for([
    "",
    "c2sp.org/tlog-proof@v2\nindex 0\n\nx\n",
    "c2sp.org/tlog-proof@v1\n\nx\n",
    "c2sp.org/tlog-proof@v1\nindex 00\n\nx\n",
    "c2sp.org/tlog-proof@v1\nindex 9007199254740993\n\nx\n",
    "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx\n",
    "c2sp.org/tlog-proof@v1\nextra *\nindex 0\n\nx\n",
    "c2sp.org/tlog-proof@v1\nindex 0\n",
  ])("%#: %j is none", (text) => {
    expect(() => parseProof(text)).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  });
});

function jwkOf(publicKey: Uint8Array): PublicJwk {
  const x = Buffer.from(publicKey).toString("base64url");
  const kid = createHash("sha256")
    .update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)
    .digest("base64url");
  return { kty: "OKP", crv: "Ed25519", x, kid };
}

function keySet(...keys: readonly PublicJwk[]): KeySet {
  return importKeySet({ keys });
}
