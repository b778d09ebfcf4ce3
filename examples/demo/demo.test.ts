/** The demo as its reader runs it: a process in an empty folder, and the files that it leaves. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { importKeySet, verifyReceipts } from "stepgate";
import { expect, test } from "vitest";

const main = join(import.meta.dirname, "main.ts");

async function inEmptyFolder<T>(run: (cwd: string) => Promise<T>): Promise<T> {
  const cwd = mkdtempSync(join(tmpdir(), "stepgate-demo-"));
  try {
    return await run(cwd);
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

test("walks one run to its seal, provokes each of the six codes, and leaves evidence that verifies", async () => {
  await inEmptyFolder(async (cwd) => {
    const { stdout } = await promisify(execFile)(process.execPath, [main], { cwd });
    const codes = [
      "SEALED_SEQUENCE",
      "REPLAY_NONCE",
      "SEQUENCE_VIOLATION",
      "NO_POLICY_MATCH",
      "ACTION_NOT_ALLOWED",
      "STALE_TIMESTAMP",
    ];
    for (const code of codes) expect(stdout).toContain(`DENY ${code} · did not run`);
    expect(stdout).not.toMatch(/DENY.*· RAN/);
    expect(stdout).toMatch(/loan-4711 +SEALED/);
    expect(stdout).toMatch(/tampered\.jsonl:\d+: BAD_SIGNATURE/);
    const lines = readFileSync(join(cwd, "demo-out/receipts.jsonl"), "utf8").trimEnd().split("\n");
    const keys = importKeySet(JSON.parse(readFileSync(join(cwd, "demo-out/keys.json"), "utf8")));
    const report = await verifyReceipts(lines, { keys });
    expect(report.findings).toEqual([]);
    expect(report.result).toBe("sound");
  });
});

test("runs a user's own policy and requests", async () => {
  await inEmptyFolder(async (cwd) => {
    writeFileSync(
      join(cwd, "own.yaml"),
      'schema: stepgate.policy/1\nid: own\nversion: "1"\nsequence: ask, answer\nfunctions: { ask: [READ], answer: [WRITE] }\n',
    );
    const requests = [
      { sequence_id: "s", function: "answer", action_type: "WRITE" },
      { sequence_id: "s", function: "ask", action_type: "READ" },
    ];
    writeFileSync(
      join(cwd, "own.jsonl"),
      requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
    );
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [main, "--policy", "own.yaml", "--requests", "own.jsonl"],
      { cwd },
    );
    expect(stdout).toMatch(/answer\/WRITE +DENY SEQUENCE_VIOLATION · did not run/);
    expect(stdout).toMatch(/ask\/READ +ALLOW · ran: succeeded/);
    expect(stdout).toContain("sound");
  });
});
