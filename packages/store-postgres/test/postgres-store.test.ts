/** The contract of a store, held by PostgreSQL, as a role that may read and insert and nothing else. */
import { type StoreFixture, testStore } from "@stepgate/contract";
import { describe } from "vitest";
import { shareServer } from "./shared-server.ts";
import { storeUnderTest } from "./store-under-test.ts";

/** These tests are about answers, not about time, and the machine may be busy. */
const PATIENCE_MS = 20_000;
const missing = await storeUnderTest.absent();
describe.skipIf(missing !== undefined)(
  `as a gate's role${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  () => {
    shareServer();
    testStore("postgres", async (): Promise<StoreFixture> => {
      const { place, remove } = await storeUnderTest.newLog();
      const open = () => storeUnderTest.open(place, { patienceMs: PATIENCE_MS });
      const opened = [await open()];
      const more = async () => {
        const store = await open();
        opened.push(store);
        return store;
      };
      const [store] = opened;
      if (store === undefined) throw new Error("no store");
      return {
        store,
        another: more,
        reopen: more,
        async cleanup() {
          for (const one of opened) await one.close();
          await remove();
        },
      };
    });
  },
);
