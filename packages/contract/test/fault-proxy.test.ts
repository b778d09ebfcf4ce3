/** The proxy that does faults to connections: each fault is what it says, and over when it is healed. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "../src/fault-proxy.ts";

test("without a fault everything passes, both ways, to the end", async () => {
  const { proxy } = await start();
  const client = await open(proxy);
  expect(await client.ask("hello")).toBe("hello");
  const large = "x".repeat(3_000_000);
  expect((await client.ask(large)) === large).toBe(true);
  client.socket.end();
  await once(client.socket, "close");
  expect(proxy.accepted()).toBe(1);
});

test("a delay makes every answer late by itself twice, until it is healed", async () => {
  const { proxy } = await start();
  const client = await open(proxy);
  proxy.inject({ kind: "delay", ms: 60 });
  const began = performance.now();
  expect(await client.ask("slow")).toBe("slow");
  expect(performance.now() - began).toBeGreaterThan(110);
  proxy.inject({ kind: "delay", ms: 60_000 });
  const asked = client.ask("freed");
  setTimeout(() => proxy.heal(), 20);
  expect(await asked).toBe("freed");
});

test("a throttle lets so many bytes a second through", async () => {
  const { proxy } = await start();
  const client = await open(proxy);
  proxy.inject({ kind: "throttle", bytesPerSecond: 10_000 });
  const began = performance.now();
  await client.ask("x".repeat(1_000));
  expect(performance.now() - began).toBeGreaterThan(190);
});

test("a reset comes after so many bytes, which arrive, in the direction that it is for", async () => {
  for (const direction of ["up", "down"] as const) {
    const { proxy, received } = await start();
    const client = await open(proxy);
    await client.ask("before");
    proxy.inject({ kind: "reset", direction, afterBytes: 7 });
    const error = once(client.socket, "error");
    client.socket.write("0123456789");
    expect(await error).toMatchObject([{ code: "ECONNRESET" }]);
    await sleep(20);
    expect(received().slice("before".length)).toBe(direction === "up" ? "0123456" : "0123456789");
    proxy.heal();
    expect(await (await open(proxy)).ask("after")).toBe("after");
  }
});

test("a black hole accepts and never answers; what was sent meanwhile arrives once it is healed", async () => {
  const { proxy, received } = await start();
  const before = await open(proxy);
  proxy.inject({ kind: "blackhole" });
  const during = await open(proxy);
  const answers = [before.ask("one"), during.ask("two")];
  expect(await Promise.race([...answers, sleep(80)])).toBeUndefined();
  expect(received()).toBe("");
  proxy.heal();
  expect(await Promise.all(answers)).toEqual(["one", "two"]);
});

test("a half-open connection is neither answered nor closed, and new ones are good", async () => {
  const { proxy, received } = await start();
  const before = await open(proxy);
  await before.ask("one");
  proxy.inject({ kind: "half-open" });
  const closed = once(before.socket, "close");
  expect(await Promise.race([before.ask("two"), closed, sleep(80)])).toBeUndefined();
  expect(await (await open(proxy)).ask("three")).toBe("three");
  expect(received()).toBe("onethree");
});

test("a cut closes what there is and what comes", async () => {
  const { proxy } = await start();
  const before = await open(proxy);
  await before.ask("one");
  proxy.inject({ kind: "cut" });
  await once(before.socket, "close");
  const during = await open(proxy);
  await once(during.socket, "close");
  proxy.heal();
  expect(await (await open(proxy)).ask("two")).toBe("two");
});

test("where the server is not there, or goes away, its clients are told so", async () => {
  const { proxy, close } = await start();
  const before = await open(proxy);
  await before.ask("one");
  const told = once(before.socket, "error");
  await close();
  expect(await told).toMatchObject([{ code: "ECONNRESET" }]);
  const refused = await open(proxy);
  expect(await once(refused.socket, "error")).toMatchObject([{ code: "ECONNRESET" }]);
});

/** A server that says again what it hears, and a proxy before it. */
async function start() {
  const sockets = new Set<Socket>();
  let heard = "";
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => (heard += String(data)));
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  const proxy = await startFaultProxy({ port: address.port });
  const close = async (): Promise<void> => {
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onTestFinished(async () => {
    await proxy.close();
    await close();
  });
  return { proxy, received: () => heard, close };
}

async function open({ host, port }: FaultProxy) {
  const socket = connect(port, host);
  await once(socket, "connect");
  let heard = "";
  socket.on("data", (data) => (heard += String(data)));
  onTestFinished(() => void socket.on("error", () => {}).destroy());
  return {
    socket,
    /** Resolves when as much has come back as was sent. */
    async ask(text: string): Promise<string> {
      heard = "";
      socket.write(text);
      while (heard.length < text.length) await once(socket, "data");
      return heard;
    },
  };
}
