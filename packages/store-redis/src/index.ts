/** The public surface of `@stepgate/store-redis`: the store on Redis or Valkey. */
export { checkRedis } from "./check-redis.ts";
export type { RedisClient, RedisLink } from "./redis-client.ts";
export { redisStore, type RedisStoreOptions } from "./redis-store.ts";
export type { ServerDemands } from "./server-findings.ts";
