/** `stepgate decide`: strict requests in, decisions out, denied means exit 1. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { REFUNDS, stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

/** Decides in memory, or in this folder's store. */
async function decide(stdin: string, ...more: readonly string[]) {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const terminal = inProcess({ stdin });
  const args = [
    "decide",
    "--policy",
    join(folder, "policy.yaml"),
    "--store",
    "memory:",
    "--keys",
    join(folder, "keys"),
    "--json",
    ...more,
  ];
  const code = await runProgram(args, terminal);
  const decisions = terminal.stdout.text.split("\n").slice(0, -1);
  return {
    code,
    decisions: decisions.map((line) => JSON.parse(line)),
    stderr: terminal.stderr.text,
  };
}

describe("one request from a file", () => {
  test("is decided, recorded and printed; denied is exit 1, allowed exit 0", async () => {
    const cwd = temporaryFolder({
      "policy.yaml": REFUNDS,
      "refund.json": '{ "sequence_id": "s", "tool": "refund" }\n',
      "order.json":
        '{\n  "sequence_id": "s",\n  "tool": "get_order",\n  "args": { "order": 17 }\n}\n',
    });
    const denied = await stepgate(cwd, [
      "decide",
      "--policy",
      "policy.yaml",
      "--request",
      "refund.json",
    ]);
    expect(denied).toEqual({
      code: 1,
      stdout:
        "DENY  refund (s #1): SEQUENCE_VIOLATION [sequence]: 'refund' is not admissible now; next: lookup.\n",
      stderr: "",
    });
    const allowed = await stepgate(cwd, [
      "decide",
      "--policy",
      "policy.yaml",
      "--request",
      "order.json",
      "--json",
    ]);
    expect(allowed).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(allowed.stdout)).toMatchObject({
      decision: "ALLOW",
      args: { order: 17 },
      args_key: expect.stringMatching(/^[0-9a-f]{64}$/),
      receipt: { sequence_id: "s", seq: 2, tool: "get_order", decision: "ALLOW" },
    });
    expect(existsSync(join(cwd, "stepgate.db"))).toBe(true);
  });

  test("that cannot be read is exit 2, and nothing is made", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS });
    const terminal = inProcess();
    expect(
      await runProgram(
        [
          "decide",
          "--policy",
          join(folder, "policy.yaml"),
          "--keys",
          join(folder, "keys"),
          "--request",
          join(folder, "none"),
        ],
        terminal,
      ),
    ).toBe(2);
    expect(terminal.stderr.text).toBe(`${join(folder, "none")}: no such file or folder\n`);
    expect(existsSync(join(folder, "keys"))).toBe(false);
  });
});

describe("requests on stdin", () => {
  test("are decided in order, one line each", async () => {
    const lines = ["get_order", "refund", "settle"].map((tool) =>
      JSON.stringify({ sequence_id: "s", tool }),
    );
    const { code, decisions, stderr } = await decide(lines.join("\n"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(decisions.map(({ decision, receipt }) => [decision, receipt.tool, receipt.seq])).toEqual(
      [
        ["ALLOW", "get_order", 1],
        ["ALLOW", "refund", 2],
        ["ALLOW", "settle", 3],
      ],
    );
  });

  test("one that is denied makes the exit code 1, and the others are decided all the same", async () => {
    const lines = ["refund", "get_order"].map(
      (tool) => `${JSON.stringify({ sequence_id: "s", tool })}\n`,
    );
    const { code, decisions } = await decide(lines.join(""));
    expect(code).toBe(1);
    expect(decisions.map(({ decision }) => decision)).toEqual(["DENY", "ALLOW"]);
  });

  test.each([
    [
      '{"sequence_id":"s","sequence_id":"t","tool":"get_order"}',
      "stdin:2:20: sequence_id: a member stands twice",
    ],
    [
      '{"sequence_id":"s","tool":"get_order","args":{"n":9007199254740993}}',
      "stdin:2:51: an integer beyond",
    ],
    ['{"sequence_id":"s","tool":"get_order"', "stdin:2:38: not JSON"],
    ["", "stdin:2:1: not JSON"],
    ['\ufeff\ufeff{"sequence_id":"s","tool":"get_order"}', "stdin:2:1: not JSON"],
  ])("%j is INVALID_REQUEST at its place, without a receipt", async (line, fault) => {
    const good = '{"sequence_id":"s","tool":"get_order"}';
    const { code, decisions, stderr } = await decide(`${good}\n${line}\n${good}\n`);
    expect(code).toBe(1);
    expect(decisions).toHaveLength(3);
    expect(decisions[1]).toEqual({
      decision: "DENY",
      proceed: false,
      deny_code: "INVALID_REQUEST",
      rule: "request",
      message: "the request is not strict JSON.",
    });
    expect(stderr.startsWith(fault)).toBe(true);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test.each([
    ["[]", "request"],
    ['{"sequence_id":"s"}', "request.function"],
    ['{"sequence_id":"s","tool":"get_order","extra":1}', "request.extra"],
    ['{"sequence_id":"s","tool":"get_order","args":[]}', "request.args"],
  ])("%s is what the gate itself calls INVALID_REQUEST", async (line, rule) => {
    const { code, decisions } = await decide(`${line}\n`);
    expect(code).toBe(1);
    expect(decisions).toMatchObject([{ deny_code: "INVALID_REQUEST", rule }]);
  });

  test("none at all is exit 2: nothing was decided", async () => {
    expect(await decide("")).toEqual({
      code: 2,
      decisions: [],
      stderr: "stdin: holds no request\n",
    });
  });

  test("typed at a terminal are asked for", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS });
    const { stdin } = inProcess({ stdin: '{"sequence_id":"s","tool":"get_order"}\n' });
    const terminal = inProcess({ isTTY: true, stdin: Object.assign(stdin, { isTTY: true }) });
    expect(
      await runProgram(
        [
          "decide",
          "--policy",
          join(folder, "policy.yaml"),
          "--store",
          "memory:",
          "--keys",
          join(folder, "keys"),
        ],
        terminal,
      ),
    ).toBe(0);
    expect(terminal.stderr.text).toBe(
      "reading requests from the terminal: one JSON object a line, then Ctrl-D\n",
    );
    expect(terminal.stdout.text).toContain("\u001b[32mALLOW\u001b[39m get_order");
  });
});

describe("the gate that decides", () => {
  test("is not there for a policy that does not compile: exit 2, nothing is printed", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS.replace("sequence:", "sequense:") });
    const terminal = inProcess({ stdin: '{"sequence_id":"s","tool":"get_order"}\n' });
    expect(
      await runProgram(
        ["decide", "--policy", join(folder, "policy.yaml"), "--store", "memory:"],
        terminal,
      ),
    ).toBe(2);
    expect(terminal.stdout.text).toBe("");
    expect(terminal.stderr.text).toContain(
      `${join(folder, "policy.yaml")}:4:1: unknown key 'sequense'`,
    );
  });

  test("in mode shadow lets everything proceed and still says what it would deny", async () => {
    const { code, decisions } = await decide(
      '{"sequence_id":"s","tool":"refund"}\n',
      "--mode",
      "shadow",
    );
    expect(code).toBe(1);
    expect(decisions).toMatchObject([
      {
        decision: "DENY",
        proceed: true,
        deny_code: "SEQUENCE_VIOLATION",
        receipt: { mode: "shadow" },
      },
    ]);
  });

  test("refuses keys that others may read", async () => {
    const folder = temporaryFolder({ "policy.yaml": REFUNDS, "signing-key.pem": "" });
    writeFileSync(join(folder, "salt-key"), "");
    const terminal = inProcess({ stdin: '{"sequence_id":"s","tool":"get_order"}\n' });
    expect(
      await runProgram(
        ["decide", "--policy", join(folder, "policy.yaml"), "--store", "memory:", "--keys", folder],
        terminal,
      ),
    ).toBe(2);
    expect(terminal.stderr.text).toMatch(
      /signing-key\.pem: is open to others \(mode 06\d\d\); run chmod 600/,
    );
    expect(terminal.stdout.text).toBe("");
    expect(readFileSync(join(folder, "signing-key.pem"), "utf8")).toBe("");
  });
});
