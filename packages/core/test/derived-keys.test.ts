/** Secrets from one master secret. The expected bytes were computed apart: RFC 5869 by hand in Python, and `openssl kdf`. */
import { describe, expect, test } from "vitest";
import { deriveKeys } from "../src/index.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("derived keys", () => {
  test.each([
    [
      Uint8Array.from({ length: 32 }, (_, i) => i),
      "e9d48fb0908294d2fd49ab63c64edfb50b16f1e298b636d9cdbd07fa82588a6c",
      "f6705a4b275afd8bae1989b5652b370217234383be9b1665650829ffd0067368",
      "hmac-5727aed6b451c1ae",
    ],
    [
      new Uint8Array(64).fill(0xff),
      "9d39fb77964680c0001b6a91ade18533ce9d05e660b3e8c951d4641f0edc78d7",
      "9d0092f4ea8e5cb72f786284b9183e09e7902c2c5513f271b257d3f95dc02d51",
      "hmac-106bd12287d356e4",
    ],
  ])("are HKDF-SHA-256 under a label each", (master, salt, secret, id) => {
    const { saltKey, hmacKey } = deriveKeys(master);
    expect([hex(saltKey), hex(hmacKey.secret), hmacKey.id]).toEqual([salt, secret, id]);
  });

  test.each([[new Uint8Array(31)], ["00".repeat(32)], [undefined]])(
    "are not made of %j, which is no secret of 32 bytes",
    (master) => {
      expect(() => deriveKeys(master as Uint8Array)).toThrow(TypeError);
    },
  );
});
