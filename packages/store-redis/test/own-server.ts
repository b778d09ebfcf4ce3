/** A server of this test's own, to be set otherwise, killed and frozen; and a client that does so. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { NO_REDIS, redisBinary, type RedisServer, startRedisServer } from "@stepgate/contract";
import type { Store } from "@stepgate/core";
import type { RedisStoreOptions } from "@stepgate/store-redis";
import { onTestFinished, test, type TestContext } from "vitest";
import { openStore } from "./new-log.ts";

/** A server, and stores on it that are closed when the test ends. */
export interface OwnServer extends RedisServer {
  /** Sends one command and resolves to its reply. */
  command(...args: readonly string[]): Promise<unknown>;
  open(options?: Partial<RedisStoreOptions>): Store;
}

/** Starts it within a test; it ends with the test. */
export async function ownServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<OwnServer> {
  const server = await startRedisServer({ maxmemory: "256mb", ...settings });
  const stores: Store[] = [];
  onTestFinished(async () => {
    await Promise.all([...stores.map((store) => store.close()), server.remove()]);
  });
  return {
    ...server,
    async command(...args) {
      const client = createClient({ url: server.url, RESP: 2 });
      // A server that the test has killed is no fault of the test's.
      client.on("error", () => {});
      await client.connect();
      const reply: unknown = await client.sendCommand(args);
      client.destroy();
      return reply;
    },
    open(options) {
      const store = openStore(server.url, options);
      stores.push(store);
      return store;
    },
  };
}

/** A test that needs a binary on this machine, whatever REDIS_URL names; skipped by name without one. */
export function serverTest(title: string, body: (context: TestContext) => Promise<void>): void {
  test(title, async (context) => {
    if (redisBinary() === undefined) return context.skip(NO_REDIS);
    await body(context);
  });
}

/** Tries until it holds, for five seconds. */
export async function eventually(attempt: () => Promise<void>): Promise<void> {
  for (const end = performance.now() + 5_000; ; await sleep(50)) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}
