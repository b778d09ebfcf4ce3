/** A log is entrusted to no server that would lose it: each setting on its own is refused, at the start and at run time. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, createCluster, createSentinel } from "@redis/client";
import { GateError, type Store, type StoreFinding } from "@stepgate/core";
import { checkRedis, redisStore } from "@stepgate/store-redis";
import { expect, onTestFinished, test } from "vitest";
import { serverFindings } from "../src/server-findings.ts";
import { one } from "./new-log.ts";
import { eventually, ownServer, serverTest } from "./own-server.ts";

const UNSAFE = [
  ["appendonly", "no", "a restart loses every receipt"],
  ["appendfsync", "everysec", "the last second or two are lost"],
  ["appendfsync", "no", "any number of acknowledged receipts"],
  ["no-appendfsync-on-rewrite", "yes", "nothing is synced"],
  ["maxmemory-policy", "allkeys-lru", "a nonce that was removed is allowed again"],
  ["maxmemory-policy", "volatile-ttl", "a nonce that was removed is allowed again"],
] as const;

for (const [name, value, words] of UNSAFE)
  serverTest(`a server with ${name} ${value} is refused by name, and left as it was`, async () => {
    const server = await ownServer({ [name]: value });
    const error = await refusal(server.open());
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(error.message).toContain(words);
    expect(error.message).toContain("CONFIG SET");
    expect(await server.command("DBSIZE")).toBe(0);
    const findings = await checkRedis(createClient({ url: server.url }));
    expect(faultsOf(findings)).toEqual([name]);
  });

serverTest("a server that is safe has no fault, and is told of what it cannot keep", async () => {
  const server = await ownServer();
  const findings = await checkRedis(createClient({ url: server.url }));
  expect(faultsOf(findings)).toEqual([]);
  expect(namesOf(findings, "warning")).toEqual(["failover"]);
  expect(findings.every(({ message }) => message.endsWith("."))).toBe(true);
  expect(await server.command("DBSIZE")).toBe(0);
  await server.command("CONFIG", "SET", "maxmemory", "0");
  const unlimited = await checkRedis(createClient({ url: server.url }));
  expect(namesOf(unlimited, "warning")).toEqual(["maxmemory", "failover"]);
});

serverTest("an append-only file that is not whole yet is refused until it is", async () => {
  const server = await ownServer({ appendonly: "no" });
  for (let n = 0; n < 20; n++) await server.command("SET", `other ${n}`, "value");
  await server.command("CONFIG", "SET", "rdb-key-save-delay", "100000");
  await server.command("CONFIG", "SET", "appendonly", "yes");
  const store = server.open();
  expect((await refusal(store)).message).toContain("not whole yet");
  await eventually(async () => expect(await store.setting("log_id", "x")).toBe("x"));
});

serverTest(
  "a replica is refused, and a primary without the replicas that are asked for",
  async () => {
    const primary = await ownServer();
    const replica = await ownServer({ replicaof: `127.0.0.1 ${primary.port}` });
    expect((await refusal(replica.open())).message).toContain("The server is a replica");
    expect((await refusal(primary.open({ replicas: 9 }))).message).toContain(
      "9 must have each record",
    );
  },
);

serverTest("everysec is accepted where it is asked for, and the loss is told once", async () => {
  const server = await ownServer({ appendfsync: "everysec" });
  const told: StoreFinding[] = [];
  const store = server.open({
    durability: "everysec",
    onWarning: (finding) => void told.push(finding),
  });
  expect(await store.append(one("s", 0))).toBe("won");
  await sleep(1_100);
  expect(await store.append(one("s", 1))).toBe("won");
  expect(told.map(({ check }) => check)).toEqual(["appendfsync", "failover"]);
  expect(told[0]?.message).toContain("the last second or two are lost although their actions ran");
  expect(told[1]?.message).toContain("a step or nonce may be allowed a second time");
});

serverTest("by default the loss window is a process warning", async () => {
  const server = await ownServer();
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listen);
  onTestFinished(() => void process.off("warning", listen));
  const store = redisStore({ client: createClient({ url: server.url }) });
  await store.setting("log_id", "x");
  await store.close();
  await sleep(0);
  expect(warnings.map(({ name }) => name)).toEqual(["StepgateWarning"]);
  expect(warnings[0]?.message).toContain("acknowledged records can be missing");
});

serverTest(
  "a user that may not read the settings is refused, for what is not seen is not safe",
  async () => {
    const server = await ownServer();
    await server.command("ACL", "SETUSER", "blind", "on", ">pw", "~*", "+@all", "-config");
    const client = createClient({ url: server.url, username: "blind", password: "pw" });
    const store = redisStore({ client, onWarning: () => {} });
    expect((await refusal(store)).message).toContain("does not tell how often it syncs");
  },
);

for (const [name, unsafe, safe] of [
  ["maxmemory-policy", "allkeys-lru", "noeviction"],
  ["appendfsync", "everysec", "always"],
] as const)
  serverTest(
    `${name} that is changed at run time is found within a second, and so is its repair`,
    async () => {
      const server = await ownServer();
      const store = server.open();
      expect(await store.append(one("s", 0))).toBe("won");
      await server.command("CONFIG", "SET", name, unsafe);
      await sleep(1_000);
      // Sent together with the look that finds it: written perhaps, and not believed.
      expect(await store.append(one("s", 1))).toBe("unknown");
      await expect(store.append(one("t", 0))).rejects.toThrow(name);
      await expect(store.read("s", 0)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
      await server.command("CONFIG", "SET", name, safe);
      await eventually(async () => expect(await store.append(one("s", 1))).toBe("won"));
      expect(await store.read("s", 0)).toHaveLength(2);
    },
  );

serverTest("a log of a later schema is refused", async () => {
  const server = await ownServer();
  await server.command("SET", "{stepgate}:schema", "2");
  expect((await refusal(server.open())).message).toContain("the log is of schema 2");
});

test("options that cannot be meant are refused where they are made", () => {
  const client = createClient();
  for (const prefix of ["", "a}b", "{a", "a b", "é", "x".repeat(65)])
    expect(() => redisStore({ client, prefix })).toThrow("prefix must be");
  expect(() => redisStore({ client, replicas: -1 })).toThrow("replicas must be");
  expect(() => redisStore({ client, timeoutMs: 0 })).toThrow("timeoutMs must be");
  // @ts-expect-error: no durability of Redis
  expect(() => redisStore({ client, durability: "no" })).toThrow("durability must be");
  const node = { url: "redis://localhost" };
  // @ts-expect-error: a client of a Cluster sends by slot
  expect(() => redisStore({ client: createCluster({ rootNodes: [node] }) })).toThrow(
    "client must come from createClient",
  );
  const sentinel = createSentinel({
    name: "m",
    sentinelRootNodes: [{ host: "localhost", port: 1 }],
  });
  // @ts-expect-error: a client of Sentinel moves to whatever was promoted
  expect(() => redisStore({ client: sentinel })).toThrow(TypeError);
});

test("a server that is too old, or Valkey, is told apart by what it says of itself", () => {
  const demands = { durability: "always", replicas: 0 } as const;
  const versionOf = (info: Readonly<Record<string, string>>) =>
    serverFindings({ info: new Map(Object.entries(info)), config: new Map() }, demands)[0];
  expect(versionOf({ redis_version: "6.2.14" })).toMatchObject({
    check: "version",
    level: "fault",
  });
  expect(versionOf({})).toMatchObject({ level: "fault" });
  expect(
    versionOf({ redis_version: "7.2.4", server_name: "valkey", valkey_version: "8.1.0" }),
  ).toEqual({ check: "version", level: "ok", message: "The server is valkey 8.1.0." });
});

async function refusal(store: Store): Promise<Error> {
  const refused = await store.setting("log_id", "x").then(String, (error: unknown) => error);
  if (GateError.isInstance(refused)) return refused;
  throw new Error(`the store was not refused: ${String(refused)}`);
}

function faultsOf(findings: readonly StoreFinding[]): readonly string[] {
  return namesOf(findings, "fault");
}

function namesOf(
  findings: readonly StoreFinding[],
  wanted: StoreFinding["level"],
): readonly string[] {
  return findings.filter(({ level }) => level === wanted).map(({ check }) => check);
}
