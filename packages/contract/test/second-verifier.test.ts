/** The second verifier before the public vectors: it must be right by itself before its agreement means anything. */
import { describe, expect, test } from "vitest";
import { hasVectors, readVector, vectorNames } from "../../core/test/public-vectors.ts";
import { canonicalText, readJson } from "../src/second-json.ts";
import { consistent, noteHolds, proofOf, readHead, rootAbove } from "../src/second-log.ts";
import { trustedKeys } from "../src/second-proofs.ts";

const PROOFS = "rfc6962/testdata";

describe("the 196 public proofs of transparency-dev/merkle", () => {
  const [inclusion, consistency] = [
    filesUnder(`${PROOFS}/inclusion`),
    filesUnder(`${PROOFS}/consistency`),
  ];

  test.skipIf(!hasVectors(PROOFS))("inclusion: what is to hold holds, and nothing else", () => {
    const wrong = inclusion.filter((file) => {
      const { leafHash, leafIdx, treeSize, proof, root, wantErr } = JSON.parse(readVector(file));
      const found = rootAbove(bytes(leafHash), leafIdx, treeSize, (proof ?? []).map(bytes));
      return (found?.equals(bytes(root)) ?? false) === wantErr;
    });
    expect([inclusion.length, wrong]).toEqual([98, []]);
  });

  test.skipIf(!hasVectors(PROOFS))("consistency: what is to hold holds, and nothing else", () => {
    const wrong = consistency.filter((file) => {
      const { size1, size2, root1, root2, proof, wantErr } = JSON.parse(readVector(file));
      const [earlier, later] = [
        { size: size1, root: bytes(root1) },
        { size: size2, root: bytes(root2) },
      ];
      return consistent(earlier, later, (proof ?? []).map(bytes)) === wantErr;
    });
    expect([consistency.length, wrong]).toEqual([98, []]);
  });
});

describe("the public examples of C2SP", () => {
  const NOTES = "c2sp-notes";
  const examples = (): readonly [
    { checkpoint: string; origin: string; size: number },
    unknown,
    { tlog_proof_marshal: [string] },
  ] => JSON.parse(readVector(`${NOTES}/checkpoint-examples.json`));

  test.skipIf(!hasVectors(NOTES))(
    "the signed note verifies under its key, and no other text does",
    () => {
      const { vkey, signed_note } = JSON.parse(readVector(`${NOTES}/signed-note-example.json`));
      const [, name = "", encoded = ""] = /^([^+]+)\+[0-9a-f]{8}\+(.+)$/.exec(vkey) ?? [];
      const x = Buffer.from(encoded, "base64").subarray(1).toString("base64url");
      const keys = [...trustedKeys({ keys: [{ kty: "OKP", crv: "Ed25519", x }] }).values()];
      expect(noteHolds(signed_note, name, keys)).toBe("HOLDS");
      expect(noteHolds(signed_note.replace("example m", "examp1e m"), name, keys)).toBe(
        "RECEIPT_INVALID",
      );
      expect(noteHolds(signed_note, "example.com/bar", keys)).toBe("KEY_INVALID");
      expect(noteHolds(signed_note, name, [])).toBe("KEY_INVALID");
      expect(readHead(signed_note, keys)).toBe("INVALID_INPUT");
    },
  );

  test.skipIf(!hasVectors(NOTES))(
    "the checkpoint is read as far as its signer, whom nobody here trusts",
    () => {
      expect(readHead(examples()[0].checkpoint, [])).toBe("KEY_INVALID");
      expect(readHead(examples()[0].checkpoint.replace("20852163", "020852163"), [])).toBe(
        "INVALID_INPUT",
      );
    },
  );

  test.skipIf(!hasVectors(NOTES))(
    "the smallest proof is read as far as its checkpoint, which is none",
    () => {
      const [text] = examples()[2].tlog_proof_marshal;
      expect(proofOf(`sha256:${"0".repeat(64)}`, text, [])).toBe("INVALID_INPUT");
      expect(
        proofOf(
          `sha256:${"0".repeat(64)}`,
          text.replace("checkpoint\n", examples()[0].checkpoint),
          [],
        ),
      ).toBe("KEY_INVALID");
    },
  );
});

describe("the public vectors of JSON", () => {
  const JCS = "jcs/testdata";

  test.skipIf(!hasVectors(JCS))(
    "six values are written byte for byte, as RFC 8785 has them",
    () => {
      const names = vectorNames(`${JCS}/input`);
      const wrong = names.filter((name) => {
        const value = readJson(readVector(`${JCS}/input/${name}`))?.value ?? null;
        return canonicalText(value) !== readVector(`${JCS}/output/${name}`);
      });
      expect([names.length, wrong]).toEqual([6, []]);
    },
  );

  test.skipIf(!hasVectors("jcs/es6numbers10k.txt"))(
    "10,000 numbers are written as ECMAScript prints them",
    () => {
      const lines = readVector("jcs/es6numbers10k.txt").trimEnd().split("\n");
      const wrong = lines.filter((line) => {
        const [hex = "", expected] = line.split(",");
        return canonicalText(Buffer.from(hex.padStart(16, "0"), "hex").readDoubleBE()) !== expected;
      });
      expect([lines.length, wrong]).toEqual([10_000, []]);
    },
  );

  test.skipIf(!hasVectors("jcs-parse"))(
    "a member that stands twice is seen in five texts, and in three is none",
    () => {
      const { accept, reject } = JSON.parse(readVector("jcs-parse/duplicate_members.json"));
      const repeats = (texts: Record<string, string>) =>
        Object.values(texts).map((one) => readJson(Buffer.from(one, "base64").toString())?.repeats);
      expect(repeats(accept)).toEqual([false, false, false]);
      expect(repeats(reject)).toEqual([true, true, true, true, true]);
    },
  );
});

function filesUnder(folder: string): readonly string[] {
  return vectorNames(folder).flatMap((name) =>
    name.endsWith(".json") ? [`${folder}/${name}`] : filesUnder(`${folder}/${name}`),
  );
}

function bytes(base64: string): Buffer {
  return Buffer.from(base64, "base64");
}
