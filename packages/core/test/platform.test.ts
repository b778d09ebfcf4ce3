/** Both platforms: the browser's hashes, codes and verifies as Node's does, on Node's own WebCrypto. */
import { createSecretKey, randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { generateSigningKey } from "../src/index.ts";
import * as node from "../src/platform-node.ts";
import * as web from "../src/platform-web.ts";

const bytes = fc.uint8Array({ maxLength: 200 });
const text = fc.string({ unit: "binary" });

describe("the two platforms", () => {
  test("have the same names", () => {
    expect(Object.keys(web).sort()).toEqual(Object.keys(node).sort());
    expectTypeOf<keyof typeof web>().toEqualTypeOf<keyof typeof node>();
  });

  test("hash text and bytes alike", () => {
    fc.assert(
      fc.property(text, bytes, (words, data) => {
        expect(web.sha256Hex(words)).toBe(node.sha256Hex(words));
        expect(web.sha256Hex(data)).toBe(node.sha256Hex(data));
        expect(web.sha256Base64Url(words)).toBe(node.sha256Base64Url(words));
        const digits = node.toHex(data);
        expect(web.sha256OfHex(digits)).toBe(node.sha256Hex(data));
        expect(node.sha256OfHex(digits)).toBe(node.sha256Hex(data));
        expect([web.sha256OfHex(`${digits}0`), web.sha256OfHex(`g${digits}0`)]).toEqual([
          undefined,
          undefined,
        ]);
      }),
    );
  });

  test("make the same MACs, under keys that they keep and under keys that serve once", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 150 }), text, (secret, words) => {
        const mac = node.hmacHex(createSecretKey(secret), words);
        expect(web.hmacHex(web.secretKey(secret), words)).toBe(mac);
        expect(node.hmacHex(node.secretKey(secret), words)).toBe(mac);
      }),
    );
    const key = randomBytes(32).toString("hex");
    for (const words of ["", "a", "grüße", "x".repeat(1000)])
      expect(web.hmacHexUnder(key, words)).toBe(node.hmacHexUnder(key, words));
  });

  test("keep a secret as it was given, whatever becomes of its bytes", () => {
    const secret = new Uint8Array(32).fill(7);
    const key = web.secretKey(secret);
    const mac = web.hmacHex(key, "a");
    secret.fill(0);
    expect(web.hmacHex(key, "a")).toBe(mac);
  });

  test("write and read hex, base64 and base64url alike, each in its one right spelling", () => {
    fc.assert(
      fc.property(bytes, (data) => {
        for (const { fromHex, toHex, fromBase64, toBase64, fromBase64Url } of [web, node]) {
          expect(toHex(data)).toBe(Buffer.from(data).toString("hex"));
          expect(toBase64(data)).toBe(Buffer.from(data).toString("base64"));
          expect([...(fromHex(toHex(data)) ?? [])]).toEqual([...data]);
          expect([...(fromBase64(toBase64(data)) ?? [])]).toEqual([...data]);
          const url = Buffer.from(data).toString("base64url");
          expect([...(fromBase64Url(url) ?? [])]).toEqual([...data]);
        }
      }),
    );
    for (const { fromHex, fromBase64, fromBase64Url } of [web, node]) {
      for (const wrong of ["a", "zz", "0g", "ab ", "a".repeat(3), "\u0130f"])
        expect([wrong, fromHex(wrong)]).toEqual([wrong, undefined]);
      for (const wrong of ["YQ", "YR==", "YQ==\n", " YQ==", "Y-==", "YQ=", "=", "\u0130"])
        expect([wrong, fromBase64(wrong)]).toEqual([wrong, undefined]);
      for (const wrong of ["YR", "YQ==", "Y", "Y+", "Y/", " YQ", "YQ\n"])
        expect([wrong, fromBase64Url(wrong)]).toEqual([wrong, undefined]);
    }
  });

  test("tell equal texts from others", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(web.equalText(a, b)).toBe(a === b);
        expect(web.equalText(a, a)).toBe(true);
      }),
    );
    for (const { equalText } of [web, node])
      expect([equalText("ab", "ab\0"), equalText("", "a"), equalText("ab", "bb")]).toEqual([
        false,
        false,
        false,
      ]);
  });
});

describe("signatures", () => {
  const key = generateSigningKey();
  const sign = (input: string): string =>
    `ed25519=${Buffer.from(key.sign(Buffer.from(input)) as Uint8Array).toString("hex")}`;
  const questions = ["", "a", "grüße", "x".repeat(5000)].flatMap((input) => {
    const right = sign(input);
    const bent = `${right.slice(0, -1)}${right.endsWith("0") ? "1" : "0"}`;
    const forms = [bent, right.slice(0, -2), `${right}00`, `${right}0`, right.slice(8), "ed25519="];
    return [right, ...forms, `Ed25519=${right.slice(8)}`].map((signature) => ({
      input,
      signature,
    }));
  });

  test("hold on both where they are the key's, and nowhere else", async () => {
    const ask = ({ verifyTexts, publicKeyOf }: typeof web): Promise<readonly boolean[]> =>
      verifyTexts(questions.map((one) => ({ key: publicKeyOf(key.publicJwk), ...one })));
    const expected = questions.map((_, index) => index % 8 === 0);
    expect(await ask(web)).toEqual(expected);
    expect(await ask(node as unknown as typeof web)).toEqual(expected);
    const nodeKey = node.publicKeyOf(key.publicJwk);
    expect(
      questions.map(({ input, signature }) => node.verifyText(nodeKey, input, signature)),
    ).toEqual(expected);
    expect(await web.verifyTexts([])).toEqual([]);
  });

  test("are of no key that is not 32 bytes", () => {
    for (const x of ["", "AAAA", `${key.publicJwk.x}A`, `${key.publicJwk.x.slice(0, -1)}!`])
      expect(() => web.publicKeyOf({ kty: "OKP", crv: "Ed25519", x })).toThrow("32 bytes");
  });

  test("are never said to hold at once in a browser: that is an error", () => {
    const browserKey = web.publicKeyOf(key.publicJwk);
    expect(() => web.verifyText(browserKey, "a", sign("a"))).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED" }),
    );
  });
});

describe("a browser that cannot verify Ed25519", () => {
  afterEach(() => void vi.unstubAllGlobals());
  const key = generateSigningKey();
  const { subtle } = globalThis.crypto;

  /** The browser's platform as a page loads it that has this WebCrypto. */
  async function ask(crypto: unknown): Promise<readonly boolean[]> {
    vi.stubGlobal("crypto", crypto);
    vi.resetModules();
    const fresh = await import("../src/platform-web.ts");
    const signature = `ed25519=${"00".repeat(64)}`;
    return fresh.verifyTexts([{ key: fresh.publicKeyOf(key.publicJwk), input: "a", signature }]);
  }
  const unsupported = (message: string): unknown =>
    expect.objectContaining({ code: "UNSUPPORTED", message: expect.stringContaining(message) });

  test("says so, and gives no verdict", async () => {
    await expect(ask({ subtle })).resolves.toEqual([false]);
    await expect(ask(undefined)).rejects.toEqual(unsupported("over HTTPS and on localhost only"));
    await expect(ask({})).rejects.toEqual(unsupported("over HTTPS and on localhost only"));
    const refuses = async (): Promise<never> => {
      throw new DOMException("Algorithm: Unrecognized name", "NotSupportedError");
    };
    await expect(ask({ subtle: { importKey: refuses } })).rejects.toEqual(
      unsupported("does not verify Ed25519; update the browser"),
    );
  });

  test("is found out where it says yes or no to everything", async () => {
    for (const answer of [true, false, undefined])
      await expect(
        ask({ subtle: { importKey: async () => ({}), verify: async () => answer } }),
      ).rejects.toEqual(unsupported("as RFC 8032 does"));
  });
});
