/** `openGate`: a policy, a store and keys become a gate, or nothing does. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as core from "@stepgate/core";
import {
  type CompiledPolicy,
  type Gate,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Receipt,
  type Store,
  verifyReceipts,
} from "@stepgate/core";
import * as language from "@stepgate/policy";
import { parsePolicy } from "@stepgate/policy";
import { describe, expect, onTestFinished, test } from "vitest";
import * as stepgate from "../src/index.ts";
import { openGate, type OpenGateOptions } from "../src/index.ts";
import { REFUNDS, run, temporaryFolder } from "./binary.ts";

const policy: CompiledPolicy = parsePolicy(REFUNDS);

/** Opens a gate on files of a temporary folder; closed with the test. */
async function open(folder: string, options: Partial<OpenGateOptions> = {}): Promise<Gate> {
  const gate = await openGate({
    policy,
    store: `sqlite:${join(folder, "gate.db")}`,
    keys: join(folder, "keys"),
    ...options,
  });
  onTestFinished(() => gate.close());
  return gate;
}

const receiptsOf = (gate: Gate, sequence: string): Promise<Receipt[]> =>
  collect(gate.receipts(sequence));

async function collect(receipts: AsyncIterable<Receipt>): Promise<Receipt[]> {
  const all: Receipt[] = [];
  for await (const receipt of receipts) all.push(receipt);
  return all;
}

describe("a gate", () => {
  test("enforces the policy of a file, and its receipts verify under the public keys in the folder", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS });
    const gate = await open(folder, { policy: join(folder, "policy.yaml") });
    await expect(
      gate.enforce({ sequence_id: "s", tool: "refund" }, () => expect.unreachable()),
    ).rejects.toMatchObject({ code: "SEQUENCE_VIOLATION" });
    const order = { sequence_id: "s", tool: "get_order", args: { order: 17 } };
    expect(await gate.enforce(order, (args) => args)).toEqual({ order: 17 });
    const keys = importKeySet(JSON.parse(readFileSync(join(folder, "keys", "keys.json"), "utf8")));
    const report = await verifyReceipts(gate.receipts("s"), { keys, policies: [policy] });
    expect(report).toMatchObject({ result: "sound", records: 4, recomputed: true });
  });

  test("goes on from its files after a restart", async () => {
    const folder = temporaryFolder();
    const first = await openGate({
      policy,
      store: `sqlite:${join(folder, "gate.db")}`,
      keys: join(folder, "keys"),
    });
    await first.decide({ sequence_id: "s", tool: "get_order", nonce: "n1" });
    await first.close();
    const second = await open(folder);
    expect(await second.decide({ sequence_id: "s", tool: "get_order", nonce: "n1" })).toMatchObject(
      { deny_code: "REPLAY_NONCE" },
    );
    expect(await second.decide({ sequence_id: "s", tool: "refund" })).toMatchObject({
      decision: "ALLOW",
    });
    expect(new Set((await receiptsOf(second, "s")).map(({ key_id }) => key_id)).size).toBe(1);
  });

  test("takes a file: URL, a compiled policy, a store and a signing key", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS });
    const store = memoryStore();
    const keys = generateSigningKey();
    const gate = await openGate({
      policy: pathToFileURL(join(folder, "policy.yaml")),
      store,
      keys,
    });
    const { receipt } = await gate.decide({ sequence_id: "s", tool: "get_order" });
    expect(receipt).toMatchObject({ key_id: keys.keyId, policy_digest: policy.digest });
    expect(await store.read("s", 0)).toHaveLength(2);
    expect(readdirSync(folder)).toEqual(["policy.yaml"]);
  });

  test("hands mode, clock, permit time and gate id on to its engine", async () => {
    const gate = await open(temporaryFolder(), {
      mode: "shadow",
      clock: () => 1_800_000_000_000,
      gateId: "here",
    });
    const ran: string[] = [];
    await gate.enforce({ sequence_id: "s", tool: "refund" }, () => void ran.push("refund"));
    expect(ran).toEqual(["refund"]);
    const [opened, decision] = await receiptsOf(gate, "s");
    expect(opened).toMatchObject({ mode: "shadow", ts_ms: 1_800_000_000_000, gate_id: "here" });
    expect(decision).toMatchObject({ deny_code: "SEQUENCE_VIOLATION" });
    const enforced = await open(temporaryFolder(), {
      clock: () => 1_800_000_000_000,
      permitTtlMs: 5000,
    });
    expect(await enforced.decide({ sequence_id: "s", tool: "get_order" })).toMatchObject({
      receipt: { permit_expires_ms: 1_800_000_005_000 },
    });
  });
});

describe("the salt key beside a signing key", () => {
  /** Digest of the same arguments under the same log, sequence and nonce. */
  async function argsDigest(options: Partial<OpenGateOptions>): Promise<string | undefined> {
    const gate = await openGate({ policy, store: "memory:", logId: "log", ...options });
    const { receipt } = await gate.decide({ sequence_id: "s", tool: "get_order", nonce: "n" });
    return receipt?.args_digest;
  }

  test("is the same for the same signing key, and another for another", async () => {
    const keys = generateSigningKey();
    const digest = await argsDigest({ keys });
    expect(digest).toMatch(/^hmac-sha256:/);
    expect(await argsDigest({ keys })).toBe(digest);
    expect(await argsDigest({ keys: generateSigningKey() })).not.toBe(digest);
  });

  test("may be given, to outlive the signing key", async () => {
    const saltKey = new Uint8Array(32).fill(7);
    const digest = await argsDigest({ keys: generateSigningKey(), saltKey });
    expect(await argsDigest({ keys: generateSigningKey(), saltKey })).toBe(digest);
  });

  test("is not the secret of the signing key itself", async () => {
    const keys = generateSigningKey();
    const seed = Buffer.from(String(keys.privateKey.export({ format: "jwk" }).d), "base64url");
    expect(await argsDigest({ keys, saltKey: seed })).not.toBe(await argsDigest({ keys }));
  });
});

describe("no gate", () => {
  test("comes of a policy that does not compile, and no file is made", async () => {
    const folder = temporaryFolder({
      "policy.yaml": REFUNDS.replace("sequence: lookup,", "sequence: lokup,"),
    });
    const file = join(folder, "policy.yaml");
    const attempt = open(folder, { policy: file });
    await expect(attempt).rejects.toMatchObject({ code: "POLICY_INVALID" });
    await expect(attempt).rejects.toThrow(new RegExp(`^${file}:4:\\d+: .*'lokup'`, "m"));
    expect(readdirSync(folder)).toEqual(["policy.yaml"]);
  });

  test("comes of a policy that fails its own tests: each is named with its line", async () => {
    const tests = `tests:
  - name: a refund needs no look-up
    agent_id: a
    calls:
      - { tool: refund, expect: ALLOW }
      - { tool: get_order, expect: ALLOW }
      - { tool: get_order, expect: NO_POLICY_MATCH }
`;
    const folder = temporaryFolder({ "policy.yaml": REFUNDS + tests });
    const file = join(folder, "policy.yaml");
    const attempt = open(folder, { policy: file });
    await expect(attempt).rejects.toThrow(
      `${file}:18:25: test 'a refund needs no look-up', call 1 (refund): expected ALLOW, got SEQUENCE_VIOLATION [sequence]: 'refund' is not admissible now; next: lookup.\n` +
        `${file}:20:28: test 'a refund needs no look-up', call 3 (get_order): expected NO_POLICY_MATCH, got SEQUENCE_VIOLATION`,
    );
    await expect(open(folder, { policy: parsePolicy(REFUNDS + tests) })).rejects.toThrow(
      "call 1 (refund): expected ALLOW, got SEQUENCE_VIOLATION",
    );
    expect(readdirSync(folder)).toEqual(["policy.yaml"]);
  });

  test("comes of a test that cannot begin", async () => {
    const tests = `tests:\n  - { name: no such agent, agent_id: "-", calls: [{ tool: get_order, expect: ALLOW }] }\n`;
    await expect(open(temporaryFolder(), { policy: parsePolicy(REFUNDS + tests) })).rejects.toThrow(
      "test 'no such agent' cannot begin: agent_id",
    );
  });

  test("tests that hold let the gate open; each plays in a sequence of its own, with its context and owner", async () => {
    const play = `agent_id: a\n    tenant: t\n    context: { user: u }\n    calls: [{ tool: get_order, expect: ALLOW }, { tool: refund, agent_id: b, expect: INVALID_REQUEST }]`;
    const tests = `tests:\n  - name: one\n    ${play}\n  - name: two\n    ${play}\n`;
    await expect(
      open(temporaryFolder(), { policy: parsePolicy(REFUNDS + tests) }),
    ).resolves.toBeDefined();
  });

  test("comes of a policy that cannot be read", async () => {
    const folder = temporaryFolder();
    await expect(open(folder, { policy: join(folder, "none.yaml") })).rejects.toThrow(
      "none.yaml: no such file or folder",
    );
    await expect(
      open(folder, { policy: new URL("https://example.com/policy.yaml") }),
    ).rejects.toThrow("only file: URLs are read");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("comes of a log of another mode or another log", async () => {
    const folder = temporaryFolder();
    await open(folder, { logId: "one" });
    await expect(open(folder, { mode: "shadow" })).rejects.toMatchObject({ code: "LOG_MISMATCH" });
    await expect(open(folder, { logId: "two" })).rejects.toMatchObject({ code: "LOG_MISMATCH" });
  });

  test("comes of wide keys, and no store is made", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "keys"));
    writeFileSync(join(folder, "keys", "signing-key.pem"), "", { mode: 0o644 });
    await expect(open(folder)).rejects.toMatchObject({
      code: "KEY_INVALID",
      message: expect.stringContaining("is open to others (mode 0644)"),
    });
    expect(existsSync(join(folder, "gate.db"))).toBe(false);
  });

  test.each([
    ["mysql://u:secret@host/db", "UNSUPPORTED", "store scheme 'mysql:' is not supported"],
    ["postgres:secret", "INVALID_INPUT", "write postgres://USER@HOST/DATABASE"],
    ["redis://", "INVALID_INPUT", "write redis://HOST"],
    ["gate.db", "INVALID_INPUT", "such as sqlite:gate.db"],
    ["sqlite:", "INVALID_INPUT", "write sqlite:PATH"],
    ["sqlite://gate.db", "INVALID_INPUT", "write sqlite:PATH"],
    ["memory:x", "INVALID_INPUT", "write memory:"],
  ])("comes of the store %s", async (store, code, message) => {
    const attempt = openGate({ policy, store, keys: generateSigningKey() });
    await expect(attempt).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    await expect(attempt).rejects.not.toThrow("secret");
  });

  test.each([
    [{}, "policy must be"],
    [{ policy: 7 }, "policy must be"],
    [{ policy: "" }, "policy must be"],
    [{ policy, store: 7 }, "store must be"],
    [{ policy, keys: "" }, "keys must be"],
    [{ policy, keys: {}, store: "memory:" }, "keys must be a signing key in this process"],
    [{ policy, permitTTL: 5 }, "unknown option 'permitTTL'"],
    [{ policy, saltKey: new Uint8Array(32) }, "saltKey goes with a signing key"],
    [{ policy, mode: "audit", store: "memory:", keys: generateSigningKey() }, "mode must be"],
    [{ policy: { id: "raw" }, store: "memory:", keys: generateSigningKey() }, "must be compiled"],
    [undefined, "options are required"],
  ])("comes of the options %#", async (options, message) => {
    const attempt = openGate(options as unknown as OpenGateOptions);
    await expect(attempt).rejects.toBeInstanceOf(TypeError);
    await expect(attempt).rejects.toThrow(message);
  });

  test("leaves a caller's store open", async () => {
    const closed: string[] = [];
    const store: Store = { ...memoryStore(), close: async () => void closed.push("closed") };
    await open(temporaryFolder(), { store, logId: "one" });
    await expect(open(temporaryFolder(), { store, logId: "two" })).rejects.toThrow("log");
    expect(closed).toEqual([]);
  });

  test.skipIf(process.platform !== "linux")("leaves no store of its own open", async () => {
    const folder = temporaryFolder();
    await (
      await openGate({
        policy,
        store: `sqlite:${join(folder, "gate.db")}`,
        keys: join(folder, "keys"),
      })
    ).close();
    await expect(open(folder, { mode: "shadow" })).rejects.toThrow("mode");
    const files = readdirSync("/proc/self/fd").map((fd) => readlink(`/proc/self/fd/${fd}`));
    expect(files.filter((file) => file.startsWith(folder))).toEqual([]);
  });
});

/** Where a link leads; nowhere for one that is gone already. */
function readlink(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

describe("the package", () => {
  test("re-exports everything of the core and of the policy language", () => {
    for (const [name, value] of [...Object.entries(core), ...Object.entries(language)]) {
      expect((stepgate as Record<string, unknown>)[name], name).toBe(value);
    }
  });

  test("the README's program prints what the README says", async () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [program, printed] = ["ts", "text"].map(
      (language) => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(readme)?.[1],
    );
    const folder = temporaryFolder({
      "first.ts": program ?? "",
      "package.json": '{"type":"module"}',
    });
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(
      fileURLToPath(new URL("..", import.meta.url)),
      join(folder, "node_modules", "stepgate"),
    );
    expect(await run(process.execPath, ["first.ts"], folder)).toEqual({
      code: 0,
      stderr: "",
      stdout: printed,
    });
    expect(readdirSync(folder)).toEqual(expect.arrayContaining([".stepgate", "stepgate.db"]));
  });
});
