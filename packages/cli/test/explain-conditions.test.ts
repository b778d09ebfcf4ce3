/** `stepgate explain` at Level 2: each condition of checks 7 to 9, what it asks, where it stands and what did not fit. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  createGate,
  generateSigningKey,
  importKeySet,
  memoryStore,
  type Gate,
  signApproval,
  type Store,
} from "@stepgate/core";
import { parsePolicy } from "@stepgate/policy";
import { sqliteStore } from "@stepgate/store-sqlite";
import { describe, expect, test } from "vitest";
import { makeKeyFolder } from "../src/key-folder.ts";
import { runProgram } from "../src/program.ts";
import { temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const NOW = 1_800_000_000_000;
const PAYMENTS = `schema: stepgate.policy/1
id: payments
version: "1"
sequence: pay{1,9}, end
functions:
  pay: [WRITE]
  end: [END]
tools:
  transfer:
    function: pay
    action: WRITE
    args:
      type: object
      properties:
        amount: { type: number }
        to: { type: array, items: { type: string } }
        id: { type: string }
      additionalProperties: false
    when: args.amount <= 1000.0
    grounded:
      to: [context.request, ["anna"]]
    bind: { case: args.id }
    limits:
      sum: { of: args.amount, max: 900 }
      calls: { max: 2, per: agent, window: 1h }
    approval: { when: args.amount > 500.0, count: 2, by: [finance, board] }
`;
const policy = parsePolicy(PAYMENTS);
const pay = (args: object, nonce = "n") => ({
  sequence_id: "s",
  agent_id: "anna",
  tool: "transfer",
  args,
  nonce,
});

/** A folder with the policy, a request, a context and a key folder. */
async function scene(request: object, context?: object) {
  const folder = temporaryFolder({
    "policy.yaml": PAYMENTS,
    "r.json": JSON.stringify(request),
    ...(context === undefined ? {} : { "context.json": JSON.stringify(context) }),
  });
  const keys = await makeKeyFolder(join(folder, "keys"), NOW);
  return { folder, keys };
}

async function explain(folder: string, args: readonly string[] = [], json = true) {
  const terminal = inProcess();
  const code = await runProgram(
    [
      "explain",
      join(folder, "policy.yaml"),
      "--request",
      join(folder, "r.json"),
      "--at",
      `${NOW}`,
      ...args.map((arg) => (/^(keys|.*\.jsonl?)$/.test(arg) ? join(folder, arg) : arg)),
      ...(json ? ["--json"] : []),
    ],
    terminal,
  );
  const stdout = terminal.stdout.text.replaceAll(`${folder}/`, "");
  const document = json && stdout !== "" ? JSON.parse(stdout) : undefined;
  return { code, stdout, document, stderr: terminal.stderr.text.replaceAll(`${folder}/`, "") };
}

/** The conditions of all checks by their rule's last names, with what they say. */
function says(document: {
  readonly checks: readonly { readonly conditions?: readonly Record<string, unknown>[] }[];
}): Readonly<Record<string, string>> {
  return Object.fromEntries(
    document.checks.flatMap(({ conditions = [] }) =>
      conditions.map(({ rule, holds, says: text }) => [
        String(rule).replace("tools.transfer.", ""),
        `${holds === true ? "ok" : "NO"} ${text}`,
      ]),
    ),
  );
}

const CONTEXT = { request: "pay ben and eve" };
const WITH_CONTEXT = ["--context", "context.json"];

describe("check 7", () => {
  test.each<readonly [string, object, string, string, string]>([
    [
      "the schema, by the argument that does not fit",
      { amount: 1, to: ["ben", 7], id: "a" },
      "ARGUMENT_VIOLATION",
      "args",
      "NO 'args.to[1]' does not fit the schema; it is 7",
    ],
    [
      "an argument too many",
      { amount: 1, to: ["ben"], id: "a", note: "x" },
      "ARGUMENT_VIOLATION",
      "args",
      `NO 'args.note' does not fit the schema; it is "x"`,
    ],
    [
      "the condition, by its text",
      { amount: 1001, to: ["ben"], id: "a" },
      "ARGUMENT_VIOLATION",
      "when",
      "NO args.amount <= 1000.0 is not true",
    ],
    [
      "a condition that cannot be evaluated",
      { to: ["ben"], id: "a" },
      "POLICY_ERROR",
      "when",
      "NO args.amount <= 1000.0 could not be evaluated for these arguments",
    ],
    [
      "the very values that occur nowhere",
      { amount: 1, to: ["ben", "mallory", "anna", "trent"], id: "a" },
      "ARGUMENT_VIOLATION",
      "grounded.to",
      `NO "mallory", "trent" does not occur in context.request, ["anna"]`,
    ],
    [
      "a binding without its argument",
      { amount: 1, to: ["ben"] },
      "ARGUMENT_VIOLATION",
      "bind.case",
      "NO args.id is absent",
    ],
  ])("names %s", async (_, args, code, rule, sentence) => {
    const { folder } = await scene(pay(args), CONTEXT);
    const { document } = await explain(folder, WITH_CONTEXT);
    expect(document).toMatchObject({ deny_code: code, rule: `tools.transfer.${rule}` });
    expect(says(document)[rule]).toBe(sentence);
    const results = document.checks.map((check: { result: string }) => check.result.charAt(0));
    expect(results.join("")).toBe("ppppppppfnn");
  });

  test("shows the conditions that hold as well, each with its line, and none of a check not reached", async () => {
    const { folder } = await scene(pay({ amount: 1, to: ["mallory"], id: "a" }), CONTEXT);
    const { document } = await explain(folder, WITH_CONTEXT);
    expect(says(document)).toEqual({
      args: "ok the arguments fit the schema",
      when: "ok args.amount <= 1000.0 is true",
      "grounded.to": `NO "mallory" does not occur in context.request, ["anna"]`,
      "bind.case": `ok args.id is "a"`,
    });
    const [{ conditions }] = document.checks.slice(8);
    expect(conditions.map(({ at }: { at: string }) => at)).toEqual([
      "policy.yaml:12:5",
      "policy.yaml:19:5",
      "policy.yaml:21:7",
      "policy.yaml:22:13",
    ]);
    expect(document.at).toBe("policy.yaml:21:7");
  });
});

test("allowed: every condition of the three checks, limits and approvals among them, exit 0", async () => {
  const { folder } = await scene(pay({ amount: 2.5, to: ["ben"], id: "a" }), CONTEXT);
  const { code, stdout } = await explain(folder, WITH_CONTEXT, false);
  expect(code).toBe(0);
  expect(stdout).toContain(`     7  ok  the arguments are such as the policy admits
            ok  tools.transfer.args: the arguments fit the schema (policy.yaml:12:5)
            ok  tools.transfer.when: args.amount <= 1000.0 is true (policy.yaml:19:5)
            ok  tools.transfer.grounded.to: 'to' occurs in context.request, ["anna"] (policy.yaml:21:7)
            ok  tools.transfer.bind.case: args.id is "a" (policy.yaml:22:13)
     8  ok  the limits leave room for it
            ok  tools.transfer.limits.calls: what was counted by agent in its window is not told by receipts, and taken as 0, this call adds 1, at most 2 (policy.yaml:25:7)
            ok  tools.transfer.limits.sum: 0 counted, this call adds 2.5, at most 900 (policy.yaml:24:7)
     9  ok  enough of the right people approve
            ok  tools.transfer.approval: not needed: args.amount > 500.0 is not true (policy.yaml:26:5)
`);
});

/** A gate on a store of the scene, that knows Ben and Eve, and paid 400 for case `a`. */
async function paidBefore(folder: string, keys: Awaited<ReturnType<typeof scene>>["keys"]) {
  const store = sqliteStore(join(folder, "gate.db"));
  const people = [generateSigningKey(), generateSigningKey()].map((key, index) => ({
    key,
    jwk: { ...key.publicJwk, roles: [index === 0 ? "finance" : "board"] },
  }));
  const approvers = { keys: people.map(({ jwk }) => jwk) };
  writeFileSync(join(folder, "approvers.json"), JSON.stringify(approvers));
  const gate = await createGate({
    policies: [policy],
    store,
    ...keys,
    approvers: importKeySet(approvers),
    clock: () => NOW,
  });
  await gate.open({ sequence_id: "s", agent_id: "anna", context: CONTEXT });
  await gate.decide(pay({ amount: 400, to: ["ben"], id: "a" }, "first"));
  return { gate, store, people: people.map(({ key }) => key) };
}

async function exportLines(folder: string, store: Store, gate: Gate): Promise<void> {
  const lines = await Array.fromAsync(store.lines());
  writeFileSync(join(folder, "l.jsonl"), lines.map((line) => `${line}\n`).join(""));
  await gate.close();
}

describe("after receipts, or on the store itself", () => {
  test("a limit tells what stands, and the most", async () => {
    const { folder, keys } = await scene(pay({ amount: 500.5, to: ["ben"], id: "a" }), CONTEXT);
    const { gate, store } = await paidBefore(folder, keys);
    await exportLines(folder, store, gate);
    const given = ["--receipts", "l.jsonl", ...WITH_CONTEXT, "--keys", "keys"];
    const { document } = await explain(folder, given);
    expect(document).toMatchObject({ deny_code: "LIMIT_EXCEEDED", at: "policy.yaml:24:7" });
    expect(says(document)).toMatchObject({
      "bind.case": `ok args.id is "a", as it was before`,
      "limits.sum": "NO 400 counted, this call adds 500.5, at most 900: too much",
    });
  });

  test("a window is counted in the store, which is only read", async () => {
    const { folder, keys } = await scene(pay({ amount: 1, to: ["ben"], id: "a" }));
    const { gate, store } = await paidBefore(folder, keys);
    await gate.decide(pay({ amount: 1, to: ["ben"], id: "a" }, "second"));
    const before = await Array.fromAsync(store.lines());
    const url = `sqlite:${join(folder, "gate.db")}`;
    const { document } = await explain(folder, ["--store", url, "--keys", "keys"]);
    expect(document).toMatchObject({ rule: "tools.transfer.limits.calls" });
    expect(says(document)["limits.calls"]).toBe(
      "NO 2 counted by agent in its window, this call adds 1, at most 2: too much",
    );
    expect(await Array.fromAsync(store.lines())).toEqual(before);
    await gate.close();
  });

  test("approvals: how many there are, how many are missing, by whom", async () => {
    const request = pay({ amount: 500.5, to: ["ben"], id: "a" }, "asks");
    const { folder, keys } = await scene(request, CONTEXT);
    const { gate, store, people } = await paidBefore(folder, keys);
    const asked = { ...request, sequence_id: "t" };
    writeFileSync(join(folder, "r.json"), JSON.stringify(asked));
    await gate.open({ sequence_id: "t", agent_id: "anna", context: CONTEXT });
    await gate.decide(asked);
    const url = `sqlite:${join(folder, "gate.db")}`;
    const given = ["--store", url, "--keys", "keys", "--approvers", "approvers.json"];
    const [log, denial] = [await store.setting("log_id", ""), (await gate.state("t")).awaiting[0]];
    for (const [verdict, sentence] of [
      ["approve", "NO 0 of 2 approvals by board, finance, 2 missing"],
      ["reject", "NO 1 of 2 approvals by board, finance, 1 missing"],
      ["approve", "NO 1 of 2 approvals by board, finance, and a rejection"],
      [undefined, "ok 2 of 2 approvals by board, finance"],
    ] as const) {
      const { code, document } = await explain(folder, given);
      expect(code).toBe(verdict === undefined ? 0 : 1);
      expect(says(document)["approval"]).toBe(sentence);
      // The first person once, then the second, who thinks again.
      const person = sentence.includes("2 missing") ? people[0] : people[1];
      if (person === undefined || denial === undefined || verdict === undefined) continue;
      const statement = { log_id: log, sequence_id: "t", request: denial, verdict };
      await gate.approve(signApproval({ ...statement, expires_ms: NOW + 60_000 }, person));
    }
    await gate.close();
  });

  test("what only the host can know is asked for, not guessed", async () => {
    const { folder, keys } = await scene(pay({ amount: 1, to: ["ben"], id: "b" }), CONTEXT);
    const { gate, store } = await paidBefore(folder, keys);
    await exportLines(folder, store, gate);
    const receipts = ["--receipts", "l.jsonl"];
    const what = "the sequence has 1 contexts, of which l.jsonl tells keyed digests";
    for (const [given, how] of [
      [[], "give the gate's keys by --keys, and the contexts by --store or --context"],
      [WITH_CONTEXT, "give the gate's keys by --keys, and the contexts by --store or --context"],
      [["--keys", "keys"], "give just these, in their order, by --context, or read all by --store"],
    ] as const)
      expect(await explain(folder, [...receipts, ...given])).toMatchObject({
        code: 2,
        stderr: `${what}; ${how}\n`,
      });
    const known = await explain(folder, [...receipts, ...WITH_CONTEXT, "--keys", "keys"]);
    expect(known.document).toMatchObject({ rule: "tools.transfer.bind.case" });
    expect(says(known.document)["bind.case"]).toBe(
      `NO args.id is "b", and was bound to another value before`,
    );
  });
});

test("what was bound before is not told from another value without the gate's keys", async () => {
  const { folder, keys } = await scene(pay({ amount: 1, to: ["anna"], id: "b" }));
  const store = memoryStore();
  const gate = await createGate({ policies: [policy], store, ...keys, clock: () => NOW });
  await gate.decide(pay({ amount: 1, to: ["anna"], id: "a" }, "first"));
  await exportLines(folder, store, gate);
  expect(await explain(folder, ["--receipts", "l.jsonl"])).toMatchObject({
    code: 2,
    stderr:
      "tools.transfer.bind.case: what was bound before is on record as a keyed digest; give the gate's keys by --keys\n",
  });
});

test("a context that is none is refused at its place, and a store excludes receipts", async () => {
  const { folder } = await scene(pay({}), CONTEXT);
  writeFileSync(join(folder, "context.json"), "[1]");
  expect(await explain(folder, WITH_CONTEXT)).toMatchObject({
    code: 2,
    stderr: "context.json:1:1: a context is a JSON object\n",
  });
  const both = await explain(folder, ["--receipts", "l.jsonl", "--store", "sqlite:x.db"]);
  expect(both.code).toBe(2);
  expect(both.stderr).toContain("cannot be used with option");
});
