/** SQLite with the inline writer, as the shared tests know a store. */
import { sqliteStore } from "@stepgate/store-sqlite";
import type { StoreUnderTest } from "../../contract/src/store-under-test.ts";
import { storeUnderTest as threaded } from "./store-under-test.ts";

/** Loaded by other processes too. */
export const storeUnderTest: StoreUnderTest = {
  ...threaded,
  module: import.meta.url,
  open: async (path) => sqliteStore({ path, writer: "inline" }),
};
