/** Stores by URL, on their real servers: the whole way from a decision to a verified export, and what `store check` finds. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findPostgres, NO_POSTGRES, startPostgres } from "../../contract/src/postgres-server.ts";
import { NO_REDIS, redisBinary, startRedisServer } from "../../contract/src/redis-server.ts";
import { openGate } from "../src/index.ts";
import { REFUNDS, temporaryFolder } from "./binary.ts";
import { runInProcess as run } from "./in-process.ts";

/** Decides, archives, exports and verifies on a store, as its user would. */
async function useStore(store: string): Promise<void> {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const at = (name: string): string => join(folder, name);
  const keys = at(".stepgate");
  const gate = await openGate({ policy: at("policy.yaml"), store, keys });
  const call = { sequence_id: "order-17", tool: "get_order", nonce: "once" };
  expect(await gate.enforce(call, () => "done")).toBe("done");
  await expect(gate.enforce(call, () => "done")).rejects.toMatchObject({ code: "REPLAY_NONCE" });
  await gate.close();
  const common = ["--store", store, "--keys", keys];
  const checkpoint = await run("checkpoint", ...common);
  expect(checkpoint).toMatchObject({ code: 0, stderr: "" });
  writeFileSync(at("checkpoint.txt"), checkpoint.stdout);
  const exported = await run("receipts", "--store", store);
  expect(exported).toMatchObject({ code: 0, stderr: "" });
  writeFileSync(at("receipts.jsonl"), exported.stdout);
  const trust = ["--keys", at(".stepgate/keys.json"), "--checkpoint", at("checkpoint.txt")];
  expect(await run("verify", at("receipts.jsonl"), ...trust)).toMatchObject({ code: 0 });
  // @log's policy, the opening, the ALLOW, its outcome, the denial.
  expect(exported.stdout.split("\n")).toHaveLength(5 + 1);
  const archived = await run("archive", at("kept"), ...common);
  expect(archived.stdout).toContain("5 records added");
  expect(await run("prove", "--sequence", "order-17", "--seq", "1", ...common)).toMatchObject({
    code: 0,
  });
}

test("sqlite: sound settings are found sound, and a file that is none is a fault", async () => {
  const folder = temporaryFolder({
    "policy.yaml": REFUNDS,
    "no.db": "not a database, but long enough to be read as one".repeat(40),
  });
  const store = `sqlite:${join(folder, "gate.db")}`;
  await useStore(store);
  const sound = await run("store", "check", store);
  expect([sound.code, sound.stderr]).toEqual([0, ""]);
  expect(sound.stdout).toContain(`${store}: can keep its promises\n`);
  const none = await run("store", "check", `sqlite:${join(folder, "no.db")}`);
  expect(none.code).toBeGreaterThan(0);
});

describe.skipIf(redisBinary() === undefined)(`redis (skipped where ${NO_REDIS})`, () => {
  let server: Awaited<ReturnType<typeof startRedisServer>>;
  beforeAll(async () => void (server = await startRedisServer()));
  afterAll(() => server.remove());

  test("a redis:// URL is a store for every command", async () => {
    await useStore(`${server.url}?prefix=whole-way`);
  });

  test("sound settings are found sound", async () => {
    const { code, stdout } = await run("store", "check", server.url, "--json");
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ store: server.url, sound: true });
    expect(report.findings.length).toBeGreaterThan(5);
  });

  test("a setting that loses receipts is a fault, with what to change", async () => {
    const unsafe = await startRedisServer({ appendfsync: "no" });
    const { code, stdout } = await run("store", "check", unsafe.url);
    await unsafe.remove();
    expect(code).toBe(1);
    expect(stdout).toMatch(/fault +appendfsync: .*\n +mend: .*appendfsync/);
    expect(stdout).toContain("cannot keep its promises: 1 to mend");
  });

  test("what the URL asks beside the address is checked before anything is opened", async () => {
    for (const query of ["replicas=many", "durability=maybe", "prefx=a"])
      expect(await run("store", "check", `${server.url}?${query}`)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("after '?' may stand prefix=NAME"),
      });
  });
});

describe.skipIf(findPostgres() === undefined)(`postgres (skipped where ${NO_POSTGRES})`, () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  beforeAll(async () => void (server = await startPostgres()));
  afterAll(() => server.stop());

  test("a postgres:// URL is a store for every command, once its tables were made", async () => {
    const store = `${server.url}?schema=whole_way`;
    const before = await run("receipts", "--store", store);
    expect([before.code, before.stdout]).toEqual([2, ""]);
    expect(before.stderr).toContain("stepgate store migrate");
    expect(await run("store", "migrate", store)).toMatchObject({ code: 0, stderr: "" });
    expect((await run("store", "migrate", store)).stdout).toContain("already");
    await useStore(store);
    expect((await run("store", "retire", store, "--days", "1")).stderr).toContain("--sooner");
    const young = await run("store", "retire", store);
    expect([young.code, young.stdout]).toEqual([
      0,
      expect.stringContaining("0 sequences with 0 records removed"),
    ]);
    const retired = await run("store", "retire", store, "--days", "0", "--sooner", "--json");
    expect(JSON.parse(retired.stdout)).toMatchObject({ sequences: 0 });
  });

  test("what is found of the server is told, and a lax one is a fault", async () => {
    const store = `${server.url}?schema=checked`;
    await run("store", "migrate", store);
    const { code, stdout } = await run("store", "check", store, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ sound: true });
    const lax = await startPostgres({ fsync: "off" });
    await run("store", "migrate", lax.url);
    const found = await run("store", "check", lax.url);
    await lax.stop();
    expect(found.code).toBe(1);
    expect(found.stdout).toMatch(/fault +fsync: /);
  });
});

test("a server that is not there is told in time, without the password", async () => {
  for (const url of ["redis://u:secret@127.0.0.1:1", "postgres://u:secret@127.0.0.1:1/db"]) {
    for (const args of [
      ["store", "check", url],
      ["receipts", "--store", url],
    ]) {
      const { code, stdout, stderr } = await run(...args);
      // To be checked it need not be there: then that is what was found.
      expect(code).toBe(args[0] === "store" ? 1 : 2);
      expect(stdout + stderr).toContain("127.0.0.1:1");
      expect(stdout + stderr).not.toContain("secret");
    }
  }
});

test("sqlite: a copy of a log in use is a log, and its file must be new", async () => {
  const folder = temporaryFolder({ "policy.yaml": REFUNDS });
  const at = (name: string): string => join(folder, name);
  const store = `sqlite:${at("gate.db")}`;
  const gate = await openGate({ policy: at("policy.yaml"), store, keys: at(".stepgate") });
  await gate.enforce({ sequence_id: "order-17", tool: "get_order" }, () => "done");
  const copied = await run("store", "backup", store, at("copy.db"), "--json");
  expect(JSON.parse(copied.stdout)).toMatchObject({ records: 4, path: at("copy.db") });
  expect((await run("store", "backup", store, at("copy.db"))).code).toBe(2);
  await gate.close();
  const lines = await run("receipts", "--store", store);
  expect(await run("receipts", "--store", `sqlite:${at("copy.db")}`)).toEqual(lines);
  const absent = await run("store", "backup", `sqlite:${at("none.db")}`, at("other.db"));
  expect(absent).toMatchObject({ code: 2, stderr: expect.stringContaining("no such store") });
});

test("a store that needs no migration says so", async () => {
  expect(await run("store", "migrate", "sqlite:gate.db")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("needs no migration"),
  });
});
