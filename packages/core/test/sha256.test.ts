/** The own SHA-256: the standard's examples, and what `node:crypto` says to everything else. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hmacSha256Bytes, sha256Bytes } from "../src/sha256.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const nodeHash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const nodeMac = (key: Uint8Array, bytes: Uint8Array): string =>
  createHmac("sha256", key).update(bytes).digest("hex");

describe("SHA-256", () => {
  test("gives the standard's own examples", () => {
    const of = (text: string): string => hex(sha256Bytes(Buffer.from(text)));
    expect(of("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(of("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(of("a".repeat(1_000_000))).toBe(
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    );
  });

  test("agrees with Node at every length around the padding, whatever the bytes", () => {
    for (let length = 0; length <= 300; length++) {
      for (const bytes of [
        randomBytes(length),
        new Uint8Array(length),
        new Uint8Array(length).fill(0xff),
      ])
        expect([length, hex(sha256Bytes(bytes))]).toEqual([length, nodeHash(bytes)]);
    }
  });

  test("agrees with Node on any bytes, also as a part of a larger buffer, and leaves them as they were", () => {
    const parts = fc.tuple(fc.uint8Array({ maxLength: 5000 }), fc.nat(70), fc.nat(70));
    fc.assert(
      fc.property(parts, ([bytes, from, behind]) => {
        const part = bytes.subarray(from, Math.max(from, bytes.length - behind));
        const before = hex(bytes);
        expect(hex(sha256Bytes(part))).toBe(nodeHash(part));
        expect(hex(bytes)).toBe(before);
      }),
      { numRuns: 1000 },
    );
  });

  test("agrees with Node on megabytes, and refuses what it could not pad", () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 17);
    expect(hex(sha256Bytes(bytes))).toBe(nodeHash(bytes));
    expect(() => sha256Bytes(new Uint8Array(0x2000_0000))).toThrow(RangeError);
  });
});

describe("HMAC-SHA-256", () => {
  test("gives the examples of RFC 4231", () => {
    expect(hex(hmacSha256Bytes(Buffer.alloc(20, 0x0b), Buffer.from("Hi There")))).toBe(
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
    const long = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect(hex(hmacSha256Bytes(Buffer.alloc(131, 0xaa), Buffer.from(long)))).toBe(
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
  });

  test("agrees with Node on keys of every length up to two blocks and more, and on any message", () => {
    for (let length = 1; length <= 200; length++) {
      const [key, message] = [randomBytes(length), randomBytes(length * 3)];
      expect([length, hex(hmacSha256Bytes(key, message))]).toEqual([length, nodeMac(key, message)]);
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.uint8Array(),
        (key, message) => {
          expect(hex(hmacSha256Bytes(key, message))).toBe(nodeMac(key, message));
        },
      ),
    );
  });
});
