/** `@stepgate/core/verify` on Node, and as browsers get it on Node's WebCrypto: every answer is core's own. */
import { fileURLToPath } from "node:url";
import * as core from "@stepgate/core";
import * as verify from "@stepgate/core/verify";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../src/browser-bundle.ts";
import { answerTo, type VerificationCase } from "../src/verification-case.ts";
import { verificationCases } from "../src/verification-cases.ts";
import type * as elsewhere from "../src/verifier-elsewhere.ts";

const ENTRY = fileURLToPath(import.meta.resolve("../src/verifier-elsewhere.ts"));
let cases: readonly VerificationCase[];
let expected: readonly string[];

beforeAll(async () => {
  cases = await verificationCases(97);
  expected = await Promise.all(cases.map((one) => answerTo(core, one)));
}, 120_000);

describe("verifying what signatures are answered later for", () => {
  test("has cases of every finding, of sound files, and of checkpoints and proofs that hold and do not", () => {
    const all = expected.join("\n");
    for (const code of core.FINDING_CODES) {
      // Without policies nothing is recomputed.
      if (code !== "DECISION_MISMATCH") expect(all).toContain(`"code":"${code}"`);
    }
    expect(all).toContain('"result":"sound"');
    expect(all).toContain('"result":"HOLDS"');
    for (const code of ["INVALID_INPUT", "KEY_INVALID", "RECEIPT_INVALID"])
      expect(expected.filter((answer) => answer.startsWith(`{"code":"${code}"`))).not.toEqual([]);
    expect(expected.filter((answer) => answer.startsWith('{"origin"')).length).toBeGreaterThan(1);
  });

  test("gives the very same answers on Node", async () => {
    for (const [at, one] of cases.entries())
      expect(await answerTo(verify, one), one.name).toBe(expected[at]);
  }, 120_000);

  test("gives the very same answers as the script that browsers get", async () => {
    const script = await bundleForBrowser(ENTRY);
    const url = `data:text/javascript;base64,${Buffer.from(script).toString("base64")}`;
    const { answersTo } = (await import(/* @vite-ignore */ url)) as typeof elsewhere;
    const answers = await answersTo(cases);
    for (const [at, one] of cases.entries()) expect(answers[at], one.name).toBe(expected[at]);
  }, 120_000);
});

describe("the script for browsers", () => {
  test("holds nothing that only Node has, and of core only what verifies", async () => {
    const script = await bundleForBrowser(
      fileURLToPath(import.meta.resolve("@stepgate/core/verify")),
    );
    expect(script).toContain("sha256Bytes");
    expect(script).not.toContain("createLedger");
    expect(script.length).toBeLessThan(150_000);
  });

  test("is refused where it would hold what a browser lacks", async () => {
    const core = fileURLToPath(import.meta.resolve("@stepgate/core"));
    await expect(bundleForBrowser(core)).rejects.toThrow("node:crypto");
    const bundler = fileURLToPath(import.meta.resolve("../src/test-keys.ts"));
    await expect(bundleForBrowser(bundler)).rejects.toThrow("Buffer");
  });
});
