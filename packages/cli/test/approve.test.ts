/** `stepgate approve`, and people's keys: who may speak on a call, what they are shown, what is written. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ApprovalRequest,
  type Deny,
  generateSigningKey,
  importKeySet,
  type Receipt,
  signingKey,
} from "@stepgate/core";
import { describe, expect, test } from "vitest";
import { openGate, type OpenGateOptions } from "../src/index.ts";
import { runProgram } from "../src/program.ts";
import { stepgate, temporaryFolder } from "./binary.ts";
import { PAYMENTS, program } from "./folder-of-receipts.ts";
import { inProcess } from "./in-process.ts";

const CALL = { sequence_id: "s", tool: "pay", nonce: "n1", args: { amount: 900, to: "bob" } };

/** A folder with a gate's keys, two people's, and a store in which one call waits for finance. */
async function waiting() {
  const folder = temporaryFolder({ "policy.yaml": PAYMENTS });
  const at = (name: string): string => join(folder, name);
  const keys = at(".stepgate");
  const store = `sqlite:${at("stepgate.db")}`;
  const approvers = join(keys, "approvers.json");
  for (const role of ["finance", "support"])
    await program("keys", "new", at(`${role}.pem`), "--role", role, "--approvers", approvers);
  const withGate = async <T>(use: (gate: Awaited<ReturnType<typeof openGate>>) => Promise<T>) => {
    const gate = await openGate({ policy: at("policy.yaml"), store, keys });
    try {
      return await use(gate);
    } finally {
      await gate.close();
    }
  };
  const decide = (change: object = {}) => withGate((gate) => gate.decide({ ...CALL, ...change }));
  const request = requestIn((await decide()) as Deny);
  const approve = (who: string, ...more: readonly string[]) => {
    const named = more.includes("--request") ? [] : ["--request", request.request];
    const places = ["--store", store, "--keys", keys];
    return program("approve", ...named, "--key", at(`${who}.pem`), ...places, ...more);
  };
  const chain = () => withGate((gate) => Array.fromAsync(gate.receipts("s")));
  const kinds = async () => (await chain()).map(inWords);
  return { folder, at, keys, store, approvers, withGate, decide, request, approve, chain, kinds };
}

function requestIn({ approval }: Deny): ApprovalRequest {
  if (approval === undefined) throw new Error("no approval was asked for");
  return approval;
}

function inWords(receipt: Receipt): string {
  if (receipt.kind === "decision") return receipt.deny_code ?? receipt.decision;
  return receipt.kind === "approval" ? receipt.verdict : receipt.kind;
}

describe("approve", () => {
  test("appends a person's signed word to the chain, after which the call runs once and everything verifies", async () => {
    const { at, keys, store, approvers, decide, request, approve, kinds, chain } = await waiting();
    const { code, stdout, stderr } = await approve("finance");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n").slice(0, 4)).toEqual([
      "call       pay (function pay), WRITE_DB, nonce n1",
      "arguments  not shown; --args and --args-key show and check them",
      "policy     payments 1, tools.pay.approval",
      "sequence   s",
    ]);
    expect(stdout).toMatch(/^approved as finance until \d{4}-\d\d-\d\dT.*Z \(s #2\), key .{43}$/m);
    expect(await decide()).toMatchObject({ decision: "ALLOW", args: CALL.args });
    expect(await decide()).toMatchObject({ deny_code: "REPLAY_NONCE" });
    expect(await kinds()).toEqual([
      "open",
      "APPROVAL_REQUIRED",
      "approve",
      "ALLOW",
      "REPLAY_NONCE",
    ]);
    expect((await chain())[2]).toMatchObject({ request: request.request, verdict: "approve" });
    const exported = await program("receipts", "--store", store);
    writeFileSync(at("r.jsonl"), exported.stdout);
    const verify = (...more: readonly string[]) =>
      program("verify", at("r.jsonl"), "--policy", at("policy.yaml"), ...more);
    const own = ["--keys", join(keys, "keys.json")];
    expect((await verify(...own, "--keys", approvers)).code).toBe(0);
    expect(await verify(...own)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("UNKNOWN_KEY"),
    });
  });

  test("runs as the binary, in the folder of a first program, and answers with the receipt as JSON", async () => {
    const cwd = temporaryFolder({
      "policy.yaml": PAYMENTS,
      "request.json": JSON.stringify({ ...CALL, ts_ms: Date.now() }),
    });
    const decide = () =>
      stepgate(cwd, ["decide", "--policy", "policy.yaml", "--request", "request.json", "--json"]);
    const denial = JSON.parse((await decide()).stdout) as Deny;
    const told = inProcess();
    const places = [
      "--store",
      `sqlite:${join(cwd, "stepgate.db")}`,
      "--keys",
      join(cwd, ".stepgate"),
    ];
    const file = (name: string) => join(cwd, name);
    await runProgram(
      ["decide", "--policy", file("policy.yaml"), "--request", file("request.json"), ...places],
      told,
    );
    expect(told.stdout.text).toContain(
      `\n      stepgate approve --request ${requestIn(denial).request} --key KEY\n`,
    );
    expect((await stepgate(cwd, ["keys", "new", "--role", "finance"])).code).toBe(0);
    const key = join(".stepgate", "approver-finance.pem");
    const { request } = requestIn(denial);
    const approved = await stepgate(cwd, ["approve", "--request", request, "--key", key, "--json"]);
    expect(approved.stderr).toBe("");
    expect(JSON.parse(approved.stdout)).toMatchObject({ kind: "approval", seq: 2, request });
    expect(JSON.parse((await decide()).stdout)).toMatchObject({ decision: "ALLOW" });
  });

  test("shows the arguments only where they are those that were decided", async () => {
    const { at, request, approve, kinds } = await waiting();
    const key = ["--args-key", request.args_key];
    writeFileSync(at("args.json"), '{ "to": "bob", "amount": 900.0 }');
    writeFileSync(at("other.json"), '{"to":"mallory","amount":900}');
    for (const refused of [
      await approve("finance", "--args", at("other.json"), ...key),
      await approve("finance", "--args", at("args.json"), "--args-key", "0".repeat(64)),
      await approve("finance", "--args", at("args.json"), "--args-key", "xyz"),
      await approve("finance", "--args", at("args.json")),
    ]) {
      expect(refused.code).toBe(2);
      expect(refused.stderr).toMatch(/not the arguments that were decided|--args-key/);
    }
    expect(await kinds()).toEqual(["open", "APPROVAL_REQUIRED"]);
    expect((await approve("finance", "--args", at("args.json"), ...key)).stdout).toContain(
      'arguments  {"amount":900,"to":"bob"}\n',
    );
  });

  test("--reject is a signed no, also after a yes; a later yes replaces it", async () => {
    const { decide, approve, kinds } = await waiting();
    await approve("finance");
    expect((await approve("finance", "--reject")).stdout).toContain("rejected as finance");
    expect(await decide()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
    await approve("finance", "--expires", "2h");
    expect(await decide()).toMatchObject({ decision: "ALLOW" });
    expect(await kinds()).toEqual([
      "open",
      "APPROVAL_REQUIRED",
      "approve",
      "reject",
      "approve",
      "ALLOW",
    ]);
  });

  test("counts for as long as --expires says", async () => {
    const { approve, chain } = await waiting();
    const before = Date.now();
    await approve("finance", "--expires", "2d");
    const approval = (await chain())[2];
    if (approval?.kind !== "approval") throw new Error("nothing was approved");
    const lasts = approval.expires_ms - 2 * 86_400_000;
    expect(lasts).toBeGreaterThanOrEqual(before);
    expect(lasts).toBeLessThanOrEqual(Date.now());
  });

  test("refuses, and writes nothing, for a key without the role, unknown, open to others, or the gate's", async () => {
    const { at, keys, approve, kinds } = await waiting();
    expect(await approve("support")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^key \S+ approves as support; this call needs finance\n$/),
    });
    await program("keys", "new", at("stranger.pem"), "--role", "finance", "--approvers", at("x"));
    expect(await approve("stranger")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is not among the approvers"),
    });
    expect(await approve("finance", "--key", join(keys, "signing-key.pem"))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is not among the approvers"),
    });
    chmodSync(at("finance.pem"), 0o640);
    expect(await approve("finance")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is open to others"),
    });
    expect(await kinds()).toEqual(["open", "APPROVAL_REQUIRED"]);
  });

  test("refuses a set of approvers that lists the gate's own key", async () => {
    const { keys, at, approve, decide } = await waiting();
    const [own] = JSON.parse(readFileSync(join(keys, "keys.json"), "utf8")).keys;
    const approvers = at("gate-approves.json");
    writeFileSync(approvers, JSON.stringify({ keys: [{ ...own, roles: ["finance"] }] }));
    const key = join(keys, "signing-key.pem");
    expect(await approve("finance", "--key", key, "--approvers", approvers)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("lists the gate's own key"),
    });
    expect(await decide()).toMatchObject({ deny_code: "APPROVAL_REQUIRED" });
  });

  test("refuses what waits for nobody: another record, another sequence, a call that was allowed, a seal", async () => {
    const { request, approve, decide, withGate, kinds } = await waiting();
    const none = `sha256:${"0".repeat(64)}`;
    expect((await approve("finance", "--request", none)).stderr).toContain(
      `no APPROVAL_REQUIRED denial ${none}`,
    );
    expect((await approve("finance", "--request", "abc")).stderr).toContain("a record hash is");
    expect((await approve("finance", "--sequence", "t")).stderr).toContain("in sequence 't'");
    const { receipt } = await decide({ tool: "none", nonce: "n2" });
    expect(receipt).toMatchObject({ deny_code: "NO_POLICY_MATCH" });
    await approve("finance", "--sequence", "s");
    await decide();
    expect((await approve("finance", "--reject")).stderr).toContain("it waits no more");
    const second = requestIn((await decide({ nonce: "n3" })) as Deny);
    await withGate((gate) => gate.seal("s", "over"));
    expect(second.request).not.toBe(request.request);
    expect(await approve("finance", "--request", second.request)).toMatchObject({
      code: 2,
      stderr: "the sequence is sealed\n",
    });
    expect((await kinds()).filter((kind) => kind === "approve")).toHaveLength(1);
  });

  test.each(["0h", "1", "h", "-1h", "1y", "400d", "999999999d"])(
    "refuses --expires %s",
    async (expires) => {
      expect(
        await program("approve", "--request", "r", "--key", "k", `--expires=${expires}`),
      ).toMatchObject({ code: 2, stderr: expect.stringContaining("write 90s, 15m, 1h or 2d") });
    },
  );

  test("needs a store, keys and people that are there, and makes none", async () => {
    const { at, approve } = await waiting();
    expect((await approve("finance", "--store", `sqlite:${at("none.db")}`)).stderr).toContain(
      "there is no such store",
    );
    expect((await approve("finance", "--approvers", at("none.json"))).stderr).toContain(
      "no such file or folder",
    );
    const elsewhere = [
      "--keys",
      at("none"),
      "--approvers",
      at(join(".stepgate", "approvers.json")),
    ];
    expect((await approve("finance", ...elsewhere)).code).toBe(2);
    expect(existsSync(at("none.db"))).toBe(false);
    expect(existsSync(at("none"))).toBe(false);
  });
});

test.each(["approve", "seal"])(
  "%s on a sequence of an earlier policy makes no policy active",
  async (act) => {
    const { at, keys, store, approve, withGate } = await waiting();
    writeFileSync(at("policy.yaml"), PAYMENTS.replace('version: "1"', 'version: "2"'));
    const active = () =>
      withGate(async (gate) => (await gate.open({ sequence_id: "new" })).policy_version);
    const log = () =>
      withGate(async (gate) => (await Array.fromAsync(gate.receipts("@log"))).length);
    expect(await active()).toBe("2");
    const before = await log();
    const done =
      act === "approve"
        ? await approve("finance")
        : await program(
            "seal",
            "--sequence",
            "s",
            "--reason",
            "over",
            "--store",
            store,
            "--keys",
            keys,
          );
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(await log()).toBe(before);
  },
);

describe("keys new --role", () => {
  test("makes a private file, mode 0600, and lists the public key with its roles beside those before it", async () => {
    const folder = temporaryFolder();
    const approvers = join(folder, "people", "approvers.json");
    const make = (file: string, ...roles: readonly string[]) =>
      program(
        "keys",
        "new",
        "--out",
        join(folder, file),
        "--approvers",
        approvers,
        "--json",
        ...roles.flatMap((role) => ["--role", role]),
      );
    const first = JSON.parse((await make("alice.pem", "finance", "board")).stdout);
    writeFileSync(
      approvers,
      readFileSync(approvers, "utf8").replace('"kty"', '"name": "Alice", "kty"'),
    );
    const second = JSON.parse((await make("bob.pem", "legal")).stdout);
    expect(statSync(join(folder, "alice.pem")).mode & 0o777).toBe(0o600);
    expect(statSync(approvers).mode & 0o777).toBe(0o644);
    const text = readFileSync(approvers, "utf8");
    expect(text).not.toContain('"d"');
    expect(text).toContain('"name": "Alice"');
    const listed = importKeySet(JSON.parse(text));
    expect([...listed].map(([kid, { jwk }]) => [kid, jwk.roles])).toEqual([
      [first.key_id, ["finance", "board"]],
      [second.key_id, ["legal"]],
    ]);
    expect(signingKey(readFileSync(join(folder, "bob.pem"), "utf8")).keyId).toBe(second.key_id);
  });

  test("overwrites nothing, takes no other word for a role, and leaves a broken set alone", async () => {
    const folder = temporaryFolder({ "broken.json": '{"keys":[}', "taken.pem": "mine" });
    const make = (file: string, role: string, approvers: string) =>
      program(
        "keys",
        "new",
        join(folder, file),
        "--role",
        role,
        "--approvers",
        join(folder, approvers),
      );
    expect((await make("taken.pem", "finance", "a.json")).stderr).toContain("is there already");
    expect(readFileSync(join(folder, "taken.pem"), "utf8")).toBe("mine");
    expect((await make("new.pem", "fin ance", "a.json")).stderr).toContain("role 'fin ance'");
    expect((await make("new.pem", "finance", "broken.json")).stderr).toContain("broken.json:1:10");
    for (const name of ["new.pem", "a.json"]) expect(existsSync(join(folder, name))).toBe(false);
    expect((await program("keys", "new", "--approvers", "a.json")).stderr).toContain(
      "--approvers goes with --role",
    );
  });
});

describe("openGate takes approvers", () => {
  /** What becomes of the waiting call under a gate with this option, once Alice has said yes. */
  async function approvedUnder(
    choose: (approvers: string, folder: string) => Partial<OpenGateOptions>,
  ) {
    const { at, keys, approvers, approve } = await waiting();
    await approve("finance");
    const gate = await openGate({
      policy: at("policy.yaml"),
      store: `sqlite:${at("stepgate.db")}`,
      keys,
      ...choose(approvers, at("")),
    });
    try {
      return (await gate.decide(CALL)).decision;
    } finally {
      await gate.close();
    }
  }
  const jwks = (file: string) => JSON.parse(readFileSync(file, "utf8"));

  test("from the folder of keys, a path, a JWKS or a key set; those of an empty set count for nothing", async () => {
    expect(await approvedUnder(() => ({}))).toBe("ALLOW");
    expect(await approvedUnder((approvers) => ({ approvers }))).toBe("ALLOW");
    expect(await approvedUnder((file) => ({ approvers: jwks(file) }))).toBe("ALLOW");
    expect(await approvedUnder((file) => ({ approvers: importKeySet(jwks(file)) }))).toBe("ALLOW");
    expect(await approvedUnder(() => ({ approvers: { keys: [] } }))).toBe("DENY");
  });

  test("and refuses a key without roles, the gate's own key, a file that is not there, and anything else", async () => {
    const folder = temporaryFolder({ "policy.yaml": PAYMENTS });
    const key = generateSigningKey();
    const open = (approvers: unknown) =>
      openGate({
        policy: join(folder, "policy.yaml"),
        store: "memory:",
        keys: key,
        approvers: approvers as string,
      });
    await expect(open({ keys: [generateSigningKey().publicJwk] })).rejects.toThrow("has no roles");
    await expect(open({ keys: [{ ...key.publicJwk, roles: ["a"] }] })).rejects.toMatchObject({
      code: "KEY_INVALID",
      message: expect.stringContaining("lists the gate's own key"),
    });
    await expect(open(join(folder, "none.json"))).rejects.toThrow("no such file");
    await expect(open({})).rejects.toMatchObject({ code: "KEY_INVALID" });
    await expect(open(7)).rejects.toThrow(TypeError);
  });
});

test("verify refuses two files that say different things of one key", async () => {
  const { at, approvers } = await waiting();
  const [alice] = JSON.parse(readFileSync(approvers, "utf8")).keys;
  writeFileSync(
    at("more.json"),
    JSON.stringify({ keys: [{ ...alice, roles: ["finance", "board"] }] }),
  );
  writeFileSync(at("r.jsonl"), "");
  const verify = (...keys: readonly string[]) =>
    program("verify", at("r.jsonl"), ...keys.flatMap((file) => ["--keys", file]));
  expect(await verify(approvers, at("more.json"))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`says otherwise of key ${alice.kid}`),
  });
  expect((await verify(approvers, approvers)).stderr).toBe("");
});
