/** What the server computes and keeps: exact decimals of any length, every key in one slot of a Cluster, counters that end. */
import { readFileSync } from "node:fs";
import { createClient } from "@redis/client";
import fc from "fast-check";
import {
  checkpointLog,
  createGate,
  exportKeySet,
  FORGOTTEN_AFTER_MS,
  generateSigningKey,
  importKeySet,
  movedCounters,
  toDecimal,
  verifyReceipts,
} from "@stepgate/core";
import { AT_MS, RACE_POLICY, sampleRecord } from "@stepgate/contract";
import { compilePolicy } from "@stepgate/policy";
import { redisStore } from "@stepgate/store-redis";
import { expect, onTestFinished } from "vitest";
import { DECIMAL_LUA } from "../src/decimal-lua.ts";
import { one } from "./new-log.ts";
import { eventually, type OwnServer, ownServer, serverTest } from "./own-server.ts";

serverTest(
  "the server adds and compares decimals as core does, however long they are",
  async () => {
    const server = await ownServer();
    const client = createClient({ url: server.url, RESP: 2 });
    await client.connect();
    onTestFinished(() => client.destroy());
    const text = `#!lua\n${DECIMAL_LUA}\nlocal total = add(ARGV[1], ARGV[2])\nreturn {total, exceeds(total, ARGV[3]) and 1 or 0}`;
    await fc.assert(
      fc.asyncProperty(decimal(), decimal(), decimal(), async (standing, add, bound) => {
        const total = exactSum(standing, add);
        // The bound of the very total, and one that has nothing to do with it.
        for (const max of [bound, total]) {
          const step = { counter: "c", add, max, at_ms: 0, until_ms: 0 };
          const within = movedCounters([step], () => standing) !== undefined;
          const reply = await client.sendCommand(["EVAL", text, "0", standing, add, max]);
          expect(reply).toEqual([total, within ? 0 : 1]);
        }
      }),
      { numRuns: 1_000 },
    );
  },
);

serverTest("all keys of a log lie in one slot, so that a node of a Cluster runs it", async () => {
  const server = await ownServer({ "cluster-enabled": "yes" });
  await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await eventually(async () =>
    expect(String(await server.command("CLUSTER", "INFO"))).toContain("cluster_state:ok"),
  );
  await expect(server.command("MSET", "a", "1", "b", "2")).rejects.toThrow("CROSSSLOT");
  const store = server.open();
  const records = [
    sampleRecord("{s}", 0, "open"),
    sampleRecord("{s}", 1, "x", { nonce: "}", opens: { gate_id: "g", expires_ms: 1 } }),
  ] as const;
  const step = { counter: "}{", add: "1", max: "1", at_ms: AT_MS, until_ms: AT_MS };
  const documents = [{ digest: "d", text: "text" }];
  expect(await store.append({ sequence_id: "{s}", records, documents, counters: [step] })).toBe(
    "won",
  );
  expect(await store.append(one("}", 0))).toBe("won");
  expect(await store.read("{s}", 0)).toHaveLength(2);
  expect((await store.counters(["}{"])).get("}{")).toBe("1");
  const { size, records: next } = await store.unindexed(3);
  const [first, ...rest] = next.map(({ sequence_id, seq }) => ({
    sequence_id,
    seq,
    hash: "0".repeat(64),
  }));
  if (first === undefined) throw new Error("nothing to index");
  expect(await store.index({ size, leaves: [first, ...rest], nodes: [] })).toBe("won");
  expect(await slotsOf(server)).toHaveLength(1);
});

serverTest("two logs on one server know nothing of each other", async () => {
  const server = await ownServer();
  const [a, b] = [server.open({ prefix: "a" }), server.open({ prefix: "b" })];
  expect(await a.append(one("s", 0, "in a"))).toBe("won");
  expect(await b.append(one("s", 0, "in b"))).toBe("won");
  expect([await a.setting("log_id", "a"), await b.setting("log_id", "b")]).toEqual(["a", "b"]);
  expect(await Array.fromAsync(a.lines())).toHaveLength(1);
});

serverTest(
  "counters whose windows ended a day ago are forgotten, a few with every append that counts",
  async () => {
    const server = await ownServer();
    const store = server.open();
    const counted = async (n: number, at_ms: number): Promise<void> => {
      const step = { counter: `c${n}`, add: "1", max: "9", at_ms, until_ms: at_ms + 1_000 };
      expect(await store.append({ ...one(`s${n}`, 0), counters: [step] })).toBe("won");
    };
    for (let n = 0; n < 40; n++) await counted(n, AT_MS);
    expect(await server.command("HLEN", "{stepgate}:counters")).toBe(40);
    const later = AT_MS + 2 * FORGOTTEN_AFTER_MS;
    await counted(40, later);
    expect(await server.command("HLEN", "{stepgate}:counters")).toBe(33);
    for (let n = 41; n < 50; n++) await counted(n, later);
    expect(await server.command("HLEN", "{stepgate}:counters")).toBe(10);
    expect(await server.command("ZCARD", "{stepgate}:windows")).toBe(10);
  },
);

serverTest(
  "an ALLOW that is open throughout is listed once, however many come and go",
  async () => {
    const server = await ownServer();
    const store = server.open();
    const names = (begin: string, count: number) =>
      Array.from({ length: count }, (_, n) => `${begin}-${n}`);
    const opens = { gate_id: "g", expires_ms: 1 };
    await Promise.all(
      names("stays", 400).map((name) =>
        store.append({ sequence_id: name, records: [sampleRecord(name, 0, "allow", { opens })] }),
      ),
    );
    for (let round = 0; round < 20; round++) {
      const goes = names(`goes-${round}`, 8_000);
      await server.command(
        "HSET",
        "{stepgate}:open",
        ...goes.flatMap((name) => [name, '["s","g",1]']),
      );
      const listed: string[] = [];
      for await (const { hash, sequence_id } of store.openAllows()) {
        // The hash shrinks under its reader, and moves what is left about: HSCAN then answers some of it twice.
        if (listed.length === 0) await server.command("HDEL", "{stepgate}:open", ...goes);
        listed.push(sequence_id === "s" ? hash : sequence_id);
      }
      expect(listed.length).toBe(new Set(listed).size);
      const stayed = listed.filter((name) => name.startsWith("stays"));
      expect(stayed.toSorted()).toEqual(names("stays", 400).toSorted());
    }
  },
);

serverTest(
  "a user with these rights, and no others, runs a gate; it can remove no record",
  async () => {
    const server = await ownServer();
    await server.command("ACL", "SETUSER", "gate", ...rights());
    const client = createClient({ url: server.url, username: "gate", password: "secret" });
    const store = redisStore({ client, onWarning: () => {} });
    const key = generateSigningKey();
    const gate = await createGate({
      policies: [compilePolicy(RACE_POLICY)],
      signer: key,
      saltKey: Buffer.alloc(32),
      store,
    });
    await gate.enforce({ sequence_id: "s", function: "intake", action_type: "READ" }, () => "done");
    expect((await checkpointLog(store, key)).size).toBeGreaterThan(3);
    const step = { counter: "c", add: "1", max: "1", at_ms: AT_MS, until_ms: AT_MS };
    expect(await store.append({ ...one("t", 0), counters: [step] })).toBe("won");
    const own = await client.duplicate().connect();
    onTestFinished(() => own.destroy());
    for (const command of [
      ["DEL", "{stepgate}:log"],
      ["XTRIM", "{stepgate}:log", "MAXLEN", "0"],
      ["XDEL", "{stepgate}:log", "1-0"],
      ["FLUSHALL"],
      ["SET", "{other}:log", "x"],
      ["HDEL", "{stepgate}:settings", "log_id"],
    ])
      await expect(own.sendCommand(command)).rejects.toThrow("NOPERM");
    const lines = (await Array.fromAsync(store.lines())).filter(
      (line) => !line.includes('"content"'),
    );
    const report = await verifyReceipts(lines, { keys: importKeySet(exportKeySet([key])) });
    expect(report.findings).toEqual([]);
    await gate.close();
  },
);

/** As the README has them. */
function rights(): readonly string[] {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, words = ""] = /ACL SETUSER gate ([^`]+)/.exec(readme) ?? [];
  return words.match(/\([^)]*\)|\S+/g) ?? [];
}

/** Sums of what JSON numbers are, totals of many such, and texts longer than any number. */
function decimal(): fc.Arbitrary<string> {
  const digits = fc.stringMatching(/^[1-9][0-9]{0,60}$/);
  return fc.oneof(
    fc.nat().map(String),
    fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map(toDecimal),
    digits,
    fc.tuple(digits, digits).map(([whole, fraction]) => `${whole}.${fraction}1`),
    digits.map((fraction) => `0.000${fraction}1`),
    fc.constantFrom(
      "0",
      "99999999999999",
      "100000000000000",
      "0.99999999999999",
      "99999999999999.5",
    ),
  );
}

function exactSum(a: string, b: string): string {
  const max = `${"9".repeat(400)}`;
  const step = { counter: "c", add: b, max, at_ms: 0, until_ms: 0 };
  return movedCounters([step], () => a)?.get("c") ?? "";
}

async function slotsOf(server: OwnServer): Promise<readonly unknown[]> {
  const keys = await server.command("KEYS", "*");
  const slots = (Array.isArray(keys) ? keys : []).map((key) =>
    server.command("CLUSTER", "KEYSLOT", String(key)),
  );
  return [...new Set(await Promise.all(slots))];
}
