/** What a store must not be: this one's commits are not synced. The tests of lost power must fail on it. */
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "@stepgate/store-sqlite";
import type { StoreUnderTest } from "../../contract/src/store-under-test.ts";
import { storeUnderTest as inline } from "./inline-store.ts";

/** Loaded by other processes too. */
export const storeUnderTest: StoreUnderTest = {
  ...inline,
  module: import.meta.url,
  async open(path) {
    // Behind the store's back, for it reads back what it set.
    const { exec } = DatabaseSync.prototype;
    DatabaseSync.prototype.exec = function (sql) {
      exec.call(this, sql === "BEGIN IMMEDIATE" ? `PRAGMA synchronous = NORMAL; ${sql}` : sql);
    };
    return sqliteStore({ path, writer: "inline" });
  },
};
