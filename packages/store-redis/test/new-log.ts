/** Logs of their own on a real server: the one that REDIS_URL names, or one that this file's process starts. */
import { randomBytes } from "node:crypto";
import { createClient } from "@redis/client";
import {
  NO_REDIS,
  redisBinary,
  type RedisServer,
  startRedisServer,
} from "../../contract/src/redis-server.ts";
import { sampleRecord } from "../../contract/src/sample-record.ts";
import type { Append, Store } from "@stepgate/core";
import { redisStore, type RedisStoreOptions } from "@stepgate/store-redis";

/** Why this machine has no Redis to test on; `undefined` where it has. */
export function noRedis(): string | undefined {
  return process.env["REDIS_URL"] === undefined && redisBinary() === undefined
    ? NO_REDIS
    : undefined;
}

let started: Promise<RedisServer> | undefined;

/** The URL of the server that this process shares. */
export async function sharedServer(): Promise<string> {
  const own = process.env["REDIS_URL"];
  if (own !== undefined) return own;
  started ??= startRedisServer();
  return (await started).url;
}

/** Ends it, if this process started it. */
export async function removeSharedServer(): Promise<void> {
  await (await started)?.remove();
  started = undefined;
}

/** A prefix that no other log has. */
export function newPrefix(): string {
  return `test-${randomBytes(8).toString("hex")}`;
}

/** A store that tells its warnings to nobody. */
export function openStore(url: string, options: Partial<RedisStoreOptions> = {}): Store {
  return redisStore({ client: createClient({ url }), onWarning: () => {}, ...options });
}

/** Removes every key of a log. */
export async function removeLog(url: string, prefix: string): Promise<void> {
  const client = createClient({ url });
  await client.connect();
  for await (const keys of client.scanIterator({ MATCH: `{${prefix}}:*`, COUNT: 1_000 }))
    if (keys.length > 0) await client.unlink(keys);
  await client.close();
}

/** An append of one record. */
export function one(sequenceId: string, seq: number, content = "record"): Append {
  return { sequence_id: sequenceId, records: [sampleRecord(sequenceId, seq, content)] };
}
