/** `stepgate explain`: every check in order, the one that fails, its line in the file, what would be admissible. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGate, generateSigningKey, memoryStore, receiptLine } from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { makeKeyFolder } from "../src/key-folder.ts";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const NOW = 1_800_000_000_000;

interface Example {
  readonly request: unknown;
  /** Requests that came before, on the same policy or another. */
  readonly before?: readonly object[];
  readonly beforeUnder?: string;
  readonly args?: readonly string[];
}

/** A policy, a request and perhaps receipts in a folder; and the explanation as a document. */
async function explain({ request, before, beforeUnder = REFUNDS, args = [] }: Example) {
  const folder = temporaryFolder({
    "policy.yaml": REFUNDS,
    "r.json": typeof request === "string" ? request : JSON.stringify(request),
  });
  const receipts: string[] = [];
  if (before !== undefined) {
    writeFileSync(join(folder, "l.jsonl"), (await history(before, beforeUnder)).join(""));
    receipts.push("--receipts", join(folder, "l.jsonl"));
  }
  const terminal = inProcess();
  const line = [
    "explain",
    join(folder, "policy.yaml"),
    "--request",
    join(folder, "r.json"),
    "--at",
    `${NOW}`,
    "--json",
    ...receipts,
    ...args,
  ];
  const code = await runProgram(line, terminal);
  const { stdout, stderr } = terminal;
  return {
    code,
    folder,
    document: stdout.text === "" ? undefined : JSON.parse(stdout.text),
    stderr: stderr.text,
  };
}

async function history(requests: readonly object[], policy: string): Promise<readonly string[]> {
  const store = memoryStore();
  const gate = await createGate({
    policies: [parsePolicy(policy)],
    store,
    signer: generateSigningKey(),
    saltKey: new Uint8Array(32),
    clock: () => NOW,
  });
  for (const request of requests) await gate.decide(request as Parameters<typeof gate.decide>[0]);
  const lines = await Array.fromAsync(store.lines());
  return lines.filter((line) => !line.includes("@log")).map((line) => `${line}\n`);
}

const order = { sequence_id: "s", tool: "get_order", nonce: "n1" };
const results = (document: { checks: readonly { result: string }[] }): string =>
  document.checks.map(({ result }) => result.charAt(0)).join("");

describe("each check, by the request that it refuses", () => {
  test.each<readonly [string, string, string | undefined, string, Example]>([
    [
      "INVALID_REQUEST",
      "request.sequence_id",
      undefined,
      "fnnnnnnnnnn",
      { request: { tool: "refund" } },
    ],
    [
      "INVALID_REQUEST",
      "request.agent_id",
      undefined,
      "fnnnnnnnnnn",
      { request: { ...order, agent_id: "x" }, before: [order] },
    ],
    [
      "POLICY_UNAVAILABLE",
      "policy",
      undefined,
      "pfnnnnnnnnn",
      {
        request: order,
        before: [order],
        beforeUnder: REFUNDS.replace('version: "1"', 'version: "2"'),
      },
    ],
    [
      "STALE_TIMESTAMP",
      "freshness",
      undefined,
      "ppfnnnnnnnn",
      { request: { ...order, ts_ms: NOW - 300_001 } },
    ],
    ["REPLAY_NONCE", "nonce", undefined, "pppfnnnnnnn", { request: order, before: [order] }],
    [
      "SEALED_SEQUENCE",
      "seal",
      undefined,
      "ppppfnnnnnn",
      {
        request: order,
        before: ["get_order", "refund", "settle"].map((tool) => ({ sequence_id: "s", tool })),
      },
    ],
    [
      "NO_POLICY_MATCH",
      "tools",
      "10:1",
      "pppppfnnnnn",
      { request: { sequence_id: "s", tool: "transfer" } },
    ],
    [
      "NO_POLICY_MATCH",
      "functions",
      "5:1",
      "pppppfnnnnn",
      { request: { sequence_id: "s", function: "pay", action_type: "READ" } },
    ],
    [
      "SEQUENCE_VIOLATION",
      "sequence",
      "4:1",
      "ppppppfnnnn",
      { request: { sequence_id: "s", tool: "refund" } },
    ],
    [
      "ACTION_NOT_ALLOWED",
      "functions.lookup.actions",
      "6:3",
      "pppppppfnnn",
      { request: { sequence_id: "s", function: "lookup", action_type: "WRITE_DB" } },
    ],
  ])("%s (%s)", async (deny_code, rule, place, marks, example) => {
    const { code, folder, document, stderr } = await explain(example);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(document).toMatchObject({ decision: "DENY", deny_code, rule });
    expect(document.at).toBe(
      place === undefined ? undefined : `${join(folder, "policy.yaml")}:${place}`,
    );
    expect(results(document)).toBe(marks);
    expect(document.checks.map(({ check }: { check: string }) => check)).toEqual([
      "0",
      "policy",
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "7",
      "8",
      "9",
    ]);
  });

  test("allowed: every check passes, exit 0", async () => {
    const { code, document } = await explain({ request: order });
    expect(code).toBe(0);
    expect(results(document)).toBe("ppppppppppp");
    expect(document).toMatchObject({
      decision: "ALLOW",
      call: { tool: "get_order", function: "lookup", action_type: "READ", step: "lookup" },
      policy: { id: "refunds", digest: parsePolicy(REFUNDS).digest },
    });
    expect(document.deny_code).toBeUndefined();
  });

  test("a text that is no JSON fails check 0, with its place on stderr", async () => {
    const { code, folder, document, stderr } = await explain({
      request: '{"sequence_id":"s",\n "sequence_id":"s"}',
    });
    expect(code).toBe(1);
    expect(document).toMatchObject({ deny_code: "INVALID_REQUEST", rule: "request" });
    expect(stderr).toBe(`${join(folder, "r.json")}:2:2: sequence_id: a member stands twice\n`);
  });
});

describe("what would be admissible", () => {
  test("at the beginning, and after the receipts given", async () => {
    const refund = { sequence_id: "s", tool: "refund" };
    const first = await explain({ request: refund });
    expect(first.document.state).toMatchObject({
      opened: false,
      sealed: false,
      next_steps: ["lookup"],
      permitted_tools: ["get_order"],
    });
    const later = await explain({
      request: refund,
      before: [order, { ...order, sequence_id: "another" }],
    });
    expect(later.code).toBe(0);
    expect(later.document.state).toMatchObject({
      opened: true,
      next_steps: ["refund"],
      permitted_tools: ["refund"],
    });
  });

  test("receipts of other sequences only are another beginning", async () => {
    const { document } = await explain({
      request: { sequence_id: "s", tool: "refund" },
      before: [{ ...order, sequence_id: "another" }],
    });
    expect(document).toMatchObject({ deny_code: "SEQUENCE_VIOLATION", state: { opened: false } });
  });

  test("the clock is the one given: ISO 8601 or milliseconds", async () => {
    const request = { ...order, ts_ms: Date.parse("2026-02-22T12:00:00Z") };
    expect((await explain({ request, args: ["--at", "2026-02-22T12:04:00Z"] })).code).toBe(0);
    expect(
      (await explain({ request, args: ["--at", "2026-02-22T12:06:00Z"] })).document,
    ).toMatchObject({ deny_code: "STALE_TIMESTAMP" });
    const wrong = await explain({ request, args: ["--at", "yesterday"] });
    expect(wrong).toMatchObject({
      code: 2,
      document: undefined,
      stderr: "--at yesterday: write 2026-02-22T12:00:00Z, or milliseconds\n",
    });
  });
});

describe("a call that comes back after an interruption", () => {
  test("is known again with the gate's keys, and is a replay without them", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS, "r.json": JSON.stringify(order) });
    const keys = await makeKeyFolder(join(folder, "keys"), NOW);
    const gate = await createGate({
      policies: [parsePolicy(REFUNDS)],
      store: memoryStore(),
      ...keys,
      clock: () => NOW,
    });
    const allow = await gate.decide(order);
    if (allow.decision !== "ALLOW") expect.unreachable();
    else await gate.outcome(allow, { status: "interrupted" });
    let lines = "";
    for await (const receipt of gate.receipts("s")) lines += `${receiptLine(receipt)}\n`;
    writeFileSync(join(folder, "l.jsonl"), lines);
    const line = [
      "explain",
      join(folder, "policy.yaml"),
      "--request",
      join(folder, "r.json"),
      "--receipts",
      join(folder, "l.jsonl"),
      "--at",
      `${NOW}`,
    ];
    expect(await runProgram([...line, "--keys", join(folder, "keys")], inProcess())).toBe(0);
    const without = inProcess();
    expect(await runProgram(line, without)).toBe(1);
    expect(without.stdout.text).toContain("REPLAY_NONCE");
    const none = inProcess();
    expect(await runProgram([...line, "--keys", join(folder, "none")], none)).toBe(2);
    expect(none.stderr.text).toBe(`${join(folder, "none", "keys.json")}: no such file or folder\n`);
  });
});

describe("receipts that are none are refused at their line", () => {
  test.each([
    [
      "a gap",
      (lines: string[]) => lines.toSpliced(1, 1),
      /l\.jsonl:2:1: record 2 of 's' does not follow/,
    ],
    [
      "no beginning",
      (lines: string[]) => lines.slice(1),
      /l\.jsonl:1:1: record 1 of 's' does not follow/,
    ],
    ["no JSON", (lines: string[]) => [...lines, "{\n"], /l\.jsonl:4:1: UNREADABLE: /],
    [
      "a member too many",
      (lines: string[]) => lines.map((line) => line.replace('"v":', '"u":1,"v":')),
      /l\.jsonl:1:1: UNKNOWN_MEMBER: /,
    ],
    [
      "a chain that breaks",
      (lines: string[]) => lines.with(1, (lines[1] ?? "").replace('"nonce":"n1"', '"nonce":"n2"')),
      /l\.jsonl: the records of 's' make no chain/,
    ],
  ])("%s", async (_, change, message) => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS, "r.json": JSON.stringify(order) });
    const lines = await history([order, { sequence_id: "s", tool: "refund" }], REFUNDS);
    writeFileSync(join(folder, "l.jsonl"), change([...lines]).join(""));
    const terminal = inProcess();
    expect(
      await runProgram(
        [
          "explain",
          join(folder, "policy.yaml"),
          "--request",
          join(folder, "r.json"),
          "--receipts",
          join(folder, "l.jsonl"),
        ],
        terminal,
      ),
    ).toBe(2);
    expect(terminal.stderr.text).toMatch(message);
    expect(terminal.stdout.text).toBe("");
  });
});

test("the binary prints the checks for people", async () => {
  const cwd = temporaryFolder({
    "policy.yaml": REFUNDS,
    "r.json": '{"sequence_id":"s","tool":"refund"}',
  });
  expect(await stepgate(cwd, ["explain", "policy.yaml", "--request", "r.json"])).toEqual({
    code: 1,
    stderr: "",
    stdout: `policy.yaml: refunds 1 ${parsePolicy(REFUNDS).digest}
call: tool refund, function refund, action_type WRITE_DB, step refund
     0  ok  well formed, and the sequence is the caller's
policy  ok  the sequence is pinned to this policy
     1  ok  the request is fresh
     2  ok  the nonce is unused in this sequence
     3  ok  the sequence is not sealed, not past its lifetime
     4  ok  tool, function and step are known to the policy
     5  NO  the step is admissible now, every constraint holds: SEQUENCE_VIOLATION
     6  --  the action is permitted for the function and this agent
     7  --  the arguments are such as the policy admits
     8  --  the limits leave room for it
     9  --  enough of the right people approve
DENY SEQUENCE_VIOLATION: 'refund' is not admissible now; next: lookup.
rule sequence at policy.yaml:4:1
admissible: steps lookup; tools get_order
`,
  });
});
