/** `stepgate receipts`, `verify` and `seal`: what a store holds, what a stranger can make of it, how a person ends it. */
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGate, type Gate, generateSigningKey } from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { sqliteStore } from "@stepgate/store-sqlite";
import { describe, expect, test } from "vitest";
import { openGate } from "../src/index.ts";
import { runProgram } from "../src/program.ts";
import { REFUNDS, run, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

/** A folder with a policy, keys and a store in which two sequences were decided: `a` runs to its seal, `b` only begins. */
async function decidedFolder(mode: "enforce" | "shadow" = "enforce"): Promise<string> {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  await withGate(folder, mode, async (gate) => {
    for (const tool of ["get_order", "refund", "settle"])
      await gate.enforce({ sequence_id: "a", tool }, () => "done");
    await gate.decide({ sequence_id: "b", tool: "get_order" });
    await gate.decide({ sequence_id: "b", tool: "settle" });
  });
  return folder;
}

async function withGate(
  folder: string,
  mode: "enforce" | "shadow",
  use: (gate: Gate) => Promise<void>,
): Promise<void> {
  const gate = await openGate({
    policy: join(folder, "policy.yaml"),
    store: storeIn(folder),
    keys: join(folder, ".stepgate"),
    mode,
  });
  await use(gate);
  await gate.close();
}

/** Another first character of the nonce: the form stays right. */
function flipNonce(line: string): string {
  return line.replace(/"nonce":"(.)/, (_, first) => `"nonce":"${first === "A" ? "B" : "A"}`);
}

const storeIn = (folder: string): string => `sqlite:${join(folder, "stepgate.db")}`;

async function stepgateIn(...args: readonly string[]) {
  const terminal = inProcess();
  const code = await runProgram(args, terminal);
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

describe("receipts", () => {
  test("exports every record, byte for byte, in order, a line each", async () => {
    const cwd = await decidedFolder();
    const { code, stdout, stderr } = await stepgate(cwd, ["receipts"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const store = sqliteStore(join(cwd, "stepgate.db"));
    let kept = "";
    for await (const line of store.lines()) kept += `${line}\n`;
    await store.close();
    expect(stdout).toBe(kept);
    expect(stdout.trim().split("\n")).toHaveLength(11);
    expect((await stepgateIn("receipts", "--store", storeIn(cwd), "--json")).stdout).toBe(stdout);
  });

  test("exports one sequence", async () => {
    const folder = await decidedFolder();
    const { code, stdout } = await stepgateIn(
      "receipts",
      "--store",
      storeIn(folder),
      "--sequence",
      "b",
    );
    expect(code).toBe(0);
    const records = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records.map(({ sequence_id, seq }) => `${sequence_id}${seq}`)).toEqual([
      "b0",
      "b1",
      "b2",
    ]);
  });

  test("of a sequence of more than one page are all there", async () => {
    const folder = temporaryFolder();
    const store = sqliteStore(join(folder, "stepgate.db"));
    for (let from = 0; from < 2000; from += 500) {
      const records = Array.from({ length: 500 }, (_, n) => ({
        seq: from + n,
        hash: `${from + n}`,
        line: `${from + n}`,
      }));
      await store.append({
        sequence_id: "long",
        records: records as unknown as Parameters<typeof store.append>[0]["records"],
      });
    }
    await store.close();
    const { stdout } = await stepgateIn(
      "receipts",
      "--store",
      storeIn(folder),
      "--sequence",
      "long",
    );
    expect(stdout).toBe(Array.from({ length: 2000 }, (_, n) => `${n}\n`).join(""));
  });

  test("of a store or a sequence that is not there are exit 2, and no store is made", async () => {
    const cwd = temporaryFolder();
    expect(await stepgate(cwd, ["receipts"])).toEqual({
      code: 2,
      stdout: "",
      stderr: "stepgate.db: there is no such store\n",
    });
    expect(readdirSync(cwd)).toEqual([]);
    const folder = await decidedFolder();
    expect(await stepgateIn("receipts", "--store", storeIn(folder), "--sequence", "c")).toEqual({
      code: 2,
      stdout: "",
      stderr: `${storeIn(folder)}: there is no sequence 'c'\n`,
    });
    expect((await stepgateIn("receipts", "--store", "memory:")).stderr).toContain(
      "ends with its process",
    );
    expect((await stepgateIn("receipts", "--store", "mysql://u:pw@h/d")).stderr).toBe(
      "store scheme 'mysql:' is not supported; a store is memory:, sqlite:PATH, postgres://USER@HOST/DATABASE, redis://HOST\n",
    );
  });

  test("as JSONL refuse options that would not be heeded", async () => {
    const folder = await decidedFolder();
    const keys = join(folder, ".stepgate", "keys.json");
    for (const stray of [
      ["--keys", keys],
      ["--require", "ed25519"],
      ["--hmac-key", "a=b"],
    ])
      expect(await stepgateIn("receipts", "--store", storeIn(folder), ...stray)).toEqual({
        code: 2,
        stdout: "",
        stderr:
          "receipts: JSONL is not verified by its export: write it to a file, and use stepgate verify\n",
      });
    const key = join(folder, ".stepgate", "signing-key.pem");
    const keyed = await stepgateIn("receipts", "--store", storeIn(folder), "--key", key);
    expect(keyed.stderr).toBe("receipts: --key goes with --format in-toto\n");
  });

  test("into a pipe whose reader leaves end without a stack trace", async () => {
    const cwd = temporaryFolder();
    const store = sqliteStore(join(cwd, "stepgate.db"));
    const records = Array.from({ length: 400 }, (_, seq) => ({
      seq,
      hash: `${seq}`,
      line: "x".repeat(10_000),
    }));
    await store.append({
      sequence_id: "long",
      records: records as unknown as Parameters<typeof store.append>[0]["records"],
    });
    await store.close();
    const main = new URL("../src/main.ts", import.meta.url).pathname;
    const { stdout, stderr } = await run(
      "sh",
      ["-c", `'${process.execPath}' '${main}' receipts | head -c 5; echo`],
      cwd,
    );
    expect({ stdout, stderr }).toEqual({ stdout: "xxxxx\n", stderr: "" });
  });
});

describe("verify", () => {
  /** A folder with exported receipts, and the arguments to verify them. */
  async function exported(mode: "enforce" | "shadow" = "enforce") {
    const folder = await decidedFolder(mode);
    const file = join(folder, "receipts.jsonl");
    const { stdout } = await stepgateIn("receipts", "--store", storeIn(folder));
    writeFileSync(file, stdout);
    return {
      folder,
      file,
      lines: stdout.split("\n").slice(0, -1),
      args: ["verify", file, "--keys", join(folder, ".stepgate", "keys.json")],
    };
  }

  test("a sound file: a verdict for each sequence, and what cannot be known", async () => {
    const { folder } = await exported();
    const { code, stdout, stderr } = await stepgate(folder, [
      "verify",
      "receipts.jsonl",
      "--keys",
      ".stepgate/keys.json",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toBe("SEALED     a: 7 records; no new action was allowed after the seal");
    expect(lines[1]).toBe(
      "OPEN       b: 3 records; sound so far; a missing tail cannot be excluded",
    );
    expect(lines[2]).toMatch(/^ {11}ALLOW without outcome: sha256:[0-9a-f]{64}$/);
    expect(lines[3]).toBe("decisions not recomputed: no --policy was given");
    expect(lines[4]).toBe(
      "receipts.jsonl: 11 records, 2 sequences (1 SEALED, 1 OPEN), 1 ALLOW without outcome: sound",
    );
  });

  test("with the policy decisions are recomputed, and another policy is a finding", async () => {
    const { folder, args } = await exported();
    const { code, stdout } = await stepgateIn(...args, "--policy", join(folder, "policy.yaml"));
    expect(code).toBe(0);
    expect(stdout).not.toContain("not recomputed");
    writeFileSync(join(folder, "other.yaml"), REFUNDS.replace('version: "1"', 'version: "2"'));
    const other = await stepgateIn(...args, "--policy", join(folder, "other.yaml"));
    expect(other.code).toBe(1);
    expect(other.stderr).toContain("POLICY_MISMATCH");
    const both = await stepgateIn(
      ...args,
      "--policy",
      join(folder, "other.yaml"),
      "--policy",
      join(folder, "policy.yaml"),
    );
    expect(both.code).toBe(0);
  });

  test.each<readonly [string, string, number, (lines: string[]) => string]>([
    [
      "one changed byte",
      "BAD_SIGNATURE",
      3,
      (lines) => `${lines.with(2, flipNonce(lines[2] ?? "")).join("\n")}\n`,
    ],
    ["a removed record", "GAP", 3, (lines) => `${lines.toSpliced(2, 1).join("\n")}\n`],
    ["a missing last line feed", "UNREADABLE", 11, (lines) => lines.join("\n")],
    ["a byte-order mark", "UNREADABLE", 1, (lines) => `\ufeff${lines.join("\n")}\n`],
    ["an empty line", "UNREADABLE", 12, (lines) => `${lines.join("\n")}\n\n`],
    ["carriage returns", "NOT_CANONICAL", 1, (lines) => `${lines.join("\r\n")}\r\n`],
    [
      "a member that stands twice",
      "DUPLICATE_MEMBER",
      1,
      (lines) => `${lines.with(0, (lines[0] ?? "").replace("{", '{"seq":0,')).join("\n")}\n`,
    ],
  ])("%s is found in its line: %s", async (_, code, line, change) => {
    const { file, lines, args } = await exported();
    writeFileSync(file, change([...lines]));
    const result = await stepgateIn(...args);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`${file}:${line}:1: ${code}`);
    expect(result.stdout).toContain("INVALID, ");
  });

  test("bytes that are not UTF-8 are found in their line", async () => {
    const { file, args } = await exported();
    appendFileSync(file, Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));
    const { code, stderr } = await stepgateIn(...args);
    expect(code).toBe(1);
    expect(stderr).toBe(`${file}:12:1: UNREADABLE: not UTF-8\n`);
  });

  test("--json is the report as one document, findings included", async () => {
    const { file, lines, args } = await exported();
    writeFileSync(file, `${lines.toSpliced(2, 1).join("\n")}\n`);
    const { code, stdout, stderr } = await stepgateIn(...args, "--json");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      file,
      result: "invalid",
      records: 10,
      recomputed: false,
      findings: expect.arrayContaining([
        expect.objectContaining({ code: "GAP", line: 3, sequence_id: "a", seq: 2 }),
      ]),
      sequences: [
        { sequence_id: "a", verdict: "INVALID", records: 6 },
        {
          sequence_id: "b",
          verdict: "OPEN",
          records: 3,
          open_allows: [expect.stringMatching(/^sha256:/)],
        },
      ],
    });
  });

  test("without the key, or without records, nothing can be decided: exit 2", async () => {
    const { folder, file, args } = await exported();
    await stepgateIn("keys", "new", join(folder, "others"));
    const stranger = await stepgateIn(
      "verify",
      file,
      "--keys",
      join(folder, "others", "keys.json"),
    );
    expect(stranger.code).toBe(2);
    expect(stranger.stdout).toContain("UNDECIDED  a: 7 records; UNKNOWN_KEY in line 2");
    expect(stranger.stdout).toContain("could not decide, a key is missing");
    writeFileSync(file, "");
    const empty = await stepgateIn(...args);
    expect(empty.code).toBe(2);
    expect(empty.stdout).toContain("could not decide, there are no records");
  });

  test("a shadow run is UNENFORCED", async () => {
    const { args } = await exported("shadow");
    const { code, stdout } = await stepgateIn(...args);
    expect(code).toBe(0);
    expect(stdout).toContain(
      "UNENFORCED a: 7 records; a shadow run: decisions were recorded, not enforced",
    );
  });

  test("--require hmac asks for MACs, and believes them with the secret", async () => {
    const folder = temporaryFolder();
    const secret = Buffer.alloc(32, 9);
    writeFileSync(join(folder, "secret"), secret);
    const signer = generateSigningKey();
    writeFileSync(join(folder, "keys.json"), JSON.stringify({ keys: [signer.publicJwk] }));
    const store = sqliteStore(join(folder, "stepgate.db"));
    const gate = await createGate({
      policies: [parsePolicy(REFUNDS)],
      store,
      hmacKey: { id: "mac-1", secret },
      saltKey: new Uint8Array(32),
    });
    await gate.decide({ sequence_id: "s", tool: "get_order" });
    await gate.close();
    const file = join(folder, "receipts.jsonl");
    writeFileSync(file, (await stepgateIn("receipts", "--store", storeIn(folder))).stdout);
    const args = ["verify", file, "--keys", join(folder, "keys.json")];
    expect((await stepgateIn(...args)).stderr).toContain("WEAK_EVIDENCE");
    expect(
      (
        await stepgateIn(
          ...args,
          "--require",
          "hmac",
          "--hmac-key",
          `mac-1=${join(folder, "secret")}`,
        )
      ).code,
    ).toBe(0);
    expect((await stepgateIn(...args, "--require", "hmac")).code).toBe(2);
    writeFileSync(join(folder, "secret"), Buffer.alloc(32, 8));
    expect(
      (
        await stepgateIn(
          ...args,
          "--require",
          "hmac",
          "--hmac-key",
          `mac-1=${join(folder, "secret")}`,
        )
      ).stderr,
    ).toContain("BAD_MAC");
    expect(await stepgateIn(...args, "--hmac-key", "secret")).toMatchObject({
      code: 2,
      stderr: "--hmac-key: write ID=FILE\n",
    });
  });

  test("keys or receipts that cannot be read are exit 2", async () => {
    const { folder, args } = await exported();
    const keys = join(folder, "keys.json");
    expect(await stepgateIn("verify", join(folder, "none"), ...args.slice(2))).toMatchObject({
      code: 2,
      stdout: "",
      stderr: `${join(folder, "none")}: no such file or folder\n`,
    });
    expect(await stepgateIn(...args.slice(0, 3), keys)).toMatchObject({
      code: 2,
      stdout: "",
      stderr: `${keys}: no such file or folder\n`,
    });
    writeFileSync(keys, '{"keys":7}');
    expect(await stepgateIn(...args.slice(0, 3), keys)).toMatchObject({
      code: 2,
      stdout: "",
      stderr: `${keys}: a key set is {"keys": [...]}\n`,
    });
    writeFileSync(keys, '{"keys":[}');
    expect((await stepgateIn(...args.slice(0, 3), keys)).stderr).toBe(`${keys}:1:10: not JSON\n`);
  });

  test("names in a file cannot write lines of their own into the report", async () => {
    const { file, args } = await exported();
    appendFileSync(
      file,
      `${JSON.stringify({ v: "x", sequence_id: "b\nSEALED     z: 9 records\u001b[2K", seq: 0 })}\n`,
    );
    const { code, stdout, stderr } = await stepgateIn(...args);
    expect(code).toBe(1);
    expect(`${stdout}${stderr}`).not.toMatch(/^SEALED {5}z/m);
    expect(`${stdout}${stderr}`).not.toContain("\u001b");
    expect(stdout).toContain("b\ufffdSEALED");
  });
});

describe("seal", () => {
  test("ends a sequence by a person's signed record, after which nothing is allowed and the chain verifies", async () => {
    const cwd = await decidedFolder();
    const sealed = await stepgate(cwd, [
      "seal",
      "--sequence",
      "b",
      "--reason",
      "customer withdrew",
      "--by",
      "alice",
    ]);
    expect(sealed).toEqual({
      code: 0,
      stdout: "sealed b (#3) by alice: customer withdrew\n",
      stderr: "",
    });
    await withGate(cwd, "enforce", async (gate) => {
      expect(await gate.decide({ sequence_id: "b", tool: "refund" })).toMatchObject({
        deny_code: "SEALED_SEQUENCE",
      });
    });
    const { stdout } = await stepgateIn("receipts", "--store", storeIn(cwd));
    writeFileSync(join(cwd, "r.jsonl"), stdout);
    const report = await stepgateIn(
      "verify",
      join(cwd, "r.jsonl"),
      "--keys",
      join(cwd, ".stepgate", "keys.json"),
      "--policy",
      join(cwd, "policy.yaml"),
      "--json",
    );
    expect(report.code).toBe(0);
    expect(JSON.parse(report.stdout).sequences[1]).toMatchObject({
      sequence_id: "b",
      verdict: "SEALED",
    });
  });

  test("answers with the receipt, and with the first one when it is said again", async () => {
    const folder = await decidedFolder();
    const args = [
      "seal",
      "--store",
      storeIn(folder),
      "--keys",
      join(folder, ".stepgate"),
      "--sequence",
      "b",
      "--json",
    ];
    const first = await stepgateIn(...args, "--reason", "one");
    expect(JSON.parse(first.stdout)).toMatchObject({
      kind: "seal",
      sequence_id: "b",
      seq: 3,
      by: "host",
      reason: "one",
      sealed: true,
    });
    expect((await stepgateIn(...args, "--reason", "two")).stdout).toBe(first.stdout);
  });

  test("works on a shadow log too", async () => {
    const folder = await decidedFolder("shadow");
    const args = [
      "--store",
      storeIn(folder),
      "--keys",
      join(folder, ".stepgate"),
      "--sequence",
      "b",
      "--reason",
      "over",
    ];
    expect(await stepgateIn("seal", ...args)).toMatchObject({ code: 0, stderr: "" });
  });

  test("needs a store, a sequence, keys and a reason that are there; otherwise it writes nothing", async () => {
    const folder = await decidedFolder();
    const before = readFileSync(join(folder, "stepgate.db")).length;
    const keys = ["--keys", join(folder, ".stepgate")];
    const seal = (...more: readonly string[]) => stepgateIn("seal", "--reason", "over", ...more);
    expect(await seal("--store", storeIn(folder), ...keys, "--sequence", "c")).toMatchObject({
      code: 2,
      stderr: `${storeIn(folder)}: there is no sequence 'c'\n`,
    });
    expect(
      await seal("--store", `sqlite:${join(folder, "none.db")}`, ...keys, "--sequence", "b"),
    ).toMatchObject({ code: 2, stderr: `${join(folder, "none.db")}: there is no such store\n` });
    expect(
      await seal("--store", storeIn(folder), "--keys", join(folder, "none"), "--sequence", "b"),
    ).toMatchObject({
      code: 2,
      stderr: `${join(folder, "none", "keys.json")}: no such file or folder\n`,
    });
    expect(
      await stepgateIn(
        "seal",
        "--reason",
        "x\ny",
        "--store",
        storeIn(folder),
        ...keys,
        "--sequence",
        "b",
      ),
    ).toMatchObject({ code: 2, stderr: "reason: 1 to 200 printable ASCII characters\n" });
    expect(existsSync(join(folder, "none.db"))).toBe(false);
    expect(existsSync(join(folder, "none"))).toBe(false);
    expect(readFileSync(join(folder, "stepgate.db")).length).toBe(before);
    expect(
      (await stepgateIn("receipts", "--store", storeIn(folder), "--sequence", "b")).stdout
        .trim()
        .split("\n"),
    ).toHaveLength(3);
  });

  test("takes --policy for a store that does not hold the sequence's policy", async () => {
    const folder = await decidedFolder();
    // A store without its documents, as an older backup of the records alone would be.
    const source = sqliteStore(join(folder, "stepgate.db"));
    const lines = await source.read("b", 0);
    const copy = sqliteStore(join(folder, "copy.db"));
    const logId = JSON.parse(lines[0] ?? "").log_id;
    await copy.setting("log_id", logId);
    for (const [seq, line] of lines.entries())
      await copy.append({ sequence_id: "b", records: [{ seq, hash: `${seq}`, line }] });
    await Promise.all([source.close(), copy.close()]);
    const args = [
      "seal",
      "--store",
      `sqlite:${join(folder, "copy.db")}`,
      "--keys",
      join(folder, ".stepgate"),
      "--sequence",
      "b",
      "--reason",
      "over",
    ];
    const missing =
      /^the store does not hold policy 'refunds' \(sha256:[0-9a-f]{64}\); name it with --policy\n$/;
    expect(await stepgateIn(...args)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(missing),
    });
    const { policy_digest } = JSON.parse(lines[0] ?? "");
    const { normalForm } = parsePolicy(REFUNDS.replace('version: "1"', 'version: "2"'));
    const changed = sqliteStore(join(folder, "copy.db"));
    await changed.keep([{ digest: policy_digest, text: normalForm }]);
    await changed.close();
    expect(await stepgateIn(...args)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(missing),
    });
    expect(await stepgateIn(...args, "--policy", join(folder, "policy.yaml"))).toMatchObject({
      code: 0,
      stdout: "sealed b (#3) by host: over\n",
    });
  });
});
