/** The Redis store under the contract of all stores. */
import { testStore } from "@stepgate/contract";
import type { Store } from "@stepgate/core";
import { afterAll, describe } from "vitest";
import {
  newPrefix,
  noRedis,
  openStore,
  removeLog,
  removeSharedServer,
  sharedServer,
} from "./new-log.ts";

const missing = noRedis();
afterAll(removeSharedServer);

describe.skipIf(missing !== undefined)(missing ?? "on a real server", () => {
  testStore("redis store", async () => {
    const url = await sharedServer();
    const prefix = newPrefix();
    const opened: Store[] = [];
    const open = async (): Promise<Store> => {
      const store = openStore(url, { prefix });
      opened.push(store);
      return store;
    };
    const cleanup = async (): Promise<void> => {
      await Promise.all(opened.map((store) => store.close()));
      await removeLog(url, prefix);
    };
    return { store: await open(), another: open, reopen: open, cleanup };
  });
});
