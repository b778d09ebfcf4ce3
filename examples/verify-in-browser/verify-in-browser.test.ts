/** The page as a person uses it: a file opened in Chromium, without a server, given files by hand and by dropping them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openTestGate } from "@stepgate/contract";
import {
  chromiumBinary,
  NO_CHROMIUM,
  servePages,
  startChromium,
} from "@stepgate/contract/chromium";
import { checkpointLog, exportKeySet, generateSigningKey, memoryStore } from "@stepgate/core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPage } from "./build.ts";

const binary = chromiumBinary(process.env["CHROMIUM"]);
const vector = (name: string): string =>
  fileURLToPath(new URL(`../../packages/core/test/vectors/${name}`, import.meta.url));

describe.skipIf(binary === undefined)(`in Chromium (else skipped: ${NO_CHROMIUM})`, () => {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-page-"));
  let browser: Browser;

  beforeAll(async () => {
    browser = await startChromium(binary ?? "");
    writeFileSync(join(folder, "verify.html"), await buildPage());
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  async function open(): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1100, height: 1400 } });
    page.on("pageerror", (error) => expect.unreachable(error.message));
    await page.goto(pathToFileURL(join(folder, "verify.html")).href);
    return page;
  }

  /** What is announced once it is done. */
  async function outcome(page: Page): Promise<string> {
    await page.locator("#status .banner").waitFor();
    return page.getByRole("status").innerText();
  }

  test("sound receipts are SOUND, under the keys that are shown, and each sequence has its verdict", async () => {
    const page = await open();
    await page.getByLabel("Receipts", { exact: true }).setInputFiles(vector("sound.jsonl"));
    expect(await page.getByRole("status").innerText()).toBe("");
    await page.getByLabel("Public keys", { exact: true }).setInputFiles(vector("keys.json"));
    expect(await outcome(page)).toMatch(
      /^SOUND\n.*\n.*201 records, 8 sequences \(6 SEALED, 2 OPEN\)/s,
    );
    const { keys } = JSON.parse(readFileSync(vector("keys.json"), "utf8"));
    for (const { kid } of keys) expect(await page.getByText(kid).count()).toBe(1);
    const rows = page.getByRole("group", { name: "All 8." }).getByRole("row");
    expect(await rows.allInnerTexts()).toHaveLength(9);
    expect(await page.getByRole("heading", { name: "Findings" }).count()).toBe(0);
    await screenshot(page, "sound");
  });

  test("a changed record is INVALID, named with its line, and other files are judged anew", async () => {
    const page = await open();
    await page.getByLabel("Public keys", { exact: true }).setInputFiles(vector("keys.json"));
    await page
      .getByLabel("Receipts", { exact: true })
      .setInputFiles(vector("negative/007-bit-0-of-a-middle.jsonl"));
    expect(await outcome(page)).toContain("INVALID");
    expect(await page.getByRole("row", { name: /^2 BAD_SIGNATURE run-002 0/ }).count()).toBe(1);
    await screenshot(page, "invalid");
    await page.getByLabel("Receipts", { exact: true }).setInputFiles(vector("sound.jsonl"));
    await page.getByText("SOUND", { exact: true }).waitFor();
    expect(await page.getByText("BAD_SIGNATURE").count()).toBe(0);
  });

  test("dropped files are told apart by what they hold", async () => {
    const page = await open();
    const files = ["sound.jsonl", "keys.json"].map((name) => readFileSync(vector(name), "utf8"));
    await page.evaluate(`(${DROP})(${JSON.stringify(files)})`);
    expect(await outcome(page)).toContain("SOUND");
  });

  test("a kept checkpoint holds the log to its records, and one of somebody else's is refused", async () => {
    const key = generateSigningKey();
    const store = memoryStore();
    const { gate } = await openTestGate(POLICY, { store, signer: key, logId: "log-1" });
    for (const sequence_id of ["a", "b"])
      await gate.enforce({ sequence_id, function: "look", action_type: "READ" }, () => "seen");
    const { note } = await checkpointLog(store, key);
    const lines = await Array.fromAsync(store.lines());
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const page = await open();
    await page.getByLabel("A checkpoint").setInputFiles(file("kept.txt", note));
    await page
      .getByLabel("Public keys", { exact: true })
      .setInputFiles(file("keys.json", JSON.stringify(exportKeySet([key]))));
    const receipts = page.getByLabel("Receipts", { exact: true });
    await receipts.setInputFiles(file("all.jsonl", `${lines.join("\n")}\n`));
    await page.getByRole("row", { name: `HOLDS stepgate/log-1 ${lines.length}` }).waitFor();
    expect(await outcome(page)).toContain("SOUND");
    await receipts.setInputFiles(file("less.jsonl", `${lines.slice(0, 4).join("\n")}\n`));
    await page.getByRole("row", { name: "TRUNCATED stepgate/log-1" }).waitFor();
    expect(await outcome(page)).toContain("INVALID");
    await page.getByLabel("Public keys", { exact: true }).setInputFiles(vector("keys.json"));
    await page.getByText("The checkpoint: no trusted key signed it").waitFor();
    expect(await outcome(page)).toMatch(/^Could not verify/);
  });

  test("what cannot be verified is said, and is no verdict", async () => {
    const page = await open();
    await page.getByLabel("Receipts", { exact: true }).setInputFiles(vector("sound.jsonl"));
    for (const [keys, why] of [
      ["{", "no JSON"],
      ['{"keys":{}}', "a key set is"],
    ] as const) {
      const file = { name: "keys.json", mimeType: "application/json", buffer: Buffer.from(keys) };
      await page.getByLabel("Public keys", { exact: true }).setInputFiles(file);
      await page.getByText(why).waitFor();
      expect(await outcome(page)).toMatch(/^Could not verify/);
    }
    const none = {
      name: "none.json",
      mimeType: "application/json",
      buffer: Buffer.from('{"keys":[]}'),
    };
    await page.getByLabel("Public keys", { exact: true }).setInputFiles(none);
    await page.getByText("UNDECIDED").first().waitFor();
    expect(await outcome(page)).toMatch(/^UNDECIDED/);
  });

  test("markup in a file is shown as text", async () => {
    const page = await open();
    const hostile = JSON.stringify({ sequence_id: "<img src=x onerror=alert(1)>", seq: 0 });
    const file = { name: "<b>.jsonl", mimeType: "text/plain", buffer: Buffer.from(`${hostile}\n`) };
    await page.getByLabel("Public keys", { exact: true }).setInputFiles(vector("keys.json"));
    await page.getByLabel("Receipts", { exact: true }).setInputFiles(file);
    expect(await outcome(page)).toContain("INVALID");
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.getByText("<img src=x onerror=alert(1)>").count()).toBeGreaterThan(0);
  });

  test("the page asks the network for nothing, and could not", async () => {
    const pages = await servePages({ "/asked.json": "{}" });
    try {
      const page = await open();
      const asked: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      await page.getByLabel("Receipts", { exact: true }).setInputFiles(vector("sound.jsonl"));
      await page.getByLabel("Public keys", { exact: true }).setInputFiles(vector("keys.json"));
      expect(await outcome(page)).toContain("SOUND");
      expect(asked).toEqual([]);
      const reached = await page.evaluate(
        (url) =>
          fetch(url, { mode: "no-cors" }).then(
            () => "reached",
            () => "refused",
          ),
        `${pages.origin}/asked.json`,
      );
      expect(reached).toBe("refused");
    } finally {
      await pages.close();
    }
  });
});

const POLICY = {
  schema: "stepgate.policy/1",
  id: "looking",
  version: "1",
  sequence: "look, close",
  functions: { look: ["READ"], close: ["SEAL"] },
};

/** What a browser does where a person drops files of these texts. */
const DROP = `(texts) => {
  const dataTransfer = new DataTransfer();
  for (const text of texts) dataTransfer.items.add(new File([text], "dropped"));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}`;

/** For a person to look at: SCREENSHOTS names the folder. */
async function screenshot(page: Page, name: string): Promise<void> {
  const into = process.env["SCREENSHOTS"];
  if (into !== undefined)
    await page.screenshot({ path: join(into, `${name}.png`), fullPage: true });
}
