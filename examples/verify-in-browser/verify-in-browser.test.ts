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
import { LEVEL_ONE, LEVEL_TWO, policyCases } from "@stepgate/contract/policy-cases";
import {
  checkpointLog,
  exportKeySet,
  generateSigningKey,
  importKeySet,
  memoryStore,
  verifyFile,
} from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
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

  describe("with policies", () => {
    let cases: Awaited<ReturnType<typeof policyCases>>;
    beforeAll(async () => {
      cases = await policyCases(12);
    }, 60_000);

    /** A case's receipts and keys. */
    function given(name: string): { readonly receipts: Buffer; readonly keys: string } {
      const one = cases.find((other) => other.name.includes(name));
      return { receipts: Buffer.from(one?.file ?? "", "latin1"), keys: JSON.stringify(one?.keys) };
    }

    async function openWith(
      name: string,
      policies: Readonly<Record<string, string>>,
    ): Promise<Page> {
      const { receipts, keys } = given(name);
      const page = await open();
      const choose = (label: string, files: readonly (readonly [string, Buffer])[]) =>
        page
          .getByLabel(label, { exact: true })
          .setInputFiles(files.map(([file, buffer]) => ({ name: file, mimeType: "", buffer })));
      const texts = Object.entries(policies);
      await choose(
        "Policies (optional)",
        texts.map(([file, text]) => [file, Buffer.from(text)]),
      );
      await choose("Public keys", [["keys.json", Buffer.from(keys)]]);
      await choose("Receipts", [["receipts.jsonl", receipts]]);
      return page;
    }

    const BOTH = { "desk.yaml": LEVEL_ONE, "payments.json": LEVEL_TWO };

    test("every decision is recomputed, by policies that are shown with their digests", async () => {
      for (const name of ["Level 1", "Level 2"]) {
        const page = await openWith(name, BOTH);
        expect(await outcome(page)).toMatch(/^SOUND\n.*Decisions were recomputed/s);
        for (const text of Object.values(BOTH))
          expect(await page.getByText(parsePolicy(text).digest).count()).toBe(1);
        await screenshot(page, `policies ${name}`);
      }
    });

    test("what no policy gives is found as on Node, line by line", async () => {
      const policies = Object.values(BOTH).map((text) => parsePolicy(text));
      for (const name of ["an ALLOW that the policy forbids", "another code", "another step"]) {
        const { receipts, keys } = given(name);
        const report = await verifyFile(oneChunk(receipts), {
          keys: importKeySet(JSON.parse(keys)),
          policies,
        });
        expect(report.found.DECISION_MISMATCH).toBe(1);
        const page = await openWith(name, BOTH);
        expect(await outcome(page)).toMatch(/^INVALID/);
        const { findings } = report;
        const rows = page.getByRole("group", { name: `All ${findings.length}.` }).first();
        const [, ...found] = await rows.getByRole("row").allInnerTexts();
        expect(found.map((row) => row.split("\t"))).toEqual(
          findings.map(({ line, code, sequence_id, seq, message }) => [
            String(line),
            code,
            sequence_id,
            String(seq),
            message,
          ]),
        );
        await screenshot(page, name);
      }
    });

    test("receipts under a policy that is not given are POLICY_MISMATCH, and without any nothing is recomputed", async () => {
      const page = await openWith("Level 1", { "payments.json": LEVEL_TWO });
      expect(await outcome(page)).toMatch(/^INVALID/);
      expect(await page.getByRole("row", { name: /POLICY_MISMATCH desk-/ }).count()).toBe(15);
      await page.getByLabel("Policies (optional)").setInputFiles([]);
      await page.getByText("SOUND", { exact: true }).waitFor();
      expect(await outcome(page)).toContain("Decisions were not recomputed");
    });

    test("a policy with a fault is refused with its line and column, and there is no verdict", async () => {
      const fault = LEVEL_ONE.replace("send, close", "sned, close");
      const page = await openWith("Level 1", { "desk.yaml": fault });
      const said = await outcome(page);
      expect(said).toMatch(/^Could not verify\n+desk\.yaml:5:11: .*sned/);
      expect(said).toMatch(/\ndesk\.yaml:11:3: /);
      await screenshot(page, "fault");
    });

    test("dropped together, several policies are told from receipts and keys", async () => {
      const { receipts, keys } = given("Level 1");
      const page = await open();
      const texts = [receipts.toString(), LEVEL_ONE, keys, LEVEL_TWO];
      await page.evaluate(`(${DROP})(${JSON.stringify(texts)})`);
      expect(await outcome(page)).toMatch(/^SOUND\n.*Decisions were recomputed/s);
    });
  });

  test("the page is one file of less than a megabyte, of which nothing but its own script runs and nothing connects", async () => {
    const page = await buildPage();
    expect(page.length).toBeLessThan(1_000_000);
    const [, policy = ""] =
      /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'sha256-[^' ]+' 'unsafe-eval'; style-src 'sha256-[^' ]+'; base-uri 'none'; form-action 'none'$/,
    );
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

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** For a person to look at: SCREENSHOTS names the folder. */
async function screenshot(page: Page, name: string): Promise<void> {
  const into = process.env["SCREENSHOTS"];
  if (into !== undefined)
    await page.screenshot({ path: join(into, `${name}.png`), fullPage: true });
}
