/** A store that is wrong on purpose: it says `won` at once and writes a moment later. The negative control of the kills. */
import { setTimeout as sleep } from "node:timers/promises";
import type { StoreUnderTest } from "../../contract/src/store-under-test.ts";
import { storeUnderTest as sound } from "./store-under-test.ts";

const LATE_MS = 40;

/** SQLite, but for the one thing. */
export const storeUnderTest: StoreUnderTest = {
  ...sound,
  name: "hasty",
  module: import.meta.url,
  async open(place, options) {
    const store = await sound.open(place, options);
    const pending = new Set<Promise<unknown>>();
    return {
      ...store,
      async append(append) {
        const late = sleep(LATE_MS).then(() => store.append(append));
        pending.add(late);
        return "won";
      },
      async close() {
        await Promise.allSettled(pending);
        await store.close();
      },
    };
  },
};
