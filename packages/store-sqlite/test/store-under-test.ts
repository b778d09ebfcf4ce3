/** SQLite as the shared tests know a store: a log is a file in a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqliteStore } from "@stepgate/store-sqlite";
import type { StoreUnderTest } from "../../contract/src/store-under-test.ts";

/** Loaded by other processes too. */
export const storeUnderTest: StoreUnderTest = {
  name: "sqlite",
  module: import.meta.url,
  open: async (path, { patienceMs } = {}) =>
    sqliteStore(patienceMs === undefined ? path : { path, busyTimeoutMs: patienceMs }),
  absent: async () => undefined,
  async newLog() {
    const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
    return {
      place: join(folder, "log.db"),
      remove: async () => rmSync(folder, { recursive: true }),
    };
  },
};
