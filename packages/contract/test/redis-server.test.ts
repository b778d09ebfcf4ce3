/** The servers that tests start are real ones: killed, frozen and started again they keep what they acknowledged. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { NO_REDIS, redisBinary, startRedisServer } from "@stepgate/contract";

test("a server keeps its data over kill -9, and its port", async (context) => {
  if (redisBinary() === undefined) return context.skip(NO_REDIS);
  const server = await startRedisServer();
  onTestFinished(() => server.remove());
  expect(await ask(server.port, "SET k v")).toBe("+OK\r\n");
  await server.kill();
  await expect(ask(server.port, "GET k")).rejects.toThrow("ECONNREFUSED");
  await server.start();
  expect(await ask(server.port, "GET k")).toBe("$1\r\nv\r\n");
  server.freeze();
  const answer = ask(server.port, "GET k");
  expect(await Promise.race([answer, pause()])).toBe("nothing yet");
  server.thaw();
  expect(await answer).toBe("$1\r\nv\r\n");
});

test("a setting that the server does not know is an error with its own words", async (context) => {
  if (redisBinary() === undefined) return context.skip(NO_REDIS);
  await expect(startRedisServer({ "no-such-setting": "1" })).rejects.toThrow(/Bad directive/);
});

async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(`${command}\r\n`);
  const [reply] = await once(socket, "data");
  socket.destroy();
  return String(reply);
}

async function pause(): Promise<string> {
  return new Promise((resolve) => setTimeout(() => resolve("nothing yet"), 200));
}
