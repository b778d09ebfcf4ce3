/** The command line as a whole: usage, versions, and what becomes of errors. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

describe("usage errors end with 2 and say nothing on stdout", () => {
  test.each([
    [["foo"], "error: unknown command 'foo'"],
    [["verfy"], "(Did you mean verify?)"],
    [["decide"], "required option '--policy <file>' not specified"],
    [["check"], "missing required argument 'policy'"],
    [["check", "p.yaml", "--format", "xml"], "Allowed choices are pretty, json, github, sarif"],
    [["receipts", "--nope"], "unknown option '--nope'"],
    [["receipts", "more"], "too many arguments"],
    [["keys", "turn"], "unknown command 'turn'"],
    [["keys", "revoke"], "missing required argument 'kid'"],
    [["keys"], "Usage: stepgate keys"],
    [[], "Usage: stepgate [options]"],
  ])("%j", async (args, message) => {
    const terminal = inProcess();
    expect(await runProgram(args, terminal)).toBe(2);
    expect(terminal.stdout.text).toBe("");
    expect(terminal.stderr.text).toContain(message);
  });
});

test("help and version are results, not errors", async () => {
  const terminal = inProcess();
  expect(await runProgram(["--help"], terminal)).toBe(0);
  expect(terminal.stdout.text).toContain("Usage: stepgate");
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  const versions = inProcess();
  expect(await runProgram(["--version"], versions)).toBe(0);
  expect(versions.stdout.text).toBe(`${version}\n`);
});

test("every command takes --json, and the README names every command and no other", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const named = [...readme.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  const commands = [
    "init",
    "check",
    "fmt",
    "test",
    "diff",
    "graph",
    "explain",
    "simulate",
    "learn",
    "replay",
    "decide",
    "receipts",
    "verify",
    "checkpoint",
    "prove",
    "archive",
    "store",
    "approve",
    "seal",
    "keys",
  ];
  expect([...new Set(named.slice(named.indexOf("init")))]).toEqual(commands);
  const lines = [
    ...commands.filter((name) => name !== "keys" && name !== "store").map((name) => [name]),
    ["store", "check"],
    ["store", "migrate"],
    ["store", "retire"],
    ["store", "backup"],
    ["keys", "new"],
    ["keys", "public"],
    ["keys", "rotate"],
    ["keys", "revoke"],
  ];
  for (const line of lines) {
    const terminal = inProcess();
    expect(await runProgram([...line, "--help"], terminal)).toBe(0);
    expect(terminal.stdout.text, line.join(" ")).toContain("--json");
  }
});

test("the binary hands its exit code on, with errors on stderr and no colour in a pipe", async () => {
  const finished = await stepgate(temporaryFolder(), ["check", "none.yaml"]);
  expect(finished).toEqual({ code: 2, stdout: "", stderr: "none.yaml: no such file or folder\n" });
});

test("an error that nobody foresaw ends with 2 and its place, not with a rejection", async () => {
  const terminal = inProcess({
    stdin: (async function* (): AsyncGenerator<Uint8Array> {
      yield* [];
      throw new RangeError("the terminal is gone");
    })(),
  });
  const { writeFileSync } = await import("node:fs");
  const folder = temporaryFolder();
  writeFileSync(
    `${folder}/p.yaml`,
    'schema: stepgate.policy/1\nid: p\nversion: "1"\nsequence: a\nfunctions: { a: [A] }\n',
  );
  expect(
    await runProgram(
      ["decide", "--policy", `${folder}/p.yaml`, "--store", "memory:", "--keys", `${folder}/k`],
      terminal,
    ),
  ).toBe(2);
  expect(terminal.stderr.text).toMatch(/RangeError: the terminal is gone\n\s+at /);
});
