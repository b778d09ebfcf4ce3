/** The engines that stores stand on: a store of ours, and bare inserts of rows of the same size through the same driver. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Store } from "@stepgate/core";
import { createClient } from "@redis/client";
import { NO_REDIS, redisBinary, startRedisServer } from "@stepgate/contract";
import { redisStore } from "@stepgate/store-redis";
import { postgresEngine } from "./postgres-engine.ts";
import { sqliteStore } from "@stepgate/store-sqlite";

/** One engine, started for the benchmark. */
export interface Engine {
  readonly name: string;
  /** How durable an answer is here, in the engine's own words. */
  readonly durability: string;
  openStore(): Promise<Store>;
  /** Inserts rows of text in one go: durable, all of them, when it resolves. */
  insert(rows: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Starts engines by name; an engine that this machine does not have is said and left out. */
export const ENGINES: Readonly<Record<string, () => Promise<Engine | string>>> = {
  sqlite: sqliteEngine,
  redis: redisEngine,
  postgres: postgresEngine,
};

async function sqliteEngine(): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), "stepgate-bench-"));
  const bare = new DatabaseSync(join(folder, "bare.db"));
  bare.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  // Rows go to the end of the table: a key of their own would cost the floor what it costs the store.
  bare.exec("CREATE TABLE row (id INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT");
  const statement = bare.prepare("INSERT INTO row (line) VALUES (?)");
  return {
    name: "SQLite",
    durability: "WAL, synchronous=FULL",
    openStore: async () => sqliteStore(join(folder, `${randomUUID()}.db`)),
    async insert(rows) {
      bare.exec("BEGIN IMMEDIATE");
      for (const line of rows) statement.run(line);
      bare.exec("COMMIT");
    },
    async close() {
      bare.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** On the server that REDIS_URL names, or on one that is started here. */
async function redisEngine(): Promise<Engine | string> {
  const own = process.env["REDIS_URL"];
  if (own === undefined && redisBinary() === undefined) return NO_REDIS;
  const server = own === undefined ? await startRedisServer() : undefined;
  const client = createClient({ url: own ?? server?.url ?? "" });
  await client.connect();
  const prefixes = [`bench-${randomUUID()}`];
  return {
    name: "Redis",
    durability: "appendonly yes, appendfsync always",
    async openStore() {
      const prefix = `bench-${randomUUID()}`;
      prefixes.push(prefix);
      return redisStore({ client, prefix, onWarning: () => {} });
    },
    async insert(rows) {
      await Promise.all(rows.map((line) => client.xAdd(`{${prefixes[0]}}:bare`, "*", { line })));
    },
    async close() {
      for (const prefix of prefixes)
        for await (const keys of client.scanIterator({ MATCH: `{${prefix}}:*`, COUNT: 1_000 }))
          if (keys.length > 0) await client.unlink(keys);
      await client.close();
      await server?.remove();
    },
  };
}
