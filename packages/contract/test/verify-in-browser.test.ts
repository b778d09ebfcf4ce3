/** `@stepgate/core/verify` in a real Chromium, on its own WebCrypto: every answer is what core says on Node. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as core from "@stepgate/core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../src/browser-bundle.ts";
import {
  chromiumBinary,
  INSECURE_HOST,
  NO_CHROMIUM,
  type Pages,
  servePages,
  startChromium,
} from "../src/chromium.ts";
import { recordMany } from "../src/many-receipts.ts";
import { answerTo, type VerificationCase } from "../src/verification-case.ts";
import { verificationCases } from "../src/verification-cases.ts";

const binary = chromiumBinary(process.env["CHROMIUM"]);
const pathOf = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));

const VECTORS = new URL("../../core/test/vectors/", import.meta.url);
const WORKER = `
importScripts("/verify.js");
const verify = async () => {
  const keys = Stepgate.importKeySet(await (await fetch("/vectors/keys.json")).json());
  const { result, records } = await Stepgate.verifyFile((await fetch("/vectors/sound.jsonl")).body, { keys });
  return result + " " + records;
};
verify().then(postMessage, (error) => postMessage(String(error)));
`;

/** What the page's scripts export. */
declare const Elsewhere: typeof import("../src/verifier-elsewhere.ts");
declare const Stepgate: typeof import("@stepgate/core/verify");

describe.skipIf(binary === undefined)(`in Chromium (else skipped: ${NO_CHROMIUM})`, () => {
  let browser: Browser;
  let pages: Pages;
  let cases: readonly VerificationCase[];
  let many: Awaited<ReturnType<typeof recordMany>>;

  beforeAll(async () => {
    browser = await startChromium(binary ?? "");
    cases = await verificationCases(97);
    many = await recordMany(50_000);
    pages = await servePages({
      "/elsewhere.js": await bundleForBrowser(pathOf("../src/verifier-elsewhere.ts"), "Elsewhere"),
      "/verify.js": await bundleForBrowser(pathOf("@stepgate/core/verify"), "Stepgate"),
      "/cases.json": JSON.stringify(cases),
      "/receipts.jsonl": many.file,
      "/keys.json": JSON.stringify(many.keys),
      "/worker.js": WORKER,
      "/vectors/sound.jsonl": readFileSync(new URL("sound.jsonl", VECTORS)),
      "/vectors/keys.json": readFileSync(new URL("keys.json", VECTORS)),
    });
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await pages?.close();
  });

  /** A new page with this script in it. */
  async function open(script: string, origin: string = pages.origin): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.addScriptTag({ url: script });
    return page;
  }

  test("every vector, a sample of the mutants, checkpoints and proofs get the same report as on Node", async () => {
    const page = await open("/elsewhere.js");
    const answers = await page.evaluate(async () =>
      Elsewhere.answersTo((await (await fetch("/cases.json")).json()) as VerificationCase[]),
    );
    expect(answers).toHaveLength(cases.length);
    for (const [at, one] of cases.entries())
      expect(answers[at], one.name).toBe(await answerTo(core, one));
  }, 180_000);

  test("50,000 records are verified as they stream in, with progress", async () => {
    const page = await open("/verify.js");
    const { report, steps } = await page.evaluate(async () => {
      const steps: number[] = [];
      const keys = Stepgate.importKeySet(await (await fetch("/keys.json")).json());
      const { body } = await fetch("/receipts.jsonl");
      if (body === null) throw new TypeError("no body");
      const progress = (bytes: number): void => void steps.push(bytes);
      return { report: await Stepgate.verifyFile(body, { keys, progress }), steps };
    });
    expect([report.result, report.records, report.findings]).toEqual(["sound", many.records, []]);
    expect(report.verdicts.OPEN).toBe(many.sequences);
    expect(steps.length).toBeGreaterThan(10);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(steps.at(-1)).toBe(many.file.length);
  }, 180_000);

  test("a worker verifies as a page does", async () => {
    const page = await browser.newPage();
    await page.goto(pages.origin);
    const heard = `new Promise((heard) => {
      new Worker("/worker.js").onmessage = ({ data }) => heard(data);
    })`;
    expect(await page.evaluate(heard)).toBe("sound 201");
  });

  test("a page without a secure context has no WebCrypto: it gets an error, and no verdict", async () => {
    const page = await open("/verify.js", `http://${INSECURE_HOST}:${pages.port}`);
    const outcome = await page.evaluate(async () => {
      const keys = Stepgate.importKeySet(await (await fetch("/keys.json")).json());
      const { body } = await fetch("/receipts.jsonl");
      if (body === null) throw new TypeError("no body");
      return Stepgate.verifyFile(body, { keys }).then(
        ({ result }) => result,
        (error: { readonly code: string; readonly message: string }) =>
          `${error.code}: ${error.message}`,
      );
    });
    expect(outcome).toBe(
      "UNSUPPORTED: signatures cannot be verified: there is no WebCrypto here; a page has it over HTTPS and on localhost only",
    );
  });
});
