/** Several versions of a policy in one gate: which one opens sequences, which go on serving theirs, and what is recorded. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { importKeySet, exportKeySet, generateSigningKey, verifyReceipts } from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { sqliteStore } from "@stepgate/store-sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { type OpenedGate, openGate, type OpenGateOptions } from "../src/index.ts";
import { REFUNDS, temporaryFolder } from "./binary.ts";

/** The second version looks an order up twice. */
const SECOND = REFUNDS.replace('version: "1"', 'version: "2"').replace(
  /sequence: .*/,
  "sequence: lookup{2}, refund, settle",
);
const keys = generateSigningKey();
const order = (sequence_id: string) => ({ sequence_id, tool: "get_order" });

async function open(folder: string, options: Partial<OpenGateOptions> = {}): Promise<OpenedGate> {
  const store = join(folder, "gate.db");
  const gate = await openGate({
    policy: parsePolicy(REFUNDS),
    store: `sqlite:${store}`,
    keys,
    ...options,
  });
  onTestFinished(() => gate.close());
  return gate;
}

const answer = async (gate: OpenedGate, request: Parameters<OpenedGate["decide"]>[0]) => {
  const decision = await gate.decide(request);
  return decision.decision === "ALLOW" ? "ALLOW" : decision.deny_code;
};

/** What `@log` says, in order, and that a stranger finds nothing wrong with the whole log. */
async function logOf(folder: string): Promise<readonly string[]> {
  const store = sqliteStore(join(folder, "gate.db"));
  const lines = await Array.fromAsync(store.lines());
  await store.close();
  const report = await verifyReceipts(lines, { keys: importKeySet(exportKeySet([keys])) });
  expect(report.findings).toEqual([]);
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === "policy")
    .map(({ status, policy_version }) => `${status} ${policy_version}`);
}

describe("a new version", () => {
  test("opens new sequences; those under way keep the one that they began with", async () => {
    const folder = temporaryFolder();
    const gate = await open(folder);
    expect(await answer(gate, order("old"))).toBe("ALLOW");
    expect(await gate.activate(parsePolicy(SECOND))).toMatchObject({
      kind: "policy",
      status: "active",
      policy_version: "2",
      previous: parsePolicy(REFUNDS).digest,
    });
    expect(await answer(gate, order("new"))).toBe("ALLOW");
    expect(await answer(gate, { sequence_id: "old", tool: "refund" })).toBe("ALLOW");
    expect(await answer(gate, { sequence_id: "new", tool: "refund" })).toBe("SEQUENCE_VIOLATION");
    expect(await logOf(folder)).toEqual(["active 1", "active 2"]);
  });

  test("is taken from a file, by path or URL", async () => {
    const folder = temporaryFolder({ "two.yaml": SECOND });
    const gate = await open(folder);
    await gate.activate(join(folder, "two.yaml"));
    await gate.activate(pathToFileURL(join(folder, "two.yaml")));
    expect(await logOf(folder)).toEqual(["active 1", "active 2"]);
  });

  test.each([
    [
      "does not compile",
      "sequence: lookup, refnd, settle",
      /two\.yaml:\d+:\d+: .*did you mean 'refund'/,
    ],
    [
      "fails its own tests",
      "sequence: lookup, refund, settle\ntests: [{ name: early, calls: [{ tool: refund, expect: ALLOW }] }]",
      /two\.yaml:\d+:\d+: test 'early', call 1.*: expected ALLOW, got SEQUENCE_VIOLATION/,
    ],
  ])("that %s is refused, and the last good one stays", async (_name, sequence, message) => {
    const folder = temporaryFolder();
    const gate = await open(folder);
    writeFileSync(join(folder, "two.yaml"), SECOND.replace(/sequence: .*/, sequence));
    await expect(gate.activate(join(folder, "two.yaml"))).rejects.toThrow(message);
    expect(await answer(gate, order("s"))).toBe("ALLOW");
    expect(await answer(gate, { sequence_id: "s", tool: "refund" })).toBe("ALLOW");
    expect(await logOf(folder)).toEqual(["active 1"]);
  });
});

describe("after a restart with the new version", () => {
  test("sequences that began under the old one go on under it, by what the store kept", async () => {
    const folder = temporaryFolder();
    const before = await open(folder);
    expect(await answer(before, order("old"))).toBe("ALLOW");
    await before.close();
    const gate = await open(folder, { policy: parsePolicy(SECOND) });
    expect(await answer(gate, { sequence_id: "old", tool: "refund" })).toBe("ALLOW");
    expect(await answer(gate, order("new"))).toBe("ALLOW");
    expect(await answer(gate, { sequence_id: "new", tool: "refund" })).toBe("SEQUENCE_VIOLATION");
    expect(gate.policies().map(({ version, status }) => `${version} ${status}`)).toEqual([
      "1 held",
      "2 active",
    ]);
    expect(await logOf(folder)).toEqual(["active 1", "active 2"]);
  });

  test("of another id: the old one opens nothing more, and serves what it has", async () => {
    const folder = temporaryFolder();
    const before = await open(folder);
    expect(await answer(before, order("old"))).toBe("ALLOW");
    await before.close();
    const gate = await open(folder, {
      policy: parsePolicy(SECOND.replace("id: refunds", "id: returns")),
    });
    expect(await answer(gate, { sequence_id: "old", tool: "refund" })).toBe("ALLOW");
    expect(await answer(gate, order("new"))).toBe("ALLOW");
    expect((await Array.fromAsync(gate.receipts("new")))[0]).toMatchObject({
      policy_id: "returns",
    });
    await expect(gate.open({ sequence_id: "x", policy_id: "refunds" })).rejects.toMatchObject({
      code: "POLICY_UNAVAILABLE",
    });
  });

  test("a withdrawn one stays withdrawn until it is activated again", async () => {
    const folder = temporaryFolder();
    const before = await open(folder);
    expect(await answer(before, order("old"))).toBe("ALLOW");
    await before.withdraw(parsePolicy(REFUNDS).digest);
    expect(await answer(before, { sequence_id: "old", tool: "refund" })).toBe("POLICY_UNAVAILABLE");
    await before.close();
    const gate = await open(folder, { policy: parsePolicy(SECOND) });
    expect(await answer(gate, { sequence_id: "old", tool: "refund" })).toBe("POLICY_UNAVAILABLE");
    await gate.activate(parsePolicy(REFUNDS));
    expect(await answer(gate, { sequence_id: "old", tool: "refund" })).toBe("ALLOW");
    expect(await logOf(folder)).toEqual(["active 1", "withdrawn 1", "active 2", "active 1"]);
  });
});

test("of several policies a sequence names the one that it is opened under", async () => {
  const folder = temporaryFolder();
  const returns = parsePolicy(SECOND.replace("id: refunds", "id: returns"));
  const gate = await open(folder, { policy: [parsePolicy(REFUNDS), returns] });
  expect(await answer(gate, order("s"))).toBe("POLICY_UNAVAILABLE");
  await gate.open({ sequence_id: "a", policy_id: "returns" });
  await gate.open({ sequence_id: "b", policy_id: "refunds" });
  for (const sequence_id of ["a", "b"])
    expect(await answer(gate, order(sequence_id))).toBe("ALLOW");
  expect(await answer(gate, { sequence_id: "a", tool: "refund" })).toBe("SEQUENCE_VIOLATION");
  expect(await answer(gate, { sequence_id: "b", tool: "refund" })).toBe("ALLOW");
});
