/** Two servers: what a replica is good for, what it is not, and the failover that allows a nonce a second time. */
import { setTimeout as sleep } from "node:timers/promises";
import { sampleRecord } from "@stepgate/contract";
import { createClient } from "@redis/client";
import { checkRedis } from "@stepgate/store-redis";
import { expect, onTestFinished } from "vitest";
import { startFaultProxy } from "../../contract/src/fault-proxy.ts";
import { one } from "./new-log.ts";
import { eventually, type OwnServer, ownServer, serverTest } from "./own-server.ts";

/** Any nonce, at the place that is contested. */
const BURNING = {
  sequence_id: "s",
  records: [sampleRecord("s", 0, "allow", { nonce: "n" })],
} as const;
const OTHER = {
  sequence_id: "s",
  records: [sampleRecord("s", 0, "another allow", { nonce: "n" })],
} as const;

serverTest("a record that one replica must have is won, and is on the replica", async () => {
  const { primary, replica } = await pair();
  const store = primary.open({ replicas: 1 });
  expect(await store.append(BURNING)).toBe("won");
  expect(await replica.command("XLEN", "{stepgate}:log")).toBe(1);
  expect(await store.append(BURNING)).toBe("won");
  expect(await store.append(OTHER)).toBe("lost");
});

serverTest(
  "where the replica does not answer nothing is won, not even by a retry of what is written",
  async () => {
    const { primary, replica } = await pair();
    const store = primary.open({ replicas: 1 });
    expect(await store.append(one("t", 0))).toBe("won");
    replica.freeze();
    const since = performance.now();
    expect(await store.append(BURNING)).toBe("unknown");
    expect(performance.now() - since).toBeLessThan(1_200);
    // It stands on the primary, and the retry finds its bytes there: still nobody else has them.
    await eventually(async () => expect(await store.append(BURNING)).toBe("unknown"));
    // Nor does a retry by a connection that wrote nothing, and for which WAIT has nothing to wait for.
    const another = primary.open({ replicas: 1 });
    expect(await another.read("s", 0)).toHaveLength(1);
    expect(await another.append(BURNING)).toBe("unknown");
    expect(await primary.command("XLEN", "{stepgate}:log")).toBe(2);
    replica.thaw();
    await eventually(async () => expect(await store.append(BURNING)).toBe("won"));
  },
);

serverTest(
  "replicas are waited for once more where the server had forgotten the script",
  async () => {
    const { primary } = await pair();
    const store = primary.open({ replicas: 1 });
    expect(await store.append(one("s", 0))).toBe("won");
    await primary.command("SCRIPT", "FLUSH");
    await primary.command("CONFIG", "RESETSTAT");
    expect(await store.append(one("s", 1))).toBe("won");
    expect(String(await primary.command("INFO", "commandstats"))).toContain(
      "cmdstat_wait:calls=2,",
    );
  },
);

serverTest(
  "the failover that loses an acknowledged record loses none that was won with a replica",
  async () => {
    const { primary, replica, way } = await pair();
    const [alone, careful] = [primary.open(), primary.open({ replicas: 1 })];
    expect(await careful.append(one("t", 0))).toBe("won");
    way.inject({ kind: "blackhole" });
    expect(await careful.append(BURNING)).toBe("unknown");
    // Without replicas it is won: durable, on the one server that is about to be lost.
    expect(await alone.append(BURNING)).toBe("won");
    await primary.kill();
    await way.close();
    await replica.command("REPLICAOF", "NO", "ONE");
    const promoted = replica.open();
    expect(await promoted.read("t", 0)).toHaveLength(1);
    // The window that the README speaks of: the same nonce a second time.
    expect(await promoted.append(OTHER)).toBe("won");
  },
);

serverTest(
  "a store that saw the lost record does not go on with the promoted replica",
  async () => {
    const { primary, replica, way } = await pair();
    // What a proxy, or a name that moves, does to a client: the same address, and behind it another server.
    const store = primary.open();
    expect(await store.append(one("t", 0))).toBe("won");
    await caughtUp(primary, replica);
    way.inject({ kind: "blackhole" });
    expect(await store.append(BURNING)).toBe("won");
    await primary.kill();
    await way.close();
    await replica.command("REPLICAOF", "NO", "ONE");
    await replica.command("CONFIG", "SET", "port", `${primary.port}`);
    await eventually(async () => {
      await expect(store.append(OTHER)).rejects.toThrow("lost records that it had acknowledged");
    });
  },
);

serverTest("a primary that loses its replica says so before anything is written", async () => {
  const { primary, replica } = await pair();
  const store = primary.open({ replicas: 1 });
  expect(await store.append(one("s", 0))).toBe("won");
  await replica.kill();
  await sleep(1_100);
  await store.append(one("s", 1)).catch(() => {});
  await expect(store.append(one("s", 2))).rejects.toThrow(
    "1 must have each record, and 0 are connected",
  );
});

serverTest(
  "min-replicas-to-write below the replicas that are asked for is a warning with its fix",
  async () => {
    const { primary } = await pair();
    const told = async () => {
      const findings = await checkRedis(createClient({ url: primary.url }), { replicas: 1 });
      return findings.find(({ check }) => check === "min-replicas-to-write");
    };
    expect(await told()).toMatchObject({
      level: "warning",
      fix: expect.stringContaining("CONFIG SET min-replicas-to-write 1"),
    });
    await primary.command("CONFIG", "SET", "min-replicas-to-write", "1");
    expect(await told()).toMatchObject({ level: "ok" });
  },
);

/** A primary, its replica, in step, and the network between them. */
async function pair() {
  const primary = await ownServer({ "repl-diskless-sync-delay": "0" });
  const way = await startFaultProxy({ port: primary.port });
  onTestFinished(() => way.close());
  const replica = await ownServer({ replicaof: `127.0.0.1 ${way.port}` });
  await primary.command("SET", "mark", "here");
  await caughtUp(primary, replica);
  return { primary, replica, way };
}

async function caughtUp(primary: OwnServer, replica: OwnServer): Promise<void> {
  await eventually(async () => {
    const [, own] =
      /master_repl_offset:(\d+)/.exec(String(await primary.command("INFO", "replication"))) ?? [];
    const [, told] =
      /slave_repl_offset:(\d+)/.exec(String(await replica.command("INFO", "replication"))) ?? [];
    expect(own).toBeDefined();
    expect(Number(told)).toBeGreaterThanOrEqual(Number(own));
    expect(await replica.command("GET", "mark")).toBe("here");
  });
}
