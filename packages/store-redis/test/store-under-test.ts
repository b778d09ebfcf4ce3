/** Redis as the shared tests know a store: a log is a prefix on a server, the server one's own unless REDIS_URL names one. */
import type { StoreUnderTest } from "../../contract/src/store-under-test.ts";
import { startRedisServer } from "../../contract/src/redis-server.ts";
import { newPrefix, noRedis, openStore, removeLog } from "./new-log.ts";

/** Loaded by other processes too. */
export const storeUnderTest: StoreUnderTest = {
  name: "redis",
  module: import.meta.url,
  async open(place, { patienceMs } = {}) {
    const url = new URL(place);
    const prefix = url.hash.slice(1);
    url.hash = "";
    return openStore(`${url}`, {
      prefix,
      ...(patienceMs === undefined ? {} : { timeoutMs: patienceMs }),
    });
  },
  absent: async () => noRedis(),
  async newLog() {
    const prefix = newPrefix();
    const shared = process.env["REDIS_URL"];
    if (shared !== undefined)
      return { place: `${shared}#${prefix}`, remove: () => removeLog(shared, prefix) };
    const server = await startRedisServer();
    return { place: `${server.url}#${prefix}`, server, remove: () => server.remove() };
  },
};
