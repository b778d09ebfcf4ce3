/** The SQLite store under the contract of all stores. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Store } from "@stepgate/core";
import { sqliteStore } from "@stepgate/store-sqlite";
import { testStore } from "@stepgate/contract";

testStore("sqlite store", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stepgate-"));
  const opened: Store[] = [];
  const open = async (): Promise<Store> => {
    const store = sqliteStore(join(folder, "log.db"));
    opened.push(store);
    return store;
  };
  const cleanup = async (): Promise<void> => {
    await Promise.all(opened.map((store) => store.close()));
    rmSync(folder, { recursive: true });
  };
  return { store: await open(), another: open, reopen: open, cleanup };
});
