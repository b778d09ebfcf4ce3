/** SQLite as the shared tests know a store: a log is a file in a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
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
    const place = join(folder, "log.db");
    return {
      place,
      faults: { locked: async () => lock(place) },
      remove: async () => rmSync(folder, { recursive: true }),
    };
  },
};

/** Another program takes the write lock, and keeps it until told otherwise. */
function lock(path: string): () => Promise<void> {
  const other = new DatabaseSync(path, { timeout: 5_000 });
  other.exec("BEGIN IMMEDIATE");
  return async () => {
    other.exec("ROLLBACK");
    other.close();
  };
}
