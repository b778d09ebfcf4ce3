/** From `init` to `verify` with the real binary: what the README and `init` itself tell a new user to type. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { policyFromEnv } from "@stepgate/policy";
import { describe, expect, test } from "vitest";
import { runProgram } from "../src/program.ts";
import { stepgate, temporaryFolder } from "./binary.ts";
import { inProcess } from "./in-process.ts";

const read = (...path: readonly string[]): string => readFileSync(join(...path), "utf8");

describe("init", () => {
  test("writes what runs: each command that it prints works, in order", async () => {
    const cwd = temporaryFolder();
    const init = await stepgate(cwd, ["init"]);
    expect(init).toMatchObject({ code: 0, stderr: "" });
    expect(readdirSync(cwd).toSorted()).toEqual([
      ".stepgate",
      "policy.yaml",
      "request.json",
      "requests.jsonl",
    ]);
    expect(statSync(join(cwd, ".stepgate", "signing-key.pem")).mode & 0o777).toBe(0o600);
    const next = [...init.stdout.matchAll(/^ {2}stepgate (.*)$/gm)].map(([, line]) => line ?? "");
    expect(next).toHaveLength(6);
    const codes: (number | null)[] = [];
    const printed: string[] = [];
    for (const line of next) {
      const [command = "", file = ""] = line.split(/ [<>] /);
      const stdin = line.includes("<") ? read(cwd, file) : "";
      const { code, stdout, stderr } = await stepgate(cwd, command.split(" "), { stdin });
      expect(stderr).toBe("");
      if (line.includes(">")) writeFileSync(join(cwd, file), stdout);
      codes.push(code);
      printed.push(stdout);
    }
    expect(codes).toEqual([0, 0, 1, 0, 0, 0]);
    expect(printed[0]).toMatch(/^ok policy\.yaml: loan 1 sha256:[0-9a-f]{64}\n$/);
    expect(printed[1]).toContain("3 passed, 0 failed");
    expect(printed[2]).toContain(
      "DENY SEQUENCE_VIOLATION: 'write_summary' is not admissible now; next: intake.",
    );
    expect(printed[3]?.match(/^ALLOW /gm)).toHaveLength(5);
    expect(printed[3]).toContain(
      "ALLOW write_summary (loan-1 #5): allowed; the sequence is complete.",
    );
    expect(printed[5]).toContain(
      "SEALED     loan-1: 6 records; no new action was allowed after the seal",
    );
    expect(printed[5]).toContain(
      "receipts.jsonl: 7 records, 1 sequence (1 SEALED), 5 ALLOWs without outcome: sound",
    );
  }, 60_000);

  test("has a comment for whatever a beginner may want to change", async () => {
    const folder = temporaryFolder();
    await runProgram(["init", folder], inProcess());
    const lines = read(folder, "policy.yaml").split("\n");
    expect(lines.filter((line) => line.includes("# ")).length).toBeGreaterThan(8);
  });

  test.each(["policy.yaml", "request.json", "requests.jsonl"])(
    "overwrites no %s, and then writes nothing at all",
    async (name) => {
      const folder = temporaryFolder({ [name]: "mine" });
      const terminal = inProcess();
      expect(await runProgram(["init", folder], terminal)).toBe(2);
      expect(terminal.stderr.text).toBe(
        `${join(folder, name)}: is there already; init overwrites nothing\n`,
      );
      expect(readdirSync(folder)).toEqual([name]);
      expect(read(folder, name)).toBe("mine");
    },
  );

  test("makes the folder, keeps keys that are there, and says in JSON what it made", async () => {
    const folder = join(temporaryFolder(), "new", "place");
    await runProgram(["keys", "new", join(folder, ".stepgate")], inProcess());
    const keys = read(folder, ".stepgate", "keys.json");
    const terminal = inProcess();
    expect(await runProgram(["init", folder, "--json"], terminal)).toBe(0);
    const made = JSON.parse(terminal.stdout.text);
    expect(made).toMatchObject({
      folder,
      policy: { id: "loan", version: "1" },
      key_id: JSON.parse(keys).keys[0].kid,
    });
    for (const file of made.files) expect(statSync(file).isFile()).toBe(true);
    expect(read(folder, ".stepgate", "keys.json")).toBe(keys);
  });

  const LEVEL_0 = {
    STEPGATE_STEP_ORDER: "intake,true,settle",
    STEPGATE_ACTION_MAP:
      '{"settle":["SEAL_SEQUENCE","1.0"],"intake":["CHECK_STATE","null"],"true":["on:off"]}',
  };

  test("--from-env writes the policy of the environment: the same digest, and its requests walk the whole order", async () => {
    const cwd = temporaryFolder();
    const init = await stepgate(cwd, ["init", "--from-env", "--json"], { env: LEVEL_0 });
    expect(init).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(init.stdout).policy.digest).toBe(policyFromEnv({ env: LEVEL_0 }).digest);
    const args = ["decide", "--policy", "policy.yaml", "--store", "memory:", "--json"];
    const decided = await stepgate(cwd, args, { stdin: read(cwd, "requests.jsonl") });
    expect(decided.code).toBe(0);
    const last = JSON.parse(decided.stdout.trim().split("\n").at(-1) ?? "");
    expect(last.receipt).toMatchObject({ function: "settle", sealed: true, seq: 3 });
  });

  test.each(["true", "null", "a"])(
    "--from-env writes an order of the one step %s",
    async (step) => {
      const environment = { STEPGATE_STEP_ORDER: step, STEPGATE_ACTION_MAP: `{"${step}":["A"]}` };
      const folder = temporaryFolder();
      const terminal = inProcess({ environment });
      expect(await runProgram(["init", folder, "--from-env", "--json"], terminal)).toBe(0);
      expect(JSON.parse(terminal.stdout.text).policy.digest).toBe(
        policyFromEnv({ env: environment }).digest,
      );
    },
  );

  test("--from-env without the variables writes nothing and names them", async () => {
    const folder = temporaryFolder();
    const terminal = inProcess();
    expect(await runProgram(["init", folder, "--from-env"], terminal)).toBe(2);
    expect(terminal.stderr.text).toContain("STEPGATE_STEP_ORDER");
    expect(terminal.stderr.text).toContain("STEPGATE_ACTION_MAP");
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("keys", () => {
  test("new makes them, public prints the set, and a second new is refused", async () => {
    const cwd = temporaryFolder();
    const made = await stepgate(cwd, ["keys", "new", "here", "--json"]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const { folder, key_id, public: file } = JSON.parse(made.stdout);
    expect({ folder, file }).toEqual({ folder: "here", file: join("here", "keys.json") });
    expect(statSync(join(cwd, "here")).mode & 0o777).toBe(0o700);
    const printed = inProcess();
    expect(await runProgram(["keys", "public", join(cwd, "here")], printed)).toBe(0);
    expect(printed.stdout.text).toBe(read(cwd, "here", "keys.json"));
    expect(JSON.parse(printed.stdout.text).keys).toMatchObject([
      { kty: "OKP", crv: "Ed25519", kid: key_id },
    ]);
    const again = await stepgate(cwd, ["keys", "new", "--out", "here"]);
    expect(again).toMatchObject({ code: 2, stdout: "" });
    expect(again.stderr).toContain("is there already; keys are never overwritten");
    expect(read(cwd, "here", "keys.json")).toBe(printed.stdout.text);
  });

  test("go to one folder, by default .stepgate", async () => {
    const cwd = temporaryFolder();
    const twice = inProcess();
    expect(await runProgram(["keys", "new", "a", "--out", "b"], twice)).toBe(2);
    expect(twice.stderr.text).toContain("name the folder once");
    expect(await stepgate(cwd, ["keys", "new"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("made .stepgate;"),
    });
    expect(readdirSync(cwd)).toEqual([".stepgate"]);
  });

  test("that are not there are not printed", async () => {
    const folder = temporaryFolder();
    const terminal = inProcess();
    expect(await runProgram(["keys", "public", folder], terminal)).toBe(2);
    expect(terminal.stderr.text).toBe(`${join(folder, "keys.json")}: no such file or folder\n`);
  });
});
