/** Keys that anybody can make again: published on purpose, for vectors and tests, and never to be trusted with anything. */
import { createHash, createPrivateKey } from "node:crypto";
import { type SigningKey, signingKey } from "@stepgate/core";

/** The Ed25519 key whose RFC 8032 seed is SHA-256 of `"stepgate test key " + name`. */
export function testKey(name: string): SigningKey {
  const der = Buffer.concat([PKCS8_ED25519, testSecret(`key ${name}`)]);
  return signingKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
}

/** 32 bytes: SHA-256 of `"stepgate test " + name`. */
export function testSecret(name: string): Buffer {
  return createHash("sha256").update(`stepgate test ${name}`).digest();
}

/** Bytes that look random and are the same in every run: SHA-256 of the name and a counter. */
export function testRandom(name: string): (size: number) => Uint8Array {
  let drawn = 0;
  return (size) => {
    const blocks: Buffer[] = [];
    for (let have = 0; have < size; have += 32)
      blocks.push(testSecret(`random ${name} ${drawn++}`));
    return Buffer.concat(blocks).subarray(0, size);
  };
}

const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");
