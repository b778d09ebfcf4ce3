/** Questions of signatures, asked before they are needed: none holds that was not verified. */
import { describe, expect, test } from "vitest";
import { generateSigningKey, importKeySet } from "../src/index.ts";
import { askSignatures, checkSignature, type SignatureCheck } from "../src/signature-check.ts";

const [key, other] = [generateSigningKey(), generateSigningKey()];
const keys = importKeySet({ keys: [key.publicJwk, other.publicJwk] });
const trusted = (kid: string): Parameters<SignatureCheck>[0] => {
  const found = keys.get(kid);
  if (found === undefined) throw new TypeError(kid);
  return found;
};
const [by, byOther] = [trusted(key.keyId), trusted(other.keyId)];
const sign = (input: string): string =>
  `ed25519=${Buffer.from(key.sign(Buffer.from(input)) as Uint8Array).toString("hex")}`;

describe("questions that were asked first", () => {
  test("seem to hold while they are asked, and are answered as they are at once", async () => {
    const questions = [by, byOther].flatMap((who) =>
      ["a", "b"].flatMap((input) =>
        [sign("a"), sign("b"), "ed25519="].map((signature) => [who, input, signature] as const),
      ),
    );
    const seemed: boolean[] = [];
    const holds = await askSignatures((seems) => {
      for (const question of questions) seemed.push(seems(...question));
    });
    expect(seemed).toEqual(questions.map(() => true));
    const answers = questions.map((question) => holds(...question));
    expect(answers).toEqual(questions.map((question) => checkSignature(...question)));
    expect(answers.filter(Boolean)).toHaveLength(2);
  });

  test("leave every other question an error, never a yes", async () => {
    const holds = await askSignatures((seems) => void seems(by, "a", sign("a")));
    expect(holds(by, "a", sign("a"))).toBe(true);
    for (const [who, input, signature] of [
      [byOther, "a", sign("a")],
      [by, "b", sign("a")],
      [by, "a", sign("b")],
    ] as const)
      expect(() => holds(who, input, signature)).toThrow("not asked for");
    const none = await askSignatures(() => {});
    expect(() => none(by, "a", sign("a"))).toThrow("not asked for");
  });

  test("pass on what is thrown while they are asked", async () => {
    const asking = askSignatures(() => {
      throw new TypeError("mine");
    });
    await expect(asking).rejects.toThrow("mine");
  });
});
