/** `stepgate replay`: signed receipts, verified first, decided again under another policy. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Allow, type Gate, recordHash } from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { openGate } from "../src/index.ts";
import { runProgram } from "../src/program.ts";
import { REFUNDS, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const STRICTER = REFUNDS.replace("lookup, refund, settle", "lookup, settle").replace(
  "  refund: [WRITE_DB]",
  "  refund: { step: settle, actions: [] }",
);
const BY_ORDER = REFUNDS.replace(
  "{ function: lookup, action: READ }",
  '{ function: lookup, action: READ, when: "args.order > 20" }',
);
const BY_CONTEXT = REFUNDS.replace(
  "{ function: lookup, action: READ }",
  "{ function: lookup, action: READ, grounded: { order: [context.order] } }",
);

/** A folder with receipts of two sequences: `a` looks order 17 up, refunds it and refunds it again; `b` asks too early. */
async function recordedFolder() {
  const folder = temporaryFolder();
  const allows: Allow[] = [];
  await decide(folder, REFUNDS, async (gate) => {
    await gate.open({ sequence_id: "a", context: { order: "17" } });
    for (const [sequence_id, tool, order] of [
      ["a", "get_order", 17],
      ["a", "refund", 17],
      ["b", "refund", 18],
      ["a", "refund", 17],
    ] as const) {
      const decision = await gate.decide({ sequence_id, tool, args: { order } });
      if (decision.decision === "ALLOW") allows.push(decision);
    }
  });
  return { folder, allows };
}

/** Uses a gate on the folder's store, and exports what is in it then. */
async function decide(
  folder: string,
  policy: string,
  use: (gate: Gate) => Promise<void>,
): Promise<void> {
  writeFileSync(join(folder, "policy.yaml"), policy);
  const store = `sqlite:${join(folder, "gate.db")}`;
  const keys = join(folder, "keys");
  const gate = await openGate({ policy: join(folder, "policy.yaml"), store, keys });
  await use(gate);
  await gate.close();
  const exported = inProcess();
  await runProgram(["receipts", "--store", store], exported);
  writeFileSync(join(folder, "r.jsonl"), exported.stdout.text);
}

async function replay(folder: string, policy: string, ...args: readonly string[]) {
  writeFileSync(join(folder, "new.yaml"), policy);
  const terminal = inProcess();
  const code = await runProgram(
    [
      "replay",
      join(folder, "r.jsonl"),
      "--policy",
      join(folder, "new.yaml"),
      "--keys",
      join(folder, "keys", "keys.json"),
      ...args,
    ],
    terminal,
  );
  const plain = (text: string): string => text.replaceAll(`${folder}/`, "");
  return { code, stdout: plain(terminal.stdout.text), stderr: plain(terminal.stderr.text) };
}

const disclosure = (allow: Allow | undefined, args: object): string =>
  `${JSON.stringify({ decision: recordHash(allow?.receipt ?? expect.unreachable()), args, args_key: allow?.args_key })}\n`;

describe("the policy that they were decided by", () => {
  test("changes nothing: exit 0", async () => {
    const { folder } = await recordedFolder();
    expect(await replay(folder, REFUNDS)).toEqual({
      code: 0,
      stderr: "",
      stdout:
        "r.jsonl: 4 calls of 2 sequences, 4 as recorded, 0 newly denied, 0 newly allowed, 0 otherwise denied, 0 unknown\n",
    });
  });
});

describe("another policy", () => {
  test("lists what changes, by sequence and call, with its line: exit 1", async () => {
    const { folder } = await recordedFolder();
    const { code, stdout, stderr } = await replay(folder, STRICTER);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout).toBe(`a
  newly denied #2 refund: ALLOW -> DENY ACTION_NOT_ALLOWED [functions.refund.actions] at new.yaml:7:27
  otherwise denied #3 refund: DENY SEQUENCE_VIOLATION [sequence] -> DENY ACTION_NOT_ALLOWED [functions.refund.actions] at new.yaml:7:27
r.jsonl: 4 calls of 2 sequences, 2 as recorded, 1 newly denied, 0 newly allowed, 1 otherwise denied, 0 unknown
`);
  });

  test("as one document with --json", async () => {
    const { folder } = await recordedFolder();
    const { stdout } = await replay(folder, STRICTER, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      result: "sound",
      policy: { id: "refunds", version: "1" },
      sequences: 2,
      calls: 4,
      left_out: {},
      changed: [
        {
          change: "newly-denied",
          sequence_id: "a",
          seq: 2,
          tool: "refund",
          recorded: { decision: "ALLOW" },
          replayed: { deny_code: "ACTION_NOT_ALLOWED", rule: "functions.refund.actions" },
          at: "new.yaml:7:27",
        },
        { change: "otherwise-denied", seq: 3 },
      ],
    });
  });

  test("fails on what it is told to fail on", async () => {
    const { folder } = await recordedFolder();
    expect((await replay(folder, STRICTER, "--fail-on", "newly-allowed")).code).toBe(0);
    expect((await replay(folder, STRICTER, "--fail-on", "newly-denied")).code).toBe(1);
    const looser = REFUNDS.replace("lookup, refund, settle", "lookup?, refund+, settle");
    const found = await replay(folder, looser, "--fail-on", "newly-allowed");
    expect(found.code).toBe(1);
    expect(found.stdout).toContain(
      "newly allowed #1 refund: DENY SEQUENCE_VIOLATION [sequence] -> ALLOW",
    );
    expect((await replay(folder, BY_ORDER)).code).toBe(0);
    expect((await replay(folder, BY_ORDER, "--fail-on", "unknown")).code).toBe(1);
  });

  test("leaves sequences of other policies out, unless there are no others", async () => {
    const { folder } = await recordedFolder();
    const other = REFUNDS.replace("id: refunds", "id: other");
    await decide(folder, other, async (gate) => {
      await gate.decide({ sequence_id: "c", tool: "get_order" });
    });
    const strange = await replay(folder, STRICTER.replace("id: refunds", "id: third"));
    expect(strange.stdout).toContain("5 calls of 3 sequences");
    const { stdout } = await replay(folder, STRICTER);
    expect(stdout).toContain("left out: 1 sequences of policy 'other', for this is 'refunds'\n");
    expect(stdout).toContain("4 calls of 2 sequences");
    expect((await replay(folder, other)).stdout).toContain("1 calls of 1 sequences, 1 as recorded");
  });
});

describe("arguments and contexts", () => {
  test("that are not given leave open what hangs on them, and what follows says so", async () => {
    const { folder } = await recordedFolder();
    const { code, stdout } = await replay(folder, BY_ORDER);
    expect(code).toBe(0);
    expect(stdout).toContain("unknown #1 get_order: ALLOW -> unknown: its arguments are not given");
    const { changed } = JSON.parse((await replay(folder, BY_ORDER, "--json")).stdout);
    expect(changed).toHaveLength(1);
    const both = BY_ORDER.replace("lookup, refund, settle", "lookup, refund{2}, settle");
    expect((await replay(folder, both)).stdout).toContain(
      "newly allowed #3 refund: DENY SEQUENCE_VIOLATION [sequence] -> ALLOW, if 1 unknown before it stay",
    );
  });

  test("that are disclosed with their key decide", async () => {
    const { folder, allows } = await recordedFolder();
    writeFileSync(join(folder, "args.jsonl"), disclosure(allows[0], { order: 17 }));
    const { code, stdout } = await replay(folder, BY_ORDER, "--args", join(folder, "args.jsonl"));

    expect(code).toBe(1);
    expect(stdout).toContain(
      "ALLOW -> DENY ARGUMENT_VIOLATION [tools.get_order.when] at new.yaml:11:48",
    );
    // The call was denied, so what came after it never could.
    expect(stdout).toContain("newly denied #2 refund: ALLOW -> DENY SEQUENCE_VIOLATION [sequence]");
  });

  test("that are not those of the record are refused at their line", async () => {
    const { folder, allows } = await recordedFolder();
    const file = join(folder, "args.jsonl");
    for (const [line, message] of [
      [disclosure(allows[0], { order: 21 }), "are not those of the record a #1"],
      ['{"decision":"x","args":{}}\n', 'a line is {"decision"'],
      ['{"decision":"x","args":[],"args_key":"00"}\n', 'a line is {"decision"'],
      ["{\n", "not JSON"],
    ] as const) {
      writeFileSync(file, `\n${line}`);
      const { code, stderr, stdout } = await replay(folder, BY_ORDER, "--args", file);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(/^args\.jsonl:2:\d+: /);
      expect(stderr).toContain(message);
    }
  });

  test("contexts come from the store", async () => {
    const { folder, allows } = await recordedFolder();
    const file = join(folder, "args.jsonl");
    writeFileSync(file, disclosure(allows[0], { order: 17 }));
    const without = await replay(folder, BY_CONTEXT, "--args", file);
    expect(without.stdout).toContain("unknown: its context is not given");
    const store = `sqlite:${join(folder, "gate.db")}`;
    const given = await replay(folder, BY_CONTEXT, "--args", file, "--store", store);
    expect(given).toMatchObject({ code: 0 });
    expect(given.stdout).toContain("4 as recorded");
  });
});

describe("receipts that are not sound are not replayed", () => {
  test("a changed record: its finding, exit 1", async () => {
    const { folder } = await recordedFolder();
    const file = join(folder, "r.jsonl");
    writeFileSync(file, readFileSync(file, "utf8").replace('"tool":"refund"', '"tool":"refune"'));
    const { code, stdout, stderr } = await replay(folder, STRICTER);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^r\.jsonl:\d+:1: BAD_SIGNATURE \(a #2\): /);
    expect(stderr).toContain("r.jsonl: invalid, so nothing was replayed; see stepgate verify\n");
    const document = JSON.parse((await replay(folder, STRICTER, "--json")).stdout);
    expect(document).toMatchObject({
      result: "invalid",
      findings: [{ code: "BAD_SIGNATURE" }, { code: "CHAIN_BROKEN" }],
    });
    expect(document.changed).toBeUndefined();
  });

  test("without the key, or without records: exit 2", async () => {
    const { folder } = await recordedFolder();
    writeFileSync(join(folder, "keys", "keys.json"), '{"keys":[]}');
    expect(await replay(folder, STRICTER)).toMatchObject({ code: 2, stdout: "" });
    writeFileSync(join(folder, "r.jsonl"), "");
    expect(await replay(folder, STRICTER)).toMatchObject({ code: 2, stdout: "" });
  });
});
