/** `@stepgate/policy/compile` in a real Chromium: policies and recomputed decisions as on Node. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as core from "@stepgate/core";
import * as policy from "@stepgate/policy";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../src/browser-bundle.ts";
import {
  chromiumBinary,
  NO_CHROMIUM,
  type Pages,
  servePages,
  startChromium,
} from "../src/chromium.ts";
import { policyAnswer, type PolicyCase } from "../src/policy-answer.ts";
import { policyCases } from "../src/policy-cases.ts";
import { policyTexts } from "../src/policy-texts.ts";
import { answerTo, type VerificationCase } from "../src/verification-case.ts";

const binary = chromiumBinary(process.env["CHROMIUM"]);
const ENTRY = fileURLToPath(import.meta.resolve("../src/policies-elsewhere.ts"));

/** What the page's script exports. */
declare const Elsewhere: typeof import("../src/policies-elsewhere.ts");

describe.skipIf(binary === undefined)(`in Chromium (else skipped: ${NO_CHROMIUM})`, () => {
  let browser: Browser;
  let pages: Pages;
  let page: Page;
  let cases: readonly VerificationCase[];
  let texts: readonly PolicyCase[];
  let expected: readonly string[];

  beforeAll(async () => {
    browser = await startChromium(binary ?? "");
    cases = await policyCases(3);
    texts = policyTexts();
    expected = await Promise.all(cases.map((one) => answerTo({ ...core, ...policy }, one)));
    const files = {
      "/elsewhere.js": await bundleForBrowser(ENTRY, "Elsewhere"),
      "/cases.json": JSON.stringify(cases),
      "/texts.json": JSON.stringify(texts),
    };
    pages = await servePages(files, { mayEvaluate: true });
    page = await browser.newPage();
    await page.goto(pages.origin);
    await page.addScriptTag({ url: "/elsewhere.js" });
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await pages?.close();
  });

  test("the cases hold what they promise: sound files, decisions that no policy gives, other policies, refused ones", () => {
    const named = (name: string): string =>
      expected[cases.findIndex((one) => one.name === name)] ?? "";
    for (const name of ["Level 1", "Level 2", "under its first policy of two"])
      expect(JSON.parse(named(name)).report).toMatchObject({ result: "sound", recomputed: true });
    for (const name of ["under another policy", "under another version of it"])
      expect(named(name)).toContain('"POLICY_MISMATCH"');
    expect(named("under what is no policy")).toMatch(/^{"code":"POLICY_INVALID","message":".*sned/);
    const forged = expected.filter((_, at) => cases[at]?.name.startsWith("line "));
    for (const what of [
      "gives ALLOW",
      "gives SEQUENCE_VIOLATION",
      "gives NO_POLICY_MATCH",
      "gives ACTION_NOT_ALLOWED",
      "effects",
      "cannot follow",
    ])
      expect(forged.filter((answer) => answer.includes(what)).length, what).toBeGreaterThan(0);
    expect(
      forged.filter((answer) => answer.includes('"DECISION_MISMATCH"')).length,
    ).toBeGreaterThan(forged.length / 3);
  });

  test("every report on receipts under policies is the one that Node gives, to the byte", async () => {
    const answers = await page.evaluate(async () =>
      Elsewhere.answersUnder((await (await fetch("/cases.json")).json()) as VerificationCase[]),
    );
    expect(answers).toHaveLength(cases.length);
    for (const [at, one] of cases.entries()) expect(answers[at], one.name).toBe(expected[at]);
  }, 180_000);

  test("policies compile to the same tables, digests, conditions, warnings and faults", async () => {
    const answers = await page.evaluate(async () =>
      Elsewhere.policyAnswers((await (await fetch("/texts.json")).json()) as PolicyCase[]),
    );
    expect(answers).toHaveLength(texts.length);
    for (const [at, one] of texts.entries())
      expect(answers[at], one.name).toBe(policyAnswer(policy, one));
    const compiled = answers.filter((answer) => answer.includes('"digest":"sha256:'));
    expect(compiled.length).toBeGreaterThan(10);
    expect(compiled.length).toBeLessThan(answers.length - 10);
  }, 180_000);
});

describe("the script for browsers", () => {
  test("of core's verifier holds nothing of the policy language", async () => {
    const verify = await bundleForBrowser(
      fileURLToPath(import.meta.resolve("@stepgate/core/verify")),
    );
    for (const name of ["parsePolicy", "Ajv", "zod", "@bufbuild"])
      expect(verify).not.toContain(name);
    expect(readFileSync(ENTRY, "utf8")).toContain("@stepgate/policy/compile");
  });
});
