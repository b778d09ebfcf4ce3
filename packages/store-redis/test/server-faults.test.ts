/** What the server and the way to it can do to a store: every call ends in time, nothing is won that is not there, and it goes on by itself. */
import { randomBytes } from "node:crypto";
import { createServer, connect, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { RACE_POLICY } from "@stepgate/contract";
import { createGate, type Gate, generateSigningKey, type Store } from "@stepgate/core";
import { compilePolicy } from "@stepgate/policy";
import { checkRedis, redisStore } from "@stepgate/store-redis";
import { expect, onTestFinished } from "vitest";
import { one } from "./new-log.ts";
import { eventually, ownServer, serverTest } from "./own-server.ts";

serverTest(
  "a frozen server is unknown in time, and the store goes on by itself when it thaws",
  async () => {
    const server = await ownServer();
    const store = server.open({ timeoutMs: 500 });
    await eventually(async () => expect(await store.append(one("s", 0))).toBe("won"));
    server.freeze();
    const [answer, waited] = await timed(store.append(one("s", 1)));
    expect(answer).toBe("unknown");
    expect(waited).toBeLessThan(800);
    // The connection is given up: on a new one nothing is sent that the server does not read.
    for (const call of [() => store.append(one("s", 2)), () => store.read("s", 0)]) {
      const [error, ms] = await timed(call().catch((cause: unknown) => cause));
      expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(ms).toBeLessThan(800);
    }
    server.thaw();
    await eventually(async () => expect(await store.read("s", 0)).not.toEqual([]));
    // The append that nobody waited for was carried out; its retry says so, and what was not sent is not there.
    expect(await store.append(one("s", 1))).toBe("won");
    expect(await store.read("s", 0)).toHaveLength(2);
  },
);

serverTest(
  "a gate on a frozen server denies within its deadline, and allows again after it",
  async () => {
    const server = await ownServer();
    const gate = await openGate(server.open());
    expect((await decide(gate, "s")).decision).toBe("ALLOW");
    server.freeze();
    const [denied, ms] = await timed(Promise.all([decide(gate, "s"), decide(gate, "t")]));
    expect(denied.map(codeOf)).toEqual(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]);
    expect(ms).toBeLessThan(1_300);
    server.thaw();
    await eventually(async () => expect((await decide(gate, "u")).decision).toBe("ALLOW"));
  },
);

serverTest(
  "a server that is killed in the midst of appends loses nothing that was won",
  async () => {
    const server = await ownServer();
    const store = server.open({ timeoutMs: 500 });
    const won = new Set<string>();
    for (let life = 0; life < 5; life++) {
      await eventually(async () => expect(await store.append(one(`life-${life}`, 0))).toBe("won"));
      const working = Array.from({ length: 32 }, (_, lane) =>
        appendUntilFault(store, `${life}-${lane}`, won),
      );
      await sleep(100 + 30 * life);
      await server.kill();
      await Promise.all(working);
      await server.start();
    }
    expect(won.size).toBeGreaterThan(100);
    await eventually(async () => {
      const standing = new Set(await Array.fromAsync(store.lines()));
      expect([...won].filter((line) => !standing.has(line))).toEqual([]);
    });
  },
);

serverTest(
  "a server that is not there rejects at once, and is asked at most ten times a second",
  async () => {
    const server = await ownServer();
    const store = server.open();
    await store.append(one("s", 0));
    await server.kill();
    let connections = 0;
    const listener = createServer((socket) => {
      connections++;
      socket.destroy();
    }).listen(server.port, "127.0.0.1");
    await once(listener, "listening");
    const until = performance.now() + 1_000;
    let refused = 0;
    while (performance.now() < until)
      await store.append(one("s", 1)).catch(() => sleep(5).then(() => refused++));
    listener.close();
    expect(refused).toBeGreaterThan(20);
    expect(connections).toBeLessThan(13);
    await server.start();
    await eventually(async () => expect(await store.append(one("s", 1))).toBe("won"));
  },
);

serverTest(
  "an append whose answer is lost on the way is unknown, and is not sent a second time",
  async () => {
    const server = await ownServer();
    const proxy = await proxyTo(server.port);
    const store = redisStore({ client: createClient({ url: proxy.url }), onWarning: () => {} });
    onTestFinished(() => store.close());
    expect(await store.append(one("s", 0))).toBe("won");
    proxy.cutAtNextAnswer();
    expect(await store.append(one("s", 1))).toBe("unknown");
    await eventually(async () => expect(await store.read("s", 0)).toHaveLength(2));
    expect(await store.append(one("s", 1))).toBe("won");
    // Its first record, the one that was cut, and nothing by itself.
    expect(
      proxy.sent.filter((text) => text.includes("EVALSHA") && text.includes('"seq":1')).length,
    ).toBe(2);
  },
);

serverTest(
  "a log that went back is used no more: not after a restart without its file",
  async () => {
    const server = await ownServer();
    const store = server.open();
    for (const seq of [0, 1, 2]) await store.append(one("s", seq));
    await server.command("CONFIG", "SET", "appendonly", "no");
    await server.kill();
    await server.start();
    expect(await server.command("FLUSHALL")).toBe("OK");
    await eventually(async () => {
      await expect(store.append(one("fork", 0))).rejects.toThrow(
        "lost records that it had acknowledged",
      );
    });
    await expect(store.read("s", 0)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await server.command("DBSIZE")).toBe(0);
  },
);

serverTest(
  "nor after a FLUSHALL under an open connection, and nothing is written to what is left",
  async () => {
    const server = await ownServer();
    const store = server.open();
    for (const seq of [0, 1, 2]) await store.append(one("s", seq));
    await server.command("FLUSHALL");
    expect(await store.append(one("fork", 0))).toBe("unknown");
    await expect(store.append(one("fork", 0))).rejects.toThrow("lost records");
    expect(await server.command("DBSIZE")).toBe(0);
  },
);

serverTest("nor where another history has grown as long in its place", async () => {
  const server = await ownServer();
  const store = server.open();
  for (const seq of [0, 1, 2]) await store.append(one("s", seq));
  await server.command("FLUSHALL");
  const other = server.open();
  for (const seq of [0, 1, 2, 3, 4]) await other.append(one("fork", seq));
  await sleep(1_000);
  // Within the second between two looks it cannot be told apart by its length; the look finds it.
  expect(await store.append(one("fork", 5))).toBe("unknown");
  await expect(store.append(one("fork", 6))).rejects.toThrow("lost records");
});

serverTest("a script that the server forgot is told to it again", async () => {
  const server = await ownServer();
  const store = server.open();
  expect(await store.append(one("s", 0))).toBe("won");
  await server.command("SCRIPT", "FLUSH");
  expect(await store.append(one("s", 1))).toBe("won");
  await server.command("SCRIPT", "FLUSH");
  expect(await store.read("s", 0)).toHaveLength(2);
});

serverTest(
  "a server whose memory is used up takes no append, whole or in part, and goes on with more",
  async () => {
    const server = await ownServer();
    const store = server.open();
    await store.append(one("s", 0));
    await server.command("CONFIG", "SET", "maxmemory", "1mb");
    expect(await store.append(one("s", 1))).toBe("unknown");
    expect(await store.read("s", 0)).toHaveLength(1);
    const findings = await checkRedis(createClient({ url: server.url }));
    expect(findings.find(({ check }) => check === "maxmemory")?.message).toContain("used up");
    await server.command("CONFIG", "SET", "maxmemory", "256mb");
    await eventually(async () => expect(await store.append(one("s", 1))).toBe("won"));
  },
);

serverTest(
  "a primary that is made a replica is found out, and is used again once it is a primary",
  async () => {
    const server = await ownServer();
    const store = server.open();
    expect(await store.append(one("s", 0))).toBe("won");
    await server.command("REPLICAOF", "127.0.0.1", "1");
    expect(await store.append(one("s", 1))).toBe("unknown");
    await expect(store.append(one("s", 1))).rejects.toThrow("The server is a replica");
    await server.command("REPLICAOF", "NO", "ONE");
    await eventually(async () => expect(await store.append(one("s", 1))).toBe("won"));
  },
);

serverTest("closing waits for what is under way, and everything after it is refused", async () => {
  const server = await ownServer();
  const store = server.open();
  const appends = [0, 1, 2].map((seq) => store.append(one("s", seq)));
  await Promise.all([store.close(), store.close()]);
  expect(await Promise.all(appends)).toEqual(["won", "won", "won"]);
  await expect(store.append(one("s", 3))).rejects.toThrow("closed");
  await expect(store.read("s", 0)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});

async function appendUntilFault(store: Store, name: string, won: Set<string>): Promise<void> {
  for (let seq = 0; ; seq++) {
    const append = one(name, seq);
    const answer = await store.append(append).catch(() => "rejected");
    if (answer !== "won") return;
    won.add(append.records[0].line);
  }
}

async function openGate(store: Store): Promise<Gate> {
  return createGate({
    policies: [compilePolicy(RACE_POLICY)],
    signer: generateSigningKey(),
    saltKey: randomBytes(32),
    store,
  });
}

function decide(gate: Gate, sequence_id: string) {
  return gate.decide({ sequence_id, function: "intake", action_type: "READ" });
}

function codeOf(decision: Awaited<ReturnType<Gate["decide"]>>): string {
  return decision.decision === "DENY" ? decision.deny_code : decision.decision;
}

async function timed<T>(answer: Promise<T>): Promise<readonly [T, number]> {
  const since = performance.now();
  return [await answer, performance.now() - since];
}

/** Lets everything through until it is told to cut the connection in place of the next answer. */
async function proxyTo(port: number) {
  const sent: string[] = [];
  let cutting = false;
  const server = createServer((near: Socket) => {
    const far = connect(port, "127.0.0.1");
    near.on("data", (bytes) => {
      sent.push(String(bytes));
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (!cutting) return void near.write(bytes);
      cutting = false;
      near.destroy();
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on("error", () => {}).on("close", () => other.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return {
    url: `redis://127.0.0.1:${address.port}`,
    sent,
    cutAtNextAnswer: () => void (cutting = true),
  };
}
